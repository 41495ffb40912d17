package sqlserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// line lets one statement at a time through to one instance. Whoever comes
// while a statement is inside its deadline waits, inside its own; whoever comes
// while one is past its deadline is told errBusy at once. A statement stays on
// the line until the driver is done with it, however long after its caller
// has gone: that is what keeps us at one statement outstanding per instance.
type line struct {
	mu    sync.Mutex
	taken bool
	free  chan struct{} // closed when the holder leaves
	over  chan struct{} // closed when the holder's deadline has passed
}

var (
	errBusy   = errors.New("an earlier statement on this instance has not come back in its time")
	errQueued = errors.New("other readers kept this instance busy until the deadline")
)

// killGrace is how long after the end of its context a statement may still be
// on the wire before its socket is dropped. The driver itself waits 5 s, twice
// at most, for the server to acknowledge the cancel.
const killGrace = 12 * time.Second

func (l *line) enter(ctx context.Context) (over chan struct{}, err error) {
	for {
		l.mu.Lock()
		if !l.taken {
			l.taken, l.free, l.over = true, make(chan struct{}), make(chan struct{})
			over := l.over
			l.mu.Unlock()
			return over, nil
		}
		free, held := l.free, l.over
		l.mu.Unlock()
		select {
		case <-free:
			continue
		default:
		}
		select {
		case <-free:
		case <-held:
			// Past its deadline, but perhaps just leaving.
			select {
			case <-free:
			default:
				return nil, errBusy
			}
		case <-ctx.Done():
			return nil, errQueued
		}
	}
}

func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = false
	close(l.free)
}

// do runs work on the line. It returns when work has, or as soon as ctx ends;
// then work's own context is cancelled (not timed out: the driver keeps a
// connection whose cancel was acknowledged), and the line stays taken until
// work has returned. kill is called killGrace after that. What work wants to
// hand back must go through its return value alone.
func do[T any](ctx context.Context, l *line, kill func(), work func(context.Context) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, &notSent{err}
	}
	over, err := l.enter(ctx)
	if err != nil {
		return zero, &notSent{err}
	}
	type result struct {
		v   T
		err error
	}
	done, gone := make(chan result, 1), make(chan struct{})
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(gone)
		v, err := safely(inner, work)
		l.leave()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		cancel()
		return r.v, r.err
	case <-ctx.Done():
	}
	past := func() { close(over) }
	if deadline, ok := ctx.Deadline(); ok && errors.Is(context.Cause(ctx), errClear) {
		// Its answer is not wanted any more, which says nothing against the
		// server: who comes now waits until the cancel is acknowledged.
		time.AfterFunc(time.Until(deadline), past)
	} else {
		past()
	}
	cancel()
	go func() {
		t := time.NewTimer(killGrace)
		defer t.Stop()
		select {
		case <-gone:
		case <-t.C:
			kill()
		}
	}()
	// A result that came in the same moment still counts.
	select {
	case r := <-done:
		return r.v, r.err
	default:
		return zero, ctx.Err()
	}
}

// safely makes an error of a panic: the driver reads what a server sends, and
// a stream that makes it stumble must not take every other run down with the
// process. What was sent counts as of unknown outcome.
func safely[T any](ctx context.Context, work func(context.Context) (T, error)) (v T, err error) {
	defer stumbled(&err)
	return work(ctx)
}

// stumbled is deferred.
func stumbled(err *error) {
	if p := recover(); p != nil {
		*err = &panicked{fmt.Sprint(p)}
	}
}

// panicked is what the driver stumbled over.
type panicked struct{ what string }

func (p *panicked) Error() string { return "the driver stumbled over the answer: " + p.what }
