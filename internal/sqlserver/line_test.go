package sqlserver

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestLineLetsOneThroughAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l line
		running, most := 0, 0
		results := make(chan error, 5)
		for range 5 {
			go func() {
				_, err := do(within(t, time.Minute), &l, func() {}, func(context.Context) (int, error) {
					running++ // no lock: the line is one
					most = max(most, running)
					time.Sleep(time.Second)
					running--
					return 0, nil
				})
				results <- err
			}()
		}
		for range 5 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if most != 1 {
			t.Errorf("%d at a time", most)
		}
	})
}

func TestLineQueuesInsideTheDeadlineOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l line
		go func() {
			_, _ = do(within(t, time.Minute), &l, func() {}, func(context.Context) (int, error) {
				time.Sleep(10 * time.Second)
				return 0, nil
			})
		}()
		synctest.Wait()
		began := time.Now()
		_, err := do(within(t, 3*time.Second), &l, func() {}, func(context.Context) (int, error) { return 0, nil })
		if !errors.Is(err, errQueued) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(10 * time.Second) // for the first one's end
	})
}

// Behind a statement that is past its own deadline: busy at once, also for
// those who waited already; and free again once it has come back.
func TestBusyBehindAHungStatement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l line
		release := make(chan struct{})
		var cancelled, killed atomic.Bool
		hung := make(chan error, 1)
		go func() {
			_, err := do(within(t, 2*time.Second), &l, func() { killed.Store(true) }, func(ctx context.Context) (int, error) {
				<-ctx.Done()
				cancelled.Store(errors.Is(context.Cause(ctx), context.Canceled)) // a deadline would cost the driver's connection
				<-release
				return 0, ctx.Err()
			})
			hung <- err
		}()
		synctest.Wait()
		began := time.Now()
		waited := make(chan error, 1)
		go func() {
			_, err := do(within(t, time.Minute), &l, func() {}, func(context.Context) (int, error) { return 0, nil })
			waited <- err
		}()
		if err := <-hung; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hung one: %v", err)
		}
		if err := <-waited; !errors.Is(err, errBusy) || time.Since(began) != 2*time.Second {
			t.Errorf("the one that waited: %v after %v", err, time.Since(began))
		}
		if _, err := do(within(t, time.Minute), &l, func() {}, func(context.Context) (int, error) { return 0, nil }); !errors.Is(err, errBusy) || time.Since(began) != 2*time.Second {
			t.Errorf("a new one: %v", err)
		}
		synctest.Wait()
		if !cancelled.Load() || killed.Load() {
			t.Errorf("cancelled %v, killed %v", cancelled.Load(), killed.Load())
		}
		time.Sleep(killGrace)
		synctest.Wait()
		if !killed.Load() {
			t.Error("the socket was not dropped")
		}
		close(release)
		synctest.Wait()
		if v, err := do(within(t, time.Minute), &l, func() {}, func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
			t.Errorf("after it came back: %v, %v", v, err)
		}
	})
}

// A session that did its work is never killed by the watch that was set for it.
func TestNoKillAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l line
		killed := false
		_, err := do(within(t, time.Second), &l, func() { killed = true }, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		time.Sleep(2 * killGrace)
		synctest.Wait()
		if killed {
			t.Error("killed")
		}
	})
}

func TestNothingIsSentAfterTheEnd(t *testing.T) {
	var l line
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := do(ctx, &l, func() {}, func(context.Context) (int, error) { t.Error("it ran"); return 0, nil })
	var ns *notSent
	if !errors.As(err, &ns) {
		t.Errorf("%v", err)
	}
}

// TestADriverThatStumbles: a panic while an answer is read is an error of
// unknown outcome, leaves the line free, and costs the session.
func TestADriverThatStumbles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l line
		_, err := do(within(t, time.Minute), &l, func() {}, func(context.Context) (int, error) {
			var rows []int
			return rows[3], nil
		})
		e := new(Error).aboutAct(err, &target{})
		if e.Class != ClassUnknown || e.SurelyNothingDone() {
			t.Errorf("class %s of %v", e.Class, err)
		}
		if _, err := do(within(t, time.Second), &l, func() {}, func(context.Context) (int, error) { return 0, nil }); err != nil {
			t.Errorf("the line is not free: %v", err)
		}
		s := &session{conn: stumblingConn{}, sockets: &sockets{}}
		err = s.exec(t.Context(), "SELECT 1")
		if err == nil || s.usable(err) {
			t.Errorf("the session is used again after %v", err)
		}
		if err := s.query(t.Context(), "SELECT 1", nil); err == nil || s.usable(err) {
			t.Errorf("the session is used again after %v", err)
		}
	})
}

type stumblingConn struct{ driver.Conn }

func (stumblingConn) Prepare(string) (driver.Stmt, error) { panic("unexpected token") }

// TestDialAfterKill: a dial that comes through when nobody waits any more
// leaves no connection behind.
func TestDialAfterKill(t *testing.T) {
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	s := &sockets{}
	c, err := s.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.kill()
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket lives after kill: %v", err)
	}
	if c, err := s.DialContext(t.Context(), "tcp", ln.Addr().String()); !errors.Is(err, net.ErrClosed) {
		_ = c.Close()
		t.Errorf("a dial after kill: %v", err)
	}
	if len(s.conns) != 0 {
		t.Errorf("%d connections are kept", len(s.conns))
	}
}
