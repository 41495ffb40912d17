// Package views shows a model.Snapshot as SQL Server's catalog and dynamic management views: columns, order and types per
// major version as recorded or documented, rows as seen by one login on one instance.
package views

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// Access says what a login needs to see a view.
type Access int

// The kinds. Without ServerState a DMV is refused (300 and 297); without Definition a catalog view's rows are silently missing.
const (
	Public Access = iota
	ServerState
	Definition
)

// Column is a view's column and the major versions that have it.
type Column struct {
	tsql.Column
	From, To int // 0: no bound
}

// Principal is a login or role as sys.server_principals shows it.
type Principal struct {
	ID       int
	Name     string
	Role     bool
	Sysadmin bool
	Grants   []string // server permissions
	Alter    []string // availability groups with ALTER
}

// Env is what a view is computed from.
type Env struct {
	Snap       *model.Snapshot
	Principals []Principal
	Database   string // current database: extended properties and the like are per database
	Port       int    // TDS port
	CertExpiry time.Time
	SPID       int
	SPIDOnly   bool // without VIEW SERVER STATE one sees only one's own session
}

// View is one view.
type View struct {
	Name    string // with its schema: sys.databases
	Access  Access
	Columns []Column
	From    int // major version that introduced it
	// Rows may be nil. The rows of the databases follow them, if the view has such, and then tail's.
	Rows func(e *Env) [][]any
	each *each
	tail func(e *Env) [][]any
}

// Hidden is the view for a login to which its rows are silently missing.
func (v *View) Hidden() *View {
	h := *v
	h.Rows, h.each, h.tail = none, nil, nil
	return &h
}

// Table projects a view to a version. env is asked when the table is scanned, so that every table of a statement can be given
// the same moment.
func (v *View) Table(major int, env func() *Env) tsql.Table {
	t := &table{view: v, env: env, major: major}
	for i, c := range v.Columns {
		if c.From <= major && (c.To == 0 || major <= c.To) {
			t.index = append(t.index, i)
			t.columns = append(t.columns, c.Column)
		}
	}
	return t
}

// Set holds every view by its lower-case name.
type Set map[string]*View

// Find looks a path up: view, sys.view or database.sys.view, with or without case. The schema must be written.
func (s Set) Find(path []string, major int) *View {
	n := len(path)
	if n < 2 {
		return nil
	}
	v := s[strings.ToLower(path[n-2]+"."+path[n-1])]
	if v == nil || v.From > major {
		return nil
	}
	return v
}

// New builds the set.
func New() Set {
	s := Set{}
	for _, list := range [][]*View{hadrViews(), databaseViews(), sessionViews(), serverViews()} {
		for _, v := range list {
			if !strings.HasPrefix(v.Name, "sys.dm_") {
				v.fix()
			}
			s[strings.ToLower(v.Name)] = v
		}
	}
	return s
}

// fixed is the collation of words that SQL Server itself chose, whatever the server's is: 'online' finds them on a case-sensitive server too, and with a
// name they make a text without a collation (451). Reported for the _desc columns of catalog views. Nothing is known of those of DMVs: they have the side's
// collation, so that a script that joins one to a name, as many do, runs.
const fixed = "Latin1_General_CI_AS_KS_WS"

func (v *View) fix() {
	for i, c := range v.Columns {
		if strings.HasSuffix(c.Name, "_desc") {
			v.Columns[i].Collation = fixed
		}
	}
}

// columns reads "name type [from-to]" lines. A type ending in ! is not nullable.
func columns(spec string) []Column {
	var out []Column
	for _, line := range strings.Split(strings.TrimSpace(spec), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			panic("views: bad column " + line)
		}
		c := Column{Column: tsql.Column{Name: f[0], Nullable: !strings.HasSuffix(f[1], "!")}}
		c.Type = typ(strings.TrimSuffix(f[1], "!"))
		if len(f) > 2 {
			from, to, _ := strings.Cut(f[2], "-")
			c.From, _ = strconv.Atoi(from)
			c.To, _ = strconv.Atoi(to)
		}
		out = append(out, c)
	}
	return out
}

func typ(s string) tsql.Type {
	name, arg, _ := strings.Cut(strings.TrimSuffix(s, ")"), "(")
	n, _ := strconv.Atoi(arg)
	if arg == "max" {
		n = tsql.MaxLen
	}
	switch name {
	case "bit":
		return tsql.Bit
	case "tinyint":
		return tsql.TinyInt
	case "smallint":
		return tsql.SmallInt
	case "int":
		return tsql.Int
	case "bigint":
		return tsql.BigInt
	case "real":
		return tsql.Real
	case "float":
		return tsql.Float
	case "uniqueidentifier":
		return tsql.UniqueIdentifier
	case "datetime":
		return tsql.DateTime
	case "sysname":
		return tsql.Sysname
	case "nvarchar":
		return tsql.NVarChar(n)
	case "varchar":
		return tsql.VarChar(n)
	case "nchar":
		return tsql.NChar(n)
	case "char":
		return tsql.Char(n)
	case "varbinary":
		return tsql.VarBinary(n)
	case "lsn":
		return tsql.Numeric(25, 0)
	}
	panic("views: unknown type " + s)
}

// Small converters, so that rows read like rows.
func i64[T ~int | ~int64 | ~int32 | ~uint32 | ~uint16](v T) any { return int64(v) }

func lsn(l model.LSN) any { return tsql.Decimal{V: l.Big()} }

func guid(g model.GUID) any {
	if g.IsZero() {
		return nil
	}
	return tsql.GUID(g)
}

// at is a datetime; the zero time is NULL.
func at(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	y, mo, d := t.Date()
	h, mi, s := t.Clock()
	return time.Date(y, mo, d, h, mi, s, t.Nanosecond(), time.UTC)
}

func when[T any](cond bool, v T) any {
	if !cond {
		return nil
	}
	return any(v)
}

func pick(cond bool, a, b string) string {
	if cond {
		return a
	}
	return b
}

func padded(s string, n int) string {
	if len(s) >= n {
		return s[:n]
	}
	return s + strings.Repeat(" ", n-len(s))
}

func sid(b [16]byte) any { return append([]byte(nil), b[:]...) }

// check: a view whose columns and values differ must not go unnoticed.
func (v *View) check(r []any) []any {
	if len(r) != len(v.Columns) {
		panic(fmt.Sprintf("views: %s has %d columns and a row of %d", v.Name, len(v.Columns), len(r)))
	}
	return r
}
