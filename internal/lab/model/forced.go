package model

import "fmt"

// forced are states that a copy was put into on purpose, whatever the model thinks; nil where it was not.
type forced struct {
	state *DBState
	sync  *SyncState
}

// held tells whether a forced state keeps the copy's log from moving: it neither sends nor takes nor redoes.
func (c *Copy) held() bool { return c.forced.state != nil || c.forced.sync != nil }

// SetDatabaseState puts a database on one instance into a state (RESTORING, RECOVERING, RECOVERY_PENDING, SUSPECT, OFFLINE) in which
// it cannot be opened and its log stands still; ONLINE takes that back. Its own row and those of its primary about it read
// NOT SYNCHRONIZING meanwhile.
func (m *Model) SetDatabaseState(c *Copy, s DBState) error {
	if s == DBEmergency {
		return fmt.Errorf("the state %s is not modelled", s)
	}
	c.forced.state = &s
	if s == DBOnline {
		c.forced.state = nil
	}
	m.forcedChanged(c)
	return nil
}

// SetSyncState makes a secondary's or the forwarder's copy read REVERTING, INITIALIZING or NOT SYNCHRONIZING, and its log stand still;
// nil is the truth again.
func (m *Model) SetSyncState(c *Copy, s *SyncState) error {
	if s != nil && (*s == Synchronized || *s == Synchronizing) {
		return fmt.Errorf("%s is not a state that can be forced", *s)
	}
	c.forced.sync = s
	m.forcedChanged(c)
	return nil
}

func (m *Model) forcedChanged(c *Copy) {
	if c.held() && c.writable() {
		for _, tx := range c.open {
			tx.ended, tx.lost = true, ErrKilled()
		}
		clear(c.open)
		m.failWaiters(c, 0, ErrKilled())
	}
	for _, f := range m.flowsOf(c) {
		switch {
		case c.held():
			f.linked = false
		case f.s.connected && !f.linked && !f.suspended():
			m.match(f, false)
		}
		m.judge(f)
		m.hear(f)
		m.pump(f)
	}
	m.redo(c)
	m.settle(c)
	m.touch()
}
