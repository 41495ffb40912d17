package cutover

import (
	"slices"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// effect reports that the reading shows what the statement was to bring about.
func effect(p *Plan, r *hadr.Reading, k Kind) bool {
	switch k {
	case SetSynchronous:
		return modesAre(p, r, hadr.ModeSynchronous)
	case SetAsynchronous:
		return modesAre(p, r, hadr.ModeAsynchronous)
	case RequireSecondary:
		return r.DAG.RSSTC.OK && r.DAG.RSSTC.V == 1
	case ReleaseSecondary:
		return r.DAG.RSSTC.OK && r.DAG.RSSTC.V == 0
	case Demote:
		return r.DAG.Role == hadr.RoleSecondary
	case Promote:
		return r.DAG.Role == hadr.RolePrimary
	}
	return false
}

func modesAre(p *Plan, r *hadr.Reading, m hadr.Mode) bool {
	s, t := memberModes(p, r)
	return s == m && t == m
}

func memberModes(p *Plan, r *hadr.Reading) (source, target hadr.Mode) {
	if m := r.DAG.Member(p.SourceAG); m != nil {
		source = m.Mode
	}
	if m := r.DAG.Member(p.TargetAG); m != nil {
		target = m.Mode
	}
	return source, target
}

// released reports that nothing fences the side's commits: RSSTC reads 0, or
// the version has none on a distributed AG.
func released(r *hadr.Reading) bool {
	return r.DAG.RSSTC.OK && r.DAG.RSSTC.V == 0 || !r.DAG.RSSTC.OK && r.Identity.Major > 0 && r.Identity.Major < firstRequired
}

// sent reports an entry of this statement that was not surely refused.
func (e *engine) sent(k Kind, s hadr.Side) bool { return e.last(k, s) != nil }

// last entry of this statement that was not surely refused, or nil.
func (e *engine) last(k Kind, s hadr.Side) *Sent {
	for i := len(e.in.Sent) - 1; i >= 0; i-- {
		if n := &e.in.Sent[i]; n.Statement.Kind == k && n.Statement.Side == s && (n.Outcome != SentRefused || e.off.keepRefused) {
			return n
		}
	}
	return nil
}

// lastRelease is the newest RSSTC=0 on that side, a refused one too: a server
// that takes no connection refuses surely, and the duty has to count that and
// to pace itself by it all the same.
func (e *engine) lastRelease(s hadr.Side) *Sent {
	for i := len(e.in.Sent) - 1; i >= 0; i-- {
		if n := &e.in.Sent[i]; n.Statement.Kind == ReleaseSecondary && n.Statement.Side == s {
			return n
		}
	}
	return nil
}

// seen reports that the effect of this statement was read.
func (e *engine) seen(k Kind, s hadr.Side) bool {
	return slices.ContainsFunc(e.in.Sent, func(n Sent) bool {
		return n.Statement.Kind == k && n.Statement.Side == s && !n.EffectSeen.IsZero()
	})
}

// refusals counts refused attempts in a row of this statement, and tells the
// last one.
func (e *engine) refusals(k Kind, s hadr.Side) (n int, last *Sent) {
	for i := len(e.in.Sent) - 1; i >= 0; i-- {
		if x := &e.in.Sent[i]; x.Statement.Kind == k && x.Statement.Side == s {
			if x.Outcome != SentRefused {
				break
			}
			if last == nil {
				last = x
			}
			n++
		}
	}
	return n, last
}

// settled is when the statement, if it has shown no effect by then, is not
// expected to have one any more: after settle of time in which its side could
// be read.
func (n *Sent) settled(settle time.Duration) time.Time {
	return n.since().Add(settle + n.Blind)
}

func (n *Sent) since() time.Time {
	if n.ReturnedAt.After(n.At) {
		return n.ReturnedAt
	}
	return n.At
}
