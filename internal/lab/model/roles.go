package model

import (
	"strings"
	"time"
)

// pendingStatement was accepted and has not taken effect yet.
type pendingStatement struct {
	what string
	due  time.Time
	ev   *event
}

// Verb is what an ALTER or DROP AVAILABILITY GROUP statement asks for.
type Verb int

// The verbs.
const (
	ModifyMembers Verb = iota // S1: MODIFY AVAILABILITY GROUP ON …
	SetRole                   // S2: SET (ROLE = SECONDARY)
	ForceFailover             // S3
	PlainFailover
	SetRSSTC      // S4
	ModifyReplica // MODIFY REPLICA ON … WITH (AVAILABILITY_MODE = …)
	DropGroup
	Grant // GRANT CREATE ANY DATABASE and the like: accepted, without effect
	AddDatabase
	RemoveDatabase
)

// Member is one part of S1.
type Member struct {
	Name string
	Mode *Mode // nil: not named
	URL  string
	// Seeding is AUTOMATIC or MANUAL, or empty.
	Seeding string
}

// Statement is a parsed ALTER or DROP AVAILABILITY GROUP.
type Statement struct {
	Verb    Verb
	Group   string
	Members []Member // ModifyMembers; ModifyReplica with exactly one, a replica
	Value   int      // SetRSSTC
	Access  *Access  // ModifyReplica: SECONDARY_ROLE (ALLOW_CONNECTIONS = …)
	// Database is the one of AddDatabase and RemoveDatabase.
	Database string
}

// Class is the short name by which faults select statements: s1, s2, s3, rsstc, replica, drop, failover, grant,
// database.
func (s Statement) Class() string {
	return [...]string{"s1", "s2", "s3", "failover", "rsstc", "replica", "drop", "grant", "database", "database"}[s.Verb]
}

// Execute accepts a statement on an instance, or refuses it. It returns when the statement is accepted, as SQL Server does;
// the effect comes later, after the configured time plus late. sysadmin tells whether the login may do everything.
func (m *Model) Execute(i *Instance, st Statement, sysadmin bool, late time.Duration) *Error {
	if err := m.execute(i, st, sysadmin, late); err != nil {
		return err
	}
	if m.hooks.Statement != nil {
		m.hooks.Statement(i, st.Class(), false)
	}
	return nil
}

func (m *Model) execute(i *Instance, st Statement, sysadmin bool, late time.Duration) *Error {
	m.touch()
	side := i.state()
	isDAG := side.dag.exists && strings.EqualFold(st.Group, m.dag.name)
	isLocal := strings.EqualFold(st.Group, side.cfg.AG)
	if side.second != nil && strings.EqualFold(st.Group, side.second.name) {
		return errf(41190, 16, "Availability group '%s' failed to process the command. dag_lab shows a second distributed availability group and does not change it.", st.Group)
	}
	if !isDAG && !isLocal {
		if st.Verb == ModifyMembers {
			return errDAGUnknown(st.Group)
		}
		verb := "alter"
		if st.Verb == DropGroup {
			verb = "drop"
		}
		return ErrMissing("availability group", verb, st.Group)
	}
	if isDAG && !sysadmin && !m.cfg.Assume.GrantSuffices && (st.Verb == ModifyMembers || st.Verb == ForceFailover || st.Verb == SetRole) {
		return ErrMissing("availability group", "alter", m.dag.name)
	}
	if i.stale {
		return m.executeStale(i, st, isLocal, late)
	}
	if isLocal {
		return m.executeLocal(i, st, late)
	}
	if side.primary != i || i.role != Primary {
		return errNotPrimary(m.dag.name)
	}
	t := m.cfg.Timing
	switch st.Verb {
	case ModifyMembers:
		return m.modifyMembers(i, st, late)
	case SetRole:
		if side.dag.role != Primary {
			if m.cfg.Assume.WrongSide41190 || side.dag.role == Resolving {
				return errWrongState(m.dag.name)
			}
			return errNotPrimary(m.dag.name)
		}
		m.plan(i, "s2", t.Demote+late, func() { m.demote(side) })
	case ForceFailover:
		if side.dag.role == Primary {
			if m.cfg.Assume.ForceOnPrimary41190 {
				return errWrongState(m.dag.name)
			}
			return errAlreadyPrimary(m.dag.name)
		}
		m.plan(i, "s3", t.Failover+late, func() { m.promote(side) })
	case PlainFailover:
		return errOnlyForce()
	case SetRSSTC:
		if i.cfg.Major < 16 {
			return errf(41190, 16, "Availability group '%s' failed to process the command. REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT is not supported for a distributed availability group in this version.", m.dag.name)
		}
		if st.Value < 0 || st.Value > 1 {
			return errf(41135, 16, "The value %d for REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT is not valid for availability group '%s'.", st.Value, m.dag.name)
		}
		m.plan(i, "rsstc", t.Modify+late, func() {
			side.dag.rsstc = st.Value
			m.bump(side)
			if o := m.sides[side.side.Other()]; m.cfg.Assume.RSSTCTravels && side.dag.role == Primary && o.dag.exists {
				o.dag.rsstc = st.Value
			}
			m.settleAll()
		})
	case DropGroup:
		m.plan(i, "drop", t.Modify+late, func() {
			side.dag = memberCopy{role: Resolving, stream: side.dag.stream}
			if s := side.dag.stream; s != nil {
				m.closeStream(s)
				side.dag.stream = nil
			}
			m.rewire()
			m.wake(side)
		})
	case Grant:
	case AddDatabase, RemoveDatabase: // a distributed group has no databases of its own
		return errWrongState(m.dag.name)
	default:
		return errNotPrimary(m.dag.name)
	}
	return nil
}

// executeStale runs a statement on an instance that believes it is still primary. SET (ROLE = SECONDARY) on its own AG is what
// makes it a secondary again; on the distributed AG it gives up what it believes to be there.
func (m *Model) executeStale(i *Instance, st Statement, isLocal bool, late time.Duration) *Error {
	switch {
	case st.Verb == SetRole && isLocal:
		m.plan(i, "local s2", m.cfg.Timing.Demote+late, func() {
			i.stale, i.deposed = false, false
			i.role = Secondary
			for _, c := range i.copies {
				if c.out {
					continue
				}
				m.failWaiters(c, 0, ErrKilled())
				m.undoOpen(c)
				c.epoch++
				c.sealed, c.hardened = c.end, c.end
				m.cancel(c.background)
				c.background = nil
			}
			m.killUsers(i)
			m.rewire()
		})
	case st.Verb == SetRole && i.staleRole == Primary:
		m.plan(i, "s2", m.cfg.Timing.Demote+late, func() { i.staleRole = Secondary; m.killUsers(i) })
	case st.Verb == ForceFailover && !isLocal && i.staleRole != Primary:
		m.plan(i, "s3", m.cfg.Timing.Failover+late, func() { i.staleRole = Primary; m.killUsers(i); m.open(i) })
	case st.Verb == ForceFailover || st.Verb == PlainFailover:
		return errAlreadyPrimary(st.Group)
	default:
		return errWrongState(st.Group)
	}
	return nil
}

// modifyMembers is S1 and its like: it changes this side's own copy only.
func (m *Model) modifyMembers(i *Instance, st Statement, late time.Duration) *Error {
	side := i.state()
	for _, mem := range st.Members {
		if mem.Name != m.sides[0].cfg.AG && mem.Name != m.sides[1].cfg.AG {
			return errMemberUnknown(mem.Name, m.dag.name)
		}
	}
	m.plan(i, "s1", m.cfg.Timing.Modify+late, func() {
		for _, mem := range st.Members {
			for s := range m.sides {
				if mem.Name == m.sides[s].cfg.AG {
					side.dag.change(s, mem)
				}
			}
		}
		m.bump(side)
		m.rejudge()
		for _, mem := range st.Members { // AUTOMATIC, also where it was that, seeds what is not there
			if other := side.side.Other(); mem.Seeding == "AUTOMATIC" && mem.Name == m.sides[other].cfg.AG {
				for _, c := range side.primary.copies {
					if !c.out {
						m.seedForwarder(c)
					}
				}
			}
		}
		m.reconnect(0)
	})
	return nil
}

// change takes what S1 says about one member.
func (d *memberCopy) change(member int, to Member) {
	if to.Mode != nil {
		d.modes[member] = *to.Mode
	}
	if to.URL != "" {
		d.urls[member] = to.URL
	}
	if to.Seeding != "" {
		d.manual[member] = to.Seeding == "MANUAL"
	}
}

// executeLocal runs a statement on the side's own availability group.
func (m *Model) executeLocal(i *Instance, st Statement, late time.Duration) *Error {
	side := i.state()
	ag := side.cfg.AG
	switch st.Verb {
	case ModifyMembers, SetRole:
		if st.Verb == SetRole && side.cfg.ClusterType == None && side.primary == i {
			return errWrongState(ag)
		}
		return errNotDistributed(ag)
	case ForceFailover, PlainFailover:
		if side.primary == i && i.role == Primary {
			return errAlreadyPrimary(ag)
		}
		return m.failoverLocal(i, st.Verb == ForceFailover, late)
	case Grant:
		return nil
	case DropGroup:
		return errf(41190, 16, "Availability group '%s' failed to process the command. dag_lab does not drop local availability groups.", ag)
	}
	if side.primary != i || i.role != Primary {
		return errNotPrimary(ag)
	}
	switch st.Verb {
	case SetRSSTC:
		if st.Value < 0 || st.Value >= max(len(side.instances), 1) && st.Value > 0 {
			return errf(41135, 16, "The value %d for REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT is not valid for availability group '%s'.", st.Value, ag)
		}
		m.plan(i, "rsstc", m.cfg.Timing.Modify+late, func() {
			side.rsstc = st.Value
			side.sequence++
			m.settleAll()
		})
	case AddDatabase, RemoveDatabase:
		accept := m.addDatabase
		if st.Verb == RemoveDatabase {
			accept = m.removeDatabase
		}
		effect, err := accept(i, st.Database)
		if err != nil {
			return err
		}
		m.plan(i, "database", m.cfg.Timing.Modify+late, effect)
	case ModifyReplica:
		mem := st.Members[0]
		var replica *Instance
		for _, in := range side.instances {
			if strings.EqualFold(in.cfg.ServerName, mem.Name) {
				replica = in
			}
		}
		if replica == nil {
			return errf(41045, 16, "Cannot find the availability replica '%s' in the availability group '%s'.", mem.Name, ag)
		}
		m.plan(i, "replica", m.cfg.Timing.Modify+late, func() {
			if mem.Mode != nil {
				replica.mode = *mem.Mode
			}
			if st.Access != nil {
				replica.access = *st.Access
			}
			side.sequence++
			m.rejudge()
		})
	}
	return nil
}

func (m *Model) bump(s *SideState) {
	s.dag.sequence++
	s.dag.modified = s.primary.clock()
}

// plan schedules the effect of an accepted statement.
func (m *Model) plan(i *Instance, what string, d time.Duration, effect func()) {
	p := &pendingStatement{what: what, due: m.now.Add(d)}
	i.pending = append(i.pending, p)
	p.ev = m.after(d, func() { m.land(i, p, effect) })
}

func (m *Model) land(i *Instance, p *pendingStatement, effect func()) {
	if i.frozen || !i.online { // it lands when the instance moves again
		p.ev = m.after(100*time.Millisecond, func() { m.land(i, p, effect) })
		return
	}
	for n, x := range i.pending {
		if x == p {
			i.pending = append(i.pending[:n:n], i.pending[n+1:]...)
			break
		}
	}
	effect()
	m.touch()
	if m.hooks.Statement != nil {
		m.hooks.Statement(i, strings.TrimPrefix(p.what, "local "), true)
	}
}

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
	unjoined := errf(41142, 16, "The availability replica for availability group '%s' on this instance of SQL Server cannot become the primary replica. One or more databases are not synchronized or have not joined the availability group.", s.cfg.AG)
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

// flowsOf are the flows that a copy takes part in, at either end.
func (m *Model) flowsOf(c *Copy) []*flow {
	list := m.flowsFrom(c)
	if f := m.flowTo(c); f != nil {
		list = append(list, f)
	}
	return list
}
