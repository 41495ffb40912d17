package differential

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the oracle

	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// The size of a run: so many sets of tables, and so many queries over each.
const (
	worlds  = 80
	queries = 40
)

// collect keeps the rows of an answer and its first error.
type collect struct {
	rows []string
	err  *tsql.Error
}

func (c *collect) Columns([]tsql.Column) error { return nil }
func (c *collect) Done(tsql.DoneInfo) error    { return nil }
func (c *collect) Info(*tsql.Error) error      { return nil }
func (c *collect) Env(tsql.EnvChange) error    { return nil }
func (c *collect) Row(row []any) error         { c.rows = append(c.rows, show(row)); return nil }
func (c *collect) Error(e *tsql.Error) error {
	if c.err == nil {
		c.err = e
	}
	return nil
}

func show(row []any) string {
	parts := make([]string, len(row))
	for i, v := range row {
		switch v := v.(type) {
		case nil:
			parts[i] = "NULL"
		case string:
			parts[i] = "'" + v + "'"
		default:
			parts[i] = fmt.Sprint(v)
		}
	}
	return strings.Join(parts, " | ")
}

func fromSQLite(ctx context.Context, db *sql.DB, text string) (lines []string, err error) {
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row, to := make([]any, len(names)), make([]any, len(names))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		lines = append(lines, show(row))
	}
	return lines, rows.Err()
}

// TestAgainstSQLite: both give the same rows, and in the same order where the
// query orders them.
func TestAgainstSQLite(t *testing.T) {
	compareWorlds(t, 11, generator.tables, generator.query)
}

// TestCollationsAgainstSQLite does the same with texts in both cases under
// collations with case and without.
func TestCollationsAgainstSQLite(t *testing.T) {
	compareWorlds(t, 12, generator.mixedTables, generator.mixedQuery)
}

func compareWorlds(t *testing.T, seed uint64, tables func(generator) []string, next func(generator) query) {
	t.Helper()
	compared, withRows := 0, 0
	for world := range uint64(worlds) {
		g := generator{rand.New(rand.NewPCG(seed, world))}
		c, r := oneWorld(t, tables(g), func() query { return next(g) })
		compared += c
		withRows += r
		if t.Failed() && compared < worlds*queries {
			t.Fatalf("world %d; the others were not tried", world)
		}
	}
	t.Logf("%d queries, %d of them with rows", compared, withRows)
	if withRows < compared/3 {
		t.Errorf("only %d of %d queries give rows: the generator has gone dull", withRows, compared)
	}
}

func oneWorld(t *testing.T, statements []string, next func() query) (compared, withRows int) {
	t.Helper()
	ctx := t.Context()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // a memory database
	db.SetMaxOpenConns(1)             // each connection would be a database of its own
	session := tsql.NewSession(tsql.BaseHost{}, tsql.Options{})
	defer session.Close(ctx)
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, query{text: s, limit: -1}.sqlite()); err != nil {
			t.Fatalf("SQLite: %v\n%s", err, s)
		}
		var c collect
		if err := session.Exec(ctx, query{text: s, limit: -1}.tsql(), &c); err != nil || c.err != nil {
			t.Fatalf("tsql: %v %v\n%s", err, c.err, s)
		}
	}
	for range queries {
		q := next()
		want, err := fromSQLite(ctx, db, q.sqlite())
		if err != nil {
			t.Fatalf("the generator made a query that SQLite refuses: %v\n%s", err, q.sqlite())
		}
		var got collect
		if err := session.Exec(ctx, q.tsql(), &got); err != nil {
			t.Fatalf("%v\n%s", err, q.tsql())
		}
		if !q.ordered {
			slices.Sort(want)
			slices.Sort(got.rows)
		}
		if got.err != nil || !slices.Equal(got.rows, want) {
			t.Errorf("%s;\n%s\ngives (error %v)\n\t%s\nSQLite:\n\t%s", query{text: strings.Join(statements, ";\n"), limit: -1}.tsql(), q.tsql(), got.err, strings.Join(got.rows, "\n\t"), strings.Join(want, "\n\t"))
			return compared, withRows
		}
		compared++
		if len(want) > 0 {
			withRows++
		}
	}
	return compared, withRows
}
