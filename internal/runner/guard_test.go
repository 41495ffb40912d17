package runner

import (
	"context"
	"errors"
	"regexp"
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

// pageIDs are the pages that stand, in order.
func (r *rig) pageIDs() (ids []string) {
	for _, p := range r.c.Status().Pages {
		ids = append(ids, p.ID)
	}
	return ids
}

// brokenServer panics when told to.
type brokenServer struct {
	Server
	guarded[bool]
}

func (s *brokenServer) Read(ctx context.Context, w Want) (*hadr.Reading, error) {
	s.with(func(broken *bool) {
		if *broken {
			panic("index out of range [3] with length 3")
		}
	})
	return s.Server.Read(ctx, w)
}

func (s *brokenServer) set(broken bool) { s.with(func(b *bool) { *b = broken }) }

// TestBugIsAPage: a panic in a round neither ends the process nor goes by
// without a word; RSSTC=1 is taken back, and the run goes on from the journal.
func TestBugIsAPage(t *testing.T) {
	for _, at := range []string{"", "require_secondary source", "demote source"} {
		t.Run("after "+at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				bad := &brokenServer{Server: r.p.server(hadr.Target)}
				r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
					if string(st.Kind)+" "+string(st.Side) == at {
						bad.set(true)
					}
					return fate{lands: true}
				})
				r.startWith(r.p.server(hadr.Source), bad)
				defer r.close()
				if at == "" {
					bad.set(true)
				} else {
					r.arm(false)
					r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
				}
				time.Sleep(10 * time.Second)
				if ids := r.pageIDs(); !slices.Contains(ids, "bug") {
					t.Errorf("pages %v", ids)
				}
				if at == "require_secondary source" && !strings.Contains(r.p.state(), "source primary rsstc 0") {
					t.Errorf("RSSTC=1 was not taken back: %s", r.p.state())
				}
				if at == "demote source" && !strings.Contains(r.p.state(), "source secondary rsstc 1") {
					t.Errorf("the fence of a demoted source: %s", r.p.state())
				}
				bad.set(false)
				if at == "" {
					time.Sleep(10 * time.Second)
				} else {
					r.fire()
					if s := r.p.state(); s != sourcePrimary && s != targetPrimary {
						t.Error(s)
					}
				}
				if ids := r.pageIDs(); slices.Contains(ids, "bug") {
					t.Errorf("the bug is gone, its page stands: %v", ids)
				}
				if w := r.p.wrong(); len(w) > 0 {
					t.Error(w)
				}
			})
		})
	}
}

// TestRefusedRunCanBeClosed: a run that is not taken up is closed by a person,
// once both sides show that it is over, and not before.
func TestRefusedRunCanBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).killedAfter("demote source")
		r.dag.Cutover.Mode = "dry_run"
		r.start()
		defer r.close()
		time.Sleep(10 * time.Second)
		s := r.c.Status()
		if len(s.Pages) != 1 || s.Pages[0].ID != "resume" || len(s.Pages[0].Statements) != 1 || s.Pages[0].Statements[0].Kind != "release_secondary" {
			t.Fatalf("pages %+v", s.Pages)
		}
		if err := r.c.Acknowledge(t.Context(), Request{By: "anna", Reason: "done by hand"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if s := r.c.Status(); s.Run == "" {
			t.Error("closed with nobody PRIMARY")
		}
		r.p.with(func(v *servers) { v.land(cutover.ReleaseSecondary, hadr.Source); v.land(cutover.Promote, hadr.Target) })
		time.Sleep(time.Minute)
		rep := r.wantOutcome("closed")
		if s := r.c.Status(); s.Run != "" || !s.Unacknowledged || rep.Ended.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

// TestTwoMovesOfOneAG: a run of another DAG that one of the AGs is a member of
// too closes a gate.
func TestTwoMovesOfOneAG(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newRig(t), newRig(t)
		b.dag.Name = "crm"
		for _, r := range []*rig{a, b} {
			r.open(r.p.server(hadr.Source), r.p.server(hadr.Target))
		}
		f := NewFleet(a.c, b.c)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer a.close()
		defer b.close()
		a.p.onStatement(func(v *servers, st cutover.Statement) fate { // it stays where it is
			if st.Kind == cutover.Demote {
				v.stuckTarget = true
				v.side[hadr.Source].log++
			}
			return fate{lands: true}
		})
		a.arm(false)
		b.arm(false)
		a.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(2 * time.Second)
		b.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(5 * time.Second)
		closed := ""
		for _, g := range b.c.Status().Gates {
			if g.State != GateOpen && g.Name != "quiet" && g.Name != "drained" {
				closed += g.Name + " " + g.Reason
			}
		}
		if !strings.HasPrefix(closed, "other_run run ") || !strings.HasSuffix(closed, " of erp is under way") || len(b.p.touched()) > 0 {
			t.Errorf("closed gates: %s; sent %v", closed, b.p.touched())
		}
		a.fire()
		b.fire() // its turn
		b.wantOutcome("done")
	})
}

// TestPhaseAfterTheEnd: the split watch, then ended until acknowledged.
func TestPhaseAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.with(func(v *servers) { v.forks = true })
		r.start().arm(false).fire()
		defer r.close()
		want := func(phase, reason string) {
			t.Helper()
			time.Sleep(6 * time.Second)
			s := r.c.Status()
			if said := regexp.MustCompile(`\d{8}T\d{6}Z-\w+|\d{4}-\S+Z`).ReplaceAllString(s.Reason, "…"); said != reason {
				t.Errorf("phase %s, reason %q, want %q", s.Phase, said, reason)
			}
			res, err := r.c.Check(t.Context())
			if err != nil || strings.Contains(res.Status.Reason, "seed it again") {
				t.Errorf("check: %v, %s", err, res.Status.Reason)
			}
			for _, g := range append(res.Gates, s.Gates...) {
				if g.Name == "lineage" && (g.State == GateOpen || !strings.HasSuffix(g.Reason, "nothing is to be seeded because of this")) {
					t.Errorf("lineage is %s: %s", g.State, g.Reason)
				}
			}
			if s.Phase != phase || s.PhaseSince.IsZero() || s.LastOutcome != "done" {
				t.Errorf("phase %s since %s, want %s", s.Phase, s.PhaseSince, phase)
			}
		}
		const moved = "run … ended: done; the target is PRIMARY and the source SECONDARY, so nothing is left to move"
		want("watch", moved+"; two primaries are looked for until …; acknowledge it with: cutover_webhook acknowledge erp")
		time.Sleep(time.Minute)
		want("ended", moved+"; acknowledge it with: cutover_webhook acknowledge erp")
		if err := r.c.Acknowledge(t.Context(), Request{By: "anna"}); err != nil {
			t.Fatal(err)
		}
		want("idle", moved)
		r.close()
		r.start()
		want("idle", moved)
	})
}

// TestReasonAfterAnAbort: once somebody has seen it and arms again, the reason is
// what the next run waits for.
func TestReasonAfterAnAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.h.fail("quiesce", errors.New("exit status 1"))
		r.start().arm(false).fire()
		defer r.close()
		r.wantOutcome("aborted")
		time.Sleep(6 * time.Second)
		if s := r.c.Status(); !strings.Contains(s.Reason, "ended: aborted; ") || !strings.HasSuffix(s.Reason, "cutover_webhook acknowledge erp") || strings.Contains(s.Reason, "PRIMARY") {
			t.Errorf("phase %s, reason %q", s.Phase, s.Reason)
		}
		if err := r.c.Acknowledge(t.Context(), Request{By: "anna"}); err != nil {
			t.Fatal(err)
		}
		r.c.LeaseSeen(Alert{Name: "A"}, time.Now())
		r.arm(false)
		time.Sleep(6 * time.Second)
		if s := r.c.Status(); !strings.Contains(s.Reason, "gate alert_lease is closed") {
			t.Errorf("armed, and the reason is %q", s.Reason)
		}
	})
}

// TestRefusalListsStartGates: what only S2 waits for is not said to keep a run
// from starting.
func TestRefusalListsStartGates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start().arm(false)
		defer r.close()
		r.p.with(func(v *servers) { v.link = false })
		_, err := r.c.Run(t.Context(), Request{By: "anna"})
		if err == nil || !strings.Contains(err.Error(), "link is closed") || strings.Contains(err.Error(), "drained") || strings.Contains(err.Error(), "quiet is") {
			t.Errorf("refused with %v", err)
		}
	})
}

// TestReleaseNamesThePlansGroup: RSSTC=0 outside the lock is meant for the group
// of the plan, also where the journal cannot be written and where a bug stopped
// the round; behind a changed DSN another group is left alone.
func TestReleaseNamesThePlansGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.onStatement(func(v *servers, st cutover.Statement) fate {
			if st.Kind == cutover.RequireSecondary {
				v.elsewhere = true
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(time.Minute)
		var refused int
		r.p.with(func(v *servers) {
			refused, v.elsewhere = v.refused, false
			if v.side[hadr.Source].rsstc != 1 {
				t.Error("RSSTC=0 reached another group")
			}
		})
		if refused == 0 {
			t.Error("RSSTC=0 was never tried")
		}
		r.fire()
		r.close()
	})
}

// TestSourceGoneWhileIdle: nothing runs, the source goes; after settle there is
// a page with the emergency's statement, also in a process that has never seen
// the source.
func TestSourceGoneWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start()
		time.Sleep(time.Minute)
		r.p.set(hadr.Source, func(s *fakeSide) { s.down = true })
		for range 2 {
			time.Sleep(15 * time.Second)
			if ids := r.pageIDs(); len(ids) > 0 {
				t.Errorf("before settle: %v", ids)
			}
			time.Sleep(15 * time.Second)
			s := r.c.Status()
			if len(s.Pages) != 1 || s.Pages[0].ID != "side_gone" || len(s.Pages[0].Statements) != 1 || s.Pages[0].Statements[0].SQL != "-- promote [DAG] OnPremAG AzureAG" {
				t.Errorf("pages %+v; %s", s.Pages, s.Reason)
			}
			if s.PlanHash != "" {
				t.Error("half a plan has a hash that somebody could approve")
			}
			if _, err := r.c.Arm(t.Context(), ArmRequest{Request: Request{By: "anna"}}); err == nil {
				t.Error("armed with the source gone")
			}
			r.close()
			r.start()
		}
		r.p.set(hadr.Source, func(s *fakeSide) { s.down = false })
		time.Sleep(15 * time.Second)
		if ids := r.pageIDs(); len(ids) > 0 || len(r.p.touched()) > 0 {
			t.Errorf("it is back: %v, sent %v", ids, r.p.touched())
		}
		r.close()
	})
}

// TestOldEvidence: a disk that takes long over the intent of S2 lets what S2
// rests on grow old: it is not sent.
func TestOldEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.j = &slowJournal{Journal: r.j, kind: cutover.Demote, by: 3 * time.Second}
		r.start().arm(false).fire()
		defer r.close()
		r.wantOutcome("aborted")
		r.wantState(sourcePrimary)
		if slices.Contains(r.p.statements(), "demote source") {
			t.Error("S2 was sent on what was read 3 s before")
		}
		if !strings.Contains(r.log(), "too old to act on") {
			t.Error(r.log())
		}
	})
}

// slowJournal takes long over an intent whose newest statement is of a kind.
type slowJournal struct {
	journal.Journal
	kind cutover.Kind
	by   time.Duration
}

func (j *slowJournal) Put(run string, i cutover.Intent, e ...journal.Event) error {
	if n := len(i.Sent); n > 0 && i.Sent[n-1].Statement.Kind == j.kind && i.Sent[n-1].Outcome == cutover.SentPending {
		time.Sleep(j.by)
	}
	return j.Journal.Put(run, i, e...)
}

// TestSaidForAnEarlierRun: rollback and takeover that came in the moment in
// which a run ended are not about the next one, whatever the clock says; an older
// build did not write which run it was.
func TestSaidForAnEarlierRun(t *testing.T) {
	for name, said := range map[string]journal.Hold{
		"its run":        {Run: "an earlier one", By: "ben", At: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
		"an older build": {By: "ben"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				_, err := r.j.Update("erp", func(s *journal.State) error {
					if said.At.IsZero() {
						said.At = time.Now()
					}
					s.Rollback, s.TakenOver = &said, &said
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				r.start().arm(false).fire()
				defer r.close()
				r.wantOutcome("done")
			})
		})
	}
}

// TestRunIDLeftBehind: the source goes when the run has been done, so our run
// id stays in its master; it is dropped when the source is back, and nobody
// else's ever is.
func TestRunIDLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.onStatement(func(v *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Promote {
				v.side[hadr.Source].down, v.side[hadr.Source].holder = true, nil
			}
			return fate{lands: true}
		})
		r.start().arm(false).fire()
		defer r.close()
		r.wantOutcome("done")
		left := r.p.left()
		if len(left) != 1 || !strings.HasPrefix(left[0], "mark source ") {
			t.Fatalf("left behind: %v", left)
		}
		r.p.set(hadr.Source, func(s *fakeSide) { s.down = false })
		time.Sleep(3 * time.Minute)
		if left := r.p.left(); len(left) > 0 {
			t.Errorf("still there: %v", left)
		}
		r.p.set(hadr.Source, func(s *fakeSide) { s.marker = "somebody" })
		time.Sleep(3 * time.Minute)
		if left := r.p.left(); !slices.Equal(left, []string{"mark source somebody"}) {
			t.Errorf("somebody's run id: %v", left)
		}
	})
}

// TestLockLostWithoutASign: the session lives and holds the lock no more. It is
// noticed while nobody can write, and the lock taken again before S3.
func TestLockLostWithoutASign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.onStatement(func(v *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Demote {
				v.side[hadr.Target].stolen = true
			}
			return fate{lands: true}
		})
		r.start().arm(false).fire()
		defer r.close()
		r.wantOutcome("done")
		got := r.p.touched()
		again := slices.Index(got[slices.Index(got, "demote source"):], "lock target")
		if again < 0 || again > slices.Index(got[slices.Index(got, "demote source"):], "promote target") {
			t.Errorf("the lock was not taken again before S3: %v", got)
		}
	})
}

// TestDisarmStopsARun: before S2 it goes back at once, RSSTC first.
func TestDisarmStopsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var once sync.Once
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.SetSynchronous {
				once.Do(func() { go func() { _ = r.c.Disarm(context.Background(), Request{By: "ben"}) }() })
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		began := time.Now()
		r.fire()
		defer r.close()
		rep := r.wantOutcome("aborted")
		if rep.GoingBack == nil || !strings.Contains(rep.GoingBack.Reason, "disarmed") || time.Since(began) > 2*time.Minute {
			t.Errorf("after %s: %+v", time.Since(began), rep.GoingBack)
		}
		r.wantState(sourcePrimary)
	})
}

// TestHoldInTheMiddleOfARound: what people say after the round has asked for it
// and before it acts is looked at before the act.
func TestHoldInTheMiddleOfARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var armed guarded[bool]
		r.render = func(k cutover.Kind, group, source, target string) (string, error) {
			armed.with(func(now *bool) {
				if *now { // the loop has asked who holds it, and is about to start
					*now = false
					if err := r.c.Hold(context.Background(), Request{By: "ben"}); err != nil {
						t.Error(err)
					}
				}
			})
			return testRender(k, group, source, target)
		}
		r.start().arm(false)
		defer r.close()
		time.Sleep(10 * time.Second)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		armed.with(func(now *bool) { *now = true })
		time.Sleep(10 * time.Second)
		if runs, _ := r.c.Runs(t.Context()); len(runs) > 0 || len(r.p.touched()) > 0 {
			t.Errorf("%d runs began under a hold, sent %v", len(runs), r.p.touched())
		}
	})
}
