package cutover

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// How soon to look again, and how long to wait before something is tried
// again. They bound load and impatience, never safety.
const (
	pollIdle    = 5 * time.Second
	pollRun     = time.Second
	pollFast    = 250 * time.Millisecond // after S2 has been sent: every round costs write-unavailable time
	retryAfter  = 2 * time.Second        // RSSTC=0, locks, markers, refused-as-busy statements
	patience    = 10 * time.Second       // until an unreadable side or a missing effect becomes a page
	maxTries    = 5
	tidyTries   = 3
	pipelineTTL = 2 * time.Minute
)

// Begin is the Intent of a new run, to be journalled before anything else.
// arming is used up by it.
func Begin(plan Plan, run string, arming Arming, approvals []Approval, now time.Time) Intent {
	in := Intent{
		Schema: IntentSchema, Run: run, DAG: plan.DAG, PlanHash: plan.Hash(), Drill: plan.Drill,
		ArmedBy: arming.By, Generation: arming.Generation, Began: now,
		Phase: PhaseLock, Phases: []PhaseTime{{PhaseLock, now}},
	}
	for _, a := range approvals {
		if a.PlanHash == in.PlanHash {
			in.Approvals = append(in.Approvals, a.By)
		}
	}
	return in
}

// Decide says what may happen next. It is a function of its arguments: it
// never panics, changes none of them, and waits or pages when it does not
// know. The caller journals Decision.Intent before it acts.
func Decide(plan Plan, intent Intent, observation Observation, now time.Time) Decision {
	return decide(rules{}, &plan, plan.Hash(), intent, &observation, now)
}

func decide(off rules, plan *Plan, hash string, intent Intent, o *Observation, now time.Time) Decision {
	e := &engine{off: off, p: plan, hash: hash, in: clone(intent), o: o, now: now}
	e.src, e.srcWhy = e.usable(hadr.Source)
	e.tgt, e.tgtWhy = e.usable(hadr.Target)
	d := e.run()
	d.Intent = e.in
	if d.Page == nil && e.in.Page != nil {
		d.Page = e.in.Page
	}
	if d.Poll == 0 {
		d.Poll = pollRun
	}
	if d.Want == (Want{}) {
		d.Want = e.want()
	}
	return d
}

// engine is one call of Decide.
type engine struct {
	off  rules
	p    *Plan
	hash string
	in   Intent // the copy that is handed back
	o    *Observation
	now  time.Time

	src, tgt       *hadr.Reading // nil: not read in this round
	srcWhy, tgtWhy string
	verdicts       []Verdict
}

// usable is the side's reading if it belongs to this round and speaks of the
// plan's groups; else nil and why.
func (e *engine) usable(s hadr.Side) (*hadr.Reading, string) {
	so := e.o.Side(s)
	r := so.Reading
	switch {
	case r == nil && so.Failure != "":
		return nil, so.Failure
	case r == nil:
		return nil, fmt.Sprintf("the %s was not read", s)
	case r.Side != s:
		return nil, fmt.Sprintf("the reading handed in for the %s is of the %s", s, r.Side)
	case r.Began.Before(e.o.Began):
		return nil, fmt.Sprintf("the %s's reading is older than this round", s)
	case !r.DAG.Found || r.DAG.GroupID != e.p.GroupID:
		return nil, fmt.Sprintf("the %s does not show the distributed availability group %s of the plan", s, e.p.Group)
	case !r.Local.Found || r.Local.GroupID != e.p.Endpoint(s).AGGroupID:
		return nil, fmt.Sprintf("the %s does not show the local availability group %s of the plan", s, e.p.Endpoint(s).AG)
	case r.Local.Role != hadr.RolePrimary:
		return nil, fmt.Sprintf("%s is not PRIMARY of the local availability group %s", r.Identity.ServerName, e.p.Endpoint(s).AG)
	}
	return r, ""
}

func (e *engine) reading(s hadr.Side) *hadr.Reading {
	if s == hadr.Source {
		return e.src
	}
	return e.tgt
}

func (e *engine) why(s hadr.Side) string {
	if s == hadr.Source {
		return e.srcWhy
	}
	return e.tgtWhy
}

func (e *engine) role(s hadr.Side) hadr.Role {
	if r := e.reading(s); r != nil {
		if e.off.resolvingIsOK && r.DAG.Role == hadr.RoleResolving {
			return hadr.RoleSecondary
		}
		return r.DAG.Role
	}
	return hadr.RoleUnknown
}

func (e *engine) run() Decision {
	if e.in.Schema > IntentSchema {
		return e.page(Page{Code: PageSchema, Text: fmt.Sprintf("the journal's intent has schema %d, this binary knows %d: run the newer binary; nothing is done here", e.in.Schema, IntentSchema)})
	}
	if !e.in.Active() {
		return e.idle()
	}
	if e.in.PlanHash != e.hash {
		return e.page(Page{Code: PagePlan, Text: fmt.Sprintf("run %s was started with plan %.12s, the plan at hand is %.12s: only read until the run's own plan is handed in", e.in.Run, e.in.PlanHash, e.hash)})
	}
	e.fold()
	if d, ok := e.stuck(); ok {
		return d
	}
	if d, ok := e.unexplained(); ok {
		return d
	}
	if e.in.GoingBack != nil && !e.off.reviseGoingBack && e.in.Phase != PhaseBackAfter {
		e.enter(PhaseBack)
	}
	switch e.in.Phase {
	case PhaseLock, PhaseMark, PhaseSetSynchronous, PhaseWaitSynchronized, PhaseQuiesce, PhaseDrain, PhaseRequire, PhaseDemote:
		return e.before()
	case PhaseConfirmDemoted, PhaseProve:
		return e.demoted()
	case PhasePromote:
		return e.promoted()
	case PhaseAfter:
		return e.after()
	case PhaseBack, PhaseBackAfter:
		return e.back()
	}
	return e.page(Page{Code: PageSchema, Text: fmt.Sprintf("the journal's intent is in phase %q, which this binary does not know: nothing is done", e.in.Phase)})
}

// fold takes what this round's readings say into the intent: effects of
// statements, the highest source LSNs, since when a side is unread.
func (e *engine) fold() {
	e.foldUnread()
	for i := range e.in.Sent {
		s := &e.in.Sent[i]
		if s.Outcome == SentRefused || !s.EffectSeen.IsZero() {
			continue
		}
		if r := e.reading(s.Statement.Side); r != nil && !r.Began.Before(s.At) && effect(e.p, r, s.Statement.Kind) {
			s.EffectSeen = r.Ended
		}
	}
	if e.in.Pinned && e.src != nil {
		for _, n := range e.p.Databases {
			if d := database(e.src, n); d != nil && d.Own != nil {
				e.in.Highest = raise(e.in.Highest, n, d.Own)
			}
		}
	}
	if _, started := e.in.Hooks[HookQuiesce]; started || e.sent(Demote, hadr.Source) {
		if e.in.LeaseLost.IsZero() && e.now.After(e.o.Outside.LeaseUntil) {
			e.in.LeaseLost = e.now
			e.note("the alert lease ended after the quiesce had begun: recorded, it stops nothing any more")
		}
	}
}

// foldUnread takes in since when a side is unread, or reads neither PRIMARY nor
// SECONDARY.
func (e *engine) foldUnread() {
	unread := func(s hadr.Side, t *time.Time, r *hadr.Reading) {
		switch {
		case r != nil && (r.DAG.Role == hadr.RolePrimary || r.DAG.Role == hadr.RoleSecondary):
			if !t.IsZero() && !e.off.settleWhileBlind {
				e.blindFor(s, *t)
			}
			*t = time.Time{}
		case t.IsZero():
			*t = e.now
		}
	}
	unread(hadr.Source, &e.in.SourceUnread, e.src)
	unread(hadr.Target, &e.in.TargetUnread, e.tgt)
}

// blindFor counts a time, begun at from and over now, in which a side could
// not be read, for each of its statements that may still land.
func (e *engine) blindFor(s hadr.Side, from time.Time) {
	for i := range e.in.Sent {
		n := &e.in.Sent[i]
		if n.Statement.Side != s || n.Outcome == SentRefused {
			continue
		}
		if n.since().After(from) {
			from = n.since()
		}
		n.Blind += max(0, e.now.Sub(from))
	}
}

func raise(high []DatabaseLSNs, name string, own *hadr.Replica) []DatabaseLSNs {
	i := slices.IndexFunc(high, func(d DatabaseLSNs) bool { return d.Database == name })
	if i < 0 {
		return append(high, DatabaseLSNs{Database: name, Hardened: known(own.LastHardened), EndOfLog: known(own.EndOfLog)})
	}
	if own.LastHardened.Beyond(high[i].Hardened) || !high[i].Hardened.Known() {
		high[i].Hardened = known(own.LastHardened)
	}
	if own.EndOfLog.Beyond(high[i].EndOfLog) || !high[i].EndOfLog.Known() {
		high[i].EndOfLog = known(own.EndOfLog)
	}
	return high
}

// known makes every sentinel the one unknown LSN.
func known(l hadr.LSN) hadr.LSN {
	if !l.Known() {
		return hadr.LSN{}
	}
	return l
}

// effect reports that the reading shows what the statement was to bring about.
func effect(p *Plan, r *hadr.Reading, k Kind) bool {
	switch k {
	case SetSynchronous:
		return modesAre(p, r, hadr.ModeSynchronous)
	case SetAsynchronous:
		return modesAre(p, r, hadr.ModeAsynchronous)
	case RequireSecondary:
		return r.DAG.RSSTC.OK && r.DAG.RSSTC.V == 1
	case ReleaseSecondary:
		return r.DAG.RSSTC.OK && r.DAG.RSSTC.V == 0
	case Demote:
		return r.DAG.Role == hadr.RoleSecondary
	case Promote:
		return r.DAG.Role == hadr.RolePrimary
	}
	return false
}

func modesAre(p *Plan, r *hadr.Reading, m hadr.Mode) bool {
	s, t := memberModes(p, r)
	return s == m && t == m
}

func memberModes(p *Plan, r *hadr.Reading) (source, target hadr.Mode) {
	if m := r.DAG.Member(p.SourceAG); m != nil {
		source = m.Mode
	}
	if m := r.DAG.Member(p.TargetAG); m != nil {
		target = m.Mode
	}
	return source, target
}

// released reports that nothing fences the side's commits: RSSTC reads 0, or
// the version has none on a distributed AG.
func released(r *hadr.Reading) bool {
	return r.DAG.RSSTC.OK && r.DAG.RSSTC.V == 0 || !r.DAG.RSSTC.OK && r.Identity.Major > 0 && r.Identity.Major < firstRequired
}

// sent reports an entry of this statement that was not surely refused.
func (e *engine) sent(k Kind, s hadr.Side) bool { return e.last(k, s) != nil }

// last entry of this statement that was not surely refused, or nil.
func (e *engine) last(k Kind, s hadr.Side) *Sent {
	for i := len(e.in.Sent) - 1; i >= 0; i-- {
		if n := &e.in.Sent[i]; n.Statement.Kind == k && n.Statement.Side == s && (n.Outcome != SentRefused || e.off.keepRefused) {
			return n
		}
	}
	return nil
}

// lastRelease is the newest RSSTC=0 on that side, a refused one too: a server
// that takes no connection refuses surely, and the duty has to count that and
// to pace itself by it all the same.
func (e *engine) lastRelease(s hadr.Side) *Sent {
	for i := len(e.in.Sent) - 1; i >= 0; i-- {
		if n := &e.in.Sent[i]; n.Statement.Kind == ReleaseSecondary && n.Statement.Side == s {
			return n
		}
	}
	return nil
}

// seen reports that the effect of this statement was read.
func (e *engine) seen(k Kind, s hadr.Side) bool {
	return slices.ContainsFunc(e.in.Sent, func(n Sent) bool {
		return n.Statement.Kind == k && n.Statement.Side == s && !n.EffectSeen.IsZero()
	})
}

// refusals counts refused attempts in a row of this statement, and tells the
// last one.
func (e *engine) refusals(k Kind, s hadr.Side) (n int, last *Sent) {
	for i := len(e.in.Sent) - 1; i >= 0; i-- {
		if x := &e.in.Sent[i]; x.Statement.Kind == k && x.Statement.Side == s {
			if x.Outcome != SentRefused {
				break
			}
			if last == nil {
				last = x
			}
			n++
		}
	}
	return n, last
}

// settled is when the statement, if it has shown no effect by then, is not
// expected to have one any more: after settle of time in which its side could
// be read.
func (n *Sent) settled(settle time.Duration) time.Time {
	return n.since().Add(settle + n.Blind)
}

func (n *Sent) since() time.Time {
	if n.ReturnedAt.After(n.At) {
		return n.ReturnedAt
	}
	return n.At
}

func (e *engine) enter(p Phase) {
	if e.in.Phase == p {
		return
	}
	e.in.Phase = p
	e.in.Phases = append(e.in.Phases, PhaseTime{p, e.now})
}

func (e *engine) phaseSince() time.Time {
	if n := len(e.in.Phases); n > 0 {
		return e.in.Phases[n-1].At
	}
	return e.in.Began
}

func (e *engine) note(text string) {
	if n := len(e.in.Notes); n > 0 && e.in.Notes[n-1].Text == text || n > 200 {
		return
	}
	e.in.Notes = append(e.in.Notes, Note{e.now, text})
}

func (e *engine) wait(poll time.Duration, format string, args ...any) Decision {
	return Decision{Action: ActionWait, Poll: poll, Reason: fmt.Sprintf(format, args...), Verdicts: e.verdicts}
}

// waitClear is wait where nothing is left to call a human for.
func (e *engine) waitClear(poll time.Duration, format string, args ...any) Decision {
	e.clearPage()
	return e.wait(poll, format, args...)
}

// page raises p once and waits while it stands.
func (e *engine) page(p Page) Decision {
	if e.in.Page != nil && e.in.Page.Code == p.Code {
		e.in.Page = &p
		return Decision{Action: ActionWait, Poll: pollRun, Reason: p.Text, Page: &p, Verdicts: e.verdicts}
	}
	e.clearPage()
	if e.in.Active() {
		e.in.Page = &p
		e.in.Pages = append(e.in.Pages, PageTime{Page: p, At: e.now})
	}
	return Decision{Action: ActionPage, Poll: pollRun, Reason: p.Text, Page: &p, Verdicts: e.verdicts}
}

func (e *engine) clearPage() {
	if e.in.Page == nil {
		return
	}
	e.in.Page = nil
	if n := len(e.in.Pages); n > 0 && e.in.Pages[n-1].Until.IsZero() {
		e.in.Pages[n-1].Until = e.now
	}
}

// want is what the next round has to read.
func (e *engine) want() Want {
	w := Want{First: hadr.Source, Marker: true}
	switch e.in.Phase {
	case PhaseIdle, "", PhaseEnded:
		return Want{First: hadr.Source, Marker: true, Rights: true, Transactions: true, Lineage: true, Seeding: true}
	case PhaseDrain, PhaseRequire, PhaseDemote:
		w.Rights, w.Transactions, w.Lineage, w.Seeding = true, true, true, true
	case PhaseConfirmDemoted, PhaseProve:
		w.Lineage = true
		w.First = hadr.Target // the source is read last: the S3 on the target rests on it
	case PhasePromote:
		w.First = hadr.Target
	}
	return w
}

func (e *engine) locked(s hadr.Side) bool { return e.o.Side(s).Lock == LockHeld }

func (e *engine) marker(s hadr.Side) hadr.Opt[string] {
	if r := e.reading(s); r != nil {
		return r.Marker
	}
	return hadr.Opt[string]{}
}

// foreign is another engine's run id in a side's master. Without an active run
// every id is: one that our last run left behind has to go first.
func (e *engine) foreign() (hadr.Side, string) {
	ours := ""
	if e.in.Active() {
		ours = e.in.Run
	}
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		if m := e.marker(s); m.OK && m.V != "" && m.V != ours {
			return s, m.V
		}
	}
	return "", ""
}

// hold makes sure of both locks and both markers, source first: ok, or the
// decision that gets there.
func (e *engine) hold(sides ...hadr.Side) (Decision, bool) {
	for _, s := range sides {
		if e.locked(s) {
			continue
		}
		if e.in.LockTries > 0 && e.now.Sub(e.in.LockTriedAt) < retryAfter {
			return e.wait(pollFast, "the lock in master of the %s was not to be had: again in a moment", s), false
		}
		e.in.LockTries++
		e.in.LockTriedAt = e.now
		return Decision{Action: ActionLock, Side: s, Reason: fmt.Sprintf("take the lock in master of the %s", s), Verdicts: e.verdicts}, false
	}
	for _, s := range sides {
		m := e.marker(s)
		switch {
		case m.OK && m.V == e.in.Run:
			continue
		case !m.OK:
			return e.wait(pollFast, "the run id in master of the %s was not read", s), false
		case e.in.MarkTries > 0 && e.now.Sub(e.in.MarkTriedAt) < retryAfter:
			return e.wait(pollFast, "the run id in master of the %s does not read back yet", s), false
		}
		e.in.MarkTries++
		e.in.MarkTriedAt = e.now
		return Decision{Action: ActionMark, Side: s, Reason: fmt.Sprintf("write run id %s into master of the %s", e.in.Run, s), Verdicts: e.verdicts}, false
	}
	e.in.LockTries, e.in.MarkTries = 0, 0
	return Decision{}, true
}

// execute journals the statement and sends it. Nothing outside the plan can
// be sent.
func (e *engine) execute(k Kind, s hadr.Side, role hadr.Role, reason string) Decision {
	st, ok := e.p.statement(k, s)
	if !ok {
		return e.page(Page{Code: PagePlan, Text: fmt.Sprintf("%s on the %s would be next, and the plan does not have it", k, s)})
	}
	g := Guard{Run: e.in.Run, GroupID: e.p.GroupID, Role: role, Databases: e.p.Databases}
	if k == ReleaseSecondary {
		g = Guard{WithoutLock: true, GroupID: e.p.GroupID}
	}
	sent := Sent{Statement: st, At: e.now, Outcome: SentPending}
	if r := e.reading(s); r != nil {
		sent.ServerName, sent.StartTime = r.Identity.ServerName, r.Identity.StartTime
		if k != ReleaseSecondary {
			g.ServerName, g.StartTime = sent.ServerName, sent.StartTime
		}
	}
	if k == Promote {
		g.NoProof = s == hadr.Source
		if s == hadr.Target && e.in.Proof != nil {
			g.EndOfLog = e.in.Proof.Basis == BasisEndOfLog
			for _, row := range e.in.Proof.Rows {
				g.AtLeast = append(g.AtLeast, DatabaseLSNs{Database: row.Database, Hardened: row.TargetHardened, EndOfLog: row.TargetEndOfLog})
			}
		}
	}
	if l := e.lastRelease(s); l != nil && k == ReleaseSecondary && l.EffectSeen.IsZero() {
		sent.Tries = l.Tries + 1 // one entry, or a night's outage would fill the journal
		*l = sent
	} else {
		sent.Tries = 1
		e.in.Sent = append(e.in.Sent, sent)
	}
	if (k == RequireSecondary || k == Demote) && e.in.WriteUnavailableFrom.IsZero() {
		e.in.WriteUnavailableFrom = e.now
	}
	return Decision{Action: ActionExecute, Side: s, Statement: st, Guard: g, Reason: reason, Poll: pollFast, Verdicts: e.verdicts}
}

// hook journals the start of a hook and runs it. A start without an end (a
// crash came between) is run again: hooks are idempotent.
func (e *engine) hook(h HookName, reason string) Decision {
	st := e.in.Hooks[h]
	st.Attempts++
	st.Started, st.Ended, st.OK, st.Error = e.now, time.Time{}, false, ""
	if e.in.Hooks == nil {
		e.in.Hooks = map[HookName]HookState{}
	}
	e.in.Hooks[h] = st
	if h == HookQuiesce && e.in.WriteUnavailableFrom.IsZero() {
		e.in.WriteUnavailableFrom = e.now
	}
	return Decision{Action: ActionHook, Hook: h, Reason: reason, Verdicts: e.verdicts}
}

// goBack journals the decision to return to the source. It is never revised,
// and never made once S3 on the target was journalled and not surely refused.
func (e *engine) goBack(format string, args ...any) Decision {
	if e.sent(Promote, hadr.Target) && !e.off.backAfterS3 {
		return e.wait(pollFast, "no way back any more, S3 on the target is journalled: %s", fmt.Sprintf(format, args...))
	}
	if e.in.GoingBack == nil {
		e.clearPage() // what it named was the way forward
		e.in.GoingBack = &GoingBack{At: e.now, Reason: fmt.Sprintf(format, args...)}
	}
	e.enter(PhaseBack)
	// The decision has to be in the journal before its first statement: this
	// round only writes it down.
	return Decision{Action: ActionWait, Poll: time.Millisecond, Reason: "going back: " + e.in.GoingBack.Reason, Verdicts: e.verdicts}
}

// budgetEnd is when the write-unavailable budget is used up; zero while the
// stopwatch has not started.
func (e *engine) budgetEnd() time.Time {
	if e.in.WriteUnavailableFrom.IsZero() {
		return time.Time{}
	}
	return e.in.WriteUnavailableFrom.Add(e.p.MaxWriteUnavailable)
}

// clone copies everything that Decide and Record change in place.
func clone(in Intent) Intent {
	in.Phases = slices.Clone(in.Phases)
	in.Highest = slices.Clone(in.Highest)
	in.Sent = slices.Clone(in.Sent)
	in.Pages = slices.Clone(in.Pages)
	in.Notes = slices.Clone(in.Notes)
	in.Hooks = maps.Clone(in.Hooks)
	if in.Mark != nil {
		m := *in.Mark
		m.Drained = slices.Clone(m.Drained)
		in.Mark = &m
	}
	if in.Rest != nil {
		r := *in.Rest
		in.Rest = &r
	}
	if in.Page != nil {
		p := *in.Page
		in.Page = &p
	}
	return in
}
