package cutover

import (
	"fmt"
	"hash/maphash"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// keyOfTwo is the key of a state. Where the engines are alike, a state and the
// one with their names exchanged are the same.
func (c *pair) keyOfTwo(n *two) uint64 {
	var h [2]uint64
	for e := range n.e {
		h[e] = c.keyOfParty(n, e)
	}
	a := 0
	if c.sw.alike() && h[0] > h[1] {
		a = 1
	}
	name := func(m int8) byte { // 0 nobody, 1 the first of them, 2 the other
		if m == 0 {
			return 0
		}
		return 1 + byte(int(m-1)^a)
	}
	m := node{w: n.w, now: n.now, budget: n.budget}
	for i := range m.w.s {
		m.w.s[i].marker, m.w.s[i].lock = int8(name(n.w.s[i].marker)), false
	}
	b := make([]byte, 0, 64)
	u64 := func(x uint64) {
		for k := range 8 {
			b = append(b, byte(x>>(8*k)))
		}
	}
	u64(c.key(&m))
	u64(h[a])
	u64(h[1-a])
	b = append(b, name(n.lock[0]), name(n.lock[1]), byte(n.lates))
	for _, l := range n.late[:n.lates] {
		b = append(append(b, l.kind...), byte(l.side), byte(l.on), byte(l.left), name(l.by+1))
	}
	for _, f := range n.s3 {
		b = append(b, bit(f))
	}
	return maphash.Bytes(c.sp.seed, b)
}

func bit(f bool) byte {
	if f {
		return 1
	}
	return 0
}

func (c *pair) keyOfParty(n *two, e int) uint64 {
	p := &n.e[e]
	if p.over() { // but for what it left behind, which is the world's
		return uint64(bit(p.paged()))
	}
	// Decide stamps what it does 50 ms into the tick. Counted from there, what was
	// stamped in this tick and what in the last one are not of the same age.
	k := c.key(&node{in: p.in, now: n.now.Add(50 * time.Millisecond), first: p.first})
	b := make([]byte, 0, 96)
	for j := range 8 {
		b = append(b, byte(k>>(8*j)), byte(p.saw>>(8*j)))
	}
	age := func(t time.Time) {
		d := min(n.now.Sub(t)+tick, time.Duration(c.v.oldest())*tick)
		b = append(b, byte(d/(10*time.Millisecond)), byte(d/(10*time.Millisecond)>>8))
	}
	b = append(b, byte(p.step), bit(p.ran), bit(p.unarmed), bit(p.paused), bit(p.resumed), bit(p.rb), bit(p.had[0]), bit(p.had[1]), bit(p.in.Run != ""))
	for _, o := range []Old{p.in.SourceOld, p.in.TargetOld} { // the other engine may have set other modes before
		b = append(append(append(b, o.Source...), o.Target...), byte(o.RSSTC.V), 0)
	}
	for i := range p.in.Sent { // the other engine's rounds may come between entry and answer
		age(p.in.Sent[i].ReturnedAt)
	}
	if p.o != nil {
		age(p.o.Began)
		b = append(b, bit(p.o.Resumed), bit(p.o.Outside.RollbackRequested != nil))
	}
	if d := p.d; d != nil {
		age(p.at)
		b = append(b, string(d.Action)...)
		b = append(b, string(d.Side)...)
		b = append(b, string(d.Statement.Kind)...)
		b = append(b, string(d.Hook)...)
		b = append(b, d.Guard.ServerName+d.Guard.StartTime+string(d.Guard.Role)...)
	}
	return maphash.Bytes(c.sp.seed, b) | 4
}

// shows is the part of a state that the reading of one side is made of.
func (c *pair) shows(n *two, e int, s hadr.Side) uint64 {
	w := n.view(e)
	i := idx(s)
	x, y := w.s[i], w.s[1-i]
	return maphash.String(c.sp.seed, fmt.Sprint(x, y.role, y.log, y.down, w.link, w.open, n.e[e].had[i]))
}
