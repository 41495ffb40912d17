package tsql

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// executor runs one level: a batch, or a nested text.
type executor struct {
	s    *Session
	ctx  context.Context
	sink Sink
	f    *frame
	rc   int32
	// capture takes result sets instead of the sink: INSERT … EXEC.
	capture *captured
}

type captured struct {
	cols []Column
	rows [][]any
}

type flowKind uint8

const (
	flowNext flowKind = iota
	flowBreak
	flowContinue
	flowReturn
	flowThrow // to the nearest TRY; err is not sent yet
	flowAbort // the whole request ends; everything is sent
	flowLeave // this level ends; everything is sent
)

type flow struct {
	kind flowKind
	err  *Error
}

func (x *executor) sent(err error) {
	if err != nil {
		panic(sinkError{err})
	}
}

func (x *executor) done(d DoneInfo) {
	if x.capture != nil && !d.Failed {
		return
	}
	if x.s.opts.nocount {
		d.HasCount = false
	}
	d.InTran = x.s.tranCount > 0
	x.sent(x.sink.Done(d))
}

// batch parses, binds and runs a text in the executor's frame.
func (x *executor) batch(text string) flow {
	list, err := parseBatch(text, x.s.opt.MaxDepth)
	if x.s.refused != nil {
		err = x.s.refused
	}
	if err == nil {
		err = x.bindAll(list)
	}
	if err != nil {
		return x.failed(err, base{1})
	}
	return x.list(list)
}

func (x *executor) endOfBatch() {
	if x.s.doomed {
		x.rollback()
		e := NewError(3998, 16, 1, "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.")
		e.Line = 1
		x.sent(x.sink.Error(e))
		x.done(DoneInfo{Failed: true})
	}
}

func (x *executor) list(list []stmt) flow {
	for _, s := range list {
		if f := x.stmt(s); f.kind != flowNext {
			return f
		}
	}
	return flow{}
}

// run makes the state of one statement's evaluation.
func (x *executor) run(line int) *run {
	return &run{ctx: x.ctx, s: x.s, f: x.f, now: x.s.host.Now(), line: line, left: x.s.opt.MaxRows, tables: map[string]*tableData{}}
}

func (x *executor) compiler(line int) *compiler {
	return &compiler{x: x.run(line), sc: &scope{}}
}

// statement runs f, and turns a SQL error in it into what SQL Server would do.
func (x *executor) statement(b base, f func() flow) flow {
	r, err := x.try(f)
	if err != nil {
		return x.failed(err, b)
	}
	return r
}

func (x *executor) try(f func() flow) (r flow, err *Error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Error:
			err = p
		default:
			panic(p)
		}
	}()
	if x.ctx.Err() != nil {
		panic(cancelled{context.Cause(x.ctx)})
	}
	return f(), nil
}

// failed decides what an error of a statement does.
func (x *executor) failed(e *Error, b base) flow {
	if errCtx := x.ctx.Err(); errCtx != nil {
		panic(cancelled{context.Cause(x.ctx)})
	}
	if e.Line == 0 || e.Procedure == "" && e.Line < 0 {
		k := *e
		k.Line = int32(b.line)
		e = &k
	}
	s := x.s
	last := e.last()
	s.lastError, s.rowCount = last.Number, 0
	if e.Class >= 20 {
		x.sent(x.sink.Error(e))
		x.sent(x.sink.Done(DoneInfo{Failed: true}))
		panic(fatal{e})
	}
	dooms := e.scope == scopeBatch || s.opts.xactAbort && e.scope != scopeCompile && e.scope != scopeRaise
	catching := s.tries
	if e.scope == scopeCompile {
		catching -= x.f.tries // not the TRY blocks of its own level
	}
	if catching > 0 {
		if dooms && s.tranCount > 0 {
			s.doomed = true
		}
		return flow{flowThrow, last}
	}
	if dooms && s.tranCount > 0 {
		x.rollback()
	}
	x.sent(x.sink.Error(e))
	if last != e {
		x.sent(x.sink.Error(last))
	}
	x.done(DoneInfo{Failed: true})
	switch {
	case e.scope == scopeCompile:
		return flow{kind: flowLeave}
	case dooms || e.scope == scopeThrow:
		return flow{kind: flowAbort}
	}
	return flow{}
}

// cond evaluates a condition of IF or WHILE.
func (x *executor) cond(line int, e expr) bool {
	release := x.acquire()
	defer release()
	return x.compiler(line).pred(e)(&env{}) == yes
}

func (x *executor) value(line int, e expr) (any, Type) {
	release := x.acquire()
	defer release()
	v := x.compiler(line).comp(e)
	return v.f(&env{}), v.t
}

func (x *executor) valueAs(line int, e expr, t Type) any {
	release := x.acquire()
	defer release()
	c := x.compiler(line)
	return c.to(c.comp(e), t).f(&env{})
}

func (x *executor) acquire() func() {
	if x.s.opt.Acquire == nil {
		return func() {}
	}
	release, err := x.s.opt.Acquire(x.ctx)
	if err != nil {
		panic(cancelled{err})
	}
	return release
}

func (x *executor) stmt(s stmt) flow {
	b := base{s.at()}
	switch t := s.(type) {
	case *blockStmt:
		return x.list(t.list)
	case *ifStmt:
		return x.ifStmt(t)
	case *whileStmt:
		return x.while(t)
	case *tryStmt:
		return x.tryCatch(t)
	case *breakStmt:
		return flow{kind: flowBreak}
	case *continueStmt:
		return flow{kind: flowContinue}
	case *returnStmt:
		return x.statement(b, func() flow {
			if t.x != nil {
				if v, ok := x.valueAs(b.line, t.x, Int).(int64); ok {
					x.rc = int32(v)
				}
			}
			return flow{kind: flowReturn}
		})
	}
	if x.s.opts.noExec {
		if o, ok := s.(*setOptStmt); !ok || o.names[0] != "NOEXEC" && o.names[0] != "PARSEONLY" {
			return flow{}
		}
	}
	return x.statement(b, func() flow { return x.guarded(s) })
}

// guarded runs a simple statement, in which a nested level may have ended in its own way (INSERT … EXEC).
func (x *executor) guarded(s stmt) (r flow) {
	if f := x.catchFlow(func() { r = x.simple(s) }); f.kind != flowNext {
		return f
	}
	return r
}

func (x *executor) ifStmt(t *ifStmt) flow {
	var hit bool
	if f := x.statement(t.base, func() flow { hit = x.cond(t.line, t.cond); return flow{} }); f.kind != flowNext {
		return f
	}
	if x.s.lastError != 0 && !hit {
		x.s.lastError = 0
	}
	switch {
	case hit:
		return x.stmt(t.then)
	case t.els != nil:
		return x.stmt(t.els)
	}
	return flow{}
}

func (x *executor) while(t *whileStmt) flow {
	for {
		var hit, ok bool
		if f := x.statement(t.base, func() flow { hit = x.cond(t.line, t.cond); ok = true; return flow{} }); f.kind != flowNext {
			return f
		}
		if !hit || !ok {
			return flow{}
		}
		switch f := x.stmt(t.body); f.kind {
		case flowBreak:
			return flow{}
		case flowNext, flowContinue:
		default:
			return f
		}
		if x.ctx.Err() != nil {
			panic(cancelled{context.Cause(x.ctx)})
		}
	}
}

func (x *executor) tryCatch(t *tryStmt) flow {
	s := x.s
	s.tries++
	x.f.tries++
	nest, tries := s.nest, s.tries
	f := x.list(t.body)
	s.tries = tries - 1
	x.f.tries--
	if f.kind != flowThrow || f.err.scope == scopeCompile {
		return f
	}
	s.nest = nest
	s.caught = append(s.caught, f.err)
	n := len(s.caught)
	s.lastError = f.err.Number
	r := x.list(t.catch)
	s.caught = s.caught[:min(n-1, len(s.caught))]
	return r
}

// simple runs a statement without statements inside. It may panic with *Error.
func (x *executor) simple(s stmt) flow {
	line := s.at()
	st := x.s
	switch t := s.(type) {
	case *declareStmt:
		for _, d := range t.items {
			if d.init != nil {
				x.f.lookup(d.name).val = x.valueAs(line, d.init, d.typ)
			}
		}
		return flow{}
	case *setVarStmt:
		release := x.acquire()
		c := x.compiler(line)
		func() {
			defer release()
			c.setter(t.name, t.op, c.comp(t.x))(&env{})
		}()
		st.rowCount = 1
	case *setOptStmt:
		v := t.value
		if strings.HasPrefix(v, "@") {
			vr := x.f.lookup(v)
			if vr == nil {
				failCompile(line, 137, 15, 2, "Must declare the scalar variable \"%s\".", v)
			}
			v = fmt.Sprint(vr.val)
		}
		for _, n := range t.names {
			x.option(n, v)
		}
	case *selectStmt:
		x.selectStmt(t)
	case *insertStmt:
		x.insert(t)
	case *updateStmt:
		x.update(t)
	case *deleteStmt:
		x.delete(t)
	case *printStmt:
		v, typ := x.value(line, t.x)
		text := " "
		if v != nil {
			text = toText(v, typ, NVarChar(4000), 0).(string)
		}
		e := NewError(0, 0, 1, "%s", text)
		e.Line = int32(line)
		x.sent(x.sink.Info(e))
		st.rowCount = 0
	case *throwStmt:
		x.throw(t)
	case *raiseStmt:
		return x.raiserror(t)
	case *waitStmt:
		x.wait(t)
		st.rowCount = 0
		x.done(DoneInfo{})
	case *execStmt:
		return x.exec(t)
	case *tranStmt:
		x.tran(t)
	case *useStmt:
		x.use(t.db)
	case *createTableStmt:
		x.createTemp(t)
		x.done(DoneInfo{})
	case *dropTableStmt:
		for _, p := range t.paths {
			if !st.dropTemp(p[len(p)-1]) && !t.ifExists {
				fail(3701, 11, 5, "Cannot drop the table '%s', because it does not exist or you do not have permission.", p[len(p)-1])
			}
		}
		x.done(DoneInfo{})
	case *truncateStmt:
		m := st.temp(t.path[len(t.path)-1])
		if m == nil {
			fail(4701, 16, 1, "Cannot find the object \"%s\" because it does not exist or you do not have permissions.", t.path[len(t.path)-1])
		}
		m.truncate()
		x.done(DoneInfo{})
	case *foreignStmt:
		check(st.host.Foreign(x.ctx, t.text, x.sink))
		st.rowCount = 0
		x.done(DoneInfo{})
	case *nopStmt:
		x.done(DoneInfo{})
	default:
		x.cursorStmt(s)
	}
	st.lastError = 0
	return flow{}
}

func (x *executor) wait(t *waitStmt) {
	v, typ := x.value(t.line, t.x)
	var d time.Duration
	switch w := v.(type) {
	case time.Time:
		d = time.Duration(w.Hour())*time.Hour + time.Duration(w.Minute())*time.Minute + time.Duration(w.Second())*time.Second + time.Duration(w.Nanosecond())
	case string:
		at, _, ok := parseTime(w)
		if !ok {
			failCompile(t.line, 148, 15, 1, "Incorrect time syntax in time string '%s' used with WAITFOR.", w)
		}
		d = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond())
	default:
		failCompile(t.line, 9815, 16, 1, "Waitfor delay and waitfor time cannot be of type %s.", typ.Kind)
	}
	if t.time {
		now := wall(x.s.host.Now())
		d -= now.Sub(time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC))
		if d < 0 {
			d += 24 * time.Hour
		}
	}
	if err := x.s.host.Sleep(x.ctx, d); err != nil {
		panic(cancelled{err})
	}
}

func (x *executor) use(db string) {
	old := x.s.host.Database()
	name, err := x.s.host.Use(x.ctx, db)
	if err != nil {
		panic(err)
	}
	x.sent(x.sink.Env(EnvChange{Kind: EnvDatabase, Old: old, New: name}))
	x.sent(x.sink.Info(NewError(5701, 0, 2, "Changed database context to '%s'.", name)))
	x.done(DoneInfo{})
}
