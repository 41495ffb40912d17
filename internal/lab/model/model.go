package model

import (
	"math/rand/v2"
	"strings"
	"time"
)

// Hooks are how the model tells its owner about connections. They are called while the model is being changed: they must
// not call back into it and must not block.
type Hooks struct {
	// Kill ends sessions of an instance: all of them, or only those whose current database is a user database.
	Kill func(i *Instance, all bool)
	// Statement tells that an ALTER or DROP AVAILABILITY GROUP of a class (see [Statement.Class]) was accepted, or, with effect
	// set, that it has just taken effect. It may plan events with [Model.After].
	Statement func(i *Instance, class string, effect bool)
}

// Model is the pair. See the package comment for who may call it when.
type Model struct {
	cfg      Config
	now      time.Time
	rng      *rand.Rand
	seq      uint64
	rev      uint64
	queue    eventQueue
	hooks    Hooks
	sides    [2]*SideState
	link     *link
	dag      dagIdentity
	loads    map[string]*load
	txSeq    uint64
	rowSeq   uint64
	spid     int
	drains   []*stream
	seedings []*seeding
	faults   faults
}

// dagIdentity is what both sides' copies of the distributed AG have in common.
type dagIdentity struct {
	name    string
	groupID GUID
	members [2]GUID // replica_id of each member AG, the same on both sides
	dbIDs   map[string]GUID
	created time.Time
}

// SideState is one side's availability group, its instances and its own copy of the distributed AG's settings.
type SideState struct {
	side      Side
	cfg       SideConfig
	groupID   GUID
	dbIDs     map[string]GUID // group_database_id in the local AG
	unlisted  map[string]bool // databases that the local AG does not hold
	sequence  int64
	rsstc     int
	second    *dagIdentity // a further distributed AG; nil: none
	instances []*Instance
	primary   *Instance // of the local AG
	local     *link
	streams   []*stream // primary → local secondaries
	dag       memberCopy
	created   time.Time
}

// memberCopy is one side's own copy of the distributed AG.
type memberCopy struct {
	exists   bool
	role     Role
	held     Role // what role is RESOLVING from, or to
	modes    [2]Mode
	urls     [2]string // LISTENER_URL of each member
	manual   [2]bool   // SEEDING_MODE of each member; false: AUTOMATIC
	rsstc    int
	sequence int64
	modified time.Time
	stream   *stream // only where role is Primary
	tookOver bool    // became PRIMARY by S3 and has not linked since
}

// Instance is one SQL Server instance.
type Instance struct {
	m         *Model
	Side      Side
	Index     int
	cfg       InstanceConfig
	ReplicaID GUID
	owner     [16]byte
	mode      Mode
	access    Access
	role      Role // in the local AG
	started   time.Time
	online    bool
	frozen    bool
	copies    []*Copy // in the order of database ids
	byName    map[string]*Copy
	byFold    map[string]*Copy // by lower-case name
	sessions  map[int]*Session
	locks     lockTable
	props     map[propKey]string
	refuse    bool
	pending   []*pendingStatement
	configNum int         // replica_metadata_id
	deposed   bool        // its AG was failed over without it and without a cluster that could tell it
	stale     bool        // deposed and back: it believes that it is still primary
	staleRole Role        // in the distributed AG, as it believes
	shown     []*Database // what the last snapshot showed of copies, see seen
}

// New builds the pair as it stands after the migration guide's preparation: seeded, joined, synchronizing.
func New(cfg Config, now time.Time, hooks Hooks) (*Model, error) {
	if err := cfg.Defaults(); err != nil {
		return nil, err
	}
	m := &Model{cfg: cfg, now: now, rng: rand.New(rand.NewPCG(cfg.Seed, 0x1ab)), hooks: hooks, loads: map[string]*load{}, spid: 50}
	created := now.Add(-72 * time.Hour)
	m.dag = dagIdentity{name: cfg.DAG, groupID: newGUID(m.rng), members: [2]GUID{newGUID(m.rng), newGUID(m.rng)}, dbIDs: map[string]GUID{}, created: created}
	m.link = newLink(cfg.Link)
	numberings := map[string]*numbering{}
	family := map[string]GUID{}
	forks := map[string]GUID{}
	for i, db := range cfg.Databases {
		m.dag.dbIDs[key(db)] = newGUID(m.rng)
		numberings[key(db)] = &numbering{vlf0: int64(cfg.Log.StartVLF), vlfUnits: Pos(cfg.Log.VLFBytes / 512), offset: Pos(1024+64*i) % Pos(cfg.Log.VLFBytes/512)}
		family[key(db)] = newGUID(m.rng)
		forks[key(db)] = newGUID(m.rng)
	}
	for s := range m.sides {
		side := &SideState{side: Side(s), cfg: cfg.Sides[s], groupID: newGUID(m.rng), dbIDs: map[string]GUID{}, unlisted: map[string]bool{}, sequence: 4294967296 + int64(m.rng.IntN(1000)),
			rsstc: cfg.Sides[s].LocalRSSTC, local: newLink(cfg.LocalLink), created: created}
		side.dag = memberCopy{exists: true, role: [...]Role{Primary, Secondary}[s], modes: [2]Mode{cfg.DAGMode, cfg.DAGMode}, urls: [2]string{cfg.Sides[0].ListenerURL, cfg.Sides[1].ListenerURL}, sequence: 8589934592 + int64(m.rng.IntN(1000)), modified: cfg.Sides[s].Instances[0].clock(created)}
		m.sides[s] = side
		for _, db := range cfg.Databases {
			side.dbIDs[key(db)] = newGUID(m.rng)
		}
		for n, ic := range side.cfg.Instances {
			in := &Instance{m: m, Side: Side(s), Index: n, cfg: ic, ReplicaID: newGUID(m.rng), mode: side.cfg.localMode(), access: side.cfg.Access,
				role: Secondary, started: ic.clock(now.Add(-time.Duration(24+s+n) * time.Hour)), online: true, byName: map[string]*Copy{}, byFold: map[string]*Copy{}, sessions: map[int]*Session{},
				props: map[propKey]string{}, configNum: 65536 + n}
			owner := newGUID(m.rng)
			copy(in.owner[:], owner[:])
			in.locks.init()
			side.instances = append(side.instances, in)
			for d, db := range cfg.Databases {
				c := &Copy{m: m, inst: in, Name: db, ID: 5 + s + d, num: numberings[key(db)], family: family[key(db)], state: DBOnline,
					history: []fork{{guid: forks[key(db)]}}, open: map[uint64]*Tx{}, removing: map[uint64]*Tx{}, openInLog: map[uint64]bool{}, created: created, group: side.groupID, membership: membership{first: side.dbIDs[key(db)]}}
				c.seed(m, side.cfg)
				in.copies = append(in.copies, c)
				in.byName[key(db)] = c
				in.byFold[strings.ToLower(db)] = c
			}
		}
		side.primary = side.instances[0]
		side.primary.role = Primary
	}
	for s, side := range m.sides { // last, so that what is random is the same with and without
		if name := cfg.Sides[s].Second; name != "" {
			side.second = &dagIdentity{name: name, groupID: newGUID(m.rng), members: [2]GUID{newGUID(m.rng), newGUID(m.rng)}, created: created}
		}
	}
	m.align()
	m.rewire()
	for _, s := range m.sides {
		for _, st := range s.streams {
			m.connect(st)
		}
	}
	m.connect(m.sides[Source].dag.stream)
	for _, c := range m.sides[Source].primary.copies {
		m.planBackground(c)
	}
	return m, nil
}

// align gives every copy of a database the same log at the start, written with the source's block size.
func (m *Model) align() {
	for i, first := range m.sides[Source].primary.copies {
		for _, s := range m.sides {
			for _, in := range s.instances {
				c := in.copies[i]
				c.end, c.sealed, c.hardened, c.redone, c.completed = first.end, first.end, first.end, first.end, first.end
				c.lastBlock, c.truncation, c.checkpoint = first.lastBlock, first.truncation, first.checkpoint
				c.lastCommit, c.lastCommitTime = first.lastCommit, first.lastCommitTime
			}
		}
	}
}

// key is what a database is found by inside the model. Databases have one spelling everywhere; only what comes from outside is looked
// up without case, by [Instance.Copy].
func key(name string) string { return name }

// Config returns the configuration with its defaults filled in.
func (m *Model) Config() Config { return m.cfg }

// Instances lists a side's instances; the first one was primary at the start.
func (m *Model) Instances(s Side) []*Instance { return m.sides[s].instances }

// PrimaryOf is the instance that is (or was last) primary of the side's local AG.
func (m *Model) PrimaryOf(s Side) *Instance { return m.sides[s].primary }

// Revision changes whenever something happened.
func (m *Model) Revision() uint64 { return m.rev }

// Touch says that something changed outside of a planned event.
func (m *Model) touch() { m.rev++ }

// Config of an instance, as given.
func (i *Instance) Config() InstanceConfig { return i.cfg }

// ServerName is @@SERVERNAME.
func (i *Instance) ServerName() string { return i.cfg.ServerName }

// clock is the instance's own wall clock, in its own zone: a time that is
// taken from it keeps the zone wherever it is shown later, as a log record
// keeps the wall time of the primary that wrote it.
func (i *Instance) clock() time.Time { return i.cfg.clock(i.m.now) }

// wall is a moment on the instance's wall clock; the zero time stays.
func (i *Instance) wall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return i.cfg.clock(t)
}

func (i *Instance) state() *SideState { return i.m.sides[i.Side] }

// DAGRole is the role in the distributed AG as this instance shows it: only the primary of the local AG holds it.
func (i *Instance) DAGRole() Role {
	s := i.state()
	switch {
	case i.stale:
		return i.staleRole
	case s.primary != i:
		return Secondary
	case i.role != Primary: // between two roles of its own
		return Resolving
	}
	return s.dag.role
}

// writable tells whether this instance is the one that takes the side's writes: primary of its AG, and of the distributed AG
// as long as there is one.
func (i *Instance) writable() bool {
	s := i.state()
	if i.stale {
		return i.online && (!s.dag.exists || i.staleRole == Primary)
	}
	return i.online && s.primary == i && i.role == Primary && (!s.dag.exists || s.dag.role == Primary)
}

// Copy finds a database by name, with or without case as the side's collation has it; nil if there is none.
func (i *Instance) Copy(name string) *Copy {
	if c := i.byName[key(name)]; c != nil || i.state().cfg.caseSensitive() {
		return c
	}
	return i.byFold[strings.ToLower(name)]
}

// CopyByID finds a database by its local id; nil if there is none.
func (i *Instance) CopyByID(id int) *Copy {
	if len(i.copies) == 0 {
		return nil
	}
	if at := id - i.copies[0].ID; at >= 0 && at < len(i.copies) && i.copies[at].ID == id {
		return i.copies[at]
	}
	for _, c := range i.copies {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// Copies lists the user databases in the order of their ids.
func (i *Instance) Copies() []*Copy { return i.copies }

// State words for availability: stopped instances take no connections, frozen ones take them and do not answer.
func (i *Instance) Online() bool  { return i.online }
func (i *Instance) Frozen() bool  { return i.frozen }
func (i *Instance) Refuses() bool { return i.refuse }
