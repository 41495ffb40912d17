package webhook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// alert is one alert of a notification as Alertmanager writes it.
func alert(status, name, dag, environment string) string {
	return fmt.Sprintf(`{"status":%q,"labels":{"alertname":%q,"dag":%q,"environment":%q},"annotations":{"summary":"x"},"startsAt":"2026-11-24T21:59:00.5Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/","fingerprint":"1"}`, status, name, dag, environment)
}

func notification(version string, truncated int, alerts ...string) string {
	return fmt.Sprintf(`{"receiver":"cutover_webhook","status":"firing","notification_reason":"new in 0.32","alerts":[%s],"groupLabels":{"alertname":"x"},"commonLabels":{},"externalURL":"http://a/","version":%q,"groupKey":"{}:{}","truncatedAlerts":%d}`, strings.Join(alerts, ","), version, truncated)
}

// Every row of the answer table of delivery-facts.md.
func TestAnswers(t *testing.T) {
	good := notification("4", 0, alert("firing", "DAGConverged", "erp", "prod"))
	tests := []struct {
		name, user, body string
		header           []string
		prepare          func(*world)
		status           int
		line             string
		result           runner.AlertResult // counted by the webhook itself; "": by the Controller
		leases           int
		heartbeats       int
	}{
		{name: "counts", body: good, status: 200, leases: 1},
		{name: "charset in the content type", body: good, header: []string{"Content-Type", "application/json; charset=utf-8"}, status: 200, leases: 1},
		{name: "resolved", body: notification("4", 0, alert("resolved", "DAGConverged", "erp", "prod")), status: 200, leases: 1},
		{name: "heartbeat", body: notification("4", 0, alert("firing", "DAGWatchdog", "", "")), status: 200, heartbeats: 1},
		{name: "heartbeat that resolved", body: notification("4", 0, alert("resolved", "DAGWatchdog", "", "")), status: 200, line: "ignored: DAGWatchdog is resolved", result: runner.AlertIgnored},
		{name: "nested alerts, the usual course", body: notification("4", 0, alert("resolved", "DAGSynchronized", "erp", "prod"), alert("firing", "DAGConverged", "erp", "prod"), alert("firing", "DAGNearConvergence", "erp", "prod")),
			status: 200, leases: 1, result: runner.AlertIgnored},
		{name: "not armed", body: good, prepare: func(w *world) { w.fleet.dags[0].armed = false }, status: 200, line: "noted: erp is not armed", leases: 1},
		{name: "other alertname", body: notification("4", 0, alert("firing", "DAGNearConvergence", "erp", "prod")), status: 200, line: "ignored: DAGNearConvergence is not the alert of erp, DAGConverged is", result: runner.AlertIgnored},
		{name: "alert_match does not match", body: notification("4", 0, alert("firing", "DAGConverged", "erp", "test")), status: 200, line: `ignored: alert_match of erp demands environment="prod"`, result: runner.AlertIgnored},
		{name: "no dag label", body: notification("4", 0, alert("firing", "DAGConverged", "", "prod")), status: 200, line: "ignored: DAGConverged carries no label dag", result: runner.AlertIgnored},
		{name: "unknown dag", body: notification("4", 0, alert("firing", "DAGConverged", "xyz", "prod")), status: 200, line: `refused: no DAG named "xyz" is configured here`, result: runner.AlertUnknownDAG},
		{name: "several DAGs", body: notification("4", 0, alert("firing", "DAGConverged", "erp", "prod"), alert("firing", "DAGConverged", "crm", "prod")), status: 200,
			line: "refused: one notification speaks of 2 DAGs (crm, erp): set group_by: [alertname, dag]", result: runner.AlertSeveralDAGs},
		{name: "truncated", body: notification("4", 3, alert("firing", "DAGConverged", "erp", "prod")), status: 200, line: "refused: 3 alerts of the group were cut off: set max_alerts: 0", result: runner.AlertTruncated},
		{name: "version 5", body: notification("5", 0, alert("firing", "DAGConverged", "erp", "prod")), status: 200, line: `refused: payload version "5" is not known here, 4 is`, result: runner.AlertVersion},
		{name: "no alerts in it", body: notification("4", 0), status: 200, line: "ignored: the notification holds no alert"},
		{name: "not JSON", body: "hello", status: 400, line: "not JSON: an Alertmanager webhook notification (version 4) is expected here", result: runner.AlertMalformed},
		{name: "empty", body: "", status: 400, line: "not JSON: an Alertmanager webhook notification (version 4) is expected here", result: runner.AlertMalformed},
		{name: "JSON with a tail", body: good + good, status: 400, line: "not JSON: an Alertmanager webhook notification (version 4) is expected here", result: runner.AlertMalformed},
		{name: "other JSON", body: `{"text":"hi"}`, status: 400, line: "not an Alertmanager webhook notification: version or alerts is missing", result: runner.AlertMalformed},
		{name: "wrong type inside", body: `{"version":"4","alerts":{}}`, status: 400, line: "not an Alertmanager webhook notification: alerts has the wrong type, object", result: runner.AlertMalformed},
		{name: "neither firing nor resolved", body: notification("4", 0, alert("burning", "DAGConverged", "erp", "prod")), status: 400, line: "not an Alertmanager webhook notification: an alert is neither firing nor resolved", result: runner.AlertMalformed},
		{name: "wrong content type", body: good, header: []string{"Content-Type", "text/plain"}, status: 415, line: "Content-Type must be application/json", result: runner.AlertMalformed},
		{name: "larger than 1 MiB", body: good + strings.Repeat(" ", maxPayload), status: 413, line: "larger than 1 MiB: set group_by: [alertname, dag] in the route", result: runner.AlertMalformed},
		{name: "exactly 1 MiB", body: good + strings.Repeat(" ", maxPayload-len(good)), status: 200, leases: 1},
		{name: "no identity", user: "-", body: good, status: 401, line: "no identity: send a Basic user or a client certificate that the web config file knows (after a change of that file: reload)", result: runner.AlertUnauthorized},
		{name: "no role", user: "ops", body: good, status: 403, line: "ops has no role receiver: list it under webhook.roles.receiver", result: runner.AlertUnauthorized},
		{name: "another site's page", body: good, header: []string{"Sec-Fetch-Site", "cross-site"}, status: 403, line: "the request comes from another site's page", result: runner.AlertUnauthorized},
		{name: "shutting down", body: good, prepare: func(w *world) { w.Close() }, status: 503, line: "shutting down", result: runner.AlertShuttingDown},
		{name: "starting", body: good, prepare: func(w *world) { w.ready.Store(false) }, status: 503, line: "starting: not ready yet", result: runner.AlertShuttingDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "dry_run")
			if tt.prepare != nil {
				tt.prepare(w)
			}
			user := "am"
			switch tt.user {
			case "-":
				user = ""
			case "":
			default:
				user = tt.user
			}
			rec := w.do("POST", "/api/v1/alerts", user, tt.body, tt.header...)
			if rec.Code != tt.status {
				t.Errorf("status %d, want %d: %s", rec.Code, tt.status, rec.Body)
			}
			if got := strings.TrimSuffix(rec.Body.String(), "\n"); got != tt.line {
				t.Errorf("line %q\nwant %q", got, tt.line)
			}
			if n := strings.Count(rec.Body.String(), "\n"); n > 1 {
				t.Errorf("%d lines: Alertmanager copies them into its log", n)
			}
			if got := len(w.fleet.dags[0].leases); got != tt.leases {
				t.Errorf("%d leases, want %d", got, tt.leases)
			}
			if w.fleet.heartbeats != tt.heartbeats {
				t.Errorf("%d heartbeats, want %d", w.fleet.heartbeats, tt.heartbeats)
			}
			for _, r := range runner.AlertResults {
				if n := w.fleet.total(r); (n > 0) != (r == tt.result) {
					t.Errorf("%d counted as %s, want the result %q", n, r, tt.result)
				}
			}
			if got := w.recent.of("", 9); len(got) != 1 || got[0].Status != tt.status || got[0].Line != tt.line {
				t.Errorf("on the console: %+v", got)
			}
		})
	}
}

// Of two series of one alert, the firing one has the last word.
func TestFiringCountsLast(t *testing.T) {
	for _, order := range [][]string{{"firing", "resolved"}, {"resolved", "firing"}} {
		w := newWorld(t, "dry_run")
		w.do("POST", "/api/v1/alerts", "am", notification("4", 0, alert(order[0], "DAGConverged", "erp", "prod"), alert(order[1], "DAGConverged", "erp", "prod")))
		got := w.fleet.dags[0].leases
		if len(got) != 2 || got[0].Firing || !got[1].Firing {
			t.Errorf("%v: %+v", order, got)
		}
		if got[1].Receiver != "am" {
			t.Errorf("received by %q", got[1].Receiver)
		}
	}
}

func TestAlertsIsPostOnly(t *testing.T) {
	w := newWorld(t, "dry_run")
	if rec := w.do("GET", "/api/v1/alerts", "am", ""); rec.Code != http.StatusMethodNotAllowed {
		t.Error(rec.Code)
	}
}

func TestRecentIsBounded(t *testing.T) {
	var r recentNotifications
	for i := range 3 * maxRecent {
		r.add(Notification{Status: i, Alerts: make([]SeenAlert, 3*maxRecentAlerts)})
	}
	got := r.of("", 10*maxRecent)
	if len(got) != maxRecent || got[0].Status != 3*maxRecent-1 || len(got[0].Alerts) != maxRecentAlerts {
		t.Errorf("%d, newest %d", len(got), got[0].Status)
	}
}
