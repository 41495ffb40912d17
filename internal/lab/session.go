package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/tds"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// session is one connection: it hands requests to the evaluator and its answers to the wire.
type session struct {
	h    *host
	info tds.ConnInfo
}

// Batch implements tds.Session.
func (s *session) Batch(ctx context.Context, w *tds.Response, sql string) error {
	return s.request(ctx, w, sql, func(sink *sink) error { return s.h.sql.Exec(ctx, sql, sink) })
}

// RPC implements tds.Session.
func (s *session) RPC(ctx context.Context, w *tds.Response, calls []tds.Call) error {
	text := ""
	if len(calls) > 0 {
		if text = calls[0].Statement(); text == "" {
			text = calls[0].ProcName
		}
	}
	return s.request(ctx, w, text, func(sink *sink) error {
		for _, c := range calls {
			if err := s.call(ctx, w, c, sink); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *session) call(ctx context.Context, w *tds.Response, c tds.Call, sink *sink) error {
	sink.rpc = true
	params := make([]tsql.Param, len(c.Params))
	for i, p := range c.Params {
		t, err := fromWire(p.Type)
		if err != nil {
			return err
		}
		params[i] = tsql.Param{Name: p.Name, Type: t, Value: valueFromWire(p.Value), Output: p.Output, Default: p.Default}
	}
	if c.ProcName == "sp_reset_connection" {
		s.Reset(false)
		return w.DoneProc()
	}
	res, err := s.h.sql.Call(ctx, c.ProcName, params, sink)
	if err != nil {
		return err
	}
	if err := w.ReturnStatus(res.Return); err != nil {
		return err
	}
	n := 0
	for i, p := range c.Params {
		if !p.Output || n >= len(res.Outputs) {
			continue
		}
		o := res.Outputs[n]
		n++
		t, err := toWire(o.Type)
		if err != nil {
			return err
		}
		if err := w.ReturnValue(i, p.Name, t, valueToWire(o.Value)); err != nil {
			return err
		}
	}
	return w.DoneProc()
}

// Transaction implements tds.Session.
func (s *session) Transaction(ctx context.Context, w *tds.Response, t tds.TM) error {
	return s.request(ctx, w, t.Request.String(), func(sink *sink) error {
		var err error
		switch t.Request {
		case tds.TMBegin:
			err = s.h.sql.BeginTran(ctx, t.Name, sink)
		case tds.TMCommit:
			err = s.h.sql.CommitTran(ctx, t.Name, sink)
		case tds.TMRollback:
			err = s.h.sql.RollbackTran(ctx, t.Name, sink)
		case tds.TMSave:
			err = s.h.sql.SaveTran(ctx, t.Name, sink)
		}
		if err == nil && t.BeginAgain && s.h.sql.TranCount() == 0 {
			err = s.h.sql.BeginTran(ctx, t.BeginName, sink)
		}
		return err
	})
}

// request keeps the session's row in the DMVs, and turns the evaluator's end into the wire's.
func (s *session) request(ctx context.Context, w *tds.Response, text string, run func(*sink) error) error {
	h := s.h
	err := h.do(func(m *model.Model) {
		h.session.Running, h.session.Text, h.session.Command = true, text, ""
		h.session.LastStart = h.node.inst.Clock()
	})
	if err != nil {
		return err
	}
	h.snap = nil
	sink := &sink{w: w, h: h}
	err = run(sink)
	if e := h.do(func(m *model.Model) {
		h.session.Running, h.session.Text = false, ""
		h.session.LastEnd = h.node.inst.Clock()
	}); err == nil && e != nil {
		err = e
	}
	var sqlErr *tsql.Error
	if errors.As(err, &sqlErr) {
		if sqlErr.Class >= 20 {
			s.info.Kill(nil) // it was sent already; the wire closes after a fatal error, this is for those that come from elsewhere
		}
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // the wire says what is due
	}
	return err
}

// Reset implements tds.Session.
func (s *session) Reset(keepTran bool) {
	s.h.sql.Reset(context.Background(), keepTran)
	s.h.resetDatabase(keepTran)
}

// Close implements tds.Session.
func (s *session) Close() {
	s.h.sql.Close(context.Background())
	s.h.node.forget(s.info)
	if err := s.h.do(func(m *model.Model) { m.RemoveSession(s.h.node.inst, s.h.session) }); err != nil && !errors.Is(err, ErrClosed) {
		s.h.node.lab.log.Warn("closing a session", "err", err)
	}
}

// sink writes the evaluator's answer to the wire.
type sink struct {
	w   *tds.Response
	h   *host
	rpc bool
}

var commands = map[tsql.DoneKind]tds.Command{tsql.DoneSelect: tds.CmdSelect, tsql.DoneInsert: tds.CmdInsert, tsql.DoneUpdate: tds.CmdUpdate,
	tsql.DoneDelete: tds.CmdDelete, tsql.DoneBegin: tds.CmdBegin, tsql.DoneCommit: tds.CmdCommit, tsql.DoneRollback: tds.CmdRollback, tsql.DoneExec: tds.CmdExec}

func (s *sink) Columns(cols []tsql.Column) error {
	out := make([]tds.Column, len(cols))
	for i, c := range cols {
		t, err := toWire(c.Type)
		if err != nil {
			return fmt.Errorf("column %d %q: %w", i+1, c.Name, err)
		}
		out[i] = tds.Column{Name: c.Name, Type: t, Nullable: c.Nullable}
	}
	return s.w.Columns(out)
}

// Row passes the evaluator's values on as they are: the wire takes its decimals and GUIDs as interfaces.
func (s *sink) Row(row []any) error { return s.w.Row(row) }

func (s *sink) Done(d tsql.DoneInfo) error {
	rows := tds.NoCount
	if d.HasCount {
		rows = d.Count
	}
	if s.rpc {
		return s.w.DoneInProc(commands[d.Kind], rows)
	}
	return s.w.Done(commands[d.Kind], rows)
}

func message(e *tsql.Error) *tds.Error {
	return &tds.Error{Number: e.Number, Class: e.Class, State: e.State, Message: e.Message, Proc: e.Procedure, Line: e.Line}
}

func (s *sink) Info(e *tsql.Error) error { return s.w.Info(message(e)) }

func (s *sink) Error(e *tsql.Error) error { return s.w.Error(message(e)) }

func (s *sink) Env(e tsql.EnvChange) error {
	switch e.Kind {
	case tsql.EnvDatabase:
		return s.w.EnvDatabase(e.New, e.Old)
	case tsql.EnvBegin:
		return s.w.EnvBegin(s.h.descriptor())
	case tsql.EnvCommit:
		return s.w.EnvCommit(s.h.lastDescriptor)
	case tsql.EnvRollback:
		return s.w.EnvRollback(s.h.lastDescriptor)
	}
	return nil
}
