package runner

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// Report is the evidence of one run, for the change manager: everything comes
// from the journal, nothing from the servers as they are now.
type Report struct {
	Run       string    `json:"run"`
	DAG       string    `json:"dag"`
	Group     string    `json:"group"`
	Kind      Kind      `json:"kind"`
	Mode      Mode      `json:"mode"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended,omitzero"`
	Phase     string    `json:"phase"`
	Outcome   Outcome   `json:"outcome,omitempty"`
	OutcomeAt time.Time `json:"outcome_at,omitzero"`
	Summary   string    `json:"summary"` // the outcome in one sentence
	PlanHash  string    `json:"plan_hash"`
	StartedBy string    `json:"started_by"`
	Version   string    `json:"version,omitempty"` // of the cutover_webhook that began it

	Arming    *Arming    `json:"arming,omitempty"`
	Approvals []Approval `json:"approvals,omitempty"`

	Source cutover.Endpoint `json:"source"`
	Target cutover.Endpoint `json:"target"`

	WriteUnavailable     float64   `json:"write_unavailable_seconds"`
	WriteUnavailableFrom time.Time `json:"write_unavailable_from,omitzero"`
	WriteUnavailableTo   time.Time `json:"write_unavailable_to,omitzero"`

	Phases     []ReportPhase      `json:"phases"`
	Statements []ReportStatement  `json:"statements"`
	Hooks      []ReportHook       `json:"hooks,omitempty"`
	Proof      *cutover.Proof     `json:"proof,omitempty"`
	GoingBack  *cutover.GoingBack `json:"going_back,omitempty"`
	Verdicts   []ReportVerdicts   `json:"verdicts"` // every gate, at the start and before S2 and S3
	Changes    []ReportEvent      `json:"verdict_changes"`
	Pages      []cutover.PageTime `json:"pages,omitempty"`
	Notes      []cutover.Note     `json:"notes,omitempty"`
	Left       []string           `json:"left_to_do,omitempty"`
	Events     []ReportEvent      `json:"events"`

	// Unconfirmed is what a drill said at its start that its steps rest on
	// though no public documentation states it.
	Unconfirmed []cutover.Unconfirmed `json:"unconfirmed,omitempty"`

	Old map[hadr.Side]string `json:"modes_before,omitempty"`
}

// ReportPhase is how long a phase took.
type ReportPhase struct {
	Phase   string    `json:"phase"`
	Step    string    `json:"step,omitempty"`
	Text    string    `json:"text"`
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
}

// ReportStatement is one statement as it was sent, or, in a dry run, would
// have been.
type ReportStatement struct {
	Kind     string    `json:"kind"`
	Side     string    `json:"side"`
	SQL      string    `json:"sql"`
	Server   string    `json:"server,omitempty"`
	Sent     time.Time `json:"sent"`
	Returned time.Time `json:"returned,omitzero"`
	Effect   time.Time `json:"effect_seen,omitzero"`
	Outcome  string    `json:"outcome"`
	Error    string    `json:"error,omitempty"`
	Number   int       `json:"error_number,omitempty"`
}

// ReportHook is how a hook ended.
type ReportHook struct {
	Hook     string    `json:"hook"`
	Attempts int       `json:"attempts"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	OK       bool      `json:"ok"`
	Error    string    `json:"error,omitempty"`
	Output   []string  `json:"output,omitempty"` // of each attempt, bounded, without secrets
}

// ReportVerdicts is every gate at one moment.
type ReportVerdicts struct {
	At    time.Time `json:"at"`
	When  string    `json:"when"`
	Gates []Gate    `json:"gates"`
}

// ReportEvent is one line of the run's log.
type ReportEvent struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
}

func decodePlan(r journal.Run) (cutover.Plan, error) {
	var p cutover.Plan
	if err := json.Unmarshal(r.Plan, &p); err != nil {
		return p, fmt.Errorf("run %s: its plan cannot be read: %w", r.ID, err)
	}
	return p, nil
}

// newReport makes the report of a run, finished or not.
func newReport(rec *journal.Record, now time.Time) *Report {
	run, i := rec.Run, rec.Intent
	p, planErr := decodePlan(run)
	r := &Report{
		Run: run.ID, DAG: run.DAG, Group: p.Group, Kind: Kind(run.Kind), Mode: Mode(run.Mode), Started: run.Started, Ended: run.Ended,
		Phase: string(i.Phase), Outcome: Outcome(run.Outcome), OutcomeAt: i.OutcomeAt, PlanHash: run.PlanHash, StartedBy: run.StartedBy, Version: run.Version,
		Source: p.Source, Target: p.Target, Proof: i.Proof, GoingBack: i.GoingBack, Pages: i.Pages, Notes: i.Notes,
		WriteUnavailable: i.WriteUnavailable(now).Seconds(), WriteUnavailableFrom: i.WriteUnavailableFrom, WriteUnavailableTo: i.WriteUnavailableTo,
		Statements: []ReportStatement{}, Phases: []ReportPhase{}, Verdicts: []ReportVerdicts{}, Changes: []ReportEvent{}, Events: []ReportEvent{},
	}
	if r.Mode != ModeExecute {
		r.WriteUnavailable = 0 // it made nothing unavailable; from and to say what a run would have
	}
	if r.Outcome == "" {
		r.Outcome = Outcome(i.Outcome)
	}
	r.Summary = summary(r)
	if run.Arming != nil {
		a := Arming(*run.Arming)
		r.Arming = &a
	}
	for _, a := range run.Approvals {
		r.Approvals = append(r.Approvals, Approval(a))
	}
	if i.Pinned {
		r.Old = map[hadr.Side]string{}
		for s, o := range map[hadr.Side]cutover.Old{hadr.Source: i.SourceOld, hadr.Target: i.TargetOld} {
			r.Old[s] = fmt.Sprintf("%s %s, %s %s", p.SourceAG, o.Source, p.TargetAG, o.Target)
		}
	}
	r.phases(i, now)
	for _, s := range i.Sent {
		r.Statements = append(r.Statements, ReportStatement{
			Kind: string(s.Statement.Kind), Side: string(s.Statement.Side), SQL: s.Statement.SQL, Server: s.ServerName, Sent: s.At,
			Returned: s.ReturnedAt, Effect: s.EffectSeen, Outcome: string(s.Outcome), Error: s.Text, Number: s.Number,
		})
	}
	for _, name := range cutover.HookNames {
		if h, ok := i.Hooks[name]; ok {
			r.Hooks = append(r.Hooks, ReportHook{Hook: string(name), Attempts: h.Attempts, Started: h.Started, Ended: h.Ended, OK: h.OK, Error: h.Error})
		}
	}
	for _, e := range rec.Events {
		r.event(e)
	}
	r.left(p, i, planErr)
	return r
}

func summary(r *Report) string {
	for _, o := range cutover.Outcomes {
		if string(o.Outcome) == string(r.Outcome) {
			return o.Text
		}
	}
	switch r.Outcome {
	case OutcomeRehearsed:
		return "a dry run: every step was gone through with nothing touched; what a statement would have done was assumed"
	case OutcomeInterrupted:
		return "a dry run that a restart ended; nothing was touched"
	case "":
		return "the run has not ended"
	}
	return string(r.Outcome)
}

func (r *Report) phases(i cutover.Intent, now time.Time) {
	end := now
	if !i.Ended.IsZero() {
		end = i.Ended
	}
	for n, ph := range i.Phases {
		to := end
		if n+1 < len(i.Phases) {
			to = i.Phases[n+1].At
		}
		out := ReportPhase{Phase: string(ph.Phase), At: ph.At, Seconds: to.Sub(ph.At).Seconds()}
		for _, info := range cutover.Phases {
			if info.Phase == ph.Phase {
				out.Step, out.Text = info.Step, info.Text
			}
		}
		r.Phases = append(r.Phases, out)
	}
}

func (r *Report) event(e journal.Event) {
	line := ReportEvent{At: e.At, Kind: e.Kind, Text: e.Text}
	r.Events = append(r.Events, line)
	switch e.Kind {
	case "verdict":
		r.Changes = append(r.Changes, line)
	case "verdicts":
		var vs []cutover.Verdict
		if json.Unmarshal(e.Data, &vs) != nil {
			return // the line itself stays
		}
		out := ReportVerdicts{At: e.At, When: e.Text}
		for _, v := range vs {
			out.Gates = append(out.Gates, Gate{Name: string(v.Gate), State: GateState(v.State), Reason: v.Reason, EvidenceAge: v.EvidenceAge.Seconds(), WaitingHelps: v.WaitingHelps})
		}
		r.Verdicts = append(r.Verdicts, out)
	case "unconfirmed":
		_ = json.Unmarshal(e.Data, &r.Unconfirmed) // the line itself stays
	case "hook":
		var h hookEvent
		if json.Unmarshal(e.Data, &h) != nil || h.Output == "" {
			return
		}
		for n := range r.Hooks {
			if r.Hooks[n].Hook == string(h.Hook) {
				r.Hooks[n].Output = append(r.Hooks[n].Output, h.Output)
			}
		}
	}
}

// left is what the run leaves to people.
func (r *Report) left(plan cutover.Plan, i cutover.Intent, planErr error) {
	if planErr != nil {
		r.Left = append(r.Left, planErr.Error())
	}
	for _, p := range i.Pages {
		if !p.Until.IsZero() {
			continue
		}
		r.Left = append(r.Left, p.Text)
		for _, first := range p.Before { // never a statement without what has to be true first
			r.Left = append(r.Left, "first: "+first)
		}
		for _, s := range p.Statements {
			r.Left = append(r.Left, fmt.Sprintf("on the %s: %s", s.Side, s.SQL))
		}
	}
	for _, h := range r.Hooks {
		if !h.OK && !h.Ended.IsZero() {
			r.Left = append(r.Left, fmt.Sprintf("the %s hook failed (%s): do by hand what it was to do", h.Hook, h.Error))
		}
	}
	if r.Mode != ModeExecute {
		return
	}
	switch i.Outcome {
	case cutover.OutcomeDone:
		if slices.ContainsFunc(i.Notes, func(n cutover.Note) bool { return strings.Contains(n.Text, " is suspended on the ") }) {
			r.Left = append(r.Left, "look at the suspended databases in the notes before you RESUME any")
		}
		if _, ran := i.Hooks[cutover.HookRepoint]; !ran {
			r.Left = append(r.Left, "no repoint hook ran: the applications have to be led to the target by hand")
		}
		if !plan.BackToAsync {
			r.Left = append(r.Left, "both members commit synchronously now: every commit on the target waits for the old source while it is connected. Asynchronous again is up to you (back_to_async does it)")
		}
		r.Left = append(r.Left,
			"logins, Agent jobs, linked servers and server settings are not part of an availability group",
			"keep the distributed availability group for a way back, or drop it on both sides; the source's domain controllers only after everything is off them")
	case cutover.OutcomeNone:
		if r.Ended.IsZero() {
			r.Left = append(r.Left, "the run has not ended")
		}
	}
	r.Left = append(r.Left, "acknowledge the run, so that the next one may be armed")
}
