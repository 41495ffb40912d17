package model

import (
	"sort"
	"sync/atomic"
	"time"
)

// Snapshot is what one instance knows at one moment. Nothing in it changes afterwards.
type Snapshot struct {
	Now      time.Time // on the instance's clock
	Revision uint64
	Instance InstanceView
	Group    GroupView   // the local AG
	DAG      *DAGView    // nil if this side dropped it
	Second   *DAGView    // a further distributed AG of the same local AG, in which it is primary; nil: none
	Seen     []*Database // local databases in the order of their ids
	Sessions []Session
	Locks    []AppLock
	Props    []Property
	Seedings []SeedingView
	Assume   Assumptions
}

// InstanceView is the instance itself.
type InstanceView struct {
	Side       Side
	ServerName string
	Config     InstanceConfig
	Started    time.Time
	ReplicaID  GUID
	OwnerSID   [16]byte
	Role       Role
	Collation  string
	Primary    bool // of the local AG
	Writable   bool
	Pending    []string
}

// ReplicaView is one replica of the local AG.
type ReplicaView struct {
	ID         GUID
	ServerName string
	Endpoint   string
	Mode       Mode
	Access     Access
	OwnerSID   [16]byte
	Local      bool
	Primary    bool
	MetadataID int
	Role       Role
	Connected  bool
	LastError  time.Time // zero: none
	Healthy    bool
}

// GroupView is the local availability group.
type GroupView struct {
	ID          GUID
	Name        string
	ClusterType ClusterType
	RSSTC       int
	Sequence    int64
	Contained   bool
	Created     time.Time
	ListenerURL string
	Primary     string // server name of its primary
	Replicas    []ReplicaView
}

// DAGView is this side's copy of the distributed AG.
type DAGView struct {
	ID        GUID
	Name      string
	Role      Role
	Members   [2]DAGMember // source, target
	RSSTC     int
	Sequence  int64
	Created   time.Time
	Modified  time.Time
	Connected bool
	LastError time.Time
	// OwnIndex says which member this side is.
	OwnIndex int
	// Holds tells whether this instance holds the DAG's role (it is primary of its AG).
	Holds bool
	// Rows tells whether the DAG's database rows are shown here.
	Rows bool
}

// DAGMember is one member AG of the DAG.
type DAGMember struct {
	ReplicaID GUID
	Name      string
	URL       string
	Mode      Mode
	Manual    bool // SEEDING_MODE
}

// Database is one local database with what is known of it elsewhere. Nothing in it changes; snapshots share it as long as the
// database looks the same.
type Database struct {
	facts
	Readable  *Error       // nil if it can be read
	Replica   []RemoteView // local secondaries, on the primary of the local AG
	DAG       *RemoteView  // the forwarder, on the global primary
	Ledger    []Row
	Open      []TxView
	overrides map[string]*LSN
	memo      [Memos]atomic.Pointer[memo]
}

// facts is the part of a Database that == compares.
type facts struct {
	Name      string
	ID        int
	Group     GUID // its group_database_id in the local AG
	InDAG     GUID // in the distributed AG
	First     GUID // its group_database_id when the lab began
	Joined    bool // this instance's copy is in the group
	Listed    bool // the group holds it
	State     DBState
	Reverting bool
	Suspended bool
	Reason    SuspendReason
	Created   time.Time
	Collation string
	Writable  bool

	Own    Progress  // this instance's own log
	State2 SyncState // own row's synchronization state
	Commit bool      // own row's is_commit_participant

	Family, Fork GUID
	LogSize      int64
	LogUsed      int64
	ReuseWait    string
	Flushed      int64
	Flushes      int64
	Received     int64
	Redone       int64
	Writes       int64
	Transactions int64
	Ghosts       int64
	RedoQueue    int64 // bytes
}

// Override gives the LSN that a column is forced to read; nil if none.
func (d *Database) Override(column string) *LSN { return d.overrides[column] }

// Progress is how far one log is. LSNs that are zero are not known.
type Progress struct {
	EndOfLog, Hardened, Received, Redone, Recovery, Truncation, Commit LSN
	CommitTime, HardenedTime, ReceivedTime, RedoneTime                 time.Time
	// HardenedNull: the column is NULL (a primary with asynchronous local commit).
	HardenedNull bool
	RedoRate     int64 // KB/s
	RedoQueue    int64 // KB
}

// RemoteView is what a primary knows about one secondary of one database: hearsay.
type RemoteView struct {
	ReplicaID GUID
	State     SyncState
	Heard     bool
	Suspended bool
	Reason    SuspendReason
	Connected bool
	Sync      bool
	Ready     bool
	SentTime  time.Time
	SendQueue int64 // KB
	SendRate  int64 // KB/s
	Lag       int64 // seconds
	Joined    bool
	Progress
}

// TxView is an open transaction on a database.
type TxView struct {
	ID, DatabaseSeq uint64
	Session         int
	Name            string
	Begin           time.Time
	Bytes           int64
	Records         int
	First           LSN // zero: no log record yet
	Last            LSN
}

// Snapshot builds what an instance shows now.
func (m *Model) Snapshot(i *Instance) *Snapshot {
	s := i.state()
	n := &Snapshot{Now: i.clock(), Revision: m.rev, Assume: m.cfg.Assume}
	n.Instance = InstanceView{Side: i.Side, ServerName: i.cfg.ServerName, Config: i.cfg, Started: i.started, ReplicaID: i.ReplicaID, OwnerSID: i.owner,
		Role: i.role, Collation: s.cfg.Collation, Primary: s.primary == i || i.stale, Writable: i.writable()}
	for _, p := range i.pending {
		n.Instance.Pending = append(n.Instance.Pending, p.what)
	}
	n.Group = m.groupView(i)
	n.DAG = m.dagView(i)
	if x := s.second; x != nil {
		n.Second = &DAGView{ID: x.groupID, Name: x.name, Role: Primary, Sequence: 8589934592, Created: i.wall(x.created), Modified: i.wall(x.created), Connected: true, Holds: n.Instance.Primary}
		n.Second.Members[0] = DAGMember{ReplicaID: x.members[0], Name: s.cfg.AG, URL: s.cfg.ListenerURL}
		n.Second.Members[1] = DAGMember{ReplicaID: x.members[1], Name: "ThirdAG", URL: "tcp://ThirdAG-listener:5022"}
	}
	n.Seen = m.seen(i, n)
	n.Seedings = m.seedingViews(i)
	for _, x := range i.sessions {
		v := *x
		v.Txs = nil
		n.Sessions = append(n.Sessions, v)
	}
	sort.Slice(n.Sessions, func(a, b int) bool { return n.Sessions[a].ID < n.Sessions[b].ID })
	for _, l := range i.locks.list {
		v := *l
		v.grant = nil
		n.Locks = append(n.Locks, v)
	}
	for k, v := range i.props {
		n.Props = append(n.Props, Property{Database: k.database, Name: k.name, Value: v})
	}
	sort.Slice(n.Props, func(a, b int) bool {
		if n.Props[a].Database != n.Props[b].Database {
			return n.Props[a].Database < n.Props[b].Database
		}
		return n.Props[a].Name < n.Props[b].Name
	})
	return n
}

func (m *Model) groupView(i *Instance) GroupView {
	s := i.state()
	g := GroupView{ID: s.groupID, Name: s.cfg.AG, ClusterType: s.cfg.ClusterType, RSSTC: s.rsstc, Sequence: s.sequence, Contained: s.cfg.Contained,
		Created: i.wall(s.created), ListenerURL: s.cfg.ListenerURL, Primary: s.primary.cfg.ServerName}
	if i.stale {
		g.Primary = i.cfg.ServerName
	}
	for _, in := range s.instances {
		r := ReplicaView{ID: in.ReplicaID, ServerName: in.cfg.ServerName, Endpoint: "TCP://" + in.cfg.ServerName + ":5022", Mode: in.mode, Access: in.access,
			OwnerSID: in.owner, Local: in == i, Primary: in == s.primary, MetadataID: in.configNum, Role: in.role, Connected: true, Healthy: true}
		for _, st := range s.streams {
			if st.to == in {
				r.Connected, r.LastError = st.connected, i.wall(st.lastError)
				r.Healthy = st.connected && allMoving(st)
			}
		}
		if i.stale { // what it knows is what was before it went
			r.Primary, r.Connected, r.Healthy, r.LastError = in == i, in == i, in == i, i.started
			r.Role = Secondary
			if in == i {
				r.Role = i.role
			}
		}
		g.Replicas = append(g.Replicas, r)
	}
	return g
}

func allMoving(s *stream) bool {
	for _, f := range s.flows {
		if f.state == NotSynchronizing || f.state == Reverting || s.synchronous() && f.state != Synchronized {
			return false
		}
	}
	return true
}

func (m *Model) dagView(i *Instance) *DAGView {
	s := i.state()
	if !s.dag.exists {
		return nil
	}
	d := &DAGView{ID: m.dag.groupID, Name: m.dag.name, Role: i.DAGRole(), RSSTC: s.dag.rsstc, Sequence: s.dag.sequence, Created: i.wall(m.dag.created),
		Modified: s.dag.modified, OwnIndex: int(i.Side), Holds: s.primary == i || i.stale}
	for n := range d.Members {
		d.Members[n] = DAGMember{ReplicaID: m.dag.members[n], Name: m.sides[n].cfg.AG, URL: s.dag.urls[n], Mode: s.dag.modes[n], Manual: s.dag.manual[n]}
	}
	st := s.dag.stream
	if st == nil {
		st = m.sides[i.Side.Other()].dag.stream
	}
	if st != nil && !i.stale {
		d.Connected, d.LastError = st.connected, i.wall(st.lastError)
	}
	d.Rows = d.Holds && (d.Role == Primary || m.cfg.Assume.DemotedKeepsDAGRows)
	return d
}
