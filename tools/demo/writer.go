package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/microsoft/go-mssqldb" // the ordinary driver: the client is not ours
)

// writer is the application: one client per database, each inserting rows one
// at a time and remembering which the server acknowledged.
type writer struct {
	dsn       func(side, database string) string
	databases []string
	interval  time.Duration

	cancel context.CancelFunc
	wg     sync.WaitGroup

	side    atomic.Value // string: source | target
	paused  atomic.Bool
	busy    atomic.Int32 // clients inside an insert
	mu      sync.Mutex
	acked   map[string][]int64 // per database, in order
	onTgt   map[string]int
	unsure  map[string][]int64 // sent, answer never came
	last    time.Time          // last acknowledgement on the source
	first   time.Time          // first acknowledgement on the target
	worst   time.Duration      // longest gap between two acknowledgements of one client
	errors  map[string]int
	started bool
}

func newWriter(databases []string, rate float64, dsn func(side, database string) string) *writer {
	w := &writer{
		dsn: dsn, databases: databases, interval: time.Duration(float64(time.Second) / rate),
		acked: map[string][]int64{}, onTgt: map[string]int{}, unsure: map[string][]int64{}, errors: map[string]int{},
	}
	w.side.Store("source")
	return w
}

func (w *writer) start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.started = true
	for _, db := range w.databases {
		w.wg.Go(func() { w.client(ctx, db) })
	}
}

func (w *writer) stop() {
	if !w.started {
		return
	}
	w.cancel()
	w.wg.Wait()
	w.started = false
}

// quiesce stops the clients and waits until none is inside an insert: that is
// what the hook promises.
func (w *writer) quiesce(ctx context.Context) error {
	w.paused.Store(true)
	for w.busy.Load() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// goOn lets the clients write, on the given side.
func (w *writer) goOn(side string) {
	w.side.Store(side)
	w.paused.Store(false)
}

func (w *writer) client(ctx context.Context, database string) {
	pools := map[string]*sql.DB{}
	defer func() {
		for _, p := range pools {
			_ = p.Close()
		}
	}()
	lastAck := time.Now()
	for id := int64(1); ctx.Err() == nil; id++ {
		// A row whose answer never came may be there or not: its id is not
		// used again, so that the comparison stays exact.
		for !w.insert(ctx, pools, database, id) {
			if ctx.Err() != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
			w.mu.Lock()
			unsure := len(w.unsure[database]) > 0 && w.unsure[database][len(w.unsure[database])-1] == id
			w.mu.Unlock()
			if unsure {
				id++
			}
		}
		now := time.Now()
		w.mu.Lock()
		w.worst = max(w.worst, now.Sub(lastAck))
		w.mu.Unlock()
		lastAck = now
		select {
		case <-ctx.Done():
		case <-time.After(w.interval):
		}
	}
}

// insert writes one row; true means that the server acknowledged it.
func (w *writer) insert(ctx context.Context, pools map[string]*sql.DB, database string, id int64) bool {
	w.busy.Add(1)
	defer w.busy.Add(-1)
	if w.paused.Load() {
		return false
	}
	side := w.side.Load().(string)
	pool := pools[side]
	if pool == nil {
		var err error
		if pool, err = sql.Open("sqlserver", w.dsn(side, database)); err != nil {
			w.note(err)
			return false
		}
		pool.SetMaxOpenConns(1)
		pools[side] = pool
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	conn, err := pool.Conn(ctx)
	if err != nil {
		w.note(err)
		return false // nothing was sent
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, "INSERT INTO dbo.ledger (id, note) VALUES (@p1, @p2)", id, "demo")
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.errors[err.Error()]++
		w.unsure[database] = append(w.unsure[database], id)
		return false
	}
	w.acked[database] = append(w.acked[database], id)
	if side == "source" {
		w.last = now
	} else {
		w.onTgt[database]++
		if w.first.IsZero() {
			w.first = now
		}
	}
	return true
}

func (w *writer) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors[err.Error()]++
}

// waitForTarget returns when every client has written on the target.
func (w *writer) waitForTarget(ctx context.Context) error {
	for {
		w.mu.Lock()
		n := len(w.onTgt)
		w.mu.Unlock()
		if n == len(w.databases) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d clients write on the target: %w", n, len(w.databases), ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (w *writer) count() (acked, unsure int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, db := range w.databases {
		acked += len(w.acked[db])
		unsure += len(w.unsure[db])
	}
	return acked, unsure
}

// missing compares every acknowledged id with what a side holds now.
func (w *writer) missing(ctx context.Context, side string) (missing, rows int, err error) {
	for _, db := range w.databases {
		have, err := ledger(ctx, w.dsn(side, db))
		if err != nil {
			return 0, 0, fmt.Errorf("read dbo.ledger of %s on the %s: %w", db, side, err)
		}
		rows += len(have)
		w.mu.Lock()
		for _, id := range w.acked[db] {
			if !have[id] {
				missing++
			}
		}
		w.mu.Unlock()
	}
	return missing, rows, nil
}

func ledger(ctx context.Context, dsn string) (map[int64]bool, error) {
	pool, err := sql.Open("sqlserver", dsn)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	rows, err := pool.QueryContext(ctx, "SELECT id FROM dbo.ledger")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		have[id] = true
	}
	return have, rows.Err()
}
