package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dag-exporter/dag_exporter/tools/internal/freeport"
)

// promServer is a real Prometheus that scrapes nothing: its samples are sent to it,
// with their times.
type promServer struct {
	url   string
	dir   string
	child *exec.Cmd
}

const prometheusConfig = `otlp: {translation_strategy: NoTranslation}
storage: {tsdb: {out_of_order_time_window: 4h}}
`

func startPrometheus(ctx context.Context) (_ *promServer, err error) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, fmt.Errorf("%w; note: tools/install.sh prometheus, and .tools/bin on PATH", err)
	}
	address, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	p := &promServer{url: "http://" + address}
	if p.dir, err = os.MkdirTemp("", "preview-prometheus"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	config := filepath.Join(p.dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(prometheusConfig), 0o600); err != nil {
		return nil, err
	}
	child := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(p.dir, "tsdb"),
		"--storage.tsdb.retention.time=100y", "--web.listen-address="+address, "--web.enable-otlp-receiver", "--log.level=error")
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		return nil, err
	}
	p.child = child
	for range 300 {
		res, err := http.Get(p.url + "/-/ready")
		if err == nil {
			_ = res.Body.Close() // only the status counts
			if res.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil, errors.New("prometheus did not become ready")
}

func (p *promServer) close() {
	if p.child != nil {
		_ = p.child.Process.Kill() // nothing that it holds is needed any more
		_ = p.child.Wait()
	}
	_ = os.RemoveAll(p.dir)
}

// matrix is the answer to a range query: per series its labels and values by
// the number of the step.
type matrix []struct {
	labels map[string]string
	values map[int]float64
}

func (p *promServer) queryRange(ctx context.Context, expr string, from time.Time, steps int) (matrix, error) {
	stamp := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	form := url.Values{
		"query": {expr}, "start": {stamp(from)}, "end": {stamp(from.Add(time.Duration(steps-1) * step))}, "step": {strconv.Itoa(int(step / time.Second))},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/api/v1/query_range", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var body struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return nil, err
	}
	if body.Status != "success" {
		return nil, fmt.Errorf("%s: %s", body.Error, expr)
	}
	var out matrix
	for _, r := range body.Data.Result {
		values := map[int]float64{}
		for _, v := range r.Values {
			f, err := strconv.ParseFloat(v[1].(string), 64)
			if err != nil {
				return nil, err
			}
			values[int(time.Unix(int64(v[0].(float64)), 0).Sub(from)/step)] = f
		}
		out = append(out, struct {
			labels map[string]string
			values map[int]float64
		}{r.Metric, values})
	}
	return out, nil
}

// rule is one of alerts/rules.yml.
type rule struct {
	Record, Alert, Expr string
	Labels              map[string]string
	For                 string `yaml:"for"`
	Keep                string `yaml:"keep_firing_for"`
}

func readRules(path string) ([]rule, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []rule
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	return out, nil
}

// evaluate runs the rules over the whole history, in the file's order, and
// writes down what they give, as Prometheus itself would have if it had been
// there: it evaluates rules at the present alone.
func (p *promServer) evaluate(ctx context.Context, rules []rule, from time.Time, steps int) error {
	for _, r := range rules {
		m, err := p.queryRange(ctx, r.Expr, from, steps)
		if err != nil {
			return err
		}
		out := newStore()
		for _, s := range m {
			delete(s.labels, "__name__")
			for k, v := range r.Labels {
				s.labels[k] = v
			}
			at := func(n int) time.Time { return from.Add(time.Duration(n) * step) }
			if r.Record != "" {
				out.record(r.Record, s.labels, steps, at, func(n int) (float64, bool) { v, ok := s.values[n]; return v, ok })
				continue
			}
			s.labels["alertname"] = r.Alert
			states, err := r.states(s.values, steps)
			if err != nil {
				return err
			}
			for _, state := range []string{"pending", "firing"} {
				s.labels["alertstate"] = state
				out.record("ALERTS", s.labels, steps, at, func(n int) (float64, bool) { return 1, states[n] == state })
			}
		}
		if err := out.push(ctx, p.url); err != nil {
			return fmt.Errorf("%s%s: %w", r.Record, r.Alert, err)
		}
	}
	return nil
}

// states is what an alert with these values is at each step.
func (r rule) states(values map[int]float64, steps int) ([]string, error) {
	wait, err := duration(r.For)
	if err != nil {
		return nil, err
	}
	keep, err := duration(r.Keep)
	if err != nil {
		return nil, err
	}
	out := make([]string, steps)
	since, last := -1, -1 // the step at which it became active; the last one at which it fired by its expression
	for n := range steps {
		if _, active := values[n]; !active {
			since = -1
			if last >= 0 && time.Duration(n-last)*step <= keep {
				out[n] = "firing"
			} else {
				last = -1
			}
			continue
		}
		if since < 0 {
			since = n
		}
		if time.Duration(n-since)*step >= wait || last >= 0 && keep > 0 {
			out[n], last = "firing", n
		} else {
			out[n] = "pending"
		}
	}
	return out, nil
}

// duration reads a Prometheus duration of one unit, as values.yml has them.
func duration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// record writes a series down, and where it ends.
func (s *store) record(name string, labels map[string]string, steps int, at func(int) time.Time, value func(int) (float64, bool)) {
	var parts []string
	for k, v := range labels {
		parts = append(parts, fmt.Sprintf("%s=%q", k, v))
	}
	slices.Sort(parts)
	series := name + "{" + strings.Join(parts, ",") + "}"
	was := false
	for n := range steps {
		v, ok := value(n)
		if ok {
			s.put(series, sample{at: at(n), value: v})
		} else if was {
			s.put(series, sample{at: at(n), stale: true})
		}
		was = ok
	}
}
