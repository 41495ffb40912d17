package lab

import (
	"math/rand/v2"
	"slices"
	"sort"
	"time"
)

// RandomOptions bound what [RandomSchedule] may do. The zero value is a minute of trouble with one instance on each side.
type RandomOptions struct {
	Span      time.Duration // faults begin within it; default 1 min
	Longest   time.Duration // no fault lasts longer; default 5 s
	Databases []string      // default db001
	Instances [2]int        // default 1, 1
	// Kinds are the faults to choose from; default all of [RandomKinds] but local-failover.
	Kinds []string
	// Link is what the path between the sides is set back to; default 2 ms, 125 MB/s.
	Latency   time.Duration
	Bandwidth int64
}

// RandomKinds lists the kinds of faults of [RandomSchedule].
//
// On the pair: cut, slow-link, freeze, restart, refuse-logins, client-latency, slow-redo, slow-flush, suspend, open-transaction,
// checkpoint, load, clock, local-failover. To the next statement of a random class: lose-before, lose-after, lose-effect,
// break-first, delay-request, delay-answer, late, before, after, hang, cut-after, error.
func RandomKinds() []string {
	return slices.Sorted(slices.Values(append(pairKinds[:len(pairKinds):len(pairKinds)], statementKinds...)))
}

var (
	pairKinds = []string{"cut", "slow-link", "freeze", "restart", "refuse-logins", "client-latency", "slow-redo", "slow-flush", "suspend", "open-transaction",
		"checkpoint", "load", "clock", "local-failover"}
	statementKinds = []string{"lose-before", "lose-after", "lose-effect", "break-first", "delay-request", "delay-answer", "late", "before", "after", "hang", "cut-after", "error"}
)

// RandomSchedule makes n faults by a seed: the same arguments give the same schedule. Each fault that lasts is ended by a step of
// its own within Longest, and the last step disarms what never happened, so that a lab recovers from all of it: the path is
// whole, both instances run, nothing is suspended, no transaction is left open. What it may change for good are roles, where
// a client's own statements or (if asked for) a local failover change them, and rows of its own, never in dbo.ledger.
// Steps that meet a state in which the command makes no sense are refused without failing the run (MayFail).
func RandomSchedule(seed uint64, n int, o RandomOptions) Schedule {
	if o.Span <= 0 {
		o.Span = time.Minute
	}
	if o.Longest <= 0 {
		o.Longest = 5 * time.Second
	}
	if len(o.Databases) == 0 {
		o.Databases = []string{"db001"}
	}
	for i := range o.Instances {
		o.Instances[i] = max(o.Instances[i], 1)
	}
	if o.Latency <= 0 {
		o.Latency = 2 * time.Millisecond
	}
	if o.Bandwidth <= 0 {
		o.Bandwidth = 125_000_000
	}
	if len(o.Kinds) == 0 {
		o.Kinds = slices.DeleteFunc(RandomKinds(), func(k string) bool { return k == "local-failover" })
	}
	g := &generator{o: o, rng: rand.New(rand.NewPCG(seed, 0x5eed)), busy: map[string]time.Duration{}, s: Schedule{Seed: seed}}
	for range n {
		g.fault()
	}
	end := o.Span + 2*o.Longest
	for _, free := range g.busy {
		end = max(end, free)
	}
	g.add(end, "clear-faults", Args{})
	sort.SliceStable(g.s.Steps, func(a, b int) bool { return g.s.Steps[a].At < g.s.Steps[b].At })
	return g.s
}

type generator struct {
	o    RandomOptions
	rng  *rand.Rand
	s    Schedule
	busy map[string]time.Duration // until when a thing is broken: two faults of the same thing do not end each other
}

func (g *generator) add(at time.Duration, do string, a Args) {
	g.s.Steps = append(g.s.Steps, Step{At: Duration(at.Round(time.Millisecond)), Do: do, With: a, MayFail: true})
}

func (g *generator) upTo(d time.Duration) time.Duration {
	return time.Duration(g.rng.Int64N(max(int64(d), 1)))
}

// lasting plans a fault that is ended again.
func (g *generator) lasting(thing string, begin time.Duration, do string, a Args, undo string, b Args) {
	if free, ok := g.busy[thing]; ok && begin < free {
		begin = free + g.upTo(time.Second)
	}
	end := begin + g.upTo(g.o.Longest-50*time.Millisecond) + 50*time.Millisecond
	g.busy[thing] = end + time.Millisecond
	g.add(begin, do, a)
	g.add(end, undo, b)
}

func (g *generator) fault() {
	kind := g.o.Kinds[g.rng.IntN(len(g.o.Kinds))]
	begin := g.upTo(g.o.Span)
	side := Side(g.rng.IntN(2))
	instance := g.rng.IntN(g.o.Instances[side])
	db := g.o.Databases[g.rng.IntN(len(g.o.Databases))]
	on := Args{Side: side.String(), Instance: instance}
	what := side.String() + string(rune('0'+instance))
	with := func(change func(*Args)) Args { a := on; change(&a); return a }
	off := false
	switch kind {
	case "cut":
		g.lasting("link", begin, "cut", Args{}, "heal", Args{})
	case "slow-link":
		slow := Args{Latency: Duration(20*time.Millisecond + g.upTo(300*time.Millisecond)), Bandwidth: 20_000 + g.rng.Int64N(500_000)}
		g.lasting("speed", begin, "link", slow, "link", Args{Latency: Duration(g.o.Latency), Bandwidth: g.o.Bandwidth})
	case "freeze":
		g.lasting(what, begin, "freeze", on, "unfreeze", on)
	case "restart":
		g.lasting(what, begin, "stop", on, "start", on)
	case "refuse-logins":
		g.lasting("logins "+what, begin, "refuse-logins", on, "refuse-logins", with(func(a *Args) { a.On = &off }))
	case "client-latency":
		g.lasting("latency "+what, begin, "client-latency", with(func(a *Args) { a.Latency = Duration(g.upTo(200 * time.Millisecond)) }), "client-latency", on)
	case "slow-redo":
		g.lasting("redo "+what, begin, "redo", with(func(a *Args) { a.KBps = []int64{-1, 1, 50}[g.rng.IntN(3)] }), "redo", with(func(a *Args) { a.KBps = 50_000 }))
	case "slow-flush":
		g.lasting("flush "+what, begin, "flush", with(func(a *Args) { a.Latency = Duration(g.upTo(300 * time.Millisecond)) }), "flush", with(func(a *Args) { a.Latency = Duration(time.Millisecond) }))
	case "suspend":
		g.lasting("movement", begin, "suspend", with(func(a *Args) { a.Database = db }), "resume", with(func(a *Args) { a.Database = db }))
	case "open-transaction":
		g.lasting("tran "+what+db, begin, "open-transaction", with(func(a *Args) { a.Database, a.Rows = db, float64(g.rng.IntN(4)) }), "end-transaction", on)
	case "checkpoint":
		g.add(begin, "checkpoint", with(func(a *Args) { a.Database = db }))
	case "load":
		g.lasting("load "+db, begin, "load", Args{Database: db, Rows: float64(1 + g.rng.IntN(300)), Bytes: 100 + g.rng.IntN(2000)}, "load", Args{Database: db})
	case "clock":
		g.add(begin, "clock", with(func(a *Args) { a.Offset = Duration(g.upTo(10*time.Second) - 5*time.Second) }))
	case "local-failover":
		g.add(begin, "local-failover", on)
	default:
		g.statement(kind, begin, side)
	}
}

// statement arms a fault for the next statement of a class.
func (g *generator) statement(kind string, begin time.Duration, side Side) {
	f := &Fault{Side: side.String(), Class: []string{"s1", "s2", "s3", "rsstc", "lock", "select"}[g.rng.IntN(6)]}
	alter := func() { f.Class = []string{"s1", "s2", "s3", "rsstc"}[g.rng.IntN(4)] }
	d := Duration(50*time.Millisecond + g.upTo(g.o.Longest-50*time.Millisecond))
	switch kind {
	case "lose-before":
		f.LoseAnswer = "before"
	case "lose-after":
		f.LoseAnswer, f.Reset = "after", g.rng.IntN(2) == 0
	case "lose-effect":
		alter()
		f.LoseAnswer = "effect"
	case "break-first":
		f.BreakFirst, f.DelayRequest = true, d
	case "delay-request":
		f.DelayRequest = d
	case "delay-answer":
		f.DelayAnswer = d
	case "late":
		alter()
		f.Late = d
	case "before":
		alter()
		f.Before = d
	case "after":
		alter()
		f.After = d
	case "hang":
		f.LoseAnswer, f.Hang = "after", true
	case "cut-after":
		f.CutAfter = 1 + g.rng.IntN(60)
	case "error":
		alter()
		f.Error = []int32{41138, 41131, 41190, 1205}[g.rng.IntN(4)]
	default:
		return
	}
	g.add(begin, "fault", Args{Fault: f})
}
