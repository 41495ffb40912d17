package sqlserver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Lock is a pinned session that holds an exclusive application lock in master
// of the instance that was PRIMARY of the local AG. It excludes a second
// engine; the guards of Do exclude everybody else. The lock ends with the
// session, whatever ends that; nothing here connects again by itself.
type Lock struct {
	side     *Side
	target   target
	resource string
	id       hadr.Identity
	sess     *session
	line     line

	mu   sync.Mutex
	lost error // why the session is gone or given back; nil while it is not known to be
}

// maxResource is the length of an application lock's name in UTF-16 units.
const maxResource = 255

// Lock takes the lock named resource, without waiting for another holder: if
// somebody holds it the error's class is ClassRetry and says who, as far as the
// server tells.
func (s *Side) Lock(ctx context.Context, resource string) (*Lock, error) {
	const op = "lock"
	if resource == "" || utf16Len(resource) > maxResource || strings.ContainsRune(resource, 0) {
		return nil, s.config(op, fmt.Errorf("the lock's name must have 1 to %d characters", maxResource))
	}
	list, err := s.list(op)
	if err != nil {
		return nil, err
	}
	var first *Error
	notPrimary := ""
	for _, in := range list {
		l, role, err := s.lockOn(ctx, op, in, resource)
		if err == nil {
			s.remember(in)
			return l, nil
		}
		if role == hadr.RolePrimary {
			return nil, err // this was the one
		}
		if role != hadr.RoleUnknown {
			notPrimary += " " + in.target.label + " is " + string(role) + ";"
		} else if first == nil {
			first = err
		}
	}
	if first != nil {
		return nil, first
	}
	return nil, &Error{Op: op, DAG: s.opt.DAG, Side: s.opt.Side, Class: ClassWrongSide, Reason: ReasonNoPrimary,
		Err: fmt.Errorf("no instance is PRIMARY of %s:%s", s.opt.AG, strings.TrimSuffix(notPrimary, ";"))}
}

// lockOn tries one instance. The role it gives back is known once the instance
// answered for itself.
func (s *Side) lockOn(ctx context.Context, op string, in *instance, resource string) (*Lock, hadr.Role, *Error) {
	sess, err := connect(ctx, in.target)
	if err != nil {
		return nil, "", s.failure(op, in, &connectError{err})
	}
	l := &Lock{side: s, target: in.target, resource: resource, sess: sess}
	a := newAnswer()
	if _, err := l.run(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, sess.query(ctx, roleBatch(s.names, sess.probe.major), a.set)
	}); err != nil {
		l.end(err)
		return nil, "", s.failure(op, in, err)
	}
	h := &heard{in: in, a: a, p: sess.probe}
	if e := h.check(); e != nil {
		l.end(e)
		return nil, "", s.failure(op, in, e)
	}
	l.id = h.identity()
	if a.begin.role != hadr.RolePrimary {
		l.end(errors.New("not primary"))
		return nil, a.begin.role, s.failure(op, in, &Error{Class: ClassWrongSide, Reason: ReasonNoPrimary, Err: fmt.Errorf("this instance is not PRIMARY of %s", s.opt.AG)})
	}
	got, err := l.ask(ctx, "SET NOCOUNT ON;\nDECLARE @result int;\nEXEC @result = sp_getapplock @Resource = "+nliteral(resource)+
		", @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 0, @DbPrincipal = N'dbo';\n"+
		"SELECT @result AS [lock.result], APPLOCK_MODE(N'dbo', "+nliteral(resource)+", N'Session') AS mode;\n", "lock")
	if err != nil {
		l.end(err)
		return nil, hadr.RolePrimary, s.failure(op, in, err)
	}
	c := &columns{row: first(got)}
	result, mode := c.integer(), c.text()
	switch {
	case result.OK && result.V >= 0 && strings.EqualFold(mode, "Exclusive"):
		return l, hadr.RolePrimary, nil
	case result.OK && (result.V == -1 || result.V == -3):
		by := l.holder(ctx)
		l.end(errors.New("not got"))
		return nil, hadr.RolePrimary, s.failure(op, in, &Error{Class: ClassRetry, Reason: ReasonBusy,
			Err: fmt.Errorf("the lock %q is held by %s", resource, by), Remedy: "only one engine may act on a DAG: find the other one first"})
	default:
		l.end(errors.New("not got"))
		return nil, hadr.RolePrimary, s.failure(op, in, &Error{Class: ClassPermission, Reason: ReasonPermission,
			Err: fmt.Errorf("sp_getapplock answered %d, and the lock's mode is %q", result.V, mode), Remedy: "the login must be able to lock as dbo in master"})
	}
}

func first(rows [][]driver.Value) []driver.Value {
	if len(rows) == 0 {
		return nil
	}
	return rows[0]
}

// holder names who holds the lock, for the error's text alone.
func (l *Lock) holder(ctx context.Context) string {
	const unknown = "another session"
	head := l.resource
	if r := []rune(head); len(r) > 32 {
		head = string(r[:32]) // the view shows no more
	}
	rows, err := l.ask(ctx, "SET NOCOUNT ON;\n"+isolated("holder", "SELECT TOP (1) s.session_id AS [holder.session], s.program_name, s.host_name, s.login_name\n"+
		"FROM sys.dm_tran_locks AS l INNER JOIN sys.dm_exec_sessions AS s ON s.session_id = l.request_session_id\n"+
		"WHERE l.resource_type = N'APPLICATION' AND l.request_status = N'GRANT' AND l.request_session_id <> @@SPID AND CHARINDEX("+nliteral(head)+", l.resource_description) > 0"), "holder")
	if err != nil || len(rows) == 0 {
		return unknown
	}
	c := &columns{row: rows[0]}
	id, program, host, login := c.integer(), c.text(), c.text(), c.text()
	if c.err != nil || !id.OK {
		return unknown
	}
	return fmt.Sprintf("session %d (%s on %s as %s)", id.V, strings.TrimSpace(program), strings.TrimSpace(host), strings.TrimSpace(login))
}

// run sends something in the pinned session. When its caller's time is over it
// returns, and the session counts as hung until the answer or the end came.
func (l *Lock) run(ctx context.Context, work func(context.Context) (struct{}, error)) (struct{}, error) {
	l.mu.Lock()
	if l.lost != nil {
		defer l.mu.Unlock()
		return struct{}{}, &lockLost{l.lost}
	}
	l.mu.Unlock()
	return do(ctx, &l.line, l.sess.kill, func(ctx context.Context) (struct{}, error) {
		v, err := work(ctx)
		if !l.sess.usable(err) {
			l.end(err)
		}
		return v, err
	})
}

// lockLost marks that the session was found gone before anything was sent.
type lockLost struct{ err error }

func (e *lockLost) Error() string { return "the session that held the lock is gone" }

// end closes the session for good.
func (l *Lock) end(why error) {
	l.mu.Lock()
	first := l.lost == nil
	if first {
		if why == nil {
			why = errors.New("the connection is broken")
		}
		l.lost = why
	}
	l.mu.Unlock()
	if first {
		l.sess.kill()
	}
}

// ask sends a question and collects the rows of the result set whose first
// column starts with part.
func (l *Lock) ask(ctx context.Context, batch, part string) ([][]driver.Value, error) {
	// The rows belong to the goroutine that fills them until run says that it
	// has finished.
	var rows [][]driver.Value
	_, err := l.run(ctx, func(ctx context.Context) (struct{}, error) {
		var got [][]driver.Value
		err := l.sess.query(ctx, batch, func(cols []string) (rowFunc, error) {
			name, _, _ := strings.Cut(cols[0], ".")
			if name != part {
				return nil, nil
			}
			return func(row []driver.Value) error {
				got = append(got, append([]driver.Value(nil), row...))
				return nil
			}, nil
		})
		rows = got
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// failure makes the *Error of something that only asked, or whose effect does
// not matter beyond its answer.
func (l *Lock) failure(op string, err error) *Error {
	e := &Error{Op: op, DAG: l.side.opt.DAG, Side: l.side.opt.Side, Instance: l.target.label}
	return l.refine(e, err, e.about)
}

// refine handles what is the same for questions and statements.
func (l *Lock) refine(e *Error, err error, about func(error, *target) *Error) *Error {
	var ours *Error
	var gone *lockLost
	switch {
	case errors.As(err, &ours):
		c := *ours
		c.Op, c.DAG, c.Side, c.Instance = e.Op, e.DAG, e.Side, e.Instance
		return &c
	case errors.As(err, &gone):
		e.Class, e.Reason, e.Err, e.Remedy = ClassLockLost, ReasonRefused, errors.New(gone.Error()), remedies[ClassLockLost]
		return e
	default:
		return about(err, &l.target)
	}
}

// Identity of the instance that the session is connected to, as it was when
// the lock was taken.
func (l *Lock) Identity() hadr.Identity { return l.id }

// Resource is the lock's name.
func (l *Lock) Resource() string { return l.resource }

// Alive reports that nothing was seen yet that ended the session. It does not
// ask the server; Held does.
func (l *Lock) Alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost == nil
}

// Held asks the server, in the pinned session, whether the lock is still ours.
// false without an error is a sure no.
func (l *Lock) Held(ctx context.Context) (bool, error) {
	const op = "check the lock"
	rows, err := l.ask(ctx, "SET NOCOUNT ON;\nSELECT APPLOCK_MODE(N'dbo', "+nliteral(l.resource)+", N'Session') AS [held.mode];\n", "held")
	var gone *lockLost
	if errors.As(err, &gone) {
		return false, nil
	}
	if err != nil {
		return false, l.failure(op, err)
	}
	c := &columns{row: first(rows)}
	mode := c.text()
	if c.err != nil {
		return false, l.failure(op, c.err)
	}
	return strings.EqualFold(mode, "Exclusive"), nil
}

// releaseTime bounds Release.
const releaseTime = 3 * time.Second

// Release gives the lock back and closes the session. It is bounded by itself
// and safe to call twice. Closing the session releases the lock by itself, so
// an error here is worth a log line and no more.
func (l *Lock) Release() error {
	if !l.Alive() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	_, err := l.run(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.sess.exec(ctx, "SET NOCOUNT ON;\nEXEC sp_releaseapplock @Resource = "+nliteral(l.resource)+", @LockOwner = N'Session', @DbPrincipal = N'dbo';\n")
	})
	l.end(errors.New("released"))
	if err != nil {
		return l.failure("release the lock", err)
	}
	return nil
}

// Do runs one statement behind its guards, as one batch in the pinned session.
// nil means that the server accepted it, not that it took effect: the role
// changes later. An *Error whose SurelyNothingDone is true means that it did
// not happen; everything else is pending until its effect is read.
//
// Do is not for ctx's that are about to end: a statement that ran into the end
// of its context is pending even if the server would have refused it.
func (l *Lock) Do(ctx context.Context, stmt Statement, g Guard) error {
	e := &Error{Op: string(stmt.Kind), DAG: l.side.opt.DAG, Side: l.side.opt.Side, Instance: l.target.label}
	if err := l.checkStatement(stmt); err != nil {
		return l.refine(e, errThrown("%w", err), e.aboutAct)
	}
	if err := g.check(stmt.Kind); err != nil {
		return l.refine(e, errThrown("%w", err), e.aboutAct)
	}
	if g.ServerName != l.id.ServerName || g.StartTime != l.id.StartTime {
		return l.refine(e, errThrown("the lock is on %s (started %s), the plan is about %s (started %s)",
			l.id.ServerName, l.id.StartTime, g.ServerName, g.StartTime), e.aboutAct)
	}
	if g.RSSTC.OK && l.id.Major < v2022 {
		g.RSSTC = hadr.Opt[int64]{} // a DAG has none before 2022
	}
	batch := guardedBatch(l.side.names, l.resource, stmt, g)
	_, err := l.run(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.sess.exec(ctx, batch)
	})
	if err == nil {
		return nil
	}
	return l.refine(e, err, e.aboutAct)
}

// checkStatement lets through what Render made for this DAG, and nothing else.
func (l *Lock) checkStatement(stmt Statement) error {
	head := "ALTER AVAILABILITY GROUP " + ident(l.side.names.group) + " "
	if stmt.Kind == "" || !strings.HasPrefix(stmt.SQL, head) {
		return errors.New("the statement is not one about this DAG")
	}
	if (stmt.Kind == KindRequire0 || stmt.Kind == KindRequire1) && l.id.Major < v2022 {
		return fmt.Errorf("a distributed AG has no REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT before SQL Server 2022, and this is %s", l.id.Version)
	}
	return nil
}

// guid is a uniqueidentifier as it is written. Anything else would be an error of
// conversion on the server, and not a guard.
var guid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// ClearRequired sets REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT of the DAG to
// 0 on the instance that is PRIMARY of the local AG, in a session of its own:
// it needs neither the lock nor the pinned session nor the reading one, and may
// be repeated until a reading shows 0. It goes to every configured instance at
// the same time, so that one that hangs does not delay it; nil means that at
// least one of them accepted it.
//
// group is the DAG's group_id as the plan has it. Another group that answers to
// the same name behind a changed DSN is refused (ClassGuardRefused), and so is an
// id that is none. "" is an id that nobody knows: the name has to do.
func (s *Side) ClearRequired(ctx context.Context, group string) error {
	const op = string(KindRequire0)
	if group != "" && !guid.MatchString(group) {
		return &Error{Op: op, DAG: s.opt.DAG, Side: s.opt.Side, Class: ClassGuardRefused, Err: errors.New("the plan's group id is not a GUID")}
	}
	list, err := s.list(op)
	if err != nil {
		return err
	}
	stmt, err := Render(KindRequire0, s.opt.Group)
	if err != nil {
		return err
	}
	results := make(chan *Error, len(list))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, in := range list {
		go func() { results <- s.clearOn(ctx, op, group, in, stmt) }()
	}
	var worst *Error
	for range list {
		e := <-results
		if e == nil {
			return nil
		}
		// An instance that is not primary tells least.
		if worst == nil || worst.Class == ClassGuardRefused {
			worst = e
		}
	}
	return worst
}

func (s *Side) clearOn(ctx context.Context, op, group string, in *instance, stmt Statement) *Error {
	sess, err := connect(ctx, in.target)
	if err != nil {
		return s.failure(op, in, &connectError{err})
	}
	e := &Error{Op: op, DAG: s.opt.DAG, Side: s.opt.Side, Instance: in.target.label}
	if sess.probe.major < v2022 {
		sess.kill()
		e.Class, e.Reason, e.Err = ClassVersion, ReasonVersion, fmt.Errorf("a distributed AG has no such setting before SQL Server 2022, and this is %s", sess.probe.version)
		return e
	}
	var l line
	_, err = do(ctx, &l, sess.kill, func(ctx context.Context) (struct{}, error) {
		defer sess.kill()
		return struct{}{}, sess.exec(ctx, clearBatch(s.names, group, stmt))
	})
	if err == nil {
		return nil
	}
	return e.aboutAct(err, &in.target)
}
