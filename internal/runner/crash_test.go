package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

var errCrash = errors.New("the process died here")

// crashJournal dies at one write: before it reaches the disk, or after.
type crashJournal struct {
	journal.Journal
	mu     sync.Mutex
	writes int
	at     int
	after  bool
	died   chan struct{}
	die    func()
	seen   func(n int, i cutover.Intent) // of every write; nil: nobody looks
}

func (j *crashJournal) write(i cutover.Intent, f func() error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-j.died:
		return errCrash
	default:
	}
	j.writes++
	if j.seen != nil {
		j.seen(j.writes, i)
	}
	if j.writes != j.at {
		return f()
	}
	if j.after {
		if err := f(); err != nil {
			return err
		}
	}
	j.die()
	close(j.died)
	return errCrash
}

func (j *crashJournal) Begin(r journal.Run, i cutover.Intent, e ...journal.Event) error {
	return j.write(i, func() error { return j.Journal.Begin(r, i, e...) })
}

func (j *crashJournal) Put(r string, i cutover.Intent, e ...journal.Event) error {
	return j.write(i, func() error { return j.Journal.Put(r, i, e...) })
}

func (j *crashJournal) End(r string, at time.Time, o string, i cutover.Intent, f func(*journal.State), e ...journal.Event) error {
	return j.write(i, func() error { return j.Journal.End(r, at, o, i, f, e...) })
}

// TestResumeAfterCrash kills the process at every write of the journal, before
// and after it reached the disk, and lets a new one go on over the same
// journal and the same servers. A drill is a cutover until its proof, and the
// same code as the way back after it: its later writes are enough, before
// they reached the disk.
func TestResumeAfterCrash(t *testing.T) {
	var outcomes guarded[map[Outcome]int]
	outcomes.v = map[Outcome]int{}
	t.Run("at", func(t *testing.T) { // ends when all of its parallel subtests have
		for _, drill := range []bool{false, true} {
			var total, proof int
			synctest.Test(t, func(t *testing.T) { total, proof = writesOf(t, drill) })
			if total < 30 || proof < 15 || proof >= total {
				t.Fatalf("a run of %d writes, the proof with the %dth", total, proof)
			}
			first, onDisk := 1, []bool{false, true}
			if drill {
				first, onDisk = proof, onDisk[:1]
			}
			for at := first; at <= total; at++ {
				for _, after := range onDisk {
					t.Run(fmt.Sprintf("drill=%t/write %d/on disk=%t", drill, at, after), func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							outcome := crashAt(t, drill, at, after, total)
							outcomes.with(func(m *map[Outcome]int) { (*m)[outcome]++ })
						})
					})
				}
			}
		}
	})
	outcomes.with(func(m *map[Outcome]int) {
		t.Logf("ended as %v", *m)
		if (*m)["done"] < 40 || (*m)["drilled"] < 15 {
			t.Errorf("most runs were to end as if nothing had happened: %v", *m)
		}
	})
}

// writesOf counts the writes of a run that nothing disturbs, and says which of
// them held the proof first.
func writesOf(t *testing.T, drill bool) (total, proof int) {
	r := newRig(t)
	j := &crashJournal{Journal: r.j, at: -1, died: make(chan struct{})}
	j.seen = func(n int, i cutover.Intent) {
		if proof == 0 && i.Proof != nil {
			proof = n
		}
	}
	r.j = j
	r.start().arm(drill)
	defer r.close()
	r.driveUntil(j.died)
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.writes, proof
}

// driveUntil lets the alert fire and writes until the process has died, which
// it reports, or the run is over.
func (r *rig) driveUntil(died <-chan struct{}) bool {
	r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		r.p.write()
		select {
		case <-died:
			return true
		default:
		}
		if s := r.c.Status(); s.Run == "" && s.LastRun != "" {
			return false
		}
	}
	return false
}

func crashAt(t *testing.T, drill bool, at int, after bool, total int) Outcome {
	r := newRig(t)
	r.untraced = at%3 != 0 // every trace is twice the work
	disk := r.j
	cj := &crashJournal{Journal: disk, at: at, after: after, died: make(chan struct{}), die: r.p.kill}
	r.j = cj
	r.start().arm(drill)
	crashed := r.driveUntil(cj.died)
	r.c.Kill()
	r.p.revive()
	r.j = disk
	if !crashed {
		if at < total-1 { // an event more or less is nobody's fault
			t.Errorf("the run ended before write %d of %d", at, total)
		}
		return ""
	}
	r.start()
	defer r.close()
	r.fire()
	// Where RSSTC=1 or S2 may have been sent and was not, the bounded wait for
	// its effect ends in the way back.
	allowed := map[Outcome]string{"done": targetPrimary, "aborted": sourcePrimary, "rolled_back": sourcePrimary}
	if drill {
		allowed = map[Outcome]string{"drilled": sourcePrimary, "aborted": sourcePrimary, "rolled_back": sourcePrimary}
	}
	rep, err := r.c.Report(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if allowed[rep.Outcome] == "" {
		t.Errorf("outcome %q\n%s", rep.Outcome, r.log())
	} else {
		r.wantState(allowed[rep.Outcome])
	}
	if left := r.p.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	count := func(what string) (n int) {
		for _, s := range r.p.statements() {
			if s == what {
				n++
			}
		}
		return n
	}
	if n := count("demote source"); n > 1 {
		t.Errorf("S2 was sent %d times: %v", n, r.p.touched())
	}
	if runs, _ := r.c.Runs(t.Context()); len(runs) != 1 {
		t.Errorf("%d runs of one arming", len(runs))
	}
	return rep.Outcome
}

// TestLostAnswer loses the answer of each statement, once, whatever became of
// the statement itself.
func TestLostAnswer(t *testing.T) {
	for _, st := range []string{"set_synchronous source", "set_synchronous target", "require_secondary source", "demote source", "promote target", "release_secondary source"} {
		for name, f := range map[string]fate{
			"applied":     {lands: true, lost: true},
			"not applied": {lost: true},
			"late":        {lands: true, later: 4 * time.Second, lost: true},
			"very late":   {lands: true, later: 15 * time.Second, lost: true},
		} {
			t.Run(st+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t)
					lost := false
					r.p.onStatement(func(_ *servers, s cutover.Statement) fate {
						if !lost && fmt.Sprintf("%s %s", s.Kind, s.Side) == st {
							lost = true
							return f
						}
						return fate{lands: true}
					})
					r.start().arm(false)
					defer r.close()
					r.fire()
					time.Sleep(time.Minute) // whatever is late lands
					rep, err := r.c.Report(t.Context(), "")
					if err != nil {
						t.Fatal(err)
					}
					switch rep.Outcome {
					case "done":
						r.wantState(targetPrimary)
					case "aborted", "rolled_back":
						r.wantState(sourcePrimary)
					default:
						t.Errorf("outcome %q\n%s", rep.Outcome, r.log())
					}
					// Never blindly: S2 and RSSTC=1 once, S3 again only after
					// settle, on the same side.
					got := r.p.statements()
					for _, once := range []string{"demote source", "require_secondary source"} {
						if i := slices.Index(got, once); i >= 0 && slices.Contains(got[i+1:], once) {
							t.Errorf("%s was sent twice: %v", once, got)
						}
					}
					if slices.Contains(got, "promote target") && slices.Contains(got, "promote source") {
						t.Errorf("S3 on both sides: %v", got)
					}
				})
			})
		}
	}
}

// TestJournalFails: with no journal nothing is sent, but for RSSTC=0.
func TestJournalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		disk := r.j
		full := &crashJournal{Journal: disk, at: -1, died: make(chan struct{}), die: func() {}}
		r.j = full
		var once sync.Once
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.RequireSecondary {
				once.Do(func() { close(full.died) }) // the disk is full from here on
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(30 * time.Second)
		if !strings.Contains(r.p.state(), "rsstc 0, target") {
			t.Error("RSSTC=1 stands while the journal cannot be written")
		}
		got := r.p.statements()
		i := slices.Index(got, "require_secondary source")
		if i < 0 || slices.ContainsFunc(got[i+1:], func(s string) bool { return s != "release_secondary source" }) {
			t.Errorf("sent without a journal: %v", got)
		}
		if s := r.c.Status(); !strings.Contains(s.Reason, "journal cannot be written") {
			t.Errorf("reason %q", s.Reason)
		}
		full.mu.Lock()
		full.died = make(chan struct{}) // there is room again
		full.mu.Unlock()
		r.fire()
		r.wantOutcome("aborted")
		r.wantState(sourcePrimary)
		r.close()
	})
}

// TestTwoControllers: two webhooks with journals of their own, both armed,
// both alerted. At most one acts, and each ends.
func TestTwoControllers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newRig(t).start()
		b := &rig{t: t, p: a.p, h: a.h, j: journal.NewMemory(), dag: a.dag}
		b.start()
		defer a.close()
		defer b.close()
		a.arm(false)
		b.arm(false)
		now := time.Now()
		a.c.LeaseSeen(Alert{Name: "A", Firing: true}, now)
		b.c.LeaseSeen(Alert{Name: "A", Firing: true}, now)
		for range 1200 {
			a.p.write()
			time.Sleep(250 * time.Millisecond)
		}
		got := a.p.statements()
		n := 0
		for _, s := range got {
			if s == "demote source" || s == "promote source" {
				n++
			}
		}
		if n > 1 {
			t.Errorf("both acted: %v", a.p.touched())
		}
		if w := a.p.wrong(); len(w) > 0 {
			t.Error(w)
		}
		done := 0
		for _, r := range []*rig{a, b} {
			s := r.c.Status()
			if s.LastOutcome == "done" {
				done++
			}
			t.Logf("run %q last %q %q: %s", s.Run, s.LastRun, s.LastOutcome, s.Reason)
		}
		if done != 1 || a.p.state() != targetPrimary {
			t.Errorf("%d done, servers %s\n%s\n%s", done, a.p.state(), a.log(), b.log())
		}
		_ = b.c.Acknowledge(context.Background(), Request{By: "x"}) // a run that stands on a page is taken over
		_ = a.c.Acknowledge(context.Background(), Request{By: "x"})
		time.Sleep(time.Minute)
	})
}

// TestForeignMode: an unfinished real run is not touched by a process that
// was told to dry-run.
func TestUnfinishedRunUnderDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).killedAfter("demote source")
		n := len(r.p.statements())
		r.dag.Cutover.Mode = "dry_run"
		r.start()
		time.Sleep(time.Minute)
		if got := r.p.statements(); len(got) != n {
			t.Errorf("dry run sent %v", got[n:])
		}
		if s := r.c.Status(); !strings.Contains(s.Reason, "mode is dry_run now") || len(s.Pages) == 0 || s.Run == "" {
			t.Errorf("status %+v", s)
		}
		r.close()
		r.dag.Cutover.Mode = "execute"
		r.start()
		defer r.close()
		r.fire()
		if s := r.p.state(); s != targetPrimary && s != sourcePrimary {
			t.Error(s)
		}
	})
}
