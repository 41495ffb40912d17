package tds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// killGrace is how long a killed connection's request may take to notice.
const killGrace = 5 * time.Second

// lingering is how long the peer of a connection that we end may take to read
// what we said last; closing at once could discard it.
const lingering = time.Second

// conn is one connection. Its fields are settled during login and read-only
// afterwards, but for the atomics and the kill.
type conn struct {
	server *Server
	info   ConnInfo
	log    *slog.Logger
	raw    *rawConn
	wire   *wire
	stream net.Conn // what packets travel through: wire, or TLS over it

	packets    packetReader
	packetSize int
	session    Session

	latency atomic.Int64 // of this connection; negative: the server's

	msgs       chan message
	readerDone chan struct{}

	killOnce sync.Once
	killed   chan struct{}
	killErr  *Error

	shielded atomic.Bool // the request under way outlives its connection
	hung     atomic.Bool // nothing is answered any more
}

func newConn(s *Server, nc net.Conn, id uint64, spid int) *conn {
	c := &conn{
		server: s, raw: newRawConn(nc, &s.frozen, s.cfg.WriteTimeout), packetSize: startSize,
		msgs: make(chan message), readerDone: make(chan struct{}), killed: make(chan struct{}),
	}
	c.latency.Store(-1)
	c.info = ConnInfo{ID: id, SPID: spid, RemoteAddr: nc.RemoteAddr().String(),
		LocalAddr: nc.LocalAddr().String(), conn: c}
	c.log = s.cfg.Logger.With("spid", spid, "peer", c.info.RemoteAddr)
	c.wire = newWire(c.raw)
	c.stream = c.wire
	c.packets = packetReader{r: c.wire, max: maxLoginLength}
	return c
}

// serve is the connection's owner; it returns when nothing of it is left.
func (c *conn) serve(ctx context.Context) {
	// Closing the socket is what ends every wait of the connection.
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	defer stop()
	defer func() { _ = c.raw.Close() }() // nobody is left to hear of it

	if err := c.establish(ctx); err != nil {
		c.log.Debug("no login", "err", err)
		return
	}
	defer c.closeSession()
	defer c.server.setLoggedIn(c, false)

	c.packets.max = c.server.cfg.MaxMessage
	c.packets.begun = func() { c.raw.limitReading(c.server.cfg.MessageTimeout, false) }
	c.raw.limitReading(c.server.cfg.MessageTimeout, true)
	go c.read()
	defer func() {
		_ = c.raw.Close() // ends the reader
		<-c.readerDone
	}()
	c.loop(ctx)
}

// read is the reader goroutine.
func (c *conn) read() {
	defer close(c.readerDone)
	for {
		m, err := c.packets.next()
		if err != nil {
			c.log.Debug("reading ended", "err", err)
			return
		}
		c.raw.limitReading(c.server.cfg.MessageTimeout, true)
		c.pause(context.Background(), c.halfTrip())
		select {
		case c.msgs <- m:
		case <-c.raw.closed:
			return
		}
	}
}

// loop takes one message after the other.
func (c *conn) loop(ctx context.Context) {
	var early *message // came before its predecessor was done with
	for {
		var m message
		if early != nil {
			m, early = *early, nil
		} else {
			select {
			case m = <-c.msgs:
			case <-c.readerDone:
				return
			case <-c.killed:
				return
			}
		}
		if m.kind == packAttention {
			if c.acknowledge() != nil {
				return
			}
			continue
		}
		var keep, attention bool
		keep, attention, early = c.run(ctx, m)
		if c.hung.Load() {
			c.hang()
			return
		}
		if !keep || c.isKilled() {
			c.linger()
			return
		}
		if attention && c.acknowledge() != nil {
			return
		}
	}
}

// run runs one request in a goroutine and listens meanwhile.
func (c *conn) run(whole context.Context, m message) (keep, attention bool, early *message) {
	ctx, cancel := context.WithCancelCause(whole)
	defer cancel(nil)
	done := make(chan bool, 1)
	go func() { done <- c.request(ctx, m) }()

	msgs, gone, killed := c.msgs, c.readerDone, c.killed
	var grace <-chan time.Time
	for {
		select {
		case keep = <-done:
			return keep, attention, early
		case next := <-msgs:
			if next.kind != packAttention {
				// The client has the whole answer; only we do not know it yet.
				early, msgs = &next, nil
				continue
			}
			attention = true
			if !c.shielded.Load() {
				cancel(ErrAttention)
			}
		case <-gone:
			gone = nil
			_ = c.raw.Close() // so that a write under way fails
			if !c.shielded.Load() {
				cancel(c.endCause(whole))
			}
		case <-killed:
			killed = nil
			cancel(ErrKilled)
			t := time.NewTimer(killGrace)
			defer t.Stop()
			grace = t.C
		case <-grace:
			_ = c.raw.Close()
		}
	}
}

// endCause says why the socket is closed: we may have done it ourselves.
func (c *conn) endCause(whole context.Context) error {
	if c.isKilled() {
		return ErrKilled
	}
	if whole.Err() != nil {
		return context.Cause(whole)
	}
	return ErrPeerGone
}

func (c *conn) isKilled() bool {
	select {
	case <-c.killed:
		return true
	default:
		return false
	}
}

func (c *conn) kill(err *Error) {
	c.killOnce.Do(func() {
		c.killErr = err
		close(c.killed)
		if err == nil {
			_ = c.raw.Close()
		}
	})
}

// killError is what Kill was given; it may be asked only once killed is closed.
func (c *conn) killError() *Error { return c.killErr }

// request answers one message. It returns whether the connection can go on.
func (c *conn) request(ctx context.Context, m message) bool {
	w := c.newResponse(ctx)
	if m.ignored {
		return w.close(doneToken{token: tokenDone, status: doneError}) == nil && !w.broken
	}
	err := c.dispatch(ctx, w, m)
	finishErr := w.finish(err)
	if finishErr != nil {
		c.log.Debug("answer not sent", "err", finishErr)
	}
	if w.dropped {
		c.breakNow(w.fault)
	}
	return finishErr == nil && !w.fatal && !w.broken
}

var errDropped = errors.New("tds: the request was dropped by a fault")

// dispatch decodes a message and calls the session.
func (c *conn) dispatch(ctx context.Context, w *Response, m message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.fatal = true
			err = c.panicked(p)
		}
	}()
	r, err := parseRequest(m)
	if err != nil {
		return err
	}
	w.rpc = r.Kind == KindRPC
	if err := c.before(ctx, w, r); err != nil {
		return err
	}
	if m.status&(statusReset|statusResetKeep) != 0 {
		c.session.Reset(m.status&statusResetKeep != 0)
		if err := w.token(appendEnvReset(nil)); err != nil {
			return err
		}
	}
	switch r.Kind {
	case KindBatch:
		return c.session.Batch(ctx, w, r.SQL)
	case KindRPC:
		return c.session.RPC(ctx, w, r.Calls)
	default:
		return c.session.Transaction(ctx, w, r.TM)
	}
}

// parseRequest decodes a message. Its errors are meant for the client.
func parseRequest(m message) (r Request, err error) {
	switch m.kind {
	case packBatch:
		r.Kind = KindBatch
		r.SQL, err = parseBatch(m.data)
	case packRPC:
		r.Kind = KindRPC
		r.Calls, err = parseRPC(m.data)
	case packTM:
		var ok bool
		r.Kind = KindTransaction
		if r.TM, ok, err = parseTM(m.data); err == nil && !ok {
			return r, &Error{Number: 8501, Class: 16, State: 1,
				Message: "This server has no distributed transaction coordinator."}
		}
	case packBulk:
		return r, &Error{Number: 4002, Class: 16, State: 1, Message: "This server does not take bulk loads."}
	default:
		err = fmt.Errorf("tds: a packet of type 0x%02X after the login", m.kind)
	}
	if err != nil {
		// Whatever follows cannot be trusted either: class 20 ends the connection.
		return r, &Error{Number: 4002, Class: 20, State: 1, Message: fmt.Sprintf(
			"The incoming tabular data stream (TDS) protocol stream is incorrect. The stream ended unexpectedly or makes no sense (%v).", err)}
	}
	return r, nil
}

// panicked logs a handler's panic and makes the error that the client sees.
func (c *conn) panicked(p any) *Error {
	c.log.Error("panic in the handler", "panic", p, "stack", string(debug.Stack()))
	return &Error{Number: 596, Class: 21, State: 1,
		Message: "Cannot continue the execution because the session is in the kill state."}
}

func (c *conn) closeSession() {
	defer func() {
		if p := recover(); p != nil {
			_ = c.panicked(p) // it is logged; there is nobody to tell
		}
	}()
	c.session.Close()
}

// acknowledge tells the client that its ATTENTION was seen.
func (c *conn) acknowledge() error {
	w := c.newResponse(context.Background())
	return w.close(doneToken{token: tokenDone, status: doneAttn})
}

// linger lets the client read our last words before the socket closes.
func (c *conn) linger() {
	c.raw.closeWrite()
	t := time.NewTimer(lingering)
	defer t.Stop()
	for {
		select {
		case <-c.msgs:
		case <-c.readerDone:
			return
		case <-t.C:
			return
		}
	}
}

// hang keeps an open socket silent until somebody gives up.
func (c *conn) hang() {
	for {
		select {
		case <-c.msgs:
		case <-c.readerDone:
			return
		case <-c.killed:
			return
		}
	}
}
