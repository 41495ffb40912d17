package model

import (
	"slices"
	"sort"
	"strings"
)

// A database is listed in its side's availability group or not, and each instance's copy of it is joined or out. Who leaves is never
// dropped: the primary's copy goes on by itself, a secondary's is left RESTORING.

// membership is what a copy is to its side's availability group. The zero value is joined.
type membership struct {
	out   bool
	rests DBState // what it is while it is out: ONLINE (a database by itself, writable) or RESTORING
	// apart: a forwarder's copy that its own group holds and the distributed one does not, since the other side removed the database.
	apart bool
	first GUID // the group_database_id under which it was seeded before the lab began
}

// InGroup tells whether the copy is joined to its side's availability group.
func (c *Copy) InGroup() bool { return !c.out }

// writable tells whether this copy is the one that takes writes.
func (c *Copy) writable() bool {
	if c.out {
		return c.inst.online && c.rests == DBOnline && c.state == DBOnline
	}
	return c.inst.writable()
}

// leave takes a copy out of the group. Whoever calls it has to refit the streams.
func (m *Model) leave(c *Copy, rests DBState) {
	c.out, c.rests, c.state, c.apart = true, rests, rests, false
	c.suspended, c.reverting, c.reason = false, false, NoReason
	if rests != DBOnline {
		m.cancel(c.background)
		c.background = nil
	}
}

// leaveSide takes a database out of a side's group altogether: what its primary's copy is from then on is said by rests.
func (m *Model) leaveSide(s *SideState, name string, rests DBState) {
	s.unlisted[key(name)] = true
	for _, in := range s.instances {
		c := in.byName[key(name)]
		switch {
		case c.out:
		case in == s.primary:
			m.leave(c, rests)
		default:
			m.leave(c, DBRestoring)
		}
	}
	s.sequence++
	m.refit()
}

// enter joins a copy. What lacks it of the log comes over the stream.
func (m *Model) enter(c *Copy) {
	c.membership = membership{first: c.first}
	c.state = DBOnline
	if s := c.inst.state(); s.primary == c.inst {
		delete(s.unlisted, key(c.Name))
		s.sequence++
	}
	m.refit()
}

// shares tells whether a stream carries a database: both ends hold it, in groups that know of each other.
func shares(from, to *Copy, dag bool) bool {
	return to != nil && !from.out && !to.out && !(dag && (from.apart || to.apart))
}

// refit gives every stream a flow for each database that both its ends share, and no other.
func (m *Model) refit() {
	for _, s := range m.allStreams() {
		old := map[*Copy]*flow{}
		for _, f := range s.flows {
			old[f.from] = f
		}
		var fresh []*flow
		s.flows = nil
		for _, c := range s.from.copies {
			to := s.to.byName[key(c.Name)]
			f := old[c]
			if !shares(c, to, s.dag) {
				if f != nil {
					f.over, f.linked, f.state, f.joining = true, false, NotSynchronizing, false
				}
				continue
			}
			if f == nil {
				f = &flow{s: s, from: c, to: to, known: progress{reason: NoReason}}
				fresh = append(fresh, f)
			}
			s.flows = append(s.flows, f)
		}
		if s.connected {
			for _, f := range fresh {
				m.match(f, false)
			}
		}
	}
	m.settleAll()
	m.touch()
}

// follows tells whether a copy can go on from what the other one still has of its log.
func follows(from, to *Copy) bool {
	at := common(from, to)
	if to.family != from.family {
		return false
	}
	if at == from.end {
		return true
	}
	i := sort.Search(len(from.entries), func(i int) bool { return from.entries[i].start >= at })
	return i < len(from.entries) && from.entries[i].start == at
}

// removeDatabase is REMOVE DATABASE on the primary of a local group; it is checked when it is accepted.
func (m *Model) removeDatabase(i *Instance, name string) (func(), *Error) {
	s := i.state()
	c := i.Copy(name)
	if c == nil || s.unlisted[key(c.Name)] {
		return nil, errf(35281, 16, "Database '%s' cannot be removed from availability group '%s'. The database is not joined to the specified availability group. Verify that the database name and the availability group name are correct, then retry the operation.", name, s.cfg.AG)
	}
	if s.dag.exists && s.dag.role != Primary {
		return nil, errCommandState(s.cfg.AG, "remove-database")
	}
	return func() {
		if s.unlisted[key(c.Name)] {
			return
		}
		m.leaveSide(s, c.Name, DBOnline)
		if o := m.sides[s.side.Other()]; s.dag.exists && o.dag.exists {
			for _, in := range o.instances {
				t := in.byName[key(c.Name)]
				t.apart = !t.out
			}
			m.refit()
		}
		m.settle(c)
	}, nil
}

// addDatabase is ADD DATABASE on the primary of a local group. Automatic seeding brings it to the others.
func (m *Model) addDatabase(i *Instance, name string) (func(), *Error) {
	s := i.state()
	ag := s.cfg.AG
	c := i.Copy(name)
	switch {
	case slices.Contains([]string{"master", "tempdb", "model", "msdb"}, strings.ToLower(name)):
		return nil, errf(35249, 16, "An attempt to add or join a system database, '%s', to an availability group failed. Specify only user databases for this operation.", name)
	case c == nil:
		return nil, errf(35238, 16, "Database '%s' cannot be added to availability group '%s'. The database does not exist on this SQL Server instance. Verify that the database name is correct, then retry the operation.", name, ag)
	case !s.unlisted[key(c.Name)]:
		return nil, errf(35280, 16, "Database '%s' cannot be added to availability group '%s'. The database is already joined to the specified availability group. Verify that the database name is correct and that the database is not joined to an availability group, then retry the operation.", name, ag)
	case s.dag.exists && s.dag.role != Primary:
		return nil, errCommandState(ag, "add-database")
	case c.state != DBOnline:
		return nil, errDatabaseState(c.Name, c.state)
	}
	return func() {
		if !s.unlisted[key(c.Name)] || c.state != DBOnline {
			return
		}
		s.dbIDs[key(c.Name)], m.dag.dbIDs[key(c.Name)] = newGUID(m.rng), newGUID(m.rng)
		m.enter(c)
		m.seedLocal(c)
		m.seedForwarder(c)
	}, nil
}

// Suspended and Resumed are SET HADR SUSPEND and RESUME as statements: a copy that is not joined has nothing to suspend.
func (m *Model) Suspended(c *Copy) *Error {
	if c.out {
		return errNotJoined(c.Name)
	}
	m.Suspend(c, SuspendUser)
	return nil
}

// Resumed lets data move again. See Suspended.
func (m *Model) Resumed(c *Copy) *Error {
	if c.out {
		return errNotJoined(c.Name)
	}
	m.Resume(c)
	return nil
}

// Suspend and Resume are ALTER DATABASE … SET HADR SUSPEND / RESUME on one instance.
func (m *Model) Suspend(c *Copy, why SuspendReason) {
	c.suspended, c.reason = true, why
	for _, f := range m.flowsOf(c) {
		f.linked = false
		m.judge(f)
		m.hear(f)
	}
	m.settle(c)
	m.touch()
}

// Resume lets data move again. See Suspend.
func (m *Model) Resume(c *Copy) {
	stuck := false
	for _, f := range m.flowsOf(c) {
		stuck = stuck || f.stuck
		f.stuck = false
	}
	if !c.suspended && !stuck {
		return
	}
	c.suspended = false
	c.reason = NoReason
	for _, f := range m.flowsOf(c) {
		if f.s.connected && !f.linked {
			m.match(f, false)
		}
	}
	m.touch()
}

// Off is ALTER DATABASE … SET HADR OFF: a secondary's copy leaves, and is RESTORING. On a forwarder its group loses the database.
func (m *Model) Off(c *Copy) *Error {
	s := c.inst.state()
	switch {
	case c.out:
		return errNotJoined(c.Name)
	case s.primary != c.inst:
		m.leave(c, DBRestoring)
		m.refit()
	case s.dag.exists && s.dag.role == Secondary && !c.inst.stale:
		m.leaveSide(s, c.Name, DBRestoring)
	default:
		return errNotOnPrimary(c.Name, s.cfg.AG)
	}
	return nil
}

// Join is ALTER DATABASE … SET HADR AVAILABILITY GROUP = group, for a copy that was prepared by hand.
func (m *Model) Join(c *Copy, group string) *Error {
	s := c.inst.state()
	o := m.sides[s.side.Other()]
	isDAG := s.dag.exists && strings.EqualFold(group, m.dag.name)
	switch {
	case !isDAG && !strings.EqualFold(group, s.cfg.AG):
		return errf(41044, 16, "Availability group name to ID map entry for availability group '%s' cannot be found. The availability group name may be incorrect.  If this is a WSFC availability group, the availability group may not exist in this Windows Server Failover Cluster.  Verify the availability group exists and that the availability group name is correct and then retry the operation.", group)
	case !c.out:
		return errf(41145, 16, "Cannot join database '%s' to availability group '%s'. The database has already joined the availability group. This is an informational message. No user action is required.", c.Name, group)
	case !isDAG && s.primary == c.inst, isDAG && s.dag.role != Secondary:
		return errNotOnPrimary(c.Name, group)
	case isDAG && s.primary != c.inst:
		return errNotPrimary(group)
	}
	from, st := s.primary.byName[key(c.Name)], (*stream)(nil)
	if isDAG {
		from, st = o.primary.byName[key(c.Name)], o.dag.stream
	} else {
		for _, x := range s.streams {
			if x.to == c.inst {
				st = x
			}
		}
	}
	switch {
	case st == nil || !st.connected:
		return errf(35250, 16, "The connection to the primary replica is not active.  The command cannot be processed.")
	case from.out:
		return errf(35279, 16, "The attempt to join database '%s' to the availability group was rejected by the primary database with error '%d'. For more information, see the SQL Server error log for the primary replica.", c.Name, 35242)
	case !follows(from, c):
		return errf(1412, 16, "The remote copy of database \"%s\" has not been rolled forward to a point in time that is encompassed in the local copy of the database log.", c.Name)
	}
	from.apart = from.apart && !isDAG
	m.enter(c)
	if isDAG {
		m.seedLocal(c)
	}
	return nil
}

// allJoined tells whether an instance has joined every database of its group.
func (i *Instance) allJoined() bool {
	s := i.state()
	for _, c := range i.copies {
		if c.out && !s.unlisted[key(c.Name)] {
			return false
		}
	}
	return true
}
