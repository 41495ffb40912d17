package lab

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// all is what a reader sees of db001's ledger: "1:a 2:NULL".
const all = "SELECT COALESCE(STRING_AGG(CONVERT(varchar(9), id) + ':' + COALESCE(note, 'NULL'), ' ') WITHIN GROUP (ORDER BY id), '') FROM db001.dbo.ledger"

// TestLedgerUpdateAndDelete: changes follow their transaction, on the primary and on the target.
func TestLedgerUpdateAndDelete(t *testing.T) {
	l := start(t, Options{})
	src, tgt := l.test(t, Source), l.test(t, Target)
	exec(t, src, "INSERT db001.dbo.ledger (id, note) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (3, 'c')")
	exec(t, src, "UPDATE db001.dbo.ledger SET note = note + 'x', id = id + 10 WHERE id = 2")
	if r, err := src.ExecContext(within(t), "DELETE TOP (1) db001.dbo.ledger WHERE id = 3"); err != nil {
		t.Fatal(err)
	} else if n, _ := r.RowsAffected(); n != 1 {
		t.Errorf("%d rows deleted", n)
	}
	const want = "1:a 3:c 12:bx"
	if got := one(t, src, all); got != want {
		t.Errorf("source %q", got)
	}
	eventually(t, "the same on the target", func() bool { return one(t, tgt, all) == want })
	fails(t, tgt, 3906, "DELETE db001.dbo.ledger")
	fails(t, src, 515, "UPDATE db001.dbo.ledger SET id = NULL")

	tx, err := src.BeginTx(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "INSERT db001.dbo.ledger (id, note) VALUES (5, 'own')")
	exec(t, tx, "UPDATE db001.dbo.ledger SET note = 'mine' WHERE id = 5")
	exec(t, tx, "DELETE db001.dbo.ledger WHERE id = 1")
	exec(t, tx, "SAVE TRANSACTION here")
	exec(t, tx, "DELETE db001.dbo.ledger")
	if got := one(t, tx, all); got != "" {
		t.Errorf("after DELETE in the transaction: %q", got)
	}
	fails(t, src, 1222, "UPDATE db001.dbo.ledger SET note = 'other' WHERE id = 3")
	exec(t, tx, "ROLLBACK TRANSACTION here")
	if got := one(t, tx, all); got != "3:c 5:mine 12:bx" {
		t.Errorf("after the savepoint: %q", got)
	}
	if got := one(t, src, all); got != want {
		t.Errorf("another reader sees %q", got)
	}
	exec(t, src, "UPDATE db001.dbo.ledger SET note = 'other' WHERE id = 3") // the savepoint gave its lock back
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	const after = "3:other 5:mine 12:bx"
	if got := one(t, src, all); got != after {
		t.Errorf("committed: %q", got)
	}
	eventually(t, "the same on the target", func() bool { return one(t, tgt, all) == after })

	tx, err = src.BeginTx(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "DELETE db001.dbo.ledger")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := one(t, src, all); got != after {
		t.Errorf("rolled back: %q", got)
	}
	exec(t, src, "DELETE db001.dbo.ledger WHERE id = 12")
}

// TestDeletesThatAreUndone: a delete that the other side never got is undone with its log when roles have changed.
func TestDeletesThatAreUndone(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, Assume: model.Assumptions{ResumeNever: true}}})
	src, tgt := l.test(t, Source), l.test(t, Target)
	exec(t, src, "INSERT db001.dbo.ledger (id, note) VALUES (1, 'a'), (2, 'b')")
	eventually(t, "on the target", func() bool { return one(t, tgt, all) == "1:a 2:b" })
	if err := l.Control().Cut(); err != nil {
		t.Fatal(err)
	}
	exec(t, src, "DELETE db001.dbo.ledger WHERE id = 1")
	exec(t, src, "UPDATE db001.dbo.ledger SET note = 'lost' WHERE id = 2")
	if got := one(t, src, all); got != "2:lost" {
		t.Fatalf("source %q", got)
	}
	exec(t, src, sqlS2)
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
	exec(t, tgt, sqlS3)
	eventually(t, "writable", func() bool {
		_, err := tgt.ExecContext(within(t), "DELETE db001.dbo.ledger WHERE id = 2")
		return err == nil
	})
	if err := l.Control().Heal(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the source follows", func() bool {
		var got string
		err := src.QueryRowContext(within(t), all).Scan(&got)
		return err == nil && got == "1:a"
	})
}

// TestDeleteWaitsForItsAcknowledgement: until the synchronous commit is acknowledged readers see the row, and a second delete does not get it.
func TestDeleteWaitsForItsAcknowledgement(t *testing.T) {
	slow := quick
	slow.SessionTimeout = time.Minute
	l := start(t, Options{Model: model.Config{Timing: slow, DAGMode: model.Sync}})
	src := l.test(t, Source)
	eventually(t, "SYNCHRONIZED", func() bool { return one(t, src, linkQuery) == "3" })
	exec(t, src, "INSERT db001.dbo.ledger (id, note) VALUES (1, 'a')")
	if err := l.Control().Freeze(Target, 0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func(db *sql.DB) {
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), "DELETE db001.dbo.ledger")
		done <- err
	}(userDB(t, l, Source, "db001"))
	eventually(t, "the delete waits", func() bool {
		waits := 0
		if err := l.engine.do(func(m *model.Model) {
			for _, d := range m.Snapshot(m.PrimaryOf(Source)).Seen {
				waits += len(d.Ledger)
			}
		}); err != nil {
			t.Fatal(err)
		}
		return waits == 1 && one(t, src, "SELECT CASE WHEN MAX(log_send_queue_size) > 0 THEN 1 ELSE 0 END FROM sys.dm_hadr_database_replica_states") == "1"
	})
	fails(t, src, 1222, "UPDATE db001.dbo.ledger SET note = 'late' WHERE id = 1")
	if got := one(t, src, all); got == "" {
		t.Error("readers see an unacknowledged delete")
	}
	if err := l.Control().Unfreeze(Target, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := one(t, src, all); got != "" {
		t.Errorf("afterwards %q", got)
	}
}
