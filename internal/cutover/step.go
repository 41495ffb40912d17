package cutover

import (
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

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
	if e.standing(p.Code) {
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

// standing reports that a page of this kind was raised and not cleared.
func (e *engine) standing(code string) bool { return e.in.Page != nil && e.in.Page.Code == code }

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
