package model

import (
	"fmt"
	"time"
)

// faults is what was broken on purpose and is not visible elsewhere.
type faults struct {
	overrides map[overrideKey]*LSN
}

type overrideKey struct {
	inst   *Instance
	db     string
	column string
}

// SetLink changes the path between the sides.
func (m *Model) SetLink(c LinkConfig) {
	m.link.latency, m.link.bandwidth = c.Latency, c.Bandwidth
	m.touch()
}

// SetLocalLink changes the path inside a side.
func (m *Model) SetLocalLink(s Side, c LinkConfig) {
	m.sides[s].local.latency, m.sides[s].local.bandwidth = c.Latency, c.Bandwidth
	m.touch()
}

// Cut breaks the path between the sides without a word to either; they notice after the session timeout.
func (m *Model) Cut() {
	m.link.cut = true
	m.sever(func(s *stream) bool { return s.link == m.link })
}

// Heal repairs what Cut broke.
func (m *Model) Heal() {
	m.link.cut = false
	m.restore()
}

// CutLocal and HealLocal do the same inside a side.
func (m *Model) CutLocal(s Side) {
	m.sides[s].local.cut = true
	m.sever(func(st *stream) bool { return st.link == m.sides[s].local })
}

// HealLocal repairs what CutLocal broke.
func (m *Model) HealLocal(s Side) {
	m.sides[s].local.cut = false
	m.restore()
}

// Freeze stops an instance without ending its connections, as a hung host does.
func (m *Model) Freeze(i *Instance) {
	i.frozen = true
	m.sever(func(s *stream) bool { return s.from == i || s.to == i })
}

// Unfreeze lets it go on.
func (m *Model) Unfreeze(i *Instance) {
	i.frozen = false
	m.restore()
}

// Stop ends an instance as a crash does: what its disk does not have is gone, the other side sees the connection break.
func (m *Model) Stop(i *Instance) {
	if !i.online {
		return
	}
	wasWriter := i.writable()
	i.online, i.frozen = false, false
	for _, st := range m.allStreams() {
		if st.from == i || st.to == i {
			m.lose(st)
		}
	}
	for _, c := range i.copies {
		if wasWriter || c.out {
			m.failWaiters(c, 0, ErrKilled())
		}
		for id, tx := range c.open {
			tx.ended, tx.lost = true, ErrKilled()
			delete(c.open, id)
		}
		m.cancel(c.background)
		m.cancel(c.lazy)
		c.background, c.lazy, c.redoing = nil, nil, false
		c.cutBack(c.hardened)
		c.epoch++
	}
	if !m.cfg.Assume.PendingSurvivesRestart {
		for _, p := range i.pending {
			m.cancel(p.ev)
		}
		i.pending = nil
	}
	i.sessions = map[int]*Session{}
	i.locks.init()
	m.touch()
}

// Start starts a stopped instance: its databases recover, its roles come back after a moment in RESOLVING.
func (m *Model) Start(i *Instance) {
	if i.online {
		return
	}
	s := i.state()
	i.online = true
	i.started = i.clock()
	began := i.started
	if s.dag.role != Resolving { // else it was stopped before it had its role again
		s.dag.held = s.dag.role
	}
	held := s.dag.held
	i.stale = i.deposed && s.primary != i
	if s.primary == i {
		s.dag.role = Resolving
		i.role = Resolving
	}
	for _, c := range i.copies {
		c.state = DBRecovering
		if c.out {
			c.state = c.rests
		}
	}
	m.after(m.cfg.Timing.Resolving+m.cfg.Timing.Recovery, func() {
		if !i.online || !i.started.Equal(began) {
			return
		}
		if i.stale {
			i.role = Primary
		}
		if s.primary == i {
			i.role = Primary
			if s.dag.role == Resolving && (!m.cfg.Assume.RestartLosesRole || held != Primary) {
				s.dag.role = held
				if held == Resolving {
					s.dag.role = Secondary
				}
			}
		}
		for _, c := range i.copies {
			if c.out && c.rests != DBOnline {
				continue
			}
			if c.out || i.writable() {
				m.recovered(c)
				continue
			}
			c.state = DBOnline
			m.redo(c)
			if s.primary == i && s.dag.exists && m.flowTo(c) == nil && m.sides[s.side.Other()].dag.role != Primary {
				m.undoOpen(c) // a demoted primary still has its own open transactions to undo
			}
		}
		m.rewire()
	})
	m.rewire()
}

// SetRefuse makes an instance refuse every login.
func (m *Model) SetRefuse(i *Instance, on bool) { i.refuse = on; m.touch() }

// SetClock changes the offset of an instance's clock.
func (m *Model) SetClock(i *Instance, d time.Duration) { i.cfg.ClockOffset = d; m.touch() }

// SetFlush changes how long an instance needs to harden a block.
func (m *Model) SetFlush(i *Instance, d time.Duration) { i.cfg.Flush = d }

// SetRedo changes an instance's redo speed in KB/s; negative: redo stands still.
func (m *Model) SetRedo(i *Instance, kbps int64) {
	i.cfg.RedoKBps = kbps
	for _, c := range i.copies {
		m.redo(c)
	}
}

// SetAccess changes who may read an instance's databases while they are not writable.
func (m *Model) SetAccess(i *Instance, a Access) { i.access = a; m.touch() }

// SetBackground changes the mean time between background log writes; zero or less: none.
func (m *Model) SetBackground(d time.Duration) {
	m.cfg.Timing.Background = d
	for _, s := range m.sides {
		for _, c := range s.primary.copies {
			if c.background != nil || c.writable() {
				m.planBackground(c)
			}
		}
	}
}

// SetTiming replaces the delays; zero values keep what is there, negative ones mean none.
func (m *Model) SetTiming(t Timing) {
	cur := &m.cfg.Timing
	for _, d := range []struct{ p, v *time.Duration }{
		{&cur.Modify, &t.Modify}, {&cur.Demote, &t.Demote}, {&cur.Resolving, &t.Resolving}, {&cur.Failover, &t.Failover}, {&cur.Recovery, &t.Recovery},
		{&cur.Relink, &t.Relink}, {&cur.Undo, &t.Undo}, {&cur.Revert, &t.Revert}, {&cur.Reconnect, &t.Reconnect}, {&cur.SessionTimeout, &t.SessionTimeout},
		{&cur.LazyFlush, &t.LazyFlush},
	} {
		if *d.v > 0 {
			*d.p = *d.v
		} else if *d.v < 0 {
			*d.p = 0
		}
	}
	if t.Background != 0 {
		m.SetBackground(t.Background)
	}
}

// SetAssumptions replaces the assumptions.
func (m *Model) SetAssumptions(a Assumptions) { m.cfg.Assume = a; m.rejudge() }

// PlaceLog renumbers a database's log on every replica, so that its last block reads VLF:block.
func (m *Model) PlaceLog(db string, vlf, block uint32) error {
	c := m.sides[Source].primary.Copy(db)
	if c == nil {
		return fmt.Errorf("no database %q", db)
	}
	m.touch()
	return c.num.place(c.end-c.lastBlock, vlf, block, max(c.lastBlock, 1))
}

// OverrideLSN makes one column of an instance's own row of a database read a fixed value in sys.dm_hadr_database_replica_states
// (nil: the model's own value again). Zero LSN, OneLSN and MaxLSN are the sentinels that real servers show.
func (m *Model) OverrideLSN(i *Instance, db, column string, v *LSN) {
	if m.faults.overrides == nil {
		m.faults.overrides = map[overrideKey]*LSN{}
	}
	k := overrideKey{i, key(db), column}
	if v == nil {
		delete(m.faults.overrides, k)
	} else {
		m.faults.overrides[k] = v
	}
	m.touch()
}

// load is a generator of write transactions on a database's other tables; it does not touch dbo.ledger.
type load struct {
	db    string
	rows  float64
	bytes int
	owed  float64
	last  time.Time
	ev    *event
}

const loadTick = 50 * time.Millisecond

// SetLoad makes write transactions happen on a database wherever it is writable: rows per second of the given size.
func (m *Model) SetLoad(db string, rows float64, bytes int) {
	if old := m.loads[key(db)]; old != nil {
		m.cancel(old.ev)
		delete(m.loads, key(db))
	}
	m.touch()
	if rows <= 0 {
		return
	}
	if bytes <= 0 {
		bytes = 200
	}
	l := &load{db: db, rows: rows, bytes: bytes, last: m.now}
	m.loads[key(db)] = l
	m.runLoad(l)
}

// Load is the rate of a database's generator in rows per second.
func (m *Model) Load(db string) float64 {
	if l := m.loads[key(db)]; l != nil {
		return l.rows
	}
	return 0
}

func (m *Model) runLoad(l *load) {
	l.ev = m.after(loadTick, func() {
		l.owed = min(l.owed+l.rows*m.now.Sub(l.last).Seconds(), l.rows) // never more than a second's worth at once
		l.last = m.now
		n := int(l.owed)
		if n > 0 {
			for _, s := range m.sides {
				c := s.primary.Copy(l.db)
				if c == nil || s.primary.frozen || c.CanWrite() != nil || !m.cfg.Assume.RSSTCUnmetWaits && m.unmet(c) {
					continue
				}
				if len(c.waiters) > 64 || c.used()+int64(n*l.bytes) > c.logSize && (c.prune() != "" && c.used()+int64(n*l.bytes) > c.logSize) {
					continue
				}
				e := c.add(&entry{kind: entryCommit, when: c.inst.clock(), write: true}, n*l.bytes)
				c.writes += int64(n - 1)
				c.waiters = append(c.waiters, &waiter{at: e.end, done: func(*Error) {}})
				c.flush()
			}
			l.owed -= float64(n)
		}
		m.runLoad(l)
	})
}

// planBackground schedules the next checkpoint or ghost cleanup of a database. It writes only where the database is writable.
func (m *Model) planBackground(c *Copy) {
	m.cancel(c.background)
	c.background = nil
	mean := m.cfg.Timing.Background
	if mean <= 0 {
		return
	}
	d := time.Duration(float64(mean) * (0.5 + m.rng.Float64()))
	c.background = m.after(d, func() {
		if !c.writable() || c.state != DBOnline || c.inst.frozen {
			c.background = nil
			return
		}
		c.checkpoint = c.end
		c.ghosts++
		c.add(&entry{kind: entrySystem}, 300)
		c.prune()
		c.flush()
		m.planBackground(c)
	})
}

// Checkpoint writes a checkpoint now.
func (m *Model) Checkpoint(c *Copy) *Error {
	if err := c.CanWrite(); err != nil {
		return err
	}
	c.checkpoint = c.end
	c.add(&entry{kind: entrySystem}, 300)
	c.prune()
	c.flush()
	return nil
}
