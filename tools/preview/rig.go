package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/exporter"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// hero is the DAG that the scenarios are about; the others stand by, so that
// the fleet is one.
const hero = "erp-prod"

// collectors are those that deploy/prometheus.yml asks for.
const collectors = "collect[]=summary&collect[]=database&collect[]=log&collect[]=state&collect[]=connection&collect[]=seeding"

// world is the real exporter and the real engine over one lab for each DAG.
type world struct {
	ctx      context.Context
	clock    *clock
	labs     map[string]*lab.Lab
	dags     []string
	exporter *exporter.Exporter
	fleet    *runner.Fleet
	webhook  http.Handler
	hooks    *httptest.Server
	store    *store
	begin    time.Time
	scraped  time.Time // the last scrape
	closers  []func()

	exporterGone, webhookGone bool
}

// dagOptions are one DAG of the world.
type dagOptions struct {
	name      string
	databases []string
	mode      model.Mode
	log       model.LogConfig
	execute   bool
}

// newWorld begins its history so that it reaches the present after history.
func newWorld(ctx context.Context, history time.Duration, dags ...dagOptions) (_ *world, err error) {
	w := &world{ctx: ctx, labs: map[string]*lab.Lab{}, store: newStore(), begin: time.Now().Add(-history).Truncate(step)}
	w.clock = newClock(w.begin)
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.hooks = httptest.NewServer(http.HandlerFunc(w.hook))
	w.closers = append(w.closers, w.hooks.Close)

	text := "dags:\n"
	for n, d := range dags {
		l, err := lab.New(lab.Options{
			Model: model.Config{Seed: uint64(n + 1), Databases: d.databases, DAGMode: d.mode, Log: d.log},
			Clock: w.clock, CertificateExpiry: w.begin.AddDate(1, 0, 0),
		})
		if err != nil {
			return nil, err
		}
		if err := l.Start(ctx); err != nil {
			return nil, err
		}
		w.closers = append(w.closers, l.Close)
		w.labs[d.name] = l
		w.dags = append(w.dags, d.name)
		mode := "dry_run"
		if d.execute {
			mode = "execute"
		}
		text += fmt.Sprintf(`  - name: %s
    group: DAG
    source: {ag: OnPremAG, instances: [%q]}
    target: {ag: AzureAG, instances: [%q]}
    databases: [%s]
    cutover:
      mode: %s
      start_at: near
      approvals: 0
      alert_match: {environment: prod}
      max_write_unavailable: 60s
      hooks: {quiesce: {url: "%[6]s/quiesce"}, unquiesce: {url: "%[6]s/unquiesce"}, repoint: {url: "%[6]s/repoint"}}
`, d.name, l.DSN(lab.Source), l.DSN(lab.Target), quoted(d.databases), mode, w.hooks.URL)
	}
	text += "webhook: {roles: {receiver: [alertmanager], viewer: [\"*\"], operator: [ops], approver: [lead]}}\n"

	dir, err := os.MkdirTemp("", "preview")
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "dag.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	w.exporter, err = exporter.New(exporter.Options{
		Load: func() (*config.Config, error) { return config.Load(file) }, Timeout: 3 * time.Second, Now: w.clock.fine,
	})
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, w.exporter.Close)
	w.fleet, err = runner.OpenFleet(cfg, journal.NewMemory(), nil)
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	if err := reg.Register(w.fleet); err != nil {
		return nil, err
	}
	w.webhook = promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	return w, nil
}

func quoted(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf("%q", n))
	}
	return strings.Join(out, ", ")
}

func (w *world) close() {
	w.clock.hold()
	for n := len(w.closers) - 1; n >= 0; n-- {
		w.closers[n]()
	}
	w.closers = nil
}

func (w *world) hero() *lab.Control { return w.labs[hero].Control() }

// hook is the application's side of a cutover: it stops its writers and lets
// them go on.
func (w *world) hook(rw http.ResponseWriter, r *http.Request) {
	rows := 40.0
	if r.URL.Path == "/quiesce" {
		rows = 0
	}
	if err := w.hero().Load("", rows, 2000); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	}
}

// scrape does what Prometheus does every five seconds.
func (w *world) scrape() error {
	at := w.clock.Now().Truncate(step)
	w.scraped = at
	get := func(h http.Handler, path string, gone bool) []byte {
		if gone {
			return nil
		}
		req := httptest.NewRequest(http.MethodGet, path, nil)
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "4")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK {
			return nil
		}
		return rec.Body.Bytes()
	}
	const address = "dag-exporter:19968"
	all := func(string) bool { return true }
	var errs []error
	for _, dag := range w.dags {
		body := get(w.exporter.Handler(), "/probe?target="+dag+"&"+collectors, w.exporterGone)
		errs = append(errs, w.store.take(at, "dag", dag, map[string]string{"exporter": address}, body, all))
	}
	own := get(w.exporter.Handler(), "/metrics?collect[]=summary", w.exporterGone)
	errs = append(errs, w.store.take(at, "dag_exporter", address, nil, own, func(s string) bool { return strings.HasPrefix(s, "mssql_dag_config") }))
	errs = append(errs, w.store.take(at, "cutover_webhook", "cutover-webhook:19969", nil, get(w.webhook, "/metrics", w.webhookGone), all))
	return errors.Join(errs...)
}

// leap lives through d of history, scraping every step.
func (w *world) leap(d time.Duration) error {
	for range int(d / step) {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		w.clock.leap(step)
		w.beat(w.clock.Now())
		if err := w.scrape(); err != nil {
			return err
		}
	}
	return nil
}

// beat lets Alertmanager's heartbeat arrive; the lease is renewed by the alert.
func (w *world) beat(now time.Time) {
	if w.webhookGone {
		return
	}
	w.fleet.HeartbeatSeen(now)
	w.fleet.CountAlert("", runner.AlertHeartbeat)
}

// present lets the history run until the world's time is reached; from then
// on the clock follows it.
func (w *world) present() error {
	for time.Since(w.clock.Now()) > step {
		if err := w.leap(step); err != nil {
			return err
		}
	}
	w.clock.follow()
	return nil
}

// live scrapes every step until until says so, or for so long.
func (w *world) live(most time.Duration, until func() bool) error {
	end := time.Now().Add(most)
	next := w.clock.Now().Truncate(step).Add(step)
	for time.Now().Before(end) && (until == nil || !until()) {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if !w.clock.Now().Before(next) {
			w.beat(time.Now())
			if err := w.scrape(); err != nil {
				return err
			}
			next = next.Add(step)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}
