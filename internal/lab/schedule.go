package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/version"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// Schedule is what shall happen to a lab, and when. Steps run inside the model, at exactly their moment, whatever the machine is
// doing: the same schedule, seeds and configuration give the same run on a virtual and on the real clock, as far as clients do
// the same. It starts when the lab is made ([Options.Schedule]).
type Schedule struct {
	// Seed is that of the jitter, and of [RandomSchedule].
	Seed  uint64 `json:"seed,omitempty"`
	Steps []Step `json:"steps"`
}

// Step is one control command at one moment: at an offset from the start, or when a statement is seen.
type Step struct {
	At     Duration `json:"at,omitempty"`     // since the start; with On it is the time from which on is looked at
	On     *Event   `json:"on,omitempty"`     // wait for this instead
	After  Duration `json:"after,omitempty"`  // this much after the event
	Jitter Duration `json:"jitter,omitempty"` // and up to this much later, by the schedule's seed
	Do     string   `json:"do"`               // a control command, as in POST /api/v1/COMMAND
	With   Args     `json:"with,omitzero"`
	// MayFail: a refusal of the command is no failure of the run.
	MayFail bool `json:"may_fail,omitempty"`
}

// Event is a phase of a statement.
type Event struct {
	// Statement is a class as in [Fault]: s1, s2, s3, rsstc, replica, drop, failover, database; with phase received also lock, select,
	// insert, commit, login, any.
	Statement string `json:"statement"`
	Side      string `json:"side,omitempty"`  // source, target, or empty for either
	Phase     string `json:"phase,omitempty"` // received (it is on the wire), accepted, effect (default)
	Count     int    `json:"count,omitempty"` // the how manyth; 0 is the first
}

// Happened is a step that ran.
type Happened struct {
	Step   int           // its index in Schedule.Steps
	Offset time.Duration // since the start
	Err    error
}

// Check says what is wrong with a schedule, before it runs.
func (s Schedule) Check() error {
	known := controlCommands()
	for i, st := range s.Steps {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("schedule: step %d: %s", i+1, fmt.Sprintf(format, args...))
		}
		cmd, ok := known[st.Do]
		if !ok {
			return fail("unknown command %q", st.Do)
		}
		if !cmd.any {
			if _, err := st.With.side(); err != nil {
				return fail("%s: %v", st.Do, err)
			}
		}
		if st.At < 0 || st.After < 0 || st.Jitter < 0 {
			return fail("times are not negative")
		}
		e := st.On
		if e == nil {
			if st.After != 0 {
				return fail("after belongs to on; use at")
			}
			continue
		}
		if _, ok := classes[e.Statement]; !ok {
			return fail("unknown statement %q", e.Statement)
		}
		switch e.Phase {
		case "received":
		case "", "accepted", "effect":
			if !slices.Contains([]string{"s1", "s2", "s3", "rsstc", "replica", "drop", "failover", "database"}, e.Statement) {
				return fail("%s has no phase but received", e.Statement)
			}
		default:
			return fail("phase %q is none of received, accepted, effect", e.Phase)
		}
		if e.Side != "" && e.Side != Source.String() && e.Side != Target.String() {
			return fail("side %q is none of source, target", e.Side)
		}
	}
	return nil
}

// End is the latest moment at which a step is due that waits for nothing.
func (s Schedule) End() time.Duration {
	var end Duration
	for _, st := range s.Steps {
		if st.On == nil {
			end = max(end, st.At+st.Jitter)
		}
	}
	return end.d()
}

// Run is a schedule that runs. Its state belongs to the model's goroutine but for what mu guards.
type Run struct {
	l       *Lab
	steps   []Step
	jitter  []time.Duration
	began   time.Time
	waiting []waitingStep
	wire    bool // some step waits for a request on the wire
	timed   int  // steps that wait for their time alone and have not run

	mu     sync.Mutex
	happen []Happened
	err    error
	later  []func()
	wake   chan struct{}
	failed chan struct{}
	ended  chan struct{}
}

type waitingStep struct {
	step int
	left int
}

func newRun(l *Lab, s Schedule) (*Run, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	r := &Run{l: l, steps: s.Steps, wake: make(chan struct{}, 1), failed: make(chan struct{}), ended: make(chan struct{})}
	rng := rand.New(rand.NewPCG(s.Seed, 0x5c4ed))
	for _, st := range s.Steps {
		d := time.Duration(0)
		if st.Jitter > 0 {
			d = time.Duration(rng.Int64N(int64(st.Jitter)))
		}
		r.jitter = append(r.jitter, d)
	}
	return r, nil
}

// arm plans everything. It runs where the model may be called.
func (r *Run) arm(m *model.Model) {
	r.began = m.Now()
	for i, st := range r.steps {
		if st.On == nil {
			r.timed++
			m.After(st.At.d()+r.jitter[i], func() {
				r.run(m, i)
				if r.timed--; r.timed == 0 {
					close(r.ended)
				}
			})
			continue
		}
		r.wire = r.wire || st.On.Phase == "received"
		m.After(st.At.d(), func() { r.waiting = append(r.waiting, waitingStep{i, max(st.On.Count, 1)}) })
	}
	if r.timed == 0 {
		close(r.ended)
	}
}

// seen tells that a statement of a class reached a phase on a side. It runs where the model may be called.
func (r *Run) seen(m *model.Model, side Side, phase string, is func(class string) bool) {
	keep := r.waiting[:0]
	for _, w := range r.waiting {
		e := r.steps[w.step].On
		want := e.Phase
		if want == "" {
			want = "effect"
		}
		if want != phase || e.Side != "" && e.Side != side.String() || !is(e.Statement) {
			keep = append(keep, w)
			continue
		}
		if w.left--; w.left > 0 {
			keep = append(keep, w)
			continue
		}
		m.After(r.steps[w.step].After.d()+r.jitter[w.step], func() { r.run(m, w.step) })
	}
	r.waiting = keep
}

func (r *Run) run(m *model.Model, i int) {
	c := &Control{l: r.l, m: m, outside: r.postpone}
	st := r.steps[i]
	_, err := c.Run(st.Do, st.With)
	r.note(Happened{Step: i, Offset: m.Now().Sub(r.began), Err: err}, st.MayFail)
	r.l.log.Info("schedule", "step", i+1, "command", st.Do, "side", st.With.Side, "offset", m.Now().Sub(r.began), "err", err)
}

func (r *Run) note(h Happened, mayFail bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.happen = append(r.happen, h)
	if h.Err != nil && !mayFail && r.err == nil {
		r.err = fmt.Errorf("schedule: step %d (%s) after %s: %w; the same again: %s", h.Step+1, r.steps[h.Step].Do, h.Offset, h.Err, r.l.Again())
		close(r.failed)
	}
}

// postpone takes what has to do with sockets: it happens in order, after the model has gone on.
func (r *Run) postpone(f func()) {
	r.mu.Lock()
	r.later = append(r.later, f)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// serve does what was postponed, until the lab ends.
func (r *Run) serve(done <-chan struct{}) {
	for {
		r.mu.Lock()
		list := r.later
		r.later = nil
		r.mu.Unlock()
		for _, f := range list {
			f()
		}
		select {
		case <-done:
			r.l.stopNodes() // a start that crossed the end
			return
		case <-r.wake:
		}
	}
}

// Log is what ran so far, in order.
func (r *Run) Log() []Happened {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.happen)
}

// Err is the first command that failed, with the seeds and the commit that show it again; nil while there is none.
func (r *Run) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Failed is closed with the first failure.
func (r *Run) Failed() <-chan struct{} { return r.failed }

// Ended is closed when every step ran that waits for its time alone.
func (r *Run) Ended() <-chan struct{} { return r.ended }

// Again is what has to be said to see the same run again: the seeds and the commit.
func (l *Lab) Again() string {
	s := fmt.Sprintf("seed=%d", l.opt.Model.Seed)
	if l.opt.Schedule != nil {
		s += fmt.Sprintf(" schedule_seed=%d", l.opt.Schedule.Seed)
	}
	commit := version.GetRevision()
	if commit == "" {
		commit = "unknown"
	}
	return s + " commit=" + commit
}

// Run is the schedule of [Options.Schedule]; nil if there is none.
func (l *Lab) Run() *Run { return l.run }

// errNoSchedule is the answer of a lab that has nothing planned.
var errNoSchedule = errors.New("lab: no schedule")

// WaitSchedule waits until the timed steps have run, or one has failed, or the lab has ended.
func (l *Lab) WaitSchedule() error {
	if l.run == nil {
		return errNoSchedule
	}
	select {
	case <-l.run.ended:
	case <-l.run.failed:
	case <-l.engine.done:
		return ErrClosed
	}
	return l.run.Err()
}
