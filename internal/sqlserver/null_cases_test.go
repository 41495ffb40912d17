package sqlserver

import "github.com/dag-exporter/dag_exporter/internal/hadr"

// nullCase says what depends on one column.
type nullCase struct {
	series  []string   // families that lose the series of that row; all others stay
	fields  []string   // ends of the reading's paths that become unknown; all others stay
	worst   hadr.Level // the verdict about the DAG, where the row matters most
	refused string     // the whole reading is refused for this reason
	key     bool       // it says what the row is about: without it the row has no place
	changed []string   // facts that go on with another value: the comment says why that is right
	gained  []string   // families that come
	becomes string     // what the field reads then, where that is not null or ""
}

const (
	untouched = hadr.LevelSynchronized
	unknown   = hadr.LevelNone
)

// of is a column that no verdict needs.
func of(field string, series ...string) nullCase {
	return nullCase{fields: []string{field}, series: series, worst: untouched}
}

// needs is a column without which no verdict is better than level.
func needs(level hadr.Level, field string, series ...string) nullCase {
	return nullCase{fields: []string{field}, series: series, worst: level}
}

// key is a column by which rows find their place.
func key(worst hadr.Level, changed ...string) nullCase {
	return nullCase{key: true, worst: worst, changed: changed}
}

func refused(reason Reason) nullCase { return nullCase{refused: string(reason), worst: unknown} }

// ofLSN are the families of an LSN of a side's own row.
var ofLSN = []string{"database_lsn_vlf", "database_lsn_block", "database_lsn_slot", "database_lsn_delta", "database_lsn_delta_vlfs", "database_lsn_delta_blocks"}

// redoQueue is the larger of what the two sides say of the forwarder's queue;
// where one says nothing, the other's stands alone.
const redoQueue = "database_redo_queue_bytes"

// nullCases has every column of every statement of a reading.
var nullCases = map[string]nullCase{
	// Who answers. What a session learns once:
	"probe.major":          {refused: "connect", worst: unknown}, // no statement can be built for an unknown version
	"probe.version":        of("Version", "instance_info"),       // the series goes on with an empty label
	"probe.edition":        of("Edition", "instance_info"),
	"probe.engine_edition": {fields: []string{"EngineEdition"}, becomes: "0", worst: untouched}, // no edition has the number 0
	"probe.hadr_enabled":   of("HadrEnabled"),
	"probe.case_sensitive": {worst: untouched}, // a CASE, never NULL; and then the safe one of the two is not known
	"platform.name":        of("Platform", "instance_info"),
	"connection.encrypted": of("Encrypted", "connection_encrypted"),

	// Both samples of the identity: a reading by nobody is void.
	"begin.server_name":            refused(ReasonQuery),
	"begin.start_time":             refused(ReasonIdentity),
	"begin.replica_id":             refused(ReasonIdentity),
	"begin.role":                   refused(ReasonIdentity),
	"begin.utc":                    of("ServerUTC", "clock_offset_seconds"),
	"begin.view_state":             {worst: untouched}, // one of the two rights is enough
	"begin.view_performance_state": {worst: untouched},
	// An unknown right is a missing one: then databases may be hidden.
	"begin.view_definition": {fields: []string{"Missing", "Rights.ViewDefinition"}, worst: unknown, gained: []string{"permission_missing"},
		series: []string{"database_commit_lag_seconds", "database_lsn_delta", "database_lsn_delta_vlfs", "database_lsn_delta_blocks"}},
	"end.server_name": refused(ReasonIdentity),
	"end.start_time":  refused(ReasonIdentity),
	"end.replica_id":  refused(ReasonIdentity),
	"end.role":        refused(ReasonIdentity),

	// The groups.
	"group.group_id":       key(unknown),
	"group.name":           key(unknown),
	"group.is_distributed": of("OtherDAGs"),                                           // of a group that is neither the DAG nor the local AG
	"group.kind":           {key: true, refused: string(ReasonNoDAG), worst: unknown}, // a CASE, never NULL
	"group.cluster_type":   of("ClusterType"),
	"group.required_synchronized_secondaries_to_commit": of("RSSTC", "required_synchronized_secondaries"),
	"group.sequence_number":                             of("SequenceNumber"),
	"group.is_contained":                                of("Contained"),

	// Their members, and the states of those.
	"member.group_id":            key(unknown),
	"member.replica_id":          of("Members.ReplicaID"),
	"member.replica_server_name": key(unknown),
	"member.endpoint_url":        of("EndpointURL", "listener_url_info", "listener_urls_agree"),
	"member.availability_mode":   needs(hadr.LevelCaughtUp, "Members.Mode", "availability_mode", "replica_availability_mode"),
	"member.failover_mode_desc":  of("FailoverMode"),
	"member.seeding_mode_desc":   of("SeedingMode"),
	"member.session_timeout":     of("SessionTimeout"),
	// Without its own row, or the role in it, a side has no role in the group.
	"member.is_local":                       key(unknown),
	"member.role":                           key(unknown),
	"member.connected_state":                needs(hadr.LevelKnown, "Connected", "link_connected", "replica_connected"),
	"member.operational_state_desc":         of("OperationalState", "replica_operational_state_info"),
	"member.synchronization_health":         of("Members.Health"),
	"member.last_connect_error_number":      of("LastConnectError", "replica_last_connect_error"),
	"member.last_connect_error_description": of("LastConnectErrorText"),
	"member.is_local_ag":                    of("OtherDAGs"), // a CASE, never NULL

	// The list of databases.
	"database.name":                {key: true, worst: hadr.LevelKnown, changed: []string{"database_present", redoQueue}, gained: []string{redoQueue}},
	"database.group_database_id":   key(unknown, redoQueue),
	"database.database_id":         key(hadr.LevelKnown),
	"database.state":               of("Databases.State", "database_state"), // the row's own database_state stands in for the verdict
	"database.updateability":       of("Updateability"),
	"database.log_reuse_wait_desc": of("LogReuseWait", "database_log_held_by_replica"),
	"database.is_database_joined":  needs(hadr.LevelKnown, "Joined"),

	// Rows of sys.dm_hadr_database_replica_states: own, link and other replicas.
	"row.dag":                    key(hadr.LevelKnown), // a CASE, never NULL
	"row.database_id":            key(hadr.LevelKnown),
	"row.group_database_id":      key(unknown, redoQueue),
	"row.replica_id":             of("ReplicaID"),
	"row.replica_server_name":    of("Name", "database_suspend_reason", "database_suspended", "database_synchronization_state", "replica_log_send_queue_bytes", "replica_redo_queue_bytes"), // the series go on with an empty label
	"row.is_local":               key(unknown, redoQueue),
	"row.is_primary_replica":     of("IsPrimary"),
	"row.synchronization_state":  needs(hadr.LevelKnown, "Sync", "database_synchronization_state"),
	"row.synchronization_health": of("Health"),
	"row.database_state":         of("State"), // sys.databases has it too
	"row.is_suspended": {fields: []string{"Suspended", "SecondaryLag"}, worst: hadr.LevelKnown, // the lag reads 0 while suspended
		series: []string{"database_suspended", "database_suspend_reason", "database_secondary_lag_seconds"}},
	"row.suspend_reason_desc":   of("SuspendReason", "database_suspend_reason"),
	"row.last_sent_lsn":         of("LastSent"),
	"row.last_received_lsn":     of("LastReceived"),
	"row.last_hardened_lsn":     of("LastHardened", ofLSN...), // the link's stands in for the forwarder's
	"row.last_redone_lsn":       of("LastRedone"),
	"row.end_of_log_lsn":        needs(unknown, "EndOfLog", ofLSN...),
	"row.last_commit_lsn":       of("LastCommit"),
	"row.truncation_lsn":        of("Truncation"),
	"row.recovery_lsn":          of("Recovery"),
	"row.last_commit_time":      of("LastCommitTime", "database_commit_lag_seconds"),
	"row.log_send_queue_size":   needs(hadr.LevelKnown, "SendQueue", "database_log_send_queue_bytes", "replica_log_send_queue_bytes"),
	"row.log_send_rate":         of("SendRate", "database_log_send_rate_bytes_per_second"),
	"row.redo_queue_size":       {fields: []string{"RedoQueue"}, series: []string{"replica_redo_queue_bytes"}, changed: []string{redoQueue}, worst: untouched},
	"row.redo_rate":             of("RedoRate", "database_redo_rate_bytes_per_second"),
	"row.secondary_lag_seconds": of("SecondaryLag", "database_secondary_lag_seconds"),

	// Counters: each row is one field.
	"log.database":   counters(),
	"log.counter":    counters(),
	"log.cntr_value": counters(),

	"seeding.database":                   of("Seeding.Database", "database_seeding_running", "database_seeding_info", "database_seeding_transferred_bytes", "database_seeding_size_bytes", "database_seeding_estimated_end_timestamp_seconds"),
	"seeding.current_state":              of("Seeding.State", "database_seeding_info"), // goes on with an empty label
	"seeding.failure_state_desc":         of("Failure", "database_seeding_info"),
	"seeding.start_time":                 {worst: untouched},                                                                                              // the order of the rows, which the server makes
	"seeding.completion_time":            {fields: []string{"Running"}, becomes: "true", changed: []string{"database_seeding_running"}, worst: untouched}, // NULL is how the view says that it runs
	"seeding.transferred_size_bytes":     of("Transferred", "database_seeding_transferred_bytes"),
	"seeding.database_size_bytes":        of("Seeding.Size", "database_seeding_size_bytes"),
	"seeding.estimate_time_complete_utc": of("EstimatedEnd", "database_seeding_estimated_end_timestamp_seconds"),

	"certificate.name":        of("Certificates.Name"),
	"certificate.expiry_date": of("Expiry", "endpoint_certificate_expiry_timestamp_seconds"),

	// Read for the engine; no series.
	"rights.login":                                      of("Rights.Login"),
	"rights.sysadmin":                                   of("Sysadmin"),
	"rights.alter_dag":                                  of("AlterDAG"),
	"transaction.database":                              of("Transactions.Database"),
	"transaction.session_id":                            of("SessionID"),
	"transaction.login_name":                            of("Transactions.Login"),
	"transaction.program_name":                          of("Program"),
	"transaction.host_name":                             of("Host"),
	"transaction.status":                                of("Status"),
	"transaction.open_seconds":                          of("OpenFor"),
	"transaction.is_user_transaction":                   {fields: []string{"User"}, becomes: "false", worst: untouched}, // no user's session is known to own it
	"transaction.database_transaction_log_record_count": of("LogRecords"),
	"transaction.database_transaction_log_bytes_used":   of("LogBytes"),
	"lineage.database":                                  {fields: []string{"FamilyGUID", "ForkGUID"}, worst: untouched},
	"lineage.family_guid":                               of("FamilyGUID"),
	"lineage.recovery_fork_guid":                        of("ForkGUID"),
	"marker.run":                                        of("Marker"),
}

func counters() nullCase {
	return nullCase{worst: untouched, fields: []string{"LogSize", "LogUsed", "LogFlushed", "Writes"},
		series: []string{"database_log_size_bytes", "database_log_used_bytes", "database_log_flushed_bytes_total", "database_write_transactions_total"}}
}
