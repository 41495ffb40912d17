package views

import (
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// systemDatabases come first in sys.databases, with the ids that they have everywhere.
var systemDatabases = [...]string{"master", "tempdb", "model", "msdb"}

func databaseViews() []*View {
	return []*View{
		{Name: "sys.databases", Access: Public, Rows: systemRows, each: &each{slotDatabases, databases}, Columns: columns(`
			name sysname!
			database_id int!
			source_database_id int
			owner_sid varbinary(85)
			create_date datetime!
			compatibility_level tinyint!
			collation_name sysname
			user_access tinyint
			user_access_desc nvarchar(60)
			is_read_only bit
			is_auto_close_on bit!
			is_auto_shrink_on bit
			state tinyint
			state_desc nvarchar(60)
			is_in_standby bit
			is_cleanly_shutdown bit
			is_supplemental_logging_enabled bit
			snapshot_isolation_state tinyint
			snapshot_isolation_state_desc nvarchar(60)
			is_read_committed_snapshot_on bit
			recovery_model tinyint
			recovery_model_desc nvarchar(60)
			page_verify_option tinyint
			page_verify_option_desc nvarchar(60)
			is_auto_create_stats_on bit
			is_auto_update_stats_on bit
			is_trustworthy_on bit
			is_query_store_on bit
			is_published bit!
			is_subscribed bit!
			is_merge_published bit!
			is_distributor bit!
			service_broker_guid uniqueidentifier!
			is_broker_enabled bit!
			log_reuse_wait tinyint
			log_reuse_wait_desc nvarchar(60)
			is_cdc_enabled bit!
			is_encrypted bit
			replica_id uniqueidentifier
			group_database_id uniqueidentifier
			resource_pool_id int
			containment tinyint
			containment_desc nvarchar(60)
			target_recovery_time_in_seconds int
			delayed_durability int
			delayed_durability_desc nvarchar(60)
			is_memory_optimized_elevate_to_snapshot_on bit
			is_temporal_history_retention_enabled bit 14
			catalog_collation_type int 15
			catalog_collation_type_desc nvarchar(60) 15
			physical_database_name nvarchar(128) 15
			is_accelerated_database_recovery_on bit 15
			is_ledger_on bit 16`)},
		{Name: "sys.database_recovery_status", Access: Definition, each: &each{slotRecovery, recoveryStatus}, Columns: columns(`
			database_id int!
			database_guid uniqueidentifier
			family_guid uniqueidentifier
			last_log_backup_lsn lsn
			recovery_fork_guid uniqueidentifier
			first_recovery_fork_guid uniqueidentifier
			fork_point_lsn lsn`)},
		{Name: "sys.master_files", Access: Definition, Rows: systemFiles, each: &each{slotFiles, masterFiles}, Columns: columns(`
			database_id int!
			file_id int!
			file_guid uniqueidentifier
			type tinyint!
			type_desc nvarchar(60)
			data_space_id int!
			name sysname!
			physical_name nvarchar(260)!
			state tinyint
			state_desc nvarchar(60)
			size int!
			max_size int!
			growth int!
			is_media_read_only bit!
			is_read_only bit!
			is_sparse bit!
			is_percent_growth bit!`)},
		{Name: "sys.dm_db_log_space_usage", Access: ServerState, Rows: logSpace, Columns: columns(`
			database_id smallint
			total_log_size_in_bytes bigint
			used_log_space_in_bytes bigint
			used_log_space_in_percent real
			log_space_in_bytes_since_last_backup bigint`)},
		{Name: "sys.extended_properties", Access: Public, Rows: properties, Columns: columns(`
			class tinyint!
			class_desc nvarchar(60)
			major_id int!
			minor_id int!
			name sysname!
			value nvarchar(4000)`)},
		{Name: "sys.dm_os_performance_counters", Access: ServerState, each: &each{slotCounters, databaseCounters}, tail: counters, Columns: columns(`
			object_name nchar(128)!
			counter_name nchar(128)!
			instance_name nchar(128)
			cntr_value bigint!
			cntr_type int!`)},
	}
}

// reuseWaits are the codes of log_reuse_wait that the lab knows.
var reuseWaits = map[string]int64{"NOTHING": 0, "CHECKPOINT": 1, "LOG_BACKUP": 2, "ACTIVE_TRANSACTION": 4, "AVAILABILITY_REPLICA": 9}

func compat(major int) any { return int64(major * 10) }

func systemRows(e *Env) [][]any {
	i := &e.Snap.Instance
	var out [][]any
	zero := guid(model.GUID{1})
	for n, name := range systemDatabases {
		recovery := int64(3)
		if name == "model" {
			recovery = 1
		}
		out = append(out, databaseRow(i.Config.Major, i.Collation, name, n+1, time.Date(2003, 4, 8, 9, 13, 36, 0, time.UTC), model.DBOnline, recovery, "NOTHING", nil, nil, zero))
	}
	return out
}

func databases(a *around, d *model.Database) [][]any {
	replica, group := guid(a.replica), guid(d.Group)
	if !d.Joined {
		replica, group = nil, nil
	}
	return [][]any{databaseRow(a.instance, a.collation, d.Name, d.ID, d.Created, d.State, 1, d.ReuseWait, replica, group, guid(d.Family))}
}

func databaseRow(major int, collation, name string, id int, created time.Time, state model.DBState, recovery int64, wait string, replica, groupDB, broker any) []any {
	return []any{name, i64(id), nil, []byte{1}, at(created), compat(major), collation, int64(0), "MULTI_USER", false, false, false,
		i64(int(state)), state.String(), false, false, false, int64(0), "OFF", false, recovery, [...]string{"", "FULL", "BULK_LOGGED", "SIMPLE"}[recovery],
		int64(2), "CHECKSUM", true, true, false, false, false, false, false, false, broker, false, reuseWaits[wait], wait, false, false, replica, groupDB,
		nil, int64(0), "NONE", int64(60), int64(0), "DISABLED", false, true, int64(0), "DATABASE_DEFAULT", name, false, false}
}

func recoveryStatus(_ *around, d *model.Database) [][]any {
	if d.Readable != nil { // a database that cannot be opened has no lineage to show
		return [][]any{{i64(d.ID), nil, nil, nil, nil, nil, nil}}
	}
	return [][]any{{i64(d.ID), guid(d.Family), guid(d.Family), lsn(d.Own.Truncation), guid(d.Fork), nil, nil}}
}

// systemLog is the size of a system database's log file.
const systemLog = 8 << 20

func systemFiles(e *Env) [][]any {
	var out [][]any
	for i, n := range systemDatabases {
		out = append(out, files(e.Snap.Instance.Config.Linux, i+1, n, systemLog)...)
	}
	return out
}

func masterFiles(a *around, d *model.Database) [][]any {
	return files(a.linux, d.ID, d.Name, d.LogSize)
}

func files(linux bool, id int, name string, log int64) [][]any {
	dir := `D:\Data\`
	if linux {
		dir = "/var/opt/mssql/data/"
	}
	return [][]any{
		{i64(id), int64(1), nil, int64(0), "ROWS", int64(1), name, dir + name + ".mdf", int64(0), "ONLINE", int64(131072), int64(-1), int64(8192), false, false, false, false},
		{i64(id), int64(2), nil, int64(1), "LOG", int64(0), name + "_log", dir + name + "_log.ldf", int64(0), "ONLINE", log / 8192, int64(268435456), int64(8192), false, false, false, false}}
}

// logSpace is about the current database alone. There are no log backups: all that is used came since the last one.
func logSpace(e *Env) [][]any {
	size, used := int64(systemLog), int64(systemLog/8)
	for _, d := range e.Snap.Seen {
		if d.Name == e.Database {
			size, used = d.LogSize, min(d.LogUsed, d.LogSize)
		}
	}
	return [][]any{{i64(e.DatabaseID(e.Database)), size, used, float64(used) * 100 / float64(max(size, 1)), used}}
}

func properties(e *Env) [][]any {
	var out [][]any
	for _, p := range e.Snap.Props {
		if fold(p.Database) == fold(e.Database) {
			out = append(out, []any{int64(0), "DATABASE", int64(0), int64(0), p.Name, p.Value})
		}
	}
	return out
}

const (
	counterGauge = 65792     // PERF_COUNTER_LARGE_RAWCOUNT
	counterRate  = 272696576 // PERF_COUNTER_BULK_COUNT: a running total, whatever "/sec" says
)

func counter(object, counter, instance string, value int64, kind int64) []any {
	return []any{padded("SQLServer:"+object, 128), padded(counter, 128), padded(instance, 128), value, kind}
}

func databaseCounters(a *around, d *model.Database) [][]any {
	var out [][]any
	add := func(object, name string, value int64, kind int64) {
		out = append(out, counter(object, name, d.Name, value, kind))
	}
	used := min(d.LogUsed, d.LogSize)
	add("Databases", "Log File(s) Size (KB)", d.LogSize/1024, counterGauge)
	add("Databases", "Log File(s) Used Size (KB)", used/1024, counterGauge)
	add("Databases", "Percent Log Used", used*100/max(d.LogSize, 1), counterGauge)
	add("Databases", "Log Flushes/sec", d.Flushes, counterRate)
	add("Databases", "Log Bytes Flushed/sec", d.Flushed, counterRate)
	add("Databases", "Transactions/sec", d.Transactions, counterRate)
	add("Databases", "Write Transactions/sec", d.Writes, counterRate)
	add("Databases", "Active Transactions", int64(len(d.Open)), counterGauge)
	if !d.Joined { // no replica of anything
		return out
	}
	var send, recv int64
	for _, r := range d.Replica {
		send = max(send, r.SendQueue)
	}
	if d.DAG != nil {
		send = max(send, d.DAG.SendQueue)
	}
	if !a.writable {
		recv = d.RedoQueue / 1024
	}
	add("Database Replica", "Log Send Queue", send, counterGauge)
	add("Database Replica", "Recovery Queue", recv, counterGauge)
	add("Database Replica", "Log Bytes Received/sec", d.Received, counterRate)
	add("Database Replica", "Redone Bytes/sec", d.Redone, counterRate)
	add("Database Replica", "Log remaining for undo", 0, counterGauge)
	add("Database Replica", "Total Log requiring undo", 0, counterGauge)
	add("Database Replica", "Mirrored Write Transactions/sec", d.Writes, counterRate)
	add("Database Replica", "Transaction Delay", 0, counterRate)
	return out
}

// counters are those of the whole instance.
func counters(e *Env) [][]any {
	s := e.Snap
	var out [][]any
	add := func(object, name, instance string, value int64, kind int64) {
		out = append(out, counter(object, name, instance, value, kind))
	}
	var flushed, writes, flushes, transactions int64
	for _, d := range s.Seen {
		flushed, writes, flushes, transactions = flushed+d.Flushed, writes+d.Writes, flushes+d.Flushes, transactions+d.Transactions
	}
	add("Databases", "Log Flushes/sec", "_Total", flushes, counterRate)
	add("Databases", "Log Bytes Flushed/sec", "_Total", flushed, counterRate)
	add("Databases", "Transactions/sec", "_Total", transactions, counterRate)
	add("Databases", "Write Transactions/sec", "_Total", writes, counterRate)
	if s.DAG != nil && s.DAG.Holds {
		other := s.DAG.Members[1-s.DAG.OwnIndex].Name
		add("Availability Replica", "Bytes Sent to Replica/sec", fmt.Sprintf("%s:%s", s.DAG.Name, other), flushed, counterRate)
	}
	add("General Statistics", "User Connections", "", int64(len(s.Sessions)), counterGauge)
	return out
}
