package tds_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/microsoft/go-mssqldb"
	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/internal/tds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "Lab-Passw0rd"

// toy is a handler with a few words instead of a language.
type toy struct {
	effects  atomic.Int64 // of "effect"
	resets   atomic.Int64
	closed   atomic.Int64
	sessions atomic.Int64
	causes   chan error // why a "wait" ended
	waiting  chan tds.ConnInfo

	mu   sync.Mutex
	last *tds.Login
	tms  []tds.TM
}

func newToy() *toy {
	return &toy{causes: make(chan error, 1000), waiting: make(chan tds.ConnInfo, 1000)}
}

func (h *toy) Login(_ context.Context, l *tds.Login, c tds.ConnInfo) (tds.Session, *tds.Error) {
	h.mu.Lock()
	h.last = l
	h.mu.Unlock()
	failed := &tds.Error{Number: 18456, Class: 14, State: 1, Line: 1, Message: "Login failed for user '" + l.User + "'."}
	switch {
	case l.User == "panic":
		panic("toy login")
	case l.User != "sa" || l.Password != password:
		return nil, failed
	case l.Database != "" && l.Database != "master" && l.Database != "db001":
		return nil, &tds.Error{Number: 4060, Class: 11, State: 1, Line: 1,
			Message: "Cannot open database \"" + l.Database + "\" requested by the login. The login failed.", Next: failed}
	}
	h.sessions.Add(1)
	return &toySession{h: h, info: c}, nil
}

type toySession struct {
	h    *toy
	info tds.ConnInfo
	tran uint64
	busy atomic.Int32
}

var toyTran atomic.Uint64

func (s *toySession) enter() func() {
	if s.busy.Add(1) != 1 {
		panic("two requests of one session at a time")
	}
	return func() { s.busy.Add(-1) }
}

func (s *toySession) Reset(keep bool) {
	defer s.enter()()
	s.h.resets.Add(1)
	if !keep {
		s.tran = 0
	}
}

func (s *toySession) Close() {
	defer s.enter()()
	s.h.closed.Add(1)
}

func (s *toySession) Transaction(_ context.Context, w *tds.Response, t tds.TM) error {
	defer s.enter()()
	s.h.mu.Lock()
	s.h.tms = append(s.h.tms, t)
	s.h.mu.Unlock()
	var err error
	begin := func() error {
		s.tran = toyTran.Add(1)
		return w.EnvBegin(s.tran)
	}
	switch t.Request {
	case tds.TMBegin:
		err = begin()
	case tds.TMCommit:
		err = w.EnvCommit(s.tran)
	case tds.TMRollback:
		err = w.EnvRollback(s.tran)
	}
	if t.Request == tds.TMCommit || t.Request == tds.TMRollback {
		s.tran = 0
		if err == nil && t.BeginAgain {
			err = begin()
		}
	}
	return err
}

func (s *toySession) Batch(ctx context.Context, w *tds.Response, text string) error {
	defer s.enter()()
	return s.statement(ctx, w, strings.TrimSpace(text), w.Done)
}

func (s *toySession) RPC(ctx context.Context, w *tds.Response, calls []tds.Call) error {
	defer s.enter()()
	for _, c := range calls {
		var err error
		switch {
		case c.Statement() == "echo them":
			err = echo(w, c.Params[2:])
		case c.Statement() == "out them":
			for i, p := range c.Params[2:] {
				if p.Output {
					err = w.ReturnValue(i, p.Name, tds.NVarChar(100), "out: "+fmt.Sprint(p.Value))
				}
			}
		case c.Statement() != "":
			err = s.statement(ctx, w, c.Statement(), w.DoneInProc)
		default: // go-mssqldb takes a lone word for a procedure
			err = s.statement(ctx, w, c.ProcName, w.DoneInProc)
		}
		if err != nil {
			return err
		}
		if err := w.ReturnStatus(0); err != nil {
			return err
		}
		if err := w.DoneProc(); err != nil {
			return err
		}
	}
	return nil
}

// echo returns the parameters as one row.
func echo(w *tds.Response, params []tds.Param) error {
	var cols []tds.Column
	var row []any
	for _, p := range params {
		if p.Type.ID == tds.TypeNull { // an untyped NULL has no column type
			p.Type = tds.NVarChar(1)
		}
		cols = append(cols, tds.Column{Name: strings.TrimPrefix(p.Name, "@"), Type: p.Type, Nullable: true})
		row = append(row, p.Value)
	}
	if err := w.Columns(cols); err != nil {
		return err
	}
	if err := w.Row(row); err != nil {
		return err
	}
	return w.DoneInProc(tds.CmdSelect, 1)
}

func (s *toySession) statement(ctx context.Context, w *tds.Response, text string, done func(tds.Command, int64) error) error {
	word, arg, _ := strings.Cut(text, " ")
	n, _ := strconv.Atoi(arg)
	ints := []tds.Column{{Name: "n", Type: tds.Int()}}
	switch word {
	case "one", "select": // the driver's ping is "select 1"
		if err := w.Columns(ints); err != nil {
			return err
		}
		if err := w.Row([]any{int64(1)}); err != nil {
			return err
		}
		return done(tds.CmdSelect, 1)
	case "rows":
		if err := w.Columns([]tds.Column{{Name: "n", Type: tds.Int()}, {Name: "s", Type: tds.NVarChar(100), Nullable: true}}); err != nil {
			return err
		}
		for i := range n {
			if err := w.Row([]any{int64(i), "row " + strconv.Itoa(i)}); err != nil {
				return err
			}
		}
		return done(tds.CmdSelect, int64(n))
	case "sets":
		for i := range 3 {
			if err := w.Columns(ints); err != nil {
				return err
			}
			if err := w.Row([]any{int64(i)}); err != nil {
				return err
			}
			if err := done(tds.CmdSelect, 1); err != nil {
				return err
			}
			if err := done(tds.CmdInsert, 7); err != nil {
				return err
			}
		}
		return nil
	case "lsns": // what also TDS 7.2 knows
		if err := w.Columns([]tds.Column{{Name: "lsn", Type: tds.Numeric(25, 0), Nullable: true}, {Name: "g", Type: tds.UniqueIdentifier(), Nullable: true}, {Name: "s", Type: tds.NVarChar(60), Nullable: true}}); err != nil {
			return err
		}
		for _, row := range [][]any{{lsn, guid, "Größe"}, {nil, nil, nil}} {
			if err := w.Row(row); err != nil {
				return err
			}
		}
		return done(tds.CmdSelect, 2)
	case "types", "fixed":
		cols, row := allTypes()
		for i := range cols {
			cols[i].Nullable = word == "types"
		}
		if err := w.Columns(cols); err != nil {
			return err
		}
		if err := w.Row(row); err != nil {
			return err
		}
		if word == "types" {
			if err := w.Row(make([]any, len(cols))); err != nil {
				return err
			}
		}
		return done(tds.CmdSelect, tds.NoCount)
	case "wait":
		s.h.waiting <- s.info
		<-ctx.Done()
		s.h.causes <- context.Cause(ctx)
		return ctx.Err()
	case "stream": // rows until cancelled
		if err := w.Columns(ints); err != nil {
			return err
		}
		for i := int64(0); ; i++ {
			if err := w.Row([]any{i}); err != nil {
				s.h.causes <- err
				return err
			}
			if i == 5 {
				if err := w.Flush(); err != nil {
					return err
				}
				s.h.waiting <- s.info
			}
		}
	case "raise": // rows, then an error
		if err := s.statement(ctx, w, "rows 3", done); err != nil {
			return err
		}
		return &tds.Error{Number: 50000, Class: 16, State: 2, Line: 3, Message: "raised"}
	case "fatal":
		return &tds.Error{Number: 983, Class: 21, State: 1, Line: 1, Message: "unable to access"}
	case "print":
		if err := w.Info(&tds.Error{Message: arg}); err != nil {
			return err
		}
		return nil
	case "effect":
		s.h.effects.Add(1)
		return done(tds.CmdInsert, 1)
	case "faulty": // an effect whose answer is lost
		w.Fault(tds.Fault{DropAnswer: true, Reset: arg == "reset", Hang: arg == "hang"})
		s.h.effects.Add(1)
		return done(tds.CmdInsert, 1)
	case "long":
		if err := w.Columns([]tds.Column{{Name: "s", Type: tds.NVarCharMax()}, {Name: "b", Type: tds.VarBinaryMax()}}); err != nil {
			return err
		}
		if err := w.Row([]any{strings.Repeat("ü", n), make([]byte, n)}); err != nil {
			return err
		}
		return done(tds.CmdSelect, 1)
	case "length":
		if err := w.Columns(ints); err != nil {
			return err
		}
		if err := w.Row([]any{int64(len(text))}); err != nil {
			return err
		}
		return done(tds.CmdSelect, 1)
	case "badrow":
		if err := w.Columns([]tds.Column{{Name: "n", Type: tds.TinyInt()}}); err != nil {
			return err
		}
		return w.Row([]any{int64(256)})
	case "panic":
		panic("toy")
	case "nothing":
		return nil
	}
	return &tds.Error{Number: 102, Class: 15, State: 1, Line: 1, Message: "Incorrect syntax near '" + word + "'."}
}

var (
	lsn, _    = tds.NewDecimal("9999999999000000155200001")
	neg, _    = tds.NewDecimal("-12345678901234567890123456789012345.678")
	someTime  = time.Date(2024, 2, 29, 23, 59, 58, 123456700, time.UTC)
	guid      = tds.GUID{0x6F, 0x96, 0x19, 0xFF, 0x8B, 0x86, 0xD0, 0x11, 0xB4, 0x2D, 0x00, 0xC0, 0x4F, 0xC9, 0x64, 0xFF}
	guidText  = "6F9619FF-8B86-D011-B42D-00C04FC964FF"
	zonedTime = time.Date(2024, 2, 29, 23, 59, 58, 123456700, time.FixedZone("", 2*3600))
)

// allTypes is one column of every type with a value.
func allTypes() ([]tds.Column, []any) {
	var cols []tds.Column
	var row []any
	add := func(name string, t tds.Type, v any) {
		cols = append(cols, tds.Column{Name: name, Type: t})
		row = append(row, v)
	}
	add("bit", tds.Bit(), true)
	add("tinyint", tds.TinyInt(), int64(255))
	add("smallint", tds.SmallInt(), int64(-32768))
	add("int", tds.Int(), int64(-2147483648))
	add("bigint", tds.BigInt(), int64(-9223372036854775808))
	add("lsn", tds.Numeric(25, 0), lsn)
	add("numeric", tds.Numeric(38, 3), neg)
	add("small numeric", tds.Numeric(5, 2), tds.Decimal{Unscaled: big.NewInt(-5), Scale: 1})
	add("guid", tds.UniqueIdentifier(), guid)
	add("nvarchar", tds.NVarChar(60), "Größe 😀")
	add("nvarchar(max)", tds.NVarCharMax(), "max")
	add("empty", tds.NVarCharMax(), "")
	add("nchar", tds.NChar(4), "ab")
	add("varchar", tds.VarChar(128), "€uro é")
	add("varchar(max)", tds.VarCharMax(), "m")
	add("char", tds.Char(4), "ab")
	add("varbinary", tds.VarBinary(85), []byte{1, 2})
	add("varbinary(max)", tds.VarBinaryMax(), []byte{3})
	add("binary", tds.Binary(3), []byte{4})
	add("datetime", tds.DateTime(), someTime)
	add("smalldatetime", tds.SmallDateTime(), someTime)
	add("datetime2", tds.DateTime2(7), someTime)
	add("datetime2(0)", tds.DateTime2(0), someTime)
	add("datetimeoffset", tds.DateTimeOffset(7), zonedTime)
	add("date", tds.Date(), someTime)
	add("time", tds.Time(3), someTime)
	add("float", tds.Float(), 1.5)
	add("real", tds.Real(), 0.25)
	add("money", tds.Money(), tds.Decimal{Unscaled: big.NewInt(-123456789012345), Scale: 4})
	add("smallmoney", tds.SmallMoney(), tds.Decimal{Unscaled: big.NewInt(15), Scale: 1})
	return cols, row
}

// certificate is made once; a key takes a moment.
var certificate = sync.OnceValues(func() (tls.Certificate, []byte) {
	cert, pem, err := tds.SelfSigned("lab.example")
	if err != nil {
		panic(err)
	}
	return cert, pem
})

type bench struct {
	*toy
	server *tds.Server
	addr   string
	pem    string // path
}

// start serves a toy on loopback until the test ends.
func start(t testing.TB, cfg tds.Config) *bench {
	t.Helper()
	cert, pem := certificate()
	cfg.Certificate = cert
	b := &bench{toy: newToy(), pem: filepath.Join(t.TempDir(), "server.pem")}
	if err := os.WriteFile(b.pem, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.server, err = tds.NewServer(b.toy, cfg); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		if err := b.server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if s, c := b.sessions.Load(), b.closed.Load(); s != c {
			t.Errorf("%d sessions were opened and %d closed", s, c)
		}
	})
	return b
}

// dsn for an encrypt= value and further options in pairs.
func (b *bench) dsn(encrypt string, options ...string) string {
	q := url.Values{"encrypt": {encrypt}}
	switch encrypt {
	case "strict":
		q.Set("certificate", b.pem)
		q.Set("hostNameInCertificate", "localhost")
	case "false", "true":
		q.Set("trustservercertificate", "true")
	}
	for i := 0; i < len(options); i += 2 {
		q.Set(options[i], options[i+1])
	}
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("sa", password), Host: b.addr, RawQuery: q.Encode()}
	return u.String()
}

// open a pool that ends with the test, before the server does.
func (b *bench) open(t testing.TB, encrypt string, options ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlserver", b.dsn(encrypt, options...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
