package tsql

// A cursor holds the rows that its query gave at OPEN, as a STATIC one does. The other kinds would also show what changes later: where a temporary
// table or a table variable has changed since OPEN, the query is asked again, and if its answer is no longer the same, FETCH is error 50900, not a stale row.

// cursor is one declared cursor, local to its level or global to the session.
type cursor struct {
	t    *cursorDecl
	vars *frame // the variables as they were at DECLARE
	cols []Column
	rows [][]any
	open bool
	pos  int // 0 before the first row, len(rows)+1 behind the last
	mem  map[*memTable]memMark
}

// memMark tells whether a memTable's rows were replaced.
type memMark struct {
	first *[]any
	n     int
}

func markOf(m *memTable) memMark {
	if len(m.rows) == 0 {
		return memMark{}
	}
	return memMark{&m.rows[0], len(m.rows)}
}

// frozen copies the scalar variables: a cursor's query keeps the values of its declaration.
func (f *frame) frozen() *frame {
	g := newFrame(f.level, f.names)
	for k, v := range f.vars {
		if v.table == nil {
			c := *v
			v = &c
		}
		g.vars[k] = v
	}
	return g
}

// cursorMap is where a statement looks for cursors: local ones first.
func (x *executor) findCursor(name string, global bool) *cursor {
	k := x.s.names.fold(name)
	if c := x.f.cursors[k]; c != nil && !global {
		return c
	}
	return x.s.cursors[k]
}

func (x *executor) cursor(name string, global bool) *cursor {
	c := x.findCursor(name, global)
	if c == nil {
		fail(16916, 16, 1, "A cursor with the name '%s' does not exist.", name)
	}
	return c
}

// cursorStmt runs the statements about cursors.
func (x *executor) cursorStmt(s stmt) {
	switch t := s.(type) {
	case *cursorDecl:
		x.declareCursor(t)
	case *cursorVerb:
		c := x.cursor(t.name, t.global)
		switch t.verb {
		case "OPEN":
			x.openCursor(t.line, c)
		case "CLOSE":
			c.mustBeOpen()
			c.open, c.rows, c.mem = false, nil, nil
		case "DEALLOCATE":
			k := x.s.names.fold(t.name)
			if x.f.cursors[k] == c {
				delete(x.f.cursors, k)
			} else {
				delete(x.s.cursors, k)
			}
		}
	case *fetchStmt:
		x.fetch(t)
	default:
		panic(NotImplemented("this kind of statement"))
	}
}

func (c *cursor) mustBeOpen() {
	if !c.open {
		fail(16917, 16, 1, "Cursor is not open.")
	}
}

func (x *executor) declareCursor(t *cursorDecl) {
	k := x.s.names.fold(t.name)
	m := x.s.cursors
	if t.local {
		m = x.f.cursors
	}
	if m[k] != nil {
		fail(16915, 16, 1, "A cursor with the name '%s' already exists.", t.name)
	}
	if len(m) >= 1000 {
		panic(NotImplemented("more than 1000 cursors in one session"))
	}
	cur := &cursor{t: t, vars: x.f.frozen()}
	release := x.acquire()
	defer release()
	c := x.compiler(t.line)
	c.x.dry = true
	cur.cols = c.statement(t.q).cols
	m[k] = cur
}

// ask runs a cursor's query with the variables of its declaration.
func (x *executor) ask(line int, c *cursor) [][]any {
	release := x.acquire()
	defer release()
	k := x.compiler(line)
	k.x.f = c.vars
	var rows [][]any
	p := k.query(c.t.q, true)
	p.run(&env{}, func(r []any) bool { rows = append(rows, r); return true })
	c.cols = p.cols
	return rows
}

func (x *executor) openCursor(line int, c *cursor) {
	if c.open {
		fail(16905, 16, 1, "The cursor is already open.")
	}
	c.rows, c.pos, c.open = x.ask(line, c), 0, true
	c.mem = map[*memTable]memMark{}
	x.eachMem(c, func(m *memTable) { c.mem[m] = markOf(m) })
	x.s.rowCount = 0
	x.s.cursorRows = -1
	if c.t.static {
		x.s.cursorRows = int64(len(c.rows))
	}
}

func (x *executor) eachMem(c *cursor, f func(*memTable)) {
	for _, m := range x.s.temps {
		f(m)
	}
	for _, v := range c.vars.vars {
		if v.table != nil {
			f(v.table)
		}
	}
}

// fresh fails if a cursor that is not STATIC would show other rows by now.
func (x *executor) fresh(line int, c *cursor) {
	if c.t.static {
		return
	}
	changed := false
	x.eachMem(c, func(m *memTable) {
		if old, ok := c.mem[m]; !ok || old != markOf(m) {
			c.mem[m] = markOf(m)
			changed = changed || ok
		}
	})
	if !changed {
		return
	}
	now := x.ask(line, c)
	same := len(now) == len(c.rows)
	for i := 0; same && i < len(now); i++ {
		same = sameValues(now[i], c.rows[i])
	}
	if !same {
		c.mem = map[*memTable]memMark{} // the next FETCH says it again
		x.eachMem(c, func(m *memTable) { c.mem[m] = memMark{n: -1} })
		panic(NotImplemented("a cursor that follows changes made after OPEN (declare it STATIC)"))
	}
}

// sameValues tells whether two rows are the same to the letter: case and trailing blanks count here.
func sameValues(a, b []any) bool {
	for i := range a {
		s, text := a[i].(string)
		switch t, both := b[i].(string); {
		case text != both, text && s != t:
			return false
		case !text && hashKey(a[i], 0) != hashKey(b[i], 0):
			return false
		}
	}
	return len(a) == len(b)
}

func (x *executor) fetch(t *fetchStmt) {
	c := x.cursor(t.name, t.global)
	c.mustBeOpen()
	if t.dir != "NEXT" && !c.t.scroll {
		fail(16911, 16, 1, "fetch: The fetch type %s cannot be used with forward only cursors.", t.dir)
	}
	if t.into != nil && len(t.into) != len(c.cols) {
		fail(16924, 16, 1, "Cursorfetch: The number of variables declared in the INTO list must match that of selected columns.")
	}
	n := int64(0)
	if t.n != nil {
		n, _ = x.valueAs(t.line, t.n, BigInt).(int64)
	}
	x.s.fetchStatus = -1 // also if it fails: a loop that waits for it ends
	x.fresh(t.line, c)
	c.move(t.dir, n)
	var rows [][]any
	if c.pos >= 1 && c.pos <= len(c.rows) {
		rows = c.rows[c.pos-1 : c.pos]
		x.s.fetchStatus = 0
	}
	x.s.rowCount = int64(len(rows))
	if t.into == nil {
		x.results(c.cols, rows)
		x.done(DoneInfo{Kind: DoneSelect, Count: int64(len(rows)), HasCount: true})
		return
	}
	for i, name := range t.into {
		v := x.f.lookup(name)
		if !allowed(c.cols[i].Type, v.typ, false) {
			fail(16922, 16, 1, "Cursor Fetch: Implicit conversion from data type %s to %s is not allowed.", c.cols[i].Type.Kind, v.typ.Kind)
		}
		if len(rows) == 0 {
			continue
		}
		v.val = rows[0][i]
		if conv := conversion(c.cols[i].Type, v.typ, 0, false); conv != nil {
			v.val = conv(v.val)
		}
	}
}

// move sets the position, one step outside at most.
func (c *cursor) move(dir string, n int64) {
	end := int64(len(c.rows)) + 1
	pos := int64(c.pos)
	switch dir {
	case "NEXT":
		pos++
	case "PRIOR":
		pos--
	case "FIRST":
		pos = 1
	case "LAST":
		pos = max(end-1, 0)
	case "ABSOLUTE":
		pos = n
		if n < 0 {
			pos = end + max(n, -end)
		}
	case "RELATIVE":
		pos += min(max(n, -end), end)
	}
	c.pos = int(min(max(pos, 0), end))
}

// cursorStatus is CURSOR_STATUS for names: 1 open with rows, 0 open without, -1 closed, -3 no such cursor.
func cursorStatus(c *compiler, _ *callExpr, a []cx) cx {
	x := c.x
	return strict(SmallInt, []cx{c.text(a[0]), c.text(a[1])}, func(v []any) any {
		m := x.f.cursors
		switch {
		case EqualFold(v[0].(string), "global"):
			m = x.s.cursors
		case EqualFold(v[0].(string), "variable"):
			panic(NotImplemented("cursor variables"))
		}
		switch k := m[x.s.names.fold(v[1].(string))]; {
		case k == nil:
			return int64(-3)
		case !k.open:
			return int64(-1)
		case len(k.rows) == 0:
			return int64(0)
		}
		return int64(1)
	})
}
