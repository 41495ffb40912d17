package cutover

import (
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// world is an abstract pair of SQL Servers with one distributed AG between
// them: just enough to tell whether a commit is lost or two sides are primary.
// A log is a number: everything up to it is there. It is a plain value, so
// that the model checker can copy and compare it.
type world struct {
	s       [2]simSide
	link    bool
	acked   int8 // newest commit that a client was told about
	open    bool // an open transaction with log records on the source
	rolling bool // the source still has to roll it back, after it lost the role
	quiet   bool // the quiesce hook has stopped the writers
	dba     bool // somebody else sent a statement: two primaries are then not our doing
	late    [4]simLate
	lates   int8
	two     bool // two primaries by our doing
	lost    bool // a commit that a client was told about is not on the new primary
	use     bool // both sides 2022
	diverge bool // the forks differ

	// What only the worlds of worlds_test.go have.
	trail    int8 // readings for which a side that restarted or was demoted shows less than it has
	hang     bool // a source that cannot be read hangs: what was sent to it stands still, and lands once it wakes up
	slow     bool // the link ships one commit between two rounds, and never says SYNCHRONIZED
	untold   bool // the open transactions are not shown
	noHard   bool // last_hardened_lsn is not shown on either side
	cached   bool // the newest commit is in the target's cache only, and a slow secondary holds the source's last_hardened_lsn down
	quiesced int8 // the source's log when the writers had stopped; only where slow
}

type simSide struct {
	role   hadr.Role
	rsstc  int8
	sync   bool
	log    int8
	server int8
	start  int8
	marker int8 // 0 none, 1 ours, 2 another engine's
	lock   bool
	down   bool // cannot be read, cannot be told anything
	zero   bool // shows 0 for every LSN
	closed bool // databases are not open yet
	stale  int8 // readings that still show one commit less than there is; -1 = all of them
}

type simLate struct {
	kind Kind
	side int8
	on   int8 // the instance that it was sent to: on another one it cannot land
	left int8 // rounds until it has to have landed; -1 = whenever
}

func idx(s hadr.Side) int8 {
	if s == hadr.Source {
		return 0
	}
	return 1
}

func newWorld() world {
	w := world{link: true, acked: 3, use: true}
	w.s[0] = simSide{role: hadr.RolePrimary, log: 3, server: 1, start: 1}
	w.s[1] = simSide{role: hadr.RoleSecondary, log: 3, server: 1, start: 1}
	return w
}

var t0 = time.Date(2026, 3, 14, 22, 0, 0, 0, time.UTC)

const testRun = "run-1"

func testSettings(drill bool) Settings {
	return Settings{
		DAG: "erp-prod", Group: "DAG", SourceAG: "OnPremAG", TargetAG: "AzureAG", Databases: []string{"db001"}, Drill: drill,
		StartAt: LevelCaughtUp, SettleReadings: 2, SettleInterval: time.Second, Settle: 20 * time.Second, RequireExposure: 15 * time.Second,
		MaxWriteUnavailable: 40 * time.Second, MaxDuration: 90 * time.Second, ProofTTL: 10 * time.Second, SplitWatch: time.Minute,
		Hooks: []HookName{HookQuiesce, HookUnquiesce}, Approvals: 0,
	}
}

func testRender(k Kind, group, source, target string) (string, error) {
	return fmt.Sprintf("-- %s [%s] %s %s", k, group, source, target), nil
}

func testPlan(w world, drill bool) Plan { return testPlanWith(w, testSettings(drill)) }

func testPlanWith(w world, s Settings) Plan {
	p, err := BuildPlan(s, w.reading(hadr.Source, t0, s.Databases...), w.reading(hadr.Target, t0, s.Databases...), testRender)
	if err != nil {
		panic(err)
	}
	return p
}

func simLSN(n int8) hadr.LSN { return hadr.LSN{VLF: 42, Block: 1000 + 8*uint32(n), Slot: 1} }

// reading is what the side shows; nil when it cannot be read.
func (w *world) reading(side hadr.Side, at time.Time, dbs ...string) *hadr.Reading {
	s, o := w.s[idx(side)], w.s[1-idx(side)]
	if s.down {
		return nil
	}
	if len(dbs) == 0 {
		dbs = []string{"db001"}
	}
	major := 16
	if !w.use {
		major = 15
	}
	mode := hadr.ModeAsynchronous
	if s.sync {
		mode = hadr.ModeSynchronous
	}
	ag := map[hadr.Side]string{hadr.Source: "OnPremAG", hadr.Target: "AzureAG"}
	name := fmt.Sprintf("%s-%d", side, s.server)
	r := &hadr.Reading{
		Side: side, Began: at, Ended: at.Add(10 * time.Millisecond),
		Identity: hadr.Identity{ServerName: name, StartTime: fmt.Sprintf("start-%d", s.start), ReplicaID: "r-" + name, Major: major,
			Version: fmt.Sprintf("%d.0.1", major), EngineEdition: 3, ServerUTC: hadr.Some(at), HadrEnabled: hadr.Some(true)},
		DAG: hadr.Group{Found: true, GroupID: "dag-guid", Name: "DAG", Role: s.role, Members: []hadr.Member{
			{Name: "OnPremAG", ReplicaID: "m1", EndpointURL: "tcp://onprem:5022", Mode: mode, IsLocal: hadr.Some(side == hadr.Source), Connected: hadr.Some(w.link && !o.down)},
			{Name: "AzureAG", ReplicaID: "m2", EndpointURL: "tcp://azure:5022", Mode: mode, IsLocal: hadr.Some(side == hadr.Target), Connected: hadr.Some(w.link && !o.down)},
		}, SequenceNumber: hadr.Some[int64](7)},
		Local: hadr.Group{Found: true, GroupID: "ag-" + string(side), Name: ag[side], Role: hadr.RolePrimary, Contained: hadr.Some(false), RSSTC: hadr.Some[int64](0),
			SequenceNumber: hadr.Some[int64](3), Members: []hadr.Member{{Name: string(side), Mode: hadr.ModeSynchronous, IsLocal: hadr.Some(true), Role: hadr.RolePrimary, Connected: hadr.Some(true), Health: "healthy"}}},
		Rights:           &hadr.Rights{Login: "sa", Sysadmin: hadr.Some(true)},
		TransactionsRead: side == hadr.Target || !w.untold,
		Marker:           hadr.Some([]string{"", testRun, "run-of-another"}[s.marker]),
		Databases:        make([]hadr.Database, 0, len(dbs)),
	}
	if w.use {
		r.DAG.RSSTC = hadr.Some(int64(s.rsstc))
	}
	if side == hadr.Source && w.open && !w.untold {
		r.Transactions = []hadr.Transaction{{Database: dbs[0], SessionID: hadr.Some[int64](71), Program: "app.exe", Host: "WEB03", OpenFor: hadr.Some[int64](840), LogRecords: hadr.Some[int64](3201), User: true}}
	}
	rw := "read_only"
	state := hadr.DBOnline
	if s.role == hadr.RolePrimary {
		rw = "read_write"
	}
	if s.closed {
		state, rw = hadr.DBRecovering, ""
	}
	log := s.log
	if s.stale != 0 {
		log--
	}
	hard, eol := simLSN(log+1), simLSN(log)
	if s.zero {
		hard, eol = hadr.LSN{}, hadr.LSN{}
	}
	if w.noHard {
		hard = hadr.LSN{}
	}
	if w.cached {
		hard = simLSN(log - 1)
	}
	fork := "fork-1"
	if w.diverge && side == hadr.Target {
		fork = "fork-2"
	}
	for _, n := range dbs {
		d := hadr.Database{Name: n, Joined: hadr.Some(true), State: state, Updateability: rw,
			Own:     &hadr.Replica{Name: string(side), Sync: hadr.Synchronized, State: state, Suspended: hadr.Some(false), LastHardened: hard, EndOfLog: eol, RedoQueue: hadr.Some[int64](0)},
			LogUsed: hadr.Some[int64](1 << 20), LogSize: hadr.Some[int64](1 << 30), Lineage: &hadr.Lineage{FamilyGUID: "family", ForkGUID: fork}}
		if s.role == hadr.RolePrimary && o.role == hadr.RoleSecondary {
			sync := hadr.Synchronizing
			switch {
			case !w.link || o.down:
				sync = hadr.NotSynchronizing
			case s.sync && o.log == s.log && !w.slow: // its own copy is all that a side knows
				sync = hadr.Synchronized
			}
			d.Link = &hadr.Replica{Sync: sync, Suspended: hadr.Some(false), LastHardened: simLSN(o.log + 1), EndOfLog: simLSN(o.log), SendQueue: hadr.Some(int64(0)), SendRate: hadr.Some(int64(1 << 20)), RedoQueue: hadr.Some(int64(0)), RedoRate: hadr.Some(int64(1 << 20))}
		}
		r.Databases = append(r.Databases, d)
	}
	return r
}

// ship moves the log from the primary to the other side, if there is a link.
func (w *world) ship() {
	if !w.link || w.s[0].down || w.s[1].down {
		return
	}
	for p := range 2 {
		if w.s[p].role == hadr.RolePrimary && w.s[1-p].role == hadr.RoleSecondary {
			if w.slow {
				w.s[1-p].log = min(w.s[1-p].log+1, w.s[p].log)
			} else {
				w.s[1-p].log = w.s[p].log
			}
		}
	}
}

// write is a client's commit on whichever side takes it.
func (w *world) write() {
	for p := range 2 {
		s, o := &w.s[p], &w.s[1-p]
		if s.role != hadr.RolePrimary || s.down {
			continue
		}
		if p == 0 && w.quiet {
			return
		}
		together := w.link && !w.slow && s.sync && o.sync && !o.down && o.role == hadr.RoleSecondary && o.log == s.log
		if s.rsstc == 1 && !together {
			return // the commit fails: that is what RSSTC=1 is for
		}
		s.log++
		w.acked = s.log
		if together {
			o.log = s.log
		}
		return
	}
}

// land is a statement's effect.
func (w *world) land(k Kind, i int8) {
	s, o := &w.s[i], &w.s[1-i]
	switch k {
	case SetSynchronous:
		s.sync = true
		w.ship()
	case SetAsynchronous:
		s.sync = false
	case RequireSecondary:
		s.rsstc = 1
	case ReleaseSecondary:
		s.rsstc = 0
	case Demote:
		if s.role == hadr.RolePrimary {
			s.role, s.stale = hadr.RoleSecondary, w.trail
			if i == 0 && w.open {
				w.open, w.rolling = false, true
			}
		}
	case Promote:
		if s.role == hadr.RolePrimary {
			return
		}
		s.role = hadr.RolePrimary
		if o.role == hadr.RolePrimary && !w.dba {
			w.two = true
		}
		if s.log < w.acked && !w.dba {
			w.lost = true
		}
	}
}

// tick is the time between two rounds: what has to land lands, what ships is
// shipped, a demoted source rolls its open transaction back.
func (w *world) tick() {
	for i := int8(0); i < w.lates; {
		l := &w.late[i]
		if w.hangs(l.side) { // no nearer to its effect than before
			i++
			continue
		}
		if l.left > 0 {
			l.left--
		}
		if l.left == 0 {
			w.landLate(i)
			continue
		}
		i++
	}
	if w.rolling {
		w.rolling = false
		w.s[0].log++
	}
	w.ship()
}

// hangs reports a side that cannot be read and comes to itself with everything
// that was sent to it.
func (w *world) hangs(i int8) bool { return w.hang && i == 0 && w.s[0].down }

func (w *world) restart(i int8) {
	s := &w.s[i]
	s.start++
	s.lock, s.stale = false, w.trail
}

func (w *world) landLate(i int8) {
	l := w.late[i]
	copy(w.late[i:], w.late[i+1:w.lates])
	w.lates--
	w.late[w.lates] = simLate{}
	if w.s[l.side].down || w.s[l.side].server != l.on {
		return
	}
	w.land(l.kind, l.side)
}

func (w *world) defer_(k Kind, i, left int8) {
	if int(w.lates) == len(w.late) {
		w.land(k, i)
		return
	}
	w.late[w.lates] = simLate{k, i, w.s[i].server, left}
	w.lates++
}

// guarded is what the server's own guards say: "" when they let it pass.
func (w *world) guarded(st Statement, g Guard) string {
	s := &w.s[idx(st.Side)]
	if g.WithoutLock {
		return ""
	}
	switch {
	case !s.lock:
		return "the lock is not ours"
	case s.marker != 1:
		return "the run id is not ours"
	case g.Role != "" && g.Role != s.role:
		return "role is " + string(s.role)
	case g.ServerName != fmt.Sprintf("%s-%d", st.Side, s.server) || g.StartTime != fmt.Sprintf("start-%d", s.start):
		return "another instance"
	}
	for _, l := range g.AtLeast {
		if s.zero || !simLSN(s.log).AtLeast(l.EndOfLog) {
			return "LSN below the proof"
		}
	}
	return ""
}

func (w *world) observe(round time.Time, out Outside) Observation {
	o := Observation{Began: round, Outside: out}
	w.look(&o, hadr.Source, round)
	w.look(&o, hadr.Target, round.Add(20*time.Millisecond))
	return o
}

func (w *world) look(o *Observation, s hadr.Side, at time.Time) {
	so := SideObservation{Reading: w.reading(s, at), Lock: LockNone}
	if i := idx(s); so.Reading != nil && w.s[i].stale > 0 {
		w.s[i].stale--
	}
	if so.Reading == nil {
		so.Failure, so.Class = fmt.Sprintf("the %s does not answer", s), "timeout"
	}
	if w.s[idx(s)].lock {
		so.Lock = LockHeld
	}
	if s == hadr.Source {
		o.Source = so
	} else {
		o.Target = so
	}
}

func outside(p Plan, now time.Time) Outside { return outsideOf(p.Hash(), now) }

func outsideOf(hash string, now time.Time) Outside {
	return Outside{
		Mode: Execute, Armed: &Arming{By: "op", At: t0, Until: now.Add(time.Hour), Generation: 1, PlanHash: hash},
		LeaseUntil: now.Add(30 * time.Second), LeaseFrom: "DAGConverged", PipelineSeen: now, Window: Window{Known: true, Open: true},
	}
}
