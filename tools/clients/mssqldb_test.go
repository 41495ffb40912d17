//go:build accept

package clients

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/dag-exporter/dag_exporter/tools/internal/labproc"
)

// guideRows is guide's script by go-mssqldb on both sides, a row's columns
// joined by |: what every client must see. The LSNs are checked against what
// the logs were placed at.
func guideRows(t *testing.T, l *labproc.Lab) (sides [2][]string) {
	t.Helper()
	for i, addr := range []string{l.Source, l.Target} {
		db := open(t, l.DSN(addr, "master", "encrypt=true&trustservercertificate=true"))
		sides[i] = goGuide(t, db)
		if want := []int{4, 2}[i]; len(sides[i]) != want { // own rows, and on the global primary the link's
			t.Fatalf("guide's script gives %d rows, want %d", len(sides[i]), want)
		}
		for _, row := range sides[i] {
			lsn := row[strings.LastIndex(row, "|")+1:]
			if len(lsn) != 25 || !strings.HasPrefix(lsn, "42949672950000100") || !strings.HasSuffix(lsn, "00001") {
				t.Errorf("the log was placed at VLF 4294967295, block 100000, and the LSN is %s", lsn)
			}
		}
	}
	return sides
}

func goGuide(t *testing.T, db *sql.DB) (lines []string) {
	t.Helper()
	for _, r := range query(t, db, guideScript) {
		var parts []string
		for _, v := range r {
			switch v := v.(type) {
			case nil:
				parts = append(parts, "NULL")
			case []byte:
				if len(v) == 16 {
					var id mssql.UniqueIdentifier
					if err := id.Scan(v); err != nil {
						t.Fatal(err)
					}
					parts = append(parts, id.String())
					continue
				}
				parts = append(parts, string(v))
			default:
				parts = append(parts, fmt.Sprint(v))
			}
		}
		lines = append(lines, strings.Join(parts, "|"))
	}
	return lines
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // nothing is lost with it
	return db
}

// querier is a *sql.DB, a *sql.Conn or a *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func rowsOf(rows *sql.Rows) (all [][]any, err error) {
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
		all = append(all, row)
	}
	return all, rows.Err()
}

func tryQuery(ctx context.Context, q querier, text string, args ...any) ([][]any, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return rowsOf(rows)
}

func query(t *testing.T, q querier, text string, args ...any) [][]any {
	t.Helper()
	all, err := tryQuery(t.Context(), q, text, args...)
	if err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return all
}

func one(t *testing.T, q querier, text string, args ...any) any {
	t.Helper()
	return query(t, q, text, args...)[0][0]
}

func do(t *testing.T, q querier, text string, args ...any) int64 {
	t.Helper()
	r, err := q.ExecContext(t.Context(), text, args...)
	if err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %.300s, want %.300s", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

func sqlError(t *testing.T, err error, number int32, text string) mssql.Error {
	t.Helper()
	e, ok := errors.AsType[mssql.Error](err)
	if !ok || e.Number != number || !strings.Contains(e.Message, text) {
		t.Errorf("error %v, want %d %s", err, number, text)
	}
	return e
}

func fails(t *testing.T, err error, number int32, text string) {
	t.Helper()
	_ = sqlError(t, err, number, text) // its number and text were the question
}

// drain reads all result sets and returns the error that ends them.
func drain(ctx context.Context, q querier, text string, args ...any) error {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for {
		if _, err := rowsOf(rows); err != nil {
			return err
		}
		if !rows.NextResultSet() {
			return rows.Err()
		}
	}
}

func TestGoMSSQLDB(t *testing.T) {
	l := theLab(t)
	for _, encrypt := range []string{"disable", "false", "true", "strict"} {
		t.Run(encrypt, func(t *testing.T) {
			// Only strict insists on a certificate that it was told to trust.
			more := "encrypt=" + encrypt + "&certificate=" + url.QueryEscape(l.PEM) + "&hostNameInCertificate=localhost"
			goCases(t, l, guideRows(t, l), more)
		})
	}
	t.Run("strict refuses a certificate that it does not know", func(t *testing.T) {
		db := open(t, l.DSN(l.Source, "master", "encrypt=strict"))
		if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v", err)
		}
	})
}

func goCases(t *testing.T, l *labproc.Lab, guide [2][]string, more string) {
	master := open(t, l.DSN(l.Source, "master", more))
	db001 := open(t, l.DSN(l.Source, "db001", more))
	target := open(t, l.DSN(l.Target, "master", more))
	nextBase += 1000
	base := nextBase
	all := map[string]func(t *testing.T){
		"login": func(t *testing.T) {
			equal(t, "login", query(t, master, "SELECT SUSER_SNAME(), DB_NAME(), @@SERVERNAME"), [][]any{{"sa", "master", "N1"}})
			equal(t, "database", one(t, db001, "SELECT DB_NAME()"), "db001")
		},
		"wrong-password": func(t *testing.T) {
			wrong := open(t, strings.Replace(l.DSN(l.Source, "master", more), labproc.Password, "wrong", 1))
			e := sqlError(t, wrong.PingContext(t.Context()), 18456, "Login failed for user 'sa'.")
			equal(t, "class", e.Class, uint8(14))
		},
		"unknown-database": func(t *testing.T) {
			err := open(t, l.DSN(l.Source, "nosuch", more)).PingContext(t.Context())
			e, ok := errors.AsType[mssql.Error](err)
			if !ok || len(e.All) != 2 || e.All[0].Number != 4060 || e.All[1].Number != 18456 {
				t.Errorf("%v", err)
			}
		},
		"guide": func(t *testing.T) {
			same(t, "source", goGuide(t, master), guide[0])
			same(t, "target", goGuide(t, target), guide[1])
		},
		"parameters": func(t *testing.T) {
			moment := time.Date(2026, 11, 24, 16, 5, 7, 123456700, time.FixedZone("", 2*3600))
			if strings.Contains(more, "strict") { // TDS 8.0 is a smaller number than 7.3, so the driver sends datetime
				moment = time.Date(2026, 11, 24, 16, 5, 7, 123*1e6, time.UTC)
			}
			for _, v := range []any{int64(7), int64(math.MinInt64), "Größe 😀", strings.Repeat("é", 50000), 1.5, true, []byte{0, 1, 255}, bytes.Repeat([]byte{7}, 50000), nil} {
				equal(t, fmt.Sprintf("parameter %.30v", v), one(t, master, "SELECT @p1", v), v)
			}
			if got := one(t, master, "SELECT @p1", moment); !got.(time.Time).Equal(moment) {
				t.Errorf("%v, want %v", got, moment)
			}
			equal(t, "varchar", one(t, master, "SELECT @p1", mssql.VarChar("euro")), "euro")
			equal(t, "named", one(t, master, "SELECT COUNT(*) FROM sys.databases WHERE name = @a OR name = @b", sql.Named("a", "db001"), sql.Named("b", "DB002")), int64(2))
			equal(t, "LSN as text", one(t, master, "SELECT CASE WHEN CAST(9999999999000000155200001 AS numeric(25,0)) = CAST(@p1 AS numeric(25,0)) THEN 1 ELSE 0 END", "9999999999000000155200001"), int64(1))
			var out int64
			do(t, master, "sp_executesql", sql.Named("stmt", "SET @o = @i * 2"), sql.Named("params", "@i int, @o bigint OUTPUT"), sql.Named("i", 21), sql.Named("o", sql.Out{Dest: &out}))
			equal(t, "OUTPUT", out, int64(42))
		},
		"prepare": func(t *testing.T) { // its Prepare is the client's own; each execution is an sp_executesql
			s, err := master.PrepareContext(t.Context(), "SELECT @p1 + 1")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for i := range int64(5) {
				var got int64
				if err := s.QueryRowContext(t.Context(), i).Scan(&got); err != nil || got != i+1 {
					t.Fatalf("%d, %v", got, err)
				}
			}
			var handle int64 // the server's own, by name
			do(t, master, "sp_prepare", sql.Named("handle", sql.Out{Dest: &handle}), sql.Named("params", "@a int"), sql.Named("stmt", "SELECT @a"))
			if handle == 0 {
				t.Error("sp_prepare gave no handle")
			}
		},
		"result-sets": func(t *testing.T) {
			rows, err := master.QueryContext(t.Context(), "SELECT 1 AS a; SELECT N'zwei' AS b, 2 AS c UNION ALL SELECT N'drei', 3; PRINT N'text'; SELECT NULL AS d WHERE 1 = 0")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for i, want := range [][][]any{{{int64(1)}}, {{"zwei", int64(2)}, {"drei", int64(3)}}, nil} {
				got, err := rowsOf(rows)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, fmt.Sprint("set ", i), got, want)
				if more := rows.NextResultSet(); more != (i < 2) {
					t.Fatalf("after set %d another one: %v", i, more)
				}
			}
		},
		"error-after-rows": func(t *testing.T) {
			rows, err := master.QueryContext(t.Context(), "SELECT 1 AS a;\nRAISERROR(N'raised é', 16, 3)")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			got, err := rowsOf(rows)
			equal(t, "rows", got, [][]any{{int64(1)}})
			if err == nil {
				rows.NextResultSet()
				err = rows.Err()
			}
			e := sqlError(t, err, 50000, "raised é")
			equal(t, "class, state, line", []any{e.Class, e.State, e.LineNo}, []any{uint8(16), uint8(3), int32(2)})
			_, err = tryQuery(t.Context(), master, "SELECT 1 / 0")
			fails(t, err, 8134, "Divide by zero error encountered.")
			_, err = tryQuery(t.Context(), master, "SELECT nosuch FROM sys.databases")
			fails(t, err, 207, "Invalid column name 'nosuch'.")
		},
		"rows-10000": func(t *testing.T) { go10000(t, master) },
		"cancel": func(t *testing.T) {
			c, err := master.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			spid := one(t, c, "SELECT @@SPID")
			for _, args := range [][]any{nil, {1}} { // a batch, an RPC
				for _, text := range []string{"WAITFOR DELAY '00:05:00'", "SELECT 1 AS a; WAITFOR DELAY '00:05:00'; SELECT 2"} {
					ctx, cancel := context.WithCancel(t.Context()) // a deadline would mark the connection as bad
					time.AfterFunc(300*time.Millisecond, cancel)
					err := drain(ctx, c, text, args...)
					if err == nil || !errors.Is(err, context.Canceled) {
						t.Errorf("%s: %v", text, err)
					}
					cancel()
					equal(t, "the connection after a cancel", one(t, c, "SELECT @@SPID"), spid)
				}
			}
			go10000(t, c)
		},
		"transactions": func(t *testing.T) {
			const insert = "INSERT INTO dbo.ledger (id, note) VALUES (@p1, N'tx')"
			ledger := func(q querier) (ids []int64) {
				for _, r := range query(t, q, "SELECT id FROM dbo.ledger WHERE id BETWEEN @p1 AND @p2 ORDER BY id", base+100, base+199) {
					ids = append(ids, r[0].(int64)-base)
				}
				return ids
			}
			for i, isolation := range []sql.IsolationLevel{sql.LevelDefault, sql.LevelReadCommitted, sql.LevelSerializable} {
				n := int64(100 + 10*i)
				before := ledger(db001)
				tx, err := db001.BeginTx(t.Context(), &sql.TxOptions{Isolation: isolation})
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "rows inserted", do(t, tx, insert, base+n), int64(1))
				equal(t, "its own row", ledger(tx), append(before, n))
				equal(t, "rows not committed", ledger(db001), before)
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				equal(t, "rows committed", ledger(db001), append(before, n))
				if tx, err = db001.BeginTx(t.Context(), &sql.TxOptions{Isolation: isolation}); err != nil {
					t.Fatal(err)
				}
				do(t, tx, insert, base+n+1)
				if err := tx.Rollback(); err != nil {
					t.Fatal(err)
				}
				equal(t, "rows rolled back", ledger(db001), append(before, n))
			}
			_, err := target.ExecContext(t.Context(), "INSERT INTO db001.dbo.ledger (id) VALUES (1)")
			fails(t, err, 3906, "read-only")
		},
		"reset": func(t *testing.T) {
			pool := open(t, l.DSN(l.Source, "master", more))
			pool.SetMaxOpenConns(1)
			spid := one(t, pool, "SELECT @@SPID")
			// One batch each: every request of the pool begins with a reset.
			do(t, pool, fmt.Sprintf("USE db002; CREATE TABLE #t (a int); BEGIN TRANSACTION; INSERT INTO db002.dbo.ledger (id) VALUES (%d)", base+300))
			equal(t, "after the pool's reset", query(t, pool, "SELECT DB_NAME(), OBJECT_ID('tempdb..#t'), @@TRANCOUNT, @@SPID"), [][]any{{"master", nil, int64(0), spid}})
			equal(t, "rows of the lost transaction", one(t, pool, "SELECT COUNT(*) FROM db002.dbo.ledger WHERE id = @p1", base+300), int64(0))
		},
		"packet-512":   func(t *testing.T) { goPacket(t, open(t, l.DSN(l.Source, "master", more+"&packet+size=512"))) },
		"packet-32767": func(t *testing.T) { goPacket(t, open(t, l.DSN(l.Source, "master", more+"&packet+size=32767"))) },
		"nulls": func(t *testing.T) {
			var casts []string
			for _, typ := range sqlTypes {
				casts = append(casts, "CAST(NULL AS "+typ+")")
			}
			row := make([]any, len(casts))
			equal(t, "NULLs", query(t, master, "SELECT "+strings.Join(casts, ", ")+" UNION ALL SELECT "+strings.Join(casts, ", ")), [][]any{row, row})
		},
		"types": func(t *testing.T) {
			day := time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)
			for text, want := range map[string]any{
				"CAST(1 AS bit)": true, "CAST(255 AS tinyint)": int64(255), "CAST(-32768 AS smallint)": int64(-32768), "CAST(-2147483648 AS int)": int64(math.MinInt32),
				"CAST(-9223372036854775808 AS bigint)": int64(math.MinInt64), "CAST(1.5 AS float)": 1.5, "CAST(-0.25 AS real)": -0.25,
				"CAST(9999999999000000155200001 AS numeric(25,0))":                 []byte("9999999999000000155200001"),
				"CAST(-1234567890123456789012345678901234.5678 AS numeric(38,4))":  []byte("-1234567890123456789012345678901234.5678"),
				"CAST(-12.3456 AS money)":                                          []byte("-12.3456"),
				"CAST('01234567-89ab-cdef-0123-456789abcdef' AS uniqueidentifier)": []byte{0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xef, 0xcd, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
				"CAST('2024-02-29T23:59:59.1234567' AS datetime2(7))":              day.Add(123456700), "CAST('2024-02-29' AS date)": day.Truncate(24 * time.Hour),
				"CAST('1753-01-01' AS datetime)": time.Date(1753, 1, 1, 0, 0, 0, 0, time.UTC), "CAST('2024-02-29 12:30' AS smalldatetime)": time.Date(2024, 2, 29, 12, 30, 0, 0, time.UTC),
				"CAST('ab' AS char(5))": "ab   ", "CAST('€uro é' AS varchar(30))": "€uro é", "CAST(N'Größe 😀' AS nvarchar(60))": "Größe 😀", "N''": "",
				"REPLICATE(CAST(N'é' AS nvarchar(max)), 20000)": strings.Repeat("é", 20000), "REPLICATE(CAST('x' AS varchar(max)), 20000)": strings.Repeat("x", 20000),
				"CAST(0x0001ff AS varbinary(85))": []byte{0, 1, 255}, "CAST(0x0102 AS binary(4))": []byte{1, 2, 0, 0}, "CAST(0x AS varbinary(85))": []byte{},
			} {
				got := one(t, master, "SELECT "+text)
				if g, ok := got.(time.Time); ok {
					got = g.UTC()
				}
				equal(t, text, got, want)
			}
			offset := one(t, master, "SELECT CAST('2024-02-29T23:59:59.1234567+05:30' AS datetimeoffset(7))").(time.Time)
			equal(t, "datetimeoffset", offset.Format(time.RFC3339Nano), "2024-02-29T23:59:59.1234567+05:30")
		},
	}
	for _, c := range cases {
		run := all[c]
		if why, ok := cannot["go-mssqldb"][c]; ok != (run == nil) {
			t.Errorf("%s: listed as impossible: %v (%s); and yet done: %v", c, ok, why, run != nil)
		}
		if run != nil {
			t.Run(c, run)
		}
	}
}

func go10000(t *testing.T, q querier) {
	t.Helper()
	got := query(t, q, rows10000)
	if len(got) != 10000 {
		t.Fatalf("%d rows", len(got))
	}
	for i, r := range got {
		if r[0] != int64(i) || r[1] != fmt.Sprintf("row é %d", i) {
			t.Fatalf("row %d is %v", i, r)
		}
	}
}

func goPacket(t *testing.T, db *sql.DB) {
	go10000(t, db)
	text := strings.Repeat("é", 40000)
	equal(t, "a long batch", one(t, db, "SELECT LEN(N'"+text+"')"), int64(40000))
	equal(t, "a long parameter", one(t, db, "SELECT @p1", text), text)
}
