package runner

import (
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

// hungDisk takes a write and does not come back while it hangs.
type hungDisk struct {
	journal.Journal
	mu   sync.Mutex
	back chan struct{} // nil: it does not hang
}

func (j *hungDisk) hang() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.back == nil {
		j.back = make(chan struct{})
	}
}

func (j *hungDisk) heal() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.back)
	j.back = nil
}

func (j *hungDisk) Put(run string, i cutover.Intent, e ...journal.Event) error {
	j.mu.Lock()
	back := j.back
	j.mu.Unlock()
	if back != nil {
		<-back
	}
	return j.Journal.Put(run, i, e...)
}

// TestJournalHangs: a disk that neither takes a write nor refuses it. It is a page
// within seconds, RSSTC=1 does not stand on a source that was not demoted, nothing
// else is sent, and the run goes on when the disk is back.
func TestJournalHangs(t *testing.T) {
	for _, c := range []struct {
		at      cutover.Kind
		state   string // while it hangs
		outcome string
		end     string
	}{
		{cutover.RequireSecondary, sourcePrimary, "aborted", sourcePrimary},
		{cutover.Demote, "source secondary rsstc 1, target secondary rsstc 0", "done", targetPrimary},
	} {
		t.Run(string(c.at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				disk := &hungDisk{Journal: r.j}
				r.j = disk
				var once sync.Once
				r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
					if st.Kind == c.at {
						once.Do(disk.hang)
					}
					return fate{lands: true}
				})
				r.start().arm(false)
				defer r.close()
				r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
				for !slices.Contains(r.p.statements(), string(c.at)+" source") {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(2 * slowWrite)
				if !slices.Contains(r.pageIDs(), "journal") || !strings.Contains(r.c.Status().Reason, "does not answer") {
					t.Errorf("nobody is called: pages %v, reason %q", r.pageIDs(), r.c.Status().Reason)
				}
				if got := r.p.state(); got != c.state {
					t.Errorf("while the disk hangs: %s, want %s", got, c.state)
				}
				sent := r.p.statements()
				after := slices.DeleteFunc(sent[slices.Index(sent, string(c.at)+" source")+1:], func(s string) bool { return s == "release_secondary source" })
				if len(after) > 0 {
					t.Errorf("sent without a journal: %v", after)
				}
				disk.heal()
				r.fire()
				r.wantOutcome(c.outcome)
				r.wantState(c.end)
				if ids := r.pageIDs(); slices.Contains(ids, "journal") {
					t.Errorf("the page stands: %v", ids)
				}
			})
		})
	}
}

// noRoom refuses every write while it is full, of whatever kind.
type noRoom struct {
	fullDisk
}

func (j *noRoom) Begin(r journal.Run, i cutover.Intent, e ...journal.Event) error {
	if j.full.Load() {
		return errNoRoom
	}
	return j.fullDisk.Begin(r, i, e...)
}

func (j *noRoom) Append(run string, e ...journal.Event) error {
	if j.full.Load() {
		return errNoRoom
	}
	return j.fullDisk.Append(run, e...)
}

func (j *noRoom) Update(dag string, f func(*journal.State) error, e ...journal.Event) (journal.State, error) {
	if j.full.Load() {
		return journal.State{}, errNoRoom
	}
	return j.fullDisk.Update(dag, f, e...)
}

// TestRestartOnAFullDisk: no side takes writes, and the webhook comes up again on
// a disk without room. It is there, it looks, and it calls somebody; with room the
// run goes on.
func TestRestartOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).killedAfter("demote source")
		disk := &noRoom{fullDisk{Journal: r.j}}
		r.j = disk
		disk.full.Store(true)
		r.start()
		defer r.close()
		time.Sleep(10 * time.Second)
		if s := r.c.Status(); s.Run == "" || !slices.Contains(r.pageIDs(), "journal") {
			t.Errorf("run %q, pages %v: nobody is called", s.Run, r.pageIDs())
		}
		disk.full.Store(false)
		r.fire()
		r.wantOutcome("done")
		r.wantState(targetPrimary)
	})
}

// TestJournalPageGoes: a run could not begin for want of room. With room again the
// page goes by itself, though no run writes anything.
func TestJournalPageGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		disk := &noRoom{fullDisk{Journal: r.j}}
		r.j = disk
		r.start().arm(false)
		defer r.close()
		disk.full.Store(true)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(20 * time.Second)
		if !slices.Contains(r.pageIDs(), "journal") {
			t.Fatalf("pages %v", r.pageIDs())
		}
		time.Sleep(time.Minute) // the alert is silent
		disk.full.Store(false)
		time.Sleep(time.Minute)
		if ids := r.pageIDs(); len(ids) > 0 || strings.Contains(r.c.Status().Reason, "journal") {
			t.Errorf("the disk has room again: pages %v, reason %q", ids, r.c.Status().Reason)
		}
		if len(r.p.touched()) > 0 {
			t.Error(r.p.touched())
		}
	})
}

// TestKillOnAHungDisk: whoever kills the webhook because its disk hangs is not
// made to wait for the disk, and nothing is sent after that.
func TestKillOnAHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		disk := &hungDisk{Journal: r.j}
		r.j = disk
		var once sync.Once
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Demote {
				once.Do(disk.hang)
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		f := NewFleet(r.c)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		for !slices.Contains(r.p.statements(), "demote source") {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(2 * slowWrite)
		closed := make(chan error, 1)
		go func() { closed <- f.Close() }() // the first signal
		time.Sleep(slowWrite)
		began := time.Now()
		f.Kill()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > slowWrite+sickPoll {
			t.Errorf("killed after %s", took)
		}
		sent := len(r.p.touched())
		disk.heal()
		time.Sleep(time.Minute)
		if got := r.p.touched(); len(got) != sent {
			t.Errorf("sent after the kill: %v", got[sent:])
		}
	})
}

// TestBugOnAFullDisk: a bug throws the run out of memory, and the disk has no room
// to say that it was taken up again. The sides are looked at all the same.
func TestBugOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		disk := &noRoom{fullDisk{Journal: r.j}}
		r.j = disk
		source := &brokenServer{Server: r.p.server(hadr.Source)}
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Demote {
				disk.full.Store(true)
				source.set(true)
			}
			return fate{lands: true}
		})
		r.startWith(source, r.p.server(hadr.Target)).arm(false)
		defer r.close()
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		for !slices.Contains(r.pageIDs(), "bug") {
			time.Sleep(time.Millisecond)
		}
		source.set(false)
		time.Sleep(20 * time.Second)
		if s := r.c.Status(); time.Since(s.Source.ReadAt) > 5*time.Second || s.Source.Role != "secondary" {
			t.Errorf("the source was last read %s ago: %q", time.Since(s.Source.ReadAt), s.Source.Role)
		}
		disk.full.Store(false)
		r.fire()
		r.wantOutcome("done")
	})
}

// TestDryRunInterruptedOnAFullDisk: what a dry run left in the journal keeps no
// webhook, and so no other DAG, from starting.
func TestDryRunInterruptedOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.dag.Cutover.Mode = "dry_run"
		disk := &hungDisk{Journal: r.j}
		r.j = disk
		r.start().arm(false)
		disk.hang() // the run begins, and comes no further
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		for r.c.Status().Run == "" {
			time.Sleep(time.Millisecond)
		}
		r.c.Kill()
		full := &endlessDisk{Journal: disk.Journal}
		full.full.Store(true)
		r.j = full
		r.start()
		defer r.close()
		full.full.Store(false)
		disk.heal()
		r.arm(false).fire()
		r.wantOutcome("rehearsed")
	})
}

// endlessDisk lets no run end while it is full.
type endlessDisk struct {
	journal.Journal
	full atomic.Bool
}

func (j *endlessDisk) End(run string, at time.Time, o string, i cutover.Intent, f func(*journal.State), e ...journal.Event) error {
	if j.full.Load() {
		return errNoRoom
	}
	return j.Journal.End(run, at, o, i, f, e...)
}
