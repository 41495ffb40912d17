package cutover

import (
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Kind is what a statement does. The engine knows six, and no T-SQL.
type Kind string

// The statements that a run may ever send.
const (
	SetSynchronous   Kind = "set_synchronous"   // S1: both members SYNCHRONOUS_COMMIT in this side's own copy
	SetAsynchronous  Kind = "set_asynchronous"  // S1': both members ASYNCHRONOUS_COMMIT in this side's own copy
	RequireSecondary Kind = "require_secondary" // RSSTC=1, source only, from 2022 on
	ReleaseSecondary Kind = "release_secondary" // RSSTC=0, needs neither lock nor marker
	Demote           Kind = "demote"            // S2, source only: the point of no return
	Promote          Kind = "promote"           // S3, forced failover: on the target, or on the source for the way back
)

// Kinds lists them all, for metrics and documentation.
var Kinds = []Kind{SetSynchronous, SetAsynchronous, RequireSecondary, ReleaseSecondary, Demote, Promote}

// Statement is one statement on one side. SQL is rendered by sqlserver and
// handed in when the plan is built; the engine only carries it, so that what
// is approved, shown on a page and executed is one text.
type Statement struct {
	Kind Kind      `json:"kind"`
	Side hadr.Side `json:"side"`
	SQL  string    `json:"sql"`
}

// Basis says which columns a proof rests on.
type Basis string

// Bases of a proof.
const (
	BasisHardened Basis = "hardened"   // last_hardened_lsn and end_of_log_lsn on both sides, both columns
	BasisEndOfLog Basis = "end_of_log" // end_of_log_lsn alone where last_hardened_lsn is NULL; only where the approved plan says so
)

// Level is the convergence at which a run may start.
type Level string

// Start levels.
const (
	LevelNear         Level = "near"
	LevelCaughtUp     Level = "caught_up"
	LevelSynchronized Level = "synchronized"
)

// HookName names a hook of the plan.
type HookName string

// The hooks: quiesce stops the writers, unquiesce lets them go on at the
// source, repoint points them to the target, after is free.
const (
	HookQuiesce   HookName = "quiesce"
	HookUnquiesce HookName = "unquiesce"
	HookRepoint   HookName = "repoint"
	HookAfter     HookName = "after"
)

// HookNames lists them all.
var HookNames = []HookName{HookQuiesce, HookUnquiesce, HookRepoint, HookAfter}

// Settings is the part of a plan that comes from the configuration.
type Settings struct {
	DAG       string   `json:"dag"`       // the config's name of the migration
	Group     string   `json:"group"`     // the distributed AG's name on the servers
	SourceAG  string   `json:"source_ag"` // local AG names
	TargetAG  string   `json:"target_ag"`
	Databases []string `json:"databases"` // in Settings: the expected set, empty = whatever the source holds; in a Plan: the set, sorted

	Drill        bool `json:"drill"` // steps 0–9, then S3 on the source: a measured outage, nothing moved
	CrossVersion bool `json:"cross_version"`

	StartAt        Level `json:"start_at"`            // default caught_up
	NearSendQueue  int64 `json:"near_log_send_queue"` // bytes; bounds of the state near
	NearRedoQueue  int64 `json:"near_redo_queue"`     // bytes
	ProofBasis     Basis `json:"proof_basis"`         // default hardened
	BlindS3        bool  `json:"blind_s3"`            // S3 within ProofTTL of a proof though the source cannot be read any more
	SettleReadings int   `json:"settle_readings"`     // identical samples that make "at rest"; at least 2, default 3
	BackToAsync    bool  `json:"back_to_async"`       // step 12; obligatory when cross-version
	Approvals      int   `json:"approvals"`
	SelfApprove    bool  `json:"self_approve"`

	ProofTTL            time.Duration `json:"proof_ttl"`
	SettleInterval      time.Duration `json:"settle_interval"`
	Settle              time.Duration `json:"settle"`
	RequireExposure     time.Duration `json:"require_exposure"`
	MaxWriteUnavailable time.Duration `json:"max_write_unavailable"`
	MaxDuration         time.Duration `json:"max_duration"`
	SplitWatch          time.Duration `json:"split_watch"`
	MaxClockOffset      time.Duration `json:"max_clock_offset"` // between server and reader; default 30 s
	HookTimeout         time.Duration `json:"hook_timeout"`     // default 30 s

	QuietPrograms []string   `json:"quiet_programs"` // program names that may hold a write transaction
	Checklist     []string   `json:"checklist"`
	Hooks         []HookName `json:"hooks"` // those configured
}

// Endpoint is one side as it was when the plan was built: what identity and
// topology gates hold later readings against.
type Endpoint struct {
	AG           string `json:"ag"`
	AGGroupID    string `json:"ag_group_id"` // lower-case GUID of the local AG
	ReplicaID    string `json:"replica_id"`  // of the local replica
	ServerName   string `json:"server_name"`
	StartTime    string `json:"start_time"` // sqlserver_start_time, for equality only
	Major        int    `json:"major"`      // 16 = 2022
	Version      string `json:"version"`
	DAGSequence  int64  `json:"dag_sequence"`  // availability_groups.sequence_number of the DAG; 0 unknown (before 2017)
	AGSequence   int64  `json:"ag_sequence"`   // of the local AG; 0 unknown
	SourceURL    string `json:"source_url"`    // LISTENER_URLs of both members, in this side's own copy
	TargetURL    string `json:"target_url"`    //
	ReplicaNames string `json:"replica_names"` // members of the local AG, sorted, comma separated
}

// Plan is everything that a run will do and what it rests on. It is data: the
// same plan gives the same hash, and a run executes only what has the hash
// that was approved.
type Plan struct {
	Settings
	GroupID     string      `json:"group_id"`     // lower-case GUID of the distributed AG, the same on both sides
	UseRequired bool        `json:"use_required"` // step 5 is part of the order: both sides 2022 or newer
	Source      Endpoint    `json:"source"`
	Target      Endpoint    `json:"target"`
	Lineage     []Lineage   `json:"lineage"`    // per database, as far as known when the plan was built
	Statements  []Statement `json:"statements"` // every statement a run may ever send, way back included
}

// Lineage of one database: LSNs on different recovery forks mean nothing.
type Lineage struct {
	Database   string `json:"database"`
	FamilyGUID string `json:"family_guid"`
	ForkGUID   string `json:"fork_guid"`
}

// Endpoint of a side.
func (p *Plan) Endpoint(s hadr.Side) Endpoint {
	if s == hadr.Source {
		return p.Source
	}
	return p.Target
}

// LockState of our application lock in a side's master.
type LockState string

// Lock states. Lost means that the session which held it ended.
const (
	LockNone LockState = "none"
	LockHeld LockState = "held"
	LockLost LockState = "lost"
)

// SideObservation is what this round knows of one side.
type SideObservation struct {
	Reading *hadr.Reading // nil: could not be read in this round
	Failure string        // why not, in words for a DBA; "" when Reading is set
	Class   string        // scrape_error reason: timeout, login, no_primary, …
	Lock    LockState     // "" counts as none
}

// Observation is one round: both sides, and everything that no server knows.
type Observation struct {
	Began   time.Time // start of the round; a Reading that began earlier does not count as read in it
	Source  SideObservation
	Target  SideObservation
	Outside Outside
	Resumed bool // the first round of a process that took the run up: nobody looked at the sides before it
}

// Side of the observation.
func (o *Observation) Side(s hadr.Side) SideObservation {
	if s == hadr.Source {
		return o.Source
	}
	return o.Target
}

// Mode of the webhook for a DAG.
type Mode string

// Modes. Anything else counts as dry run.
const (
	DryRun  Mode = "dry_run"
	Execute Mode = "execute"
)

// Arming is a person's permission to start one run of one plan.
type Arming struct {
	By         string    `json:"by"`
	At         time.Time `json:"at"`
	Until      time.Time `json:"until"`
	Generation uint64    `json:"generation"` // counts armings of this DAG; one arming starts at most one run
	PlanHash   string    `json:"plan_hash"`
}

// Approval of a plan by a person.
type Approval struct {
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	PlanHash string    `json:"plan_hash"`
}

// Hold stops starts and S3, not the clock.
type Hold struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Window is the change window as evaluated by the caller at this moment.
type Window struct {
	Known bool          `json:"known"` // false: could not be evaluated, which counts as closed
	Open  bool          `json:"open"`
	Left  time.Duration `json:"left"` // until it closes; 0 with Open = no end
	Text  string        `json:"text"` // "22:00–24:00 Europe/Berlin", or when it opens next
}

// Outside is what people, Alertmanager and our own process say.
type Outside struct {
	Mode          Mode
	Armed         *Arming // nil: not armed. While the run that it started is active it must still be handed in; nil then means disarmed
	Held          *Hold
	Approvals     []Approval
	ChecklistDone []string // items of the plan's checklist that somebody ticked

	LeaseUntil   time.Time     // the alert gate's lease; zero: none
	LeaseFrom    string        // the alert that gave it, or who started it by hand
	ByHand       bool          // a person stands in for the alert: no notification is behind LeaseUntil and PipelineSeen
	PipelineSeen time.Time     // last heartbeat of the alert path (watchdog or any notification); zero: never
	PipelineTTL  time.Duration // how old that may be; 0 = 2 min

	Window            Window
	RollbackRequested *Hold  // who asked for the way back, when and why; nil: nobody
	OtherRun          string // run id of another run of this DAG that has not ended, or of another DAG of a member; "" none
	Unacknowledged    string // run id of an ended run that somebody has to acknowledge first; "" none
	Acknowledged      *Hold  // who took this run over by hand; closes it once exactly one side is PRIMARY and nothing is outstanding
	ShuttingDown      bool
}

// Want is what the next round's readings must contain, and in which order the
// sides are read: the side that an S3 depends on is read last.
type Want struct {
	Rights       bool      `json:"rights,omitempty"`
	Transactions bool      `json:"transactions,omitempty"`
	Lineage      bool      `json:"lineage,omitempty"`
	Marker       bool      `json:"marker,omitempty"`
	Seeding      bool      `json:"seeding,omitempty"`
	First        hadr.Side `json:"first,omitempty"` // read this side first
}

// Action is the one thing to do next.
type Action string

// Actions. Every one of them is preceded by journalling Decision.Intent.
const (
	ActionWait    Action = "wait"    // nothing; look again after Poll
	ActionStart   Action = "start"   // no run yet and every gate is open: call Begin with a fresh run id, journal, decide again
	ActionLock    Action = "lock"    // take the lock on Side
	ActionMark    Action = "mark"    // write Intent.Run into master's extended property on Side, in the lock's session
	ActionUnmark  Action = "unmark"  // drop it on Side if it is ours
	ActionExecute Action = "execute" // send Statement with Guard
	ActionHook    Action = "hook"    // run Hook
	ActionFinish  Action = "finish"  // the run has its Outcome: release both locks, report, keep the intent
	ActionPage    Action = "page"    // call a human with Page; the loop goes on. The same page again is the same call
)

// Actions lists them all.
var Actions = []Action{ActionWait, ActionStart, ActionLock, ActionMark, ActionUnmark, ActionExecute, ActionHook, ActionFinish, ActionPage}

// Guard is what the server itself has to find true, in the same batch, before
// a statement: else THROW, nothing done.
type Guard struct {
	Run         string         // the run id in master's extended property; "" is not checked
	WithoutLock bool           // true for RSSTC=0 only: may run outside the locking session
	GroupID     string         // the distributed AG's group_id
	ServerName  string         // @@SERVERNAME; "" is not checked
	StartTime   string         // sqlserver_start_time; "" is not checked
	Role        hadr.Role      // this side's role in the distributed AG
	Databases   []string       // exactly this set in the local AG; nil is not checked
	AtLeast     []DatabaseLSNs // (S3) own rows not below these; an unknown LSN here is not checked, an unknown LSN there refuses
	NoProof     bool           // (S3) the way back on the source: it takes its own log up again, AtLeast is empty on purpose
	EndOfLog    bool           // (S3) the plan's proof basis is end_of_log: an unknown hardened LSN in AtLeast is not judged
}

// DatabaseLSNs are the two columns of a database's own local-AG row that a
// proof looks at.
type DatabaseLSNs struct {
	Database string   `json:"database"`
	Hardened hadr.LSN `json:"last_hardened_lsn"`
	EndOfLog hadr.LSN `json:"end_of_log_lsn"`
}

// Page is a call for a human: what happened, the exact statements, and what
// must be true before they are typed.
type Page struct {
	Code       string      `json:"code"` // one of PageCodes
	Text       string      `json:"text"`
	Statements []Statement `json:"statements,omitempty"` // in the order to be typed; RSSTC=0 first where it is among them
	Before     []string    `json:"before,omitempty"`     // what must be true before they are typed
}

// Decision is what Decide found.
type Decision struct {
	Action    Action
	Reason    string        // one sentence for a DBA
	Poll      time.Duration // how soon to look again when there is nothing else to do
	Side      hadr.Side     // of lock, mark, unmark
	Statement Statement     // of execute
	Guard     Guard
	Hook      HookName
	Outcome   Outcome // of finish
	Page      *Page   // of page; also set while a page stands
	Verdicts  []Verdict
	Want      Want   // for the next round
	Intent    Intent // to be journalled and fsynced before the action
}

// GateState is the answer of a gate. Unknown is closed.
type GateState string

// Gate states.
const (
	GateOpen    GateState = "open"
	GateClosed  GateState = "closed"
	GateUnknown GateState = "unknown"
)

// Verdict is what one gate says now.
type Verdict struct {
	Gate         Gate          `json:"gate"`
	State        GateState     `json:"state"`
	Reason       string        `json:"reason"` // in a DBA's words; also says why it is open
	EvidenceAge  time.Duration `json:"evidence_age"`
	WaitingHelps bool          `json:"waiting_helps"` // false on a closed gate: it can never become true by waiting
}

// Open reports that the gate is open. Unknown is not.
func (v Verdict) Open() bool { return v.State == GateOpen }

// Answer classes what a server said to a statement. The zero value is
// unknown, so that whatever is not surely something else stays pending.
type Answer string

// Answers. The adapter in runner maps sqlserver's error classes to them.
const (
	AnswerUnknown      Answer = ""              // timeout, broken connection, 41131 …: neither done nor failed until its effect is read
	AnswerAccepted     Answer = "accepted"      // the server took it; it lands later
	AnswerRefused      Answer = "refused"       // surely nothing done: wrong side, permission, syntax, not sent at all
	AnswerGuardRefused Answer = "guard_refused" // our own THROW: surely nothing done
	AnswerBusy         Answer = "busy"          // surely nothing done, may be tried again after re-reading
)

// Result is what came of a Decision's action.
type Result struct {
	Action     Action
	Side       hadr.Side
	Statement  Statement
	Hook       HookName
	Answer     Answer // lock, mark, unmark, hook: accepted or anything else
	Number     int    // SQL Server's error number, 0 if none
	Class      string // sqlserver's error class, for the report
	Text       string // the error, redacted
	ReturnedAt time.Time
}
