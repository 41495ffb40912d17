package cutover

import (
	"slices"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// fold takes what this round's readings say into the intent: effects of
// statements, the highest source LSNs, since when a side is unread.
func (e *engine) fold() {
	e.foldClock()
	e.foldResumed()
	e.foldUnread()
	for i := range e.in.Sent {
		s := &e.in.Sent[i]
		if s.Outcome == SentRefused || !s.EffectSeen.IsZero() {
			continue
		}
		if r := e.reading(s.Statement.Side); r != nil && !r.Began.Before(s.At) && effect(e.p, r, s.Statement.Kind) {
			s.EffectSeen = r.Ended
		}
	}
	if e.in.Pinned && e.src != nil {
		for _, n := range e.p.Databases {
			if d := database(e.src, n); d != nil && d.Own != nil {
				e.in.Highest = raise(e.in.Highest, n, d.Own)
			}
		}
	}
	if _, started := e.in.Hooks[HookQuiesce]; started || e.sent(Demote, hadr.Source) {
		if e.in.LeaseLost.IsZero() && e.now.After(e.o.Outside.LeaseUntil) {
			e.in.LeaseLost = e.now
			e.note("the alert lease ended after the quiesce had begun: recorded, it stops nothing any more")
		}
	}
}

// foldClock: what was journalled has happened, so none of it is later than now.
// Where it reads so, the clock was put back over a restart (or the webhook came
// up on another host), and every bound would be longer by as much: the budget
// after S2 among them. Counted from now, what a statement is waited for is never
// too short.
func (e *engine) foldClock() {
	in := &e.in
	back := func(times ...*time.Time) {
		for _, t := range times {
			if t.After(e.now) {
				*t = e.now
			}
		}
	}
	back(&in.Began, &in.WriteUnavailableFrom, &in.SourceUnread, &in.TargetUnread, &in.LockTriedAt, &in.MarkTriedAt)
	for i := range in.Phases {
		back(&in.Phases[i].At)
	}
	for i := range in.Sent {
		back(&in.Sent[i].At, &in.Sent[i].ReturnedAt)
	}
	for h, st := range in.Hooks {
		back(&st.Started, &st.Ended)
		in.Hooks[h] = st
	}
	if in.Mark != nil {
		back(&in.Mark.At)
	}
	if in.Rest != nil && in.Rest.Last.After(e.now) {
		in.Rest = nil // sampled anew
	}
}

// foldResumed: while no process looked, a server may have hung, and its clock
// and ours may have gone apart: settle counts anew, and so does since when a side
// is unread.
func (e *engine) foldResumed() {
	if !e.o.Resumed || e.off.settleWhileBlind {
		return
	}
	e.in.SourceUnread, e.in.TargetUnread = time.Time{}, time.Time{}
	for i := range e.in.Sent {
		if n := &e.in.Sent[i]; n.Outcome != SentRefused && n.EffectSeen.IsZero() {
			n.Blind = max(0, e.now.Sub(n.since()))
		}
	}
}

// foldUnread takes in since when a side is unread, or reads neither PRIMARY nor
// SECONDARY.
func (e *engine) foldUnread() {
	unread := func(s hadr.Side, t *time.Time, r *hadr.Reading) {
		switch {
		case r != nil && (r.DAG.Role == hadr.RolePrimary || r.DAG.Role == hadr.RoleSecondary):
			if !t.IsZero() && !e.off.settleWhileBlind {
				e.blindFor(s, *t)
			}
			*t = time.Time{}
		case t.IsZero():
			*t = e.now
		}
	}
	unread(hadr.Source, &e.in.SourceUnread, e.src)
	unread(hadr.Target, &e.in.TargetUnread, e.tgt)
}

// blindFor counts a time, begun at from and over now, in which a side could
// not be read, for each of its statements that may still land.
func (e *engine) blindFor(s hadr.Side, from time.Time) {
	for i := range e.in.Sent {
		n := &e.in.Sent[i]
		if n.Statement.Side != s || n.Outcome == SentRefused {
			continue
		}
		if n.since().After(from) {
			from = n.since()
		}
		n.Blind += max(0, e.now.Sub(from))
	}
}

func raise(high []DatabaseLSNs, name string, own *hadr.Replica) []DatabaseLSNs {
	i := slices.IndexFunc(high, func(d DatabaseLSNs) bool { return d.Database == name })
	if i < 0 {
		return append(high, DatabaseLSNs{Database: name, Hardened: known(own.LastHardened), EndOfLog: known(own.EndOfLog)})
	}
	if own.LastHardened.Beyond(high[i].Hardened) || !high[i].Hardened.Known() {
		high[i].Hardened = known(own.LastHardened)
	}
	if own.EndOfLog.Beyond(high[i].EndOfLog) || !high[i].EndOfLog.Known() {
		high[i].EndOfLog = known(own.EndOfLog)
	}
	return high
}

// known makes every sentinel the one unknown LSN.
func known(l hadr.LSN) hadr.LSN {
	if !l.Known() {
		return hadr.LSN{}
	}
	return l
}
