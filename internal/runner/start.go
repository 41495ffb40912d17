package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/version"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// begin starts a run: the arming is spent and the intent written in one
// transaction, and nothing is touched before that is on disk.
// heard is the version of what people had said when the round began.
func (c *Controller) begin(plan cutover.Plan, obs cutover.Observation, d cutover.Decision, manual *manualStart, heard uint64, now time.Time) time.Duration {
	reply := func(run string, err error) {
		if manual != nil {
			manual.reply <- startReply{run, err}
		}
	}
	if obs.Outside.Armed == nil { // Decide does not start then; a second look costs nothing
		reply("", &Refused{Op: "run", DAG: c.Name(), Why: "nothing is armed", Remedy: "arm it first"})
		return c.o.IdlePoll
	}
	arming := *obs.Outside.Armed
	id := c.o.newRun(now)
	intent := cutover.Begin(plan, id, arming, obs.Outside.Approvals, now)
	doc, err := json.Marshal(plan)
	if err != nil {
		reply("", fmt.Errorf("runner: %s: write the plan down: %w", c.Name(), err))
		return c.o.IdlePoll
	}
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	head := journal.Run{
		ID: id, DAG: c.Name(), Kind: string(KindCutover), Mode: string(c.Mode()), Generation: arming.Generation,
		PlanHash: plan.Hash(), Plan: doc, Arming: state.Arming, Approvals: state.Approvals,
		StartedBy: "alert " + obs.Outside.LeaseFrom, Started: now.UTC(), Version: version.Version,
	}
	if manual != nil {
		head.StartedBy = obs.Outside.LeaseFrom
	}
	if plan.Drill {
		head.Kind = string(KindDrill)
	}
	text := fmt.Sprintf("%s started (%s), armed by %s", head.Kind, head.StartedBy, arming.By)
	events := []journal.Event{journal.NewEvent(now, "run", text, nil), journal.NewEvent(now, "verdicts", "all gates at the start", d.Verdicts)}
	if plan.Drill {
		events = append(events, unconfirmed(plan, now))
	}
	said, err := c.turn()
	if err != nil { // killed
		reply("", err)
		return sickPoll
	}
	defer said()
	if c.seen() != heard { // a hold that was just granted is no start
		c.putBack(manual)
		return 0
	}
	if c.givenUp(manual) {
		return 0
	}
	err = c.written(func() error { return c.o.Journal.Begin(head, intent, events...) })
	switch {
	case errors.Is(err, journal.ErrSpent), errors.Is(err, journal.ErrUnfinished):
		// Somebody disarmed it meanwhile, or an earlier Begin was written
		// though its answer was an error.
		reply("", &Refused{Op: "run", DAG: c.Name(), Why: err.Error(), Remedy: "arm it again"})
		return c.reload()
	case err != nil:
		reply("", err)
		return c.journalFailed(err, obs)
	}
	c.well()
	written, _ := json.Marshal(intent) // the journal has just done the same
	c.run = &activeRun{head: head, plan: plan, intent: intent, written: written, manual: manual != nil, repeats: repeats{}}
	c.gates = map[cutover.Gate]cutover.GateState{}
	if c.dry != nil {
		c.dry.reset()
	}
	c.mu.Lock()
	c.intent, c.lastRun, c.busy, c.calls = intent, head, groups(plan), calling{}
	if c.state.Arming != nil && c.state.Arming.Generation == arming.Generation {
		spent := *c.state.Arming
		spent.Spent = id
		c.state.Arming = &spent
	}
	c.base.Run, c.base.RunKind, c.base.RunStarted = id, Kind(head.Kind), head.Started
	c.mu.Unlock()
	reply(id, nil)
	c.log.Info("a run began", "run", id, "kind", head.Kind, "mode", head.Mode, "plan", head.PlanHash, "by", head.StartedBy)
	c.emit("run", text)
	return 0
}

// unconfirmed is the event that says, before a drill touches anything, which of
// its steps rest on what no public documentation states.
func unconfirmed(p cutover.Plan, now time.Time) journal.Event {
	list := p.Unconfirmed()
	var text strings.Builder
	text.WriteString("not confirmed by public documentation, and found out by this drill:")
	for _, u := range list {
		fmt.Fprintf(&text, "\n%s: %s", u.Step, u.Text)
	}
	return journal.NewEvent(now, "unconfirmed", text.String(), list)
}

// startGate reports a gate that a start waits for.
func startGate(g cutover.Gate) bool {
	return slices.ContainsFunc(cutover.Gates, func(i cutover.GateInfo) bool { return i.Gate == g && i.Start })
}

// notStarted says which gates kept a run from starting.
func (c *Controller) notStarted(m *manualStart, planErr error, d cutover.Decision) error {
	op := "run"
	if m.drill {
		op = "drill"
	}
	r := &Refused{Op: op, DAG: c.Name(), Wait: true, Remedy: "see check for every gate"}
	if c.run != nil {
		r.Why, r.Remedy = "run "+c.run.head.ID+" has not ended", "wait for its end"
		return r
	}
	if planErr != nil {
		r.Why = "there is no plan: " + planErr.Error()
		return r
	}
	var closed []string
	for _, v := range d.Verdicts {
		if !v.Open() && startGate(v.Gate) {
			closed = append(closed, fmt.Sprintf("%s is %s (%s)", v.Gate, v.State, v.Reason))
			if v.State == cutover.GateClosed && !v.WaitingHelps {
				r.Wait = false
			}
		}
	}
	r.Why = strings.Join(closed, "; ")
	if r.Why == "" {
		r.Why = d.Reason
	}
	return r
}
