package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

const (
	minPoll    = time.Millisecond       // between rounds that only wait
	hotPoll    = 40 * time.Millisecond  // the same, at most, while nobody can write
	watchPoll  = time.Second            // during the split watch
	retryPoll  = 100 * time.Millisecond // after an action that was not accepted
	sickPoll   = time.Second            // while the journal cannot be written
	heldCheck  = 3 * time.Second        // for the server's answer whether the lock is ours
	hotCheck   = 100 * time.Millisecond // the same, beyond the reading that it runs beside
	evidence   = 2 * time.Second        // how old what S2 and S3 rest on may be when they are sent, beyond the reading itself
	refusalLog = time.Minute            // between lines about a run that is not taken up
	sweepPoll  = 10 * time.Second       // between tries to drop what a run of ours that is over left in master
)

// everything a reading can contain.
var everything = Want{
	Want: cutover.Want{Rights: true, Transactions: true, Lineage: true, Marker: true, Seeding: true},
	Log:  true,
}

func (c *Controller) loop() {
	defer close(c.done)
	defer c.hub.close()
	defer c.releaseLocks()
	for {
		poll := c.guarded(c.round)
		if c.ctx.Err() != nil || c.mayStop() {
			c.refuseManual("the webhook is shutting down")
			return
		}
		if poll <= 0 {
			continue
		}
		t := time.NewTimer(poll)
		select {
		case <-t.C:
		case <-c.wake:
		case <-c.ctx.Done():
		}
		t.Stop()
	}
}

// mayStop reports that the loop was asked to end and that no run needs it. One
// that a bug threw out of memory does: the next round takes it up again. One
// that found another engine's run id does not: it only reads.
func (c *Controller) mayStop() bool {
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	return closing && !c.orphan && (c.run == nil || c.refusal != "" || onlyReads(c.run.intent))
}

func onlyReads(i cutover.Intent) bool { return i.Stuck == cutover.PageOtherRun }

// round is one turn: observe, decide, journal, act, record, journal. It gives
// how long to wait before the next one.
func (c *Controller) round() time.Duration {
	version := c.seen()
	manual := c.takeManual()
	obs := c.observe(manual)
	now := time.Now()
	if c.ctx.Err() != nil {
		return 0
	}
	if c.run != nil && !c.run.intent.Active() {
		return c.end() // the intent says it is over, the journal could not be told yet
	}
	if c.refusal != "" {
		if c.takenOver(obs, now) {
			return c.end()
		}
		if now.Sub(c.told) >= refusalLog {
			c.told = now
			c.log.Error("a human is needed", "code", "resume", "run", c.run.head.ID, "phase", c.run.intent.Phase, "text", c.refusal)
		}
		c.publish(obs, cutover.Plan{Settings: settings(c.o.DAG, false)}, nil, cutover.Decision{Action: cutover.ActionWait, Reason: c.refusal}, now)
		return c.o.IdlePoll
	}
	var plan cutover.Plan
	var intent cutover.Intent
	var planErr error
	if c.run != nil {
		plan, intent = c.run.plan, c.run.intent
	} else {
		intent = c.rest
		if plan, planErr = c.buildPlan(obs); planErr != nil {
			// A page names its statements though one side is gone.
			if p, err := cutover.PartialPlan(settings(c.o.DAG, false), obs.Source.Reading, obs.Target.Reading, c.o.Render); err == nil {
				plan = p
			}
		}
	}
	d := c.o.decide(plan, intent, obs, now)
	c.want = d.Want
	if c.run == nil {
		c.rest = d.Intent
	}
	c.publish(obs, plan, planErr, d, now)
	if d.Action != cutover.ActionWait && d.Action != cutover.ActionPage && c.seen() != version {
		c.putBack(manual)
		return 0 // somebody said something meanwhile: look again before acting
	}
	if d.Action == cutover.ActionStart {
		return c.begin(plan, obs, d, manual, version, now)
	}
	if manual != nil {
		manual.reply <- startReply{err: c.notStarted(manual, planErr, d)}
	}
	if c.run == nil {
		c.recovered()
		c.sweep(now)
		return c.idle(d)
	}
	if bad := cutover.Audit(&c.run.plan, c.run.intent, &obs, d); len(bad) > 0 {
		// Better a page than an act that the engine should never have asked for.
		panic("the engine broke a rule of its own, and nothing was sent: " + strings.Join(bad, "; "))
	}
	c.traced(&cutover.TraceStep{At: now, Before: c.run.intent, Observation: obs, Decision: d})
	defer c.traced(nil)
	events := c.events(d, now)
	if err := c.put(d.Intent, events...); err != nil {
		return c.journalFailed(err, obs)
	}
	if d.Action == cutover.ActionFinish {
		return c.end()
	}
	return c.act(d, now)
}

// idle is what is left of a round without a run.
func (c *Controller) idle(d cutover.Decision) time.Duration {
	c.mu.Lock()
	busy := c.state.Arming != nil && c.state.Arming.Spent == "" || c.lease.Held
	c.mu.Unlock()
	switch {
	case busy, d.Page != nil:
		return max(min(d.Poll, watchPoll), minPoll)
	case time.Now().Before(c.watch):
		return watchPoll
	}
	return c.o.IdlePoll
}

// hot reports that writes may be impossible right now, so that every
// millisecond counts.
func (c *Controller) hot() bool {
	if c.run == nil {
		return false
	}
	switch c.run.intent.Phase {
	case cutover.PhaseRequire, cutover.PhaseDemote:
		return true
	}
	return c.demoted()
}

// demoted reports a phase in which only roles, LSNs and markers are looked
// at; before it every gate is, and the gates need the log sizes too.
func (c *Controller) demoted() bool {
	if c.run == nil {
		return false
	}
	switch c.run.intent.Phase {
	case cutover.PhaseConfirmDemoted, cutover.PhaseProve, cutover.PhasePromote, cutover.PhaseBack:
		return true
	}
	return false
}

// observe reads both sides in sequence, source first unless the last decision
// wanted it otherwise, and adds what no server knows.
func (c *Controller) observe(manual *manualStart) cutover.Observation {
	obs := cutover.Observation{Began: time.Now(), Resumed: c.resumed}
	want := Want{Want: c.want, Log: !c.demoted()}
	if manual != nil {
		want = everything
	}
	if c.run != nil {
		// A marker of somebody else is noticed in every round.
		want.Marker = true
	}
	for _, s := range order(want.First) {
		so := c.readSide(s, want)
		if s == hadr.Source {
			obs.Source = so
		} else {
			obs.Target = so
		}
	}
	for s := range c.side {
		if r := obs.Side(s).Reading; r != nil && r.Marker.OK {
			c.markers[s] = r.Marker.V
		}
	}
	obs.Outside = c.outside(manual, time.Now())
	obs.Outside.OtherRun = c.otherRun(obs)
	return obs
}

// otherRun is the unfinished run of another DAG that shares a local AG with
// this one: two moves of one AG at the same time are nobody's plan.
func (c *Controller) otherRun(obs cutover.Observation) string {
	if c.others == nil {
		return ""
	}
	var ids []string
	for _, r := range []*hadr.Reading{obs.Source.Reading, obs.Target.Reading} {
		if r != nil && r.Local.GroupID != "" {
			ids = append(ids, r.Local.GroupID)
		}
	}
	return c.others(ids)
}

func order(first hadr.Side) [2]hadr.Side {
	if first == hadr.Target {
		return [2]hadr.Side{hadr.Target, hadr.Source}
	}
	return [2]hadr.Side{hadr.Source, hadr.Target}
}

func (c *Controller) readSide(s hadr.Side, want Want) cutover.SideObservation {
	// Not before S2: there RSSTC=1 may stand, and require_exposure is short.
	timeout, grows := c.o.ReadTimeout, c.demoted()
	if c.hot() {
		timeout = c.o.HotReadTimeout
	}
	if grows {
		timeout = max(timeout, c.needs[s])
	}
	ctx, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	var so cutover.SideObservation
	held := c.askBeside(s)
	r, err := c.side[s].Read(ctx, want)
	if err != nil {
		so.Failure, so.Class = err.Error(), failureClass(err)
		if grows && cutOff(err) {
			c.needs[s] = min(2*timeout, max(timeout, c.o.ReadTimeout))
		}
	} else {
		so.Reading = r
	}
	so.Lock = c.lockState(s, r, held)
	return so
}

// cutOff reports a reading that the server was at when its time was over. A side
// that is not reached at all needs no longer deadline; one that is at work does:
// cut off after the same time again and again, it would never be read.
func cutOff(err error) bool {
	e, ok := errors.AsType[*sqlserver.Error](err)
	return ok && e.Class == sqlserver.ClassUnknown && e.Reason == sqlserver.ReasonTimeout
}

// askBeside asks the server, in the session that holds a side's lock, whether
// it still does, while the reading of that side is under way: where every
// millisecond counts it costs none. nil where nothing is asked.
func (c *Controller) askBeside(s hadr.Side) <-chan bool {
	l := c.locks[s]
	if l == nil || !c.hot() {
		return nil
	}
	lost := make(chan bool, 1)
	ctx, cancel := context.WithTimeout(c.ctx, heldCheck)
	go func() {
		defer cancel()
		held, err := l.Held(ctx)
		lost <- err == nil && !held
	}()
	return lost
}

// lockState says whether the lock of a side is ours. Where that could not be
// asked in time it counts as held: each guarded statement asks the server
// itself, in its own batch, and nothing else rests on it.
func (c *Controller) lockState(s hadr.Side, r *hadr.Reading, beside <-chan bool) cutover.LockState {
	l := c.locks[s]
	switch {
	case l == nil:
		return cutover.LockNone
	case !l.Alive(), r != nil && !l.Identity().SameInstance(r.Identity):
		return cutover.LockLost
	case beside != nil:
		t := time.NewTimer(hotCheck)
		defer t.Stop()
		select {
		case lost := <-beside:
			if lost {
				return cutover.LockLost
			}
		case <-t.C:
		}
		if !l.Alive() {
			return cutover.LockLost
		}
		return cutover.LockHeld
	}
	ctx, cancel := context.WithTimeout(c.ctx, heldCheck)
	defer cancel()
	if held, err := l.Held(ctx); err != nil && !l.Alive() || err == nil && !held {
		return cutover.LockLost
	}
	return cutover.LockHeld
}

// reload takes the journal's word for what is armed and unfinished. The caller
// holds saying.
func (c *Controller) reload() time.Duration {
	state, err := c.o.Journal.State(c.Name())
	if err != nil {
		c.sick = err
		return sickPoll
	}
	c.ofMode(&state)
	c.mu.Lock()
	c.state = state
	c.mu.Unlock()
	rec, err := c.o.Journal.Unfinished(c.Name())
	if err != nil {
		c.sick = err
		return sickPoll
	}
	if rec != nil && c.run == nil {
		if err := c.adopt(rec); err != nil {
			c.sick = err
		}
	}
	return retryPoll
}

// put writes the next intent, unless it is what the journal holds already.
// The intent in memory moves on only when it is on disk.
func (c *Controller) put(next cutover.Intent, events ...journal.Event) error {
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if len(events) == 0 && bytes.Equal(b, c.run.written) && c.sick == nil {
		c.resumed = false
		return nil
	}
	if err := c.written(func() error { return c.o.Journal.Put(c.run.head.ID, next, events...) }); err != nil {
		return err
	}
	c.resumed = false
	c.well()
	before := c.run.intent.Phase
	c.run.intent, c.run.written = next, b
	c.mu.Lock()
	c.intent, c.calls = next, c.callsFor()
	c.mu.Unlock()
	if next.Phase != before {
		c.log.Info("phase", "run", next.Run, "phase", next.Phase, "before", before)
	}
	for _, e := range events {
		c.emit(e.Kind, e.Text)
	}
	return nil
}

// journalFailed is a round whose intent could not be written: nothing is
// sent, but for RSSTC=0, which may be repeated, must not wait, and leaves the
// source as it was before the run.
func (c *Controller) journalFailed(err error, obs cutover.Observation) time.Duration {
	if c.sick == nil {
		c.log.Error("the journal cannot be written: nothing is sent until it can", "error", err)
	}
	c.sick = err
	text := "the journal cannot be written, so nothing is sent: " + err.Error()
	c.setReason(text)
	c.trouble("journal", text, "make room on the disk of --storage.path, or repair it: the engine goes on by itself")
	c.emit("page", text)
	c.unfence(obs.Source.Reading)
	return sickPoll
}

// unfence takes RSSTC=1 back without the journal: where this run may have set
// it, and the source reads PRIMARY, or cannot be read and was never demoted by
// us. On a demoted source it stays, it fences.
func (c *Controller) unfence(r *hadr.Reading) {
	if c.run == nil || c.refusal != "" || c.ctx.Err() != nil || !required(c.run.intent) {
		return
	}
	switch {
	case r == nil && mayBeSent(c.run.intent, cutover.Demote):
		return
	case r != nil && (r.DAG.Role != hadr.RolePrimary || r.DAG.RSSTC.OK && r.DAG.RSSTC.V == 0):
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.o.StatementTimeout)
	defer cancel()
	if err := c.side[hadr.Source].ClearRequired(ctx, c.run.plan.GroupID); err != nil {
		c.log.Error("RSSTC=0 on the source failed", "run", c.run.head.ID, "error", err)
	}
}

// required reports that RSSTC=1 may stand because of this run.
func required(i cutover.Intent) bool { return mayBeSent(i, cutover.RequireSecondary) }

// mayBeSent reports an entry of this statement that was not surely refused.
func mayBeSent(i cutover.Intent, k cutover.Kind) bool {
	return slices.ContainsFunc(i.Sent, func(s cutover.Sent) bool {
		return s.Statement.Kind == k && s.Outcome != cutover.SentRefused
	})
}
