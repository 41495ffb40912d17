package faultrun

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	_ "github.com/microsoft/go-mssqldb" // the writing client is an ordinary one

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// writer is a client that inserts rows all the time: on the side that the hooks
// point it to, and now and then on the other one, where it must not get any
// row acknowledged that the end does not hold.
type writer struct {
	db [2]*sql.DB

	mu     sync.Mutex // held during an INSERT: a quiesce waits for the one under way
	at     lab.Side
	paused bool
	next   int64
	acked  []int64
	errors int
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

func newWriter(l *lab.Lab) (*writer, error) {
	w := &writer{}
	for _, s := range []lab.Side{lab.Source, lab.Target} {
		db, err := sql.Open("sqlserver", l.DSNFor(l.Address(s), lab.SA, lab.SAPassword, "db001")+"&dial+timeout=2&app+name=writer")
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		w.db[s] = db
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	w.wg.Go(func() {
		for ctx.Err() == nil {
			w.write(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(15 * time.Millisecond):
			}
		}
	})
	return w, nil
}

func (w *writer) write(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paused {
		return
	}
	side := w.at
	w.next++
	if w.next%16 == 0 {
		side = side.Other()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := w.db[side].ExecContext(ctx, "INSERT INTO dbo.ledger (id, note) VALUES (@p1, N'x')", w.next); err == nil {
		w.acked = append(w.acked, w.next)
	} else {
		w.errors++
	}
}

// set is what the hooks do to it.
func (w *writer) set(paused bool, at lab.Side) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused, w.at = paused, at
}

func (w *writer) where() lab.Side {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

func (w *writer) close() {
	w.stop()
	w.wg.Wait()
	for _, db := range w.db {
		_ = db.Close() // the lab goes with it
	}
}

// missing compares ids: acknowledged, and not in dbo.ledger of the side.
func (w *writer) missing(ctx context.Context, side lab.Side) (lost []int64, total int, err error) {
	w.mu.Lock()
	acked := slices.Clone(w.acked)
	w.mu.Unlock()
	var rows *sql.Rows
	for range 3 { // a pooled session may have died with the link or the role, as any client's may
		if rows, err = w.db[side].QueryContext(ctx, "SELECT id FROM dbo.ledger"); err == nil {
			break
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read dbo.ledger of the %s: %w", side, err)
	}
	defer func() { _ = rows.Close() }() // Err tells
	have := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, 0, err
		}
		have[id] = true
	}
	for _, id := range acked {
		if !have[id] {
			lost = append(lost, id)
		}
	}
	return lost, len(acked), rows.Err()
}
