package tsql

import "strings"

// from compiles a FROM list with the WHERE clause pushed into it. The current scope receives the sources.
func (c *compiler) from(refs []tableRef, where expr) *rel {
	var leaves []*rel
	var conjs []*conj
	for _, r := range refs {
		leaves, conjs = c.flatten(r, 0, leaves, conjs)
	}
	c.sc.visible = ^uint64(0)
	c.sc.where = "WHERE"
	conjs = append(conjs, c.conjs(where)...)
	c.sc.where = ""
	if len(leaves) == 0 {
		return c.oneRow(conjs)
	}
	return c.innerGroup(leaves, conjs)
}

// oneRow is a SELECT without FROM: one row, if the conditions hold.
func (c *compiler) oneRow(conjs []*conj) *rel {
	return &rel{run: func(e *env, yield func() bool) bool {
		for _, cj := range conjs {
			if cj.p(e) != yes {
				return true
			}
		}
		return yield()
	}, stable: func() bool { return false }, push: func(cj *conj) { conjs = append(conjs, cj) }}
}

// flatten adds the relations of a chain of inner joins to leaves, their ON conditions to conjs.
func (c *compiler) flatten(ref tableRef, left uint64, leaves []*rel, conjs []*conj) ([]*rel, []*conj) {
	j, ok := ref.(*joinRef)
	if !ok || j.kind != joinInner && j.kind != joinCross {
		return append(leaves, c.relation(ref, left)), conjs
	}
	c.enter()
	defer c.leave()
	n := len(leaves)
	leaves, conjs = c.flatten(j.l, left, leaves, conjs)
	leaves, conjs = c.flatten(j.r, left, leaves, conjs)
	var mask uint64
	for _, l := range leaves[n:] {
		mask |= l.mask
	}
	return leaves, append(conjs, c.on(j.on, mask)...)
}

func (c *compiler) on(x expr, mask uint64) []*conj {
	if x == nil {
		return nil
	}
	save := c.sc.visible
	c.sc.visible = mask
	defer func() { c.sc.visible = save }()
	return c.conjs(x)
}

func (c *compiler) group(ref tableRef, left uint64) *rel {
	leaves, conjs := c.flatten(ref, left, nil, nil)
	return c.innerGroup(leaves, conjs)
}

func (c *compiler) nulls() [][]any {
	out := make([][]any, len(c.sc.srcs))
	for i, s := range c.sc.srcs {
		out[i] = s.null
	}
	return out
}

// relation compiles one leaf; left is what an APPLY's right side may see.
func (c *compiler) relation(ref tableRef, left uint64) *rel {
	c.enter()
	defer c.leave()
	switch r := ref.(type) {
	case *tableName:
		return c.tableRel(r)
	case *derived:
		return c.derivedRel(r.q, r.alias, r.cols, left)
	case *tableFunc:
		return c.funcRel(r, left)
	case *joinRef:
		switch r.kind {
		case joinCrossApply, joinOuterApply:
			l := c.group(r.l, left)
			right := c.relation(r.r, left|l.mask)
			if r.kind == joinOuterApply {
				c.makeNullable(right)
			}
			return c.apply(l, right, r.kind == joinOuterApply, c.nulls())
		case joinLeft, joinRight, joinFull:
			l := c.group(r.l, left)
			right := c.group(r.r, left)
			on := c.on(r.on, l.mask|right.mask)
			if r.kind != joinRight {
				c.makeNullable(right)
			}
			if r.kind != joinLeft {
				c.makeNullable(l)
			}
			if r.kind == joinRight {
				return c.outerJoin(right, l, on, false, c.nulls())
			}
			return c.outerJoin(l, right, on, r.kind == joinFull, c.nulls())
		}
		return c.group(r, left)
	}
	panic("tsql: unknown table reference")
}

// makeNullable marks the columns of an outer join's inner side.
func (c *compiler) makeNullable(r *rel) {
	for _, i := range r.idx {
		s := c.sc.srcs[i]
		cols := make([]Column, len(s.cols))
		for k, col := range s.cols {
			col.Nullable = true
			cols[k] = col
		}
		s.cols = cols
	}
}

func (c *compiler) addSource(s *source, line int) int {
	if len(c.sc.srcs) >= 63 {
		notImplemented(c.line(line), "more than 63 tables in one query")
	}
	for _, o := range c.sc.srcs {
		if s.alias != "" && o.alias != "" && c.x.s.EqualNames(s.alias, o.alias) || s.alias == "" && o.alias == "" && c.x.s.EqualNames(s.shown(), o.shown()) {
			if s.alias == "" {
				failCompile(c.line(line), 1013, 16, 1, "The objects \"%s\" and \"%s\" in the FROM clause have the same exposed names. Use correlation names to distinguish them.", o.shown(), s.shown())
			}
			failCompile(c.line(line), 1011, 16, 1, "The correlation name '%s' is specified multiple times in a FROM clause.", s.alias)
		}
	}
	s.null = make([]any, len(s.cols))
	c.sc.srcs = append(c.sc.srcs, s)
	return len(c.sc.srcs) - 1
}

func newSource(path []string, alias string, cols []Column, labels []label) *source {
	s := &source{alias: alias, cols: cols, labels: labels}
	if alias == "" {
		s.path = path
	}
	return s
}

func (c *compiler) tableRel(t *tableName) *rel {
	if len(t.path) == 1 {
		for k := c.ctes; k != nil; k = k.up {
			if c.x.s.EqualNames(k.def.name, t.path[0]) {
				return c.cteRel(k, t)
			}
		}
	}
	d := c.table(t.path, t.line)
	i := c.addSource(newSource(t.path, t.alias, d.cols, nil), t.line)
	x := c.x
	return c.rowsRel(i, func(*env) [][]any { return d.load(x) }, true)
}

// table resolves a name once per statement.
func (c *compiler) table(path []string, line int) *tableData {
	key := c.x.s.names.fold(strings.Join(path, "."))
	if d, ok := c.x.tables[key]; ok {
		return d
	}
	d := &tableData{name: strings.Join(path, ".")}
	name := path[len(path)-1]
	switch {
	case strings.HasPrefix(name, "@"):
		v := c.x.f.lookup(name)
		if v == nil || v.table == nil {
			failCompile(c.line(line), 1087, 15, 2, "Must declare the table variable \"%s\".", name)
		}
		d.tab = v.table
	case strings.HasPrefix(name, "#"):
		t := c.x.s.temp(name)
		if t == nil {
			c.noObject(path, line)
		}
		d.tab = t
	default:
		t, err := c.x.s.host.Table(c.x.ctx, path)
		if err != nil {
			e := *err // a permission or an unreachable database: the statement fails when it runs
			e.Line = int32(c.line(line))
			panic(&e)
		}
		if t == nil {
			c.noObject(path, line)
		}
		d.tab = t
	}
	d.cols = d.tab.Columns()
	c.x.tables[key] = d
	return d
}

func (c *compiler) noObject(path []string, _ int) {
	// SQL Server reports the line on which the statement begins.
	if c.missing(path) {
		missingObject(c.x.line, path)
	}
	e := NewError(208, 16, 1, "Invalid object name '%s'.", strings.Join(path, "."))
	e.Line, e.scope, e.waits = int32(c.x.line), scopeCompile, true
	panic(e)
}

// rename gives a derived table's columns their names and checks them.
func (c *compiler) rename(cols []Column, names []string, alias string, line int) []Column {
	if names != nil && len(names) != len(cols) {
		if len(names) > len(cols) {
			failCompile(c.line(line), 8159, 16, 1, "'%s' has fewer columns than were specified in the column list.", alias)
		}
		failCompile(c.line(line), 8158, 16, 1, "'%s' has more columns than were specified in the column list.", alias)
	}
	out := make([]Column, len(cols))
	for i, k := range cols {
		k.Identity, k.HasDefault = false, false
		if names != nil {
			k.Name = names[i]
		}
		if k.Name == "" {
			failCompile(c.line(line), 8155, 16, 2, "No column name was specified for column %d of '%s'.", i+1, alias)
		}
		for _, o := range out[:i] {
			if c.x.s.EqualNames(o.Name, k.Name) {
				failCompile(c.line(line), 8156, 16, 1, "The column '%s' was specified multiple times for '%s'.", k.Name, alias)
			}
		}
		out[i] = k
	}
	return out
}

func (c *compiler) derivedRel(q *queryExpr, alias string, names []string, left uint64) *rel {
	line := q.line
	lateral := left != 0
	outerScope := c.sc.up
	if lateral {
		outerScope = c.sc
	}
	save := c.sc.visible
	c.sc.visible = left
	p, correlated := c.nested(q, outerScope)
	c.sc.visible = save
	if correlated && !lateral {
		c.sc.outer, c.sc.touched = true, true
	}
	cols := c.rename(p.cols, names, alias, line)
	i := c.addSource(newSource(nil, alias, cols, p.labels), line)
	var cache [][]any
	have := false
	return c.rowsRel(i, func(e *env) [][]any {
		if have {
			return cache
		}
		up := e
		if !lateral {
			up = e.up
		}
		var rows [][]any
		p.run(up, func(r []any) bool { rows = append(rows, r); return true })
		if !correlated {
			cache, have = rows, true
		}
		return rows
	}, !correlated)
}

// nested compiles a query under an outer scope, and tells whether it refers to it.
func (c *compiler) nested(q *queryExpr, outer *scope) (*plan, bool) {
	save := c.sc
	mark := &scope{up: outer} // a level of its own, so that references through it are seen
	c.sc = mark
	defer func() { c.sc = save }()
	p := c.query(q, false)
	return p.lift(), mark.outer
}

func (c *compiler) cteRel(k *cteScope, t *tableName) *rel {
	alias := t.alias
	if alias == "" {
		alias = t.path[0]
	}
	if k.rec != nil { // the recursive member's reference to itself
		i := c.addSource(newSource(nil, alias, k.rec.cols, k.rec.labels), t.line)
		src := k.rec
		return c.rowsRel(i, func(*env) [][]any { return src.work }, false)
	}
	saveCTE, saveSc := c.ctes, c.sc
	c.ctes = k.up
	mark := &scope{}
	c.sc = mark
	var p *plan
	if so, ok := k.def.q.body.(*setOp); ok && so.op == "UNION ALL" && c.refersTo(so.r, k.def.name) {
		p = c.recursive(k, so)
	} else {
		p = c.query(k.def.q, false).lift()
	}
	c.ctes, c.sc = saveCTE, saveSc
	cols := c.rename(p.cols, k.def.cols, k.def.name, k.def.q.line)
	i := c.addSource(newSource(nil, alias, cols, p.labels), t.line)
	var cache [][]any
	have := false
	return c.rowsRel(i, func(*env) [][]any {
		if !have {
			p.run(nil, func(r []any) bool { cache = append(cache, r); return true })
			have = true
		}
		return cache
	}, true)
}

// recursive compiles anchor UNION ALL member, the member reading the rows of the round before.
func (c *compiler) recursive(k *cteScope, so *setOp) *plan {
	anchor := c.body(so.l, nil, nil).lift()
	rec := &source{cols: c.rename(anchor.cols, k.def.cols, k.def.name, k.def.q.line), labels: anchor.labels}
	for i := range rec.cols {
		rec.cols[i].Nullable = true
	}
	c.ctes = &cteScope{up: k.up, def: k.def, rec: rec}
	member := c.body(so.r, nil, nil).lift()
	if len(member.cols) != len(anchor.cols) {
		c.unequal()
	}
	for i, col := range member.cols {
		if col.Type != rec.cols[i].Type && col.Type.Kind != KindNull && conversion(col.Type, rec.cols[i].Type, 0, false) != nil {
			failCompile(c.x.line, 240, 16, 1, "Types don't match between the anchor and the recursive part in column \"%s\" of recursive query \"%s\".", rec.cols[i].Name, k.def.name)
		}
		if a, m := anchor.labels[i], member.labels[i]; col.Type.IsString() && rec.cols[i].Type.IsString() && (a.coll != m.coll || a.rank == labelNone || m.rank == labelNone) {
			notImplemented(c.x.line, "a recursive query whose members have different collations")
		}
	}
	return &plan{cols: anchor.cols, labels: anchor.labels, run: func(up *env, yield func([]any) bool) bool {
		var round [][]any
		anchor.run(up, func(r []any) bool { round = append(round, r); return true })
		for depth := 0; len(round) > 0; depth++ {
			if depth > 100 {
				fail(530, 16, 1, "The statement terminated. The maximum recursion 100 has been exhausted before statement completion.")
			}
			for _, r := range round {
				if !yield(r) {
					return false
				}
			}
			rec.work = round
			var next [][]any
			member.run(up, func(r []any) bool { next = append(next, r); return true })
			round = next
		}
		return true
	}}
}

func (c *compiler) refersTo(b queryBody, name string) bool {
	switch q := b.(type) {
	case *setOp:
		return c.refersTo(q.l, name) || c.refersTo(q.r, name)
	case *selectCore:
		for _, r := range q.from {
			if c.refHas(r, name) {
				return true
			}
		}
	}
	return false
}

func (c *compiler) refHas(r tableRef, name string) bool {
	switch t := r.(type) {
	case *tableName:
		return len(t.path) == 1 && c.x.s.EqualNames(t.path[0], name)
	case *joinRef:
		return c.refHas(t.l, name) || c.refHas(t.r, name)
	case *derived:
		return c.refersTo(t.q.body, name)
	}
	return false
}

func (c *compiler) funcRel(f *tableFunc, left uint64) *rel {
	alias := f.alias
	if alias == "" {
		alias = f.path[len(f.path)-1]
	}
	save := c.sc.visible
	c.sc.visible = left
	args := make([]cx, len(f.args))
	types := make([]Type, len(f.args))
	outer := false
	uses := uint64(0)
	for i, a := range f.args {
		if _, ok := a.(*defaultExpr); ok {
			args[i] = constant(nil, Type{})
			continue
		}
		u, o := c.tracked(func() { args[i] = c.comp(a) })
		outer, uses = outer || o, uses|u
		types[i] = args[i].t
	}
	c.sc.visible = save
	fn := c.tableFunction(f, types)
	for _, a := range args {
		if a.lab().coll != nil || a.lab().rank == labelNone {
			notImplemented(c.line(f.line), "a table-valued function of a text with a collation of its own")
		}
	}
	i := c.addSource(newSource(nil, alias, c.rename(fn.Columns, f.cols, alias, f.line), nil), f.line)
	x := c.x
	var cache [][]any
	have := false
	fixed := !outer && uses == 0
	return c.rowsRel(i, func(e *env) [][]any {
		if have {
			return cache
		}
		vals := make([]any, len(args))
		for k, a := range args {
			vals[k] = a.f(e)
		}
		if x.dry {
			return nil
		}
		rows, err := fn.Call(x.ctx, vals)
		check(err)
		if fixed {
			cache, have = rows, true
		}
		return rows
	}, fixed)
}

// tableFunction finds a table-valued function: ours, or the host's.
func (c *compiler) tableFunction(f *tableFunc, types []Type) *TableFunction {
	if len(f.path) == 1 && EqualFold(f.path[0], "STRING_SPLIT") && len(types) == 2 {
		return &TableFunction{Columns: []Column{{Name: "value", Type: NVarChar(4000), Nullable: true}}, Call: stringSplit}
	}
	fn, err := c.x.s.host.TableFunction(c.x.ctx, f.path, types)
	if err != nil {
		e := *err
		e.Line = int32(c.line(f.line))
		panic(&e)
	}
	if fn == nil {
		c.missingTable(f)
		c.noObject(f.path, f.line)
	}
	return fn
}
