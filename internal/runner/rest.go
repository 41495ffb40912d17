package runner

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// restPhase is where a DAG without a run stands: the split watch after a run,
// then "ended" until somebody has acknowledged it.
func (c *Controller) restPhase(now time.Time) cutover.Phase {
	c.mu.Lock()
	unacknowledged := c.state.Unacknowledged != ""
	c.mu.Unlock()
	switch {
	case now.Before(c.watch):
		return cutover.PhaseWatch
	case unacknowledged:
		return cutover.PhaseEnded
	}
	return cutover.PhaseIdle
}

// restReason is what there is to say after a run, or once the source is not the
// side to move from any more: "" where the gates are what stands in the way. What
// they say about a move that is over reads like advice about the copies, and
// nobody shall follow it.
func (c *Controller) restReason(s *Status, now time.Time) string {
	c.mu.Lock()
	last, armed := c.state.Unacknowledged, c.state.Arming != nil && c.state.Arming.Spent == ""
	c.mu.Unlock()
	var parts []string
	switch run := cmp.Or(last, c.rest.Run); {
	case run == "" || last == "" && armed: // seen by somebody, who wants the next one
	case c.rest.Run != run:
		parts = append(parts, "run "+run+" ended")
	default:
		parts = append(parts, fmt.Sprintf("run %s ended: %s", run, c.rest.Outcome))
	}
	moved := s.Direction == string(hadr.DirectionTargetToSource)
	if last == "" && !moved && (s.Phase != string(cutover.PhaseWatch) || armed) {
		return ""
	}
	if moved {
		parts = append(parts, "the target is PRIMARY and the source SECONDARY, so nothing is left to move")
	}
	if now.Before(c.watch) {
		parts = append(parts, "two primaries are looked for until "+c.watch.UTC().Format(time.RFC3339))
	}
	if last != "" {
		parts = append(parts, "acknowledge it with: cutover_webhook acknowledge "+c.Name())
	}
	return strings.Join(parts, "; ")
}

// idlePage logs a page that stands without a run, once.
func (c *Controller) idlePage(p *cutover.Page, now time.Time) {
	key := ""
	if p != nil && c.run == nil {
		key = p.Code
	}
	if key == c.paged {
		return
	}
	c.paged = key
	if key == "" {
		return
	}
	c.log.Error("a human is needed", "code", p.Code, "text", p.Text)
	e := journal.NewEvent(now, "page", p.Text, p)
	var err error
	c.mu.Lock()
	last := c.lastRun.ID
	c.mu.Unlock()
	if last != "" && now.Before(c.watch) {
		err = c.written(func() error { return c.o.Journal.Append(last, e) }) // what the split watch found belongs to the run
	} else {
		err = c.written(func() error {
			_, err := c.o.Journal.Update(c.Name(), func(*journal.State) error { return nil }, e)
			return err
		})
	}
	if err != nil {
		c.log.Error("the page could not be journalled", "error", err)
		c.paged = "" // again in the next round
	}
	c.emit("page", p.Text)
}
