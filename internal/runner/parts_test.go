package runner

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		err  error
		want cutover.Answer
	}{
		{nil, cutover.AnswerAccepted},
		{errors.New("anything"), cutover.AnswerUnknown},
		{context.DeadlineExceeded, cutover.AnswerUnknown},
		{&sqlserver.Error{Class: sqlserver.ClassUnknown}, cutover.AnswerUnknown},
		{&sqlserver.Error{Class: sqlserver.ClassLatched}, cutover.AnswerUnknown},
		{&sqlserver.Error{}, cutover.AnswerUnknown},
		{&sqlserver.Error{Class: sqlserver.ClassGuardRefused}, cutover.AnswerGuardRefused},
		{&sqlserver.Error{Class: sqlserver.ClassNotSent}, cutover.AnswerBusy},
		{&sqlserver.Error{Class: sqlserver.ClassPermission}, cutover.AnswerRefused},
		{&sqlserver.Error{Class: sqlserver.ClassWrongSide}, cutover.AnswerRefused},
	} {
		if got := answer(c.err); got != c.want {
			t.Errorf("answer(%v) = %q, want %q", c.err, got, c.want)
		}
	}
	// Whatever sqlserver does not call surely undone stays unknown.
	for _, class := range []sqlserver.Class{sqlserver.ClassRetry, sqlserver.ClassLatched, sqlserver.ClassLink, sqlserver.ClassQuorum, sqlserver.ClassAccess} {
		e := &sqlserver.Error{Class: class}
		if got := answer(e); !e.SurelyNothingDone() && got != cutover.AnswerUnknown {
			t.Errorf("answer(%s) = %q", class, got)
		}
	}
}

func TestHooks(t *testing.T) {
	const secret = "S3cr3t-Pw!"
	h := newHooks(func() []string { return []string{secret} })
	env := map[string]string{"DAG_HOOK": "quiesce", "DAG_RUN": "r1"}
	sh := func(script string) config.Hook { return config.Hook{Command: []string{"/bin/sh", "-c", script}} }

	out, err := h.Run(t.Context(), sh(`echo "$DAG_HOOK $DAG_RUN `+secret+` pwd=abc123 sqlserver://sa:xyz@h"; echo err >&2`), env)
	if err != nil || !strings.HasPrefix(out, "quiesce r1 <secret> pwd=<secret> sqlserver://sa:<secret>@h") || !strings.HasSuffix(out, "err") {
		t.Errorf("out %q, %v", out, err)
	}
	// What a DSN was made from is not handed on; the output hides it anyway, so
	// the hook counts.
	t.Setenv("ERP_PASSWORD", secret)
	t.Setenv("ERP_DSN", "sqlserver://sa:"+secret+"@h?encrypt=strict")
	t.Setenv("APP_TOKEN", "its-own-business")
	if out, err := h.Run(t.Context(), sh(`echo "${ERP_PASSWORD-none} ${ERP_DSN-none} ${#APP_TOKEN} ${#PATH}"`), env); err != nil || !strings.HasPrefix(out, "none none 16 ") || strings.HasSuffix(out, " 0") {
		t.Errorf("the hook's environment: %q, %v", out, err)
	}
	if _, err := h.Run(t.Context(), sh("exit 3"), env); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("exit 3: %v", err)
	}
	if _, err := h.Run(t.Context(), config.Hook{Command: []string{"/no/such/" + secret}}, env); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("no such command: %v", err)
	}
	out, err = h.Run(t.Context(), sh("i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done; echo the end"), env)
	if err != nil || len(out) > hookOutput+10 || !strings.HasSuffix(out, "the end") || !strings.HasPrefix(out, "…") {
		t.Errorf("long output: %d bytes, %v", len(out), err)
	}
	// A grandchild that holds the output open must neither outlive the hook's
	// time nor keep us waiting.
	began := time.Now()
	slow := sh("sleep 60 & sleep 60")
	slow.Timeout = config.Duration(100 * time.Millisecond)
	if _, err := h.Run(t.Context(), slow, env); err == nil || !strings.Contains(err.Error(), "did not end within") {
		t.Errorf("a hook that hangs: %v", err)
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("a hook that hangs held us for %s", d)
	}
}

func TestHookURL(t *testing.T) {
	var got map[string]string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(b, &got)
		switch r.URL.Path {
		case "/no":
			w.WriteHeader(http.StatusConflict)
		case "/away":
			http.Redirect(w, r, "/yes", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "said")
	}))
	defer srv.Close()
	h := newHooks(func() []string { return nil })
	hook := func(path string) config.Hook { return config.Hook{URL: config.Secret(srv.URL + path)} }
	if out, err := h.Run(t.Context(), hook("/yes?token=abcdef"), map[string]string{"DAG_RUN": "r1"}); err != nil || out != "said" || got["DAG_RUN"] != "r1" {
		t.Errorf("%q, %v, %v", out, err, got)
	}
	for _, p := range []string{"/no", "/away"} {
		if _, err := h.Run(t.Context(), hook(p), nil); err == nil {
			t.Errorf("%s was taken for success", p)
		}
	}
	url := srv.URL + "/gone?token=abcdef"
	srv.Close()
	if _, err := h.Run(t.Context(), config.Hook{URL: config.Secret(url)}, nil); err == nil || strings.Contains(err.Error(), "abcdef") {
		t.Errorf("a dead URL: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start()
		f := NewFleet(r.c)
		lint, err := testutil.CollectAndLint(f)
		if err != nil || len(lint) > 0 {
			t.Errorf("lint: %v, %v", lint, err)
		}
		before := testutil.CollectAndCount(f)
		f.HeartbeatSeen(time.Now())
		f.CountAlert("", AlertMalformed)
		f.CountAlert("erp", AlertIgnored)
		r.arm(false).fire()
		want := `
# HELP mssql_dag_cutover_runs_total Runs in execute mode that ended, by outcome, as the journal holds them.
# TYPE mssql_dag_cutover_runs_total counter
mssql_dag_cutover_runs_total{dag="erp",outcome="aborted"} 0
mssql_dag_cutover_runs_total{dag="erp",outcome="closed"} 0
mssql_dag_cutover_runs_total{dag="erp",outcome="done"} 1
mssql_dag_cutover_runs_total{dag="erp",outcome="drilled"} 0
mssql_dag_cutover_runs_total{dag="erp",outcome="interrupted"} 0
mssql_dag_cutover_runs_total{dag="erp",outcome="rehearsed"} 0
mssql_dag_cutover_runs_total{dag="erp",outcome="rolled_back"} 0
`
		if err := testutil.CollectAndCompare(f, strings.NewReader(want), "mssql_dag_cutover_runs_total"); err != nil {
			t.Error(err)
		}
		// Everything but the two measured times was there from the start.
		if after := testutil.CollectAndCount(f); after < before || after > before+2 {
			t.Errorf("%d series before, %d after a run", before, after)
		}
		budget := `
# HELP mssql_dag_cutover_max_write_unavailable_seconds The outage budget: how long no side may take writes before the way back begins (max_write_unavailable).
# TYPE mssql_dag_cutover_max_write_unavailable_seconds gauge
mssql_dag_cutover_max_write_unavailable_seconds{dag="erp"} 60
`
		if err := testutil.CollectAndCompare(f, strings.NewReader(budget), "mssql_dag_cutover_max_write_unavailable_seconds"); err != nil {
			t.Error(err)
		}
		if n := testutil.CollectAndCount(f, "mssql_dag_cutover_statement_duration_seconds"); n != len(statementSeries) {
			t.Errorf("%d series of statements", n)
		}
		for _, s := range r.wantOutcome("done").Statements {
			if s.Kind == "demote" && s.Effect.Sub(s.Sent) <= 0 {
				t.Errorf("S2 took no time: %+v", s)
			}
		}
		r.close()
		// A restart counts what the journal holds.
		r.start()
		defer r.close()
		if err := testutil.CollectAndCompare(NewFleet(r.c), strings.NewReader(want), "mssql_dag_cutover_runs_total"); err != nil {
			t.Error("after a restart:", err)
		}
	})
}

func TestApprovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.dag.Cutover.Approvals = nil // one
		r.start()
		defer r.close()
		ctx := t.Context()
		plan, err := r.c.Plan(ctx, false)
		if err != nil || len(plan.Statements) == 0 || len(plan.Steps) < 12 {
			t.Fatalf("%+v, %v", plan, err)
		}
		if _, err := r.c.Arm(ctx, ArmRequest{Request: Request{By: "anna"}, PlanHash: "0000"}); err == nil {
			t.Error("armed a plan that is not the plan")
		}
		if _, err := r.c.Arm(ctx, ArmRequest{PlanHash: plan.Hash}); err == nil {
			t.Error("armed by nobody")
		}
		r.arm(false)
		no := func(by, hash, what string) {
			_, err := r.c.Approve(ctx, ApproveRequest{Request: Request{By: by}, PlanHash: hash})
			if _, ok := AsRefused(err); !ok {
				t.Errorf("%s: %v", what, err)
			}
		}
		no("anna", plan.Hash, "the armer approved")
		no("lead", "0000", "another plan was approved")
		no("lead", "", "no plan was approved")
		if _, err := r.c.Approve(ctx, ApproveRequest{Request: Request{By: "lead", Reason: "CHG-1"}, PlanHash: plan.Hash}); err != nil {
			t.Fatal(err)
		}
		r.fire()
		rep := r.wantOutcome("done")
		if len(rep.Approvals) != 1 || rep.Approvals[0].By != "lead" || rep.Approvals[0].Reason != "CHG-1" || rep.Approvals[0].PlanHash != plan.Hash {
			t.Errorf("approvals %+v", rep.Approvals)
		}
		// Both were for this run alone.
		if s := r.c.Status(); len(s.Approvals) > 0 || s.Arming == nil || s.Arming.Spent != rep.Run {
			t.Errorf("left over: %+v %+v", s.Approvals, s.Arming)
		}
		if _, err := r.c.Arm(ctx, ArmRequest{Request: Request{By: "anna"}}); err == nil {
			t.Error("armed before the last run was acknowledged")
		}
	})
}

func TestEventsCarryTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start()
		events, cancel := r.c.Subscribe()
		slow, cancelSlow := r.c.Subscribe() // never read until the end
		defer cancelSlow()
		seen := map[string]bool{}
		var last Event
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range events {
				if e.Status.DAG != "erp" || e.Sequence < last.Sequence {
					t.Errorf("event %+v", e)
				}
				seen[e.Kind], last = true, e
			}
		}()
		r.arm(false).fire()
		r.close()
		<-done
		cancel() // after the end: does nothing
		for _, kind := range []string{"arm", "lease", "run", "phase", "verdict", "statement", "hook", "proof", "outcome", "reading"} {
			if !seen[kind] {
				t.Errorf("no event %q", kind)
			}
		}
		n := 0
		for e := range slow {
			n, last = n+1, e
		}
		if n > hubBuffer || last.Status.LastOutcome != "done" {
			t.Errorf("the slow reader got %d events, the newest with %q", n, last.Status.LastOutcome)
		}
	})
}

func TestSplitIsFoundAfterTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start().arm(false).fire()
		defer r.close()
		time.Sleep(5 * time.Second)
		r.p.set(hadr.Source, func(s *fakeSide) { s.role = hadr.RolePrimary }) // somebody forces the old primary
		time.Sleep(3 * time.Second)
		s := r.c.Status()
		if len(s.Pages) == 0 || !strings.Contains(s.Pages[0].Text, "both read PRIMARY") {
			t.Errorf("pages %+v", s.Pages)
		}
		if !strings.Contains(r.log(), "both read PRIMARY") {
			t.Error("the report of the run does not know it")
		}
	})
}

func TestBothSecondaryWithoutRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.set(hadr.Source, func(s *fakeSide) { s.role = hadr.RoleSecondary })
		r.start()
		defer r.close()
		time.Sleep(time.Minute)
		s := r.c.Status()
		if len(s.Pages) != 1 || len(s.Pages[0].Statements) != 3 || len(r.p.touched()) > 0 {
			t.Errorf("pages %+v, sent %v", s.Pages, r.p.touched())
		}
		if _, err := r.c.Arm(t.Context(), ArmRequest{Request: Request{By: "anna"}}); err == nil {
			t.Error("armed with nobody PRIMARY")
		}
	})
}
