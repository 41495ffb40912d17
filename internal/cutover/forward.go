package cutover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// before is steps 1–7: everything up to the point of no return. Whatever goes
// wrong here leads back, and the way back begins with RSSTC=0.
func (e *engine) before() Decision {
	e.verdicts = e.gates()
	out := &e.o.Outside
	switch {
	case out.RollbackRequested != nil:
		return e.goBack("%s", Because(out.RollbackRequested.By+" asked for it", out.RollbackRequested.Reason))
	case out.Armed == nil:
		return e.goBack("it was disarmed before the source gave up its role")
	case out.ShuttingDown:
		return e.goBack("the webhook is shutting down before the source gave up its role")
	case e.now.Sub(e.in.Began) > e.p.MaxDuration:
		return e.goBack("the run took longer than max_duration (%s)", e.p.MaxDuration)
	case e.overExposed():
		return e.goBack("RSSTC=1 stood for %s without S2: longer than require_exposure", e.p.RequireExposure)
	case !e.in.WriteUnavailableFrom.IsZero() && e.now.After(e.budgetEnd()):
		return e.goBack("the writers have waited longer than max_write_unavailable (%s)", e.p.MaxWriteUnavailable)
	}
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		if e.in.Pinned {
			if r := e.reading(s); r != nil && !samePin(e.pin(s), r) {
				return e.goBack("the %s is now %s (started %s): it restarted or failed over locally", s, r.Identity.ServerName, r.Identity.StartTime)
			}
		}
		if e.in.Phase != PhaseLock && e.o.Side(s).Lock == LockLost {
			return e.goBack("the session that held the lock in master of the %s ended", s)
		}
	}
	if s, since := e.unseen(); !since.IsZero() {
		return e.goBack("the %s has not been seen for %s: %s", s, e.now.Sub(since).Round(time.Second), e.notSeen(s))
	}
	if e.src == nil || e.tgt == nil {
		return e.wait(pollFast, "%s", strings.TrimSpace(e.srcWhy+" "+e.tgtWhy))
	}
	e.clearPage()
	switch e.in.Phase {
	case PhaseLock, PhaseMark:
		return e.lockAndMark()
	case PhaseSetSynchronous:
		return e.setSynchronous()
	case PhaseWaitSynchronized:
		if why := e.notSynchronized(); why != "" {
			return e.wait(pollRun, "waiting for the link: %s", why)
		}
		// The link may have taken until after the window. From the quiesce on it
		// stops nothing any more; before it, an outage is still a choice.
		if v := e.verdict(GateWindow); !v.Open() {
			return e.goBack("before the writers were stopped: %s", v.Reason)
		}
		e.enter(PhaseQuiesce)
	}
	if e.in.Phase == PhaseQuiesce {
		if d, ok := e.quiesce(); !ok {
			return d
		}
		e.enter(PhaseDrain)
	}
	if e.in.Phase == PhaseDrain {
		if why := e.drain(); why != "" {
			return e.wait(pollFast, "%s", why)
		}
		e.verdicts = e.gates() // with the mark of this round
		if v, ok := e.closedFor(stageDemote); !ok {
			return e.wait(pollFast, "drained and quiet; not going on: %s", v.Reason)
		}
		e.enter(PhaseRequire)
	}
	if e.in.Phase == PhaseRequire {
		if d, ok := e.require(); !ok {
			return d
		}
		e.enter(PhaseDemote)
	}
	return e.demote()
}

// unseen is a side that could not be read, or read neither PRIMARY nor
// SECONDARY, for settle, and since when. Before S2 nothing is gained by waiting
// longer: synchronous commit stands on both sides, and the people who armed it
// are told by the outcome.
func (e *engine) unseen() (hadr.Side, time.Time) {
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		since := e.in.SourceUnread
		if s == hadr.Target {
			since = e.in.TargetUnread
		}
		if !since.IsZero() && e.now.Sub(since) >= e.p.Settle {
			return s, since
		}
	}
	return "", time.Time{}
}

// notSeen is why a side counts as unread.
func (e *engine) notSeen(s hadr.Side) string {
	if e.reading(s) != nil {
		return "it reads " + shown(string(e.role(s)))
	}
	return e.why(s)
}

// overExposed reports that RSSTC=1, or the last checks where there is none,
// stood longer than allowed while S2 is not on its way.
func (e *engine) overExposed() bool {
	if e.off.noExposure || e.sent(Demote, hadr.Source) {
		return false
	}
	if n := e.last(RequireSecondary, hadr.Source); n != nil {
		return e.now.Sub(n.At) > e.p.RequireExposure
	}
	return e.in.Phase == PhaseDemote && e.now.Sub(e.phaseSince()) > e.p.RequireExposure
}

func (e *engine) pin(s hadr.Side) *Pin {
	if s == hadr.Source {
		return &e.in.SourcePin
	}
	return &e.in.TargetPin
}

func samePin(p *Pin, r *hadr.Reading) bool {
	return p.ServerName == r.Identity.ServerName && p.StartTime == r.Identity.StartTime
}

func pinOf(r *hadr.Reading) Pin {
	return Pin{ServerName: r.Identity.ServerName, StartTime: r.Identity.StartTime, ReplicaID: r.Identity.ReplicaID, AGGroupID: r.Local.GroupID}
}

// lockAndMark is step 1. The pins and the old state are taken from the first
// round that read both sides; they have to be those of the plan.
func (e *engine) lockAndMark() Decision {
	if !e.in.Pinned {
		for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
			r, ep := e.reading(s), e.p.Endpoint(s)
			if r.Identity.ServerName != ep.ServerName || r.Identity.StartTime != ep.StartTime {
				return e.goBack("the %s is %s (started %s), the plan was made for %s (started %s)", s, r.Identity.ServerName, r.Identity.StartTime, ep.ServerName, ep.StartTime)
			}
		}
		e.in.SourcePin, e.in.TargetPin, e.in.Pinned = pinOf(e.src), pinOf(e.tgt), true
		old := func(r *hadr.Reading) Old {
			s, t := memberModes(e.p, r)
			return Old{Known: s != "" && t != "", Source: s, Target: t, RSSTC: r.DAG.RSSTC}
		}
		e.in.SourceOld, e.in.TargetOld = old(e.src), old(e.tgt)
		if !e.in.SourceOld.Known || !e.in.TargetOld.Known {
			return e.goBack("the commit modes of both members were not read on both sides, so there would be no way back to them")
		}
		for _, s := range []hadr.Side{hadr.Source, hadr.Target} { // before 2017 no sequence number shows who altered it since the gates were asked
			if why := mixedModes(e.p, s, e.reading(s)); why != "" {
				return e.goBack("%s", why)
			}
		}
	}
	if e.in.LockTries >= maxTries {
		return e.goBack("no lock in master after %d tries: another engine or a person holds it", e.in.LockTries)
	}
	if e.in.MarkTries >= maxTries {
		return e.goBack("the run id could not be written into master and read back (%d tries)", e.in.MarkTries)
	}
	d, ok := e.hold(hadr.Source, hadr.Target)
	if !ok {
		if d.Action == ActionMark {
			e.enter(PhaseMark)
		}
		return d
	}
	e.enter(PhaseSetSynchronous)
	return e.setSynchronous()
}

// setSynchronous is step 2: both sides' own copies, since each keeps its own.
func (e *engine) setSynchronous() Decision {
	sides := []hadr.Side{hadr.Source, hadr.Target}
	if e.off.oneSideS1 {
		sides = sides[:1]
	}
	for _, s := range sides {
		if modesAre(e.p, e.reading(s), hadr.ModeSynchronous) {
			continue
		}
		if n, last := e.refusals(SetSynchronous, s); n > 0 {
			if last.Answer != AnswerBusy || n >= maxTries {
				return e.goBack("the %s refused synchronous commit: %s", s, last.Text)
			}
			if e.now.Sub(last.since()) < retryAfter {
				return e.wait(pollFast, "the %s was busy: %s", s, last.Text)
			}
		}
		if n := e.last(SetSynchronous, s); n != nil && e.now.Sub(n.since()) < patience {
			return e.wait(pollFast, "synchronous commit on the %s was sent and does not read back yet", s)
		}
		if d, ok := e.hold(hadr.Source, hadr.Target); !ok {
			return d
		}
		return e.execute(SetSynchronous, s, e.reading(s).DAG.Role, fmt.Sprintf("synchronous commit in the %s's own copy", s))
	}
	e.enter(PhaseWaitSynchronized)
	return e.wait(pollFast, "both sides' own copies read SYNCHRONOUS_COMMIT")
}

// notSynchronized is why step 3 has to wait; "" when it has not. Only the
// global primary's DAG rows know the link.
func (e *engine) notSynchronized() string {
	m := e.src.DAG.Member(e.p.TargetAG)
	if m == nil || !m.Connected.OK || !m.Connected.V {
		return fmt.Sprintf("the source does not read %s as connected", e.p.TargetAG)
	}
	for _, n := range e.p.Databases {
		d := database(e.src, n)
		switch {
		case d == nil || d.Link == nil:
			return fmt.Sprintf("%s has no link row on the source", n)
		case !d.Link.Suspended.OK || d.Link.Suspended.V:
			return fmt.Sprintf("%s is suspended, or does not say", n)
		case d.Link.Sync == hadr.Synchronized:
		case e.p.CrossVersion && d.Link.Sync == hadr.Synchronizing:
			// A newer target may never say SYNCHRONIZED before the failover.
		default:
			return fmt.Sprintf("%s is %s", n, shown(string(d.Link.Sync)))
		}
	}
	return ""
}

func shown(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.ToUpper(strings.ReplaceAll(s, "_", " "))
}

// quiesce is the first half of step 4: ok when the writers were stopped, or
// when the plan has no hook for it and quiet alone has to be waited for.
func (e *engine) quiesce() (Decision, bool) {
	if !e.p.has(HookQuiesce) {
		return Decision{}, true
	}
	st := e.in.Hooks[HookQuiesce]
	switch {
	case st.OK:
		return Decision{}, true
	case !st.Ended.IsZero() && st.Attempts >= 2:
		return e.goBack("the quiesce hook failed: %s", st.Error), false
	case st.Attempts >= maxTries:
		return e.goBack("the quiesce hook was begun %d times and never ended", st.Attempts), false
	}
	return e.hook(HookQuiesce, "stop the writers"), false
}

// drain is the second half of step 4: why S2 has to wait, "" when every
// database is past the mark and the source is quiet. A database that was past
// it once is past it for good: that is what makes it reachable with hundreds
// of databases whose background log never rests.
func (e *engine) drain() string {
	if e.off.noDrain {
		return ""
	}
	if e.in.Mark == nil {
		if e.src.Began.Before(e.phaseSince()) {
			return "the mark has to come from a reading after the quiesce"
		}
		m := Mark{At: e.src.Ended}
		for _, n := range e.p.Databases {
			d := database(e.src, n)
			if d == nil || d.Own == nil || !d.Own.EndOfLog.Known() {
				return fmt.Sprintf("no mark: the source's end of log of %s is unknown", n)
			}
			m.Rows = append(m.Rows, DatabaseLSNs{Database: n, EndOfLog: d.Own.EndOfLog})
		}
		e.in.Mark = &m
		return "the mark is set; waiting for the target to pass it"
	}
	for _, m := range e.in.Mark.Rows {
		if slices.Contains(e.in.Mark.Drained, m.Database) {
			continue
		}
		past := false
		if d := database(e.tgt, m.Database); d != nil && d.Own != nil && e.tgt.Began.After(e.in.Mark.At) {
			past = d.Own.LastHardened.Beyond(m.EndOfLog)
		}
		if d := database(e.src, m.Database); d != nil && d.Link != nil && e.src.Began.After(e.in.Mark.At) {
			past = past || d.Link.LastHardened.Beyond(m.EndOfLog)
		}
		if past {
			e.in.Mark.Drained = sorted(append(e.in.Mark.Drained, m.Database))
		}
	}
	if n := len(e.in.Mark.Rows) - len(e.in.Mark.Drained); n > 0 {
		return fmt.Sprintf("%d of %d databases are not past the mark on the target yet", n, len(e.in.Mark.Rows))
	}
	if v := e.verdict(GateQuiet); !v.Open() {
		return "drained, not quiet: " + v.Reason
	}
	return ""
}

// require is step 5: ok when RSSTC=1 reads back on the source, or the plan
// has no such step. It is the last act before S2.
func (e *engine) require() (Decision, bool) {
	if !e.p.UseRequired {
		return Decision{}, true
	}
	if e.src.DAG.RSSTC.OK && e.src.DAG.RSSTC.V == 1 && e.sent(RequireSecondary, hadr.Source) {
		return Decision{}, true
	}
	if n, last := e.refusals(RequireSecondary, hadr.Source); n > 0 && (last.Answer != AnswerBusy || n >= maxTries) {
		return e.goBack("the source refused RSSTC=1: %s", last.Text), false
	}
	if e.sent(RequireSecondary, hadr.Source) {
		return e.wait(pollFast, "RSSTC=1 was sent and does not read back yet"), false
	}
	if d, ok := e.hold(hadr.Source, hadr.Target); !ok {
		return d, false
	}
	return e.execute(RequireSecondary, hadr.Source, hadr.RolePrimary, "from here no commit can slip past the target"), false
}

// demote is steps 6 and 7: every gate once more, then S2. A gate that waiting
// can open is waited for inside the exposure bound; any other leads back.
func (e *engine) demote() Decision {
	if n, last := e.refusals(Demote, hadr.Source); n > 0 && !e.sent(Demote, hadr.Source) {
		if last.Answer != AnswerBusy && last.Answer != AnswerGuardRefused || n >= 2 {
			return e.goBack("S2 was refused, nothing was done: %s", last.Text)
		}
	}
	if n := e.last(Demote, hadr.Source); n != nil { // a crash came between; or kept though refused
		e.enter(PhaseConfirmDemoted)
		return e.wait(pollFast, "S2 is journalled: reading what came of it")
	}
	if e.p.UseRequired && (!e.src.DAG.RSSTC.OK || e.src.DAG.RSSTC.V != 1) {
		return e.goBack("RSSTC=1 does not read back on the source any more")
	}
	if v, ok := e.closedFor(stageDemote); !ok {
		if v.State == GateClosed && !v.WaitingHelps {
			return e.goBack("gate %s closed at the last check: %s", v.Gate, v.Reason)
		}
		return e.wait(pollFast, "last check, gate %s is %s: %s", v.Gate, v.State, v.Reason)
	}
	if why := e.notSynchronized(); why != "" {
		return e.goBack("the link at the last check: %s", why)
	}
	if d, ok := e.hold(hadr.Source, hadr.Target); !ok {
		return d
	}
	e.enter(PhaseConfirmDemoted)
	return e.execute(Demote, hadr.Source, hadr.RolePrimary, "every gate is open once more: S2, the source gives up its role")
}
