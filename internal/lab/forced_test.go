package lab

import (
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// TestDatabaseState: a database put into a state shows it on its own instance and in its primary's row, cannot be opened, and
// goes on where it stood.
func TestDatabaseState(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, DAGMode: model.Sync}})
	src, tgt := l.test(t, Source), l.test(t, Target)
	eventually(t, "SYNCHRONIZED", func() bool { return one(t, src, linkQuery) == "3" })
	const state = "SELECT state_desc FROM sys.databases WHERE name = 'db001'"
	const link = `SELECT s.synchronization_state_desc FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id
WHERE g.is_distributed = 1 AND DB_NAME(s.database_id) = 'db001'`
	const own = "SELECT synchronization_state_desc + ' ' + database_state_desc FROM sys.dm_hadr_database_replica_states WHERE is_local = 1 AND DB_NAME(database_id) = 'db001'"
	for name, number := range map[string]int32{"RESTORING": 927, "RECOVERING": 922, "SUSPECT": 926, "OFFLINE": 942, "RECOVERY_PENDING": 945} {
		if err := l.Control().DatabaseState(Target, 0, "db001", name); err != nil {
			t.Fatal(err)
		}
		if got := one(t, tgt, state); got != name {
			t.Errorf("%s reads %s", name, got)
		}
		if got := one(t, tgt, own); got != "NOT SYNCHRONIZING "+name {
			t.Errorf("%s: own row %s", name, got)
		}
		if got := one(t, src, link); got != "NOT SYNCHRONIZING" {
			t.Errorf("%s: the link reads %s", name, got)
		}
		fails(t, tgt, number, "SELECT COUNT(*) FROM db001.dbo.ledger")
		exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (1)")
	}
	if a, b := lsns(t, src)["db001"], lsns(t, tgt)["db001"]; a == b {
		t.Error("its log moved")
	}
	if err := l.Control().DatabaseState(Target, 0, "db001", "ONLINE"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it follows again", func() bool {
		return one(t, src, link) == "SYNCHRONIZED" && one(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger") == "5"
	})
	if err := l.Control().DatabaseState(Source, 0, "db002", "SUSPECT"); err != nil {
		t.Fatal(err)
	}
	fails(t, src, 926, "INSERT db002.dbo.ledger (id) VALUES (1)")
	for _, bad := range []string{"EMERGENCY", "x"} {
		if err := l.Control().DatabaseState(Source, 0, "db002", bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestSyncState: REVERTING and INITIALIZING on the forwarder, by its own row and by the primary's.
func TestSyncState(t *testing.T) {
	l := start(t, Options{})
	src, tgt := l.test(t, Source), l.test(t, Target)
	const link = `SELECT s.synchronization_state_desc FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id
WHERE g.is_distributed = 1 AND DB_NAME(s.database_id) = 'db002'`
	const own = "SELECT synchronization_state_desc FROM sys.dm_hadr_database_replica_states WHERE is_local = 1 AND DB_NAME(database_id) = 'db002'"
	for _, s := range []string{"REVERTING", "INITIALIZING", "NOT SYNCHRONIZING"} {
		if err := l.Control().SyncState(Target, 0, "db002", s); err != nil {
			t.Fatal(err)
		}
		if a, b := one(t, src, link), one(t, tgt, own); a != s || b != s {
			t.Errorf("%s: link %s, own %s", s, a, b)
		}
	}
	exec(t, src, "INSERT db002.dbo.ledger (id) VALUES (1)")
	if err := l.Control().SyncState(Target, 0, "db002", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "equal", func() bool {
		return lsns(t, src)["db002"] == lsns(t, tgt)["db002"] && one(t, src, link) == "SYNCHRONIZING"
	})
	for _, bad := range []string{"SYNCHRONIZED", "x"} {
		if err := l.Control().SyncState(Target, 0, "db002", bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
