package runner

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// broken is an engine that asks for one statement as soon as when says so, for
// as long as bad is true. It journals the entry and hands over a guard that the
// servers let pass: nothing but Audit stands before them.
func broken(bad *atomic.Bool, k cutover.Kind, side hadr.Side, when func(*cutover.Intent, *cutover.Observation) bool) func(cutover.Plan, cutover.Intent, cutover.Observation, time.Time) cutover.Decision {
	var asked atomic.Int32
	return func(p cutover.Plan, in cutover.Intent, o cutover.Observation, now time.Time) cutover.Decision {
		d := cutover.Decide(p, in, o, now)
		r := o.Side(side).Reading
		if !in.Active() || r == nil || !when(&in, &o) || !bad.Load() || asked.Add(1) > 20 {
			return d
		}
		st, ok := p.Statement(k, side)
		if !ok {
			st.SQL = "-- not of the plan"
		}
		d.Action, d.Side, d.Statement, d.Intent = cutover.ActionExecute, side, st, in
		d.Guard = cutover.Guard{Run: in.Run, GroupID: p.GroupID, ServerName: r.Identity.ServerName, StartTime: r.Identity.StartTime, Role: r.DAG.Role, Databases: p.Databases, NoProof: true}
		d.Intent.Sent = append(slices.Clone(in.Sent), cutover.Sent{Statement: st, At: now, ServerName: r.Identity.ServerName, StartTime: r.Identity.StartTime, Outcome: cutover.SentPending})
		return d
	}
}

// TestAuditStopsTheRound: an engine that asks for what must never be gets
// nothing sent; a human is paged, RSSTC=1 is taken back where the source was not
// demoted and stays where it was, and the run goes on once the engine does not
// ask for it any more.
func TestAuditStopsTheRound(t *testing.T) {
	required := func(_ *cutover.Intent, o *cutover.Observation) bool { return o.Source.Reading.DAG.RSSTC.V == 1 }
	proving := func(i *cutover.Intent, _ *cutover.Observation) bool {
		return i.Phase == cutover.PhaseProve && i.Rest != nil
	}
	for name, c := range map[string]struct {
		kind  cutover.Kind
		side  hadr.Side
		drill bool
		when  func(*cutover.Intent, *cutover.Observation) bool
		page  string
		state string // of the servers while the page stands
		ends  []Outcome
	}{
		"S3 with the source PRIMARY": {cutover.Promote, hadr.Target, false, required, `S3 on the target while the other side reads "primary"`, "source primary rsstc 0, target secondary rsstc 0", []Outcome{"aborted"}},
		"S3 before the proof":        {cutover.Promote, hadr.Target, false, proving, "S3 before the proof", "source secondary rsstc 1, target secondary rsstc 0", []Outcome{"done", "rolled_back"}},
		"S3 back, nobody decided it": {cutover.Promote, hadr.Source, false, proving, "S3 on the source without a decision to go back", "source secondary rsstc 1, target secondary rsstc 0", []Outcome{"done", "rolled_back"}},
		"S2 a second time":           {cutover.Demote, hadr.Target, false, proving, "outside the plan: demote on the target", "source secondary rsstc 1, target secondary rsstc 0", []Outcome{"done", "rolled_back"}},
		"S3 on the target, a drill":  {cutover.Promote, hadr.Target, true, proving, "S3 on the target in a drill", "source secondary rsstc 1, target secondary rsstc 0", []Outcome{"drilled", "rolled_back"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				var bad atomic.Bool
				bad.Store(true)
				var asked atomic.Bool
				r.decide = broken(&bad, c.kind, c.side, func(i *cutover.Intent, o *cutover.Observation) bool {
					if o.Source.Reading == nil || !c.when(i, o) {
						return false
					}
					asked.Store(true)
					return true
				})
				r.start().arm(c.drill)
				defer r.close()
				r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
				for end := time.Now().Add(time.Minute); !asked.Load() && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(500 * time.Millisecond) // before the round after the page
				text := ""
				for _, p := range r.c.Status().Pages {
					if p.ID == "bug" {
						text = p.Text
					}
				}
				if !strings.Contains(text, "the engine broke a rule of its own, and nothing was sent") || !strings.Contains(text, c.page) {
					t.Errorf("pages %v: %s", r.pageIDs(), text)
				}
				if got := r.p.state(); got != c.state {
					t.Errorf("while the page stands: %s, want %s", got, c.state)
				}
				what := string(c.kind) + " " + string(c.side)
				if slices.Contains(r.p.statements(), what) {
					t.Errorf("%s was sent: %v", what, r.p.statements())
				}
				bad.Store(false)
				r.fire()
				rep, err := r.c.Report(t.Context(), "latest")
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(c.ends, rep.Outcome) {
					t.Errorf("outcome %s\n%s", rep.Outcome, r.log())
				}
				if w := r.p.wrong(); len(w) > 0 {
					t.Error(w)
				}
				if s := r.p.state(); s != sourcePrimary && s != targetPrimary {
					t.Error(s)
				}
			})
		})
	}
}

// TestShutdownAfterABug: asked to stop while a bug throws the run out of memory
// round after round, after S2: no side takes writes. It is taken up and brought
// to its end first.
func TestShutdownAfterABug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		bad := &brokenServer{Server: r.p.server(hadr.Target)}
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Demote {
				bad.set(true)
			}
			return fate{lands: true}
		})
		r.startWith(r.p.server(hadr.Source), bad).arm(false)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		for !slices.Contains(r.pageIDs(), "bug") {
			time.Sleep(time.Millisecond)
		}
		time.AfterFunc(5*time.Second, func() { bad.set(false) })
		r.close()
		if s := r.p.state(); s != targetPrimary && s != sourcePrimary {
			t.Errorf("stopped with %s\n%s", s, r.log())
		}
		r.wantOutcome("done")
	})
}

// TestLockOfADeadHost: the host of the webhook is lost after S2, and its
// session holds the source's lock until the server finds it dead. The next
// process pages, goes on trying, and brings the run to its end.
func TestLockOfADeadHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).killedAfter("demote source")
		dead := &fakeLock{s: fakeServer{r.p, hadr.Source}}
		r.p.set(hadr.Source, func(s *fakeSide) { s.holder = dead })
		r.start()
		defer r.close()
		time.Sleep(20 * time.Second)
		if ids := r.pageIDs(); len(ids) != 1 || !strings.HasSuffix(ids[0], "/other_run") {
			t.Errorf("pages %v: %s", ids, r.c.Status().Reason)
		}
		if err := dead.Release(); err != nil {
			t.Fatal(err)
		}
		r.fire()
		r.wantOutcome("done")
		r.wantState(targetPrimary)
	})
}

// TestRunThatOnlyReadsLetsGo: another engine's run id stands in master in the
// middle of a run. It pages, only reads from there on, and holds no lock that
// the other engine may need to go on or back.
func TestRunThatOnlyReadsLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start().arm(false)
		defer r.close()
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		for !slices.Contains(r.p.statements(), "set_synchronous source") {
			time.Sleep(time.Millisecond)
		}
		r.p.set(hadr.Source, func(s *fakeSide) { s.marker = "other" })
		time.Sleep(20 * time.Second)
		if ids := r.pageIDs(); len(ids) != 1 || !strings.HasSuffix(ids[0], "/other_run") {
			t.Errorf("pages %v: %s", ids, r.c.Status().Reason)
		}
		for _, side := range []hadr.Side{hadr.Source, hadr.Target} {
			r.p.set(side, func(s *fakeSide) {
				if s.holder != nil {
					t.Errorf("the lock on the %s is held", side)
				}
			})
		}
		if slices.Contains(r.p.statements(), "demote source") {
			t.Errorf("sent %v", r.p.statements())
		}
	})
}

// TestUnfinishedRunOfAnotherConfiguration: the webhook comes up with a DAG of
// the same name that is about other groups. Nothing is sent for the run: the
// sides are opened by the new names, and RSSTC=0 would go there. With the old
// configuration it goes on.
func TestUnfinishedRunOfAnotherConfiguration(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"another group":     func(r *rig) { r.dag.Group = "OTHER" },
		"another source AG": func(r *rig) { r.dag.Source.AG = "OtherAG" },
		"another target AG": func(r *rig) { r.dag.Target.AG = "OtherAG" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t).killedAfter("require_secondary source")
				n, was := len(r.p.statements()), r.dag
				change(r)
				r.start()
				time.Sleep(time.Minute)
				if got := r.p.statements(); len(got) != n {
					t.Errorf("sent %v", got[n:])
				}
				s := r.c.Status()
				if len(s.Pages) != 1 || s.Pages[0].ID != "resume" || !strings.Contains(s.Pages[0].Text, "put the configuration back") || len(s.Pages[0].Statements) != 1 {
					t.Errorf("pages %+v", s.Pages)
				}
				r.close()
				r.dag = was
				r.start()
				defer r.close()
				r.fire()
				if s := r.p.state(); s != sourcePrimary {
					t.Error(s)
				}
			})
		})
	}
}

// TestArmWhileARunBegins: the run of an earlier arming begins while the sides
// are read for the next one. That one is refused, as it is at any other moment
// of a run: it would take the run's own arming away.
func TestArmWhileARunBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var arming atomic.Bool
		r.render = func(k cutover.Kind, group, source, target string) (string, error) {
			if arming.CompareAndSwap(true, false) {
				r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
				for r.c.Status().Run == "" {
					time.Sleep(time.Millisecond)
				}
			}
			return testRender(k, group, source, target)
		}
		r.start().arm(false)
		defer r.close()
		time.Sleep(10*time.Second + 300*time.Millisecond) // between two rounds
		arming.Store(true)
		if _, err := r.c.Arm(t.Context(), ArmRequest{Request: Request{By: "ben"}}); err == nil {
			t.Error("armed while a run is under way")
		}
		r.fire()
		r.wantOutcome("done")
	})
}

// TestJournalFailsAfterS2: nothing is sent while no side takes writes and the
// disk is full; there is a page, and with room again the run ends.
func TestJournalFailsAfterS2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		disk := &fullDisk{Journal: r.j}
		r.j = disk
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Demote {
				disk.full.Store(true)
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		defer r.close()
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(30 * time.Second)
		if got := r.p.statements(); got[len(got)-1] != "demote source" || !slices.Contains(r.pageIDs(), "journal") {
			t.Errorf("sent %v, pages %v", got, r.pageIDs())
		}
		if got := r.p.state(); got != "source secondary rsstc 1, target secondary rsstc 0" {
			t.Error(got)
		}
		disk.full.Store(false)
		r.fire()
		r.wantOutcome("done")
		r.wantState(targetPrimary)
		if ids := r.pageIDs(); slices.Contains(ids, "journal") {
			t.Errorf("pages %v", ids)
		}
	})
}

var errNoRoom = errors.New("no space left on device")

// fullDisk refuses every write of a run while it is full.
type fullDisk struct {
	journal.Journal
	full atomic.Bool
}

func (j *fullDisk) Put(run string, i cutover.Intent, e ...journal.Event) error {
	if j.full.Load() {
		return errNoRoom
	}
	return j.Journal.Put(run, i, e...)
}

// TestShutdownLeavesNoRunID: a process that was restarted after S3 holds no lock
// in which the engine could have the run's id dropped, and is asked to stop at
// once. It ends the run and leaves nothing in master.
func TestShutdownLeavesNoRunID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).killedAfter("promote target")
		r.start()
		r.close()
		r.wantOutcome("done")
		if left := r.p.left(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}
