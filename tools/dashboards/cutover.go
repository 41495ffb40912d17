package main

import (
	"strings"

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

// late are the phases in which the engine looks at roles and LSNs alone and
// asks no gate; all of them read closed then.
const late = `max(mssql_dag_cutover_phase{` + ofDAG + `,phase=~"confirm_demoted|prove|promote|back"}) == 1`

func gate(name string) string {
	return `min(mssql_dag_cutover_gate_open{` + ofDAG + `,gate="` + name + `"})`
}

// forward is there while the move is one from the source to the target.
// Otherwise nothing about a cutover can be predicted.
var forward = gate("direction") + " == 1"

// stopwatch runs while the run is in one of the phases that stop writers.
const stopwatch = `(time() - min(mssql_dag_cutover_phase_start_timestamp_seconds{` + ofDAG + `,phase=~"quiesce|demote"} > 0))` +
	` and on () max(mssql_dag_cutover_phase{` + ofDAG + `,phase=~"` + noWrites + `"}) == 1`

func head(b *board) {
	big := bigWord("Phase", "Where the run is. Red: neither side takes writes. Idle: no run; the gates are evaluated and nothing is touched.", 7, 5,
		phases, "NO WEBHOOK", now(code("mssql_dag_cutover_phase", ofDAG, "phase", "dag", phases), ""))
	big.links = append([]dashboard.DashboardLink{console()}, runbooks("DAGCutoverPhaseStuck", "DAGCutoverNeedsHuman", "DAGCutoverWebhookDown")...)
	state := bigWord("State", "What both sides together say, as on the other dashboards: the phase knows only of the run, this of everything that happens beside it. NO PRIMARY is what a cutover goes through between demotion and failover.", 6, 5,
		states, "NO EXPORTER", now(code("mssql_dag_convergence_state", ofDAG, "state", "dag", states), ""))
	state.links = runbooks("DAGTwoPrimaries", "DAGBothSecondary", "DAGSideDown", "DAGExporterDown")
	inPhase := number("In this phase for", "Since the present phase began; empty while there is no run.", "dtdurations", 4, 5, "NO WEBHOOK",
		now(`time() - max((`+began(`!~"idle|ended"`)+` > 0) and on (dag, phase) (`+phase(`!~"idle|ended"`)+` == 1)) or max(`+phase(`="idle"`)+`) * 0 - 1`, ""))
	inPhase.words = []word{{-1, "", "no run", grey}, {0, nothing, "NO WEBHOOK", red}}
	nobody := number("Nobody writes for", "Since the quiesce of this run began (or the demotion, if it has none), while the run is in a phase that stops writers.", "dtdurations", 4, 5, "NO WEBHOOK",
		now(stopwatch+` or max(`+phase(`="idle"`)+`) * 0 - 1`, ""))
	nobody.words = []word{{-1, "", "not stopped", grey}, {0, nothing, "NO WEBHOOK", red}}
	nobody.steps = steps(plain, 0.0, orange, 30.0, red)
	fits := bigWord("Fits the budget", "The gate outage_budget: whether the predicted time without writes fits max_write_unavailable of the config. It is not asked while no side takes writes, does not apply while there is no move from the source to the target (two primaries, a failover that is done), and is not known while a side is not read or nothing can be predicted.", 3, 5,
		[]word{{0, "", "NO", orange}, {1, "", "yes", green}, {2, "", "not asked", grey}, {3, "", "does not apply", grey}, {4, "", "not known", red}}, "NO WEBHOOK",
		now("("+late+") + 1\nor ("+gate("readable")+" == 0) + 4\nor ("+gate("direction")+" == 0) + 3\nor ("+gate("outage_budget")+" == 0) + 4 unless on () "+predicted+"\nor "+gate("outage_budget"), ""))
	b.add(big, state, inPhase, nobody, fits)
}

const predicted = `max(mssql_dag_cutover_predicted_write_unavailable_seconds{` + ofDAG + `})`

// gateGroups are the gates in the order of the engine, by what they are about.
// Cells of a grid are near to squares: more than twelve names cannot be read on
// a phone. The last group has every gate that no other names.
var gateGroups = []struct {
	title, about string
	gates        []string
}{
	{"Gates: permission", "Whether people, the change window and the alerts allow it.",
		[]string{"mode", "armed", "held", "window", "approvals", "alert_lease", "alert_path", "checklist", "cooldown", "other_run"}},
	{"Gates: servers", "Whether both servers are those of the plan, can be read and are fit for it.",
		[]string{"readable", "platform", "topology", "plan", "identity", "rights", "versions", "clock"}},
	{"Gates: groups", "Whether the availability groups are set up as the plan has it. Waiting opens none of these.",
		[]string{"database_sets", "listener_urls", "other_dags", "local_modes", "local_rsstc", "lineage", "way_back", "direction"}},
	{"Gates: data", "Whether log flows and little is left to be moved. Most of these open by waiting. quiet and drained are asked late in a run.", nil},
}

// gateStates are 0 for a gate that is closed; 2 while none is asked; 3 for one
// of the late gates that is closed before the run comes to it; 1 for one that
// is open, and 4 if none of the others is closed.
var gateStates = func() string {
	of := func(match string) string {
		return `min by (gate) (mssql_dag_cutover_gate_open{` + ofDAG + match + `})`
	}
	const comesToIt = `max(mssql_dag_cutover_phase{` + ofDAG + `,phase=~"drain|require|demote"}) == 1`
	all := of("")
	closed := "(" + of(`,gate!~"quiet|drained"`) + " == 0 or " + of(`,gate=~"quiet|drained"`) + " == 0 and on () " + comesToIt + ")"
	return all + " * 0 + 2 and on () " + late +
		"\nor " + closed +
		"\nor (" + all + " == 0) + 3" +
		"\nor (" + all + " == 1) + 3 unless on () " + closed +
		"\nor " + all
}()

func holding(b *board) {
	left := func(metric string) string {
		return `(max(` + metric + `{` + ofDAG + `}) - time()) > 0 or max(` + metric + `{` + ofDAG + `}) * 0 - 1`
	}
	closed := number("Gates closed", "How many gates hold a run back now; none is asked while no side takes writes.", "none", 3, 4, "NO WEBHOOK",
		now(`-1 * group(mssql_dag_cutover_gate_open{`+ofDAG+`}) and on () `+late+` or count((`+gateStates+`) == 0) or 0 * count(mssql_dag_cutover_gate_open{`+ofDAG+`})`, ""))
	closed.words = []word{{-1, "", "not asked", grey}, {0, nothing, "NO WEBHOOK", red}}
	closed.steps = steps(plain, 1.0, orange)
	pages := number("Pages", "How many pages ask a human to act: the console has the exact statements.", "none", 3, 4, "NO WEBHOOK", now(`max(mssql_dag_cutover_pages_open{`+ofDAG+`})`, ""))
	pages.steps = steps(red, 0.0, plain, 1.0, red)
	pages.links = append([]dashboard.DashboardLink{console()}, runbooks("DAGCutoverNeedsHuman")...)
	equal := `count(max by (database) (mssql_dag_database_lsn_delta{` + ofDAG + `,lsn="last_hardened"}) == 0)`
	all := `count(min by (database) (` + rankOf(ofDAG) + `))`
	same := number("Databases equal", "Databases whose last hardened LSNs are equal on both sides, exactly, and how many there are.", "none", 4, 4, "no exporter",
		now(equal+` or 0 * `+all, "equal"), now(all, "of"))
	lease := number("Lease and arming end in", "The lease of the start alert, renewed by each notification, and the arming that a person gave.", "s", 4, 4, "NO WEBHOOK",
		now(left("mssql_dag_cutover_alert_lease_expiry_timestamp_seconds"), "lease"),
		now(left("mssql_dag_cutover_armed_until_timestamp_seconds"), "armed"))
	lease.words = []word{{-1, "", "none", grey}, {0, nothing, "NO WEBHOOK", red}}
	lease.links = runbooks("DAGCutoverArmedTooLong")
	watchdog := number("Watchdog, hold", "Since the alert path was last seen alive (it is sent every 30 s; the gate alert_path closes when it stops), and since when somebody holds the DAG.", "s", 4, 4, "NO WEBHOOK",
		now(`time() - max(mssql_dag_cutover_alert_pipeline_last_seen_timestamp_seconds > 0) or max(mssql_dag_cutover_alert_pipeline_last_seen_timestamp_seconds) * 0 - 1`, "last seen"),
		now(`time() - max(mssql_dag_cutover_held_since_timestamp_seconds{`+ofDAG+`} > 0) or max(mssql_dag_cutover_held_since_timestamp_seconds{`+ofDAG+`}) * 0 - 2`, "held for"))
	watchdog.words = []word{{-1, "", "never", orange}, {-2, "", "not held", grey}, {0, nothing, "NO WEBHOOK", red}}
	watchdog.links = runbooks("DAGWatchdog", "DAGWebhookDeliveryFailing", "DAGCutoverHeldTooLong")
	watchdog.steps = steps(plain, 60.0, orange, 120.0, red)
	watchdog.overrides = []dashboard.DashboardFieldConfigSourceOverrides{{
		Matcher: dashboard.MatcherConfig{Id: "byName", Options: "held for"},
		Properties: []dashboard.DynamicConfigValue{{Id: "thresholds", Value: dashboard.ThresholdsConfig{
			Mode: dashboard.ThresholdsModeAbsolute, Steps: steps(orange),
		}}},
	}}
	budget := number("Without writes", "Predicted: if a run began now, as cutover_webhook tells it; absent where it cannot be told, and while there is no move from the source to the target. Last: measured in the newest run in execute mode. Budget: max_write_unavailable of the config.", "s", 6, 4, "NO WEBHOOK",
		now(predicted+` and on () `+forward, "predicted"),
		now(`max(mssql_dag_cutover_last_write_unavailable_seconds{`+ofDAG+`})`, "last run"),
		now(budgetOf, "budget"))
	b.add(closed, pages, same, lease, watchdog, budget)

	var named []string
	for _, g := range gateGroups {
		named = append(named, g.gates...)
		match := `=~"` + strings.Join(g.gates, "|") + `"`
		if g.gates == nil {
			match = `!~"` + strings.Join(named, "|") + `"`
		}
		// A name of two words breaks where its cell is narrow.
		grid := bigWord(g.title, g.about+" The closed ones first; unknown counts as closed. Green: no gate of any group is closed. While no side takes writes none is asked. The reasons are in the console: click.",
			6, 8, gates, "NO WEBHOOK", now("sort(label_replace(\n("+gateStates+")\nand on (gate) mssql_dag_cutover_gate_open{"+ofDAG+",gate"+match+"}\n, \"gate\", \"$1 $2\", \"gate\", \"(.+)_(.+)\"))", "{{gate}}"))
		grid.links = []dashboard.DashboardLink{console()}
		// Fixed sizes: Grafana makes the gates' names, which matter, smaller than what is common to them.
		o := grid.options.(*stat.Options)
		o.Text, o.WideLayout = &common.VizTextDisplayOptions{TitleSize: ptr(12.0), ValueSize: ptr(14.0)}, false
		b.add(grid)
	}
}

func theRun(b *board) {
	web := append([]word{{-1, "", "NO WEBHOOK", red}}, phases...)
	phase := timeline("Phase over time", "The phase of the run. Red: neither side takes writes. A phase shorter than a scrape may be missing here; the table below has all.", 12, 4, web,
		over(code("mssql_dag_cutover_phase", ofDAG, "phase", "dag", phases)+` or group by (dag) (last_over_time(mssql_dag_cutover_phase{`+ofDAG+`,phase="idle"}[1h])) * 0 - 1`, "phase"))
	role := timeline("Both roles", "Role of each side in the distributed availability group, by its own words. Two secondaries: nobody can write. Two primaries is an emergency.", 12, 4, bothRoles,
		over(roleRows, "{{side}}"))
	role.links = runbooks("DAGTwoPrimaries", "DAGBothSecondary")
	// The alerts stand at the right of both timelines; place works in lines.
	for n, p := range []panel{phase, role, firing(12, 8, ofDAG, false)} {
		built := p.build(b.id(), dashboard.GridPos{X: uint32(n / 2 * 12), Y: b.y + uint32(n%2*4), W: p.w, H: p.h}, b.scrape)
		b.Panels = append(b.Panels, dashboard.PanelOrRowPanel{Panel: &built})
	}
	b.high = 8
	b.newLine()
	b.add(phasesTable(), statements(), outage())
}

func phasesTable() panel {
	p := grid("Phases", "When each phase of the present or the last run began and how long it took, so far; the newest first.",
		8, 9, "Began", true, []column{
			{from: "phase", title: "Phase", width: 160},
			{from: "Value #A", title: "Began", unit: "time:HH:mm:ss", width: 90},
			{from: "Value #B", title: "Took", unit: "s", width: 90},
		},
		now(`max by (phase) (`+began(`!~"idle|ended"`)+` > 0) * 1000`, ""),
		now(`max by (phase) (label_replace(mssql_dag_cutover_step_duration_seconds{`+ofDAG+`,step!~"idle|ended"}, "phase", "$1", "step", "(.*)")) and on (phase) max by (phase) (`+began(`!~"idle|ended"`)+` > 0)`, ""))
	p.noValue = "no run known"
	return p
}

func statements() panel {
	p := grid("Statements", "Each statement that the present or the last run sent, and how long it took until a reading showed its effect (else until its answer). require_secondary and release_secondary set REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT to 1 and 0; promote is the failover.",
		8, 9, "Statement", false, []column{
			{from: "statement", title: "Statement", width: 150},
			{from: "side", title: "Side", width: 70},
			{from: "Value", title: "Took", unit: "s", width: 90},
		},
		now(`max by (statement, side) (mssql_dag_cutover_statement_duration_seconds{`+ofDAG+`}) > 0`, ""))
	p.noValue = "no statement known"
	return p
}

func outage() panel {
	p := lines("Time without writes against the budget", "The stopwatch of the run, the prediction, and max_write_unavailable of the config, beyond which the way back begins.", "s", 8, 9,
		over(stopwatch, "nobody writes for"),
		over(predicted+` and on () `+forward, "predicted"),
		over(budgetOf, "budget"))
	p.min = ptr(0.0)
	p.paint("nobody writes for", red, "predicted", blue, "budget", orange)
	return p
}

func writers(b *board) {
	commits := lines("Commits per second", "Transactions that wrote and committed, by side: who takes the writes. Both at zero is the outage; both above it is an emergency.", "cps", 12, 9,
		over(`sum by (side) (max by (side, database) (rate(mssql_dag_database_write_transactions_total{`+ofDatabase+`}[$__rate_interval])))`, "{{side}}"))
	commits.min = ptr(0.0)
	commits.bySide()
	alerts := lines("Notifications by result", "What became of the notifications that cutover_webhook received, heartbeats of the alert path included.", "cps", 8, 9,
		over(`sum by (result) (rate(mssql_dag_cutover_alerts_received_total{`+ofDAG+`}[$__rate_interval]) or rate(mssql_dag_cutover_alerts_received_total{dag=""}[$__rate_interval])) > 0`, "{{result}}"))
	alerts.min = ptr(0.0)
	alerts.paint("heartbeat", purple, "accepted", blue)
	alerts.links = runbooks("DAGCutoverAlertsRefused", "DAGWebhookDeliveryFailing")
	runs := number("Runs by outcome", "Runs in execute mode that ended, as the journal holds them.", "none", 4, 9, "NO WEBHOOK",
		now(`max by (outcome) (mssql_dag_cutover_runs_total{`+ofDAG+`}) > 0 or label_replace(sum(mssql_dag_cutover_runs_total{`+ofDAG+`}) == 0, "outcome", "none yet", "", "")`, "{{outcome}}"))
	// As large as the panel, a count would be the largest word of the page.
	runs.options.(*stat.Options).Text = &common.VizTextDisplayOptions{TitleSize: ptr(20.0), ValueSize: ptr(32.0)}
	b.add(commits, alerts, runs)
}
