package sqlserver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// instance is one configured server with its one connection for reading.
type instance struct {
	target   target
	hungHold time.Duration
	line     *line           // shared by all that read this server
	closed   chan struct{}   // closed when nobody wants this instance any more
	ended    <-chan struct{} // closed when the side is; a hung statement is not waited for any longer

	mu   sync.Mutex // guards sess against kill from outside
	sess *session   // nil: not connected; changed only on the line
}

func newInstance(t target, hungHold time.Duration, l *line, ended <-chan struct{}) *instance {
	return &instance{target: t, hungHold: hungHold, line: l, closed: make(chan struct{}), ended: ended}
}

func (in *instance) put(s *session) {
	in.mu.Lock()
	in.sess = s
	in.mu.Unlock()
}

func (in *instance) drop() {
	in.mu.Lock()
	s := in.sess
	in.sess = nil
	in.mu.Unlock()
	if s != nil {
		s.kill()
	}
}

func (in *instance) kill() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.sess != nil {
		in.sess.kill()
	}
}

// close ends the instance. A statement that is still out keeps its goroutine
// until the driver has noticed.
func (in *instance) close() {
	close(in.closed)
	in.kill()
}

func (in *instance) isClosed() bool {
	select {
	case <-in.closed:
		return true
	default:
		return false
	}
}

var errClosed = errors.New("the side was closed or its list of instances changed")

// errClear ends the questions of a reading that needs no more answers.
var errClear = errors.New("the reading needs no more answers")

// ask sends the batch that build makes for the server's version and gives back
// the answer and what the session's probe knew. A connection that turns out to
// be dead is made anew once: a question may be asked twice. In one round trip,
// when the connection is there and well.
func (in *instance) ask(ctx context.Context, build func(major int) string) (*answer, probe, error) {
	if !in.connected() {
		if err := in.connectOnce(ctx); err != nil {
			return nil, probe{}, err
		}
	}
	r, err := onLine(ctx, in, func(ctx context.Context) (result, error) { return in.exchange(ctx, build) })
	return r.a, r.p, err
}

// onLine is do for work with the session of in.
func onLine[T any](ctx context.Context, in *instance, work func(context.Context) (T, error)) (T, error) {
	return do(ctx, in.line, in.kill, func(ctx context.Context) (v T, err error) {
		if in.isClosed() {
			return v, &notSent{errClosed}
		}
		sound := false
		defer func() {
			if !sound { // a panic of the driver: nobody knows what the session is good for
				in.drop()
			}
		}()
		v, err = work(ctx)
		sound = true
		return v, err
	})
}

func (in *instance) connected() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.sess != nil
}

// connectOnce makes the connection, inside the deadline of ctx, and goes on
// with that when ctx ends with errClear: of a server that is far away, a
// connection takes several times what a reading waits for the other instances,
// and one that is broken off each time would never be there.
func (in *instance) connectOnce(ctx context.Context) error {
	outlast, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		outlast, cancel = context.WithDeadline(outlast, deadline)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), errClear) {
			cancel()
		}
	})
	defer stop()
	go func() {
		select {
		case <-in.ended:
			cancel()
		case <-outlast.Done():
		}
	}()
	_, err := onLine(outlast, in, func(ctx context.Context) (struct{}, error) {
		if in.sess != nil { // made while we waited for the line
			return struct{}{}, nil
		}
		return struct{}{}, in.open(ctx)
	})
	return err
}

// open connects while the line is ours.
func (in *instance) open(ctx context.Context) error {
	s, err := connect(ctx, in.target)
	if err != nil {
		if errors.As(err, new(*unanswered)) {
			in.hold() // the first question of a session is a statement too
		}
		return &connectError{err}
	}
	in.put(s)
	if in.isClosed() {
		in.drop()
		return &notSent{errClosed}
	}
	return nil
}

type result struct {
	a *answer
	p probe
}

// exchange is ask while the line is ours.
func (in *instance) exchange(ctx context.Context, build func(major int) string) (result, error) {
	for {
		reused := in.sess != nil
		if !reused {
			if err := in.open(ctx); err != nil {
				return result{}, err
			}
		}
		s := in.sess
		a := newAnswer()
		err := s.query(ctx, build(s.probe.major), a.set)
		p := s.probe
		if err == nil {
			return result{a, p}, nil
		}
		if s.usable(err) {
			return result{}, err
		}
		in.drop()
		if ctx.Err() != nil {
			// The cancel was not acknowledged: the statement may still be
			// running over there.
			in.hold()
			return result{}, err
		}
		if !reused {
			return result{}, err
		}
	}
}

// hold keeps the line taken after a statement that could not be cancelled, so
// that the next one does not join it at once: also not one on a connection of
// another DSN for the same server.
func (in *instance) hold() {
	t := time.NewTimer(in.hungHold)
	defer t.Stop()
	select {
	case <-t.C:
	case <-in.ended:
	}
}

// connectError marks that no connection came about.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// learn sends the probe.
func (s *session) learn(ctx context.Context) error {
	p := &s.probe
	seen := false
	err := s.query(ctx, probeBatch, func(cols []string) (rowFunc, error) {
		name, _, _ := strings.Cut(cols[0], ".")
		return func(row []driver.Value) error {
			c := &columns{row: row}
			switch name {
			case "probe":
				seen = true
				p.major = int(c.integer().V)
				p.version, p.edition = c.text(), c.text()
				p.engineEdition = int(c.integer().V)
				if h := c.integer(); h.OK {
					on := h.V == 1
					p.hadr = &on
				}
				p.caseSensitive = c.flag().V
			case "platform":
				p.platform = c.word()
			case "connection":
				if v := c.word(); v != "" {
					on := v == "true"
					p.encrypted = &on
				}
			}
			return c.err
		}, nil
	})
	if err != nil {
		return err
	}
	if !seen || p.major == 0 {
		return errors.New("the server does not say which version it is")
	}
	if p.platform == "" && p.major == v2016 {
		p.platform = "windows" // 2017 is the first on Linux
	}
	return nil
}

func (p probe) identity(label string, s sample) hadr.Identity {
	id := hadr.Identity{Instance: label, ServerName: s.serverName, StartTime: s.startTime, ReplicaID: s.replicaID,
		Major: p.major, Version: p.version, Edition: p.edition, EngineEdition: p.engineEdition, Platform: p.platform,
		CaseSensitive: p.caseSensitive, ServerUTC: s.utc}
	if p.hadr != nil {
		id.HadrEnabled = hadr.Some(*p.hadr)
	}
	if p.encrypted != nil {
		id.Encrypted = hadr.Some(*p.encrypted)
	}
	return id
}

// usableVersion says why a server cannot be read at all, or nil.
func (p probe) usable() *Error {
	switch {
	case p.major < v2016:
		return &Error{Class: ClassVersion, Reason: ReasonVersion, Err: fmt.Errorf("SQL Server %s has no distributed availability groups", p.version), Remedy: "2016 is the first that has"}
	case p.hadr != nil && !*p.hadr:
		return &Error{Class: ClassMissing, Reason: ReasonHadrOff, Err: errors.New("availability groups (Always On) are not enabled"), Remedy: reasonRemedies[ReasonHadrOff]}
	}
	return nil
}
