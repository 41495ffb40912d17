package cutover

import (
	"fmt"
	"strings"
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
		if e.in.LockTries >= maxTries {
			return e.page(e.backPage(fmt.Sprintf("the lock in master of the %s is not to be had", d.Side)))
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
		for _, s := range []hadr.Side{hadr.Target, hadr.Source} {
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

// unexplained finds what only a human may decide on: two primaries, another
// engine, a role that our journal does not explain.
func (e *engine) unexplained() (Decision, bool) {
	if e.off.adoptRoles {
		return Decision{}, false
	}
	src, tgt := e.role(hadr.Source), e.role(hadr.Target)
	if src == hadr.RolePrimary && tgt == hadr.RolePrimary {
		return e.stop(PageSplit, "source and target both read PRIMARY: two writable copies. Stop the writers of one of them now; which one holds what is in the report"), true
	}
	if s, run := e.foreign(); run != "" && !e.off.ignoreOtherRun {
		return e.stop(PageOtherRun, fmt.Sprintf("master of the %s holds run id %s, ours is %s: another engine is at work. This one only reads", s, run, e.in.Run)), true
	}
	switch {
	case tgt == hadr.RolePrimary && !e.sent(Promote, hadr.Target):
		return e.stop(PageUnexplained, "the target is PRIMARY and no S3 of ours was sent there: somebody forced it"), true
	case src == hadr.RoleSecondary && !e.sent(Demote, hadr.Source):
		return e.stop(PageUnexplained, "the source is SECONDARY and no S2 of ours was sent: somebody demoted it"), true
	case src == hadr.RoleSecondary && e.seen(Promote, hadr.Source):
		return e.stop(PageUnexplained, "the source was PRIMARY again by our S3 and is SECONDARY now: somebody demoted it, or a statement landed twice"), true
	case src == hadr.RolePrimary && e.seen(Demote, hadr.Source) && !e.sent(Promote, hadr.Source):
		return e.stop(PageUnexplained, "the source was demoted by our S2 and is PRIMARY now without an S3 of ours: somebody forced it"), true
	case src == hadr.RolePrimary && e.sent(Promote, hadr.Target):
		return e.stop(PageUnexplained, "S3 was sent to the target and the source reads PRIMARY: somebody forced it, and the target's S3 may still land"), true
	case tgt == hadr.RoleSecondary && e.seen(Promote, hadr.Target):
		return e.stop(PageUnexplained, "the target was PRIMARY by our S3 and is SECONDARY now: somebody demoted it"), true
	}
	return Decision{}, false
}

// stop ends our acting in this run for good: from here on the engine only
// reads, and takes RSSTC=1 back where it is ours. A human closes the run.
func (e *engine) stop(code, text string) Decision {
	e.in.Stuck, e.in.StuckWhy = code, text
	d, _ := e.stuck()
	return d
}

func (e *engine) stuck() (Decision, bool) {
	if e.in.Stuck == "" {
		return Decision{}, false
	}
	// Rule 8: the duty does not end with the page. RSSTC=1 on a source that
	// reads SECONDARY stays, it fences, until the target is PRIMARY. Under
	// another engine only read: RSSTC=1 may be its own by now.
	if e.in.Stuck != PageOtherRun && !e.off.leaveRequired && e.sent(RequireSecondary, hadr.Source) {
		need := e.src == nil || !released(e.src)
		if e.sent(Demote, hadr.Source) && e.role(hadr.Source) != hadr.RolePrimary && e.role(hadr.Target) != hadr.RolePrimary {
			need = false
		}
		if n := e.lastRelease(hadr.Source); need && (n == nil || !n.EffectSeen.IsZero() || !e.off.releaseOnce && e.now.Sub(n.since()) >= retryAfter) {
			return e.execute(ReleaseSecondary, hadr.Source, hadr.RoleUnknown, "a page stands; RSSTC=0 on the source first of all"), true
		}
	}
	if a := e.o.Outside.Acknowledged; a != nil && e.maybeClose() {
		e.note(fmt.Sprintf("closed by %s: %s", a.By, a.Reason))
		e.in.Outcome, e.in.OutcomeAt = OutcomeClosed, e.now
		return e.finish(nil), true
	}
	p := Page{Code: e.in.Stuck, Text: e.in.StuckWhy, Before: []string{
		"find out who acted: the SQL Server log of both sides, the cluster manager, colleagues",
		"exactly one side is to be PRIMARY in the end; the other one must be fenced (listener down, or AG offline) before S3 is typed",
		"S3 on a side that lacks log loses those commits: compare each database's end_of_log_lsn and last_hardened_lsn with the report first",
	}}
	kinds := []Kind{ReleaseSecondary, Promote}
	for _, k := range kinds {
		for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
			if k == Promote && (s == hadr.Source && e.sent(Promote, hadr.Target) || s == hadr.Target && e.sent(Promote, hadr.Source)) {
				continue // never while the other side's S3 may land
			}
			if k == Promote && (e.role(hadr.Source) == hadr.RolePrimary || e.role(hadr.Target) == hadr.RolePrimary) {
				continue
			}
			if st, ok := e.p.statement(k, s); ok {
				p.Statements = append(p.Statements, st)
			}
		}
	}
	return e.page(p), true
}

// maybeClose: a human says that it is over. It is, when exactly one side reads
// PRIMARY, both were read, nothing fences it, and nothing of ours may land.
func (e *engine) maybeClose() bool {
	if e.src == nil || e.tgt == nil {
		return false
	}
	primary, other := e.src, e.tgt
	if e.tgt.DAG.Role == hadr.RolePrimary {
		primary, other = e.tgt, e.src
	}
	if primary.DAG.Role != hadr.RolePrimary || other.DAG.Role != hadr.RoleSecondary || !released(primary) {
		return false
	}
	n, until := e.mayLand()
	return n == nil || e.src.Began.After(until) && e.tgt.Began.After(until)
}

// unreadable waits for a side that the next step depends on, and pages when it
// takes too long. What the page names depends on what may still land.
func (e *engine) unreadable(s hadr.Side) Decision {
	since := e.in.SourceUnread
	if s == hadr.Target {
		since = e.in.TargetUnread
	}
	why := fmt.Sprintf("the %s cannot be read: %s", s, e.why(s))
	if e.reading(s) != nil {
		why = fmt.Sprintf("the %s reads %s", s, shown(string(e.role(s))))
	}
	if since.IsZero() || e.now.Sub(since) < patience {
		return e.wait(pollFast, "%s", why)
	}
	p := Page{Code: PageUnreadable, Before: []string{fmt.Sprintf("bring the %s back: the engine goes on by itself as soon as it is read", s)}}
	add := func(k Kind, side hadr.Side) {
		if st, ok := e.p.statement(k, side); ok {
			p.Statements = append(p.Statements, st)
		}
	}
	switch {
	case e.sent(Promote, hadr.Target):
		why += ". S3 was sent to the target: nothing is to be sent to the source"
		add(Promote, hadr.Target)
		p.Before = append(p.Before, "the target reads SECONDARY and shows no failover in progress", "the source reads SECONDARY, or is fenced")
	case s == hadr.Source && e.emergency() && (e.in.GoingBack == nil && e.seen(Demote, hadr.Source) || e.now.Sub(since) >= e.p.Settle):
		why += ". " + e.nobodyWrites() + "; the target is not promoted unseen. If the source is gone for good, this is the emergency: " + e.cost()
		if !released(e.tgt) {
			add(ReleaseSecondary, hadr.Target)
		}
		add(Promote, hadr.Target)
		p.Before = append(p.Before, "the source is fenced for good: how? (powered off, network cut, AG offline). The engine goes on with the source as soon as it is read again",
			"the target reads SECONDARY, now", "somebody who may decide it has agreed to the cost")
	case s == hadr.Source && !e.sent(Demote, hadr.Source):
		why += ". It was not demoted by this run: where it cannot be seen it may be PRIMARY and taking writes, so nothing is to be promoted"
		if e.sent(RequireSecondary, hadr.Source) {
			add(ReleaseSecondary, hadr.Source)
		}
	case e.in.GoingBack != nil:
		why += ". The way back is decided"
		add(ReleaseSecondary, hadr.Source)
		add(Promote, hadr.Source)
		p.Before = append(p.Before, "the target reads SECONDARY, or is fenced for good")
	default:
		why += ". No side takes writes, and nothing is to be typed while a statement may still land or the target is not seen"
	}
	p.Text = why
	return e.page(p)
}

// emergency reports that S3 on the target may be named to a human though the
// source is gone: our S2 was seen to take, or there was none; the target reads
// SECONDARY; and no S2 or S3 may still land.
func (e *engine) emergency() bool {
	return e.role(hadr.Target) == hadr.RoleSecondary && (e.seen(Demote, hadr.Source) || !e.sent(Demote, hadr.Source)) &&
		!e.sent(Promote, hadr.Source) && !e.sent(Promote, hadr.Target) && !e.in.Outstanding(*e.p, e.now)
}

// nobodyWrites says who takes writes while the source is not seen.
func (e *engine) nobodyWrites() string {
	if e.seen(Demote, hadr.Source) {
		return "No side takes writes"
	}
	return "Where it cannot be seen the source may be PRIMARY and taking writes"
}

// cost is what S3 on the target without the source loses, as far as known.
func (e *engine) cost() string {
	if e.in.Proof != nil {
		return fmt.Sprintf("the proof of %s is complete, so S3 on the target loses nothing if the source wrote nothing since", e.in.Proof.At.UTC().Format(time.TimeOnly))
	}
	var less []string
	for _, h := range e.in.Highest {
		d := database(e.tgt, h.Database)
		if d == nil || d.Own == nil || !h.EndOfLog.Known() || !d.Own.EndOfLog.AtLeast(h.EndOfLog) {
			less = append(less, h.Database)
		}
	}
	text := "THERE IS NO COMPLETE PROOF: S3 on the target loses whatever the source has beyond the target's LSNs"
	if len(less) > 0 {
		return text + "; below the highest LSN read of the source, or not known: " + strings.Join(less, ", ")
	}
	return text + "; every database is at the highest LSN read of the source"
}

// idle: no run. The gates are evaluated; what stands wrong without a run of
// ours is a page with both ways out, and is touched by nobody.
func (e *engine) idle() Decision {
	e.foldUnread()
	e.verdicts = e.gates()
	src, tgt := e.role(hadr.Source), e.role(hadr.Target)
	add := func(p *Page, l ...Statement) {
		for _, s := range l {
			if st, ok := e.p.statement(s.Kind, s.Side); ok {
				p.Statements = append(p.Statements, st)
			}
		}
	}
	switch {
	case src == hadr.RolePrimary && tgt == hadr.RolePrimary:
		return e.page(Page{Code: PageSplit, Text: "source and target both read PRIMARY and no run of ours is active: two writable copies",
			Before: []string{"stop the writers of one side now", "compare both sides with the last report before anything is typed"}})
	case src == hadr.RoleSecondary && tgt == hadr.RoleSecondary:
		p := Page{Code: PageBothSecondary, Text: "no side is PRIMARY and no run of ours explains it: nobody can write. Two ways out, and only a human can choose",
			Before: []string{"find out who sent S2 and whether an S3 of theirs may still land", "S3 on the target only if its last_hardened_lsn and end_of_log_lsn are not below the source's in every database, at rest", "S3 on the source otherwise; never both"}}
		if e.in.Outstanding(*e.p, e.now) {
			p.Text += fmt.Sprintf(". A statement of run %s may still land: nothing is to be typed before", e.in.Run)
			return e.page(p)
		}
		add(&p, Statement{Kind: ReleaseSecondary, Side: hadr.Source}, Statement{Kind: Promote, Side: hadr.Source}, Statement{Kind: Promote, Side: hadr.Target})
		return e.page(p)
	}
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		if r := e.reading(s); r != nil && r.DAG.Role == hadr.RolePrimary && r.DAG.RSSTC.OK && r.DAG.RSSTC.V != 0 && e.p.UseRequired && e.o.Outside.OtherRun == "" {
			p := Page{Code: PageRequiredOn, Text: fmt.Sprintf("RSSTC=%d stands on the %s, which is PRIMARY, without a run of ours: its commits fail as soon as the other side is out", r.DAG.RSSTC.V, s),
				Before: []string{"no other engine or person is in the middle of a failover"}}
			add(&p, Statement{Kind: ReleaseSecondary, Side: s})
			return e.page(p)
		}
	}
	if p := e.gone(); p != nil {
		return e.page(*p)
	}
	if v, ok := e.closedFor(stageStart); !ok {
		return Decision{Action: ActionWait, Poll: pollIdle, Reason: fmt.Sprintf("gate %s is %s: %s", v.Gate, v.State, v.Reason), Verdicts: e.verdicts, Want: e.want()}
	}
	kind := "cutover"
	if e.p.Drill {
		kind = "drill"
	}
	return Decision{Action: ActionStart, Poll: pollRun, Reason: "every gate is open: the " + strings.ToLower(kind) + " may start", Verdicts: e.verdicts, Want: e.want()}
}

// gone is the emergency without a run: one side has not been seen for settle,
// the other one reads SECONDARY, so nobody is seen to take writes. nil if that
// is not so. Nothing of it is ever sent by us.
func (e *engine) gone() *Page {
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		since, other := e.in.SourceUnread, s.Other()
		if s == hadr.Target {
			since = e.in.TargetUnread
		}
		if since.IsZero() || e.now.Sub(since) < e.p.Settle || e.role(other) != hadr.RoleSecondary {
			continue
		}
		why := e.why(s)
		if e.reading(s) != nil {
			why = "it reads " + shown(string(e.role(s)))
		}
		p := Page{Code: PageSideGone, Text: fmt.Sprintf("the %s has not been seen for %s (%s), the %s reads SECONDARY, and no run of ours is active: nobody is seen to take writes", s, e.now.Sub(since).Round(time.Second), why, other),
			Before: []string{
				fmt.Sprintf("bring the %s back if that can be done: nothing is lost then, and nothing is to be typed", s),
				fmt.Sprintf("the %s is fenced for good: how? (powered off, network cut, AG offline): if it is PRIMARY where it cannot be seen, there are two primaries", s),
				fmt.Sprintf("the %s reads SECONDARY, now, and nobody else is about to send S3", other),
				"somebody who may decide it has agreed to the cost",
			}}
		if e.in.Outstanding(*e.p, e.now) {
			p.Text += fmt.Sprintf(". A statement of run %s may still land: nothing is to be typed before", e.in.Run)
			p.Before = p.Before[:1]
			return &p
		}
		p.Text += fmt.Sprintf(". If it is gone for good, this is the emergency. THERE IS NO PROOF: S3 on the %s loses whatever the %s committed beyond the %s's LSNs", other, s, other)
		kinds := []Kind{Promote}
		if r := e.reading(other); !released(r) {
			kinds = []Kind{ReleaseSecondary, Promote}
		}
		for _, k := range kinds {
			if st, ok := e.p.statement(k, other); ok {
				p.Statements = append(p.Statements, st)
			}
		}
		return &p
	}
	return nil
}
