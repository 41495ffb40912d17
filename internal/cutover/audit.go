package cutover

import (
	"fmt"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Audit holds one decision against what must never be decided, whatever the
// engine thinks: it looks at the plan, the intent before, what was read and
// what is about to be sent, and at nothing that Decide has worked out. The
// runner asks it before every act, the model checker and the traces of real
// runs ask the same one. nil is right; each line is a rule that is broken.
func Audit(p *Plan, before Intent, o *Observation, d Decision) (bad []string) {
	in := &d.Intent
	if in.Outcome == OutcomeDone && before.Outcome == OutcomeNone {
		bad = append(bad, auditDone(p, in, o.Target.Reading)...)
	}
	if before.GoingBack != nil && (in.GoingBack == nil || *in.GoingBack != *before.GoingBack) {
		bad = append(bad, "the decision to go back was changed")
	}
	if r := o.Side(d.Side).Reading; d.Action == ActionMark && r != nil && r.Marker.OK && r.Marker.V != "" && r.Marker.V != in.Run {
		bad = append(bad, "wrote over another engine's run id")
	}
	if d.Action != ActionExecute {
		return bad
	}
	st := d.Statement
	if x, ok := p.statement(st.Kind, st.Side); !ok || x != st {
		bad = append(bad, fmt.Sprintf("outside the plan: %s on the %s", st.Kind, st.Side))
	}
	if n := len(in.Sent); n == 0 || !in.hasPending(st) {
		bad = append(bad, fmt.Sprintf("%s on the %s without its entry in the intent", st.Kind, st.Side))
		return bad
	}
	if d.Guard.WithoutLock != (st.Kind == ReleaseSecondary) {
		bad = append(bad, fmt.Sprintf("%s on the %s outside the lock", st.Kind, st.Side))
	}
	if st.Kind == ReleaseSecondary {
		return bad
	}
	irreversible := st.Kind == Demote || st.Kind == Promote
	if d.Guard.Run != in.Run || irreversible && (d.Guard.ServerName == "" || d.Guard.StartTime == "" || d.Guard.Role == hadr.RoleUnknown) {
		bad = append(bad, fmt.Sprintf("%s on the %s behind half a guard", st.Kind, st.Side))
	}
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		if r := o.Side(s).Reading; r != nil && r.Marker.OK && r.Marker.V != "" && r.Marker.V != in.Run {
			bad = append(bad, "acted under another engine's run id")
		}
	}
	switch st.Kind {
	case Promote:
		bad = append(bad, auditPromote(p, before, o, d)...)
	case Demote:
		bad = append(bad, auditDemote(p, before, o)...)
	}
	return bad
}

func (i *Intent) hasPending(st Statement) bool {
	for _, s := range i.Sent {
		if s.Statement == st && s.Outcome == SentPending {
			return true
		}
	}
	return false
}

func mayBeSent(in *Intent, k Kind, s hadr.Side) bool {
	for _, n := range in.Sent {
		if n.Statement.Kind == k && n.Statement.Side == s && n.Outcome != SentRefused {
			return true
		}
	}
	return false
}

// auditDone is rule 5.
func auditDone(p *Plan, in *Intent, r *hadr.Reading) []string {
	if r == nil || r.DAG.Role != hadr.RolePrimary || !released(r) || closedDatabase(p, r) != "" {
		return []string{"called done before the target was seen PRIMARY, unfenced and open"}
	}
	for _, n := range in.Sent {
		if n.Statement.Kind == Promote && n.Statement.Side == hadr.Target && n.ServerName == r.Identity.ServerName && n.StartTime == r.Identity.StartTime {
			return nil
		}
	}
	if e := (engine{p: p, in: *in, tgt: r}); !e.atLeastProof() {
		return []string{"called done on an instance that took no S3 and is not at the proof"}
	}
	return nil
}

// auditPromote is rules 1, 2, 8 and 9, and the proof.
func auditPromote(p *Plan, before Intent, o *Observation, d Decision) (bad []string) {
	s, in := d.Statement.Side, &d.Intent
	other := o.Side(s.Other()).Reading
	role := hadr.RoleUnknown
	if other != nil && !other.Began.Before(o.Began) {
		role = other.DAG.Role
	}
	blind := p.BlindS3 && s == hadr.Target && other == nil && in.Proof != nil && !o.Began.Before(in.Proof.At) && o.Began.Sub(in.Proof.At) <= p.ProofTTL
	if role != hadr.RoleSecondary && !blind {
		bad = append(bad, fmt.Sprintf("S3 on the %s while the other side reads %q in this round", s, role))
	}
	if mayBeSent(in, Promote, s.Other()) {
		bad = append(bad, "S3 on both sides")
	}
	if r := o.Side(s).Reading; r != nil && r.DAG.RSSTC.OK && r.DAG.RSSTC.V != 0 {
		bad = append(bad, fmt.Sprintf("S3 on the %s whose own RSSTC is %d", s, r.DAG.RSSTC.V))
	}
	if s == hadr.Source {
		if before.GoingBack == nil {
			bad = append(bad, "S3 on the source without a decision to go back in the journal")
		}
		return bad
	}
	if in.Proof == nil || !in.Proof.Valid() || len(in.Proof.Rows) != len(p.Databases) || len(d.Guard.AtLeast) != len(p.Databases) {
		bad = append(bad, "S3 before the proof")
	}
	if before.GoingBack != nil {
		bad = append(bad, "going back revised")
	}
	if o.Outside.Held != nil {
		bad = append(bad, "S3 while held")
	}
	if p.Drill {
		bad = append(bad, "S3 on the target in a drill")
	}
	return bad
}

// auditDemote is the order up to the point of no return.
func auditDemote(p *Plan, before Intent, o *Observation) (bad []string) {
	if o.Outside.Held != nil || o.Outside.Armed == nil {
		bad = append(bad, "S2 though a gate is closed")
	}
	if mayBeSent(&before, Demote, hadr.Source) {
		bad = append(bad, "S2 sent twice")
	}
	if before.GoingBack != nil {
		bad = append(bad, "S2 after the decision to go back")
	}
	if r := o.Source.Reading; p.UseRequired && (r == nil || !r.DAG.RSSTC.OK || r.DAG.RSSTC.V != 1) {
		bad = append(bad, "S2 without RSSTC=1")
	}
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		if r := o.Side(s).Reading; r == nil || !modesAre(p, r, hadr.ModeSynchronous) {
			bad = append(bad, fmt.Sprintf("S2 while the %s's copy is not synchronous", s))
		}
	}
	return bad
}
