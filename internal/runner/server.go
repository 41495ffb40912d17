package runner

import (
	"context"
	"errors"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// Server is one side as the engine needs it. Its errors are *sqlserver.Error;
// any other error counts as "outcome unknown".
type Server interface {
	// Read gives a reading that began after the call, or says why not.
	Read(ctx context.Context, want Want) (*hadr.Reading, error)
	// Lock takes the side's lock without waiting for another holder.
	Lock(ctx context.Context, resource string) (Lock, error)
	// ClearRequired sends RSSTC=0 in a session of its own; it may be repeated.
	// group is the distributed group's id as the plan has it: nothing is sent to
	// another group of the same name.
	ClearRequired(ctx context.Context, group string) error
	Close() error
}

// Want is what a reading has to contain.
type Want struct {
	cutover.Want
	Log bool // log sizes: too dear for the seconds in which nobody can write
}

// Lock is the session that holds a side's lock; see sqlserver.Lock, whose
// promises these are.
type Lock interface {
	Identity() hadr.Identity
	Alive() bool
	Held(ctx context.Context) (bool, error)
	// Do sends one statement behind its guard, at most once. nil: accepted,
	// and lands later.
	Do(ctx context.Context, st cutover.Statement, g Guard) error
	WriteRun(ctx context.Context, run string) error
	ReadRun(ctx context.Context) (string, error)
	ClearRun(ctx context.Context, run string) error
	ProbeMarker(ctx context.Context) error
	Release() error
}

// Guard is the cutover's guard, and the names that the plan's statements were
// rendered with.
type Guard struct {
	cutover.Guard
	Group, SourceAG, TargetAG string
}

// answer classes an error of Do, ClearRequired or a lock for cutover.Record.
// Only what is surely not done may become anything but unknown: an unknown
// answer is read back from the server, a refused one is forgotten.
func answer(err error) cutover.Answer {
	if err == nil {
		return cutover.AnswerAccepted
	}
	e, ok := errors.AsType[*sqlserver.Error](err)
	if !ok || !e.SurelyNothingDone() {
		return cutover.AnswerUnknown
	}
	switch e.Class {
	case sqlserver.ClassGuardRefused:
		return cutover.AnswerGuardRefused
	case sqlserver.ClassNotSent, sqlserver.ClassConnect, sqlserver.ClassLockLost, sqlserver.ClassRetry:
		return cutover.AnswerBusy
	}
	return cutover.AnswerRefused
}

// result is answer with what the report wants to know about it.
func result(d cutover.Decision, err error, at time.Time) cutover.Result {
	r := cutover.Result{Action: d.Action, Side: d.Side, Statement: d.Statement, Hook: d.Hook, Answer: answer(err), ReturnedAt: at}
	if err != nil {
		r.Text = err.Error()
	}
	if e, ok := errors.AsType[*sqlserver.Error](err); ok {
		r.Number, r.Class = int(e.Number), string(e.Class)
	}
	return r
}
