//go:build accept

package accept

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/dag-exporter/dag_exporter/tools/internal/promproc"
	"github.com/dag-exporter/dag_exporter/tools/internal/rulegen"
)

// The start alerts, as a matcher.
const startAlerts = "DAGNearConvergence|DAGConverged|DAGSynchronized"

// TestConvergedOverRealSamples is what promtool cannot do: a Prometheus that is
// paused for 60 s, restarted, or served each reading twice. The shipped rules, made
// for a scrape every second, stay silent until five good and different readings
// were really there. Beside them stand the same rules without a guard, and the
// naive one with `for`: those fire in the middle of it, so that the scenario is
// known to bite.
func TestConvergedOverRealSamples(t *testing.T) {
	t.Parallel()
	scenarios := []struct {
		name  string
		play  func(*stage) error
		bites []string // the broken rules that must have fired wrongly
	}{
		{"paused", (*stage).paused, []string{"Naive", "WithoutCounts"}},
		{"restarted", (*stage).restarted, []string{"WithoutCounts"}},
		{"served twice", (*stage).servedTwice, []string{"Naive", "WithoutChanges"}},
	}
	// At once, in goroutines of their own: each mostly waits.
	errs := make([]error, len(scenarios))
	var wg sync.WaitGroup
	for i, s := range scenarios {
		dir := t.TempDir()
		wg.Go(func() {
			st := &stage{t: t, dir: dir, name: s.name}
			if errs[i] = st.begin(); errs[i] == nil {
				if errs[i] = s.play(st); errs[i] == nil {
					errs[i] = st.judge(s.bites)
				}
			}
		})
	}
	wg.Wait()
	for i, s := range scenarios {
		if errs[i] != nil {
			t.Errorf("%s: %v", s.name, errs[i])
		}
	}
}

// stage is a Prometheus and the target that it scrapes every second.
type stage struct {
	t    *testing.T
	dir  string
	name string
	prom *promproc.Prometheus

	mu     sync.Mutex
	script []act // what is served, one act after the other; the last one stays
	served int   // scrapes answered in the present act
	total  int   // scrapes answered
}

// act is what a target serves for some scrapes.
type act struct {
	scrapes int
	good    bool
	twice   bool   // each reading is served in two scrapes
	then    func() // called with the last scrape of the act
}

func (s *stage) begin() error {
	target := httptest.NewServer(http.HandlerFunc(s.serve))
	s.t.Cleanup(target.Close)
	values, err := rulegen.Read(filepath.Join(root(s.t), "alerts", "values.yml"))
	if err != nil {
		return err
	}
	values["scrape_interval_seconds"] = 1
	rules, err := rulegen.Generate(values, filepath.Join(root(s.t), "alerts", "rules.tmpl"))
	if err != nil {
		return err
	}
	broken, err := brokenRules(rules)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml, broken.yml]
scrape_configs:
- job_name: dag
  static_configs: [{targets: [%q], labels: {exporter: a}}]
`, strings.TrimPrefix(target.URL, "http://"))
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "rules.yml"), rules, 0o600),
		os.WriteFile(filepath.Join(s.dir, "broken.yml"), broken, 0o600),
		os.WriteFile(filepath.Join(s.dir, "prometheus.yml"), []byte(config), 0o600))
}

func (s *stage) start() (err error) {
	s.prom, err = promproc.StartPrometheus(s.t, s.dir)
	return err
}

// serve answers a scrape as the script wants it.
func (s *stage) serve(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.script[0]
	reached, reading := 0, s.total
	if a.good {
		reached = 1
	}
	if a.twice {
		reading /= 2
	}
	for _, level := range []string{"known", "near", "caught_up", "synchronized"} {
		fmt.Fprintf(w, "mssql_dag_convergence_reached{dag=\"erp\",level=%q} %d\n", level, reached)
	}
	for _, side := range []string{"source", "target"} {
		fmt.Fprintf(w, "mssql_dag_reading_timestamp_seconds{dag=\"erp\",side=%q} %d\n", side, 1_700_000_000+reading)
	}
	fmt.Fprint(w, "mssql_dag_direction{dag=\"erp\",direction=\"source_to_target\"} 1\n")
	s.total++
	s.served++
	if s.served < a.scrapes || len(s.script) == 1 {
		return
	}
	if a.then != nil {
		a.then()
	}
	s.script, s.served = s.script[1:], 0
}

// plays waits until the last act of the script has been served so often.
func (s *stage) plays(scrapes int) error {
	return promproc.Until(context.Background(), "the target is scraped", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.script) > 1 || s.served < scrapes {
			return fmt.Errorf("%d acts to go, %d scrapes of this one", len(s.script)-1, s.served)
		}
		return nil
	})
}

// paused: a few good samples, 60 s in which Prometheus sees nothing, a few good
// samples again. Nobody knows what was in between.
func (s *stage) paused() error {
	due := make(chan bool, 1)
	s.script = []act{
		{scrapes: 2},
		{scrapes: 3, good: true, then: func() {
			// Once this answer has been stored, and before the next scrape.
			time.AfterFunc(300*time.Millisecond, func() { due <- true })
		}},
		{scrapes: 3, good: true},
		{scrapes: 3},
		{good: true},
	}
	if err := s.start(); err != nil {
		return err
	}
	select {
	case <-due:
		if err := s.prom.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
	case <-time.After(2 * time.Minute):
		return errors.New("the target was not scraped three times")
	}
	time.Sleep(60 * time.Second) // the scenario itself
	if err := s.prom.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	return s.plays(12)
}

// restarted: a few good samples, Prometheus ends and comes back on the same
// storage, a few good samples again.
func (s *stage) restarted() error {
	stop := make(chan bool, 1)
	s.script = []act{
		{scrapes: 2},
		{scrapes: 3, good: true, then: func() { time.AfterFunc(300*time.Millisecond, func() { stop <- true }) }},
		{scrapes: 4, good: true},
		{scrapes: 3},
		{good: true},
	}
	if err := s.start(); err != nil {
		return err
	}
	select {
	case <-stop:
	case <-time.After(2 * time.Minute):
		return errors.New("the target was not scraped three times")
	}
	s.prom.Stop()
	time.Sleep(8 * time.Second) // longer than the window, so that what was before does not count
	if err := s.start(); err != nil {
		return err
	}
	return s.plays(12)
}

// servedTwice: an exporter that answers twice with each reading it has.
func (s *stage) servedTwice() error {
	s.script = []act{{scrapes: 2}, {scrapes: 14, good: true, twice: true}, {scrapes: 3}, {good: true}}
	if err := s.start(); err != nil {
		return err
	}
	return s.plays(12)
}

// judge reads the samples as they were stored. The control: in the last act, with
// good and different readings every second, each start alert fires, from the fifth
// sample on. Nowhere else does one.
func (s *stage) judge(bites []string) error {
	var good, fifth float64 // when those samples of the last act were scraped
	var firing map[string][]float64
	if err := promproc.Until(context.Background(), "the start alerts fire at last", func() error {
		series, err := s.prom.Query(`mssql_dag_convergence_reached{level="caught_up"}[10m]`)
		if err != nil {
			return err
		}
		if good, fifth = lastAct(series); fifth == 0 {
			return errors.New("there are no five good samples after a bad one")
		}
		if firing, err = s.firing(); err != nil {
			return err
		}
		for _, name := range strings.Split(startAlerts, "|") {
			if len(firing[name]) == 0 {
				return fmt.Errorf("%s has not fired", name)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, name := range strings.Split(startAlerts, "|") {
		if first := firing[name][0]; first < fifth {
			return fmt.Errorf("%s fired at %.3f, and the fifth good and different sample in a row came at %.3f", name, first, fifth)
		}
	}
	for _, name := range bites {
		if len(firing[name]) == 0 || firing[name][0] >= good {
			return fmt.Errorf("the rule %s has not fired before the readings were really good: this scenario shows nothing", name)
		}
	}
	for _, name := range []string{"Naive", "WithoutCounts", "WithoutChanges"} {
		wrongly := 0
		for _, at := range firing[name] {
			if at < good {
				wrongly++
			}
		}
		s.t.Logf("%s: %s was stored as firing %d times when nobody could know; the shipped rules in none", s.name, name, wrongly)
	}
	return nil
}

// firing are the times at which each alert was stored as firing.
func (s *stage) firing() (map[string][]float64, error) {
	series, err := s.prom.Query(`ALERTS{alertstate="firing",alertname=~"` + startAlerts + `|Naive|WithoutCounts|WithoutChanges"}[10m]`)
	if err != nil {
		return nil, err
	}
	out := map[string][]float64{}
	for _, one := range series {
		for _, p := range one.Samples {
			out[one.Metric["alertname"]] = append(out[one.Metric["alertname"]], p.T)
		}
	}
	return out, nil
}

// lastAct is when the first and the fifth sample of the last run of ones was
// scraped; 0 if there is none.
func lastAct(series []promproc.Series) (first, fifth float64) {
	n := -1 // before the first bad one nothing counts
	for _, s := range series {
		for _, p := range s.Samples {
			switch {
			case p.V == 0:
				n, first, fifth = 0, 0, 0
			case n < 0:
			case n == 0:
				n, first = 1, p.T
			default:
				if n++; n == 5 {
					fifth = p.T
				}
			}
		}
	}
	return first, fifth
}

// brokenRules are the shipped rule for "converged" without its guards, and what
// everybody writes first.
func brokenRules(shipped []byte) ([]byte, error) {
	type rule struct {
		Record string `yaml:"record,omitempty"`
		Alert  string `yaml:"alert,omitempty"`
		Expr   string `yaml:"expr"`
		For    string `yaml:"for,omitempty"`
	}
	type group struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	}
	var file struct {
		Groups []group `yaml:"groups"`
	}
	if err := yaml.Unmarshal(shipped, &file); err != nil {
		return nil, err
	}
	const record = "dag_level:mssql_dag_convergence_reached:min30s"
	broken := group{Name: "broken", Rules: []rule{{
		Alert: "Naive", For: "6s",
		Expr: `sum without (instance, exporter) (mssql_dag_convergence_reached{level="caught_up"}) == 1`,
	}}}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Record != record {
				continue
			}
			for name, guards := range map[string][]string{
				"WithoutCounts": {"count_over_time", "changes"}, "WithoutChanges": {"changes"},
			} {
				expr, err := withoutGuards(r.Expr, guards)
				if err != nil {
					return nil, err
				}
				broken.Rules = append(broken.Rules, rule{Alert: name, Expr: "(" + expr + `) == 1 and on () vector(1)`})
			}
		}
	}
	if len(broken.Rules) != 3 {
		return nil, fmt.Errorf("the rule %s is not there", record)
	}
	file.Groups = []group{broken}
	return yaml.Marshal(file)
}

// withoutGuards takes each `and` away whose right side calls one of the functions.
func withoutGuards(expr string, functions []string) (string, error) {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return "", err
	}
	for _, f := range functions {
		found := false
		var strip func(parser.Expr) parser.Expr
		strip = func(e parser.Expr) parser.Expr {
			switch n := e.(type) {
			case *parser.ParenExpr:
				n.Expr = strip(n.Expr)
			case *parser.AggregateExpr:
				n.Expr = strip(n.Expr)
			case *parser.BinaryExpr:
				if n.Op == parser.LAND && strings.Contains(n.RHS.String(), f+"(") {
					found = true
					return n.LHS
				}
				n.LHS = strip(n.LHS)
			}
			return e
		}
		tree = strip(tree)
		if !found {
			return "", fmt.Errorf("no guard with %s in %s", f, expr)
		}
	}
	return tree.String(), nil
}
