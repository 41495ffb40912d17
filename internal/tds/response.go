package tds

import (
	"context"
	"errors"
	"fmt"
)

// Command is the CurCmd of a DONE token. Most clients ignore it.
type Command uint16

// The commands that this package's users meet.
const (
	CmdNone     Command = 0
	CmdSelect   Command = 0xC1
	CmdInsert   Command = 0xC3
	CmdDelete   Command = 0xC4
	CmdUpdate   Command = 0xC5
	CmdRollback Command = 0xD2
	CmdBegin    Command = 0xD4
	CmdCommit   Command = 0xD5
	CmdExec     Command = 0xE0
)

// NoCount is the row count of a statement that has none (SET, or anything under
// SET NOCOUNT ON).
const NoCount int64 = -1

// DONE status bits (MS-TDS 2.2.7.6).
const (
	doneMore  uint16 = 0x0001
	doneError uint16 = 0x0002
	doneCount uint16 = 0x0010
	doneAttn  uint16 = 0x0020
	doneFatal uint16 = 0x0100
)

// Response writes the answer to one request. It belongs to the session's method
// that got it and must not be used after that method returned.
//
// Tokens are buffered by packets and leave when enough of them are full, at
// [Response.Flush] and at the end. A token is written whole or not at all, so that
// an answer can be closed correctly at any point. The "more follows" flag of each
// DONE and its error flag are the writer's business: a DONE is held back until
// something follows it or the answer ends.
//
// After an error every method returns that error and writes nothing. After the
// request's context was cancelled they return its cause.
type Response struct {
	ctx  context.Context
	conn *conn
	pw   packetWriter
	rpc  bool

	cols    []Column
	scratch []byte
	pending doneToken
	held    bool // pending holds a DONE
	failed  bool // an ERROR was written since the last DONE
	fatal   bool // an ERROR of class 20 or more was written
	err     error

	// what becomes of the packets
	fault   Fault
	started bool
	sent    int  // bytes
	broken  bool // bytes are discarded from here on
	dropped bool // the connection breaks when the request is done
}

type doneToken struct {
	token  byte
	status uint16
	cmd    Command
	rows   uint64
}

// begin prepares for writing a token that is not a DONE.
func (w *Response) begin() error {
	if w.err != nil {
		return w.err
	}
	if w.ctx.Err() != nil {
		// Not kept in w.err: closing the answer must still be possible.
		return context.Cause(w.ctx)
	}
	return w.release(doneMore)
}

// release writes the held DONE with more or'ed in.
func (w *Response) release(more uint16) error {
	if !w.held {
		return nil
	}
	w.held = false
	d := w.pending
	return w.put(appendDone(nil, d.token, d.status|more, d.cmd, d.rows))
}

func (w *Response) put(p []byte) error {
	if w.err == nil {
		w.err = w.pw.write(p)
	}
	return w.err
}

func (w *Response) token(p []byte) error {
	if err := w.begin(); err != nil {
		return err
	}
	return w.put(p)
}

// Fault arms a fault for this answer. What has already left is not recalled.
func (w *Response) Fault(f Fault) { w.fault = w.fault.merge(f) }

// Flush sends what is buffered, so that a client sees it while the request goes
// on (RAISERROR … WITH NOWAIT).
func (w *Response) Flush() error {
	if err := w.begin(); err != nil {
		return err
	}
	if w.err = w.pw.flush(); w.err != nil {
		return w.err
	}
	return nil
}

// Info sends an INFO token: PRINT, RAISERROR up to class 10.
func (w *Response) Info(e *Error) error {
	return w.token(appendMessage(nil, tokenInfo, e, w.conn.server.cfg.ServerName, false))
}

// Error sends an ERROR token and those that follow it. The next DONE carries the
// error flag. The request may go on, as T-SQL does after many errors.
func (w *Response) Error(e *Error) error {
	for ; e != nil; e = e.Next {
		if err := w.token(appendMessage(nil, tokenError, e, w.conn.server.cfg.ServerName, false)); err != nil {
			return err
		}
		w.failed = true
		if e.Class >= 20 {
			w.fatal = true
		}
	}
	return nil
}

// Columns begins a result set.
func (w *Response) Columns(cols []Column) error {
	if err := w.begin(); err != nil {
		return err
	}
	p, err := appendColMetadata(w.scratch[:0], cols)
	if err != nil {
		return err
	}
	w.scratch = p
	w.cols = cols
	return w.put(p)
}

// Row sends one row of the result set begun last. A value that does not fit its
// column is an error and writes nothing; a row is never silently altered, except
// that numbers are rounded to the column's scale and characters outside
// Windows-1252 become question marks in char and varchar.
func (w *Response) Row(values []any) error {
	if err := w.begin(); err != nil {
		return err
	}
	if len(values) != len(w.cols) {
		return fmt.Errorf("tds: row of %d values for %d columns", len(values), len(w.cols))
	}
	p := append(w.scratch[:0], tokenRow)
	for i, v := range values {
		c := &w.cols[i]
		var err error
		if p, err = appendValue(p, c.Type, c.Nullable, v); err != nil {
			return fmt.Errorf("tds: column %d %q: %w", i+1, c.Name, err)
		}
	}
	w.scratch = p
	return w.put(p)
}

// Done ends a statement of a batch. rows is the number of rows that it returned
// or changed, or [NoCount].
func (w *Response) Done(cmd Command, rows int64) error { return w.done(tokenDone, cmd, rows) }

// DoneInProc ends a statement inside a procedure call.
func (w *Response) DoneInProc(cmd Command, rows int64) error {
	return w.done(tokenDoneInProc, cmd, rows)
}

// DoneProc ends a procedure call.
func (w *Response) DoneProc() error { return w.done(tokenDoneProc, CmdExec, NoCount) }

func (w *Response) done(token byte, cmd Command, rows int64) error {
	if err := w.begin(); err != nil {
		return err
	}
	w.hold(token, cmd, rows)
	return nil
}

func (w *Response) hold(token byte, cmd Command, rows int64) {
	d := doneToken{token: token, cmd: cmd}
	if rows >= 0 {
		d.status, d.rows = doneCount, uint64(rows)
	}
	if w.failed {
		d.status |= doneError
		w.failed = false
	}
	w.pending, w.held = d, true
}

// ReturnStatus sends a procedure's RETURN value.
func (w *Response) ReturnStatus(status int32) error {
	return w.token(appendReturnStatus(nil, status))
}

// ReturnValue sends an OUTPUT parameter; ordinal is its position in the call,
// from 0.
func (w *Response) ReturnValue(ordinal int, name string, t Type, value any) error {
	p, err := appendReturnValue(nil, ordinal, name, t, value)
	if err != nil {
		return fmt.Errorf("tds: output parameter %q: %w", name, err)
	}
	return w.token(p)
}

// EnvDatabase says that the current database changed (USE).
func (w *Response) EnvDatabase(now, before string) error {
	return w.token(appendEnvStrings(nil, envDatabase, now, before))
}

// EnvLanguage says that the session's language changed.
func (w *Response) EnvLanguage(now, before string) error {
	return w.token(appendEnvStrings(nil, envLanguage, now, before))
}

// EnvBegin says that a transaction began; clients put its id into the headers of
// their next requests. It is due also after BEGIN TRANSACTION in a batch.
func (w *Response) EnvBegin(id uint64) error {
	return w.token(appendEnvTran(nil, envBeginTran, id))
}

// EnvCommit says that transaction id was committed.
func (w *Response) EnvCommit(id uint64) error {
	return w.token(appendEnvTran(nil, envCommitTran, id))
}

// EnvRollback says that transaction id was rolled back.
func (w *Response) EnvRollback(id uint64) error {
	return w.token(appendEnvTran(nil, envRollbackTran, id))
}

// finish closes the answer of a request whose method returned err. Its own error
// means that the connection cannot be used any more.
func (w *Response) finish(err error) error {
	if w.err != nil {
		return w.err
	}
	if w.ctx.Err() != nil {
		w.held = false
		cause := context.Cause(w.ctx)
		switch {
		case errors.Is(cause, ErrAttention):
			return w.close(doneToken{token: tokenDone})
		case errors.Is(cause, ErrKilled) && w.conn.killError() != nil:
			w.ctx = context.WithoutCancel(w.ctx)
			if err := w.Error(w.conn.killError()); err != nil {
				return err
			}
			return w.close(doneToken{token: tokenDone, status: doneError})
		}
		return cause
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		if err := w.Error(e); err != nil {
			return err
		}
	case err != nil:
		w.conn.log.Error("request failed", "err", err)
		if err := w.Error(&Error{Number: 50000, Class: 16, State: 1, Message: err.Error()}); err != nil {
			return err
		}
	}
	last := byte(tokenDone)
	if w.rpc {
		last = tokenDoneProc
	}
	if !w.held || w.failed || w.pending.token != last {
		if err := w.release(doneMore); err != nil {
			return err
		}
		w.hold(last, CmdNone, NoCount)
	}
	w.held = false
	return w.close(w.pending)
}

// close writes the last DONE and ends the message.
func (w *Response) close(d doneToken) error {
	if err := w.put(appendDone(nil, d.token, d.status, d.cmd, d.rows)); err != nil {
		return err
	}
	w.err = w.pw.end()
	if w.err == nil {
		// Nothing may be written after the end of the message.
		w.err = errors.New("tds: the answer is complete")
		return nil
	}
	return w.err
}
