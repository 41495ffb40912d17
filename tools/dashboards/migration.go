package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const (
	ofDAG      = `dag="$dag"` // one DAG, by its name and not as a pattern
	ofDatabase = ofDAG + `,database=~"$database"`
)

// migration is about one DAG until its cutover.
func migration(set settings) dashboard.Dashboard {
	b := newBoard(set, "dag-migration", "DAG migration",
		"One distributed availability group: can we cut over, and if not, what is it waiting for. Needs the recording rules of alerts/rules.yml.", "now-1h", "10s")
	b.datasourceVariable()
	b.queryVariable("dag", "DAG", "Which migration", "label_values(mssql_dag_up, dag)", false)
	b.queryVariable("database", "Database", "Which databases; the big words are about all of them", `label_values(mssql_dag_database_convergence_reached{`+ofDAG+`}, database)`, true)
	b.addresses(set)
	b.link("Console", "cutover_webhook: why, and what may be done", "${console}/dags/${dag}")
	b.annotation("Alerts", red, `ALERTS{alertname=~"DAG.*",alertstate="firing",severity=~"warning|critical",`+ofDAG+`}`, "{{alertname}}", "{{dag}} {{side}} {{database}}")
	b.annotation("Cutover", purple, `max by (dag, phase) (mssql_dag_cutover_phase{phase=~"quiesce|demote|promote|back",`+ofDAG+`}) == 1`, "{{phase}}", "{{dag}}")
	b.annotation("Role changes", blue, `max by (dag, side, role) (changes(mssql_dag_role{`+ofDAG+`,role="primary"}[1m])) > 0`, "role changes", "{{dag}} {{side}}")

	words(b)
	b.row("Databases")
	databases(b)
	b.row("Will it catch up?")
	catchUp(b)
	b.row("How far apart, and the source's log")
	distance(b)
	b.row("Modes, roles, health")
	health(b)
	b.row("Readings and exporter")
	readings(b)
	return b.Dashboard
}

func words(b *board) {
	rank := rankOf(ofDAG)
	up := func(side string) query {
		return now(`max(mssql_dag_up{`+ofDAG+`,side="`+side+`"})`, side)
	}
	answer := bigWord("Can we cut over?", "What both sides together say, as good as the worst database and, with several exporters, the worst of their words. It is a request to look, never a permission: cutover_webhook reads both servers itself.",
		8, 5, answers, "NO: no exporter", now(code("mssql_dag_convergence_state", ofDAG, "state", "dag", answers), ""))
	answer.links = append([]dashboard.DashboardLink{console()}, runbooks("DAGSynchronized", "DAGConverged", "DAGNearConvergence", "DAGTwoPrimaries", "DAGBothSecondary")...)
	held := bigWord("Held over six samples", "The level that every sample of the last six scrape intervals reached, with different readings, and that no exporter contradicts, while log flows from source to target: what the start alerts rest on. After a failover it is not asked any more.",
		4, 5, append([]word{{5, "", "not asked", grey}}, ranks[2:]...), "nothing",
		now(`sum(max by (level) (dag_level:mssql_dag_convergence_reached:min30s{`+ofDAG+`})) and on () max(dag:mssql_dag_direction_source_to_target:min{`+ofDAG+`}) == 1`+
			` or (min(mssql_dag_direction{`+ofDAG+`,direction="target_to_source"}) == 1) + 4`, ""))
	databases := number("Databases caught up", "How many of the expected and seen databases hold the last log block of the primary (caught up or synchronized).", "none", 4, 5, "no exporter",
		now(`sum(min by (database) (`+rank+`) >= bool 3)`, "caught up"), now(`count(min by (database) (`+rank+`))`, "of"))
	eta := number("Send queue empty in", "At the pace of the last 5 minutes. NEVER: the queue does not shrink, more log is written than the link carries. It says nothing about redo.", "s", 4, 5, "not known",
		now(`max(dag:mssql_dag_catch_up_seconds:estimate{`+ofDAG+`}) or max(dag:mssql_dag_log_send_queue_bytes:sum{`+ofDAG+`}) * 0 - 1`, ""))
	eta.words = []word{{-1, "", "NEVER, at this pace", red}, {0, "", "is empty", blue}, {0, nothing, "not known", red}}
	sides := bigWord("Sides", "Whether an exporter read the side in its last scrape.", 4, 5, read, "no exporter", up("source"), up("target"))
	sides.links = runbooks("DAGSideDown", "DAGExporterDown", "DAGSeriesVanished")
	b.add(answer, held, databases, eta, sides)
}

func databases(b *board) {
	rank := rankOf(ofDatabase)
	b.add(timeline("Level of each database, worst 20", "The 20 databases that were lowest on average over the time range. Inside a step the worst moment is shown. After the last sample there is no data, in red for an hour. After a failover it is the level of the way back.",
		12, 13, ranks,
		over(rowsOf(`min by (database) (min_over_time(`+rank+`[$__rate_interval]))`), "{{database}}")))
	every := grid("Every database", "The worst first. VLFs and blocks: global primary minus target; blocks only while both are in one virtual log file. Lag is absent while data movement is suspended, when SQL Server shows 0. After a failover the level is that of the way back.",
		12, 13, "Level", false,
		[]column{
			{from: "database", title: "Database", width: 170},
			{from: "Value #A", title: "Level", unit: "none", width: 100, words: ranks},
			{from: "Value #B", title: "Send queue", unit: "bytes", width: 95},
			{from: "Value #C", title: "Redo queue", unit: "bytes", width: 95},
			{from: "Value #D", title: "VLFs", unit: "none", width: 50},
			{from: "Value #E", title: "Lag", unit: "s", width: 85},
			{from: "Value #F", title: "Log used", unit: "percentunit", width: 80, steps: steps("transparent", 0.6, orange, 0.8, red)},
			{from: "Value #G", title: "Suspended", unit: "none", width: 90, words: []word{{1, "", "SUSPENDED", red}, {0, "", "no", grey}}},
		},
		now(`min by (database) (`+rank+`)`, ""),
		now(`max by (database) (dag_database:mssql_dag_log_send_queue_bytes:max{`+ofDatabase+`})`, ""),
		now(`max by (database) (dag_database:mssql_dag_redo_queue_bytes:max{`+ofDatabase+`})`, ""),
		now(`max by (database) (mssql_dag_database_lsn_delta_vlfs{`+ofDatabase+`,lsn="last_hardened"})`, ""),
		now(`max by (database) (mssql_dag_database_secondary_lag_seconds{`+ofDatabase+`})`, ""),
		now(`max by (database) (mssql_dag_database_log_used_bytes{`+ofDatabase+`} / mssql_dag_database_log_size_bytes{`+ofDatabase+`})`, ""),
		now(`max by (database) (mssql_dag_database_suspended{`+ofDatabase+`})`, ""),
	)
	every.noValue = "no exporter tells of a database"
	b.add(every)
}

func rankOf(which string) string { return `dag_database:mssql_dag_convergence_rank:min{` + which + `}` }

// seen is -1 while an exporter tells of the DAG and for an hour after. A row of
// a timeline that ends shows its last word, however good; no data shows red.
const seen = `group(last_over_time(mssql_dag_up{` + ofDAG + `}[1h])) * 0 - 1`

// rowsOf keeps the 20 databases that were lowest on average over the time
// range, and gives them -1 where expr has nothing.
func rowsOf(expr string) string {
	const worst = `bottomk(20, avg by (database) (avg_over_time(dag_database:mssql_dag_convergence_rank:min{` + ofDatabase + `}[$__range] @ end())))`
	return `(` + expr + `
  or on (database) ` + worst + ` * 0 - 1 and on () ` + seen + `
) and on (database) ` + worst
}

// top keeps the ten largest of the time range, so that the lines of a graph
// are the same ones from its left to its right.
func top(expr, record string) string {
	return expr + ` and on (database) topk(10, max by (database) (max_over_time(` + record + `{` + ofDatabase + `}[$__range] @ end())))`
}

func catchUp(b *board) {
	primary := ` and on (side) max by (side) (mssql_dag_role{` + ofDAG + `,role="primary"}) == 1`
	rate := lines("Log written against log carried", "It will never catch up while the line of what the primary writes is above what the link carries. Sent and redone are the servers' own last measurements, which stand still while nothing is sent or redone.",
		"Bps", 12, 9,
		over(`sum(max by (side, database) (rate(mssql_dag_database_log_flushed_bytes_total{`+ofDatabase+`}[$__rate_interval]))`+primary+`)`, "written on the primary"),
		over(`sum(max by (database) (mssql_dag_database_log_send_rate_bytes_per_second{`+ofDatabase+`}))`, "sent over the link"),
		over(`sum(max by (database) (mssql_dag_database_redo_rate_bytes_per_second{`+ofDatabase+`}))`, "redone"))
	rate.min = ptr(0.0)
	rate.paint("written on the primary", orange, "sent over the link", blue, "redone", purple)
	rate.links = runbooks("DAGConvergenceStalled")
	trend := lines("Growth of the queues", "Slope over 5 minutes. Above zero the queue grows, below it shrinks.", "Bps", 12, 9,
		// A slope outlives its queue by five minutes.
		over(`max(dag:mssql_dag_log_send_queue_bytes:deriv5m{`+ofDAG+`}) and on () max(dag:mssql_dag_log_send_queue_bytes:sum{`+ofDAG+`})`, "send queue"),
		over(`max(dag:mssql_dag_redo_queue_bytes:deriv5m{`+ofDAG+`}) and on () max(dag:mssql_dag_redo_queue_bytes:sum{`+ofDAG+`})`, "redo queue"))
	trend.paint("send queue", blue, "redo queue", purple)
	send := lines("Send queue", "Log that the global primary has not sent yet: what is lost if it dies now. The ten largest of the time range.", "bytes", 12, 9,
		over(top(`max by (database) (dag_database:mssql_dag_log_send_queue_bytes:max{`+ofDatabase+`})`, "dag_database:mssql_dag_log_send_queue_bytes:max"), "{{database}}"))
	redo := lines("Redo queue", "Log on the target's disk that is not redone yet: it delays the opening of the database after a failover. The ten largest of the time range.", "bytes", 12, 9,
		over(top(`max by (database) (dag_database:mssql_dag_redo_queue_bytes:max{`+ofDatabase+`})`, "dag_database:mssql_dag_redo_queue_bytes:max"), "{{database}}"))
	send.min, redo.min = ptr(0.0), ptr(0.0)
	send.links, redo.links = runbooks("DAGSendQueueGrowing"), runbooks("DAGRedoQueueGrowing")
	b.add(rate, trend, send, redo)
}

func distance(b *board) {
	vlfs := lines("Distance in virtual log files", "Global primary minus target, ten largest. Zero says that both are in the same file, not that they are equal.", "none", 8, 9,
		over(top(`max by (database) (mssql_dag_database_lsn_delta_vlfs{`+ofDatabase+`,lsn="last_hardened"})`, "mssql_dag_database_lsn_delta_vlfs"), "{{database}}"))
	blocks := lines("Distance in log blocks", "Global primary minus target, ten largest; there only while both are in the same virtual log file.", "none", 8, 9,
		over(top(`max by (database) (mssql_dag_database_lsn_delta_blocks{`+ofDatabase+`,lsn="last_hardened"})`, "mssql_dag_database_lsn_delta_blocks"), "{{database}}"))
	used := lines("Log used on the primary", "Used part of the transaction log, ten largest. A link that stalls keeps the log from being truncated until it is full: the outage that a migration really causes.", "percentunit", 8, 9,
		over(top(`max by (database) (mssql_dag_database_log_used_bytes{`+ofDatabase+`} / mssql_dag_database_log_size_bytes{`+ofDatabase+`})`, "mssql_dag_database_log_used_bytes"), "{{database}}"))
	used.min, used.max = ptr(0.0), ptr(1.0)
	used.links = runbooks("DAGSourceLogFilling")
	used.steps = steps("transparent", 0.8, red)
	custom := *used.custom.(*timeseries.FieldConfig)
	custom.ThresholdsStyle = &common.GraphThresholdsStyleConfig{Mode: common.GraphThresholdsStyleModeDashed}
	used.custom = &custom
	b.add(vlfs, blocks, used)
}

func health(b *board) {
	link := timeline("Link", "Whether the global primary sees the other side connected. It notices a cut only after the session timeout, 10 s by default.",
		8, 5, append([]word{{-1, "", "not known", red}}, connected...), over(`min(min_over_time(mssql_dag_link_connected{`+ofDAG+`}[$__rate_interval])) and on () group(mssql_dag_link_connected{`+ofDAG+`}) or `+seen, "link"))
	link.links = runbooks("DAGLinkDisconnected")
	role := timeline("Roles", "Role of each side in the distributed availability group, by its own words. Two primaries is an emergency; two secondaries is the time between demotion and failover, when nobody can write.",
		8, 5, bothRoles, over(roleRows, "{{side}}"))
	role.links = runbooks("DAGTwoPrimaries", "DAGBothSecondary")
	mode := timeline("Commit modes", "Commit mode of the DAG's members in each side's own copy: they are set separately and can differ. A failover without loss needs synchronous in both.",
		8, 5, append([]word{{-1, "", "not read", red}}, modes...), over(code("mssql_dag_availability_mode", ofDAG, "mode", "side, member", modes)+
			` or group by (side, member) (last_over_time(mssql_dag_availability_mode{`+ofDAG+`}[1h])) * 0 - 1`, "{{side}}: {{member}}"))
	mode.links = runbooks("DAGModeDiffers", "DAGSynchronousModeLeftOn")
	rows := timeline("Synchronization over the link, worst 20", "synchronization_state of the distributed group's rows, the worst of each database. The rows are what the global primary last heard of the other side.",
		14, 12, append([]word{{-1, "", "no data", red}}, synchronization...),
		// While no side is primary, the rows tell of a link that nobody uses.
		over(rowsOf(code("mssql_dag_database_synchronization_state", ofDatabase, "state", "database", synchronization)+
			` unless on () sum(mssql_dag_role{`+ofDAG+`,role="primary"}) == 0`), "{{database}}"))
	rows.links = runbooks("DAGDatabaseNotSynchronizing", "DAGDatabaseSuspended", "DAGDatabaseMissing")
	b.add(link, role, mode, rows, firing(10, 12, ofDAG, false))
}

// roleRows is each side's role, by its own words; what two of a kind mean is a
// word of its own, and -1 a side that is not read.
var roleRows = func() string {
	const both = "(%[1]s == %[2]d and on () (count(%[1]s == %[2]d) == 2)) + %[3]d"
	role := code("mssql_dag_role", ofDAG, "role", "side", roles)
	return fmt.Sprintf(both, role, 2, 1) + "\nor " + fmt.Sprintf(both, role, 1, 3) + "\nor " + role +
		"\nor max by (side) (last_over_time(mssql_dag_up{" + ofDAG + "}[1h])) * 0 - 1"
}()

func readings(b *board) {
	skew := lines("Read skew", "Upper bound of the time between two values of the two sides that are compared with each other.", "s", 6, 7,
		over(`max(mssql_dag_read_skew_seconds{`+ofDAG+`})`, "skew"))
	age := lines("Age of the readings", "Now minus the beginning of the reading. A line that climbs: old data is served.", "s", 6, 7,
		over(`time() - max by (side) (mssql_dag_reading_timestamp_seconds{`+ofDAG+`})`, "{{side}}"))
	took := lines("Duration of the readings", "How long the reading of each side took, waiting for its turn included.", "s", 6, 7,
		over(`max by (side) (mssql_dag_scrape_duration_seconds{`+ofDAG+`})`, "{{side}}"))
	clock := lines("Clock offset", "Each instance's UTC clock minus the exporter's. No verdict uses a server's clock; people who compare times do.", "s", 6, 7,
		over(`avg by (side) (mssql_dag_clock_offset_seconds{`+ofDAG+`})`, "{{side}}"))
	skew.min, age.min, took.min = ptr(0.0), ptr(0.0), ptr(0.0)
	skew.paint("skew", blue)
	age.bySide()
	took.bySide()
	clock.bySide()
	clock.links = runbooks("DAGClockOffset")
	errors := grid("Why a side is not read", "The reason of each side that the last scrape did not read, and each part of a reading that failed while the rest was read.",
		7, 6, "Side", false, []column{
			{from: "side", title: "Side", width: 80}, {from: "reason", title: "Reason", width: 110}, {from: "statement", title: "Failed part"},
		},
		now(`max by (side, reason, statement) (mssql_dag_scrape_error{`+ofDAG+`,reason!="none"} == 1 or mssql_dag_read_statement_failed{`+ofDAG+`} == 1)`, ""))
	errors.noValue = "nothing reported"
	instances := grid("Instances", "The instance that answered on each side: the primary replica of the side's own availability group. It changes with a local failover.",
		9, 6, "Side", false, []column{
			{from: "side", title: "Side", width: 80}, {from: "server", title: "Server", width: 160}, {from: "version", title: "Version", width: 110}, {from: "edition", title: "Edition"},
		},
		now(`max by (side, server, version, edition) (mssql_dag_instance_info{`+ofDAG+`})`, ""))
	instances.noValue = "no side is read"
	expiry := number("Endpoint certificates end in", "Until the first of each side's endpoint certificates expires. The link does not come back after that.", "s", 5, 6, "none known",
		now(`min by (side) (mssql_dag_endpoint_certificate_expiry_timestamp_seconds{`+ofDAG+`}) - time()`, "{{side}}"))
	expiry.steps = steps(red, 0.0, orange, 14*86400.0, plain)
	expiry.links = runbooks("DAGEndpointCertificateExpiring")
	config := bigWord("Config", "Whether dag_exporter took its configuration the last time it was told to read it. From its /metrics, which is scraped beside the probes.", 3, 6,
		[]word{{0, "", "REFUSED", red}, {1, "", "in force", green}}, "not scraped", now(`min(mssql_dag_config_last_reload_successful)`, ""))
	config.links = runbooks("DAGConfigReloadFailed")
	b.add(skew, age, took, clock, errors, instances, expiry, config)
}
