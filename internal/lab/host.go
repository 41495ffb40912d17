package lab

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/lab/views"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// host speaks to the evaluator for one connection: its login, its database, its instance.
type host struct {
	tsql.BaseHost
	node    *node
	login   *Login
	spid    int
	app     string
	client  string // client's host name
	db      string // current database
	home    string // the one of the login, for resets
	sql     *tsql.Session
	session *model.Session // the model goroutine's
	snap    *model.Snapshot
	txs     map[string]*model.Tx             // open transaction by database
	saves   map[string]map[string]model.Mark // savepoint → database → where its transaction stood
	inTran  bool

	current, lastDescriptor uint64
}

var _ tsql.Host = (*host)(nil)

func (h *host) do(f func(*model.Model)) error { return h.node.lab.engine.do(f) }

func (h *host) inst() *model.Instance { return h.node.inst }

func (h *host) major() int { return h.node.cfg.Major }

// gone is what a statement is told when the lab ends under it.
func gone(err error) *tsql.Error {
	return tsql.NewError(6005, 21, 1, "SHUTDOWN is in progress. (%v)", err)
}

// acquire bounds how many statements are evaluated at once, and begins a new moment: one statement sees one snapshot.
func (h *host) acquire(ctx context.Context) (func(), error) {
	select {
	case h.node.lab.evaluate <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	h.snap = nil
	return func() { <-h.node.lab.evaluate }, nil
}

func (h *host) snapshot() *model.Snapshot {
	if h.snap == nil {
		s, err := h.node.lab.engine.snapshot(h.inst())
		if err != nil {
			s = &model.Snapshot{Now: h.node.now()}
		}
		h.snap = s
	}
	return h.snap
}

func (h *host) env() *views.Env {
	return &views.Env{Snap: h.snapshot(), Principals: h.principals(), Database: h.db, Port: h.node.port(), CertExpiry: h.node.lab.opt.CertificateExpiry,
		SPID: h.spid, SPIDOnly: !h.login.has("VIEW SERVER STATE")}
}

// principals that the login may see: all with VIEW ANY DEFINITION, else itself, sa and the roles.
func (h *host) principals() []views.Principal {
	all := h.node.lab.principals()
	if h.login.has("VIEW ANY DEFINITION") {
		return all
	}
	var out []views.Principal
	for _, p := range all {
		if p.Role || p.Name == SA || strings.EqualFold(p.Name, h.login.Name) {
			out = append(out, p)
		}
	}
	return out
}

func systemDatabase(name string) bool {
	switch strings.ToLower(name) {
	case "master", "tempdb", "model", "msdb":
		return true
	}
	return false
}

func errNoDatabase(name string) *model.Error {
	return &model.Error{Number: 911, Class: 16, State: 1, Message: fmt.Sprintf("Database '%s' does not exist. Make sure that the name is entered correctly.", name)}
}

// same compares an object's name with the one that a statement has for it, as the side's collation does. The names of SQL Server's own objects (views,
// procedures, the functions of the sys schema) are objects' names like others; those of built-in functions are not.
func (h *host) same(object, written string) bool { return h.sql.EqualNames(object, written) }

// find gives a database's name as the server spells it, or 911. The set of databases never changes.
func (h *host) find(name string) (string, *model.Error) {
	if systemDatabase(name) && h.same(strings.ToLower(name), name) {
		return strings.ToLower(name), nil
	}
	if c := h.inst().Copy(name); c != nil {
		return c.Name, nil
	}
	return "", errNoDatabase(name)
}

// spelled is a database's name as the server has it; an unknown one stays.
func (h *host) spelled(name string) string {
	if found, err := h.find(name); err == nil {
		return found
	}
	return name
}

// exists tells whether there is such a database; an unknown one makes most functions NULL.
func (h *host) exists(name string) bool {
	_, err := h.find(name)
	return err == nil
}

// reach is find, and whether the database can be used now.
func (h *host) reach(name string) (string, *model.Error) {
	found, err := h.find(name)
	if err != nil || systemDatabase(found) {
		return found, err
	}
	if e := h.do(func(*model.Model) { err = h.inst().Copy(found).CanRead() }); e != nil {
		return found, &model.Error{Number: 6005, Class: 21, State: 1, Message: "SHUTDOWN is in progress."}
	}
	return found, err
}

// Use implements tsql.Host.
func (h *host) Use(_ context.Context, database string) (string, *tsql.Error) {
	name, err := h.reach(database)
	if err != nil {
		return "", toSQL(err)
	}
	h.setDatabase(name)
	return name, nil
}

func (h *host) setDatabase(name string) {
	h.db = name
	// An error means that the lab has ended: the next statement says so.
	_ = h.do(func(*model.Model) { h.session.Database = name })
}

func (h *host) resetDatabase(keepTran bool) {
	if h.db != h.home {
		h.setDatabase(h.home)
	}
	if !keepTran {
		_ = h.do(func(m *model.Model) { m.ReleaseSessionLocks(h.inst(), h.spid) }) // as above
	}
}

// Database implements tsql.Host.
func (h *host) Database() string { return h.db }

// Now implements tsql.Host.
func (h *host) Now() time.Time { return h.node.now() }

// Sleep implements tsql.Host.
func (h *host) Sleep(ctx context.Context, d time.Duration) error {
	fired, stop := h.node.lab.opt.Clock.Timer(d)
	defer stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-fired:
		return nil
	}
}

// SetOption implements tsql.Host: options that change nothing here are taken.
func (h *host) SetOption(context.Context, string, string) *tsql.Error { return nil }

// Table implements tsql.Host.
func (h *host) Table(_ context.Context, path []string) (tsql.Table, *tsql.Error) {
	if len(path) == 4 && path[0] != "" {
		return nil, tsql.NewError(7202, 11, 2, "Could not find server '%s' in sys.servers.", path[0])
	}
	if len(path) == 4 {
		path = path[1:]
	}
	db := h.db
	if len(path) == 3 && path[0] != "" {
		name, err := h.find(path[0])
		if err != nil {
			return nil, toSQL(err)
		}
		db = name
	}
	name, schema := path[len(path)-1], ""
	if len(path) > 1 {
		schema = path[len(path)-2]
	}
	if h.same("ledger", name) && (schema == "" || h.same("dbo", schema)) && !systemDatabase(db) {
		if _, err := h.reach(db); err != nil {
			return nil, toSQL(err)
		}
		return &ledger{h: h, db: db}, nil
	}
	v := h.view(path)
	if v == nil {
		return nil, nil
	}
	if v.Access == views.ServerState && !h.serverState() {
		return nil, h.denied()
	}
	if v.Access == views.Definition && !h.definition() {
		v = v.Hidden()
	}
	return v.Table(h.major(), func() *views.Env {
		e := h.env()
		e.Database = db
		return e
	}), nil
}

// view finds a view, spelled as the side's collation wants it: sys.Databases is none where case counts.
func (h *host) view(path []string) *views.View {
	v := h.node.lab.views.Find(path, h.major())
	if v == nil || !h.same(v.Name, strings.Join(path[len(path)-2:], ".")) {
		return nil
	}
	return v
}

// definition: VIEW ANY DEFINITION shows the catalog's rows.
func (h *host) definition() bool {
	if h.login.has("VIEW ANY DEFINITION") {
		return true
	}
	return h.major() >= 16 && h.snapshot().Assume.FinerDefinitionSuffices && (h.login.has("VIEW ANY PERFORMANCE DEFINITION") || h.login.has("VIEW ANY SECURITY DEFINITION"))
}

// serverState: VIEW SERVER STATE, from 2022 on VIEW SERVER PERFORMANCE STATE is enough.
func (h *host) serverState() bool {
	if h.major() >= 16 {
		return h.login.has("VIEW SERVER PERFORMANCE STATE")
	}
	return h.login.has("VIEW SERVER STATE")
}

// denied is the pair that a server sends for a missing server permission, 300 and 297.
func (h *host) denied() *tsql.Error {
	p := "VIEW SERVER STATE"
	if h.major() >= 16 {
		p = "VIEW SERVER PERFORMANCE STATE"
	}
	e := tsql.NewError(300, 14, 1, "%s permission was denied on object 'server', database 'master'.", p)
	e.Then = tsql.NewError(297, 16, 1, "The user does not have permission to perform this action.")
	return e
}

// ObjectID implements tsql.Host.
func (h *host) ObjectID(_ context.Context, path []string, _ string) any {
	if h.same("ledger", path[len(path)-1]) && !systemDatabase(h.db) {
		return int64(901578250)
	}
	if v := h.view(path); v != nil {
		n := int64(-300)
		for _, b := range []byte(v.Name) {
			n -= int64(b)
		}
		return n
	}
	return nil
}
