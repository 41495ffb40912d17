package cutover

import "github.com/dag-exporter/dag_exporter/internal/hadr"

// fault is one thing that the environment may do.
type fault struct {
	name string
	cost int8
	when func(n *node) bool
	do   func(n *node)
}

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
	{"source restarts", 1, func(n *node) bool { return n.w.s[0].start == 1 }, func(n *node) { n.w.restart(0) }},
	{"target restarts", 1, func(n *node) bool { return n.w.s[1].start == 1 }, func(n *node) { n.w.restart(1) }},
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
	{"the alert is resolved", 1, func(n *node) bool { return !n.quiet }, func(n *node) { n.quiet = true }},
	{"the alert fires again", 0, func(n *node) bool { return n.quiet }, func(n *node) { n.quiet = false }},
	{"disarmed", 1, func(n *node) bool { return !n.off }, func(n *node) { n.off = true }},
	{"another engine writes its run id", 1, func(n *node) bool { return n.w.s[1].marker < 2 && !n.w.s[1].lock }, func(n *node) { n.w.s[1].marker = 2 }},
	{"a DBA sends S2", 1, func(n *node) bool { return n.w.s[0].role == hadr.RolePrimary }, func(n *node) { n.w.dba = true; n.w.land(Demote, 0) }},
	{"a DBA sends S3 to the source", 1, func(n *node) bool { return n.w.s[0].role == hadr.RoleSecondary }, func(n *node) { n.w.dba = true; n.w.land(Promote, 0) }},
	{"a DBA sets RSSTC=0 on the source", 1, func(n *node) bool { return n.w.s[0].rsstc == 1 }, func(n *node) { n.w.land(ReleaseSecondary, 0) }},
	{"a DBA sets RSSTC=1 on the source", 1, func(n *node) bool { return n.w.use && n.w.s[0].rsstc == 0 }, func(n *node) { n.w.dba = true; n.w.land(RequireSecondary, 0) }},
	{"a DBA sends S3 to the target", 1, func(n *node) bool { return n.w.s[1].role == hadr.RoleSecondary }, func(n *node) { n.w.dba = true; n.w.land(Promote, 1) }},
	// These come only in the worlds that name them.
	{slips, 1, func(n *node) bool { return n.w.link && !n.w.quiet && n.w.acked < 6 }, func(n *node) { n.w.link = false; n.w.write() }},
	{burst, 1, func(n *node) bool { return !n.w.quiet && n.w.acked < 4 }, func(n *node) {
		for range 3 {
			n.w.write()
		}
	}},
	{wakes, 1, func(n *node) bool { return n.w.s[0].start == 1 && n.hasShown() }, func(n *node) { n.w.restart(0); n.w.s[0].stale = -1 }},
	{hangs, 1, func(n *node) bool { return n.w.lates > 0 && !n.w.s[0].down }, func(n *node) { n.w.s[0].down = true }},
	{untold, 1, func(n *node) bool { return !n.w.untold }, func(n *node) { n.w.untold = true }},
	{"the open transactions are shown again", 0, func(n *node) bool { return n.w.untold }, func(n *node) { n.w.untold = false }},
	{noHard, 1, func(n *node) bool { return !n.w.noHard }, func(n *node) { n.w.noHard = true }},
	{cached, 1, func(n *node) bool { return !n.w.cached }, func(n *node) { n.w.cached = true }},
	{"the disks have it", 0, func(n *node) bool { return n.w.cached }, func(n *node) { n.w.cached = false }},
}

// hasShown reports that the source's whole log was read in this run.
func (n *node) hasShown() bool {
	return len(n.in.Highest) == 1 && n.in.Highest[0].EndOfLog == simLSN(n.w.s[0].log)
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
			if n.w.slow && n.w.quiet {
				n.w.quiesced = n.w.s[0].log
			}
		}
	case ActionExecute:
		switch {
		case down && d.Guard.WithoutLock: // needs a connection of its own, and gets none
			if res.Answer = AnswerBusy; !x.now {
				res.Answer = AnswerUnknown
			}
		case down:
			res.Answer = AnswerUnknown
		case n.w.guarded(d.Statement, d.Guard) != "":
			if res.Answer != AnswerUnknown || x.now {
				res.Answer = AnswerGuardRefused
			}
		case x.late:
			n.w.defer_(d.Statement.Kind, i, c.v.rounds(d.Statement.Kind))
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
