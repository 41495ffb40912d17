package sqlserver

import (
	"context"
	"errors"
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
