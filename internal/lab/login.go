package lab

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/lab/views"
	"github.com/dag-exporter/dag_exporter/internal/tds"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

func (l *Lab) setLogin(g Login) error {
	if g.Name == "" {
		return errors.New("a login needs a name")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logins[strings.ToLower(g.Name)] = &g
	return nil
}

func (l *Lab) login(name string) *Login {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logins[strings.ToLower(name)]
}

// principals lists the logins and the fixed roles for the catalog views.
func (l *Lab) principals() []views.Principal {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []views.Principal{{ID: 1, Name: SA, Sysadmin: true}, {ID: 2, Name: "public", Role: true}, {ID: 3, Name: "sysadmin", Role: true}, {ID: 4, Name: "securityadmin", Role: true}}
	id := 260
	for _, g := range l.opt.Logins {
		if cur := l.logins[strings.ToLower(g.Name)]; cur != nil && !strings.EqualFold(g.Name, SA) {
			out = append(out, views.Principal{ID: id, Name: cur.Name, Sysadmin: cur.Sysadmin, Grants: cur.Permissions, Alter: cur.AlterAG})
			id++
		}
	}
	return out
}

func loginFailed(user string) *tds.Error {
	return &tds.Error{Number: 18456, Class: 14, State: 1, Message: fmt.Sprintf("Login failed for user '%s'.", user)}
}

func toTDS(e *model.Error) *tds.Error {
	if e == nil {
		return nil
	}
	return &tds.Error{Number: e.Number, Class: e.Class, State: e.State, Message: e.Message}
}

func toSQL(e *model.Error) *tsql.Error {
	if e == nil {
		return nil
	}
	return tsql.NewError(e.Number, e.Class, e.State, "%s", e.Message)
}

// Login implements tds.Handler.
func (n *node) Login(_ context.Context, l *tds.Login, c tds.ConnInfo) (tds.Session, *tds.Error) {
	g := n.lab.login(l.User)
	if g == nil || g.Disabled || l.Integrated || subtle.ConstantTimeCompare([]byte(g.Password), []byte(l.Password)) != 1 {
		return nil, loginFailed(l.User)
	}
	if l.Database == "" {
		l.Database = "master"
	}
	h := &host{node: n, login: g, spid: c.SPID, app: l.AppName, client: l.HostName}
	h.sql = tsql.NewSession(h, tsql.Options{Acquire: h.acquire, Collation: n.lab.opt.Model.Sides[n.inst.Side].Collation})
	h.session = &model.Session{ID: c.SPID, Login: g.Name, Host: l.HostName, Program: l.AppName, Client: c.RemoteAddr, Encrypted: c.Encrypted}
	n.mu.Lock() // before the model knows it, so that no role change can miss it
	n.conns[c.SPID] = c
	n.mu.Unlock()
	var refused *tds.Error
	err := n.lab.engine.do(func(m *model.Model) {
		switch {
		case !n.inst.Online():
			refused = &tds.Error{Number: 17142, Class: 14, State: 1, Message: "SQL Server service has been paused. No new connections will be allowed."}
			return
		case n.inst.Refuses():
			refused = loginFailed(l.User)
			return
		}
		name, err := h.find(l.Database)
		if err == nil && !systemDatabase(name) {
			err = n.inst.Copy(name).CanRead()
		}
		if err != nil {
			cannot := &tds.Error{Number: 4060, Class: 11, State: 1,
				Message: fmt.Sprintf("Cannot open database \"%s\" requested by the login. The login failed.", l.Database), Next: loginFailed(l.User)}
			refused = cannot
			if err.Number != 911 {
				refused = toTDS(err)
				refused.Next = cannot
			}
			return
		}
		l.Database, h.db, h.home = name, name, name
		h.session.Database = name
		m.AddSession(n.inst, h.session)
	})
	if err != nil {
		refused = &tds.Error{Number: 6005, Class: 14, State: 1, Message: "SHUTDOWN is in progress."}
	}
	if refused != nil {
		n.forget(c)
		return nil, refused
	}
	return &session{h: h, info: c}, nil
}
