package cutover

import (
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// back is the one way back: from an abort before S2, from 7–9, and of a
// drill. RSSTC=0 on the source first of all; S3 on the source only where it
// reads SECONDARY, in a round that read the target SECONDARY; then confirm,
// modes, writers, and only after settle the outcome.
func (e *engine) back() Decision {
	if e.off.reviseGoingBack && e.in.Phase == PhaseBack && !e.p.Drill &&
		e.role(hadr.Source) == hadr.RoleSecondary && e.role(hadr.Target) == hadr.RoleSecondary && e.prove() == "" {
		return e.promote()
	}
	if d, ok := e.release(); ok {
		return d
	}
	switch e.role(hadr.Source) {
	case hadr.RolePrimary:
		return e.backConfirm()
	case hadr.RoleSecondary:
		e.enter(PhaseBack)
		return e.backPromote()
	}
	return e.unreadable(hadr.Source)
}

// release is the duty of rule 8: RSSTC=0 on the source is sent until it reads
// back, whether or not the side can be read, without lock or marker.
func (e *engine) release() (Decision, bool) {
	if e.off.leaveRequired || !e.sent(RequireSecondary, hadr.Source) {
		return Decision{}, false
	}
	if e.src != nil && released(e.src) {
		if e.in.Page != nil && e.in.Page.Code == PageReleaseFails {
			e.clearPage()
		}
		return Decision{}, false
	}
	if e.elsewhere(hadr.Source) {
		return e.unreadable(hadr.Source), true
	}
	n := e.lastRelease(hadr.Source)
	demoted := e.src == nil && e.sent(Demote, hadr.Source)
	if demoted && !e.in.SourceUnread.IsZero() && e.now.Sub(e.in.SourceUnread) >= patience && (e.in.Page == nil || e.in.Page.Code != PageUnreadable) {
		return e.unreadable(hadr.Source), true
	}
	if !demoted && n != nil && n.Tries >= maxTries && (e.in.Page == nil || e.in.Page.Code != PageReleaseFails) && e.role(hadr.Source) != hadr.RoleSecondary {
		st, _ := e.p.statement(ReleaseSecondary, hadr.Source)
		return e.page(Page{Code: PageReleaseFails, Text: fmt.Sprintf("RSSTC=0 on the source was sent %d times and does not read back: while it is 1 and the target is out, every commit on the source fails. The engine goes on trying", n.Tries),
			Statements: []Statement{st}, Before: []string{"you are on the source (@@SERVERNAME), in master"}}), true
	}
	if n == nil || !n.EffectSeen.IsZero() || !e.off.releaseOnce && e.now.Sub(n.since()) >= retryAfter {
		return e.execute(ReleaseSecondary, hadr.Source, hadr.RoleUnknown, "RSSTC=0 on the source, first of all"), true
	}
	if e.src == nil && e.sent(Demote, hadr.Source) {
		return e.unreadable(hadr.Source), true
	}
	return e.wait(pollFast, "RSSTC=0 was sent to the source and does not read back yet"), true
}

// elsewhere reports that a side answered, and that what answered is not of the
// plan: another group of the same name, behind a DSN that somebody changed.
// RSSTC=0 needs no lock and no run id, so this is what keeps it away from there.
func (e *engine) elsewhere(s hadr.Side) bool {
	r := e.o.Side(s).Reading
	return e.reading(s) == nil && r != nil && r.DAG.Found && r.DAG.GroupID != "" && r.DAG.GroupID != e.p.GroupID
}

// backPromote sends S3 to the source. Only the journal of this run explains a
// demoted source, and only a target that was just read SECONDARY allows it.
func (e *engine) backPromote() Decision {
	if e.sent(Promote, hadr.Target) && !e.off.backAfterS3 {
		return e.wait(pollFast, "S3 on the target is journalled: no S3 on the source for good")
	}
	if e.in.SourcePin.ServerName != e.src.Identity.ServerName && e.in.Pinned && !e.off.proofOtherInstance {
		return e.stop(PageSourceMoved, fmt.Sprintf("on the way back the source is %s, it was %s: its log may lack what the old one had", e.src.Identity.ServerName, e.in.SourcePin.ServerName))
	}
	if e.tgt == nil && !e.off.s3OtherUnread {
		return e.unreadable(hadr.Target)
	}
	if e.tgt != nil && e.role(hadr.Target) != hadr.RoleSecondary && !e.off.backAfterS3 {
		return e.unreadable(hadr.Target) // RESOLVING: a PRIMARY that is not ours was met before
	}
	if !released(e.src) && !e.off.promoteFenced {
		return e.wait(pollFast, "the source's own RSSTC is not 0")
	}
	if n := e.last(Promote, hadr.Source); n != nil && (!e.off.blindRetry || n.Outcome != SentUnknown) {
		waited := e.now.Sub(n.since())
		if waited < patience {
			return e.wait(pollFast, "S3 was sent to the source (%s); it still reads SECONDARY", n.Outcome)
		}
		if e.now.Before(n.settled(e.p.Settle)) {
			return e.page(e.backPage("S3 was sent to the source on the way back, may still land, and the source reads SECONDARY"))
		}
	}
	if n, last := e.refusals(Promote, hadr.Source); n > 0 && e.now.Sub(last.since()) < map[bool]time.Duration{false: retryAfter, true: patience}[n >= maxTries] {
		if n >= maxTries {
			return e.page(e.backPage("the source refuses S3 on the way back: " + last.Text))
		}
		return e.wait(pollFast, "S3 on the source was refused, nothing was done (%s): again in a moment", last.Text)
	}
	sides := []hadr.Side{hadr.Source, hadr.Target}
	if e.tgt == nil {
		sides = sides[:1]
	}
	if d, ok := e.hold(sides...); !ok {
		if why := e.barred(sides...); why != "" && (d.Action == ActionWait || !e.standing(PagePromoteStuck)) {
			p := e.backPage(why + ": S3 on the source, the way back, waits for it")
			p.Before = append(p.Before, barredBy...)
			return e.page(p)
		}
		return d
	}
	return e.execute(Promote, hadr.Source, hadr.RoleSecondary, "S3 on the source: the way back, the target was just read SECONDARY")
}

func (e *engine) backPage(text string) Page {
	p := Page{Code: PagePromoteStuck, Text: text, Before: []string{
		"on the target the role of the distributed AG reads SECONDARY, now, and nobody is about to send S3 there",
		"on the source the role reads SECONDARY and its SQL Server log shows no failover in progress",
	}}
	for _, k := range []Kind{ReleaseSecondary, Promote} {
		if st, ok := e.p.statement(k, hadr.Source); ok {
			p.Statements = append(p.Statements, st)
		}
	}
	return p
}

// barred is why S3 has to wait for a lock or a run id longer than is usual; ""
// while it does not. hold goes on trying under the page: the session of a
// webhook that lost its host holds the lock until the server finds it dead. The
// page takes the place of one try where each takes so long that hold never
// waits: else nobody would be called.
func (e *engine) barred(sides ...hadr.Side) string {
	for _, s := range sides {
		switch m := e.marker(s); {
		case !e.locked(s) && e.in.LockTries >= maxTries:
			return fmt.Sprintf("the lock in master of the %s was not to be had in %d tries", s, e.in.LockTries)
		case e.locked(s) && m.V != e.in.Run && e.in.MarkTries >= maxTries:
			return fmt.Sprintf("the run id could not be written into master of the %s and read back in %d tries", s, e.in.MarkTries)
		}
	}
	return ""
}

// barredBy is what a human can do about it.
var barredBy = []string{
	"who holds the lock: the run's log names the session (sys.dm_tran_locks, resource_type APPLICATION, in master). Of another webhook: stop one of the two. Of one whose host is gone: KILL that session, or wait until the server drops it",
	"the login is sysadmin on both sides, and master takes writes: the engine goes on by itself as soon as the lock and the run id are to be had",
}

// backConfirm: the source reads PRIMARY. The rule of "done" holds here too;
// then tidy up, and say the outcome only when nothing may land any more.
func (e *engine) backConfirm() Decision {
	s2, s3 := e.last(Demote, hadr.Source), e.last(Promote, hadr.Source)
	if s3 != nil {
		same := e.src.Identity.ServerName == s3.ServerName && e.src.Identity.StartTime == s3.StartTime
		if !same && !e.sourceAtHighest() {
			return e.page(Page{Code: PageUnexplained, Text: fmt.Sprintf("the source is PRIMARY on %s (started %s), S3 went to %s, and its LSNs are not shown to be at the highest ones read: it may lack commits. Not called rolled back", e.src.Identity.ServerName, e.src.Identity.StartTime, s3.ServerName),
				Before: []string{"compare each database's end_of_log_lsn with the report"}})
		}
	}
	if !released(e.src) && !e.off.leaveRequired {
		if e.sent(RequireSecondary, hadr.Source) {
			return e.wait(pollFast, "the source reads RSSTC %d", e.src.DAG.RSSTC.V)
		}
		st, _ := e.p.statement(ReleaseSecondary, hadr.Source)
		return e.page(Page{Code: PageRequiredOn, Text: fmt.Sprintf("the source is PRIMARY with RSSTC %d, and this run did not set it: its commits fail as soon as the target is out. The run ends when it reads 0", e.src.DAG.RSSTC.V),
			Statements: []Statement{st}, Before: []string{"you are on the source (@@SERVERNAME), in master", "no other engine or person is in the middle of a failover"}})
	}
	if why := closedDatabase(e.p, e.src); why != "" && s3 != nil {
		if e.now.Sub(s3.since()) < patience+e.p.MaxWriteUnavailable {
			return e.wait(pollFast, "the source is PRIMARY again; %s", why)
		}
		return e.page(Page{Code: PageDatabaseClosed, Text: "the source is PRIMARY again; " + why + ". Look into its SQL Server log"})
	}
	if s2 != nil && s2.EffectSeen.IsZero() && !e.off.endEarly {
		// S2 may still land. The writers stay out until settle, or they would
		// be thrown out again.
		if until := s2.settled(e.p.Settle); !e.src.Began.After(until) {
			return e.outstanding(s2, until)
		}
	}
	e.enter(PhaseBackAfter)
	return e.backAfter()
}

// sourceAtHighest reports that the source's rows are not below what was read
// of it since the pin.
func (e *engine) sourceAtHighest() bool {
	for _, h := range e.in.Highest {
		d := database(e.src, h.Database)
		if d == nil || d.Own == nil || h.EndOfLog.Known() && !d.Own.EndOfLog.AtLeast(h.EndOfLog) {
			return false
		}
	}
	return len(e.in.Highest) > 0
}

func (e *engine) outstanding(n *Sent, until time.Time) Decision {
	why := fmt.Sprintf("%s on the %s was sent at %s (%s) and may still land; the source reads PRIMARY. Watching until %s", n.Statement.Kind, n.Statement.Side, n.At.UTC().Format(time.TimeOnly), n.Outcome, until.UTC().Format(time.TimeOnly))
	if n.Outcome == SentAccepted && e.now.Sub(n.since()) < patience {
		return e.wait(pollFast, "%s", why)
	}
	p := Page{Code: PageOutstanding, Text: why + ". Nothing is to be typed unless the source goes SECONDARY and the engine does not answer", Before: []string{
		"the source reads SECONDARY", "the target reads SECONDARY, now", "the engine is stopped for good"}}
	for _, k := range []Kind{ReleaseSecondary, Promote} {
		if st, ok := e.p.statement(k, hadr.Source); ok {
			p.Statements = append(p.Statements, st)
		}
	}
	return e.page(p)
}

// backAfter: the source is in charge. Modes back, writers released, and the
// outcome on a reading that began after settle.
func (e *engine) backAfter() Decision {
	var left []Statement
	if e.in.Pinned && e.sentAny(SetSynchronous) {
		sides := []hadr.Side{hadr.Target, hadr.Source}
		if e.tgt == nil {
			sides = []hadr.Side{hadr.Source, hadr.Target} // the one that answers does not wait for the other
		}
		for _, s := range sides {
			old := e.in.SourceOld
			if s == hadr.Target {
				old = e.in.TargetOld
			}
			if !e.sent(SetSynchronous, s) || old.Source == hadr.ModeSynchronous && old.Target == hadr.ModeSynchronous {
				continue
			}
			if r := e.reading(s); r == nil || !modesAre(e.p, r, hadr.ModeAsynchronous) {
				if d, ok := e.tidy(SetAsynchronous, s, &left); ok {
					return d
				}
			}
		}
	}
	if e.tgt != nil && e.p.UseRequired && e.sent(RequireSecondary, hadr.Source) && e.tgt.DAG.Role == hadr.RoleSecondary && !released(e.tgt) {
		// Where the primary's RSSTC reaches the forwarder's copy, RSSTC=0 on a
		// demoted source did not: it would be found there by the next move.
		if d, ok := e.tidy(ReleaseSecondary, hadr.Target, &left); ok {
			return d
		}
	}
	if _, began := e.in.Hooks[HookQuiesce]; began && e.p.has(HookUnquiesce) {
		if u := e.in.Hooks[HookUnquiesce]; !u.OK {
			switch {
			case u.Attempts < tidyTries:
				return e.hook(HookUnquiesce, "the writers go on at the source")
			case e.now.Sub(u.Started) >= patience && u.Attempts < 100:
				return e.hook(HookUnquiesce, "the writers go on at the source, again")
			default:
				return e.page(Page{Code: PageHook, Text: fmt.Sprintf("the source is PRIMARY again, and the unquiesce hook failed %d times (%s): let the writers go on by hand. The engine goes on trying", u.Attempts, u.Error)})
			}
		}
	}
	if e.in.WriteUnavailableTo.IsZero() && !e.in.WriteUnavailableFrom.IsZero() {
		e.in.WriteUnavailableTo = e.now
	}
	if e.in.Outcome == OutcomeNone {
		if !e.off.endEarly {
			if n, until := e.mayLand(); n != nil && !e.src.Began.After(until) {
				if n.EffectSeen.IsZero() && n.Statement.Kind != Promote && (n.Outcome == SentUnknown || n.Outcome == SentPending) {
					return e.outstanding(n, until)
				}
				return e.waitClear(pollRun, "the source is PRIMARY with RSSTC=0; watching until %s whether anything still lands", until.UTC().Format(time.TimeOnly))
			}
			if n := e.lateModes(); n != nil {
				return e.waitClear(pollRun, "the source is PRIMARY with RSSTC=0; watching until %s whether synchronous commit still lands on the %s (%s)", n.settled(e.p.Settle).UTC().Format(time.TimeOnly), n.Statement.Side, n.Outcome)
			}
		}
		switch {
		case e.p.Drill && e.seen(Demote, hadr.Source) && e.in.Proof != nil:
			e.in.Outcome = OutcomeDrilled
		case e.sent(Promote, hadr.Source) || e.seen(Demote, hadr.Source):
			e.in.Outcome = OutcomeRolledBack
		default:
			e.in.Outcome = OutcomeAborted
		}
		e.in.OutcomeAt = e.now
	}
	return e.finish(left)
}

func (e *engine) sentAny(k Kind) bool {
	return e.sent(k, hadr.Source) || e.sent(k, hadr.Target)
}

// lateModes is an S1 that was sent, showed no effect and may still land: after
// our S1' it would leave synchronous commit behind, and nobody would know.
func (e *engine) lateModes() *Sent {
	for i := range e.in.Sent {
		n := &e.in.Sent[i]
		if n.Statement.Kind != SetSynchronous || n.Outcome == SentRefused || !n.EffectSeen.IsZero() {
			continue
		}
		if e.now.Before(n.settled(e.p.Settle)) {
			return n
		}
	}
	return nil
}

// mayLand is the statement that settle has to be waited for longest: S2, S3 or
// RSSTC=1, sent and not refused.
func (e *engine) mayLand() (last *Sent, until time.Time) {
	for i := range e.in.Sent {
		n := &e.in.Sent[i]
		if n.Outcome == SentRefused {
			continue
		}
		switch n.Statement.Kind {
		case Demote, Promote, RequireSecondary:
			if t := n.settled(e.p.Settle); last == nil || t.After(until) {
				last, until = n, t
			}
		}
	}
	return last, until
}
