package cutover

import (
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// IntentSchema is the number written into every Intent. A newer one is not
// understood: Decide pages.
const IntentSchema = 1

// SentOutcome says what is known about a statement that was journalled.
type SentOutcome string

// Outcomes of a statement.
const (
	SentPending  SentOutcome = "pending"  // journalled; no answer was recorded (yet, or a crash came between)
	SentAccepted SentOutcome = "accepted" // the server took it; lands later
	SentRefused  SentOutcome = "refused"  // surely nothing done: the entry counts as never sent
	SentUnknown  SentOutcome = "unknown"  // sent, the answer was lost or is ambiguous
)

// Sent is one statement of the run, journalled before it was sent.
type Sent struct {
	Statement  Statement   `json:"statement"`
	At         time.Time   `json:"at"`
	ServerName string      `json:"server_name,omitempty"` // the instance it was sent to
	StartTime  string      `json:"start_time,omitempty"`
	Tries      int         `json:"tries,omitempty"` // RSSTC=0 is repeated until it reads back: how often; At is the last time
	Outcome    SentOutcome `json:"outcome"`
	Answer     Answer      `json:"answer,omitempty"`
	Number     int         `json:"number,omitempty"`
	Class      string      `json:"class,omitempty"`
	Text       string      `json:"text,omitempty"`
	ReturnedAt time.Time   `json:"returned_at,omitzero"`
	EffectSeen time.Time   `json:"effect_seen,omitzero"` // end of the reading that showed its effect
	// Blind is how long its side could not be read since it was sent. A server
	// that hangs or is suspended does not come nearer to its effect, so none of
	// it counts towards settle.
	Blind time.Duration `json:"blind,omitempty"`
}

// Pin is which process of which instance a side is, taken when the run began.
type Pin struct {
	ServerName string `json:"server_name"`
	StartTime  string `json:"start_time"`
	ReplicaID  string `json:"replica_id"`
	AGGroupID  string `json:"ag_group_id"`
}

// Old is how a side was before the run touched it: where the way back leads.
type Old struct {
	Known  bool            `json:"known"`
	Source hadr.Mode       `json:"source_mode"` // of the source's member AG, in this side's own copy
	Target hadr.Mode       `json:"target_mode"`
	RSSTC  hadr.Opt[int64] `json:"rsstc"`
}

// HookState is how far a hook came.
type HookState struct {
	Attempts int       `json:"attempts"`
	Started  time.Time `json:"started"` // of the last attempt
	Ended    time.Time `json:"ended,omitzero"`
	OK       bool      `json:"ok"`
	Error    string    `json:"error,omitempty"`
}

// Mark is the source's end of log after the quiesce, and who is past it.
type Mark struct {
	At      time.Time      `json:"at"` // end of the reading it comes from
	Rows    []DatabaseLSNs `json:"rows"`
	Drained []string       `json:"drained"` // databases seen past the mark at any later reading, sorted
}

// Rest counts identical samples of both sides.
type Rest struct {
	Since  time.Time      `json:"since"` // end of the first of them
	Last   time.Time      `json:"last"`  // end of the last that counted
	Count  int            `json:"count"`
	Source []DatabaseLSNs `json:"source"`
	Target []DatabaseLSNs `json:"target"`
}

// PhaseTime is when a phase began.
type PhaseTime struct {
	Phase Phase     `json:"phase"`
	At    time.Time `json:"at"`
}

// GoingBack is the decision to return to the source. Once journalled it is
// never revised.
type GoingBack struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// PageTime is a page as it was raised, and when it was over.
type PageTime struct {
	Page
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"`
}

// Note is something for the report that changed no decision.
type Note struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Intent is one run as journalled, whole, before each action and after it.
// The zero Intent is "no run". Fields are exported for the journal and the
// report; only Begin, Decide and Record change them.
type Intent struct {
	Schema     int       `json:"schema"`
	Run        string    `json:"run"` // "" = no run
	DAG        string    `json:"dag"`
	PlanHash   string    `json:"plan_hash"`
	Drill      bool      `json:"drill"`
	ArmedBy    string    `json:"armed_by"`
	Generation uint64    `json:"generation"` // of the arming that it used up
	Approvals  []string  `json:"approvals,omitempty"`
	Began      time.Time `json:"began"`

	Phase  Phase       `json:"phase"`
	Phases []PhaseTime `json:"phases"`

	Pinned    bool           `json:"pinned"`
	SourcePin Pin            `json:"source_pin"`
	TargetPin Pin            `json:"target_pin"`
	SourceOld Old            `json:"source_old"`
	TargetOld Old            `json:"target_old"`
	Highest   []DatabaseLSNs `json:"highest"` // highest source LSNs read since the pin, per database

	Sent  []Sent                 `json:"sent"`
	Hooks map[HookName]HookState `json:"hooks,omitempty"`

	LockTries   int       `json:"lock_tries,omitempty"`
	LockTriedAt time.Time `json:"lock_tried_at,omitzero"`
	MarkTries   int       `json:"mark_tries,omitempty"`
	MarkTriedAt time.Time `json:"mark_tried_at,omitzero"`

	Mark  *Mark  `json:"mark,omitempty"`
	Rest  *Rest  `json:"rest,omitempty"`
	Proof *Proof `json:"proof,omitempty"`

	GoingBack *GoingBack `json:"going_back,omitempty"`
	Page      *Page      `json:"page,omitempty"` // standing now
	Pages     []PageTime `json:"pages,omitempty"`
	Notes     []Note     `json:"notes,omitempty"`
	LeaseLost time.Time  `json:"lease_lost,omitzero"` // first seen lost after the quiesce: recorded only

	WriteUnavailableFrom time.Time `json:"write_unavailable_from,omitzero"`
	WriteUnavailableTo   time.Time `json:"write_unavailable_to,omitzero"`

	SourceUnread time.Time `json:"source_unread,omitzero"` // since when the side could not be read, or read neither PRIMARY nor SECONDARY
	TargetUnread time.Time `json:"target_unread,omitzero"`
	Stuck        string    `json:"stuck,omitempty"`     // code of the page that ended our acting: from here on only read (and RSSTC=0)
	StuckWhy     string    `json:"stuck_why,omitempty"` //
	UnmarkTries  int       `json:"unmark_tries,omitempty"`

	Outcome    Outcome   `json:"outcome,omitempty"`
	OutcomeAt  time.Time `json:"outcome_at,omitzero"`
	WatchUntil time.Time `json:"watch_until,omitzero"` // end of the split watch, which goes on after Ended
	Ended      time.Time `json:"ended,omitzero"`
}

// Active reports a run that has not ended.
func (i *Intent) Active() bool { return i.Run != "" && i.Ended.IsZero() }

// Proof is the artefact that S3 carries: per database both columns of both
// sides at rest, target not below source nor below the highest source LSN read
// since the pin. It is hashed, and kept in the journal and the report.
type Proof struct {
	Run        string     `json:"run"`
	PlanHash   string     `json:"plan_hash"`
	At         time.Time  `json:"at"` // end of the last sample
	Basis      Basis      `json:"basis"`
	Samples    int        `json:"samples"`
	Since      time.Time  `json:"since"` // end of the first sample
	SourcePin  Pin        `json:"source_pin"`
	TargetPin  Pin        `json:"target_pin"`
	Rows       []ProofRow `json:"rows"`
	Unverified []string   `json:"unverified_lineage,omitempty"` // databases whose lineage one side would not show
	Hash       string     `json:"hash"`
}

// ProofRow is one database of a Proof.
type ProofRow struct {
	Database       string   `json:"database"`
	SourceHardened hadr.LSN `json:"source_last_hardened_lsn"`
	SourceEndOfLog hadr.LSN `json:"source_end_of_log_lsn"`
	TargetHardened hadr.LSN `json:"target_last_hardened_lsn"`
	TargetEndOfLog hadr.LSN `json:"target_end_of_log_lsn"`
	HighHardened   hadr.LSN `json:"highest_source_last_hardened_lsn"` // read since the pin
	HighEndOfLog   hadr.LSN `json:"highest_source_end_of_log_lsn"`
	Ahead          bool     `json:"ahead"` // the target holds more: completes, and is never rolled back by us
	FamilyGUID     string   `json:"family_guid,omitempty"`
	ForkGUID       string   `json:"fork_guid,omitempty"`
}
