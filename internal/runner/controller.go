package runner

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// Options of a Controller.
type Options struct {
	DAG            config.DAG
	Source, Target Server
	Journal        journal.Journal
	Log            *slog.Logger // nil: discarded

	Render cutover.Render // nil: sqlserver's

	ReadTimeout      time.Duration // of one side's reading while writes go on; default 10 s
	HotReadTimeout   time.Duration // the same while nobody can write; default 3 s, and up to ReadTimeout where a server was cut off by it
	StatementTimeout time.Duration // of one statement or marker; default 15 s
	LockTimeout      time.Duration // default 10 s
	IdlePoll         time.Duration // between rounds while nothing is armed; default 5 s

	absent bool // the configuration does not name the DAG: only the journal does
	newRun func(time.Time) string
	decide func(cutover.Plan, cutover.Intent, cutover.Observation, time.Time) cutover.Decision // nil: cutover.Decide
	hooks  hookRunner
	trace  func(cutover.TraceStep) // is told every round of a run; nil: nobody listens
}

// Controller owns one DAG: one loop of rounds, each of which observes,
// decides, writes the journal, acts and writes again. All that people and
// Alertmanager say reaches it as state that the next round looks at; nothing
// but the loop ever touches a server for more than reading.
type Controller struct {
	o    Options
	log  *slog.Logger
	hub  *hub
	dry  *rehearsal // nil in execute mode
	side map[hadr.Side]Server

	ctx     context.Context // of everything the loop does; ends only with Kill
	kill    context.CancelFunc
	done    chan struct{}
	wake    chan struct{}
	started bool

	// Owned by the loop.
	run     *activeRun
	locks   map[hadr.Side]Lock
	markers map[hadr.Side]string        // run ids in master, as last read
	needs   map[hadr.Side]time.Duration // for a reading while nobody can write, where HotReadTimeout was too short in this run
	want    cutover.Want
	gates   map[cutover.Gate]cutover.GateState // as last logged
	refusal string                             // why an unfinished run is not resumed
	sick    error                              // the journal's error, while it lasts
	heard   time.Time                          // of the last "reading" event
	watch   time.Time                          // until when a second primary is looked for
	rest    cutover.Intent                     // without a run: the last real one, and since when a side is unread
	swept   time.Time                          // when a run id that an ended run of ours left behind was last tried
	adopted time.Time                          // when the unfinished run was found in the journal
	resumed bool                               // the run was just taken up from the journal: no round has looked yet
	orphan  bool                               // a bug threw the run in memory away; the journal has it
	step    *cutover.TraceStep                 // the round under way, if somebody listens
	faults  int                                // panics in a row
	paged   string                             // as last logged
	told    time.Time                          // when the log last said that a run is not taken up
	exit    exit                               // of the run under way, or of the one that a bug threw out of memory

	// saying is held from a write of the DAG's State to its being taken over into
	// state: two writes whose answers cross must not leave the older one there, or
	// a hold that was granted is gone. It is a channel, so that a wait for the
	// disk can be seen through in tests; mu is never held while it is waited for.
	saying chan struct{}

	mu         sync.Mutex
	state      journal.State // what the journal holds
	version    uint64        // grows with every change that people make
	blocked    uint64        // armings up to this generation count as gone (DisarmAll)
	lease      Lease
	pipeline   time.Time
	manual     *manualStart
	closing    bool
	base       Status                // of the last round
	fault      *Page                 // our own trouble, while it lasts: the journal, a bug
	busy       []string              // group ids of the local AGs that the unfinished run is about
	others     func([]string) string // another DAG's run about one of these groups; nil: there is no other DAG
	intent     cutover.Intent
	calls      calling // for a person, to take the run over
	lastRun    journal.Run
	alerts     map[AlertResult]float64
	outcomes   map[Outcome]float64
	lastOutage float64 // seconds; negative: no run has measured one
	predicted  *float64
}

// activeRun is the unfinished run.
type activeRun struct {
	head    journal.Run
	plan    cutover.Plan
	intent  cutover.Intent
	written []byte // the intent as the journal holds it
	manual  bool   // a person started it, not the alert
	repeats repeats
	quiet   bool // the attempt under way is one of many and is not told
}

var _ API = (*Controller)(nil)

// New makes a Controller; nothing happens before Start.
func New(o Options) (*Controller, error) {
	switch {
	case o.DAG.Name == "":
		return nil, errors.New("runner: a DAG without a name")
	case o.Source == nil || o.Target == nil:
		return nil, fmt.Errorf("runner: %s: both sides are needed", o.DAG.Name)
	case o.Journal == nil:
		return nil, fmt.Errorf("runner: %s: a journal is needed", o.DAG.Name)
	}
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 10*time.Second)
	o.HotReadTimeout = cmp.Or(o.HotReadTimeout, 3*time.Second)
	o.StatementTimeout = cmp.Or(o.StatementTimeout, 15*time.Second)
	o.LockTimeout = cmp.Or(o.LockTimeout, 10*time.Second)
	o.IdlePoll = cmp.Or(o.IdlePoll, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Render == nil {
		o.Render = render
	}
	if o.decide == nil {
		o.decide = cutover.Decide
	}
	if o.newRun == nil {
		o.newRun = newRunID
	}
	if o.hooks == nil {
		dag := o.DAG
		o.hooks = newHooks(func() []string { return dsnSecrets(dag) })
	}
	c := &Controller{
		o: o, log: o.Log.With("dag", o.DAG.Name), hub: newHub(),
		side: map[hadr.Side]Server{hadr.Source: o.Source, hadr.Target: o.Target},
		done: make(chan struct{}), wake: make(chan struct{}, 1), saying: make(chan struct{}, 1),
		locks: map[hadr.Side]Lock{}, markers: map[hadr.Side]string{}, needs: map[hadr.Side]time.Duration{}, gates: map[cutover.Gate]cutover.GateState{},
		want:   everything.Want,
		alerts: map[AlertResult]float64{}, outcomes: map[Outcome]float64{}, lastOutage: -1,
	}
	if c.Mode() != ModeExecute {
		c.dry = newRehearsal(o.Source, o.Target)
		c.side = map[hadr.Side]Server{hadr.Source: c.dry.server(hadr.Source), hadr.Target: c.dry.server(hadr.Target)}
	}
	c.base = Status{
		DAG: c.Name(), Group: cmp.Or(o.DAG.Group, o.DAG.Name), Mode: c.Mode(), Phase: string(cutover.PhaseIdle),
		Convergence: string(hadr.StateUnknown), Readiness: Waiting, Reason: "no side was read yet",
		Source: SideStatus{Side: string(hadr.Source), AG: o.DAG.Source.AG, Lock: string(cutover.LockNone)},
		Target: SideStatus{Side: string(hadr.Target), AG: o.DAG.Target.AG, Lock: string(cutover.LockNone)},
	}
	return c, nil
}

// newRunID sorts by time and is unique without asking anybody.
func newRunID(now time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}

// Name is the DAG's configured name.
func (c *Controller) Name() string { return c.o.DAG.Name }

// Mode is execute only where the configuration says so in that word.
func (c *Controller) Mode() Mode {
	if Mode(c.o.DAG.Cutover.Mode) == ModeExecute {
		return ModeExecute
	}
	return ModeDryRun
}

// Start reads the journal, takes up an unfinished run, and starts the loop,
// whose first round reads both sides. The values of ctx are kept, its end is
// not: what was begun is brought to an end by Close, in order.
func (c *Controller) Start(ctx context.Context) error {
	if c.started {
		return fmt.Errorf("runner: %s: started twice", c.Name())
	}
	state, err := c.o.Journal.State(c.Name())
	if err != nil {
		return err
	}
	rec, err := c.o.Journal.Unfinished(c.Name())
	if err != nil {
		return err
	}
	runs, err := c.o.Journal.Runs(c.Name())
	if err != nil {
		return err
	}
	c.ofMode(&state)
	c.mu.Lock()
	c.state = state
	for _, r := range runs {
		if r.Mode == string(ModeExecute) && r.Outcome != "" {
			c.outcomes[Outcome(r.Outcome)]++
		}
	}
	if len(runs) > 0 {
		c.lastRun = runs[0]
	}
	c.mu.Unlock()
	if err := c.remember(runs); err != nil {
		return err
	}
	if rec != nil {
		if err := c.adopt(rec); err != nil { // a dry run could not be ended: the next start ends it
			c.log.Warn("this could not be journalled", "run", rec.Run.ID, "error", err)
		}
	}
	c.ctx, c.kill = context.WithCancel(context.WithoutCancel(ctx))
	c.started = true
	go c.loop()
	return nil
}

// remember takes from the journal what the last runs left behind: the split
// watch that a restart must not cut short, and what the metrics show.
func (c *Controller) remember(runs []journal.Run) error {
	for n, r := range runs {
		if r.Mode != string(ModeExecute) && n > 0 {
			continue
		}
		rec, err := c.o.Journal.Load(r.ID)
		if err != nil {
			return err
		}
		i := rec.Intent
		if n == 0 {
			c.mu.Lock()
			c.intent = i
			c.mu.Unlock()
		}
		if r.Mode != string(ModeExecute) {
			continue
		}
		if c.rest.Run == "" && !i.Ended.IsZero() {
			// Since when a side is unread was another process's knowledge.
			c.rest, c.rest.SourceUnread, c.rest.TargetUnread = i, time.Time{}, time.Time{}
		}
		if i.WatchUntil.After(c.watch) {
			c.watch = i.WatchUntil
		}
		if !i.WriteUnavailableFrom.IsZero() && !i.WriteUnavailableTo.IsZero() {
			c.mu.Lock()
			c.lastOutage = i.WriteUnavailable(i.WriteUnavailableTo).Seconds()
			c.mu.Unlock()
			return nil
		}
	}
	return nil
}

// adopt takes up the unfinished run that the journal holds, or says why not.
func (c *Controller) adopt(rec *journal.Record) error {
	r := &activeRun{head: rec.Run, intent: rec.Intent, manual: strings.HasPrefix(rec.Run.StartedBy, byHand), repeats: repeats{}}
	var planErr error
	if planErr = json.Unmarshal(rec.Run.Plan, &r.plan); planErr == nil && r.plan.Hash() != rec.Run.PlanHash {
		planErr = errors.New("its hash is not the one that was approved")
	}
	var err error
	if r.written, err = json.Marshal(r.intent); err != nil {
		return err
	}
	now := time.Now()
	switch {
	case rec.Run.Mode != string(ModeExecute):
		// What a dry run had laid over is gone with the process; it touched
		// nothing, so there is nothing to bring to an end.
		return c.o.Journal.End(rec.Run.ID, now, string(OutcomeInterrupted), r.intent, nil,
			journal.NewEvent(now, "run", "the process was restarted; a dry run touches nothing and is not taken up again", nil))
	case c.o.absent:
		c.refusal = absentText(rec)
	case planErr == nil && !c.isAbout(&r.plan):
		set := settings(c.o.DAG, false)
		c.refusal = fmt.Sprintf("run %s is unfinished and is about %s of %s and %s; the configuration says %s of %s and %s now: nothing is sent; put the configuration back and restart to let it go on, or bring both sides to where they shall be, then acknowledge",
			rec.Run.ID, r.plan.Group, r.plan.SourceAG, r.plan.TargetAG, set.Group, set.SourceAG, set.TargetAG)
	case planErr != nil:
		c.refusal = fmt.Sprintf("run %s is unfinished and its plan cannot be read (%v): nothing is sent; look at both sides, bring them to where they shall be, then acknowledge", rec.Run.ID, planErr)
	case c.dry != nil:
		c.refusal = fmt.Sprintf("run %s is unfinished and was a real one, but mode is %s now: nothing is sent; set mode to execute and restart to let it go on, or finish it by hand and acknowledge", rec.Run.ID, ModeDryRun)
	}
	c.run, c.resumed, c.adopted = r, true, now
	c.mu.Lock()
	c.intent, c.busy, c.calls = r.intent, groups(r.plan), c.callsFor()
	// Known before the first round has read the sides, which may take as long as
	// two of them hang: what people say meanwhile is about this run.
	c.base.Run, c.base.RunKind, c.base.RunStarted, c.base.Phase = rec.Run.ID, Kind(rec.Run.Kind), rec.Run.Started, string(r.intent.Phase)
	c.mu.Unlock()
	c.log.Warn("an unfinished run was found in the journal", "run", rec.Run.ID, "phase", r.intent.Phase, "refused", c.refusal)
	if err := c.o.Journal.Append(rec.Run.ID, journal.NewEvent(now, "resume", cmp.Or(c.refusal, "the process was restarted; reading both sides before anything else"), nil)); err != nil {
		// The run is watched, and a human called, with a full disk too: what has to
		// be written before the next act says so itself.
		c.log.Warn("this could not be journalled", "run", rec.Run.ID, "error", err)
	}
	return nil
}

// isAbout reports that a plan is about the groups that the configuration names:
// the sides are opened by those names.
func (c *Controller) isAbout(p *cutover.Plan) bool {
	set := settings(c.o.DAG, false)
	same := func(configured, planned string) bool { return configured == "" || configured == planned }
	return set.Group == p.Group && same(set.SourceAG, p.SourceAG) && same(set.TargetAG, p.TargetAG)
}

// OutcomeInterrupted is a dry run that a restart ended; OutcomeRehearsed one
// that went through.
const (
	OutcomeInterrupted Outcome = "interrupted"
	OutcomeRehearsed   Outcome = "rehearsed"
)

// Outcomes lists every outcome of a run, for pre-created series.
func Outcomes() []Outcome {
	var out []Outcome
	for _, o := range cutover.Outcomes {
		out = append(out, Outcome(o.Outcome))
	}
	return append(out, OutcomeRehearsed, OutcomeInterrupted)
}

// Close stops the loop and waits for it. A run before S2 is wound down first
// (RSSTC=0, then the rest), a run after S2 goes on to its end; only the
// supervisor's kill cuts that short, and then the journal resumes it.
func (c *Controller) Close() error {
	if !c.started {
		c.hub.close()
		return nil
	}
	c.mu.Lock()
	c.closing = true
	c.version++
	c.mu.Unlock()
	c.nudge()
	<-c.done
	c.kill()
	return nil
}

// Kill stops the loop where it stands, as a crash would: nothing is wound
// down, nothing more is written. It waits for calls that are under way.
func (c *Controller) Kill() {
	if !c.started {
		return
	}
	c.kill()
	<-c.done
}

// say begins a write of the DAG's State; what it gives back ends it.
func (c *Controller) say() (said func()) {
	c.saying <- struct{}{}
	return func() { <-c.saying }
}

// turn is say for the loop: somebody else's write that hangs is a page there too,
// and keeps nobody from killing it.
func (c *Controller) turn() (said func(), err error) {
	began := time.Now()
	for wait := slowWrite; ; wait = sickPoll {
		t := time.NewTimer(wait)
		select {
		case c.saying <- struct{}{}:
			t.Stop()
			return func() { <-c.saying }, nil
		case <-c.ctx.Done():
			t.Stop()
			return nil, c.ctx.Err()
		case <-t.C:
			c.hangs(time.Since(began))
		}
	}
}

// nudge makes the loop look at once.
func (c *Controller) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Subscribe implements API.
func (c *Controller) Subscribe() (<-chan Event, func()) {
	s := c.Status()
	return c.hub.subscribe(Event{At: s.At, Kind: "reading", Text: s.Reason, Status: s})
}

// emit tells every reader what happened, with the state after it.
func (c *Controller) emit(kind, text string) {
	s := c.Status()
	c.hub.publish(Event{At: time.Now(), Kind: kind, Text: text, Status: s})
}
