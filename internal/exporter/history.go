package exporter

import (
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
}

const keptProblems = 10

func (h *history) add(at time.Time, s *collector.Snapshot, source, target error, log *slog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.last == nil || h.last.Convergence.State != s.Convergence.State
	if changed {
		log.Info("convergence", "state", s.Convergence.State, "direction", s.Convergence.Direction, "reason", s.Convergence.Reason)
	}
	h.at, h.last = at, glanceAt(s)
	for _, e := range []struct {
		side   hadr.Side
		reason string
		err    error
	}{{hadr.Source, s.Source.Reason, source}, {hadr.Target, s.Target.Reason, target}} {
		if h.reason == nil {
			h.reason = map[hadr.Side]string{}
		}
		before := h.reason[e.side]
		h.reason[e.side] = e.reason
		if e.reason == collector.ReasonNone {
			if before != "" && before != collector.ReasonNone {
				log.Info("side is read again", "side", e.side)
			}
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
		h.problems = slices.Insert(h.problems, 0, problem{At: at, Side: e.side, Reason: e.reason, Text: text})
		if len(h.problems) > keptProblems {
			h.problems = h.problems[:keptProblems]
		}
	}
}

func (h *history) get() (time.Time, *glance, []problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at, h.last, slices.Clone(h.problems)
}
