package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// end closes the run in the journal. It is tried until it succeeds.
func (c *Controller) end() time.Duration {
	run, i := c.run.head, c.run.intent
	outcome := string(i.Outcome)
	real := run.Mode == string(ModeExecute) // not: this process's mode
	if !real && (i.Outcome == cutover.OutcomeDone || i.Outcome == cutover.OutcomeDrilled) {
		outcome = string(OutcomeRehearsed)
	}
	ended := i.Ended
	if ended.IsZero() {
		ended = time.Now()
	}
	change := func(s *journal.State) {
		s.Rollback, s.TakenOver, s.Approvals, s.Checklist = nil, nil, nil, nil // they were for this run
		if real {
			s.Unacknowledged = run.ID
		}
		for _, p := range i.Pages {
			if real && p.Until.IsZero() {
				s.Pages = append(s.Pages, pageOf(&p.Page, run.ID, p.At))
			}
		}
	}
	c.sweep(time.Now())
	text := fmt.Sprintf("%s ended: %s", run.Kind, outcome)
	err := func() error {
		said, err := c.turn()
		if err != nil {
			return err
		}
		defer said() // a bug in it must not keep out what people say
		if err := c.written(func() error {
			return c.o.Journal.End(run.ID, ended, outcome, i, change, journal.NewEvent(ended, "run", text, nil))
		}); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		change(&c.state)
		return nil
	}()
	if err != nil {
		return c.journalFailed(err, cutover.Observation{})
	}
	c.well()
	c.refusal = ""
	c.releaseLocks()
	if c.dry != nil {
		c.dry.reset() // from here on the readings are what they are again
	}
	c.mu.Lock()
	c.intent, c.lastRun, c.calls = i, run, calling{}
	c.lastRun.Ended, c.lastRun.Outcome = ended, outcome
	c.base.Run, c.base.GoingBack, c.busy = "", false, nil
	if real {
		c.outcomes[Outcome(outcome)]++
		if !i.WriteUnavailableFrom.IsZero() && !i.WriteUnavailableTo.IsZero() {
			c.lastOutage = i.WriteUnavailable(ended).Seconds()
		}
	}
	c.mu.Unlock()
	c.run = nil
	clear(c.needs)
	c.want = everything.Want
	if real {
		c.watch, c.rest = i.WatchUntil, i
	}
	phase := string(c.restPhase(time.Now()))
	c.mu.Lock()
	c.base.Phase, c.base.PhaseSince = phase, ended
	c.mu.Unlock()
	c.log.Info("a run ended", "run", run.ID, "outcome", outcome)
	c.emit("run", text)
	return retryPoll
}

// sweep drops what runs of ours left in master: the run that is ending, which
// after a restart has no lock session in which the engine could have had it
// dropped, and those that ended while a side could not be reached. Left behind
// it would keep the next run from starting, and nothing else; so a failure is
// said, and tried again while the webhook runs. Anybody else's id is left alone.
func (c *Controller) sweep(now time.Time) {
	if c.dry != nil || now.Sub(c.swept) < sweepPoll {
		return
	}
	for s, id := range c.markers {
		if id == "" {
			continue
		}
		plan, ours := c.left(id)
		if !ours {
			c.swept = now
			continue
		}
		delete(c.markers, s) // until the next reading
		err := c.drop(s, plan, id)
		text := fmt.Sprintf("run id %s, left in master of the %s, was dropped", id, s)
		if err != nil { // a dead session of ours may still hold the lock
			c.swept = now
			text = fmt.Sprintf("run id %s still stands in master of the %s (%v). It is tried again while the webhook runs; a next run waits for it, or for a hand that drops the extended property", id, s, err)
			c.log.Warn(text, "run", id)
		}
		if err == nil || c.run != nil { // said once, when the run ends
			if err := c.written(func() error { return c.o.Journal.Append(id, journal.NewEvent(now, "left", text, nil)) }); err != nil {
				c.log.Warn("this could not be journalled", "run", id, "error", err)
			}
		}
	}
}

// left is the plan of a run of ours that is over: the one that is ending now, or
// one that the journal knows as ended. Without its group's id the lock that
// belongs to it cannot be named.
func (c *Controller) left(id string) (cutover.Plan, bool) {
	if c.run != nil {
		return c.run.plan, c.run.head.ID == id && !c.run.intent.Active() && c.run.plan.GroupID != ""
	}
	rec, err := c.o.Journal.Load(id)
	if err != nil || rec.Run.DAG != c.Name() || rec.Run.Ended.IsZero() {
		return cutover.Plan{}, false
	}
	var plan cutover.Plan
	return plan, json.Unmarshal(rec.Run.Plan, &plan) == nil && plan.GroupID != ""
}

// drop drops a run id behind the lock of its side: the one that is held, or one
// taken for as long as it takes.
func (c *Controller) drop(s hadr.Side, plan cutover.Plan, id string) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.o.LockTimeout)
	defer cancel()
	if l := c.locks[s]; l != nil && l.Alive() {
		return l.ClearRun(ctx, id)
	}
	l, err := c.side[s].Lock(ctx, resource(plan))
	if err != nil {
		return err
	}
	return errors.Join(l.ClearRun(ctx, id), l.Release())
}
