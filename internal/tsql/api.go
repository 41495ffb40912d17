// Package tsql runs T-SQL batches over a host's tables: a lexer, a parser and an evaluator with T-SQL's own types, conversions, three-valued
// logic, collation and error numbers. It knows nothing of availability groups and nothing of the wire; what it does not implement is error 50900,
// which names the construct, never a wrong row.
//
// How a host uses it. One [Session] belongs to one connection and is used by one goroutine at a time; one [Host] value stands behind it and speaks
// for that connection (its login, its database, its locks). Embed [BaseHost] and override what is there:
//
//	type host struct{ tsql.BaseHost; … }
//	func (h *host) Table(ctx context.Context, path []string) (tsql.Table, *tsql.Error) { … }
//
//	s := tsql.NewSession(h, tsql.Options{Server: "ONPREM1"})
//	err := s.Exec(ctx, "SELECT name FROM sys.databases", sink)                       // a batch
//	res, err := s.Call(ctx, "sp_executesql", []tsql.Param{{Value: stmt, Type: …}, …}, sink) // an RPC, also sp_prepare, sp_execute, sp_prepexec, sp_unprepare
//	err = s.BeginTran(ctx, "", sink)                                                 // a transaction-manager request
//	s.Reset(ctx, false)                                                             // RESETCONNECTION
//	s.Close(ctx)
//
// Errors of SQL are streamed to the [Sink] as they happen, and Exec goes on as SQL Server would. Exec itself returns an error only if the answer cannot be
// completed: ctx's error after a cancel, the sink's own error, or an [*Error] of class 20 and above, after which the connection must be closed (it was
// sent to the sink already).
//
// Values are plain Go: nil (NULL), bool (bit), int64 (tinyint…bigint), float64 (real, float), [Decimal] (numeric, money), string (all character types),
// []byte (binary, varbinary), [GUID] (uniqueidentifier) and time.Time (UTC for date, time, datetime, datetime2; with its own zone for
// datetimeoffset; a `time` lies on 1900-01-01). A value given by a host must be of the Go type that its Column.Type says.
package tsql

import (
	"context"
	"time"
)

// Column describes one column of a table or of a result set. An unnamed result column has an empty Name.
type Column struct {
	Name     string
	Type     Type
	Nullable bool
	// Collation is a text column's own, "" the session's. One that [CheckCollation] does not know is an error when the column is used.
	Collation string
	// Identity columns may not be named in an INSERT; the host assigns them.
	Identity bool
	// HasDefault tells INSERT that leaving this column out is not NULL: the row holds [Default] there, and the host puts its default.
	HasDefault bool
}

// Default stands in a row given to [Writable.Insert] for "the column's own default, or its identity": the statement did not name the column, or said DEFAULT.
type Default struct{}

// Table is one table or view. A statement resolves each table once, however often it is named there, and scans it at most once, so that one Scan
// is one moment.
type Table interface {
	// Columns is constant for the life of the value.
	Columns() []Column
	// Scan yields every row, in Columns' order, until yield returns false. Rows are kept and must not be changed afterwards. The error ends the statement.
	Scan(ctx context.Context, yield func(row []any) bool) *Error
}

// Writable is a Table that takes DML. Each call is one statement: all of it happens or, with an error, nothing. Outside a transaction it is
// committed at once.
type Writable interface {
	Table
	// Insert stores rows and returns them as they were stored (defaults and identities filled in), in the same order.
	Insert(ctx context.Context, rows [][]any) (stored [][]any, err *Error)
	// Update replaces old[i], a row that Scan yielded, by new[i].
	Update(ctx context.Context, old, new [][]any) *Error
	// Delete removes rows that Scan yielded.
	Delete(ctx context.Context, rows [][]any) *Error
}

// Function is a scalar function of the host, resolved for given argument types at compile time.
type Function struct {
	Result Type
	// Call gets one value per argument, nil for NULL. An error ends the statement.
	Call func(ctx context.Context, args []any) (any, *Error)
}

// TableFunction is a table-valued function, usable in FROM and APPLY.
type TableFunction struct {
	Columns []Column
	Call    func(ctx context.Context, args []any) ([][]any, *Error)
}

// Procedure runs a stored procedure of the host. The int32 is its return value. It reads arguments from c, sets OUTPUT parameters there, and may send
// result sets (Columns, Row…, Done), Info and Error to c.Sink. A returned error is sent by the session.
type Procedure func(ctx context.Context, c *ProcCall) (int32, *Error)

// ProcCall is one call of a [Procedure].
type ProcCall struct {
	Session *Session
	// Name is as the caller wrote it, its parts joined by dots.
	Name string
	Args []Arg
	Sink Sink
}

// Arg is an evaluated argument. Name is "" for a positional one, else as written, with its @.
type Arg struct {
	Name    string
	Type    Type
	Value   any
	Output  bool // the caller wrote OUTPUT: what the procedure leaves in Value goes back into the variable
	Default bool // the caller wrote DEFAULT
}

// ProcParam declares one parameter of a host procedure for [ProcCall.Bind].
type ProcParam struct {
	Name     string // with its @
	Type     Type
	Optional bool // may be left out, then Def
	Def      any
}

// Host is what stands behind one session. Paths are as written, without brackets, one to four parts, empty parts kept ("db..t" is db, "", t).
type Host interface {
	// Table finds a table or view; nil, nil means there is none (208, or 50900 where SQL Server has one of that name). Names starting with # never come here.
	Table(ctx context.Context, path []string) (Table, *Error)
	// Function finds a scalar function that this package does not have itself; nil, nil means there is none (195, or 4121 for several parts; 50900 as above).
	// path[0] of a one-part name is as written; compare without case. An error (174 and the like) ends the compilation.
	Function(ctx context.Context, path []string, args []Type) (*Function, *Error)
	// TableFunction finds a table-valued function; nil, nil means there is none (208 or 50900).
	TableFunction(ctx context.Context, path []string, args []Type) (*TableFunction, *Error)
	// Global gives @@NAME (name without the @@, upper case) where the session does not know it itself; ok false is error 137.
	Global(ctx context.Context, name string) (t Type, v any, ok bool)
	// Procedure finds a stored procedure; nil means there is none (2812). sp_executesql and the sp_prepare family never come here.
	Procedure(ctx context.Context, path []string) Procedure
	// ObjectID gives OBJECT_ID of a permanent object, nil if there is none.
	ObjectID(ctx context.Context, path []string, typ string) any

	// Begin, Commit, Rollback and Save follow the outermost transaction (@@TRANCOUNT 0→1, 1→0, anything→0); nested ones never reach the host.
	Begin(ctx context.Context) *Error
	Commit(ctx context.Context) *Error
	Rollback(ctx context.Context)
	Save(ctx context.Context, name string) *Error
	RollbackTo(ctx context.Context, name string) *Error

	// Use changes the current database and returns its name as the server spells it, or 911/916 and the like.
	Use(ctx context.Context, database string) (string, *Error)
	// Database is the current database's name.
	Database() string
	// SetOption is told of every SET option that this package does not act on itself (name upper case, value as written); nil means taken.
	SetOption(ctx context.Context, name, value string) *Error

	// Foreign runs a statement of a kind that is not this package's business, verbatim and without its closing semicolon: ALTER/CREATE/DROP
	// AVAILABILITY GROUP, ALTER/CREATE/DROP DATABASE, LOGIN, ENDPOINT, CERTIFICATE …, GRANT, DENY, REVOKE, KILL, SHUTDOWN, BACKUP, RESTORE, CHECKPOINT,
	// DBCC, ALTER SERVER …, RECONFIGURE. Results, if any, go to sink.
	// What it does not know should be [NotImplemented].
	Foreign(ctx context.Context, text string, sink Sink) *Error

	// Now is the server's clock in its local time, with a meaningful zone offset. Sleep waits for d or until ctx ends, whose error it returns.
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// DoneInfo closes one statement's part of an answer.
type DoneInfo struct {
	Kind     DoneKind
	Count    int64 // rows returned or changed
	HasCount bool  // false for statements without a count and under SET NOCOUNT ON
	Failed   bool  // an Error went before it
	InTran   bool  // @@TRANCOUNT > 0 now
}

// DoneKind says which statement a Done closes.
type DoneKind uint8

// The kinds that clients tell apart.
const (
	DoneOther DoneKind = iota
	DoneSelect
	DoneInsert
	DoneUpdate
	DoneDelete
	DoneBegin
	DoneCommit
	DoneRollback
	DoneExec
)

// EnvKind is the kind of an [EnvChange].
type EnvKind uint8

// Changes of the session's environment that a client must hear of, in their place in the stream.
const (
	EnvDatabase EnvKind = iota + 1 // Old, New are names
	EnvBegin                       // the outermost transaction has begun …
	EnvCommit                      // … is committed
	EnvRollback                    // … is rolled back
)

// EnvChange tells of a changed database or of a transaction's begin or end.
type EnvChange struct {
	Kind     EnvKind
	Old, New string
}

// Sink takes the answer as it is made. An error from any method ends the execution and comes back from Exec.
type Sink interface {
	// Columns begins a result set; Row adds to it (the slice is not kept or changed afterwards by the session); Done ends it.
	Columns(cols []Column) error
	Row(row []any) error
	Done(d DoneInfo) error
	// Info is PRINT (number 0, class 0), RAISERROR up to class 10, "Changed database context", warnings.
	Info(e *Error) error
	Error(e *Error) error
	Env(e EnvChange) error
}

// Options of a session. The zero value is usable.
type Options struct {
	// MaxRows bounds the work of one statement in rows touched, intermediate ones included: beyond it error 50901. 0 means 20 million.
	MaxRows int64
	// MaxDepth bounds the nesting of expressions and blocks in text (error 191), 0 means 200; nested EXEC is bounded at 32 as in SQL Server (217).
	MaxDepth int
	// Collation is that of the instance and of its databases: of literals, variables, and columns without their own, and of names. "" is
	// [DefaultCollation]. With one that [CheckCollation] refuses, the session answers every batch with that error.
	Collation string
	// Acquire, if not nil, is called before the evaluation of a statement and its result after it, so that a host bounds how many are evaluated at
	// once. It is released while the statement waits (WAITFOR) or runs elsewhere (Foreign, procedures).
	Acquire func(ctx context.Context) (release func(), err error)
}

// Param is a parameter of an RPC. Name is "" for a positional one, else with its @. Output asks for the value back.
type Param struct {
	Name   string
	Type   Type
	Value  any
	Output bool
	// Default asks for the parameter's default (no value was sent).
	Default bool
}

// CallResult is what an RPC gives back beside its stream.
type CallResult struct {
	Return int32
	// Outputs holds the parameters that were Output, in the caller's order, with their new values.
	Outputs []Param
}

// Session is one connection's state: variables live in a batch, temporary tables, SET options, prepared statements, the transaction and the current
// database live here.
type Session struct {
	host Host
	opt  Options
	// own is the session's collation, refused why there is none, names the rules by which names compare; collations are those met so far.
	own        *collationInfo
	refused    *Error
	names      collation
	collations map[string]*collationInfo
	sessionState
}

// NewSession makes a session in the host's current database, outside a transaction.
func NewSession(h Host, opt Options) *Session {
	if opt.MaxRows == 0 {
		opt.MaxRows = 20_000_000
	}
	if opt.MaxDepth == 0 {
		opt.MaxDepth = 200
	}
	if opt.Collation == "" {
		opt.Collation = DefaultCollation
	}
	s := &Session{host: h, opt: opt, own: findCollation(opt.Collation), refused: CheckCollation(opt.Collation)}
	if s.refused != nil {
		s.own = findCollation(DefaultCollation)
	}
	s.names = s.own.rules & collKind
	s.init()
	return s
}

// TranCount is @@TRANCOUNT.
func (s *Session) TranCount() int { return s.tranCount }

// Host is the host that the session was made with.
func (s *Session) Host() Host { return s.host }
