package cutover

import (
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestUnseenBeforeS2: a side that is not seen for settle while nobody was
// stopped yet ends the run: with a page where the source cannot be seen, with
// an outcome, and what is left on the target, where it can. It is not waited
// for until max_duration in silence.
func TestUnseenBeforeS2(t *testing.T) {
	for _, c := range []struct {
		name   string
		play   func(*sim) // from PhaseWaitSynchronized on
		reason string
		end    string // outcome, or the page that stands
		left   string // of the last decision
	}{
		{"target gone", func(s *sim) { s.w.s[1].down = true },
			"the target has not been seen for ", "aborted", "tidy_up: set_asynchronous target"},
		{"source gone", func(s *sim) { s.w.s[0].down = true },
			"the source has not been seen for ", "", "unreadable: promote target"},
		{"source RESOLVING", func(s *sim) { s.w.s[0].role = hadr.RoleResolving },
			"it reads RESOLVING", "", "unreadable: promote target"},
		{"target gone, then back", func(s *sim) {
			s.w.s[1].down = true
			for range 15 { // less than settle
				s.roundAfter(time.Second)
			}
			s.w.s[1].down = false
		}, "", "done", "no page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(false).begin()
			s.to(60, func(Decision) bool { return s.in.Phase == PhaseWaitSynchronized })
			s.w.link = false // it waits there
			s.round()
			gone := s.now
			c.play(s)
			if c.reason == "" {
				s.w.link = true
			}
			for s.in.Ended.IsZero() && s.now.Sub(gone) < s.p.MaxDuration-10*time.Second {
				s.roundAfter(time.Second)
			}
			if c.reason != "" && (s.in.GoingBack == nil || !strings.Contains(s.in.GoingBack.Reason, c.reason) || s.in.GoingBack.At.Sub(gone) > s.p.Settle+5*time.Second) {
				t.Errorf("going back: %+v, gone at %s", s.in.GoingBack, gone)
			}
			if string(s.in.Outcome) != c.end || named(s.last.Page) != c.left {
				t.Errorf("outcome %q, %s; want %q, %s\n%s: %s", s.in.Outcome, named(s.last.Page), c.end, c.left, s.acts(), s.last.Reason)
			}
			if c.end == "aborted" && s.w.s[0].sync {
				t.Errorf("the source, which answers, still commits synchronously: %s", s.acts())
			}
			if len(s.bad) > 0 {
				t.Error(s.bad)
			}
		})
	}
}
