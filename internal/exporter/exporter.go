package exporter

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// InMetrics is how many DAGs a file may have for /metrics to hold them too:
// beyond it one answer would be too large for one scrape, and /probe with /sd
// is the way.
const InMetrics = 5

// Options of New.
type Options struct {
	// Load reads the configuration; it is called at the start and at every
	// reload.
	Load func() (*config.Config, error)
	// Open makes a reader for one side; nil is sqlserver.Open.
	Open func(sqlserver.Options) (Reader, error)
	// Groups are the collectors that are on where a request does not choose;
	// nil is collector.Defaults.
	Groups []string
	// Timeout bounds a scrape whose request has no timeout header.
	Timeout time.Duration
	// TimeoutOffset is taken off the header's value, so that the answer is
	// there before Prometheus gives up.
	TimeoutOffset time.Duration
	Logger        *slog.Logger
	Now           func() time.Time
}

// Exporter reads DAGs and serves what they say.
type Exporter struct {
	opt Options
	reg *prometheus.Registry // the process itself

	lines sqlserver.Lines // across reloads, and across DAGs that share a server

	encoding *encoding

	reloadOK, reloadAt prometheus.Gauge
	draining           atomic.Bool

	reloading sync.Mutex   // one reload at a time
	mu        sync.RWMutex // guards set
	set       *set
}

// set is what one reading of the configuration made.
type set struct {
	cfg   *config.Config
	dags  []*dag // in the file's order
	users sync.WaitGroup
}

func (s *set) byName(name string) *dag {
	for _, d := range s.dags {
		if d.cfg.Name == name {
			return d
		}
	}
	return nil
}

// New loads the configuration and prepares its DAGs. It connects to nothing.
func New(opt Options) (*Exporter, error) {
	if opt.Open == nil {
		opt.Open = func(o sqlserver.Options) (Reader, error) { return sqlserver.Open(o) }
	}
	if opt.Groups == nil {
		opt.Groups = collector.Defaults()
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if _, err := collector.New(collector.Options{Groups: opt.Groups}); err != nil {
		return nil, err
	}
	e := &Exporter{opt: opt, encoding: newEncoding(runtime.GOMAXPROCS(0)), reg: prometheus.NewRegistry(), set: &set{cfg: &config.Config{}}}
	e.reloadOK = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mssql_dag_config_last_reload_successful",
		Help: "Whether the last attempt to load the configuration succeeded. While 0, the one before is in force.",
	})
	e.reloadAt = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mssql_dag_config_last_reload_success_timestamp_seconds",
		Help: "When the configuration that is in force was loaded.",
	})
	e.reg.MustRegister(e.reloadOK, e.reloadAt, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), versioncollector.NewCollector("dag_exporter"))
	if err := e.Reload(); err != nil {
		return nil, err
	}
	return e, nil
}

// Reload reads the configuration again. If anything about it is wrong the one
// in force stays. Connections of DAGs that did not change are kept; scrapes
// under way end with what they began with.
func (e *Exporter) Reload() (err error) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	defer func() {
		if err != nil {
			e.reloadOK.Set(0)
			return
		}
		e.reloadOK.Set(1)
		e.reloadAt.Set(float64(e.opt.Now().UnixNano()) / 1e9)
	}()
	cfg, err := e.opt.Load()
	if err != nil {
		return err
	}
	old := e.set // only written under reloading
	next, err := e.build(cfg, old)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.set = next
	e.mu.Unlock()
	go func() {
		old.users.Wait()
		e.closeDAGs(old.dags, next.dags)
	}()
	return nil
}

// build prepares the DAGs of cfg, taking over those of old that did not
// change.
func (e *Exporter) build(cfg *config.Config, old *set) (*set, error) {
	next := &set{cfg: cfg}
	known := &groups{id: map[string]string{}}
	for i := range cfg.DAGs {
		c := cfg.DAGs[i]
		d := &dag{cfg: c, groups: known, log: e.opt.Logger, now: e.opt.Now, history: &history{}}
		if before := old.byName(c.Name); before != nil && sameSides(&before.cfg, &c) {
			d.source, d.target, d.history = before.source, before.target, before.history
			known.take(before.groups, c.Name)
		} else if err := e.open(d); err != nil {
			e.closeDAGs(next.dags, old.dags)
			return nil, err // its text begins with the DAG's name
		}
		next.dags = append(next.dags, d)
	}
	return next, nil
}

func (e *Exporter) open(d *dag) (err error) {
	if d.source, err = openSide(e.opt.Open, e.sideOptions(&d.cfg, hadr.Source), e.opt.Now); err != nil {
		return err
	}
	if d.target, err = openSide(e.opt.Open, e.sideOptions(&d.cfg, hadr.Target), e.opt.Now); err != nil {
		return errors.Join(err, d.source.reader.Close())
	}
	return nil
}

// closeDAGs closes the sides of dags that none of kept uses.
func (e *Exporter) closeDAGs(dags, kept []*dag) {
	used := func(s *side) bool {
		return slices.ContainsFunc(kept, func(d *dag) bool { return d.source == s || d.target == s })
	}
	for _, d := range dags {
		for _, s := range []*side{d.source, d.target} {
			if used(s) {
				continue
			}
			if err := s.reader.Close(); err != nil {
				e.opt.Logger.Warn("closing connections", "dag", d.cfg.Name, "side", s.name, "err", err)
			}
		}
	}
}

// current is the set in force; the caller calls release when done with it, once
// or more often.
func (e *Exporter) current() (s *set, release func()) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	e.set.users.Add(1)
	return e.set, sync.OnceFunc(e.set.users.Done)
}

// Drain makes /-/ready say that the end is near.
func (e *Exporter) Drain() { e.draining.Store(true) }

// Close closes all connections. Scrapes under way are waited for.
func (e *Exporter) Close() {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	e.mu.Lock()
	last := e.set
	e.set = &set{cfg: &config.Config{}}
	e.mu.Unlock()
	last.users.Wait()
	e.closeDAGs(last.dags, nil)
}

// gather scrapes dags side by side and returns their metrics.
func (e *Exporter) gather(ctx context.Context, groups []string, dags []*dag) (prometheus.Gatherer, error) {
	snapshots := scrapeAll(ctx, wantOf(groups), dags)
	c, err := collector.New(collector.Options{Groups: groups, Reasons: reasons()}, snapshots...)
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	if err := reg.Register(c); err != nil {
		return nil, err
	}
	return reg, nil
}

// gatherers gather from registries that share no family. The library's own
// would check and sort every series a second time, which was a fifth of a
// scrape's work in a profile.
type gatherers []prometheus.Gatherer

// Gather implements prometheus.Gatherer.
func (g gatherers) Gather() (all []*dto.MetricFamily, err error) {
	for _, one := range g {
		families, e := one.Gather()
		all, err = append(all, families...), errors.Join(err, e)
	}
	slices.SortStableFunc(all, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all, err
}

func scrapeAll(ctx context.Context, want sqlserver.Want, dags []*dag) []*collector.Snapshot {
	snapshots := make([]*collector.Snapshot, len(dags))
	var wg sync.WaitGroup
	for i, d := range dags {
		wg.Go(func() { snapshots[i] = d.scrape(ctx, want) })
	}
	wg.Wait()
	return snapshots
}
