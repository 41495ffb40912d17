package lab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick makes everything that takes time in the model take little.
var quick = model.Timing{Demote: 20 * time.Millisecond, Resolving: 20 * time.Millisecond, Failover: 20 * time.Millisecond, Recovery: 30 * time.Millisecond,
	Relink: 150 * time.Millisecond, Undo: 50 * time.Millisecond, Revert: 20 * time.Millisecond, Reconnect: 50 * time.Millisecond, Modify: 5 * time.Millisecond,
	SessionTimeout: 300 * time.Millisecond, Background: -1}

// start runs a lab for one test.
func start(t *testing.T, opt Options) *Lab {
	t.Helper()
	if opt.Model.Timing == (model.Timing{}) {
		opt.Model.Timing = quick
	}
	l, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (l *Lab) test(t *testing.T, side Side) *sql.DB { return open(t, l.DSN(side)) }

func userDB(t *testing.T, l *Lab, side Side, name string) *sql.DB {
	return open(t, l.DSNFor(l.Address(side), SA, SAPassword, name))
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

type queryer interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

// rows reads a result as text; NULL is "NULL".
func rows(t *testing.T, db queryer, query string, args ...any) [][]string {
	t.Helper()
	r, err := db.QueryContext(within(t), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = r.Close() }()
	cols, err := r.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for r.Next() {
		raw := make([]any, len(cols))
		for i := range raw {
			raw[i] = new(any)
		}
		if err := r.Scan(raw...); err != nil {
			t.Fatal(err)
		}
		line := make([]string, len(cols))
		for i := range raw {
			switch v := (*raw[i].(*any)).(type) {
			case nil:
				line[i] = "NULL"
			case []byte:
				line[i] = string(v)
				if len(v) == 16 {
					var g mssql.UniqueIdentifier
					if err := g.Scan(v); err == nil {
						line[i] = g.String()
					}
				}
			case time.Time:
				line[i] = v.Format(time.RFC3339Nano)
			default:
				line[i] = fmt.Sprint(v)
			}
		}
		out = append(out, line)
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func one(t *testing.T, db queryer, query string, args ...any) string {
	t.Helper()
	r := rows(t, db, query, args...)
	if len(r) != 1 || len(r[0]) == 0 {
		t.Fatalf("%s: %v", query, r)
	}
	return r[0][0]
}

func exec(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(within(t), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// number is the number of a SQL error, 0 for none, -1 for another error.
func errorNumber(err error) int32 {
	var e mssql.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Number
	}
	return -1
}

func fails(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, want int32, query string) {
	t.Helper()
	_, err := db.ExecContext(within(t), query)
	if got := errorNumber(err); got != want {
		t.Errorf("%s: %d (%v), want %d", query, got, err, want)
	}
}

// eventually waits for something that the model will do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

const guide = `SELECT ag.name, drs.database_id, db_name(drs.database_id) as database_name, drs.group_id, drs.replica_id, drs.synchronization_state_desc, drs.last_hardened_lsn
FROM sys.dm_hadr_database_replica_states drs INNER JOIN sys.availability_groups ag on drs.group_id = ag.group_id;`

// lsns are last_hardened_lsn and end_of_log_lsn of a side's own rows, by database.
func lsns(t *testing.T, db *sql.DB) map[string][2]string {
	t.Helper()
	out := map[string][2]string{}
	for _, r := range rows(t, db, `SELECT DB_NAME(database_id), last_hardened_lsn, end_of_log_lsn FROM sys.dm_hadr_database_replica_states WHERE is_local = 1`) {
		out[r[0]] = [2]string{r[1], r[2]}
	}
	return out
}

const roleQuery = `SELECT s.role_desc FROM sys.dm_hadr_availability_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id
WHERE g.is_distributed = 1 AND s.is_local = 1`

const linkQuery = `SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id
WHERE g.is_distributed = 1 AND s.synchronization_state_desc = 'SYNCHRONIZED'`

const (
	sqlS1 = `ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON
  'OnPremAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT),
  'AzureAG'  WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT);`
	sqlS2     = `ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY);`
	sqlS3     = `ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS;`
	sqlRSSTC1 = `ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1);`
	sqlRSSTC0 = `ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 0);`
)

func TestGuideScript(t *testing.T) {
	l := start(t, Options{Model: model.Config{Log: model.LogConfig{StartVLF: 10227}}})
	src, tgt := l.test(t, Source), l.test(t, Target)
	a, b := rows(t, src, guide), rows(t, tgt, guide)
	if len(a) != 6 || len(b) != 3 {
		t.Fatalf("%d rows on the source, %d on the target:\n%v\n%v", len(a), len(b), a, b)
	}
	byName := map[string]string{}
	for _, r := range a {
		if len(r[6]) != 20 || r[6][:5] != "10227" {
			t.Errorf("LSN %q of %s", r[6], r[2])
		}
		if r[0] == "OnPremAG" {
			byName[r[2]] = r[6]
		} else if r[5] != "SYNCHRONIZING" {
			t.Errorf("link of %s reads %s", r[2], r[5])
		}
	}
	for _, r := range b {
		if r[0] != "AzureAG" || r[6] != byName[r[2]] {
			t.Errorf("target: %v, source has %s", r, byName[r[2]])
		}
	}
	exec(t, userDB(t, l, Source, "db001"), "INSERT INTO dbo.ledger (id, note) VALUES (1, N'x')")
	eventually(t, "equal again", func() bool { return lsns(t, src)["db001"] == lsns(t, tgt)["db001"] })
	if now := lsns(t, src)["db001"][0]; now == byName["db001"] {
		t.Error("an INSERT did not move the log")
	}
}

func TestLedger(t *testing.T) {
	l := start(t, Options{})
	src, tgt := userDB(t, l, Source, "db002"), userDB(t, l, Target, "db002")
	exec(t, src, "INSERT INTO dbo.ledger (id, note) VALUES (@p1, @p2), (2, NULL)", int64(1), "one")
	tx, err := src.BeginTx(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "INSERT dbo.ledger (id) VALUES (3)")
	if n := one(t, tx, "SELECT COUNT(*) FROM dbo.ledger"); n != "3" {
		t.Errorf("the transaction sees %s rows", n)
	}
	if n := one(t, src, "SELECT COUNT(*) FROM dbo.ledger"); n != "2" {
		t.Errorf("others see %s rows", n)
	}
	master := l.test(t, Source)
	if n := one(t, master, `SELECT COUNT(*) FROM sys.dm_tran_database_transactions t JOIN sys.dm_tran_session_transactions s ON s.transaction_id = t.transaction_id
WHERE t.database_id = DB_ID('db002') AND t.database_transaction_log_bytes_used > 0`); n != "1" {
		t.Errorf("%s open transactions in the views", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	tx, err = src.BeginTx(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "INSERT dbo.ledger (id) VALUES (4)")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three rows on the target", func() bool {
		return one(t, tgt, "SELECT COUNT(*) FROM dbo.ledger") == "3" && one(t, tgt, "SELECT MAX(id) FROM dbo.ledger") == "4"
	})
	fails(t, tgt, 3906, "INSERT dbo.ledger (id) VALUES (5)")
	if err := l.Control().Access(Target, 0, "NO"); err != nil {
		t.Fatal(err)
	}
	fails(t, l.test(t, Target), 976, "SELECT COUNT(*) FROM db002.dbo.ledger")
	if got := one(t, l.test(t, Target), "SELECT CAST(DATABASEPROPERTYEX('db002', 'Updateability') AS nvarchar(20))"); got != "READ_ONLY" {
		t.Errorf("Updateability on the forwarder: %s", got)
	}
}

// writer inserts rows one after the other and remembers which ones were acknowledged.
type writer struct {
	next  int64
	acked map[int64]bool
	stop  chan struct{}
	done  chan struct{}
}

func startWriter(db *sql.DB, from int64) *writer {
	w := &writer{next: from, acked: map[int64]bool{}, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.stop:
				return
			default:
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			w.next++
			_, err := db.ExecContext(ctx, "INSERT INTO dbo.ledger (id, note) VALUES (@p1, N'w')", w.next)
			cancel()
			if err == nil {
				w.acked[w.next] = true
			} else {
				time.Sleep(5 * time.Millisecond)
			}
		}
	}()
	return w
}

func (w *writer) end() {
	close(w.stop)
	<-w.done
}

func ledgerIDs(t *testing.T, db *sql.DB) map[string]bool {
	out := map[string]bool{}
	for _, r := range rows(t, db, "SELECT id FROM dbo.ledger") {
		out[r[0]] = true
	}
	return out
}

func TestManualCutoverLosesNothing(t *testing.T) {
	l := start(t, Options{})
	src, tgt := l.test(t, Source), l.test(t, Target)
	w := startWriter(userDB(t, l, Source, "db001"), 0)
	defer func() {
		select {
		case <-w.done:
		default:
			w.end()
		}
	}()
	time.Sleep(100 * time.Millisecond)
	exec(t, src, sqlS1)
	if modes := rows(t, tgt, "SELECT r.availability_mode_desc FROM sys.availability_replicas r JOIN sys.availability_groups g ON g.group_id = r.group_id WHERE g.is_distributed = 1"); modes[0][0] != "ASYNCHRONOUS_COMMIT" {
		t.Errorf("S1 on the source changed the target's copy: %v", modes)
	}
	exec(t, tgt, sqlS1)
	eventually(t, "SYNCHRONIZED", func() bool { return one(t, src, linkQuery) == "3" })
	exec(t, src, sqlRSSTC1)
	eventually(t, "RSSTC", func() bool {
		return one(t, src, "SELECT required_synchronized_secondaries_to_commit FROM sys.availability_groups WHERE is_distributed = 1") == "1"
	})
	if got := one(t, tgt, "SELECT required_synchronized_secondaries_to_commit FROM sys.availability_groups WHERE is_distributed = 1"); got != "0" {
		t.Errorf("RSSTC travelled: %s", got)
	}
	// From here on the link is slower than the writer: a commit that did not wait for it would be acknowledged, and lost by S2.
	if err := l.Control().Link(5*time.Millisecond, 20_000); err != nil {
		t.Fatal(err)
	}
	time.Sleep(400 * time.Millisecond)
	exec(t, src, sqlS2)
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
	eventually(t, "equal LSNs", func() bool { return fmt.Sprint(lsns(t, src)) == fmt.Sprint(lsns(t, tgt)) })
	w.end()
	if err := l.Control().Link(2*time.Millisecond, 0); err != nil {
		t.Fatal(err)
	}
	exec(t, tgt, sqlS3)
	eventually(t, "target primary and writable", func() bool {
		return one(t, tgt, roleQuery) == "PRIMARY" && one(t, tgt, "SELECT COUNT(*) FROM sys.databases WHERE state = 0 AND CAST(DATABASEPROPERTYEX(name, 'Updateability') AS nvarchar(20)) = 'READ_WRITE'") == "7"
	})
	exec(t, src, sqlRSSTC0)
	w2 := startWriter(userDB(t, l, Target, "db001"), 1_000_000)
	time.Sleep(100 * time.Millisecond)
	w2.end()
	if len(w.acked) < 10 || len(w2.acked) < 5 {
		t.Fatalf("too few rows to prove anything: %d, %d", len(w.acked), len(w2.acked))
	}
	have := ledgerIDs(t, userDB(t, l, Target, "db001"))
	for _, acked := range []map[int64]bool{w.acked, w2.acked} {
		for id := range acked {
			if !have[fmt.Sprint(id)] {
				t.Errorf("acknowledged row %d is gone", id)
			}
		}
	}
	eventually(t, "the flow reversed", func() bool { return fmt.Sprint(lsns(t, src)) == fmt.Sprint(lsns(t, tgt)) })
}

func TestWayBackAfterS2(t *testing.T) {
	l := start(t, Options{})
	src, tgt := l.test(t, Source), l.test(t, Target)
	exec(t, src, sqlS1)
	exec(t, tgt, sqlS1)
	eventually(t, "SYNCHRONIZED", func() bool { return one(t, src, linkQuery) == "3" })
	exec(t, src, sqlS2)
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
	if n := len(rows(t, src, guide)); n != 3 {
		t.Errorf("the demoted side shows %d rows, its own are 3", n)
	}
	exec(t, src, sqlS3)
	eventually(t, "primary again and synchronized", func() bool { return one(t, src, roleQuery) == "PRIMARY" && one(t, src, linkQuery) == "3" })
	exec(t, userDB(t, l, Source, "db001"), "INSERT dbo.ledger (id) VALUES (1)")
}

func TestTooEarlyByTSQL(t *testing.T) {
	l := start(t, Options{})
	src, tgt := l.test(t, Source), l.test(t, Target)
	if err := l.Control().Cut(); err != nil {
		t.Fatal(err)
	}
	exec(t, userDB(t, l, Source, "db001"), "INSERT dbo.ledger (id) VALUES (1)")
	exec(t, tgt, sqlS3)
	eventually(t, "two primaries", func() bool { return one(t, src, roleQuery) == "PRIMARY" && one(t, tgt, roleQuery) == "PRIMARY" })
	eventually(t, "writable target", func() bool {
		_, err := userDB(t, l, Target, "db001").ExecContext(within(t), "INSERT dbo.ledger (id) VALUES (2)")
		return err == nil
	})
	if n := one(t, userDB(t, l, Target, "db001"), "SELECT MIN(id) FROM dbo.ledger"); n != "2" {
		t.Errorf("the row that was never sent is there: %s", n)
	}
}

func TestOpenTransactionAtS2(t *testing.T) {
	l := start(t, Options{})
	src, tgt := l.test(t, Source), l.test(t, Target)
	conn, err := userDB(t, l, Source, "db003").Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	exec(t, conn, "BEGIN TRANSACTION; INSERT dbo.ledger (id) VALUES (1)")
	eventually(t, "its log is flushed and shipped", func() bool {
		return one(t, src, "SELECT COUNT(*) FROM sys.dm_tran_database_transactions WHERE database_transaction_begin_lsn IS NOT NULL") == "1" &&
			lsns(t, src)["db003"] == lsns(t, tgt)["db003"]
	})
	exec(t, src, sqlS2)
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
	eventually(t, "the rollback moves the source's log", func() bool { return lsns(t, src)["db003"] != lsns(t, tgt)["db003"] })
	if a, b := lsns(t, src)["db001"], lsns(t, tgt)["db001"]; a != b {
		t.Errorf("db001: %v, %v", a, b)
	}
	if _, err := conn.ExecContext(within(t), "COMMIT"); err == nil {
		t.Error("the session in the user database lived on")
	}
}

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

func sleepALittle() { time.Sleep(10 * time.Millisecond) }
