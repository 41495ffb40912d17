package runner

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// hungJournal is on a disk that can be made to hang.
type hungJournal struct {
	journal.Journal
	mu   sync.Mutex
	on   []string // the methods that wait
	back chan struct{}
}

func (j *hungJournal) hang(methods ...string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.on = methods
}

func (j *hungJournal) goOn() {
	j.hang()
	close(j.back)
}

func (j *hungJournal) wait(method string) {
	j.mu.Lock()
	on := slices.Contains(j.on, method)
	j.mu.Unlock()
	if on {
		<-j.back
	}
}

func (j *hungJournal) Put(run string, i cutover.Intent, e ...journal.Event) error {
	j.wait("Put")
	return j.Journal.Put(run, i, e...)
}

func (j *hungJournal) Begin(r journal.Run, i cutover.Intent, e ...journal.Event) error {
	j.wait("Begin")
	return j.Journal.Begin(r, i, e...)
}

func (j *hungJournal) Update(dag string, f func(*journal.State) error, e ...journal.Event) (journal.State, error) {
	j.wait("Update")
	return j.Journal.Update(dag, f, e...)
}

// killed kills the loop, which must not wait for the disk.
func killed(t *testing.T, r *rig) (done chan struct{}) {
	t.Helper()
	done = make(chan struct{})
	go func() { r.c.Kill(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Minute):
		t.Error("Kill waits for the disk")
	}
	return done
}

// TestKillWhileSomebodysWriteHangs: the disk hangs over what a person said as a
// run shall begin. The loop waits for its turn, calls a human, and can be killed.
func TestKillWhileSomebodysWriteHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		disk := &hungJournal{Journal: r.j, back: make(chan struct{})}
		r.j = disk
		r.start().arm(false)
		disk.hang("Update", "Begin")
		said := make(chan error, 1)
		go func() { said <- r.c.Hold(context.Background(), Request{By: "ben"}) }()
		time.Sleep(time.Second)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(30 * time.Second)
		if got := r.pageIDs(); !strings.Contains(strings.Join(got, " "), "journal") {
			t.Errorf("nobody is called: pages %v", got)
		}
		done := killed(t, r)
		disk.goOn()
		if err := <-said; err != nil {
			t.Error(err)
		}
		<-done
	})
}

// TestKillWhileAPageIsWritten: the same while a page without a run is written.
func TestKillWhileAPageIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		disk := &hungJournal{Journal: r.j, back: make(chan struct{})}
		r.j = disk
		r.start()
		time.Sleep(10 * time.Second)
		disk.hang("Update")
		r.p.set(hadr.Target, func(s *fakeSide) { s.role = hadr.RolePrimary })
		time.Sleep(time.Minute)
		done := killed(t, r)
		disk.goOn()
		<-done
	})
}

// endBug is a journal with a bug in End, once.
type endBug struct {
	journal.Journal
	once atomic.Bool
}

func (j *endBug) End(run string, at time.Time, outcome string, i cutover.Intent, f func(*journal.State), e ...journal.Event) error {
	if j.once.CompareAndSwap(false, true) {
		panic("a bug in End")
	}
	return j.Journal.End(run, at, outcome, i, f, e...)
}

// TestBugAsARunEnds: a bug while a run ends does not keep out what people say.
func TestBugAsARunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.j = &endBug{Journal: r.j}
		r.start().arm(false)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		for n := 0; n < 600 && (r.c.Status().Run != "" || r.c.Status().LastRun == ""); n++ {
			r.p.write()
			time.Sleep(500 * time.Millisecond)
		}
		said := make(chan error, 1)
		go func() { said <- r.c.Hold(context.Background(), Request{By: "ben"}) }()
		select {
		case err := <-said:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Minute):
			t.Error("a hold is not answered for 10 minutes")
			<-r.c.saying // let it end
			t.Log(<-said)
		}
		time.Sleep(time.Minute)
		r.wantOutcome("done")
		r.close()
	})
}

// TestRunThatIsGivenUp: whoever was told that nothing began in time does not see
// it begin later.
func TestRunThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start().arm(false)
		defer r.close()
		said := r.c.say() // somebody's write takes long
		if _, err := r.c.Run(t.Context(), Request{By: "ben"}); err == nil {
			t.Fatal("it began")
		}
		r.c.mu.Lock()
		r.c.version++ // what was said is no hold: an approval
		r.c.mu.Unlock()
		said()
		time.Sleep(20 * time.Second)
		if s := r.c.Status(); s.Run != "" || s.LastRun != "" || len(r.p.touched()) > 0 {
			t.Errorf("it began after the person was told no: run %q last %q sent %v", s.Run, s.LastRun, r.p.touched())
		}
		r.fire()
	})
}
