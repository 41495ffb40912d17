package exporter

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dag-exporter/dag_exporter/collector"
)

// timeoutHeader is what Prometheus tells its scrape_timeout in.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// longest is the longest scrape that a header can ask for.
const longest = 5 * time.Minute

// Handler serves everything.
func (e *Exporter) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", e.metrics)
	mux.HandleFunc("GET /probe", e.probe)
	mux.HandleFunc("GET /sd", e.discovery)
	mux.HandleFunc("GET /runbooks/{$}", runbookIndex)
	mux.HandleFunc("GET /runbooks/{name}", e.runbook)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "dag_exporter is healthy") })
	mux.HandleFunc("GET /-/ready", e.ready)
	mux.HandleFunc("POST /-/reload", e.reload)
	mux.HandleFunc("GET /{$}", e.page)
	return mux
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) // the client went away
}

// timeout of one scrape.
func (e *Exporter) timeout(r *http.Request) (time.Duration, error) {
	h := r.Header.Get(timeoutHeader)
	if h == "" {
		return e.opt.Timeout, nil
	}
	seconds, err := strconv.ParseFloat(h, 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 {
		return 0, fmt.Errorf("%s: %q is no number of seconds", timeoutHeader, h)
	}
	d := longest
	if seconds < longest.Seconds() {
		d = time.Duration(seconds * float64(time.Second))
	}
	if d > e.opt.TimeoutOffset {
		return d - e.opt.TimeoutOffset, nil
	}
	return d / 2, nil // shorter than the offset: at least try
}

// groups that a request wants.
func (e *Exporter) groups(r *http.Request) ([]string, error) {
	groups := r.URL.Query()["collect[]"]
	if len(groups) == 0 {
		return e.opt.Groups, nil
	}
	_, err := collector.New(collector.Options{Groups: groups})
	return groups, err
}

// serve answers with the metrics of dags, after those of first. It calls release
// when it has read them: a client that reads its answer slowly, or not at all,
// keeps no connection to a server open that a reload has replaced.
func (e *Exporter) serve(w http.ResponseWriter, r *http.Request, release func(), dags []*dag, first ...prometheus.Gatherer) {
	groups, err := e.groups(r)
	if err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	timeout, err := e.timeout(r)
	if err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	gatherers := gatherers(first)
	if len(dags) > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		g, err := e.gather(ctx, groups, dags)
		if err != nil {
			say(w, http.StatusInternalServerError, err.Error())
			return
		}
		gatherers = append(gatherers, g)
	}
	release()
	e.encoding.serve(promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(e.opt.Logger.Handler(), slog.LevelError),
		// One family that does not fit loses itself, not the rest.
		ErrorHandling: promhttp.ContinueOnError,
	}), w, r)
}

// metrics are the process's own, and the DAGs' while they are few.
func (e *Exporter) metrics(w http.ResponseWriter, r *http.Request) {
	s, release := e.current()
	defer release()
	dags := s.dags
	if len(dags) > InMetrics {
		dags = nil
	}
	e.serve(w, r, release, dags, e.reg)
}

func (e *Exporter) probe(w http.ResponseWriter, r *http.Request) {
	s, release := e.current()
	defer release()
	targets := r.URL.Query()["target"]
	if len(targets) != 1 || targets[0] == "" {
		say(w, http.StatusBadRequest, "say which DAG: /probe?target=NAME, once; /sd lists the names")
		return
	}
	d := s.byName(targets[0])
	if d == nil {
		say(w, http.StatusNotFound, fmt.Sprintf("the configuration has no DAG %q; /sd lists the names", targets[0]))
		return
	}
	e.serve(w, r, release, []*dag{d})
}

// discovery is Prometheus' http_sd format: the target is the DAG's name, for
// a relabelling to __param_target.
func (e *Exporter) discovery(w http.ResponseWriter, _ *http.Request) {
	type target struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	s, release := e.current()
	defer release()
	out := []target{}
	for _, d := range s.dags {
		out = append(out, target{[]string{d.cfg.Name}, map[string]string{
			"__meta_mssql_dag_group":     d.cfg.Group,
			"__meta_mssql_dag_lifecycle": d.cfg.Lifecycle,
		}})
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(out); err != nil {
		e.opt.Logger.Debug("writing /sd", "err", err)
	}
}

func (e *Exporter) ready(w http.ResponseWriter, _ *http.Request) {
	if e.draining.Load() {
		say(w, http.StatusServiceUnavailable, "dag_exporter is shutting down")
		return
	}
	say(w, http.StatusOK, "dag_exporter is ready")
}

func (e *Exporter) reload(w http.ResponseWriter, _ *http.Request) {
	if err := e.Reload(); err != nil {
		e.opt.Logger.Error("reload refused, the configuration before stays in force", "err", err)
		say(w, http.StatusInternalServerError, "reload refused, the configuration before stays in force:\n"+err.Error())
		return
	}
	e.opt.Logger.Info("configuration reloaded")
	say(w, http.StatusOK, "reloaded")
}
