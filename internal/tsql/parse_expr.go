package tsql

import (
	"strings"
)

func isPredicate(x expr) bool {
	switch e := x.(type) {
	case *isNullExpr, *betweenExpr, *inExpr, *likeExpr, *existsExpr, *quantExpr:
		return true
	case *unaryExpr:
		return e.op == "NOT"
	case *binExpr:
		return isLogic(e.op) || isCompare(e.op)
	}
	return false
}

func isLogic(op string) bool { return op == "AND" || op == "OR" }

func isCompare(op string) bool {
	switch op {
	case "=", "<>", "<", "<=", ">", ">=":
		return true
	}
	return false
}

// scalar reads an expression with a value; a condition there is a syntax error at its operator.
func (p *parser) scalar() expr {
	p.enter()
	defer p.leave()
	return p.additive()
}

// cond reads a condition; a value there is error 4145.
func (p *parser) cond() expr {
	x := p.either()
	if !isPredicate(x) {
		p.notCondition()
	}
	return x
}

// either reads a condition or a value, whichever is there, without going back: what stands in parentheses is known only at their end.
func (p *parser) either() expr {
	p.enter()
	defer p.leave()
	x := p.andExpr()
	for p.is("OR") {
		x = p.logic("OR", x, p.andExpr)
	}
	return x
}

func (p *parser) logic(op string, l expr, right func() expr) expr {
	if !isPredicate(l) {
		p.notCondition()
	}
	line := p.next().line
	p.link()
	r := right()
	if !isPredicate(r) {
		p.notCondition()
	}
	return &binExpr{op, l, r, line}
}

func (p *parser) andExpr() expr {
	x := p.notExpr()
	for p.is("AND") {
		x = p.logic("AND", x, p.notExpr)
	}
	return x
}

func (p *parser) notExpr() expr {
	if p.accept("NOT") {
		p.enter()
		defer p.leave()
		x := p.notExpr()
		if !isPredicate(x) {
			p.notCondition()
		}
		return &unaryExpr{"NOT", x}
	}
	return p.predicate()
}

func (p *parser) notCondition() {
	t := p.tok()
	text := t.text
	if t.kind == tEOF {
		text = p.toks[max(p.i-1, 0)].text
	}
	failCompile(t.line, 4145, 15, 1, "An expression of non-boolean type specified in a context where a condition is expected, near '%s'.", text)
}

func (p *parser) predicate() expr {
	if p.accept("EXISTS") {
		p.expectOp("(")
		q := p.query(nil)
		p.expectOp(")")
		return &existsExpr{q}
	}
	var x expr
	if p.isOp("(") && !p.subqueryAhead() {
		p.next()
		x = p.either()
		p.expectOp(")")
		if isPredicate(x) {
			return x
		}
		x = p.addRest(p.mulRest(p.postfix(x)))
	} else {
		x = p.scalar()
	}
	t := p.tok()
	if t.kind == tOp {
		op := t.text
		switch op {
		case "!=":
			op = "<>"
		case "!<":
			op = ">="
		case "!>":
			op = "<="
		}
		if isCompare(op) {
			p.next()
			line := t.line
			if w := p.acceptAny("ALL", "ANY", "SOME"); w != "" {
				p.expectOp("(")
				q := p.query(nil)
				p.expectOp(")")
				return &quantExpr{op, x, w == "ALL", q, line}
			}
			return &binExpr{op, x, p.scalar(), line}
		}
	}
	if p.accept("IS") {
		not := p.accept("NOT")
		if p.is("DISTINCT") {
			notImplemented(t.line, "IS DISTINCT FROM")
		}
		p.expect("NULL")
		return &isNullExpr{x, not}
	}
	not := false
	if p.is("NOT") {
		p.next()
		not = true
	}
	switch {
	case p.accept("BETWEEN"):
		lo := p.scalar()
		p.expect("AND")
		return &betweenExpr{x, lo, p.scalar(), not}
	case p.accept("LIKE"):
		e := &likeExpr{x: x, pat: p.scalar(), not: not}
		if p.accept("ESCAPE") {
			e.esc = p.scalar()
		}
		return e
	case p.accept("IN"):
		e := &inExpr{x: x, not: not, line: t.line}
		p.expectOp("(")
		if p.is("SELECT") {
			e.q = p.query(nil)
		} else {
			for {
				e.list = append(e.list, p.scalar())
				if !p.acceptOp(",") {
					break
				}
			}
		}
		p.expectOp(")")
		return e
	}
	if not {
		p.bad()
	}
	return x
}

// subqueryAhead: the current "(" opens a query.
func (p *parser) subqueryAhead() bool { return p.isOp("(") && p.peek(1).up == "SELECT" }

func (p *parser) additive() expr { return p.addRest(p.multiplicative()) }

func (p *parser) addRest(x expr) expr {
	for {
		t := p.tok()
		if t.kind != tOp || t.text != "+" && t.text != "-" && t.text != "&" && t.text != "|" && t.text != "^" {
			return x
		}
		p.next()
		p.link()
		x = &binExpr{t.text, x, p.multiplicative(), t.line}
	}
}

func (p *parser) multiplicative() expr { return p.mulRest(p.unary()) }

func (p *parser) mulRest(x expr) expr {
	for {
		t := p.tok()
		if t.kind != tOp || t.text != "*" && t.text != "/" && t.text != "%" {
			return x
		}
		p.next()
		p.link()
		x = &binExpr{t.text, x, p.unary(), t.line}
	}
}

func (p *parser) unary() expr {
	if t := p.tok(); t.kind == tOp && (t.text == "-" || t.text == "+" || t.text == "~") {
		p.next()
		p.enter()
		defer p.leave()
		return &unaryExpr{t.text, p.unary()}
	}
	return p.postfix(p.primary())
}

func (p *parser) postfix(x expr) expr {
	for {
		switch {
		case p.is("COLLATE"):
			p.link()
			line := p.next().line
			x = &collateExpr{x, p.name(), line}
		case p.is("AT") && p.peek(1).up == "TIME":
			notImplemented(p.tok().line, "AT TIME ZONE")
		case p.isOp(".") && p.peek(1).kind == tIdent && p.peek(2).kind == tOp && p.peek(2).text == "(":
			p.link()
			line := p.next().line
			m := &methodExpr{x: x, name: strings.ToLower(p.next().text), line: line}
			p.next()
			m.args = p.argList()
			x = m
		default:
			return x
		}
	}
}
