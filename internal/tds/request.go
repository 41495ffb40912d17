package tds

import "strings"

// ProcID names a procedure that clients call by number.
type ProcID uint16

// The procedures that clients of today call by number (MS-TDS 2.2.6.6).
const (
	ProcCursor          ProcID = 1
	ProcCursorOpen      ProcID = 2
	ProcCursorPrepare   ProcID = 3
	ProcCursorExecute   ProcID = 4
	ProcCursorPrepExec  ProcID = 5
	ProcCursorUnprepare ProcID = 6
	ProcCursorFetch     ProcID = 7
	ProcCursorOption    ProcID = 8
	ProcCursorClose     ProcID = 9
	ProcExecuteSQL      ProcID = 10
	ProcPrepare         ProcID = 11
	ProcExecute         ProcID = 12
	ProcPrepExec        ProcID = 13
	ProcPrepExecRPC     ProcID = 14
	ProcUnprepare       ProcID = 15
)

var procNames = [...]string{
	ProcCursor: "sp_cursor", ProcCursorOpen: "sp_cursoropen", ProcCursorPrepare: "sp_cursorprepare",
	ProcCursorExecute: "sp_cursorexecute", ProcCursorPrepExec: "sp_cursorprepexec",
	ProcCursorUnprepare: "sp_cursorunprepare", ProcCursorFetch: "sp_cursorfetch",
	ProcCursorOption: "sp_cursoroption", ProcCursorClose: "sp_cursorclose",
	ProcExecuteSQL: "sp_executesql", ProcPrepare: "sp_prepare", ProcExecute: "sp_execute",
	ProcPrepExec: "sp_prepexec", ProcPrepExecRPC: "sp_prepexecrpc", ProcUnprepare: "sp_unprepare",
}

// Call is one procedure call of an RPC message.
type Call struct {
	ProcID      ProcID // 0 when called by name
	ProcName    string // also filled in for the ids above; else as the client wrote it
	NoMetadata  bool   // the client does not want COLMETADATA again
	Recompile   bool
	Params      []Param
	NoExecution bool // separated by the "no execute" flag
}

// Param is one parameter of a Call.
type Param struct {
	Name    string // with its @; empty for a parameter by position
	Type    Type
	Value   any // as listed in the package's documentation; nil is NULL
	Output  bool
	Default bool // the procedure's default is asked for; Value is nil
}

// Statement returns the statement that sp_executesql, sp_prepare or sp_prepexec
// carries, and "" for any other call.
func (c Call) Statement() string {
	name := strings.ToLower(c.ProcName)
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	pos := -1
	switch name {
	case "sp_executesql":
		pos = 0
	case "sp_prepare", "sp_prepexec":
		pos = 2
	}
	for i, p := range c.Params {
		n := strings.ToLower(p.Name)
		if pos >= 0 && (n == "@stmt" || n == "@statement" || (n == "" && i == pos)) {
			s, _ := p.Value.(string)
			return s
		}
	}
	return ""
}

// TMRequest says what a transaction manager request asks for.
type TMRequest uint16

// The requests that a session sees; the distributed ones are refused below it.
const (
	TMBegin    TMRequest = 5
	TMCommit   TMRequest = 7
	TMRollback TMRequest = 8
	TMSave     TMRequest = 9
)

// String is the statement that means the same.
func (r TMRequest) String() string {
	switch r {
	case TMBegin:
		return "BEGIN TRANSACTION"
	case TMCommit:
		return "COMMIT TRANSACTION"
	case TMRollback:
		return "ROLLBACK TRANSACTION"
	case TMSave:
		return "SAVE TRANSACTION"
	}
	return "unknown transaction request"
}

// Isolation is a transaction's isolation level; 0 leaves it as it is.
type Isolation uint8

// The isolation levels of a transaction manager request.
const (
	IsolationUnchanged Isolation = iota
	ReadUncommitted
	ReadCommitted
	RepeatableRead
	Serializable
	Snapshot
)

// TM is a transaction manager request.
type TM struct {
	Request   TMRequest
	Isolation Isolation // of Begin
	Name      string    // of the transaction or savepoint; often empty

	// A commit or rollback may begin the next transaction at once; the answer
	// then tells of both.
	BeginAgain     bool
	BeginIsolation Isolation
	BeginName      string
}

// Login is what a LOGIN7 message says.
type Login struct {
	TDSVersion uint32 // as the client asked, 0x74000004 or 0x08000000
	PacketSize int    // after clamping to 512…32767
	HostName   string
	User       string
	Password   string // never logged
	AppName    string
	ServerName string
	Library    string
	Language   string
	Database   string // empty: the login's default
	ReadOnly   bool   // ApplicationIntent=ReadOnly
	Integrated bool   // Windows authentication; refused before the handler sees it
	Features   map[byte][]byte
}

// String leaves the password out, so that a Login can be logged.
func (l *Login) String() string {
	return "user=" + l.User + " host=" + l.HostName + " app=" + l.AppName + " database=" + l.Database
}
