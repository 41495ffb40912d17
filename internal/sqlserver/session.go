package sqlserver

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
)

// session is one connection to one instance. It uses the driver's own
// interfaces instead of database/sql: a pool would retry, reset and reconnect
// behind our back, and a statement that changes roles must run in exactly the
// session that holds the lock, once.
//
// Its methods are called by one goroutine at a time; kill by any.
type session struct {
	conn    driver.Conn
	sockets *sockets
	probe   probe
	batches int // sent so far
}

// keepAlive is the driver's own default.
const keepAlive = 30 * time.Second

// sockets remembers the TCP connections that a dial made, so that a session
// can be dropped while the driver is blocked on it: during the login, and in a
// write, the driver watches no context.
type sockets struct {
	mu     sync.Mutex
	conns  []net.Conn
	killed bool
}

// DialContext implements mssql.Dialer.
func (s *sockets) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.killed {
		_ = c.Close() // nobody waits for it any more
		return nil, net.ErrClosed
	}
	s.conns = append(s.conns, c)
	return c, nil
}

func (s *sockets) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
	for _, c := range s.conns {
		_ = c.Close() // it may be closed already
	}
	s.conns = nil
}

// connect opens a session and learns what does not change while it lives. It
// returns when ctx ends, whatever the network does.
func connect(ctx context.Context, t target) (*session, error) {
	sock := &sockets{}
	connector, err := t.connector()
	if err != nil {
		return nil, err
	}
	connector.Dialer = sock
	type result struct {
		s   *session
		err error
	}
	done, asked := make(chan result, 1), make(chan struct{})
	ctx, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	defer cancel()
	go func() {
		s, err := safely(ctx, func(ctx context.Context) (*session, error) {
			conn, err := connector.Connect(ctx)
			if err != nil {
				return nil, err
			}
			s := &session{conn: conn, sockets: sock}
			close(asked)
			return s, s.learn(ctx)
		})
		done <- result{s, err}
	}()
	late := func() error {
		sock.kill()
		err := error(&loginTimeout{ctx.Err()})
		select {
		case <-asked:
			err = &unanswered{err}
		default:
		}
		return err
	}
	select {
	case r := <-done:
		if r.err == nil {
			return r.s, nil
		}
		if ctx.Err() != nil {
			return nil, late()
		}
		sock.kill()
		return nil, r.err
	case <-ctx.Done():
		return nil, late()
	}
}

// unanswered marks a connect that got as far as a statement, which may still
// run over there.
type unanswered struct{ err error }

func (e *unanswered) Error() string { return e.err.Error() }
func (e *unanswered) Unwrap() error { return e.err }

// loginTimeout is the end of a connect that ran out of time.
type loginTimeout struct{ err error }

func (e *loginTimeout) Error() string { return "no connection in time" }
func (e *loginTimeout) Unwrap() error { return e.err }

// kill drops the socket under the session, without a goodbye.
func (s *session) kill() { s.sockets.kill() }

// rowFunc takes one row of a result set. The slice is reused for the next row.
type rowFunc func(row []driver.Value) error

// query sends one batch and hands every result set to set, which says what to
// do with its rows (nil: skip them). ctx must be cancelled, not timed out: the
// driver then sends ATTENTION, and keeps the connection if the server
// acknowledges it.
func (s *session) query(ctx context.Context, batch string, set func(cols []string) (rowFunc, error)) (err error) {
	defer stumbled(&err) // whoever called drops the session then
	if err := ctx.Err(); err != nil {
		return &notSent{err}
	}
	stmt, err := s.conn.Prepare(batch) // client-side only
	if err != nil {
		return &notSent{err}
	}
	s.batches++
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
	}()
	next, _ := rows.(driver.RowsNextResultSet)
	for {
		cols := rows.Columns()
		var fn rowFunc
		if len(cols) > 0 {
			if fn, err = set(cols); err != nil {
				return err
			}
		}
		row := make([]driver.Value, len(cols))
		for {
			err := rows.Next(row)
			//nolint:errorlint // exactly io.EOF ends a result set; one that an error of the network wraps does not
			if err == io.EOF {
				// The driver says EOF at the end of a result set, and also
				// when the peer closed in the middle of one.
				if v, ok := s.conn.(driver.Validator); ok && !v.IsValid() {
					return io.ErrUnexpectedEOF
				}
				break
			}
			if err != nil {
				return err
			}
			if fn == nil {
				continue
			}
			if err := fn(row); err != nil {
				return err
			}
		}
		if next == nil || !next.HasNextResultSet() {
			return nil
		}
		if err := next.NextResultSet(); err != nil {
			return err
		}
	}
}

// exec sends one batch whose result sets do not matter.
func (s *session) exec(ctx context.Context, batch string) (err error) {
	defer stumbled(&err)
	if err := ctx.Err(); err != nil {
		return &notSent{err}
	}
	stmt, err := s.conn.Prepare(batch)
	if err != nil {
		return &notSent{err}
	}
	s.batches++
	_, err = stmt.(driver.StmtExecContext).ExecContext(ctx, nil)
	return err
}

// notSent marks an error that came before any byte of the batch was written.
type notSent struct{ err error }

func (e *notSent) Error() string { return "nothing was sent: " + e.err.Error() }
func (e *notSent) Unwrap() error { return e.err }

// usable reports that the session survived err: the server answered in full,
// or acknowledged the cancel.
func (s *session) usable(err error) bool {
	if v, ok := s.conn.(driver.Validator); ok && !v.IsValid() {
		return false
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return true
	}
	var se mssql.ServerError
	var me mssql.Error
	return !errors.As(err, &se) && errors.As(err, &me) && me.Class < 20
}
