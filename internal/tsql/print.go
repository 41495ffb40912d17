package tsql

import (
	"fmt"
	"strings"
)

// printer writes a tree as T-SQL that parses to the same tree. col, if set, writes column references: that is how two expressions are
// compared after resolution.
type printer struct {
	strings.Builder
	col func(*colExpr) (string, bool)
}

// canon is an expression's identity within the current scope: columns by where they come from, names without case.
func (c *compiler) canon(x expr) string {
	sc := c.sc
	p := &printer{col: func(e *colExpr) (string, bool) {
		if s, n, ok := sc.find(c.x.s.names, e.parts); ok {
			return fmt.Sprintf("\x00%d.%d", s, n), true
		}
		return c.x.s.names.fold(strings.Join(e.parts, ".")), true
	}}
	p.expr(x)
	return p.String()
}

// walk visits x and what is in it, but not subqueries, as long as f says so.
func walk(x expr, f func(expr) bool) {
	if x == nil || !f(x) {
		return
	}
	all := func(list ...expr) {
		for _, y := range list {
			walk(y, f)
		}
	}
	switch e := x.(type) {
	case *unaryExpr:
		all(e.x)
	case *binExpr:
		all(e.l, e.r)
	case *isNullExpr:
		all(e.x)
	case *betweenExpr:
		all(e.x, e.lo, e.hi)
	case *inExpr:
		all(e.x)
		all(e.list...)
	case *likeExpr:
		all(e.x, e.pat, e.esc)
	case *quantExpr:
		all(e.x)
	case *caseExpr:
		all(e.operand, e.els)
		for _, w := range e.whens {
			all(w.cond, w.then)
		}
	case *callExpr:
		all(e.args...)
		for _, o := range e.within {
			all(o.x)
		}
		if e.over != nil {
			all(e.over.part...)
			for _, o := range e.over.order {
				all(o.x)
			}
		}
	case *castExpr:
		all(e.x, e.style)
	case *collateExpr:
		all(e.x)
	case *methodExpr:
		all(e.x)
		all(e.args...)
	}
}

func quoteName(s string) string { return "[" + strings.ReplaceAll(s, "]", "]]") + "]" }

func (p *printer) path(path []string) {
	for i, s := range path {
		if i > 0 {
			p.WriteByte('.')
		}
		if strings.HasPrefix(s, "@") {
			p.WriteString(s)
		} else if s != "" {
			p.WriteString(quoteName(s))
		}
	}
}

func (p *printer) f(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *printer) list(xs []expr) {
	for i, x := range xs {
		if i > 0 {
			p.WriteString(", ")
		}
		p.expr(x)
	}
}

func (p *printer) order(list []orderItem) {
	for i, o := range list {
		if i > 0 {
			p.WriteString(", ")
		}
		p.expr(o.x)
		if o.desc {
			p.WriteString(" DESC")
		}
	}
}

func notWord(not bool) string {
	if not {
		return " NOT"
	}
	return ""
}

func (p *printer) expr(x expr) {
	switch e := x.(type) {
	case *litExpr:
		p.WriteString(e.text)
	case *varExpr:
		p.WriteString(e.name)
	case *globalExpr:
		p.WriteString("@@" + e.name)
	case *colExpr:
		if p.col != nil {
			if s, ok := p.col(e); ok {
				p.WriteString(s)
				return
			}
		}
		p.path(e.parts)
	case *starExpr:
		if len(e.qual) > 0 {
			p.path(e.qual)
			p.WriteByte('.')
		}
		p.WriteByte('*')
	case *unaryExpr:
		if e.op == "NOT" {
			p.WriteString("(NOT ")
			p.expr(e.x)
			p.WriteByte(')')
			return
		}
		p.WriteString(e.op + " ")
		if _, ok := e.x.(*binExpr); ok {
			p.expr(e.x)
			return
		}
		p.expr(e.x)
	case *binExpr:
		p.WriteByte('(')
		p.expr(e.l)
		p.WriteString(" " + e.op + " ")
		p.expr(e.r)
		p.WriteByte(')')
	case *isNullExpr:
		p.WriteByte('(')
		p.expr(e.x)
		p.f(" IS%s NULL)", notWord(e.not))
	case *betweenExpr:
		p.WriteByte('(')
		p.expr(e.x)
		p.f("%s BETWEEN ", notWord(e.not))
		p.expr(e.lo)
		p.WriteString(" AND ")
		p.expr(e.hi)
		p.WriteByte(')')
	case *inExpr:
		p.WriteByte('(')
		p.expr(e.x)
		p.f("%s IN (", notWord(e.not))
		if e.q != nil {
			p.query(e.q)
		} else {
			p.list(e.list)
		}
		p.WriteString("))")
	case *likeExpr:
		p.WriteByte('(')
		p.expr(e.x)
		p.f("%s LIKE ", notWord(e.not))
		p.expr(e.pat)
		if e.esc != nil {
			p.WriteString(" ESCAPE ")
			p.expr(e.esc)
		}
		p.WriteByte(')')
	case *existsExpr:
		p.WriteString("EXISTS (")
		p.query(e.q)
		p.WriteByte(')')
	case *quantExpr:
		p.WriteByte('(')
		p.expr(e.x)
		w := "ANY"
		if e.all {
			w = "ALL"
		}
		p.f(" %s %s (", e.op, w)
		p.query(e.q)
		p.WriteString("))")
	case *subExpr:
		p.WriteByte('(')
		p.query(e.q)
		p.WriteByte(')')
	case *caseExpr:
		p.WriteString("CASE")
		if e.operand != nil {
			p.WriteByte(' ')
			p.expr(e.operand)
		}
		for _, w := range e.whens {
			p.WriteString(" WHEN ")
			p.expr(w.cond)
			p.WriteString(" THEN ")
			p.expr(w.then)
		}
		if e.els != nil {
			p.WriteString(" ELSE ")
			p.expr(e.els)
		}
		p.WriteString(" END")
	case *callExpr:
		p.call(e)
	case *castExpr:
		try := ""
		if e.try {
			try = "TRY_"
		}
		if e.conv {
			p.f("%sCONVERT(%s, ", try, e.typ)
			p.expr(e.x)
			if e.style != nil {
				p.WriteString(", ")
				p.expr(e.style)
			}
		} else {
			p.f("%sCAST(", try)
			p.expr(e.x)
			p.f(" AS %s", e.typ)
		}
		p.WriteByte(')')
	case *collateExpr:
		p.operand(e.x)
		p.f(" COLLATE %s", quoteName(e.name))
	case *methodExpr:
		switch e.x.(type) {
		case *subExpr, *methodExpr, *varExpr:
			p.expr(e.x)
		default: // 0.a() and b.a() would be something else
			p.WriteByte('(')
			p.expr(e.x)
			p.WriteByte(')')
		}
		p.f(".%s(", e.name)
		p.list(e.args)
		p.WriteByte(')')
	case *defaultExpr:
		p.WriteString("DEFAULT")
	}
}

// operand puts parentheses around what a postfix would bind to wrongly.
func (p *printer) operand(x expr) {
	if u, ok := x.(*unaryExpr); ok && u.op != "NOT" {
		p.WriteByte('(')
		p.expr(x)
		p.WriteByte(')')
		return
	}
	p.expr(x)
}

func (p *printer) call(e *callExpr) {
	if len(e.path) == 1 {
		if up := strings.ToUpper(e.path[0]); reserved[up] {
			p.WriteString(up)
		} else {
			p.WriteString(quoteName(e.path[0]))
		}
	} else {
		p.path(e.path)
	}
	p.WriteByte('(')
	if e.star {
		p.WriteByte('*')
	}
	if e.distinct {
		p.WriteString("DISTINCT ")
	}
	if len(e.path) == 1 && isDatePartFunc(e.path[0]) && len(e.args) > 0 {
		if part, ok := e.args[0].(*colExpr); ok && len(part.parts) == 1 {
			p.WriteString(part.parts[0])
			if len(e.args) > 1 {
				p.WriteString(", ")
				p.list(e.args[1:])
			}
		} else {
			p.list(e.args)
		}
	} else {
		p.list(e.args)
	}
	p.WriteByte(')')
	if e.within != nil {
		p.WriteString(" WITHIN GROUP (ORDER BY ")
		p.order(e.within)
		p.WriteByte(')')
	}
	if e.over != nil {
		p.WriteString(" OVER (")
		if e.over.part != nil {
			p.WriteString("PARTITION BY ")
			p.list(e.over.part)
		}
		if e.over.order != nil {
			p.WriteString(" ORDER BY ")
			p.order(e.over.order)
		}
		if f := e.over.frame; f != nil {
			unit := "RANGE"
			if f.rows {
				unit = "ROWS"
			}
			p.f(" %s BETWEEN %s AND %s", unit, f.lo, f.hi)
		}
		p.WriteByte(')')
	}
}

func (p *printer) with(list []cte) {
	for i, k := range list {
		if i == 0 {
			p.WriteString("WITH ")
		} else {
			p.WriteString(", ")
		}
		p.WriteString(quoteName(k.name))
		p.names(k.cols)
		p.WriteString(" AS (")
		p.query(k.q)
		p.WriteString(") ")
	}
}

func (p *printer) names(cols []string) {
	for i, s := range cols {
		if i == 0 {
			p.WriteString(" (")
		} else {
			p.WriteString(", ")
		}
		p.WriteString(quoteName(s))
	}
	if len(cols) > 0 {
		p.WriteByte(')')
	}
}

func (p *printer) query(q *queryExpr) {
	p.with(q.with)
	p.body(q.body, false)
	if q.order != nil {
		p.WriteString(" ORDER BY ")
		p.order(q.order)
		if q.offset != nil {
			p.WriteString(" OFFSET ")
			p.expr(q.offset)
			p.WriteString(" ROWS")
			if q.fetch != nil {
				p.WriteString(" FETCH NEXT ")
				p.expr(q.fetch)
				p.WriteString(" ROWS ONLY")
			}
		}
	}
	if q.xml != nil {
		p.f(" FOR XML PATH(%s)", quoteLit(q.xml.row))
		if q.xml.typed {
			p.WriteString(", TYPE")
		}
		if q.xml.root != "" {
			p.f(", ROOT(%s)", quoteLit(q.xml.root))
		}
	}
}

func (p *printer) body(b queryBody, nested bool) {
	switch n := b.(type) {
	case *setOp:
		if nested {
			p.WriteByte('(')
		}
		p.body(n.l, true)
		p.f(" %s ", n.op)
		p.body(n.r, true)
		if nested {
			p.WriteByte(')')
		}
	case *selectCore:
		p.core(n)
	}
}

func (p *printer) core(c *selectCore) {
	if c.values != nil {
		p.values(c.values)
		return
	}
	p.WriteString("SELECT ")
	if c.distinct {
		p.WriteString("DISTINCT ")
	}
	if c.top != nil {
		p.WriteString("TOP (")
		p.expr(c.top)
		p.WriteString(") ")
		if c.percent {
			p.WriteString("PERCENT ")
		}
		if c.ties {
			p.WriteString("WITH TIES ")
		}
	}
	for i, it := range c.items {
		if i > 0 {
			p.WriteString(", ")
		}
		if it.assign != "" {
			p.f("%s %s ", it.assign, it.op)
		}
		p.expr(it.x)
		if it.alias != "" {
			p.WriteString(" AS " + quoteName(it.alias))
		}
	}
	if c.into != nil {
		p.WriteString(" INTO ")
		p.path(c.into)
	}
	p.fromClause(c.from)
	if c.where != nil {
		p.WriteString(" WHERE ")
		p.expr(c.where)
	}
	if c.group != nil {
		p.WriteString(" GROUP BY ")
		p.list(c.group)
	}
	if c.having != nil {
		p.WriteString(" HAVING ")
		p.expr(c.having)
	}
}

func (p *printer) values(rows [][]expr) {
	p.WriteString("VALUES ")
	for i, r := range rows {
		if i > 0 {
			p.WriteString(", ")
		}
		p.WriteByte('(')
		p.list(r)
		p.WriteByte(')')
	}
}

func (p *printer) fromClause(list []tableRef) {
	for i, r := range list {
		if i == 0 {
			p.WriteString(" FROM ")
		} else {
			p.WriteString(", ")
		}
		p.ref(r)
	}
}

func (p *printer) ref(r tableRef) {
	switch t := r.(type) {
	case *tableName:
		p.path(t.path)
		if t.alias != "" {
			p.WriteString(" AS " + quoteName(t.alias))
		}
	case *derived:
		p.WriteByte('(')
		p.query(t.q)
		p.WriteString(") AS " + quoteName(t.alias))
		p.names(t.cols)
	case *tableFunc:
		p.path(t.path)
		p.WriteByte('(')
		p.list(t.args)
		p.WriteByte(')')
		if t.alias != "" {
			p.WriteString(" AS " + quoteName(t.alias))
			p.names(t.cols)
		}
	case *joinRef:
		p.ref(t.l)
		p.f(" %s ", t.kind)
		if _, ok := t.r.(*joinRef); ok {
			p.WriteByte('(')
			p.ref(t.r)
			p.WriteByte(')')
		} else {
			p.ref(t.r)
		}
		if t.on != nil {
			p.WriteString(" ON ")
			p.expr(t.on)
		}
	}
}
