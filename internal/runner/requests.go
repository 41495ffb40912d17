package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// manualWait bounds how long a person's run waits for the loop, which may be
// reading a side that hangs.
const manualWait = 45 * time.Second

func (c *Controller) refuse(op, why, remedy string) *Refused {
	return &Refused{Op: op, DAG: c.Name(), Why: why, Remedy: remedy}
}

// who refuses requests of nobody.
func (c *Controller) who(op string, r Request) error {
	if strings.TrimSpace(r.By) == "" {
		return &Refused{Op: op, DAG: c.Name(), Why: "it is not known who asks", Remedy: "sign in", Forbidden: true}
	}
	return nil
}

// change writes what a person said to the journal, takes it over, and has the
// loop look at it. f may refuse.
func (c *Controller) change(op string, r Request, text string, f func(*journal.State) error) error {
	e := journal.NewEvent(time.Now(), op, text, r)
	c.mu.Lock()
	run := c.base.Run
	c.mu.Unlock()
	if err := c.update(f, e); err != nil {
		if _, ok := AsRefused(err); ok {
			return err
		}
		return fmt.Errorf("%s %s: nothing was changed: %w", op, c.Name(), err)
	}
	if run != "" {
		if err := c.o.Journal.Append(run, e); err != nil {
			c.log.Error("the run's log could not be written", "run", run, "error", err)
		}
	}
	c.log.Info(text, "op", op)
	c.emit(op, text)
	c.nudge()
	return nil
}

// update writes the DAG's State and takes over what was written.
func (c *Controller) update(f func(*journal.State) error, e journal.Event) error {
	defer c.say()()
	s, err := c.o.Journal.Update(c.Name(), func(s *journal.State) error {
		c.ofMode(s)
		return f(s)
	}, e)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	c.version++
	return nil
}

// ofMode drops what was armed, approved and ticked in another mode: what was said
// of a dry run, where anybody may say it, starts no real one after a restart. A
// spent arming belongs to its run.
func (c *Controller) ofMode(s *journal.State) {
	if s.Mode == string(c.Mode()) {
		return
	}
	if s.Arming != nil && s.Arming.Spent == "" {
		s.Arming = nil
	}
	s.Mode, s.Approvals, s.Checklist = string(c.Mode()), nil, nil
}

// look reads both sides for a person: in sequence, everything, read-only.
func (c *Controller) look(ctx context.Context) cutover.Observation {
	obs := cutover.Observation{Began: time.Now()}
	read := func(s hadr.Side, from Server) cutover.SideObservation {
		ctx, cancel := context.WithTimeout(ctx, c.o.ReadTimeout)
		defer cancel()
		r, err := from.Read(ctx, everything)
		if err != nil {
			return cutover.SideObservation{Failure: err.Error(), Class: failureClass(err)}
		}
		return cutover.SideObservation{Reading: r}
	}
	// The servers themselves, also in a dry run: what a rehearsal has laid
	// over is no answer to a person.
	obs.Source, obs.Target = read(hadr.Source, c.o.Source), read(hadr.Target, c.o.Target)
	obs.Outside = c.outside(nil, time.Now())
	obs.Outside.OtherRun = c.otherRun(obs)
	return obs
}

// underWay is the run that has not ended, by its id.
func (c *Controller) underWay() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Run
}

// Check implements API. While a run is under way its own last look is the
// answer: a person's question must not stand before the engine's.
func (c *Controller) Check(ctx context.Context) (CheckResult, error) {
	if c.underWay() != "" {
		s := c.Status()
		return CheckResult{DAG: c.Name(), At: s.At, Readiness: s.Readiness, Gates: s.Gates, PlanHash: s.PlanHash, Status: s}, nil
	}
	obs := c.look(ctx)
	now := time.Now()
	plan, planErr := c.buildPlan(obs)
	verdicts := cutover.CheckAll(plan, cutover.Intent{}, obs, now)
	s := c.Status()
	seen := c.describe(obs, plan, verdicts, now)
	s.Gates, s.Readiness, s.Source, s.Target, s.Databases = seen.Gates, seen.Readiness, seen.Source, seen.Target, seen.Databases
	s.Convergence, s.Direction, s.Equal, s.Total, s.LagSeconds, s.PlanHash = seen.Convergence, seen.Direction, seen.Equal, seen.Total, seen.LagSeconds, seen.PlanHash
	out := CheckResult{DAG: c.Name(), At: now, Readiness: seen.Readiness, Gates: seen.Gates, PlanHash: seen.PlanHash, Status: s}
	if planErr != nil {
		out.PlanError = planErr.Error()
		if out.Readiness == Open {
			out.Readiness = Waiting
		}
	}
	return out, nil
}

// Plan implements API. While a run is under way it is that run's plan.
func (c *Controller) Plan(ctx context.Context, drill bool) (PlanResult, error) {
	if id := c.underWay(); id != "" {
		rec, err := c.o.Journal.Load(id)
		if err != nil {
			return PlanResult{}, err
		}
		p, err := decodePlan(rec.Run)
		if err != nil {
			return PlanResult{}, err
		}
		return c.planResult(p, rec.Run.Started), nil
	}
	p, err := c.planOf(c.look(ctx), drill)
	if err != nil {
		return PlanResult{}, &Refused{Op: "plan", DAG: c.Name(), Why: err.Error(), Remedy: "see check for both sides", Wait: true}
	}
	return c.planResult(p, time.Now()), nil
}

// people are the gates that people or time open; an arming does not wait for
// them.
var people = []cutover.Gate{cutover.GateMode, cutover.GateArmed, cutover.GateHeld, cutover.GateWindow, cutover.GateApprovals,
	cutover.GateLease, cutover.GatePipeline, cutover.GateChecklist, cutover.GatePlanTrue, cutover.GateCooldown, cutover.GateOtherRun}

// Arm implements API.
func (c *Controller) Arm(ctx context.Context, r ArmRequest) (Arming, error) {
	const op = "arm"
	if err := c.who(op, r.Request); err != nil {
		return Arming{}, err
	}
	if l := c.o.DAG.Lifecycle; l != "" && l != "migrating" {
		return Arming{}, c.refuse(op, "its lifecycle is "+l, "set lifecycle: migrating if it shall be moved")
	}
	if id := c.underWay(); id != "" {
		return Arming{}, c.refuse(op, "run "+id+" has not ended", "wait for its end")
	}
	c.mu.Lock()
	unacknowledged, closing := c.state.Unacknowledged, c.closing
	c.mu.Unlock()
	switch {
	case closing:
		return Arming{}, c.refuse(op, "the webhook is shutting down", "")
	case unacknowledged != "":
		return Arming{}, c.refuse(op, "run "+unacknowledged+" was not acknowledged", "read its report, then acknowledge")
	}
	for _, item := range r.Checklist {
		if !slices.Contains(c.o.DAG.Cutover.Checklist, item) {
			return Arming{}, c.refuse(op, fmt.Sprintf("%q is not an item of the checklist", item), "write it as the configuration does")
		}
	}
	now := time.Now()
	until := r.Until
	if until.IsZero() {
		d := r.For
		if d <= 0 {
			d = DefaultArming
		}
		until = now.Add(d)
	}
	if until = armingEnd(&c.o.DAG.Cutover, now, until); !until.After(now) {
		return Arming{}, c.refuse(op, "the window is closed for the whole of that time ("+window(&c.o.DAG.Cutover, now).Text+")", "arm it for longer, or change the window")
	}
	obs := c.look(ctx)
	plan, err := c.planOf(obs, r.Drill)
	if err != nil {
		e := c.refuse(op, err.Error(), "see check for both sides")
		e.Wait = true
		return Arming{}, e
	}
	hash := plan.Hash()
	if r.PlanHash != "" && r.PlanHash != hash {
		return Arming{}, c.refuse(op, fmt.Sprintf("the plan has changed: it is %.12s now, you saw %.12s", hash, r.PlanHash), "read the plan again")
	}
	for _, v := range cutover.CheckAll(plan, cutover.Intent{}, obs, now) {
		if v.State == cutover.GateClosed && !v.WaitingHelps && !slices.Contains(people, v.Gate) {
			return Arming{}, c.refuse(op, fmt.Sprintf("gate %s can never open by waiting: %s", v.Gate, v.Reason), "repair it first")
		}
	}
	var out journal.Arming
	text := cutover.Because(fmt.Sprintf("armed by %s until %s, plan %.12s", r.By, until.UTC().Format(time.RFC3339), hash), r.Reason)
	err = c.change(op, r.Request, text, func(s *journal.State) error {
		if id := c.underWay(); id != "" { // it began while both sides were read
			return c.refuse(op, "run "+id+" has not ended", "wait for its end")
		}
		s.Generation++
		out = journal.Arming{By: r.By, Reason: r.Reason, At: now.UTC(), Until: until.UTC(), Generation: s.Generation, PlanHash: hash, Drill: r.Drill}
		if old := s.Arming; old != nil && old.Spent == "" {
			// What was approved for an arming that is over is approved no more.
			s.Approvals = slices.DeleteFunc(slices.Clone(s.Approvals), func(a journal.Approval) bool { return !old.Until.After(now) && a.At.Before(old.Until) })
		}
		s.Arming = &out
		// What was approved for another plan is approved no more.
		s.Approvals = slices.DeleteFunc(slices.Clone(s.Approvals), func(a journal.Approval) bool { return a.PlanHash != hash })
		s.Checklist = ticked(s.Checklist, r.Checklist, r.By, now)
		return nil
	})
	if err != nil {
		return Arming{}, err
	}
	return Arming(out), nil
}

func ticked(have []journal.Done, items []string, by string, now time.Time) []journal.Done {
	have = slices.Clone(have)
	for _, item := range items {
		have = slices.DeleteFunc(have, func(d journal.Done) bool { return d.Item == item })
		have = append(have, journal.Done{Item: item, By: by, At: now.UTC()})
	}
	return have
}

// Disarm implements API. Before S2 it also stops a run that the arming
// started.
func (c *Controller) Disarm(_ context.Context, r Request) error {
	if err := c.who("disarm", r); err != nil {
		return err
	}
	return c.change("disarm", r, cutover.Because("disarmed by "+r.By, r.Reason), func(s *journal.State) error {
		if s.Arming == nil || s.Arming.Spent != "" && c.underWay() == "" {
			return c.refuse("disarm", "nothing is armed", "")
		}
		s.Arming, s.Approvals = nil, nil // who arms again asks for approval again
		return nil
	})
}

// DisarmAll implements API.
func (c *Controller) DisarmAll(reason string) {
	c.mu.Lock()
	armed := c.state.Arming != nil && c.state.Arming.Generation > c.blocked
	c.blocked = c.state.Generation
	c.version++
	c.mu.Unlock()
	c.nudge()
	if !armed {
		return
	}
	err := c.change("disarm", Request{Reason: reason}, "disarmed: "+reason, func(s *journal.State) error {
		s.Arming, s.Approvals = nil, nil
		return nil
	})
	if err != nil {
		c.log.Error("the arming is void, the journal could not be told", "error", err)
	}
}

// Approve implements API.
func (c *Controller) Approve(ctx context.Context, r ApproveRequest) (Approval, error) {
	const op = "approve"
	if err := c.who(op, r.Request); err != nil {
		return Approval{}, err
	}
	if r.PlanHash == "" {
		return Approval{}, c.refuse(op, "it does not say which plan", "give the hash that the plan shows")
	}
	if id := c.underWay(); id != "" {
		return Approval{}, c.refuse(op, "run "+id+" has not ended", "a run under way needs no approval any more")
	}
	c.mu.Lock()
	arming := c.state.Arming
	c.mu.Unlock()
	if arming != nil && arming.Spent == "" {
		if arming.PlanHash != r.PlanHash {
			return Approval{}, c.refuse(op, fmt.Sprintf("plan %.12s is armed, not %.12s", arming.PlanHash, r.PlanHash), "read the plan again")
		}
	} else {
		obs := c.look(ctx)
		known := false
		for _, drill := range []bool{false, true} {
			if p, err := c.planOf(obs, drill); err == nil && p.Hash() == r.PlanHash {
				known = true
			}
		}
		if !known {
			return Approval{}, c.refuse(op, fmt.Sprintf("%.12s is not the plan as it would be executed now", r.PlanHash), "read the plan again")
		}
	}
	out := journal.Approval{By: r.By, Reason: r.Reason, At: time.Now().UTC(), PlanHash: r.PlanHash}
	err := c.change(op, r.Request, cutover.Because(fmt.Sprintf("plan %.12s approved by %s", r.PlanHash, r.By), r.Reason), func(s *journal.State) error {
		if s.Arming != nil && s.Arming.Spent == "" && s.Arming.By == r.By && !c.o.DAG.Cutover.SelfApprove {
			e := c.refuse(op, r.By+" armed it and may not approve it", "ask another approver, or set self_approve: true")
			e.Forbidden = true
			return e
		}
		s.Approvals = slices.DeleteFunc(slices.Clone(s.Approvals), func(a journal.Approval) bool { return a.By == r.By && a.PlanHash == r.PlanHash })
		s.Approvals = append(s.Approvals, out)
		return nil
	})
	if err != nil {
		return Approval{}, err
	}
	return Approval(out), nil
}

// Hold implements API.
func (c *Controller) Hold(_ context.Context, r Request) error {
	if err := c.who("hold", r); err != nil {
		return err
	}
	return c.change("hold", r, cutover.Because("held by "+r.By, r.Reason), func(s *journal.State) error {
		if s.Hold != nil {
			return c.refuse("hold", "it is held by "+s.Hold.By+" already", "")
		}
		s.Hold = &journal.Hold{By: r.By, Reason: r.Reason, At: time.Now().UTC()}
		return nil
	})
}

// Release implements API.
func (c *Controller) Release(_ context.Context, r Request) error {
	if err := c.who("release", r); err != nil {
		return err
	}
	return c.change("release", r, cutover.Because("released by "+r.By, r.Reason), func(s *journal.State) error {
		if s.Hold == nil {
			return c.refuse("release", "it is not held", "")
		}
		s.Hold = nil
		return nil
	})
}

// Rollback implements API.
func (c *Controller) Rollback(_ context.Context, r Request) error {
	const op = "rollback"
	if err := c.who(op, r); err != nil {
		return err
	}
	c.mu.Lock()
	run, i := c.base.Run, c.intent
	c.mu.Unlock()
	switch {
	case run == "":
		return c.refuse(op, "there is no run", "")
	case promoted(i):
		// Rule 2: from its journal entry on there is no S3 on the source.
		return c.refuse(op, "S3 on the target is journalled: S3 on the source could make two primaries", "let it end; going back later is a migration of its own")
	}
	return c.change(op, r, cutover.Because("rollback asked for by "+r.By, r.Reason), func(s *journal.State) error {
		s.Rollback = &journal.Hold{Run: run, By: r.By, Reason: r.Reason, At: time.Now().UTC()}
		return nil
	})
}

// promoted reports an S3 on the target that was not surely refused.
func promoted(i cutover.Intent) bool {
	return slices.ContainsFunc(i.Sent, func(s cutover.Sent) bool {
		return s.Statement.Kind == cutover.Promote && s.Statement.Side == hadr.Target && s.Outcome != cutover.SentRefused
	})
}

// Acknowledge implements API. During a run that acts no more and called for a
// human it says that this person brings it to its end by hand. One that goes on by
// itself is not taken over: said early, it would close what nobody has seen yet.
func (c *Controller) Acknowledge(_ context.Context, r Request) error {
	const op = "acknowledge"
	if err := c.who(op, r); err != nil {
		return err
	}
	c.mu.Lock()
	run, calls := c.base.Run, c.calls.is
	c.mu.Unlock()
	if run != "" && !calls {
		return c.refuse(op, "run "+run+" goes on by itself, and its pages go when what they are about is over", "rollback asks it to go back, hold keeps S3 from being sent; it can be acknowledged when it has ended, or when it has stopped acting and a page says so")
	}
	if run != "" {
		return c.change(op, r, cutover.Because("run taken over by "+r.By, r.Reason), func(s *journal.State) error {
			s.TakenOver = &journal.Hold{Run: run, By: r.By, Reason: r.Reason, At: time.Now().UTC()}
			return nil
		})
	}
	return c.change(op, r, cutover.Because("acknowledged by "+r.By, r.Reason), func(s *journal.State) error {
		if s.Unacknowledged == "" && len(s.Pages) == 0 {
			return c.refuse(op, "there is nothing to acknowledge", "")
		}
		s.Unacknowledged, s.Pages = "", nil
		return nil
	})
}

// LeaseSeen implements API.
func (c *Controller) LeaseSeen(a Alert, now time.Time) AlertResult {
	c.mu.Lock()
	held := now.Before(c.lease.Until)
	var res AlertResult
	switch {
	case a.Firing:
		c.lease = Lease{Alert: a.Name, Until: now.Add(c.leaseTime()), LastSeen: now, Held: true}
		// A notification shows that the path is alive.
		if now.After(c.pipeline) {
			c.pipeline = now
		}
		armed := c.state.Arming != nil && c.state.Arming.Spent == "" && c.state.Arming.Generation > c.blocked
		switch {
		case !armed && c.base.Run == "":
			res = AlertNotArmed
		case held:
			res = AlertRenewed
		default:
			res = AlertAccepted
		}
	default:
		c.lease = Lease{Alert: a.Name, LastSeen: now}
		res = AlertResolved
	}
	c.alerts[res]++
	begins := held != c.lease.Held
	c.mu.Unlock()
	if begins {
		c.emit("lease", fmt.Sprintf("alert %s: %s", a.Name, res))
	}
	c.nudge()
	return res
}

// HeartbeatSeen implements API.
func (c *Controller) HeartbeatSeen(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.After(c.pipeline) {
		c.pipeline = now
	}
	c.alerts[AlertHeartbeat]++
}

// CountAlert implements API.
func (c *Controller) CountAlert(r AlertResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alerts[r]++
}

// Runs implements API.
func (c *Controller) Runs(context.Context) ([]RunSummary, error) {
	runs, err := c.o.Journal.Runs(c.Name())
	if err != nil {
		return nil, err
	}
	out := make([]RunSummary, 0, len(runs))
	for _, r := range runs {
		rec, err := c.o.Journal.Load(r.ID)
		if err != nil {
			return nil, err
		}
		s := RunSummary{ID: r.ID, DAG: r.DAG, Kind: Kind(r.Kind), Mode: Mode(r.Mode), Started: r.Started, Ended: r.Ended,
			Phase: string(rec.Intent.Phase), Outcome: Outcome(r.Outcome), PlanHash: r.PlanHash}
		if s.Outcome == "" {
			s.Outcome = Outcome(rec.Intent.Outcome)
		}
		if r.Arming != nil {
			s.ArmedBy = r.Arming.By
		}
		if s.Mode == ModeExecute { // a dry run makes nothing unavailable
			s.WriteUnavailable = rec.Intent.WriteUnavailable(time.Now()).Seconds()
		}
		out = append(out, s)
	}
	return out, nil
}

// Report implements API.
func (c *Controller) Report(_ context.Context, run string) (*Report, error) {
	if run == "" || run == "latest" {
		runs, err := c.o.Journal.Runs(c.Name())
		if err != nil {
			return nil, err
		}
		if len(runs) == 0 {
			return nil, &Refused{Op: "report", DAG: c.Name(), Why: "there was no run yet", NotFound: true}
		}
		run = runs[0].ID
	}
	rec, err := c.o.Journal.Load(run)
	if errors.Is(err, journal.ErrNoRun) || err == nil && rec.Run.DAG != c.Name() {
		return nil, &Refused{Op: "report", DAG: c.Name(), Why: fmt.Sprintf("there is no run %q", run), Remedy: "see the list of runs", NotFound: true}
	}
	if err != nil {
		return nil, err
	}
	return newReport(rec, time.Now()), nil
}
