package runner

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// guarded runs one round. A panic in it is a bug of ours, and must neither
// take the other DAGs' runs down with the process nor leave this one without a
// word: it is a page, RSSTC=1 is taken back where it may stand, what was in
// memory is thrown away for what the journal holds, as after a crash, and the
// next round reads both sides again.
func (c *Controller) guarded(round func() time.Duration) (poll time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			poll = c.panicked(p, debug.Stack())
		}
	}()
	if c.orphan && !c.retake() {
		return sickPoll
	}
	poll = round()
	if c.faults > 0 {
		c.faults = 0
		c.untrouble("bug")
	}
	return poll
}

func (c *Controller) panicked(p any, stack []byte) time.Duration {
	c.faults++
	text := fmt.Sprintf("a bug stopped a round: %v; what was under way is taken up again from the journal, as after a crash", p)
	c.log.Error(text, "stack", string(stack), "in_a_row", c.faults)
	c.trouble("bug", text, "keep the log: it holds the stack", "if this does not go away: stop the webhook, and look at both sides before anything is typed")
	c.refuseManual("a bug stopped the round: see the log")
	c.orphan = c.orphan || c.run != nil
	for _, f := range []func(){func() { c.unfence(nil) }, c.releaseLocks} {
		func() {
			defer func() {
				if again := recover(); again != nil {
					c.log.Error("and again while it was dealt with", "panic", fmt.Sprint(again))
				}
			}()
			f()
		}()
	}
	c.run, c.locks = nil, map[hadr.Side]Lock{}
	c.emit("page", text)
	return min(time.Duration(c.faults)*sickPoll, c.o.IdlePoll)
}

// retake takes up again what the journal holds; false if it cannot be read.
func (c *Controller) retake() bool {
	rec, err := c.o.Journal.Unfinished(c.Name())
	if err == nil && rec != nil {
		err = c.adopt(rec)
	}
	if err != nil {
		c.sick = err
		c.trouble("journal", "the unfinished run cannot be read from the journal: "+err.Error())
		return false
	}
	c.orphan = false
	c.well()
	return true
}

// traced hands the round before on to who listens, and begins the next one.
func (c *Controller) traced(next *cutover.TraceStep) {
	if c.o.trace == nil {
		return
	}
	if c.step != nil {
		c.o.trace(*c.step)
	}
	c.step = next
}

// exit is what a person can type when the engine does not go on, and what must be
// true before.
type exit struct {
	before     []string
	statements []cutover.Statement
}

// wayOut is the exit of a run of ours: RSSTC=0 where it may stand, and after S2
// the way back. Once S3 on the target may have been sent there is none that is
// safe to type without both sides being read.
func wayOut(p *cutover.Plan, i cutover.Intent) (e exit) {
	demoted := mayBeSent(i, cutover.Demote)
	if promoted(i) || !demoted && !required(i) {
		return e
	}
	want := []cutover.Kind{cutover.ReleaseSecondary}
	e.before = []string{"the webhook is stopped: its engine goes on by itself as soon as it can, and must not act beside a hand"}
	if demoted {
		want = append(want, cutover.Promote)
		e.before = append(e.before, "on the target the role of the distributed group reads SECONDARY, now, and nobody is about to send S3 there",
			"on the source the role reads SECONDARY and its SQL Server log shows no failover in progress; where it reads PRIMARY only RSSTC=0 is needed")
	} else {
		e.before = append(e.before, "on the source the role of the distributed group reads PRIMARY and its RSSTC is not 0")
	}
	for _, k := range want {
		if st, ok := p.Statement(k, hadr.Source); ok {
			e.statements = append(e.statements, st)
		}
	}
	return e
}

// trouble is a page about ourselves: it needs no server and no journal.
func (c *Controller) trouble(id, text string, conditions ...string) {
	switch {
	case c.refusal != "" || c.dry != nil || c.run == nil && !c.orphan:
		c.exit = exit{} // the refusal's own page names what there is
	case c.run != nil:
		c.exit = wayOut(&c.run.plan, c.run.intent)
	}
	conditions = append(conditions, c.exit.before...)
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now()
	if c.fault != nil && c.fault.ID == id {
		at = c.fault.At
	}
	c.fault = &Page{ID: id, Run: c.base.Run, At: at, Text: text, Conditions: conditions, Statements: statementViews(c.exit.statements)}
}

func (c *Controller) untrouble(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil && c.fault.ID == id {
		c.fault = nil
	}
}

// well notes that the journal was written.
func (c *Controller) well() {
	if c.sick == nil {
		return
	}
	c.sick = nil
	c.untrouble("journal")
	c.log.Info("the journal can be written again")
}

// refusalPage is the page of a run that is not taken up: RSSTC=0 is the first
// thing that it names, where the run may have set it.
func (c *Controller) refusalPage(now time.Time) Page {
	p := Page{ID: "resume", At: now, Text: c.refusal}
	if c.run == nil {
		return p
	}
	p.Run, p.At = c.run.head.ID, c.run.head.Started
	if st, ok := c.run.plan.Statement(cutover.ReleaseSecondary, hadr.Source); ok && required(c.run.intent) {
		p.Conditions = append(p.Conditions, "on the source (@@SERVERNAME) the role of the distributed group reads PRIMARY and its RSSTC is not 0")
		p.Statements = statementViews([]cutover.Statement{st})
	}
	return p
}

// takenOver closes a run that is not taken up, once a person says that it was
// brought to its end by hand and both sides show that it was: exactly one of
// them PRIMARY, nothing that fences it, and nothing of ours that may still
// land.
func (c *Controller) takenOver(obs cutover.Observation, now time.Time) bool {
	by := obs.Outside.Acknowledged
	if by == nil || c.run == nil {
		return false
	}
	primaries := 0
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		r := obs.Side(s).Reading
		switch {
		case r == nil:
			return false
		case r.DAG.Role == hadr.RolePrimary:
			primaries++
			if r.DAG.RSSTC.OK && r.DAG.RSSTC.V != 0 {
				return false
			}
		case r.DAG.Role != hadr.RoleSecondary:
			return false
		}
	}
	settle := settings(c.o.DAG, false).Settle
	for _, n := range c.run.intent.Sent {
		if n.Outcome != cutover.SentRefused && now.Sub(n.At) < settle {
			return false
		}
	}
	if primaries != 1 {
		return false
	}
	i := &c.run.intent
	i.Outcome, i.OutcomeAt, i.Ended = cutover.OutcomeClosed, now, now
	i.Phase = cutover.PhaseEnded
	i.Phases = append(i.Phases, cutover.PhaseTime{Phase: cutover.PhaseEnded, At: now})
	i.Notes = append(i.Notes, cutover.Note{At: now, Text: fmt.Sprintf("closed by %s: %s", by.By, by.Reason)})
	if err := c.written(func() error {
		return c.o.Journal.Append(c.run.head.ID, journal.NewEvent(now, "outcome", "closed by "+by.By, nil))
	}); err != nil {
		c.log.Warn("this could not be journalled", "run", c.run.head.ID, "error", err)
	}
	return true
}
