package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
)

// noWrites are the phases in which writers are stopped, or neither side takes
// writes.
const noWrites = "quiesce|drain|require|demote|confirm_demoted|prove|promote"

// cutover is what a team looks at on the night.
func cutover(set settings) dashboard.Dashboard {
	b := newBoard(set, "dag-cutover", "DAG cutover",
		"One distributed availability group on the night of its cutover: where the run is, for how long nobody can write, and what holds it back. The reasons are in the console of cutover_webhook.", "now-15m", "5s")
	b.datasourceVariable()
	b.queryVariable("dag", "DAG", "Which migration", `label_values({__name__=~"mssql_dag_up|mssql_dag_cutover_phase"}, dag)`, false)
	b.queryVariable("database", "Database", "Which databases the commits are shown for", `label_values(mssql_dag_database_convergence_reached{`+ofDAG+`}, database)`, true)
	b.addresses(set)
	b.link("Console", "cutover_webhook: why, and what may be done", "${console}/dags/${dag}")
	b.annotation("Phases", purple, `max by (dag, phase) (mssql_dag_cutover_phase{phase!~"idle|ended",`+ofDAG+`}) == 1`, "{{phase}}", "{{dag}}")
	b.annotation("Alerts", red, `ALERTS{alertname=~"DAG.*",alertstate="firing",severity=~"warning|critical",`+ofDAG+`}`, "{{alertname}}", "{{dag}} {{side}} {{database}}")

	head(b)
	b.row("What holds it back")
	holding(b)
	b.row("The run")
	theRun(b)
	b.row("Writers")
	writers(b)
	return b.Dashboard
}

// budgetOf is max_write_unavailable of the config.
const budgetOf = `max(mssql_dag_cutover_max_write_unavailable_seconds{` + ofDAG + `})`

func phase(match string) string { return `mssql_dag_cutover_phase{` + ofDAG + `,phase` + match + `}` }
func began(match string) string {
	return `mssql_dag_cutover_phase_start_timestamp_seconds{` + ofDAG + `,phase` + match + `}`
}

// asked gives expr while the gates are asked, and otherwise in the phases in
// which the engine looks at roles and LSNs alone: its gates read closed then.
func asked(expr string, otherwise int) string {
	const late = `max(mssql_dag_cutover_phase{` + ofDAG + `,phase=~"confirm_demoted|prove|promote|back"}) == 1`
	return fmt.Sprintf("%[1]s unless on () %[2]s or %[1]s * 0 + %[3]d and on () %[2]s", expr, late, otherwise)
}

// stopwatch runs while the run is in one of the phases that stop writers.
const stopwatch = `(time() - min(mssql_dag_cutover_phase_start_timestamp_seconds{` + ofDAG + `,phase=~"quiesce|demote"} > 0))` +
	` and on () max(mssql_dag_cutover_phase{` + ofDAG + `,phase=~"` + noWrites + `"}) == 1`

func head(b *board) {
	big := bigWord("Phase", "Where the run is. Red: neither side takes writes. Idle: no run; the gates are evaluated and nothing is touched.", 8, 5,
		phases, "NO WEBHOOK", now(code("mssql_dag_cutover_phase", ofDAG, "phase", "dag", phases), ""))
	big.links = append([]dashboard.DashboardLink{console()}, runbooks("DAGCutoverPhaseStuck", "DAGCutoverNeedsHuman", "DAGCutoverWebhookDown")...)
	inPhase := number("In this phase for", "Since the present phase began; empty while there is no run.", "dtdurations", 4, 5, "NO WEBHOOK",
		now(`time() - max((`+began(`!~"idle|ended"`)+` > 0) and on (dag, phase) (`+phase(`!~"idle|ended"`)+` == 1)) or max(`+phase(`="idle"`)+`) * 0 - 1`, ""))
	inPhase.words = []word{{-1, "", "no run", grey}, {0, nothing, "NO WEBHOOK", red}}
	nobody := number("Nobody writes for", "Since the quiesce of this run began (or the demotion, if it has none), while the run is in a phase that stops writers.", "dtdurations", 4, 5, "NO WEBHOOK",
		now(stopwatch+` or max(`+phase(`="idle"`)+`) * 0 - 1`, ""))
	nobody.words = []word{{-1, "", "not stopped", grey}, {0, nothing, "NO WEBHOOK", red}}
	nobody.steps = steps(plain, 0.0, orange, 30.0, red)
	budget := number("Without writes", "Predicted: if a run began now, as cutover_webhook tells it; absent where it cannot be told. Last: measured in the newest run in execute mode. Budget: max_write_unavailable of the config.", "s", 5, 5, "not known",
		now(`max(mssql_dag_cutover_predicted_write_unavailable_seconds{`+ofDAG+`})`, "predicted"),
		now(`max(mssql_dag_cutover_last_write_unavailable_seconds{`+ofDAG+`})`, "last run"),
		now(budgetOf, "budget"))
	fits := bigWord("Fits the budget", "The gate outage_budget: whether the predicted time without writes fits max_write_unavailable of the config. It is not asked while no side takes writes.", 3, 5,
		[]word{{0, "", "NO", orange}, {1, "", "yes", green}, {2, "", "not asked", grey}}, "not known",
		now(asked(`min(mssql_dag_cutover_gate_open{`+ofDAG+`,gate="outage_budget"})`, 2), ""))
	b.add(big, inPhase, nobody, budget, fits)
}

func holding(b *board) {
	grid := bigWord("Gates", "Every gate of the cutover, the closed ones first; unknown counts as closed. quiet and drained are asked late in the run and are closed before; while no side takes writes none is asked. The reasons are in the console: click.",
		18, 11, append([]word{{2, "", "not asked", grey}}, gates...), "NO WEBHOOK", now(`sort(`+asked(`min by (gate) (mssql_dag_cutover_gate_open{`+ofDAG+`})`, 2)+`)`, "{{gate}}"))
	grid.links = []dashboard.DashboardLink{console()}
	// Fixed sizes: Grafana makes the gates' names, which matter, smaller than what is common to them.
	o := grid.options.(*stat.Options)
	o.Text, o.WideLayout = &common.VizTextDisplayOptions{TitleSize: ptr(12.0), ValueSize: ptr(14.0)}, false
	b.add(grid)
	// The column at the right of the grid; place works in lines, so the four
	// panels are stacked by hand.
	side := func(x, y uint32, p panel) {
		built := p.build(b.id(), dashboard.GridPos{X: x, Y: b.y + y, W: p.w, H: p.h}, b.scrape)
		b.Panels = append(b.Panels, dashboard.PanelOrRowPanel{Panel: &built})
	}
	left := func(metric string) string { return `(max(` + metric + `{` + ofDAG + `} > 0) - time()) > 0` }
	closed := number("Gates closed", "How many gates are not open; none is asked while no side takes writes.", "none", 3, 3, "NO WEBHOOK",
		now(asked(`(count(min by (gate) (mssql_dag_cutover_gate_open{`+ofDAG+`}) == 0) or 0 * count(mssql_dag_cutover_gate_open{`+ofDAG+`}))`, -1), ""))
	closed.words = []word{{-1, "", "not asked", grey}, {0, nothing, "NO WEBHOOK", red}}
	closed.steps = steps(plain, 1.0, orange)
	side(18, 0, closed)
	pages := number("Pages", "How many pages ask a human to act: the console has the exact statements.", "none", 3, 3, "NO WEBHOOK", now(`max(mssql_dag_cutover_pages_open{`+ofDAG+`})`, ""))
	pages.steps = steps(red, 0.0, plain, 1.0, red)
	pages.links = append([]dashboard.DashboardLink{console()}, runbooks("DAGCutoverNeedsHuman")...)
	side(21, 0, pages)
	lease := number("Lease and arming end in", "The lease of the start alert, renewed by each notification, and the arming that a person gave. Empty: there is none.", "s", 6, 4, "none known",
		now(left("mssql_dag_cutover_alert_lease_expiry_timestamp_seconds"), "lease"),
		now(left("mssql_dag_cutover_armed_until_timestamp_seconds"), "armed"))
	lease.links = runbooks("DAGCutoverArmedTooLong")
	side(18, 3, lease)
	watchdog := number("Watchdog, hold", "Since the alert path was last seen alive (it is sent every 30 s; the gate alert_path closes when it stops), and since when somebody holds the DAG.", "s", 6, 4, "never seen",
		now(`time() - max(mssql_dag_cutover_alert_pipeline_last_seen_timestamp_seconds > 0)`, "last seen"),
		now(`time() - max(mssql_dag_cutover_held_since_timestamp_seconds{`+ofDAG+`} > 0)`, "held"))
	watchdog.links = runbooks("DAGWatchdog", "DAGWebhookDeliveryFailing", "DAGCutoverHeldTooLong")
	watchdog.steps = steps(plain, 60.0, orange, 120.0, red)
	side(18, 7, watchdog)
}

func theRun(b *board) {
	equal := `count(max by (database) (mssql_dag_database_lsn_delta{` + ofDAG + `,lsn="last_hardened"}) == 0)`
	all := `count(min by (database) (dag_database:mssql_dag_convergence_rank:min{` + ofDAG + `}))`
	b.add(
		timeline("Phase over time", "The phase of the run. Red: neither side takes writes. A phase shorter than a scrape may be missing here; the table below has all.", 12, 4, phases,
			over(code("mssql_dag_cutover_phase", ofDAG, "phase", "dag", phases), "phase")),
		timeline("Both roles", "Role of each side in the distributed availability group, by its own words. Two secondaries: nobody can write. Two primaries is an emergency.", 12, 4, roles,
			over(code("mssql_dag_role", ofDAG, "role", "side", roles), "{{side}}")),
		number("Databases equal", "Databases whose last hardened LSNs are equal on both sides, exactly, and how many there are.", "none", 4, 10, "no exporter",
			now(equal+` or 0 * `+all, "equal"), now(all, "of")),
		phasesTable(),
		statements(),
		outage(),
	)
}

func phasesTable() panel {
	p := grid("Phases", "When each phase of the present or the last run began and how long it took, so far; the newest first.",
		7, 10, "Began", true, []column{
			{from: "phase", title: "Phase", width: 160},
			{from: "Value #A", title: "Began", unit: "time:HH:mm:ss", width: 90},
			{from: "Value #B", title: "Took", unit: "s"},
		},
		now(`max by (phase) (`+began(`!~"idle|ended"`)+` > 0) * 1000`, ""),
		now(`max by (phase) (label_replace(mssql_dag_cutover_step_duration_seconds{`+ofDAG+`,step!~"idle|ended"}, "phase", "$1", "step", "(.*)")) and on (phase) max by (phase) (`+began(`!~"idle|ended"`)+` > 0)`, ""))
	p.noValue = "no run known"
	return p
}

func statements() panel {
	p := grid("Statements", "Each statement that the present or the last run sent, and how long it took until a reading showed its effect (else until its answer). require_secondary and release_secondary set REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT to 1 and 0; promote is the failover.",
		6, 10, "Statement", false, []column{
			{from: "statement", title: "Statement", width: 150},
			{from: "side", title: "Side", width: 70},
			{from: "Value", title: "Took", unit: "s"},
		},
		now(`max by (statement, side) (mssql_dag_cutover_statement_duration_seconds{`+ofDAG+`}) > 0`, ""))
	p.noValue = "none known"
	return p
}

func outage() panel {
	p := lines("Time without writes against the budget", "The stopwatch of the run, the prediction, and max_write_unavailable of the config, beyond which the way back begins.", "s", 7, 10,
		over(stopwatch, "nobody writes for"),
		over(`max(mssql_dag_cutover_predicted_write_unavailable_seconds{`+ofDAG+`})`, "predicted"),
		over(budgetOf, "budget"))
	p.min = ptr(0.0)
	return p
}

func writers(b *board) {
	commits := lines("Commits per second", "Transactions that wrote and committed, by side: who takes the writes. Both at zero is the outage; both above it is an emergency.", "cps", 12, 9,
		over(`sum by (side) (max by (side, database) (rate(mssql_dag_database_write_transactions_total{`+ofDatabase+`}[$__rate_interval])))`, "{{side}}"))
	commits.min = ptr(0.0)
	alerts := lines("Notifications by result", "What became of the notifications that cutover_webhook received, heartbeats of the alert path included.", "cps", 8, 9,
		over(`sum by (result) (rate(mssql_dag_cutover_alerts_received_total{`+ofDAG+`}[$__rate_interval]) or rate(mssql_dag_cutover_alerts_received_total{dag=""}[$__rate_interval])) > 0`, "{{result}}"))
	alerts.min = ptr(0.0)
	alerts.links = runbooks("DAGCutoverAlertsRefused", "DAGWebhookDeliveryFailing")
	runs := number("Runs by outcome", "Runs in execute mode that ended, as the journal holds them.", "none", 4, 9, "none known",
		now(`max by (outcome) (mssql_dag_cutover_runs_total{`+ofDAG+`}) > 0`, "{{outcome}}"))
	b.add(commits, alerts, runs, firing(24, 7, ofDAG))
}
