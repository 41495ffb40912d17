package cutover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TraceStep is one round of a run as it really went: what the engine was
// given, what it decided, and what came of it.
type TraceStep struct {
	At          time.Time   `json:"at"` // the now that Decide was given
	Before      Intent      `json:"before"`
	Observation Observation `json:"observation"`
	Decision    Decision    `json:"decision"`
	Result      *Result     `json:"result,omitempty"` // nil: nothing was done, or the process died over it
	RecordedAt  time.Time   `json:"recorded_at,omitzero"`
}

// CheckTrace holds the trace of one real run against the model: every decision
// is the one that Decide makes of what was given to it and passes Audit; each
// round begins with the intent that the last one left, or, after a crash, one
// that the journal may hold; the phases follow the order; and the servers did
// nothing that the model does not know, unless foreign says that somebody else
// acted: no role and no RSSTC changes without a statement of ours, no log goes
// back. What is wrong, a line each.
func CheckTrace(p Plan, steps []TraceStep, foreign bool) (bad []string) {
	last := map[hadr.Side]*hadr.Reading{}
	for n := range steps {
		s := &steps[n]
		say := func(format string, args ...any) {
			bad = append(bad, fmt.Sprintf("round %d, %s: ", n, s.Before.Phase)+fmt.Sprintf(format, args...))
		}
		want := Decide(p, s.Before, s.Observation, s.At)
		if d := s.Decision; d.Action != want.Action || d.Side != want.Side || d.Statement != want.Statement || d.Hook != want.Hook || d.Outcome != want.Outcome || !sameJSON(d.Intent, want.Intent) {
			say("the run went on with %s %s, Decide says %s %s", d.Action, d.Statement.Kind, want.Action, want.Statement.Kind)
		}
		for _, b := range Audit(&p, s.Before, &s.Observation, s.Decision) {
			say("%s", b)
		}
		if !follows(s.Before.Phase, s.Decision.Intent.Phase) {
			say("phase %s does not follow", s.Decision.Intent.Phase)
		}
		if n > 0 {
			if !left(steps[:n], s.Before) {
				say("it begins with another intent than the last round left")
			}
		}
		for _, side := range []hadr.Side{hadr.Source, hadr.Target} {
			r := s.Observation.Side(side).Reading
			if r == nil || r.DAG.Role != hadr.RolePrimary && r.DAG.Role != hadr.RoleSecondary {
				continue
			}
			if before := last[side]; before != nil && !foreign {
				for _, b := range unexplainedChange(&p, &s.Before, side, before, r) {
					say("%s", b)
				}
			}
			last[side] = r
		}
	}
	if n := len(steps); n > 0 {
		end := steps[n-1].Decision.Intent
		if end.Active() {
			bad = append(bad, fmt.Sprintf("the trace stops in phase %s", end.Phase))
		}
		primary := map[Outcome]hadr.Side{OutcomeDone: hadr.Target, OutcomeAborted: hadr.Source, OutcomeRolledBack: hadr.Source, OutcomeDrilled: hadr.Source}[end.Outcome]
		if r := last[primary]; primary != "" && (r == nil || r.DAG.Role != hadr.RolePrimary) {
			bad = append(bad, fmt.Sprintf("it ends as %s, and the %s was not last read as PRIMARY", end.Outcome, primary))
		}
	}
	return bad
}

// left reports that a round may begin with this intent after those before it:
// with the one that the last of them left; or, where a write failed or the
// process died over it, with one of the last few that were on disk.
func left(before []TraceStep, in Intent) bool {
	for n := len(before) - 1; n >= max(0, len(before)-5); n-- {
		s := &before[n]
		if s.Result != nil && sameJSON(in, Record(s.Decision.Intent, *s.Result, s.RecordedAt)) || sameJSON(in, s.Decision.Intent) || sameJSON(in, s.Before) {
			return true
		}
	}
	return false
}

// unexplainedChange is what changed between two readings of a side that no
// statement of ours explains.
func unexplainedChange(p *Plan, in *Intent, side hadr.Side, before, now *hadr.Reading) (bad []string) {
	if before.DAG.Role != now.DAG.Role {
		k := Demote
		if now.DAG.Role == hadr.RolePrimary {
			k = Promote
		}
		if !mayBeSent(in, k, side) {
			bad = append(bad, fmt.Sprintf("the %s went from %s to %s without a statement of ours", side, before.DAG.Role, now.DAG.Role))
		}
	}
	if side == hadr.Source && before.DAG.RSSTC.OK && now.DAG.RSSTC.OK && before.DAG.RSSTC.V != now.DAG.RSSTC.V {
		k := ReleaseSecondary
		if now.DAG.RSSTC.V == 1 {
			k = RequireSecondary
		}
		if !mayBeSent(in, k, side) {
			bad = append(bad, fmt.Sprintf("RSSTC of the %s went from %d to %d without a statement of ours", side, before.DAG.RSSTC.V, now.DAG.RSSTC.V))
		}
	}
	if !before.Identity.SameInstance(now.Identity) {
		return bad // another process shows another log, and the rules look at that
	}
	for _, name := range p.Databases {
		a, b := database(before, name), database(now, name)
		if a == nil || b == nil || a.Own == nil || b.Own == nil || !a.Own.EndOfLog.Known() || !b.Own.EndOfLog.Known() {
			continue
		}
		if !b.Own.EndOfLog.AtLeast(a.Own.EndOfLog) {
			bad = append(bad, fmt.Sprintf("the log of %s went back on the %s, from %s to %s", name, side, a.Own.EndOfLog, b.Own.EndOfLog))
		}
	}
	return bad
}

// follows reports that one round may lead from one phase to the other: along
// the order, over as many phases as have nothing to wait for; or out of it by
// the ways that the order has.
func follows(from, to Phase) bool {
	forward := []Phase{PhaseLock, PhaseMark, PhaseSetSynchronous, PhaseWaitSynchronized, PhaseQuiesce, PhaseDrain, PhaseRequire, PhaseDemote, PhaseConfirmDemoted, PhaseProve, PhasePromote, PhaseAfter}
	f, t := slices.Index(forward, from), slices.Index(forward, to)
	switch {
	case from == to, to == PhaseEnded:
		return true
	case f >= 0 && t > f:
		return to != PhaseAfter || from == PhasePromote
	case from == PhaseConfirmDemoted && to == PhaseDemote, from == PhasePromote && to == PhaseProve:
		return true // surely refused: as if it had never been sent
	case to == PhaseBack:
		return f >= 0 && from != PhaseAfter || from == PhaseBackAfter
	case to == PhaseBackAfter:
		return from == PhaseBack
	}
	return false
}

func sameJSON(a, b Intent) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}
