package tds

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"
)

// Handler decides about logins. It is shared by every connection of a server.
type Handler interface {
	// Login checks l. It returns the session that will answer the requests of
	// this connection, or the error that the client shall see (18456 for a wrong
	// password). It may write to l.Database and l.Language what the session
	// really starts with; the login response announces those.
	// ctx ends after Config.LoginTimeout and with the server; the peer's death is
	// noticed only by the login's answer.
	Login(ctx context.Context, l *Login, c ConnInfo) (Session, *Error)
}

// Session answers the requests of one connection, one at a time.
//
// The context of a request is cancelled by ATTENTION, by the peer's death, by
// [ConnInfo.Kill] and by the server's end; [context.Cause] says which
// ([ErrAttention], [ErrPeerGone], [ErrKilled], [ErrServerClosed]). A method that
// waits must watch it. What is written after the cancellation is discarded.
//
// A method that returns an [*Error] has it sent as the last ERROR token of its
// answer. Class 20 and above ends the connection, as on a real server. Any other
// error is sent as error 50000. A panic ends this connection only.
// The method need not close its answer: the writer adds the DONE that is due.
type Session interface {
	// Batch runs a SQL batch.
	Batch(ctx context.Context, w *Response, sql string) error
	// RPC runs one or more procedure calls that came in one message. Each call
	// should end in [Response.DoneProc].
	RPC(ctx context.Context, w *Response, calls []Call) error
	// Transaction runs a transaction manager request.
	Transaction(ctx context.Context, w *Response, t TM) error
	// Reset brings the session back to the state after login, before the request
	// that carries the reset runs. keepTran keeps an open transaction.
	Reset(keepTran bool)
	// Close ends the session; it is called exactly once, after the last request.
	Close()
}

// ConnInfo describes a connection and is the handle by which others act on it.
// It may be copied and used from any goroutine, also after the connection ended.
type ConnInfo struct {
	ID         uint64 // unique within its server
	SPID       int    // session id as the client sees it, from 51 on
	RemoteAddr string
	LocalAddr  string
	Encrypted  bool // the whole session is encrypted, not only its login
	Strict     bool // TDS 8.0

	conn *conn
}

// Kill ends the connection from outside. A request under way is cancelled and
// its answer closed with err; the connection is then closed. An idle connection
// is closed without a word, since an ERROR that nobody asked for would be taken
// for the answer to the next request. With a nil err nothing is sent at all.
// Kill does not wait.
func (c ConnInfo) Kill(err *Error) {
	if c.conn != nil {
		c.conn.kill(err)
	}
}

// SetLatency sets the round-trip time of this connection, replacing the
// server's: half passes before a request is seen, half before its answer is sent.
func (c ConnInfo) SetLatency(d time.Duration) {
	if c.conn != nil {
		c.conn.latency.Store(int64(d))
	}
}

// Freeze stops (or resumes) all reading and writing on this connection only. Its
// socket stays open.
func (c ConnInfo) Freeze(on bool) {
	if c.conn != nil {
		c.conn.raw.own.set(on)
	}
}

// Error is the content of an ERROR or INFO token.
type Error struct {
	Number  int32
	State   uint8
	Class   uint8 // severity; above 10 an error, from 20 on the connection ends
	Message string
	Server  string // filled with Config.ServerName when empty
	Proc    string
	Line    int32
	Next    *Error // a second error, sent right after this one (4060, then 18456)
}

// Error formats as SQL Server's tools do.
func (e *Error) Error() string {
	return fmt.Sprintf("Msg %d, Level %d, State %d, Line %d: %s", e.Number, e.Class, e.State, e.Line, e.Message)
}

// Config holds what a server needs besides its handler. Zero values mean the
// defaults named at each field.
type Config struct {
	Certificate     tls.Certificate // default: a self-signed one, made by NewServer
	ForceEncryption bool            // refuse clients that do not encrypt
	Version         string          // default 16.0.4166.0
	ServerName      string          // default "localhost"; sent in ERROR and INFO

	MaxConnections int           // default 1024; more are closed at once
	MaxMessage     int           // default 16 MiB; a longer request ends its connection
	LoginTimeout   time.Duration // default 15 s, from accept to LOGIN7, and then for the handler
	MessageTimeout time.Duration // default 30 s, from a message's first byte to its last
	WriteTimeout   time.Duration // default 30 s, for each write to the socket

	Logger *slog.Logger // default: nothing is logged
	Faults Faults       // default: none
}

// Faults is asked once per request, before it runs, what shall go wrong with it.
// It must be safe for concurrent use.
type Faults interface {
	Fault(c ConnInfo, r Request) Fault
}

// RequestKind says what a request is.
type RequestKind uint8

// The kinds of requests.
const (
	KindLogin RequestKind = iota + 1
	KindBatch
	KindRPC
	KindTransaction
)

// Request is what a fault may be matched against.
type Request struct {
	Kind  RequestKind
	Login *Login // KindLogin
	SQL   string // KindBatch
	Calls []Call // KindRPC
	TM    TM     // KindTransaction
}

// Text returns the words that a person would look for: the batch, the statement
// of sp_executesql and its like, or the procedure's name.
func (r Request) Text() string {
	switch r.Kind {
	case KindBatch:
		return r.SQL
	case KindRPC:
		for _, c := range r.Calls {
			if s := c.Statement(); s != "" {
				return s
			}
		}
		if len(r.Calls) > 0 {
			return r.Calls[0].ProcName
		}
	case KindTransaction:
		return r.TM.Request.String()
	case KindLogin:
		return "login"
	}
	return ""
}

// Fault damages one request or its answer. The zero Fault does nothing. The
// session is not told: what it writes seems to succeed.
type Fault struct {
	DelayRequest time.Duration // the request runs this much later
	DropRequest  bool          // the request never runs; the connection breaks
	BreakFirst   bool          // the connection breaks now, the request runs all the same (after DelayRequest): a late effect

	Delay      time.Duration // the first byte of the answer leaves this much later
	DropAnswer bool          // the request runs to its end, then the connection breaks without an answer
	CutAfter   int           // > 0: the connection breaks after so many bytes of the answer

	Reset bool // a break is a TCP reset instead of an orderly close
	Hang  bool // instead of a break: silence on an open socket until the peer gives up
}

func (f Fault) merge(o Fault) Fault {
	f.DelayRequest = max(f.DelayRequest, o.DelayRequest)
	f.DropRequest = f.DropRequest || o.DropRequest
	f.BreakFirst = f.BreakFirst || o.BreakFirst
	f.Delay = max(f.Delay, o.Delay)
	f.DropAnswer = f.DropAnswer || o.DropAnswer
	if o.CutAfter > 0 {
		f.CutAfter = o.CutAfter
	}
	f.Reset = f.Reset || o.Reset
	f.Hang = f.Hang || o.Hang
	return f
}
