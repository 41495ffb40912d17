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
		return errOnlyForce(m.dag.name)
	case SetRSSTC:
		if i.cfg.Major < 16 {
			return errf(41190, 16, "Availability group '%s' failed to process the command. REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT is not supported for a distributed availability group in this version.", m.dag.name)
		}
		if st.Value < 0 || st.Value > 1 {
			return errTooManyRequired(st.Value, 1, m.dag.name)
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
			return errTooManyRequired(st.Value, max(len(side.instances), 1)-1, ag)
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
			return errReplicaUnknown(mem.Name, ag)
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
