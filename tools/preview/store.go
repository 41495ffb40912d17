package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// step is the scrape interval, and that of the rules: the one of
// alerts/values.yml and deploy/prometheus.yml.
const step = 5 * time.Second

// sample is one value of one series; stale says that the series ended, as
// Prometheus writes it down when a scrape does not bring it any more.
type sample struct {
	at    time.Time
	value float64
	stale bool
}

// store holds what a Prometheus with this scrape config would have written.
type store struct {
	series map[string][]sample // by the exposition's text: name{label="value",…}
	alive  map[string]bool     // series that the last scrape of their target brought, by target and series
}

func newStore() *store { return &store{series: map[string][]sample{}, alive: map[string]bool{}} }

// take writes down one scrape of one target. body is the text exposition;
// nil: the target did not answer. keep decides by series; extra are the labels
// that Prometheus adds.
func (s *store) take(at time.Time, job, instance string, extra map[string]string, body []byte, keep func(series string) bool) error {
	labels := map[string]string{"job": job, "instance": instance}
	for k, v := range extra {
		labels[k] = v
	}
	suffix := ""
	for _, k := range []string{"exporter", "instance", "job"} {
		if v, ok := labels[k]; ok {
			suffix += fmt.Sprintf(",%s=%q", k, v)
		}
	}
	target := job + "/" + instance
	s.put("up{"+suffix[1:]+"}", sample{at: at, value: oneIf(body != nil)})

	now := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			return fmt.Errorf("%s: %q: %w", target, line, err)
		}
		series := line[:i]
		if !keep(series) {
			continue
		}
		if strings.HasSuffix(series, "}") {
			series = series[:len(series)-1] + suffix + "}"
		} else {
			series += "{" + suffix[1:] + "}"
		}
		s.put(series, sample{at: at, value: v})
		now[target+" "+series] = true
	}
	for key := range s.alive {
		if strings.HasPrefix(key, target+" ") && !now[key] {
			s.put(strings.TrimPrefix(key, target+" "), sample{at: at, stale: true})
			delete(s.alive, key)
		}
	}
	for key := range now {
		s.alive[key] = true
	}
	return nil
}

func (s *store) put(series string, v sample) { s.series[series] = append(s.series[series], v) }

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// The parts of an OTLP metrics request that are needed, as JSON.
type (
	otlpAttribute struct {
		Key   string            `json:"key"`
		Value map[string]string `json:"value"`
	}
	otlpPoint struct {
		Attributes []otlpAttribute `json:"attributes"`
		Time       string          `json:"timeUnixNano"`
		Value      *float64        `json:"asDouble,omitempty"`
		Flags      int             `json:"flags,omitempty"` // 1: no value was recorded, which Prometheus keeps as stale
	}
	otlpMetric struct {
		Name  string `json:"name"`
		Gauge struct {
			Points []otlpPoint `json:"dataPoints"`
		} `json:"gauge"`
	}
)

// push sends every sample to a Prometheus, and forgets them.
func (s *store) push(ctx context.Context, url string) error {
	const perRequest = 20000
	var metrics []otlpMetric
	n := 0
	flush := func() error {
		if len(metrics) == 0 {
			return nil
		}
		type m = map[string]any
		body, err := json.Marshal(m{"resourceMetrics": []any{m{"scopeMetrics": []any{m{"metrics": metrics}}}}})
		if err != nil {
			return err
		}
		metrics, n = nil, 0
		return post(ctx, url+"/api/v1/otlp/v1/metrics", body)
	}
	for series, samples := range s.series {
		name, labels := parseSeries(series)
		var m otlpMetric
		m.Name = name
		var attributes []otlpAttribute
		for _, l := range labels {
			attributes = append(attributes, otlpAttribute{l[0], map[string]string{"stringValue": l[1]}})
		}
		for _, v := range samples {
			p := otlpPoint{Attributes: attributes, Time: strconv.FormatInt(v.at.UnixNano(), 10)}
			if v.stale {
				p.Flags = 1
			} else {
				p.Value = &v.value
			}
			m.Gauge.Points = append(m.Gauge.Points, p)
		}
		metrics = append(metrics, m)
		if n += len(samples); n > perRequest {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	s.series = map[string][]sample{}
	return flush()
}

func post(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s %s", url, res.Status, text)
	}
	return err
}

// parseSeries takes name{a="b",c="d"} apart.
func parseSeries(s string) (name string, labels [][2]string) {
	name, rest, _ := strings.Cut(s, "{")
	rest = strings.TrimSuffix(rest, "}")
	for rest != "" {
		key, after, ok := strings.Cut(rest, `="`)
		if !ok {
			break
		}
		var value strings.Builder
		n := 0
		for ; n < len(after) && after[n] != '"'; n++ {
			if after[n] != '\\' {
				value.WriteByte(after[n])
				continue
			}
			n++
			if after[n] == 'n' {
				value.WriteByte('\n')
			} else {
				value.WriteByte(after[n])
			}
		}
		labels = append(labels, [2]string{key, value.String()})
		rest = strings.TrimPrefix(after[n+1:], ",")
	}
	return name, labels
}
