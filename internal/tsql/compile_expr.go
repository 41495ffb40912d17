package tsql

import "strings"

// comp compiles an expression with a value.
func (c *compiler) comp(x expr) cx {
	c.enter()
	defer c.leave()
	if g := c.sc.grouped(); g != nil {
		if r, ok := g.match(c, x); ok {
			return r
		}
	}
	switch e := x.(type) {
	case *litExpr:
		k := constant(e.val, e.typ)
		k.lit = true
		return k
	case *varExpr:
		v := c.x.f.lookup(e.name)
		if v == nil || v.table != nil {
			failCompile(c.line(e.line), 137, 15, 2, "Must declare the scalar variable \"%s\".", e.name)
		}
		return cx{f: func(*env) any { return v.val }, t: v.typ, null: true}
	case *globalExpr:
		return c.global(e)
	case *colExpr:
		return c.column(e)
	case *starExpr:
		failCompile(c.line(e.line), 102, 15, 1, "Incorrect syntax near '*'.")
	case *unaryExpr:
		return c.unary(e)
	case *binExpr:
		if !isCompare(e.op) && !isLogic(e.op) {
			return c.arith(e.op, c.comp(e.l), c.comp(e.r), e.line)
		}
	case *subExpr:
		q := c.subquery(e.q)
		c.oneColumn(q, e.line)
		return cx{f: q.scalar, t: q.cols[0].Type, null: true, label: q.labels[0]}
	case *caseExpr:
		return c.caseOf(e)
	case *castExpr:
		return c.cast(e)
	case *collateExpr:
		return c.collate(e)
	case *callExpr:
		return c.call(e)
	case *methodExpr:
		return c.method(e)
	case *defaultExpr:
		failCompile(c.x.line, 156, 15, 1, "Incorrect syntax near the keyword 'DEFAULT'.")
	}
	failCompile(c.x.line, 102, 15, 1, "Incorrect syntax near '='.")
	return cx{}
}

func (c *compiler) collate(e *collateExpr) cx {
	line := c.line(e.line)
	if _, twice := e.x.(*collateExpr); twice {
		notImplemented(line, "COLLATE on an expression that has a COLLATE already, which SQL Server does not allow")
	}
	a := c.comp(e.x)
	info := c.x.s.collationFor(line, e.name, a.t)
	if a.lab().rank == labelNone && !a.t.IsUnicode() {
		c.both(a.label.clash, "COLLATE", 6)
	}
	a.label = label{rank: labelExplicit, coll: info}
	return a
}

// both is error 446: what an operation made has no collation, and another operation needs one. Its text is assumed.
func (c *compiler) both(k *clash, op string, state uint8) {
	failCompile(c.x.line, 446, 16, state, "Cannot resolve collation conflict between %s in %s operator for %s operation.", k.pair(), k.op, op)
}

func (sc *scope) grouped() *grouping {
	if sc == nil {
		return nil
	}
	return sc.group
}

// method is xml's .value(path, type), for the one idiom that scripts use to undo FOR XML's escaping.
func (c *compiler) method(e *methodExpr) cx {
	a := c.comp(e.x)
	if e.name != "value" || a.t.Kind != KindXML || len(e.args) != 2 {
		notImplemented(c.line(e.line), "the xml method "+e.name)
	}
	path, ok1 := e.args[0].(*litExpr)
	typ, ok2 := e.args[1].(*litExpr)
	if !ok1 || !ok2 {
		failCompile(c.line(e.line), 8172, 16, 1, "The argument 1 of the XML data type method \"value\" must be a string literal.")
	}
	p, _ := path.val.(string)
	if p != "." && p != "./text()[1]" && p != "text()[1]" && p != "(./text())[1]" && p != "(.)[1]" {
		notImplemented(c.line(e.line), "the xml path '"+p+"'")
	}
	name, _ := typ.val.(string)
	t, err := ParseType(name)
	check(err)
	from := NVarChar(MaxLen)
	conv := conversion(from, t, 0, true)
	return cx{t: t, null: true, f: func(e *env) any {
		v := a.f(e)
		if v == nil {
			return nil
		}
		var s any = xmlUnescape(v.(string))
		if conv != nil {
			s = conv(s)
		}
		return s
	}}
}

func xmlUnescape(s string) string {
	for strings.Contains(s, "<") { // an element's text: the tags go
		i := strings.IndexByte(s, '<')
		j := strings.IndexByte(s[i:], '>')
		if j < 0 {
			break
		}
		s = s[:i] + s[i+j+1:]
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&#x0D;", "\r").Replace(s)
}

func (c *compiler) caseOf(e *caseExpr) cx {
	conds := make([]predFn, len(e.whens))
	results := make([]cx, 0, len(e.whens)+1)
	var operand cx
	if e.operand != nil {
		operand = c.comp(e.operand)
	}
	for i, w := range e.whens {
		if e.operand != nil {
			conds[i] = c.compare("=", operand, c.comp(w.cond))
		} else {
			conds[i] = c.pred(w.cond)
		}
		results = append(results, c.comp(w.then))
	}
	els := constant(nil, Type{})
	if e.els != nil {
		els = c.comp(e.els)
	}
	results = append(results, els)
	allNull := true
	for _, r := range results {
		allNull = allNull && r.konst && r.val == nil
	}
	if allNull {
		failCompile(c.x.line, 8133, 16, 1, "At least one of the result expressions in a CASE specification must be an expression other than the NULL constant.")
	}
	fs, out := c.unify("CASE", results)
	last := fs[len(fs)-1]
	out.f = func(e *env) any {
		for i, p := range conds {
			if p(e) == yes {
				return fs[i](e)
			}
		}
		return last(e)
	}
	return out
}

// unify brings several results to one type, as CASE, COALESCE, IIF and UNION do.
func (c *compiler) unify(op string, list []cx) ([]valueFn, cx) {
	var t Type
	out := cx{}
	for _, r := range list {
		n, ok := common(t, r.t)
		if !ok {
			failCompile(c.x.line, 206, 16, 2, "Operand type clash: %s is incompatible with %s", r.t.Kind, t.Kind)
		}
		t = n
		out.null = out.null || r.null
	}
	if t.Kind == KindNull {
		t = Int
	}
	for i, r := range list {
		if i == 0 {
			out.label = r.lab()
		} else if t.IsString() {
			out.label = c.made(op, t, out.label, r.lab())
		}
	}
	fs := make([]valueFn, len(list))
	for i, r := range list {
		fs[i] = c.to(r, t).f
	}
	out.t = t
	return fs, out
}

func (c *compiler) cast(e *castExpr) cx {
	a := c.comp(e.x)
	style := constant(int64(0), Int)
	if e.style != nil {
		style = c.to(c.comp(e.style), Int)
	}
	out := cx{t: e.typ, null: a.null || e.try, label: a.lab(), konst: a.konst && style.konst}
	if e.typ.IsString() {
		if !e.typ.IsUnicode() && out.label.rank == labelNone {
			c.both(out.label.clash, "CONVERT", 20)
		}
		checkWide(c.line(e.line), out.label.coll, e.typ)
	}
	if a.t.Kind == KindNull {
		return constant(nil, e.typ)
	}
	run := func(v any, st int) any {
		if conv := conversion(a.t, e.typ, st, true); conv != nil {
			return conv(v)
		}
		return v
	}
	func() { // a conversion that does not exist is found now
		defer func() {
			if r := recover(); r != nil {
				if err, ok := r.(*Error); ok {
					err.Line = int32(c.line(e.line))
				}
				panic(r)
			}
		}()
		conversion(a.t, e.typ, 0, true)
	}()
	af, sf := a.f, style.f
	if style.konst && style.val != nil {
		conv := conversion(a.t, e.typ, int(style.val.(int64)), true)
		if conv == nil {
			conv = func(v any) any { return v }
		}
		run = func(v any, _ int) any { return conv(v) }
	}
	out.f = func(e *env) any {
		v := af(e)
		if v == nil {
			return nil
		}
		st := sf(e)
		if st == nil {
			return nil
		}
		return run(v, int(st.(int64)))
	}
	if e.try {
		f := out.f
		out.f = func(e *env) (v any) {
			defer func() {
				if r := recover(); r != nil {
					if err, ok := r.(*Error); !ok || !conversionError(err.Number) {
						panic(r)
					}
					v = nil
				}
			}()
			return f(e)
		}
	}
	return out.foldConst()
}

func conversionError(n int32) bool {
	switch n {
	case 220, 232, 235, 241, 242, 244, 245, 248, 8114, 8115, 8169, 8170:
		return true
	}
	return false
}
