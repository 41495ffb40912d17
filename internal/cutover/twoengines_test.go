package cutover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// two is one pair of servers with two complete engines on it: two webhooks,
// each with its own journal, run id and arming of the same plan. A round of
// theirs has three steps, and the other engine's steps may come between any two:
//
//	1  the first reading
//	2  the second reading, Decide, the intent journalled (nothing of which any
//	   server or the other engine sees)
//	3  the act, Record, journalled again
//
// An application lock belongs to a session of one of them; a run id stands in
// master until its run drops it, or the side fails over to another instance.
// Both have one round between two ticks of the clock, in any order; one that is
// paused has none until it goes on where it was.
type two struct {
	w      world
	lock   [2]int8 // who holds the lock in master of a side: 0 nobody, 1+engine
	late   [4]lateOf
	lates  int8
	e      [2]party
	now    time.Time
	budget int8
	s3     [2]bool // an S3 was let through there, and no S2 that landed since makes it history
}

// lateOf is a statement that was let through and lands later.
type lateOf struct {
	simLate
	by int8
}

// party is one engine: what is in its journal, and what its process knows.
type party struct {
	in      Intent
	step    int8 // the steps of its round that are over: 0 to 2
	ran     bool // it has begun a round since the last tick
	unarmed bool
	paused  bool
	resumed bool
	rb      bool // somebody asked its webhook for a rollback
	had     [2]bool
	first   hadr.Side
	o       *Observation
	saw     uint64 // what its first reading shows
	d       *Decision
	at      time.Time // when it decided
}

// over: nothing that it does touches a server any more. It started the one run
// that it was armed for, or it only reads.
func (p *party) over() bool { return !p.in.Ended.IsZero() || p.in.Stuck == PageOtherRun }

// paged: a human was called, and nothing has made the call needless.
func (p *party) paged() bool {
	k := len(p.in.Pages)
	return p.in.Page != nil || p.in.Stuck != "" || k > 0 && p.in.Pages[k-1].Until.IsZero()
}

// left is how it is over.
func (p *party) left() string {
	if p.in.Ended.IsZero() {
		return p.in.Stuck
	}
	return string(p.in.Outcome)
}

// waits: it has nothing to do before the next tick.
func (p *party) waits() bool { return p.over() || p.unarmed || p.paused || p.step == 0 && p.ran }

// switches take something away from the world, as rules does from the engine.
type switches struct {
	off    rules
	noRun  bool     // guards do not ask for the run id
	noLock bool     // guards do not ask for the lock
	only   []string // faults and outcomes whose name has one of these in it; nil: all
	keeps  bool     // an engine that only reads keeps its locks, as it once did
}

// has reports that the fault, or the outcome that costs one, may come.
func (s *switches) has(name string) bool {
	return s.only == nil || slices.ContainsFunc(s.only, func(part string) bool { return strings.Contains(name, part) })
}

// alike: whatever may happen to one engine may happen to the other.
func (s *switches) alike() bool {
	return !slices.ContainsFunc(s.only, func(part string) bool { return strings.HasPrefix(part, "A ") || strings.HasPrefix(part, "B ") })
}

var engineName = [2]string{"A", "B"}

// pair searches the interleavings of two engines; what it has in common with
// the search of one comes from checker.
type pair struct {
	checker
	sw     switches
	firsts *[]rootOfTwo // not nil: the first fault ends a path, which goes here
	whole  int8
	todo   *queue
	met    map[string]int
	said   string // what came of the last act in spite of its outcome: "refused"
}

type rootOfTwo struct {
	n    two
	path []string
}

func newTwo(budget int8) two {
	w := newWorld()
	return two{w: w, now: t0, budget: budget, e: [2]party{1: {unarmed: true}}}
}

// view is the world as the guards see it for engine e: its own lock and run id
// are "ours".
func (n *two) view(e int) world {
	w := n.w
	for i := range w.s {
		w.s[i].lock = n.lock[i] == int8(e)+1
		switch w.s[i].marker {
		case 0:
		case int8(e) + 1:
			w.s[i].marker = 1
		default:
			w.s[i].marker = 2
		}
	}
	return w
}

// look adds what engine e sees of a side. Run ids are read as they stand; a
// lock that its session had and has no more is lost.
func (n *two) look(e int, o *Observation, s hadr.Side, at time.Time) {
	i := idx(s)
	n.w.s[i].lock = n.lock[i] == int8(e)+1
	n.w.look(o, s, at)
	n.w.s[i].lock = false
	so := &o.Target
	if s == hadr.Source {
		so = &o.Source
	}
	if so.Lock == LockNone && n.e[e].had[i] {
		so.Lock = LockLost
	}
}

// read is the first step of a round.
func (c *pair) read(n *two, e int) {
	p := &n.e[e]
	out := outsideOf(c.hash, n.now)
	if p.rb {
		rollback(n.now, &out)
	}
	o := Observation{Began: n.now, Outside: out, Resumed: p.resumed}
	if p.first == "" {
		p.first = hadr.Source
	}
	n.look(e, &o, p.first, n.now)
	p.o, p.step, p.ran, p.saw = &o, 1, true, c.shows(n, e, p.first)
}

// decides2 is the second step: it ends the round where there is nothing to do.
func (c *pair) decides2(n *two, e int) (bad []string) {
	p := &n.e[e]
	o := *p.o
	n.look(e, &o, p.first.Other(), n.now.Add(20*time.Millisecond))
	now := n.now.Add(50 * time.Millisecond)
	c.decides++
	d := decide(c.off, &c.p, c.hash, p.in, &o, now)
	bad = slices.DeleteFunc(checkSend(&c.p, p.in, &o, d), boundInTime)
	p.in, p.first, p.resumed, p.o, p.saw = d.Intent, d.Want.First, false, nil, 0
	d.Intent, d.Verdicts = Intent{}, nil // they are in the journal; the act needs neither
	p.step, p.d, p.at = 2, &d, now
	switch {
	case d.Action == ActionFinish:
		bad = append(bad, n.ends(e)...)
		p.step, p.d = 0, nil
	case d.Action == ActionWait, d.Action == ActionPage:
		p.step, p.d = 0, nil
	}
	if !c.sw.keeps && p.over() {
		n.letGo(e)
	}
	return bad
}

// boundInTime is what checkSend says of an engine that took too long. One that
// was paused did; TestModel holds the others to it.
func boundInTime(s string) bool {
	return s == "the budget is over and nothing happens" || strings.HasPrefix(s, "RSSTC=1 stands longer than require_exposure")
}

// ends is what the runner does when a run is over: it drops the run id where it
// can, lets go of its locks, and starts no second run.
func (n *two) ends(e int) []string {
	w := n.view(e)
	for _, l := range n.late[:n.lates] {
		if l.by == int8(e) {
			w.late[w.lates] = l.simLate
			w.lates++
		}
	}
	bad := checkEnd(&w, n.e[e].in)
	if in, other := &n.e[e].in, &n.e[1-e].in; other.Active() && !mayBeSent(in, RequireSecondary, hadr.Source) && !mayBeSent(in, Demote, hadr.Source) {
		// It has touched nothing, and the other one is at work since it looked.
		bad = slices.DeleteFunc(bad, func(s string) bool {
			return strings.HasSuffix(s, ", and the source is not PRIMARY") || strings.HasSuffix(s, ", and RSSTC=1 stands on the source")
		})
	}
	n.sweep(e)
	n.letGo(e)
	return bad
}

func (n *two) letGo(e int) {
	for i := range n.lock {
		if n.lock[i] == int8(e)+1 {
			n.lock[i] = 0
		}
		n.e[e].had[i] = false
	}
}

// sweep drops what a run that is over left in master, behind the lock.
func (n *two) sweep(e int) (did bool) {
	for i := range n.lock {
		if s := &n.w.s[i]; s.marker == int8(e)+1 && !s.down && (n.lock[i] == 0 || n.lock[i] == int8(e)+1) {
			s.marker, did = 0, true
		}
	}
	return did
}

// crash takes the process and its sessions; its journal is what it was.
func (n *two) crash(e int) {
	n.letGo(e)
	p := &n.e[e]
	p.step, p.o, p.d, p.saw, p.first, p.resumed = 0, nil, nil, 0, "", true
}

// act is the third step, with this outcome.
func (c *pair) act(n *two, e int, x outcome) (bad []string) {
	p := &n.e[e]
	d := *p.d
	i := idx(d.Side)
	s := &n.w.s[i]
	mine := int8(e) + 1
	p.step, p.d = 0, nil
	res := Result{Action: d.Action, Side: d.Side, Statement: d.Statement, Hook: d.Hook, Answer: x.answer, ReturnedAt: n.now}
	c.said = ""
	no := func() {
		if res.Answer == AnswerAccepted {
			res.Answer = AnswerRefused
		}
	}
	switch d.Action {
	case ActionStart:
		if p.in = Begin(c.p, [2]string{testRun, "run-of-another"}[e], Arming{By: "op", Generation: 1, PlanHash: c.hash}, nil, n.now); x.crash > 0 {
			n.crash(e)
		}
		return nil
	case ActionLock:
		if x.now && !s.down && n.lock[i] == 0 {
			n.lock[i], p.had[i] = mine, true
		} else {
			no()
		}
	case ActionMark:
		if x.now && !s.down && n.lock[i] == mine && (s.marker == 0 || s.marker == mine || c.off.ignoreOtherRun) {
			s.marker = mine
		} else {
			no()
		}
	case ActionUnmark:
		if x.now && !s.down && n.lock[i] == mine && s.marker == mine {
			s.marker = 0
		} else {
			no()
		}
	case ActionHook:
		if x.now {
			n.w.quiet = d.Hook == HookQuiesce
		}
	case ActionExecute:
		bad = c.execute(n, e, &d, x, &res)
	}
	if res.Answer != x.answer {
		c.said = cmp.Or(string(res.Answer), "no answer")
	}
	if x.crash > 0 {
		n.crash(e)
		return bad
	}
	p.in = Record(p.in, res, n.now)
	return bad
}

func (c *pair) execute(n *two, e int, d *Decision, x outcome, res *Result) (bad []string) {
	i, k := idx(d.Side), d.Statement.Kind
	w := n.view(e)
	for j := range w.s {
		if c.sw.noRun {
			w.s[j].marker = 1
		}
		if c.sw.noLock {
			w.s[j].lock = true
		}
	}
	switch {
	case (k == Demote || k == Promote) && n.now.Sub(n.e[e].at) > 2*time.Second:
		res.Answer = AnswerRefused // the runner: too old to act on
		return nil
	case n.w.s[i].down && d.Guard.WithoutLock:
		if res.Answer = AnswerBusy; !x.now {
			res.Answer = AnswerUnknown
		}
		return nil
	case n.w.s[i].down:
		res.Answer = AnswerUnknown
		return nil
	case w.guarded(d.Statement, d.Guard) != "":
		if res.Answer != AnswerUnknown || x.now {
			res.Answer = AnswerGuardRefused
		}
		return nil
	case !x.late && !x.now:
		return nil
	}
	mine := int8(e) + 1
	if !d.Guard.WithoutLock && (n.lock[i] != mine || n.w.s[i].marker != mine) {
		bad = append(bad, fmt.Sprintf("%s of %s was let through on the %s, and the lock is of %s, the run id of %s", k, engineName[e], d.Side, whose(n.lock[i]), whose(n.w.s[i].marker)))
	}
	if k == Promote {
		if n.s3[1-i] {
			bad = append(bad, "S3 on both sides")
		}
		n.s3[i] = true
	}
	if x.late && int(n.lates) < len(n.late) {
		n.late[n.lates] = lateOf{simLate{k, i, n.w.s[i].server, 3}, int8(e)}
		n.lates++
		return bad
	}
	n.land(k, i)
	return bad
}

func whose(m int8) string {
	if m == 0 {
		return "nobody"
	}
	return engineName[m-1]
}

func (n *two) land(k Kind, i int8) {
	n.w.land(k, i)
	if k == Demote && !slices.ContainsFunc(n.late[:n.lates], func(l lateOf) bool { return l.kind == Promote && l.side == i }) {
		n.s3[i] = false
	}
}

func (n *two) landLate(j int8) {
	l := n.late[j]
	copy(n.late[j:], n.late[j+1:n.lates])
	n.lates--
	n.late[n.lates] = lateOf{}
	if !n.w.s[l.side].down && n.w.s[l.side].server == l.on {
		n.land(l.kind, l.side)
	}
}

// tick is the time between two rounds of both.
func (n *two) tick() {
	n.now = n.now.Add(tick)
	for j := int8(0); j < n.lates; {
		if n.late[j].left--; n.late[j].left <= 0 {
			n.landLate(j)
			continue
		}
		j++
	}
	n.w.tick()
	n.e[0].ran, n.e[1].ran = false, false
}
