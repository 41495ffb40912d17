package model

import "time"

// The states of sys.dm_hadr_automatic_seeding.current_state that the lab passes through.
const (
	SeedingCheck     = "CHECK_IF_SEEDING_NEEDED"
	SeedingTransfer  = "SEEDING"
	SeedingCatchup   = "CATCHUP"
	SeedingCompleted = "COMPLETED"
	SeedingFailed    = "FAILED"
)

// DataBytes is the size of a database's data file, which is what seeding copies.
const DataBytes = 1 << 30

// seedingReasons are failure_state and failure_state_desc as documented. A hundreds digit says where: 1 source, 2 target.
var seedingReasons = [...]string{"Internal Error", "User Cancellation", "SQL Error", "Request Denied", "Thread Abort", "Primary Failure", "Transport",
	"Transport Replica", "Check If Seeding Needed", "Send Database File Info", "Create Callback", "Create Operation", "Create VDI Client", "Open VDI Client",
	"Create USC Session", "Seeding", "Restore String Creation", "Database ID Lookup", "Create Async Task", "Create Timeout Task", "Async Task Failure",
	"Seeding Check Message Timeout", "File Message Timeout", "Database With Name Already Exists", "Secondary Catchup Timeout",
	"Secondary Restore Stream Ready Timeout"}

const (
	failedByUser      = 1
	failedBySQL       = 2
	failedByPrimary   = 5
	failedByTransport = 6
	failedByName      = 23
	notFailed         = -1
)

// SeedingReason is failure_state_desc; false for a number that is not documented.
func SeedingReason(state int) (string, bool) {
	if state < 0 || state >= 300 || state%100 >= len(seedingReasons) {
		return "", false
	}
	return seedingReasons[state%100], true
}

// seeding is one automatic seeding: of the forwarder over the link, or of a secondary of the same side.
type seeding struct {
	from, to        *Copy
	dag             bool
	group           GUID
	databases       [2]GUID // group_database_id on either end, as it was then
	operations      [2]GUID // the operation's id on either end
	start, done     time.Time
	began           time.Time // of the transfer
	broken          time.Time // since when the path has been
	state           string
	full, performed bool
	size, moved     int64
	failure         int
	code            int32
	fails           int // what it shall fail with, half way
}

// kept is how many seedings the views show.
const kept = 200

func (m *Model) seedingTo(c *Copy) *seeding {
	for _, s := range m.seedings {
		if s.to == c && s.done.IsZero() {
			return s
		}
	}
	return nil
}

// seed begins a seeding; one that runs already goes on.
func (m *Model) seed(from, to *Copy, full bool, size int64, fails int) {
	if m.seedingTo(to) != nil {
		return
	}
	src, dst := from.inst.state(), to.inst.state()
	s := &seeding{from: from, to: to, dag: src != dst, group: src.groupID, databases: [2]GUID{src.dbIDs[key(from.Name)], dst.dbIDs[key(to.Name)]},
		operations: [2]GUID{newGUID(m.rng), newGUID(m.rng)}, start: m.now, state: SeedingCheck, full: full, size: size, failure: notFailed, fails: fails}
	if s.dag {
		s.group = m.dag.groupID
	}
	m.seedings = append(m.seedings, s)
	if n := len(m.seedings); n > kept {
		m.seedings = append([]*seeding(nil), m.seedings[n-kept:]...)
	}
	m.touch()
	m.step(s, 2*s.link(m).latency, func() { m.check(s) })
}

// seedLocal seeds the secondaries of a copy's own side that do not have it.
func (m *Model) seedLocal(c *Copy) {
	for _, in := range c.inst.state().instances {
		if t := in.byName[key(c.Name)]; in != c.inst && t.out {
			m.seed(c, t, false, DataBytes, notFailed)
		}
	}
}

// seedForwarder seeds a database of the global primary to the other side, where that is to be seeded and does not have it.
func (m *Model) seedForwarder(c *Copy) {
	s := c.inst.state()
	o := m.sides[s.side.Other()]
	if !s.dag.exists || !o.dag.exists || s.dag.role != Primary || s.dag.manual[o.side] {
		return
	}
	if t := o.primary.byName[key(c.Name)]; t.out || t.apart {
		m.seed(c, t, false, DataBytes, notFailed)
	}
}

// Seed takes a copy out of the group, unless it is out, and seeds it from its primary: size bytes over the link. With fails, a
// documented failure_state, it fails half way; below 0 it does not.
func (m *Model) Seed(to *Copy, size int64, fails int) *Error {
	s := to.inst.state()
	from := s.primary.byName[key(to.Name)]
	if s.primary == to.inst {
		from = m.sides[s.side.Other()].primary.byName[key(to.Name)]
	}
	probe := &seeding{from: from, to: to, dag: s.primary == to.inst}
	if why := m.seeds(probe); why != notFailed || m.seedingTo(to) != nil {
		return errf(19505, 16, "Cannot initiate a target seeding operation on a non-secondary/forwarder replica for availability group '%s'.", s.cfg.AG)
	}
	if !to.out {
		if err := m.Off(to); err != nil {
			return err
		}
	}
	if size <= 0 {
		size = DataBytes
	}
	m.seed(from, to, true, size, fails)
	return nil
}

func (s *seeding) link(m *Model) *link {
	if s.dag {
		return m.link
	}
	return s.from.inst.state().local
}

// seeds tells whether the source may still seed the destination; if not, with which failure_state it ends.
func (m *Model) seeds(s *seeding) int {
	src, dst := s.from.inst.state(), s.to.inst.state()
	switch {
	case s.from.out, s.dag && src.dag.manual[dst.side]:
		return failedByUser
	case src.primary != s.from.inst, src.primary.role != Primary, src.primary.stale:
		return failedByPrimary
	case s.dag && (!src.dag.exists || !dst.dag.exists || src.dag.role != Primary || dst.dag.role != Secondary || dst.primary != s.to.inst):
		return failedByPrimary
	case !s.dag && (src != dst || src.primary == s.to.inst):
		return failedByPrimary
	}
	return notFailed
}

// step lets a seeding go on after d, as long as it may; a path that is broken for longer than a session lives ends it.
func (m *Model) step(s *seeding, d time.Duration, next func()) {
	m.after(d, func() {
		if !s.done.IsZero() {
			return
		}
		if why := m.seeds(s); why != notFailed {
			m.failSeeding(s, why, 0)
			return
		}
		from, to := s.from.inst, s.to.inst
		if s.link(m).cut || !from.online || !to.online || from.frozen || to.frozen {
			if s.broken.IsZero() {
				s.broken = m.now
			}
			if m.now.Sub(s.broken) >= m.cfg.Timing.SessionTimeout {
				m.failSeeding(s, failedByTransport, 0)
				return
			}
			m.step(s, 100*time.Millisecond, next)
			return
		}
		s.broken = time.Time{}
		next()
		m.touch()
	})
}

// check decides what there is to do: nothing but catching up where a copy is there that can follow, else the whole database.
func (m *Model) check(s *seeding) {
	switch {
	case !s.to.out || s.to.rests == DBOnline:
		m.failSeeding(s, failedByName, 0)
	case s.dag && s.to.inst.cfg.Major > s.from.inst.cfg.Major: // a newer version has to be seeded by hand
		m.failSeeding(s, failedBySQL, 946)
	case !s.full && follows(s.from, s.to):
		m.catchUp(s)
	default:
		s.state, s.performed, s.began = SeedingTransfer, true, m.now
		m.transfer(s)
	}
}

// transfer puts the next piece on the link, between the packets of the log.
func (m *Model) transfer(s *seeding) {
	l := s.link(m)
	piece, took := int64(64<<20), 10*time.Millisecond
	if l.bandwidth > 0 {
		piece = min(max(l.bandwidth/10, 8<<10), piece)
	}
	piece = min(piece, s.size-s.moved)
	if l.bandwidth > 0 {
		took = time.Duration(float64(piece) / float64(l.bandwidth) * float64(time.Second))
	}
	start := l.busy
	if start.Before(m.now) {
		start = m.now
	}
	l.busy = start.Add(took)
	m.step(s, l.busy.Sub(m.now), func() {
		s.moved += piece
		switch {
		case s.fails >= 0 && s.moved >= s.size/2:
			m.failSeeding(s, s.fails, 0)
		case s.moved >= s.size:
			s.to.become(s.from)
			m.catchUp(s)
		default:
			m.transfer(s)
		}
	})
}

func (m *Model) catchUp(s *seeding) {
	s.state = SeedingCatchup
	m.step(s, 2*s.link(m).latency, func() {
		if !s.to.out { // somebody joined it by hand meanwhile
			m.failSeeding(s, failedByName, 0)
			return
		}
		s.state, s.done = SeedingCompleted, m.now
		s.from.apart = s.from.apart && !s.dag // what seeds the other side is the distributed group's
		m.enter(s.to)
		if s.dag {
			m.seedLocal(s.to)
		}
	})
}

func (m *Model) failSeeding(s *seeding, why int, code int32) {
	s.state, s.done, s.failure, s.code = SeedingFailed, m.now, why, code
	m.touch()
}

// become makes a copy what the other one is now.
func (c *Copy) become(o *Copy) {
	p := o.redone
	c.epoch++
	c.entries, c.rows, c.anyGone, c.shown = nil, nil, o.anyGone, shownRows{}
	for _, r := range o.rows {
		if r.at <= p {
			c.rows = append(c.rows, r)
		}
	}
	c.bringBack(p)
	c.history, c.family = o.history, o.family
	c.end, c.sealed, c.hardened, c.redone, c.completed, c.applied = p, p, p, p, p, p
	c.lastBlock, c.checkpoint, c.truncation = o.lastBlock, min(o.checkpoint, p), min(o.truncation, p)
	c.redoing = false
	c.openInLog = map[uint64]bool{}
	for id := range o.openInLog {
		c.openInLog[id] = true
	}
	c.lastCommit, c.lastCommitTime = o.lastCommit, o.lastCommitTime
	c.hardenedTime, c.receivedTime, c.redoneTime = c.inst.clock(), c.inst.clock(), c.inst.clock()
}

// SeedingView is one end of a seeding, as its instance shows it. Times are on the instance's clock; zero is NULL.
type SeedingView struct {
	Group, Database, Remote GUID // the group, the database in it, the other end's replica
	Operation, RemoteOp     GUID
	Start, Done, Began      time.Time
	Source, DAG             bool
	Forwarding              bool // from a forwarder to a secondary of its own
	State                   string
	Performed               bool
	Failure                 int // below 0: none
	Reason                  string
	Code                    int32 // 0: none
	DatabaseID              int
	Name                    string
	Machine                 string // the other end's
	Size, Moved             int64  // bytes
	Rate                    int64  // bytes per second; 0: not known yet
}

// seedingViews are those that an instance has a part in, newest last.
func (m *Model) seedingViews(i *Instance) []SeedingView {
	var out []SeedingView
	for _, s := range m.seedings {
		own, other, end := s.from, s.to, 0
		switch i {
		case s.from.inst:
		case s.to.inst:
			own, other, end = s.to, s.from, 1
		default:
			continue
		}
		src := s.from.inst.state()
		v := SeedingView{Group: s.group, Database: s.databases[end], Remote: other.inst.ReplicaID, Operation: s.operations[end], RemoteOp: s.operations[1-end],
			Start: i.wall(s.start), Done: i.wall(s.done), Began: i.wall(s.began), Source: end == 0, DAG: s.dag, State: s.state, Performed: s.performed, Failure: s.failure,
			Code: s.code, DatabaseID: own.ID, Name: own.Name, Machine: other.inst.cfg.ServerName, Size: s.size, Moved: s.moved,
			Forwarding: !s.dag && src.dag.exists && src.dag.role == Secondary}
		if s.dag {
			v.Remote = m.dag.members[other.inst.Side]
		}
		v.Reason, _ = SeedingReason(s.failure)
		if d := m.now.Sub(s.began); s.moved > 0 && d > 0 {
			v.Rate = int64(float64(s.moved) / d.Seconds())
		}
		out = append(out, v)
	}
	return out
}
