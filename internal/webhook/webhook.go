package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// Fleet is what the webhook needs of every DAG at once; *runner.Fleet is one.
type Fleet interface {
	Get(dag string) (runner.API, bool)
	All() []runner.API
	HeartbeatSeen(now time.Time)
	CountAlert(dag string, r runner.AlertResult)
	DisarmAll(reason string)
}

// Options of a Handler.
type Options struct {
	Config   *config.Config
	Fleet    Fleet
	Auth     *Auth
	Gatherer prometheus.Gatherer // of /metrics
	Log      *slog.Logger        // nil: discarded
	Now      func() time.Time    // nil: time.Now
	Version  string              // shown on the console
	// Reload reads the configuration again and says what is in force from now
	// on. nil: POST /-/reload is refused.
	Reload func(context.Context) (*config.Config, error)
}

// Handler serves everything of cutover_webhook.
type Handler struct {
	o      Options
	mux    *http.ServeMux
	cross  *http.CrossOriginProtection
	cfg    atomic.Pointer[config.Config]
	recent recentNotifications

	ready    atomic.Bool
	draining atomic.Bool
	authGone atomic.Bool
	closing  chan struct{}
	close    sync.Once
	reload   sync.Mutex
}

// New checks that the options are safe together: in execute mode of any DAG
// the outer door must demand credentials and the roles must be filled.
func New(o Options) (*Handler, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{o: o, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(), closing: make(chan struct{})}
	if err := checkExecute(o.Config, o.Auth); err != nil {
		return nil, err
	}
	h.cfg.Store(o.Config)
	if err := h.routes(); err != nil {
		return nil, err
	}
	return h, nil
}

func executes(cfg *config.Config) bool {
	for i := range cfg.DAGs {
		if cfg.DAGs[i].Cutover.Mode == config.ModeExecute {
			return true
		}
	}
	return false
}

// checkExecute refuses execute mode where anybody could act.
func checkExecute(cfg *config.Config, auth *Auth) error {
	if !executes(cfg) {
		return nil
	}
	if err := auth.Demands(); err != nil {
		return fmt.Errorf("mode: execute needs authentication, and %w: give --web.config.file with basic_auth_users, or set mode: dry_run", err)
	}
	roles := cfg.Webhook.Roles
	if len(roles.Receiver) == 0 || len(roles.Operator) == 0 {
		return errors.New("mode: execute needs webhook.roles with at least a receiver and an operator")
	}
	for i := range cfg.DAGs {
		d := &cfg.DAGs[i]
		if d.Cutover.Mode == config.ModeExecute && len(d.Cutover.AlertMatch) == 0 {
			return fmt.Errorf("mode: execute of %s needs alert_match with at least one label", d.Name)
		}
	}
	return nil
}

// SetReady says that every Controller is started: alerts are taken from now on.
func (h *Handler) SetReady() { h.ready.Store(true) }

// Drain refuses alerts and whatever could start something with 503. Looking,
// hold and rollback go on: a run after S2 outlives the order to stop.
func (h *Handler) Drain() { h.draining.Store(true) }

// Close is Drain, and ends the event streams, so that http.Server.Shutdown can
// finish.
func (h *Handler) Close() {
	h.Drain()
	h.close.Do(func() { close(h.closing) })
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Frame-Options", "DENY")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) routes() error {
	h.mux.Handle("POST /api/v1/alerts", http.HandlerFunc(h.alerts))

	view := func(pattern string, f dagHandler) { h.mux.Handle("GET "+pattern, h.allow(Viewer, h.withDAG(f))) }
	h.mux.Handle("GET /api/v1/dags", h.allow(Viewer, h.list))
	view("/api/v1/dags/{dag}", h.status)
	view("/api/v1/dags/{dag}/check", h.check)
	view("/api/v1/dags/{dag}/plan", h.plan)
	view("/api/v1/dags/{dag}/runs", h.runs)
	view("/api/v1/dags/{dag}/report", h.report)
	view("/api/v1/dags/{dag}/events", h.events)

	for _, v := range h.verbs() {
		h.mux.Handle("POST /api/v1/dags/{dag}/"+v.name, h.allow(v.role, h.act(v)))
	}

	if err := h.console(); err != nil {
		return err
	}

	h.mux.Handle("GET /metrics", promhttp.HandlerFor(h.o.Gatherer, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(h.o.Log.Handler(), slog.LevelError)}))
	h.mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "healthy") })
	h.mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !h.ready.Load() || h.draining.Load() {
			writeText(w, http.StatusServiceUnavailable, "not ready")
			return
		}
		writeText(w, http.StatusOK, "ready")
	})
	h.mux.HandleFunc("GET /runbooks/{$}", runbookIndex)
	h.mux.HandleFunc("GET /runbooks/{alert}", runbook)
	h.mux.Handle("POST /-/reload", h.allow(Operator, h.reloadConfig))
	return nil
}

type handler func(w http.ResponseWriter, r *http.Request, id Identity)
type dagHandler func(w http.ResponseWriter, r *http.Request, id Identity, api runner.API)

// allow lets through whoever holds the role. A POST must also come from no
// other site's page.
func (h *Handler) allow(role Role, next handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.cross.Check(r); err != nil {
			writeError(w, http.StatusForbidden, errors.New("the request comes from another site's page: use this console, or a client that sends no Origin"))
			return
		}
		id, status, err := h.authorize(r, role)
		if err != nil {
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Basic")
			}
			writeError(w, status, err)
			return
		}
		next(w, r, id)
	})
}

func (h *Handler) authorize(r *http.Request, role Role) (Identity, int, error) {
	id, ok := h.o.Auth.Identify(r)
	if !ok {
		return id, http.StatusUnauthorized, errors.New("no identity: send a Basic user or a client certificate that the web config file knows (after a change of that file: reload)")
	}
	if !id.Has(role, h.cfg.Load().Webhook.Roles) {
		return id, http.StatusForbidden, fmt.Errorf("%s has no role %s: list it under webhook.roles.%s", id.Name, role, role)
	}
	return id, 0, nil
}

func (h *Handler) withDAG(next dagHandler) handler {
	return func(w http.ResponseWriter, r *http.Request, id Identity) {
		api, ok := h.o.Fleet.Get(r.PathValue("dag"))
		if !ok {
			writeError(w, http.StatusNotFound, fmt.Errorf("no DAG named %q is configured: GET /api/v1/dags lists them", r.PathValue("dag")))
			return
		}
		next(w, r, id, api)
	}
}

// Watch disarms everything when a DAG may execute and the web config file
// stops demanding credentials. It returns when ctx ends.
func (h *Handler) Watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	bad := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bad = h.watchOnce(bad)
	}
}

// watchOnce looks at the file. It takes two bad looks in a row: an editor that
// truncates before it writes must not disarm a night's work. In between the
// identity still comes from the snapshot, and acting is refused.
func (h *Handler) watchOnce(bad int) int {
	if !executes(h.cfg.Load()) {
		return 0
	}
	err := h.o.Auth.Demands()
	if err == nil {
		if h.authGone.Swap(false) {
			h.o.Log.Info("the web config file demands credentials again; DAGs stay disarmed until somebody arms them")
		}
		return 0
	}
	if bad++; bad == 2 {
		h.authGone.Store(true)
		h.o.Log.Error("authentication is gone: disarming every DAG", "err", err)
		h.o.Fleet.DisarmAll("authentication is gone: " + err.Error())
	}
	return bad
}

func (h *Handler) reloadConfig(w http.ResponseWriter, r *http.Request, id Identity) {
	if h.o.Reload == nil {
		writeError(w, http.StatusNotImplemented, errors.New("reload is not available"))
		return
	}
	if err := h.Reload(r.Context()); err != nil {
		h.o.Log.Error("reload failed, the old configuration stands", "by", id.Name, "err", err)
		writeError(w, http.StatusConflict, fmt.Errorf("the old configuration stands: %w", err))
		return
	}
	h.o.Log.Info("configuration reloaded", "by", id.Name)
	writeText(w, http.StatusOK, "reloaded")
}

// Reload puts the configuration's roles and the web config file in force as
// they are now. After an error the old ones stand, both.
func (h *Handler) Reload(ctx context.Context) error {
	h.reload.Lock()
	defer h.reload.Unlock()
	cfg, err := h.o.Reload(ctx)
	if err != nil {
		return err
	}
	if err := checkExecute(cfg, h.o.Auth); err != nil {
		return err
	}
	if err := h.o.Auth.Reload(); err != nil {
		return err
	}
	h.cfg.Store(cfg)
	return nil
}

// readBody reads at most maxPayload bytes, and not for ever. After an error the
// bound stays: the server looks for the rest of the body before it answers.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	// Where deadlines are not supported (tests) the client's end is the bound.
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err == nil {
		_ = rc.SetReadDeadline(time.Time{})
	}
	return data, err
}

// isJSON checks the Content-Type; together with the origin check it keeps
// HTML forms of other sites out.
func isJSON(r *http.Request) bool {
	mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mt == "application/json"
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // the client went away: nobody to tell
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client went away: nobody to tell
}

// Problem is the body of every answer of the API that is not a success.
type Problem struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
	Wait   bool   `json:"wait,omitempty"` // waiting can help
	// Refused: understood and not granted; nothing was changed.
	Refused bool `json:"refused,omitempty"`
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, Problem{Error: oneLine(err.Error())})
}

// oneLine keeps an answer that others copy into their logs to one short line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 500 {
		s = string(r[:500]) + "…"
	}
	return s
}
