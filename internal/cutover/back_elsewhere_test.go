package cutover

import (
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestReleaseStaysWithThePlan: behind the source's DSN another group of the
// same name answers (the DSN was changed, the webhook restarted). RSSTC=0 asks
// for no lock and no run id; it is not sent there. A source that does not answer
// is no such thing.
func TestReleaseStaysWithThePlan(t *testing.T) {
	for _, c := range []struct {
		name  string
		stuck bool
	}{{"going back", false}, {"under a page", true}} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(false).begin()
			s.until(t, 60, sends(RequireSecondary, hadr.Source))
			if s.out = rollback; c.stuck {
				s.in.Stuck, s.in.StuckWhy = PageUnexplained, "somebody acted"
			}
			elsewhere := func() (Observation, Decision) {
				s.now = s.now.Add(tick)
				o := s.w.observe(s.now, s.outside())
				o.Source.Reading.DAG.GroupID, o.Source.Reading.Local.GroupID = "another-dag", "another-ag"
				return o, decide(rules{}, &s.p, s.hash, s.in, &o, s.now)
			}
			for range 6 {
				o, d := elsewhere()
				if d.Action == ActionExecute {
					t.Fatalf("%s was sent to another group: %s", describe(d), d.Reason)
				}
				s.act(o, d)
			}
			if p := s.in.Page; p == nil || !c.stuck && !strings.Contains(p.Text, "does not show the distributed availability group DAG of the plan") {
				t.Errorf("page %s: %s", named(p), s.last.Reason)
			}
			if c.stuck {
				s.in.Stuck = ""
			}
			s.until(t, 60, finishes)
			s.clean(t)
		})
	}
}

// TestIdleForeignRunID: no side is PRIMARY and master holds a run id that this
// journal does not know: its webhook may have an S3 on the way.
func TestIdleForeignRunID(t *testing.T) {
	m := idleMoment()
	m.src.DAG.Role = hadr.RoleSecondary
	m.tgt.Marker = hadr.Some("run-of-another")
	p := m.decide().Page
	if p == nil || p.Code != PageBothSecondary || !strings.Contains(p.Text, "run-of-another") || !strings.Contains(p.Before[0], "an S3 of its may still land") {
		t.Errorf("%+v", p)
	}
}
