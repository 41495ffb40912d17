package tsql

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"
)

// fakeHost is a small catalog, shaped like the views of an availability group, for tests.
type fakeHost struct {
	BaseHost
	db      string
	now     time.Time
	tables  map[string]Table
	log     []string
	foreign func(text string) *Error
	slept   []time.Duration
}

type fakeTable struct {
	cols  []Column
	rows  [][]any
	scans int
}

func (t *fakeTable) Columns() []Column { return t.cols }
func (t *fakeTable) Scan(_ context.Context, yield func([]any) bool) *Error {
	t.scans++
	for _, r := range t.rows {
		if !yield(r) {
			break
		}
	}
	return nil
}

func mustGUID(s string) GUID {
	g, ok := ParseGUID(s)
	if !ok {
		panic(s)
	}
	return g
}

var (
	agOnPrem = mustGUID("11111111-0000-0000-0000-00000000000a")
	agDAG    = mustGUID("22222222-0000-0000-0000-00000000000b")
	replica1 = mustGUID("aaaaaaaa-0000-0000-0000-000000000001")
	replica2 = mustGUID("bbbbbbbb-0000-0000-0000-000000000002")
)

// lsnBase is a value that overflows int64, as real LSNs do.
const lsnBase = "9999999999000000155200001"

func counter(name, instance string, v int64) []any {
	pad := func(s string) string { return padText(s, NChar(128)) }
	return []any{pad("SQLServer:Database Replica"), pad(name), pad(instance), v}
}

func newFake() *fakeHost {
	col := func(n string, t Type) Column { return Column{Name: n, Type: t, Nullable: true} }
	lsn := Numeric(25, 0)
	day := time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC)
	h := &fakeHost{db: "master", now: time.Date(2026, 11, 24, 18, 30, 15, 123456700, time.FixedZone("", 2*3600))}
	ledger := &memTable{name: "ledger", seed: 1, inc: 1, next: 1,
		cols:     []Column{{Name: "id", Type: BigInt, Identity: true}, {Name: "note", Type: NVarChar(20), Nullable: true}, {Name: "amount", Type: Numeric(9, 2)}},
		defaults: make([]valueFn, 3)}
	h.tables = map[string]Table{
		"sys.availability_groups": &fakeTable{cols: []Column{{Name: "group_id", Type: UniqueIdentifier}, col("name", Sysname), col("is_distributed", Bit)},
			rows: [][]any{{agOnPrem, "OnPremAG", false}, {agDAG, "DAG", true}}},
		"sys.dm_hadr_database_replica_states": &fakeTable{
			cols: []Column{{Name: "database_id", Type: Int}, {Name: "group_id", Type: UniqueIdentifier}, {Name: "replica_id", Type: UniqueIdentifier},
				{Name: "is_local", Type: Bit}, col("synchronization_state_desc", NVarChar(60)), col("last_hardened_lsn", lsn), col("end_of_log_lsn", lsn),
				col("log_send_queue_size", BigInt), col("last_commit_time", DateTime)},
			rows: [][]any{
				{int64(5), agOnPrem, replica1, true, "SYNCHRONIZED", NewDecimal(lsnBase), NewDecimal("9999999999000000155100001"), nil, day},
				{int64(6), agOnPrem, replica1, true, "SYNCHRONIZED", NewDecimal("42000000155200001"), NewDecimal("42000000155100001"), nil, day.Add(3 * time.Second)},
				{int64(5), agDAG, replica2, false, "SYNCHRONIZING", NewDecimal("9999999999000000155000001"), nil, int64(120), day.Add(-time.Second)},
			}},
		"sys.databases": &fakeTable{cols: []Column{{Name: "name", Type: Sysname}, {Name: "database_id", Type: Int}, col("state_desc", NVarChar(60)), col("replica_id", UniqueIdentifier)},
			rows: [][]any{{"master", int64(1), "ONLINE", nil}, {"Sales", int64(5), "ONLINE", replica1}, {"HR", int64(6), "ONLINE", replica1}, {"scratch", int64(7), "OFFLINE", nil}}},
		"sys.availability_replicas": &fakeTable{cols: []Column{{Name: "replica_id", Type: UniqueIdentifier}, {Name: "group_id", Type: UniqueIdentifier}, col("replica_server_name", NVarChar(256))},
			rows: [][]any{{replica1, agOnPrem, "ONPREM1"}, {replica2, agDAG, "AzureAG"}}},
		"sys.dm_hadr_availability_replica_states": &fakeTable{cols: []Column{{Name: "replica_id", Type: UniqueIdentifier}, {Name: "group_id", Type: UniqueIdentifier}, {Name: "is_local", Type: Bit}, col("role_desc", NVarChar(60))},
			rows: [][]any{{replica1, agOnPrem, true, "PRIMARY"}, {replica2, agDAG, false, "SECONDARY"}}},
		"sys.dm_os_performance_counters": &fakeTable{cols: []Column{{Name: "object_name", Type: NChar(128)}, {Name: "counter_name", Type: NChar(128)}, col("instance_name", NChar(128)), {Name: "cntr_value", Type: BigInt}},
			rows: [][]any{counter("Log Send Queue", "Sales", 120), counter("Recovery Queue", "Sales", 7), counter("Log Send Queue", "_Total", 120)}},
		"dbo.ledger": ledger,
	}
	return h
}

func (h *fakeHost) Table(_ context.Context, path []string) (Table, *Error) {
	p := path
	if len(p) == 3 {
		if p[1] == "" {
			p = []string{p[0], "dbo", p[2]}
		}
		p = p[1:]
	}
	if len(p) == 1 {
		p = []string{"dbo", p[0]}
	}
	name := strings.ToLower(strings.Join(p, "."))
	if name == "sys.dm_secret" {
		e := NewError(300, 14, 1, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.")
		e.Then = NewError(297, 16, 1, "The user does not have permission to perform this action.")
		return nil, e
	}
	if t, ok := h.tables[name]; ok {
		return t, nil
	}
	return nil, nil
}

func (h *fakeHost) dbName(id any) any {
	for _, r := range h.tables["sys.databases"].(*fakeTable).rows {
		if r[1] == id {
			return r[0]
		}
	}
	return nil
}

func (h *fakeHost) Function(_ context.Context, path []string, args []Type) (*Function, *Error) {
	name := strings.ToUpper(strings.Join(path, "."))
	if n := map[string]int{"SERVERPROPERTY": 1, "SYS.FN_HADR_IS_PRIMARY_REPLICA": 1}[name]; len(args) < n {
		return nil, NewError(174, 15, 1, "The %s function requires %d argument(s).", strings.ToLower(name), n)
	}
	switch name {
	case "DB_NAME":
		return &Function{Result: Sysname, Call: func(_ context.Context, a []any) (any, *Error) {
			if len(a) == 0 {
				return h.db, nil
			}
			return h.dbName(a[0]), nil
		}}, nil
	case "SERVERPROPERTY":
		return &Function{Result: Sysname, Call: func(_ context.Context, a []any) (any, *Error) {
			return map[string]any{"productversion": "16.0.4166.0", "edition": "Developer Edition (64-bit)"}[strings.ToLower(fmt.Sprint(a[0]))], nil
		}}, nil
	case "APPLOCK_MODE":
		return &Function{Result: NVarChar(32), Call: func(context.Context, []any) (any, *Error) { return "Exclusive", nil }}, nil
	case "SYS.FN_HADR_IS_PRIMARY_REPLICA":
		return &Function{Result: Bit, Call: func(_ context.Context, a []any) (any, *Error) { return a[0] == "Sales", nil }}, nil
	case "SUSER_SNAME":
		return &Function{Result: Sysname, Call: func(context.Context, []any) (any, *Error) { return "sa", nil }}, nil
	}
	return nil, nil
}

func (h *fakeHost) TableFunction(_ context.Context, path []string, args []Type) (*TableFunction, *Error) {
	if strings.EqualFold(strings.Join(path, "."), "sys.numbers") && len(args) == 1 {
		return &TableFunction{Columns: []Column{{Name: "n", Type: Int}}, Call: func(_ context.Context, a []any) ([][]any, *Error) {
			n, _ := a[0].(int64)
			var out [][]any
			for i := int64(1); i <= n && i <= 100000; i++ {
				out = append(out, []any{i})
			}
			return out, nil
		}}, nil
	}
	return nil, nil
}

func (h *fakeHost) Global(_ context.Context, name string) (Type, any, bool) {
	switch name {
	case "SERVERNAME":
		return Sysname, "ONPREM1", true
	case "SPID":
		return SmallInt, int64(51), true
	case "VERSION":
		return NVarChar(300), "Microsoft SQL Server 2022", true
	}
	return Type{}, nil, false
}

func (h *fakeHost) Procedure(_ context.Context, path []string) Procedure {
	switch strings.ToLower(path[len(path)-1]) {
	case "sp_getapplock":
		return func(_ context.Context, c *ProcCall) (int32, *Error) {
			v, err := c.Bind(ProcParam{Name: "@Resource", Type: NVarChar(255)}, ProcParam{Name: "@LockMode", Type: VarChar(32)},
				ProcParam{Name: "@LockOwner", Type: VarChar(32), Optional: true, Def: "Transaction"}, ProcParam{Name: "@LockTimeout", Type: Int, Optional: true, Def: int64(-1)},
				ProcParam{Name: "@DbPrincipal", Type: Sysname, Optional: true, Def: "dbo"})
			if err != nil {
				return 0, err
			}
			h.log = append(h.log, fmt.Sprint("getapplock ", v))
			if v[0] == "taken" {
				return -1, nil
			}
			return 0, nil
		}
	case "sp_out":
		return func(_ context.Context, c *ProcCall) (int32, *Error) {
			v, err := c.Bind(ProcParam{Name: "@in", Type: Int}, ProcParam{Name: "@out", Type: Int, Optional: true})
			if err != nil {
				return 0, err
			}
			c.SetOutput("@out", 1, Int, v[0].(int64)*2)
			return 7, nil
		}
	case "sp_who":
		return func(_ context.Context, c *ProcCall) (int32, *Error) {
			_ = c.Sink.Columns([]Column{{Name: "spid", Type: SmallInt}, {Name: "loginame", Type: Sysname}})
			_ = c.Sink.Row([]any{int64(51), "sa"})
			_ = c.Sink.Done(DoneInfo{Kind: DoneSelect, Count: 1, HasCount: true})
			return 0, nil
		}
	case "sp_fail":
		return func(context.Context, *ProcCall) (int32, *Error) {
			return 1, NewError(15001, 16, 1, "Object does not exist.")
		}
	}
	return nil
}

func (h *fakeHost) Use(_ context.Context, db string) (string, *Error) {
	for _, r := range h.tables["sys.databases"].(*fakeTable).rows {
		if EqualFold(r[0].(string), db) {
			h.db = r[0].(string)
			return h.db, nil
		}
	}
	return "", NewError(911, 16, 1, "Database '%s' does not exist. Make sure that the name is entered correctly.", db)
}

func (h *fakeHost) Database() string { return h.db }

func (h *fakeHost) Foreign(_ context.Context, text string, _ Sink) *Error {
	h.log = append(h.log, "foreign: "+text)
	if h.foreign != nil {
		return h.foreign(text)
	}
	return nil
}

func (h *fakeHost) CheckForeign(text string) *Error {
	if strings.Contains(text, "FROB") {
		return NewError(102, 15, 1, "Incorrect syntax near 'FROB'.")
	}
	return nil
}

func (h *fakeHost) Now() time.Time { return h.now }

func (h *fakeHost) Sleep(ctx context.Context, d time.Duration) error {
	h.slept = append(h.slept, d)
	return ctx.Err()
}

func (h *fakeHost) note(s string)                           { h.log = append(h.log, s) }
func (h *fakeHost) Begin(context.Context) *Error            { h.note("begin"); return nil }
func (h *fakeHost) Commit(context.Context) *Error           { h.note("commit"); return nil }
func (h *fakeHost) Rollback(context.Context)                { h.note("rollback") }
func (h *fakeHost) Save(_ context.Context, n string) *Error { h.note("save " + n); return nil }
func (h *fakeHost) RollbackTo(_ context.Context, n string) *Error {
	h.note("rollback to " + n)
	return nil
}

// textSink writes an answer as text.
type textSink struct {
	strings.Builder
	rows  [][]any
	errs  []*Error
	dones []DoneInfo
}

func show(v any) string {
	switch x := v.(type) {
	case nil:
		return "NULL"
	case bool:
		if x {
			return "1"
		}
		return "0"
	case []byte:
		return fmt.Sprintf("0x%X", x)
	case float64:
		return fmt.Sprint(x)
	case time.Time:
		return x.Format("2006-01-02 15:04:05.9999999")
	}
	return fmt.Sprint(v)
}

func (t *textSink) Columns(cols []Column) error {
	for i, c := range cols {
		if i > 0 {
			t.WriteString(" | ")
		}
		name := c.Name
		if name == "" {
			name = "-"
		}
		t.WriteString(name + " " + c.Type.String())
	}
	t.WriteString("\n")
	return nil
}

func (t *textSink) Row(r []any) error {
	t.rows = append(t.rows, r)
	for i, v := range r {
		if i > 0 {
			t.WriteString(" | ")
		}
		t.WriteString(show(v))
	}
	t.WriteString("\n")
	return nil
}

func (t *textSink) Done(d DoneInfo) error {
	t.dones = append(t.dones, d)
	if d.HasCount {
		fmt.Fprintf(t, "(%d rows)\n", d.Count)
	}
	return nil
}

func (t *textSink) Info(e *Error) error {
	fmt.Fprintf(t, "Info %d: %s\n", e.Number, e.Message)
	return nil
}

func (t *textSink) Error(e *Error) error {
	t.errs = append(t.errs, e)
	fmt.Fprintf(t, "%s\n", e.Error())
	return nil
}

func (t *textSink) Env(e EnvChange) error {
	fmt.Fprintf(t, "Env %d %s\n", e.Kind, e.New)
	return nil
}

func (h *fakeHost) logText() string {
	if len(h.log) == 0 {
		return ""
	}
	return "host: " + strings.Join(h.log, "; ") + "\n"
}

// runText runs a batch in a fresh session.
func runText(batch string) string {
	h := newFake()
	s := NewSession(h, Options{})
	var t textSink
	if err := s.Exec(context.Background(), batch, &t); err != nil {
		fmt.Fprintf(&t, "ended: %v\n", err)
	}
	t.WriteString(h.logText())
	return t.String()
}

func sortedLines(s string) string {
	l := strings.Split(s, "\n")
	sort.Strings(l)
	return strings.Join(l, "\n")
}
