package runner

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// Fleet is every DAG of one webhook. It is an http-free registry: look-up,
// start and stop, the alert pipeline's heartbeat (which has no DAG), and the
// metrics (it is a prometheus.Collector).
type Fleet struct {
	controllers []*Controller
	byName      map[string]*Controller
	metrics     *fleetMetrics
	servers     []Server // those that Close closes
}

// OpenFleet makes a Fleet of every DAG of the configuration, over real servers,
// and of those that only an unfinished run in the journal speaks of. It connects to nothing before Start. Close closes the servers too; the journal
// is the caller's.
func OpenFleet(cfg *config.Config, j journal.Journal, log *slog.Logger) (*Fleet, error) {
	var cs []*Controller
	var servers []Server
	fail := func(err error) (*Fleet, error) {
		for _, s := range servers {
			_ = s.Close() // the first error is the one to tell
		}
		return nil, err
	}
	for _, d := range cfg.DAGs {
		source, err := OpenSide(d, hadr.Source, log)
		if err != nil {
			return fail(err)
		}
		servers = append(servers, source)
		target, err := OpenSide(d, hadr.Target, log)
		if err != nil {
			return fail(err)
		}
		servers = append(servers, target)
		c, err := New(Options{DAG: d, Source: source, Target: target, Journal: j, Log: log})
		if err != nil {
			return fail(err)
		}
		cs = append(cs, c)
	}
	gone, err := absent(cfg, j, log)
	if err != nil {
		return fail(err)
	}
	f := NewFleet(append(cs, gone...)...)
	f.servers = servers
	return f, nil
}

// NewFleet joins Controllers; their names are unique, as config guarantees.
func NewFleet(cs ...*Controller) *Fleet {
	f := &Fleet{controllers: cs, byName: map[string]*Controller{}, metrics: newFleetMetrics()}
	for _, c := range cs {
		f.byName[c.Name()] = c
		c.others = func(groups []string) string { return f.others(c, groups) }
	}
	return f
}

// Get finds a DAG by its configured name.
func (f *Fleet) Get(dag string) (API, bool) {
	c, ok := f.byName[dag]
	if !ok {
		return nil, false
	}
	return c, true
}

// others is a run of another DAG that one of these local AGs is a member of too.
func (f *Fleet) others(asks *Controller, groups []string) string {
	for _, c := range f.controllers {
		if c == asks {
			continue
		}
		c.mu.Lock()
		run, busy := c.base.Run, c.busy
		c.mu.Unlock()
		if slices.ContainsFunc(busy, func(g string) bool { return slices.Contains(groups, g) }) {
			return run + " of " + c.Name()
		}
	}
	return ""
}

// groups are the local AGs of a plan, by group id.
func groups(p cutover.Plan) (out []string) {
	for _, g := range []string{p.Source.AGGroupID, p.Target.AGGroupID} {
		if g != "" {
			out = append(out, g)
		}
	}
	return out
}

// All lists the DAGs in the order of the configuration.
func (f *Fleet) All() []API {
	out := make([]API, len(f.controllers))
	for i, c := range f.controllers {
		out[i] = c
	}
	return out
}

// Start starts every Controller; each resumes what it finds unfinished.
func (f *Fleet) Start(ctx context.Context) error {
	for i, c := range f.controllers {
		if err := c.Start(ctx); err != nil {
			for _, started := range f.controllers[:i] {
				_ = started.Close() // the first error is the one to tell
			}
			return err
		}
	}
	return nil
}

// Close stops every Controller and waits: a run before S2 winds down safely,
// a run after S2 goes on until it ends or the process is killed.
func (f *Fleet) Close() error {
	errs := make([]error, len(f.controllers))
	var wg sync.WaitGroup
	for i, c := range f.controllers {
		wg.Go(func() { errs[i] = c.Close() })
	}
	wg.Wait()
	for _, s := range f.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Kill stops every Controller where it stands, as a crash would: after it nothing
// is sent any more, and the next start takes up what is unfinished.
func (f *Fleet) Kill() {
	var wg sync.WaitGroup
	for _, c := range f.controllers {
		wg.Go(c.Kill)
	}
	wg.Wait()
}

// HeartbeatSeen records that the alert pipeline is alive, for every DAG.
func (f *Fleet) HeartbeatSeen(now time.Time) {
	f.metrics.pipelineSeen(now)
	for _, c := range f.controllers {
		c.HeartbeatSeen(now)
	}
}

// CountAlert counts an alert that could not be laid to one DAG; dag may be "".
func (f *Fleet) CountAlert(dag string, r AlertResult) {
	if c, ok := f.byName[dag]; ok {
		c.CountAlert(r)
		return
	}
	f.metrics.countAlert(r)
}

// DisarmAll disarms every DAG, because authentication went away.
func (f *Fleet) DisarmAll(reason string) {
	for _, c := range f.controllers {
		c.DisarmAll(reason)
	}
}
