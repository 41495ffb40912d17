package runner

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// slowWrite is how long the journal may take over one write before a human hears
// of it. A disk that fails says so; one that hangs (a path to the storage that is
// gone, a share of a network) says nothing, for minutes or for good.
const slowWrite = 5 * time.Second

// written waits for one write of the journal, however long that takes: one that is
// given up halfway is of unknown outcome. While the disk hangs nothing is sent but
// RSSTC=0, as while it refuses; it is a page, and the next write that comes
// through ends it.
func (c *Controller) written(write func() error) error {
	type result struct {
		err   error
		panic any
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if r.panic = recover(); r.panic != nil { // the stack is gone where it is raised again
				c.log.Error("a write of the journal broke", "panic", fmt.Sprint(r.panic), "stack", string(debug.Stack()))
			}
			done <- r
		}()
		r.err = write()
	}()
	began, killed := time.Now(), c.ctx.Done()
	for wait := slowWrite; ; wait = sickPoll {
		t := time.NewTimer(wait)
		select {
		case r := <-done:
			t.Stop()
			if r.panic != nil {
				panic(r.panic) // as if it had been written here: guarded deals with it
			}
			return r.err
		case <-killed:
			t.Stop()
			killed = nil // a write that comes back is still waited for, one that hangs is not
		case <-t.C:
			if err := c.ctx.Err(); err != nil {
				return err
			}
			c.hangs(time.Since(began))
		}
	}
}

// hangs is what is done every second while a write does not come back.
func (c *Controller) hangs(since time.Duration) {
	first := c.sick == nil
	c.sick = fmt.Errorf("a write has not come back for %s", since.Round(time.Second))
	text := "the journal does not answer, so nothing is sent: " + c.sick.Error()
	c.setReason(text)
	c.trouble("journal", text, "look at the disk of --storage.path: the engine goes on by itself as soon as it answers")
	if first {
		c.log.Error("the journal does not answer: nothing is sent until it does", "since", since)
	}
	c.emit("page", text)
	if c.run == nil || !required(c.run.intent) {
		return
	}
	// What the round has read grows old while the disk hangs.
	ctx, cancel := context.WithTimeout(c.ctx, c.o.HotReadTimeout)
	defer cancel()
	r, err := c.side[hadr.Source].Read(ctx, Want{})
	if err != nil || c.run.plan.GroupID != r.DAG.GroupID {
		r = nil
	}
	c.unfence(r)
}

// recovered asks a journal that failed, while no run will write to it by itself,
// whether it can be written again: or the page would stand until the next run.
func (c *Controller) recovered() {
	if c.sick == nil {
		return
	}
	err := c.written(func() error {
		_, err := c.o.Journal.Update(c.Name(), func(*journal.State) error { return nil })
		return err
	})
	if err == nil {
		c.well()
	}
}
