package sqlserver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// names are the SQL Server names that a batch is built from.
type names struct {
	group string // the distributed AG
	ag    string // the local AG
}

// The major versions whose columns are known: 2016 to 2025. A newer server is
// asked as the newest known one.
const (
	v2016 = 13
	v2017 = 14
	v2022 = 16
	v2025 = 17
)

// part is one statement of a reading's batch. Its first column is named
// "<part>.<column>", which is how the answer is told apart. It runs in its own
// nested sp_executesql inside TRY, because a column that this version lacks, or
// a right that this login lacks, would otherwise end the whole batch.
type part struct {
	name   string
	core   bool // without it the reading is worthless
	wanted func(Want) bool
	sql    func(n names, major int) string
}

var always = func(Want) bool { return true }

// parts in the order in which they are sent. Replica states come right after
// each other, so that roles and LSNs are as near in time as two statements can
// be.
var parts = []part{
	{"begin", true, always, beginSQL},
	{"group", true, always, groupSQL},
	{"member", true, always, memberSQL},
	{"database", false, always, databaseSQL},
	{"row", false, func(w Want) bool { return !w.Replicas }, func(n names, major int) string { return rowSQL(n, false) }},
	{"row", false, func(w Want) bool { return w.Replicas }, func(n names, major int) string { return rowSQL(n, true) }},
	{"log", false, func(w Want) bool { return w.Log }, logSQL},
	{"seeding", false, func(w Want) bool { return w.Seeding }, seedingSQL},
	{"certificate", false, func(w Want) bool { return w.Certificates }, certificateSQL},
	{"rights", false, func(w Want) bool { return w.Rights }, rightsSQL},
	{"transaction", false, func(w Want) bool { return w.Transactions }, transactionSQL},
	{"lineage", false, func(w Want) bool { return w.Lineage }, lineageSQL},
	{"marker", false, func(w Want) bool { return w.Marker }, markerSQL},
	{"end", true, always, endSQL},
}

// readBatch is the text of one reading.
func readBatch(n names, major int, w Want) string {
	var b strings.Builder
	b.WriteString("SET NOCOUNT ON;\n")
	for _, p := range parts {
		if p.wanted(w) {
			b.WriteString(isolated(p.name, p.sql(n, major)))
		}
	}
	return b.String()
}

// roleBatch asks an instance who it is and which role it has, and nothing
// else.
func roleBatch(n names, major int) string {
	return "SET NOCOUNT ON;\n" + beginSQL(n, major) + "\n"
}

func isolated(name, sql string) string {
	return "BEGIN TRY\nEXEC sp_executesql " + nliteral(sql) + ";\nEND TRY\nBEGIN CATCH\nSELECT " + nliteral(name) +
		" AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;\nEND CATCH;\n"
}

// probe is what does not change while a session lives.
type probe struct {
	major, engineEdition int
	version, edition     string
	hadr                 *bool
	caseSensitive        bool
	platform             string
	encrypted            *bool
}

// probeBatch is the first batch of every session. N'a' = N'A' is decided by
// master's collation, which is the server's.
var probeBatch = "SET NOCOUNT ON;\n" +
	"SELECT CONVERT(int, SERVERPROPERTY('ProductMajorVersion')) AS [probe.major], CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS version, " +
	"CONVERT(nvarchar(128), SERVERPROPERTY('Edition')) AS edition, CONVERT(int, SERVERPROPERTY('EngineEdition')) AS engine_edition, " +
	"CONVERT(int, SERVERPROPERTY('IsHadrEnabled')) AS hadr_enabled, CASE WHEN N'a' = N'A' THEN 0 ELSE 1 END AS case_sensitive;\n" +
	isolated("platform", "SELECT host_platform AS [platform.name] FROM sys.dm_os_host_info") +
	isolated("connection", "SELECT encrypt_option AS [connection.encrypted] FROM sys.dm_exec_connections WHERE session_id = @@SPID")

// localReplica is this instance's own row in the local AG.
func localReplica(n names) string {
	return "SELECT s.replica_id, s.group_id, s.role FROM sys.dm_hadr_availability_replica_states AS s " +
		"INNER JOIN sys.availability_groups AS g ON g.group_id = s.group_id " +
		"WHERE s.is_local = 1 AND g.is_distributed = 0 AND g.name = " + nliteral(n.ag)
}

func identityColumns(part string) string {
	return "SELECT CONVERT(nvarchar(128), @@SERVERNAME) AS [" + part + ".server_name], CONVERT(varchar(30), i.sqlserver_start_time, 126) AS start_time, " +
		"CONVERT(varchar(36), s.replica_id) AS replica_id, s.role AS role"
}

func beginSQL(n names, major int) string {
	return identityColumns("begin") + ", SYSUTCDATETIME() AS utc, " +
		"HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE') AS view_state, " + performanceState(major) + " AS view_performance_state, " +
		"HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DEFINITION') AS view_definition\n" +
		"FROM sys.dm_os_sys_info AS i LEFT JOIN (" + localReplica(n) + ") AS s ON 1 = 1"
}

// performanceState asks for the right that 2022 split off VIEW SERVER STATE.
func performanceState(major int) string {
	if major >= v2022 {
		return "HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER PERFORMANCE STATE')"
	}
	return "CONVERT(int, NULL)"
}

func endSQL(n names, _ int) string {
	return identityColumns("end") + "\nFROM sys.dm_os_sys_info AS i LEFT JOIN (" + localReplica(n) + ") AS s ON 1 = 1"
}

// groupSQL lists the local AG and every distributed AG. Columns of a later
// version are NULL of the same type.
func groupSQL(n names, major int) string {
	since := func(v int, column, typ string) string {
		if major >= v {
			return "g." + column
		}
		return "CONVERT(" + typ + ", NULL) AS " + column
	}
	return "SELECT CONVERT(varchar(36), g.group_id) AS [group.group_id], g.name, g.is_distributed, " +
		"CASE WHEN g.is_distributed = 1 AND g.name = " + nliteral(n.group) + " THEN 1 WHEN g.is_distributed = 0 AND g.name = " + nliteral(n.ag) + " THEN 2 ELSE 0 END AS kind, " +
		since(v2017, "cluster_type", "tinyint") + ", " +
		since(v2017, "required_synchronized_secondaries_to_commit", "int") + ", " +
		since(v2017, "sequence_number", "bigint") + ", " +
		since(v2022, "is_contained", "bit") + "\n" +
		"FROM sys.availability_groups AS g"
}

func memberSQL(n names, _ int) string {
	return "SELECT CONVERT(varchar(36), r.group_id) AS [member.group_id], CONVERT(varchar(36), r.replica_id) AS replica_id, r.replica_server_name, r.endpoint_url, " +
		"r.availability_mode, r.failover_mode_desc, r.seeding_mode_desc, r.session_timeout, s.is_local, s.role, s.connected_state, s.operational_state_desc, " +
		"s.synchronization_health, s.last_connect_error_number, s.last_connect_error_description, CASE WHEN r.replica_server_name = " + nliteral(n.ag) + " THEN 1 ELSE 0 END AS is_local_ag\n" +
		"FROM sys.availability_replicas AS r\n" +
		"INNER JOIN sys.availability_groups AS g ON g.group_id = r.group_id\n" +
		"LEFT JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = r.group_id AND s.replica_id = r.replica_id\n" +
		"WHERE g.is_distributed = 1 OR g.name = " + nliteral(n.ag)
}

// databaseSQL starts from availability_databases_cluster, which is the only
// view that lists a database that is not joined here.
func databaseSQL(n names, _ int) string {
	return "SELECT c.database_name AS [database.name], CONVERT(varchar(36), c.group_database_id) AS group_database_id, d.database_id, d.state, " +
		"CONVERT(nvarchar(60), DATABASEPROPERTYEX(c.database_name, 'Updateability')) AS updateability, d.log_reuse_wait_desc, s.is_database_joined\n" +
		"FROM sys.availability_groups AS g\n" +
		"INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id\n" +
		"LEFT JOIN sys.databases AS d ON d.name = c.database_name\n" +
		"LEFT JOIN sys.dm_hadr_availability_replica_states AS l ON l.group_id = g.group_id AND l.is_local = 1\n" +
		"LEFT JOIN sys.dm_hadr_database_replica_cluster_states AS s ON s.group_database_id = c.group_database_id AND s.replica_id = l.replica_id\n" +
		"WHERE g.is_distributed = 0 AND g.name = " + nliteral(n.ag)
}

// lsnColumns in the order in which rowSQL selects them, each as its exact
// decimal text.
var lsnColumns = []string{"last_sent_lsn", "last_received_lsn", "last_hardened_lsn", "last_redone_lsn",
	"end_of_log_lsn", "last_commit_lsn", "truncation_lsn", "recovery_lsn"}

// rowSQL reads sys.dm_hadr_database_replica_states: this instance's own rows in
// the local AG (is_local = 1, whatever is_primary_replica says), the DAG's rows
// about the remote AG, which only a global primary has, and with replicas the
// other local replicas' rows.
func rowSQL(n names, replicas bool) string {
	var b strings.Builder
	b.WriteString("SELECT CASE WHEN g.is_distributed = 1 THEN 1 ELSE 0 END AS [row.dag], r.database_id, CONVERT(varchar(36), r.group_database_id) AS group_database_id, " +
		"CONVERT(varchar(36), r.replica_id) AS replica_id, a.replica_server_name, r.is_local, r.is_primary_replica, r.synchronization_state, r.synchronization_health, " +
		"r.database_state, r.is_suspended, r.suspend_reason_desc, ")
	for _, c := range lsnColumns {
		fmt.Fprintf(&b, "CONVERT(varchar(30), r.%s) AS %s, ", c, c)
	}
	b.WriteString("r.last_commit_time, r.log_send_queue_size, r.log_send_rate, r.redo_queue_size, r.redo_rate, r.secondary_lag_seconds\n" +
		"FROM sys.dm_hadr_database_replica_states AS r\n" +
		"INNER JOIN sys.availability_groups AS g ON g.group_id = r.group_id\n" +
		"LEFT JOIN sys.availability_replicas AS a ON a.group_id = r.group_id AND a.replica_id = r.replica_id\n")
	local := "g.is_distributed = 0 AND g.name = " + nliteral(n.ag)
	if !replicas {
		local += " AND r.is_local = 1"
	}
	b.WriteString("WHERE (" + local + ") OR (g.is_distributed = 1 AND g.name = " + nliteral(n.group) + ")")
	return b.String()
}

func logSQL(n names, _ int) string {
	return "SELECT RTRIM(p.instance_name) AS [log.database], RTRIM(p.counter_name) AS counter, p.cntr_value\n" +
		"FROM sys.dm_os_performance_counters AS p\n" +
		"WHERE p.object_name LIKE N'%:Databases%' AND p.counter_name IN (N'Log File(s) Size (KB)', N'Log File(s) Used Size (KB)', N'Log Bytes Flushed/sec', N'Write Transactions/sec')\n" +
		"AND p.instance_name IN (" + databaseNames(n) + ")"
}

// databaseNames is a subquery with the names of the local AG's databases.
func databaseNames(n names) string {
	return "SELECT c.database_name FROM sys.availability_databases_cluster AS c INNER JOIN sys.availability_groups AS g ON g.group_id = c.group_id " +
		"WHERE g.is_distributed = 0 AND g.name = " + nliteral(n.ag)
}

func seedingSQL(n names, _ int) string {
	return "SELECT COALESCE(c.database_name, p.local_database_name) AS [seeding.database], s.current_state, s.failure_state_desc, s.start_time, s.completion_time, " +
		"p.transferred_size_bytes, p.database_size_bytes, p.estimate_time_complete_utc\n" +
		"FROM sys.dm_hadr_automatic_seeding AS s\n" +
		"INNER JOIN sys.availability_groups AS g ON g.group_id = s.ag_id\n" +
		"LEFT JOIN sys.availability_databases_cluster AS c ON c.group_database_id = s.ag_db_id\n" +
		"LEFT JOIN sys.dm_hadr_physical_seeding_stats AS p ON p.local_physical_seeding_id = s.operation_id\n" +
		"WHERE g.name = " + nliteral(n.ag) + " OR g.name = " + nliteral(n.group) + "\n" +
		"ORDER BY s.start_time DESC"
}

func certificateSQL(names, int) string {
	return "SELECT c.name AS [certificate.name], c.expiry_date\n" +
		"FROM sys.database_mirroring_endpoints AS e INNER JOIN sys.certificates AS c ON c.certificate_id = e.certificate_id"
}

func rightsSQL(n names, _ int) string {
	return "SELECT SUSER_SNAME() AS [rights.login], IS_SRVROLEMEMBER('sysadmin') AS sysadmin, " +
		"HAS_PERMS_BY_NAME(" + nliteral(ident(n.group)) + ", 'AVAILABILITY GROUP', 'ALTER') AS alter_dag"
}

// transactionSQL lists open transactions with log records. Internal ones have
// no session.
func transactionSQL(n names, _ int) string {
	return "SELECT d.name AS [transaction.database], st.session_id, es.login_name, es.program_name, es.host_name, es.status, " +
		"DATEDIFF(second, t.database_transaction_begin_time, GETDATE()) AS open_seconds, " +
		"t.database_transaction_log_record_count, t.database_transaction_log_bytes_used, st.is_user_transaction\n" +
		"FROM sys.dm_tran_database_transactions AS t\n" +
		"INNER JOIN sys.databases AS d ON d.database_id = t.database_id\n" +
		"LEFT JOIN sys.dm_tran_session_transactions AS st ON st.transaction_id = t.transaction_id\n" +
		"LEFT JOIN sys.dm_exec_sessions AS es ON es.session_id = st.session_id\n" +
		"WHERE t.database_transaction_log_record_count > 0 AND d.name IN (" + databaseNames(n) + ")"
}

func lineageSQL(n names, _ int) string {
	return "SELECT d.name AS [lineage.database], CONVERT(varchar(36), r.family_guid) AS family_guid, CONVERT(varchar(36), r.recovery_fork_guid) AS recovery_fork_guid\n" +
		"FROM sys.database_recovery_status AS r INNER JOIN sys.databases AS d ON d.database_id = r.database_id\n" +
		"WHERE d.name IN (" + databaseNames(n) + ")"
}

func markerSQL(n names, _ int) string {
	return "SELECT CONVERT(nvarchar(4000), p.value) AS [marker.run] FROM sys.extended_properties AS p WHERE p.class = 0 AND p.name = " + nliteral(markerName(n.group))
}

// markerName is the extended property in master that holds the run id of the
// engine which acts on this DAG. A name that would be too long for a sysname
// is shortened to its hash.
func markerName(group string) string { return propertyName("cutover_webhook run ", group) }

func propertyName(prefix, group string) string {
	if utf16Len(prefix+group) <= maxName {
		return prefix + group
	}
	sum := sha256.Sum256([]byte(group))
	return prefix + hex.EncodeToString(sum[:])
}
