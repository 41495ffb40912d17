package main

import (
	"fmt"
	"log/slog"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// local opens one DAG of a configuration without a server, to look only: the
// Controller is never started, and its journal is an empty one in memory. So
// what people said to a running webhook (arming, approvals, hold) is unknown
// here, and those gates are closed.
func local(file, dag string) (*runner.Controller, func(), error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, nil, err
	}
	if dag == "" && len(cfg.DAGs) == 1 {
		dag = cfg.DAGs[0].Name
	}
	d, ok := cfg.ByName(dag)
	if !ok {
		names := make([]string, len(cfg.DAGs))
		for i := range cfg.DAGs {
			names[i] = cfg.DAGs[i].Name
		}
		if dag == "" {
			return nil, nil, severalDAGs(names)
		}
		return nil, nil, coded{exitConfig, fmt.Errorf("%s: no DAG named %q: there are %q", file, dag, names)}
	}
	var pair [2]runner.Server
	closeAll := func() {
		for _, s := range pair {
			if s != nil {
				_ = s.Close() // only read from
			}
		}
	}
	for i, which := range []hadr.Side{hadr.Source, hadr.Target} {
		if pair[i], err = runner.OpenSide(*d, which, slog.New(slog.DiscardHandler)); err != nil {
			closeAll()
			return nil, nil, coded{exitConfig, fmt.Errorf("%s: %s of %s: %w", file, which, d.Name, err)}
		}
	}
	c, err := runner.New(runner.Options{DAG: *d, Source: pair[0], Target: pair[1], Journal: journal.NewMemory()})
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return c, closeAll, nil
}
