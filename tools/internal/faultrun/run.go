package faultrun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// Run runs one case to its end with the webhook at program, and judges it.
func Run(ctx context.Context, program string, c Case) (r Result) {
	r.Case = c
	began := time.Now()
	defer func() { r.Took = time.Since(began) }()
	w, err := newWorld(&c, program)
	if err != nil {
		r.Err = err
		return r
	}
	defer w.close()
	eyes := newObserver(w.lab)
	h, err := newHuman(w)
	if err != nil {
		r.Err = err
		return r
	}
	defer h.close()
	limit := c.Limit
	if limit == 0 {
		limit = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	r.Outcome, err = w.drive(ctx, h)
	r.Typed, r.Pages = h.typed, h.codes
	r.Class = classOf(r.Outcome, len(h.typed) > 0)
	if err == nil {
		err = w.judge(ctx, h, r.Outcome)
	}
	report := ""
	if err != nil || c.KeepLog {
		report = w.report()
	}
	samples, split, history := eyes.end()
	r.Samples = samples
	if split != "" {
		err = errors.Join(err, errors.New(split))
	}
	w.mu.Lock()
	r.Struck = slices.Clone(w.struck)
	for _, hit := range w.hits {
		if hit.At != "" && err == nil {
			err = fmt.Errorf("%w: %q", errNotReached, hit.At)
		}
	}
	trace := strings.Join(w.trace, "\n")
	w.mu.Unlock()
	r.Acked = w.writer.count()
	r.Err = err
	if err != nil || c.KeepLog {
		r.Log = fmt.Sprintf("--- steps\n%s\n--- roles source/target\n%s\n--- webhook\n%s\n--- report\n%s", trace, strings.Join(history, "\n"), w.out, report)
	}
	return r
}

// drive starts the webhook and the run, starts the webhook again whenever it
// was killed, heals what was broken, and waits for the end.
func (w *world) drive(ctx context.Context, h *human) (outcome string, err error) {
	if err := w.start(); err != nil {
		return "", err
	}
	asked := make(chan error, 1)
	go func() { asked <- w.ask(ctx) }()
	var healAt time.Time
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	polls := 0
	for {
		select {
		case <-ctx.Done():
			s, serr := w.status()
			return "", errors.Join(fmt.Errorf("no end: phase %s: %s; pages %v", s.Phase, s.Reason, h.codes), serr)
		case err := <-asked:
			if err != nil && len(w.killed) == 0 && w.striking() == 0 {
				if errors.Is(err, errNotStarted) {
					return "not started", nil
				}
				return "", err
			}
			asked = nil
		case hit := <-w.stayHeal:
			healAt = time.Now().Add(orDefault(hit.Heal))
		case <-w.killed:
			time.Sleep(50 * time.Millisecond)
			if err := w.start(); err != nil {
				return "", err
			}
			if w.c.Rollback {
				go w.askBack(ctx)
			}
			heal := healing
			w.mu.Lock()
			if n := len(w.struck); n > 0 && n <= len(w.c.Hits) {
				heal = orDefault(w.c.Hits[n-1].Heal)
			}
			w.mu.Unlock()
			healAt = time.Now().Add(heal)
		case <-tick.C:
			w.dieOfAge()
			if !healAt.IsZero() && time.Now().After(healAt) {
				healAt = time.Time{}
				w.healNow()
			}
			if polls++; polls%2 != 0 || asked != nil || len(w.killed) > 0 {
				continue
			}
			s, err := w.status()
			if err != nil {
				continue // it was killed just now
			}
			h.look(s, healAt.IsZero() && w.scheduleOver())
			w.mu.Lock()
			dying := w.dieNext
			w.mu.Unlock()
			if s.Run == "" && s.LastOutcome != "" && !dying && len(w.killed) == 0 && !h.busy() && w.scheduleOver() && healAt.IsZero() {
				return s.LastOutcome, nil
			}
		}
	}
}

func orDefault(d time.Duration) time.Duration {
	if d == 0 {
		return healing
	}
	return d
}

// busy: a page stands beside a run that has ended.
func (h *human) busy() bool { return len(h.since) > 0 }

func (w *world) striking() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.struck)
}

func (w *world) healNow() {
	w.mu.Lock()
	heal := w.heal
	w.heal = nil
	w.logLocked("all is well again")
	w.mu.Unlock()
	if heal != nil {
		heal()
	}
}

func (w *world) scheduleOver() bool {
	run := w.lab.Run()
	if run == nil {
		return true
	}
	select {
	case <-run.Ended():
		return true
	default:
		return false
	}
}

// errNotReached is no bad end, but no test either: a bound was over before, on
// a busy machine.
var errNotReached = errors.New("the run ended without coming to its step")

var errNotStarted = errors.New("the run does not start")

// ask arms and starts the run as a person would, again and again while gates
// are closed that waiting can open.
func (w *world) ask(ctx context.Context) error {
	verb, arming := "run", `{"reason": "test"}`
	if w.c.Drill {
		verb, arming = "drill", `{"reason": "test", "drill": true}`
	}
	var last error
	armed := false
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(60 * time.Millisecond) {
		s, err := w.status()
		if err != nil || s.PlanHash == "" {
			last = fmt.Errorf("no plan: %s %w", s.Reason, errors.Join(err))
			continue
		}
		if !armed {
			if last = w.post("arm", arming); last != nil {
				continue
			}
			armed = true
		}
		w.mu.Lock()
		w.armed = true
		w.mu.Unlock()
		if last = w.post(verb, `{"reason": "test"}`); last == nil {
			return nil
		}
		if w.striking() > 0 {
			return nil // killed before it could answer
		}
	}
	return fmt.Errorf("%w: %w", errNotStarted, last)
}

// askBack asks for the way back until it is granted or refused for good.
func (w *world) askBack(ctx context.Context) {
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		err := w.post("rollback", `{"reason": "test"}`)
		w.log("rollback asked for: %v", err)
		if err == nil {
			return
		}
	}
}

// pending statements of a side: accepted, and not effective yet.
func (w *world) pending(side lab.Side) (int, error) {
	st, err := w.lab.Control().State()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, i := range st.Sides[side].Instances {
		n += len(i.Pending)
	}
	return n, nil
}

// judge looks at what there is in the end, with an ordinary client.
func (w *world) judge(ctx context.Context, h *human, outcome string) error {
	// The time of the run is not that of the judgement.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 90*time.Second)
	defer cancel()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		a, err := w.pending(lab.Source)
		if err != nil {
			return err
		}
		b, err := w.pending(lab.Target)
		if err != nil {
			return err
		}
		if a+b == 0 {
			break
		}
		if time.Now().After(end) {
			return errors.New("a statement is accepted and never lands")
		}
	}
	time.Sleep(150 * time.Millisecond) // RESOLVING ends, and whatever else is on its way
	var f [2]sideFacts
	for _, s := range []lab.Side{lab.Source, lab.Target} {
		var err error
		if f[s], err = h.read(ctx, s); err != nil {
			return err
		}
	}
	primary := lab.Source
	if f[lab.Target].role == "PRIMARY" {
		primary = lab.Target
	}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if f[primary].role != "PRIMARY" || f[primary.Other()].role != "SECONDARY" {
		return fmt.Errorf("in the end the source is %s and the target is %s", f[0].role, f[1].role)
	}
	wanted := map[string]lab.Side{"done": lab.Target, "aborted": lab.Source, "rolled_back": lab.Source, "drilled": lab.Source, "not started": lab.Source}
	if want, ok := wanted[outcome]; ok && want != primary {
		fail("the run calls itself %s, and PRIMARY is the %s", outcome, primary)
	}
	for s := range f {
		if f[s].rsstc != 0 {
			fail("RSSTC=%d is left on the %s", f[s].rsstc, lab.Side(s))
		}
		if outcome == "not started" {
			continue
		}
		if err := w.unmarked(ctx, h, lab.Side(s)); err != nil {
			errs = append(errs, err)
		}
	}
	if slices.Contains(w.sent(), "S3 on source") && slices.Contains(w.sent(), "S3 on target") {
		fail("S3 was sent to both sides")
	}
	errs = append(errs, w.judgeRows(ctx, primary))
	return errors.Join(errs...)
}

// unmarked waits until no run id stands in master of a side. A session of a
// killed webhook may hold the lock for a while, so it is swept in a later try.
func (w *world) unmarked(ctx context.Context, h *human, s lab.Side) error {
	for end := time.Now().Add(45 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var markers int
		if err := h.db[s].QueryRowContext(ctx, "SELECT COUNT(*) FROM sys.extended_properties AS p WHERE p.class = 0").Scan(&markers); err != nil {
			return fmt.Errorf("run ids in master of the %s: %w", s, err)
		}
		if markers == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("a run id is left in master of the %s", s)
		}
	}
}

// judgeRows: the new row of a client is taken by the primary and by nobody
// else, and every acknowledged row is there.
func (w *world) judgeRows(ctx context.Context, primary lab.Side) error {
	w.writer.set(true, primary)
	lost, total, err := w.writer.missing(ctx, primary)
	switch {
	case err != nil:
		return err
	case len(lost) > 0:
		return fmt.Errorf("%d of %d acknowledged rows are missing on the %s: %v", len(lost), total, primary, lost[:min(len(lost), 10)])
	case total == 0:
		return errors.New("the client got no row acknowledged")
	}
	insert := func(side lab.Side) error {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		_, err := w.writer.db[side].ExecContext(ctx, "INSERT INTO dbo.ledger (id, note) VALUES (-1, N'last')")
		return err
	}
	for try := 0; ; try++ {
		if err = insert(primary); err == nil {
			break
		}
		if try == 10 {
			return fmt.Errorf("the %s is PRIMARY and takes no row: %w", primary, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if insert(primary.Other()) == nil {
		return fmt.Errorf("the %s is not PRIMARY and took a row", primary.Other())
	}
	return nil
}

// sent are the steps of the whole case.
func (w *world) sent() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.trace {
		if _, name, ok := strings.Cut(line, "step "); ok {
			if _, name, ok = strings.Cut(name, ": "); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// Steps of an undisturbed case, by name, in order.
func Steps(ctx context.Context, program string, c Case) ([]string, Result) {
	r := Result{}
	c.Hits = nil
	w, err := newWorld(&c, program)
	if err != nil {
		r.Err = err
		return nil, r
	}
	defer w.close()
	h, err := newHuman(w)
	if err != nil {
		r.Err = err
		return nil, r
	}
	defer h.close()
	r.Outcome, r.Err = w.drive(ctx, h)
	return w.sent(), r
}
