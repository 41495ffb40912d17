package sqlserver

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// columns reads one row from left to right. Every column of a DMV is nullable
// to a client, so every accessor has an answer for NULL: "" or an unknown Opt.
type columns struct {
	row []driver.Value
	i   int
	err error
	// Words and GUIDs repeat from row to row; what was made of one is kept.
	words map[string]string
	guids [2]lowered
	turn  int
}

type lowered struct{ from, to string }

func (c *columns) next() driver.Value {
	if c.i >= len(c.row) {
		c.fail("has too few columns")
		return nil
	}
	v := c.row[c.i]
	c.i++
	return v
}

func (c *columns) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("column %d of the answer %s", c.i, what)
	}
}

func (c *columns) text() string {
	switch v := c.next().(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	default:
		c.fail(fmt.Sprintf("is %T, not text", v))
		return ""
	}
}

// word is text in lower snake case.
func (c *columns) word() string {
	s := c.text()
	w, ok := c.words[s]
	if !ok {
		w = snake(s)
		if c.words == nil {
			c.words = map[string]string{}
		}
		c.words[s] = w
	}
	return w
}

var snakes = strings.NewReplacer(" ", "_", "-", "_")

func snake(s string) string {
	return snakes.Replace(strings.ToLower(strings.TrimSpace(s)))
}

// guid is text in lower case.
func (c *columns) guid() string {
	s := c.text()
	for _, g := range c.guids {
		if g.from == s {
			return g.to
		}
	}
	c.turn = 1 - c.turn
	c.guids[c.turn] = lowered{s, strings.ToLower(s)}
	return c.guids[c.turn].to
}

func (c *columns) integer() hadr.Opt[int64] {
	switch v := c.next().(type) {
	case nil:
		return hadr.Opt[int64]{}
	case int64:
		return hadr.Some(v)
	case bool:
		if v {
			return hadr.Some[int64](1)
		}
		return hadr.Some[int64](0)
	default:
		c.fail(fmt.Sprintf("is %T, not an integer", v))
		return hadr.Opt[int64]{}
	}
}

func (c *columns) flag() hadr.Opt[bool] {
	n := c.integer()
	return hadr.Opt[bool]{V: n.V != 0, OK: n.OK}
}

// kib is an integer of KB, as bytes.
func (c *columns) kib() hadr.Opt[int64] { return bytesOf(c.integer()) }

// bytesOf KB. A size below 0, and one that no int64 of bytes can hold, is no
// size: it is unknown, since a queue that reads -1 or wraps around would be
// inside every bound.
func bytesOf(kb hadr.Opt[int64]) hadr.Opt[int64] {
	if !kb.OK || kb.V < 0 || kb.V > math.MaxInt64/1024 {
		return hadr.Opt[int64]{}
	}
	return hadr.Some(kb.V * 1024)
}

func (c *columns) moment() hadr.Opt[time.Time] {
	switch v := c.next().(type) {
	case nil:
		return hadr.Opt[time.Time]{}
	case time.Time:
		return hadr.Some(v.UTC())
	default:
		c.fail(fmt.Sprintf("is %T, not a time", v))
		return hadr.Opt[time.Time]{}
	}
}

// lsn is the exact decimal text of a numeric(25,0). NULL is unknown, and so is
// every sentinel.
func (c *columns) lsn() hadr.LSN {
	s := c.text()
	if s == "" {
		return hadr.LSN{}
	}
	l, err := hadr.ParseLSN(s)
	if err != nil {
		c.fail("is no LSN: " + err.Error())
		return hadr.LSN{}
	}
	if !l.Known() {
		return hadr.LSN{}
	}
	return l
}

// pick maps an enum column; anything else is the zero value, unknown.
func pick[T any](n hadr.Opt[int64], values map[int64]T) (v T) {
	if n.OK {
		v = values[n.V]
	}
	return v
}

var (
	roles      = map[int64]hadr.Role{0: hadr.RoleResolving, 1: hadr.RolePrimary, 2: hadr.RoleSecondary}
	modes      = map[int64]hadr.Mode{0: hadr.ModeAsynchronous, 1: hadr.ModeSynchronous, 4: hadr.ModeConfigurationOnly}
	syncStates = map[int64]hadr.SyncState{0: hadr.NotSynchronizing, 1: hadr.Synchronizing, 2: hadr.Synchronized, 3: hadr.SyncReverting, 4: hadr.SyncInitializing}
	dbStates   = map[int64]hadr.DBState{0: hadr.DBOnline, 1: hadr.DBRestoring, 2: hadr.DBRecovering, 3: hadr.DBRecoveryPending, 4: hadr.DBSuspect, 5: hadr.DBEmergency, 6: hadr.DBOffline}
	healths    = map[int64]string{0: "not_healthy", 1: "partially_healthy", 2: "healthy"}
	clusters   = map[int64]string{0: "wsfc", 1: "external", 2: "none"}
)

// answer collects the result sets of one batch.
type answer struct {
	begin, end sample
	failures   map[string]mssql.Error
	seen       map[string]bool

	groups  []groupRow
	members []memberRow
	rows    []replicaRow
	logs    []logRow
	forks   map[string]hadr.Lineage

	reading hadr.Reading
	alter   *hadr.Rights
	marker  string
}

// sample is who answered, at one end of the batch.
type sample struct {
	serverName, startTime, replicaID string
	role                             hadr.Role
	utc                              hadr.Opt[time.Time]
	viewState, viewPerformance       hadr.Opt[bool]
	viewDefinition                   hadr.Opt[bool]
}

func (s sample) same(o sample) bool {
	return s.serverName != "" && s.startTime != "" && s.serverName == o.serverName && s.startTime == o.startTime &&
		s.replicaID == o.replicaID && s.role == o.role
}

type groupRow struct {
	group       hadr.Group
	distributed bool
	kind        int64 // 1 the DAG, 2 the local AG, 0 another
}

type memberRow struct {
	groupID string
	member  hadr.Member
	localAG bool
}

type replicaRow struct {
	dag             bool
	databaseID      hadr.Opt[int64]
	groupDatabaseID string
	isLocal         hadr.Opt[bool]
	replica         hadr.Replica
}

type logRow struct {
	database, counter string
	value             hadr.Opt[int64]
}

func newAnswer() *answer {
	return &answer{failures: map[string]mssql.Error{}, seen: map[string]bool{}, forks: map[string]hadr.Lineage{}}
}

// set is the callback of session.query: it knows a result set by the part that
// its first column names.
func (a *answer) set(cols []string) (rowFunc, error) {
	name, _, _ := strings.Cut(cols[0], ".")
	if name == "failed" {
		return func(row []driver.Value) error {
			c := &columns{row: row}
			part := c.text()
			a.failures[part] = mssql.Error{Number: int32(c.integer().V), Message: c.text(), Class: 16}
			return c.err
		}, nil
	}
	fill, ok := fillers[name]
	if !ok {
		return nil, nil
	}
	a.seen[name] = true
	c := &columns{}
	return func(row []driver.Value) error {
		c.row, c.i, c.err = row, 0, nil
		fill(a, c)
		if c.err != nil {
			return fmt.Errorf("%s: %w", name, c.err)
		}
		return nil
	}, nil
}

var fillers = map[string]func(*answer, *columns){
	"begin":       func(a *answer, c *columns) { a.begin = beginRow(c) },
	"end":         func(a *answer, c *columns) { a.end = identityRow(c) },
	"group":       fillGroup,
	"member":      fillMember,
	"database":    fillDatabase,
	"row":         fillReplica,
	"log":         func(a *answer, c *columns) { a.logs = append(a.logs, logRow{c.text(), c.text(), c.integer()}) },
	"seeding":     fillSeeding,
	"certificate": fillCertificate,
	"rights": func(a *answer, c *columns) {
		a.alter = &hadr.Rights{Login: c.text(), Sysadmin: c.flag(), AlterDAG: c.flag()}
	},
	"transaction": fillTransaction,
	"lineage": func(a *answer, c *columns) {
		a.forks[c.text()] = hadr.Lineage{FamilyGUID: c.guid(), ForkGUID: c.guid()}
	},
	"marker": func(a *answer, c *columns) { a.marker = c.text() },
}

func identityRow(c *columns) sample {
	return sample{serverName: c.text(), startTime: c.text(), replicaID: c.guid(), role: pick(c.integer(), roles)}
}

func beginRow(c *columns) sample {
	s := identityRow(c)
	s.utc = c.moment()
	s.viewState, s.viewPerformance, s.viewDefinition = c.flag(), c.flag(), c.flag()
	return s
}

func fillGroup(a *answer, c *columns) {
	g := groupRow{group: hadr.Group{Found: true, GroupID: c.guid(), Name: c.text()}}
	g.distributed = c.flag().V
	g.kind = c.integer().V
	g.group.ClusterType = pick(c.integer(), clusters)
	g.group.RSSTC = c.integer()
	g.group.SequenceNumber = c.integer()
	g.group.Contained = c.flag()
	a.groups = append(a.groups, g)
}

func fillMember(a *answer, c *columns) {
	m := memberRow{groupID: c.guid()}
	m.member = hadr.Member{ReplicaID: c.guid(), Name: c.text(), EndpointURL: c.text(),
		Mode: pick(c.integer(), modes), FailoverMode: c.word(), SeedingMode: c.word(), SessionTimeout: c.integer(),
		IsLocal: c.flag(), Role: pick(c.integer(), roles), Connected: c.flag(), OperationalState: c.word(),
		Health: pick(c.integer(), healths), LastConnectError: c.integer(), LastConnectErrorText: c.text()}
	m.localAG = c.flag().V
	a.members = append(a.members, m)
}

func fillDatabase(a *answer, c *columns) {
	a.reading.Databases = append(a.reading.Databases, hadr.Database{Name: c.text(), GroupDatabaseID: c.guid(), DatabaseID: c.integer(),
		State: pick(c.integer(), dbStates), Updateability: c.word(), LogReuseWait: c.word(), Joined: c.flag()})
}

func fillReplica(a *answer, c *columns) {
	row := replicaRow{dag: c.flag().V, databaseID: c.integer(), groupDatabaseID: c.guid()}
	r := &row.replica
	r.ReplicaID, r.Name = c.guid(), c.text()
	row.isLocal = c.flag()
	r.IsPrimary = c.flag()
	r.Sync = pick(c.integer(), syncStates)
	r.Health = pick(c.integer(), healths)
	r.State = pick(c.integer(), dbStates)
	r.Suspended = c.flag()
	r.SuspendReason = strings.TrimPrefix(c.word(), "suspend_from_")
	for _, l := range []*hadr.LSN{&r.LastSent, &r.LastReceived, &r.LastHardened, &r.LastRedone, &r.EndOfLog, &r.LastCommit, &r.Truncation, &r.Recovery} {
		*l = c.lsn()
	}
	r.LastCommitTime = c.moment()
	r.SendQueue, r.SendRate, r.RedoQueue, r.RedoRate = c.kib(), c.kib(), c.kib(), c.kib()
	r.SecondaryLag = c.integer()
	if !r.Suspended.OK || r.Suspended.V {
		r.SecondaryLag = hadr.Opt[int64]{} // the view says 0 while suspended
	}
	a.rows = append(a.rows, row)
}

func fillSeeding(a *answer, c *columns) {
	s := hadr.Seeding{Database: c.text(), State: c.word(), Failure: c.text()}
	_ = c.moment() // start_time: the order of the rows
	completed := c.moment()
	s.Running = !completed.OK
	s.Transferred, s.Size, s.EstimatedEnd = c.integer(), c.integer(), c.moment()
	a.reading.Seeding = append(a.reading.Seeding, s)
}

func fillCertificate(a *answer, c *columns) {
	a.reading.Certificates = append(a.reading.Certificates, hadr.Certificate{Name: c.text(), Expiry: c.moment()})
}

func fillTransaction(a *answer, c *columns) {
	t := hadr.Transaction{Database: c.text(), SessionID: c.integer(), Login: c.text(), Program: strings.TrimSpace(c.text()), Host: c.text(),
		Status: c.word(), OpenFor: c.integer(), LogRecords: c.integer(), LogBytes: c.integer()}
	user := c.flag()
	t.User = user.OK && user.V
	a.reading.Transactions = append(a.reading.Transactions, t)
}

// missing lists the permissions that the login lacks, as of the first sample.
func (s sample) missing() []string {
	var out []string
	yes := func(o hadr.Opt[bool]) bool { return o.OK && o.V }
	if !yes(s.viewState) && !yes(s.viewPerformance) {
		out = append(out, "VIEW SERVER STATE")
	}
	if !yes(s.viewDefinition) {
		out = append(out, "VIEW ANY DEFINITION")
	}
	return out
}

// assemble puts the result sets together into a Reading, without its times,
// peers and identity.
func (a *answer) assemble(n names, w Want, caseSensitive bool) *hadr.Reading {
	r := &a.reading
	r.Missing = a.begin.missing()
	for _, p := range parts {
		if p.wanted(w) && !p.core && (!a.seen[p.name] || a.failures[p.name].Number != 0) {
			why := ""
			if f := a.failures[p.name]; f.Number != 0 {
				why = fmt.Sprintf("error %d: %s", f.Number, f.Message)
			}
			r.Failed, r.FailedWhy = append(r.Failed, p.name), append(r.FailedWhy, why)
		}
	}
	ok := func(part string) bool { return a.seen[part] && !slices.Contains(r.Failed, part) }
	a.assembleGroups(r)
	if !ok("database") {
		r.Databases = nil
	} else if r.Databases == nil {
		r.Databases = []hadr.Database{}
	}
	slices.SortFunc(r.Databases, func(x, y hadr.Database) int { return cmp.Compare(x.Name, y.Name) })
	if ok("row") {
		a.assembleRows(r)
	}
	if ok("log") {
		a.assembleLogs(r, caseSensitive)
	}
	if ok("lineage") {
		for i := range r.Databases {
			if l, found := a.forks[r.Databases[i].Name]; found {
				r.Databases[i].Lineage = &l
			}
		}
	}
	if ok("rights") && a.alter != nil {
		a.alter.ViewState = either(a.begin.viewState, a.begin.viewPerformance)
		a.alter.ViewDefinition = a.begin.viewDefinition
		r.Rights = a.alter
	}
	if r.TransactionsRead = ok("transaction"); !r.TransactionsRead {
		r.Transactions = nil
	} else if r.Transactions == nil {
		r.Transactions = []hadr.Transaction{}
	}
	if ok("marker") {
		r.Marker = hadr.Some(a.marker)
	}
	if !ok("seeding") {
		r.Seeding = nil
	}
	if !ok("certificate") {
		r.Certificates = nil
	}
	return r
}

// either is true if one is, false if one is and none is true, else unknown.
func either(a, b hadr.Opt[bool]) hadr.Opt[bool] {
	return hadr.Opt[bool]{V: a.OK && a.V || b.OK && b.V, OK: a.OK || b.OK}
}

func (a *answer) assembleGroups(r *hadr.Reading) {
	for _, g := range a.groups {
		isMember := false
		for _, m := range a.members {
			if m.groupID != g.group.GroupID {
				continue
			}
			g.group.Members = append(g.group.Members, m.member)
			isMember = isMember || m.localAG
		}
		if l := g.group.Local(); l != nil {
			g.group.Role = l.Role
		}
		switch {
		case g.kind == 1:
			r.DAG = g.group
		case g.kind == 2:
			r.Local = g.group
		case g.distributed && isMember:
			r.OtherDAGs = append(r.OtherDAGs, g.group.Name)
		}
	}
	slices.Sort(r.OtherDAGs)
}

// assembleRows gives each database its rows. Own rows pair by
// group_database_id, which the local AG shares with the list; the DAG's rows
// have another one, and pair by the instance's own database_id. Two rows for
// one place are no knowledge: the place stays empty.
func (a *answer) assembleRows(r *hadr.Reading) {
	byGUID, byID := map[string]*hadr.Database{}, map[int64]*hadr.Database{}
	for i := range r.Databases {
		d := &r.Databases[i]
		if d.GroupDatabaseID != "" {
			byGUID[d.GroupDatabaseID] = d
		}
		if d.DatabaseID.OK {
			byID[d.DatabaseID.V] = d
		}
	}
	owns, links := map[*hadr.Database]int{}, map[*hadr.Database]int{}
	for i := range a.rows {
		row := &a.rows[i]
		d := byGUID[row.groupDatabaseID]
		if row.dag {
			d = nil
			if row.databaseID.OK {
				d = byID[row.databaseID.V]
			}
		}
		local := row.isLocal.OK && row.isLocal.V
		remote := row.isLocal.OK && !row.isLocal.V
		switch {
		case d == nil:
		case row.dag && remote:
			d.Link = &row.replica
			links[d]++
		case !row.dag && local:
			d.Own = &row.replica
			owns[d]++
		case !row.dag && remote:
			d.Replicas = append(d.Replicas, row.replica)
		}
	}
	for d, n := range owns {
		if n > 1 {
			d.Own = nil
		}
	}
	for d, n := range links {
		if n > 1 {
			d.Link = nil
		}
	}
}

func (a *answer) assembleLogs(r *hadr.Reading, caseSensitive bool) {
	key := func(s string) string {
		if caseSensitive {
			return s
		}
		return strings.ToLower(s)
	}
	byName := make(map[string]*hadr.Database, len(r.Databases))
	for i := range r.Databases {
		byName[key(r.Databases[i].Name)] = &r.Databases[i]
	}
	for _, l := range a.logs {
		d := byName[key(l.database)]
		if d == nil {
			continue
		}
		size := bytesOf(l.value)
		switch l.counter {
		case "Log File(s) Size (KB)":
			d.LogSize = size
		case "Log File(s) Used Size (KB)":
			d.LogUsed = size
		case "Log Bytes Flushed/sec":
			d.LogFlushed = l.value
		case "Write Transactions/sec":
			d.Writes = l.value
		}
	}
}
