package webhook

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

var now = time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC)

// fakeDAG is a Controller without servers: it notes what it is asked.
type fakeDAG struct {
	name string
	mode runner.Mode

	mu       sync.Mutex
	armed    bool
	leases   []runner.Alert
	calls    []string // verb and who
	status   runner.Status
	err      error
	events   chan runner.Event
	counted  map[runner.AlertResult]int
	armReq   runner.ArmRequest
	disarmed string
}

func newFake(name string, mode runner.Mode) *fakeDAG {
	return &fakeDAG{
		name: name, mode: mode, armed: true, events: make(chan runner.Event, 8), counted: map[runner.AlertResult]int{},
		status: runner.Status{DAG: name, Group: "DAG", Mode: mode, Phase: "idle", Convergence: "caught_up", Equal: 2, Total: 3},
	}
}

func (f *fakeDAG) note(verb, by string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, verb+" "+by)
	return f.err
}

func (f *fakeDAG) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, ", ")
}

func (f *fakeDAG) Name() string      { return f.name }
func (f *fakeDAG) Mode() runner.Mode { return f.mode }
func (f *fakeDAG) Status() runner.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}
func (f *fakeDAG) Subscribe() (<-chan runner.Event, func()) { return f.events, func() {} }
func (f *fakeDAG) LeaseSeen(a runner.Alert, _ time.Time) runner.AlertResult {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leases = append(f.leases, a)
	switch {
	case !a.Firing:
		return runner.AlertResolved
	case !f.armed:
		return runner.AlertNotArmed
	}
	return runner.AlertAccepted
}
func (f *fakeDAG) HeartbeatSeen(time.Time) {}
func (f *fakeDAG) CountAlert(r runner.AlertResult) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted[r]++
}
func (f *fakeDAG) Check(context.Context) (runner.CheckResult, error) {
	return runner.CheckResult{DAG: f.name, Readiness: runner.Waiting}, f.note("check", "")
}
func (f *fakeDAG) Plan(_ context.Context, drill bool) (runner.PlanResult, error) {
	return runner.PlanResult{DAG: f.name, Hash: "abc", Drill: drill}, f.note("plan", "")
}
func (f *fakeDAG) Arm(_ context.Context, r runner.ArmRequest) (runner.Arming, error) {
	f.mu.Lock()
	f.armReq = r
	f.mu.Unlock()
	return runner.Arming{By: r.By, PlanHash: r.PlanHash}, f.note("arm", r.By)
}
func (f *fakeDAG) Disarm(_ context.Context, r runner.Request) error { return f.note("disarm", r.By) }
func (f *fakeDAG) Approve(_ context.Context, r runner.ApproveRequest) (runner.Approval, error) {
	return runner.Approval{By: r.By, PlanHash: r.PlanHash}, f.note("approve", r.By)
}
func (f *fakeDAG) Hold(_ context.Context, r runner.Request) error    { return f.note("hold", r.By) }
func (f *fakeDAG) Release(_ context.Context, r runner.Request) error { return f.note("release", r.By) }
func (f *fakeDAG) Run(_ context.Context, r runner.Request) (string, error) {
	return "run-1", f.note("run", r.By)
}
func (f *fakeDAG) Drill(_ context.Context, r runner.Request) (string, error) {
	return "run-2", f.note("drill", r.By)
}
func (f *fakeDAG) Rollback(_ context.Context, r runner.Request) error {
	return f.note("rollback", r.By)
}
func (f *fakeDAG) Acknowledge(_ context.Context, r runner.Request) error {
	return f.note("acknowledge", r.By)
}
func (f *fakeDAG) DisarmAll(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disarmed, f.armed = reason, false
}
func (f *fakeDAG) Runs(context.Context) ([]runner.RunSummary, error) {
	return []runner.RunSummary{{ID: "run-1", DAG: f.name}}, f.err
}
func (f *fakeDAG) Report(_ context.Context, run string) (*runner.Report, error) {
	if run == "none" {
		return nil, nil
	}
	return &runner.Report{Run: "run-1", DAG: f.name}, f.err
}

// fakeFleet is runner.Fleet over fakes.
type fakeFleet struct {
	dags       []*fakeDAG
	mu         sync.Mutex
	heartbeats int
	counted    map[runner.AlertResult]int
}

func (f *fakeFleet) Get(name string) (runner.API, bool) {
	for _, d := range f.dags {
		if d.name == name {
			return d, true
		}
	}
	return nil, false
}
func (f *fakeFleet) All() (out []runner.API) {
	for _, d := range f.dags {
		out = append(out, d)
	}
	return out
}
func (f *fakeFleet) HeartbeatSeen(time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heartbeats++
}
func (f *fakeFleet) CountAlert(dag string, r runner.AlertResult) {
	if d, ok := f.Get(dag); ok {
		d.CountAlert(r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted[r]++
}
func (f *fakeFleet) DisarmAll(reason string) {
	for _, d := range f.dags {
		d.DisarmAll(reason)
	}
}

// total is how often a result was counted, over all DAGs and none.
func (f *fakeFleet) total(r runner.AlertResult) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.counted[r]
	for _, d := range f.dags {
		d.mu.Lock()
		n += d.counted[r]
		d.mu.Unlock()
	}
	return n
}

const secret = "hunter2-swordfish"

// world is a Handler with everything around it.
type world struct {
	*Handler
	fleet   *fakeFleet
	log     *bytes.Buffer
	webFile string
}

type syncWriter struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (w *syncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

const dagYAML = `dags:
  - name: erp
    group: DAG
    source: {ag: OnPremAG, instances: ["sqlserver://sa:` + secret + `@sql1?encrypt=true"]}
    target: {ag: AzureAG, instances: ["sqlserver://sa:` + secret + `@sql2?encrypt=true"]}
    databases: [db1]
    cutover: {mode: MODE, alert_match: {environment: prod}, checklist: ["VMs joined"], hooks: {after: {url: "https://x/` + secret + `"}}}
  - name: crm
    group: DAG2
    source: {ag: OnPremAG, instances: ["sqlserver://sa:` + secret + `@sql3?encrypt=true"]}
    target: {ag: AzureAG, instances: ["sqlserver://sa:` + secret + `@sql4?encrypt=true"]}
webhook:
  roles: {receiver: [am, am.example], viewer: [watch], operator: [ops, ops.example], approver: [lead]}
`

func parse(t *testing.T, mode string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(strings.ReplaceAll(dagYAML, "MODE", mode)), "c.yml")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// hashes of "am-pw" … at the lowest cost, made once: bcrypt is slow on purpose.
var hashes = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, u := range []string{"am", "watch", "ops", "lead", "nobody"} {
		h, err := bcrypt.GenerateFromPassword([]byte(u+"-pw"), bcrypt.MinCost)
		if err != nil {
			panic(err)
		}
		out[u] = string(h)
	}
	return out
})

func writeUsers(t *testing.T, file string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("basic_auth_users:\n")
	for u, h := range hashes() {
		b.WriteString("  " + u + ": " + h + "\n")
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, mode string) *world {
	t.Helper()
	w := &world{log: &bytes.Buffer{}, webFile: filepath.Join(t.TempDir(), "web.yml")}
	writeUsers(t, w.webFile)
	auth, err := NewAuth(w.webFile)
	if err != nil {
		t.Fatal(err)
	}
	w.fleet = &fakeFleet{dags: []*fakeDAG{newFake("erp", runner.Mode(mode)), newFake("crm", runner.ModeDryRun)}, counted: map[runner.AlertResult]int{}}
	w.Handler, err = New(Options{
		Config: parse(t, mode), Fleet: w.fleet, Auth: auth, Gatherer: prometheus.NewRegistry(), Now: func() time.Time { return now }, Version: "v0",
		Log: slog.New(slog.NewTextHandler(&syncWriter{b: w.log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.SetReady()
	return w
}

// do sends a request as a Basic user; "" is nobody.
func (w *world) do(method, path, user, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if user != "" {
		r.SetBasicAuth(user, user+"-pw")
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}
