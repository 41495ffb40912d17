package webhook

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/runner"
)

func fullStatus() runner.Status {
	one, queue, lag := int64(1), int64(5<<20), 1.5
	return runner.Status{
		DAG: "erp", Group: "DAG", Mode: runner.ModeExecute, Phase: "set_synchronous", Reason: `<script>alert("x")</script>`, Convergence: "caught_up",
		Equal: 2, Total: 3, LagSeconds: &lag, Predicted: &lag,
		Gates: []runner.Gate{
			{Name: "window", State: runner.GateOpen, Reason: "open for 2h", EvidenceAge: 0},
			{Name: "quiet", State: runner.GateClosed, Reason: "db017: session 71, app.exe@WEB03, open for 14 min", EvidenceAge: 1.2, WaitingHelps: true},
			{Name: "rights", State: runner.GateUnknown, Reason: "not read", EvidenceAge: -1},
		},
		Source: runner.SideStatus{Side: "source", AG: "OnPremAG", Role: "primary", RSSTC: &one}, Target: runner.SideStatus{Side: "target", AG: "AzureAG", Error: "login failed"},
		Databases: []runner.DatabaseStatus{{Name: "db017", State: "behind", SendQueue: &queue, SourceLSN: "10227000241966000001"}},
		Lease:     runner.Lease{Alert: "DAGConverged", Held: true, Until: now, LastSeen: now}, PipelineSeen: now,
		Arming: &runner.Arming{By: "ops", Until: now, PlanHash: "0123456789abcdef"}, Approvals: []runner.Approval{{By: "lead", At: now}},
		Held: &runner.Hold{By: "ops", At: now, Reason: "lunch"}, LastRun: "run-1", LastOutcome: "rolled_back", Unacknowledged: true,
		Pages: []runner.Page{{ID: "p1", Text: "both sides read SECONDARY", Conditions: []string{"the source is fenced"}, Statements: []runner.Statement{{Side: "target", SQL: "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS"}}}},
	}
}

func TestConsole(t *testing.T) {
	w := newWorld(t, "execute")
	w.fleet.dags[0].status = fullStatus()
	w.do("POST", "/api/v1/alerts", "am", notification("4", 0, alert("firing", "DAGConverged", "erp", "prod")))
	rec := w.do("GET", "/dags/erp", "ops", "")
	body := rec.Body.String()
	for _, want := range []string{
		`id="phase">set synchronous<`, "2 of 3", "db017: session 71, app.exe@WEB03, open for 14 min", "login failed", "armed", "0123456789ab", "held", "lunch", "1 of 1", "always open",
		"DAGConverged firing", "accepted", "FORCE_FAILOVER_ALLOW_DATA_LOSS", "the source is fenced", "10227000241966000001", "5.0 MiB", "VMs joined", "rolled back",
		`data-verb="arm"`, `data-verb="hold"`, `data-verb="rollback"`, "2 of 3 not open",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(body, "<script>alert") {
		t.Error("a reason of the server is not escaped")
	}
	if strings.Contains(body, `data-verb="approve"`) {
		t.Error("an operator sees the approver's button")
	}
	if body := w.do("GET", "/dags/erp", "lead", "").Body.String(); !strings.Contains(body, `data-verb="approve"`) || strings.Contains(body, `data-verb="arm"`) {
		t.Error("an approver sees the wrong buttons")
	}
	csp := rec.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Error(csp)
	}
	// Nothing from elsewhere, and nothing that the policy would block.
	if m := regexp.MustCompile(`(?i)(src|href)="(https?:)?//[^"]*"|\sstyle=|\son\w+=|<script>`).FindString(body); m != "" {
		t.Errorf("the page holds %q", m)
	}
	if live := w.do("GET", "/dags/erp/live", "ops", "").Body.String(); strings.Contains(live, "<html") || !strings.Contains(live, "set synchronous") {
		t.Error("the live part is not a part")
	}
	list := w.do("GET", "/", "ops", "").Body.String()
	if !strings.Contains(list, `href="/dags/erp"`) || !strings.Contains(list, `href="/dags/crm"`) || !strings.Contains(list, "1 need a human") {
		t.Error("the list misses something")
	}
	for path, ct := range map[string]string{"/assets/console.js": "text/javascript", "/assets/console.css": "text/css"} {
		if rec := w.do("GET", path, "ops", ""); rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), ct) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Header().Get("Content-Type"))
		}
	}
	if rec := w.do("GET", "/assets/live.html", "ops", ""); rec.Code != 404 {
		t.Error("templates are served")
	}
	if rec := w.do("GET", "/dags/none", "ops", ""); rec.Code != 404 {
		t.Errorf("%d", rec.Code)
	}
}

// No page, answer or log line holds a secret of the configuration or a password.
func TestNoSecrets(t *testing.T) {
	w := newWorld(t, "execute")
	w.fleet.dags[0].status = fullStatus()
	var all strings.Builder
	note := func(rec *httptest.ResponseRecorder) { all.WriteString(rec.Body.String()) }
	for _, path := range []string{"/", "/dags/erp", "/dags/erp/live", "/api/v1/dags", "/api/v1/dags/erp", "/api/v1/dags/erp/check", "/api/v1/dags/erp/plan", "/api/v1/dags/erp/report", "/metrics"} {
		note(w.do("GET", path, "ops", ""))
	}
	for _, v := range w.verbs() {
		note(w.do("POST", "/api/v1/dags/erp/"+v.name, "ops", "{}"))
		note(w.do("POST", "/api/v1/dags/erp/"+v.name, "lead", `{"x":"`+secret+`"`))
	}
	note(w.do("POST", "/api/v1/alerts", "am", `{"version":"4","alerts":"`+secret+`"}`))
	note(w.do("POST", "/api/v1/alerts", "am", secret))
	note(w.do("POST", "/api/v1/alerts", "", "{}", "Authorization", "Basic "+secret))
	all.WriteString(w.log.String())
	for _, s := range []string{secret, "-pw", hashes()["ops"], hashes()["am"]} {
		if strings.Contains(all.String(), s) {
			t.Errorf("%q came out", s)
		}
	}
	if !strings.Contains(w.log.String(), "request granted") {
		t.Error("the log is empty: this test looks at nothing")
	}
}
