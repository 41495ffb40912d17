package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
)

// This file is what the outside sees of a Controller: cmd/cutover_webhook and
// internal/webhook compile against it. Every type here is a JSON document of
// the API as it stands; nothing in it is a secret.

// Mode says whether a run may touch the servers.
type Mode string

// Modes.
const (
	ModeDryRun  Mode = "dry_run"
	ModeExecute Mode = "execute"
)

// Kind of a run.
type Kind string

// Kinds of run.
const (
	KindCutover Kind = "cutover"
	KindDrill   Kind = "drill"
)

// Outcome says in one word how the last run ended; "" while none ended.
type Outcome string

// Readiness is what a check comes to.
type Readiness string

// Readiness values and the exit codes that the CLI gives them.
const (
	Open    Readiness = "open"    // 0: every gate is open
	Waiting Readiness = "waiting" // 3: closed or unknown, but waiting can help
	Never   Readiness = "never"   // 4: can never become true by waiting
)

// Request is who asks for something, and why. By is the identity that the
// webhook's middleware established, never a name out of a request body.
type Request struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

// ArmRequest arms one DAG for one run.
type ArmRequest struct {
	Request
	// PlanHash is what the armer saw; empty arms the plan as it is now.
	PlanHash string `json:"plan_hash,omitempty"`
	// Until is when the arming ends by itself. Zero: For from now on.
	Until time.Time `json:"until,omitzero"`
	// For is used when Until is zero; zero too: DefaultArming.
	For time.Duration `json:"for,omitempty"`
	// Drill arms a drill instead of a cutover.
	Drill bool `json:"drill,omitempty"`
	// Checklist holds the items of the config's checklist that the armer
	// declares done, word for word.
	Checklist []string `json:"checklist,omitempty"`
}

// DefaultArming is how long an arming lasts when nobody says otherwise.
const DefaultArming = 4 * time.Hour

// ApproveRequest approves one plan by its hash.
type ApproveRequest struct {
	Request
	PlanHash string `json:"plan_hash"`
}

// Arming is a standing permission to start one run.
type Arming struct {
	By         string    `json:"by"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at"`
	Until      time.Time `json:"until"`
	Generation uint64    `json:"generation"` // grows with every arming of this DAG
	PlanHash   string    `json:"plan_hash"`
	Drill      bool      `json:"drill,omitempty"`
	Spent      string    `json:"spent,omitempty"` // the run that it started; "" while it can start one
}

// Approval is one person's yes to one plan.
type Approval struct {
	By       string    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
	PlanHash string    `json:"plan_hash"`
}

// Hold stops the next step until it is released.
type Hold struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// GateState of a verdict. Unknown is closed.
type GateState string

// Gate states.
const (
	GateOpen    GateState = "open"
	GateClosed  GateState = "closed"
	GateUnknown GateState = "unknown"
)

// Gate is one verdict, in a DBA's words.
type Gate struct {
	Name         string    `json:"name"`
	State        GateState `json:"state"`
	Reason       string    `json:"reason"`
	EvidenceAge  float64   `json:"evidence_age_seconds"` // seconds; negative: no evidence
	WaitingHelps bool      `json:"waiting_helps"`
}

// SideStatus is what is known of one side.
type SideStatus struct {
	Side       string    `json:"side"`
	AG         string    `json:"ag"`
	Server     string    `json:"server,omitempty"`
	Role       string    `json:"role,omitempty"` // primary | secondary | resolving | "" unknown
	RSSTC      *int64    `json:"required_synchronized_secondaries,omitempty"`
	ReadAt     time.Time `json:"read_at,omitzero"`
	Error      string    `json:"error,omitempty"` // why it could not be read
	Lock       string    `json:"lock,omitempty"`  // none | held | lost
	Modes      string    `json:"modes,omitempty"` // this side's own copy of the DAG's commit modes
	Databases  int       `json:"databases"`
	Suspended  int       `json:"suspended"`
	ClockKnown bool      `json:"-"`
}

// DatabaseStatus is one database's distance, for the console.
type DatabaseStatus struct {
	Name         string `json:"name"`
	State        string `json:"state"` // behind | caught_up | ahead | unknown …
	Reason       string `json:"reason,omitempty"`
	SendQueue    *int64 `json:"log_send_queue_bytes,omitempty"`
	RedoQueue    *int64 `json:"redo_queue_bytes,omitempty"`
	SourceLSN    string `json:"source_last_hardened_lsn,omitempty"`
	TargetLSN    string `json:"target_last_hardened_lsn,omitempty"`
	SourceEnd    string `json:"source_end_of_log_lsn,omitempty"`
	TargetEnd    string `json:"target_end_of_log_lsn,omitempty"`
	CaughtUp     bool   `json:"caught_up"`
	TargetOnline bool   `json:"target_online"`
}

// Lease is the alert gate's state: soft, lost at a restart on purpose.
type Lease struct {
	Alert    string    `json:"alert,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	LastSeen time.Time `json:"last_seen,omitzero"`
	Held     bool      `json:"held"`
}

// Page asks a human to act. It stays until acknowledged.
type Page struct {
	ID         string      `json:"id"`
	Run        string      `json:"run,omitempty"`
	At         time.Time   `json:"at"`
	Text       string      `json:"text"`
	Conditions []string    `json:"conditions,omitempty"` // what must be true before the statements are typed
	Statements []Statement `json:"statements,omitempty"`
}

// Statement is one statement of a plan or a run.
type Statement struct {
	Kind string `json:"kind"`
	Side string `json:"side"`
	SQL  string `json:"sql"`
	Note string `json:"note,omitempty"`
}

// Status is the full state of one DAG at one moment: the answer of
// GET /api/v1/dags/{dag} and the data of every event.
type Status struct {
	DAG   string    `json:"dag"`
	Group string    `json:"group"`
	At    time.Time `json:"at"`
	Mode  Mode      `json:"mode"`
	// Phase is one of Phases.
	Phase      string    `json:"phase"`
	PhaseSince time.Time `json:"phase_since,omitzero"`
	// Reason is why it is not going on right now, in one sentence.
	Reason string `json:"reason,omitempty"`

	Convergence string           `json:"convergence"` // hadr state: unknown … synchronized, demoted, failed_over, split, diverged
	Direction   string           `json:"direction,omitempty"`
	Gates       []Gate           `json:"gates"`
	Readiness   Readiness        `json:"readiness"`
	Source      SideStatus       `json:"source"`
	Target      SideStatus       `json:"target"`
	Databases   []DatabaseStatus `json:"databases,omitempty"`
	Equal       int              `json:"databases_caught_up"` // k …
	Total       int              `json:"databases_total"`     // … of n
	LagSeconds  *float64         `json:"lag_seconds,omitempty"`

	Lease        Lease      `json:"lease"`
	PipelineSeen time.Time  `json:"alert_pipeline_last_seen,omitzero"`
	Arming       *Arming    `json:"arming,omitempty"`
	Approvals    []Approval `json:"approvals,omitempty"`
	Held         *Hold      `json:"held,omitempty"`
	Checklist    []string   `json:"checklist_open,omitempty"` // items not declared done

	Run              string    `json:"run,omitempty"` // the unfinished run
	RunKind          Kind      `json:"run_kind,omitempty"`
	RunStarted       time.Time `json:"run_started,omitzero"`
	GoingBack        bool      `json:"going_back,omitempty"`
	PlanHash         string    `json:"plan_hash,omitempty"`
	WriteUnavailable float64   `json:"write_unavailable_seconds"` // of the present or last run, so far
	Predicted        *float64  `json:"predicted_write_unavailable_seconds,omitempty"`

	LastRun        string  `json:"last_run,omitempty"`
	LastOutcome    Outcome `json:"last_outcome,omitempty"`
	Unacknowledged bool    `json:"unacknowledged,omitempty"` // the last run needs somebody's acknowledgement
	Pages          []Page  `json:"pages,omitempty"`
}

// Event is one change, with the full state after it, so that a reader that
// missed some has lost nothing.
type Event struct {
	Sequence uint64    `json:"sequence"` // per Controller, from 1, no gaps at the sender
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"` // phase | verdict | statement | hook | page | arm | disarm | approve | hold | release | lease | run | reading
	Text     string    `json:"text"`
	Status   Status    `json:"status"`
}

// CheckResult is what Check found.
type CheckResult struct {
	DAG       string    `json:"dag"`
	At        time.Time `json:"at"`
	Readiness Readiness `json:"readiness"`
	Gates     []Gate    `json:"gates"`
	PlanHash  string    `json:"plan_hash,omitempty"`
	PlanError string    `json:"plan_error,omitempty"`
	Status    Status    `json:"status"`
}

// PlanResult is the plan as it would be executed now.
type PlanResult struct {
	DAG        string      `json:"dag"`
	Group      string      `json:"group"`
	At         time.Time   `json:"at"`
	Hash       string      `json:"hash"`
	Drill      bool        `json:"drill"`
	Mode       Mode        `json:"mode"`
	Steps      []Step      `json:"steps"`
	Statements []Statement `json:"statements"`
	Databases  []string    `json:"databases"`
	Notes      []string    `json:"notes,omitempty"`
	// Unconfirmed is what the steps rest on that no public documentation states.
	Unconfirmed []cutover.Unconfirmed `json:"unconfirmed"`
	// Document is the whole plan, as it was hashed.
	Document any `json:"document"`
}

// Step is one line of the order of a cutover.
type Step struct {
	Number    int         `json:"number"`
	Text      string      `json:"text"`
	Statement []Statement `json:"statements,omitempty"`
}

// RunSummary is one line of the list of runs.
type RunSummary struct {
	ID               string    `json:"id"`
	DAG              string    `json:"dag"`
	Kind             Kind      `json:"kind"`
	Mode             Mode      `json:"mode"`
	Started          time.Time `json:"started"`
	Ended            time.Time `json:"ended,omitzero"`
	Phase            string    `json:"phase"`
	Outcome          Outcome   `json:"outcome,omitempty"`
	PlanHash         string    `json:"plan_hash"`
	ArmedBy          string    `json:"armed_by,omitempty"`
	WriteUnavailable float64   `json:"write_unavailable_seconds"`
}

// AlertResult is what became of one received alert; the label of
// mssql_dag_cutover_alerts_received_total.
type AlertResult string

// Alert results. Accepted, Renewed, Resolved and Heartbeat count; the rest
// were valid, refused and changed nothing.
const (
	AlertAccepted     AlertResult = "accepted"      // a lease began
	AlertRenewed      AlertResult = "renewed"       // a lease went on
	AlertResolved     AlertResult = "resolved"      // a lease was closed
	AlertHeartbeat    AlertResult = "heartbeat"     // the pipeline is alive (DAGWatchdog)
	AlertIgnored      AlertResult = "ignored"       // another alertname in the group, or alert_match does not match
	AlertNotArmed     AlertResult = "not_armed"     // lease renewed, but nothing is armed
	AlertUnknownDAG   AlertResult = "unknown_dag"   // no such DAG in the config
	AlertSeveralDAGs  AlertResult = "several_dags"  // one notification spoke of more than one DAG
	AlertTruncated    AlertResult = "truncated"     // truncatedAlerts > 0
	AlertVersion      AlertResult = "version"       // payload version is not 4
	AlertMalformed    AlertResult = "malformed"     // not an Alertmanager payload
	AlertUnauthorized AlertResult = "unauthorized"  // no identity or no role
	AlertShuttingDown AlertResult = "shutting_down" // refused with 503
)

// AlertResults lists every AlertResult, for pre-creating series.
var AlertResults = []AlertResult{
	AlertAccepted, AlertRenewed, AlertResolved, AlertHeartbeat, AlertIgnored, AlertNotArmed, AlertUnknownDAG,
	AlertSeveralDAGs, AlertTruncated, AlertVersion, AlertMalformed, AlertUnauthorized, AlertShuttingDown,
}

// Alert is one alert of a notification that matched alertname and
// alert_match of this DAG. StartsAt and EndsAt are shown, never compared with
// a clock.
type Alert struct {
	Name     string            `json:"name"`
	Firing   bool              `json:"firing"`
	Labels   map[string]string `json:"labels,omitempty"`
	StartsAt time.Time         `json:"starts_at,omitzero"`
	EndsAt   time.Time         `json:"ends_at,omitzero"`
	Receiver string            `json:"receiver,omitempty"` // the identity that posted it
}

// Refused is the error of every request that was understood and not granted:
// nothing was changed. Why says what stands in the way, Remedy what to do.
type Refused struct {
	Op     string // arm, approve, run, …
	DAG    string
	Why    string
	Remedy string
	// Wait reports that waiting can help (exit code 3); otherwise 4.
	Wait bool
	// NotFound reports that the thing asked for does not exist (HTTP 404).
	NotFound bool
	// Forbidden reports that this person may not (HTTP 403).
	Forbidden bool
}

// Error is one sentence, and the remedy as a second.
func (e *Refused) Error() string {
	s := fmt.Sprintf("%s %s: %s", e.Op, e.DAG, e.Why)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// AsRefused is errors.As for Refused.
func AsRefused(err error) (*Refused, bool) {
	return errors.AsType[*Refused](err)
}

// API is what a Controller offers; internal/webhook depends on this interface
// so that its tests need no servers. All methods may be called from any
// goroutine.
type API interface {
	Name() string
	Mode() Mode

	// Status is a snapshot; it never waits for SQL or disk.
	Status() Status
	// Subscribe delivers events until cancel is called or the Controller
	// stops, which closes the channel. The first event is the present state.
	// A slow reader loses events, never the newest one.
	Subscribe() (events <-chan Event, cancel func())

	// LeaseSeen takes one matching alert; it never waits for SQL or disk.
	LeaseSeen(a Alert, now time.Time) AlertResult
	// HeartbeatSeen records that the alert pipeline is alive.
	HeartbeatSeen(now time.Time)
	// CountAlert counts an alert that the webhook refused before it got here.
	CountAlert(r AlertResult)

	// Check reads both sides itself, read-only, and evaluates every gate.
	Check(ctx context.Context) (CheckResult, error)
	// Plan reads both sides and builds the plan; drill: that of a drill.
	Plan(ctx context.Context, drill bool) (PlanResult, error)

	Arm(ctx context.Context, r ArmRequest) (Arming, error)
	Disarm(ctx context.Context, r Request) error
	Approve(ctx context.Context, r ApproveRequest) (Approval, error)
	Hold(ctx context.Context, r Request) error
	Release(ctx context.Context, r Request) error
	// Run starts the armed run without an alert; every other gate holds.
	Run(ctx context.Context, r Request) (run string, err error)
	// Drill is Run for a drill.
	Drill(ctx context.Context, r Request) (run string, err error)
	// Rollback asks the present run to go back; refused once it cannot.
	Rollback(ctx context.Context, r Request) error
	// Acknowledge clears the cooldown after a run and closes its pages.
	Acknowledge(ctx context.Context, r Request) error
	// DisarmAll is what the webhook calls when authentication went away.
	// It never fails to take effect in memory, even if the journal does.
	DisarmAll(reason string)

	// Runs lists the runs of this DAG, newest first.
	Runs(ctx context.Context) ([]RunSummary, error)
	// Report of one run; "" or "latest": the newest.
	Report(ctx context.Context, run string) (*Report, error)
}
