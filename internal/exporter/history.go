package exporter

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// problem is an entry of a DAG's history of errors.
type problem struct {
	At     time.Time
	Side   hadr.Side
	Reason string
	Text   string
}

// glance is what is kept of a scrape: what the page shows. A whole snapshot
// holds both readings, some 200 KiB with 50 databases, and a process that
// keeps one for each of 200 DAGs more than it needs for anything else.
type glance struct {
	// Convergence without what it was told from: of its databases only the
	// worst, worst first, and without the sides' own copies.
	Convergence hadr.Convergence
	databases   int // how many there were
	sides       []pageSide
}

func glanceAt(s *collector.Snapshot) *glance {
	c := &s.Convergence
	out := &glance{databases: len(c.Databases), sides: []pageSide{pageSideOf(hadr.Source, &s.Source), pageSideOf(hadr.Target, &s.Target)}}
	out.Convergence = hadr.Convergence{State: c.State, Level: c.Level, Reason: c.Reason, Direction: c.Direction, Skew: c.Skew}
	for _, d := range worstOf(c.Databases) {
		kept := *d
		kept.Source, kept.Target = nil, nil // they lead to the whole reading
		out.Convergence.Databases = append(out.Convergence.Databases, kept)
	}
	return out
}

// worstOf is the databases that the page names, worst first.
func worstOf(all []hadr.DatabaseConvergence) []*hadr.DatabaseConvergence {
	worst := make([]*hadr.DatabaseConvergence, len(all))
	for i := range all {
		worst[i] = &all[i]
	}
	slices.SortStableFunc(worst, func(a, b *hadr.DatabaseConvergence) int { return int(a.Level) - int(b.Level) })
	return worst[:min(worstShown, len(worst))]
}

// history is what the status page shows: the last scrape and the errors
// before it. It feeds no metric.
type history struct {
	mu       sync.Mutex
	at       time.Time
	last     *glance
	problems []problem // newest first
	reason   map[hadr.Side]string
	partly   map[string]time.Time // when what a part of a reading failed with was told last
}

const (
	keptProblems = 10
	// tellPartly is how often a part that goes on failing is told: collectors
	// that are asked for in turn must not tell it in turn.
	tellPartly = time.Hour
)

func (h *history) add(at time.Time, s *collector.Snapshot, source, target error, log *slog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.last == nil || h.last.Convergence.State != s.Convergence.State
	if changed {
		log.Info("convergence", "state", s.Convergence.State, "direction", s.Convergence.Direction, "reason", s.Convergence.Reason)
	}
	h.at, h.last = at, glanceAt(s)
	for _, e := range []struct {
		side    hadr.Side
		reason  string
		err     error
		reading *hadr.Reading
	}{{hadr.Source, s.Source.Reason, source, s.Source.Reading}, {hadr.Target, s.Target.Reason, target, s.Target.Reading}} {
		if h.reason == nil {
			h.reason = map[hadr.Side]string{}
		}
		before := h.reason[e.side]
		h.reason[e.side] = e.reason
		if e.reason == collector.ReasonNone {
			if before != "" && before != collector.ReasonNone {
				log.Info("side is read again", "side", e.side)
			}
			h.incomplete(at, e.side, e.reading, log)
			continue
		}
		text := s.Convergence.Reason
		if e.err != nil {
			text = e.err.Error()
		}
		if before == e.reason && len(h.problems) > 0 { // told already: not again with every scrape
			continue
		}
		log.Warn("side was not read", "side", e.side, "reason", e.reason, "err", text)
		h.put(problem{At: at, Side: e.side, Reason: e.reason, Text: text})
	}
}

// incomplete tells which statements of a reading failed while the rest was
// read, and what the server said to them.
func (h *history) incomplete(at time.Time, side hadr.Side, r *hadr.Reading, log *slog.Logger) {
	if r == nil {
		return
	}
	for i, part := range r.Failed {
		why := "no answer"
		if i < len(r.FailedWhy) {
			why = cmp.Or(r.FailedWhy[i], why)
		}
		key := string(side) + " " + part + " " + why
		if told, ok := h.partly[key]; ok && at.Sub(told) < tellPartly {
			continue
		}
		if h.partly == nil || len(h.partly) > 100 { // texts with numbers in them must not pile up
			h.partly = map[string]time.Time{}
		}
		h.partly[key] = at
		log.Warn("a part of the reading failed", "side", side, "statement", part, "err", why)
		h.put(problem{At: at, Side: side, Reason: "incomplete", Text: part + ": " + why})
	}
}

func (h *history) put(p problem) {
	h.problems = slices.Insert(h.problems, 0, p)
	if len(h.problems) > keptProblems {
		h.problems = h.problems[:keptProblems]
	}
}

func (h *history) get() (time.Time, *glance, []problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at, h.last, slices.Clone(h.problems)
}
