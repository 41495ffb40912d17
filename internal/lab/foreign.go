package lab

import (
	"context"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab/alter"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/tds"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// Foreign implements tsql.Host: the statements that change availability groups, and a few about the server.
func (h *host) Foreign(ctx context.Context, text string, _ tsql.Sink) *tsql.Error {
	parsed, err := alter.Parse(text)
	if err != nil {
		return toSQL(err)
	}
	h.command(text)
	switch st := parsed.(type) {
	case model.Statement:
		return h.alterGroup(ctx, st, text)
	case alter.HADR:
		return h.hadr(st)
	case alter.Kill:
		return h.killSession(st.Session)
	case alter.DatabaseOption:
		c := h.inst().Copy(st.Database)
		if c == nil {
			return toSQL(model.ErrMissing("database", "alter", st.Database))
		}
		joined := false
		if e := h.do(func(*model.Model) { joined = c.InGroup() }); e != nil {
			return gone(e)
		}
		if !joined {
			return tsql.NotImplemented("ALTER DATABASE … SET " + st.Option)
		}
		switch st.Option {
		case "SINGLE_USER", "RESTRICTED_USER", "READ_ONLY", "READ_WRITE", "OFFLINE", "ONLINE", "EMERGENCY", "RECOVERY":
			return tsql.NewError(1468, 16, 2, "The operation cannot be performed on database \"%s\" because it is involved in a database mirroring session or an availability group. Some operations are not allowed on a database that is participating in a database mirroring session or in an availability group.", st.Database)
		}
		return tsql.NotImplemented("ALTER DATABASE … SET " + st.Option)
	}
	switch {
	case strings.EqualFold(strings.TrimSpace(text), "checkpoint"):
		if systemDatabase(h.db) {
			return nil
		}
		var failed *model.Error
		if e := h.do(func(m *model.Model) { failed = m.Checkpoint(h.inst().Copy(h.db)) }); e != nil {
			return gone(e)
		}
		return toSQL(failed)
	case strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), "RECONFIGURE"):
		return nil
	}
	return h.BaseHost.Foreign(ctx, text, nil)
}

// CheckForeign implements tsql.ForeignChecker: a mistake in such a statement keeps the whole batch from beginning.
func (h *host) CheckForeign(text string) *tsql.Error {
	_, err := alter.Parse(text)
	return toSQL(err)
}

// command is what dm_exec_requests shows for the statement that runs.
func (h *host) command(text string) {
	f := strings.Fields(strings.ToUpper(text))
	if len(f) > 3 {
		f = f[:3]
	}
	c := strings.Join(f, " ")
	if len(c) > 32 {
		c = c[:32]
	}
	_ = h.do(func(*model.Model) { h.session.Command = c }) // an error means that the lab has ended: the next step says so
}

func (h *host) alterGroup(ctx context.Context, st model.Statement, text string) *tsql.Error {
	if h.sql.TranCount() > 0 {
		return tsql.NewError(226, 16, 6, "%s AVAILABILITY GROUP statement not allowed within multi-statement transaction.", map[bool]string{true: "DROP", false: "ALTER"}[st.Verb == model.DropGroup])
	}
	if !h.same("master", h.db) {
		return toSQL(model.ErrNotMaster())
	}
	if !h.login.mayAlter(st.Group) {
		return toSQL(model.ErrMissing("availability group", "alter", st.Group))
	}
	fault := h.node.lab.rules.statement(h.inst().Side, st.Class(), text)
	if fault.Error != 0 {
		return tsql.NewError(fault.Error, 16, 1, "dag_lab was told to answer %d here.", fault.Error)
	}
	if d := fault.Before.d(); d > 0 {
		if err := h.Sleep(ctx, d); err != nil {
			return tsql.NewError(3621, 16, 0, "The statement has been terminated.")
		}
	}
	var refused *model.Error
	if e := h.do(func(m *model.Model) { refused = m.Execute(h.inst(), st, h.login.Sysadmin, fault.Late.d()) }); e != nil {
		return gone(e)
	}
	if refused != nil {
		return toSQL(refused)
	}
	if d := fault.After.d(); d > 0 {
		if err := h.Sleep(ctx, d); err != nil {
			return tsql.NewError(3621, 16, 0, "The statement has been terminated.")
		}
	}
	if fault.Lose {
		h.node.kill(h.spid, nil)
		<-ctx.Done() // the connection is gone; nothing of the answer leaves
	}
	return nil
}

func (h *host) hadr(st alter.HADR) *tsql.Error {
	c := h.inst().Copy(st.Database)
	if c == nil {
		return toSQL(model.ErrMissing("database", "alter", st.Database))
	}
	if !h.login.Sysadmin && !h.login.has("ALTER ANY DATABASE") {
		return toSQL(model.ErrMissing("database", "alter", st.Database))
	}
	var refused *model.Error
	if e := h.do(func(m *model.Model) { refused = setHADR(m, c, st) }); e != nil {
		return gone(e)
	}
	return toSQL(refused)
}

func (h *host) killSession(spid int) *tsql.Error {
	if !h.login.has("ALTER ANY CONNECTION") {
		return tsql.NewError(6102, 14, 1, "User does not have permission to use the KILL statement.")
	}
	if spid == h.spid {
		return tsql.NewError(6104, 16, 1, "Cannot use KILL to kill your own process.")
	}
	if spid <= 50 {
		return tsql.NewError(6107, 14, 1, "Only user processes can be killed.")
	}
	e := model.ErrKilled()
	if !h.node.kill(spid, &tds.Error{Number: e.Number, Class: e.Class, State: e.State, Message: e.Message}) {
		return tsql.NewError(6106, 16, 2, "Process ID %d is not an active process ID.", spid)
	}
	return nil
}
