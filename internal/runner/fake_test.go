package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// pair is two servers in memory with a distributed AG between them: just
// enough of SQL Server to tell whether a commit is lost, whether two sides are
// primary, and what was sent. A log is a number.
//
// The controller's goroutines read and change it while a test looks: nothing
// of it is reached but through with.
type pair struct{ guarded[servers] }

// guarded is a value that is only reached under its lock.
type guarded[T any] struct {
	mu sync.Mutex
	v  T
}

// with runs f alone with the value. f must not keep the pointer.
func (g *guarded[T]) with(f func(*T)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.v)
}

// servers is what a pair holds. Its methods, and those of fakeSide that do not
// lock themselves, want the lock held.
type servers struct {
	dbs    []string
	side   map[hadr.Side]*fakeSide
	link   bool
	acked  uint32 // newest commit that the client was told of
	quiet  bool
	sent   []string // every statement that reached a server, and every lock and marker
	errs   []string // what must never be
	forks  bool     // a forced failover begins a new recovery fork
	frozen bool     // the process is dead: nothing reaches a server any more
	reads  int

	// answer decides what becomes of a statement that passed its guards. It is
	// called with the lock held.
	answer func(v *servers, st cutover.Statement) fate
	// stuckTarget keeps the target's log below the source's.
	stuckTarget bool
	latency     time.Duration
	elsewhere   bool // another group answers to the name, and only a statement notices
	refused     int  // statements for a group that is not there
}

// fate of a statement.
type fate struct {
	lands bool
	later time.Duration // after this long
	lost  bool          // the answer is lost
	err   error         // the answer
}

// fakeSide is what one side holds.
type fakeSide struct {
	v      *servers
	which  hadr.Side
	role   hadr.Role
	mode   hadr.Mode
	rsstc  int64
	log    uint32
	marker string
	holder *fakeLock
	start  int
	down   bool
	fork   string
	stolen bool // the lock is not held any more, and the session does not know
}

func newPair(n int) *pair {
	p := &pair{}
	p.v = servers{link: true, acked: 100, latency: time.Millisecond}
	for i := range n {
		p.v.dbs = append(p.v.dbs, fmt.Sprintf("db%03d", i+1))
	}
	side := func(which hadr.Side, role hadr.Role) *fakeSide {
		return &fakeSide{v: &p.v, which: which, role: role, mode: hadr.ModeAsynchronous, log: 100, start: 1, fork: "fork"}
	}
	p.v.side = map[hadr.Side]*fakeSide{hadr.Source: side(hadr.Source, hadr.RolePrimary), hadr.Target: side(hadr.Target, hadr.RoleSecondary)}
	return p
}

func testLSN(n uint32) hadr.LSN { return hadr.LSN{VLF: 42, Block: 1000 + 8*n, Slot: 1} }

func fakeErr(op string, class sqlserver.Class, text string) error {
	return &sqlserver.Error{Op: op, DAG: "erp", Class: class, Reason: sqlserver.ReasonTimeout, Err: errors.New(text)}
}

// kill makes the process dead for the servers: sessions end, nothing is
// taken any more.
func (p *pair) kill() {
	p.with(func(v *servers) {
		v.frozen = true
		for _, s := range v.side {
			s.holder = nil
		}
	})
}

func (p *pair) revive() { p.with(func(v *servers) { v.frozen = false }) }

// onStatement sets what becomes of every statement from now on. f is called
// with the lock held.
func (p *pair) onStatement(f func(*servers, cutover.Statement) fate) {
	p.with(func(v *servers) { v.answer = f })
}

// write is a client's commit; false if it was not acknowledged.
func (p *pair) write() (done bool) {
	p.with(func(v *servers) { done = v.write() })
	return done
}

func (v *servers) write() bool {
	v.ship()
	for _, which := range []hadr.Side{hadr.Source, hadr.Target} {
		s, o := v.side[which], v.side[which.Other()]
		if s.role != hadr.RolePrimary || s.down || which == hadr.Source && v.quiet {
			continue
		}
		together := v.link && s.mode == hadr.ModeSynchronous && o.mode == hadr.ModeSynchronous && o.role == hadr.RoleSecondary && !o.down && !v.stuckTarget
		if s.rsstc == 1 && !together {
			return false
		}
		s.log++
		v.acked = s.log
		if together {
			o.log = s.log
		}
		return true
	}
	return false
}

func (v *servers) ship() {
	if !v.link || v.stuckTarget {
		return
	}
	for _, s := range v.side {
		if o := v.side[s.which.Other()]; s.role == hadr.RolePrimary && o.role == hadr.RoleSecondary && o.log < s.log {
			o.log = s.log
		}
	}
}

func (v *servers) land(k cutover.Kind, which hadr.Side) {
	s, o := v.side[which], v.side[which.Other()]
	switch k {
	case cutover.SetSynchronous:
		s.mode = hadr.ModeSynchronous
	case cutover.SetAsynchronous:
		s.mode = hadr.ModeAsynchronous
	case cutover.RequireSecondary:
		s.rsstc = 1
	case cutover.ReleaseSecondary:
		s.rsstc = 0
	case cutover.Demote:
		v.ship()
		s.role = hadr.RoleSecondary
	case cutover.Promote:
		if s.role == hadr.RolePrimary {
			return
		}
		s.role = hadr.RolePrimary
		if v.forks {
			s.fork = "fork of " + string(which)
		}
		if o.role == hadr.RolePrimary {
			v.errs = append(v.errs, "two primaries")
		}
		if s.log < v.acked {
			v.errs = append(v.errs, "an acknowledged commit is lost")
		}
	}
}

// fakeServer is one side as a Server. It takes the lock itself.
type fakeServer struct {
	p     *pair
	which hadr.Side
}

func (p *pair) server(s hadr.Side) Server { return fakeServer{p, s} }

// with runs f alone with this side, if it answers.
func (s fakeServer) with(op string, f func(*fakeSide) error) (err error) {
	s.p.with(func(v *servers) {
		side := v.side[s.which]
		if side.down || v.frozen {
			err = fakeErr(op, sqlserver.ClassConnect, "it does not answer")
			return
		}
		err = f(side)
	})
	return err
}

func (s fakeServer) Read(ctx context.Context, w Want) (r *hadr.Reading, err error) {
	began := time.Now()
	var latency time.Duration
	s.p.with(func(v *servers) { latency, v.reads = v.latency, v.reads+1 })
	time.Sleep(latency)
	err = s.with("read", func(side *fakeSide) error {
		if ctx.Err() != nil {
			return fakeErr("read", sqlserver.ClassConnect, "it did not answer in time")
		}
		side.v.ship()
		r = side.reading(began, w)
		return nil
	})
	return r, err
}

func (s *fakeSide) reading(began time.Time, w Want) *hadr.Reading {
	v, o := s.v, s.v.side[s.which.Other()]
	ags := map[hadr.Side]string{hadr.Source: "OnPremAG", hadr.Target: "AzureAG"}
	member := func(which hadr.Side, url string) hadr.Member {
		m := hadr.Member{Name: ags[which], ReplicaID: "m-" + string(which), EndpointURL: url, Mode: s.mode, IsLocal: hadr.Some(which == s.which)}
		if which == s.which {
			m.Role, m.Connected = s.role, hadr.Some(true)
		} else {
			m.Connected = hadr.Some(v.link && !o.down)
		}
		return m
	}
	r := &hadr.Reading{
		Side: s.which, Began: began, Ended: time.Now(), Identity: s.identity(),
		DAG: hadr.Group{Found: true, GroupID: fakeGroup, Name: "DAG", Role: s.role, RSSTC: hadr.Some(s.rsstc), SequenceNumber: hadr.Some[int64](7),
			Members: []hadr.Member{member(hadr.Source, "tcp://onprem:5022"), member(hadr.Target, "tcp://azure:5022")}},
		Local: hadr.Group{Found: true, GroupID: "ag-" + string(s.which), Name: ags[s.which], Role: hadr.RolePrimary, RSSTC: hadr.Some[int64](0),
			Contained: hadr.Some(false), SequenceNumber: hadr.Some[int64](3),
			Members: []hadr.Member{{Name: string(s.which) + "-1", Mode: hadr.ModeSynchronous, IsLocal: hadr.Some(true), Role: hadr.RolePrimary, Connected: hadr.Some(true), Health: "healthy"}}},
	}
	if w.Rights {
		r.Rights = &hadr.Rights{Login: "cutover", Sysadmin: hadr.Some(true)}
	}
	if w.Transactions {
		r.TransactionsRead, r.Transactions = true, []hadr.Transaction{}
	}
	if w.Marker {
		r.Marker = hadr.Some(s.marker)
	}
	if w.Seeding {
		r.Seeding = []hadr.Seeding{}
	}
	rw := "read_only"
	if s.role == hadr.RolePrimary {
		rw = "read_write"
	}
	for _, n := range v.dbs {
		d := hadr.Database{Name: n, Joined: hadr.Some(true), State: hadr.DBOnline, Updateability: rw,
			Own: &hadr.Replica{Name: string(s.which) + "-1", Sync: hadr.Synchronized, Health: "healthy", State: hadr.DBOnline, Suspended: hadr.Some(false),
				LastHardened: testLSN(s.log + 1), EndOfLog: testLSN(s.log), RedoQueue: hadr.Some[int64](0), RedoRate: hadr.Some[int64](1 << 20)}}
		if w.Log {
			d.LogUsed, d.LogSize = hadr.Some[int64](1<<20), hadr.Some[int64](1<<30)
		}
		if w.Lineage {
			d.Lineage = &hadr.Lineage{FamilyGUID: "family", ForkGUID: s.fork}
		}
		if s.role == hadr.RolePrimary && o.role == hadr.RoleSecondary {
			sync := hadr.Synchronizing
			if s.mode == hadr.ModeSynchronous && o.mode == hadr.ModeSynchronous && o.log == s.log {
				sync = hadr.Synchronized
			}
			d.Link = &hadr.Replica{Name: ags[s.which.Other()], Sync: sync, Health: "healthy", Suspended: hadr.Some(false), LastHardened: testLSN(o.log + 1), EndOfLog: testLSN(o.log),
				SendQueue: hadr.Some[int64](0), SendRate: hadr.Some[int64](1 << 20), RedoQueue: hadr.Some[int64](0), RedoRate: hadr.Some[int64](1 << 20)}
		}
		r.Databases = append(r.Databases, d)
	}
	return r
}

func (s *fakeSide) identity() hadr.Identity {
	return hadr.Identity{ServerName: string(s.which) + "-1", StartTime: fmt.Sprintf("start-%d", s.start), ReplicaID: "r-" + string(s.which), Major: 16, Version: "16.0.1000",
		EngineEdition: 3, ServerUTC: hadr.Some(time.Now()), HadrEnabled: hadr.Some(true), Platform: "windows"}
}

func (s fakeServer) Close() error { return nil }

// fakeGroup is the id of the pair's distributed group.
const fakeGroup = "dag-guid"

func (s fakeServer) ClearRequired(_ context.Context, group string) error {
	return s.with("clear required", func(side *fakeSide) error {
		if side.v.elsewhere && group != "" || !side.v.elsewhere && group != fakeGroup {
			side.v.refused++
			return fakeErr("clear required", sqlserver.ClassGuardRefused, "another group")
		}
		return side.v.carry(s.p, cutover.Statement{Kind: cutover.ReleaseSecondary, Side: s.which})
	})
}

// carry is a statement that passed its guards.
func (v *servers) carry(p *pair, st cutover.Statement) error {
	v.sent = append(v.sent, fmt.Sprintf("%s %s", st.Kind, st.Side))
	f := fate{lands: true}
	if v.answer != nil {
		f = v.answer(v, st)
	}
	switch {
	case f.lands && f.later > 0:
		time.AfterFunc(f.later, func() { p.with(func(v *servers) { v.land(st.Kind, st.Side) }) })
	case f.lands:
		v.land(st.Kind, st.Side)
	}
	if f.lost {
		return fakeErr(string(st.Kind), sqlserver.ClassUnknown, "the connection was reset")
	}
	return f.err
}

func (s fakeServer) Lock(context.Context, string) (l Lock, err error) {
	err = s.with("lock", func(side *fakeSide) error {
		if side.holder != nil {
			return fakeErr("lock", sqlserver.ClassRetry, "somebody else holds it")
		}
		side.v.sent = append(side.v.sent, "lock "+string(s.which))
		side.holder, side.stolen = &fakeLock{s: s, id: side.identity()}, false
		l = side.holder
		return nil
	})
	return l, err
}

type fakeLock struct {
	s  fakeServer
	id hadr.Identity
}

func (l *fakeLock) Identity() hadr.Identity { return l.id }

func (l *fakeLock) Alive() (alive bool) {
	l.s.p.with(func(v *servers) { alive = v.side[l.s.which].holder == l })
	return alive
}

func (l *fakeLock) Held(context.Context) (held bool, err error) {
	l.s.p.with(func(v *servers) {
		s := v.side[l.s.which]
		held = s.holder == l && !s.stolen
	})
	return held, nil
}

// in runs f inside the session, if there still is one.
func (l *fakeLock) in(op string, f func(s *fakeSide) error) (err error) {
	l.s.p.with(func(v *servers) {
		switch s := v.side[l.s.which]; {
		case s.holder != l:
			err = fakeErr(op, sqlserver.ClassLockLost, "the session has ended")
		case s.down || v.frozen:
			err = fakeErr(op, sqlserver.ClassUnknown, "it does not answer")
		default:
			err = f(s)
		}
	})
	return err
}

func (l *fakeLock) Do(_ context.Context, st cutover.Statement, g Guard) error {
	return l.in(string(st.Kind), func(s *fakeSide) error {
		no := func(why string) error {
			return fakeErr(string(st.Kind), sqlserver.ClassGuardRefused, why)
		}
		switch {
		case s.stolen:
			return no("the lock is not held")
		case g.Run == "" || s.marker != g.Run:
			return no("the run id is not ours")
		case g.Role != s.role:
			return no("the role is " + string(s.role))
		case g.ServerName != s.identity().ServerName || g.StartTime != s.identity().StartTime:
			return no("another instance")
		case !slices.Equal(g.Databases, s.v.dbs):
			return no("another set of databases")
		case st.Kind == cutover.Promote && len(g.AtLeast) == 0 && !g.NoProof:
			return no("no proof")
		}
		for _, f := range g.AtLeast {
			if !testLSN(s.log).AtLeast(f.EndOfLog) {
				return no("below the proof")
			}
		}
		return s.v.carry(l.s.p, st)
	})
}

func (l *fakeLock) WriteRun(_ context.Context, run string) error {
	return l.in("write run id", func(s *fakeSide) error {
		if s.marker != "" && s.marker != run {
			return fakeErr("write run id", sqlserver.ClassGuardRefused, "another id")
		}
		s.marker = run
		s.v.sent = append(s.v.sent, "mark "+string(s.which))
		return nil
	})
}

func (l *fakeLock) ReadRun(context.Context) (run string, err error) {
	err = l.in("read run id", func(s *fakeSide) error { run = s.marker; return nil })
	return run, err
}

func (l *fakeLock) ClearRun(_ context.Context, run string) error {
	return l.in("clear run id", func(s *fakeSide) error {
		if s.marker == run {
			s.marker = ""
		}
		s.v.sent = append(s.v.sent, "unmark "+string(s.which))
		return nil
	})
}

func (l *fakeLock) ProbeMarker(context.Context) error {
	return l.in("probe", func(*fakeSide) error { return nil })
}

func (l *fakeLock) Release() error {
	l.s.p.with(func(v *servers) {
		if s := v.side[l.s.which]; s.holder == l {
			s.holder = nil
		}
	})
	return nil
}

// state is what the servers are in the end.
func (p *pair) state() (text string) {
	p.with(func(v *servers) {
		s, t := v.side[hadr.Source], v.side[hadr.Target]
		text = fmt.Sprintf("source %s rsstc %d, target %s rsstc %d", s.role, s.rsstc, t.role, t.rsstc)
	})
	return text
}

// touched is everything that was done to a server, in order.
func (p *pair) touched() (sent []string) {
	p.with(func(v *servers) { sent = slices.Clone(v.sent) })
	return sent
}

// statements are those of touched that move something.
func (p *pair) statements() []string {
	return slices.DeleteFunc(p.touched(), func(s string) bool {
		return strings.HasPrefix(s, "lock") || strings.HasPrefix(s, "mark") || strings.HasPrefix(s, "unmark")
	})
}

// left is every lock and marker that stands.
func (p *pair) left() (out []string) {
	p.with(func(v *servers) {
		for _, s := range v.side {
			if s.holder != nil {
				out = append(out, "lock "+string(s.which))
			}
			if s.marker != "" {
				out = append(out, "mark "+string(s.which)+" "+s.marker)
			}
		}
	})
	return out
}

func (p *pair) wrong() (errs []string) {
	p.with(func(v *servers) { errs = slices.Clone(v.errs) })
	return errs
}

// set changes one side.
func (p *pair) set(which hadr.Side, f func(*fakeSide)) {
	p.with(func(v *servers) { f(v.side[which]) })
}

// testRender is a plan's SQL in tests.
func testRender(k cutover.Kind, group, source, target string) (string, error) {
	return fmt.Sprintf("-- %s [%s] %s %s", k, group, source, target), nil
}

// fakeHooks are hooks that do what the demo's do: they stop and start the
// writer.
type fakeHooks struct {
	p *pair
	guarded[hooksRan]
}

type hooksRan struct {
	names []string
	env   map[string]string // of the last one
	fail  map[string]error
}

func newHooksFor(p *pair) *fakeHooks {
	h := &fakeHooks{p: p}
	h.v.fail = map[string]error{}
	return h
}

func (h *fakeHooks) names() (names []string) {
	h.with(func(v *hooksRan) { names = slices.Clone(v.names) })
	return names
}

func (h *fakeHooks) env() (env map[string]string) {
	h.with(func(v *hooksRan) { env = maps.Clone(v.env) })
	return env
}

// fail makes a hook fail from now on; nil lets it work again.
func (h *fakeHooks) fail(name string, err error) {
	h.with(func(v *hooksRan) { v.fail[name] = err })
}

func (h *fakeHooks) Run(_ context.Context, _ config.Hook, env map[string]string) (out string, err error) {
	name := env["DAG_HOOK"]
	h.with(func(v *hooksRan) {
		v.names, v.env = append(v.names, name), maps.Clone(env)
		if err = v.fail[name]; err != nil {
			out = "it said no"
		}
	})
	if err != nil {
		return out, err
	}
	h.p.with(func(v *servers) {
		switch name {
		case "quiesce":
			v.quiet = true
		case "unquiesce":
			v.quiet = false
		}
	})
	return "ok " + name, nil
}
