package views

import (
	"context"

	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// table is a view for one statement.
type table struct {
	view    *View
	env     func() *Env
	index   []int
	columns []tsql.Column
}

func (t *table) Columns() []tsql.Column { return t.columns }

func (t *table) Scan(ctx context.Context, yield func([]any) bool) *tsql.Error {
	for n, r := range t.view.Rows(t.env()) {
		if n%1024 == 1023 && ctx.Err() != nil {
			return tsql.NewError(3621, 16, 0, "The statement has been terminated.")
		}
		t.view.check(r)
		row := r
		if len(t.index) != len(r) {
			row = make([]any, len(t.index))
			for i, x := range t.index {
				row[i] = r[x]
			}
		}
		if !yield(row) {
			return nil
		}
	}
	return nil
}
