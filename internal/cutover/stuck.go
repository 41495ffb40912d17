package cutover

import (
	"fmt"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

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
		need := (e.src == nil || !released(e.src)) && !e.elsewhere(hadr.Source)
		if e.sent(Demote, hadr.Source) && e.role(hadr.Source) != hadr.RolePrimary && e.role(hadr.Target) != hadr.RolePrimary {
			need = false
		}
		if n := e.lastRelease(hadr.Source); need && (n == nil || !n.EffectSeen.IsZero() || !e.off.releaseOnce && e.now.Sub(n.since()) >= retryAfter) {
			d := e.execute(ReleaseSecondary, hadr.Source, hadr.RoleUnknown, "a page stands; RSSTC=0 on the source first of all")
			e.page(e.humanPage()) // now: where the source hangs each round is one more try, and nobody would be called
			return d, true
		}
	}
	if a := e.o.Outside.Acknowledged; a != nil && e.maybeClose() {
		e.note(fmt.Sprintf("closed by %s: %s", a.By, a.Reason))
		e.in.Outcome, e.in.OutcomeAt = OutcomeClosed, e.now
		return e.finish(nil), true
	}
	return e.page(e.humanPage()), true
}

// humanPage is the page of a run whose engine only reads.
func (e *engine) humanPage() Page {
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
	return p
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
		why += ". " + e.nobodyWrites() + ", and nothing is to be typed while a statement may still land or the target is not seen"
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
