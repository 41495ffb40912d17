package model

import (
	"slices"
	"time"
)

// Tx is a transaction on one database.
type Tx struct {
	ID      uint64
	Name    string
	Session int
	Begin   time.Time
	copy    *Copy
	first   Pos // end of log before its first record; 0: none yet
	rows    []Row
	removed []uint64 // keys of committed rows
	bytes   int64
	records int
	ended   bool
	written bool   // its commit record is in the log
	lost    *Error // rolled back by the server; what the next statement is told
}

type waiter struct {
	at   Pos
	done func(*Error)
}

// Lost tells whether the server rolled the transaction back by itself, and why.
func (t *Tx) Lost() *Error { return t.lost }

// Copy is the database that the transaction writes.
func (t *Tx) Copy() *Copy { return t.copy }

// Rows are the transaction's own uncommitted rows.
func (t *Tx) Rows() []Row { return t.rows[:len(t.rows):len(t.rows)] }

// CanRead tells why a database cannot be read on this instance now; nil if it can.
func (c *Copy) CanRead() *Error {
	s := c.inst.state()
	switch {
	case c.forced.state != nil:
		return errDatabaseState(c.Name, *c.forced.state)
	case c.out && c.state == DBOnline:
		return nil
	case c.out:
		return errDatabaseState(c.Name, c.state)
	case c.forced.sync != nil && !c.inst.writable():
		return errNotReadable(c.Name)
	case c.state == DBRecovering || c.state == DBRecoveryPending:
		return errRecovering(c.Name)
	case c.inst.role == Resolving:
		return errRoleUnresolved(c.Name)
	case c.inst.writable():
		if c.m.cfg.Assume.RSSTCUnmetBlocksReads && !c.m.cfg.Assume.RSSTCUnmetWaits && c.m.unmet(c) {
			return errNoQuorum(c.Name)
		}
		return nil
	case s.primary == c.inst && s.dag.role == Resolving:
		return errRoleUnresolved(c.Name)
	case c.state == DBRestoring || c.reverting || c.inst.access != AllowAll:
		return errNotReadable(c.Name)
	case c.m.crossVersion(c): // a newer version cannot open it before the failover
		return errNotReadable(c.Name)
	}
	return nil
}

// CanWrite tells why a database cannot be changed on this instance now; nil if it can.
func (c *Copy) CanWrite() *Error {
	if err := c.CanRead(); err != nil {
		return err
	}
	if !c.writable() {
		return errReadOnly(c.Name)
	}
	return nil
}

// crossVersion: the copy follows an older version, so it cannot be opened.
func (m *Model) crossVersion(c *Copy) bool {
	o := m.sides[c.inst.Side.Other()]
	return !c.out && m.redoes(c) && o.dag.exists && c.inst.state().dag.exists && o.primary.cfg.Major < c.inst.cfg.Major
}

// Begin opens a transaction. Nothing is written to the log before its first row.
func (m *Model) Begin(c *Copy, session int, name string) *Tx {
	m.txSeq++
	m.touch()
	tx := &Tx{ID: 1000 + m.txSeq, Name: name, Session: session, Begin: c.inst.clock(), copy: c}
	c.open[tx.ID] = tx
	return tx
}

// Insert adds rows to dbo.ledger in the transaction. See Change.
func (m *Model) Insert(tx *Tx, rows []Row, group bool) *Error { return m.Change(tx, nil, rows, group) }

// Change removes rows of dbo.ledger by their keys and adds others, in the transaction: all of it or, with an error, nothing. A row that
// another transaction has removed or is removing gives 1222: the lab does not wait for row locks. With group set the log record is
// written together with the commit, as an autocommitted statement's is.
func (m *Model) Change(tx *Tx, remove []uint64, rows []Row, group bool) *Error {
	c := tx.copy
	if tx.ended {
		if tx.lost != nil {
			return tx.lost
		}
		return errf(3902, 16, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
	}
	if err := c.CanWrite(); err != nil {
		return err
	}
	if !m.cfg.Assume.RSSTCUnmetWaits && m.unmet(c) {
		return errNoQuorum(c.Name)
	}
	own, committed, err := c.split(tx, remove)
	if err != nil {
		return err
	}
	bytes := 120 * len(remove)
	for _, r := range rows {
		bytes += 120
		if r.Note != nil {
			bytes += 2 * len(*r.Note)
		}
	}
	if c.used()+int64(bytes) > c.logSize {
		if why := c.prune(); c.used()+int64(bytes) > c.logSize {
			return errLogFull(c.Name, why)
		}
	}
	if len(own) > 0 {
		tx.rows = slices.DeleteFunc(slices.Clone(tx.rows), func(r Row) bool { return own[r.Key] })
	}
	for _, k := range committed {
		c.removing[k] = tx
	}
	tx.removed = append(tx.removed, committed...)
	for _, r := range rows {
		m.rowSeq++
		r.Key = m.rowSeq
		tx.rows = append(tx.rows, r)
	}
	tx.bytes += int64(bytes)
	tx.records += len(rows) + len(remove)
	if !group && bytes > 0 {
		m.logWork(tx, bytes)
	}
	m.touch()
	return nil
}

func (m *Model) logWork(tx *Tx, bytes int) {
	c := tx.copy
	if tx.first == 0 {
		tx.first = c.end
	}
	c.add(&entry{kind: entryWork, tx: []uint64{tx.ID}}, bytes)
	c.flushLater()
}

// Commit ends the transaction. done is called exactly once, when the commit mode allows the client to be told; with an error
// if the transaction was not committed or its outcome is not known (class 20 and above).
func (m *Model) Commit(tx *Tx, done func(*Error)) {
	c := tx.copy
	m.touch()
	if tx.ended {
		done(tx.lost)
		return
	}
	if len(tx.rows) == 0 && len(tx.removed) == 0 {
		tx.ended = true
		delete(c.open, tx.ID)
		done(nil)
		return
	}
	err := c.CanWrite()
	if err == nil && !m.cfg.Assume.RSSTCUnmetWaits && m.unmet(c) {
		err = errNoQuorum(c.Name)
	}
	if err != nil {
		m.Rollback(tx)
		done(err)
		return
	}
	tx.ended, tx.written = true, true
	delete(c.open, tx.ID)
	bytes := 80
	if tx.first == 0 {
		bytes += int(tx.bytes)
	}
	e := c.add(&entry{kind: entryCommit, tx: []uint64{tx.ID}, rows: tx.rows, removed: tx.removed, when: c.inst.clock(), write: true}, bytes)
	c.waiters = append(c.waiters, &waiter{at: e.end, done: done})
	c.flush()
}

// Rollback undoes the transaction: compensation records, if it had written any.
func (m *Model) Rollback(tx *Tx) {
	if tx.ended {
		return
	}
	c := tx.copy
	tx.ended = true
	delete(c.open, tx.ID)
	if tx.first > 0 && c.writable() {
		c.add(&entry{kind: entryRollback, tx: []uint64{tx.ID}}, int(tx.bytes)+80)
		c.flush()
	}
	m.touch()
}

// commitPoint is how far the log is safe: hardened here and on every synchronous secondary that is up to date.
func (m *Model) commitPoint(c *Copy) Pos {
	p := c.hardened
	for _, f := range m.flowsFrom(c) {
		if f.state == Synchronized || f.joining {
			p = min(p, f.known.safe)
		}
	}
	return p
}

// unmet tells whether required_synchronized_secondaries_to_commit stands in the way of commits.
func (m *Model) unmet(c *Copy) bool {
	if c.out {
		return false
	}
	s := c.inst.state()
	local, dag := 0, 0
	for _, f := range m.flowsFrom(c) {
		if f.state != Synchronized {
			continue
		}
		if f.s.dag {
			dag++
		} else {
			local++
		}
	}
	return local < s.rsstc || s.dag.exists && s.dag.role == Primary && dag < s.dag.rsstc
}

// settle acknowledges the commits that may be.
func (m *Model) settle(c *Copy) {
	if !c.writable() || c.state != DBOnline {
		return
	}
	p := m.commitPoint(c)
	if m.unmet(c) {
		if !m.cfg.Assume.RSSTCUnmetWaits {
			m.failWaiters(c, p, errNoQuorum(c.Name))
		}
		return
	}
	c.completed = max(c.completed, p)
	n := 0
	for n < len(c.waiters) && c.waiters[n].at <= p {
		n++
	}
	ready := c.waiters[:n]
	c.waiters = c.waiters[n:]
	for _, w := range ready {
		w.done(nil)
	}
	m.touch()
}

func (m *Model) settleAll() {
	for _, s := range m.sides {
		if s.primary.writable() {
			for _, c := range s.primary.copies {
				m.settle(c)
			}
		}
	}
}

// failWaiters ends the commits that wait. Their log records stay: whether they count, only the log decides.
func (m *Model) failWaiters(c *Copy, safe Pos, why *Error) {
	for len(c.waiters) > 0 {
		w := c.waiters[0]
		c.waiters = c.waiters[1:]
		if w.at <= safe && why.Number == 988 {
			w.done(nil)
			continue
		}
		e := *why
		e.Class = 21 // the connection goes with it: the outcome is unknown
		w.done(&e)
	}
}
