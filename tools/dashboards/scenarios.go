package main

import (
	"fmt"
	"maps"
	"slices"
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
// of its one sample, or of several, or none.
type expectation struct {
	uid, panel, query string
	labels            string
	value             float64
	several           []series
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

// asking are these gates, each "name" if it is open, "!name" if it is closed.
func asking(names ...string) []series {
	var out []series
	for _, n := range names {
		name, closed := strings.CutPrefix(n, "!")
		s := series{name: fmt.Sprintf(`mssql_dag_cutover_gate_open{dag="d",gate=%q}`, name), value: 1}
		if closed {
			s.value = 0
		}
		out = append(out, s)
	}
	return out
}

func predicting() []series {
	return []series{{name: `mssql_dag_cutover_predicted_write_unavailable_seconds{dag="d"}`, value: 3}}
}

func sideRoles(source, target string) []series {
	return join(stateSet("mssql_dag_role", `side="source"`, "role", source, roles), stateSet("mssql_dag_role", `side="target"`, "role", target, roles))
}

func towards(direction string) []series {
	return stateSet("mssql_dag_direction", "", "direction", direction, directions)
}

// firingAlerts are the alerts of a target that is down, and one of two databases.
func firingAlerts() []series {
	alert := func(name, severity, more string) series {
		return series{name: fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing",severity=%q,dag="d",%s}`, name, severity, more), value: 1}
	}
	return []series{
		alert("DAGSideDown", "warning", `side="target"`),
		alert("DAGDatabaseNotSynchronizing", "warning", `side="source",database="a"`),
		alert("DAGDatabaseNotSynchronizing", "warning", `side="source",database="b"`),
		alert("DAGDatabaseSuspended", "warning", `side="target",database="b"`),
		alert("DAGTwoPrimaries", "critical", `exporter="x"`),
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
	rows := func(panel, query string, several ...series) expectation {
		return expectation{uid: "dag-cutover", panel: panel, query: query, several: several}
	}
	cells := func(panel string, states map[string]float64) expectation {
		e := rows(panel, "A")
		for _, gate := range slices.Sorted(maps.Keys(states)) {
			e.several = append(e.several, series{name: fmt.Sprintf(`{gate=%q}`, gate), value: states[gate]})
		}
		return e
	}
	held := func(v float64) expectation {
		return expectation{uid: "dag-migration", panel: "Held over six samples", query: "A", labels: "{}", value: v}
	}
	levels := []series{
		{name: `dag_level:mssql_dag_convergence_reached:min30s{dag="d",level="near"}`, value: 1},
		{name: `dag_level:mssql_dag_convergence_reached:min30s{dag="d",level="caught_up"}`, value: 1},
	}
	level := func(panel, labels string, v float64) expectation {
		return expectation{uid: "dag-migration", panel: panel, query: "A", several: []series{{name: labels, value: v}}}
	}

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
		{"in the middle of a cutover", join(running("prove", map[string]float64{"quiesce": 60, "demote": 90, "prove": 95}), asking("!outage_budget", "!link", "!direction", "!readable"), sideRoles("secondary", "secondary"), sides(1, 1),
			stateSet("mssql_dag_database_synchronization_state", `side="source",database="a"`, "state", "synchronized", synchronization),
			[]series{{name: `dag_database:mssql_dag_convergence_rank:min{dag="d",database="a"}`, value: 1}}),
			[]expectation{run("Gates closed", -1), run("Fits the budget", 2), phaseIs(10), run("In this phase for", 5), run("Nobody writes for", 40),
				cells("Gates: data", map[string]float64{"outage budget": 2, "link": 2}), level("Synchronization over the link, worst 20", `{database="a"}`, -1),
				rows("Both roles", "A", series{name: `{side="source"}`, value: 4}, series{name: `{side="target"}`, value: 4})}},
		{"after the cutover", running("after", map[string]float64{"quiesce": 60, "demote": 90, "prove": 95, "after": 98}),
			[]expectation{phaseIs(12), run("In this phase for", 2), run("Nobody writes for", -1)}},
		{"no run", join(running("idle", nil), asking("outage_budget", "!link", "!quiet", "!drained", "direction", "readable"), predicting(), sideRoles("primary", "secondary")),
			[]expectation{run("Gates closed", 1), run("Fits the budget", 1), run("Without writes", 3), phaseIs(0), run("In this phase for", -1), run("Nobody writes for", -1),
				cells("Gates: data", map[string]float64{"outage budget": 1, "link": 0, "quiet": 3, "drained": 3}),
				rows("Both roles", "A", series{name: `{side="source"}`, value: 2}, series{name: `{side="target"}`, value: 1})}},
		{"every gate is open", join(running("idle", nil), asking("mode", "alert_lease", "outage_budget", "!drained", "direction", "readable"), predicting()),
			[]expectation{run("Gates closed", 0), run("Fits the budget", 1),
				cells("Gates: permission", map[string]float64{"mode": 4, "alert lease": 4}), cells("Gates: data", map[string]float64{"outage budget": 4, "drained": 3})}},
		{"late in a run the late gates count", join(running("drain", nil), asking("outage_budget", "quiet", "!drained", "direction")),
			[]expectation{run("Gates closed", 1), cells("Gates: data", map[string]float64{"outage budget": 1, "quiet": 1, "drained": 0})}},
		{"too long for the budget", join(running("idle", nil), asking("!outage_budget", "direction", "readable"), predicting()),
			[]expectation{run("Fits the budget", 0), run("Without writes", 3)}},
		{"nothing can be predicted", join(running("idle", nil), asking("!outage_budget", "direction", "readable")),
			[]expectation{run("Fits the budget", 4), absent(run("Without writes", 0))}},
		{"a side is not read", join(running("idle", nil), asking("!outage_budget", "!direction", "!readable"), sideRoles("primary", "")[:3], sides(1, 0)),
			[]expectation{run("Fits the budget", 4), rows("Both roles", "A", series{name: `{side="source"}`, value: 2}, series{name: `{side="target"}`, value: -1})}},
		{"two primaries, on the night", join(running("idle", nil), asking("outage_budget", "!direction", "readable"), predicting(), convergence("a", "split"), sideRoles("primary", "primary")),
			[]expectation{run("Fits the budget", 3), absent(run("Without writes", 0)), {uid: "dag-cutover", panel: "State", query: "A", labels: `{dag="d"}`, value: 0},
				cells("Gates: data", map[string]float64{"outage budget": 1}),
				rows("Both roles", "A", series{name: `{side="source"}`, value: 3}, series{name: `{side="target"}`, value: 3})}},
		{"failed over, on the night", join(running("watch", nil), asking("!outage_budget", "!direction", "readable"), sideRoles("secondary", "primary")),
			[]expectation{run("Fits the budget", 3), rows("Both roles", "A", series{name: `{side="source"}`, value: 1}, series{name: `{side="target"}`, value: 2})}},
		{"held, before", join(levels, towards("source_to_target"), []series{{name: `dag:mssql_dag_direction_source_to_target:min{dag="d"}`, value: 1}}), []expectation{held(2)}},
		{"held, after", join(levels, towards("target_to_source"), []series{{name: `dag:mssql_dag_direction_source_to_target:min{dag="d"}`, value: 0}}), []expectation{held(5)}},
		{"held, while both are primary", join(levels, towards("both"), []series{{name: `dag:mssql_dag_direction_source_to_target:min{dag="d"}`, value: 0}}), []expectation{absent(held(0))}},
		{"timelines end in a word", ended(join(sides(1, 1), sideRoles("primary", "secondary"), []series{
			{name: `mssql_dag_link_connected{dag="d"}`, value: 1}, {name: `dag_database:mssql_dag_convergence_rank:min{dag="d",database="a"}`, value: 4},
			{name: `mssql_dag_availability_mode{dag="d",side="source",member="m",mode="synchronous_commit"}`, value: 1}}, running("idle", nil))),
			[]expectation{
				level("Link", "{}", -1), level("Level of each database, worst 20", `{database="a"}`, -1), level("Synchronization over the link, worst 20", `{database="a"}`, -1),
				level("Commit modes", `{member="m",side="source"}`, -1), {uid: "dag-cutover", panel: "Phase over time", query: "A", labels: `{dag="d"}`, value: -1},
				{uid: "dag-fleet", panel: "Worst database, worst 20 DAGs", query: "A", labels: `{dag="d"}`, value: -1},
				rows("Both roles", "A", series{name: `{side="source"}`, value: -1}, series{name: `{side="target"}`, value: -1})}},
		{"alerts by side", firingAlerts(), []expectation{
			rows("Alerts that fire", "A", series{name: `{alertname="DAGDatabaseNotSynchronizing",dag="d",side="source"}`, value: 2}, series{name: `{alertname="DAGDatabaseSuspended",dag="d",side="target"}`, value: 2},
				series{name: `{alertname="DAGSideDown",dag="d",side="target"}`, value: 2}, series{name: `{alertname="DAGTwoPrimaries",dag="d"}`, value: 3}),
			rows("Alerts that fire", "B", series{name: `{alertname="DAGDatabaseNotSynchronizing",dag="d",side="source"}`, value: 2}, series{name: `{alertname="DAGDatabaseSuspended",dag="d",side="target"}`, value: 1},
				series{name: `{alertname="DAGSideDown",dag="d",side="target"}`, value: 1}, series{name: `{alertname="DAGTwoPrimaries",dag="d"}`, value: 1}),
			rows("Alerts that fire", "C", series{name: `{alertname="DAGDatabaseSuspended",dag="d",side="target",database="b"}`, value: 1},
				series{name: `{alertname="DAGSideDown",dag="d",side="target"}`, value: 1}, series{name: `{alertname="DAGTwoPrimaries",dag="d"}`, value: 1})}},
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
			samples := []m{}
			for _, one := range w.several {
				samples = append(samples, m{"labels": one.name, "value": one.value})
			}
			if w.several == nil && !w.none {
				samples = append(samples, m{"labels": w.labels, "value": w.value})
			}
			checks = append(checks, m{"expr": expr, "eval_time": "100s", "exp_samples": samples})
		}
		tests = append(tests, m{"name": s.name, "interval": "5s", "input_series": input, "promql_expr_test": checks})
	}
	return yaml.Marshal(m{"evaluation_interval": "5s", "rule_files": []string{}, "tests": tests})
}
