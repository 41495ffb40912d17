package model

import (
	"slices"
	"sort"
	"time"
)

// DBState is sys.databases.state.
type DBState int

// The database states.
const (
	DBOnline DBState = iota
	DBRestoring
	DBRecovering
	DBRecoveryPending
	DBSuspect
	DBEmergency
	DBOffline
)

func (s DBState) String() string {
	return [...]string{"ONLINE", "RESTORING", "RECOVERING", "RECOVERY_PENDING", "SUSPECT", "EMERGENCY", "OFFLINE"}[s]
}

// Row is one row of dbo.ledger. Note is nil for NULL.
type Row struct {
	ID   int64
	Note *string
	Key  uint64 // tells it from every other row; set when it is inserted
	at   Pos    // end of its commit record
	gone Pos    // end of the commit record that removed it; 0: it is there
}

type entryKind int

const (
	entryWork     entryKind = iota // log of an open transaction
	entryCommit                    // commits; carries the transaction's ledger rows
	entryRollback                  // compensation for rolled-back transactions
	entrySystem                    // checkpoint, ghost cleanup and the like
)

// entry is a run of log blocks. Copies of a database share entries; nobody changes one once it is in a log.
type entry struct {
	start, end Pos
	block      Pos // size of its blocks in units
	kind       entryKind
	tx         []uint64
	rows       []Row
	removed    []uint64  // keys of rows that were there
	when       time.Time // commit time on the primary's clock
	write      bool      // counts as a write transaction
}

// fork is a stretch of log history: everything from start on was written under this recovery fork.
type fork struct {
	guid  GUID
	start Pos
}

// Copy is one instance's copy of one database: its log and what was redone of it.
type Copy struct {
	membership
	m       *Model
	inst    *Instance
	Name    string
	ID      int
	group   GUID
	num     *numbering
	family  GUID
	history []fork
	created time.Time

	state     DBState
	reverting bool
	suspended bool
	reason    SuspendReason
	forced    forced

	end       Pos // next block to be written, in the cache
	sealed    Pos // handed to the disk, and to the secondaries
	hardened  Pos
	redone    Pos // on a secondary; on the writer it follows hardened
	completed Pos // on the writer: commits up to here were acknowledged
	lastBlock Pos // size of the last block in units
	epoch     uint64

	entries    []*entry // what a secondary may still need, in order
	applied    Pos      // entries up to here are in rows
	rows       []Row    // ledger, in commit order, with those that are gone
	anyGone    bool
	shown      shownRows
	removing   map[uint64]*Tx // who removes which row
	open       map[uint64]*Tx
	openInLog  map[uint64]bool
	waiters    []*waiter
	redoing    bool
	lazy       *event
	background *event

	lastCommit     LSN
	lastCommitTime time.Time
	hardenedTime   time.Time
	receivedTime   time.Time
	redoneTime     time.Time
	checkpoint     Pos
	truncation     Pos
	logSize        int64
	flushed        int64 // bytes, counter
	flushes        int64
	received       int64 // bytes, counter
	redoneBytes    int64
	writes         int64 // write transactions, counter
	transactions   int64
	redoRate       rate
	ghosts         int64
}

// seed lays down the log that existed before the lab began.
func (c *Copy) seed(m *Model, cfg SideConfig) {
	unit := Pos(cfg.BlockBytes / 512)
	c.end = 2048
	c.lastBlock = unit
	c.logSize = m.cfg.Log.Size
	c.ghosts = 2044114396
	c.sealed, c.hardened, c.redone, c.completed, c.applied = c.end, c.end, c.end, c.end, c.end
	c.checkpoint = c.end - 4*unit
	c.truncation = c.checkpoint
	c.lastCommit = c.num.lsn(c.end-2*unit, 8)
	before := m.now.Add(-5 * time.Second)
	c.lastCommitTime = m.cfg.Sides[Source].Instances[0].clock(before) // the primary's clock, on every copy
	c.hardenedTime = c.inst.cfg.clock(before)
	c.receivedTime, c.redoneTime = c.hardenedTime, c.hardenedTime
}

// blockUnits is the size of a log block that this copy writes, in units of 512 bytes.
func (c *Copy) blockUnits() Pos { return Pos(c.inst.state().cfg.BlockBytes / 512) }

// add appends log to the cache of the copy that writes.
func (c *Copy) add(e *entry, bytes int) *entry {
	unit := c.blockUnits()
	start := c.end
	if r := start % unit; r != 0 { // the log was written with smaller blocks so far
		start += unit - r
	}
	blocks := (int64(bytes) + int64(unit)*512 - 1) / (int64(unit) * 512)
	e.start, e.block = c.end, unit
	e.end = start + Pos(max(blocks, 1))*unit
	c.take(e)
	return e
}

// take puts an entry at the end of the log, written here or received.
func (c *Copy) take(e *entry) {
	c.entries = append(c.entries, e)
	c.end = e.end
	c.lastBlock = e.block
	switch e.kind {
	case entryWork:
		for _, id := range e.tx {
			c.openInLog[id] = true
		}
	case entryCommit, entryRollback:
		for _, id := range e.tx {
			delete(c.openInLog, id)
		}
	}
	c.m.touch()
}

// flush hands everything in the cache to the disk and to the secondaries.
func (c *Copy) flush() {
	if c.sealed == c.end {
		return
	}
	c.sealed = c.end
	c.m.cancel(c.lazy)
	c.lazy = nil
	upTo, epoch := c.sealed, c.epoch
	c.m.after(c.inst.cfg.Flush, func() {
		if c.epoch == epoch {
			c.harden(upTo)
		}
	})
	c.m.pumpAll(c)
}

// flushLater is what the log writer does for a transaction that does not commit.
func (c *Copy) flushLater() {
	if c.lazy != nil || c.sealed == c.end {
		return
	}
	epoch := c.epoch
	c.lazy = c.m.after(c.m.cfg.Timing.LazyFlush, func() {
		c.lazy = nil
		if c.epoch == epoch {
			c.flush()
		}
	})
}

// harden: the disk has everything up to p.
func (c *Copy) harden(p Pos) {
	if p <= c.hardened {
		return
	}
	c.flushed += int64(p-c.hardened) * 512
	c.flushes++
	c.hardened = p
	c.hardenedTime = c.inst.clock()
	if c.m.redoes(c) {
		c.m.redo(c)
		c.m.report(c)
		return
	}
	c.redone = p
	c.apply(p)
	c.m.settle(c)
}

// apply puts the rows of commits up to p into the ledger, and notes the last commit.
func (c *Copy) apply(p Pos) {
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].end > c.applied })
	for ; i < len(c.entries) && c.entries[i].end <= p; i++ {
		e := c.entries[i]
		if e.kind != entryCommit {
			continue
		}
		c.remove(e.removed, e.end)
		for _, r := range e.rows {
			r.at = e.end
			c.rows = append(c.rows, r)
		}
		c.lastCommit = c.num.lsn(e.end-e.block, 2)
		c.lastCommitTime = e.when
		c.transactions++
		if e.write && !c.m.redoes(c) {
			c.writes++
		}
	}
	if p > c.applied {
		c.applied = p
	}
}

// cutBack undoes the log beyond p: a crash that lost the cache, or a copy that follows another history.
func (c *Copy) cutBack(p Pos) {
	if p >= c.end {
		return
	}
	c.epoch++
	n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].end > p })
	c.entries = slices.Clip(c.entries[:n])
	r := sort.Search(len(c.rows), func(i int) bool { return c.rows[i].at > p })
	c.rows = slices.Clip(c.rows[:r]) // readers hold the old array: the next append must not write into it
	c.bringBack(p)
	c.end, c.sealed = p, p
	c.hardened, c.redone, c.applied, c.completed = min(c.hardened, p), min(c.redone, p), min(c.applied, p), min(c.completed, p)
	c.checkpoint, c.truncation = min(c.checkpoint, p), min(c.truncation, p)
	if n > 0 {
		c.lastBlock = c.entries[n-1].block
	}
	c.openInLog = map[uint64]bool{}
	for _, e := range c.entries {
		for _, id := range e.tx {
			if e.kind == entryWork {
				c.openInLog[id] = true
			} else {
				delete(c.openInLog, id)
			}
		}
	}
	c.m.touch()
}

// beginFork starts a new stretch of history at the end of the log.
func (c *Copy) beginFork() {
	for len(c.history) > 1 && c.history[len(c.history)-1].start >= c.end {
		c.history = c.history[:len(c.history)-1]
	}
	c.history = append(slices.Clone(c.history), fork{guid: newGUID(c.m.rng), start: c.end})
}

// forkGUID is sys.database_recovery_status.recovery_fork_guid.
func (c *Copy) forkGUID() GUID {
	if c.m.cfg.Assume.SameForkAfterFailover {
		return c.history[0].guid
	}
	return c.history[len(c.history)-1].guid
}

// common is the end of the log that two copies have in common.
func common(a, b *Copy) Pos {
	var at Pos
	for i := 0; i < len(a.history) && i < len(b.history) && a.history[i] == b.history[i]; i++ {
		end := func(c *Copy) Pos {
			if i+1 < len(c.history) {
				return min(c.history[i+1].start, c.end)
			}
			return c.end
		}
		at = min(end(a), end(b))
		if at < a.end && at < b.end && (i+1 >= len(a.history) || i+1 >= len(b.history)) {
			break
		}
	}
	return at
}

// used is the log in use: what lies between the truncation point and the end, in bytes.
func (c *Copy) used() int64 { return int64(c.end-c.truncation)*512 + 64*1024 }

// prune moves the truncation point and forgets entries that nobody can need any more. It says what holds the log.
func (c *Copy) prune() (holder string) {
	var peers []*Copy
	for _, in := range c.m.peers(c) {
		peers = append(peers, in.twin(c, c.place()))
	}
	return c.pruneFor(peers)
}

// pruneFor is prune for one who knows the copies of the same database on the peers.
func (c *Copy) pruneFor(peers []*Copy) (holder string) {
	point, holder := c.checkpoint, "NOTHING"
	for _, tx := range c.open {
		if tx.first > 0 && tx.first < point {
			point, holder = tx.first, "ACTIVE_TRANSACTION"
		}
	}
	need := c.redone
	for _, p := range peers {
		if c.out || p.out { // a copy that has left holds nobody's log
			continue
		}
		at := min(common(c, p), p.hardened)
		if at < point {
			point, holder = at, "AVAILABILITY_REPLICA"
		}
		need = min(need, min(common(c, p), p.redone))
	}
	if point > c.truncation {
		c.truncation = point
	}
	if len(c.entries) > 256 {
		n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].end > min(need, c.applied) })
		if n > 128 {
			c.entries = slices.Clone(c.entries[n:])
		}
	}
	return holder
}
