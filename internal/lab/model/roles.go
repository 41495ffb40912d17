package model

import "time"

// demote is the effect of S2.
func (m *Model) demote(s *SideState) {
	if !s.dag.exists || s.dag.role != Primary {
		return
	}
	i := s.primary
	ships := m.cfg.Assume.S2ShipsRollback
	for _, c := range i.copies {
		if ships && !c.out {
			m.undoOpen(c)
		}
	}
	s.dag.role, s.dag.held = Resolving, Secondary
	s.dag.tookOver = false
	m.bump(s)
	if st := s.dag.stream; st != nil {
		s.dag.stream = nil
		m.drain(st, ships || m.cfg.Assume.S2DrainsSendQueue)
	}
	for _, c := range i.copies {
		if c.out {
			continue
		}
		m.failWaiters(c, m.commitPoint(c), ErrKilled())
		m.cancel(c.background)
		c.background = nil
		c.completed = c.hardened
		if !ships {
			m.undoLater(c)
		}
	}
	m.killUsers(i)
	m.after(m.cfg.Timing.Resolving, func() {
		if s.dag.exists && s.dag.role == Resolving {
			s.dag.role = Secondary
			m.touch()
			m.rewire()
		}
	})
}

// drain lets a stream run out: what is on the wire arrives. With all set the send queue goes too.
func (m *Model) drain(s *stream, all bool) {
	m.cancel(s.timeout)
	m.cancel(s.connect)
	if !s.connected {
		s.closed = true
		return
	}
	if all {
		for _, f := range s.flows {
			f.from.flush()
			m.pump(f)
		}
		m.after(5*time.Second, func() { m.closeStream(s) })
		return
	}
	s.draining = true
	m.drains = append(m.drains, s)
	m.after(s.link.latency+time.Second, func() {
		m.closeStream(s)
		for n, x := range m.drains {
			if x == s {
				m.drains = append(m.drains[:n:n], m.drains[n+1:]...)
				break
			}
		}
	})
}

// undoOpen rolls the open transactions of a database back in its log.
func (m *Model) undoOpen(c *Copy) {
	for id, tx := range c.open {
		tx.ended, tx.lost = true, errStateChange(c.Name)
		delete(c.open, id)
	}
	if len(c.openInLog) == 0 {
		return
	}
	ids := make([]uint64, 0, len(c.openInLog))
	for id := range c.openInLog {
		ids = append(ids, id)
	}
	c.add(&entry{kind: entryRollback, tx: ids}, 200*len(ids))
	c.flush()
}

// undoLater is what happens to open transactions after S2: their rollback reaches the old primary's log when it no longer has
// the role.
func (m *Model) undoLater(c *Copy) {
	for id, tx := range c.open {
		tx.ended, tx.lost = true, errStateChange(c.Name)
		delete(c.open, id)
	}
	epoch := c.epoch
	m.after(m.cfg.Timing.Undo, func() {
		if c.epoch == epoch && len(c.openInLog) > 0 && m.flowTo(c) == nil {
			m.undoOpen(c)
		}
	})
}

// promote is the effect of S3.
func (m *Model) promote(s *SideState) {
	if !s.dag.exists || s.dag.role == Primary {
		return
	}
	s.dag.role = Primary
	s.dag.tookOver = true
	m.bump(s)
	for _, x := range m.drains {
		m.closeStream(x)
	}
	m.drains = nil
	if o := m.sides[s.side.Other()].dag.stream; o != nil {
		m.closeStream(o)
		m.sides[s.side.Other()].dag.stream = nil
	}
	m.killUsers(s.primary)
	m.open(s.primary)
	m.rewire()
}

// open recovers the databases of an instance that takes the writes from now on.
func (m *Model) open(i *Instance) {
	for _, c := range i.copies {
		if c.out {
			continue
		}
		c.state = DBRecovering
		c.suspended, c.reverting = false, false
		c.epoch++
		d := m.cfg.Timing.Recovery
		if speed := i.cfg.RedoKBps; speed > 0 {
			d += time.Duration(float64((c.end-c.redone)/2) / float64(speed) * float64(time.Second))
		}
		epoch := c.epoch
		m.after(d, func() {
			if c.epoch == epoch && i.online {
				m.recovered(c)
			}
		})
	}
}

// recovered opens a database: everything in the log is redone, what did not commit is undone, a new recovery fork begins.
func (m *Model) recovered(c *Copy) {
	c.sealed, c.hardened = c.end, c.end
	c.redoing = false
	c.state = DBOnline
	c.apply(c.end)
	c.redone = c.end
	if c.writable() {
		c.completed = c.end
		c.beginFork()
		m.undoOpen(c)
		m.planBackground(c)
	}
	m.touch()
	m.settle(c)
	m.reconnect(0)
}

// wake makes the databases of a side writable that lost its distributed group.
func (m *Model) wake(s *SideState) {
	if s.primary.writable() {
		for _, c := range s.primary.copies {
			if !c.out && (c.redone < c.end || c.background == nil) {
				c.epoch++
				m.recovered(c)
			}
		}
	}
}

func (m *Model) killUsers(i *Instance) {
	if m.cfg.Assume.UserSessionsLive || m.hooks.Kill == nil {
		return
	}
	m.hooks.Kill(i, m.cfg.Assume.MasterSessionsDie)
}

// failoverLocal moves the primary of a side's own AG to the instance i.
func (m *Model) failoverLocal(i *Instance, force bool, late time.Duration) *Error {
	s := i.state()
	if !i.online {
		return errWrongState(s.cfg.AG)
	}
	unjoined := errf(41142, 16, "The availability replica for availability group '%s' on this instance of SQL Server cannot become the primary replica. One or more databases are not synchronized or have not joined the availability group. If the availability replica uses the asynchronous-commit mode, consider performing a forced manual failover (with possible data loss). Otherwise, once all local secondary databases are joined and synchronized, you can perform a planned manual failover to this secondary replica (without data loss). For more information, see SQL Server Books Online.", s.cfg.AG)
	if !force && !i.allJoined() {
		return unjoined
	}
	if !force {
		for _, st := range s.streams {
			for _, f := range st.flows {
				if st.to == i && f.state != Synchronized {
					return unjoined
				}
			}
		}
	}
	m.plan(i, "local failover", m.cfg.Timing.Failover+late, func() { m.moveLocal(s, i) })
	return nil
}

func (m *Model) moveLocal(s *SideState, to *Instance) {
	from := s.primary
	if from == to && to.role == Primary {
		return
	}
	for _, c := range from.copies {
		if c.out {
			continue
		}
		m.failWaiters(c, 0, ErrKilled())
		for id, tx := range c.open {
			tx.ended, tx.lost = true, errStateChange(c.Name)
			delete(c.open, id)
		}
		m.cancel(c.background)
		c.background = nil
		c.completed = c.hardened
	}
	if s.cfg.ClusterType == None && !from.online { // nobody can tell it: when it comes back it believes what it was
		from.deposed, from.staleRole = true, s.dag.role
	}
	from.role = Secondary
	to.deposed, to.stale = false, false
	m.killUsers(from)
	to.role = Resolving
	s.primary = to
	s.sequence++
	if s.dag.stream != nil {
		m.closeStream(s.dag.stream)
		s.dag.stream = nil
	}
	m.rewire()
	m.after(m.cfg.Timing.Resolving, func() {
		if s.primary != to {
			return
		}
		to.role = Primary
		m.killUsers(to)
		m.open(to)
		m.rewire()
	})
}
