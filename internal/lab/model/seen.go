package model

import (
	"cmp"
	"slices"
)

// A snapshot of a thousand databases is asked for by nearly every statement, and between two of them a handful has changed. So what an
// instance shows of each database is computed every time, and compared with what it showed before: if nothing differs, the snapshot
// gets the Database that readers have already (and with it their [Database.Derive]d rows). Nobody has to say that something changed, so
// nobody can forget to.

// seen is what an instance knows of its databases, in the order of their ids.
func (m *Model) seen(i *Instance, n *Snapshot) []*Database {
	if len(i.shown) != len(i.copies) {
		i.shown = make([]*Database, len(i.copies))
	}
	out := make([]*Database, len(i.copies))
	peers := m.peersOf(i)
	v := &viewer{m: m, n: n, peers: make([]*Copy, len(peers))}
	for at, c := range i.copies {
		for p, in := range peers {
			v.peers[p] = in.twin(c, at)
		}
		v.look(c, at)
		d := i.shown[at]
		if d == nil || !v.same(d) {
			d = v.database()
			i.shown[at] = d
		}
		out[at] = d
	}
	return out
}

// twin is this instance's copy of another instance's database, which stands at the same place in nearly all cases.
func (i *Instance) twin(c *Copy, at int) *Copy {
	if at < len(i.copies) && i.copies[at].Name == c.Name {
		return i.copies[at]
	}
	return i.byName[key(c.Name)]
}

// viewer looks at one database after the other. What it holds of the current one is overwritten by the next.
type viewer struct {
	m     *Model
	n     *Snapshot
	peers []*Copy // of the current database

	facts     facts
	readable  *Error
	replica   []RemoteView
	dag       RemoteView
	hasDAG    bool
	ledger    []Row
	open      []TxView
	overrides map[string]*LSN
}

// database makes what was seen last one of those that stay.
func (v *viewer) database() *Database {
	d := &Database{facts: v.facts, Readable: v.readable, Replica: slices.Clone(v.replica), Ledger: v.ledger, Open: slices.Clone(v.open), overrides: v.overrides}
	if v.hasDAG {
		r := v.dag
		d.DAG = &r
	}
	return d
}

// same tells whether d shows exactly what was seen last.
func (v *viewer) same(d *Database) bool {
	switch {
	case d.facts != v.facts, (d.Readable == nil) != (v.readable == nil), (d.DAG != nil) != v.hasDAG, len(d.overrides) != len(v.overrides),
		d.Readable != nil && *d.Readable != *v.readable,
		d.DAG != nil && *d.DAG != v.dag,
		!sameRows(d.Ledger, v.ledger), !slices.Equal(d.Replica, v.replica), !slices.Equal(d.Open, v.open):
		return false
	}
	for k, l := range v.overrides {
		if o := d.overrides[k]; o == nil || *o != *l {
			return false
		}
	}
	return true
}

// sameRows compares ledgers, which only grow in place: one that was cut back goes on in another array.
func sameRows(a, b []Row) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func (v *viewer) look(c *Copy, at int) {
	m, n, i := v.m, v.n, c.inst
	s := i.state()
	writable := c.writable()
	v.readable = c.CanRead()
	v.ledger = c.visible()
	v.replica, v.hasDAG, v.open, v.overrides = v.replica[:0], false, v.open[:0], nil
	wait := c.pruneFor(v.peers)
	v.facts = facts{Name: c.Name, ID: c.ID, Group: s.dbIDs[key(c.Name)], InDAG: m.dag.dbIDs[key(c.Name)], State: c.state, Reverting: c.reverting,
		Suspended: c.suspended, Reason: c.reason, Created: c.inst.wall(c.created), Collation: s.cfg.Collation, Writable: v.readable == nil && writable,
		Family: c.family, Fork: c.forkGUID(), LogSize: c.logSize, LogUsed: c.used(), ReuseWait: wait, Flushed: c.flushed, Flushes: c.flushes, Received: c.received,
		Joined: !c.out, Listed: !s.unlisted[key(c.Name)], First: c.first, Redone: c.redoneBytes, Writes: c.writes, Transactions: c.transactions, Ghosts: c.ghosts, RedoQueue: int64(c.hardened-c.redone) * 512}
	d := &v.facts
	if n.Instance.Primary && m.crossVersion(c) {
		d.State = DBRecovering
		if m.cfg.Assume.CrossVersionRestoring {
			d.State = DBRestoring
		}
	}
	if c.forced.state != nil {
		d.State = *c.forced.state
	}
	d.Own = Progress{EndOfLog: c.num.lsn(c.end-c.lastBlock, 1), Hardened: c.num.lsn(c.hardened, 1), Truncation: c.num.lsn(c.truncation, 1),
		Commit: c.lastCommit, CommitTime: c.lastCommitTime, HardenedTime: c.hardenedTime, ReceivedTime: c.receivedTime, RedoneTime: c.redoneTime,
		RedoRate: c.redoRate.kb(), RedoQueue: kb(c.hardened - c.redone)}
	d.Own.Received = d.Own.EndOfLog
	d.Own.Redone = c.num.lsn(max(c.redone-c.lastBlock, 0), 1)
	d.Own.Recovery = c.num.lsn(max(c.checkpoint, 0), 1)
	d.State2 = m.ownState(c, d, s)
	if n.Instance.Primary && !c.out {
		d.Own.Recovery = lsnMax
		m.primaryHardened(c, d)
		v.lookAround(c, at)
	}
	for _, tx := range c.open {
		t := TxView{ID: tx.ID, Session: tx.Session, Name: tx.Name, Begin: tx.Begin, Bytes: tx.bytes, Records: tx.records}
		if tx.first > 0 {
			t.First = c.num.lsn(tx.first, 2)
			t.Last = c.num.lsn(c.end-c.lastBlock, 2)
		}
		v.open = append(v.open, t)
	}
	slices.SortFunc(v.open, func(a, b TxView) int { return cmp.Compare(a.ID, b.ID) })
	for k, l := range m.faults.overrides {
		if k.inst == i && k.db == key(c.Name) {
			if v.overrides == nil {
				v.overrides = map[string]*LSN{}
			}
			v.overrides[k.column] = l
		}
	}
}

// lookAround is what a primary knows of a database on the instances that it feeds.
func (v *viewer) lookAround(c *Copy, at int) {
	m, i := v.m, c.inst
	s := i.state()
	if i.stale {
		for _, in := range s.instances {
			if in != i {
				v.replica = append(v.replica, RemoteView{ReplicaID: in.ReplicaID, Reason: NoReason, Joined: true})
			}
		}
	}
	for _, st := range s.streams {
		if f := st.flowFrom(c, at); f != nil {
			v.replica = append(v.replica, m.remoteView(f, st.to.ReplicaID))
		} else { // not joined there
			v.replica = append(v.replica, RemoteView{ReplicaID: st.to.ReplicaID, Reason: NoReason})
		}
	}
	if !s.dag.exists || !v.n.DAG.Rows {
		return
	}
	v.dag, v.hasDAG = RemoteView{ReplicaID: m.dag.members[i.Side.Other()], Reason: NoReason}, true
	v.dag.Joined = shares(c, m.sides[i.Side.Other()].primary.twin(c, at), true)
	if st := s.dag.stream; st != nil && !i.stale {
		if f := st.flowFrom(c, at); f != nil {
			v.dag = m.remoteView(f, v.dag.ReplicaID)
		}
	}
}

// primaryHardened is last_hardened_lsn on the own row of a local AG's primary: NULL with asynchronous local commit, else the
// minimum over what its synchronizing secondaries have hardened.
func (m *Model) primaryHardened(c *Copy, d *facts) {
	i := c.inst
	if i.mode == Async {
		d.Own.HardenedNull = true
		return
	}
	if m.cfg.Assume.SingleReplicaNull && len(i.state().instances) == 1 {
		d.Own.HardenedNull = true
		return
	}
	p := c.hardened
	for _, f := range m.flowsFrom(c) {
		if !f.s.connected || f.state == NotSynchronizing || f.state == Reverting || !f.known.heard {
			continue
		}
		if f.s.dag && !f.s.synchronous() && !m.cfg.Assume.MinimumHasForwarder {
			continue
		}
		p = min(p, f.known.hardened)
	}
	d.Own.Hardened = c.num.lsn(p, 1)
}

// ownState is the synchronization state of an instance's own row.
func (m *Model) ownState(c *Copy, d *facts, s *SideState) SyncState {
	i := c.inst
	switch {
	case c.forced.sync != nil:
		return *c.forced.sync
	case c.forced.state != nil:
		return NotSynchronizing
	case c.reverting:
		return Reverting
	case i.role == Resolving || c.state != DBOnline && c.state != DBRestoring && c.state != DBRecovering:
		return NotSynchronizing
	case s.primary == i || i.stale: // role PRIMARY in its own AG, forwarder or not: healthy whatever the link does
		d.Commit = i.mode == Sync
		if i.mode == Async {
			return Synchronizing
		}
		return Synchronized
	}
	if f := m.flowTo(c); f != nil {
		return f.state
	}
	return NotSynchronizing
}

func (m *Model) remoteView(f *flow, id GUID) RemoteView {
	c := f.from
	k := f.known
	r := RemoteView{ReplicaID: id, State: f.state, Heard: k.heard, Suspended: f.suspended(), Reason: NoReason, Connected: f.s.connected,
		Sync: f.s.synchronous(), Ready: f.state == Synchronized, SentTime: f.sentTime, SendRate: f.sendRate.kb(), Joined: true}
	if r.Suspended {
		r.Reason = f.to.reason
		if !f.to.suspended {
			r.Reason = f.from.reason
		}
	}
	from := f.sent
	if !f.linked && k.heard {
		from = min(k.received, c.sealed)
	}
	r.SendQueue = kb(max(c.sealed-from, 0))
	if !k.heard {
		r.SendQueue = 0
		return r
	}
	r.Progress = Progress{EndOfLog: c.num.lsn(k.received-k.lastBlock, 1), Received: c.num.lsn(k.received-k.lastBlock, 1), Hardened: c.num.lsn(k.hardened, 1),
		Redone: c.num.lsn(max(k.redone-k.lastBlock, 0), 1), Recovery: lsnMax, Truncation: c.num.lsn(k.truncation, 1), Commit: k.commit, CommitTime: k.commitTime,
		HardenedTime: k.hardenedTime, ReceivedTime: k.receivedTime, RedoneTime: k.redoneTime, RedoRate: k.redoRate, RedoQueue: kb(k.hardened - k.redone)}
	if !r.Suspended && c.lastCommitTime.After(k.commitTime) && !k.commitTime.IsZero() {
		r.Lag = int64(c.lastCommitTime.Sub(k.commitTime).Seconds())
	}
	return r
}

// kb rounds a stretch of log up to KB, as a queue that is not empty never reads 0.
func kb(units Pos) int64 { return (int64(units) + 1) / 2 }
