package runner

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// lateJournal gives the answer of one Update late: what it wrote is on disk, and
// whoever asked hears of it only after somebody else's later write.
type lateJournal struct {
	journal.Journal
	late guarded[bool]
}

func (j *lateJournal) Update(dag string, f func(*journal.State) error, e ...journal.Event) (journal.State, error) {
	s, err := j.Journal.Update(dag, f, e...)
	var wait bool
	j.late.with(func(late *bool) { wait, *late = *late, false })
	if wait {
		time.Sleep(5 * time.Second)
	}
	return s, err
}

// TestSaidAtTheSameTime: two people say something in the same moment. What the
// later write holds is what counts, whichever answer comes first: a hold that
// was granted is never taken back by the approval that was written before it.
func TestSaidAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		late := &lateJournal{Journal: r.j}
		r.j = late
		r.start().arm(false)
		defer r.close()
		hash := r.c.Status().Arming.PlanHash
		late.late.with(func(v *bool) { *v = true })
		done := make(chan error, 1)
		go func() {
			_, err := r.c.Approve(context.Background(), ApproveRequest{Request: Request{By: "lead"}, PlanHash: hash})
			done <- err
		}()
		time.Sleep(time.Second)
		if err := r.c.Hold(t.Context(), Request{By: "ben"}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if s := r.c.Status(); s.Held == nil || len(s.Approvals) != 1 {
			t.Errorf("held %v, approvals %v: something that was granted is gone", s.Held, s.Approvals)
		}
		for range 4 {
			r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
			time.Sleep(15 * time.Second)
		}
		if sent := r.p.touched(); len(sent) > 0 {
			t.Errorf("sent under a hold: %v", sent)
		}
	})
}

// TestHoldAsARunBegins: a hold that is granted between the round's last look at
// what people say and the run's entry in the journal stops the start: nothing is
// sent, and no hook stops the writers.
func TestHoldAsARunBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start().arm(false)
		defer r.close()
		said := r.c.say() // somebody is just writing
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(10 * time.Second) // every gate is open, and the start waits
		s, err := r.j.Update("erp", func(s *journal.State) error {
			s.Hold = &journal.Hold{By: "ben", At: time.Now()}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r.c.mu.Lock()
		r.c.state, r.c.version = s, r.c.version+1
		r.c.mu.Unlock()
		said()
		time.Sleep(10 * time.Second)
		if runs, _ := r.c.Runs(t.Context()); len(runs) > 0 || len(r.p.touched()) > 0 || len(r.h.names()) > 0 {
			t.Errorf("%d runs began under a hold, sent %v, hooks %v", len(runs), r.p.touched(), r.h.names())
		}
	})
}

// TestAcknowledgedTooEarly: somebody acknowledges a run that goes on by itself, as
// one does with an alert. It is refused, and takes nothing over: when the run then
// finds what only a human may decide on, it is a page until that was seen.
func TestAcknowledgedTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var forced sync.Once
		r.p.onStatement(func(v *servers, st cutover.Statement) fate {
			if st.Kind == cutover.RequireSecondary {
				// Somebody else moves it, and sees to RSSTC.
				forced.Do(func() {
					time.AfterFunc(100*time.Millisecond, func() {
						r.p.with(func(v *servers) {
							v.land(cutover.Demote, hadr.Source)
							v.land(cutover.Promote, hadr.Target)
						})
					})
				})
				return fate{}
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		defer r.close()
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		for !slices.Contains(r.p.statements(), "set_synchronous target") {
			time.Sleep(time.Millisecond)
		}
		if _, ok := AsRefused(r.c.Acknowledge(t.Context(), Request{By: "ben", Reason: "seen"})); !ok {
			t.Error("a run that goes on by itself was taken over")
		}
		// An older build wrote it down.
		run := r.c.Status().Run
		if err := r.c.update(func(s *journal.State) error {
			s.TakenOver = &journal.Hold{Run: run, By: "ben", At: time.Now()}
			return nil
		}, journal.NewEvent(time.Now(), "acknowledge", "run taken over by ben", nil)); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 120 && !strings.Contains(strings.Join(r.pageIDs(), " "), cutover.PageUnexplained); n++ {
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Minute) // longer than settle: nothing of ours may land any more
		if s := r.c.Status(); s.Run == "" || !strings.Contains(strings.Join(r.pageIDs(), " "), cutover.PageUnexplained) {
			t.Fatalf("the run was closed and nobody was called: outcome %s, pages %v", s.LastOutcome, r.pageIDs())
		}
		if err := r.c.Acknowledge(t.Context(), Request{By: "anna", Reason: "it was me"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.wantOutcome("closed")
	})
}

// TestSaidAfterTheClockWasPutBack: the webhook comes up again with its clock put
// back, and reads that its run began later than now. What people say then is about
// this run all the same.
func TestSaidAfterTheClockWasPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).killedAfter("demote source")
		r.j = &aheadJournal{r.j}
		// The target's log stands still: no proof, and inside the budget nothing but
		// the request leads back.
		r.p.with(func(v *servers) { v.stuckTarget = true; v.side[hadr.Source].log++ })
		r.start()
		defer r.close()
		time.Sleep(5 * time.Second)
		if err := r.c.Rollback(t.Context(), Request{By: "ben", Reason: "enough"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if s := r.c.Status(); !s.GoingBack {
			t.Errorf("the request is not heard: %s: %s", s.Phase, s.Reason)
		}
	})
}

// aheadJournal holds runs that began an hour from now.
type aheadJournal struct{ journal.Journal }

func (j *aheadJournal) Unfinished(dag string) (*journal.Record, error) {
	rec, err := j.Journal.Unfinished(dag)
	if rec != nil {
		rec.Run.Started = rec.Run.Started.Add(time.Hour)
	}
	return rec, err
}

// TestSaidBeforeTheFirstReading: a process that was restarted knows its run from
// the journal, while the sides have yet to answer: no arming takes the run's own
// away, and whoever wants it back is heard.
func TestSaidBeforeTheFirstReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).killedAfter("set_synchronous source")
		slow := &slowServer{Server: r.p.server(hadr.Source)}
		slow.with(func(v *time.Duration) { *v = 8 * time.Second })
		r.startWith(slow, r.p.server(hadr.Target))
		defer r.close()
		if s := r.c.Status(); s.Run == "" || s.Phase == string(cutover.PhaseIdle) {
			t.Errorf("run %q, phase %s", s.Run, s.Phase)
		}
		if _, ok := AsRefused(r.c.Acknowledge(t.Context(), Request{By: "ben"})); !ok {
			t.Error("acknowledged, as if there were no run")
		}
		if _, err := r.c.Arm(t.Context(), ArmRequest{Request: Request{By: "ben"}}); err == nil {
			t.Error("armed over a run that has not ended")
		}
		if err := r.c.Rollback(t.Context(), Request{By: "ben", Reason: "not tonight"}); err != nil {
			t.Error(err)
		}
		slow.with(func(v *time.Duration) { *v = 0 })
		r.fire()
		if rep := r.wantOutcome("aborted"); rep.GoingBack == nil || !strings.Contains(rep.GoingBack.Reason, "not tonight") {
			t.Errorf("%+v", rep.GoingBack)
		}
	})
}

// TestChecklistIsOfOneRun: who arms ticks the list. What somebody declared done for
// an earlier run, a drill last week, opens no gate tonight.
func TestChecklistIsOfOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.dag.Cutover.Checklist = []string{"DNS"}
		r.start()
		defer r.close()
		if _, err := r.c.Arm(t.Context(), ArmRequest{Request: Request{By: "anna"}, Drill: true, Checklist: []string{"DNS"}}); err != nil {
			t.Fatal(err)
		}
		r.fire()
		r.wantOutcome("drilled")
		if err := r.c.Acknowledge(t.Context(), Request{By: "anna"}); err != nil {
			t.Fatal(err)
		}
		drill := len(r.p.touched())
		r.arm(false)
		if s := r.c.Status(); !slices.Equal(s.Checklist, []string{"DNS"}) {
			t.Errorf("open items %v", s.Checklist)
		}
		for range 4 {
			r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
			time.Sleep(15 * time.Second)
		}
		if got := r.p.touched()[drill:]; len(got) > 0 {
			t.Errorf("a run began on another run's checklist: %v", got)
		}
	})
}
