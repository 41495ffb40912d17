package sqlserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	mssql "github.com/microsoft/go-mssqldb"
)

// classes maps SQL Server's error numbers to what they mean for us
// (domain.md §4). A number that is not here is ClassQuery for a question and,
// after a statement that changes something, ClassUnknown.
var classes = func() map[int32]Class {
	m := map[int32]Class{}
	for class, numbers := range map[Class][]int32{
		ClassAlreadyDone: {41122},
		ClassWrongSide:   {41140, 35251, 35252, 41121, 41190, 41134, 19504, 19512},
		ClassNotReady:    {41142, 35253, 35254, 41143, 41144},
		ClassRetry:       {41138, 41109, 41192, 41151, 41113, 41149},
		ClassUnknown:     {41131, 41160, 41163, 41164, 41165, 41166, 41183, 41184, 41188, 41189},
		ClassLatched:     {41104},
		ClassVersion:     {41071, 41097, 41191, 946},
		ClassLink:        {35250, 35256, 35266, 35267, 35264, 35265},
		ClassMissing:     {41100, 41041, 41044, 19510, 19501, 19508},
		ClassAccess:      {976, 978, 979, 982, 983, 35299, 1468, 5069, 5070},
		ClassPermission:  {229, 297, 300, 15151, 15247},
		ClassLogBlocks:   {9012, 9013},
		ClassQuorum:      {988},
		ClassLogin:       {18456, 18452, 18450, 18470, 18486, 18487, 18488, 4060, 4064, 916},
		// Refused before it ran: the text does not compile on this version.
		ClassQuery: {102, 156, 195, 207, 208, 2812, 4121},
	} {
		for _, n := range numbers {
			m[n] = class
		}
	}
	return m
}()

// The numbers that our own batches throw.
const (
	throwIdentity  int32 = 51001
	throwLock      int32 = 51002
	throwMarker    int32 = 51003
	throwLocalRole int32 = 51004
	throwMember    int32 = 51005
	throwDAGRole   int32 = 51006
	throwDatabases int32 = 51007
	throwRSSTC     int32 = 51008
	throwProof     int32 = 51009
	throwCount     int32 = 51010 // not every guard was reached: an error of its own ended one
	throwFirst           = throwIdentity
	throwLast            = throwCount
)

// remedies says what to do, where the server's own text does not.
var remedies = map[Class]string{
	ClassPermission: "grant the login what deploy/ lists for this version (sysadmin to fail over)",
	ClassLogin:      "check user, password and that the login may connect",
	ClassUnknown:    "read both sides before anything else: it may take effect later",
	ClassLatched:    "a person has to look at this instance",
	ClassWrongSide:  "read both sides again",
	ClassMissing:    "check the names in the config against sys.availability_groups",
	ClassLockLost:   "lock again and read both sides again",
}

// reasonRemedies does the same for what never reached a server's error number.
var reasonRemedies = map[Reason]string{
	ReasonTLS:     "check encrypt=, certificate= and hostnameincertificate= in the DSN",
	ReasonRefused: "check host, port, firewall and that the instance runs",
	ReasonBusy:    "look for sessions waiting on HADR_ waits on this instance",
	ReasonHadrOff: "enable Always On availability groups on the instance",
}

// errorsOf is every error of an answer, first to last.
func errorsOf(err error) []mssql.Error {
	var se mssql.ServerError
	var me mssql.Error
	switch {
	case errors.As(err, &se) && errors.As(se.Unwrap(), &me):
	case errors.As(err, &me):
	default:
		return nil
	}
	if len(me.All) > 0 {
		return me.All
	}
	return []mssql.Error{me}
}

// about fills an Error's class, reason, number, remedy and redacted cause from
// what the driver or the network said about a question: something whose only
// effect is its answer.
func (e *Error) about(err error, t *target) *Error {
	text := func(s string) string {
		if t != nil {
			return t.redact(s)
		}
		return s
	}
	var ns *notSent
	var lt *loginTimeout
	if all := errorsOf(err); len(all) > 0 {
		e.Number, e.Class = all[0].Number, ClassQuery
		for _, one := range all {
			if c, ok := classes[one.Number]; ok {
				e.Number, e.Class = one.Number, c
				break
			}
		}
		switch e.Class {
		case ClassLogin:
			e.Reason = ReasonLogin
		case ClassPermission:
			e.Reason = ReasonPermission
		default:
			e.Reason = ReasonQuery
		}
		parts := make([]string, 0, len(all))
		for _, one := range all {
			parts = append(parts, strings.TrimSpace(one.Message))
		}
		e.Err = errors.New(text(strings.Join(parts, " / ")))
		e.Remedy = remedies[e.Class]
		return e
	}
	switch {
	case errors.Is(err, errBusy), errors.Is(err, errQueued):
		e.Class, e.Reason = ClassNotSent, ReasonBusy
	case errors.As(err, &ns):
		e.Class, e.Reason = ClassNotSent, ReasonTimeout
	case errors.As(err, &lt):
		e.Class, e.Reason = ClassConnect, ReasonTimeout
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Class, e.Reason = ClassUnknown, ReasonTimeout
	case isTLS(err):
		e.Class, e.Reason = ClassConnect, ReasonTLS
	case isNetwork(err):
		e.Class, e.Reason = ClassUnknown, ReasonRefused
		if isTimeout(err) {
			e.Reason = ReasonTimeout
		}
	default:
		e.Class, e.Reason = ClassUnknown, ReasonQuery
		if strings.Contains(err.Error(), "login error") {
			e.Class, e.Reason = ClassLogin, ReasonLogin
		}
	}
	e.Err = plain(text(cause(err)))
	e.Remedy = reasonRemedies[e.Reason]
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		e.Err = &redacted{text(cause(err)), err}
	}
	return e
}

// cause is a text for an error that did not come from the server.
func cause(err error) string {
	switch {
	case errors.Is(err, errBusy), errors.Is(err, errQueued):
		var ns *notSent
		if errors.As(err, &ns) {
			return ns.err.Error()
		}
	case errors.Is(err, context.DeadlineExceeded):
		var lt *loginTimeout
		if errors.As(err, &lt) {
			return lt.Error()
		}
		return "no complete answer in time"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return err.Error()
}

// redacted keeps the identity of a context's error behind a text of ours.
type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string { return r.text }

// Is lets errors.Is find the context errors and nothing else: the cause itself
// may hold what must not be printed.
func (r *redacted) Is(target error) bool {
	return (target == context.DeadlineExceeded || target == context.Canceled) && errors.Is(r.err, target)
}

func plain(text string) error { return errors.New(text) }

func isTLS(err error) bool {
	var (
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		messages = []string{"TLS Handshake failed", "tls: ", "x509: ", "server does not support encryption", "failed to verify certificate"}
	)
	if errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify) ||
		errors.As(err, &record) || errors.As(err, &alert) {
		return true
	}
	// The driver wraps the handshake's error by %v.
	s := err.Error()
	for _, m := range messages {
		if strings.Contains(s, m) {
			return true
		}
	}
	return false
}

func isNetwork(err error) bool {
	var ne net.Error
	var stream mssql.StreamError
	var se mssql.ServerError
	return errors.As(err, &ne) || errors.As(err, &stream) || errors.As(err, &se) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		strings.Contains(err.Error(), "unable to open tcp connection")
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// aboutConnect is about for a connect: whatever went wrong, nothing was sent.
func (e *Error) aboutConnect(err error, t *target) *Error {
	_ = e.about(err, t) // fills e itself
	switch e.Class {
	case ClassUnknown, ClassNotSent, ClassQuery:
		e.Class = ClassConnect
	}
	return e
}

// aboutAct is about for a statement that changes something: what is not
// surely refused is pending.
func (e *Error) aboutAct(err error, t *target) *Error {
	_ = e.about(err, t) // fills e itself
	all := errorsOf(err)
	if len(all) == 0 {
		// Whatever ended the connection, and however it looks: once something
		// was sent, its effect is open.
		if e.Class != ClassNotSent {
			e.Class, e.Remedy = ClassUnknown, remedies[ClassUnknown]
		}
		return e
	}
	// A guard of ours is the last error of its batch: after a THROW nothing
	// runs.
	if n := all[len(all)-1].Number; n >= throwFirst && n <= throwLast {
		e.Number, e.Class, e.Reason = n, ClassGuardRefused, ReasonQuery
		e.Remedy = "nothing was done"
		return e
	}
	// One error of unknown outcome, or one that nobody has classified, makes
	// the whole answer pending.
	var se mssql.ServerError
	pending := errors.As(err, &se)
	for _, one := range all {
		if c, ok := classes[one.Number]; !ok || c == ClassUnknown {
			pending = true
			e.Number = one.Number
		}
	}
	if pending {
		e.Class, e.Remedy = ClassUnknown, remedies[ClassUnknown]
	}
	return e
}

// errThrown makes the error of a guard that failed on our side of the wire.
func errThrown(format string, args ...any) *Error {
	return &Error{Class: ClassGuardRefused, Reason: ReasonQuery, Remedy: "nothing was done", Err: fmt.Errorf(format, args...)}
}
