package cutover

import (
	"fmt"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// demoted is steps 8 and 9, and the S3 of step 10.
func (e *engine) demoted() Decision {
	out := &e.o.Outside
	if n, last := e.refusals(Demote, hadr.Source); n > 0 && !e.sent(Demote, hadr.Source) {
		e.enter(PhaseDemote) // surely nothing done: the entry counts as never sent
		return e.wait(time.Millisecond, "S2 was refused, nothing was done: %s", last.Text)
	}
	if e.off.blindRetry {
		if n := e.last(Demote, hadr.Source); n != nil && n.Outcome == SentUnknown && n.EffectSeen.IsZero() {
			return e.execute(Demote, hadr.Source, hadr.RoleUnknown, "again")
		}
	}
	switch {
	case out.RollbackRequested != nil:
		return e.goBack("%s", Because(out.RollbackRequested.By+" asked for it", out.RollbackRequested.Reason))
	case e.now.After(e.budgetEnd()) && (!e.off.holdStopsClock || out.Held == nil):
		why := "no proof"
		switch {
		case e.in.Proof != nil && out.Held != nil:
			why = "held by " + out.Held.By
		case !e.seen(Demote, hadr.Source):
			why = "S2 does not take effect"
		case e.src == nil || e.tgt == nil:
			why = strings.TrimSpace(e.srcWhy + " " + e.tgtWhy)
		}
		return e.goBack("max_write_unavailable (%s) is used up: %s", e.p.MaxWriteUnavailable, why)
	}
	if d, ok := e.moved(); ok {
		return d
	}
	if e.in.Phase == PhaseConfirmDemoted {
		if e.src == nil {
			return e.unreadable(hadr.Source)
		}
		if why := e.notDemoted(); why != "" {
			return e.wait(pollFast, "%s", why)
		}
		e.enter(PhaseProve)
	}
	if e.off.noProof {
		if e.in.Proof == nil {
			e.in.Proof = &Proof{Run: e.in.Run, At: e.now}
		}
	} else if why := e.prove(); why != "" {
		if strings.HasPrefix(why, divergedPrefix) {
			return e.goBack("%s", why)
		}
		if !e.blind() {
			for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
				if e.reading(s) == nil {
					return e.unreadable(s) // rule 1: not promoted unseen; a human is told
				}
			}
			e.clearPage()
			// Whatever woke this round up, the next sample is due when the
			// interval since the last one is over, not a whole one later.
			poll := e.p.SettleInterval
			if r := e.in.Rest; r != nil && e.now.After(r.Last) {
				poll = max(time.Millisecond, poll-e.now.Sub(r.Last))
			}
			return e.wait(poll, "%s", why)
		}
	}
	if e.p.Drill {
		return e.goBack("a drill: the proof is complete after %s, and the way back begins", e.now.Sub(e.in.WriteUnavailableFrom).Round(time.Millisecond))
	}
	if out.Held != nil {
		by := out.Held.By
		if out.Held.Reason != "" {
			by += " (" + out.Held.Reason + ")"
		}
		return e.wait(pollFast, "the proof is complete; held by %s: S3 waits, the clock does not", by)
	}
	return e.promote()
}

// notDemoted is why step 8 has to wait. RESOLVING is not SECONDARY. A database
// whose updateability the demoted side no longer shows is not READ_WRITE.
func (e *engine) notDemoted() string {
	if e.src == nil {
		return e.srcWhy
	}
	if r := e.role(hadr.Source); r != hadr.RoleSecondary {
		return fmt.Sprintf("S2 was sent; the source reads %s", shown(string(r)))
	}
	for _, n := range e.p.Databases {
		if d := database(e.src, n); d != nil && d.Updateability == "read_write" {
			return fmt.Sprintf("%s on the demoted source is still READ_WRITE", n)
		}
	}
	return ""
}

// moved is rule 4 after S2: what a restart or a local failover of a side does
// to the proof.
func (e *engine) moved() (Decision, bool) {
	if r := e.src; r != nil && !samePin(&e.in.SourcePin, r) {
		if r.Identity.ServerName != e.in.SourcePin.ServerName && !e.off.proofOtherInstance {
			if e.in.Proof == nil {
				return e.stop(PageSourceMoved, fmt.Sprintf("after S2 the source is %s, it was %s: its log may lack what the old one had, so no proof can be made there", r.Identity.ServerName, e.in.SourcePin.ServerName)), true
			}
			// The proof was complete before: it stands, and S3 needs the
			// source read SECONDARY wherever it is now.
		} else {
			e.note(fmt.Sprintf("the source restarted after S2 (now started %s): proving again", r.Identity.StartTime))
			if !e.off.proofSurvives {
				e.in.Rest, e.in.Proof = nil, nil
			}
			e.in.SourcePin = pinOf(r)
		}
	}
	if r := e.tgt; r != nil && !samePin(&e.in.TargetPin, r) {
		e.note(fmt.Sprintf("the target is now %s (started %s): proving again", r.Identity.ServerName, r.Identity.StartTime))
		if !e.off.proofSurvives {
			e.in.Rest, e.in.Proof = nil, nil
		}
		e.in.TargetPin = pinOf(r)
		if e.in.Phase == PhaseConfirmDemoted || e.in.Phase == PhaseProve {
			if e.in.Proof == nil && e.src != nil && e.src.Identity.ServerName != e.in.SourcePin.ServerName {
				return e.stop(PageSourceMoved, "the target restarted after the source had moved to another instance: the proof is gone and cannot be made again"), true
			}
		}
	}
	return Decision{}, false
}

// promote is step 10. It runs only in a round in which the source was read
// and is SECONDARY, with the proof of the present LSNs, and never once a way
// back was journalled.
func (e *engine) promote() Decision {
	if e.in.GoingBack != nil && !e.off.reviseGoingBack {
		return e.wait(pollFast, "going back: no S3 on the target")
	}
	if e.sent(Promote, hadr.Source) && !e.off.reviseGoingBack {
		return e.wait(pollFast, "S3 on the source is journalled: no S3 on the target for good")
	}
	if e.src == nil && !e.blind() && !e.off.s3OtherUnread {
		return e.unreadable(hadr.Source)
	}
	if e.src != nil && e.role(hadr.Source) != hadr.RoleSecondary && !e.off.s3OtherUnread {
		return e.wait(pollFast, "the source reads %s, not SECONDARY: no S3", shown(string(e.role(hadr.Source))))
	}
	if e.tgt == nil {
		return e.unreadable(hadr.Target)
	}
	if e.role(hadr.Target) != hadr.RoleSecondary {
		return e.wait(pollFast, "the target reads %s, not SECONDARY", shown(string(e.role(hadr.Target))))
	}
	if e.src != nil && e.foreignStop() {
		return e.wait(pollFast, "another engine's run id is in master")
	}
	if !released(e.tgt) && !e.off.promoteFenced {
		if n := e.lastRelease(hadr.Target); n == nil || e.now.Sub(n.At) >= retryAfter {
			return e.execute(ReleaseSecondary, hadr.Target, hadr.RoleUnknown, "the target's own RSSTC is not 0: its commits would fail after S3")
		}
		return e.wait(pollFast, "waiting for RSSTC=0 on the target to read back")
	}
	if n, last := e.refusals(Promote, hadr.Target); n > 0 {
		if last.Answer != AnswerBusy && last.Answer != AnswerGuardRefused || n >= maxTries {
			return e.goBack("S3 on the target was refused, nothing was done: %s", last.Text)
		}
		if e.now.Sub(last.since()) < time.Second {
			return e.wait(pollFast, "S3 was refused, nothing was done (%s): again in a moment", last.Text)
		}
	}
	sides := []hadr.Side{hadr.Source, hadr.Target}
	if e.src == nil {
		sides = sides[1:]
	}
	if d, ok := e.hold(sides...); !ok {
		if why := e.barred(sides...); why != "" && (d.Action == ActionWait || !e.standing(PageOtherRun)) {
			return e.page(Page{Code: PageOtherRun, Text: why + ": S3 on the target waits for it. No side takes writes; when max_write_unavailable is used up the engine goes back", Before: barredBy})
		}
		return d
	}
	e.clearPage()
	e.enter(PhasePromote)
	reason := "S3 on the target: it holds everything, proven at rest, and the source was just read SECONDARY"
	if e.src == nil {
		reason = "S3 on the target within proof_ttl of the proof, the source unread (blind_s3, approved in the plan)"
		e.note(reason)
	}
	return e.execute(Promote, hadr.Target, hadr.RoleSecondary, reason)
}

func (e *engine) foreignStop() bool {
	_, run := e.foreign()
	return run != "" && !e.off.ignoreOtherRun
}

// blind reports that the plan allows S3 without reading the source now: the
// source cannot be read, and the proof is younger than proof_ttl.
func (e *engine) blind() bool {
	if !e.p.BlindS3 && !e.off.s3OtherUnread || e.src != nil || e.tgt == nil || e.in.Proof == nil {
		return false
	}
	age := e.now.Sub(e.in.Proof.At)
	return age >= 0 && age <= e.p.ProofTTL // a clock that was put back over a restart makes no old proof young
}
