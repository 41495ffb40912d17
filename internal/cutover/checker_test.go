package cutover

import (
	"fmt"
	"hash/maphash"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// The model checker: the engine against the abstract pair of world, every
// interleaving of a bounded number of faults with every step of the run.
//
// A state is taken between two rounds. One round is: first reading, second
// reading, Decide, journal, act, Record, journal. Faults may come before the
// first reading, between the readings, between decision and act; the act may
// be refused, lost, late; the process may crash before the first journal
// write, between it and the act, and between the act and the second write.
// What heals (link, side, hold) costs nothing, what breaks costs one fault.
type checker struct {
	p       Plan
	hash    string
	off     rules
	limit   int // states; 0 = no limit
	seen    map[uint64]struct{}
	seed    maphash.Seed
	path    []string
	bad     string // first violation, with its trace
	ends    map[Outcome]int
	pages   map[string]int
	decides int
}

type node struct {
	w      world
	in     Intent
	now    time.Time
	held   bool
	rb     bool
	first  hadr.Side
	budget int8
}

// fault is one thing that the environment may do.
type fault struct {
	name string
	cost int8
	when func(n *node) bool
	do   func(n *node)
}

func restart(s *simSide) { s.start++; s.lock = false }

var faults = []fault{
	{"a commit", 1, func(n *node) bool { return !n.w.quiet && n.w.acked < 6 }, func(n *node) { n.w.write() }},
	{"a transaction opens", 1, func(n *node) bool { return !n.w.open && n.w.s[0].role == hadr.RolePrimary && !n.w.quiet }, func(n *node) { n.w.open = true }},
	{"the transaction ends", 0, func(n *node) bool { return n.w.open }, func(n *node) { n.w.open = false }},
	{"link cut", 1, func(n *node) bool { return n.w.link }, func(n *node) { n.w.link = false }},
	{"link heals", 0, func(n *node) bool { return !n.w.link }, func(n *node) { n.w.link = true }},
	{"source unreadable", 1, func(n *node) bool { return !n.w.s[0].down }, func(n *node) { n.w.s[0].down = true }},
	{"source readable", 0, func(n *node) bool { return n.w.s[0].down }, func(n *node) { n.w.s[0].down = false }},
	{"target unreadable", 1, func(n *node) bool { return !n.w.s[1].down }, func(n *node) { n.w.s[1].down = true }},
	{"target readable", 0, func(n *node) bool { return n.w.s[1].down }, func(n *node) { n.w.s[1].down = false }},
	{"source restarts", 1, func(n *node) bool { return n.w.s[0].start == 1 }, func(n *node) { restart(&n.w.s[0]) }},
	{"target restarts", 1, func(n *node) bool { return n.w.s[1].start == 1 }, func(n *node) { restart(&n.w.s[1]) }},
	{"source fails over locally, to a replica that lags", 1, func(n *node) bool { return n.w.s[0].server == 1 }, func(n *node) {
		s := &n.w.s[0]
		s.server, s.lock, s.marker = 2, false, 0
		s.log = min(s.log, n.w.s[1].log)
	}},
	{"target fails over locally, to a replica that lags", 1, func(n *node) bool { return n.w.s[1].server == 1 }, func(n *node) {
		s := &n.w.s[1]
		s.server, s.lock, s.marker = 2, false, 0
		s.log--
	}},
	{"source reads RESOLVING", 1, func(n *node) bool { return n.w.s[0].role == hadr.RoleSecondary && n.w.lates < 4 }, func(n *node) { n.w.s[0].role = hadr.RoleResolving }},
	{"source reads SECONDARY again", 0, func(n *node) bool { return n.w.s[0].role == hadr.RoleResolving }, func(n *node) { n.w.s[0].role = hadr.RoleSecondary }},
	{"both show 0 for every LSN", 1, func(n *node) bool { return !n.w.s[0].zero }, func(n *node) { n.w.s[0].zero, n.w.s[1].zero = true, true }},
	{"LSNs are back", 0, func(n *node) bool { return n.w.s[0].zero }, func(n *node) { n.w.s[0].zero, n.w.s[1].zero = false, false }},
	{"RSSTC travels to the target", 1, func(n *node) bool { return n.w.s[0].rsstc == 1 && n.w.s[1].rsstc == 0 }, func(n *node) { n.w.s[1].rsstc = 1 }},
	{"hold", 1, func(n *node) bool { return !n.held }, func(n *node) { n.held = true }},
	{"release", 0, func(n *node) bool { return n.held }, func(n *node) { n.held = false }},
	{"rollback asked for", 1, func(n *node) bool { return !n.rb }, func(n *node) { n.rb = true }},
	{"another engine writes its run id", 1, func(n *node) bool { return n.w.s[1].marker < 2 && !n.w.s[1].lock }, func(n *node) { n.w.s[1].marker = 2 }},
	{"a DBA sends S2", 1, func(n *node) bool { return n.w.s[0].role == hadr.RolePrimary }, func(n *node) { n.w.dba = true; n.w.land(Demote, 0) }},
	{"a DBA sends S3 to the target", 1, func(n *node) bool { return n.w.s[1].role == hadr.RoleSecondary }, func(n *node) { n.w.dba = true; n.w.land(Promote, 1) }},
}

func (n *node) fork() node { return *n } // Decide and Record copy the intent themselves

func (c *checker) visit(n *node, label string) {
	if c.bad != "" || c.limit > 0 && len(c.seen) >= c.limit {
		return
	}
	c.path = append(c.path, label)
	defer func() { c.path = c.path[:len(c.path)-1] }()
	if bad := checkEnd(&n.w, n.in); len(bad) > 0 {
		c.fail(bad...)
		return
	}
	k := c.key(n)
	if _, ok := c.seen[k]; ok {
		return
	}
	c.seen[k] = struct{}{}
	if !n.in.Ended.IsZero() {
		c.ends[n.in.Outcome]++
		c.linger(n)
		return
	}
	if len(c.path) > 500 { // two entries a round
		c.fail("no end in 250 rounds")
		return
	}
	if n.budget == 0 {
		c.healed(n)
	}
	c.round(n)
}

func (c *checker) fail(bad ...string) {
	if c.bad == "" {
		c.bad = strings.Join(bad, "; ") + "\n  " + strings.Join(c.path, "\n  ")
	}
}

// linger: after the end everything that may still land lands.
func (c *checker) linger(n *node) {
	m := n.fork()
	for m.w.lates > 0 {
		m.w.landLate(0)
	}
	if m.w.two {
		c.fail("two primaries after the end")
	}
	if n.in.Outcome != OutcomeClosed && m.w.s[0].role == hadr.RoleSecondary && m.w.s[1].role == hadr.RoleSecondary && !m.w.dba {
		c.fail("no primary after the end (" + string(n.in.Outcome) + ")")
	}
}

// healed: once faults stop, the run ends, or a page stands that names what a
// human is to do.
func (c *checker) healed(n *node) {
	m := n.fork()
	m.w.link, m.held = true, false
	for i := range m.w.s {
		m.w.s[i].down, m.w.s[i].zero = false, false
		if m.w.s[i].role == hadr.RoleResolving {
			m.w.s[i].role = hadr.RoleSecondary
		}
	}
	m.w.open = false
	for i := range m.w.lates {
		m.w.late[i].left = 1
	}
	for range 70 {
		if !m.in.Ended.IsZero() || m.in.Stuck != "" {
			if m.in.Stuck != "" {
				c.pages[m.in.Stuck]++
			}
			if bad := checkEnd(&m.w, m.in); len(bad) > 0 {
				c.fail(append(bad, "(in the healed run)")...)
			}
			return
		}
		m.now = m.now.Add(tick)
		m.w.tick()
		o := c.observe(&m, nil)
		d := c.decide(&m, &o)
		if bad := checkSend(&c.p, m.in, &o, d); len(bad) > 0 {
			c.fail(bad...)
			return
		}
		m.in = d.Intent
		c.apply(&m, d, outcomes[0])
	}
	if m.in.Page != nil {
		c.pages[m.in.Page.Code]++
		return
	}
	c.fail(fmt.Sprintf("faults have stopped, and there is neither an end nor a page: phase %s", m.in.Phase))
}

func (c *checker) observe(n *node, between *fault) Observation {
	out := outside(c.p, n.now)
	out.Armed.PlanHash = c.hash
	if n.held {
		held(n.now, &out)
	}
	if n.rb {
		rollback(n.now, &out)
	}
	o := Observation{Began: n.now, Outside: out}
	first := n.first
	if first == "" {
		first = hadr.Source
	}
	n.w.look(&o, first, n.now)
	if between != nil {
		between.do(n)
	}
	n.w.look(&o, first.Other(), n.now.Add(20*time.Millisecond))
	return o
}

func (c *checker) decide(n *node, o *Observation) Decision {
	c.decides++
	d := decide(c.off, &c.p, c.hash, n.in, o, n.now.Add(50*time.Millisecond))
	n.first = d.Want.First
	return d
}

// outcome of an act, and where the process crashes.
type outcome struct {
	name   string
	cost   int8
	answer Answer
	now    bool // the effect is there at once
	late   bool // the effect comes later
	crash  int8 // 0 no, 1 before the journal, 2 after it, before the act, 3 after the act
}

var outcomes = []outcome{
	{name: "accepted", answer: AnswerAccepted, now: true},
	{name: "accepted, lands later", cost: 1, answer: AnswerAccepted, late: true},
	{name: "answer lost, done", cost: 1, now: true},
	{name: "answer lost, lands later", cost: 1, late: true},
	{name: "answer lost, not done", cost: 1},
	{name: "refused", cost: 1, answer: AnswerRefused},
	{name: "busy", cost: 1, answer: AnswerBusy},
	{name: "crash before the journal", cost: 1, crash: 1},
	{name: "crash after the journal", cost: 1, crash: 2},
	{name: "crash after the act", cost: 1, now: true, crash: 3},
	{name: "crash after the act, lands later", cost: 1, late: true, crash: 3},
}

// apply does what the decision says with this outcome; n.in is d.Intent.
func (c *checker) apply(n *node, d Decision, x outcome) {
	i := idx(d.Side)
	down := n.w.s[i].down
	res := Result{Action: d.Action, Side: d.Side, Statement: d.Statement, Hook: d.Hook, Answer: x.answer, ReturnedAt: n.now}
	done := x.now
	switch d.Action {
	case ActionLock:
		if done && !down {
			n.w.s[i].lock = true
		}
	case ActionMark:
		if done && !down && n.w.s[i].lock && (n.w.s[i].marker != 2 || c.off.ignoreOtherRun) {
			n.w.s[i].marker = 1
		}
	case ActionUnmark:
		if done && !down && n.w.s[i].marker == 1 {
			n.w.s[i].marker = 0
		}
	case ActionHook:
		if done {
			n.w.quiet = d.Hook == HookQuiesce
		}
	case ActionExecute:
		switch {
		case down:
			res.Answer = AnswerUnknown
		case n.w.guarded(d.Statement, d.Guard) != "":
			if res.Answer != AnswerUnknown || x.now {
				res.Answer = AnswerGuardRefused
			}
		case x.late:
			left := int8(3) // settle is longer than anything lands, but S3, which may land whenever
			if d.Statement.Kind == Promote {
				left = -1
			}
			n.w.defer_(d.Statement.Kind, i, left)
		case done:
			n.w.land(d.Statement.Kind, i)
		}
	}
	if x.crash > 0 {
		n.w.s[0].lock, n.w.s[1].lock = false, false
		return
	}
	n.in = Record(n.in, res, n.now)
}

func (c *checker) round(n *node) {
	base := n.fork()
	base.now = base.now.Add(tick)
	base.w.tick()
	// What was sent late may land before this round.
	for i := range base.w.lates {
		m := base.fork()
		l := m.w.late[i]
		m.w.landLate(i)
		c.rest(&m, fmt.Sprintf("%s lands on side %d", l.kind, l.side), nil)
	}
	c.rest(&base, "", nil)
	for i := range faults {
		f := &faults[i]
		if f.cost > base.budget {
			continue
		}
		if f.when(&base) {
			m := base.fork()
			m.budget -= f.cost
			f.do(&m)
			c.rest(&m, f.name, nil)
			m = base.fork()
			m.budget -= f.cost
			c.rest(&m, "", f)
		}
	}
}

// rest of a round: readings (with a fault between them), decision, act.
func (c *checker) rest(n *node, label string, between *fault) {
	if c.bad != "" {
		return
	}
	o := c.observe(n, between)
	if between != nil {
		label = between.name + " (between the readings)"
	}
	before := n.in
	d := c.decide(n, &o)
	c.path = append(c.path, strings.TrimPrefix(label+" → ", " → ")+describe(d)+" ["+d.Reason+"]")
	defer func() { c.path = c.path[:len(c.path)-1] }()
	if bad := checkSend(&c.p, before, &o, d); len(bad) > 0 {
		c.fail(bad...)
		return
	}
	for j, x := range outcomes {
		if x.cost > n.budget || j > 0 && d.Action == ActionWait && x.crash != 2 || j > 0 && (d.Action == ActionPage || d.Action == ActionFinish) && x.crash == 0 {
			continue
		}
		if d.Action != ActionExecute && (x.late || x.answer == AnswerBusy) {
			continue
		}
		m := n.fork()
		m.budget -= x.cost
		if x.crash != 1 && !(c.off.forgetIntent && x.crash == 3) {
			m.in = d.Intent
		}
		c.apply(&m, d, x)
		c.visit(&m, x.name)
	}
	// Between decision and act.
	if label == "" && (d.Action == ActionExecute || d.Action == ActionHook) {
		for i := range faults {
			if f := &faults[i]; f.cost > 0 && f.cost <= n.budget && f.when(n) && !strings.Contains(f.name, "DBA") {
				m := n.fork()
				m.budget -= f.cost
				f.do(&m)
				m.in = d.Intent
				c.apply(&m, d, outcomes[0])
				c.visit(&m, f.name+" (before the act)")
			}
		}
	}
}

// key of a state: times are ages in rounds, bounded above every timer.
func (c *checker) key(n *node) uint64 {
	b := make([]byte, 0, 320)
	age := func(t time.Time) {
		switch d := n.now.Sub(t); {
		case t.IsZero():
			b = append(b, 255)
		case d > 25*tick:
			b = append(b, 25)
		default:
			b = append(b, byte(d/tick))
		}
	}
	str := func(s string) { b = append(append(b, s...), 0) }
	flag := func(f bool) {
		if f {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	rows := func(l []DatabaseLSNs) {
		for _, r := range l {
			b = append(b, byte(r.Hardened.Block), byte(r.EndOfLog.Block))
		}
		b = append(b, 254)
	}
	for _, s := range n.w.s {
		str(string(s.role))
		b = append(b, byte(s.rsstc), byte(s.log), byte(s.server), byte(s.start), byte(s.marker))
		flag(s.sync)
		flag(s.lock)
		flag(s.down)
		flag(s.zero)
	}
	for _, l := range n.w.late[:n.w.lates] {
		str(string(l.kind))
		b = append(b, byte(l.side), byte(l.on), byte(l.left))
	}
	for _, f := range []bool{n.w.link, n.w.open, n.w.rolling, n.w.quiet, n.w.dba, n.held, n.rb} {
		flag(f)
	}
	b = append(b, byte(n.w.acked), byte(n.budget))
	in := &n.in
	str(string(in.Phase))
	age((&engine{in: *in}).phaseSince())
	age(in.Began)
	flag(in.Pinned)
	str(in.SourcePin.ServerName + in.SourcePin.StartTime + in.TargetPin.ServerName + in.TargetPin.StartTime)
	rows(in.Highest)
	for i := range in.Sent {
		s := &in.Sent[i]
		str(string(s.Statement.Kind))
		str(string(s.Statement.Side))
		str(string(s.Outcome))
		str(string(s.Answer))
		str(s.ServerName + s.StartTime)
		age(s.At)
		b = append(b, byte(min(s.Tries, maxTries+1)))
		flag(s.EffectSeen.IsZero())
	}
	for _, h := range []HookName{HookQuiesce, HookUnquiesce} {
		st := in.Hooks[h]
		b = append(b, byte(st.Attempts))
		flag(st.OK)
		flag(st.Ended.IsZero())
		age(st.Started)
	}
	b = append(b, byte(min(in.LockTries, maxTries+1)), byte(min(in.MarkTries, maxTries+1)), byte(in.UnmarkTries))
	age(in.LockTriedAt)
	age(in.MarkTriedAt)
	if in.Mark != nil {
		rows(in.Mark.Rows)
		b = append(b, byte(len(in.Mark.Drained)))
	}
	if in.Rest != nil {
		rows(in.Rest.Source)
		rows(in.Rest.Target)
		b = append(b, byte(min(in.Rest.Count, 3)))
		age(in.Rest.Last)
	}
	if in.Proof != nil {
		for _, r := range in.Proof.Rows {
			b = append(b, byte(r.TargetHardened.Block), byte(r.TargetEndOfLog.Block))
		}
		age(in.Proof.At)
	}
	flag(in.GoingBack != nil)
	if in.Page != nil {
		str(in.Page.Code)
	}
	str(in.Stuck)
	str(string(in.Outcome))
	age(in.SourceUnread)
	age(in.TargetUnread)
	age(in.WriteUnavailableFrom)
	flag(in.WriteUnavailableTo.IsZero())
	flag(in.Ended.IsZero())
	str(string(n.first))
	return maphash.Bytes(c.seed, b)
}

// check explores every run of the variant with at most budget faults.
func check(v variant, off rules, budget int8, limit int) *checker {
	w := newWorld()
	w.use = v.use
	c := &checker{p: testPlan(w, v.drill), off: off, limit: limit, seen: map[uint64]struct{}{}, seed: maphash.MakeSeed(), ends: map[Outcome]int{}, pages: map[string]int{}}
	c.hash = c.p.Hash()
	n := node{w: w, in: Begin(c.p, testRun, Arming{By: "op", Generation: 1, PlanHash: c.hash}, nil, t0), now: t0, budget: budget}
	c.visit(&n, "begin")
	return c
}

type variant struct {
	name       string
	use, drill bool
}

var variants = []variant{{"from 2022", true, false}, {"before 2022", false, false}, {"drill", true, true}}

// depth is the number of faults and the bound of states per variant: a few
// seconds under -race by default. CUTOVER_FAULTS=1 is every state with one
// fault anywhere; CUTOVER_FAULTS=2, with CUTOVER_STATES as a bound, is for
// make accept.
func depth() (faults int8, states int) {
	faults, states = 1, 3000
	if n, err := strconv.Atoi(os.Getenv("CUTOVER_FAULTS")); err == nil && n > 0 {
		faults, states = int8(n), 0
	}
	if n, err := strconv.Atoi(os.Getenv("CUTOVER_STATES")); err == nil && n > 0 {
		states = n
	}
	return faults, states
}

func TestModel(t *testing.T) {
	budget, states := depth()
	total := 0
	for _, v := range variants {
		began := time.Now()
		c := check(v, rules{}, budget, states)
		total += len(c.seen)
		t.Logf("%s: %d faults, %d states, %d decisions in %s; ends %v; pages %v", v.name, budget, len(c.seen), c.decides, time.Since(began).Round(time.Millisecond), c.ends, c.pages)
		if c.bad != "" {
			t.Errorf("%s: %s", v.name, c.bad)
		}
	}
	t.Logf("states visited: %d", total)
}
