package runner

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// readingEvents is how often at most an event only says that both sides were
// read again.
const readingEvents = 200 * time.Millisecond

// byHand is how StartedBy begins where a person started a run.
const byHand = "run by "

// seen is the number of the newest thing that people said.
func (c *Controller) seen() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// outside is what no server knows, at this moment.
func (c *Controller) outside(manual *manualStart, now time.Time) cutover.Outside {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.state
	o := cutover.Outside{
		// The engine is always asked as if it might act: in a dry run the
		// servers that it acts on are a rehearsal, and mode is shown as such.
		Mode: cutover.Execute, LeaseUntil: c.lease.Until, LeaseFrom: c.lease.Alert, PipelineSeen: c.pipeline,
		Window: window(&c.o.DAG.Cutover, now), Unacknowledged: s.Unacknowledged, ShuttingDown: c.closing,
		Held: holdOf(s.Hold),
	}
	if c.run != nil {
		o.RollbackRequested = holdOf(saidOf(s.Rollback, &c.run.head))
		if by := saidOf(s.TakenOver, &c.run.head); by != nil && c.calls.heard(by.At, now) {
			o.Acknowledged = holdOf(by)
		}
	}
	if a := s.Arming; a != nil && a.Generation > c.blocked {
		// A spent arming belongs to its run, and to no other.
		if a.Spent == "" && c.run == nil || c.run != nil && a.Spent == c.run.head.ID {
			o.Armed = &cutover.Arming{By: a.By, At: a.At, Until: a.Until, Generation: a.Generation, PlanHash: a.PlanHash}
		}
	}
	approvals := s.Approvals
	if c.run != nil {
		approvals = c.run.head.Approvals
	}
	for _, a := range approvals {
		o.Approvals = append(o.Approvals, cutover.Approval{By: a.By, At: a.At, PlanHash: a.PlanHash})
	}
	for _, d := range s.Checklist {
		o.ChecklistDone = append(o.ChecklistDone, d.Item)
	}
	if manual != nil {
		// A person asks for it now: that is what the alert would have said.
		o.ByHand, o.LeaseFrom, o.LeaseUntil, o.PipelineSeen = true, byHand+manual.by, now.Add(c.leaseTime()), now
	}
	if c.run != nil && c.run.manual {
		o.ByHand, o.LeaseFrom, o.LeaseUntil, o.PipelineSeen = true, c.run.head.StartedBy, now.Add(c.leaseTime()), now
	}
	return o
}

// saidOf is what was said, if it is about this run: it may have been said in the
// moment in which an earlier one ended. An older build did not write which run it
// was about: then it counts from the run's beginning.
func saidOf(h *journal.Hold, run *journal.Run) *journal.Hold {
	if h == nil || h.Run != "" && h.Run != run.ID || h.Run == "" && h.At.Before(run.Started) {
		return nil
	}
	return h
}

// calling is whether and since when the run of this DAG acts no more and waits for
// a person to take it over.
type calling struct {
	is    bool
	since time.Time
}

// heard reports that what was said at this time came after the call. A call later
// than now is of a clock that was put back since, and tells nothing.
func (c calling) heard(at, now time.Time) bool {
	return c.is && (c.since.After(now) || !at.Before(c.since))
}

// callsFor works it out: the run is not taken up, or its engine only reads. Only
// what is said from then on takes it over; who acknowledged a page before meant
// that page.
func (c *Controller) callsFor() calling {
	switch {
	case c.run == nil:
		return calling{}
	case c.refusal != "":
		return calling{true, c.adopted}
	case c.run.intent.Stuck != "":
		for _, p := range slices.Backward(c.run.intent.Pages) {
			if p.Code == c.run.intent.Stuck {
				return calling{true, p.At}
			}
		}
	}
	return calling{}
}

func (c *Controller) leaseTime() time.Duration {
	return cmp.Or(c.o.DAG.Cutover.AlertLease.D(), 45*time.Second)
}

func holdOf(h *journal.Hold) *cutover.Hold {
	if h == nil {
		return nil
	}
	return &cutover.Hold{By: h.By, At: h.At, Reason: h.Reason}
}

// buildPlan is the plan as it would be executed now, of a drill if one is
// armed.
func (c *Controller) buildPlan(obs cutover.Observation) (cutover.Plan, error) {
	c.mu.Lock()
	drill := c.state.Arming != nil && c.state.Arming.Spent == "" && c.state.Arming.Drill
	c.mu.Unlock()
	return c.planOf(obs, drill)
}

func (c *Controller) planOf(obs cutover.Observation, drill bool) (cutover.Plan, error) {
	set := settings(c.o.DAG, drill)
	for _, s := range []cutover.SideObservation{obs.Source, obs.Target} {
		if s.Reading == nil {
			return cutover.Plan{Settings: set}, errors.New(cmp.Or(s.Failure, "a side was not read"))
		}
	}
	p, err := cutover.BuildPlan(set, obs.Source.Reading, obs.Target.Reading, c.o.Render)
	if err != nil {
		return cutover.Plan{Settings: set}, err
	}
	return p, nil
}

// publish makes what this round found the state that everybody sees.
func (c *Controller) publish(obs cutover.Observation, plan cutover.Plan, planErr error, d cutover.Decision, now time.Time) {
	s := c.describe(obs, plan, d.Verdicts, now)
	s.Reason = d.Reason
	if planErr != nil {
		s.PlanHash = ""
		if d.Page == nil {
			s.Reason = planErr.Error()
		}
	}
	if c.sick != nil {
		s.Reason = "the journal cannot be written, so nothing is sent: " + c.sick.Error()
	}
	i := d.Intent
	s.Phase = string(c.restPhase(now))
	if c.run != nil {
		h := c.run.head
		s.Run, s.RunKind, s.RunStarted, s.PlanHash = h.ID, Kind(h.Kind), h.Started, h.PlanHash
		if c.refusal != "" {
			i = c.run.intent
		}
		s.Phase, s.GoingBack = string(i.Phase), i.GoingBack != nil
		if n := len(i.Phases); n > 0 {
			s.PhaseSince = i.Phases[n-1].At
		}
		s.LastRun, s.LastOutcome = h.ID, Outcome(i.Outcome)
	}
	if c.refusal != "" {
		s.Pages = append(s.Pages, c.refusalPage(now))
	}
	if d.Page != nil {
		s.Pages = append(s.Pages, pageView(pageOf(d.Page, s.Run, now)))
	}
	if c.run == nil && d.Page == nil && planErr == nil && c.sick == nil {
		s.Reason = cmp.Or(c.restReason(&s, now), s.Reason)
	}
	var predicted *float64
	if r := obs.Source.Reading; r != nil && r.DAG.Role == hadr.RolePrimary {
		if d, ok := cutover.Predict(plan, r, obs.Target.Reading); ok {
			v := d.Seconds()
			predicted = &v
		}
	}
	c.mu.Lock()
	c.predicted = predicted
	if c.run == nil {
		s.PhaseSince = c.base.PhaseSince
		if c.base.Phase != s.Phase || s.PhaseSince.IsZero() {
			s.PhaseSince = now
		}
	}
	changed := c.base.Reason != s.Reason || c.base.Phase != s.Phase
	c.base = s
	c.mu.Unlock()
	c.idlePage(d.Page, now)
	if changed || now.Sub(c.heard) >= readingEvents {
		c.heard = now
		c.emit("reading", s.Reason)
	}
}

// describe is the part of a Status that both readings tell.
func (c *Controller) describe(obs cutover.Observation, plan cutover.Plan, verdicts []cutover.Verdict, now time.Time) Status {
	set := plan.Settings
	conv := hadr.Compare(obs.Source.Reading, obs.Target.Reading, compareOptions(set))
	s := Status{
		DAG: c.Name(), Group: set.Group, At: now, Mode: c.Mode(),
		Convergence: string(conv.State), Direction: string(conv.Direction),
		Source: sideStatus(hadr.Source, set.SourceAG, obs.Source), Target: sideStatus(hadr.Target, set.TargetAG, obs.Target),
		Gates: c.gateViews(verdicts),
	}
	s.Readiness = readiness(verdicts)
	if plan.GroupID != "" {
		s.PlanHash = plan.Hash()
	}
	var lag time.Duration
	known := false
	for i := range conv.Databases {
		d := &conv.Databases[i]
		s.Databases = append(s.Databases, databaseStatus(d))
		s.Total++
		if d.Position == hadr.PositionCaughtUp || d.Position == hadr.PositionAhead {
			s.Equal++
		}
		if d.CommitLag.OK {
			lag, known = max(lag, d.CommitLag.V), true
		}
	}
	if known {
		seconds := lag.Seconds()
		s.LagSeconds = &seconds
	}
	return s
}

func sideStatus(which hadr.Side, ag string, o cutover.SideObservation) SideStatus {
	s := SideStatus{Side: string(which), AG: ag, Error: o.Failure, Lock: string(cmp.Or(o.Lock, cutover.LockNone))}
	r := o.Reading
	if r == nil {
		return s
	}
	s.Server, s.Role, s.ReadAt, s.Databases = r.Identity.ServerName, string(r.DAG.Role), r.Ended, len(r.Databases)
	if r.DAG.RSSTC.OK {
		v := r.DAG.RSSTC.V
		s.RSSTC = &v
	}
	for i, m := range r.DAG.Members {
		if i > 0 {
			s.Modes += ", "
		}
		s.Modes += m.Name + " " + cmp.Or(string(m.Mode), "unknown")
	}
	for _, d := range r.Databases {
		if d.Own != nil && d.Own.Suspended.OK && d.Own.Suspended.V {
			s.Suspended++
		}
	}
	return s
}

func databaseStatus(d *hadr.DatabaseConvergence) DatabaseStatus {
	text := func(l hadr.LSN) string {
		if !l.Known() {
			return ""
		}
		return l.String()
	}
	v := DatabaseStatus{
		Name: d.Name, State: string(d.State), Reason: d.Reason,
		CaughtUp:  d.Position == hadr.PositionCaughtUp || d.Position == hadr.PositionAhead,
		SourceLSN: text(d.SourceHardened), TargetLSN: text(d.TargetHardened),
		SourceEnd: text(d.SourceEndOfLog), TargetEnd: text(d.TargetEndOfLog),
		TargetOnline: d.Target != nil && d.Target.State == hadr.DBOnline,
	}
	if d.Source != nil && d.Source.Link != nil && d.Source.Link.SendQueue.OK {
		q := d.Source.Link.SendQueue.V
		v.SendQueue = &q
	}
	if q := hadr.RedoQueue(d.Source, d.Target); q.OK {
		v.RedoQueue = &q.V
	}
	return v
}

// gateViews are verdicts for people. In a dry run the mode is no obstacle,
// and the verdict says what a run would be.
func (c *Controller) gateViews(vs []cutover.Verdict) []Gate {
	out := make([]Gate, 0, len(vs))
	for _, v := range vs {
		g := Gate{Name: string(v.Gate), State: GateState(v.State), Reason: v.Reason, EvidenceAge: v.EvidenceAge.Seconds(), WaitingHelps: v.WaitingHelps}
		if v.Gate == cutover.GateMode && c.dry != nil {
			g.Reason = "dry run: a run writes down what it would do and touches nothing"
		}
		out = append(out, g)
	}
	return out
}

// readiness of a set of verdicts for a start: never where a closed gate says
// that waiting cannot help.
func readiness(vs []cutover.Verdict) Readiness {
	open, waitingHelps := cutover.Readiness(vs)
	switch {
	case len(vs) == 0:
		return Waiting
	case open:
		return Open
	case waitingHelps:
		return Waiting
	}
	return Never
}

func failureClass(err error) string {
	if e, ok := errors.AsType[*sqlserver.Error](err); ok {
		return string(e.Reason)
	}
	return string(sqlserver.ReasonQuery)
}

func (c *Controller) setReason(text string) {
	c.mu.Lock()
	c.base.Reason = text
	c.mu.Unlock()
}

// Status implements API.
func (c *Controller) Status() Status {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.base
	s.At = now
	st := &c.state
	s.Lease = c.lease
	s.Lease.Held = now.Before(c.lease.Until)
	s.PipelineSeen = c.pipeline
	if a := st.Arming; a != nil && a.Generation > c.blocked {
		v := Arming(*a)
		s.Arming = &v
	}
	for _, a := range st.Approvals {
		s.Approvals = append(s.Approvals, Approval(a))
	}
	if st.Hold != nil {
		h := Hold{By: st.Hold.By, Reason: st.Hold.Reason, At: st.Hold.At}
		s.Held = &h
	}
	for _, item := range c.o.DAG.Cutover.Checklist {
		if !slices.ContainsFunc(st.Checklist, func(d journal.Done) bool { return d.Item == item }) {
			s.Checklist = append(s.Checklist, item)
		}
	}
	s.Unacknowledged = st.Unacknowledged != ""
	if s.LastRun == "" {
		s.LastRun, s.LastOutcome = c.lastRun.ID, Outcome(c.lastRun.Outcome)
	}
	if c.dry == nil { // a dry run makes nothing unavailable
		s.WriteUnavailable = c.intent.WriteUnavailable(now).Seconds()
	}
	s.Predicted = c.predicted
	s.Pages = slices.Clone(s.Pages)
	if c.fault != nil {
		s.Pages = append(s.Pages, *c.fault)
	}
	for _, p := range st.Pages {
		s.Pages = append(s.Pages, pageView(p))
	}
	return s
}

func pageOf(p *cutover.Page, run string, at time.Time) journal.Page {
	out := journal.Page{ID: p.Code, Run: run, At: at, Text: p.Text, Conditions: p.Before}
	if run != "" {
		out.ID = run + "/" + p.Code
	}
	for _, s := range p.Statements {
		out.Statements = append(out.Statements, journal.Statement{Kind: string(s.Kind), Side: string(s.Side), SQL: s.SQL})
	}
	return out
}

func pageView(p journal.Page) Page {
	out := Page{ID: p.ID, Run: p.Run, At: p.At, Text: p.Text, Conditions: p.Conditions}
	for _, s := range p.Statements {
		out.Statements = append(out.Statements, Statement{Kind: s.Kind, Side: s.Side, SQL: s.SQL})
	}
	return out
}

// planResult is a plan for people.
func (c *Controller) planResult(p cutover.Plan, now time.Time) PlanResult {
	out := PlanResult{DAG: p.DAG, Group: p.Group, At: now, Hash: p.Hash(), Drill: p.Drill, Mode: c.Mode(), Databases: p.Databases, Unconfirmed: p.Unconfirmed(), Document: p}
	for i, s := range p.Steps() {
		step := Step{Number: i, Text: s.Number + ": " + s.Text, Statement: statementViews(s.Statements)}
		for _, h := range s.Hooks {
			step.Text += fmt.Sprintf("; hook %s", h)
		}
		out.Steps = append(out.Steps, step)
	}
	out.Statements = statementViews(p.Statements)
	if c.dry != nil {
		out.Notes = append(out.Notes, "mode is dry_run: a run of this plan touches nothing")
	}
	if p.CrossVersion {
		out.Notes = append(out.Notes, "cross-version: once the target is PRIMARY there is no way back to the source")
	}
	if p.BlindS3 {
		out.Notes = append(out.Notes, fmt.Sprintf("blind_s3: S3 is allowed within %s of a proof though the source cannot be read", p.ProofTTL))
	}
	return out
}

func statementViews(in []cutover.Statement) []Statement {
	var out []Statement
	for _, s := range in {
		out = append(out, Statement{Kind: string(s.Kind), Side: string(s.Side), SQL: s.SQL})
	}
	return out
}
