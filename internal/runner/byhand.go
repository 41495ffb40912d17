package runner

import (
	"context"
	"time"
)

// manualStart is a person's run or drill, waiting for the loop's answer.
type manualStart struct {
	by    string
	drill bool
	gone  bool // who asked was told that it did not begin; under mu
	reply chan startReply
}

type startReply struct {
	run string
	err error
}

// Run implements API.
func (c *Controller) Run(ctx context.Context, r Request) (string, error) {
	return c.startByHand(ctx, r, false)
}

// Drill implements API.
func (c *Controller) Drill(ctx context.Context, r Request) (string, error) {
	return c.startByHand(ctx, r, true)
}

// startByHand asks the loop to start the armed run without an alert. Every
// other gate holds.
func (c *Controller) startByHand(ctx context.Context, r Request, drill bool) (string, error) {
	op, other := "run", "a drill"
	if drill {
		op, other = "drill", "a cutover"
	}
	if err := c.who(op, r); err != nil {
		return "", err
	}
	m := &manualStart{by: r.By, drill: drill, reply: make(chan startReply, 1)}
	c.mu.Lock()
	a := c.state.Arming
	var no *Refused
	switch {
	case c.closing || !c.started:
		no = c.refuse(op, "the webhook is starting or shutting down", "")
	case c.base.Run != "":
		no = c.refuse(op, "run "+c.base.Run+" has not ended", "wait for its end")
	case a == nil || a.Spent != "" || a.Generation <= c.blocked:
		no = c.refuse(op, "nothing is armed", "arm it first")
	case a.Drill != drill:
		no = c.refuse(op, "it is armed for "+other, "arm it for this")
	case c.manual != nil:
		no = c.refuse(op, c.manual.by+" has just asked for the same", "")
	default:
		c.manual = m
	}
	c.mu.Unlock()
	if no != nil {
		return "", no
	}
	c.nudge()
	t := time.NewTimer(manualWait)
	defer t.Stop()
	select {
	case a := <-m.reply:
		return a.run, a.err
	case <-c.done:
	case <-ctx.Done():
	case <-t.C:
	}
	// Nobody waits for it any more, so it must not start later.
	c.mu.Lock()
	m.gone = true
	if c.manual == m {
		c.manual = nil
	}
	c.mu.Unlock()
	select {
	case a := <-m.reply:
		return a.run, a.err
	default:
	}
	e := c.refuse(op, "the sides were not read in time", "see status: a run that it may have started is shown there")
	e.Wait = true
	return "", e
}

func (c *Controller) takeManual() *manualStart {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.manual
	c.manual = nil
	return m
}

// putBack lets the next round look at a request that this one did not answer.
func (c *Controller) putBack(m *manualStart) {
	if m == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.manual == nil && !m.gone {
		c.manual = m
	}
}

// givenUp reports a request whose answer nobody waits for any more.
func (c *Controller) givenUp(m *manualStart) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m != nil && m.gone
}

func (c *Controller) refuseManual(why string) {
	if m := c.takeManual(); m != nil {
		m.reply <- startReply{err: c.refuse("run", why, "")}
	}
}
