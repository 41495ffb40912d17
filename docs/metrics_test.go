// Package docs holds what people read to what the code does.
package docs

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/exporter"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

// TestMetrics makes docs/metrics.md from the code. It stands here because no
// room of the product may see the exporter and the webhook both.
func TestMetrics(t *testing.T) {
	want := collector.Markdown() + exportersOwn(t) + webhooks(t)
	if *update {
		if err := os.WriteFile("metrics.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("docs/metrics.md is not what the code says; note: go test ./docs -run TestMetrics -update")
	}
}

// metric is one family as an exposition and its Desc tell of it.
type metric struct {
	name, help, typ string
	labels          []string
	there           string
	values          map[string][]string // of each label that has a fixed set, sorted
}

func table(title, text string, list []metric) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| metric | labels | type | kind | meaning |\n|---|---|---|---|---|\n", title, text)
	for _, m := range list {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.name, strings.Join(m.labels, ", "), m.typ, m.there, strings.ReplaceAll(m.help, "|", `\|`))
	}
	return b.String()
}

// exportersOwn is what dag_exporter tells of itself and not of a DAG.
func exportersOwn(t *testing.T) string {
	e, err := exporter.New(exporter.Options{Load: func() (*config.Config, error) { return &config.Config{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	var list []metric
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if strings.HasPrefix(name, collector.Namespace+"_") {
			f := families[name]
			list = append(list, metric{name: name, help: f.GetHelp(), typ: typeOf(f), there: "always"})
		}
	}
	if len(list) == 0 {
		t.Fatal("dag_exporter tells nothing of itself: the way it is asked is wrong")
	}
	return table("dag_exporter", "The exporter's own, at `/metrics` alone. Beside them: `dag_exporter_build_info`, `go_…`, `process_…`.", list)
}

// webhooks is what cutover_webhook exposes: what a webhook that has read no
// server and received no alert has is always there.
func webhooks(t *testing.T) string {
	fleet := freshFleet(t)
	gathered := gather(t, fleet)
	descs := make(chan *prometheus.Desc, 100)
	fleet.Describe(descs)
	close(descs)
	var list []metric
	for d := range descs {
		m := described(t, d)
		f := gathered[m.name]
		if f == nil {
			m.there = "when known"
		} else {
			m.there, m.typ = "always", typeOf(f)
			check(t, &m, f)
		}
		list = append(list, m)
		delete(gathered, m.name)
	}
	for name := range gathered {
		t.Errorf("%s is collected and not described", name)
	}
	text := "What the cutover does, at the webhook's `/metrics`. Beside them: `cutover_webhook_build_info`, `go_…`, `process_…`."
	return table("cutover_webhook", text, list) + valuesOf(list)
}

// freshFleet is a webhook of one DAG that was never started.
func freshFleet(t *testing.T) *runner.Fleet {
	cfg, err := config.Parse([]byte(`dags:
  - name: erp
    source: {ag: OnPremAG, instances: ["sqlserver://m:x@sql1.invalid?encrypt=true"]}
    target: {ag: AzureAG, instances: ["sqlserver://m:x@vm1.invalid?encrypt=true"]}
`), "dag.yml")
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := runner.OpenFleet(cfg, journal.NewMemory(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fleet.Close() })
	return fleet
}

func gather(t *testing.T, c prometheus.Collector) map[string]*dto.MetricFamily {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range families {
		out[f.GetName()] = f
	}
	return out
}

func typeOf(f *dto.MetricFamily) string { return strings.ToLower(f.GetType().String()) }

var descText = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), unit: "", constLabels: \{\}, variableLabels: \{([^}]*)\}\}$`)

// described reads a Desc, which can say what it is only as a text. check holds
// it to what was gathered, so that a misreading shows.
func described(t *testing.T, d *prometheus.Desc) metric {
	parts := descText.FindStringSubmatch(d.String())
	if parts == nil {
		t.Fatalf("client_golang writes a Desc in another way now: %s", d)
	}
	var m metric
	var errs [2]error
	m.name, errs[0] = strconv.Unquote(parts[1])
	m.help, errs[1] = strconv.Unquote(parts[2])
	if errs[0] != nil || errs[1] != nil {
		t.Fatalf("%s: %v", d, errs)
	}
	m.labels = strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' || r == ' ' })
	m.typ = "gauge"
	if strings.HasSuffix(m.name, "_total") {
		m.typ = "counter"
	}
	return m
}

// check compares the two, and fills in which values the labels have.
func check(t *testing.T, m *metric, f *dto.MetricFamily) {
	if f.GetHelp() != m.help {
		t.Errorf("%s: help %q, described as %q", m.name, f.GetHelp(), m.help)
	}
	m.values = map[string][]string{}
	for _, series := range f.GetMetric() {
		var names []string
		for _, l := range series.GetLabel() {
			names = append(names, l.GetName())
			if list := m.values[l.GetName()]; l.GetName() != "dag" && l.GetName() != "side" && !slices.Contains(list, l.GetValue()) {
				m.values[l.GetName()] = append(list, l.GetValue())
			}
		}
		if want := slices.Sorted(slices.Values(m.labels)); !slices.Equal(names, want) {
			t.Errorf("%s: labels %v, described as %v", m.name, names, want)
		}
	}
}

// valuesOf lists what the labels of the webhook's metrics can be.
func valuesOf(list []metric) string {
	values := map[string][]string{}
	for _, m := range list {
		for label, v := range m.values {
			if len(v) > len(values[label]) {
				values[label] = v
			}
		}
	}
	var b strings.Builder
	b.WriteString("\nEach of these values is a series from the start on:\n\n| label | values |\n|---|---|\n")
	for _, label := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, "| %s | %s |\n", label, strings.Join(values[label], ", "))
	}
	return b.String()
}

// The webhook's names, units and help are what Prometheus' own linter asks for.
// (What it answers after a run is linted in cmd/cutover_webhook, where a run is.)
func TestWebhookLint(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(freshFleet(t))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
