package lab

import (
	"context"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// Procedure implements tsql.Host.
func (h *host) Procedure(_ context.Context, path []string) tsql.Procedure {
	db := h.db
	if len(path) == 3 && path[0] != "" {
		name, err := h.find(path[0])
		if err != nil {
			return nil
		}
		db = name
	}
	for _, part := range path[max(0, len(path)-2):] {
		if !h.same(strings.ToLower(part), part) {
			return nil // where case counts, all of them are in lower case
		}
	}
	if len(path) > 1 {
		switch strings.ToLower(path[len(path)-2]) {
		case "", "sys", "dbo":
		default:
			return nil
		}
	}
	switch strings.ToLower(path[len(path)-1]) {
	case "sp_getapplock":
		return h.getAppLock
	case "sp_releaseapplock":
		return h.releaseAppLock
	case "sp_addextendedproperty", "sp_updateextendedproperty", "sp_dropextendedproperty":
		return func(ctx context.Context, c *tsql.ProcCall) (int32, *tsql.Error) {
			return h.property(c, db, strings.ToLower(path[len(path)-1]))
		}
	case "sp_who", "sp_who2":
		return h.who
	case "xp_instance_regread", "xp_regread", "sp_set_session_context", "sp_reset_connection":
		return func(context.Context, *tsql.ProcCall) (int32, *tsql.Error) { return 0, nil }
	}
	return nil
}

// Return values of sp_getapplock.
const (
	lockGranted  = 0
	lockAfter    = 1
	lockTimeout  = -1
	lockCanceled = -2
	lockInvalid  = -999
)

func (h *host) getAppLock(ctx context.Context, c *tsql.ProcCall) (int32, *tsql.Error) {
	v, err := c.Bind(tsql.ProcParam{Name: "@Resource", Type: tsql.NVarChar(255)}, tsql.ProcParam{Name: "@LockMode", Type: tsql.VarChar(32)},
		tsql.ProcParam{Name: "@LockOwner", Type: tsql.VarChar(32), Optional: true, Def: "Transaction"},
		tsql.ProcParam{Name: "@LockTimeout", Type: tsql.Int, Optional: true, Def: int64(-1)},
		tsql.ProcParam{Name: "@DbPrincipal", Type: tsql.Sysname, Optional: true, Def: "public"})
	if err != nil {
		return lockInvalid, err
	}
	mode, _ := str(v, 1)
	owner, _ := str(v, 2)
	l, ok := h.lockArgs([]any{v[4], v[0], owner}, model.LockMode(mode))
	if !ok || l.Mode == "" {
		return lockInvalid, tsql.NewError(1220, 16, 1, "No more lock classes available from transaction. (Invalid argument of sp_getapplock.)")
	}
	if l.Owner == "Transaction" && c.Session.TranCount() == 0 {
		return lockInvalid, tsql.NewError(3930, 16, 1, "You attempted to acquire a transactional application lock without an active transaction.")
	}
	granted := make(chan struct{}, 1)
	held, cancel := false, func() {}
	if e := h.do(func(m *model.Model) { held, cancel = m.GetAppLock(h.inst(), l, func() { granted <- struct{}{} }) }); e != nil {
		return lockInvalid, gone(e)
	}
	if held {
		return lockGranted, nil
	}
	give := func() bool { // false: it was granted in the last moment
		late := false
		if e := h.do(func(*model.Model) {
			cancel()
			select {
			case <-granted:
				late = true
			default:
			}
		}); e != nil {
			return true
		}
		return !late
	}
	wait, _ := v[3].(int64)
	var expired <-chan time.Time
	if wait >= 0 {
		fired, stop := h.node.lab.opt.Clock.Timer(time.Duration(wait) * time.Millisecond)
		defer stop()
		expired = fired
	}
	select {
	case <-granted:
		return lockAfter, nil
	case <-expired:
		if give() {
			return lockTimeout, nil
		}
		return lockAfter, nil
	case <-ctx.Done():
		if give() {
			return lockCanceled, nil
		}
		return lockAfter, nil
	case <-h.node.lab.engine.done:
		return lockCanceled, gone(ErrClosed)
	}
}

func (h *host) releaseAppLock(_ context.Context, c *tsql.ProcCall) (int32, *tsql.Error) {
	v, err := c.Bind(tsql.ProcParam{Name: "@Resource", Type: tsql.NVarChar(255)},
		tsql.ProcParam{Name: "@LockOwner", Type: tsql.VarChar(32), Optional: true, Def: "Transaction"},
		tsql.ProcParam{Name: "@DbPrincipal", Type: tsql.Sysname, Optional: true, Def: "public"})
	if err != nil {
		return lockInvalid, err
	}
	l, ok := h.lockArgs([]any{v[2], v[0], v[1]}, "")
	released := false
	if ok {
		if e := h.do(func(m *model.Model) { released = m.ReleaseAppLock(h.inst(), l) }); e != nil {
			return lockInvalid, gone(e)
		}
	}
	if !released {
		return lockInvalid, tsql.NewError(1223, 16, 1, "Cannot release the application lock (Database Principal: '%s', Resource: '%s') because it is not currently held.", l.Principal, l.Resource)
	}
	return 0, nil
}

// property runs the three extended-property procedures for the database itself.
func (h *host) property(c *tsql.ProcCall, db, proc string) (int32, *tsql.Error) {
	params := []tsql.ProcParam{{Name: "@name", Type: tsql.Sysname}}
	if proc != "sp_dropextendedproperty" {
		params = append(params, tsql.ProcParam{Name: "@value", Type: tsql.NVarChar(3750), Optional: true})
	}
	for _, p := range []string{"@level0type", "@level0name", "@level1type", "@level1name", "@level2type", "@level2name"} {
		params = append(params, tsql.ProcParam{Name: p, Type: tsql.Sysname, Optional: true})
	}
	v, err := c.Bind(params...)
	if err != nil {
		return 1, err
	}
	for _, level := range v[len(v)-6:] {
		if level != nil {
			return 1, tsql.NotImplemented("extended properties below the database")
		}
	}
	if !h.login.Sysadmin {
		return 1, tsql.NewError(15247, 16, 1, "User does not have permission to perform this action.")
	}
	name, _ := str(v, 0)
	value := ""
	if proc != "sp_dropextendedproperty" {
		value, _ = v[1].(string)
	}
	var failed *model.Error
	if e := h.do(func(m *model.Model) {
		i := h.inst()
		if u := i.Copy(db); u != nil {
			if failed = u.CanWrite(); failed != nil {
				return
			}
		}
		switch proc {
		case "sp_addextendedproperty":
			failed = m.AddProperty(i, db, name, value)
		case "sp_updateextendedproperty":
			failed = m.UpdateProperty(i, db, name, value)
		default:
			failed = m.DropProperty(i, db, name)
		}
	}); e != nil {
		return 1, gone(e)
	}
	if failed != nil {
		return 1, toSQL(failed)
	}
	return 0, nil
}

func (h *host) who(_ context.Context, c *tsql.ProcCall) (int32, *tsql.Error) {
	cols := []tsql.Column{{Name: "spid", Type: tsql.SmallInt}, {Name: "ecid", Type: tsql.SmallInt}, {Name: "status", Type: tsql.NChar(30)}, {Name: "loginame", Type: tsql.NVarChar(128), Nullable: true},
		{Name: "hostname", Type: tsql.NChar(128)}, {Name: "blk", Type: tsql.Char(5)}, {Name: "dbname", Type: tsql.NVarChar(128), Nullable: true}, {Name: "cmd", Type: tsql.NVarChar(26)}, {Name: "request_id", Type: tsql.Int}}
	err := c.Sink.Columns(cols)
	var n int64
	for _, s := range h.snapshot().Sessions {
		if err != nil {
			break
		}
		if s.ID != h.spid && !h.login.has("VIEW SERVER STATE") {
			continue
		}
		status, cmd := "sleeping", "AWAITING COMMAND"
		if s.Running {
			status, cmd = "runnable", "SELECT"
		}
		n++
		err = c.Sink.Row([]any{int64(s.ID), int64(0), status, s.Login, s.Host, "0    ", s.Database, cmd, int64(0)})
	}
	if err == nil {
		err = c.Sink.Done(tsql.DoneInfo{Kind: tsql.DoneSelect, Count: n, HasCount: true})
	}
	if err != nil {
		return 1, tsql.NewError(50000, 16, 1, "%v", err)
	}
	return 0, nil
}
