package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

const (
	// seedingQuery is the documented one for distributed groups: the id of the database is that of the local group.
	seedingQuery = `SELECT ag.name, ar.replica_server_name, d.name, s.is_source, s.current_state, s.performed_seeding, s.failure_state, s.failure_state_desc, s.error_code, s.number_of_attempts
FROM sys.dm_hadr_automatic_seeding AS s
JOIN sys.availability_groups AS ag ON ag.group_id = s.ag_id
JOIN sys.availability_replicas AS ar ON ar.replica_id = s.ag_remote_replica_id AND ar.group_id = ag.group_id
JOIN sys.databases AS d ON d.group_database_id = s.ag_db_id
WHERE d.name = N'db001' ORDER BY s.start_time DESC`
	// copyingQuery pairs a seeding with its transfer.
	copyingQuery = `SELECT p.local_database_name, p.remote_machine_name, p.role_desc, p.internal_state_desc, p.database_size_bytes, s.current_state,
CASE WHEN p.transferred_size_bytes > 0 AND p.transferred_size_bytes < p.database_size_bytes THEN 1 ELSE 0 END,
CASE WHEN p.estimate_time_complete_utc > SYSUTCDATETIME() AND p.transfer_rate_bytes_per_second > 0 THEN 1 ELSE 0 END,
p.end_time_utc, p.failure_code, p.failure_message, p.failure_time_utc
FROM sys.dm_hadr_physical_seeding_stats AS p JOIN sys.dm_hadr_automatic_seeding AS s ON s.operation_id = p.local_physical_seeding_id`
	listedQuery = `SELECT COUNT(*) FROM sys.availability_databases_cluster AS c JOIN sys.availability_groups AS g ON g.group_id = c.group_id WHERE c.database_name = N'db001'`
	rowsQuery   = `SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states WHERE DB_NAME(database_id) = N'db001'`
)

// TestListenerURL: MODIFY AVAILABILITY GROUP … LISTENER_URL changes this side's own copy, and is refused like the commit modes are.
func TestListenerURL(t *testing.T) {
	cfg := model.Config{Timing: quick}
	cfg.Sides[Target].Instances = make([]model.InstanceConfig, 2)
	l := start(t, Options{Model: cfg, Logins: []Login{{Name: "nobody", Password: "x"}, {Name: "granted", Password: "x", AlterAG: []string{"DAG"}}}})
	src, tgt := l.test(t, Source), l.test(t, Target)
	second := open(t, l.DSNFor(l.AddressOf(Target, 1), SA, SAPassword, "master"))
	const urls = "SELECT STRING_AGG(r.replica_server_name + ' ' + r.endpoint_url, ', ') WITHIN GROUP (ORDER BY r.replica_server_name) FROM sys.availability_replicas r JOIN sys.availability_groups g ON g.group_id = r.group_id WHERE g.is_distributed = 1"
	before := one(t, src, urls)
	set := func(group, member, with string) string {
		return fmt.Sprintf("ALTER AVAILABILITY GROUP [%s] MODIFY AVAILABILITY GROUP ON '%s' WITH (%s)", group, member, with)
	}
	url := "LISTENER_URL = N'tcp://o''neill.example:5022'"
	exec(t, tgt, set("DAG", "AzureAG", url+", AVAILABILITY_MODE = ASYNCHRONOUS_COMMIT"))
	eventually(t, "the target's copy", func() bool {
		return one(t, tgt, urls) == "AzureAG tcp://o'neill.example:5022, OnPremAG tcp://OnPremAG-listener:5022"
	})
	if got := one(t, src, urls); got != before {
		t.Errorf("the source's copy is %s, was %s", got, before)
	}
	fails(t, tgt, 19508, set("DAG", "azureag2", url))
	fails(t, tgt, 19510, set("nothing", "AzureAG", url))
	fails(t, tgt, 19512, set("AzureAG", "AzureAG", url))
	fails(t, second, 41140, set("DAG", "AzureAG", url))
	fails(t, tgt, 102, set("DAG", "AzureAG", "LISTENER_URL = [tcp://x:5022]"))
	for _, login := range []string{"nobody", "granted"} {
		fails(t, open(t, l.DSNFor(l.Address(Target), login, "x", "master")), 15151, set("DAG", "AzureAG", url))
	}
}

// TestRemoveDatabase: what the views of each side say of a database that one group no longer holds, and the way back.
func TestRemoveDatabase(t *testing.T) {
	cfg := model.Config{Timing: quick}
	cfg.Sides[Source].Instances = make([]model.InstanceConfig, 2)
	l := start(t, Options{Model: cfg, Logins: []Login{{Name: "nobody", Password: "x"}}})
	src, tgt := l.test(t, Source), l.test(t, Target)
	second := open(t, l.DSNFor(l.AddressOf(Source, 1), SA, SAPassword, "master"))
	const remove, add = "ALTER AVAILABILITY GROUP [OnPremAG] REMOVE DATABASE [db001]", "ALTER AVAILABILITY GROUP [OnPremAG] ADD DATABASE [db001]"
	fails(t, open(t, l.DSNFor(l.Address(Source), "nobody", "x", "master")), 15151, remove)
	fails(t, src, 102, "ALTER AVAILABILITY GROUP [OnPremAG] REMOVE DATABASE 'db001'")
	steer(t, l, "fault", Args{Fault: &Fault{Class: "database", Error: 41138}})
	fails(t, src, 41138, remove)
	exec(t, src, remove)
	eventually(t, "the group does not hold it", func() bool { return one(t, src, listedQuery) == "0" })
	for _, c := range []struct {
		what  string
		got   string
		wants string
	}{
		{"rows on the source", one(t, src, rowsQuery), "0"},
		{"rows on its secondary", one(t, second, rowsQuery), "0"},
		{"rows on the target", one(t, tgt, rowsQuery), "1"},
		{"the target's group", one(t, tgt, listedQuery), "1"},
		{"rows of the others", one(t, src, "SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states WHERE DB_NAME(database_id) = N'db002'"), "3"},
		{"state", one(t, src, "SELECT state_desc FROM sys.databases WHERE name = N'db001' AND replica_id IS NULL AND group_database_id IS NULL"), "ONLINE"},
		{"state on the secondary", one(t, second, "SELECT state_desc FROM sys.databases WHERE name = N'db001'"), "RESTORING"},
		{"Updateability", one(t, src, "SELECT CONVERT(nvarchar(60), DATABASEPROPERTYEX(N'db001', 'Updateability'))"), "READ_WRITE"},
		{"primary replica", one(t, src, "SELECT sys.fn_hadr_is_primary_replica(N'db001')"), "NULL"},
		{"cluster states", one(t, src, "SELECT COUNT(*) FROM sys.dm_hadr_database_replica_cluster_states WHERE database_name = N'db001'"), "0"},
	} {
		if c.got != c.wants {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.wants)
		}
	}
	exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (1)")
	fails(t, second, 927, "SELECT COUNT(*) FROM db001.dbo.ledger")
	fails(t, src, 35281, remove)
	fails(t, src, 35242, "ALTER DATABASE [db001] SET HADR SUSPEND")
	fails(t, tgt, 41190, strings.Replace(remove, "OnPremAG", "AzureAG", 1))
	fails(t, src, 35240, "ALTER DATABASE [db002] SET HADR OFF")
	fails(t, src, 1468, "ALTER DATABASE [db002] SET OFFLINE")

	exec(t, src, add)
	eventually(t, "it failed: the target holds one of that name", func() bool {
		r := rows(t, src, seedingQuery)
		return len(r) == 2 && slices.Equal(r[0], []string{"DAG", "AzureAG", "db001", "true", "FAILED", "false", "23", "Database With Name Already Exists", "NULL", "1"}) ||
			len(r) == 2 && slices.Equal(r[1], []string{"DAG", "AzureAG", "db001", "true", "FAILED", "false", "23", "Database With Name Already Exists", "NULL", "1"})
	})
	fails(t, src, 35280, add)
	exec(t, tgt, "ALTER DATABASE [db001] SET HADR OFF")
	if got := one(t, tgt, listedQuery); got != "0" {
		t.Errorf("the target's group lists %s", got)
	}
	exec(t, src, "ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'AzureAG' WITH (SEEDING_MODE = AUTOMATIC)")
	eventually(t, "seeded", func() bool { return one(t, tgt, listedQuery) == "1" })
	eventually(t, "with what was written meanwhile", func() bool { return one(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger") == "1" })
}

// TestSeedCommand: a seeding as both ends show it, in every version; and one that fails.
func TestSeedCommand(t *testing.T) {
	for major := 13; major <= 17; major++ {
		cfg := model.Config{Timing: quick, Link: model.LinkConfig{Latency: time.Millisecond, Bandwidth: 1 << 20}}
		for i := range cfg.Sides {
			cfg.Sides[i].Instances = []model.InstanceConfig{{Major: major}}
		}
		l := start(t, Options{Model: cfg})
		src, tgt := l.test(t, Source), l.test(t, Target)
		if got := rows(t, src, seedingQuery); len(got) != 1 || got[0][4] != "COMPLETED" {
			t.Errorf("at the start: %v", got)
		}
		if got := rows(t, src, copyingQuery); len(got) != 0 {
			t.Errorf("at rest something is copied: %v", got)
		}
		steer(t, l, "seed", Args{Side: "target", Database: "db001", Bytes: 1 << 40})
		for db, want := range map[queryer][]string{
			src: {"db001", "N2", "Source", "ReadingAndSendingData", fmt.Sprint(1 << 40), "SEEDING", "1", "1", "NULL", "NULL", "NULL", "NULL"},
			tgt: {"db001", "N1", "Destination", "ReadingAndSendingData", fmt.Sprint(1 << 40), "SEEDING", "1", "1", "NULL", "NULL", "NULL", "NULL"},
		} {
			eventually(t, strings.Join(want, " "), func() bool { r := rows(t, db, copyingQuery); return len(r) == 1 && slices.Equal(r[0], want) })
		}
		if got := one(t, tgt, listedQuery); got != "0" {
			t.Errorf("meanwhile the target lists %s", got)
		}
		steer(t, l, "cut", Args{})
		eventually(t, "it fails when the path is gone", func() bool {
			r := rows(t, src, seedingQuery)
			return slices.ContainsFunc(r, func(x []string) bool { return slices.Equal(x[4:8], []string{"FAILED", "true", "6", "Transport"}) })
		})
		if got := rows(t, src, copyingQuery); len(got) != 0 {
			t.Errorf("afterwards something is copied: %v", got)
		}
		steer(t, l, "heal", Args{})
		fail := 15
		steer(t, l, "seed", Args{Side: "target", Database: "db001", Bytes: 1000, Fail: &fail})
		eventually(t, "it fails as told", func() bool {
			return slices.ContainsFunc(rows(t, src, seedingQuery), func(x []string) bool { return slices.Equal(x[4:8], []string{"FAILED", "true", "15", "Seeding"}) })
		})
		steer(t, l, "seed", Args{Side: "target", Database: "db001", Bytes: 1000})
		eventually(t, "and the next one does not", func() bool { return one(t, tgt, listedQuery) == "1" })
	}
	l := start(t, Options{})
	unknown, negative := 26, -1
	for _, a := range []Args{{Side: "source", Database: "db001"}, {Side: "target", Database: "nothing"}, {Side: "target", Database: "db001", Fail: &unknown}, {Side: "target", Database: "db001", Fail: &negative}} {
		if _, err := l.Control().Run("seed", a); err == nil {
			t.Errorf("%+v was taken", a)
		}
	}
}

// TestLogSpaceUsage is about the current database, or the one that is named; it wants VIEW SERVER STATE.
func TestLogSpaceUsage(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, Log: model.LogConfig{Size: 1 << 20}}, Logins: []Login{{Name: "nobody", Password: "x"}}})
	db := userDB(t, l, Source, "db002")
	const query = `SELECT DB_NAME(database_id), total_log_size_in_bytes, used_log_space_in_bytes, CONVERT(int, ROUND(used_log_space_in_percent * total_log_size_in_bytes / 100 / 1024, 0)) FROM sys.dm_db_log_space_usage`
	before := rows(t, db, query)[0]
	if before[0] != "db002" || before[1] != fmt.Sprint(1<<20) {
		t.Errorf("%v", before)
	}
	steer(t, l, "load", Args{Database: "db002", Rows: 100, Bytes: 1000})
	eventually(t, "the log is used", func() bool { r := rows(t, db, query)[0]; return r[2] != before[2] && r[3] != before[3] })
	if got := one(t, l.test(t, Source), "SELECT DB_NAME(database_id) FROM db001.sys.dm_db_log_space_usage"); got != "db001" {
		t.Errorf("by name: %s", got)
	}
	if got := one(t, l.test(t, Source), "SELECT DB_NAME(database_id) FROM sys.dm_db_log_space_usage"); got != "master" {
		t.Errorf("in master: %s", got)
	}
	fails(t, open(t, l.DSNFor(l.Address(Source), "nobody", "x", "master")), 297, query)
}

// TestScheduleSeeds: a step may wait for REMOVE DATABASE, and seed.
func TestScheduleSeeds(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick}, Schedule: &Schedule{Steps: []Step{
		{On: &Event{Statement: "database", Side: "source", Phase: "accepted"}, Do: "seed", With: Args{Side: "target", Database: "db002"}}}}})
	src := l.test(t, Source)
	exec(t, src, "ALTER AVAILABILITY GROUP [OnPremAG] REMOVE DATABASE [db001]")
	eventually(t, "the other database is seeded", func() bool {
		return one(t, src, "SELECT COUNT(*) FROM sys.dm_hadr_automatic_seeding AS s JOIN sys.databases AS d ON d.group_database_id = s.ag_db_id WHERE d.name = N'db002'") == "2"
	})
}

// TestExecuteHADR: SET HADR through the control API, on the present primary or on another instance.
func TestExecuteHADR(t *testing.T) {
	cfg := model.Config{Timing: quick}
	cfg.Sides[Target].Instances = make([]model.InstanceConfig, 2)
	l := start(t, Options{Model: cfg})
	second := open(t, l.DSNFor(l.AddressOf(Target, 1), SA, SAPassword, "master"))
	steer(t, l, "execute", Args{Side: "target", Instance: 1, Statement: "ALTER DATABASE [db001] SET HADR OFF"})
	if got := one(t, second, rowsQuery); got != "0" {
		t.Errorf("%s rows", got)
	}
	steer(t, l, "execute", Args{Side: "target", Instance: 1, Statement: "ALTER DATABASE [db001] SET HADR AVAILABILITY GROUP = [AzureAG]"})
	if got := one(t, second, rowsQuery); got != "1" {
		t.Errorf("%s rows", got)
	}
	for _, a := range []Args{{Side: "source", Statement: "ALTER DATABASE [db001] SET HADR OFF"}, {Side: "target", Instance: 7, Statement: "ALTER DATABASE [db001] SET HADR OFF"},
		{Side: "target", Statement: "ALTER DATABASE [nothing] SET HADR OFF"}} {
		if _, err := l.Control().Run("execute", a); err == nil {
			t.Errorf("%+v was taken", a)
		}
	}
}
