package tsql

// Conditions: comparisons, and what has three truth values.

func opName(op string) string {
	switch op {
	case "+":
		return "add"
	case "-":
		return "subtract"
	case "*":
		return "multiply"
	case "/":
		return "divide"
	case "%":
		return "modulo"
	case "&":
		return "'&'"
	case "|":
		return "'|'"
	case "^":
		return "'^'"
	case "=":
		return "equal to"
	case "<>":
		return "not equal to"
	case "<":
		return "less than"
	case ">":
		return "greater than"
	case "<=":
		return "less than or equal to"
	}
	return "greater than or equal to"
}

// comparator gives a three-way comparison of two operands, each brought to their common type; ok false at run time means NULL.
func (c *compiler) comparator(a, b cx, op string) func(*env) (int, bool) {
	coll := c.pairRules(opName(op), a, b)
	if a.t.Kind == KindXML || b.t.Kind == KindXML {
		failCompile(c.x.line, 305, 16, 1, "The xml data type cannot be compared or sorted, except when using the IS NULL operator.")
	}
	af, bf := a.f, b.f
	exact := func(t Type) bool { return t.IsInteger() || t.Kind == KindDecimal || t.Kind == KindMoney }
	switch {
	case a.t.Kind == KindNull || b.t.Kind == KindNull:
		return func(*env) (int, bool) { return 0, false }
	case a.t.IsInteger() && b.t.IsInteger() && a.t.Kind != KindBit && b.t.Kind != KindBit:
	case exact(a.t) && exact(b.t) && (a.t.Kind >= KindMoney || b.t.Kind >= KindMoney):
		af, bf = asDecimal(af), asDecimal(bf)
	default:
		t, ok := common(a.t, b.t)
		if !ok {
			if a.t.IsTemporal() && b.t.IsTemporal() {
				failCompile(c.x.line, 402, 16, 1, "The data types %s and %s are incompatible in the %s operator.", a.t.Kind, b.t.Kind, opName(op))
			}
			failCompile(c.x.line, 206, 16, 2, "Operand type clash: %s is incompatible with %s", a.t.Kind, b.t.Kind)
		}
		wide := t
		if t.IsString() || t.IsBinary() {
			wide.Len = MaxLen
			if t.Kind == KindChar {
				wide.Kind = KindVarChar
			} else if t.Kind == KindNChar {
				wide.Kind = KindNVarChar
			} else if t.Kind == KindBinary {
				wide.Kind = KindVarBinary
			}
		}
		if t.Kind == KindDecimal { // a text meets a number: any precision will do
			if a.t.IsString() {
				wide = Numeric(38, b.t.Scale)
			} else if b.t.IsString() {
				wide = Numeric(38, a.t.Scale)
			}
		}
		af, bf = c.to(a, wide).f, c.to(b, wide).f
	}
	return func(e *env) (int, bool) {
		x := af(e)
		if x == nil {
			return 0, false
		}
		y := bf(e)
		if y == nil {
			return 0, false
		}
		return compareValues(x, y, coll), true
	}
}

func asDecimal(f valueFn) valueFn {
	return func(e *env) any {
		switch v := f(e).(type) {
		case int64:
			return decimalFromInt(v)
		case bool:
			if v {
				return decimalFromInt(1)
			}
			return decimalFromInt(0)
		case nil:
			return nil
		default:
			return v
		}
	}
}

func (c *compiler) compare(op string, a, b cx) predFn {
	cmp := c.comparator(a, b, op)
	want := func(test func(int) bool) predFn {
		return func(e *env) tri {
			n, ok := cmp(e)
			if !ok {
				return unknown
			}
			return truth(test(n))
		}
	}
	switch op {
	case "=":
		return want(func(n int) bool { return n == 0 })
	case "<>":
		return want(func(n int) bool { return n != 0 })
	case "<":
		return want(func(n int) bool { return n < 0 })
	case "<=":
		return want(func(n int) bool { return n <= 0 })
	case ">":
		return want(func(n int) bool { return n > 0 })
	}
	return want(func(n int) bool { return n >= 0 })
}

// pred compiles a condition.
func (c *compiler) pred(x expr) predFn {
	c.enter()
	defer c.leave()
	switch e := x.(type) {
	case *binExpr:
		if isCompare(e.op) {
			return c.compare(e.op, c.comp(e.l), c.comp(e.r))
		}
		if e.op == "AND" || e.op == "OR" {
			l, r := c.pred(e.l), c.pred(e.r)
			if e.op == "AND" {
				return func(e *env) tri {
					a := l(e)
					if a == no {
						return no
					}
					b := r(e)
					if b == no {
						return no
					}
					if a == yes && b == yes {
						return yes
					}
					return unknown
				}
			}
			return func(e *env) tri {
				a := l(e)
				if a == yes {
					return yes
				}
				b := r(e)
				if b == yes {
					return yes
				}
				if a == no && b == no {
					return no
				}
				return unknown
			}
		}
	case *unaryExpr:
		if e.op == "NOT" {
			p := c.pred(e.x)
			return func(e *env) tri { return p(e).not() }
		}
	case *isNullExpr:
		f, not := c.comp(e.x).f, e.not
		return func(e *env) tri { return truth((f(e) == nil) != not) }
	case *betweenExpr:
		v := c.comp(e.x)
		lo, hi := c.compare(">=", v, c.comp(e.lo)), c.compare("<=", v, c.comp(e.hi))
		not := e.not
		return func(e *env) tri {
			r := lo(e)
			if r != no {
				if h := hi(e); h == no || r == yes {
					r = h
				}
			}
			if not {
				return r.not()
			}
			return r
		}
	case *inExpr:
		return c.in(e)
	case *likeExpr:
		return c.like(e)
	case *existsExpr:
		q := c.subquery(e.q)
		return func(e *env) tri {
			found := false
			q.each(e, func([]any) bool { found = true; return false })
			return truth(found)
		}
	case *quantExpr:
		return c.quantified(e)
	}
	failCompile(c.x.line, 4145, 15, 1, "An expression of non-boolean type specified in a context where a condition is expected.")
	return nil
}

func (c *compiler) in(e *inExpr) predFn {
	v := c.comp(e.x)
	if e.q != nil {
		q := c.subquery(e.q)
		c.oneColumn(q, e.line)
		return c.member(v, q, "=", false, e.not)
	}
	tests := make([]predFn, len(e.list))
	for i, x := range e.list {
		tests[i] = c.compare("=", v, c.comp(x))
	}
	not := e.not
	return func(e *env) tri {
		r := no
		for _, t := range tests {
			switch t(e) {
			case yes:
				r = yes
			case unknown:
				r = unknown
			}
			if r == yes {
				break
			}
		}
		if not {
			return r.not()
		}
		return r
	}
}

func (c *compiler) oneColumn(q *subplan, line int) {
	if len(q.cols) != 1 {
		failCompile(c.line(line), 116, 16, 1, "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.")
	}
}

// member tests v op ANY/ALL (q); IN is = ANY.
func (c *compiler) member(v cx, q *subplan, op string, all, not bool) predFn {
	var cur any
	row := cx{f: func(*env) any { return cur }, t: q.cols[0].Type, null: true, label: q.labels[0]}
	test := c.compare(op, v, row)
	var set map[any]bool
	var sawNull bool
	hashable := op == "=" && !all && canHash(v.t, row.t)
	kv, kr := hashForm(v, row)
	coll := c.pairRules(opName(op), v, row)
	return func(e *env) tri {
		if hashable && !q.correlated {
			if set == nil {
				set = map[any]bool{}
				q.each(e, func(r []any) bool {
					cur = r[0]
					if k := kr(e); k == nil {
						sawNull = true
					} else {
						set[hashKey(k, coll)] = true
					}
					return true
				})
			}
			r := no
			if x := kv(e); x == nil && (len(set) > 0 || sawNull) {
				r = unknown
			} else if x != nil && set[hashKey(x, coll)] {
				r = yes
			} else if sawNull {
				r = unknown
			}
			if not {
				return r.not()
			}
			return r
		}
		r := truth(all)
		q.each(e, func(row []any) bool {
			cur = row[0]
			switch t := test(e); {
			case t == unknown:
				r = unknown
			case all && t == no:
				r = no
				return false
			case !all && t == yes:
				r = yes
				return false
			}
			return true
		})
		if not {
			return r.not()
		}
		return r
	}
}

func (c *compiler) quantified(e *quantExpr) predFn {
	v := c.comp(e.x)
	q := c.subquery(e.q)
	c.oneColumn(q, e.line)
	return c.member(v, q, e.op, e.all, false)
}

func (c *compiler) like(e *likeExpr) predFn {
	v, p := c.comp(e.x), c.comp(e.pat)
	vs, ps := c.text(v), c.text(p)
	coll := c.pairRules("like", vs, ps)
	var esc valueFn
	if e.esc != nil {
		m := c.comp(e.esc)
		if m.lab().rank != labelDefault {
			notImplemented(c.x.line, "an escape character with a collation of its own (COLLATE belongs to the text or to the pattern)")
		}
		esc = c.text(m).f
	}
	not := e.not
	return func(e *env) tri {
		s, pat := vs.f(e), ps.f(e)
		if s == nil || pat == nil {
			return unknown
		}
		var mark rune
		if esc != nil {
			m := esc(e)
			if m == nil {
				return unknown
			}
			r := []rune(m.(string))
			if len(r) != 1 {
				fail(506, 16, 1, "The invalid escape character \"%s\" was specified in a LIKE predicate.", m)
			}
			mark = r[0]
		}
		return truth(coll.like(s.(string), pat.(string), mark) != not)
	}
}

// text brings any value to a string, as LIKE, + and the string functions do.
func (c *compiler) text(a cx) cx {
	if a.t.IsString() {
		return a
	}
	n := 4000
	switch {
	case a.t.Kind == KindXML:
		failCompile(c.x.line, 8116, 16, 1, "Argument data type xml is invalid for argument 1 of like function.")
	case a.t.IsInteger():
		n = 20
	case a.t.Kind == KindDecimal || a.t.Kind == KindMoney:
		n = 41
	case a.t.Kind == KindUniqueIdentifier:
		n = 36
	case a.t.Kind == KindFloat || a.t.Kind == KindReal:
		n = 23
	case a.t.IsTemporal():
		n = 34
	case a.t.IsBinary():
		return c.to(a, VarChar(8000))
	}
	return c.to(a, VarChar(n))
}
