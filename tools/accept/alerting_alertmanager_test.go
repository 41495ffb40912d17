//go:build accept

package accept

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/tools/internal/promproc"
)

// TestAlertmanager is the shipped alertmanager.yml in a real Alertmanager, with
// the real cutover_webhook behind it: the route is a heartbeat, a silence closes
// the lease though nothing ever says "resolved", and people hear of what is
// critical while a side is down.
func TestAlertmanager(t *testing.T) {
	t.Parallel()
	w := newAlertWorld(t)
	am := w.alertmanager(nil)

	if err := errors.Join(
		am.Fire(map[string]string{"alertname": "DAGNearConvergence", "dag": "erp", "environment": "prod", "severity": "info", "level": "near", "job": "dag"},
			map[string]string{"alertname": "DAGWatchdog", "severity": "none"}),
		am.Fire(w.everything()...)); err != nil {
		t.Fatal(err)
	}

	// Inhibition: by list, never of a critical alert or one of the cutover.
	if wrong := w.inhibition(am); len(wrong) > 0 {
		t.Errorf("inhibition while DAGSideDown fires: %v", wrong)
	}
	broken := w.alertmanager(func(config string) string {
		for _, m := range []string{`'inhibit_class = "replication"'`, `'severity != "critical"'`} {
			config = strings.ReplaceAll(config, m, `'alertname != "DAGSideDown"'`)
		}
		from, to := strings.Index(config, "  - 'alertname =~ \"DAGLinkDisconnected|"), 0
		to = from + strings.Index(config[from:], "\n")
		return config[:from] + "  - 'dag = \"erp\"'" + config[to:]
	})
	if err := broken.Fire(w.everything()...); err != nil {
		t.Fatal(err)
	}
	if wrong := w.inhibition(broken); !slices.Contains(wrong, "DAGCutoverNeedsHuman is inhibited") {
		t.Errorf("a config that inhibits everything goes unnoticed: %v", wrong)
	}

	// The heartbeat, as it reached the webhook.
	if err := promproc.Until(t.Context(), "four heartbeats", func() error {
		if n := len(w.seen("webhook", "DAGNearConvergence")); n < 4 {
			return fmt.Errorf("%d have come", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	beats := w.seen("webhook", "DAGNearConvergence")
	for i, b := range beats[:4] {
		if b.answer != http.StatusOK || b.status != "firing" {
			t.Errorf("heartbeat %d: %s, answered %d", i, b.status, b.answer)
		}
		if i == 0 {
			continue
		}
		gap := b.at.Sub(beats[i-1].at)
		t.Logf("a heartbeat after %.2f s", gap.Seconds())
		if gap < 13*time.Second || gap > 18*time.Second {
			t.Errorf("heartbeat %d came after %s, want 15 s", i, gap)
		}
	}
	if n := len(w.seen("webhook", "DAGWatchdog")); n < 2 {
		t.Errorf("%d watchdogs in 45 s, want one every 30 s", n)
	}
	if state := w.gate("alert_lease"); state != "open" {
		t.Errorf("with a heartbeat the gate alert_lease is %q", state)
	}
	if state := w.gate("alert_path"); state != "open" {
		t.Errorf("with a watchdog the gate alert_path is %q", state)
	}

	// People. Only what is inhibited is not told.
	for name, receiver := range map[string]string{"DAGCutoverNeedsHuman": "people_critical", "DAGTwoPrimaries": "people_critical", "DAGSourceLogFilling": "people_critical",
		"DAGSideDown": "people", "DAGCutoverWebhookDown": "people", "DAGDatabaseSuspended": "people"} {
		if err := promproc.Until(t.Context(), name+" reaches "+receiver, func() error {
			if len(w.seen(receiver, name)) == 0 {
				return errors.New("it has not come")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"DAGLinkDisconnected", "DAGSendQueueGrowing"} {
		if n := len(w.seen("people", name)); n > 0 {
			t.Errorf("%s was told while DAGSideDown fires", name)
		}
	}

	// A silence: the heartbeat stops, and that closes the lease.
	if err := am.Silence("alertname", "DAGNearConvergence"); err != nil {
		t.Fatal(err)
	}
	silenced := time.Now()
	if err := promproc.Until(t.Context(), "the silence closes the gate alert_lease", func() error {
		if state := w.gate("alert_lease"); state != "closed" {
			return fmt.Errorf("it is %q", state)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("the gate alert_lease closed %.0f s after the silence", time.Since(silenced).Seconds())
	for _, n := range w.seen("webhook", "DAGNearConvergence") {
		if n.status != "firing" {
			t.Errorf("the lease was closed by %q, and this test is about silence", n.status)
		}
	}
	if state := w.gate("alert_path"); state != "open" {
		t.Errorf("the watchdog was not silenced, and the gate alert_path is %q", state)
	}
}

// notification is one that reached a receiver.
type notification struct {
	at     time.Time
	status string
	names  []string
	answer int
}

// alertWorld is a lab, a webhook, and loopback receivers.
type alertWorld struct {
	t      *testing.T
	dir    string
	addr   string // of the webhook
	hooks  string // URL of the receivers
	secret string

	mu  sync.Mutex
	got map[string][]notification // by receiver
}

func newAlertWorld(t *testing.T) *alertWorld {
	w := &alertWorld{t: t, dir: t.TempDir(), addr: freeAddress(t), secret: "am-Secret-1", got: map[string][]notification{}}
	l := startLab(t, w.dir, "--databases=1")
	hash, err := bcrypt.GenerateFromPassword([]byte(w.secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.dir, "web.yml", fmt.Sprintf("basic_auth_users:\n  alertmanager: %s\n  ops: %s\n", hash, hash))
	write(t, w.dir, "dag.yml", config(l.dsn(l.Source, "master"), l.dsn(l.Target, "master"), "databases: [db001]",
		"cutover: {start_at: near, alert_match: {environment: prod}, hooks: {quiesce: {url: http://127.0.0.1:9/}, unquiesce: {url: http://127.0.0.1:9/}}}")+
		"webhook:\n  roles: {receiver: [alertmanager], viewer: [\"*\"], operator: [ops]}\n")
	start(t, w.dir, program(t, "cutover_webhook"), "serve", "--config.file=dag.yml", "--web.config.file=web.yml",
		"--web.listen-address="+w.addr, "--storage.path="+filepath.Join(w.dir, "data"))
	eventually(t, "the webhook reads both sides", func() error {
		if w.gate("alert_lease") == "" {
			return errors.New("no gates yet")
		}
		return nil
	})
	hooks := httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(hooks.Close)
	w.hooks = hooks.URL
	return w
}

// receive notes a notification; what is for the webhook goes on to it.
func (w *alertWorld) receive(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	n := notification{at: time.Now(), answer: http.StatusOK}
	var payload struct {
		Status string
		Alerts []struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		w.t.Errorf("not a notification: %v", err)
	}
	n.status = payload.Status
	for _, a := range payload.Alerts {
		n.names = append(n.names, a.Labels["alertname"])
	}
	receiver, _, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	if receiver == "webhook" {
		on, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+w.addr+"/api/v1/alerts", bytes.NewReader(body))
		if err != nil {
			w.t.Error(err)
			return
		}
		on.Header = r.Header.Clone()
		resp, err := http.DefaultClient.Do(on)
		if err != nil {
			http.Error(rw, "", http.StatusBadGateway)
			return
		}
		_ = resp.Body.Close()
		n.answer = resp.StatusCode
	}
	rw.WriteHeader(n.answer)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got[receiver] = append(w.got[receiver], n)
}

func (w *alertWorld) seen(receiver, name string) (out []notification) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.got[receiver] {
		if slices.Contains(n.names, name) {
			out = append(out, n)
		}
	}
	return out
}

// alertmanager runs the shipped config with addresses of this test. A change of
// it sends its notifications elsewhere.
func (w *alertWorld) alertmanager(change func(string) string) *promproc.Alertmanager {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(root(w.t), "alerts", "alertmanager.yml"))
	if err != nil {
		w.t.Fatal(err)
	}
	text, to := string(b), w.hooks
	if change != nil {
		text, to = change(text), w.hooks+"/elsewhere"
	}
	replace := func(old, with string) {
		if strings.Count(text, old) != 1 {
			w.t.Fatalf("alertmanager.yml has %q %d times", old, strings.Count(text, old))
		}
		text = strings.Replace(text, old, with, 1)
	}
	replace("http://cutover-webhook:19969/api/v1/alerts", to+"/webhook/api/v1/alerts")
	for _, people := range []string{"people", "people_critical", "people_info"} {
		replace("- name: "+people+"\n", fmt.Sprintf("- name: %s\n  webhook_configs: [{url: %s/%s}]\n", people, to, people))
	}
	dir := w.t.TempDir()
	write(w.t, dir, "alertmanager.yml", text)
	write(w.t, dir, "alertmanager-password", w.secret)
	am, err := promproc.StartAlertmanager(w.t, dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return am
}

// gate is the state of a gate of the webhook; empty if it has none yet.
func (w *alertWorld) gate(name string) string {
	_, body, err := get("http://"+w.addr+"/api/v1/dags/erp", "ops", w.secret)
	if err != nil {
		return ""
	}
	var s struct {
		Gates []struct{ Name, State string }
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return ""
	}
	for _, g := range s.Gates {
		if g.Name == name {
			return g.State
		}
	}
	return ""
}

// shippedLabels are the labels of each shipped alert.
func (w *alertWorld) shippedLabels() map[string]map[string]string {
	b, err := os.ReadFile(filepath.Join(root(w.t), "alerts", "rules.yml"))
	if err != nil {
		w.t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert  string
				Labels map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				out[r.Alert] = r.Labels
			}
		}
	}
	return out
}

// everything is every shipped alert of one DAG at once, but those that start a
// cutover and the watchdog.
func (w *alertWorld) everything() (out []map[string]string) {
	for name, labels := range w.shippedLabels() {
		if strings.Contains(startAlerts, name) || name == "DAGWatchdog" {
			continue
		}
		labels := maps.Clone(labels)
		labels["alertname"], labels["dag"], labels["environment"] = name, "erp", "prod"
		out = append(out, labels)
	}
	return out
}

// inhibition is what is wrong about who is muted, with every alert firing.
func (w *alertWorld) inhibition(am *promproc.Alertmanager) (wrong []string) {
	w.t.Helper()
	shipped := w.shippedLabels()
	var inhibited map[string]bool
	// What is told of an alert is settled once Alertmanager has looked at it.
	if err := promproc.Until(w.t.Context(), "inhibition is settled", func() (err error) {
		if inhibited, err = am.Inhibited(); err != nil {
			return err
		}
		if len(inhibited) < len(shipped)-4 || !inhibited["DAGLinkDisconnected"] {
			return fmt.Errorf("%d of %d alerts, DAGLinkDisconnected inhibited %t", len(inhibited), len(shipped), inhibited["DAGLinkDisconnected"])
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	for name, is := range inhibited {
		switch want := shipped[name]["inhibit_class"] == "replication"; {
		case is && !want:
			wrong = append(wrong, name+" is inhibited")
		case want && !is:
			wrong = append(wrong, name+" is not inhibited")
		}
		if is && (shipped[name]["severity"] == "critical" || strings.HasPrefix(name, "DAGCutover")) {
			wrong = append(wrong, name+" must never be inhibited")
		}
	}
	slices.Sort(wrong)
	return wrong
}
