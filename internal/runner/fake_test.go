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
type pair struct {
	mu     sync.Mutex
	dbs    []string
	side   map[hadr.Side]*fakeSide
	link   bool
	acked  uint32 // newest commit that the client was told of
	quiet  bool
	sent   []string // every statement that reached a server, and every lock and marker
	errs   []string // what must never be
	frozen bool     // the process is dead: nothing reaches a server any more
	reads  int

	// answer decides what becomes of a statement that passed its guards.
	answer func(st cutover.Statement) fate
	// proofFails keeps the target's log below the source's.
	stuckTarget bool
	latency     time.Duration
}

// fate of a statement.
type fate struct {
	lands bool
	later time.Duration // after this long
	lost  bool          // the answer is lost
	err   error         // the answer
}

type fakeSide struct {
	p      *pair
	which  hadr.Side
	role   hadr.Role
	mode   hadr.Mode
	rsstc  int64
	log    uint32
	marker string
	holder *fakeLock
	start  int
	down   bool
}

func newPair(n int) *pair {
	p := &pair{link: true, side: map[hadr.Side]*fakeSide{}, acked: 100, latency: time.Millisecond}
	for i := range n {
		p.dbs = append(p.dbs, fmt.Sprintf("db%03d", i+1))
	}
	p.side[hadr.Source] = &fakeSide{p: p, which: hadr.Source, role: hadr.RolePrimary, mode: hadr.ModeAsynchronous, log: 100, start: 1}
	p.side[hadr.Target] = &fakeSide{p: p, which: hadr.Target, role: hadr.RoleSecondary, mode: hadr.ModeAsynchronous, log: 100, start: 1}
	return p
}

func testLSN(n uint32) hadr.LSN { return hadr.LSN{VLF: 42, Block: 1000 + 8*n, Slot: 1} }

func fakeErr(op string, class sqlserver.Class, text string) error {
	return &sqlserver.Error{Op: op, DAG: "erp", Class: class, Reason: sqlserver.ReasonTimeout, Err: errors.New(text)}
}

// kill makes the process dead for the servers: sessions end, nothing is
// taken any more.
func (p *pair) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
	for _, s := range p.side {
		s.holder = nil
	}
}

func (p *pair) revive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = false
}

// write is a client's commit; false if it was not acknowledged.
func (p *pair) write() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ship()
	for _, which := range []hadr.Side{hadr.Source, hadr.Target} {
		s, o := p.side[which], p.side[which.Other()]
		if s.role != hadr.RolePrimary || s.down || which == hadr.Source && p.quiet {
			continue
		}
		together := p.link && s.mode == hadr.ModeSynchronous && o.mode == hadr.ModeSynchronous && o.role == hadr.RoleSecondary && !o.down && !p.stuckTarget
		if s.rsstc == 1 && !together {
			return false
		}
		s.log++
		p.acked = s.log
		if together {
			o.log = s.log
		}
		return true
	}
	return false
}

func (p *pair) ship() {
	if !p.link || p.stuckTarget {
		return
	}
	for _, s := range p.side {
		if o := p.side[s.which.Other()]; s.role == hadr.RolePrimary && o.role == hadr.RoleSecondary && o.log < s.log {
			o.log = s.log
		}
	}
}

func (p *pair) land(k cutover.Kind, which hadr.Side) {
	s, o := p.side[which], p.side[which.Other()]
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
		p.ship()
		s.role = hadr.RoleSecondary
	case cutover.Promote:
		if s.role == hadr.RolePrimary {
			return
		}
		s.role = hadr.RolePrimary
		if o.role == hadr.RolePrimary {
			p.errs = append(p.errs, "two primaries")
		}
		if s.log < p.acked {
			p.errs = append(p.errs, "an acknowledged commit is lost")
		}
	}
}

// server is one side as a Server.
func (p *pair) server(s hadr.Side) Server { return p.side[s] }

func (s *fakeSide) Read(ctx context.Context, w Want) (*hadr.Reading, error) {
	began := time.Now()
	time.Sleep(s.p.latency)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.reads++
	if s.down || s.p.frozen || ctx.Err() != nil {
		return nil, fakeErr("read", sqlserver.ClassConnect, "it does not answer")
	}
	s.p.ship()
	return s.reading(began, w), nil
}

func (s *fakeSide) reading(began time.Time, w Want) *hadr.Reading {
	p, o := s.p, s.p.side[s.which.Other()]
	ags := map[hadr.Side]string{hadr.Source: "OnPremAG", hadr.Target: "AzureAG"}
	member := func(which hadr.Side, url string) hadr.Member {
		m := hadr.Member{Name: ags[which], ReplicaID: "m-" + string(which), EndpointURL: url, Mode: s.mode, IsLocal: hadr.Some(which == s.which)}
		if which == s.which {
			m.Role, m.Connected = s.role, hadr.Some(true)
		} else {
			m.Connected = hadr.Some(p.link && !o.down)
		}
		return m
	}
	r := &hadr.Reading{
		Side: s.which, Began: began, Ended: time.Now(), Identity: s.identity(),
		DAG: hadr.Group{Found: true, GroupID: "dag-guid", Name: "DAG", Role: s.role, RSSTC: hadr.Some(s.rsstc), SequenceNumber: hadr.Some[int64](7),
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
	for _, n := range p.dbs {
		d := hadr.Database{Name: n, Joined: hadr.Some(true), State: hadr.DBOnline, Updateability: rw,
			Own: &hadr.Replica{Name: string(s.which) + "-1", Sync: hadr.Synchronized, Health: "healthy", State: hadr.DBOnline, Suspended: hadr.Some(false),
				LastHardened: testLSN(s.log + 1), EndOfLog: testLSN(s.log), RedoQueue: hadr.Some[int64](0), RedoRate: hadr.Some[int64](1 << 20)}}
		if w.Log {
			d.LogUsed, d.LogSize = hadr.Some[int64](1<<20), hadr.Some[int64](1<<30)
		}
		if w.Lineage {
			d.Lineage = &hadr.Lineage{FamilyGUID: "family", ForkGUID: "fork"}
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

func (s *fakeSide) Close() error { return nil }

func (s *fakeSide) ClearRequired(context.Context) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.down || s.p.frozen {
		return fakeErr("clear required", sqlserver.ClassConnect, "it does not answer")
	}
	return s.carry(cutover.Statement{Kind: cutover.ReleaseSecondary, Side: s.which})
}

// carry is a statement that passed its guards.
func (s *fakeSide) carry(st cutover.Statement) error {
	p := s.p
	p.sent = append(p.sent, fmt.Sprintf("%s %s", st.Kind, st.Side))
	f := fate{lands: true}
	if p.answer != nil {
		f = p.answer(st)
	}
	switch {
	case f.lands && f.later > 0:
		time.AfterFunc(f.later, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.land(st.Kind, st.Side)
		})
	case f.lands:
		p.land(st.Kind, st.Side)
	}
	if f.lost {
		return fakeErr(string(st.Kind), sqlserver.ClassUnknown, "the connection was reset")
	}
	return f.err
}

func (s *fakeSide) Lock(context.Context, string) (Lock, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	switch {
	case s.down || s.p.frozen:
		return nil, fakeErr("lock", sqlserver.ClassConnect, "it does not answer")
	case s.holder != nil:
		return nil, fakeErr("lock", sqlserver.ClassRetry, "somebody else holds it")
	}
	s.p.sent = append(s.p.sent, "lock "+string(s.which))
	l := &fakeLock{s: s, id: s.identity()}
	s.holder = l
	return l, nil
}

type fakeLock struct {
	s  *fakeSide
	id hadr.Identity
}

func (l *fakeLock) Identity() hadr.Identity { return l.id }

func (l *fakeLock) Alive() bool {
	l.s.p.mu.Lock()
	defer l.s.p.mu.Unlock()
	return l.s.holder == l
}

func (l *fakeLock) Held(context.Context) (bool, error) { return l.Alive(), nil }

// in runs f inside the session, if there still is one.
func (l *fakeLock) in(op string, f func(s *fakeSide) error) error {
	l.s.p.mu.Lock()
	defer l.s.p.mu.Unlock()
	switch {
	case l.s.holder != l:
		return fakeErr(op, sqlserver.ClassLockLost, "the session has ended")
	case l.s.down || l.s.p.frozen:
		return fakeErr(op, sqlserver.ClassUnknown, "it does not answer")
	}
	return f(l.s)
}

func (l *fakeLock) Do(_ context.Context, st cutover.Statement, g Guard) error {
	return l.in(string(st.Kind), func(s *fakeSide) error {
		no := func(why string) error {
			return fakeErr(string(st.Kind), sqlserver.ClassGuardRefused, why)
		}
		switch {
		case g.Run == "" || s.marker != g.Run:
			return no("the run id is not ours")
		case g.Role != s.role:
			return no("the role is " + string(s.role))
		case g.ServerName != s.identity().ServerName || g.StartTime != s.identity().StartTime:
			return no("another instance")
		case !slices.Equal(g.Databases, s.p.dbs):
			return no("another set of databases")
		case st.Kind == cutover.Promote && len(g.AtLeast) == 0 && !g.NoProof:
			return no("no proof")
		}
		for _, f := range g.AtLeast {
			if !testLSN(s.log).AtLeast(f.EndOfLog) {
				return no("below the proof")
			}
		}
		return s.carry(st)
	})
}

func (l *fakeLock) WriteRun(_ context.Context, run string) error {
	return l.in("write run id", func(s *fakeSide) error {
		if s.marker != "" && s.marker != run {
			return fakeErr("write run id", sqlserver.ClassGuardRefused, "another id")
		}
		s.marker = run
		s.p.sent = append(s.p.sent, "mark "+string(s.which))
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
		s.p.sent = append(s.p.sent, "unmark "+string(s.which))
		return nil
	})
}

func (l *fakeLock) ProbeMarker(context.Context) error {
	return l.in("probe", func(*fakeSide) error { return nil })
}

func (l *fakeLock) Release() error {
	l.s.p.mu.Lock()
	defer l.s.p.mu.Unlock()
	if l.s.holder == l {
		l.s.holder = nil
	}
	return nil
}

// state is what the servers are in the end.
func (p *pair) state() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, t := p.side[hadr.Source], p.side[hadr.Target]
	return fmt.Sprintf("source %s rsstc %d, target %s rsstc %d", s.role, s.rsstc, t.role, t.rsstc)
}

func (p *pair) statements() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.sent), func(s string) bool {
		return strings.HasPrefix(s, "lock") || strings.HasPrefix(s, "mark") || strings.HasPrefix(s, "unmark")
	})
}

func (p *pair) wrong() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.errs)
}

// testRender is a plan's SQL in tests.
func testRender(k cutover.Kind, group, source, target string) (string, error) {
	return fmt.Sprintf("-- %s [%s] %s %s", k, group, source, target), nil
}

// fakeHooks are hooks that do what the demo's do: they stop and start the
// writer.
type fakeHooks struct {
	p    *pair
	mu   sync.Mutex
	ran  []string
	env  map[string]string
	fail map[string]error
}

func (h *fakeHooks) hookNames() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ran)
}

func (h *fakeHooks) Run(_ context.Context, _ config.Hook, env map[string]string) (string, error) {
	name := env["DAG_HOOK"]
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ran = append(h.ran, name)
	h.env = maps.Clone(env)
	if err := h.fail[name]; err != nil {
		return "it said no", err
	}
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	switch name {
	case "quiesce":
		h.p.quiet = true
	case "unquiesce":
		h.p.quiet = false
	}
	return "ok " + name, nil
}
