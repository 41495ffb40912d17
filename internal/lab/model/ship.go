package model

import (
	"sort"
	"time"
)

// SyncState is sys.dm_hadr_database_replica_states.synchronization_state.
type SyncState int

// The synchronization states.
const (
	NotSynchronizing SyncState = iota
	Synchronizing
	Synchronized
	Reverting
	Initializing
)

func (s SyncState) String() string {
	return [...]string{"NOT SYNCHRONIZING", "SYNCHRONIZING", "SYNCHRONIZED", "REVERTING", "INITIALIZING"}[s]
}

// SuspendReason is suspend_reason; NoReason where it is NULL.
type SuspendReason int

// The reasons that the lab uses.
const (
	SuspendUser SuspendReason = iota
	SuspendPartner
	SuspendRedo
	NoReason SuspendReason = -1
)

func (r SuspendReason) String() string {
	return [...]string{"SUSPEND_FROM_USER", "SUSPEND_FROM_PARTNER", "SUSPEND_FROM_REDO"}[r]
}

// link is a network path with one queue in each direction; only the loaded direction, primary to secondary, queues here.
type link struct {
	latency   time.Duration
	bandwidth int64
	cut       bool
	busy      time.Time
}

func newLink(c LinkConfig) *link { return &link{latency: c.Latency, bandwidth: c.Bandwidth} }

// stream carries the log of all databases from one instance to another: to a local secondary, or to the forwarder.
type stream struct {
	m         *Model
	from, to  *Instance
	dag       bool
	link      *link
	connected bool
	closed    bool
	draining  bool   // the sender was demoted: what is on the wire arrives, nothing follows
	gen       uint64 // what was sent in an older generation is lost
	timeout   *event
	connect   *event
	flows     []*flow
	lastError time.Time // when the connection was last lost
}

// flow is one database on a stream.
type flow struct {
	s        *stream
	from, to *Copy
	sent     Pos
	sending  bool
	state    SyncState
	joining  bool // commits already wait for it, SYNCHRONIZED comes with the next harden
	joinAt   Pos
	linked   bool // the two logs have been matched
	over     bool // the database has left the stream
	stuck    bool // it waits for RESUME, see Assumptions.LinkStaysDown
	known    progress
	sentTime time.Time
	sendRate rate
	sentSum  int64
}

// progress is what the sender last heard from the receiver: hearsay.
type progress struct {
	heard                       bool
	received, hardened, redone  Pos
	safe                        Pos // hardened there and on its own synchronous secondaries
	lastBlock                   Pos
	commit                      LSN
	commitTime                  time.Time
	receivedTime, hardenedTime  time.Time
	redoneTime                  time.Time
	redoRate                    int64
	truncation                  Pos
	suspended, reverting, ready bool
	reason                      SuspendReason
}

// rate is a smoothed speed in bytes per second. It keeps its last value when nothing moves, as the real columns do.
type rate struct {
	value  float64
	since  time.Time
	amount int64
}

func (r *rate) add(now time.Time, n int64) {
	if r.since.IsZero() {
		r.since = now.Add(-100 * time.Millisecond)
	}
	r.amount += n
	if d := now.Sub(r.since); d >= 100*time.Millisecond {
		v := float64(r.amount) / d.Seconds()
		if r.value == 0 {
			r.value = v
		}
		r.value += 0.3 * (v - r.value)
		r.since, r.amount = now, 0
	}
}

func (r *rate) kb() int64 { return int64(r.value / 1024) }

// peers are the other instances that hold a copy of the same database and take part.
func (m *Model) peers(c *Copy) []*Instance { return m.peersOf(c.inst) }

func (m *Model) peersOf(i *Instance) []*Instance {
	var list []*Instance
	for _, s := range m.sides {
		if s.side != i.Side && (!s.dag.exists || !m.sides[i.Side].dag.exists) {
			continue
		}
		for _, in := range s.instances {
			if in != i {
				list = append(list, in)
			}
		}
	}
	return list
}

// open tells whether packets pass on the stream's path.
func (s *stream) open() bool {
	return !s.link.cut && s.from.online && s.to.online && !s.from.frozen && !s.to.frozen
}

func (f *flow) suspended() bool { return f.from.suspended || f.to.suspended }

func (f *flow) active() bool {
	return f.s.connected && !f.s.closed && !f.s.draining && f.linked && !f.suspended() && f.s.open() && !f.from.held() && !f.to.held()
}

// streamsFrom are the streams that start at an instance.
func (m *Model) streamsFrom(i *Instance) []*stream {
	s := i.state()
	if s.primary != i {
		return nil
	}
	list := s.streams
	if s.dag.stream != nil && s.dag.stream.from == i {
		list = append(list[:len(list):len(list)], s.dag.stream)
	}
	return list
}

// flowFrom is the flow that begins at a copy, flowTo the one that ends there; nil if there is none. Flows stand in the order of the
// copies, at being the copy's place there, but for those that the other instance does not have.
func (s *stream) flowFrom(c *Copy, at int) *flow {
	if at < len(s.flows) && s.flows[at].from == c {
		return s.flows[at]
	}
	for _, f := range s.flows {
		if f.from == c {
			return f
		}
	}
	return nil
}

func (s *stream) flowTo(c *Copy, at int) *flow {
	if at < len(s.flows) && s.flows[at].to == c {
		return s.flows[at]
	}
	for _, f := range s.flows {
		if f.to == c {
			return f
		}
	}
	return nil
}

// place is where a copy stands among its instance's copies.
func (c *Copy) place() int { return c.ID - c.inst.copies[0].ID }

func (m *Model) flowsFrom(c *Copy) []*flow {
	var list []*flow
	for _, s := range m.streamsFrom(c.inst) {
		if f := s.flowFrom(c, c.place()); f != nil {
			list = append(list, f)
		}
	}
	return list
}

// flowTo is the flow that feeds a copy; nil for the one that writes.
func (m *Model) flowTo(c *Copy) *flow {
	s := c.inst.state()
	streams := s.streams
	if o := m.sides[c.inst.Side.Other()].dag.stream; o != nil {
		streams = append(streams[:len(streams):len(streams)], o)
	}
	for _, st := range streams {
		if f := st.flowTo(c, c.place()); f != nil {
			return f
		}
	}
	return nil
}

// redoes tells whether the copy applies somebody else's log rather than writing its own.
func (m *Model) redoes(c *Copy) bool { return !c.writable() }

// synchronous tells whether commits wait for the receiver once it has caught up.
func (s *stream) synchronous() bool {
	if !s.dag {
		return s.from.mode == Sync && s.to.mode == Sync
	}
	from, to := s.from.state(), s.to.state()
	own := from.dag.modes[0] == Sync && from.dag.modes[1] == Sync
	if s.m.cfg.Assume.S1OneSideSuffices {
		return own
	}
	return own && to.dag.modes[0] == Sync && to.dag.modes[1] == Sync
}

func (m *Model) pumpAll(c *Copy) {
	for _, f := range m.flowsFrom(c) {
		m.pump(f)
	}
}

const maxPacket = 60 * 1024

// pump puts the next packet on the wire, one at a time for each database.
func (m *Model) pump(f *flow) {
	if f.sending || !f.active() || f.sent >= f.from.sealed {
		return
	}
	log := f.from.entries
	i := sort.Search(len(log), func(i int) bool { return log[i].start >= f.sent })
	if i == len(log) || log[i].start != f.sent {
		return
	}
	j, bytes := i, int64(0)
	for j < len(log) && log[j].end <= f.from.sealed && (j == i || bytes < maxPacket) {
		bytes += int64(log[j].end-log[j].start) * 512
		j++
	}
	if j == i {
		return
	}
	packet := log[i:j:j]
	start := f.s.link.busy
	if start.Before(m.now) {
		start = m.now
	}
	var dur time.Duration
	if bw := f.s.link.bandwidth; bw > 0 {
		dur = time.Duration(float64(bytes) / float64(bw) * float64(time.Second))
	}
	f.s.link.busy = start.Add(dur)
	f.sending = true
	gen := f.s.gen
	m.after(start.Add(dur).Sub(m.now), func() {
		if f.s.gen != gen {
			return
		}
		f.sending = false
		f.sent = packet[len(packet)-1].end
		f.sentTime = f.from.inst.clock()
		f.sendRate.add(m.now, bytes)
		f.sentSum += bytes
		m.after(f.s.link.latency, func() {
			if f.s.gen == gen {
				m.receive(f, packet)
			}
		})
		m.pump(f)
	})
}

// receive: a packet arrived.
func (m *Model) receive(f *flow, packet []*entry) {
	c := f.to
	if c.writable() || c.end != packet[0].start || c.suspended || !f.linked || c.held() {
		return
	}
	for _, e := range packet {
		c.take(e)
		c.received += int64(e.end-e.start) * 512
	}
	c.receivedTime = c.inst.clock()
	c.flush()
}

// redo applies what is hardened, in steps, as fast as the instance can.
func (m *Model) redo(c *Copy) {
	if c.redoing || c.redone >= c.hardened || c.inst.cfg.RedoKBps < 0 || !c.inst.online || c.reverting || c.suspended && c.reason == SuspendRedo || c.held() {
		return
	}
	speed := c.inst.cfg.RedoKBps * 1024
	bytes := int64(c.hardened-c.redone) * 512
	bytes = min(bytes, max(speed/10, 512))
	upTo := c.redone + Pos((bytes+511)/512)
	c.redoing = true
	epoch := c.epoch
	m.after(time.Duration(float64(bytes)/float64(speed)*float64(time.Second)), func() {
		c.redoing = false
		if c.epoch != epoch || !m.redoes(c) {
			return
		}
		upTo = min(upTo, c.hardened)
		if upTo > c.redone {
			c.redoneBytes += int64(upTo-c.redone) * 512
			c.redoRate.add(m.now, int64(upTo-c.redone)*512)
			c.redone = upTo
			c.redoneTime = c.inst.clock()
			c.apply(upTo)
			c.checkpoint = max(c.checkpoint, min(upTo, c.checkpoint))
			m.report(c)
		}
		m.redo(c)
	})
}

// report sends a copy's progress to whoever feeds it.
func (m *Model) report(c *Copy) {
	m.touch()
	for _, f := range m.feeding(c) {
		m.tell(f)
	}
}

func (m *Model) feeding(c *Copy) []*flow {
	if f := m.flowTo(c); f != nil {
		return []*flow{f}
	}
	return nil
}

// tell sends one progress message; it arrives after the link's latency.
func (m *Model) tell(f *flow) {
	if !f.s.connected || f.s.draining || !f.s.open() {
		return
	}
	gen, p := f.s.gen, m.progressOf(f.to)
	m.after(f.s.link.latency, func() {
		if f.s.gen == gen && !f.s.closed {
			f.known = p
			m.heard(f)
		}
	})
}

// hear is tell without the wire: what connecting itself makes known.
func (m *Model) hear(f *flow) {
	f.known.suspended, f.known.reason, f.known.reverting = f.to.suspended, f.to.reason, f.to.reverting
	m.heard(f)
}

func (m *Model) progressOf(c *Copy) progress {
	return progress{heard: true, received: c.end, hardened: c.hardened, redone: c.redone, safe: m.commitPoint(c), lastBlock: c.lastBlock,
		commit: c.lastCommit, commitTime: c.lastCommitTime, receivedTime: c.receivedTime, hardenedTime: c.hardenedTime, redoneTime: c.redoneTime,
		redoRate: c.redoRate.kb(), truncation: c.truncation, suspended: c.suspended, reason: c.reason, reverting: c.reverting, ready: true}
}

// heard moves the synchronization state on, and with it the commits that wait.
func (m *Model) heard(f *flow) {
	m.judge(f)
	m.settle(f.from)
	if m.redoes(f.from) { // the forwarder passes on that its own secondary moved
		m.report(f.from)
	}
}

// judge derives the synchronization state.
func (m *Model) judge(f *flow) {
	switch {
	case !f.s.connected || f.suspended():
		f.state, f.joining = NotSynchronizing, false
	case f.to.forced.sync != nil:
		f.state, f.joining = *f.to.forced.sync, false
	case f.from.held() || f.to.held():
		f.state, f.joining = NotSynchronizing, false
	case f.to.reverting:
		f.state, f.joining = Reverting, false
	case !f.linked:
		f.state, f.joining = NotSynchronizing, false
	case !f.s.synchronous(), m.cfg.Assume.CrossVersionNeverSynchronized && f.s.dag && m.crossVersion(f.to):
		f.state, f.joining = Synchronizing, false
	case f.state == Synchronized:
	case f.joining:
		if f.known.safe >= f.joinAt {
			f.state, f.joining = Synchronized, false
		}
	default:
		f.state = Synchronizing
		if f.sent >= f.from.sealed && f.known.heard {
			f.joining, f.joinAt = true, f.from.sealed
			if f.known.safe >= f.joinAt {
				f.state, f.joining = Synchronized, false
			}
		}
	}
	m.touch()
}

// rejudge looks at every flow again, after a mode changed.
func (m *Model) rejudge() {
	for _, s := range m.allStreams() {
		for _, f := range s.flows {
			m.judge(f)
			if f.linked {
				m.tell(f)
			}
		}
	}
	m.settleAll()
}
