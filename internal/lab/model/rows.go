package model

import "slices"

// split sorts the keys that a transaction removes: its own rows, which nobody else has seen, and committed ones. 1222 if another
// transaction has a hand on one of them, or it is gone.
func (c *Copy) split(tx *Tx, keys []uint64) (own map[uint64]bool, committed []uint64, err *Error) {
	if len(keys) == 0 {
		return nil, nil, nil
	}
	own = map[uint64]bool{}
	mine := map[uint64]bool{}
	for _, r := range tx.rows {
		mine[r.Key] = true
	}
	alive := map[uint64]bool{}
	for _, r := range c.rows {
		if r.gone == 0 {
			alive[r.Key] = true
		}
	}
	for _, k := range keys {
		if mine[k] {
			own[k] = true
			continue
		}
		if o := c.removing[k]; !alive[k] || o != nil && (!o.ended || o.written) {
			return nil, nil, errLocked()
		}
		committed = append(committed, k)
	}
	return own, committed, nil
}

// Removed are the keys of the committed rows that the transaction has removed.
func (t *Tx) Removed() []uint64 { return t.removed[:len(t.removed):len(t.removed)] }

// Mark is a savepoint of a transaction.
type Mark struct {
	rows    []Row
	removed int
}

// Mark notes where a transaction stands.
func (t *Tx) Mark() Mark { return Mark{rows: slices.Clone(t.rows), removed: len(t.removed)} }

// RollbackTo undoes what a transaction did since the mark; the zero Mark is its beginning. The log keeps what was written, and takes
// the compensation. A transaction that the server rolled back meanwhile says so.
func (m *Model) RollbackTo(tx *Tx, to Mark) *Error {
	if tx.ended {
		if tx.lost != nil {
			return tx.lost
		}
		return errf(3903, 16, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
	}
	undone := len(tx.rows) - len(to.rows) + len(tx.removed) - to.removed
	for _, k := range tx.removed[to.removed:] {
		delete(tx.copy.removing, k)
	}
	tx.rows, tx.removed = slices.Clone(to.rows), tx.removed[:to.removed:to.removed]
	if tx.first > 0 && undone > 0 {
		m.logWork(tx, 120*undone)
	}
	m.touch()
	return nil
}

// remove marks rows as gone by the commit record that ends at p. Readers hold the old array.
func (c *Copy) remove(keys []uint64, p Pos) {
	if len(keys) == 0 {
		return
	}
	c.rows = slices.Clone(c.rows)
	for i := len(c.rows) - 1; i >= 0; i-- {
		if r := &c.rows[i]; r.gone == 0 && slices.Contains(keys, r.Key) {
			r.gone = p
			c.anyGone = true
		}
	}
}

// bringBack undoes removals beyond p.
func (c *Copy) bringBack(p Pos) {
	for k, tx := range c.removing {
		if tx.ended {
			delete(c.removing, k)
		}
	}
	if !c.anyGone {
		return
	}
	c.rows = slices.Clone(c.rows)
	for i := range c.rows {
		if c.rows[i].gone > p {
			c.rows[i].gone = 0
		}
	}
}

// shownRows is what visible gave last, kept so that readers share it.
type shownRows struct {
	first     *Row
	len       int
	completed Pos
	out       []Row
}

// visible are the rows that a reader of this copy sees: committed ones, on a secondary the redone ones.
func (c *Copy) visible() []Row {
	rows, done := c.rows, c.applied
	if c.writable() {
		done = c.completed
		n := len(rows)
		for n > 0 && rows[n-1].at > done {
			n--
		}
		rows = rows[:n]
	}
	if !c.anyGone || len(rows) == 0 {
		return rows[:len(rows):len(rows)]
	}
	if s := &c.shown; s.first == &rows[0] && s.len == len(rows) && s.completed == done {
		return s.out
	}
	out := make([]Row, 0, len(rows))
	for _, r := range rows {
		if r.gone == 0 || r.gone > done {
			out = append(out, r)
		}
	}
	c.shown = shownRows{first: &rows[0], len: len(rows), completed: done, out: out}
	return out
}
