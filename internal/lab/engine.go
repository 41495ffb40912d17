package lab

import (
	"context"
	"errors"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// ErrClosed is returned by everything that is asked of a lab that has ended.
var ErrClosed = errors.New("lab: closed")

// engine is the goroutine that owns the model.
type engine struct {
	m     *model.Model
	clock Clock
	cmds  chan command
	done  chan struct{}
}

type command struct {
	run  func(*model.Model)
	done chan struct{}
}

func newEngine(clock Clock) *engine {
	return &engine{clock: clock, cmds: make(chan command), done: make(chan struct{})}
}

// run lets the model live until ctx ends.
func (e *engine) run(ctx context.Context) {
	defer close(e.done)
	for {
		var fired <-chan time.Time
		stop := func() {}
		if at, ok := e.m.Next(); ok {
			fired, stop = e.clock.Timer(at.Sub(e.clock.Now()))
		}
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
			e.m.AdvanceTo(e.clock.Now())
		case c := <-e.cmds:
			stop()
			e.m.AdvanceTo(e.clock.Now())
			c.run(e.m)
			close(c.done)
		}
	}
}

// do runs f on the model's goroutine and waits for it. It must not be called from there.
func (e *engine) do(f func(m *model.Model)) error {
	c := command{run: f, done: make(chan struct{})}
	select {
	case e.cmds <- c:
	case <-e.done:
		return ErrClosed
	}
	<-c.done
	return nil
}

// snapshot of an instance: nothing that happened before the call is missing in it.
func (e *engine) snapshot(i *model.Instance) (*model.Snapshot, error) {
	var s *model.Snapshot
	err := e.do(func(m *model.Model) { s = m.Snapshot(i) })
	return s, err
}
