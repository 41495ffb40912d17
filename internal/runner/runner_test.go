package runner

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Controller over two servers in memory.
type rig struct {
	t   *testing.T
	p   *pair
	h   *fakeHooks
	j   journal.Journal
	dag config.DAG
	c   *Controller

	render   cutover.Render                                                                      // nil: testRender
	decide   func(cutover.Plan, cutover.Intent, cutover.Observation, time.Time) cutover.Decision // nil: cutover.Decide
	untraced bool                                                                                // its rounds are not held against the model
	steps    guarded[map[string][]cutover.TraceStep]                                             // by run, over every process of this rig
}

func testDAG() config.DAG {
	none := 0
	hook := config.Hook{Command: []string{"/bin/true"}}
	return config.DAG{
		Name: "erp", Group: "DAG", Source: config.Side{AG: "OnPremAG"}, Target: config.Side{AG: "AzureAG"},
		Databases: []string{"db001", "db002"},
		Cutover: config.Cutover{Mode: "execute", StartAt: "near", Approvals: &none,
			Settle: config.Duration(20 * time.Second), SplitWatch: config.Duration(time.Minute),
			Hooks: config.Hooks{Quiesce: hook, Unquiesce: hook, Repoint: hook}},
	}
}

func newRig(t *testing.T) *rig {
	p := newPair(2)
	return &rig{t: t, p: p, h: newHooksFor(p), j: journal.NewMemory(), dag: testDAG()}
}

// start makes a Controller over what is there, as a new process would.
func (r *rig) start() *rig {
	r.t.Helper()
	return r.startWith(r.p.server(hadr.Source), r.p.server(hadr.Target))
}

func (r *rig) startWith(source, target Server) *rig {
	r.t.Helper()
	r.open(source, target)
	if err := r.c.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func (r *rig) open(source, target Server) {
	r.t.Helper()
	render := r.render
	if render == nil {
		render = testRender
	}
	c, err := New(Options{DAG: r.dag, Source: source, Target: target, Journal: r.j, Render: render, decide: r.decide, hooks: r.h, trace: r.keep})
	if err != nil {
		r.t.Fatal(err)
	}
	r.c = c
}

func (r *rig) keep(s cutover.TraceStep) {
	if r.untraced {
		return
	}
	r.steps.with(func(m *map[string][]cutover.TraceStep) {
		if *m == nil {
			*m = map[string][]cutover.TraceStep{}
		}
		(*m)[s.Before.Run] = append((*m)[s.Before.Run], s)
	})
}

// checkTraces holds every run that has ended against the model.
func (r *rig) checkTraces() {
	r.t.Helper()
	r.steps.with(func(m *map[string][]cutover.TraceStep) {
		for run, steps := range *m {
			rec, err := r.j.Load(run)
			if err != nil {
				r.t.Error(err)
				continue
			}
			plan, err := decodePlan(rec.Run)
			if err != nil || rec.Run.Ended.IsZero() || rec.Run.Outcome == string(cutover.OutcomeClosed) {
				continue
			}
			if bad := cutover.CheckTrace(plan, steps, false); len(bad) > 0 {
				r.t.Errorf("the trace of %s, %d rounds:\n%s", run, len(steps), strings.Join(bad, "\n"))
			}
		}
	})
}

func (r *rig) arm(drill bool) *rig {
	r.t.Helper()
	if _, err := r.c.Arm(r.t.Context(), ArmRequest{Request: Request{By: "anna", Reason: "tonight"}, Drill: drill}); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// fire lets the alert fire, every 15 seconds until the run has ended, and
// writes all the time.
func (r *rig) fire() *rig { r.t.Helper(); return r.fireFor(10 * time.Minute) }

func (r *rig) fireFor(limit time.Duration) *rig {
	r.t.Helper()
	end := time.Now().Add(limit)
	for n := 0; time.Now().Before(end); n++ {
		if n%30 == 0 {
			r.c.LeaseSeen(Alert{Name: "DAGNearConvergence", Firing: true}, time.Now())
		}
		r.p.write()
		time.Sleep(500 * time.Millisecond)
		if s := r.c.Status(); s.Run == "" && s.LastRun != "" {
			return r
		}
	}
	s := r.c.Status()
	r.c.Kill() // or closing would wait for the same end
	r.t.Fatalf("the run did not end in %s: phase %s, run %q: %s\nsent: %v", limit, s.Phase, s.Run, s.Reason, r.p.touched())
	return r
}

// killedAfter starts a run, kills the process once the statement was sent, and
// leaves an unfinished run in the journal.
func (r *rig) killedAfter(statement string) *rig {
	r.t.Helper()
	r.start().arm(false)
	r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
	for !slices.Contains(r.p.statements(), statement) {
		time.Sleep(time.Millisecond)
	}
	r.p.kill()
	r.c.Kill()
	r.p.revive()
	return r
}

func (r *rig) close() {
	r.t.Helper()
	late := time.AfterFunc(10*time.Minute, func() {
		r.t.Error("Close did not come to an end")
		r.c.Kill()
	})
	defer late.Stop()
	if err := r.c.Close(); err != nil {
		r.t.Error(err)
	}
	r.checkTraces()
}

func (r *rig) wantState(want string) {
	r.t.Helper()
	if got := r.p.state(); got != want {
		r.t.Errorf("servers: %s; want %s", got, want)
	}
	if w := r.p.wrong(); len(w) > 0 {
		r.t.Errorf("%v", w)
	}
}

func (r *rig) wantOutcome(want string) *Report {
	r.t.Helper()
	rep, err := r.c.Report(r.t.Context(), "latest")
	if err != nil {
		r.t.Fatal(err)
	}
	if string(rep.Outcome) != want {
		r.t.Errorf("outcome %q, want %q; %s", rep.Outcome, want, r.log())
	}
	return rep
}

func (r *rig) log() string {
	runs, _ := r.j.Runs("erp")
	if len(runs) == 0 {
		return "no run"
	}
	rec, err := r.j.Load(runs[0].ID)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, e := range rec.Events {
		b.WriteString(e.At.Format("15:04:05.000 ") + e.Kind + " " + e.Text + "\n")
	}
	return b.String()
}

const (
	targetPrimary = "source secondary rsstc 0, target primary rsstc 0"
	sourcePrimary = "source primary rsstc 0, target secondary rsstc 0"
)

// cutoverStatements is the order of design.md.
var cutoverStatements = []string{"set_synchronous source", "set_synchronous target", "require_secondary source", "demote source", "promote target", "release_secondary source"}

func TestWholeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start().arm(false).fire()
		defer r.close()
		r.wantState(targetPrimary)
		if got := r.p.statements(); !slices.Equal(got, cutoverStatements) {
			t.Errorf("statements %v, want %v", got, cutoverStatements)
		}
		if got := r.h.names(); !slices.Equal(got, []string{"quiesce", "repoint"}) {
			t.Errorf("hooks %v", got)
		}
		if e := r.h.env(); e["DAG_NAME"] != "erp" || e["DAG_RUN"] == "" || e["DAG_DATABASES"] != "db001,db002" {
			t.Errorf("environment of the hook: %v", e)
		}
		if left := r.p.left(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		rep := r.wantOutcome("done")
		if rep.Arming == nil || rep.Arming.By != "anna" || rep.Proof == nil || len(rep.Proof.Rows) != 2 || rep.WriteUnavailable <= 0 || rep.WriteUnavailable > 10 || len(rep.Verdicts) != 3 || rep.StartedBy != "alert DAGNearConvergence" {
			t.Errorf("report: %+v", rep)
		}
		for _, s := range rep.Statements {
			if s.Outcome != "accepted" || s.Sent.IsZero() || s.Returned.IsZero() || s.SQL == "" {
				t.Errorf("statement %+v", s)
			}
		}
		var b bytes.Buffer
		if err := rep.Markdown(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"# Cutover of erp: done", "anna", rep.PlanHash, rep.Proof.Hash, "-- demote [DAG] OnPremAG AzureAG", "db002", "acknowledge the run", "## Gates: all gates before promote"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the Markdown lacks %q", want)
			}
		}
		if s := r.c.Status(); s.LastOutcome != "done" || !s.Unacknowledged || s.WriteUnavailable <= 0 || s.Convergence != "failed_over" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestNothingStartsBySideEffect(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(r *rig)
		gate    string
	}{
		"not armed": {func(r *rig) { r.start() }, "armed"},
		"held": {func(r *rig) {
			r.start().arm(false)
			if err := r.c.Hold(r.t.Context(), Request{By: "ben"}); err != nil {
				r.t.Error(err)
			}
		}, "held"},
		"disarmed": {func(r *rig) {
			r.start().arm(false)
			if err := r.c.Disarm(r.t.Context(), Request{By: "ben"}); err != nil {
				r.t.Error(err)
			}
		}, "armed"},
		"authentication gone": {func(r *rig) { r.start().arm(false); r.c.DisarmAll("web config gone") }, "armed"},
		"not approved":        {func(r *rig) { r.dag.Cutover.Approvals = nil; r.start().arm(false) }, "approvals"},
		"checklist":           {func(r *rig) { r.dag.Cutover.Checklist = []string{"DNS"}; r.start().arm(false) }, "checklist"},
		"window":              {func(r *rig) { r.dag.Cutover.NotBefore = time.Now().Add(time.Hour); r.start().arm(false) }, "window"},
		"somebody's lock id": {func(r *rig) {
			r.start().arm(false)
			r.p.set(hadr.Target, func(s *fakeSide) { s.marker = "other" })
		}, "other_run"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				c.prepare(r)
				defer r.close()
				for range 4 {
					r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
					time.Sleep(15 * time.Second)
				}
				if sent := r.p.touched(); len(sent) > 0 {
					t.Errorf("sent %v", sent)
				}
				closed := ""
				for _, g := range r.c.Status().Gates {
					if g.State != GateOpen && g.Name != "quiet" && g.Name != "drained" {
						closed += g.Name + " "
					}
				}
				if closed != c.gate+" " {
					t.Errorf("closed gates: %s; want %s", closed, c.gate)
				}
			})
		})
	}
}

func TestNoAlertNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start().arm(false)
		defer r.close()
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now().Add(-time.Hour)) // a lease long over
		time.Sleep(2 * time.Minute)
		r.c.LeaseSeen(Alert{Name: "A"}, time.Now())
		time.Sleep(time.Minute)
		if sent := r.p.touched(); len(sent) > 0 {
			t.Errorf("sent %v", sent)
		}
	})
}

func TestDryRunTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.dag.Cutover.Mode = "dry_run"
		r.start().arm(false).fire()
		defer r.close()
		if len(r.p.touched()) > 0 || len(r.h.names()) > 0 {
			t.Errorf("a dry run sent %v, ran %v", r.p.touched(), r.h.names())
		}
		r.wantState(sourcePrimary)
		rep := r.wantOutcome("rehearsed")
		var would []string
		for _, s := range rep.Statements {
			would = append(would, s.Kind+" "+s.Side)
		}
		if !slices.Equal(would, cutoverStatements) {
			t.Errorf("it would have sent %v, want %v", would, cutoverStatements)
		}
		if s := r.c.Status(); s.Unacknowledged || s.Convergence == "failed_over" {
			t.Errorf("after a dry run: %+v", s)
		}
		r.arm(false) // it may be done again at once
	})
}

func TestDrillMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start().arm(true)
		defer r.close()
		if _, err := r.c.Run(t.Context(), Request{By: "anna"}); err == nil {
			t.Error("armed for a drill, and a cutover could be started")
		}
		run, err := r.c.Drill(t.Context(), Request{By: "anna"})
		if err != nil {
			t.Fatal(err)
		}
		r.fire()
		r.wantState(sourcePrimary)
		rep := r.wantOutcome("drilled")
		if rep.Run != run || rep.Kind != KindDrill || rep.StartedBy != "run by anna" || rep.WriteUnavailable <= 0 {
			t.Errorf("report %+v", rep)
		}
		if slices.Contains(r.p.statements(), "promote target") {
			t.Error("a drill sent S3 to the target")
		}
		wantUnconfirmed(t, r, rep)
		if !slices.Equal(r.h.names(), []string{"quiesce", "unquiesce"}) {
			t.Errorf("hooks %v", r.h.names())
		}
	})
}

// wantUnconfirmed: a drill says, before it touches anything, which of its steps
// rest on what nobody documents, and its report keeps it.
func wantUnconfirmed(t *testing.T, r *rig, rep *Report) {
	t.Helper()
	rec, err := r.j.Load(rep.Run)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := decodePlan(rec.Run)
	if err != nil {
		t.Fatal(err)
	}
	want := plan.Unconfirmed()
	if len(want) == 0 || !slices.Equal(rep.Unconfirmed, want) {
		t.Errorf("the report has %v, want %v", rep.Unconfirmed, want)
	}
	var b bytes.Buffer
	if err := rep.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	said := slices.IndexFunc(rec.Events, func(e journal.Event) bool { return e.Kind == "unconfirmed" })
	touched := slices.IndexFunc(rec.Events, func(e journal.Event) bool { return e.Kind == "lock" })
	if said < 0 || touched < said {
		t.Fatalf("said in event %d, the first lock is in event %d", said, touched)
	}
	for _, u := range want {
		if !strings.Contains(rec.Events[said].Text, u.Step+": "+u.Text) || !strings.Contains(b.String(), "| "+u.Step+" | "+u.Text+" |") {
			t.Errorf("not said: %v", u)
		}
	}
	if strings.Contains(b.String(), "by run by") {
		t.Error("by run by")
	}
	res, err := r.c.Plan(t.Context(), true)
	if err != nil || !slices.Equal(res.Unconfirmed, want) {
		t.Errorf("the plan has %v (%v)", res.Unconfirmed, err)
	}
}

func TestOneArmingOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.h.fail("quiesce", errors.New("exit status 1"))
		r.start().arm(false).fire()
		defer r.close()
		r.wantOutcome("aborted")
		r.wantState(sourcePrimary)
		if ran := r.h.names(); slices.Contains(r.p.statements(), "demote source") || ran[len(ran)-1] != "unquiesce" {
			t.Errorf("after a failed quiesce: %v, hooks %v", r.p.touched(), ran)
		}
		if err := r.c.Acknowledge(t.Context(), Request{By: "anna"}); err != nil {
			t.Error(err)
		}
		n := len(r.p.statements())
		for range 8 {
			r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
			time.Sleep(15 * time.Second)
		}
		if _, err := r.c.Run(t.Context(), Request{By: "anna"}); err == nil {
			t.Error("a spent arming started a run")
		}
		if got := r.p.statements(); len(got) != n {
			t.Errorf("a spent arming sent %v", got[n:])
		}
		if runs, _ := r.c.Runs(t.Context()); len(runs) != 1 {
			t.Errorf("%d runs", len(runs))
		}
	})
}

func TestHoldAfterS2IsAWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Demote {
				go func() { _ = r.c.Hold(context.Background(), Request{By: "ben", Reason: "wait"}) }()
			}
			return fate{lands: true}
		})
		r.start().arm(false).fire()
		defer r.close()
		rep := r.wantOutcome("rolled_back")
		r.wantState(sourcePrimary)
		if rep.WriteUnavailable < 59 || rep.WriteUnavailable > 70 {
			t.Errorf("the hold was to stop S3 until the bound of 60 s, it took %v s", rep.WriteUnavailable)
		}
		if slices.Contains(r.p.statements(), "promote target") {
			t.Error("S3 was sent while held")
		}
	})
}

func TestRollbackAfterS2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.onStatement(func(v *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Demote {
				v.stuckTarget = true // the proof cannot be had
				v.side[hadr.Source].log++
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		defer r.close()
		if err := r.c.Rollback(t.Context(), Request{By: "ben"}); err == nil {
			t.Error("rollback without a run")
		}
		go func() {
			time.Sleep(10 * time.Second)
			if err := r.c.Rollback(context.Background(), Request{By: "ben", Reason: "enough"}); err != nil {
				t.Error(err)
			}
		}()
		r.fire()
		rep := r.wantOutcome("rolled_back")
		r.wantState(sourcePrimary)
		if rep.GoingBack == nil || !strings.Contains(rep.GoingBack.Reason, "ben") {
			t.Errorf("going back: %+v", rep.GoingBack)
		}
	})
}

func TestRollbackIsRefusedAfterS3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Promote {
				return fate{lands: true, later: 5 * time.Second, lost: true}
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		defer r.close()
		refused := make(chan error, 1)
		go func() {
			for !slices.Contains(r.p.statements(), "promote target") {
				time.Sleep(100 * time.Millisecond)
			}
			refused <- r.c.Rollback(context.Background(), Request{By: "ben"})
		}()
		r.fire()
		if _, ok := AsRefused(<-refused); !ok {
			t.Error("rollback was taken after S3 was journalled")
		}
		r.wantOutcome("done")
		r.wantState(targetPrimary)
	})
}

// TestShutdown: before S2 the run is wound down, RSSTC first; after S2 it is
// brought to its end.
func TestShutdown(t *testing.T) {
	for name, c := range map[string]struct {
		at      string
		outcome string
		state   string
	}{
		"after S1":      {"set_synchronous target", "aborted", sourcePrimary},
		"after RSSTC=1": {"require_secondary source", "aborted", sourcePrimary},
		"after S2":      {"demote source", "done", targetPrimary},
		"after S3":      {"promote target", "done", targetPrimary},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t).start().arm(false)
				r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
				for !slices.Contains(r.p.statements(), c.at) {
					time.Sleep(time.Millisecond)
				}
				r.close()
				r.wantOutcome(c.outcome)
				r.wantState(c.state)
				got := r.p.statements()
				if i := slices.Index(got, "require_secondary source"); i >= 0 && c.outcome == "aborted" && !slices.Equal(got[i+1:min(i+2, len(got))], []string{"release_secondary source"}) {
					t.Errorf("RSSTC=0 was not the first thing: %v", got)
				}
			})
		})
	}
}
