package lab

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// TestFullLog: a link that stands still holds the log until it is full: the outage that a migration really causes.
func TestFullLog(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, Log: model.LogConfig{Size: 256 << 10}}})
	src := l.test(t, Source)
	insert := func(n int) error {
		_, err := src.ExecContext(within(t), fmt.Sprintf("INSERT db001.dbo.ledger (id, note) VALUES (%d, REPLICATE(N'x', 100))", n))
		return err
	}
	checkpoint := func() {
		if err := l.Control().Checkpoint(Source, 0, "db001"); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint()
	tgt := l.test(t, Target)
	eventually(t, "at rest", func() bool { return lsns(t, src)["db001"] == lsns(t, tgt)["db001"] })
	if err := l.Control().Cut(); err != nil {
		t.Fatal(err)
	}
	var err error
	n := 0
	for err == nil && n < 2000 {
		n++
		err = insert(n)
	}
	if errorNumber(err) != 9002 {
		t.Fatalf("after %d rows: %v", n, err)
	}
	checkpoint() // cannot help: the replica holds it
	if errorNumber(insert(n)) != 9002 {
		t.Error("a checkpoint freed the log that the forwarder needs")
	}
	if got := one(t, src, "SELECT log_reuse_wait_desc FROM sys.databases WHERE name = 'db001'"); got != "AVAILABILITY_REPLICA" {
		t.Errorf("log_reuse_wait_desc %s", got)
	}
	if got := one(t, src, "SELECT log_reuse_wait_desc FROM sys.databases WHERE name = 'db002'"); got == "AVAILABILITY_REPLICA" {
		t.Error("an idle database's log is held too")
	}
	if err := l.Control().Heal(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "room again", func() bool { checkpoint(); return insert(n) == nil })
	eventually(t, "all acknowledged rows on the target", func() bool {
		return one(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger") == fmt.Sprint(n)
	})
}

// TestCrossVersion: a newer forwarder cannot be opened before the failover, and afterwards the old side gets nothing.
func TestCrossVersion(t *testing.T) {
	cfg := model.Config{Timing: quick}
	cfg.Sides[Source].Instances = []model.InstanceConfig{{Major: 13}}
	l := start(t, Options{Model: cfg})
	src, tgt := l.test(t, Source), l.test(t, Target)
	exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (1)")
	const state = "SELECT state_desc FROM sys.databases WHERE name = 'db001'"
	if got := one(t, tgt, state); got != "RECOVERING" {
		t.Errorf("before: %s", got)
	}
	if err := l.Control().Assume(model.Assumptions{CrossVersionRestoring: true}); err != nil {
		t.Fatal(err)
	}
	if got := one(t, tgt, state); got != "RESTORING" {
		t.Errorf("alternative: %s", got)
	}
	if err := l.Control().Assume(model.Assumptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := tgt.ExecContext(within(t), "SELECT COUNT(*) FROM db001.dbo.ledger"); errorNumber(err) != 976 {
		t.Errorf("reading it: %v", err)
	}
	fails(t, src, 41190, sqlRSSTC1) // 2016 has none on a DAG
	eventually(t, "equal", func() bool { return lsns(t, src)["db001"] == lsns(t, tgt)["db001"] })
	exec(t, src, sqlS2)
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
	exec(t, tgt, sqlS3)
	eventually(t, "writable", func() bool {
		_, err := tgt.ExecContext(within(t), "INSERT db001.dbo.ledger (id) VALUES (2)")
		return err == nil
	})
	if got := one(t, tgt, state); got != "ONLINE" {
		t.Errorf("after: %s", got)
	}
	time.Sleep(4 * quick.Relink)
	if a, b := lsns(t, src)["db001"], lsns(t, tgt)["db001"]; a == b {
		t.Error("the old version follows the new one")
	}
	const row = `SELECT s.synchronization_state_desc, CASE WHEN s.last_hardened_lsn > 1 THEN 'known' ELSE 'unknown' END
FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id WHERE g.is_distributed = 1 AND DB_NAME(s.database_id) = 'db001'`
	if r := rows(t, tgt, row); len(r) != 1 || r[0][0] != "NOT SYNCHRONIZING" || r[0][1] != "unknown" {
		t.Errorf("the new primary's DAG row: %v", r)
	}
}

// TestWireFaults: every way to lose an answer, through an ordinary client, with what it leaves behind.
func TestWireFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		runs  bool // whether the statement takes effect
	}{
		{"lose before", Fault{LoseAnswer: "before"}, false},
		{"lose after", Fault{LoseAnswer: "after"}, true},
		{"lose after by reset", Fault{LoseAnswer: "after", Reset: true}, true},
		{"break first", Fault{BreakFirst: true}, true},
		{"break first, run later", Fault{BreakFirst: true, DelayRequest: Duration(150 * time.Millisecond)}, true},
		{"cut after 3 bytes", Fault{CutAfter: 3}, true},
		{"refused", Fault{Error: 41138}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := start(t, Options{})
			src := l.test(t, Source)
			exec(t, src, "SELECT 1")
			c.fault.Side, c.fault.Class = "source", "s2"
			if _, err := l.Control().Fault(c.fault); err != nil {
				t.Fatal(err)
			}
			_, err := src.ExecContext(within(t), sqlS2)
			if want := max(c.fault.Error, 0); err == nil || want != 0 && errorNumber(err) != want || want == 0 && errorNumber(err) > 0 {
				t.Fatalf("the client was told: %v", err)
			}
			if c.fault.DelayRequest > 0 && one(t, src, roleQuery) != "PRIMARY" {
				t.Error("it ran at once")
			}
			if c.runs {
				eventually(t, "demoted all the same", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
				return
			}
			time.Sleep(5 * (quick.Demote + quick.Resolving))
			if r := one(t, src, roleQuery); r != "PRIMARY" {
				t.Errorf("it had an effect: %s", r)
			}
		})
	}
}

// TestLoseAtTheEffect: the connection dies right after the ALTER was accepted; what follows it in the batch never runs.
func TestLoseAtTheEffect(t *testing.T) {
	l := start(t, Options{})
	src := l.test(t, Source)
	if _, err := l.Control().Fault(Fault{Side: "source", Class: "rsstc", LoseAnswer: "effect"}); err != nil {
		t.Fatal(err)
	}
	if _, err := src.ExecContext(within(t), sqlRSSTC1+" EXEC sp_addextendedproperty 'after', 'x'"); err == nil || errorNumber(err) > 0 {
		t.Fatalf("the client was told: %v", err)
	}
	const rsstc = "SELECT required_synchronized_secondaries_to_commit FROM sys.availability_groups WHERE is_distributed = 1"
	eventually(t, "RSSTC is set", func() bool { return one(t, src, rsstc) == "1" })
	if n := one(t, src, "SELECT COUNT(*) FROM sys.extended_properties WHERE name = 'after'"); n != "0" {
		t.Error("the batch went on")
	}
}

// TestCutAfterBytesOfRows: an answer of many rows ends in its middle.
func TestCutAfterBytesOfRows(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, Databases: model.Names(50)}})
	src := l.test(t, Source)
	if _, err := l.Control().Fault(Fault{Text: "dm_hadr_database_replica_states", CutAfter: 9000}); err != nil {
		t.Fatal(err)
	}
	const q = "SELECT * FROM sys.dm_hadr_database_replica_states"
	n, err := count(t, src, q)
	if err == nil || n == 0 || n >= 100 {
		t.Errorf("%d rows, then %v", n, err)
	}
	if n, err = count(t, src, q); n != 100 || err != nil {
		t.Errorf("afterwards %d rows, %v", n, err)
	}
}

func count(t *testing.T, db *sql.DB, query string) (int, error) {
	t.Helper()
	r, err := db.QueryContext(within(t), query)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	n := 0
	for r.Next() {
		n++
	}
	return n, r.Err()
}

// TestPermissionPair: what VIEW SERVER STATE lacks is told twice, as a server does.
func TestPermissionPair(t *testing.T) {
	l := start(t, Options{Logins: []Login{{Name: "nobody", Password: "x"}}})
	db := open(t, l.DSNFor(l.Address(Source), "nobody", "x", "master"))
	_, err := db.ExecContext(within(t), "SELECT * FROM sys.dm_hadr_database_replica_states")
	var e mssql.Error
	if !errors.As(err, &e) || len(e.All) != 2 || e.All[0].Number != 300 || e.All[1].Number != 297 {
		t.Errorf("%v: %+v", err, e.All)
	}
}

// TestQuotedSecurables: HAS_PERMS_BY_NAME reads its securable as an identifier.
func TestQuotedSecurables(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, DAG: "a]b"}})
	for name, want := range map[string]string{"[a]]b]": "1", `"a]b"`: "1", "a]b": "1", "[OnPremAG]": "1", "[nosuch]": "0"} {
		if got := one(t, l.test(t, Source), "SELECT HAS_PERMS_BY_NAME(@p1, 'AVAILABILITY GROUP', 'ALTER')", name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
