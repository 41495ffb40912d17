// Package journal keeps what must survive a crash of cutover_webhook: who
// armed, approved and held what; for every run the present intent, and an
// append-only log of what was decided, sent and answered.
//
// # The recovery obligation
//
// The servers are the journal of what happened; this one holds what was meant.
// Three promises make the two fit together, and every implementation keeps
// them:
//
//  1. A write that returned nil is on disk: it survives kill -9 and a power
//     failure. A write that returned an error, or that did not return, is on
//     disk as a whole or not at all, and the caller does not know which.
//  2. One call is one transaction: the intent and the events given with it
//     appear together, and so do an arming's end and the run that it started.
//  3. Reads see the newest finished write.
//
// In return the caller owes this. The intent that names a statement is written
// before the statement is sent, and the act follows only if the write returned
// nil. Whoever opens the journal after a crash and finds a statement without a
// result must take it for pending: it may never have been sent, it may have
// been carried out, and it may still land at any later moment. It is read back
// from both servers, never repeated blindly. After a failed write the caller
// acts no further on what it meant to write.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
)

// Schema is the version of the layout that this build writes and reads. A
// journal with a higher number was written by a newer build and is refused:
// an old build that ignores a field it does not know could act twice.
const Schema = 1

// Errors. They are wrapped; ask with errors.Is.
var (
	// ErrNewer says that a newer build wrote the journal.
	ErrNewer = errors.New("the journal was written by a newer version of cutover_webhook")
	// ErrInUse says that another process has the journal open.
	ErrInUse = errors.New("another process has the journal open")
	// ErrUnfinished says that the DAG has an unfinished run.
	ErrUnfinished = errors.New("the DAG has an unfinished run")
	// ErrSpent says that the arming has started its one run already, or that
	// the state was changed by somebody else since it was read.
	ErrSpent = errors.New("the arming was spent or changed")
	// ErrNoRun says that there is no such run.
	ErrNoRun = errors.New("no such run")
	// ErrClosed says that the journal was closed.
	ErrClosed = errors.New("the journal is closed")
)

// Journal is what must survive a crash. All methods are safe for concurrent
// use and block until the disk has answered; none of them takes a context,
// because a write that is given up halfway is a write of unknown outcome.
type Journal interface {
	// State of one DAG; the zero State for a DAG that was never seen.
	State(dag string) (State, error)
	// Update changes the State of one DAG in one transaction: f sees the
	// newest State and changes it in place; its error stops the whole call and
	// is returned as it is. The events go to the DAG's own log.
	Update(dag string, f func(*State) error, events ...Event) (State, error)

	// Begin writes a new run, its first intent, and the DAG's State with the
	// arming spent, all in one transaction. It fails with ErrUnfinished while
	// the DAG has an unfinished run, and with ErrSpent unless the State holds
	// an unspent arming of run.Generation: one arming starts at most one run,
	// whatever is repeated, retried or restarted.
	Begin(run Run, intent cutover.Intent, events ...Event) error
	// Put writes the next intent of a run and appends events to its log.
	Put(run string, intent cutover.Intent, events ...Event) error
	// Append adds events to a run's log, finished or not.
	Append(run string, events ...Event) error
	// End writes the last intent and marks the run as finished: it is no
	// longer what Unfinished finds. f changes the DAG's State in the same
	// transaction (pages to acknowledge); nil changes nothing. Ending an ended
	// run again only writes intent and events.
	End(run string, ended time.Time, outcome string, intent cutover.Intent, f func(*State), events ...Event) error

	// Unfinished is the DAG's run that began and has not ended; nil if none.
	Unfinished(dag string) (*Record, error)
	// AllUnfinished is the heads of every DAG's unfinished run, by the DAG's name,
	// also of DAGs that nobody asks for any more. With an error it is what could
	// be read.
	AllUnfinished() ([]Run, error)
	// Runs of one DAG, newest first, without intents and events.
	Runs(dag string) ([]Run, error)
	// Load one run with intent and events; ErrNoRun.
	Load(run string) (*Record, error)
	// Log is the DAG's own log outside of runs, oldest first.
	Log(dag string) ([]Event, error)

	// Close closes it. Calls after that return ErrClosed.
	Close() error
}

// State of one DAG outside of runs.
type State struct {
	// Mode is the mode in which Arming, Approvals and Checklist were said: what was
	// said of a dry run starts no real one. "": an older build wrote it.
	Mode       string     `json:"mode,omitempty"`
	Generation uint64     `json:"generation"` // of the newest arming ever made
	Arming     *Arming    `json:"arming,omitempty"`
	Approvals  []Approval `json:"approvals,omitempty"`
	Hold       *Hold      `json:"hold,omitempty"`
	Checklist  []Done     `json:"checklist,omitempty"`
	// Rollback asks the present run to go back; gone when the run ends.
	Rollback *Hold `json:"rollback,omitempty"`
	// TakenOver says that a person brings the present run to its end by hand.
	TakenOver *Hold `json:"taken_over,omitempty"`
	// Unacknowledged is the run, or "" none, after which somebody has to look
	// before the next one may start.
	Unacknowledged string `json:"unacknowledged,omitempty"`
	Pages          []Page `json:"pages,omitempty"` // open pages
}

// Arming is the permission to start one run.
type Arming struct {
	By         string    `json:"by"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at"`
	Until      time.Time `json:"until"`
	Generation uint64    `json:"generation"`
	PlanHash   string    `json:"plan_hash"`
	Drill      bool      `json:"drill,omitempty"`
	Spent      string    `json:"spent,omitempty"` // the run that it started
}

// Approval of a plan by its hash.
type Approval struct {
	By       string    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
	PlanHash string    `json:"plan_hash"`
}

// Hold stands until released.
type Hold struct {
	// Run is the run that a rollback or a takeover is about; "" of a hold, and of
	// what an older build wrote.
	Run    string    `json:"run,omitempty"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Done is a checklist item that somebody declared done.
type Done struct {
	Item string    `json:"item"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// Page asks a human to act; open until acknowledged.
type Page struct {
	ID         string      `json:"id"`
	Run        string      `json:"run,omitempty"`
	At         time.Time   `json:"at"`
	Text       string      `json:"text"`
	Conditions []string    `json:"conditions,omitempty"`
	Statements []Statement `json:"statements,omitempty"`
}

// Statement as it would be typed.
type Statement struct {
	Kind string `json:"kind,omitempty"`
	Side string `json:"side"`
	SQL  string `json:"sql"`
}

// Run is the head of one run.
type Run struct {
	ID         string          `json:"id"`
	DAG        string          `json:"dag"`
	Kind       string          `json:"kind"` // cutover | drill
	Mode       string          `json:"mode"` // dry_run | execute
	Generation uint64          `json:"generation"`
	PlanHash   string          `json:"plan_hash"`
	Plan       json.RawMessage `json:"plan"` // the whole plan as it was hashed
	Arming     *Arming         `json:"arming,omitempty"`
	Approvals  []Approval      `json:"approvals,omitempty"`
	StartedBy  string          `json:"started_by"`        // alert NAME, or run by WHO
	Version    string          `json:"version,omitempty"` // of the cutover_webhook that began it
	Started    time.Time       `json:"started"`
	Ended      time.Time       `json:"ended,omitzero"`
	Outcome    string          `json:"outcome,omitempty"`
}

// Event is one line of a log.
type Event struct {
	At   time.Time       `json:"at"`
	Kind string          `json:"kind"`
	Text string          `json:"text"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Record is a run with everything about it.
type Record struct {
	Run    Run
	Intent cutover.Intent
	Events []Event
}

// NewEvent makes an Event; data that does not marshal is left out and said so
// in the text, since an event must never stop a run.
func NewEvent(at time.Time, kind, text string, data any) Event {
	e := Event{At: at.UTC(), Kind: kind, Text: text}
	if data == nil {
		return e
	}
	b, err := json.Marshal(data)
	if err != nil {
		e.Text += fmt.Sprintf(" (details not written: %v)", err)
		return e
	}
	e.Data = b
	return e
}

// begin is the rule of Begin, for every implementation.
func begin(s *State, run Run, unfinished string) error {
	switch {
	case unfinished != "":
		return fmt.Errorf("begin run %s of %s: %w: %s", run.ID, run.DAG, ErrUnfinished, unfinished)
	case s.Arming == nil || s.Arming.Spent != "" || s.Arming.Generation != run.Generation:
		return fmt.Errorf("begin run %s of %s with arming %d: %w", run.ID, run.DAG, run.Generation, ErrSpent)
	}
	a := *s.Arming
	a.Spent = run.ID
	s.Arming = &a
	return nil
}
