package cutover

import (
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// promoted is step 11: S3 on the target is journalled, and nothing but its
// refusal leads anywhere else.
func (e *engine) promoted() Decision {
	n := e.last(Promote, hadr.Target)
	if n == nil { // surely refused: the entry counts as never sent
		e.in.Rest, e.in.Proof = nil, nil
		e.enter(PhaseProve)
		return e.wait(time.Millisecond, "S3 was refused, nothing was done: proving again")
	}
	if e.off.backAfterS3 && (e.o.Outside.RollbackRequested != nil || e.now.After(e.budgetEnd())) {
		return e.goBack("rollback after S3")
	}
	switch e.role(hadr.Target) {
	case hadr.RolePrimary:
		return e.confirm(n)
	case hadr.RoleSecondary:
	default:
		return e.unreadable(hadr.Target)
	}
	waited := e.now.Sub(n.since())
	if e.off.blindRetry && n.Outcome == SentUnknown {
		return e.execute(Promote, hadr.Target, hadr.RoleUnknown, "again")
	}
	if waited < patience {
		return e.wait(pollFast, "S3 was sent (%s); the target still reads SECONDARY", n.Outcome)
	}
	// The same statement on the same side, after reading both: it does
	// nothing that the first one would not have done.
	if !e.now.Before(n.settled(e.p.Settle)) && e.role(hadr.Source) == hadr.RoleSecondary && e.o.Outside.Held == nil && e.atLeastProof() && released(e.tgt) {
		if d, ok := e.hold(hadr.Source, hadr.Target); !ok {
			return d
		}
		return e.execute(Promote, hadr.Target, hadr.RoleSecondary, "S3 once more on the same side: no effect for settle, both sides read SECONDARY, the proof still holds")
	}
	return e.page(e.stuckPage())
}

func (e *engine) stuckPage() Page {
	s3, _ := e.p.statement(Promote, hadr.Target)
	return Page{Code: PagePromoteStuck,
		Text:       "S3 was sent to the target, may still land, and the target reads SECONDARY. S3 on the source is never an answer now: if both land there are two primaries",
		Statements: []Statement{s3},
		Before: []string{
			"on the target the role of the distributed AG reads SECONDARY and the SQL Server log shows no failover in progress",
			"on the source the role reads SECONDARY",
			"the target's last_hardened_lsn and end_of_log_lsn are not below those of the proof",
		}}
}

// atLeastProof reports that the target's own rows are not below the proof.
func (e *engine) atLeastProof() bool {
	if e.in.Proof == nil || e.tgt == nil {
		return false
	}
	for _, row := range e.in.Proof.Rows {
		d := database(e.tgt, row.Database)
		if d == nil || d.Own == nil {
			return false
		}
		if !d.Own.EndOfLog.AtLeast(row.TargetEndOfLog) {
			return false
		}
		if row.TargetHardened.Known() && !d.Own.LastHardened.AtLeast(row.TargetHardened) && (e.in.Proof.Basis != BasisEndOfLog || d.Own.LastHardened.Known()) {
			return false
		}
	}
	return true
}

// confirm is rule 5: the target reads PRIMARY. Is it the one that took S3, or
// one that holds the proof; does nothing fence it; is every database open?
func (e *engine) confirm(n *Sent) Decision {
	if e.off.doneOnRole {
		return e.done()
	}
	same := n.ServerName == e.tgt.Identity.ServerName && n.StartTime == e.tgt.Identity.StartTime
	if !same && !e.atLeastProof() {
		return e.page(Page{Code: PageUnexplained,
			Text:   fmt.Sprintf("the target is PRIMARY on %s (started %s), S3 went to %s (started %s), and its LSNs are not shown to be at the proof: it may lack commits. Not called done", e.tgt.Identity.ServerName, e.tgt.Identity.StartTime, n.ServerName, n.StartTime),
			Before: []string{"compare each database's end_of_log_lsn on the target with the proof in the report", "keep the old source untouched: it holds everything"}})
	}
	if d, ok := e.unfence(); ok {
		return d
	}
	if why := closedDatabase(e.p, e.tgt); why != "" {
		if e.now.Sub(n.since()) < patience+e.p.MaxWriteUnavailable {
			return e.wait(pollFast, "the target is PRIMARY; %s", why)
		}
		return e.page(Page{Code: PageDatabaseClosed, Text: "the target is PRIMARY by our S3; " + why + ". Look into the SQL Server log of the target; the move cannot be taken back"})
	}
	return e.done()
}

// unfence is RSSTC=0 on the new primary, sent until it reads back: its commits
// fail until then.
func (e *engine) unfence() (Decision, bool) {
	if released(e.tgt) {
		return Decision{}, false
	}
	l := e.lastRelease(hadr.Target)
	if l != nil && l.Tries >= maxTries && (e.in.Page == nil || e.in.Page.Code != PageReleaseFails) {
		st, _ := e.p.statement(ReleaseSecondary, hadr.Target)
		return e.page(Page{Code: PageReleaseFails, Text: fmt.Sprintf("the target is PRIMARY, and RSSTC=0 was sent to it %d times and does not read back: its commits fail while the source is out. The engine goes on trying", l.Tries),
			Statements: []Statement{st}, Before: []string{"you are on the target (@@SERVERNAME), in master"}}), true
	}
	if l == nil || !l.EffectSeen.IsZero() || e.now.Sub(l.since()) >= retryAfter {
		return e.execute(ReleaseSecondary, hadr.Target, hadr.RoleUnknown, "RSSTC=0 on the new primary first: its commits fail until then"), true
	}
	return e.wait(pollFast, "waiting for RSSTC=0 on the new primary to read back"), true
}

func (e *engine) done() Decision {
	e.clearPage()
	e.in.Outcome, e.in.OutcomeAt, e.in.WriteUnavailableTo = OutcomeDone, e.now, e.now
	e.enter(PhaseAfter)
	return e.wait(time.Millisecond, "done: the target is PRIMARY, every database is open, after %s without writes", e.now.Sub(e.in.WriteUnavailableFrom).Round(time.Millisecond))
}

// closedDatabase is why not every planned database is ONLINE and READ_WRITE on
// this primary; "" when all are.
func closedDatabase(p *Plan, r *hadr.Reading) string {
	for _, n := range p.Databases {
		d := database(r, n)
		switch {
		case d == nil:
			return fmt.Sprintf("%s is not in its list of databases", n)
		case d.State != hadr.DBOnline:
			return fmt.Sprintf("%s is %s", n, shown(string(d.State)))
		case d.Updateability != "read_write":
			return fmt.Sprintf("%s is %s, not READ_WRITE", n, shown(d.Updateability))
		}
	}
	return ""
}

// after is step 12: tidying up. Nothing here undoes or gates "done": each
// thing is tried a few times, and what is left over is a page.
func (e *engine) after() Decision {
	var left []Statement
	if e.tgt == nil { // done is said; the end waits until the writer is seen unfenced
		return e.unreadable(hadr.Target)
	}
	if d, ok := e.unfence(); ok { // the writer first, and for as long as it takes
		return d
	}
	if e.src != nil && !released(e.src) && e.p.UseRequired {
		if d, ok := e.tidy(ReleaseSecondary, hadr.Source, &left); ok {
			return d
		}
	}
	for _, h := range []HookName{HookRepoint, HookAfter} {
		if st := e.in.Hooks[h]; e.p.has(h) && !st.OK && st.Attempts < tidyTries {
			return e.hook(h, fmt.Sprintf("hook %s after the move", h))
		}
	}
	if e.p.BackToAsync {
		for _, s := range []hadr.Side{hadr.Target, hadr.Source} {
			if r := e.reading(s); r == nil || !modesAre(e.p, r, hadr.ModeAsynchronous) {
				if d, ok := e.tidy(SetAsynchronous, s, &left); ok {
					return d
				}
			}
		}
	}
	if e.src == nil && e.p.UseRequired && e.sent(RequireSecondary, hadr.Source) && !e.seen(ReleaseSecondary, hadr.Source) {
		// The old source cannot be seen, and RSSTC=1 of ours stands there: it
		// would stop the commits of a later move back. The hooks did not wait
		// for it.
		if d, ok := e.tidy(ReleaseSecondary, hadr.Source, &left); ok {
			return d
		}
	}
	for _, s := range []hadr.Side{hadr.Target, hadr.Source} {
		if r := e.reading(s); r != nil {
			for _, n := range e.p.Databases {
				if d := database(r, n); d != nil && d.Own != nil && d.Own.Suspended.OK && d.Own.Suspended.V {
					e.note(fmt.Sprintf("%s is suspended on the %s (%s): look before you RESUME", n, s, d.Own.SuspendReason))
				}
			}
		}
	}
	for _, h := range []HookName{HookRepoint, HookAfter} {
		if st := e.in.Hooks[h]; e.p.has(h) && !st.OK {
			e.note(fmt.Sprintf("hook %s failed %d times: %s", h, st.Attempts, st.Error))
		}
	}
	for _, st := range left {
		e.note(fmt.Sprintf("left to do by hand on the %s: %s", st.Side, st.SQL))
	}
	return e.finish(left)
}

// tidy sends a statement of step 12 or of the end of the way back, a few
// times and never in the way of anything: false when it is given up.
func (e *engine) tidy(k Kind, s hadr.Side, left *[]Statement) (Decision, bool) {
	tries := 0
	var last *Sent
	for i := range e.in.Sent {
		if n := &e.in.Sent[i]; n.Statement.Kind == k && n.Statement.Side == s && !n.At.Before(e.phaseSince()) {
			tries += max(1, n.Tries) // RSSTC=0 has one entry for all of them
			last = n
		}
	}
	if tries >= tidyTries && (e.now.Sub(last.since()) >= retryAfter) || e.now.Sub(e.phaseSince()) > patience*3 {
		if st, ok := e.p.statement(k, s); ok {
			*left = append(*left, st)
		}
		return Decision{}, false
	}
	if last != nil && e.now.Sub(last.since()) < retryAfter {
		return e.wait(pollFast, "%s on the %s was sent and does not read back yet", k, s), true
	}
	r := e.reading(s)
	if r == nil {
		return e.wait(pollRun, "%s: %s on it waits", e.why(s), k), true
	}
	if k != ReleaseSecondary {
		if d, ok := e.hold(s); !ok {
			return d, true
		}
	}
	return e.execute(k, s, r.DAG.Role, fmt.Sprintf("%s on the %s", k, s)), true
}

// finish drops our run ids and ends the run with its outcome.
func (e *engine) finish(left []Statement) Decision {
	if e.in.Outcome == OutcomeNone {
		return e.page(Page{Code: PageSchema, Text: fmt.Sprintf("the journal's intent is in phase %s without an outcome: nothing is done", e.in.Phase)})
	}
	if e.in.UnmarkTries < 2*tidyTries {
		for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
			if m := e.marker(s); m.OK && m.V == e.in.Run && e.locked(s) {
				e.in.UnmarkTries++
				return Decision{Action: ActionUnmark, Side: s, Reason: fmt.Sprintf("drop the run id from master of the %s", s), Verdicts: e.verdicts}
			}
		}
	}
	e.clearPage()
	e.enter(PhaseEnded)
	e.in.Ended = e.now
	e.in.WatchUntil = e.now.Add(e.p.SplitWatch)
	d := Decision{Action: ActionFinish, Outcome: e.in.Outcome, Reason: outcomeText(e.in.Outcome), Verdicts: e.verdicts}
	if len(left) > 0 {
		p := Page{Code: PageTidy, Text: "the run has ended (" + string(e.in.Outcome) + "); these statements did not take and are left to a hand", Statements: left}
		d.Page = &p
		e.in.Pages = append(e.in.Pages, PageTime{Page: p, At: e.now})
	}
	return d
}

func outcomeText(o Outcome) string {
	for _, i := range Outcomes {
		if i.Outcome == o {
			return i.Text
		}
	}
	return string(o)
}
