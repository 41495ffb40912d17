package tds

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// gate can be shut; whoever waits at it passes when it is opened or when its own
// connection ends.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when the gate opens; nil while it is open
	gen  int           // grows whenever it is shut or opened
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.shut == nil:
		g.shut = make(chan struct{})
		g.gen++
	case !shut && g.shut != nil:
		close(g.shut)
		g.shut = nil
		g.gen++
	}
}

// wait returns false when closed came first.
func (g *gate) wait(closed <-chan struct{}) bool {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return true
	}
	select {
	case <-shut:
		return true
	case <-closed:
		return false
	}
}

func (g *gate) generation() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gen
}

// rawConn is the socket with its deadlines and its two gates: one of this
// connection, one of the whole server. While a gate is shut nothing is handed up
// and nothing sent; deadlines that pass meanwhile are set anew, so that what
// follows a freeze is what follows a process that stood still.
type rawConn struct {
	net.Conn
	own    *gate
	all    *gate
	writes time.Duration // for each write

	mu    sync.Mutex
	limit time.Duration // of reading; 0 for none
	until time.Time
	gen   int
	arm   time.Duration // set limit when the next bytes come

	once   sync.Once
	closed chan struct{}
}

func newRawConn(c net.Conn, all *gate, writes time.Duration) *rawConn {
	return &rawConn{Conn: c, own: &gate{}, all: all, writes: writes, closed: make(chan struct{})}
}

func (c *rawConn) pass() error {
	if c.own.wait(c.closed) && c.all.wait(c.closed) {
		return nil
	}
	return net.ErrClosed
}

func (c *rawConn) freezes() int { return c.own.generation() + c.all.generation() }

// limitReading bounds all reading from now on; 0 lifts the bound. With onData the
// time runs only from the next bytes on.
func (c *rawConn) limitReading(d time.Duration, onData bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arm = 0
	if onData {
		c.arm, d = d, 0
	}
	c.setLimit(d)
}

func (c *rawConn) setLimit(d time.Duration) {
	c.limit, c.gen = d, c.freezes()
	c.until = time.Time{}
	if d > 0 {
		c.until = time.Now().Add(d)
	}
	// Fails only on a closed connection, where the read itself will say so.
	_ = c.Conn.SetReadDeadline(c.until)
}

func (c *rawConn) Read(p []byte) (int, error) {
	for {
		if err := c.pass(); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p)
		if passErr := c.pass(); passErr != nil {
			return 0, passErr
		}
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			c.mu.Lock()
			frozen := c.limit > 0 && c.gen != c.freezes()
			if frozen {
				c.setLimit(c.limit)
			}
			c.mu.Unlock()
			if frozen {
				continue
			}
		}
		if n > 0 {
			c.mu.Lock()
			if c.arm > 0 {
				c.setLimit(c.arm)
				c.arm = 0
			}
			c.mu.Unlock()
		}
		return n, err
	}
}

func (c *rawConn) Write(p []byte) (int, error) {
	if err := c.pass(); err != nil {
		return 0, err
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.writes)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// The deadlines are ours: crypto/tls must not move them.

func (c *rawConn) SetDeadline(time.Time) error      { return nil }
func (c *rawConn) SetReadDeadline(time.Time) error  { return nil }
func (c *rawConn) SetWriteDeadline(time.Time) error { return nil }

func (c *rawConn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.closed)
		err = c.Conn.Close()
	})
	return err
}

// reset closes so that the peer gets a TCP reset.
func (c *rawConn) reset() {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // at worst the close is an orderly one
	}
	_ = c.Close()
}

// closeWrite tells the peer that nothing more comes, and lets it read what came.
func (c *rawConn) closeWrite() {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		_ = t.CloseWrite() // the close that follows is what counts
	}
}
