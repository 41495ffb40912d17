package tsql

import (
	"context"
	"strconv"
	"strings"
)

type sessionState struct {
	opts       setOptions
	tranCount  int
	tranName   string
	doomed     bool
	tempSave   map[string]tempState // temporary tables as they were when the transaction began
	savepoints map[string]map[string]tempState
	temps      map[string]*memTable
	nextTemp   int
	lastError  int32
	rowCount   int64
	identity   any
	tries      int      // TRY blocks around what runs now, over all levels
	caught     []*Error // the errors of the CATCH blocks around what runs now
	nest       int
	handles    map[int32]*prepared
	nextHandle int32
	cursors    map[string]*cursor // global ones
	// fetchStatus is @@FETCH_STATUS, cursorRows @@CURSOR_ROWS.
	fetchStatus, cursorRows int64
}

// setOptions are the SET options that this package acts on; a nested batch gets a copy and its changes end with it.
type setOptions struct {
	nocount, xactAbort, implicit, fmtOnly, noExec bool
	rowcount                                      int64
	lockTimeout                                   int64
	textsize                                      int64
	other                                         map[string]string
}

func defaultOptions() setOptions {
	return setOptions{lockTimeout: -1, textsize: 2147483647, other: map[string]string{}}
}

func (s *Session) init() {
	s.sessionState = sessionState{opts: defaultOptions(), temps: map[string]*memTable{}, handles: map[int32]*prepared{}, cursors: map[string]*cursor{}}
}

// variable is a scalar or a table variable.
type variable struct {
	typ   Type
	val   any
	table *memTable
}

// frame is one batch's variables.
type frame struct {
	names   collation // by which names compare
	vars    map[string]*variable
	cursors map[string]*cursor // local ones
	level   int
	tries   int // TRY blocks of this level around what runs now
}

func newFrame(level int, names collation) *frame {
	return &frame{names: names, vars: map[string]*variable{}, cursors: map[string]*cursor{}, level: level}
}

func (f *frame) lookup(name string) *variable { return f.vars[f.names.fold(name)] }

func (f *frame) declare(line int, name string, v *variable) {
	k := f.names.fold(name)
	if f.vars[k] != nil {
		failCompile(line, 134, 15, 2, "The variable name '%s' has already been declared. Variable names must be unique within a query batch or stored procedure.", name)
	}
	f.vars[k] = v
}

// sinkError wraps what a Sink returned, so that it is told apart from SQL errors.
type sinkError struct{ err error }

// fatal ends the session: an error of class 20 and above, already sent.
type fatal struct{ err *Error }

// guard runs f and turns the panics that end a whole request into its error.
func guard(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case sinkError:
			err = r.err
		case cancelled:
			err = r.err
		case fatal:
			err = r.err
		default:
			panic(r)
		}
	}()
	f()
	return nil
}

// Exec runs a batch. See the package comment for what it returns. A batch that ends with an uncommittable transaction rolls it back (3998).
func (s *Session) Exec(ctx context.Context, batch string, sink Sink) error {
	return guard(func() {
		x := &executor{s: s, ctx: ctx, sink: sink, f: newFrame(0, s.names)}
		s.tries, s.caught, s.nest = 0, nil, 0
		x.batch(batch)
		x.endOfBatch()
	})
}

// Call runs an RPC: sp_executesql, sp_prepare, sp_execute, sp_prepexec, sp_unprepare, sp_reset_connection (nothing here: call [Session.Reset]),
// or a procedure of the host. The name may have several parts and brackets.
func (s *Session) Call(ctx context.Context, name string, args []Param, sink Sink) (res CallResult, err error) {
	err = guard(func() {
		x := &executor{s: s, ctx: ctx, sink: sink, f: newFrame(0, s.names)}
		s.tries, s.caught, s.nest = 0, nil, 0
		list := make([]Arg, len(args))
		for i, a := range args {
			list[i] = Arg(a)
		}
		x.statement(base{1}, func() flow {
			path := newPath(name)
			return x.catchFlow(func() { res.Return = x.callProc(path, list) })
		})
		for i, a := range list {
			if args[i].Output {
				p := args[i]
				p.Value = a.Value
				p.Type = a.Type
				res.Outputs = append(res.Outputs, p)
			}
		}
		x.endOfBatch()
	})
	return res, err
}

func newPath(name string) (path []string) {
	defer func() {
		if r := recover(); r != nil {
			path = []string{name}
		}
	}()
	p := newParser(name, 200)
	path = p.path()
	p.expectEOF()
	return path
}

func (s *Session) tran(ctx context.Context, sink Sink, st *tranStmt) error {
	return guard(func() {
		x := &executor{s: s, ctx: ctx, sink: sink, f: newFrame(0, s.names)}
		x.statement(base{1}, func() flow { x.tran(st); return flow{} })
	})
}

// BeginTran, CommitTran, RollbackTran and SaveTran are the transaction-manager requests; they do what the statements do. An empty name is none.
func (s *Session) BeginTran(ctx context.Context, name string, sink Sink) error {
	return s.tran(ctx, sink, &tranStmt{verb: "BEGIN", name: name})
}

// CommitTran commits; see [Session.BeginTran].
func (s *Session) CommitTran(ctx context.Context, name string, sink Sink) error {
	return s.tran(ctx, sink, &tranStmt{verb: "COMMIT", name: name})
}

// RollbackTran rolls back everything, or to the savepoint of that name.
func (s *Session) RollbackTran(ctx context.Context, name string, sink Sink) error {
	return s.tran(ctx, sink, &tranStmt{verb: "ROLLBACK", name: name})
}

// SaveTran sets a savepoint.
func (s *Session) SaveTran(ctx context.Context, name string, sink Sink) error {
	return s.tran(ctx, sink, &tranStmt{verb: "SAVE", name: name})
}

// Reset is sp_reset_connection: rolls back unless keepTran, drops temporary tables and prepared statements, and takes the default SET options. The current
// database is the host's to reset.
func (s *Session) Reset(ctx context.Context, keepTran bool) {
	n, name, doomed := s.tranCount, s.tranName, s.doomed
	if !keepTran && n > 0 {
		s.host.Rollback(ctx)
		n, name, doomed = 0, "", false
	}
	s.init()
	s.tranCount, s.tranName, s.doomed = n, name, doomed
}

// Close ends the session: an open transaction is rolled back.
func (s *Session) Close(ctx context.Context) { s.Reset(ctx, false) }

// ForgetTran is for a host that ended the transaction itself, for example because the database lost its role.
func (s *Session) ForgetTran() { s.tranCount, s.tranName, s.doomed = 0, "", false }

// Bind resolves the arguments of a call against its parameters, in their order: by name, or by position, converted to the parameters' types. Errors
// are SQL Server's: 8144 too many, 8145 unknown, 201 missing, 8114 and its kin for values.
func (c *ProcCall) Bind(params ...ProcParam) ([]any, *Error) {
	out := make([]any, len(params))
	given := make([]bool, len(params))
	if len(c.Args) > len(params) {
		return nil, c.error(8144, 16, 2, "Procedure or function %s has too many arguments specified.", c.Name)
	}
	for i, a := range c.Args {
		k := i
		if a.Name != "" {
			k = -1
			for j, p := range params {
				if c.Session.EqualNames(p.Name, a.Name) {
					k = j
				}
			}
			if k < 0 {
				return nil, c.error(8145, 16, 1, "%s is not a parameter for procedure %s.", a.Name, c.Name)
			}
		}
		if given[k] {
			return nil, c.error(8143, 16, 1, "Parameter '%s' was supplied multiple times.", params[k].Name)
		}
		if a.Default {
			continue
		}
		v, err := Convert(a.Value, a.Type, params[k].Type)
		if err != nil {
			if err.Number != 8169 && err.Number != 241 {
				err = NewError(8114, 16, 5, "Error converting data type %s to %s.", a.Type.Kind, params[k].Type.Kind)
			}
			return nil, err
		}
		out[k], given[k] = v, true
	}
	for i, p := range params {
		if given[i] {
			continue
		}
		if !p.Optional {
			return nil, c.error(201, 16, 4, "Procedure or function '%s' expects parameter '%s', which was not supplied.", c.Name, p.Name)
		}
		out[i] = p.Def
	}
	return out, nil
}

func (c *ProcCall) error(number int32, class, state uint8, format string, args ...any) *Error {
	e := NewError(number, class, state, format, args...)
	e.Procedure = c.Name
	return e
}

// SetOutput gives an OUTPUT parameter its value, if the caller wants it: the argument of that name, or the one at that position.
func (c *ProcCall) SetOutput(name string, position int, t Type, v any) {
	for i := range c.Args {
		a := &c.Args[i]
		if a.Output && (c.Session.EqualNames(a.Name, name) || a.Name == "" && i == position) {
			a.Value, a.Type = v, t
		}
	}
}

// prepared is a statement behind a handle of sp_prepare.
type prepared struct{ params, text string }

// option acts on a SET option, or tells the host.
func (x *executor) option(name, value string) {
	s := x.s
	on := strings.EqualFold(value, "ON")
	num := func() int64 {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			fail(1060, 15, 1, "Incorrect value '%s' for SET %s.", value, name)
		}
		return n
	}
	s.opts.other[name] = value
	switch name {
	case "NOCOUNT":
		s.opts.nocount = on
	case "XACT_ABORT":
		s.opts.xactAbort = on
	case "IMPLICIT_TRANSACTIONS":
		s.opts.implicit = on
	case "FMTONLY":
		s.opts.fmtOnly = on
	case "NOEXEC", "PARSEONLY":
		s.opts.noExec = on
	case "ROWCOUNT":
		s.opts.rowcount = num()
	case "TEXTSIZE":
		s.opts.textsize = num()
	case "LOCK_TIMEOUT":
		s.opts.lockTimeout = num()
		check(s.host.SetOption(x.ctx, name, value))
	case "SHOWPLAN_ALL", "SHOWPLAN_TEXT", "SHOWPLAN_XML":
		if on {
			panic(NotImplemented("SET " + name))
		}
	case "DATEFORMAT":
		if !strings.EqualFold(value, "mdy") {
			panic(NotImplemented("SET DATEFORMAT " + value))
		}
	case "DATEFIRST":
		if value != "7" {
			panic(NotImplemented("SET DATEFIRST " + value))
		}
	case "CONCAT_NULL_YIELDS_NULL", "ANSI_NULLS", "QUOTED_IDENTIFIER":
		if !on && name != "QUOTED_IDENTIFIER" {
			panic(NotImplemented("SET " + name + " OFF"))
		}
	default:
		check(s.host.SetOption(x.ctx, name, value))
	}
}
