package cutover

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// worldIsWrong is what no order of steps may lead to.
func worldIsWrong(w *world) (bad []string) {
	if w.two {
		bad = append(bad, "two primaries by our doing")
	}
	if w.lost {
		bad = append(bad, "a commit that a client was told about is lost")
	}
	return bad
}

// stopped: a violation was found, or the bound of the whole search is reached.
func (c *pair) stopped() bool {
	return c.sp.bad.Load() != nil || c.sp.limit > 0 && c.sp.count.Load() >= c.sp.limit
}

func (c *pair) visit(n *two, label string, bad []string) {
	if c.stopped() {
		return
	}
	c.path = append(c.path, label)
	defer func() { c.path = c.path[:len(c.path)-1] }()
	if bad = append(bad, worldIsWrong(&n.w)...); len(bad) > 0 {
		c.fail(bad...)
		return
	}
	if c.firsts != nil && n.budget < c.whole {
		*c.firsts = append(*c.firsts, rootOfTwo{*n, slices.Clone(c.path)})
		return
	}
	k := c.keyOfTwo(n)
	if c.quota <= 0 { // its turn comes again
		if !c.sp.seen.has(k) {
			c.todo.put(rootOfTwo{*n, slices.Clone(c.path)})
		}
		return
	}
	if !c.sp.seen.add(k) {
		return
	}
	c.sp.count.Add(1)
	c.quota--
	if n.e[0].over() && n.e[1].over() {
		c.met[n.e[0].left()+" / "+n.e[1].left()]++
	}
	if n.budget == 0 && n.e[0].step == 0 && n.e[1].step == 0 {
		c.healed(n)
	}
	if len(c.path) > pathLimit*2 {
		c.cut++
		return
	}
	c.next(n)
}

// next goes on with everything that may come next.
func (c *pair) next(n *two) {
	for e := range n.e {
		p := &n.e[e]
		if p.waits() {
			continue
		}
		who := engineName[e]
		switch p.step {
		case 0:
			m := *n
			c.read(&m, e)
			c.visit(&m, who+" reads the "+string(m.e[e].first), nil)
		case 1:
			m := *n
			bad := c.decides2(&m, e)
			c.visit(&m, c.told(n, &m, e), bad)
		case 2:
			for _, x := range outcomes {
				if x.cost > n.budget || x.cost > 0 && !c.sw.has(x.name) || x.crash == 1 || x.crash == 2 || p.d.Action != ActionExecute && (x.late || x.answer == AnswerBusy || x.answer == AnswerRefused) {
					continue
				}
				m := *n
				m.budget -= x.cost
				what := describe(*p.d)
				bad := c.act(&m, e, x)
				answer := x.name
				if c.said != "" {
					answer += ", but " + c.said
				}
				c.visit(&m, who+": "+what+": "+answer, bad)
			}
		}
	}
	for j := range n.lates {
		m := *n
		l := m.late[j]
		m.landLate(j)
		c.visit(&m, fmt.Sprintf("%s of %s lands on side %d", l.kind, engineName[l.by], l.side), nil)
	}
	for i := range faultsOfTwo {
		if f := &faultsOfTwo[i]; f.cost <= n.budget && (f.cost == 0 || c.sw.has(f.name)) && f.when(n) {
			m := *n
			m.budget -= f.cost
			f.do(&m)
			c.visit(&m, f.name, nil)
		}
	}
	if n.e[0].waits() && n.e[1].waits() {
		if n.e[0].over() && (n.e[1].over() || n.e[1].unarmed) && n.lates == 0 {
			c.atRest(n)
			return
		}
		m := *n
		m.tick()
		c.visit(&m, "tick", nil)
	}
}

// told is a line of the trace.
func (c *pair) told(n, m *two, e int) string {
	p := &m.e[e]
	what := "waits"
	switch {
	case p.d != nil:
		what = "decides " + describe(*p.d)
	case p.in.Page != nil:
		what = "pages " + p.in.Page.Code
	case !p.in.Ended.IsZero():
		what = "ends as " + string(p.in.Outcome)
	}
	return fmt.Sprintf("%s reads the %s, %s (%s)", engineName[e], n.e[e].first.Other(), what, p.in.Phase)
}

// atRest: nothing happens any more. If nobody was called, one side is PRIMARY
// and takes commits.
func (c *pair) atRest(n *two) {
	if n.e[0].paged() || n.e[1].paged() {
		return
	}
	var primaries int
	for _, s := range n.w.s {
		if s.role == hadr.RolePrimary {
			primaries++
			if s.rsstc != 0 {
				c.fail("at rest without a page, and RSSTC=1 stands on a side that is PRIMARY")
			}
		}
	}
	if primaries != 1 {
		c.fail(fmt.Sprintf("at rest without a page, and %d sides are PRIMARY", primaries))
	}
}

// healed: once faults stop, each engine has its end, or a page that stands, or
// no run. The healed run is a single path: a state that comes twice comes for ever.
func (c *pair) healed(n *two) {
	m := *n
	m.w.link, m.budget = true, 0
	for i := range m.w.s {
		m.w.s[i].down = false
	}
	for j := range m.lates {
		m.late[j].left = 1
	}
	m.e[0].paused, m.e[1].paused = false, false
	var way []uint64
	var bad []string
	for {
		k := c.keyOfTwo(&m)
		if c.sp.good.has(k) {
			break
		}
		still := slices.Contains(way, k)
		if still || m.e[0].over() && m.e[1].over() && m.lates == 0 {
			for e := range m.e {
				if p := &m.e[e]; p.in.Active() && !p.paged() {
					c.fail(fmt.Sprintf("faults have stopped, nothing changes any more, and %s has neither an end nor a page: phase %s", engineName[e], p.in.Phase))
					return
				}
				if p := &m.e[e]; p.in.Stuck == PageOtherRun && m.e[1-e].paged() && (m.lock[0] == int8(e)+1 || m.lock[1] == int8(e)+1) {
					c.fail(fmt.Sprintf("%s only reads, and keeps a lock from one that has a page", engineName[e]))
					return
				}
			}
			c.atRest(&m)
			break
		}
		if way = append(way, k); len(way) > 1000 {
			c.fail("faults have stopped, and in 1000 rounds there was neither an end nor a standstill")
			return
		}
		for e := range m.e {
			p := &m.e[e]
			for !p.waits() && len(bad) == 0 {
				bad = c.oneStep(&m, e)
			}
			if !p.in.Ended.IsZero() {
				m.sweep(e)
			}
		}
		m.tick()
		if bad = append(bad, worldIsWrong(&m.w)...); len(bad) > 0 {
			c.fail(append(bad, "(in the healed run)")...)
			return
		}
	}
	for _, k := range way {
		c.sp.good.add(k)
	}
}

// oneStep is the next step of an engine's round, with nothing wrong.
func (c *pair) oneStep(n *two, e int) (bad []string) {
	switch n.e[e].step {
	case 0:
		c.read(n, e)
	case 1:
		bad = c.decides2(n, e)
	case 2:
		bad = c.act(n, e, outcomes[0])
	}
	return bad
}

// resultOfTwo of a search of two engines.
type resultOfTwo struct {
	bad                         string
	states, first, decides, cut int
	bounded                     bool
	met                         map[string]int // states in which both engines are over, by how
}

func (r resultOfTwo) String() string {
	how := "complete"
	if r.bounded {
		how = "bounded"
	}
	return fmt.Sprintf("%d states (%s, %d ways to a first fault, %d paths cut), %d decisions; both over: %v", r.states, how, r.first, r.cut, r.decides, r.met)
}

// queue holds what is still to be gone into, taken in random order, so that a
// bounded search sees something of every first fault.
type queue struct {
	mu    sync.Mutex
	items []rootOfTwo
	busy  int
	rnd   *rand.Rand
	lost  bool // something was thrown out again: the search is not complete
}

// queued bounds what put adds, and with it the memory of a bounded search.
const queued = 20_000

func (q *queue) put(r rootOfTwo) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.items); n >= queued {
		q.items[q.rnd.IntN(n)], q.lost = r, true
		return
	}
	q.items = append(q.items, r)
}

// take gives the next item, and how many are left; false when there is none,
// and nobody at work who may put one.
func (q *queue) take() (rootOfTwo, int, bool) {
	for {
		q.mu.Lock()
		if n := len(q.items); n > 0 {
			i := q.rnd.IntN(n)
			r := q.items[i]
			q.items[i], q.items = q.items[n-1], q.items[:n-1]
			q.busy++
			q.mu.Unlock()
			return r, n - 1, true
		}
		idle := q.busy == 0
		q.mu.Unlock()
		if idle {
			return rootOfTwo{}, 0, false
		}
		runtime.Gosched()
	}
}

func (q *queue) finished() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
}

// checkTwo explores what two engines do to one pair of servers with at most
// budget faults: all of it, or as many states as limit allows.
func checkTwo(sw switches, budget int8, limit int) resultOfTwo {
	p := plain.plan()
	sp := &space{seed: maphash.MakeSeed(), limit: int64(limit)}
	v := plain
	walker := func() *pair {
		return &pair{checker: checker{v: &v, p: p, hash: p.Hash(), off: sw.off, sp: sp, quota: math.MaxInt64, ends: map[Outcome]int{}, pages: map[string]int{}}, sw: sw, whole: budget, met: map[string]int{}}
	}
	res := resultOfTwo{met: map[string]int{}}
	var mu sync.Mutex
	done := func(c *pair) {
		mu.Lock()
		defer mu.Unlock()
		res.decides += c.decides
		res.cut += c.cut
		for k, n := range c.met {
			res.met[k] += n
		}
	}
	var roots []rootOfTwo
	c := walker()
	c.firsts = &roots
	n := newTwo(budget)
	c.visit(&n, "begin", nil)
	done(c)
	res.first = len(roots)
	q := &queue{items: roots, rnd: rand.New(rand.NewPCG(1, 2))}
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			c := walker()
			c.todo = q
			defer done(c)
			for {
				r, left, ok := q.take()
				if !ok {
					return
				}
				if c.quota = math.MaxInt64; limit > 0 {
					c.quota = max(20, (int64(limit)-sp.count.Load())/int64(left+1))
				}
				c.path = append(c.path[:0], r.path[:len(r.path)-1]...)
				c.visit(&r.n, r.path[len(r.path)-1], nil) // returns at once when all is over
				q.finished()
			}
		})
	}
	wg.Wait()
	if b := sp.bad.Load(); b != nil {
		res.bad = *b
	}
	res.states = int(sp.count.Load())
	res.bounded = q.lost || limit > 0 && res.states >= limit
	return res
}
