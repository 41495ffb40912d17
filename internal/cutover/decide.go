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
