package main

import (
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// clock is what the labs and the exporter live by. It leaps through the
// history and then runs as fast as the world, which the engine of
// cutover_webhook needs: its clock cannot be set.
type clock struct {
	*lab.VirtualClock
	mu    sync.Mutex
	leapt time.Time // the world's time of the last advance

	stop, done chan struct{}
}

func newClock(start time.Time) *clock {
	return &clock{VirtualClock: lab.NewVirtualClock(start), leapt: time.Now()}
}

// leap moves the clock on by d at once.
func (c *clock) leap(d time.Duration) {
	c.Advance(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leapt = time.Now()
}

// fine is the exporter's clock: between two leaps it goes on with the world's,
// so that readings take as long as they really do.
func (c *clock) fine() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Now().Add(time.Since(c.leapt))
}

// follow lets the clock run with the world until hold is called.
func (c *clock) follow() {
	c.stop, c.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.done)
		t := time.NewTicker(25 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-t.C:
				if d := time.Since(c.Now()); d > 0 {
					c.leap(d)
				}
			}
		}
	}()
}

func (c *clock) hold() {
	if c.stop != nil {
		close(c.stop)
		<-c.done
		c.stop = nil
	}
}
