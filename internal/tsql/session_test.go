package tsql

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestCall(t *testing.T) {
	ctx := context.Background()
	s := NewSession(newFake(), Options{})
	nv := func(v string) Param { return Param{Type: NVarChar(4000), Value: v} }
	var out textSink
	res, err := s.Call(ctx, "sp_executesql", []Param{nv("SELECT @p1 AS a, @p2 AS b; SET @p2 = 7"), nv("@p1 nvarchar(10), @p2 int OUTPUT"), {Name: "@p2", Type: BigInt, Value: int64(5), Output: true}, {Name: "@p1", Type: NVarChar(1), Value: nil}}, &out)
	if err != nil || len(res.Outputs) != 1 || res.Outputs[0].Value != int64(7) || res.Outputs[0].Type != Int {
		t.Fatal(err, res)
	}
	if got := out.String(); got != "a nvarchar(10) | b int\nNULL | 5\n(1 rows)\n" {
		t.Fatal(got)
	}

	h := Param{Type: Int, Output: true}
	res, err = s.Call(ctx, "[sys].[sp_prepare]", []Param{h, nv("@a int"), nv("SELECT @a * 2 AS twice")}, &out)
	if err != nil || len(res.Outputs) != 1 {
		t.Fatal(err, res)
	}
	handle := Param{Type: Int, Value: res.Outputs[0].Value}
	out = textSink{}
	if _, err = s.Call(ctx, "sp_execute", []Param{handle, {Type: Int, Value: int64(21)}}, &out); err != nil || !strings.Contains(out.String(), "42") {
		t.Fatal(err, out.String())
	}
	out = textSink{}
	if _, err = s.Call(ctx, "sp_unprepare", []Param{handle}, &out); err != nil || len(out.errs) > 0 {
		t.Fatal(err, out.String())
	}
	if _, err = s.Call(ctx, "sp_execute", []Param{handle}, &out); err != nil || len(out.errs) != 1 || out.errs[0].Number != 8179 {
		t.Fatal(err, out.String())
	}
	out = textSink{}
	res, err = s.Call(ctx, "sp_prepexec", []Param{h, nv(""), nv("SELECT 1 AS one")}, &out)
	if err != nil || len(out.rows) != 1 || res.Outputs[0].Value == nil {
		t.Fatal(err, out.String())
	}
	out = textSink{}
	if res, err = s.Call(ctx, "sp_out", []Param{{Type: Int, Value: int64(4)}, {Name: "@out", Type: Int, Output: true}}, &out); err != nil || res.Return != 7 || res.Outputs[0].Value != int64(8) {
		t.Fatal(err, res, out.String())
	}
	out = textSink{}
	if _, err = s.Call(ctx, "nonsuch", nil, &out); err != nil || out.errs[0].Number != 2812 {
		t.Fatal(err, out.String())
	}
	// 8178 names the parameter; the statement's own mistake is the caller's.
	out = textSink{}
	if _, err = s.Call(ctx, "sp_executesql", []Param{nv("SELECT @a"), nv("@a int")}, &out); err != nil || out.errs[0].Number != 8178 {
		t.Fatal(err, out.String())
	}
}

func TestTransactionRequests(t *testing.T) {
	ctx := context.Background()
	h := newFake()
	s := NewSession(h, Options{})
	var out textSink
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(s.Exec(ctx, "CREATE TABLE #t (a int); INSERT #t VALUES (1)", &out))
	do(s.BeginTran(ctx, "", &out))
	do(s.Exec(ctx, "INSERT #t VALUES (2); CREATE TABLE #gone (a int)", &out))
	do(s.SaveTran(ctx, "sp", &out))
	do(s.Exec(ctx, "DELETE #t", &out))
	do(s.RollbackTran(ctx, "sp", &out))
	out = textSink{}
	do(s.Exec(ctx, "SELECT COUNT(*) FROM #t", &out))
	if out.rows[0][0] != int64(2) || s.TranCount() != 1 {
		t.Fatal(out.String())
	}
	do(s.RollbackTran(ctx, "", &out))
	out = textSink{}
	do(s.Exec(ctx, "SELECT COUNT(*), OBJECT_ID('tempdb..#gone') FROM #t", &out))
	if out.rows[0][0] != int64(1) || out.rows[0][1] != nil || s.TranCount() != 0 {
		t.Fatal(out.String())
	}
	do(s.BeginTran(ctx, "", &out))
	s.Reset(ctx, false)
	out = textSink{}
	do(s.Exec(ctx, "SELECT @@TRANCOUNT, OBJECT_ID('tempdb..#t')", &out))
	if out.rows[0][0] != int64(0) || out.rows[0][1] != nil {
		t.Fatal(out.String())
	}
	if got := strings.Join(h.log, ";"); got != "begin;save sp;rollback to sp;rollback;begin;rollback" {
		t.Fatal(got)
	}
}

// TestLimits: nothing hangs, panics or eats the machine.
func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		sql    string
		number int32
	}{
		"cross join":      {"SELECT COUNT(*) FROM sys.numbers(100000) a, sys.numbers(100000) b", ErrTooManyRows},
		"deep expression": {"SELECT " + strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500), 191},
		"deep condition":  {"SELECT 1 WHERE " + strings.Repeat("(", 500) + "1=1" + strings.Repeat(")", 500), 191},
		"deep blocks":     {strings.Repeat("BEGIN ", 500) + "PRINT 1" + strings.Repeat(" END", 500), 191},
		"deep not":        {"SELECT 1 WHERE " + strings.Repeat("NOT ", 5000) + "1=1", 191},
		"deep unary":      {"SELECT " + strings.Repeat("- ", 5000) + "1", 191},
		"long sum":        {"SELECT " + strings.Repeat("1+", 20000) + "1", 8631},
		"nesting":         {"DECLARE @s nvarchar(max) = N'SELECT 1'; DECLARE @i int = 0; WHILE @i < 40 BEGIN SET @s = N'EXEC(N''' + REPLACE(@s, '''', '''''') + ''')'; SET @i += 1; IF LEN(@s) > 100000 BREAK END; EXEC sp_executesql N'EXEC sp_executesql @s, N''@s nvarchar(max)'', @s', N'@s nvarchar(max)', N'x'", 0},
		"string growth":   {"DECLARE @s varchar(max) = REPLICATE(CAST('x' AS varchar(max)), 1000000); WHILE 1=1 SET @s += @s", ErrTooManyRows},
		"case in parens":  {"SELECT 1 WHERE " + strings.Repeat("(CASE WHEN ", 60) + "1=1" + strings.Repeat(" THEN 1 END) = 1", 60), 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSession(newFake(), Options{MaxRows: 2_000_000})
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			var out textSink
			err := s.Exec(ctx, c.sql, &stopAfter{textSink: &out, n: 1})
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if c.number != 0 && (len(out.errs) == 0 || out.errs[0].Number != c.number) {
				t.Fatal(utf16Cut(out.String(), 300), err)
			}
		})
	}
}

// stopAfter ends the execution at the n-th error.
type stopAfter struct {
	*textSink
	n int
}

var errStop = errors.New("enough")

func (s *stopAfter) Error(e *Error) error {
	_ = s.textSink.Error(e)
	if s.n--; s.n <= 0 {
		return errStop
	}
	return nil
}

func TestCancel(t *testing.T) {
	for _, sql := range []string{"WHILE 1=1 PRINT 'x'", "WHILE 1=1 SET NOCOUNT ON", "SELECT COUNT(*) FROM sys.numbers(100000) a, sys.numbers(100000) b", "WAITFOR DELAY '01:00'",
		"WHILE 1=1 BEGIN TRY SELECT 1/0 END TRY BEGIN CATCH END CATCH PRINT ''", "WHILE 1=1 BEGIN TRY THROW 50000,'x',1 END TRY BEGIN CATCH PRINT 'c' END CATCH"} {
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("attention")
		h := &cancelHost{fakeHost: newFake()}
		h.onNow = func() { h.calls++; h.cancelAfter(func() { cancel(why) }) }
		s := NewSession(h, Options{MaxRows: 1 << 40})
		if strings.Contains(sql, "COUNT") {
			go func() { time.Sleep(20 * time.Millisecond); cancel(why) }()
		}
		var out textSink
		err := s.Exec(ctx, sql, &out)
		if !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", sql, err)
		}
		cancel(nil)
		out = textSink{}
		if err := s.Exec(context.Background(), "SELECT 1 AS alive", &out); err != nil || len(out.rows) != 1 {
			t.Fatal(err, out.String())
		}
	}
}

type cancelHost struct {
	*fakeHost
	calls int
	onNow func()
}

func (h *cancelHost) cancelAfter(f func()) {
	if h.calls > 50 {
		f()
	}
}

func (h *cancelHost) Now() time.Time {
	if h.onNow != nil {
		h.onNow()
	}
	return h.fakeHost.Now()
}

func (h *cancelHost) Sleep(ctx context.Context, _ time.Duration) error {
	h.calls = 1000
	h.onNow()
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestFatal: an error of class 20 and above is sent and ends Exec with it.
func TestFatal(t *testing.T) {
	h := newFake()
	h.foreign = func(string) *Error { return NewError(983, 20, 1, "role changed") }
	s := NewSession(h, Options{})
	var out textSink
	err := s.Exec(context.Background(), "BEGIN TRY KILL 5 END TRY BEGIN CATCH PRINT 'no' END CATCH", &out)
	var e *Error
	if !errors.As(err, &e) || e.Number != 983 || len(out.errs) != 1 {
		t.Fatal(err, out.String())
	}
}

func TestOneScanPerStatement(t *testing.T) {
	h := newFake()
	s := NewSession(h, Options{})
	var out textSink
	if err := s.Exec(context.Background(), "SELECT (SELECT COUNT(*) FROM sys.databases) + (SELECT COUNT(*) FROM sys.databases b) FROM sys.databases c", &out); err != nil {
		t.Fatal(err)
	}
	if n := h.tables["sys.databases"].(*fakeTable).scans; n != 1 {
		t.Fatalf("%d scans", n)
	}
}

func TestDateTimeRounding(t *testing.T) {
	for in, want := range map[string]string{"00:00:00.000": "000", "00:00:00.001": "000", "00:00:00.002": "003", "00:00:00.004": "003", "00:00:00.005": "007", "00:00:00.006": "007", "00:00:00.008": "007", "00:00:00.009": "010"} {
		v, err := Convert("2026-01-01 "+in, VarChar(30), DateTime)
		if err != nil {
			t.Fatal(err)
		}
		if got := fracText(v.(time.Time), DateTime); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
