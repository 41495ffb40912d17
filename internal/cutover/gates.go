package cutover

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// stage is a point of the order at which gates have to be open.
type stage int

const (
	stageStart  stage = iota // before step 1
	stageDemote              // step 6, immediately before S2
)

// GateInfo is a gate with what it asks, and when it has to be open.
type GateInfo struct {
	Gate   Gate
	Text   string
	Start  bool // before a run starts
	Demote bool // once more at step 6, immediately before S2

	eval func(*engine) Verdict
}

// Gates lists every gate once, in the order in which a person reads them:
// permission first, then what can never become true by waiting, then what can.
var Gates = []GateInfo{
	{GateMode, "the webhook runs in execute mode", true, true, (*engine).gateMode},
	{GateArmed, "a person armed this very plan, the arming has not ended and has started no run yet", true, true, (*engine).gateArmed},
	{GateHeld, "nobody holds it", true, true, (*engine).gateHeld},
	{GateWindow, "the change window is open, for long enough", true, false, (*engine).gateWindow},
	{GateApprovals, "enough people approved this very plan", true, true, (*engine).gateApprovals},
	{GateLease, "the start alert is firing now", true, false, (*engine).gateLease},
	{GatePipeline, "the alert path has shown that it is alive", true, false, (*engine).gatePipeline},
	{GateChecklist, "every item of the checklist is declared done", true, true, (*engine).gateChecklist},
	{GateCooldown, "the last run was acknowledged", true, true, (*engine).gateCooldown},
	{GateOtherRun, "no other run, and no run id of another engine in master", true, true, (*engine).gateOtherRun},
	{GateReadable, "both sides were read in this round", true, true, (*engine).gateReadable},
	{GatePlatform, "no Managed Instance, no contained availability group", true, true, (*engine).gatePlatform},
	{GateTopology, "the distributed group has the two members of the plan, on two instances", true, true, (*engine).gateTopology},
	{GatePlanTrue, "the availability groups' configuration has not moved since the plan was made", true, true, (*engine).gatePlanTrue},
	{GateIdentity, "both sides are the instances of the plan, not restarted since", true, true, (*engine).gateIdentity},
	{GateRights, "the login is sysadmin on both sides", true, true, (*engine).gateRights},
	{GateVersions, "the target's version is the source's, or newer and declared cross-version", true, true, (*engine).gateVersions},
	{GateDatabases, "both sides hold exactly the databases of the plan", true, true, (*engine).gateDatabases},
	{GateListeners, "both copies of both LISTENER_URLs agree", true, true, (*engine).gateListeners},
	{GateOtherDAGs, "neither local group is a member of a further distributed group", true, true, (*engine).gateOtherDAGs},
	{GateLocalModes, "both primaries commit synchronously in their local groups", true, true, (*engine).gateLocalModes},
	{GateLocalRSSTC, "the local groups' own RSSTC can be met", true, true, (*engine).gateLocalRSSTC},
	{GateLineage, "both copies of every database are of one family and recovery fork", true, true, (*engine).gateLineage},
	{GateWayBack, "there is a way back, or it is said that there is none", true, true, (*engine).gateWayBack},
	{GateClock, "both servers' clocks are near ours", true, true, (*engine).gateClock},
	{GateDirection, "the source is PRIMARY and the target SECONDARY", true, true, (*engine).gateDirection},
	{GateRSSTC, "the distributed group's RSSTC is 0 on both sides (1 on the source at step 6)", true, true, (*engine).gateRSSTC},
	{GateStates, "every database is online, joined, moving", true, true, (*engine).gateStates},
	{GateLink, "the link is connected and moving, and SYNCHRONIZED at step 6", true, true, (*engine).gateLink},
	{GateLocalHealth, "the local groups' synchronous replicas are connected and healthy", true, true, (*engine).gateLocalHealth},
	{GateSeeding, "nothing is being seeded", true, true, (*engine).gateSeeding},
	{GateLogSpace, "the source's logs have room", true, true, (*engine).gateLogSpace},
	{GateConvergence, "the convergence has reached the level at which the plan may start", true, true, (*engine).gateConvergence},
	{GateQueues, "send and redo queues are inside the bounds of near", true, true, (*engine).gateQueues},
	{GateBudget, "the predicted time without writes fits max_write_unavailable", true, true, (*engine).gateBudget},
	{GateQuiet, "no open transaction with log records on the source", false, true, (*engine).gateQuiet},
	{GateDrained, "every database is past the mark on the target", false, true, (*engine).gateDrained},
}

// CheckAll evaluates every gate and reports every one, in the order of Gates.
func CheckAll(plan Plan, intent Intent, observation Observation, now time.Time) []Verdict {
	e := &engine{p: &plan, hash: plan.Hash(), in: clone(intent), o: &observation, now: now}
	e.src, e.srcWhy = e.usable("source")
	e.tgt, e.tgtWhy = e.usable("target")
	return e.gates()
}

// Readiness of a set of verdicts for a start: all open; or closed, and whether
// waiting can help with every one that is not open.
func Readiness(verdicts []Verdict) (open, waitingHelps bool) {
	open, waitingHelps = true, true
	for _, g := range Gates {
		for _, v := range verdicts {
			if v.Gate == g.Gate && g.Start && !v.Open() {
				open = false
				waitingHelps = waitingHelps && v.WaitingHelps
			}
		}
	}
	return open, waitingHelps
}

func (e *engine) gates() []Verdict {
	l := make([]Verdict, 0, len(Gates))
	for _, g := range Gates {
		v := g.eval(e)
		v.Gate = g.Gate
		l = append(l, v)
	}
	return l
}

// verdict of one gate in this round.
func (e *engine) verdict(g Gate) Verdict {
	for _, v := range e.verdicts {
		if v.Gate == g {
			return v
		}
	}
	return Verdict{Gate: g, State: GateUnknown, Reason: "not evaluated", WaitingHelps: true}
}

// closedFor is the first gate that is not open at the stage: one that waiting
// cannot help before any other, so that nothing is waited for in vain.
func (e *engine) closedFor(s stage) (Verdict, bool) {
	if s == stageDemote && e.off.skipGates {
		return Verdict{}, true
	}
	var first *Verdict
	for i, g := range Gates {
		if s == stageStart && !g.Start || s == stageDemote && !g.Demote || i >= len(e.verdicts) {
			continue
		}
		v := &e.verdicts[i]
		if v.Open() || v.State == GateUnknown && e.off.unknownOpen {
			continue
		}
		if v.State == GateClosed && !v.WaitingHelps {
			return *v, false
		}
		if first == nil {
			first = v
		}
	}
	if first != nil {
		return *first, false
	}
	return Verdict{}, true
}

func open(format string, args ...any) Verdict {
	return Verdict{State: GateOpen, Reason: fmt.Sprintf(format, args...)}
}

// never is closed for good: waiting cannot help.
func never(format string, args ...any) Verdict {
	return Verdict{State: GateClosed, Reason: fmt.Sprintf(format, args...)}
}

// later is closed now; waiting, or a person, can open it.
func later(format string, args ...any) Verdict {
	return Verdict{State: GateClosed, Reason: fmt.Sprintf(format, args...), WaitingHelps: true}
}

func unknown(format string, args ...any) Verdict {
	return Verdict{State: GateUnknown, Reason: fmt.Sprintf(format, args...), WaitingHelps: true}
}

func (e *engine) gateMode() Verdict {
	if e.o.Outside.Mode != Execute {
		return later("dry run: nothing is executed until mode: execute is configured")
	}
	return open("execute")
}

func (e *engine) gateArmed() Verdict {
	a := e.o.Outside.Armed
	switch {
	case a == nil:
		return later("nobody has armed it")
	case a.PlanHash != e.hash:
		return later("armed by %s for plan %.12s, the plan is now %.12s: look at it and arm it again", a.By, a.PlanHash, e.hash)
	case e.in.Active() && a.Generation == e.in.Generation:
		return open("armed by %s, used up by this run", a.By)
	case e.in.Active():
		return later("this run's arming was taken away")
	case e.in.Run != "" && a.Generation <= e.in.Generation:
		return later("the arming by %s has already started run %s: one arming starts one run", a.By, e.in.Run)
	case !e.now.Before(a.Until):
		return later("the arming by %s ended at %s", a.By, a.Until.UTC().Format(time.RFC3339))
	}
	return open("armed by %s until %s", a.By, a.Until.UTC().Format(time.RFC3339))
}

// Because adds a reason to a text, where one was given.
func Because(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

func (e *engine) gateHeld() Verdict {
	if h := e.o.Outside.Held; h != nil {
		return later("held by %s", Because(h.By+" since "+h.At.UTC().Format(time.RFC3339), h.Reason))
	}
	return open("not held")
}

func (e *engine) gateWindow() Verdict {
	w := e.o.Outside.Window
	switch {
	case !w.Known:
		return unknown("the window could not be evaluated")
	case !w.Open:
		return later("outside the window: %s", w.Text)
	case w.Left > 0 && w.Left < e.p.MaxWriteUnavailable:
		return later("the window closes in %s, less than max_write_unavailable (%s)", w.Left.Round(time.Second), e.p.MaxWriteUnavailable)
	case w.Left > 0:
		return open("inside the window, %s left", w.Left.Round(time.Second))
	}
	return open("inside the window")
}

func (e *engine) gateApprovals() Verdict {
	by := map[string]bool{}
	for _, a := range e.o.Outside.Approvals {
		if a.PlanHash != e.hash || a.By == "" {
			continue
		}
		if arm := e.o.Outside.Armed; arm != nil && arm.By == a.By && !e.p.SelfApprove {
			continue
		}
		by[a.By] = true
	}
	if len(by) < e.p.Approvals {
		return later("%d of %d approvals of plan %.12s (the one who armed it does not count)", len(by), e.p.Approvals, e.hash)
	}
	return open("%d approvals", len(by))
}

func (e *engine) gateLease() Verdict {
	o := &e.o.Outside
	if !e.now.Before(o.LeaseUntil) {
		if o.LeaseUntil.IsZero() {
			return later("the start alert is not firing")
		}
		return later("the start alert was last heard %s ago or is resolved", e.now.Sub(o.LeaseUntil).Round(time.Second))
	}
	if o.ByHand {
		return open("%s: a person stands in for the alert", o.LeaseFrom)
	}
	return open("%s is firing, its lease lasts %s more", o.LeaseFrom, o.LeaseUntil.Sub(e.now).Round(time.Second))
}

func (e *engine) gatePipeline() Verdict {
	ttl := e.o.Outside.PipelineTTL
	if ttl <= 0 {
		ttl = pipelineTTL
	}
	seen := e.o.Outside.PipelineSeen
	switch {
	case seen.IsZero():
		return unknown("no notification has arrived yet: is the watchdog route configured?")
	case e.now.Sub(seen) > ttl:
		return later("the last notification came %s ago", e.now.Sub(seen).Round(time.Second))
	}
	if e.o.Outside.ByHand {
		return open("%s: no alert is waited for", e.o.Outside.LeaseFrom)
	}
	v := open("the last notification came %s ago", e.now.Sub(seen).Round(time.Second))
	v.EvidenceAge = e.now.Sub(seen)
	return v
}

func (e *engine) gateChecklist() Verdict {
	var missing []string
	for _, c := range e.p.Checklist {
		if !slices.Contains(e.o.Outside.ChecklistDone, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return later("not declared done: %s", strings.Join(missing, "; "))
	}
	return open("%d items done", len(e.p.Checklist))
}

func (e *engine) gateCooldown() Verdict {
	if r := e.o.Outside.Unacknowledged; r != "" && r != e.in.Run {
		return later("run %s has not been acknowledged", r)
	}
	if r := e.o.Outside.Unacknowledged; r != "" && !e.in.Active() {
		return later("run %s has not been acknowledged", r)
	}
	return open("no run waits for an acknowledgement")
}

func (e *engine) gateOtherRun() Verdict {
	if r := e.o.Outside.OtherRun; r != "" && r != e.in.Run {
		return later("run %s is under way", r)
	}
	if !e.in.Active() && e.in.Run != "" && e.in.Outstanding(*e.p, e.now) {
		return later("a statement of run %s may still land", e.in.Run)
	}
	if s, run := e.foreign(); run != "" {
		return later("master of the %s holds run id %s: another engine is at work, or left it there (then drop the extended property by hand)", s, run)
	}
	if !e.marker("source").OK || !e.marker("target").OK {
		return unknown("the run id in master was not read on both sides")
	}
	return open("no other run")
}
