package cutover

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
//
// The search is depth first, and bounded by a number of states where there
// are more than time for. A bounded depth-first search sees only faults near
// the end of the run, so the first faults are collected before anything else,
// and each gets its share of the bound: see search.
type checker struct {
	v       *variant
	p       Plan
	hash    string
	off     rules
	sp      *space
	path    []string
	roots   *[]root // not nil: the first fault ends a path, which goes here
	quota   int64   // states that this walker may still add
	ends    map[Outcome]int
	pages   map[string]int
	decides int
	cut     int // paths cut at pathLimit that were still on their way to an end
	buf     []byte
}

// root is the state after the first fault of a run, and how it was reached.
type root struct {
	n    node
	path []string
}

// pathLimit bounds the recursion, two entries a round. A path that long is cut
// and proves nothing by its length: what tells "still on its way" from "no
// end" is healed.
const pathLimit = 500

type node struct {
	w      world
	in     Intent
	now    time.Time
	held   bool
	rb     bool
	quiet  bool // the alert is resolved, its lease gone
	off    bool // disarmed
	first  hadr.Side
	budget int8
	whole  int8 // the budget at the start
}

func (n *node) fork() node { return *n } // Decide and Record copy the intent themselves

func (c *checker) stopped() bool {
	return c.sp.bad.Load() != nil || c.quota <= 0 || c.sp.limit > 0 && c.sp.count.Load() >= c.sp.limit
}

func (c *checker) visit(n *node, label string) {
	if c.stopped() {
		return
	}
	c.path = append(c.path, label)
	defer func() { c.path = c.path[:len(c.path)-1] }()
	if bad := checkEnd(&n.w, n.in); len(bad) > 0 {
		c.fail(bad...)
		return
	}
	if c.roots != nil && n.budget < n.whole {
		*c.roots = append(*c.roots, root{*n, slices.Clone(c.path)})
		return
	}
	if !c.sp.seen.add(c.key(n)) {
		return
	}
	c.sp.count.Add(1)
	c.quota--
	if !n.in.Ended.IsZero() {
		c.ends[n.in.Outcome]++
		c.linger(n)
		return
	}
	if n.budget == 0 || len(c.path) > pathLimit {
		c.healed(n)
	}
	if len(c.path) > pathLimit {
		c.cut++
		return
	}
	c.round(n)
}

func (c *checker) fail(bad ...string) {
	s := strings.Join(bad, "; ") + "\n  " + strings.Join(c.path, "\n  ")
	c.sp.bad.CompareAndSwap(nil, &s)
}

// linger: after the end everything that may still land lands.
func (c *checker) linger(n *node) {
	m := n.fork()
	m.w.hang = false
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
// human is to do. The healed run is a single path, so a state that comes twice
// comes for ever: that, and nothing else, is "no end".
func (c *checker) healed(n *node) {
	m := n.fork()
	m.w.link, m.held, m.quiet, m.budget = true, false, false, 0
	for i := range m.w.s {
		m.w.s[i].down, m.w.s[i].zero = false, false
		if m.w.s[i].role == hadr.RoleResolving {
			m.w.s[i].role = hadr.RoleSecondary
		}
	}
	m.w.open, m.w.untold = false, false
	for i := range m.w.lates {
		m.w.late[i].left = 1
	}
	var way []uint64
	for {
		if !m.in.Ended.IsZero() || m.in.Stuck != "" && !m.owes() {
			if m.in.Stuck != "" {
				c.pages[m.in.Stuck]++
			}
			if bad := checkEnd(&m.w, m.in); len(bad) > 0 {
				c.fail(append(bad, "(in the healed run)")...)
			}
			break
		}
		k := c.key(&m)
		if c.sp.good.has(k) {
			break
		}
		if slices.Contains(way, k) {
			if m.owes() {
				c.fail("faults have stopped, nothing changes any more, a page stands, and RSSTC=1 of ours on a source that is PRIMARY")
				return
			}
			if m.in.Page != nil {
				c.pages[m.in.Page.Code]++
				break
			}
			c.fail(fmt.Sprintf("faults have stopped, nothing changes any more, and there is neither an end nor a page: phase %s", m.in.Phase))
			return
		}
		if way = append(way, k); len(way) > 1000 {
			c.fail(fmt.Sprintf("faults have stopped, and in 1000 rounds there was neither an end nor a standstill: phase %s", m.in.Phase))
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
	for _, k := range way {
		c.sp.good.add(k)
	}
}

// owes reports the duty of rule 8 under a page that ended our acting. Under
// another engine's run id it may be that one's by now.
func (n *node) owes() bool {
	return n.in.Stuck != "" && n.in.Stuck != PageOtherRun && n.w.s[0].rsstc == 1 && n.w.s[0].role == hadr.RolePrimary && mayBeSent(&n.in, RequireSecondary, hadr.Source)
}

func (c *checker) observe(n *node, between *fault) Observation {
	out := outsideOf(c.hash, n.now)
	if n.held {
		held(n.now, &out)
	}
	if n.rb {
		rollback(n.now, &out)
	}
	if n.quiet {
		out.LeaseUntil = time.Time{}
	}
	if n.off {
		out.Armed = nil
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

func (c *checker) round(n *node) {
	base := n.fork()
	base.now = base.now.Add(tick)
	base.w.tick()
	// What was sent late may land before this round.
	for i := range base.w.lates {
		m := base.fork()
		l := m.w.late[i]
		if m.w.hangs(l.side) {
			continue
		}
		m.w.landLate(i)
		c.rest(&m, fmt.Sprintf("%s lands on side %d", l.kind, l.side), nil)
	}
	c.rest(&base, "", nil)
	for i := range faults {
		f := &faults[i]
		if f.cost > base.budget || f.cost > 0 && !c.v.has(f.name) {
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
	if c.stopped() {
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
	if sends(Demote, hadr.Source)(d) && between == nil && n.w.s[1].log < n.w.quiesced {
		c.fail("S2 while the target lacks some of what the source had when the writers had stopped")
		return
	}
	for j, x := range outcomes {
		if x.cost > n.budget || j > 0 && d.Action == ActionWait && x.crash != 2 || j > 0 && (d.Action == ActionPage || d.Action == ActionFinish) && x.crash == 0 {
			continue
		}
		if x.cost > 0 && !c.v.comes(x, d.Statement.Kind) {
			continue
		}
		if d.Action != ActionExecute && (x.late || x.answer == AnswerBusy) {
			continue
		}
		m := n.fork()
		m.budget -= x.cost
		if x.crash != 1 && (!c.off.forgetIntent || x.crash != 3) {
			m.in = d.Intent
		}
		c.apply(&m, d, x)
		c.visit(&m, x.name)
	}
	// Between decision and act.
	if label == "" && (d.Action == ActionExecute || d.Action == ActionHook) {
		for i := range faults {
			if f := &faults[i]; f.cost > 0 && f.cost <= n.budget && c.v.has(f.name) && f.when(n) && !strings.Contains(f.name, "DBA") {
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

// result of a search.
type result struct {
	bad     string // first violation, with its trace; "" = clean
	states  int
	first   int // distinct ways to the first fault
	decides int
	cut     int
	bounded bool // the bound of states was reached: not every state was seen
	ends    map[Outcome]int
	pages   map[string]int
}

func (r result) String() string {
	how := "complete"
	if r.bounded {
		how = "bounded"
	}
	return fmt.Sprintf("%d states (%s, %d first faults, %d paths cut), %d decisions; ends %v; pages %v", r.states, how, r.first, r.cut, r.decides, r.ends, r.pages)
}

// check explores the runs of the variant with at most budget faults, all of
// them or as many states as limit allows.
func check(v variant, off rules, budget int8, limit int) result {
	w, p := v.world(), v.plan()
	sp := &space{seed: maphash.MakeSeed(), limit: int64(limit)}
	res := result{ends: map[Outcome]int{}, pages: map[string]int{}}
	walker := func() *checker {
		return &checker{v: &v, p: p, hash: p.Hash(), off: off, sp: sp, quota: math.MaxInt64, ends: map[Outcome]int{}, pages: map[string]int{}}
	}
	var mu sync.Mutex
	done := func(c *checker) {
		mu.Lock()
		defer mu.Unlock()
		for k, n := range c.ends {
			res.ends[k] += n
		}
		for k, n := range c.pages {
			res.pages[k] += n
		}
		res.decides += c.decides
		res.cut += c.cut
	}
	// The run without a fault, and every first fault in it.
	var roots []root
	c := walker()
	c.roots = &roots
	n := node{w: w, in: Begin(c.p, testRun, Arming{By: "op", Generation: 1, PlanHash: c.hash}, nil, t0), now: t0, budget: budget, whole: budget}
	c.visit(&n, "begin")
	done(c)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(roots), func(i, j int) { roots[i], roots[j] = roots[j], roots[i] })
	res.first = len(roots)
	// Every one of them gets its share of what is left of the bound; what one
	// does not need is the others'.
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			c := walker()
			defer done(c)
			for {
				i := next.Add(1) - 1
				if i >= int64(len(roots)) {
					return
				}
				if c.quota = math.MaxInt64; limit > 0 {
					c.quota = (int64(limit)-sp.count.Load())/(int64(len(roots))-i) + 1
				}
				r := roots[i]
				c.path = append(c.path[:0], r.path[:len(r.path)-1]...)
				c.visit(&r.n, r.path[len(r.path)-1])
				if c.quota <= 0 {
					mu.Lock()
					res.bounded = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if b := sp.bad.Load(); b != nil {
		res.bad = *b
	}
	res.states = int(sp.count.Load())
	res.bounded = res.bounded || limit > 0 && res.states >= limit
	return res
}

// depth is the number of faults and the bound of states per variant: every
// state with one fault anywhere by default. Two faults are make accept's;
// CUTOVER_FAULTS, with CUTOVER_STATES as a bound, is for more.
func depth() (faults int8, states int) {
	faults = 1
	if n, err := strconv.Atoi(os.Getenv("CUTOVER_FAULTS")); err == nil && n > 0 {
		faults = int8(n)
	}
	if n, err := strconv.Atoi(os.Getenv("CUTOVER_STATES")); err == nil && n > 0 {
		states = n
	}
	return faults, states
}

func TestModel(t *testing.T) {
	budget, limit := depth()
	total := 0
	for _, v := range variants {
		began := time.Now()
		r := check(v, rules{}, budget, limit)
		total += r.states
		t.Logf("%s, %d faults, %s: %s", v.name, budget, time.Since(began).Round(time.Millisecond), r)
		if r.bad != "" {
			t.Errorf("%s: %s", v.name, r.bad)
		}
	}
	t.Logf("states visited: %d", total)
}
