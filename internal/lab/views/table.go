package views

import (
	"context"

	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// table is a view for one statement.
type table struct {
	view    *View
	env     func() *Env
	major   int
	index   []int
	columns []tsql.Column
}

func (t *table) Columns() []tsql.Column { return t.columns }

// cut leaves the columns of the table's version. A view whose columns and values differ must not go unnoticed.
func (t *table) cut(r []any) []any {
	t.view.check(r)
	if len(t.index) == len(r) {
		return r
	}
	row := make([]any, len(t.index))
	for i, x := range t.index {
		row[i] = r[x]
	}
	return row
}

func (t *table) Scan(ctx context.Context, yield func([]any) bool) *tsql.Error {
	n := 0
	more := func(row []any) bool {
		n++
		return (n%1024 != 0 || ctx.Err() == nil) && yield(row)
	}
	if !t.scan(t.env(), more) && ctx.Err() != nil {
		return tsql.NewError(3621, 16, 0, "The statement has been terminated.")
	}
	return nil
}

func (t *table) scan(e *Env, yield func([]any) bool) bool {
	all := func(rows [][]any) bool {
		for _, r := range rows {
			if !yield(t.cut(r)) {
				return false
			}
		}
		return true
	}
	if t.view.Rows != nil && !all(t.view.Rows(e)) {
		return false
	}
	if t.view.each != nil {
		a := look(e.Snap, t.major)
		key := any(a)
		for _, d := range e.Snap.Seen {
			for _, r := range t.view.each.of(t, &a, key, d) {
				if !yield(r) {
					return false
				}
			}
		}
	}
	return t.view.tail == nil || all(t.view.tail(e))
}
