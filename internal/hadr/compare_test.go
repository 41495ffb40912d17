package hadr

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	mib = 1 << 20

	dagID    = "6bc05a51-aa36-a196-09bd-481d7a0973c0"
	sourceAG = "be9be8c9-6e17-1132-bfba-8b7d2c28afdb"
	targetAG = "04539685-21fa-dff2-d990-b45a6bcdd4cd"
)

var (
	options = Options{Group: "DAG", Near: Bounds{LogSendQueue: 64 * mib, RedoQueue: 256 * mib}}
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	restEnd = LSN{10227, 2419660, 1}
	rest    = LSN{10227, 2419661, 1} // one block beyond, as on every recorded row at rest
)

// own is a local primary's own row at rest under synchronous local commit.
func own() *Replica {
	return &Replica{
		IsPrimary: Some(true), Sync: Synchronized, State: DBOnline, Suspended: Some(false),
		LastHardened: rest, EndOfLog: restEnd,
		Recovery:       LSN{4294967295, 4294967295, 1},
		LastCommitTime: Some(noon),
	}
}

// link is the global primary's DAG row at rest.
func link() *Replica {
	return &Replica{
		Name: "AzureAG", IsPrimary: Some(false), Sync: Synchronized, Suspended: Some(false),
		LastHardened: rest, EndOfLog: restEnd, SendQueue: Some(int64(0)), RedoQueue: Some(int64(0)),
	}
}

// healthy is a synchronized pair, source primary.
func healthy(names ...string) (source, target *Reading) {
	members := func(local string, remote bool) []Member {
		ms := []Member{
			{Name: "OnPremAG", Mode: ModeSynchronous, IsLocal: Some(local == "OnPremAG")},
			{Name: "AzureAG", Mode: ModeSynchronous, IsLocal: Some(local == "AzureAG")},
		}
		for i := range ms {
			switch {
			case ms[i].IsLocal.V:
				ms[i].Connected = Some(true)
			case remote:
				ms[i].Connected, ms[i].Role = Some(true), RoleSecondary
			default: // the forwarder has no state row about the other side
				ms[i].IsLocal = Opt[bool]{}
			}
		}
		return ms
	}
	source = &Reading{
		Side: Source, Began: noon, Ended: noon.Add(20 * time.Millisecond),
		Identity: Identity{ServerName: "SQL1", StartTime: "2026-02-01T08:00:00", Major: 16},
		DAG:      Group{Found: true, GroupID: dagID, Name: "DAG", Role: RolePrimary, Members: members("OnPremAG", true)},
		Local: Group{Found: true, GroupID: sourceAG, Name: "OnPremAG", Role: RolePrimary,
			Members: []Member{{Name: "SQL1", Mode: ModeSynchronous, IsLocal: Some(true), Role: RolePrimary}, {Name: "SQL1B", Mode: ModeSynchronous, IsLocal: Some(false), Role: RoleSecondary}}},
		Databases: []Database{},
	}
	target = &Reading{
		Side: Target, Began: noon.Add(5 * time.Millisecond), Ended: noon.Add(45 * time.Millisecond),
		Identity: Identity{ServerName: "SQL2", StartTime: "2026-02-02T08:00:00", Major: 16},
		DAG:      Group{Found: true, GroupID: dagID, Name: "DAG", Role: RoleSecondary, Members: members("AzureAG", false)},
		Local: Group{Found: true, GroupID: targetAG, Name: "AzureAG", Role: RolePrimary,
			Members: []Member{{Name: "SQL2", Mode: ModeSynchronous, IsLocal: Some(true), Role: RolePrimary}}},
		Databases: []Database{},
	}
	for _, name := range names {
		source.Databases = append(source.Databases, Database{Name: name, Joined: Some(true), State: DBOnline, Own: own(), Link: link()})
		target.Databases = append(target.Databases, Database{Name: name, Joined: Some(true), State: DBOnline, Own: own()})
	}
	return source, target
}

// asynchronous is the documented default before a cutover: both local AGs
// and the DAG commit asynchronously, the primaries' own hardened values NULL.
func asynchronous(s, t *Reading) {
	for _, r := range []*Reading{s, t} {
		for i := range r.Local.Members {
			r.Local.Members[i].Mode = ModeAsynchronous
		}
		for i := range r.DAG.Members {
			r.DAG.Members[i].Mode = ModeAsynchronous
		}
		for i := range r.Databases {
			r.Databases[i].Own.Sync, r.Databases[i].Own.LastHardened = Synchronizing, LSN{}
			if l := r.Databases[i].Link; l != nil {
				l.Sync = Synchronizing
			}
		}
	}
}

func demote(s, t *Reading) {
	s.DAG.Role = RoleSecondary
	for i := range s.Databases {
		s.Databases[i].Link = nil
	}
}

func TestCompare(t *testing.T) {
	behindLSN := LSN{10227, 2419000, 1}
	for _, tt := range []struct {
		name     string
		opt      func(*Options)
		change   func(s, t *Reading)
		drop     Side
		state    State
		level    Level
		position Position // of db1
		basis    Basis
		dir      Direction
		reason   string // part of it
	}{
		{name: "at rest, all synchronous", state: StateSynchronized, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "source not read", drop: Source, state: StateUnknown, reason: "source was not read"},
		{name: "target not read", drop: Target, state: StateUnknown, reason: "target was not read"},
		{name: "both local AGs asynchronous: NULL on both sides, the link stands in", change: asynchronous,
			state: StateCaughtUp, level: LevelCaughtUp, position: PositionCaughtUp, basis: BasisLink, dir: DirectionSourceToTarget, reason: "link is SYNCHRONIZING"},
		{name: "asynchronous, stale remote row", change: func(s, t *Reading) {
			asynchronous(s, t)
			s.Databases[0].Link.LastHardened = behindLSN
		}, state: StateNear, level: LevelNear, position: PositionBehind, basis: BasisLink, dir: DirectionSourceToTarget, reason: "as the source heard it"},
		{name: "asynchronous, link says 0: only end_of_log is left", change: func(s, t *Reading) {
			asynchronous(s, t)
			s.Databases[0].Link.LastHardened = LSN{}
		}, state: StateCaughtUp, level: LevelCaughtUp, position: PositionCaughtUp, basis: BasisEndOfLog, dir: DirectionSourceToTarget},
		{name: "hardened values equal while the primary's tail is unsent", change: func(s, t *Reading) {
			s.Databases[0].Own.EndOfLog = LSN{10227, 2419680, 1}
		}, state: StateNear, level: LevelNear, position: PositionBehind, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "has not passed end_of_log_lsn 10227000241968000001"},
		{name: "one block unsent", change: func(s, t *Reading) {
			s.Databases[0].Own.EndOfLog = rest // the primary wrote one block more
			s.Databases[0].Own.LastHardened = LSN{10227, 2419662, 1}
		}, state: StateNear, level: LevelNear, position: PositionBehind, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "slow local secondary on the source: its minimum is below the forwarder", change: func(s, t *Reading) {
			s.Databases[0].Own.LastHardened = behindLSN
		}, state: StateSynchronized, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "slow secondary on the target: the link stands in", change: func(s, t *Reading) {
			t.Databases[0].Own.LastHardened = behindLSN
		}, state: StateSynchronized, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisLink, dir: DirectionSourceToTarget},
		{name: "target hardened first", change: func(s, t *Reading) {
			t.Databases[0].Own.EndOfLog, t.Databases[0].Own.LastHardened = rest, LSN{10227, 2419662, 1}
		}, state: StateSynchronized, level: LevelSynchronized, position: PositionAhead, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "zeros on both sides", change: func(s, t *Reading) {
			for _, d := range []*Database{&s.Databases[0], &t.Databases[0]} {
				d.Own.LastHardened, d.Own.EndOfLog = LSN{}, LSN{}
			}
			s.Databases[0].Link.LastHardened = LSN{}
		}, state: StateUnknown, dir: DirectionSourceToTarget, reason: "where its log ends"},
		{name: "ones on both sides", change: func(s, t *Reading) {
			for _, d := range []*Database{&s.Databases[0], &t.Databases[0]} {
				d.Own.LastHardened, d.Own.EndOfLog = LSN{Slot: 1}, LSN{Slot: 1}
			}
		}, state: StateUnknown, dir: DirectionSourceToTarget},
		{name: "all-ones on both sides", change: func(s, t *Reading) {
			for _, d := range []*Database{&s.Databases[0], &t.Databases[0]} {
				d.Own.LastHardened, d.Own.EndOfLog = LSN{4294967295, 4294967295, 1}, LSN{4294967295, 4294967295, 1}
			}
		}, state: StateUnknown, dir: DirectionSourceToTarget},
		{name: "target's LSNs unknown, link's too", change: func(s, t *Reading) {
			t.Databases[0].Own.LastHardened, t.Databases[0].Own.EndOfLog, s.Databases[0].Link.LastHardened = LSN{}, LSN{}, LSN{}
		}, state: StateUnknown, dir: DirectionSourceToTarget, reason: "neither the target nor the link"},
		{name: "database on the source only", change: func(s, t *Reading) { t.Databases = t.Databases[1:] },
			state: StateBehind, level: LevelKnown, dir: DirectionSourceToTarget, reason: "source's availability group only"},
		{name: "database on the target only", change: func(s, t *Reading) { s.Databases = s.Databases[1:] },
			state: StateBehind, level: LevelKnown, dir: DirectionSourceToTarget, reason: "target's availability group only"},
		{name: "expected and nowhere", opt: func(o *Options) { o.Databases = []string{"db1", "db2", "db3"} },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "db3: the configuration expects it"},
		{name: "there and not expected", opt: func(o *Options) { o.Databases = []string{"db2"} },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "does not name it"},
		{name: "no database at all", change: func(s, t *Reading) { s.Databases, t.Databases = []Database{}, []Database{} },
			state: StateUnknown, dir: DirectionSourceToTarget, reason: "neither side's availability group shows a database"},
		{name: "list not read", change: func(s, t *Reading) { t.Databases = nil }, state: StateUnknown, dir: DirectionSourceToTarget, reason: "list of databases"},
		{name: "list filtered by a missing right", change: func(s, t *Reading) { t.Missing = []string{"VIEW ANY DEFINITION"} },
			state: StateUnknown, dir: DirectionSourceToTarget, reason: "VIEW ANY DEFINITION"},
		{name: "suspended on the source", change: func(s, t *Reading) {
			s.Databases[0].Own.Suspended, s.Databases[0].Own.SuspendReason = Some(true), "user"
		}, state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "suspended on the source (USER)"},
		{name: "suspended on the target", change: func(s, t *Reading) { t.Databases[0].Own.Suspended = Some(true) },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "suspended on the target"},
		{name: "suspended on the link", change: func(s, t *Reading) { s.Databases[0].Link.Suspended = Some(true) },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "suspended on the link"},
		{name: "suspended is NULL", change: func(s, t *Reading) { s.Databases[0].Link.Suspended = Opt[bool]{} },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "unknown whether data movement is suspended on the link"},
		{name: "reverting on the target", change: func(s, t *Reading) { t.Databases[0].Own.Sync = SyncReverting },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "REVERTING on the target"},
		{name: "initializing on the link", change: func(s, t *Reading) { s.Databases[0].Link.Sync = SyncInitializing },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "INITIALIZING on the link"},
		{name: "link not synchronizing", change: func(s, t *Reading) { s.Databases[0].Link.Sync = NotSynchronizing },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "NOT SYNCHRONIZING on the link"},
		{name: "no DAG row", change: func(s, t *Reading) { s.Databases[0].Link = nil },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "no row tells its state on the link"},
		{name: "disconnected, with the reason SQL Server gives", change: func(s, t *Reading) {
			s.DAG.Members[1].Connected, s.DAG.Members[1].LastConnectErrorText = Some(false), "(a network error)"
		}, state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "AzureAG is DISCONNECTED (a network error)"},
		{name: "connected is NULL", change: func(s, t *Reading) { s.DAG.Members[1].Connected = Opt[bool]{} },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "does not say whether AzureAG is connected"},
		{name: "not joined on the target", change: func(s, t *Reading) { t.Databases[0].Joined = Some(false) },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "not joined"},
		{name: "suspect on the target", change: func(s, t *Reading) { t.Databases[0].State = DBSuspect },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "SUSPECT on the target"},
		{name: "restoring on the target", change: func(s, t *Reading) { t.Databases[0].State = DBRestoring },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "RESTORING on the target"},
		{name: "restoring on the target of a cross-version migration", opt: func(o *Options) { o.CrossVersion = true },
			change: func(s, t *Reading) {
				t.Databases[0].State, t.Databases[1].State, t.Databases[1].Own.State = DBRestoring, DBRecovering, DBRecovering
			},
			state: StateSynchronized, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "a newer target that is not declared: the reason names the key", change: func(s, t *Reading) { t.Identity.Major, t.Databases[0].State = 17, DBRestoring },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "cross_version: true"},
		{name: "cross-version excuses the target alone", opt: func(o *Options) { o.CrossVersion = true },
			change: func(s, t *Reading) { s.Databases[0].State = DBRestoring },
			state:  StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "RESTORING on the source"},
		{name: "cross-version does not excuse SUSPECT", opt: func(o *Options) { o.CrossVersion = true },
			change: func(s, t *Reading) { t.Databases[0].State = DBSuspect },
			state:  StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "SUSPECT"},
		{name: "send queue above the bound", change: func(s, t *Reading) { s.Databases[0].Link.SendQueue = Some(int64(65 * mib)) },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "log send queue is 65.0 MiB, above 64.0 MiB"},
		{name: "send queue NULL", change: func(s, t *Reading) { s.Databases[0].Link.SendQueue = Opt[int64]{} },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "log send queue is unknown"},
		{name: "redo queue above the bound, by the forwarder's own row", change: func(s, t *Reading) { t.Databases[0].Own.RedoQueue = Some(int64(300 * mib)) },
			state: StateBehind, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "redo queue"},
		{name: "mode changed on the source only", change: func(s, t *Reading) {
			for i := range t.DAG.Members {
				t.DAG.Members[i].Mode = ModeAsynchronous
			}
		}, state: StateCaughtUp, level: LevelCaughtUp, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "AzureAG is ASYNCHRONOUS_COMMIT in the target's copy"},
		{name: "modes not readable on the target", change: func(s, t *Reading) { t.DAG.Members = nil },
			state: StateCaughtUp, level: LevelCaughtUp, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "does not show both members"},
		{name: "link SYNCHRONIZING", change: func(s, t *Reading) { s.Databases[0].Link.Sync = Synchronizing },
			state: StateCaughtUp, level: LevelCaughtUp, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "link is SYNCHRONIZING"},
		{name: "own row not SYNCHRONIZED under synchronous local commit", change: func(s, t *Reading) { t.Databases[0].Own.Sync = Synchronizing },
			state: StateNear, level: LevelNear, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "target's own availability group"},
		{name: "local commit mode unknown counts as synchronous", change: func(s, t *Reading) { t.Local.Members, t.Databases[0].Own.Sync = nil, Synchronizing },
			state: StateNear, level: LevelNear, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "the same instance twice", change: func(s, t *Reading) { t.Identity = s.Identity }, state: StateUnknown, reason: "same instance"},
		{name: "the same local AG twice", change: func(s, t *Reading) { t.Local.GroupID = strings.ToUpper(s.Local.GroupID) }, state: StateUnknown, reason: "one and the same local"},
		{name: "different DAGs", change: func(s, t *Reading) { t.DAG.GroupID = sourceAG }, state: StateUnknown, reason: "different distributed"},
		{name: "no DAG on the target", change: func(s, t *Reading) { t.DAG = Group{} }, state: StateUnknown, reason: "target shows no distributed availability group"},
		{name: "another DAG answered", change: func(s, t *Reading) { t.DAG.Name = "DAG2" }, state: StateUnknown, reason: "about DAG2"},
		{name: "no local AG", change: func(s, t *Reading) { s.Local = Group{} }, state: StateUnknown, reason: "no local"},
		{name: "local AG is not a member", change: func(s, t *Reading) { s.Local.Name = "OtherAG" }, state: StateUnknown, reason: "not a member"},
		{name: "reading from a local secondary", change: func(s, t *Reading) { t.Local.Role = RoleSecondary }, state: StateUnknown, reason: "SECONDARY of its local"},
		{name: "local AG resolving", change: func(s, t *Reading) { t.Local.Role = RoleResolving }, state: StateUnknown, reason: "RESOLVING of its local"},
		{name: "two local primaries", change: func(s, t *Reading) { s.Local.Members[1].Role = RolePrimary }, state: StateUnknown, reason: "2 PRIMARY"},
		{name: "two local primaries, by the word of another instance", change: func(s, t *Reading) {
			t.Peers = []Peer{{ServerName: "SQL2B", StartTime: "2026-02-02T08:00:00", Role: RolePrimary}}
		}, state: StateUnknown, reason: "two instances that say they are PRIMARY of AzureAG: SQL2 and SQL2B"},
		{name: "an old primary that came back with another start time", change: func(s, t *Reading) {
			t.Peers = []Peer{{ServerName: "SQL2", StartTime: "2025-12-24T18:00:00", Role: RolePrimary}}
		}, state: StateUnknown, reason: "two instances"},
		{name: "one instance under two DSNs, others secondary or silent", change: func(s, t *Reading) {
			t.Peers = []Peer{{ServerName: "SQL2", StartTime: "2026-02-02T08:00:00", Role: RolePrimary}, {ServerName: "SQL2B", Role: RoleSecondary}, {Failed: "timeout"}}
		}, state: StateSynchronized, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "DAG resolving", change: func(s, t *Reading) { s.DAG.Role = RoleResolving }, state: StateUnknown, reason: "RESOLVING"},
		{name: "DAG role unknown", change: func(s, t *Reading) { t.DAG.Role = RoleUnknown }, state: StateUnknown, reason: "is unknown"},
		{name: "demoted", change: demote, state: StateDemoted, level: LevelKnown, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionNone, reason: "nobody can write"},
		{name: "demoted: a DAG row that is still there means nothing", change: func(s, t *Reading) {
			s.DAG.Role = RoleSecondary
			t.Databases[0].Own.LastHardened = behindLSN
		}, state: StateDemoted, level: LevelKnown, position: PositionBehind, basis: BasisHardened, dir: DirectionNone, reason: "has not passed"},
		{name: "demoted, nothing hardened known", change: func(s, t *Reading) {
			demote(s, t)
			t.Databases[0].Own.LastHardened = LSN{}
		}, state: StateDemoted, level: LevelKnown, position: PositionCaughtUp, basis: BasisEndOfLog, dir: DirectionNone},
		{name: "demoted, LSNs unknown", change: func(s, t *Reading) {
			demote(s, t)
			s.Databases[0].Own.EndOfLog = LSN{}
		}, state: StateDemoted, dir: DirectionNone},
		{name: "failed over", change: failOver, state: StateFailedOver, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionTargetToSource},
		{name: "failed over, the source lacks log now", change: func(s, t *Reading) {
			failOver(s, t)
			t.Databases[0].Own.EndOfLog = LSN{10228, 8, 1}
		}, state: StateFailedOver, level: LevelNear, position: PositionBehind, basis: BasisHardened, dir: DirectionTargetToSource, reason: "10228000000000800001 of the target"},
		{name: "split", change: func(s, t *Reading) { t.DAG.Role = RolePrimary }, state: StateSplit, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionBoth, reason: "both sides are PRIMARY"},
		{name: "diverged", change: func(s, t *Reading) {
			s.Databases[0].Lineage, t.Databases[0].Lineage = &Lineage{"f", "a"}, &Lineage{"f", "b"}
		}, state: StateDiverged, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget, reason: "recovery forks"},
		{name: "diverged counts after the demotion too", change: func(s, t *Reading) {
			demote(s, t)
			s.Databases[1].Lineage, t.Databases[1].Lineage = &Lineage{"f", "a"}, &Lineage{"f", "b"}
		}, state: StateDiverged, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionNone},
		{name: "one lineage unknown is not a divergence", change: func(s, t *Reading) {
			s.Databases[0].Lineage, t.Databases[0].Lineage = &Lineage{"f", "a"}, &Lineage{"F", ""}
		}, state: StateSynchronized, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "names differ in case, insensitive servers", change: func(s, t *Reading) { t.Databases[0].Name = "DB1" },
			state: StateSynchronized, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget},
		{name: "names differ in case, sensitive server", change: func(s, t *Reading) {
			t.Databases[0].Name, s.Identity.CaseSensitive = "DB1", true
		}, state: StateBehind, level: LevelKnown, dir: DirectionSourceToTarget, reason: "only"},
		{name: "two names that are one", change: func(s, t *Reading) { s.Databases[1].Name = "Db1" },
			state: StateUnknown, dir: DirectionSourceToTarget, reason: "differ in case only"},
		{name: "clock and time-zone skew of hours changes nothing", change: func(s, t *Reading) {
			t.Began, t.Ended = t.Began.Add(-9*time.Hour), t.Ended.Add(-9*time.Hour)
			t.Identity.ServerUTC = Some(noon.Add(11 * time.Hour))
		}, state: StateSynchronized, level: LevelSynchronized, position: PositionCaughtUp, basis: BasisHardened, dir: DirectionSourceToTarget},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source, target := healthy("db1", "db2")
			opt := options
			if tt.opt != nil {
				tt.opt(&opt)
			}
			if tt.change != nil {
				tt.change(source, target)
			}
			switch tt.drop {
			case Source:
				source = nil
			case Target:
				target = nil
			}
			got := Compare(source, target, opt)
			if got.State != tt.state || got.Level != tt.level || got.Direction != tt.dir {
				t.Errorf("state %s, level %s, direction %q; want %s, %s, %q\nreason: %s", got.State, got.Level, got.Direction, tt.state, tt.level, tt.dir, got.Reason)
			}
			if !strings.Contains(got.Reason, tt.reason) || got.Reason == "" {
				t.Errorf("reason %q, want it to contain %q", got.Reason, tt.reason)
			}
			d := got.Database("db1")
			if d == nil {
				if tt.position != "" {
					t.Fatal("no verdict about db1")
				}
				return
			}
			if d.Position != tt.position || d.Basis != tt.basis {
				t.Errorf("db1 %q by %q, want %q by %q", d.Position, d.Basis, tt.position, tt.basis)
			}
		})
	}
}

// A database set, whatever it is, is there in full even when nothing can be
// compared.
func TestCompareNamesEverything(t *testing.T) {
	names := func(c Convergence) (out []string) {
		for _, d := range c.Databases {
			out = append(out, d.Name)
		}
		return out
	}
	opt := options
	opt.Databases = []string{"db1", "gone"}
	source, target := healthy("db1", "db2")
	target.Databases[1].Name = "extra"
	for _, tt := range []struct {
		source, target *Reading
		want           []string
	}{
		{source, target, []string{"db1", "db2", "extra", "gone"}},
		{source, nil, []string{"db1", "db2", "gone"}},
		{nil, target, []string{"db1", "extra", "gone"}},
		{nil, nil, []string{"db1", "gone"}},
	} {
		if got := names(Compare(tt.source, tt.target, opt)); !slices.Equal(got, tt.want) {
			t.Errorf("databases %v, want %v", got, tt.want)
		}
	}
	got := Compare(source, target, opt)
	if !slices.Equal(got.OnlySource, []string{"db2"}) || !slices.Equal(got.OnlyTarget, []string{"extra"}) ||
		!slices.Equal(got.NotFound, []string{"gone"}) || !slices.Equal(got.Unexpected, []string{"db2", "extra"}) {
		t.Errorf("only source %v, only target %v, not found %v, unexpected %v", got.OnlySource, got.OnlyTarget, got.NotFound, got.Unexpected)
	}
}

// The names that SQL Server allows and scripts stumble over.
func TestCompareOddNames(t *testing.T) {
	odd := []string{"a]b", "it's", "with blanks  in it", "🚚 move", strings.Repeat("x", 128)}
	source, target := healthy(odd...)
	got := Compare(source, target, options)
	if got.State != StateSynchronized || len(got.Databases) != len(odd) {
		t.Fatalf("%s with %d databases: %s", got.State, len(got.Databases), got.Reason)
	}
}

func TestCompareNumbers(t *testing.T) {
	source, target := healthy("db1")
	source.Databases[0].Own.EndOfLog = LSN{10229, 16, 1}
	source.Databases[0].Own.LastHardened = LSN{10227, 2419663, 1}
	source.Databases[0].Own.LastCommitTime = Some(noon.Add(3 * time.Second))
	got := Compare(source, target, options)
	d := got.Databases[0]
	if want := "1999758035600000"; d.EndOfLog.Exact.String() != want {
		t.Errorf("end of log delta %s, want %s", d.EndOfLog.Exact, want)
	}
	if d.EndOfLog.VLFs != Some(int64(2)) || d.EndOfLog.Blocks.OK {
		t.Errorf("end of log VLFs %v, blocks %v", d.EndOfLog.VLFs, d.EndOfLog.Blocks)
	}
	if d.Hardened.Blocks != Some(int64(2)) || d.Hardened.Float64() != 200000 {
		t.Errorf("hardened blocks %v, delta %v", d.Hardened.Blocks, d.Hardened.Float64())
	}
	if d.CommitLag != Some(3*time.Second) {
		t.Errorf("commit lag %v", d.CommitLag)
	}
	if got.Skew != Some(45*time.Millisecond) {
		t.Errorf("skew %v", got.Skew)
	}
	failOver(source, target)
	if back := Compare(source, target, options).Databases[0]; back.Hardened.Float64() != -200000 || back.CommitLag.OK {
		t.Errorf("after the failover: hardened delta %v, commit lag %v", back.Hardened.Float64(), back.CommitLag)
	}
}

// The clock that writes last_commit_time is local time: when it is put back, the
// forwarder's last commit is later than the primary's, whatever it lags.
func TestCommitLagOverTheEndOfDaylightSaving(t *testing.T) {
	for _, c := range []struct {
		lag  time.Duration
		want Opt[time.Duration]
	}{
		{-40 * time.Millisecond, Some(-40 * time.Millisecond)}, // the readings are 45 ms apart
		{-time.Second, Some(-time.Second)},
		{-2 * time.Second, Opt[time.Duration]{}},
		{-time.Hour + 7*time.Second, Opt[time.Duration]{}},
		{time.Hour, Some(time.Hour)}, // the beginning, or an hour without the link: nothing tells them apart
	} {
		source, target := healthy("db1")
		source.Databases[0].Own.LastCommitTime = Some(target.Databases[0].Own.LastCommitTime.V.Add(c.lag))
		got := Compare(source, target, options)
		if got.Databases[0].CommitLag != c.want || got.State != StateSynchronized {
			t.Errorf("%s: commit lag %v, want %v; %s", c.lag, got.Databases[0].CommitLag, c.want, got.State)
		}
	}
}

func TestRedoQueueIsTheWorseOne(t *testing.T) {
	q := func(v int64) *Replica { return &Replica{RedoQueue: Some(v)} }
	for _, tt := range []struct {
		primary, forwarder *Database
		want               Opt[int64]
	}{
		{nil, nil, Opt[int64]{}},
		{&Database{Link: q(5)}, &Database{Own: &Replica{}}, Some(int64(5))},
		{&Database{Link: q(5)}, &Database{Own: q(9)}, Some(int64(9))},
		{&Database{Link: &Replica{}}, &Database{Own: q(0)}, Some(int64(0))},
	} {
		if got := RedoQueue(tt.primary, tt.forwarder); got != tt.want {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
}

// failOver swaps the roles: what the source saw of the link, the target sees.
func failOver(s, t *Reading) {
	s.DAG.Role, t.DAG.Role = RoleSecondary, RolePrimary
	for i := range t.DAG.Members {
		sm, tm := &s.DAG.Members[i], &t.DAG.Members[i]
		switch tm.Name {
		case s.Local.Name: // the target hears of the source now
			tm.IsLocal, tm.Connected, tm.Role = Some(false), Some(true), RoleSecondary
		default:
			sm.IsLocal, sm.Connected, sm.Role = Opt[bool]{}, Opt[bool]{}, RoleUnknown
		}
	}
	for i := range s.Databases {
		s.Databases[i].Link, t.Databases[i].Link = nil, s.Databases[i].Link
	}
}

// Just after a failover the old primary is on the former fork: told, never
// better than behind, and not called a divergence. Another family is one.
func TestForkAfterFailover(t *testing.T) {
	for name, c := range map[string]struct {
		source, target Role
		family         string
		want           State
	}{
		"before the failover":       {RolePrimary, RoleSecondary, "f", StateDiverged},
		"both demoted":              {RoleSecondary, RoleSecondary, "f", StateDiverged},
		"after it":                  {RoleSecondary, RolePrimary, "f", StateBehind},
		"after it, of other family": {RoleSecondary, RolePrimary, "g", StateDiverged},
	} {
		t.Run(name, func(t *testing.T) {
			cmp := comparison{}
			cmp.direction, _ = directionOf(c.source, c.target)
			p := pair{name: "db", source: &Database{Lineage: &Lineage{FamilyGUID: "f", ForkGUID: "1"}}, target: &Database{Lineage: &Lineage{FamilyGUID: c.family, ForkGUID: "2"}}}
			if got := cmp.diverged(p); got != (c.want == StateDiverged) {
				t.Errorf("diverged: %v", got)
			}
			told := strings.Contains(strings.Join(cmp.wrong(p), ";"), "recovery fork from before the failover")
			if want := c.target == RolePrimary; told != want {
				t.Errorf("told in the reason: %v, want %v", told, want)
			}
		})
	}
}
