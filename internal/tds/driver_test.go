package tds_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/dag-exporter/dag_exporter/internal/tds"
)

var encryptions = []string{"disable", "false", "true", "strict"}

// everyWay runs a test with every encryption and with the two extreme packet sizes.
func everyWay(t *testing.T, f func(t *testing.T, b *bench, db *sql.DB)) {
	for _, encrypt := range encryptions {
		for _, size := range []string{"512", "32767"} {
			t.Run(encrypt+"/"+size, func(t *testing.T) {
				b := start(t, tds.Config{})
				f(t, b, b.open(t, encrypt, "packet size", size))
			})
		}
	}
}

func TestLogin(t *testing.T) {
	everyWay(t, func(t *testing.T, b *bench, db *sql.DB) {
		var n int
		if err := db.QueryRow("one").Scan(&n); err != nil || n != 1 {
			t.Fatalf("got %d, %v", n, err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.last.User != "sa" || b.last.AppName == "" || b.last.HostName == "" {
			t.Errorf("login %v", b.last)
		}
		if s := fmt.Sprintf("%v %+v", b.last, *b.last); strings.Contains(fmt.Sprint(b.last), password) {
			t.Errorf("the password shows in %s", s)
		}
	})
}

func TestLoginRefused(t *testing.T) {
	b := start(t, tds.Config{})
	for _, encrypt := range encryptions {
		for user, want := range map[string]struct {
			number   int32
			database string
			text     string
		}{
			"eve":   {18456, "", "Login failed for user 'eve'."},
			"sa":    {18456, "nowhere", "Cannot open database"},
			"panic": {596, "", "kill state"},
		} {
			t.Run(encrypt+"/"+user, func(t *testing.T) {
				db := b.open(t, encrypt, "database", want.database)
				if user != "sa" {
					dsn := strings.Replace(b.dsn(encrypt), "sa:", user+":", 1)
					var err error
					if db, err = sql.Open("sqlserver", dsn); err != nil {
						t.Fatal(err)
					}
					defer func() { _ = db.Close() }()
				}
				err := db.Ping()
				if err == nil || !strings.Contains(err.Error(), want.text) {
					t.Fatalf("got %v", err)
				}
				var e mssql.Error
				if errors.As(err, &e) && e.Number != want.number && e.All[len(e.All)-1].Number != want.number {
					t.Errorf("got number %d of %v", e.Number, e.All)
				}
			})
		}
	}
}

func TestForceEncryption(t *testing.T) {
	b := start(t, tds.Config{ForceEncryption: true})
	for _, encrypt := range encryptions {
		db := b.open(t, encrypt)
		err := db.Ping()
		if encrypt == "disable" {
			// go-mssqldb encrypts when told to, and then verifies.
			if err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("encrypt=disable: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("encrypt=%s: %v", encrypt, err)
			continue
		}
		conns := b.server.Connections()
		if c := conns[len(conns)-1]; !c.Encrypted || c.Strict != (encrypt == "strict") {
			t.Errorf("encrypt=%s: %+v", encrypt, c)
		}
	}
	c := b.dial(t) // LOGIN7 in the clear
	c.send(0x10, 1, login7(0x74000004, "sa", password, false))
	if m, err := c.message(); err == nil {
		t.Errorf("a login in the clear is answered: % x", m)
	}
}

func TestTypes(t *testing.T) {
	everyWay(t, func(t *testing.T, b *bench, db *sql.DB) {
		for _, form := range []string{"types", "fixed"} {
			rows, err := db.Query(form)
			if err != nil {
				t.Fatal(err)
			}
			cols, err := rows.Columns()
			if err != nil {
				t.Fatal(err)
			}
			count := 0
			for ; rows.Next(); count++ {
				got := make([]any, len(cols))
				into := make([]any, len(cols))
				for i := range got {
					into[i] = &got[i]
				}
				if err := rows.Scan(into...); err != nil {
					t.Fatal(err)
				}
				for i, c := range cols {
					want := wantedTypes[c]
					if count == 1 {
						want = "<nil>"
					}
					if s := show(c, got[i]); s != want {
						t.Errorf("%s %s: got %s, want %s", form, c, s, want)
					}
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if count != 2 && form == "types" || count != 1 && form == "fixed" || len(cols) != len(wantedTypes) {
				t.Fatalf("%d rows of %d columns", count, len(cols))
			}
			_ = rows.Close() // read to its end
		}
	})
}

var wantedTypes = map[string]string{
	"bit": "true", "tinyint": "255", "smallint": "-32768", "int": "-2147483648", "bigint": "-9223372036854775808",
	"lsn":           "9999999999000000155200001",
	"numeric":       "-12345678901234567890123456789012345.678",
	"small numeric": "-0.50",
	"guid":          guidText,
	"nvarchar":      "Größe 😀", "nvarchar(max)": "max", "empty": "", "nchar": "ab  ",
	"varchar": "€uro é", "varchar(max)": "m", "char": "ab  ",
	"varbinary": "\x01\x02", "varbinary(max)": "\x03", "binary": "\x04\x00\x00",
	"datetime":       "2024-02-29 23:59:58.123 +0000",
	"smalldatetime":  "2024-03-01 00:00:00 +0000",
	"datetime2":      "2024-02-29 23:59:58.1234567 +0000",
	"datetime2(0)":   "2024-02-29 23:59:58 +0000",
	"datetimeoffset": "2024-02-29 23:59:58.1234567 +0200",
	"date":           "2024-02-29 00:00:00 +0000",
	"time":           "0001-01-01 23:59:58.123 +0000",
	"float":          "1.5", "real": "0.25", "money": "-12345678901.2345", "smallmoney": "1.5000",
}

func show(column string, v any) string {
	switch v := v.(type) {
	case []byte:
		if column == "guid" {
			var g mssql.UniqueIdentifier
			if err := g.Scan(v); err != nil {
				return err.Error()
			}
			return g.String()
		}
		return string(v)
	case time.Time:
		if column == "datetime" { // the driver's own idea of 1/300 s
			v = v.Truncate(time.Millisecond)
		}
		return v.Format("2006-01-02 15:04:05.9999999 -0700")
	}
	return fmt.Sprint(v)
}

func TestParameters(t *testing.T) {
	everyWay(t, func(t *testing.T, b *bench, db *sql.DB) {
		long := strings.Repeat("ä", 20_000)
		var (
			i     int64
			s, l  string
			f     float64
			bt    bool
			bin   []byte
			null  sql.NullString
			at    time.Time
			vchar string
			small time.Time
		)
		at1 := time.Date(2025, 7, 1, 12, 30, 0, 123456700, time.FixedZone("", -3*3600))
		err := db.QueryRow("echo them", int64(-7), "Grüße", long, 2.5, true, []byte{1, 2, 3}, nil, at1,
			mssql.VarChar("plain"), mssql.DateTime1(someTime)).Scan(&i, &s, &l, &f, &bt, &bin, &null, &at, &vchar, &small)
		if err != nil {
			t.Fatal(err)
		}
		if b.server.Connections()[0].Strict {
			// The driver takes TDS 8.0 for older than 7.3 and sends a datetime.
			at1 = time.Date(2025, 7, 1, 12, 30, 0, 123_000_000, time.UTC)
		}
		if i != -7 || s != "Grüße" || l != long || f != 2.5 || !bt || string(bin) != "\x01\x02\x03" || null.Valid || !at.Equal(at1) || vchar != "plain" {
			t.Errorf("got %v %v %d %v %v %v %v %v %v", i, s, len(l), f, bt, bin, null, at, vchar)
		}
		if d := small.Sub(someTime).Abs(); d > 4*time.Millisecond {
			t.Errorf("datetime came back as %v", small)
		}
		var out string
		if _, err := db.Exec("out them", sql.Named("a", 1), sql.Named("o", sql.Out{Dest: &out, In: false})); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out, "out: ") {
			t.Errorf("the OUTPUT parameter is %q", out)
		}
	})
}

func TestResults(t *testing.T) {
	everyWay(t, func(t *testing.T, b *bench, db *sql.DB) {
		rows, err := db.Query("rows 10000")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; rows.Next(); n++ {
			var i int
			var s string
			if err := rows.Scan(&i, &s); err != nil || i != n || s != fmt.Sprint("row ", n) {
				t.Fatalf("row %d: %d %q %v", n, i, s, err)
			}
		}
		if rows.Err() != nil || n != 10000 {
			t.Fatalf("%d rows, %v", n, rows.Err())
		}

		rows, err = db.Query("sets")
		if err != nil {
			t.Fatal(err)
		}
		sets := 0
		for more := true; more; more = rows.NextResultSet() {
			for rows.Next() {
				var i int
				if err := rows.Scan(&i); err != nil || i != sets {
					t.Fatalf("set %d: %d %v", sets, i, err)
				}
				sets++
			}
		}
		if rows.Err() != nil || sets != 3 {
			t.Fatalf("%d sets, %v", sets, rows.Err())
		}
		_ = rows.Close() // read to its end

		r, err := db.Exec("effect")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := r.RowsAffected(); n != 1 || err != nil {
			t.Errorf("%d rows affected, %v", n, err)
		}

		var s string
		var bin []byte
		if err := db.QueryRow("long 200000").Scan(&s, &bin); err != nil || len(s) != 400_000 || len(bin) != 200_000 {
			t.Errorf("%d and %d bytes, %v", len(s), len(bin), err)
		}
		text := "length " + strings.Repeat("x", 40_000)
		if err := db.QueryRow(text).Scan(&n); err != nil || n != len(text) {
			t.Errorf("the server saw %d characters, %v", n, err)
		}
		if _, err := db.Exec("nothing"); err != nil {
			t.Error(err)
		}
	})
}

func TestErrors(t *testing.T) {
	everyWay(t, func(t *testing.T, b *bench, db *sql.DB) {
		db.SetMaxOpenConns(1)
		for _, params := range [][]any{nil, {1}} { // as a batch and as a call
			rows, err := db.Query("raise it", params...)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for rows.Next() {
				n++
			}
			for rows.NextResultSet() {
			}
			var e mssql.Error
			if !errors.As(rows.Err(), &e) || e.Number != 50000 || e.Class != 16 || e.State != 2 || e.LineNo != 3 || e.Message != "raised" || n != 3 {
				t.Errorf("%d rows, then %v", n, rows.Err())
			}
			_ = rows.Close() // its error was looked at

			_, err = db.Exec("frob it", params...)
			if !errors.As(err, &e) || e.Number != 102 {
				t.Errorf("got %v", err)
			}
		}
		if _, err := db.Exec("badrow"); err == nil || !strings.Contains(err.Error(), "256 does not fit tinyint") {
			t.Errorf("a value outside its type gives %v", err)
		}
		if n := b.sessions.Load(); n != 1 {
			t.Errorf("errors cost %d connections", n)
		}
		for _, word := range []string{"fatal .", "panic ."} {
			if _, err := db.Exec(word); err == nil {
				t.Errorf("%s is no error", word)
			}
			_ = db.Ping() // the driver may notice only now
			if _, err := db.Exec("nothing"); err != nil {
				t.Errorf("after %s: %v", word, err)
			}
		}
		if n := b.sessions.Load(); n != 3 {
			t.Errorf("%d connections; both words should end theirs", n)
		}
	})
}

func TestCancelAndReuse(t *testing.T) {
	everyWay(t, func(t *testing.T, b *bench, db *sql.DB) {
		db.SetMaxOpenConns(1)
		for _, word := range []string{"wait", "stream", "wait .", "stream ."} { // calls and batches
			ctx, cancel := context.WithCancel(context.Background())
			go func() {
				<-b.waiting
				cancel()
			}()
			rows, err := db.QueryContext(ctx, word)
			if err == nil {
				for rows.Next() {
				}
				err = rows.Err()
				_ = rows.Close() // cancelled
			}
			if err == nil {
				t.Errorf("%s: cancelled without an error", word)
			}
			if cause := <-b.causes; !errors.Is(cause, tds.ErrAttention) {
				t.Errorf("%s: the handler saw %v", word, cause)
			}
			cancel()
			if _, err := db.Exec("nothing"); err != nil {
				t.Errorf("after %s: %v", word, err)
			}
		}
		if n := b.sessions.Load(); n != 1 {
			t.Errorf("%d connections; a cancelled one should be used again", n)
		}
	})
}

func TestTransactionsAndReset(t *testing.T) {
	everyWay(t, func(t *testing.T, b *bench, db *sql.DB) {
		db.SetMaxOpenConns(1)
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("effect"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if tx, err = db.Begin(); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		want := []tds.TM{{Request: tds.TMBegin, Isolation: tds.Serializable}, {Request: tds.TMCommit},
			{Request: tds.TMBegin, Isolation: tds.ReadCommitted}, {Request: tds.TMRollback}}
		if len(b.tms) != len(want) {
			t.Fatalf("got %+v", b.tms)
		}
		for i, w := range want {
			g := b.tms[i]
			if g.Request != w.Request || g.BeginAgain || w.Request == tds.TMBegin && i == 0 && g.Isolation != w.Isolation {
				t.Errorf("request %d is %+v, want %+v", i, g, w)
			}
		}
		// The driver resets at the first request and at each return to the pool.
		if n := b.resets.Load(); n < 2 {
			t.Errorf("%d resets", n)
		}
	})
}

// TestMany has a few hundred clients at once, some of which cancel.
func TestMany(t *testing.T) {
	b := start(t, tds.Config{})
	db := b.open(t, "disable")
	db.SetMaxIdleConns(300)
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			c, err := db.Conn(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }() // at worst it is not pooled
			for range 3 {
				if i%3 == 0 {
					wctx, stop := context.WithCancel(ctx)
					time.AfterFunc(time.Duration(i)*time.Microsecond, stop)
					if _, err := c.ExecContext(wctx, "wait"); err == nil {
						t.Error("a wait ended by itself")
					}
					stop()
				}
				var n int
				if err := c.QueryRowContext(ctx, "one").Scan(&n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
