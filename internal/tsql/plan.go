package tsql

import "strings"

// plan is a compiled query: run pushes its rows, and reports whether it came to the end.
type plan struct {
	cols   []Column
	labels []label
	run    func(up *env, yield func(row []any) bool) bool
	assign bool // SELECT @x = …: rows carry nothing
	// untyped marks columns that are the literal NULL alone: in a UNION they take the other branch's type. Its length is 0 or that of cols.
	untyped []bool
}

// bare reports that column i is the literal NULL and nothing else.
func (p *plan) bare(i int) bool { return i < len(p.untyped) && p.untyped[i] }

// lift adapts a plan that was compiled under an extra, empty scope.
func (p *plan) lift() *plan {
	q := *p
	q.run = func(up *env, yield func([]any) bool) bool { return p.run(&env{up: up}, yield) }
	return &q
}

// subplan is a subquery in an expression; it is evaluated once if it does not depend on the outer row.
type subplan struct {
	plan
	correlated bool
	cache      [][]any
	cached     bool
}

func (c *compiler) subquery(q *queryExpr) *subplan {
	p, correlated := c.nested(q, c.sc)
	return &subplan{plan: *p, correlated: correlated}
}

func (q *subplan) each(e *env, yield func([]any) bool) {
	if q.correlated {
		q.run(e, yield)
		return
	}
	if !q.cached {
		q.run(e, func(r []any) bool { q.cache = append(q.cache, r); return true })
		q.cached = true
	}
	for _, r := range q.cache {
		if !yield(r) {
			return
		}
	}
}

func (q *subplan) scalar(e *env) any {
	var v any
	n := 0
	q.each(e, func(r []any) bool {
		v = r[0]
		n++
		return n < 2
	})
	if n > 1 {
		fail(512, 16, 1, "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.")
	}
	return v
}

// query compiles a whole query; top says that it is the statement itself.
func (c *compiler) query(q *queryExpr, top bool) *plan {
	c.enter()
	defer c.leave()
	save := c.ctes
	defer func() { c.ctes = save }()
	for i, k := range q.with {
		for _, o := range q.with[:i] {
			if c.x.s.EqualNames(o.name, k.name) {
				failCompile(c.x.line, 239, 16, 1, "Duplicate common table expression name '%s' was specified.", k.name)
			}
		}
		c.ctes = &cteScope{up: c.ctes, def: k}
	}
	// A CTE that nobody uses is compiled all the same, so that its mistakes are found.
	if len(q.with) > 0 {
		for k := c.ctes; k != save; k = k.up {
			if rec, ok := k.def.q.body.(*setOp); ok && rec.op == "UNION ALL" && c.refersTo(rec.r, k.def.name) {
				continue
			}
			saveC, saveS := c.ctes, c.sc
			c.ctes, c.sc = k.up, &scope{}
			p := c.query(k.def.q, false)
			c.rename(p.cols, k.def.cols, k.def.name, k.def.q.line)
			c.ctes, c.sc = saveC, saveS
		}
	}
	if !top && q.order != nil && q.offset == nil && q.xml == nil {
		if core, ok := q.body.(*selectCore); !ok || core.top == nil {
			failCompile(c.line(q.line), 1033, 15, 1, "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common table expressions, unless TOP, OFFSET or FOR XML is also specified.")
		}
	}
	var p *plan
	if core, ok := q.body.(*selectCore); ok && core.values == nil {
		p = c.core(core, q, top)
	} else {
		p = c.body(q.body, q, nil)
	}
	if q.xml != nil {
		p = c.forXML(p, q.xml)
	}
	return p
}

// body compiles set operators, VALUES and single SELECTs; q carries ORDER BY for the whole.
func (c *compiler) body(b queryBody, q *queryExpr, _ []string) *plan {
	c.enter()
	defer c.leave()
	switch n := b.(type) {
	case *selectCore:
		if n.values != nil {
			return c.valuesPlan(n.values)
		}
		return c.core(n, nil, false)
	case *setOp:
		p := c.setOp(n)
		if q != nil && q.order != nil {
			p = c.orderOutput(p, q)
		}
		return p
	}
	panic("tsql: unknown query body")
}

// output is one column of a SELECT list.
type output struct {
	cx
	name  string
	canon string
}

// expand replaces * and t.* by their columns.
func (c *compiler) expand(items []selectItem) []selectItem {
	var out []selectItem
	for _, it := range items {
		star, ok := it.x.(*starExpr)
		if !ok {
			out = append(out, it)
			continue
		}
		found := false
		for _, s := range c.sc.srcs {
			if len(star.qual) > 0 && !s.matches(c.x.s.names, star.qual) {
				continue
			}
			found = true
			for _, col := range s.cols {
				parts := append([]string{}, s.path...)
				if s.alias != "" {
					parts = []string{s.alias}
				}
				out = append(out, selectItem{x: &colExpr{append(parts, col.Name), star.line}})
			}
		}
		if !found {
			if len(star.qual) > 0 {
				failCompile(c.line(star.line), 107, 15, 1, "The column prefix '%s' does not match with a table name or alias name used in the query.", strings.Join(star.qual, "."))
			}
			failCompile(c.line(star.line), 263, 16, 1, "Must specify table to select from.")
		}
	}
	return out
}

// core compiles one SELECT with the ORDER BY of q, which may be nil.
func (c *compiler) core(s *selectCore, q *queryExpr, top bool) *plan {
	sc := &scope{up: c.sc}
	c.sc = sc
	defer func() { c.sc = sc.up }()
	if s.into != nil && !top {
		failCompile(c.line(s.line), 156, 15, 1, "Incorrect syntax near the keyword 'INTO'.")
	}
	fr := c.from(s.from, s.where)
	base := max(len(sc.srcs), 1)
	var order []orderItem
	if q != nil {
		order = q.order
	}
	grouped := s.group != nil || s.having != nil
	items := c.expand(s.items)
	for _, it := range items {
		grouped = grouped || hasAggregate(it.x)
	}
	for _, o := range order {
		grouped = grouped || hasAggregate(o.x)
	}
	var g *grouping
	if grouped {
		g = c.newGrouping(s.group)
		sc.group = g
	}
	sc.win = &windowing{slot: base}
	p := &plan{}
	outs := make([]output, 0, len(items))
	assigns := 0
	sc.where = "select list"
	for _, it := range items {
		o := output{cx: c.comp(it.x), name: it.alias}
		if col, ok := it.x.(*colExpr); ok && o.name == "" {
			o.name = col.parts[len(col.parts)-1]
			if k, n, found := sc.find(c.x.s.names, col.parts); found {
				o.name = sc.srcs[k].cols[n].Name
			}
		}
		if _, ok := it.x.(*colExpr); !ok || g != nil {
			o.plain = false
		}
		if it.assign != "" {
			assigns++
			o.cx = c.assignment(it, o.cx, top)
		}
		o.canon = c.canon(it.x)
		outs = append(outs, o)
	}
	if assigns > 0 {
		if assigns != len(items) {
			failCompile(c.line(s.line), 141, 15, 1, "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.")
		}
		p.assign = true
	}
	var having predFn
	if s.having != nil {
		sc.where = "HAVING"
		having = c.pred(s.having)
	}
	sc.where = "ORDER BY"
	keys := c.orderKeys(order, outs, s.distinct)
	sc.where = "TOP"
	win := sc.win
	sc.group, sc.win = nil, nil
	var topN valueFn
	if s.top != nil {
		t := c.comp(s.top)
		if s.percent {
			topN = c.to(t, Float).f
		} else {
			topN = c.to(t, BigInt).f
		}
		if s.ties && len(keys) == 0 {
			failCompile(c.line(s.line), 1062, 15, 1, "The TOP N WITH TIES clause is not allowed without a corresponding ORDER BY clause.")
		}
	}
	var skip, limit valueFn
	if q != nil && q.offset != nil {
		skip, limit = c.offset(q)
	}
	var colls []collation
	for _, o := range outs {
		t := o.t
		if t.Kind == KindNull {
			t = Int
		}
		p.cols = append(p.cols, Column{Name: o.name, Type: t, Nullable: o.null})
		p.labels = append(p.labels, o.lab())
		colls = append(colls, c.rules(o.lab(), t))
		if s.distinct {
			c.named(o.lab(), "SELECT", len(p.labels))
		}
		p.untyped = append(p.untyped, o.t.Kind == KindNull)
		if s.distinct && t.Kind == KindXML {
			failCompile(c.line(s.line), 421, 16, 1, "The xml data type cannot be selected as DISTINCT because it is not comparable.")
		}
	}
	if p.assign {
		p.cols = nil
	}
	x := c.x
	out := newProjection(outs, sc.srcs)
	p.run = func(up *env, yield func([]any) bool) bool {
		e := &env{rows: make([][]any, base+1), up: up}
		rows := func(next func() bool) bool { return fr.run(e, next) }
		if g != nil {
			inner := rows
			rows = func(next func() bool) bool { return g.run(x, e, inner, having, next) }
		}
		if len(win.calls) > 0 {
			inner := rows
			rows = func(next func() bool) bool { return win.run(x, e, inner, next) }
		}
		lim := -1
		if topN != nil {
			lim = topCount(topN(e), s.percent)
		}
		if len(keys) == 0 && !s.percent && skip == nil {
			if lim == 0 {
				return true
			}
			n := 0
			var seen map[any]bool
			if s.distinct {
				seen = map[any]bool{}
			}
			return rows(func() bool {
				x.tick(1)
				row := out.row(e)
				if seen != nil {
					k := rowKey(row, colls)
					if seen[k] {
						return true
					}
					seen[k] = true
				}
				n++
				return yield(row) && n != lim
			}) || n == lim
		}
		// Sort snapshots of the source rows, then project: TOP does not compute what it drops, and SELECT @s = @s + … sees the order.
		var snaps, ks, saved [][]any
		var mem rowMemory
		seen := map[any]bool{}
		rows(func() bool {
			x.tick(1)
			var row []any
			if s.distinct {
				row = out.row(e)
				k := rowKey(row, colls)
				if seen[k] {
					return true
				}
				seen[k] = true
				snaps = append(snaps, row)
			} else {
				saved = append(saved, e.rows...)
			}
			k := mem.row(len(keys))
			for i := range keys {
				k[i] = keys[i].f(e)
			}
			ks = append(ks, k)
			return true
		})
		ord := sortedOrder(ks, keys)
		from, to := 0, len(ord)
		if topN != nil {
			if s.percent {
				lim = percentCount(topN(e), len(ord))
			}
			to = min(lim, to)
			for s.ties && to > 0 && to < len(ord) && lessKeys(ks[ord[to-1]], ks[ord[to]], keys) == 0 {
				to++
			}
		}
		if skip != nil {
			from, to = window(len(ord), skip, limit, e)
		}
		for _, i := range ord[from:to] {
			x.tick(1)
			var row []any
			if s.distinct {
				row = snaps[i]
			} else {
				copy(e.rows, saved[i*len(e.rows):])
				row = out.row(e)
			}
			if !yield(row) {
				return false
			}
		}
		return true
	}
	return p
}

// find looks a column up in this level only.
func (sc *scope) find(names collation, parts []string) (src, col int, ok bool) {
	q, name := parts[:len(parts)-1], parts[len(parts)-1]
	for i, s := range sc.srcs {
		if len(q) > 0 && !s.matches(names, q) {
			continue
		}
		for j := range s.cols {
			if names.equalNames(s.cols[j].Name, name) {
				return i, j, true
			}
		}
	}
	return 0, 0, false
}

// assignment is one @x = expr of a SELECT: computing it sets the variable.
func (c *compiler) assignment(it selectItem, v cx, top bool) cx {
	if !top {
		failCompile(c.x.line, 102, 15, 1, "Incorrect syntax near '='.")
	}
	set := c.setter(it.assign, it.op, v)
	return cx{f: func(e *env) any { set(e); return nil }, t: Int}
}

// setter compiles @name op= v.
func (c *compiler) setter(name, op string, v cx) func(*env) {
	vr := c.x.f.lookup(name)
	if vr == nil || vr.table != nil {
		failCompile(c.x.line, 137, 15, 1, "Must declare the scalar variable \"%s\".", name)
	}
	if op != "=" {
		cur := cx{f: func(*env) any { return vr.val }, t: vr.typ, null: true}
		v = c.arith(strings.TrimSuffix(op, "="), cur, v, 0)
	}
	c.assigned(v)
	v = c.to(v, vr.typ)
	return func(e *env) { vr.val = v.f(e) }
}
