package conform

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	_ "github.com/microsoft/go-mssqldb" // the driver

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// Reference observes the model in the shape that the servers show: versions, number of replicas, commit modes, cluster type, who is
// primary. It gives one observation for each server, in their order.
func Reference(ctx context.Context, servers []*Observation) ([]*Observation, error) {
	sides := place(servers)
	cfg := model.Config{Timing: model.Timing{Background: -1}, Databases: []string{"db001"}}
	for s := range cfg.Sides {
		from := servers[0]
		for i, at := range sides {
			if at.side == model.Side(s) {
				from = servers[i]
			}
		}
		from.shape(&cfg, s)
	}
	if servers[0].modes() == "SYNCHRONOUS_COMMIT" && servers[len(servers)-1].modes() == "SYNCHRONOUS_COMMIT" {
		cfg.DAGMode = model.Sync
	}
	clock := lab.NewVirtualClock(time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC))
	l, err := lab.New(lab.Options{Model: cfg, Clock: clock})
	if err != nil {
		return nil, fmt.Errorf("the model has no such shape: %w", err)
	}
	if err := l.Start(ctx); err != nil {
		return nil, err
	}
	defer l.Close()
	pass := func() error { // time, for what has to travel
		for range 40 {
			clock.Advance(100 * time.Millisecond)
			if _, err := l.Control().Roles(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := pass(); err != nil {
		return nil, err
	}
	if demoted(servers) {
		if err := l.Control().Execute(model.Source, model.Statement{Verb: model.SetRole, Group: "DAG"}); err != nil {
			return nil, err
		}
	}
	if err := l.Control().Checkpoint(model.Source, 0, "db001"); err != nil && !demoted(servers) {
		return nil, err
	}
	if err := pass(); err != nil {
		return nil, err
	}
	var out []*Observation
	for i := range servers {
		db, err := sql.Open("sqlserver", l.DSNFor(l.AddressOf(sides[i].side, sides[i].instance), lab.SA, lab.SAPassword, "master"))
		if err != nil {
			return nil, err
		}
		o, err := Observe(ctx, db, "", 30*time.Second)
		if e := db.Close(); err == nil {
			err = e
		}
		if err != nil {
			return nil, fmt.Errorf("the model: %w", err)
		}
		out = append(out, o)
	}
	return out, nil
}

// demoted tells that both sides were given and none is primary.
func demoted(servers []*Observation) bool { return len(pairOf(servers).secondary) == 2 }

type placed struct {
	side     model.Side
	instance int
}

// place says which instance of the lab stands for which server: the global primary's side is the lab's source.
func place(servers []*Observation) []placed {
	out := make([]placed, len(servers))
	taken := -1
	for i, o := range servers {
		local, dag := o.roles()
		switch {
		case local == "SECONDARY":
			out[i].instance = 1
		case dag == "SECONDARY" && (!demoted(servers) || taken >= 0):
			out[i].side = model.Target
		default:
			taken = i
		}
	}
	return out
}

// shape gives a side of the lab the server's.
func (o *Observation) shape(cfg *model.Config, side int) {
	s := &cfg.Sides[side]
	replicas, sync := 1, false
	if l := o.local(); l != nil {
		replicas = 0
		for _, r := range o.Rows["sys.availability_replicas"] {
			if r["group_id"] == l["group_id"] {
				replicas++
				sync = sync || r["availability_mode"] == "1"
			}
		}
		s.LocalAsync = !sync
		s.Contained = l["is_contained"] == "1"
		switch l["cluster_type"] {
		case "1":
			s.ClusterType = model.External
		case "2":
			s.ClusterType = model.None
		}
	}
	if local, _ := o.roles(); local == "SECONDARY" { // it sees itself alone
		replicas = max(replicas, 2)
	}
	s.Instances = make([]model.InstanceConfig, min(max(replicas, 1), 3))
	for i := range s.Instances {
		s.Instances[i] = model.InstanceConfig{Major: min(max(o.Major, 13), 17), Linux: o.Linux, Managed: o.Engine == 8}
	}
}
