package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// ofFleet selects the chosen DAGs: several, as a pattern.
const ofFleet = `dag=~"$dag"`

// fleet is one screen with every DAG on it.
func fleet(set settings) dashboard.Dashboard {
	b := newBoard(set, "dag-fleet", "DAG fleet",
		"Every distributed availability group at a glance: the worst on top, one click from its own dashboards. A DAG that no exporter reports any more stays here, in red, while it was seen in the time range.", "now-6h", "30s")
	// The DAGs that are chosen here may be several or All, which a dashboard
	// about one DAG takes for a name that nobody has: it is opened without them.
	b.Links = []dashboard.DashboardLink{toBoard("DAG migration", "dag-migration"), toBoard("DAG cutover", "dag-cutover")}
	b.datasourceVariable()
	b.queryVariable("dag", "DAG", "Which migrations", "label_values(mssql_dag_up, dag)", true)
	b.addresses(set)
	b.link("Console", "cutover_webhook: why, and what may be done", "${console}/")
	b.annotation("Alerts", red, `ALERTS{alertname=~"DAG.*",alertstate="firing",severity=~"warning|critical",`+ofFleet+`}`, "{{alertname}}", "{{dag}} {{side}} {{database}}")
	b.annotation("Cutover", purple, `max by (dag, phase) (mssql_dag_cutover_phase{phase=~"quiesce|demote|promote|back",`+ofFleet+`}) == 1`, "{{phase}}", "{{dag}}")

	// Seen in the time range: so a DAG whose exporter is gone keeps its row.
	seen := `group by (dag) (last_over_time(mssql_dag_up{` + ofFleet + `}[$__range]))`
	state := code("mssql_dag_convergence_state", ofFleet, "state", "dag", states)
	gone := seen + ` unless group by (dag) (mssql_dag_up{` + ofFleet + `})`
	all := number("DAGs", "Distributed availability groups that an exporter reports now, and those that were reported in the time range but are not any more.", "none", 4, 4, "no exporter",
		now(`count(group by (dag) (mssql_dag_up{`+ofFleet+`}))`, "reported"),
		now(`count(`+gone+`) or 0 * count(`+seen+`)`, "gone"))
	all.overrides = []dashboard.DashboardFieldConfigSourceOverrides{{
		Matcher: dashboard.MatcherConfig{Id: "byName", Options: "gone"},
		Properties: []dashboard.DynamicConfigValue{{Id: "thresholds", Value: dashboard.ThresholdsConfig{
			Mode: dashboard.ThresholdsModeAbsolute, Steps: steps(plain, 1.0, red),
		}}},
	}}
	b.add(
		all,
		counting("Need a look", "DAGs that are split, diverged or unknown, have no primary, have a side that no exporter can read, or are not reported any more.",
			red, `count((`+state+` <= 3) or group by (dag) (max by (dag, side) (mssql_dag_up{`+ofFleet+`}) == 0) or (`+gone+`))`),
		counting("Behind", "DAGs whose target lacks log, or where something (a suspension, a missing database) makes the comparison worthless.", orange, `count(`+state+` == 4)`),
		counting("Near or caught up", "DAGs that are near (a cutover that begins with a quiesce may start), or caught up without synchronous commit on both sides.", blue, `count(`+state+` >= 5 < 7)`),
		counting("Synchronized", "DAGs whose every database is synchronized in the copies of both sides: what the migration guide waits for.", green, `count(`+state+` == 7)`),
		counting("Failed over", "DAGs whose target is primary: the migration is done, or on its way back.", purple, `count(`+state+` == 8)`),
	)
	toMigration := link("This DAG's migration", "/d/dag-migration?var-datasource=${datasource}&var-dag=${__value.raw}&${__url_time_range}")
	toCutover := link("This DAG's cutover", "/d/dag-cutover?var-datasource=${datasource}&var-dag=${__data.fields.DAG}&${__url_time_range}")
	b.add(grid("Every DAG", "One row a DAG, the worst first. The state is as good as the worst database; where several exporters read one DAG, their worst word counts. Click the DAG for its migration, the phase for its cutover.",
		24, 11, "State", false,
		[]column{
			{from: "dag", title: "DAG", width: 180, link: &toMigration},
			{from: "Value #A", title: "State", unit: "none", width: 150, words: states},
			{from: "Value #B", title: "Direction", unit: "none", width: 150, words: directions},
			{from: "Value #C", title: "Source", unit: "none", width: 100, words: read},
			{from: "Value #D", title: "Target", unit: "none", width: 100, words: read},
			{from: "Value #E", title: "Link", unit: "none", width: 130, words: connected},
			{from: "Value #F", title: "Caught up", unit: "percentunit", width: 100},
			{from: "Value #G", title: "Send queue", unit: "bytes", width: 110},
			{from: "Value #H", title: "Redo queue", unit: "bytes", width: 110},
			{from: "Value #I", title: "Fullest log", unit: "percentunit", width: 100, steps: steps("transparent", 0.6, orange, 0.8, red)},
			{from: "Value #J", title: "Reading age", unit: "s", width: 110, steps: steps("transparent", 30.0, orange, 120.0, red)},
			{from: "Value #K", title: "Cutover", unit: "none", words: phases, link: &toCutover},
		},
		now(state+` or `+seen+` * -1`, ""),
		now(code("mssql_dag_direction", ofFleet, "direction", "dag", directions), ""),
		now(`max by (dag) (mssql_dag_up{`+ofFleet+`,side="source"})`, ""),
		now(`max by (dag) (mssql_dag_up{`+ofFleet+`,side="target"})`, ""),
		now(`min by (dag) (mssql_dag_link_connected{`+ofFleet+`})`, ""),
		now(`min by (dag) (dag:mssql_dag_databases_caught_up:ratio{`+ofFleet+`})`, ""),
		now(`max by (dag) (dag:mssql_dag_log_send_queue_bytes:sum{`+ofFleet+`})`, ""),
		now(`max by (dag) (dag:mssql_dag_redo_queue_bytes:sum{`+ofFleet+`})`, ""),
		now(`max by (dag) (mssql_dag_database_log_used_bytes{`+ofFleet+`} / mssql_dag_database_log_size_bytes{`+ofFleet+`})`, ""),
		now(`time() - min by (dag) (max by (dag, side) (mssql_dag_reading_timestamp_seconds{`+ofFleet+`}))`, ""),
		now(code("mssql_dag_cutover_phase", ofFleet, "phase", "dag", phases), ""),
	))
	// The worst word inside each step: a 45 s outage stays visible however
	// wide the range is. [$__range] picks the rows once for the whole picture.
	rank := `min by (dag) (min_over_time(dag_database:mssql_dag_convergence_rank:min{` + ofFleet + `}[$__rate_interval]))`
	ended := `group by (dag) (last_over_time(mssql_dag_up{` + ofFleet + `}[1h])) * 0 - 1`
	b.add(
		timeline("Worst database, worst 20 DAGs", "Each DAG's lowest level over time, for the 20 DAGs that were lowest on average. Inside a step the worst moment is shown. After the last sample there is no data, in red for an hour. After a failover it is the level of the way back.",
			13, 9, ranks,
			over(`(`+rank+` or `+ended+`) and on (dag) bottomk(20, avg by (dag) (avg_over_time(dag_database:mssql_dag_convergence_rank:min{`+ofFleet+`}[$__range] @ end())))`, "{{dag}}")),
		firing(11, 9, ofFleet, true),
	)
	return b.Dashboard
}

func toBoard(title, uid string) dashboard.DashboardLink {
	l := link(title, "/d/"+uid+"?var-datasource=${datasource}")
	l.Icon, l.Tooltip, l.TargetBlank, l.KeepTime = "external link", "One DAG: which, is chosen there. A row of the table below leads to its own.", false, true
	return l
}

// counting shows how many things are in a state; the colour is the state's as
// soon as there is one.
func counting(title, description, colour, expr string) panel {
	p := number(title, description, "none", 4, 4, "no exporter", now(expr+` or 0 * count(mssql_dag_up{`+ofFleet+`})`, ""))
	p.steps = steps(grey, 1.0, colour)
	return p
}

// firing lists the alerts that fire, a row for each alert and side: an outage
// of a side would else fill the list with its databases, and hide its cause.
// Each name leads to its runbook.
func firing(w, h uint32, which string, fleet bool) panel {
	book := link("Runbook", "${runbooks}/runbooks/${__value.raw}")
	const alerts = `ALERTS{alertname=~"DAG.*",alertname!="DAGWatchdog",alertstate="firing",%s}`
	var parts []string
	for _, level := range severities {
		for _, of := range []string{which, `dag=""`} {
			parts = append(parts, fmt.Sprintf(alerts+" * 0 + %g", fmt.Sprintf("severity=%q,%s", level.text, of), level.value))
		}
	}
	each := `max by (alertname, dag, side, database) (` + fmt.Sprintf(alerts, which) + ` or ` + fmt.Sprintf(alerts, `dag=""`) + `)`
	count := `count by (alertname, dag, side) (` + each + `)`
	columns := []column{
		{from: "Value #A", title: "Severity", unit: "none", width: 80, words: severities},
		{from: "alertname", title: "Alert", width: 230, link: &book},
		{from: "dag", title: "DAG", width: 90},
		{from: "side", title: "Side", width: 62},
		{from: "Value #B", title: "Count", unit: "none", width: 52},
		{from: "database", title: "Database"},
	}
	if !fleet {
		columns = slices.Delete(columns, 2, 3) // it is the same in all rows
	}
	p := grid("Alerts that fire", "Every DAG alert that fires now, the critical ones first, with its runbook behind its name. Count: for how many databases, with its name if it is one. Empty is good only while the exporter and the rules are there: look at the reading age too.",
		w, h, "Severity", true, columns,
		now("max by (alertname, dag, side) (\n  "+strings.Join(parts, "\n  or ")+"\n)", ""),
		now(count, ""),
		now(each+` and on (alertname, dag, side) `+count+` == 1`, ""))
	p.noValue = "none fires"
	return p
}
