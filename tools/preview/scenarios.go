package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	_ "github.com/microsoft/go-mssqldb" // an ordinary client of the lab

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

const history = 16 * time.Minute

// story is a history that ends in one or more moments to look at.
type story struct {
	name string
	dags []dagOptions
	live func(ctx context.Context, w *world, moment func(name string)) error
}

// moment is one thing to look at, and what has to be seen then.
type moment struct {
	name string
	at   time.Time
}

var (
	erp = []string{"AdventureWorks2022", "ERP_Core", "ERP_Documents", "ERP_Reporting_Archive", "HumanResources", "Warehouse"}
	crm = dagOptions{name: "crm-prod", databases: []string{"CRM"}, mode: model.Sync}
	hr  = dagOptions{name: "hr-archive", databases: []string{"Payroll"}, mode: model.Sync}
)

func fleetOf(names []string, mode model.Mode, log model.LogConfig) []dagOptions {
	return []dagOptions{{name: hero, databases: names, mode: mode, log: log, execute: true}, crm, hr}
}

func many(n int) []string {
	out := append([]string{}, erp...)
	for i := len(out); i < n; i++ {
		out = append(out, fmt.Sprintf("Tenant_%04d", 1000+i))
	}
	return out
}

func stories() []story {
	return []story{
		{"healthy", fleetOf(erp, model.Sync, model.LogConfig{}), func(_ context.Context, w *world, moment func(string)) error {
			c := w.hero()
			errs := []error{c.Load("", 4, 800), w.leap(7 * time.Minute), c.Stop(lab.Target, 0), w.leap(45 * time.Second), c.Start(lab.Target, 0), w.leap(4 * time.Minute), c.Load("", 0, 0), w.present(), w.live(7*time.Second, nil)}
			moment("healthy")
			return errors.Join(errs...)
		}},
		{"behind", fleetOf(many(24), model.Async, model.LogConfig{Size: 256 << 20}), func(_ context.Context, w *world, moment func(string)) error {
			c := w.hero()
			errs := []error{c.Load("", 3, 2000), w.leap(5 * time.Minute), c.Load("ERP_Core", 60, 8000), c.Load("Warehouse", 40, 8000), c.Load("Tenant_1012", 20, 8000), c.Link(8*time.Millisecond, 600_000), w.present(), w.live(7*time.Second, nil)}
			moment("behind")
			return errors.Join(errs...)
		}},
		{"target down", fleetOf(erp, model.Async, model.LogConfig{}), func(_ context.Context, w *world, moment func(string)) error {
			c := w.hero()
			errs := []error{c.Load("", 20, 2000), w.leap(12 * time.Minute), c.Stop(lab.Target, 0), w.present(), w.live(7*time.Second, nil)}
			moment("target down")
			return errors.Join(errs...)
		}},
		{"split", fleetOf(erp, model.Sync, model.LogConfig{}), func(ctx context.Context, w *world, moment func(string)) error {
			c := w.hero()
			errs := []error{c.Load("", 10, 2000), w.leap(13 * time.Minute),
				execute(ctx, w.labs[hero], lab.Target, "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS"), w.present(), w.live(7*time.Second, nil)}
			moment("split")
			return errors.Join(errs...)
		}},
		{"exporter absent", fleetOf(erp, model.Sync, model.LogConfig{}), func(_ context.Context, w *world, moment func(string)) error {
			errs := []error{w.hero().Load("", 2, 800), w.leap(12 * time.Minute)}
			w.exporterGone, w.webhookGone = true, true
			errs = append(errs, w.present(), w.live(7*time.Second, nil))
			moment("exporter absent")
			return errors.Join(errs...)
		}},
		{"cutover", fleetOf(erp, model.Async, model.LogConfig{}), cutover},
	}
}

// cutover is a real run of the engine. The target's failover is late, so that
// there is time to look while no side takes writes.
func cutover(ctx context.Context, w *world, moment func(string)) error {
	c := w.hero()
	if err := errors.Join(c.Load("", 40, 2000), w.leap(10*time.Minute), w.present(), w.live(7*time.Second, nil)); err != nil {
		return err
	}
	if _, err := c.Fault(lab.Fault{Side: "target", Class: "s3", Late: lab.Duration(24 * time.Second)}); err != nil {
		return err
	}
	api, ok := w.fleet.Get(hero)
	if !ok {
		return errors.New("the engine has no " + hero)
	}
	if _, err := api.Arm(ctx, runner.ArmRequest{Request: runner.Request{By: "ops"}}); err != nil {
		return err
	}
	lease := func() { api.LeaseSeen(runner.Alert{Name: "DAGNearConvergence", Firing: true}, time.Now()) }
	lease()
	var promoted time.Time
	if err := w.live(60*time.Second, func() bool {
		if s := api.Status(); promoted.IsZero() && s.Phase == "promote" {
			promoted = time.Now()
		}
		return !promoted.IsZero() && time.Since(promoted) > 16*time.Second
	}); err != nil {
		return err
	}
	s := api.Status()
	if s.Phase != "promote" {
		closed := ""
		for _, g := range s.Gates {
			if g.State != runner.GateOpen {
				closed += fmt.Sprintf("\n  %s %s: %s", g.Name, g.State, g.Reason)
			}
		}
		return fmt.Errorf("the run is in %s and not in promote: %s%s", s.Phase, s.Reason, closed)
	}
	moment("mid-cutover")
	if err := w.live(60*time.Second, func() bool { p := api.Status().Phase; return p == "watch" || p == "ended" || p == "idle" }); err != nil {
		return err
	}
	if err := w.live(17*time.Second, nil); err != nil {
		return err
	}
	moment("failed over")
	return nil
}

func execute(ctx context.Context, l *lab.Lab, side lab.Side, statement string) error {
	db, err := sql.Open("sqlserver", l.DSN(side))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}
