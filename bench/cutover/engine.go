package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// engine runs the product's own engine in this process: every gate, both
// locks, a journal on disk, hooks over HTTP, the waits of an empty
// configuration. What it is asked to leave out lies before and after the
// measurement: long pauses while nothing is armed, and the split watch.
func engine(ctx context.Context, p *pair) (marks, error) {
	var m marks
	dir, err := os.MkdirTemp("", "cutover-bench-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	j, err := journal.Open(dir)
	if err != nil {
		return m, err
	}
	defer j.Close()                  //nolint:errcheck // as above
	pause(ctx, 300*time.Millisecond) // rows come in meanwhile
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var env map[string]string
		err := json.NewDecoder(r.Body).Decode(&env)
		if err == nil && env["DAG_HOOK"] == string(cutover.HookQuiesce) {
			p.quiesce()
			err = p.try(context.WithoutCancel(ctx))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	defer hooks.Close()
	none := 0
	hook := config.Hook{URL: config.Secret(hooks.URL)}
	dag := config.DAG{
		Name: "bench", Group: "DAG", Databases: []string{"db001", "db002", "db003"},
		Source: config.Side{AG: "OnPremAG", Instances: []config.Secret{config.Secret(p.lab.DSN(lab.Source))}},
		Target: config.Side{AG: "AzureAG", Instances: []config.Secret{config.Secret(p.lab.DSN(lab.Target))}},
		Cutover: config.Cutover{Mode: "execute", StartAt: "near", Approvals: &none, SplitWatch: config.Duration(time.Second),
			Hooks: config.Hooks{Quiesce: hook, Unquiesce: hook}},
	}
	var servers [2]runner.Server
	for i, side := range []hadr.Side{hadr.Source, hadr.Target} {
		s, err := runner.OpenSide(dag, side, nil)
		if err != nil {
			return m, err
		}
		defer s.Close() //nolint:errcheck // as above
		servers[i] = p.trace.wrap(s, side)
	}
	c, err := runner.New(runner.Options{DAG: dag, Source: servers[0], Target: servers[1], Journal: j, IdlePoll: 250 * time.Millisecond})
	if err != nil {
		return m, err
	}
	if err := c.Start(ctx); err != nil {
		return m, err
	}
	defer c.Close() //nolint:errcheck // as above
	if _, err := c.Arm(ctx, runner.ArmRequest{Request: runner.Request{By: "bench"}}); err != nil {
		return m, err
	}
	var said time.Time
	for {
		if time.Since(said) > 10*time.Second { // as Alertmanager repeats it
			said = time.Now()
			c.LeaseSeen(runner.Alert{Name: "DAGNearConvergence", Firing: true}, said)
			c.HeartbeatSeen(said)
		}
		s := c.Status()
		if s.Run == "" && s.LastRun != "" {
			break
		}
		if ctx.Err() != nil {
			why := s.Reason
			for _, g := range s.Gates {
				if g.State != runner.GateOpen {
					why += fmt.Sprintf("; %s %s: %s", g.Name, g.State, g.Reason)
				}
			}
			c.Kill()
			return m, fmt.Errorf("the run did not end: phase %s: %s: %w", s.Phase, why, ctx.Err())
		}
		pause(ctx, 100*time.Millisecond)
	}
	rep, err := c.Report(ctx, "")
	if err != nil {
		return m, err
	}
	if rep.Outcome != runner.Outcome(cutover.OutcomeDone) {
		return m, fmt.Errorf("the run ended as %s: %s", rep.Outcome, rep.Summary)
	}
	for _, st := range rep.Statements {
		switch cutover.Kind(st.Kind) {
		case cutover.Demote:
			m.s2 = st.Sent
		case cutover.Promote:
			m.s3 = st.Sent
		}
	}
	for _, ph := range rep.Phases {
		if ph.Phase == string(cutover.PhaseProve) {
			m.demoted = ph.At
		}
	}
	if m.s2.IsZero() || m.s3.IsZero() || m.demoted.IsZero() {
		return m, errors.New("the report does not say when S2 and S3 were sent")
	}
	if m.writable, err = p.written(ctx); err == nil {
		p.trace.show(m)
	}
	return m, err
}
