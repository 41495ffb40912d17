package tds

import (
	"context"
	"time"
)

// before does what a fault does to a request that has not run yet.
func (c *conn) before(ctx context.Context, w *Response, r Request) error {
	if c.server.cfg.Faults == nil {
		return nil
	}
	f := c.server.cfg.Faults.Fault(c.info, r)
	w.Fault(f)
	if f.DropRequest {
		w.broken = true
		c.breakNow(f)
		return errDropped
	}
	if f.BreakFirst {
		w.broken = true
		c.shielded.Store(true)
		c.breakNow(f)
	}
	if f.DelayRequest <= 0 {
		return nil
	}
	if f.BreakFirst {
		// The socket is closed already; only the server's end stops this one.
		t := time.NewTimer(f.DelayRequest)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if c.pause(ctx, f.DelayRequest); ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// breakNow ends the connection as the fault says.
func (c *conn) breakNow(f Fault) {
	switch {
	case f.Hang:
		c.hung.Store(true)
	case f.Reset:
		c.raw.reset()
	default:
		_ = c.raw.Close()
	}
}

// pause waits for d, or until ctx (which may be nil) or the connection ends.
func (c *conn) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	var cancelled <-chan struct{}
	if ctx != nil {
		cancelled = ctx.Done()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-cancelled:
	case <-c.raw.closed:
	}
}

func (c *conn) halfTrip() time.Duration {
	d := c.latency.Load()
	if d < 0 {
		d = c.server.latency.Load()
	}
	return time.Duration(d) / 2
}

func (c *conn) newResponse(ctx context.Context) *Response {
	w := &Response{ctx: ctx, conn: c}
	w.pw = packetWriter{out: w.out, size: c.packetSize, spid: c.info.SPID}
	return w
}

// out sends finished packets, unless a fault has other plans for them.
func (w *Response) out(p []byte) error {
	c := w.conn
	if w.broken {
		return nil
	}
	if !w.started {
		w.started = true
		if !w.fault.DropAnswer {
			c.pause(w.ctx, w.fault.Delay)
		}
		c.pause(context.Background(), c.halfTrip())
	}
	if w.fault.DropAnswer {
		w.broken, w.dropped = true, true // the break follows when the request is done
		return nil
	}
	cut := w.fault.CutAfter > 0 && w.sent+len(p) >= w.fault.CutAfter
	if cut {
		p = p[:max(w.fault.CutAfter-w.sent, 0)]
		w.broken = true
	}
	n, err := c.stream.Write(p)
	w.sent += n
	if cut {
		c.breakNow(w.fault)
		return nil
	}
	return err
}
