package lab

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"
)

func TestAppLocks(t *testing.T) {
	l := start(t, Options{})
	db := l.test(t, Source)
	session := func() *sql.Conn {
		c, err := db.Conn(within(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	const take = `DECLARE @r int; EXEC @r = sp_getapplock @Resource = 'dag', @LockMode = 'Exclusive', @LockOwner = 'Session', @LockTimeout = %d, @DbPrincipal = 'dbo'; SELECT @r`
	a, b := session(), session()
	if r := one(t, a, fmt.Sprintf(take, 0)); r != "0" {
		t.Fatalf("first: %s", r)
	}
	if r := one(t, b, fmt.Sprintf(take, 0)); r != "-1" {
		t.Fatalf("second: %s", r)
	}
	if r := one(t, a, "SELECT APPLOCK_MODE('dbo', 'dag', 'Session')"); r != "Exclusive" {
		t.Errorf("mode %s", r)
	}
	if r := one(t, b, "SELECT APPLOCK_TEST('dbo', 'dag', 'Shared', 'Session')"); r != "0" {
		t.Errorf("test %s", r)
	}
	if r := one(t, b, "SELECT COUNT(*) FROM sys.dm_tran_locks WHERE resource_type = 'APPLICATION' AND request_status = 'GRANT'"); r != "1" {
		t.Errorf("%s locks in the view", r)
	}
	got := make(chan string, 1)
	go func() {
		var r string
		if err := b.QueryRowContext(context.Background(), fmt.Sprintf(take, 10000)).Scan(&r); err != nil {
			r = err.Error()
		}
		got <- r
	}()
	time.Sleep(50 * time.Millisecond)
	spid := one(t, a, "SELECT @@SPID")
	exec(t, db, "KILL "+spid) // the lock goes with its session
	if r := <-got; r != "1" {
		t.Errorf("after the owner's end: %s", r)
	}
	if r := one(t, b, "DECLARE @r int; EXEC @r = sp_releaseapplock @Resource = 'dag', @LockOwner = 'Session', @DbPrincipal = 'dbo'; SELECT @r"); r != "0" {
		t.Errorf("release: %s", r)
	}
}

func TestLostAnswerAndLateEffect(t *testing.T) {
	l := start(t, Options{})
	src, tgt := l.test(t, Source), l.test(t, Target)
	if _, err := l.Control().Fault(Fault{Side: "source", Class: "s2", LoseAnswer: "after"}); err != nil {
		t.Fatal(err)
	}
	if _, err := src.ExecContext(within(t), sqlS2); err == nil || errorNumber(err) > 0 {
		t.Fatalf("the answer came: %v", err)
	}
	eventually(t, "S2 took effect all the same", func() bool { return one(t, src, roleQuery) == "SECONDARY" })

	if _, err := l.Control().Fault(Fault{Side: "target", Class: "s3", Late: Duration(400 * time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	exec(t, tgt, sqlS3)
	if r := one(t, tgt, roleQuery); r != "SECONDARY" {
		t.Errorf("just after the accepted S3: %s", r)
	}
	eventually(t, "S3 lands", func() bool { return one(t, tgt, roleQuery) == "PRIMARY" })

	if _, err := l.Control().Fault(Fault{Side: "source", Text: "marker", LoseAnswer: "before"}); err != nil {
		t.Fatal(err)
	}
	if _, err := src.ExecContext(within(t), "/* marker */ EXEC sp_addextendedproperty 'x', 'y'"); err == nil {
		t.Error("the answer came")
	}
	if n := one(t, src, "SELECT COUNT(*) FROM sys.extended_properties"); n != "0" {
		t.Errorf("a statement lost before its effect had one")
	}
}

func TestExtendedProperties(t *testing.T) {
	l := start(t, Options{})
	db := l.test(t, Source)
	exec(t, db, "EXEC sp_addextendedproperty @name = N'dag_run', @value = N'r1'")
	fails(t, db, 15233, "EXEC sp_addextendedproperty @name = N'dag_run', @value = N'r2'")
	exec(t, db, "EXEC sys.sp_updateextendedproperty @name = N'dag_run', @value = N'r2'")
	if v := one(t, db, "SELECT CAST(value AS nvarchar(100)) FROM master.sys.extended_properties WHERE class = 0 AND name = N'dag_run'"); v != "r2" {
		t.Errorf("value %s", v)
	}
	exec(t, db, "EXEC sp_dropextendedproperty @name = N'dag_run'")
	fails(t, db, 15217, "EXEC sp_dropextendedproperty @name = N'dag_run'")
}

func TestPermissions(t *testing.T) {
	l := start(t, Options{Logins: []Login{
		{Name: "nobody", Password: "x"},
		{Name: "mon", Password: "x", Permissions: []string{"VIEW SERVER STATE", "VIEW ANY DEFINITION"}},
		{Name: "grant", Password: "x", Permissions: []string{"VIEW SERVER STATE"}, AlterAG: []string{"DAG"}}}})
	as := func(user string) *sql.DB { return open(t, l.DSNFor(l.Address(Source), user, "x", "master")) }
	fails(t, as("nobody"), 297, "SELECT * FROM sys.dm_hadr_database_replica_states")
	if n := one(t, as("grant"), "SELECT COUNT(*) FROM sys.availability_groups"); n != "0" {
		t.Errorf("without VIEW ANY DEFINITION: %s groups", n)
	}
	if n := len(rows(t, as("mon"), guide)); n != 6 {
		t.Errorf("monitoring login sees %d rows", n)
	}
	fails(t, as("mon"), 15151, sqlS2)
	fails(t, as("grant"), 15151, sqlS2) // CFG25: sysadmin
	exec(t, as("grant"), sqlRSSTC0)
	if r := rows(t, as("grant"), "SELECT HAS_PERMS_BY_NAME('DAG', 'AVAILABILITY GROUP', 'ALTER'), IS_SRVROLEMEMBER('sysadmin')"); r[0][0] != "1" || r[0][1] != "0" {
		t.Errorf("permissions read %v", r)
	}
	bad := open(t, l.DSNFor(l.Address(Source), "sa", "wrong", "master"))
	if err := bad.PingContext(within(t)); errorNumber(err) != 18456 {
		t.Errorf("wrong password: %v", err)
	}
	gone := open(t, l.DSNFor(l.Address(Source), "sa", SAPassword, "nosuch"))
	if err := gone.PingContext(within(t)); err == nil {
		t.Error("login to a database that is not there")
	}
	if err := l.Control().RefuseLogins(Source, 0, true); err != nil {
		t.Fatal(err)
	}
	if err := open(t, l.DSN(Source)).PingContext(within(t)); errorNumber(err) != 18456 {
		t.Errorf("refused logins: %v", err)
	}
}

func TestStatementsThatAreRefused(t *testing.T) {
	l := start(t, Options{})
	src, tgt := l.test(t, Source), l.test(t, Target)
	fails(t, tgt, 41140, sqlS2)
	fails(t, src, 41122, sqlS3)
	fails(t, tgt, 19504, "ALTER AVAILABILITY GROUP [DAG] FAILOVER")
	fails(t, src, 19512, "ALTER AVAILABILITY GROUP [OnPremAG] SET (ROLE = SECONDARY)")
	fails(t, src, 102, "ALTER AVAILABILITY GROUP [DAG] FROB")
	fails(t, src, 226, "BEGIN TRAN; ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY)")
	fails(t, src, 1468, "ALTER DATABASE [db001] SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
	fails(t, src, 207, "SELECT is_internal FROM sys.dm_hadr_database_replica_states")
	fails(t, src, 208, "SELECT * FROM sys.dm_hadr_nothing")
	exec(t, tgt, "alter database db001 set hadr suspend")
	if r := one(t, tgt, "SELECT suspend_reason_desc FROM sys.dm_hadr_database_replica_states WHERE is_suspended = 1"); r != "SUSPEND_FROM_USER" {
		t.Errorf("reason %s", r)
	}
	exec(t, tgt, "alter database db001 set hadr resume")
}

func TestGuardedBatch(t *testing.T) {
	l := start(t, Options{})
	src := l.test(t, Source)
	guarded := func(expect string) string {
		return fmt.Sprintf(`SET XACT_ABORT ON;
IF NOT EXISTS (SELECT 1 FROM sys.dm_hadr_availability_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id
  WHERE g.name = N'DAG' AND s.is_local = 1 AND s.role_desc = N'%s') THROW 50001, N'role', 1;
ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY);`, expect)
	}
	fails(t, src, 50001, guarded("SECONDARY"))
	exec(t, src, guarded("PRIMARY"))
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
}

func TestRestartAndFreeze(t *testing.T) {
	l := start(t, Options{})
	src := l.test(t, Source)
	before := one(t, src, "SELECT sqlserver_start_time FROM sys.dm_os_sys_info")
	exec(t, userDB(t, l, Source, "db001"), "INSERT dbo.ledger (id) VALUES (1)")
	if err := l.Control().Stop(Source, 0); err != nil {
		t.Fatal(err)
	}
	if err := src.PingContext(within(t)); err == nil {
		t.Fatal("a stopped instance answers")
	}
	if err := l.Control().Start(Source, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "primary again", func() bool { return one(t, src, roleQuery) == "PRIMARY" })
	if after := one(t, src, "SELECT sqlserver_start_time FROM sys.dm_os_sys_info"); after == before {
		t.Error("the start time did not change")
	}
	eventually(t, "linked again", func() bool {
		return one(t, src, "SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id WHERE g.is_distributed = 1 AND s.synchronization_state = 1") == "3"
	})
	if n := one(t, userDB(t, l, Source, "db001"), "SELECT COUNT(*) FROM dbo.ledger"); n != "1" {
		t.Errorf("%s rows after the restart", n)
	}
	if err := l.Control().Freeze(Source, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := src.ExecContext(ctx, "SELECT 1"); err == nil {
		t.Error("a frozen instance answers")
	}
	if err := l.Control().Unfreeze(Source, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "answers again", func() bool { return src.PingContext(within(t)) == nil })
}

func TestMasterSessionsLiveThroughARoleChange(t *testing.T) {
	l := start(t, Options{})
	db := l.test(t, Source)
	master, err := db.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = master.Close() }()
	user, err := userDB(t, l, Source, "db001").Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = user.Close() }()
	exec(t, user, "SELECT 1")
	spid := one(t, master, "SELECT @@SPID")
	exec(t, master, sqlS2)
	eventually(t, "demoted", func() bool { return one(t, master, roleQuery) == "SECONDARY" })
	if now := one(t, master, "SELECT @@SPID"); now != spid {
		t.Errorf("the session in master is another: %s, %s", spid, now)
	}
	if _, err := user.ExecContext(within(t), "SELECT 1"); err == nil {
		t.Error("the session in the user database lives")
	}
}
