package lab

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
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
