package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// act does the one thing of a decision whose intent is on disk, and folds the
// answer in.
func (c *Controller) act(d cutover.Decision, decided time.Time) time.Duration {
	var err error
	var event []journal.Event
	switch d.Action {
	case cutover.ActionWait, cutover.ActionPage:
		if onlyReads(d.Intent) {
			c.releaseLocks() // this run only reads from here on, and the other one may need them to go on or back
		}
		return c.pace(d.Poll)
	case cutover.ActionLock:
		err = c.lock(d.Side)
		event = c.answered("lock", fmt.Sprintf("lock on the %s", d.Side), err, nil)
	case cutover.ActionMark:
		err = c.withLock(d.Side, func(ctx context.Context, l Lock) error { return l.WriteRun(ctx, d.Intent.Run) })
		event = c.answered("lock", fmt.Sprintf("run id written into master of the %s", d.Side), err, nil)
	case cutover.ActionUnmark:
		err = c.withLock(d.Side, func(ctx context.Context, l Lock) error { return l.ClearRun(ctx, d.Intent.Run) })
		event = c.answered("lock", fmt.Sprintf("run id dropped from master of the %s", d.Side), err, nil)
	case cutover.ActionExecute:
		began := time.Now()
		if err = c.stale(d, decided); err == nil {
			err = c.execute(d)
		}
		event = c.answered("statement", fmt.Sprintf("%s on the %s", d.Statement.Kind, d.Statement.Side), err,
			statementEvent{d.Statement, d.Guard.WithoutLock, began, time.Now(), string(answer(err))})
	case cutover.ActionHook:
		var out string
		out, err = c.hook(d)
		event = c.answered("hook", fmt.Sprintf("%s hook", d.Hook), err, hookEvent{d.Hook, out})
	default:
		c.log.Error("the engine asked for something that the runner does not know", "action", d.Action)
		return sickPoll
	}
	now := time.Now()
	res := result(d, err, now)
	if d.Action == cutover.ActionHook {
		// A hook that failed has failed: unlike a statement it is never
		// looked for on a server.
		res.Answer = cutover.AnswerAccepted
		if err != nil {
			res.Answer = cutover.AnswerRefused
		}
	}
	next := cutover.Record(c.run.intent, res, now)
	if c.step != nil {
		c.step.Result, c.step.RecordedAt = &res, now
	}
	if perr := c.put(next, event...); perr != nil {
		// What is known in memory is more than what is on disk: it is kept,
		// and written with the next intent. Nothing is sent before that.
		c.run.intent = next
		return c.journalFailed(perr, cutover.Observation{})
	}
	if res.Answer != cutover.AnswerAccepted {
		return max(d.Poll, retryPoll)
	}
	return 0
}

// pace is how long to wait while a run is under way. Where writes may be
// impossible and nothing but a server's progress is waited for, every round
// that comes too late is an outage that is too long; the samples of rest keep
// their own distance.
func (c *Controller) pace(poll time.Duration) time.Duration {
	if c.hot() && c.run.intent.Phase != cutover.PhaseProve && c.run.intent.Page == nil {
		poll = min(poll, hotPoll)
	}
	return max(poll, minPoll)
}

// statementEvent is the data of an event about a statement.
type statementEvent struct {
	Statement cutover.Statement `json:"statement"`
	Outside   bool              `json:"outside_lock,omitempty"`
	Sent      time.Time         `json:"sent"`
	Returned  time.Time         `json:"returned"`
	Answer    string            `json:"answer"`
}

// hookEvent is the data of an event about a hook.
type hookEvent struct {
	Hook   cutover.HookName `json:"hook"`
	Output string           `json:"output"`
}

// answered is the event about something that was done, or, in a dry run, that
// would have been; none about what has failed many times before.
func (c *Controller) answered(kind, what string, err error, data any) []journal.Event {
	tell, since := !c.run.quiet, ""
	if err != nil && kind != "statement" { // those were looked at with the intent
		tell, since = c.run.repeats.again(kind+" "+what, time.Now())
	}
	if err != nil && !tell {
		return nil
	}
	if c.dry != nil {
		what = "would do: " + what
	}
	run := c.run.head.ID
	switch a := answer(err); {
	case err == nil:
		c.log.Info(what, "run", run)
	case a == cutover.AnswerUnknown && kind == "statement":
		what += ": outcome unknown, to be read back: " + err.Error()
		c.log.Warn(what, "run", run)
	default:
		what += ": not done: " + err.Error()
		c.log.Warn(what, "run", run)
	}
	return []journal.Event{journal.NewEvent(time.Now(), kind, what+since, data)}
}

// resource names the lock. It is made from the group's id, so that two
// webhooks that call the same group by different names exclude each other.
func resource(p cutover.Plan) string {
	return "dag_exporter/cutover/" + cmp.Or(strings.ToLower(p.GroupID), p.Group)
}

// lock takes the lock of a side, in place of one that was lost, on the
// instance that the plan means.
func (c *Controller) lock(s hadr.Side) error {
	if old := c.locks[s]; old != nil {
		delete(c.locks, s)
		if err := old.Release(); err != nil {
			c.log.Warn("the lost lock session did not close cleanly", "side", s, "error", err)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.o.LockTimeout)
	defer cancel()
	l, err := c.side[s].Lock(ctx, resource(c.run.plan))
	if err != nil {
		return err
	}
	if c.run.intent.Phase == cutover.PhaseLock {
		// Can the run's id be written at all? Better to know before S1.
		if err := l.ProbeMarker(ctx); err != nil {
			return errors.Join(err, l.Release())
		}
	}
	c.locks[s] = l
	return nil
}

func (c *Controller) withLock(s hadr.Side, f func(context.Context, Lock) error) error {
	l := c.locks[s]
	if l == nil {
		return &sqlserver.Error{Op: "use the lock", DAG: c.Name(), Side: s, Class: sqlserver.ClassNotSent, Err: errors.New("there is no lock session")}
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.o.StatementTimeout)
	defer cancel()
	return f(ctx, l)
}

// stale refuses S2 and S3 where too much time went by since what they rest on
// was read: a disk that took long over the intent. The next round reads again.
func (c *Controller) stale(d cutover.Decision, decided time.Time) error {
	if k := d.Statement.Kind; k != cutover.Demote && k != cutover.Promote {
		return nil
	}
	if age := time.Since(decided); age > evidence {
		return &sqlserver.Error{Op: string(d.Statement.Kind), DAG: c.Name(), Side: d.Statement.Side, Class: sqlserver.ClassNotSent, Reason: sqlserver.ReasonTimeout,
			Err: fmt.Errorf("the journal took %s over the intent, so what was read is too old to act on", age.Round(time.Millisecond))}
	}
	return nil
}

// execute sends one statement, once.
func (c *Controller) execute(d cutover.Decision) error {
	p := &c.run.plan
	if d.Guard.WithoutLock && d.Statement.Kind == cutover.ReleaseSecondary {
		ctx, cancel := context.WithTimeout(c.ctx, c.o.StatementTimeout)
		defer cancel()
		return c.side[d.Statement.Side].ClearRequired(ctx, d.Guard.GroupID)
	}
	return c.withLock(d.Statement.Side, func(ctx context.Context, l Lock) error {
		return l.Do(ctx, d.Statement, Guard{
			Guard: d.Guard, Group: p.Group, SourceAG: p.SourceAG, TargetAG: p.TargetAG,
		})
	})
}

// hook runs a hook to its end.
func (c *Controller) hook(d cutover.Decision) (string, error) {
	if c.dry != nil {
		c.dry.hook(d.Hook)
		return "", nil
	}
	h := hookOf(c.o.DAG.Cutover.Hooks, d.Hook)
	if h.IsZero() {
		return "", fmt.Errorf("the configuration has no %s hook any more", d.Hook)
	}
	p, i := &c.run.plan, &c.run.intent
	kind := KindCutover
	if p.Drill {
		kind = KindDrill
	}
	return c.o.hooks.Run(c.ctx, h, map[string]string{
		"DAG_NAME": p.DAG, "DAG_GROUP": p.Group, "DAG_RUN": i.Run, "DAG_HOOK": string(d.Hook), "DAG_KIND": string(kind),
		"DAG_PHASE": string(i.Phase), "DAG_SOURCE_AG": p.SourceAG, "DAG_TARGET_AG": p.TargetAG,
		"DAG_SOURCE_SERVER": p.Source.ServerName, "DAG_TARGET_SERVER": p.Target.ServerName,
		"DAG_DATABASES": strings.Join(p.Databases, ","), "DAG_PLAN_HASH": i.PlanHash,
	})
}

func (c *Controller) releaseLocks() {
	for s, l := range c.locks {
		delete(c.locks, s)
		if err := l.Release(); err != nil {
			c.log.Warn("a lock session did not close cleanly; the server drops the lock with the session", "side", s, "error", err)
		}
	}
}

// events are what a decision adds to the run's log before anything is done.
func (c *Controller) events(d cutover.Decision, now time.Time) []journal.Event {
	var out []journal.Event
	i := c.run.intent
	if d.Intent.Phase != i.Phase {
		out = append(out, journal.NewEvent(now, "phase", fmt.Sprintf("%s → %s: %s", i.Phase, d.Intent.Phase, d.Reason), nil))
	}
	for _, v := range d.Verdicts {
		if before, ok := c.gates[v.Gate]; ok && before == v.State {
			continue
		}
		c.gates[v.Gate] = v.State
		out = append(out, journal.NewEvent(now, "verdict", fmt.Sprintf("%s: %s: %s", v.Gate, v.State, v.Reason), v))
	}
	if d.Intent.GoingBack != nil && i.GoingBack == nil {
		out = append(out, journal.NewEvent(now, "back", "going back to the source: "+d.Intent.GoingBack.Reason, nil))
	}
	if d.Intent.Proof != nil && (i.Proof == nil || i.Proof.Hash != d.Intent.Proof.Hash) {
		out = append(out, journal.NewEvent(now, "proof", "proof complete: "+d.Intent.Proof.Hash, d.Intent.Proof))
	}
	if d.Intent.Outcome != i.Outcome {
		out = append(out, journal.NewEvent(now, "outcome", string(d.Intent.Outcome)+": "+d.Reason, nil))
	}
	if p := d.Intent.Page; p != nil && (i.Page == nil || i.Page.Code != p.Code || i.Page.Text != p.Text) {
		tell, since := true, ""
		if i.Page != nil && i.Page.Code == p.Code { // only its words are others: why a side cannot be read may change with every try
			tell, since = c.run.repeats.again("page "+p.Code, now)
		}
		if tell {
			out = append(out, journal.NewEvent(now, "page", p.Text+since, p))
			c.log.Error("a human is needed", "run", i.Run, "code", p.Code, "text", p.Text)
		}
	}
	c.run.quiet = false
	if d.Action == cutover.ActionExecute {
		what := fmt.Sprintf("%s on the %s", d.Statement.Kind, d.Statement.Side)
		tell, since := true, ""
		if d.Statement.Kind == cutover.ReleaseSecondary { // S1, S2 and S3 are told each
			tell, since = c.run.repeats.again("send "+what, now)
		}
		if c.run.quiet = !tell; tell {
			out = append(out, journal.NewEvent(now, "send", "about to send "+what+": "+d.Reason+since, d.Statement))
		}
		switch d.Statement.Kind {
		case cutover.Demote, cutover.Promote:
			out = append(out, journal.NewEvent(now, "verdicts", "all gates before "+string(d.Statement.Kind), d.Verdicts))
		}
	}
	return out
}
