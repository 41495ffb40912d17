package lab

import "testing"

// TestSavepoints: what was inserted after a savepoint goes with it, in every database, and nothing else; the log does not run backwards.
func TestSavepoints(t *testing.T) {
	l := start(t, Options{})
	db := open(t, l.DSN(Source))
	conn, err := db.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test
	const lsn = "SELECT CONVERT(varchar(30), end_of_log_lsn) FROM sys.dm_hadr_database_replica_states WHERE is_local = 1 AND database_id = DB_ID('db001') AND is_primary_replica = 1"
	var before, after string
	if err := conn.QueryRowContext(within(t), lsn).Scan(&before); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"BEGIN TRAN", "INSERT db001.dbo.ledger (id, note) VALUES (1, 'kept')", "SAVE TRAN here", "INSERT db001.dbo.ledger (id, note) VALUES (2, 'gone')",
		"INSERT db002.dbo.ledger (id, note) VALUES (3, 'gone too')", "ROLLBACK TRAN HERE", "INSERT db002.dbo.ledger (id, note) VALUES (4, 'kept too')"} {
		if _, err := conn.ExecContext(within(t), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if _, err := conn.ExecContext(within(t), "ROLLBACK TRAN elsewhere"); err == nil {
		t.Error("a savepoint that was never set was rolled back to")
	}
	if _, err := conn.ExecContext(within(t), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if got := one(t, db, "SELECT (SELECT STRING_AGG(CONVERT(varchar(9), id), ',') FROM db001.dbo.ledger) + ' ' + (SELECT STRING_AGG(CONVERT(varchar(9), id), ',') FROM db002.dbo.ledger)"); got != "1 4" {
		t.Errorf("rows %q, want 1 in db001 and 4 in db002", got)
	}
	if err := conn.QueryRowContext(within(t), lsn).Scan(&after); err != nil {
		t.Fatal(err)
	}
	if len(after) < len(before) || len(after) == len(before) && after <= before {
		t.Errorf("the log went from %s to %s", before, after)
	}
}
