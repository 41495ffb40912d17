package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// watchdogAlert always fires; its arrival shows that the whole path from
// Prometheus to here is alive.
const watchdogAlert = "DAGWatchdog"

// maxPayload bounds a notification. Ours have one group of a handful of alerts.
const maxPayload = 1 << 20

const bodyTimeout = 10 * time.Second

// payload is Alertmanager's webhook message, version 4. Fields that it does
// not name are ignored: newer releases add some without a new version.
type payload struct {
	Version         string            `json:"version"`
	GroupKey        string            `json:"groupKey"`
	TruncatedAlerts uint64            `json:"truncatedAlerts"`
	Status          string            `json:"status"`
	Receiver        string            `json:"receiver"`
	GroupLabels     map[string]string `json:"groupLabels"`
	Alerts          []payloadAlert    `json:"alerts"`
}

type payloadAlert struct {
	Status   string            `json:"status"` // firing | resolved
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
	EndsAt   time.Time         `json:"endsAt"`
}

// answer is what a notification comes to.
type answer struct {
	status int
	line   string // "" when it counted
	seen   []SeenAlert
}

// alerts takes one notification. It never waits for SQL or disk.
func (h *Handler) alerts(w http.ResponseWriter, r *http.Request) {
	now := h.o.Now()
	by, a := h.receive(w, r, now)
	h.recent.add(Notification{At: now, By: by, Status: a.status, Line: a.line, Alerts: a.seen})
	if a.line == "" {
		h.o.Log.Debug("notification taken", "by", by, "alerts", len(a.seen))
		w.WriteHeader(a.status)
		return
	}
	h.o.Log.Info("notification without effect", "by", by, "status", a.status, "reason", a.line)
	if a.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Basic")
	}
	writeText(w, a.status, oneLine(a.line))
}

func (h *Handler) receive(w http.ResponseWriter, r *http.Request, now time.Time) (by string, a answer) {
	refuse := func(status int, result runner.AlertResult, format string, args ...any) answer {
		h.o.Fleet.CountAlert("", result)
		return answer{status: status, line: oneLine(fmt.Sprintf(format, args...))}
	}
	if h.draining.Load() {
		return "", refuse(http.StatusServiceUnavailable, runner.AlertShuttingDown, "shutting down")
	}
	if !h.ready.Load() {
		return "", refuse(http.StatusServiceUnavailable, runner.AlertShuttingDown, "starting: not ready yet")
	}
	if err := h.cross.Check(r); err != nil {
		return "", refuse(http.StatusForbidden, runner.AlertUnauthorized, "the request comes from another site's page")
	}
	id, status, err := h.authorize(r, Receiver)
	if err != nil {
		return id.Name, refuse(status, runner.AlertUnauthorized, "%v", err)
	}
	if !isJSON(r) {
		return id.Name, refuse(http.StatusUnsupportedMediaType, runner.AlertMalformed, "Content-Type must be application/json")
	}
	p, status, err := readPayload(w, r)
	if err != nil {
		return id.Name, refuse(status, runner.AlertMalformed, "%v", err)
	}
	return id.Name, h.take(p, id, now)
}

// readPayload decodes one notification; the error goes to the sender with the
// HTTP status.
func readPayload(w http.ResponseWriter, r *http.Request) (payload, int, error) {
	var p payload
	data, err := readBody(w, r)
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return p, http.StatusRequestEntityTooLarge, errors.New("larger than 1 MiB: set group_by: [alertname, dag] in the route")
	}
	if err != nil {
		return p, http.StatusBadRequest, errors.New("the body could not be read to its end")
	}
	// Whether version and alerts are there tells an Alertmanager from any other
	// JSON; the types alone do not.
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return p, http.StatusBadRequest, errors.New("not JSON: an Alertmanager webhook notification (version 4) is expected here")
	}
	if keys["version"] == nil || keys["alerts"] == nil {
		return p, http.StatusBadRequest, errors.New("not an Alertmanager webhook notification: version or alerts is missing")
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, http.StatusBadRequest, errors.New("not an Alertmanager webhook notification: " + jsonReason(err))
	}
	for _, al := range p.Alerts {
		if al.Status != "firing" && al.Status != "resolved" {
			return p, http.StatusBadRequest, errors.New("not an Alertmanager webhook notification: an alert is neither firing nor resolved")
		}
	}
	return p, 0, nil
}

func jsonReason(err error) string {
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		return fmt.Sprintf("%s has the wrong type, %s", te.Field, te.Value)
	}
	return "not valid JSON"
}

// take lays each alert to its DAG. The rules, in order: another version and a
// truncated or mixed group are refused whole; what is not the configured alert
// is listed and ignored; resolved is taken before firing, so that of two series
// of one alert the firing one counts.
func (h *Handler) take(p payload, id Identity, now time.Time) answer {
	cfg := h.cfg.Load()
	whole := func(dag string, result runner.AlertResult, format string, args ...any) answer {
		h.o.Fleet.CountAlert(dag, result)
		a := answer{status: http.StatusOK, line: oneLine(fmt.Sprintf(format, args...))}
		for _, al := range p.Alerts {
			a.seen = append(a.seen, seenAlert(al, result))
		}
		return a
	}
	dags := dagsOf(p)
	only := ""
	if len(dags) == 1 {
		only = dags[0]
	}
	switch {
	case p.Version != "4":
		return whole(only, runner.AlertVersion, "refused: payload version %q is not known here, 4 is", short(p.Version))
	case p.TruncatedAlerts > 0:
		return whole(only, runner.AlertTruncated, "refused: %d alerts of the group were cut off: set max_alerts: 0", p.TruncatedAlerts)
	case len(dags) > 1:
		return whole("", runner.AlertSeveralDAGs, "refused: one notification speaks of %d DAGs (%s): set group_by: [alertname, dag]", len(dags), short(strings.Join(dags, ", ")))
	}

	a := answer{status: http.StatusOK}
	counted, reasons := false, []string{}
	ordered := slices.Clone(p.Alerts)
	slices.SortStableFunc(ordered, func(x, y payloadAlert) int { return strings.Compare(y.Status, x.Status) }) // resolved first
	for _, al := range ordered {
		result, reason := h.takeOne(cfg, al, id, now)
		a.seen = append(a.seen, seenAlert(al, result))
		if reason == "" {
			counted = true
		} else if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	switch {
	case counted:
	case len(reasons) == 0:
		a.line = "ignored: the notification holds no alert"
	default:
		a.line = oneLine(strings.Join(reasons, "; "))
	}
	return a
}

// takeOne handles one alert; reason is "" when it counted.
func (h *Handler) takeOne(cfg *config.Config, al payloadAlert, id Identity, now time.Time) (runner.AlertResult, string) {
	name, dag := al.Labels["alertname"], al.Labels["dag"]
	if name == watchdogAlert {
		if al.Status != "firing" {
			h.o.Fleet.CountAlert("", runner.AlertIgnored)
			return runner.AlertIgnored, "ignored: " + watchdogAlert + " is resolved"
		}
		h.o.Fleet.HeartbeatSeen(now)
		return runner.AlertHeartbeat, ""
	}
	if dag == "" {
		h.o.Fleet.CountAlert("", runner.AlertIgnored)
		return runner.AlertIgnored, fmt.Sprintf("ignored: %s carries no label dag", short(name))
	}
	d, ok := cfg.ByName(dag)
	api, served := h.o.Fleet.Get(dag)
	if !ok || !served {
		h.o.Fleet.CountAlert("", runner.AlertUnknownDAG)
		return runner.AlertUnknownDAG, fmt.Sprintf("refused: no DAG named %q is configured here", short(dag))
	}
	if name != d.Cutover.AlertName {
		h.o.Fleet.CountAlert(dag, runner.AlertIgnored)
		return runner.AlertIgnored, fmt.Sprintf("ignored: %s is not the alert of %s, %s is", short(name), dag, d.Cutover.AlertName)
	}
	for k, v := range d.Cutover.AlertMatch {
		if al.Labels[k] != v {
			h.o.Fleet.CountAlert(dag, runner.AlertIgnored)
			return runner.AlertIgnored, fmt.Sprintf("ignored: alert_match of %s demands %s=%q", dag, k, v)
		}
	}
	result := api.LeaseSeen(runner.Alert{
		Name: name, Firing: al.Status == "firing", Labels: al.Labels,
		StartsAt: al.StartsAt, EndsAt: al.EndsAt, Receiver: id.Name,
	}, now)
	switch result {
	case runner.AlertAccepted, runner.AlertRenewed, runner.AlertResolved:
		return result, ""
	case runner.AlertNotArmed:
		return result, fmt.Sprintf("noted: %s is not armed", dag)
	}
	return result, fmt.Sprintf("%s: %s", result, dag)
}

// dagsOf lists the values of the label dag over the whole notification.
func dagsOf(p payload) []string {
	var out []string
	for _, al := range p.Alerts {
		if d := al.Labels["dag"]; d != "" && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return out
}

func short(s string) string {
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "…"
	}
	return s
}
