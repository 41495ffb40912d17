package webhook

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// Who may do what: every path against every role.
func TestRoles(t *testing.T) {
	everybody := []string{"", "nobody", "am", "watch", "ops", "lead"}
	gets := []string{"/", "/dags/erp", "/dags/erp/live", "/api/v1/dags", "/api/v1/dags/erp", "/api/v1/dags/erp/check", "/api/v1/dags/erp/plan", "/api/v1/dags/erp/runs", "/api/v1/dags/erp/report"}
	w := newWorld(t, "execute")
	for _, path := range gets {
		for _, user := range everybody {
			want := map[string]int{"": 401, "nobody": 403, "am": 403}[user]
			if want == 0 {
				want = 200
			}
			if rec := w.do("GET", path, user, ""); rec.Code != want {
				t.Errorf("GET %s as %q: %d, want %d", path, user, rec.Code, want)
			}
		}
	}
	for _, v := range w.verbs() {
		for _, user := range everybody {
			w := newWorld(t, "execute")
			want := 403
			switch {
			case user == "":
				want = 401
			case v.name == "approve" && user == "lead", v.name != "approve" && user == "ops":
				want = 200
			}
			rec := w.do("POST", "/api/v1/dags/erp/"+v.name, user, "{}")
			if rec.Code != want {
				t.Errorf("POST %s as %q: %d, want %d: %s", v.name, user, rec.Code, want, rec.Body)
			}
			took := ""
			if want == 200 {
				took = v.name + " " + user
			}
			if got := w.fleet.dags[0].took(); got != took {
				t.Errorf("POST %s as %q: asked for %q, want %q", v.name, user, got, took)
			}
			if got := w.fleet.dags[1].took(); got != "" {
				t.Errorf("POST %s as %q: the other DAG was asked for %q", v.name, user, got)
			}
		}
	}
	for _, path := range []string{"/metrics", "/-/healthy", "/-/ready"} { // the outer door alone guards these
		if rec := w.do("GET", path, "", ""); rec.Code != 200 {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	if rec := w.do("POST", "/-/reload", "watch", ""); rec.Code != 403 {
		t.Errorf("reload as a viewer: %d", rec.Code)
	}
}

func TestForgedUserIsNobody(t *testing.T) {
	w := newWorld(t, "execute")
	for _, pw := range []string{"", "ops", "wrong"} {
		r := httptest.NewRequest("POST", "/api/v1/dags/erp/arm", strings.NewReader("{}"))
		r.SetBasicAuth("ops", pw)
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code != 401 || w.fleet.dags[0].took() != "" {
			t.Errorf("password %q: %d, took %q", pw, rec.Code, w.fleet.dags[0].took())
		}
	}
}

func TestVerbs(t *testing.T) {
	tests := []struct {
		name, path, user, body string
		header                 []string
		err                    error
		status                 int
		answer                 string // contained
	}{
		{"arm with everything", "erp/arm", "ops", `{"reason":"tonight","plan_hash":"abc","for":"2h","checklist":["VMs joined"]}`, nil, nil, 200, `"plan_hash": "abc"`},
		{"arm without a body", "erp/arm", "ops", "", nil, nil, 200, `"by": "ops"`},
		{"somebody else's name", "erp/arm", "ops", `{"by":"lead"}`, nil, nil, 400, "who asks comes from the credentials"},
		{"unknown field", "erp/hold", "ops", `{"reasn":"x"}`, nil, nil, 400, "unknown field"},
		{"a field of another verb", "erp/hold", "ops", `{"plan_hash":"x"}`, nil, nil, 400, "plan_hash belongs to arm and approve"},
		{"another field of another verb", "erp/approve", "lead", `{"for":"1h"}`, nil, nil, 400, "belong to arm"},
		{"not a duration", "erp/arm", "ops", `{"for":"soon"}`, nil, nil, 400, "for must be a duration such as 4h"},
		{"over already", "erp/arm", "ops", `{"until":"2026-11-24T22:00:00Z"}`, nil, nil, 400, "until is over: it is 2026-11-24T22:00:00Z here"},
		{"not JSON", "erp/arm", "ops", "x", nil, nil, 400, "not valid JSON"},
		{"two objects", "erp/arm", "ops", "{}{}", nil, nil, 400, "one JSON object"},
		{"a form", "erp/arm", "ops", "reason=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, nil, 415, "Content-Type must be application/json"},
		{"another site, new browser", "erp/arm", "ops", "{}", []string{"Sec-Fetch-Site", "cross-site"}, nil, 403, "another site's page"},
		{"another site, old browser", "erp/arm", "ops", "{}", []string{"Origin", "https://evil.example"}, nil, 403, "another site's page"},
		{"this site", "erp/arm", "ops", "{}", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://example.com"}, nil, 200, "ops"},
		{"too large", "erp/arm", "ops", strings.Repeat(" ", maxPayload+1), nil, nil, 413, "larger than 1 MiB"},
		{"no such DAG", "xyz/arm", "ops", "{}", nil, nil, 404, "no DAG named"},
		{"refused", "erp/run", "ops", "{}", nil, &runner.Refused{Op: "run", DAG: "erp", Why: "not armed", Remedy: "arm it first"}, 409, `"remedy": "arm it first"`},
		{"refused, waiting helps", "erp/run", "ops", "{}", nil, &runner.Refused{Why: "x", Wait: true}, 409, `"wait": true`},
		{"forbidden", "erp/approve", "lead", "{}", nil, &runner.Refused{Why: "x", Forbidden: true}, 403, `"refused": true`},
		{"nothing there", "erp/rollback", "ops", "{}", nil, &runner.Refused{Why: "no run", NotFound: true}, 404, "no run"},
		{"broken", "erp/hold", "ops", "{}", nil, errors.New("journal: disk full"), 500, "disk full"},
		{"too slow", "erp/hold", "ops", "{}", nil, context.DeadlineExceeded, 504, "deadline"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "execute")
			w.fleet.dags[0].err = tt.err
			rec := w.do("POST", "/api/v1/dags/"+tt.path, tt.user, tt.body, tt.header...)
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.answer) {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
			if !json.Valid(rec.Body.Bytes()) {
				t.Errorf("not JSON: %s", rec.Body)
			}
			if tt.status >= 400 && tt.err == nil && w.fleet.dags[0].took() != "" {
				t.Errorf("asked for %q all the same", w.fleet.dags[0].took())
			}
		})
	}
	w := newWorld(t, "execute")
	w.do("POST", "/api/v1/dags/erp/arm", "ops", `{"reason":"tonight","for":"2h","until":"2026-11-25T00:00:00Z","drill":true,"checklist":["VMs joined"]}`)
	if got := w.fleet.dags[0].armReq; got.For != 2*time.Hour || got.By != "ops" || got.Reason != "tonight" || !got.Drill || got.Until.IsZero() || len(got.Checklist) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestArmerMayNotApprove(t *testing.T) {
	w := newWorld(t, "execute")
	w.fleet.dags[0].status.Arming = &runner.Arming{By: "lead"}
	if rec := w.do("POST", "/api/v1/dags/erp/approve", "lead", "{}"); rec.Code != 403 || w.fleet.dags[0].took() != "" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.cfg.Load().DAGs[0].Cutover.SelfApprove = true
	if rec := w.do("POST", "/api/v1/dags/erp/approve", "lead", "{}"); rec.Code != 200 {
		t.Errorf("self_approve: %d %s", rec.Code, rec.Body)
	}
}

// A run after S2 outlives the order to stop: who watches it must be able to act.
func TestDraining(t *testing.T) {
	w := newWorld(t, "execute")
	w.Drain()
	for _, v := range w.verbs() {
		user, want := "ops", 200
		if v.name == "approve" {
			user = "lead"
		}
		if v.name == "arm" || v.name == "approve" || v.name == "run" || v.name == "drill" {
			want = 503
		}
		if rec := w.do("POST", "/api/v1/dags/erp/"+v.name, user, "{}"); rec.Code != want {
			t.Errorf("%s: %d, want %d", v.name, rec.Code, want)
		}
	}
	if rec := w.do("GET", "/dags/erp", "ops", ""); rec.Code != 200 {
		t.Errorf("the console: %d", rec.Code)
	}
}

// A drill's plan is asked for by a word that is understood, or not at all.
func TestPlanOfADrill(t *testing.T) {
	w := newWorld(t, "dry_run")
	for query, want := range map[string]string{"": `"drill": false`, "?drill=true": `"drill": true`, "?drill=0": `"drill": false`, "?drill=yes": "drill must be true or false"} {
		if rec := w.do("GET", "/api/v1/dags/erp/plan"+query, "ops", ""); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%q: %d %s", query, rec.Code, rec.Body)
		}
	}
}

func TestReports(t *testing.T) {
	w := newWorld(t, "dry_run")
	if rec := w.do("GET", "/api/v1/dags/erp/report?format=markdown", "ops", ""); !strings.HasPrefix(rec.Body.String(), "# ") || !strings.Contains(rec.Body.String(), "run-1") || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/markdown") {
		t.Error(rec.Header(), rec.Body)
	}
	if rec := w.do("GET", "/api/v1/dags/erp/report?run=none", "ops", ""); rec.Code != 404 {
		t.Error(rec.Code)
	}
}

func TestExecuteNeedsAuthentication(t *testing.T) {
	nobody, err := NewAuth("")
	if err != nil {
		t.Fatal(err)
	}
	try := func(cfg *config.Config, a *Auth) error {
		_, err := New(Options{Config: cfg, Auth: a, Fleet: &fakeFleet{}, Gatherer: prometheus.NewRegistry()})
		return err
	}
	if err := try(parse(t, "execute"), nobody); err == nil || !strings.Contains(err.Error(), "--web.config.file") {
		t.Errorf("without a file: %v", err)
	}
	if err := try(parse(t, "dry_run"), nobody); err != nil {
		t.Errorf("dry run without a file: %v", err)
	}
	w := newWorld(t, "execute")
	for _, c := range []func(*config.Config){
		func(c *config.Config) { c.Webhook.Roles = config.Roles{} },
		func(c *config.Config) { c.DAGs[0].Cutover.AlertMatch = nil },
	} {
		cfg := parse(t, "execute")
		c(cfg)
		if err := try(cfg, w.o.Auth); err == nil {
			t.Error("started")
		}
	}
}

func TestDryRunWithoutAuthentication(t *testing.T) {
	auth, err := NewAuth("")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{fleet: &fakeFleet{dags: []*fakeDAG{newFake("erp", runner.ModeDryRun)}, counted: map[runner.AlertResult]int{}}}
	if w.Handler, err = New(Options{Config: parse(t, "dry_run"), Auth: auth, Fleet: w.fleet, Gatherer: prometheus.NewRegistry()}); err != nil {
		t.Fatal(err)
	}
	w.SetReady()
	if rec := w.do("POST", "/api/v1/alerts", "", notification("4", 0, alert("firing", "DAGConverged", "erp", "prod"))); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("POST", "/api/v1/dags/erp/arm", "", "{}"); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestReload(t *testing.T) {
	w := newWorld(t, "execute")
	next := parse(t, "execute")
	next.Webhook.Roles.Operator = []string{"watch"}
	var fail error
	w.o.Reload = func(context.Context) (*config.Config, error) { return next, fail }

	fail = errors.New("c.yml:3: unknown key")
	if rec := w.do("POST", "/-/reload", "ops", ""); rec.Code != 409 || !strings.Contains(rec.Body.String(), "the old configuration stands: c.yml:3: unknown key") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	fail = nil
	if rec := w.do("POST", "/-/reload", "ops", "", "Sec-Fetch-Site", "cross-site"); rec.Code != 403 {
		t.Errorf("from another site: %d", rec.Code)
	}
	if rec := w.do("POST", "/-/reload", "ops", ""); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("POST", "/api/v1/dags/erp/hold", "ops", "{}"); rec.Code != 403 {
		t.Errorf("the old operator: %d", rec.Code)
	}
	if rec := w.do("POST", "/api/v1/dags/erp/hold", "watch", "{}"); rec.Code != 200 {
		t.Errorf("the new operator: %d", rec.Code)
	}
}

func TestEvents(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t, "dry_run")
	srv := httptest.NewServer(w)
	defer srv.Close()
	req, err := http.NewRequest("GET", srv.URL+"/api/v1/dags/erp/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("ops", "ops-pw")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Error(ct)
	}
	w.fleet.dags[0].events <- runner.Event{Sequence: 7, Kind: "phase", Status: runner.Status{Phase: "lock"}}
	lines := bufio.NewScanner(res.Body)
	var got []string
	for lines.Scan() {
		if lines.Text() != "" {
			got = append(got, lines.Text())
		}
		if strings.HasPrefix(lines.Text(), "data: ") {
			break
		}
	}
	if len(got) != 3 || got[0] != "retry: 1000" || got[1] != "id: 7" {
		t.Fatalf("%q", got)
	}
	var e runner.Event
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got[2], "data: ")), &e); err != nil || e.Status.Phase != "lock" {
		t.Errorf("%+v %v", e, err)
	}
	w.Close() // ends the stream: else Shutdown would wait for ever
	for lines.Scan() {
	}
	if rec := w.do("GET", "/-/ready", "", ""); rec.Code != 503 {
		t.Errorf("ready while closing: %d", rec.Code)
	}
}

// A pager's link works without a wiki.
func TestRunbooks(t *testing.T) {
	w := newWorld(t, "dry_run")
	if rec := w.do("GET", "/runbooks/DAGConverged", "ops", ""); rec.Code != 200 || !strings.HasPrefix(rec.Body.String(), "# DAGConverged") {
		t.Error(rec.Code, rec.Body)
	}
	if rec := w.do("GET", "/runbooks/nothing", "ops", ""); rec.Code != 404 {
		t.Error(rec.Code)
	}
}
