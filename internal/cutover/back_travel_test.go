package cutover

import (
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestBackAfterRSSTCTravelled: where the primary's RSSTC reaches the
// forwarder's copy, RSSTC=0 on a demoted source does not reach it: it is taken
// back on the target too, or the next move would find it there. What cannot be
// taken back is left to a hand, and said.
func TestBackAfterRSSTCTravelled(t *testing.T) {
	const back = "release_secondary source, promote source, set_asynchronous target, set_asynchronous source"
	refused := func(_ *sim, st Statement) (Answer, bool) {
		if st.Kind == ReleaseSecondary && st.Side == hadr.Target {
			return AnswerRefused, false
		}
		return AnswerAccepted, true
	}
	for _, c := range []struct {
		name   string
		drill  bool
		change func(*sim) // after S2 was seen
		after  string     // between the modes and the writers
		left   bool       // the run ends with the statement on a page
		rsstc  int8       // of the target in the end
	}{
		{"travelled", false, func(s *sim) { s.w.s[1].rsstc = 1 }, ", release_secondary target", false, 0},
		{"travelled, a drill", true, func(s *sim) { s.w.s[1].rsstc = 1 }, ", release_secondary target", false, 0},
		{"not travelled", false, func(*sim) {}, "", false, 0},
		{"travelled, refused", false, func(s *sim) { s.w.s[1].rsstc, s.answer = 1, refused },
			", release_secondary target, release_secondary target, release_secondary target", true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(c.drill).begin()
			s.until(t, 60, sends(Demote, hadr.Source))
			c.change(s)
			if s.out = rollback; c.drill {
				s.out = nil
			}
			d := s.until(t, 60, finishes)
			s.clean(t)
			acts := strings.ReplaceAll(s.acts(), "page outstanding, ", "")
			want := "demote source, " + back + c.after + ", hook unquiesce, unmark source, unmark target, finish "
			if !strings.Contains(acts, want) {
				t.Errorf("acts\n got %s\nwant %s", acts, want)
			}
			if got := s.w.s[1].rsstc; got != c.rsstc || s.w.s[0].rsstc != 0 {
				t.Errorf("RSSTC %d on the target, %d on the source", got, s.w.s[0].rsstc)
			}
			if left := d.Page != nil; left != c.left || left && named(d.Page) != "tidy_up: release_secondary target" {
				t.Errorf("left to a hand: %s", named(d.Page))
			}
		})
	}
}

// TestBackLeavesAForeignRSSTC: RSSTC=1 on the target is ours to take back only
// where RSSTC=1 of ours was sent to the source, and never from a target that
// took over.
func TestBackLeavesAForeignRSSTC(t *testing.T) {
	s := newSim(false).begin()
	s.until(t, 60, func(Decision) bool { return s.in.Phase == PhaseWaitSynchronized })
	s.w.s[1].rsstc, s.out = 1, rollback
	s.until(t, 60, finishes)
	s.clean(t)
	if s.count("release_secondary target") > 0 {
		t.Errorf("took back what it had not set: %s", s.acts())
	}
}
