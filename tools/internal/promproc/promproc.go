// Package promproc runs a real Prometheus and a real Alertmanager for tests, and
// asks them what they saw. The programs are those on PATH: make accept installs
// them.
package promproc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dag-exporter/dag_exporter/tools/internal/freeport"
)

// TB is what this package needs of a test.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Process is a running program.
type Process struct {
	// URL is where it listens: http://127.0.0.1:port.
	URL string

	t      TB
	cmd    *exec.Cmd
	out    output
	exited chan struct{}
}

// start runs a program from PATH in dir and waits until it is ready. It ends with
// the test at the latest.
func start(t TB, dir, name, address string, args ...string) (*Process, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%w; note: make accept installs it", err)
	}
	p := &Process{URL: "http://" + address, t: t, cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its output
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("--- %s\n%s", filepath.Base(path), p.out.String())
		}
	})
	return p, Until(context.Background(), name+" is ready", func() error {
		select {
		case <-p.exited:
			return fmt.Errorf("it ended:\n%s", p.out.String())
		default:
		}
		_, err := p.get("/-/ready")
		return err
	})
}

// Stop ends the program with SIGTERM and waits for it.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		p.t.Errorf("%s did not end on SIGTERM in 30 s", p.cmd.Path)
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// Signal sends SIGSTOP, SIGCONT and the like.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

func (p *Process) get(path string) ([]byte, error) {
	resp, err := client.Get(p.URL + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, b)
	}
	return b, err
}

var client = &http.Client{Timeout: 30 * time.Second}

// Until calls f until it returns nil, for at most three minutes: a bound against
// hanging, not a claim about speed.
func Until(ctx context.Context, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Prometheus is a running Prometheus.
type Prometheus struct{ *Process }

// StartPrometheus runs Prometheus with dir/prometheus.yml and its storage in
// dir/tsdb, so that a second start goes on where the first ended.
func StartPrometheus(t TB, dir string) (*Prometheus, error) {
	t.Helper()
	address, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	p, err := start(t, dir, "prometheus", address, "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address="+address)
	return &Prometheus{p}, err
}

// Series is one series of an answer.
type Series struct {
	Metric  map[string]string
	Samples []Sample
}

// Sample is one value, at a time in seconds since 1970.
type Sample struct{ T, V float64 }

// UnmarshalJSON reads Prometheus's [time, "value"].
func (s *Sample) UnmarshalJSON(b []byte) error {
	var pair [2]any
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	t, okT := pair[0].(float64)
	text, okV := pair[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	if !okT || !okV || err != nil {
		return fmt.Errorf("not a sample: %s", b)
	}
	s.T, s.V = t, v
	return nil
}

// Query asks now. Of a range selector it gives the samples as they are stored.
func (p *Prometheus) Query(expr string) ([]Series, error) {
	return p.ask("/api/v1/query", url.Values{"query": {expr}})
}

// QueryRange asks for each step between two times.
func (p *Prometheus) QueryRange(expr string, from, to time.Time, step time.Duration) ([]Series, error) {
	seconds := func(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }
	return p.ask("/api/v1/query_range", url.Values{"query": {expr}, "step": {seconds(step.Seconds())},
		"start": {seconds(float64(from.UnixMilli()) / 1000)}, "end": {seconds(float64(to.UnixMilli()) / 1000)}})
}

func (p *Prometheus) ask(path string, q url.Values) ([]Series, error) {
	resp, err := client.PostForm(p.URL+path, q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	if answer.Data.ResultType == "scalar" {
		var s Sample
		err := json.Unmarshal(answer.Data.Result, &s)
		return []Series{{Samples: []Sample{s}}}, err
	}
	var raw []struct {
		Metric map[string]string `json:"metric"`
		Value  *Sample           `json:"value"`
		Values []Sample          `json:"values"`
	}
	if err := json.Unmarshal(answer.Data.Result, &raw); err != nil {
		return nil, err
	}
	var out []Series
	for _, r := range raw {
		if r.Value != nil {
			r.Values = append(r.Values, *r.Value)
		}
		out = append(out, Series{r.Metric, r.Values})
	}
	return out, nil
}

// MetricNames are the names of every metric that has been stored.
func (p *Prometheus) MetricNames() (map[string]bool, error) {
	b, err := p.get("/api/v1/label/__name__/values")
	if err != nil {
		return nil, err
	}
	var answer struct{ Data []string }
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, n := range answer.Data {
		names[n] = true
	}
	return names, nil
}

// Alertmanager is a running Alertmanager.
type Alertmanager struct{ *Process }

// StartAlertmanager runs Alertmanager with dir/alertmanager.yml.
func StartAlertmanager(t TB, dir string) (*Alertmanager, error) {
	t.Helper()
	address, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	p, err := start(t, dir, "alertmanager", address, "--config.file=alertmanager.yml", "--storage.path=am",
		"--web.listen-address="+address, "--cluster.listen-address=")
	return &Alertmanager{p}, err
}

// Fire posts alerts as Prometheus does, each with its end five minutes ahead.
func (a *Alertmanager) Fire(alerts ...map[string]string) error {
	type alert struct {
		Labels   map[string]string `json:"labels"`
		StartsAt time.Time         `json:"startsAt"`
		EndsAt   time.Time         `json:"endsAt"`
	}
	var list []alert
	for _, labels := range alerts {
		list = append(list, alert{labels, time.Now(), time.Now().Add(5 * time.Minute)})
	}
	return a.post("/api/v2/alerts", list)
}

// Silence mutes every alert with that label for ten minutes.
func (a *Alertmanager) Silence(label, value string) error {
	return a.post("/api/v2/silences", map[string]any{
		"matchers":  []map[string]any{{"name": label, "value": value, "isRegex": false}},
		"startsAt":  time.Now(),
		"endsAt":    time.Now().Add(10 * time.Minute),
		"createdBy": "test", "comment": "test",
	})
}

// Inhibited are the names of the alerts that another one mutes.
func (a *Alertmanager) Inhibited() (map[string]bool, error) {
	b, err := a.get("/api/v2/alerts?active=true&inhibited=true&silenced=true")
	if err != nil {
		return nil, err
	}
	var list []struct {
		Labels map[string]string
		Status struct {
			InhibitedBy []string `json:"inhibitedBy"`
		}
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, l := range list {
		names[l.Labels["alertname"]] = len(l.Status.InhibitedBy) > 0
	}
	return names, nil
}

func (a *Alertmanager) post(path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := client.Post(a.URL+path, "application/json", bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s: %s", path, resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// output is a buffer that the process and the test share.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
