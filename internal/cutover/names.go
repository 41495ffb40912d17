package cutover

// Phase is where a run stands. The text of each is in Phases.
type Phase string

// Phases in order. See Phases for what each means.
const (
	PhaseIdle             Phase = "idle"
	PhaseLock             Phase = "lock"
	PhaseMark             Phase = "mark"
	PhaseSetSynchronous   Phase = "set_synchronous"
	PhaseWaitSynchronized Phase = "wait_synchronized"
	PhaseQuiesce          Phase = "quiesce"
	PhaseDrain            Phase = "drain"
	PhaseRequire          Phase = "require"
	PhaseDemote           Phase = "demote"
	PhaseConfirmDemoted   Phase = "confirm_demoted"
	PhaseProve            Phase = "prove"
	PhasePromote          Phase = "promote"
	PhaseAfter            Phase = "after"
	PhaseWatch            Phase = "watch"
	PhaseBack             Phase = "back"
	PhaseBackAfter        Phase = "back_after"
	PhaseEnded            Phase = "ended"
)

// PhaseInfo is a phase with its sentence for a DBA.
type PhaseInfo struct {
	Phase Phase
	Step  string // of the order 0–12, "" where it has none
	Text  string
}

// Phases lists every phase once, in order.
var Phases = []PhaseInfo{
	{PhaseIdle, "0", "no run; the gates are evaluated and nothing is touched"},
	{PhaseLock, "1", "taking our application lock in master of the source, then of the target"},
	{PhaseMark, "1", "writing the run's id into master of both sides, so that a second engine is noticed"},
	{PhaseSetSynchronous, "2", "setting synchronous commit in both sides' own copies and reading it back"},
	{PhaseWaitSynchronized, "3", "waiting until every database's link row on the source is SYNCHRONIZED, connected and moving"},
	{PhaseQuiesce, "4", "stopping the writers with the quiesce hook, where there is one"},
	{PhaseDrain, "4", "waiting for quiet, and for every database on the target to be past the mark"},
	{PhaseRequire, "5", "RSSTC=1 on the source: from here no commit can slip past the target; bounded"},
	{PhaseDemote, "6–7", "all gates once more, then S2: the source gives up its role; no side takes writes"},
	{PhaseConfirmDemoted, "8", "waiting until the source reads SECONDARY and none of its databases is READ_WRITE"},
	{PhaseProve, "9", "both sides at rest, and per database the target not below the source: the proof"},
	{PhasePromote, "10–11", "S3 sent on the target; waiting until it is PRIMARY and every database is open"},
	{PhaseAfter, "12", "the target is in charge; tidying up, which gates nothing"},
	{PhaseWatch, "12", "watching for a second primary or a late statement"},
	{PhaseBack, "back", "on the way back to the source: RSSTC=0, S3 on the source where it was demoted, confirm"},
	{PhaseBackAfter, "back", "the source is in charge again: modes back to what they were, writers released"},
	{PhaseEnded, "", "the run has ended; its outcome says how"},
}

// Outcome of a run.
type Outcome string

// Outcomes. There is no outcome for "needs a human": a page stands beside the
// run, which goes on watching until one of these is true.
const (
	OutcomeNone       Outcome = ""
	OutcomeDone       Outcome = "done"
	OutcomeAborted    Outcome = "aborted"
	OutcomeRolledBack Outcome = "rolled_back"
	OutcomeDrilled    Outcome = "drilled"
	OutcomeClosed     Outcome = "closed"
)

// OutcomeInfo is an outcome with its sentence for a DBA.
type OutcomeInfo struct {
	Outcome Outcome
	Text    string
}

// Outcomes lists every outcome once.
var Outcomes = []OutcomeInfo{
	{OutcomeDone, "the target is PRIMARY with every database open, by our S3 and on our proof"},
	{OutcomeAborted, "stopped before the source gave up its role; the source is PRIMARY with RSSTC=0, as before"},
	{OutcomeRolledBack, "the source was demoted and is PRIMARY again with RSSTC=0; nothing moved"},
	{OutcomeDrilled, "a drill: the source was demoted, the proof was complete, and the source is PRIMARY again"},
	{OutcomeClosed, "a human took over and acknowledged; the engine decided nothing"},
}

// Page codes.
const (
	PageSplit          = "split"
	PageUnexplained    = "unexplained_role"
	PageOutstanding    = "outstanding"
	PageOtherRun       = "other_run"
	PageUnreadable     = "unreadable"
	PageSourceMoved    = "source_moved"
	PageReleaseFails   = "release_fails"
	PagePromoteStuck   = "promote_stuck"
	PageNoProof        = "no_proof"
	PageHook           = "hook"
	PageSchema         = "schema"
	PageBothSecondary  = "both_secondary"
	PageSideGone       = "side_gone"
	PageRequiredOn     = "required_left_on"
	PagePlan           = "plan"
	PageDiverged       = "diverged"
	PageTidy           = "tidy_up"
	PageDatabaseClosed = "database_not_open"
)

// PageInfo is a page code with its sentence.
type PageInfo struct {
	Code string
	Text string
}

// PageCodes lists every code once.
var PageCodes = []PageInfo{
	{PageSplit, "both sides read PRIMARY: two writable copies"},
	{PageUnexplained, "a role that our journal does not explain: somebody else acted"},
	{PageOutstanding, "a statement of unknown outcome may still land"},
	{PageOtherRun, "master holds another engine's run id"},
	{PageUnreadable, "a side that the next step depends on cannot be read"},
	{PageSourceMoved, "the source came back on another instance after it was demoted"},
	{PageReleaseFails, "RSSTC=0 does not take on the source: its commits wait for the target"},
	{PagePromoteStuck, "S3 was sent and the side is still not PRIMARY"},
	{PageNoProof, "the target cannot be proven to hold everything"},
	{PageHook, "a hook failed"},
	{PageSchema, "the journal was written by a newer version"},
	{PageBothSecondary, "no side is PRIMARY and there is no run of ours"},
	{PageSideGone, "a side is gone, the other one is SECONDARY, and there is no run of ours: the emergency"},
	{PageRequiredOn, "RSSTC=1 stands on a PRIMARY side without a run of ours"},
	{PagePlan, "the plan at hand is not the one this run was started with"},
	{PageDiverged, "the two sides' copies of a database are of different lineage"},
	{PageTidy, "the move is done; something after it needs a hand"},
	{PageDatabaseClosed, "the new primary has a database that is not open for writes"},
}

// Gate is a condition's name.
type Gate string

// Gates. See Gates for what each asks.
const (
	GateMode        Gate = "mode"
	GateArmed       Gate = "armed"
	GateHeld        Gate = "held"
	GateWindow      Gate = "window"
	GateApprovals   Gate = "approvals"
	GateLease       Gate = "alert_lease"
	GatePipeline    Gate = "alert_path"
	GateChecklist   Gate = "checklist"
	GatePlanTrue    Gate = "plan"
	GateReadable    Gate = "readable"
	GatePlatform    Gate = "platform"
	GateTopology    Gate = "topology"
	GateIdentity    Gate = "identity"
	GateRights      Gate = "rights"
	GateVersions    Gate = "versions"
	GateDirection   Gate = "direction"
	GateDatabases   Gate = "database_sets"
	GateStates      Gate = "database_states"
	GateLineage     Gate = "lineage"
	GateLink        Gate = "link"
	GateLocalModes  Gate = "local_modes"
	GateLocalHealth Gate = "local_health"
	GateLocalRSSTC  Gate = "local_rsstc"
	GateRSSTC       Gate = "rsstc"
	GateOtherDAGs   Gate = "other_dags"
	GateSeeding     Gate = "seeding"
	GateListeners   Gate = "listener_urls"
	GateConvergence Gate = "convergence"
	GateQuiet       Gate = "quiet"
	GateDrained     Gate = "drained"
	GateQueues      Gate = "queues"
	GateBudget      Gate = "outage_budget"
	GateWayBack     Gate = "way_back"
	GateLogSpace    Gate = "log_space"
	GateClock       Gate = "clock"
	GateOtherRun    Gate = "other_run"
	GateCooldown    Gate = "cooldown"
)
