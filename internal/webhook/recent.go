package webhook

import (
	"slices"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// Notification is one received POST, for the console: the newest ones are kept
// in memory, so that "did the alert arrive?" needs no log.
type Notification struct {
	At     time.Time   `json:"at"`
	By     string      `json:"by,omitempty"`
	Status int         `json:"status"`         // the HTTP status of the answer
	Line   string      `json:"line,omitempty"` // why it had no effect
	Alerts []SeenAlert `json:"alerts,omitempty"`
}

// SeenAlert is one alert in it and what became of it.
type SeenAlert struct {
	Name     string             `json:"name"`
	DAG      string             `json:"dag,omitempty"`
	Status   string             `json:"status"`
	StartsAt time.Time          `json:"starts_at,omitzero"` // shown, never compared
	Result   runner.AlertResult `json:"result"`
}

func seenAlert(al payloadAlert, result runner.AlertResult) SeenAlert {
	return SeenAlert{Name: short(al.Labels["alertname"]), DAG: short(al.Labels["dag"]), Status: al.Status, StartsAt: al.StartsAt, Result: result}
}

const (
	maxRecent       = 200 // an hour of heartbeats of one DAG
	maxRecentAlerts = 20  // of one notification
)

type recentNotifications struct {
	mu   sync.Mutex
	list []Notification // oldest first
}

func (r *recentNotifications) add(n Notification) {
	if len(n.Alerts) > maxRecentAlerts {
		n.Alerts = n.Alerts[:maxRecentAlerts]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) >= maxRecent {
		r.list = slices.Delete(r.list, 0, len(r.list)-maxRecent+1)
	}
	r.list = append(r.list, n)
}

// of lists the newest n notifications that concern a DAG: its own, those
// without a DAG (heartbeats, malformed ones), newest first. "" is all.
func (r *recentNotifications) of(dag string, n int) []Notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Notification
	for i := len(r.list) - 1; i >= 0 && len(out) < n; i-- {
		if e := r.list[i]; dag == "" || concerns(e, dag) {
			out = append(out, e)
		}
	}
	return out
}

func concerns(n Notification, dag string) bool {
	return len(n.Alerts) == 0 || slices.ContainsFunc(n.Alerts, func(a SeenAlert) bool { return a.DAG == dag || a.DAG == "" })
}
