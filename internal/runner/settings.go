package runner

import (
	"cmp"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// settings is the part of a plan that the configuration decides. Values that
// the loader has not filled get the defaults of design.md, so that a
// hand-made config.DAG means the same as a loaded one.
func settings(d config.DAG, drill bool) cutover.Settings {
	c := d.Cutover
	dur := func(v config.Duration, def time.Duration) time.Duration { return cmp.Or(v.D(), def) }
	s := cutover.Settings{
		DAG: d.Name, Group: cmp.Or(d.Group, d.Name), SourceAG: d.Source.AG, TargetAG: d.Target.AG,
		Databases: d.Databases, Drill: drill, CrossVersion: d.CrossVersion,

		StartAt:        cutover.Level(cmp.Or(c.StartAt, string(cutover.LevelCaughtUp))),
		NearSendQueue:  int64(cmp.Or(d.Near.LogSendQueue, 64<<20)),
		NearRedoQueue:  int64(cmp.Or(d.Near.RedoQueue, 256<<20)),
		ProofBasis:     cutover.Basis(cmp.Or(c.ProofBasis, string(cutover.BasisHardened))),
		BlindS3:        c.BlindS3,
		SettleReadings: cmp.Or(c.SettleReadings, 3),
		BackToAsync:    c.BackToAsync || d.CrossVersion,
		Approvals:      1,
		SelfApprove:    c.SelfApprove,

		ProofTTL:            dur(c.ProofTTL, 10*time.Second),
		SettleInterval:      dur(c.SettleInterval, 250*time.Millisecond),
		Settle:              dur(c.Settle, 2*time.Minute),
		RequireExposure:     dur(c.RequireExposure, 15*time.Second),
		MaxWriteUnavailable: dur(c.MaxWriteUnavailable, time.Minute),
		MaxDuration:         dur(c.MaxDuration, 30*time.Minute),
		SplitWatch:          dur(c.SplitWatch, 10*time.Minute),
		MaxClockOffset:      30 * time.Second,
		HookTimeout:         hookTimeout,

		QuietPrograms: c.QuietPrograms,
		Checklist:     c.Checklist,
	}
	if c.Approvals != nil {
		s.Approvals = *c.Approvals
	}
	for _, name := range cutover.HookNames {
		if h := hookOf(c.Hooks, name); !h.IsZero() {
			s.Hooks = append(s.Hooks, name)
			s.HookTimeout = max(s.HookTimeout, h.Timeout.D())
		}
	}
	return s
}

func hookOf(h config.Hooks, name cutover.HookName) config.Hook {
	switch name {
	case cutover.HookQuiesce:
		return h.Quiesce
	case cutover.HookUnquiesce:
		return h.Unquiesce
	case cutover.HookRepoint:
		return h.Repoint
	case cutover.HookAfter:
		return h.After
	}
	return config.Hook{}
}

// compareOptions are the options of hadr.Compare for this DAG.
func compareOptions(s cutover.Settings) hadr.Options {
	return hadr.Options{
		Group: s.Group, Databases: s.Databases, CrossVersion: s.CrossVersion,
		Near: hadr.Bounds{LogSendQueue: s.NearSendQueue, RedoQueue: s.NearRedoQueue},
	}
}

// window evaluates the change window at now.
func window(c *config.Cutover, now time.Time) cutover.Window {
	if !c.HasWindow() {
		return cutover.Window{Known: true, Open: true, Text: "no window is configured"}
	}
	open, left := c.Open(now)
	w := cutover.Window{Known: true, Open: open, Left: left}
	if open {
		w.Text = "open until " + now.Add(left).UTC().Format(time.RFC3339)
		return w
	}
	if at, ok := c.NextOpen(now); ok {
		w.Text = "opens next at " + at.UTC().Format(time.RFC3339)
	} else {
		w.Text = "never opens again: look at window, not_before and not_after"
	}
	return w
}

// armingEnd is when an arming made now ends: never after the window that is
// open, or that opens next.
func armingEnd(c *config.Cutover, now, wanted time.Time) time.Time {
	if !c.HasWindow() {
		return wanted
	}
	at := now
	open, left := c.Open(now)
	if !open {
		next, ok := c.NextOpen(now)
		if !ok {
			return now // nothing to arm for
		}
		at = next
		_, left = c.Open(next)
	}
	if end := at.Add(left); end.Before(wanted) {
		return end
	}
	return wanted
}
