package cutover

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// space is what the walkers of one search share: the states that were seen,
// and the first violation.
type space struct {
	limit int64 // states; 0 = no limit
	count atomic.Int64
	bad   atomic.Pointer[string] // first violation, with its trace
	seed  maphash.Seed
	seen  states
	good  states // from here a healed run is known to come to an end or a page
}

// states is a set of keys that several walkers fill.
type states [64]struct {
	mu sync.Mutex
	m  map[uint64]struct{}
}

// add reports that the key is new.
func (s *states) add(k uint64) bool {
	h := &s[k%64]
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.m[k]; ok {
		return false
	}
	if h.m == nil {
		h.m = map[uint64]struct{}{}
	}
	h.m[k] = struct{}{}
	return true
}

func (s *states) has(k uint64) bool {
	h := &s[k%64]
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.m[k]
	return ok
}

// key of a state: times are ages in rounds, bounded above every timer.
func (c *checker) key(n *node) uint64 {
	b, oldest := c.buf[:0], c.v.oldest()
	defer func() { c.buf = b }()
	age := func(t time.Time) {
		switch d := n.now.Sub(t); {
		case t.IsZero():
			b = append(b, 255)
		case d > time.Duration(oldest)*tick:
			b = append(b, byte(oldest))
		default:
			b = append(b, byte((d+tick-1)/tick))
		}
	}
	str := func(s string) { b = append(append(b, s...), 0) }
	flag := func(f bool) {
		if f {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	pos := func(l hadr.LSN) byte { // unknown is 0, and no log position of the model is
		if !l.Known() {
			return 0
		}
		return 1 + byte((l.Block-1000)/8)
	}
	rows := func(l []DatabaseLSNs) {
		for _, r := range l {
			b = append(b, pos(r.Hardened), pos(r.EndOfLog))
		}
		b = append(b, 254)
	}
	for _, s := range n.w.s {
		str(string(s.role))
		b = append(b, byte(s.rsstc), byte(s.log), byte(s.server), byte(s.start), byte(s.marker))
		flag(s.sync)
		flag(s.lock)
		flag(s.down)
		flag(s.zero)
		b = append(b, byte(s.stale))
	}
	for _, l := range n.w.late[:n.w.lates] {
		str(string(l.kind))
		b = append(b, byte(l.side), byte(l.on), byte(l.left))
	}
	for _, f := range []bool{n.w.link, n.w.open, n.w.rolling, n.w.quiet, n.w.dba, n.w.untold, n.w.noHard, n.w.cached, n.held, n.rb, n.quiet, n.off} {
		flag(f)
	}
	b = append(b, byte(n.w.acked), byte(n.w.quiesced), byte(n.budget))
	in := &n.in
	str(string(in.Phase))
	age((&engine{in: *in}).phaseSince())
	age(in.Began)
	flag(in.Pinned)
	str(in.SourcePin.ServerName + in.SourcePin.StartTime + in.TargetPin.ServerName + in.TargetPin.StartTime)
	rows(in.Highest)
	for i := range in.Sent {
		s := &in.Sent[i]
		str(string(s.Statement.Kind))
		str(string(s.Statement.Side))
		str(string(s.Outcome))
		str(string(s.Answer))
		str(s.ServerName + s.StartTime)
		age(s.At)
		b = append(b, byte(min(s.Tries, maxTries+1)))
		flag(s.EffectSeen.IsZero())
		// What is left of settle. While its side cannot be read that stands still,
		// for as long as it takes.
		now, unread := n.now, in.SourceUnread
		if s.Statement.Side == hadr.Target {
			unread = in.TargetUnread
		}
		if !unread.IsZero() {
			if now = unread; s.since().After(now) {
				now = s.since()
			}
		}
		if left := s.settled(c.p.Settle).Sub(now); left > 0 {
			b = append(b, 1+byte(left/tick))
		} else {
			b = append(b, 0)
		}
	}
	for _, h := range []HookName{HookQuiesce, HookUnquiesce} {
		st := in.Hooks[h]
		b = append(b, byte(st.Attempts))
		flag(st.OK)
		flag(st.Ended.IsZero())
		age(st.Started)
	}
	b = append(b, byte(min(in.LockTries, maxTries+1)), byte(min(in.MarkTries, maxTries+1)), byte(in.UnmarkTries))
	age(in.LockTriedAt)
	age(in.MarkTriedAt)
	flag(in.Mark != nil)
	flag(in.Rest != nil)
	flag(in.Proof != nil)
	flag(in.Page != nil)
	b = append(b, byte(len(in.Sent)), byte(n.w.lates))
	if in.Mark != nil {
		rows(in.Mark.Rows)
		b = append(b, byte(len(in.Mark.Drained)))
	}
	if in.Rest != nil {
		rows(in.Rest.Source)
		rows(in.Rest.Target)
		b = append(b, byte(min(in.Rest.Count, c.p.SettleReadings+1)))
		age(in.Rest.Last)
	}
	if in.Proof != nil {
		for _, r := range in.Proof.Rows {
			b = append(b, pos(r.TargetHardened), pos(r.TargetEndOfLog))
		}
		age(in.Proof.At)
	}
	flag(in.GoingBack != nil)
	if in.Page != nil {
		str(in.Page.Code)
	}
	str(in.Stuck)
	str(string(in.Outcome))
	age(in.SourceUnread)
	age(in.TargetUnread)
	age(in.WriteUnavailableFrom)
	flag(in.WriteUnavailableTo.IsZero())
	flag(in.Ended.IsZero())
	str(string(n.first))
	return maphash.Bytes(c.sp.seed, b)
}
