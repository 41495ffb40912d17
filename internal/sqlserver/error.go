package sqlserver

import (
	"fmt"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Class says what an error means for the caller's next step (domain.md §4).
type Class string

// Classes.
const (
	ClassNone         Class = ""
	ClassAlreadyDone  Class = "already_done"    // 41122: re-read the role; success if it is the wanted one
	ClassWrongSide    Class = "wrong_side"      // the instance is not in the role or state for the command: discover again
	ClassNotReady     Class = "not_ready"       // databases are not in a state for it: waiting may help
	ClassRetry        Class = "retry"           // busy or out of resources: retry, bounded, after re-reading the state
	ClassUnknown      Class = "unknown_outcome" // neither done nor failed until its effect is read
	ClassLatched      Class = "latched"         // 41104: a human has to look
	ClassVersion      Class = "version"         // versions of the replicas do not allow it
	ClassLink         Class = "link"            // the connection between the sides
	ClassMissing      Class = "missing"         // no such availability group, replica or database
	ClassAccess       Class = "access"          // a database is not accessible in its role
	ClassPermission   Class = "permission"      // the login lacks a right: never retried
	ClassLogBlocks    Class = "log_blocks"      // 9012, 9013: different sector sizes
	ClassQuorum       Class = "quorum"          // 988: no quorum to commit, is RSSTC unmet?
	ClassLogin        Class = "login"           // the login itself was refused
	ClassConnect      Class = "connect"         // no connection came about: surely nothing was sent
	ClassGuardRefused Class = "guard_refused"   // a guard of ours stopped the batch before the statement: surely nothing done
	ClassLockLost     Class = "lock_lost"       // the session that held the lock is gone, found before anything was sent
	ClassNotSent      Class = "not_sent"        // the context was over, or the session busy, before anything was sent
	ClassQuery        Class = "query"           // any other answer of the server
)

// Reason is a value of the metric mssql_dag_scrape_error: why a side could not
// be read.
type Reason string

// Reasons, in the order of design.md. ReasonNone is what a side that was read
// shows.
const (
	ReasonNone       Reason = "none"
	ReasonBusy       Reason = "busy"       // an earlier statement on this instance is past its deadline
	ReasonTimeout    Reason = "timeout"    // no complete answer inside the deadline
	ReasonRefused    Reason = "refused"    // no TCP connection, or it was reset
	ReasonLogin      Reason = "login"      // 18456, 4060, …
	ReasonTLS        Reason = "tls"        // the handshake or the certificate
	ReasonPermission Reason = "permission" // the login lacks a right
	ReasonNoPrimary  Reason = "no_primary" // no reachable instance is PRIMARY of the local AG
	ReasonNoDAG      Reason = "no_dag"     // the instance has no such distributed AG, or no such local AG
	ReasonHadrOff    Reason = "hadr_off"   // Always On is not enabled
	ReasonVersion    Reason = "version"    // older than 2016, or newer than this product knows
	ReasonIdentity   Reason = "identity"   // the instance changed while it answered, or is not the one expected
	ReasonDuplicate  Reason = "duplicate"  // more than one instance says PRIMARY; or two DAGs of the file are one group
	ReasonQuery      Reason = "query"      // any other answer of the server
)

// Reasons lists every value of Reason, for pre-created series.
func Reasons() []Reason {
	return []Reason{ReasonNone, ReasonBusy, ReasonTimeout, ReasonRefused, ReasonLogin, ReasonTLS, ReasonPermission,
		ReasonNoPrimary, ReasonNoDAG, ReasonHadrOff, ReasonVersion, ReasonIdentity, ReasonDuplicate, ReasonQuery}
}

// Error is every error of this package: what was being done, on which side and
// instance, what the server or the network said, and what to do about it. It
// never holds a password or a connection string.
type Error struct {
	Op       string // what was being done, e.g. "read", "lock", "demote"
	DAG      string // the config's name
	Side     hadr.Side
	Instance string // host, host\instance or host:port; "" if no instance was involved
	Database string // "" unless the error is about one
	Number   int32  // SQL Server's error number; 0 if it did not come from the server
	Class    Class
	Reason   Reason
	Remedy   string // what to do about it; "" if there is nothing better than the text itself
	Err      error  // redacted cause; may be nil
}

// Error is one sentence.
func (e *Error) Error() string {
	var b strings.Builder
	if e.DAG != "" {
		fmt.Fprintf(&b, "%s: ", e.DAG)
	}
	if e.Side != "" {
		fmt.Fprintf(&b, "%s", e.Side)
		if e.Instance != "" {
			fmt.Fprintf(&b, " (%s)", e.Instance)
		}
		b.WriteString(": ")
	} else if e.Instance != "" {
		fmt.Fprintf(&b, "%s: ", e.Instance)
	}
	b.WriteString(e.Op)
	if e.Database != "" {
		fmt.Fprintf(&b, ": database %s", e.Database)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	} else {
		fmt.Fprintf(&b, ": %s", e.Reason)
	}
	if e.Number != 0 {
		fmt.Fprintf(&b, " (error %d)", e.Number)
	}
	if e.Remedy != "" {
		fmt.Fprintf(&b, "; %s", e.Remedy)
	}
	return b.String()
}

// Unwrap is the redacted cause.
func (e *Error) Unwrap() error { return e.Err }

// SurelyNothingDone reports that the statement which this error answers had no
// effect and never will have one. Everything else is pending until its effect
// is read.
func (e *Error) SurelyNothingDone() bool {
	switch e.Class {
	case ClassGuardRefused, ClassNotSent, ClassLockLost, ClassConnect, ClassLogin, ClassPermission, ClassMissing, ClassWrongSide, ClassAlreadyDone, ClassNotReady, ClassVersion, ClassQuery:
		return true
	}
	return false
}
