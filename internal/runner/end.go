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
		s.Rollback, s.TakenOver, s.Approvals = nil, nil, nil // they were for this run
		if real {
			s.Unacknowledged = run.ID
		}
		for _, p := range i.Pages {
			if real && p.Until.IsZero() {
				s.Pages = append(s.Pages, pageOf(&p.Page, run.ID, p.At))
			}
		}
	}
	if real && c.dry == nil {
		c.sweep(run.ID)
	}
	text := fmt.Sprintf("%s ended: %s", run.Kind, outcome)
	if err := c.o.Journal.End(run.ID, ended, outcome, i, change, journal.NewEvent(ended, "run", text, nil)); err != nil {
		return c.journalFailed(err, cutover.Observation{})
	}
	c.well()
	c.refusal = ""
	c.releaseLocks()
	if c.dry != nil {
		c.dry.reset() // from here on the readings are what they are again
	}
	c.mu.Lock()
	change(&c.state)
	c.intent, c.lastRun = i, run
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

// sweep drops our own run id where it still stands in master: a restart after
// the last statement leaves no lock session in which the engine could have had
// it dropped. Left behind it would keep the next run from starting, and
// nothing else; so a failure is said, and left to sweepEnded.
func (c *Controller) sweep(run string) {
	for s := range c.side {
		if c.markers[s] != run {
			continue
		}
		delete(c.markers, s)
		err := error(nil)
		if l := c.locks[s]; l == nil || !l.Alive() {
			err = c.lock(s)
		}
		if err == nil {
			err = c.withLock(s, func(ctx context.Context, l Lock) error { return l.ClearRun(ctx, run) })
		}
		if err != nil {
			text := fmt.Sprintf("run id %s still stands in master of the %s (%v). It is tried again while the webhook runs; a next run waits for it, or for a hand that drops the extended property", run, s, err)
			c.log.Warn(text, "run", run)
			if err := c.o.Journal.Append(run, journal.NewEvent(time.Now(), "left", text, nil)); err != nil {
				c.log.Warn("this could not be journalled", "run", run, "error", err)
			}
		}
	}
}

// sweepEnded drops a run id that an ended run of ours left in master, because
// that side could not be reached when it ended. Anybody else's is left alone.
func (c *Controller) sweepEnded(now time.Time) {
	if c.dry != nil || now.Sub(c.swept) < sweepPoll {
		return
	}
	for s, id := range c.markers {
		if id == "" {
			continue
		}
		c.swept = now
		rec, err := c.o.Journal.Load(id)
		if err != nil || rec.Run.DAG != c.Name() || rec.Run.Ended.IsZero() {
			continue
		}
		var plan cutover.Plan
		if json.Unmarshal(rec.Run.Plan, &plan) != nil || plan.GroupID == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.o.LockTimeout)
		err = c.drop(ctx, s, plan, id)
		cancel()
		text := fmt.Sprintf("run id %s, left in master of the %s by a run that has ended, was dropped", id, s)
		if err != nil {
			text = fmt.Sprintf("run id %s of a run that has ended still stands in master of the %s: %v", id, s, err)
		}
		c.log.Info(text, "run", id)
		if err != nil {
			return // again after sweepPoll: a dead session of ours may still hold the lock
		}
		if err := c.o.Journal.Append(id, journal.NewEvent(now, "left", text, nil)); err != nil {
			c.log.Warn("this could not be journalled", "run", id, "error", err)
		}
		return // one side at a time; the next round reads again
	}
}

// drop takes the lock of a side for as long as it takes to drop a run id.
func (c *Controller) drop(ctx context.Context, s hadr.Side, plan cutover.Plan, id string) error {
	l, err := c.side[s].Lock(ctx, resource(plan))
	if err != nil {
		return err
	}
	return errors.Join(l.ClearRun(ctx, id), l.Release())
}
