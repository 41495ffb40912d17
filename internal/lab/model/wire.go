package model

import (
	"strings"
	"time"
)

// rewire makes the streams fit the roles.
func (m *Model) rewire() {
	for _, s := range m.sides {
		keep := s.streams[:0]
		for _, st := range s.streams {
			if st.from == s.primary && s.primary.role == Primary && !st.to.stale {
				keep = append(keep, st)
			} else {
				m.closeStream(st)
			}
		}
		s.streams = keep
		if s.primary.role != Primary {
			continue
		}
		for _, in := range s.instances {
			if in == s.primary || in.stale || hasStream(s.streams, in) {
				continue
			}
			s.streams = append(s.streams, m.newStream(s.primary, in, false, s.local))
		}
	}
	for _, s := range m.sides {
		o := m.sides[s.side.Other()]
		want := s.dag.exists && o.dag.exists && s.dag.role == Primary && o.dag.role == Secondary &&
			s.primary.role == Primary && o.primary.role == Primary &&
			s.primary.cfg.Major <= o.primary.cfg.Major // an older version cannot follow a newer one: one-way after the failover
		st := s.dag.stream
		if st != nil && (!want || st.from != s.primary || st.to != o.primary) {
			m.closeStream(st)
			s.dag.stream, st = nil, nil
		}
		if want && st == nil {
			s.dag.stream = m.newStream(s.primary, o.primary, true, m.link)
		}
	}
	m.reconnect(0)
	m.settleAll()
}

func hasStream(list []*stream, to *Instance) bool {
	for _, s := range list {
		if s.to == to {
			return true
		}
	}
	return false
}

func (m *Model) newStream(from, to *Instance, dag bool, l *link) *stream {
	s := &stream{m: m, from: from, to: to, dag: dag, link: l}
	for _, c := range from.copies {
		if t := to.byName[key(c.Name)]; shares(c, t, dag) {
			s.flows = append(s.flows, &flow{s: s, from: c, to: t, known: progress{reason: NoReason}})
		}
	}
	return s
}

func (m *Model) closeStream(s *stream) {
	s.closed, s.connected = true, false
	s.gen++
	m.cancel(s.timeout)
	m.cancel(s.connect)
	m.touch()
}

func (m *Model) allStreams() []*stream {
	var list []*stream
	for _, s := range m.sides {
		list = append(list, s.streams...)
		if s.dag.stream != nil {
			list = append(list, s.dag.stream)
		}
	}
	return list
}

// flowsOf are the flows that a copy takes part in, at either end.
func (m *Model) flowsOf(c *Copy) []*flow {
	list := m.flowsFrom(c)
	if f := m.flowTo(c); f != nil {
		list = append(list, f)
	}
	return list
}

// reconnect plans a connection for every stream that has none.
func (m *Model) reconnect(extra time.Duration) {
	for _, s := range m.allStreams() {
		if s.connected || s.closed || (s.connect != nil && s.connect.index >= 0) {
			continue
		}
		d := m.cfg.Timing.Reconnect
		if own := s.from.state(); s.dag && own.dag.tookOver {
			d = m.cfg.Timing.Relink
		}
		s.connect = m.after(d+extra, func() { m.connect(s) })
	}
}

// connect establishes a stream if its path is open.
func (m *Model) connect(s *stream) {
	if s.closed || s.connected || !s.open() || !m.addressed(s) {
		return
	}
	for _, f := range s.flows {
		if f.from.state != DBOnline { // recovery first
			m.cancel(s.connect)
			s.connect = m.after(50*time.Millisecond, func() { m.connect(s) })
			return
		}
	}
	m.cancel(s.connect)
	s.connected = true
	s.gen++
	forced := s.dag && s.from.state().dag.tookOver
	for _, f := range s.flows {
		m.match(f, forced)
	}
	if s.dag {
		s.from.state().dag.tookOver = false
	}
	m.touch()
}

// addressed tells whether the sender's copy of the distributed AG has an address at which the other member is.
func (m *Model) addressed(s *stream) bool {
	to := s.to.Side
	return !s.dag || strings.EqualFold(s.from.state().dag.urls[to], m.sides[to].cfg.ListenerURL)
}

// match brings two logs to their common end, so that the receiver can follow.
func (m *Model) match(f *flow, forced bool) {
	at := common(f.from, f.to)
	extra := f.to.end > at
	if forced && (m.cfg.Assume.ResumeAlways || extra && !m.cfg.Assume.ResumeNever) {
		f.to.suspended, f.to.reason = true, SuspendPartner
	}
	if f.to.suspended || f.from.suspended || f.stuck {
		f.linked = false
		m.hear(f)
		return
	}
	if !extra {
		m.follow(f)
		return
	}
	f.to.reverting = true
	f.state = Reverting
	gen := f.s.gen
	m.hear(f)
	m.after(m.cfg.Timing.Revert, func() {
		if f.s.closed || f.s.gen != gen || f.over || f.suspended() {
			return
		}
		f.to.cutBack(common(f.from, f.to))
		f.to.reverting = false
		m.follow(f)
	})
	m.touch()
}

func (m *Model) follow(f *flow) {
	f.linked = true
	f.to.reverting = false
	f.to.history = f.from.history
	f.sent, f.sending = f.to.end, false
	f.state, f.joining = Synchronizing, false
	m.redo(f.to)
	m.tell(f)
	m.pump(f)
	m.touch()
}

// sever: the path of some streams is gone without a word. Both ends notice after the session timeout.
func (m *Model) sever(match func(*stream) bool) {
	for _, s := range m.allStreams() {
		if !match(s) || s.open() {
			continue
		}
		s.gen++
		if !s.connected || (s.timeout != nil && s.timeout.index >= 0) {
			continue
		}
		s.timeout = m.after(m.cfg.Timing.SessionTimeout, func() {
			if !s.open() {
				m.lose(s)
			}
		})
	}
	for _, s := range m.drains {
		if match(s) {
			s.gen++
		}
	}
	m.touch()
}

// restore: the path is open again. Streams that are still connected send again what was lost.
func (m *Model) restore() {
	for _, s := range m.allStreams() {
		if !s.open() {
			continue
		}
		if s.connected {
			m.cancel(s.timeout)
			s.timeout = nil
			s.gen++
			for _, f := range s.flows {
				if f.linked {
					f.sent, f.sending = f.to.end, false
					m.tell(f)
					m.pump(f)
				} else if !f.suspended() {
					m.match(f, false)
				}
			}
		}
	}
	m.reconnect(0)
	m.touch()
}

// lose ends a connection: its databases are NOT SYNCHRONIZING, and commits no longer wait for it.
func (m *Model) lose(s *stream) {
	s.connected = false
	s.gen++
	s.lastError = m.now
	m.cancel(s.timeout)
	stuck := s.dag && m.cfg.Assume.LinkStaysDown && s.from.cfg.Major <= 14 && len(s.flows) > 15
	for _, f := range s.flows {
		f.state, f.joining, f.linked, f.stuck = NotSynchronizing, false, false, stuck
		f.to.reverting = false
	}
	for _, f := range s.flows {
		m.settle(f.from)
	}
	m.reconnect(0)
	m.touch()
}
