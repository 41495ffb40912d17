package main

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"go.yaml.in/yaml/v3"
)

// scenario is a moment in the life of a DAG and what the panels say then. It
// is judged by promtool on the expressions of the dashboards themselves.
type scenario struct {
	name   string
	series []series
	want   []expectation
}

// series is one of the input; its value stands from 0 s to 100 s, or, if ends
// is set, is stale from 25 s on.
type series struct {
	name  string
	value float64
	ends  bool
}

// expectation is about one query of a panel at 100 s: the labels and the value
// of its one sample, or none.
type expectation struct {
	uid, panel, query string
	labels            string
	value             float64
	none              bool
}

func stateSet(metric, labels, label, present string, words []word) []series {
	var out []series
	for _, w := range words {
		if w.state == "" || w.state == nothing {
			continue
		}
		v := 0.0
		if w.state == present {
			v = 1
		}
		out = append(out, series{name: fmt.Sprintf(`%s{dag="d",%s%s=%q}`, metric, prefix(labels), label, w.state), value: v})
	}
	return out
}

func convergence(exporter, state string) []series {
	return stateSet("mssql_dag_convergence_state", `exporter="`+exporter+`"`, "state", state, states)
}

func sides(source, target float64) []series {
	return []series{
		{name: `mssql_dag_up{dag="d",side="source",exporter="a"}`, value: source},
		{name: `mssql_dag_up{dag="d",side="target",exporter="a"}`, value: target},
	}
}

// running is a run in a phase; starts are when its phases began.
func running(present string, starts map[string]float64) []series {
	out := stateSet("mssql_dag_cutover_phase", "", "phase", present, phases)
	for _, w := range phases {
		if w.state != nothing {
			out = append(out, series{name: fmt.Sprintf(`mssql_dag_cutover_phase_start_timestamp_seconds{dag="d",phase=%q}`, w.state), value: starts[w.state]})
		}
	}
	return out
}

// asking are two of the gates.
func asking(budget, link float64) []series {
	return []series{
		{name: `mssql_dag_cutover_gate_open{dag="d",gate="outage_budget"}`, value: budget},
		{name: `mssql_dag_cutover_gate_open{dag="d",gate="link"}`, value: link},
	}
}

func join(parts ...[]series) []series {
	var out []series
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func ended(all []series) []series {
	for n := range all {
		all[n].ends = true
	}
	return all
}

func scenarios() []scenario {
	answer := func(v float64) expectation {
		return expectation{uid: "dag-migration", panel: "Can we cut over?", query: "A", labels: `{dag="d"}`, value: v}
	}
	row := func(v float64) expectation {
		return expectation{uid: "dag-fleet", panel: "Every DAG", query: "A", labels: `{dag="d"}`, value: v}
	}
	count := func(panel string, v float64) expectation {
		return expectation{uid: "dag-fleet", panel: panel, query: "A", labels: "{}", value: v}
	}
	run := func(panel string, v float64) expectation {
		return expectation{uid: "dag-cutover", panel: panel, query: "A", labels: "{}", value: v}
	}
	phase := run("Phase", 0)
	phase.labels = `{dag="d"}`
	phaseIs := func(v float64) expectation { phase.value = v; return phase }
	absent := func(e expectation) expectation { e.none = true; return e }

	var ranks []series
	for n := range 30 {
		rank := 4.0
		if n < 3 {
			rank = 0
		}
		ranks = append(ranks, series{name: fmt.Sprintf(`dag_database:mssql_dag_convergence_rank:min{dag="d",database="db%d"}`, n), value: rank})
	}
	caughtUp := expectation{uid: "dag-migration", panel: "Databases caught up", query: "A", labels: "{}", value: 27}
	of := caughtUp
	of.query, of.value = "B", 30

	return []scenario{
		{"synchronized", join(convergence("a", "synchronized"), sides(1, 1)),
			[]expectation{answer(7), row(7), count("Synchronized", 1), count("Near or caught up", 0), count("Need a look", 0)}},
		{"behind", join(convergence("a", "behind"), sides(1, 1)),
			[]expectation{answer(4), row(4), count("Behind", 1), count("Synchronized", 0)}},
		{"caught up is not synchronized", join(convergence("a", "caught_up"), sides(1, 1)),
			[]expectation{answer(6), count("Near or caught up", 1), count("Synchronized", 0)}},
		{"two primaries", join(convergence("a", "split"), sides(1, 1)),
			[]expectation{answer(0), row(0), count("Need a look", 1), count("Synchronized", 0)}},
		{"failed over", join(convergence("a", "failed_over"), sides(1, 1)),
			[]expectation{answer(8), count("Failed over", 1), count("Synchronized", 0), count("Need a look", 0)}},
		{"two exporters that disagree: the worst word", join(convergence("a", "synchronized"), convergence("b", "unknown"), sides(1, 1)),
			[]expectation{answer(2), count("Synchronized", 0), count("Need a look", 1)}},
		{"the target is not read", join(convergence("a", "unknown"), sides(1, 0)),
			[]expectation{count("Need a look", 1), {uid: "dag-migration", panel: "Sides", query: "B", labels: "{}", value: 0}}},
		{"the exporter is gone", ended(join(convergence("a", "synchronized"), sides(1, 1))),
			[]expectation{absent(answer(0)), row(-1), count("Need a look", 1), absent(count("Synchronized", 0)),
				{uid: "dag-fleet", panel: "DAGs", query: "B", labels: "{}", value: 1}}},
		{"nothing at all", []series{{name: "other", value: 1}},
			[]expectation{absent(answer(0)), absent(row(0)), absent(count("Synchronized", 0)), absent(phaseIs(0)), absent(run("Gates closed", 0)), absent(run("Nobody writes for", 0))}},
		{"in the middle of a cutover", join(running("prove", map[string]float64{"quiesce": 60, "demote": 90, "prove": 95}), asking(0, 0)),
			[]expectation{run("Gates closed", -1), run("Fits the budget", 2), phaseIs(10), run("In this phase for", 5), run("Nobody writes for", 40)}},
		{"after the cutover", running("after", map[string]float64{"quiesce": 60, "demote": 90, "prove": 95, "after": 98}),
			[]expectation{phaseIs(12), run("In this phase for", 2), run("Nobody writes for", -1)}},
		{"no run", join(running("idle", nil), asking(1, 0)),
			[]expectation{run("Gates closed", 1), run("Fits the budget", 1), phaseIs(0), run("In this phase for", -1), run("Nobody writes for", -1)}},
		{"a queue that does not shrink", []series{{name: `dag:mssql_dag_log_send_queue_bytes:sum{dag="d"}`, value: 100}},
			[]expectation{{uid: "dag-migration", panel: "Send queue empty in", query: "A", labels: "{}", value: -1}}},
		{"three of thirty databases unknown", ranks, []expectation{caughtUp, of}},
	}
}

// filled puts in what Grafana would: one DAG named d, every database.
var filled = strings.NewReplacer(
	"$__rate_interval", "20s", "$__range", "15m", "$dag", "d", "$database", ".*")

// unitTests is a file for `promtool test rules`.
func unitTests(set settings) ([]byte, error) {
	exprs := map[[3]string]string{}
	for _, d := range []dashboard.Dashboard{fleet(set), migration(set), cutover(set)} {
		for _, p := range d.Panels {
			if p.Panel == nil {
				continue
			}
			for _, t := range p.Panel.Targets {
				q := t.(*prometheus.Dataquery)
				exprs[[3]string{*d.Uid, *p.Panel.Title, *q.RefId}] = filled.Replace(q.Expr)
			}
		}
	}
	type m = map[string]any
	tests := []m{}
	for _, s := range scenarios() {
		input, checks := []m{}, []m{}
		for _, in := range s.series {
			values := fmt.Sprintf("%gx20", in.value)
			if in.ends {
				values = fmt.Sprintf("%gx4 stale", in.value)
			}
			input = append(input, m{"series": in.name, "values": values})
		}
		for _, w := range s.want {
			expr, ok := exprs[[3]string{w.uid, w.panel, w.query}]
			if !ok {
				return nil, fmt.Errorf("scenario %q: %s has no panel %q with a query %s", s.name, w.uid, w.panel, w.query)
			}
			samples := []m{{"labels": w.labels, "value": w.value}}
			if w.none {
				samples = []m{}
			}
			checks = append(checks, m{"expr": expr, "eval_time": "100s", "exp_samples": samples})
		}
		tests = append(tests, m{"name": s.name, "interval": "5s", "input_series": input, "promql_expr_test": checks})
	}
	return yaml.Marshal(m{"evaluation_interval": "5s", "rule_files": []string{}, "tests": tests})
}
