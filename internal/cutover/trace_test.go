package cutover

import (
	"slices"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// traceOf plays a whole run in the model and keeps its trace.
func traceOf(t *testing.T, play func(*sim)) (*sim, []TraceStep) {
	t.Helper()
	s := newSim(false).begin()
	var steps []TraceStep
	s.kept = &steps
	if play != nil {
		play(s)
	}
	if bad := s.ends(80); len(bad) > 0 {
		t.Fatal(bad)
	}
	return s, steps
}

// TestCheckTrace: whole runs pass, and each thing that a trace may hide is
// found when it is put in.
func TestCheckTrace(t *testing.T) {
	for name, play := range map[string]func(*sim){
		"cutover":  nil,
		"way back": func(s *sim) { s.proven(); s.out = rollback },
		"S2 refused once": func(s *sim) {
			n := 0
			s.answer = func(_ *sim, st Statement) (Answer, bool) {
				if st.Kind == Demote {
					if n++; n == 1 {
						return AnswerBusy, false
					}
				}
				return AnswerAccepted, true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, steps := traceOf(t, play)
			if bad := CheckTrace(s.p, steps, false); len(bad) > 0 {
				t.Errorf("%s", strings.Join(bad, "\n"))
			}
		})
	}
	at := func(steps []TraceStep, stop func(Decision) bool) int {
		return slices.IndexFunc(steps, func(s TraceStep) bool { return stop(s.Decision) })
	}
	for _, c := range []struct {
		name  string
		spoil func(p Plan, steps []TraceStep) []TraceStep
		want  string
	}{
		{"a round is missing", func(_ Plan, s []TraceStep) []TraceStep {
			i := at(s, sends(Demote, hadr.Source))
			return slices.Delete(s, i, i+1)
		}, "it begins with another intent"},
		{"S3 sent early", func(p Plan, s []TraceStep) []TraceStep {
			i := at(s, sends(Demote, hadr.Source)) + 1
			s[i].Decision.Action, s[i].Decision.Side = ActionExecute, hadr.Target
			s[i].Decision.Statement, _ = p.statement(Promote, hadr.Target)
			return s
		}, "without its entry in the intent"},
		{"the other side was not read", func(_ Plan, s []TraceStep) []TraceStep {
			s[at(s, sends(Promote, hadr.Target))].Observation.Source.Reading = nil
			return s
		}, "while the other side reads"},
		{"the target was forced by somebody", func(_ Plan, s []TraceStep) []TraceStep {
			r := *s[3].Observation.Target.Reading
			r.DAG.Role = hadr.RolePrimary
			s[3].Observation.Target.Reading = &r
			return s
		}, "without a statement of ours"},
		{"a log went back", func(_ Plan, s []TraceStep) []TraceStep {
			r := *s[3].Observation.Source.Reading
			d := r.Databases[0]
			own := *d.Own
			own.EndOfLog = simLSN(1)
			d.Own = &own
			r.Databases = []hadr.Database{d}
			s[3].Observation.Source.Reading = &r
			return s
		}, "went back on the source"},
		{"a phase is jumped", func(_ Plan, s []TraceStep) []TraceStep {
			s[2].Decision.Intent.Phase = PhaseAfter
			return s
		}, "phase after does not follow"},
		{"it stops in the middle", func(_ Plan, s []TraceStep) []TraceStep { return s[:8] }, "the trace stops in phase"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, steps := traceOf(t, nil)
			bad := strings.Join(CheckTrace(s.p, c.spoil(s.p, steps), false), "\n")
			if !strings.Contains(bad, c.want) {
				t.Errorf("%q is not among:\n%s", c.want, bad)
			}
		})
	}
}
