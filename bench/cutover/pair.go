package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/microsoft/go-mssqldb" // an ordinary client

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// pair is a simulated pair with its default timing, and the clients that write
// to it.
type pair struct {
	lab     *lab.Lab
	latency time.Duration
	trace   *tracer
	dbs     [2]*sql.DB // of the application, one per side

	next   atomic.Int64
	stop   context.CancelFunc // of the writers on the source
	wg     sync.WaitGroup
	mu     sync.Mutex
	acked  int
	opened bool
	cancel context.CancelFunc // of the writers on the target
	first  chan time.Time     // when the target first acknowledged an INSERT
}

func newPair(ctx context.Context, latency time.Duration) (*pair, error) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		return nil, err
	}
	p := &pair{lab: l, latency: latency, trace: &tracer{}, first: make(chan time.Time, 1)}
	if err := l.Start(ctx); err != nil {
		l.Close()
		return nil, err
	}
	for i, side := range []lab.Side{lab.Source, lab.Target} {
		// In master: a role change ends the sessions that are in a moved database.
		if p.dbs[i], err = sql.Open("sqlserver", l.DSN(side)); err != nil {
			p.close()
			return nil, err
		}
		p.dbs[i].SetMaxIdleConns(32)
		if err := l.Control().ClientLatency(side, 0, latency); err != nil {
			p.close()
			return nil, err
		}
	}
	p.write(ctx)
	return p, nil
}

func (p *pair) close() {
	p.quiesce()
	if p.cancel != nil {
		p.cancel()
	}
	p.wg.Wait()
	for _, db := range p.dbs {
		if db != nil {
			_ = db.Close() // nothing is left to lose
		}
	}
	p.lab.Close()
}

// write inserts a row at a time on the source until quiesce.
func (p *pair) write(ctx context.Context) {
	ctx, p.stop = context.WithCancel(ctx)
	p.wg.Go(func() {
		for ctx.Err() == nil {
			// Not ctx: an INSERT under way is waited for, as a quiesced application does.
			if _, err := p.dbs[0].ExecContext(context.WithoutCancel(ctx), insert, p.next.Add(1)); err == nil {
				p.mu.Lock()
				p.acked++
				p.mu.Unlock()
			}
			pause(ctx, 5*time.Millisecond)
		}
	})
}

const insert = "INSERT INTO db001.dbo.ledger (id, note) VALUES (@p1, N'bench')"

// quiesce ends the writing on the source; the clients turn to the target,
// which refuses them until it can be written. It may be called again.
func (p *pair) quiesce() {
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened || p.cancel != nil {
		return
	}
	p.opened = true
}

// try lets clients insert on the target all the time. Several of them, so that
// one of them arrives within a few milliseconds of the first moment that a
// row is taken, whatever the latency.
func (p *pair) try(ctx context.Context) error {
	ctx, p.cancel = context.WithCancel(ctx)
	n := 2 + int(p.latency/(10*time.Millisecond))
	for i := range n {
		conn, err := p.dbs[1].Conn(ctx)
		if err != nil {
			return err
		}
		p.wg.Go(func() {
			defer conn.Close() //nolint:errcheck // its end is the end of the measurement
			pause(ctx, time.Duration(i)*10*time.Millisecond/time.Duration(n))
			for ctx.Err() == nil {
				if _, err := conn.ExecContext(ctx, insert, p.next.Add(1)); err == nil {
					select {
					case p.first <- time.Now():
					default:
					}
					return
				}
				pause(ctx, 5*time.Millisecond)
			}
		})
	}
	return nil
}

// written waits for the first row that the target took, and then compares what
// was acknowledged with what is there.
func (p *pair) written(ctx context.Context) (time.Time, error) {
	var at time.Time
	select {
	case at = <-p.first:
	case <-ctx.Done():
		return at, fmt.Errorf("the target never took a row: %w", ctx.Err())
	}
	p.mu.Lock()
	acked := p.acked
	p.mu.Unlock()
	var rows int
	if err := p.dbs[1].QueryRowContext(ctx, "SELECT COUNT(*) FROM db001.dbo.ledger").Scan(&rows); err != nil {
		return at, err
	}
	if acked == 0 {
		return at, errors.New("no row was acknowledged before the move: the writer does not write")
	}
	if rows <= acked {
		return at, fmt.Errorf("%d rows on the target, %d were acknowledged on the source and one on the target", rows, acked)
	}
	return at, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
