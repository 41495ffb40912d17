package sqlserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Options describe one side. DSNs is the only place where secrets come in.
type Options struct {
	DAG   string    // the config's name of the DAG, for errors and logs
	Group string    // the distributed AG's name in SQL Server
	AG    string    // the local AG's name in SQL Server
	Side  hadr.Side // source or target

	// DSNs gives the side's instances as go-mssqldb connection strings. It is
	// called before every use; when its answer changes, connections are made
	// anew with what it says now. Each must say encrypt= explicitly.
	DSNs func() ([]string, error)

	// Lines are shared by all sides of a process that may read one server: two
	// DAGs on it, or the same DAG before and after a reload. nil: the side's own.
	Lines *Lines

	Logger      *slog.Logger     // nil: discarded
	AppName     string           // shown in sys.dm_exec_sessions.program_name
	DialTimeout time.Duration    // TCP, TLS and login of one connection; default 5 s
	PeerGrace   time.Duration    // how long a reading waits for the other instances' role once the primary has answered; default 250 ms
	HungHold    time.Duration    // how long an instance stays busy after a statement whose cancel was not acknowledged; default 15 s
	Now         func() time.Time // stamps readings; default time.Now
}

// Want selects what a reading contains beyond its core (identity, groups,
// roles, modes, database list, own and DAG rows).
type Want struct {
	Replicas     bool // rows of the local AG's other replicas (Database.Replicas)
	Log          bool // LogUsed, LogSize, LogFlushed, Writes (LogReuseWait is always there)
	Seeding      bool
	Certificates bool
	Rights       bool
	Transactions bool
	Lineage      bool // never per scrape: the view tries to start unopened databases
	Marker       bool // run id in master's extended property
}

// Everything is a Want for a thorough look (check, plan).
var Everything = Want{Replicas: true, Log: true, Seeding: true, Certificates: true, Rights: true, Transactions: true, Lineage: true, Marker: true}

// Side is one end of a DAG. Its methods may be called concurrently.
type Side struct {
	opt   Options
	names names
	log   *slog.Logger

	batches sync.Map // texts by batchKey; few, since a Want is what flags choose

	mu        sync.Mutex
	dsns      []string
	instances []*instance
	primary   int // index of the instance that was PRIMARY last
	closed    bool
	ended     chan struct{} // closed with it
}

// Open checks the options and prepares a side. It does not connect. An error of
// it is an *Error whose text names the side and what to write instead.
func Open(opt Options) (*Side, error) {
	if opt.DialTimeout <= 0 {
		opt.DialTimeout = 5 * time.Second
	}
	if opt.PeerGrace <= 0 {
		opt.PeerGrace = 250 * time.Millisecond
	}
	if opt.HungHold <= 0 {
		opt.HungHold = 15 * time.Second
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Lines == nil {
		opt.Lines = new(Lines)
	}
	s := &Side{opt: opt, names: names{group: opt.Group, ag: opt.AG}, ended: make(chan struct{}),
		log: opt.Logger.With("dag", opt.DAG, "side", string(opt.Side))}
	if opt.DSNs == nil {
		return nil, s.config("open", errors.New("no instance is configured"))
	}
	for what, name := range map[string]string{"the distributed AG's name": opt.Group, "the local AG's name": opt.AG} {
		if err := checkName(what, name); err != nil {
			return nil, s.config("open", err)
		}
	}
	if opt.Group == opt.AG {
		return nil, s.config("open", fmt.Errorf("the distributed AG and the local AG are both named %q", opt.AG))
	}
	if _, err := s.list("open"); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Side) config(op string, err error) *Error {
	return &Error{Op: op, DAG: s.opt.DAG, Side: s.opt.Side, Class: ClassNotSent, Reason: ReasonQuery, Err: err}
}

// failure makes the *Error of a question that in asked.
func (s *Side) failure(op string, in *instance, err error) *Error {
	e := &Error{Op: op, DAG: s.opt.DAG, Side: s.opt.Side, Instance: in.target.label}
	var ours *Error
	var ce *connectError
	switch {
	case errors.As(err, &ours):
		c := *ours
		c.Op, c.DAG, c.Side, c.Instance = e.Op, e.DAG, e.Side, e.Instance
		return &c
	case errors.As(err, &ce):
		return e.aboutConnect(ce.err, &in.target)
	default:
		return e.about(err, &in.target)
	}
}

// Close drops every connection. Locks keep their own session until Release.
func (s *Side) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.ended)
		for _, in := range s.instances {
			in.close()
		}
	}
	return nil
}

// list is the side's instances as DSNs says now, the one that was PRIMARY last
// first.
func (s *Side) list(op string) ([]*instance, error) {
	dsns, err := s.opt.DSNs()
	if err != nil {
		return nil, s.config(op, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, s.config(op, errClosed)
	}
	if s.instances == nil || !slices.Equal(dsns, s.dsns) {
		targets, err := parseDSNs(dsns, s.opt.AppName, s.opt.DialTimeout)
		if err != nil {
			return nil, s.config(op, err)
		}
		s.replace(dsns, targets)
	}
	out := slices.Clone(s.instances)
	out[0], out[s.primary] = out[s.primary], out[0]
	return out, nil
}

// replace takes over a changed list; instances whose DSN stays keep their
// connection.
func (s *Side) replace(dsns []string, targets []target) {
	old, warned := map[string]*instance{}, map[string]bool{}
	for _, in := range s.instances {
		old[in.target.dsn] = in
		warned[in.target.label] = !in.target.verifies()
	}
	next := make([]*instance, len(targets))
	for i, t := range targets {
		if in := old[t.dsn]; in != nil {
			next[i] = in
			delete(old, t.dsn)
			continue
		}
		next[i] = newInstance(t, s.opt.HungHold, s.opt.Lines.of(t.label), s.ended)
		if !t.verifies() && !warned[t.label] {
			s.log.Warn("the server's certificate is not verified: anybody in between can pretend to be it; use encrypt=strict without trustservercertificate=true", "instance", t.label)
		}
	}
	for _, in := range old {
		in.close()
	}
	s.dsns, s.instances, s.primary = slices.Clone(dsns), next, 0
}

func (s *Side) remember(in *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.instances, in); i >= 0 {
		s.primary = i
	}
}

// VerifiesCertificates reports that the certificate of every instance of the
// side is verified when it is connected to.
func (s *Side) VerifiesCertificates() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.instances, func(in *instance) bool { return !in.target.verifies() })
}

// heard is what one instance said: its role, and the whole answer if it was
// asked for all of it.
type heard struct {
	in    *instance
	full  bool
	a     *answer
	p     probe
	began time.Time
	ended time.Time
	err   *Error // nil: it answered
}

func (h *heard) primary() bool { return h.err == nil && h.a.begin.role == hadr.RolePrimary }

func (h *heard) identity() hadr.Identity { return h.p.identity(h.in.target.label, h.a.begin) }

// Read asks the side for a reading. See Want for what it contains. The error is
// an *Error whose Reason is never ReasonNone. ctx bounds it.
//
// Parts that failed on their own (a right or a column that is missing) are
// named in Reading.Failed and Reading.Missing and are unknown; only what makes
// the whole reading worthless is an error.
//
// The instance that was PRIMARY last gets the whole batch, every other one a
// short question for its role, all at the same time. Another instance that says
// PRIMARY gets the whole batch too; two different ones that say it are an error
// (duplicate), because one of them is wrong.
func (s *Side) Read(ctx context.Context, want Want) (*hadr.Reading, error) {
	const op = "read"
	list, err := s.list(op)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errClear) // what is still out when the answer is clear is not waited for
	answers := make(chan *heard, 2*len(list))
	ask := func(in *instance, full bool) { go func() { answers <- s.hear(ctx, op, in, full, want) }() }
	for i, in := range list {
		ask(in, i == 0)
	}
	var (
		last    = map[*instance]*heard{}
		asked   = map[*instance]bool{list[0]: true} // for the whole batch
		pending = len(list)
		best    *heard
		grace   <-chan time.Time
	)
	for pending > 0 {
		select {
		case h := <-answers:
			pending--
			last[h.in] = h
			switch {
			case h.primary() && h.full && best == nil:
				best = h
				t := time.NewTimer(s.opt.PeerGrace)
				defer t.Stop()
				grace = t.C
			case h.primary() && !h.full && best == nil && !asked[h.in]:
				asked[h.in] = true
				pending++
				ask(h.in, true)
			}
			continue
		case <-grace:
		}
		break
	}
	return s.conclude(op, list, last, best, want)
}

// hear asks one instance.
func (s *Side) hear(ctx context.Context, op string, in *instance, full bool, want Want) *heard {
	h := &heard{in: in, full: full}
	h.began = s.opt.Now()
	a, p, err := in.ask(ctx, func(major int) string { return s.batch(major, full, want) })
	h.ended = s.opt.Now()
	h.a, h.p = a, p
	if err != nil {
		h.err = s.failure(op, in, err)
		return h
	}
	if e := h.check(); e != nil {
		h.err = s.failure(op, in, e)
	}
	return h
}

// batch is the text to send. It is made once: quoting it twice over was a tenth
// of what a small reading allocated.
func (s *Side) batch(major int, full bool, want Want) string {
	key := batchKey{major: major, full: full}
	if full {
		key.want = want
	}
	if text, ok := s.batches.Load(key); ok {
		return text.(string)
	}
	text := roleBatch(s.names, major)
	if full {
		text = readBatch(s.names, major, want)
	}
	s.batches.Store(key, text)
	return text
}

type batchKey struct {
	major int
	full  bool
	want  Want
}

// check says why an answer cannot be used at all, or nil.
func (h *heard) check() *Error {
	if e := h.p.usable(); e != nil {
		return e
	}
	a := h.a
	for _, p := range parts {
		if f, failed := a.failures[p.name]; failed && p.core {
			return new(Error).about(f, &h.in.target)
		}
	}
	if !a.seen["begin"] || a.begin.serverName == "" {
		return &Error{Class: ClassQuery, Reason: ReasonQuery, Err: errors.New("the answer does not say which server it comes from")}
	}
	if a.begin.role == hadr.RoleUnknown {
		if m := a.begin.missing(); len(m) > 0 {
			return &Error{Class: ClassPermission, Reason: ReasonPermission, Err: fmt.Errorf("the login does not see the local availability group and lacks %v", m), Remedy: remedies[ClassPermission]}
		}
	}
	if !h.full {
		return nil
	}
	for _, core := range []string{"group", "member", "end"} {
		if !a.seen[core] {
			return &Error{Class: ClassQuery, Reason: ReasonQuery, Err: fmt.Errorf("the answer lacks its part %q", core)}
		}
	}
	if !a.begin.same(a.end) {
		return &Error{Class: ClassRetry, Reason: ReasonIdentity, Err: errors.New("the instance or its role changed while it answered"), Remedy: "read again"}
	}
	return nil
}

// conclude makes the reading of what was heard, or says why there is none.
func (s *Side) conclude(op string, list []*instance, last map[*instance]*heard, best *heard, want Want) (*hadr.Reading, error) {
	for _, h := range last {
		if best != nil && h.primary() && !h.identity().SameInstance(best.identity()) {
			return nil, &Error{Op: op, DAG: s.opt.DAG, Side: s.opt.Side, Instance: best.in.target.label + " and " + h.in.target.label,
				Class: ClassWrongSide, Reason: ReasonDuplicate, Err: fmt.Errorf("both say that they are PRIMARY of %s", s.opt.AG),
				Remedy: "one of them is wrong; a person has to find out which, before anything else"}
		}
	}
	if best == nil {
		return nil, s.noPrimary(op, list, last)
	}
	s.remember(best.in)
	r := best.a.assemble(s.names, want, best.p.caseSensitive)
	r.Side, r.Began, r.Ended = s.opt.Side, best.began, best.ended
	r.Identity = best.identity()
	for _, in := range list {
		if in == best.in {
			continue
		}
		p := hadr.Peer{Instance: in.target.label, Failed: string(ReasonTimeout)}
		if h := last[in]; h != nil && h.err == nil {
			p = hadr.Peer{Instance: p.Instance, ServerName: h.a.begin.serverName, StartTime: h.a.begin.startTime, Role: h.a.begin.role}
		} else if h != nil {
			p.Failed = string(h.err.Reason)
		}
		r.Peers = append(r.Peers, p)
	}
	if !r.DAG.Found || !r.Local.Found {
		name, e := s.opt.Group, &Error{Class: ClassMissing, Reason: ReasonNoDAG}
		if !r.Local.Found {
			name = s.opt.AG
		}
		e.Err = fmt.Errorf("no availability group named %s", name)
		e.Remedy = remedies[ClassMissing]
		if slices.Contains(r.Missing, "VIEW ANY DEFINITION") {
			e.Class, e.Reason = ClassPermission, ReasonPermission
			e.Err = fmt.Errorf("no availability group named %s is visible to the login, which lacks VIEW ANY DEFINITION", name)
			e.Remedy = remedies[ClassPermission]
		}
		return nil, s.failure(op, best.in, e)
	}
	return r, nil
}

// noPrimary picks the error that tells most: what the instance that was PRIMARY
// last suffers from, unless it answered.
func (s *Side) noPrimary(op string, list []*instance, last map[*instance]*heard) *Error {
	var first *Error
	answered := ""
	for _, in := range list {
		switch h := last[in]; {
		case h == nil:
		case h.err != nil:
			if first == nil {
				first = h.err
			}
		case h.primary():
			// It said PRIMARY when asked for its role, and not in the reading
			// that followed.
		default:
			role := string(h.a.begin.role)
			if role == "" {
				role = "not a replica of it, or not known"
			}
			if answered != "" {
				answered += ", "
			}
			answered += in.target.label + " is " + role
			if h.a.begin.role == hadr.RoleUnknown && first == nil && len(list) == 1 {
				first = s.failure(op, in, &Error{Class: ClassMissing, Reason: ReasonNoDAG, Err: fmt.Errorf("no availability group named %s", s.opt.AG), Remedy: remedies[ClassMissing]})
			}
		}
	}
	if first != nil {
		return first
	}
	return &Error{Op: op, DAG: s.opt.DAG, Side: s.opt.Side, Class: ClassWrongSide, Reason: ReasonNoPrimary,
		Err: fmt.Errorf("no instance is PRIMARY of %s: %s", s.opt.AG, answered), Remedy: "list every instance that may become primary, or its listener"}
}
