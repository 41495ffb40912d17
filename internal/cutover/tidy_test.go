package cutover

import (
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestSourceUnreadAfterDone: the move is done and the old source, where RSSTC=1
// of ours stands, cannot be seen. It is waited for a while, without the hooks;
// then the statement is left to a hand, and said.
func TestSourceUnreadAfterDone(t *testing.T) {
	for name, back := range map[string]bool{"comes back": true, "stays away": false} {
		t.Run(name, func(t *testing.T) {
			s := newSim(false).begin()
			s.until(t, 80, func(Decision) bool { return s.in.Phase == PhaseAfter })
			s.w.s[0].down = true
			gone := s.now
			var d Decision
			for d = s.round(); d.Action != ActionFinish; d = s.roundAfter(time.Second) {
				if back && s.now.Sub(gone) > 12*time.Second {
					s.w.s[0].down = false
				}
				if s.now.Sub(gone) > time.Minute {
					t.Fatalf("no end: %s", d.Reason)
				}
			}
			s.clean(t)
			if s.in.Outcome != OutcomeDone {
				t.Errorf("outcome %s", s.in.Outcome)
			}
			if back {
				if d.Page != nil || s.count("release_secondary source") == 0 {
					t.Errorf("page %+v, %d times RSSTC=0 on the source", d.Page, s.count("release_secondary source"))
				}
				return
			}
			if d.Page == nil || d.Page.Code != PageTidy || len(d.Page.Statements) != 1 ||
				d.Page.Statements[0].Kind != ReleaseSecondary || d.Page.Statements[0].Side != hadr.Source {
				t.Errorf("the run ended with page %+v; RSSTC=1 stands on a source that cannot be seen", d.Page)
			}
		})
	}
}

// TestRSSTCReachesTheTarget: where the primary's RSSTC reaches the forwarder's
// copy, the last check goes on once ours was sent, and S3 is not sent before
// the target's own reads 0. Without ours it is somebody else's.
func TestRSSTCReachesTheTarget(t *testing.T) {
	m := lastCheck(t)
	m.tgt.DAG.RSSTC = hadr.Some[int64](1)
	if v := m.verdict(GateRSSTC); !v.Open() {
		t.Errorf("the last check after RSSTC=1 on the source: %+v", v)
	}
	m.tgt.DAG.Role = hadr.RolePrimary
	if v := m.verdict(GateRSSTC); v.Open() {
		t.Errorf("on a target that is PRIMARY: %+v", v)
	}
	m = idleMoment()
	m.tgt.DAG.RSSTC = hadr.Some[int64](1)
	if v := m.verdict(GateRSSTC); v.Open() {
		t.Errorf("before a run: %+v", v)
	}

	s := newSim(false).begin()
	s.until(t, 80, sends(Demote, hadr.Source))
	s.w.s[1].rsstc = 1
	s.until(t, 80, sends(ReleaseSecondary, hadr.Target))
	if s.count("promote target") > 0 {
		t.Error("S3 was sent while the target's own RSSTC read 1")
	}
	s.until(t, 80, finishes)
	s.clean(t)
}
