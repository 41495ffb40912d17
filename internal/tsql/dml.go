package tsql

import "strings"

// writableTable resolves the target of DML.
func (c *compiler) writableTable(t *tableName) (*tableData, Writable) {
	d := c.table(t.path, t.line)
	w, ok := d.tab.(Writable)
	if !ok {
		fail(259, 16, 1, "Ad hoc updates to system catalogs are not allowed.")
	}
	return d, w
}

func (c *compiler) columnNamed(cols []Column, name string, line int) int {
	for i := range cols {
		if c.x.s.EqualNames(cols[i].Name, name) {
			return i
		}
	}
	failCompile(line, 207, 16, 1, "Invalid column name '%s'.", name)
	return 0
}

// store converts a value for a column: a text that does not fit is error 2628, not cut off.
func (c *compiler) store(v cx, col Column, table, verb string) cx {
	t := col.Type
	c.assigned(v)
	if (t.IsString() && v.t.IsString() || t.IsBinary() && v.t.IsBinary()) && t.Len != MaxLen {
		wide := t
		wide.Len = MaxLen
		if t.Kind == KindChar || t.Kind == KindNChar || t.Kind == KindBinary {
			wide.Kind++ // the varying kind
		}
		w := c.to(v, wide)
		return cx{t: t, f: func(e *env) any {
			switch s := w.f(e).(type) {
			case string:
				if utf16Len(s) > t.Len {
					if s = strings.TrimRight(s, " "); utf16Len(s) > t.Len {
						fail(2628, 16, 1, "String or binary data would be truncated in table '%s', column '%s'. Truncated value: '%s'.", table, col.Name, utf16Cut(s, t.Len))
					}
				}
				return padText(s, t)
			case []byte:
				if len(s) > t.Len {
					fail(2628, 16, 1, "String or binary data would be truncated in table '%s', column '%s'. Truncated value: ''.", table, col.Name)
				}
				return s
			case nil:
				if !col.Nullable {
					panic(nullError(col.Name, table, verb))
				}
			}
			return nil
		}}
	}
	w := c.to(v, t)
	return cx{t: t, f: func(e *env) any {
		r := w.f(e)
		if r == nil && !col.Nullable {
			panic(nullError(col.Name, table, verb))
		}
		return r
	}}
}

// insertPlan is a compiled INSERT.
type insertPlan struct {
	w       Writable
	d       *tableData
	idx     []int // the target columns in the order of the values
	values  [][]valueFn
	query   *plan
	convert func(row []any) []any
	output  []outputCol
	outCols []Column
}

type outputCol struct {
	deleted bool
	i       int
}

func (c *compiler) pushCTEs(list []cte) {
	for _, k := range list {
		c.ctes = &cteScope{up: c.ctes, def: k}
	}
}

func (x *executor) compileInsert(c *compiler, t *insertStmt) *insertPlan {
	c.pushCTEs(t.with)
	d, w := c.writableTable(t.target)
	p := &insertPlan{w: w, d: d}
	p.output, p.outCols = c.outputCols(t.output, d, false)
	if t.deflt {
		p.values = [][]valueFn{{}}
		return p
	}
	if t.cols == nil {
		for i, col := range d.cols {
			if !col.Identity {
				p.idx = append(p.idx, i)
			}
		}
	}
	for i, name := range t.cols {
		k := c.columnNamed(d.cols, name, c.line(t.colLine))
		for _, o := range p.idx[:i] {
			if o == k {
				failCompile(c.line(t.colLine), 264, 16, 1, "The column name '%s' is specified more than once in the SET clause or column list of an INSERT. A column cannot be assigned more than one value in the same clause. Modify the clause to make sure that a column is updated only once. If this statement updates or inserts columns into a view, column aliasing can conceal the duplication in your code.", name)
			}
		}
		if d.cols[k].Identity {
			failCompile(c.x.line, 544, 16, 1, "Cannot insert explicit value for identity column in table '%s' when IDENTITY_INSERT is set to OFF.", d.name)
		}
		p.idx = append(p.idx, k)
	}
	count := func(n int) {
		if n == len(p.idx) {
			return
		}
		switch {
		case t.cols == nil:
			failCompile(c.x.line, 213, 16, 1, "Column name or number of supplied values does not match table definition.")
		case n < len(p.idx) && t.values != nil:
			failCompile(c.x.line, 109, 15, 1, "There are more columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.")
		case t.values != nil:
			failCompile(c.x.line, 110, 15, 1, "There are fewer columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.")
		case n < len(p.idx):
			failCompile(c.x.line, 120, 15, 1, "The select list for the INSERT statement contains fewer items than the insert list. The number of SELECT values must match the number of INSERT columns.")
		}
		failCompile(c.x.line, 121, 15, 1, "The select list for the INSERT statement contains more items than the insert list. The number of SELECT values must match the number of INSERT columns.")
	}
	for _, row := range t.values {
		count(len(row))
		fs := make([]valueFn, len(row))
		for i, e := range row {
			if _, ok := e.(*defaultExpr); ok {
				fs[i] = func(*env) any { return Default{} }
				continue
			}
			fs[i] = c.store(c.comp(e), d.cols[p.idx[i]], d.name, "INSERT").f
		}
		p.values = append(p.values, fs)
	}
	var cols []Column
	switch {
	case t.q != nil:
		p.query = c.query(t.q, true)
		if p.query.assign {
			failCompile(c.x.line, 199, 15, 1, "An INSERT statement cannot contain a SELECT statement that assigns values to a variable.")
		}
		cols = p.query.cols
		count(len(cols))
	case t.exec != nil && x.capture != nil && x.capture.cols != nil:
		cols = x.capture.cols
		if len(cols) != len(p.idx) {
			failCompile(c.x.line, 213, 16, 7, "Column name or number of supplied values does not match table definition.")
		}
	}
	if cols != nil {
		var cur []any
		fs := make([]valueFn, len(cols))
		for i, col := range cols {
			i := i
			v := cx{f: func(*env) any { return cur[i] }, t: col.Type, null: true}
			if p.query != nil {
				v.label = p.query.labels[i]
			}
			fs[i] = c.store(v, d.cols[p.idx[i]], d.name, "INSERT").f
		}
		p.convert = func(row []any) []any {
			cur = row
			out := make([]any, len(fs))
			for i, f := range fs {
				out[i] = f(nil)
			}
			return out
		}
	}
	return p
}

func (c *compiler) outputCols(list []outputItem, d *tableData, both bool) (out []outputCol, cols []Column) {
	for _, o := range list {
		if o.col == "" {
			for i, col := range d.cols {
				out, cols = append(out, outputCol{o.deleted, i}), append(cols, col)
			}
			continue
		}
		i := c.columnNamed(d.cols, o.col, c.x.line)
		col := d.cols[i]
		if o.alias != "" {
			col.Name = o.alias
		}
		out, cols = append(out, outputCol{o.deleted, i}), append(cols, col)
	}
	_ = both
	return out, cols
}

// full spreads the values over the table's row; what was not named is its default, or NULL.
func (p *insertPlan) full(vals []any) []any {
	row := make([]any, len(p.d.cols))
	named := make([]bool, len(row))
	for i, k := range p.idx {
		if i < len(vals) {
			row[k], named[k] = vals[i], true
		}
	}
	for i, col := range p.d.cols {
		if named[i] {
			continue
		}
		switch {
		case col.HasDefault || col.Identity:
			row[i] = Default{}
		case !col.Nullable:
			panic(nullError(col.Name, p.d.name, "INSERT"))
		}
	}
	return row
}

func (x *executor) insert(t *insertStmt) {
	x.writable()
	if t.exec != nil {
		x.capture = &captured{}
		f := x.exec(t.exec)
		got := x.capture
		defer func() { x.capture = nil }()
		if f.kind != flowNext {
			panic(nestedFlow{f})
		}
		p := x.compileInsert(x.compiler(t.line), t)
		var rows [][]any
		for _, r := range got.rows {
			rows = append(rows, p.full(p.convert(r)))
		}
		x.capture = nil
		x.stored(p, rows)
		return
	}
	var rows [][]any
	var p *insertPlan
	func() {
		release := x.acquire()
		defer release()
		c := x.compiler(t.line)
		p = x.compileInsert(c, t)
		if p.query != nil {
			p.query.run(&env{}, func(r []any) bool {
				rows = append(rows, p.full(p.convert(r)))
				return true
			})
			return
		}
		for _, fs := range p.values {
			vals := make([]any, len(fs))
			for i, f := range fs {
				vals[i] = f(&env{})
			}
			rows = append(rows, p.full(vals))
		}
	}()
	x.stored(p, rows)
}

func (x *executor) stored(p *insertPlan, rows [][]any) {
	var out [][]any
	if len(rows) > 0 {
		var err *Error
		if out, err = p.w.Insert(x.ctx, rows); err != nil {
			panic(err)
		}
	}
	for i, col := range p.d.cols {
		if col.Identity && len(out) > 0 {
			x.s.identity = out[len(out)-1][i]
		}
	}
	x.changed(p.output, p.outCols, nil, out, DoneInsert, len(rows))
}

// changed sends the OUTPUT clause's rows and the count.
func (x *executor) changed(output []outputCol, cols []Column, old, new [][]any, kind DoneKind, n int) {
	if output != nil {
		rows := make([][]any, n)
		for i := range rows {
			rows[i] = make([]any, len(output))
			for k, o := range output {
				if o.deleted && old != nil {
					rows[i][k] = old[i][o.i]
				} else if !o.deleted && new != nil {
					rows[i][k] = new[i][o.i]
				}
			}
		}
		x.results(cols, rows)
	}
	x.s.rowCount = int64(n)
	x.done(DoneInfo{Kind: kind, Count: int64(n), HasCount: true})
}

// changePlan is a compiled UPDATE or DELETE: its FROM, and where the target is in it.
type changePlan struct {
	w       Writable
	d       *tableData
	rel     *rel
	src     int
	n       int
	top     valueFn
	sets    []func(e *env, row []any)
	null    []any // the target's row where an outer join found none
	output  []outputCol
	outCols []Column
}

// target compiles the FROM of an UPDATE or DELETE. The target is one of its tables, by alias or name, or stands alone.
func (c *compiler) changeFrom(target *tableName, from []tableRef, where expr, top expr) *changePlan {
	p := &changePlan{}
	name := target
	if found := c.findTarget(from, target); found != nil {
		name = found
	} else {
		from = append([]tableRef{target}, from...)
	}
	if len(name.path) == 1 {
		for k := c.ctes; k != nil; k = k.up {
			if c.x.s.EqualNames(k.def.name, name.path[0]) {
				notImplemented(c.line(target.line), "UPDATE and DELETE through a CTE")
			}
		}
	}
	p.d, p.w = c.writableTable(name)
	c.sc = &scope{}
	p.rel = c.from(from, where)
	p.n = len(c.sc.srcs)
	for i, s := range c.sc.srcs {
		if name.alias != "" && c.x.s.EqualNames(s.alias, name.alias) || name.alias == "" && s.alias == "" && s.matches(c.x.s.names, name.path) {
			p.src, p.null = i, s.null
			break
		}
	}
	if top != nil {
		p.top = c.to(c.comp(top), BigInt).f
	}
	return p
}

func (c *compiler) findTarget(list []tableRef, target *tableName) *tableName {
	for _, r := range list {
		switch t := r.(type) {
		case *tableName:
			if len(target.path) == 1 && c.x.s.EqualNames(t.alias, target.path[0]) {
				return t
			}
			if t.alias == "" && c.x.s.EqualNames(strings.Join(t.path, "."), strings.Join(target.path, ".")) {
				return t
			}
		case *joinRef:
			if f := c.findTarget([]tableRef{t.l, t.r}, target); f != nil {
				return f
			}
		}
	}
	for _, r := range list { // UPDATE t … FROM t AS x
		if t, ok := r.(*tableName); ok && c.x.s.EqualNames(strings.Join(t.path, "."), strings.Join(target.path, ".")) {
			return t
		}
	}
	return nil
}

func (x *executor) compileUpdate(c *compiler, t *updateStmt) *changePlan {
	c.pushCTEs(t.with)
	p := c.changeFrom(t.target, t.from, t.where, t.top)
	p.output, p.outCols = c.outputCols(t.output, p.d, true)
	c.sc.where = "SET"
	for _, a := range t.sets {
		line := c.line(a.line)
		if a.varnam != "" && a.col == "" {
			set := c.setter(a.varnam, a.op, c.comp(a.x))
			p.sets = append(p.sets, func(e *env, _ []any) { set(e) })
			continue
		}
		k := c.columnNamed(p.d.cols, a.col, line)
		col := p.d.cols[k]
		if col.Identity {
			failCompile(line, 8102, 16, 1, "Cannot update identity column '%s'.", col.Name)
		}
		if _, ok := a.x.(*defaultExpr); ok {
			notImplemented(line, "SET column = DEFAULT")
		}
		v := c.comp(a.x)
		if a.op != "=" {
			cur := cx{f: accessor(0, p.src, k), t: col.Type, null: col.Nullable}
			v = c.arith(strings.TrimSuffix(a.op, "="), cur, v, line)
		}
		st := c.store(v, col, p.d.name, "UPDATE")
		var vr *variable
		if a.varnam != "" {
			if vr = c.x.f.lookup(a.varnam); vr == nil {
				failCompile(line, 137, 15, 1, "Must declare the scalar variable \"%s\".", a.varnam)
			}
		}
		p.sets = append(p.sets, func(e *env, row []any) {
			row[k] = st.f(e)
			if vr != nil {
				vr.val = convertValueOrNil(row[k], col.Type, vr.typ)
			}
		})
	}
	return p
}

func convertValueOrNil(v any, from, to Type) any {
	if v == nil {
		return nil
	}
	if conv := conversion(from, to, 0, false); conv != nil {
		return conv(v)
	}
	return v
}

func (x *executor) compileDelete(c *compiler, t *deleteStmt) *changePlan {
	c.pushCTEs(t.with)
	p := c.changeFrom(t.target, t.from, t.where, t.top)
	p.output, p.outCols = c.outputCols(t.output, p.d, false)
	return p
}

// collect gives the target's rows that qualify, each once, and their new values.
func (p *changePlan) collect(rowcount int64) (old, new [][]any) {
	e := &env{rows: make([][]any, max(p.n, 1)+1)}
	limit := int64(-1)
	if p.top != nil {
		limit, _ = p.top(e).(int64)
	}
	if rowcount > 0 && (limit < 0 || rowcount < limit) {
		limit = rowcount
	}
	if limit == 0 {
		return nil, nil
	}
	seen := map[*any]bool{}
	p.rel.run(e, func() bool {
		row := e.rows[p.src]
		if len(row) == 0 || seen[&row[0]] || &row[0] == &p.null[0] {
			return true
		}
		seen[&row[0]] = true
		old = append(old, row)
		if p.sets != nil {
			n := append([]any{}, row...)
			for _, s := range p.sets {
				s(e, n)
			}
			new = append(new, n)
		}
		return int64(len(old)) != limit
	})
	return old, new
}

func (x *executor) update(t *updateStmt) {
	x.writable()
	var p *changePlan
	var old, new [][]any
	func() {
		release := x.acquire()
		defer release()
		p = x.compileUpdate(x.compiler(t.line), t)
		old, new = p.collect(x.s.opts.rowcount)
	}()
	if len(old) > 0 {
		check(p.w.Update(x.ctx, old, new))
	}
	x.changed(p.output, p.outCols, old, new, DoneUpdate, len(old))
}

func (x *executor) delete(t *deleteStmt) {
	x.writable()
	var p *changePlan
	var old [][]any
	func() {
		release := x.acquire()
		defer release()
		p = x.compileDelete(x.compiler(t.line), t)
		old, _ = p.collect(x.s.opts.rowcount)
	}()
	if len(old) > 0 {
		check(p.w.Delete(x.ctx, old))
	}
	x.changed(p.output, p.outCols, old, nil, DoneDelete, len(old))
}
