package cutover

import (
	"slices"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// moment is what a gate is asked about. src and tgt are the readings in o.
type moment struct {
	p        Plan
	in       Intent
	o        Observation
	now      time.Time
	src, tgt *hadr.Reading
}

// idleMoment is a healthy pair before a run; lastCheck is the same pair at step
// 6, with RSSTC=1 read back, where the next thing is S2.
func idleMoment() *moment { return newSim(false).moment() }

func lastCheck(t *testing.T) *moment {
	t.Helper()
	s := newSim(false).begin()
	s.until(t, 40, sends(RequireSecondary, hadr.Source))
	return s.moment()
}

func (s *sim) moment() *moment {
	s.now = s.now.Add(tick)
	s.w.tick()
	m := &moment{p: s.p, in: s.in, o: s.w.observe(s.now, s.outside()), now: s.now.Add(50 * time.Millisecond)}
	m.src, m.tgt = m.o.Source.Reading, m.o.Target.Reading
	return m
}

func (m *moment) decide() Decision { return Decide(m.p, m.in, m.o, m.now) }

func (m *moment) verdict(g Gate) Verdict {
	for _, v := range CheckAll(m.p, m.in, m.o, m.now) {
		if v.Gate == g {
			return v
		}
	}
	return Verdict{}
}

func (m *moment) db() (source, target *hadr.Database) {
	return &m.src.Databases[0], &m.tgt.Databases[0]
}

// newer makes the target of a newer version, in the plan too.
func (m *moment) newer() { m.tgt.Identity.Major, m.p.Target.Major = 17, 17 }

// addReplica gives the target's local group a second, synchronous replica.
func (m *moment) addReplica(change func(*hadr.Member, *hadr.Replica)) {
	x := hadr.Member{Name: "target-b", Mode: hadr.ModeSynchronous, IsLocal: hadr.Some(false), Role: hadr.RoleSecondary, Connected: hadr.Some(true), Health: "healthy"}
	r := hadr.Replica{Name: "target-b", Sync: hadr.Synchronized}
	change(&x, &r)
	m.tgt.Local.Members = append(m.tgt.Local.Members, x)
	m.tgt.Databases[0].Replicas = append(m.tgt.Databases[0].Replicas, r)
	m.p.Target.ReplicaNames = replicaNames(m.tgt)
}

const (
	helps  = true  // waiting, or a person, can open it
	futile = false // closed for good
)

// gateCase is one thing that is different from a healthy pair, and what the
// gate says to it. at6 asks it at step 6 instead of before the start.
type gateCase struct {
	gate   Gate
	name   string
	at6    bool
	change func(*moment)
	want   GateState
	helps  bool // of a closed one
}

var gateCases = []gateCase{
	{GateMode, "execute", false, func(m *moment) {}, GateOpen, helps},
	{GateMode, "dry run", false, func(m *moment) { m.o.Outside.Mode = DryRun }, GateClosed, helps},
	{GateMode, "not said", false, func(m *moment) { m.o.Outside.Mode = "" }, GateClosed, helps},

	{GateArmed, "armed", false, func(m *moment) {}, GateOpen, helps},
	{GateArmed, "nobody", false, func(m *moment) { m.o.Outside.Armed = nil }, GateClosed, helps},
	{GateArmed, "another plan", false, func(m *moment) { m.o.Outside.Armed.PlanHash = "other" }, GateClosed, helps},
	{GateArmed, "over", false, func(m *moment) { m.o.Outside.Armed.Until = m.now }, GateClosed, helps},
	{GateArmed, "used up", false, func(m *moment) { m.in.Run, m.in.Generation, m.in.Ended = "run-0", 1, t0 }, GateClosed, helps},
	{GateArmed, "taken away at step 6", true, func(m *moment) { m.o.Outside.Armed = nil }, GateClosed, helps},
	{GateArmed, "armed anew at step 6", true, func(m *moment) { m.o.Outside.Armed.Generation++ }, GateClosed, helps},

	{GateHeld, "not held", false, func(m *moment) {}, GateOpen, helps},
	{GateHeld, "held", false, func(m *moment) { held(m.now, &m.o.Outside) }, GateClosed, helps},

	{GateWindow, "no end", false, func(m *moment) {}, GateOpen, helps},
	{GateWindow, "long enough", false, func(m *moment) { m.o.Outside.Window.Left = time.Hour }, GateOpen, helps},
	{GateWindow, "outside", false, func(m *moment) { m.o.Outside.Window.Open = false }, GateClosed, helps},
	{GateWindow, "closes too soon", false, func(m *moment) { m.o.Outside.Window.Left = time.Second }, GateClosed, helps},
	{GateWindow, "not evaluated", false, func(m *moment) { m.o.Outside.Window.Known = false }, GateUnknown, helps},

	{GateApprovals, "none asked for", false, func(m *moment) {}, GateOpen, helps},
	{GateApprovals, "one of another", false, func(m *moment) { m.p.Approvals = 1; m.approve("lead") }, GateOpen, helps},
	{GateApprovals, "of the one who armed", false, func(m *moment) { m.p.Approvals = 1; m.approve("op") }, GateClosed, helps},
	{GateApprovals, "of the one who armed, allowed", false, func(m *moment) { m.p.Approvals, m.p.SelfApprove = 1, true; m.approve("op") }, GateOpen, helps},
	{GateApprovals, "twice the same", false, func(m *moment) { m.p.Approvals = 2; m.approve("lead"); m.approve("lead") }, GateClosed, helps},
	{GateApprovals, "of another plan", false, func(m *moment) { m.approve("lead"); m.p.Approvals = 1 }, GateClosed, helps},

	{GateLease, "firing", false, func(m *moment) {}, GateOpen, helps},
	{GateLease, "over", false, func(m *moment) { m.o.Outside.LeaseUntil = m.now }, GateClosed, helps},
	{GateLease, "never", false, func(m *moment) { m.o.Outside.LeaseUntil = time.Time{} }, GateClosed, helps},

	{GatePipeline, "alive", false, func(m *moment) {}, GateOpen, helps},
	{GatePipeline, "silent", false, func(m *moment) { m.o.Outside.PipelineSeen = m.now.Add(-time.Hour) }, GateClosed, helps},
	{GatePipeline, "never heard", false, func(m *moment) { m.o.Outside.PipelineSeen = time.Time{} }, GateUnknown, helps},

	{GateChecklist, "done", false, func(m *moment) {
		m.p.Checklist, m.o.Outside.ChecklistDone = []string{"domain"}, []string{"domain"}
	}, GateOpen, helps},
	{GateChecklist, "not done", false, func(m *moment) { m.p.Checklist = []string{"domain"} }, GateClosed, helps},

	{GateCooldown, "acknowledged", false, func(m *moment) {}, GateOpen, helps},
	{GateCooldown, "not acknowledged", false, func(m *moment) { m.o.Outside.Unacknowledged = "run-0" }, GateClosed, helps},

	{GateOtherRun, "none", false, func(m *moment) {}, GateOpen, helps},
	{GateOtherRun, "under way", false, func(m *moment) { m.o.Outside.OtherRun = "run-2" }, GateClosed, helps},
	{GateOtherRun, "another id in master", false, func(m *moment) { m.tgt.Marker = hadr.Some("run-2") }, GateClosed, helps},
	{GateOtherRun, "an S3 of the last run may land", false, func(m *moment) {
		m.in.Run, m.in.Ended = "run-0", t0
		m.in.Sent = []Sent{{Statement: Statement{Kind: Promote, Side: hadr.Source}, At: m.now, Outcome: SentUnknown}}
	}, GateClosed, helps},
	{GateOtherRun, "id not read", false, func(m *moment) { m.src.Marker = hadr.Opt[string]{} }, GateUnknown, helps},

	{GateReadable, "read", false, func(m *moment) {}, GateOpen, helps},
	{GateReadable, "a permission is missing", false, func(m *moment) { m.tgt.Missing = []string{"VIEW ANY DEFINITION"} }, GateClosed, futile},
	{GateReadable, "a part failed", false, func(m *moment) { m.tgt.Failed = []string{"seeding"} }, GateUnknown, helps},
	{GateReadable, "older than the round", false, func(m *moment) { m.src.Began = m.o.Began.Add(-time.Second) }, GateUnknown, helps},

	{GatePlatform, "SQL Server", false, func(m *moment) {}, GateOpen, helps},
	{GatePlatform, "managed instance", false, func(m *moment) { m.tgt.Identity.EngineEdition = 8 }, GateClosed, futile},
	{GatePlatform, "contained", false, func(m *moment) { m.src.Local.Contained = hadr.Some(true) }, GateClosed, futile},
	{GatePlatform, "Always On off", false, func(m *moment) { m.src.Identity.HadrEnabled = hadr.Some(false) }, GateClosed, futile},
	{GatePlatform, "edition not read", false, func(m *moment) { m.tgt.Identity.EngineEdition = 0 }, GateUnknown, helps},
	{GatePlatform, "contained not read", false, func(m *moment) { m.tgt.Local.Contained = hadr.Opt[bool]{} }, GateUnknown, helps},

	{GateTopology, "as planned", false, func(m *moment) {}, GateOpen, helps},
	{GateTopology, "a third member", false, func(m *moment) { m.src.DAG.Members = append(m.src.DAG.Members, hadr.Member{Name: "ThirdAG"}) }, GateClosed, futile},
	{GateTopology, "another replica", false, func(m *moment) { m.tgt.Local.Members[0].Name = "other" }, GateClosed, futile},
	{GateTopology, "two local primaries", false, func(m *moment) {
		m.addReplica(func(x *hadr.Member, _ *hadr.Replica) { x.Role = hadr.RolePrimary })
	}, GateClosed, helps},
	{GateTopology, "the same instance twice", false, func(m *moment) {
		m.tgt.Identity.ServerName, m.tgt.Identity.StartTime = m.src.Identity.ServerName, m.src.Identity.StartTime
	}, GateClosed, futile},

	{GatePlanTrue, "unaltered", false, func(m *moment) {}, GateOpen, helps},
	{GatePlanTrue, "altered", false, func(m *moment) { m.tgt.DAG.SequenceNumber = hadr.Some[int64](8) }, GateClosed, futile},
	{GatePlanTrue, "local group altered", false, func(m *moment) { m.src.Local.SequenceNumber = hadr.Some[int64](4) }, GateClosed, futile},
	{GatePlanTrue, "not read", false, func(m *moment) { m.src.DAG.SequenceNumber = hadr.Opt[int64]{} }, GateUnknown, helps},

	{GateIdentity, "as planned", false, func(m *moment) {}, GateOpen, helps},
	{GateIdentity, "restarted", false, func(m *moment) { m.src.Identity.StartTime = "start-2" }, GateClosed, futile},
	{GateIdentity, "restarted at step 6", true, func(m *moment) { m.tgt.Identity.StartTime = "start-2" }, GateClosed, futile},

	{GateRights, "sysadmin", false, func(m *moment) {}, GateOpen, helps},
	{GateRights, "not sysadmin", false, func(m *moment) { m.src.Rights = &hadr.Rights{Login: "x", Sysadmin: hadr.Some(false)} }, GateClosed, futile},
	{GateRights, "not read", false, func(m *moment) { m.tgt.Rights = nil }, GateUnknown, helps},

	{GateVersions, "the same", false, func(m *moment) {}, GateOpen, helps},
	{GateVersions, "newer, declared", false, func(m *moment) { m.newer(); m.p.CrossVersion = true }, GateOpen, helps},
	{GateVersions, "newer, not declared", false, func(m *moment) { m.newer() }, GateClosed, futile},
	{GateVersions, "older", false, func(m *moment) { m.tgt.Identity.Major, m.p.Target.Major = 15, 15 }, GateClosed, futile},
	{GateVersions, "before 2016", false, func(m *moment) { m.src.Identity.Major, m.p.Source.Major = 12, 12 }, GateClosed, futile},
	{GateVersions, "not those of the plan", false, func(m *moment) { m.src.Identity.Major = 17 }, GateClosed, futile},
	{GateVersions, "not read", false, func(m *moment) { m.src.Identity.Major = 0 }, GateUnknown, helps},

	{GateDatabases, "as planned", false, func(m *moment) {}, GateOpen, helps},
	{GateDatabases, "one more", false, func(m *moment) { m.tgt.Databases = append(m.tgt.Databases, hadr.Database{Name: "db002"}) }, GateClosed, futile},
	{GateDatabases, "one missing", false, func(m *moment) { m.src.Databases = m.src.Databases[:0] }, GateClosed, futile},
	{GateDatabases, "not read", false, func(m *moment) { m.tgt.Databases = nil }, GateUnknown, helps},

	{GateListeners, "agree", false, func(m *moment) {}, GateOpen, helps},
	{GateListeners, "differ", false, func(m *moment) { m.tgt.DAG.Members[0].EndpointURL = "tcp://elsewhere:5022" }, GateClosed, futile},
	{GateListeners, "not read", false, func(m *moment) { m.tgt.DAG.Members[1].EndpointURL = "" }, GateUnknown, helps},

	{GateOtherDAGs, "none", false, func(m *moment) {}, GateOpen, helps},
	{GateOtherDAGs, "one", false, func(m *moment) { m.tgt.OtherDAGs = []string{"DAG2"} }, GateClosed, futile},

	{GateLocalModes, "synchronous", false, func(m *moment) {}, GateOpen, helps},
	{GateLocalModes, "asynchronous", false, func(m *moment) { m.tgt.Local.Members[0].Mode = hadr.ModeAsynchronous }, GateClosed, helps},
	{GateLocalModes, "asynchronous, proof by end_of_log", false, func(m *moment) {
		m.tgt.Local.Members[0].Mode, m.p.ProofBasis = hadr.ModeAsynchronous, BasisEndOfLog
	}, GateOpen, helps},
	{GateLocalModes, "not read", false, func(m *moment) { m.src.Local.Members[0].Mode = "" }, GateUnknown, helps},

	{GateLocalRSSTC, "none asked for", false, func(m *moment) {}, GateOpen, helps},
	{GateLocalRSSTC, "met", false, func(m *moment) {
		m.tgt.Local.RSSTC = hadr.Some[int64](1)
		m.addReplica(func(*hadr.Member, *hadr.Replica) {})
	}, GateOpen, helps},
	{GateLocalRSSTC, "cannot be met", false, func(m *moment) { m.tgt.Local.RSSTC = hadr.Some[int64](1) }, GateClosed, helps},
	{GateLocalRSSTC, "not read", false, func(m *moment) { m.src.Local.RSSTC = hadr.Opt[int64]{} }, GateUnknown, helps},

	{GateLineage, "one", false, func(m *moment) {}, GateOpen, helps},
	{GateLineage, "hidden on the target", false, func(m *moment) { m.tgt.Databases[0].Lineage = nil }, GateOpen, helps},
	{GateLineage, "another fork", false, func(m *moment) { m.tgt.Databases[0].Lineage.ForkGUID = "fork-2" }, GateClosed, futile},
	{GateLineage, "another family than planned", false, func(m *moment) {
		m.src.Databases[0].Lineage.FamilyGUID, m.tgt.Databases[0].Lineage.FamilyGUID = "f2", "f2"
	}, GateClosed, futile},
	{GateLineage, "not read on the source", false, func(m *moment) { m.src.Databases[0].Lineage = nil }, GateUnknown, helps},

	{GateWayBack, "there is one", false, func(m *moment) {}, GateOpen, helps},
	{GateWayBack, "modes not read", false, func(m *moment) { m.tgt.DAG.Members[0].Mode = "" }, GateUnknown, helps},

	{GateClock, "near", false, func(m *moment) {}, GateOpen, helps},
	{GateClock, "an hour off", false, func(m *moment) { m.src.Identity.ServerUTC = hadr.Some(m.now.Add(time.Hour)) }, GateClosed, helps},
	{GateClock, "an hour behind", false, func(m *moment) { m.tgt.Identity.ServerUTC = hadr.Some(m.now.Add(-time.Hour)) }, GateClosed, helps},
	{GateClock, "not read", false, func(m *moment) { m.src.Identity.ServerUTC = hadr.Opt[time.Time]{} }, GateUnknown, helps},

	{GateDirection, "from here to there", false, func(m *moment) {}, GateOpen, helps},
	{GateDirection, "the other way", false, func(m *moment) { m.src.DAG.Role, m.tgt.DAG.Role = hadr.RoleSecondary, hadr.RolePrimary }, GateClosed, futile},
	{GateDirection, "resolving", false, func(m *moment) { m.tgt.DAG.Role = hadr.RoleResolving }, GateUnknown, helps},
	{GateDirection, "not read", false, func(m *moment) { m.src.DAG.Role = "" }, GateUnknown, helps},

	{GateRSSTC, "0", false, func(m *moment) {}, GateOpen, helps},
	{GateRSSTC, "1 by us at step 6", true, func(m *moment) {}, GateOpen, helps},
	{GateRSSTC, "1 without us", false, func(m *moment) { m.tgt.DAG.RSSTC = hadr.Some[int64](1) }, GateClosed, helps},
	{GateRSSTC, "gone at step 6", true, func(m *moment) { m.src.DAG.RSSTC = hadr.Some[int64](0) }, GateClosed, helps},
	{GateRSSTC, "not read", false, func(m *moment) { m.src.DAG.RSSTC = hadr.Opt[int64]{} }, GateUnknown, helps},

	{GateStates, "in order", false, func(m *moment) {}, GateOpen, helps},
	{GateStates, "restoring, cross-version", false, func(m *moment) {
		m.newer()
		m.p.CrossVersion = true
		m.tgt.Databases[0].State = hadr.DBRestoring
	}, GateOpen, helps},
	{GateStates, "restoring", false, func(m *moment) { m.tgt.Databases[0].State = hadr.DBRestoring }, GateClosed, helps},
	{GateStates, "suspect", false, func(m *moment) { m.tgt.Databases[0].State = hadr.DBSuspect }, GateClosed, helps},
	{GateStates, "not joined", false, func(m *moment) { m.tgt.Databases[0].Joined = hadr.Some(false) }, GateClosed, helps},
	{GateStates, "suspended", false, func(m *moment) { m.tgt.Databases[0].Own.Suspended = hadr.Some(true) }, GateClosed, helps},
	{GateStates, "reverting", false, func(m *moment) { m.tgt.Databases[0].Own.Sync = hadr.SyncReverting }, GateClosed, helps},
	{GateStates, "initializing", false, func(m *moment) { m.tgt.Databases[0].Own.Sync = hadr.SyncInitializing }, GateClosed, helps},
	{GateStates, "a target that is SECONDARY and reads READ_WRITE", false, func(m *moment) { m.tgt.Databases[0].Updateability = "read_write" }, GateClosed, futile},
	{GateStates, "read-only source", false, func(m *moment) { m.src.Databases[0].Updateability = "read_only" }, GateClosed, helps},
	{GateStates, "no row of its own", false, func(m *moment) { m.tgt.Databases[0].Own = nil }, GateUnknown, helps},
	{GateStates, "state not read", false, func(m *moment) { m.src.Databases[0].State = "" }, GateUnknown, helps},
	{GateStates, "suspended not read", false, func(m *moment) { m.src.Databases[0].Own.Suspended = hadr.Opt[bool]{} }, GateUnknown, helps},
	{GateStates, "synchronization not read", false, func(m *moment) { m.src.Databases[0].Own.Sync = "" }, GateUnknown, helps},

	{GateLink, "moving", false, func(m *moment) {}, GateOpen, helps},
	{GateLink, "disconnected", false, func(m *moment) { m.src.DAG.Members[1].Connected = hadr.Some(false) }, GateClosed, helps},
	{GateLink, "not synchronizing", false, func(m *moment) { m.src.Databases[0].Link.Sync = hadr.NotSynchronizing }, GateClosed, helps},
	{GateLink, "suspended", false, func(m *moment) { m.src.Databases[0].Link.Suspended = hadr.Some(true) }, GateClosed, helps},
	{GateLink, "only synchronizing at step 6", true, func(m *moment) { m.src.Databases[0].Link.Sync = hadr.Synchronizing }, GateClosed, helps},
	{GateLink, "no link row at step 6", true, func(m *moment) { m.src.Databases[0].Link = nil }, GateClosed, helps},
	{GateLink, "connected not read", false, func(m *moment) { m.src.DAG.Members[1].Connected = hadr.Opt[bool]{} }, GateUnknown, helps},
	{GateLink, "no link row", false, func(m *moment) { m.src.Databases[0].Link = nil }, GateUnknown, helps},

	{GateLocalHealth, "healthy", false, func(m *moment) { m.addReplica(func(*hadr.Member, *hadr.Replica) {}) }, GateOpen, helps},
	{GateLocalHealth, "disconnected", false, func(m *moment) {
		m.addReplica(func(x *hadr.Member, _ *hadr.Replica) { x.Connected = hadr.Some(false) })
	}, GateClosed, helps},
	{GateLocalHealth, "not healthy", false, func(m *moment) {
		m.addReplica(func(x *hadr.Member, _ *hadr.Replica) { x.Health = "not_healthy" })
	}, GateClosed, helps},
	{GateLocalHealth, "lags", false, func(m *moment) {
		m.addReplica(func(_ *hadr.Member, r *hadr.Replica) { r.Sync = hadr.Synchronizing })
	}, GateClosed, helps},
	{GateLocalHealth, "health not read", false, func(m *moment) { m.addReplica(func(x *hadr.Member, _ *hadr.Replica) { x.Health = "" }) }, GateUnknown, helps},
	{GateLocalHealth, "connected not read", false, func(m *moment) {
		m.addReplica(func(x *hadr.Member, _ *hadr.Replica) { x.Connected = hadr.Opt[bool]{} })
	}, GateUnknown, helps},
	{GateLocalHealth, "no row of a database", false, func(m *moment) {
		m.addReplica(func(_ *hadr.Member, r *hadr.Replica) { r.Name = "somebody else" })
	}, GateUnknown, helps},

	{GateSeeding, "over", false, func(m *moment) { m.src.Seeding = []hadr.Seeding{{Database: "db001"}} }, GateOpen, helps},
	{GateSeeding, "running", false, func(m *moment) { m.src.Seeding = []hadr.Seeding{{Database: "db001", Running: true}} }, GateClosed, helps},

	{GateLogSpace, "room", false, func(m *moment) {}, GateOpen, helps},
	{GateLogSpace, "full", false, func(m *moment) { m.src.Databases[0].LogUsed = m.src.Databases[0].LogSize }, GateClosed, helps},
	{GateLogSpace, "not read", false, func(m *moment) { m.src.Databases[0].LogUsed = hadr.Opt[int64]{} }, GateUnknown, helps},
	{GateLogSpace, "size 0", false, func(m *moment) { m.src.Databases[0].LogSize = hadr.Some[int64](0) }, GateUnknown, helps},

	{GateConvergence, "caught up", false, func(m *moment) {}, GateOpen, helps},
	{GateConvergence, "near, and near is enough", false, func(m *moment) { m.lag(); m.p.StartAt = LevelNear }, GateOpen, helps},
	{GateConvergence, "near, and caught up is asked for", false, func(m *moment) { m.lag() }, GateClosed, helps},
	{GateConvergence, "not synchronized, and that is asked for", false, func(m *moment) { m.p.StartAt = LevelSynchronized }, GateClosed, helps},
	{GateConvergence, "another fork", false, func(m *moment) { m.tgt.Databases[0].Lineage.ForkGUID = "fork-2" }, GateClosed, futile},
	{GateConvergence, "LSNs unknown", false, func(m *moment) {
		s, t := m.db()
		s.Own.LastHardened, s.Own.EndOfLog, t.Own.LastHardened, t.Own.EndOfLog = hadr.LSN{}, hadr.LSN{}, hadr.LSN{}, hadr.LSN{}
		s.Link.LastHardened, s.Link.EndOfLog = hadr.LSN{}, hadr.LSN{}
	}, GateUnknown, helps},

	{GateQueues, "empty", false, func(m *moment) {}, GateOpen, helps},
	{GateQueues, "much to send", false, func(m *moment) { m.src.Databases[0].Link.SendQueue = hadr.Some[int64](1 << 40) }, GateClosed, helps},
	{GateQueues, "much to redo", false, func(m *moment) { m.tgt.Databases[0].Own.RedoQueue = hadr.Some[int64](1 << 40) }, GateClosed, helps},
	{GateQueues, "send queue not read", false, func(m *moment) { m.src.Databases[0].Link.SendQueue = hadr.Opt[int64]{} }, GateUnknown, helps},
	{GateQueues, "redo queue not read", false, func(m *moment) {
		m.src.Databases[0].Link.RedoQueue, m.tgt.Databases[0].Own.RedoQueue = hadr.Opt[int64]{}, hadr.Opt[int64]{}
	}, GateUnknown, helps},

	{GateBudget, "fits", false, func(m *moment) {}, GateOpen, helps},
	{GateBudget, "too long", false, func(m *moment) { m.p.MaxWriteUnavailable = time.Second }, GateClosed, helps},
	{GateBudget, "used up at step 6", true, func(m *moment) { m.in.WriteUnavailableFrom = m.now.Add(-m.p.MaxWriteUnavailable) }, GateClosed, helps},
	{GateBudget, "a queue without a rate", false, func(m *moment) {
		m.src.Databases[0].Link.SendQueue, m.src.Databases[0].Link.SendRate = hadr.Some[int64](32<<20), hadr.Opt[int64]{}
	}, GateUnknown, helps},

	{GateQuiet, "quiet", false, func(m *moment) {}, GateOpen, helps},
	{GateQuiet, "a transaction that wrote nothing", false, func(m *moment) { m.transaction(hadr.Some[int64](0)) }, GateOpen, helps},
	{GateQuiet, "a program that may", true, func(m *moment) {
		m.transaction(hadr.Some[int64](9))
		m.p.QuietPrograms = []string{"app.exe"}
	}, GateOpen, helps},
	{GateQuiet, "a transaction", true, func(m *moment) { m.transaction(hadr.Some[int64](9)) }, GateClosed, helps},
	{GateQuiet, "a transaction whose log is not known", true, func(m *moment) { m.transaction(hadr.Opt[int64]{}) }, GateClosed, helps},
	{GateQuiet, "not read", true, func(m *moment) { m.src.TransactionsRead, m.src.Transactions = false, nil }, GateUnknown, helps},

	{GateDrained, "past the mark", true, func(m *moment) {}, GateOpen, helps},
	{GateDrained, "no mark yet", false, func(m *moment) {}, GateClosed, helps},
	{GateDrained, "not past it", true, func(m *moment) { m.in.Mark.Drained = nil }, GateClosed, helps},
}

func (m *moment) approve(by string) {
	m.o.Outside.Approvals = append(m.o.Outside.Approvals, Approval{By: by, At: t0, PlanHash: m.p.Hash()})
}

// lag puts the target one block behind, with nothing in the queues.
func (m *moment) lag() {
	s, t := m.db()
	t.Own.LastHardened, t.Own.EndOfLog = simLSN(3), simLSN(2)
	s.Link.LastHardened, s.Link.EndOfLog = simLSN(3), simLSN(2)
}

func (m *moment) transaction(records hadr.Opt[int64]) {
	m.src.Transactions = []hadr.Transaction{{Database: "db001", Program: "app.exe", LogRecords: records}}
}

func TestGates(t *testing.T) {
	for _, c := range gateCases {
		t.Run(string(c.gate)+"/"+c.name, func(t *testing.T) {
			m := idleMoment()
			if c.at6 {
				m = lastCheck(t)
			}
			c.change(m)
			v := m.verdict(c.gate)
			if v.State != c.want || v.Reason == "" {
				t.Fatalf("%s (%s), want %s", v.State, v.Reason, c.want)
			}
			if v.State == GateClosed && v.WaitingHelps != c.helps {
				t.Errorf("waiting helps: %v (%s)", v.WaitingHelps, v.Reason)
			}
			info := gateInfo(c.gate)
			stands := c.want == GateOpen || c.at6 && !info.Demote || !c.at6 && !info.Start
			if stands {
				return
			}
			// Whatever is not open stops the run where the gate counts.
			if d := m.rearm().decide(); c.at6 && sends(Demote, hadr.Source)(d) || !c.at6 && d.Action == ActionStart {
				t.Errorf("%s, and the engine goes on: %s", v.State, describe(d))
			}
		})
	}
}

// rearm arms the plan as it now is: a changed plan would be stopped by that.
func (m *moment) rearm() *moment {
	if a := m.o.Outside.Armed; a != nil && m.in.Run == "" && a.PlanHash != "other" {
		a.PlanHash = m.p.Hash()
	}
	return m
}

func gateInfo(g Gate) GateInfo {
	for _, i := range Gates {
		if i.Gate == g {
			return i
		}
	}
	return GateInfo{}
}

// TestGateControls: with nothing changed the run starts, and S2 is sent.
// Without this the cases above would pass on an engine that does nothing.
func TestGateControls(t *testing.T) {
	if d := idleMoment().decide(); d.Action != ActionStart {
		t.Errorf("idle: %s: %s", d.Action, d.Reason)
	}
	if d := lastCheck(t).decide(); !sends(Demote, hadr.Source)(d) {
		t.Errorf("step 6: %s: %s", describe(d), d.Reason)
	}
}

// TestEveryGateIsTested: each gate has a case for each answer that it has.
func TestEveryGateIsTested(t *testing.T) {
	// What people say is known; that a database is in no other group, is not
	// being seeded or is drained is unknown only where a side was not read,
	// which TestUnreadSide has. A way back is never surely missing.
	never := map[GateState][]Gate{
		GateUnknown: {GateMode, GateArmed, GateHeld, GateApprovals, GateLease, GateChecklist, GateCooldown, GateOtherDAGs, GateSeeding, GateDrained, GateIdentity, GateTopology},
		GateClosed:  {GateWayBack},
	}
	for _, g := range Gates {
		for _, s := range []GateState{GateOpen, GateClosed, GateUnknown} {
			has := slices.ContainsFunc(gateCases, func(c gateCase) bool { return c.gate == g.Gate && c.want == s })
			if has == slices.Contains(never[s], g.Gate) {
				t.Errorf("gate %s, %s: tested %v", g.Gate, s, has)
			}
		}
	}
}

// TestUnreadSide: a side that was not read opens no gate that speaks of it,
// and neither starts a run nor sends S2.
func TestUnreadSide(t *testing.T) {
	said := []Gate{GateMode, GateArmed, GateHeld, GateWindow, GateApprovals, GateLease, GatePipeline, GateChecklist, GateCooldown, GateDrained, GatePlanTrue}
	only := []Gate{GateLink, GateLogSpace, GateQuiet} // of the source: the target knows nothing of it
	for _, side := range []hadr.Side{hadr.Source, hadr.Target} {
		for _, at6 := range []bool{false, true} {
			m := idleMoment()
			if at6 {
				m = lastCheck(t)
			}
			so := SideObservation{Failure: "no answer", Class: "timeout", Lock: LockHeld}
			if side == hadr.Source {
				m.o.Source = so
			} else {
				m.o.Target = so
			}
			for _, v := range CheckAll(m.p, m.in, m.o, m.now) {
				if slices.Contains(said, v.Gate) && (at6 || v.Gate != GatePlanTrue) || side == hadr.Target && slices.Contains(only, v.Gate) {
					continue
				}
				if v.Open() {
					t.Errorf("%s unread: gate %s is open: %s", side, v.Gate, v.Reason)
				}
			}
			if d := m.decide(); d.Action != ActionWait {
				t.Errorf("%s unread: %s", side, describe(d))
			}
		}
	}
}

// TestReadiness: unknown is not open, and one gate that waiting cannot help
// makes waiting useless.
func TestReadiness(t *testing.T) {
	for _, c := range []struct {
		name        string
		change      func(*moment)
		open, helps bool
	}{
		{"healthy", func(m *moment) {}, true, true},
		{"closed for now", func(m *moment) { held(m.now, &m.o.Outside) }, false, true},
		{"unknown", func(m *moment) { m.src.Rights = nil }, false, true},
		{"closed for good", func(m *moment) { m.tgt.OtherDAGs = []string{"DAG2"}; held(m.now, &m.o.Outside) }, false, false},
	} {
		m := idleMoment()
		c.change(m)
		if open, helps := Readiness(CheckAll(m.p, m.in, m.o, m.now)); open != c.open || helps != c.helps {
			t.Errorf("%s: open %v, waiting helps %v", c.name, open, helps)
		}
	}
}
