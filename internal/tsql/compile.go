package tsql

import (
	"context"
	"strings"
	"time"
)

// A statement is compiled to closures each time it runs (a fraction of a millisecond) and the closures hold the caches of that one execution. One scope
// is one SELECT level; at run time an env is its current row: one row per source, and a link to the env of the level around it.

type tri uint8

const (
	no tri = iota
	yes
	unknown
)

func truth(b bool) tri {
	if b {
		return yes
	}
	return no
}

func (t tri) not() tri {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

type env struct {
	rows [][]any
	up   *env
}

type valueFn = func(*env) any
type predFn = func(*env) tri

// cx is a compiled expression.
type cx struct {
	f     valueFn
	t     Type
	null  bool // may be NULL
	label label
	konst bool
	val   any  // of a constant
	lit   bool // a literal as written: an integer has just the precision of its digits in numeric arithmetic

	// plain: as made by column, f reads the column col of the source src of the level that is compiled.
	plain    bool
	src, col int
}

func constant(v any, t Type) cx {
	return cx{f: func(*env) any { return v }, t: t, null: v == nil, konst: true, val: v}
}

// run is one execution of one statement.
type run struct {
	ctx    context.Context
	s      *Session
	f      *frame
	now    time.Time
	line   int
	left   int64
	steps  int
	tables map[string]*tableData
	dry    bool // only compile: nothing is to be read
	depth  int
}

// tick counts n rows of work, and looks at the context now and then.
func (x *run) tick(n int) {
	x.left -= int64(n)
	if x.left < 0 {
		fail(ErrTooManyRows, 16, 1, "dag_lab gave up: the statement touched more than %d rows.", x.s.opt.MaxRows)
	}
	x.steps += n
	if x.steps >= 1024 {
		x.steps = 0
		if x.ctx.Err() != nil {
			panic(cancelled{context.Cause(x.ctx)})
		}
	}
}

// cancelled is what tick panics with: it ends Exec, not only the statement.
type cancelled struct{ err error }

// tableData is a table resolved once for a statement and read once.
type tableData struct {
	tab    Table
	cols   []Column
	rows   [][]any
	loaded bool
	name   string
}

func (d *tableData) load(x *run) [][]any {
	if !d.loaded {
		if x.dry {
			return nil
		}
		rows := make([][]any, 0, 64)
		check(d.tab.Scan(x.ctx, func(row []any) bool {
			x.tick(1)
			rows = append(rows, row)
			return true
		}))
		d.rows, d.loaded = rows, true
	}
	return d.rows
}

type source struct {
	alias  string   // what qualifies its columns
	path   []string // its own name if it has no alias
	cols   []Column
	labels []label // of the columns of a derived table; a table's are implicit
	null   []any   // a row of NULLs for outer joins
	work   [][]any // of a recursive CTE: the rows of the round before
}

// matches reports whether a qualifier of one to three parts means this source.
func (s *source) matches(names collation, q []string) bool {
	if len(s.path) == 0 {
		return len(q) == 1 && names.equalNames(q[0], s.alias)
	}
	if len(q) > len(s.path) {
		return false
	}
	tail := s.path[len(s.path)-len(q):]
	for i := range q {
		if !names.equalNames(q[i], tail[i]) && !(q[i] == "" || tail[i] == "") {
			return false
		}
	}
	return true
}

func (s *source) shown() string {
	if s.alias != "" {
		return s.alias
	}
	return strings.Join(s.path, ".")
}

type scope struct {
	up      *scope
	srcs    []*source
	visible uint64
	uses    uint64 // sources that the expression just compiled touched
	outer   bool   // something in this level refers to a level around it
	touched bool   // as outer, but reset by tracked
	group   *grouping
	win     *windowing
	where   string // the clause being compiled, for messages
}

type compiler struct {
	x    *run
	sc   *scope
	ctes *cteScope
}

type cteScope struct {
	up  *cteScope
	def cte
	rec *source // while its own recursive member is compiled
}

func (c *compiler) line(l int) int {
	if l > 0 {
		return l
	}
	return c.x.line
}

// enter bounds recursion in the compiler.
func (c *compiler) enter() {
	c.x.depth++
	if c.x.depth > 4*c.x.s.opt.MaxDepth {
		failCompile(c.x.line, 8631, 17, 1, "Internal error: Server stack limit has been reached. Please look for potentially deep nesting in your query, and try to simplify it.")
	}
}

func (c *compiler) leave() { c.x.depth-- }

// column resolves a column reference outwards from the current scope.
func (c *compiler) column(e *colExpr) cx {
	q, name := e.parts[:len(e.parts)-1], e.parts[len(e.parts)-1]
	level := 0
	qualified := false
	names := c.x.s.names
	for sc := c.sc; sc != nil; sc = sc.up {
		src, col := -1, -1
		for i, s := range sc.srcs {
			if sc.visible&(1<<uint(i)) == 0 || len(q) > 0 && !s.matches(names, q) {
				continue
			}
			qualified = true
			for j := range s.cols {
				if !names.equalNames(s.cols[j].Name, name) {
					continue
				}
				if src >= 0 {
					failCompile(c.line(e.line), 209, 16, 1, "Ambiguous column name '%s'.", name)
				}
				src, col = i, j
			}
		}
		if src >= 0 {
			k, l := sc.srcs[src].cols[col], c.labelOf(sc.srcs[src], col)
			for s := c.sc; s != sc; s = s.up {
				s.outer, s.touched = true, true
			}
			sc.uses |= 1 << uint(src)
			if sc.group != nil {
				src, col = 0, sc.group.columnIndex(c, sc, src, col, e)
			}
			return cx{f: accessor(level, src, col), t: k.Type, null: k.Nullable, label: l, plain: level == 0, src: src, col: col}
		}
		if qualified && len(q) > 0 {
			break
		}
		level++
	}
	if len(q) > 0 && !qualified {
		failCompile(c.line(e.line), 4104, 16, 1, "The multi-part identifier \"%s\" could not be bound.", strings.Join(e.parts, "."))
	}
	failCompile(c.line(e.line), 207, 16, 1, "Invalid column name '%s'.", name)
	return cx{}
}

func accessor(level, src, col int) valueFn {
	switch level {
	case 0:
		return func(e *env) any { return e.rows[src][col] }
	case 1:
		return func(e *env) any { return e.up.rows[src][col] }
	}
	return func(e *env) any {
		for i := 0; i < level; i++ {
			e = e.up
		}
		return e.rows[src][col]
	}
}

// tracked compiles a part and tells which sources of the current scope it touches, and whether it looks outside of the scope.
func (c *compiler) tracked(f func()) (uses uint64, outer bool) {
	u, t := c.sc.uses, c.sc.touched
	c.sc.uses, c.sc.touched = 0, false
	f()
	uses, outer = c.sc.uses, c.sc.touched
	c.sc.uses |= u
	c.sc.touched = c.sc.touched || t
	return uses, outer
}

// to converts a compiled expression implicitly.
func (c *compiler) to(a cx, t Type) cx {
	if a.t.Kind == KindNull {
		a.t = t
		return a
	}
	a.label = a.lab() // a number's text has the default's
	conv := conversion(a.t, t, 0, false)
	if conv != nil {
		f := a.f
		a.f = func(e *env) any { return conv(f(e)) }
	}
	a.t = t
	return a.foldConst()
}

// foldConst computes a constant's value now, unless that fails: then it fails when it is asked for.
func (a cx) foldConst() (out cx) {
	if !a.konst {
		return a
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(*Error); !ok {
				panic(r)
			}
			a.konst = false
			out = a
		}
	}()
	v := a.f(nil)
	r := constant(v, a.t)
	r.label = a.label
	return r
}
