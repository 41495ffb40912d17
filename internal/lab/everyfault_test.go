package lab

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// shownBy names, for every control command, the test that shows its effect through an ordinary client. TestEveryCommandIsShown keeps it
// whole.
var shownBy = map[string]string{
	"load": "TestControlOverHTTP", "cut": "TestControlOverHTTP", "heal": "TestControlOverHTTP", "suspend": "TestControlOverHTTP", "resume": "TestControlOverHTTP",
	"open-transaction": "TestControlOverHTTP", "end-transaction": "TestControlOverHTTP", "redo": "TestControlOverHTTP", "rsstc": "TestControlOverHTTP",
	"place-log": "TestControlOverHTTP", "override-lsn": "TestControlOverHTTP", "clock": "TestControlOverHTTP", "client-latency": "TestControlOverHTTP",
	"login": "TestControlOverHTTP", "clear-faults": "TestControlOverHTTP", "fault": "TestWireFaults", "assume": "TestCrossVersion", "checkpoint": "TestFullLog",
	"stop": "TestRestartAndFreeze", "start": "TestRestartAndFreeze", "freeze": "TestRestartAndFreeze", "unfreeze": "TestRestartAndFreeze",
	"refuse-logins": "TestScheduleSeesRequests", "database-state": "TestDatabaseState", "sync-state": "TestSyncState", "execute": "TestExecuteCommand",
	"link": "TestLink", "flush": "TestFlush", "kill": "TestKillCommand", "restart": "TestRestartCommand", "timing": "TestTimingCommand", "access": "TestAccessCommand",
	"local-failover": "TestLocalFailoverCommand", "seed": "TestSeedCommand", "local-link": "TestLocalLink", "cut-local": "TestLocalLink", "heal-local": "TestLocalLink",
}

func TestEveryCommandIsShown(t *testing.T) {
	if a, b := slices.Sorted(maps.Keys(controlCommands())), slices.Sorted(maps.Keys(shownBy)); !slices.Equal(a, b) {
		t.Errorf("commands %v, shown %v", a, b)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	for command, test := range shownBy {
		if !strings.Contains(text.String(), "func "+test+"(t *testing.T)") {
			t.Errorf("%s: there is no %s", command, test)
		}
	}
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "lab.md"))
	if err != nil {
		t.Fatal(err)
	}
	for command := range shownBy {
		if !strings.Contains(string(doc), command) {
			t.Errorf("docs/lab.md says nothing of %s", command)
		}
	}
}

// steer runs a control command by its name.
func steer(t *testing.T, l *Lab, name string, a Args) {
	t.Helper()
	if _, err := l.Control().Run(name, a); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// took is how long a statement takes.
func took(f func()) time.Duration {
	begin := time.Now()
	f()
	return time.Since(begin)
}

const sendQueue = "SELECT MAX(log_send_queue_size) FROM sys.dm_hadr_database_replica_states WHERE is_local = 0"

// TestLink: latency makes synchronous commits slow, bandwidth makes a send queue.
func TestLink(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, DAGMode: model.Sync}})
	src := l.test(t, Source)
	eventually(t, "SYNCHRONIZED", func() bool { return one(t, src, linkQuery) == "3" })
	steer(t, l, "link", Args{Latency: Duration(100 * time.Millisecond)})
	if d := took(func() { exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (1)") }); d < 200*time.Millisecond {
		t.Errorf("a synchronous commit over 100 ms of latency took %s", d)
	}
	steer(t, l, "link", Args{Bandwidth: 2000})
	steer(t, l, "load", Args{Rows: 200, Bytes: 1000})
	eventually(t, "a send queue", func() bool { q := one(t, src, sendQueue); return q != "0" && q != "NULL" && len(q) > 1 })
	steer(t, l, "load", Args{})
	steer(t, l, "link", Args{})
	eventually(t, "sent", func() bool { return one(t, src, sendQueue) == "0" })
}

// TestFlush: a slow disk on the target makes synchronous commits wait.
func TestFlush(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, DAGMode: model.Sync}})
	src := l.test(t, Source)
	eventually(t, "SYNCHRONIZED", func() bool { return one(t, src, linkQuery) == "3" })
	steer(t, l, "flush", Args{Side: "target", Latency: Duration(200 * time.Millisecond)})
	if d := took(func() { exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (1)") }); d < 200*time.Millisecond {
		t.Errorf("a commit on a slow disk took %s", d)
	}
}

// TestKillCommand: the connection is gone, a new one is another session.
func TestKillCommand(t *testing.T) {
	l := start(t, Options{})
	conn, err := l.test(t, Source).Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // it is dead by then
	var spid int
	if err := conn.QueryRowContext(within(t), "SELECT @@SPID").Scan(&spid); err != nil {
		t.Fatal(err)
	}
	steer(t, l, "kill", Args{Side: "source", Session: spid})
	if _, err := conn.ExecContext(within(t), "SELECT 1"); err == nil {
		t.Error("a killed session answers")
	}
	if _, err := l.Control().Run("kill", Args{Side: "source", Session: 9999}); err == nil {
		t.Error("a session that is none was killed")
	}
}

func TestExecuteCommand(t *testing.T) {
	l := start(t, Options{})
	src := l.test(t, Source)
	steer(t, l, "execute", Args{Side: "source", Statement: sqlS2})
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
	for _, bad := range []string{"SELECT 1", "ALTER AVAILABILITY GROUP [DAG] FAILOVER"} {
		if _, err := l.Control().Run("execute", Args{Side: "source", Statement: bad}); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestRestartCommand(t *testing.T) {
	l := start(t, Options{})
	tgt := l.test(t, Target)
	const started = "SELECT sqlserver_start_time FROM sys.dm_os_sys_info"
	before := one(t, tgt, started)
	steer(t, l, "restart", Args{Side: "target"})
	eventually(t, "it is back, with another start time", func() bool {
		var after string
		return tgt.QueryRowContext(within(t), "SELECT CONVERT(varchar(40), ("+started+"), 126)").Scan(&after) == nil && after != "" && one(t, tgt, started) != before
	})
}

func TestTimingCommand(t *testing.T) {
	l := start(t, Options{})
	src := l.test(t, Source)
	steer(t, l, "timing", Args{Timing: map[string]string{"demote": "400ms"}})
	exec(t, src, sqlS2)
	if d := took(func() { eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" }) }); d < 300*time.Millisecond {
		t.Errorf("the demotion took %s", d)
	}
}

func TestAccessCommand(t *testing.T) {
	l := start(t, Options{})
	tgt := l.test(t, Target)
	exec(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger")
	steer(t, l, "access", Args{Side: "target", Value: "NO"})
	fails(t, tgt, 976, "SELECT COUNT(*) FROM db001.dbo.ledger")
	steer(t, l, "access", Args{Side: "target", Value: "ALL"})
	exec(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger")
}

// TestLocalFailoverCommand: the primary of a side moves to its other instance and back, by force where it is not synchronized.
func TestLocalFailoverCommand(t *testing.T) {
	cfg := model.Config{Timing: quick}
	cfg.Sides[Source].Instances = make([]model.InstanceConfig, 2)
	l := start(t, Options{Model: cfg})
	first, second := l.test(t, Source), open(t, l.DSNFor(l.AddressOf(Source, 1), SA, SAPassword, "master"))
	exec(t, first, "INSERT db001.dbo.ledger (id) VALUES (1)")
	const ready = "SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id WHERE g.is_distributed = 0 AND s.is_local = 0 AND s.synchronization_state = 2"
	eventually(t, "synchronized", func() bool { return one(t, first, ready) == "3" })
	steer(t, l, "local-failover", Args{Side: "source", Instance: 1})
	eventually(t, "the second instance takes the writes", func() bool {
		_, err := second.ExecContext(within(t), "INSERT db001.dbo.ledger (id) VALUES (2)")
		return err == nil
	})
	if got := one(t, second, roleQuery); got != "PRIMARY" {
		t.Errorf("DAG role of the new primary: %s", got)
	}
	if got := one(t, second, "SELECT COUNT(*) FROM db001.dbo.ledger"); got != "2" {
		t.Errorf("%s rows", got)
	}
	steer(t, l, "stop", Args{Side: "source", Instance: 0})
	exec(t, second, "SELECT 1")
	steer(t, l, "start", Args{Side: "source", Instance: 0})
	steer(t, l, "local-failover", Args{Side: "source", Instance: 0, Force: true})
	eventually(t, "by force, the first takes them again", func() bool {
		_, err := first.ExecContext(within(t), "INSERT db001.dbo.ledger (id) VALUES (3)")
		return err == nil
	})
}

// TestLocalLink: a side's own secondary over a slow path, and cut off.
func TestLocalLink(t *testing.T) {
	cfg := model.Config{Timing: quick}
	cfg.Sides[Source].Instances = make([]model.InstanceConfig, 2)
	l := start(t, Options{Model: cfg})
	src := l.test(t, Source)
	const ready = "SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id WHERE g.is_distributed = 0 AND s.is_local = 0 AND s.synchronization_state = 2"
	eventually(t, "synchronized", func() bool { return one(t, src, ready) == "3" })
	steer(t, l, "local-link", Args{Side: "source", Latency: Duration(100 * time.Millisecond)})
	if d := took(func() { exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (1)") }); d < 200*time.Millisecond {
		t.Errorf("a commit over 100 ms inside the side took %s", d)
	}
	steer(t, l, "local-link", Args{Side: "source"})
	steer(t, l, "cut-local", Args{Side: "source"})
	eventually(t, "dropped", func() bool { return one(t, src, ready) == "0" })
	steer(t, l, "heal-local", Args{Side: "source"})
	eventually(t, "synchronized again", func() bool { return one(t, src, ready) == "3" })
}

// TestLogBlockSize: one block of 4096 bytes is eight units, of 512 one, and the pair tells which side wrote.
func TestLogBlockSize(t *testing.T) {
	cfg := model.Config{Timing: quick}
	cfg.Sides[Source].BlockBytes = 4096
	l := start(t, Options{Model: cfg})
	src, tgt := l.test(t, Source), l.test(t, Target)
	const units = `SELECT CONVERT(varchar(40), (MIN(last_hardened_lsn - end_of_log_lsn)) / 100000) FROM sys.dm_hadr_database_replica_states WHERE is_local = 1 AND DB_NAME(database_id) = 'db001'`
	exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (1)")
	eventually(t, "equal", func() bool { return lsns(t, src)["db001"] == lsns(t, tgt)["db001"] })
	for _, db := range []string{one(t, src, units), one(t, tgt, units)} {
		if !strings.HasPrefix(db, "8") {
			t.Errorf("%s units in a 4096 byte block", db)
		}
	}
	exec(t, src, sqlS2)
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
	exec(t, tgt, sqlS3)
	eventually(t, "writable", func() bool {
		_, err := tgt.ExecContext(within(t), "INSERT db001.dbo.ledger (id) VALUES (2)")
		return err == nil
	})
	if got := one(t, tgt, units); !strings.HasPrefix(got, "1") {
		t.Errorf("%s units in a 512 byte block", got)
	}
}

// TestStatementIsDelayed: before it is accepted, and after, as its client sees it.
func TestStatementIsDelayed(t *testing.T) {
	l := start(t, Options{})
	src := l.test(t, Source)
	const rsstc = "SELECT required_synchronized_secondaries_to_commit FROM sys.availability_groups WHERE is_distributed = 1"
	for i, f := range []Fault{{Class: "rsstc", Before: Duration(200 * time.Millisecond)}, {Class: "rsstc", After: Duration(200 * time.Millisecond)}, {Class: "rsstc", DelayRequest: Duration(200 * time.Millisecond)}} {
		steer(t, l, "fault", Args{Fault: &f})
		if d := took(func() { exec(t, src, []string{sqlRSSTC1, sqlRSSTC0, sqlRSSTC1}[i]) }); d < 200*time.Millisecond {
			t.Errorf("%+v: %s", f, d)
		}
		want := []string{"1", "0", "1"}[i]
		eventually(t, "it took effect", func() bool { return one(t, src, rsstc) == want })
	}
}
