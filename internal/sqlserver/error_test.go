package sqlserver

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

func server(numbers ...int32) mssql.Error {
	var e mssql.Error
	for _, n := range numbers {
		one := mssql.Error{Number: n, Class: 16, Message: fmt.Sprintf("text of %d", n)}
		all := append(e.All, one)
		e = one
		e.All = all
	}
	return e
}

func TestClassOfAct(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for _, c := range []struct {
		name   string
		err    error
		class  Class
		number int32
		sure   bool
	}{
		{"already primary", server(41122), ClassAlreadyDone, 41122, true},
		{"not primary", server(41140), ClassWrongSide, 41140, true},
		{"only force is supported", server(19504), ClassWrongSide, 19504, true},
		{"cannot become primary", server(41142), ClassNotReady, 41142, true},
		{"busy", server(41138), ClassRetry, 41138, false},
		{"timeout on bringing online", server(41131), ClassUnknown, 41131, false},
		{"config written, apply failed", server(41184), ClassUnknown, 41184, false},
		{"latched", server(41104), ClassLatched, 41104, false},
		{"newer version", server(41191), ClassVersion, 41191, true},
		{"no such DAG", server(19510), ClassMissing, 19510, true},
		{"no right", server(15151), ClassPermission, 15151, true},
		{"does not compile", server(102), ClassQuery, 102, true},
		{"guard", server(throwMarker), ClassGuardRefused, throwMarker, true},
		{"a guard's own SELECT failed, then the count", server(297, throwCount), ClassGuardRefused, throwCount, true},
		{"a number of somebody else's trigger", server(51999), ClassUnknown, 51999, false},
		{"our number, but something ran after it", server(throwMarker, 41131), ClassUnknown, 41131, false},
		{"a number that nobody has classified", server(64321), ClassUnknown, 64321, false},
		{"refused, and something of unknown outcome beside it", server(41140, 41160), ClassUnknown, 41160, false},
		{"connection reset", reset, ClassUnknown, 0, false},
		{"closed in the middle", io.ErrUnexpectedEOF, ClassUnknown, 0, false},
		{"TLS record broken in the middle", errors.New("tls: bad record MAC"), ClassUnknown, 0, false},
		{"stream", mssql.StreamError{InnerError: io.EOF}, ClassUnknown, 0, false},
		{"fatal without a reason", mssql.ServerError{}, ClassUnknown, 0, false},
		{"deadline", context.DeadlineExceeded, ClassUnknown, 0, false},
		{"cancelled", context.Canceled, ClassUnknown, 0, false},
		{"bad connection", errors.New("driver: bad connection"), ClassUnknown, 0, false},
		{"not sent", &notSent{context.Canceled}, ClassNotSent, 0, true},
		{"busy session", &notSent{errBusy}, ClassNotSent, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := (&Error{Op: "demote"}).aboutAct(c.err, nil)
			if e.Class != c.class || e.Number != c.number || e.SurelyNothingDone() != c.sure {
				t.Errorf("class %s number %d surely nothing done %v, want %s %d %v", e.Class, e.Number, e.SurelyNothingDone(), c.class, c.number, c.sure)
			}
		})
	}
}

func TestReasonOfRead(t *testing.T) {
	refused := fmt.Errorf("unable to open tcp connection with host 'h:1': %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	for _, c := range []struct {
		name   string
		err    error
		reason Reason
	}{
		{"busy", &notSent{errBusy}, ReasonBusy},
		{"queued too long", &notSent{errQueued}, ReasonBusy},
		{"deadline", context.DeadlineExceeded, ReasonTimeout},
		{"login in time", &connectError{&loginTimeout{context.DeadlineExceeded}}, ReasonTimeout},
		{"refused", refused, ReasonRefused},
		{"reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, ReasonRefused},
		{"half an answer", io.ErrUnexpectedEOF, ReasonRefused},
		{"wrong password", server(18456), ReasonLogin},
		{"login error without a number", errors.New("login error: EOF"), ReasonLogin},
		{"certificate", errors.New("TLS Handshake failed: " + x509.UnknownAuthorityError{}.Error()), ReasonTLS},
		{"server does not encrypt", errors.New("server does not support encryption"), ReasonTLS},
		{"no VIEW SERVER STATE", server(300, 297), ReasonPermission},
		{"column", server(207), ReasonQuery},
	} {
		t.Run(c.name, func(t *testing.T) {
			if e := (&Error{Op: "read"}).about(c.err, nil); e.Reason != c.reason {
				t.Errorf("reason %s (%v), want %s", e.Reason, e, c.reason)
			}
		})
	}
	for _, r := range Reasons() {
		if r == "" {
			t.Error("an empty reason is listed")
		}
	}
}

func TestErrorReadsAsOneSentence(t *testing.T) {
	e := &Error{Op: "read", DAG: "erp-prod", Side: hadr.Source, Instance: "sql1:1433", Number: 18456, Class: ClassLogin, Reason: ReasonLogin,
		Err: errors.New("Login failed for user 'sa'."), Remedy: remedies[ClassLogin]}
	want := "erp-prod: source (sql1:1433): read: Login failed for user 'sa'. (error 18456); check user, password and that the login may connect"
	if got := e.Error(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestContextErrorsAreFound(t *testing.T) {
	for _, err := range []error{context.DeadlineExceeded, context.Canceled} {
		e := (&Error{Op: "read"}).about(fmt.Errorf("read tcp: %w", err), nil)
		if !errors.Is(e, err) {
			t.Errorf("%v is not found in %v", err, e)
		}
	}
}
