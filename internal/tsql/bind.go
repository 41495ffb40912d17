package tsql

// Before a batch runs, every statement is compiled once, so that a mistake in the last one keeps the first one from running: an unknown column (207)
// of an existing table ends the whole batch. What is not there yet (208: a temporary table that the batch will make) waits until its statement runs, and so
// does what SQL Server has and the host has not, which a script may ask for under a condition that does not hold.

type binder struct {
	x       *executor
	stopped bool // after USE, names mean something else
	err     *Error
	loops   int
}

// bindAll declares the batch's variables and compiles its statements; the first error that ends the batch comes back.
func (x *executor) bindAll(list []stmt) *Error {
	b := &binder{x: x}
	_, err := x.try(func() flow { b.list(list); return flow{} })
	if err != nil {
		return err
	}
	return b.err
}

func (b *binder) list(list []stmt) {
	for _, s := range list {
		b.stmt(s)
	}
}

// dry compiles something; only errors of compile scope count, and not missing objects.
func (b *binder) dry(line int, f func(c *compiler)) {
	if b.stopped || b.err != nil {
		return
	}
	_, err := b.x.try(func() flow {
		c := b.x.compiler(line)
		c.x.dry = true
		f(c)
		return flow{}
	})
	if err == nil || err.scope != scopeCompile || err.waits {
		return
	}
	if err.Line == 0 {
		err.Line = int32(line)
	}
	b.err = err
}

func (b *binder) exprs(line int, list ...expr) {
	for _, e := range list {
		if e != nil {
			b.dry(line, func(c *compiler) {
				if isPredicate(e) {
					c.pred(e)
				} else {
					c.comp(e)
				}
			})
		}
	}
}

func (b *binder) stmt(s stmt) {
	line := s.at()
	switch t := s.(type) {
	case *blockStmt:
		b.list(t.list)
	case *ifStmt:
		b.exprs(line, t.cond)
		b.stmt(t.then)
		if t.els != nil {
			b.stmt(t.els)
		}
	case *whileStmt:
		b.exprs(line, t.cond)
		b.loops++
		b.stmt(t.body)
		b.loops--
	case *breakStmt:
		if b.loops == 0 {
			failCompile(line, 135, 15, 1, "Cannot use a BREAK statement outside the scope of a WHILE statement.")
		}
	case *continueStmt:
		if b.loops == 0 {
			failCompile(line, 136, 15, 1, "Cannot use a CONTINUE statement outside the scope of a WHILE statement.")
		}
	case *tryStmt:
		b.list(t.body)
		b.list(t.catch)
	case *returnStmt:
		b.exprs(line, t.x)
	case *declareStmt:
		for _, d := range t.items {
			v := &variable{typ: d.typ}
			if d.cols != nil {
				v.table = b.x.tableVariable(d)
			}
			b.x.f.declare(line, d.name, v)
			b.exprs(line, d.init)
		}
	case *setVarStmt:
		b.dry(line, func(c *compiler) { c.setter(t.name, t.op, c.comp(t.x)) })
	case *selectStmt:
		b.dry(line, func(c *compiler) { c.statement(t.q) })
	case *insertStmt:
		b.dry(line, func(c *compiler) { b.x.compileInsert(c, t) })
	case *updateStmt:
		b.dry(line, func(c *compiler) { b.x.compileUpdate(c, t) })
	case *deleteStmt:
		b.dry(line, func(c *compiler) { b.x.compileDelete(c, t) })
	case *printStmt:
		b.exprs(line, t.x)
	case *throwStmt:
		b.exprs(line, t.args...)
	case *raiseStmt:
		b.exprs(line, t.args...)
	case *waitStmt:
		b.exprs(line, t.x)
	case *execStmt:
		b.exprs(line, t.text...)
		for _, a := range t.args {
			b.exprs(line, a.x)
		}
		if t.rc != "" {
			b.exprs(line, &varExpr{t.rc, line})
		}
		if t.pathOf != "" {
			b.exprs(line, &varExpr{t.pathOf, line})
		}
	case *cursorDecl:
		b.dry(line, func(c *compiler) {
			if p := c.statement(t.q); p.assign {
				failCompile(line, 141, 15, 1, "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.")
			}
		})
	case *fetchStmt:
		b.exprs(line, t.n)
		for _, v := range t.into {
			b.exprs(line, &varExpr{v, line})
		}
	case *useStmt:
		b.stopped = true
	case *foreignStmt:
		if k, ok := b.x.s.host.(ForeignChecker); ok && !b.stopped && b.err == nil {
			if err := k.CheckForeign(t.text); err != nil {
				e := *err
				e.scope = scopeCompile
				e.Line += int32(line)
				if err.Line > 0 {
					e.Line--
				}
				b.err = &e
			}
		}
	}
}

// ForeignChecker may be implemented by a [Host]: it looks at the syntax of a statement that [Host.Foreign] will run, before anything of the batch runs.
// The error's Line counts from 1 within the text.
type ForeignChecker interface {
	CheckForeign(text string) *Error
}
