package lab

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// TestNextStatementSees: what was acknowledged before a statement began shows in it, in whatever view, on whatever connection, while
// the model lives its own life meanwhile.
func TestNextStatementSees(t *testing.T) {
	timing := quick
	timing.Background = 0
	l := start(t, Options{Model: model.Config{Databases: model.Names(20), Timing: timing}})
	ctx := within(t)
	a, b := l.test(t, Source), l.test(t, Source)
	var before int
	for n := range 100 {
		exec(t, a, fmt.Sprintf("INSERT INTO db007.dbo.ledger (id, note) VALUES (%d, NULL)", n+1))
		if got := one(t, b, "SELECT COUNT(*) FROM db007.dbo.ledger"); got != strconv.Itoa(n+1) {
			t.Fatalf("%s rows after %d were acknowledged", got, n+1)
		}
		writes, err := strconv.Atoi(one(t, b, "SELECT cntr_value FROM sys.dm_os_performance_counters WHERE counter_name = 'Write Transactions/sec' AND instance_name = 'db007'"))
		if err != nil || writes <= before {
			t.Fatalf("%d write transactions after one more than %d were acknowledged: %v", writes, before, err)
		}
		before = writes
		want := fmt.Sprintf("4200000000%d00001", 10000+n)
		if err := l.Control().OverrideLSN(Source, 0, "db007", "end_of_log_lsn", want); err != nil {
			t.Fatal(err)
		}
		if got := one(t, b, "SELECT end_of_log_lsn FROM sys.dm_hadr_database_replica_states WHERE is_local = 1 AND database_id = DB_ID('db007')"); got != want {
			t.Fatalf("end_of_log_lsn reads %s after it was set to %s", got, want)
		}
	}
	for range 20 { // what changes no revision of the model shows as well
		if got := one(t, b, "SELECT COUNT(*) FROM sys.dm_exec_requests WHERE session_id = @@SPID"); got != "1" {
			t.Fatalf("a request sees itself %s times", got)
		}
		c, err := a.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var spid int
		if err := c.QueryRowContext(ctx, "SELECT @@SPID").Scan(&spid); err != nil {
			t.Fatal(err)
		}
		if got := one(t, b, fmt.Sprintf("SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE session_id = %d", spid)); got != "1" {
			t.Fatalf("session %d shows %s times", spid, got)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
