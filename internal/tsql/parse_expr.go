package tsql

import (
	"encoding/hex"
	"strconv"
	"strings"
)

var nullLit = &litExpr{nil, Type{}, "NULL"}

func quoteLit(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func strLit(s string, unicode bool) *litExpr {
	n := utf16Len(s)
	t, text, limit := VarChar(max(n, 1)), quoteLit(s), 8000
	if unicode {
		t, text, limit = NVarChar(max(n, 1)), "N"+text, 4000
	}
	if n > limit {
		t.Len = MaxLen
	}
	if !unicode {
		s = toCodePage(s)
	}
	return &litExpr{s, t, text}
}

func (p *parser) startsExpr() bool {
	t := p.tok()
	switch t.kind {
	case tEOF:
		return false
	case tIdent:
		switch t.up {
		case "CASE", "CAST", "CONVERT", "NULL", "NULLIF", "COALESCE", "LEFT", "RIGHT", "CURRENT_TIMESTAMP", "TRY_CONVERT", "SYSTEM_USER", "USER", "CURRENT_USER", "SESSION_USER":
			return true
		}
		return !reserved[t.up] && !statementWords[t.up]
	case tOp:
		return t.text == "(" || t.text == "-" || t.text == "+" || t.text == "~"
	}
	return true
}

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
			line := p.next().line
			x = &collateExpr{x, p.name(), line}
		case p.is("AT") && p.peek(1).up == "TIME":
			notImplemented(p.tok().line, "AT TIME ZONE")
		case p.isOp(".") && p.peek(1).kind == tIdent && p.peek(2).kind == tOp && p.peek(2).text == "(":
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

func (p *parser) argList() []expr {
	var args []expr
	if !p.acceptOp(")") {
		for {
			args = append(args, p.scalar())
			if !p.acceptOp(",") {
				break
			}
		}
		p.expectOp(")")
	}
	return args
}

func (p *parser) literal() expr {
	t := *p.tok()
	switch t.kind {
	case tInt:
		p.next()
		text := strings.TrimLeft(t.text, "0")
		if text == "" {
			text = "0"
		}
		if v, err := strconv.ParseInt(text, 10, 32); err == nil {
			return &litExpr{v, Int, text}
		}
		return p.numericLit(t, text)
	case tDec:
		p.next()
		return p.numericLit(t, t.text)
	case tMoney:
		p.next()
		d, ok := parseDecimal(t.text)
		if !ok {
			p.badAt(p.i - 1)
		}
		return &litExpr{d.rescale(4), Type{Kind: KindMoney}, "$" + t.text}
	case tFloat:
		p.next()
		text := t.text
		if c := text[len(text)-1]; c < '0' || c > '9' { // "1e" is 1e0
			text += "0"
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			failCompile(t.line, 168, 15, 1, "The floating point value '%s' is out of the range of computer representation (8 bytes).", t.text)
		}
		return &litExpr{f, Float, text}
	case tHex:
		p.next()
		h := t.text
		if len(h)%2 == 1 {
			h = "0" + h
		}
		b, err := hex.DecodeString(h)
		if err != nil {
			p.badAt(p.i - 1)
		}
		return &litExpr{b, VarBinary(max(len(b), 1)), "0x" + h}
	case tStr:
		p.next()
		return strLit(t.text, false)
	case tNStr:
		p.next()
		return strLit(t.text, true)
	}
	p.bad()
	return nil
}

func (p *parser) numericLit(t token, text string) expr {
	whole, frac, _ := strings.Cut(text, ".")
	whole = strings.TrimLeft(whole, "0")
	d, ok := parseDecimal(whole + "." + frac)
	if whole == "" && frac == "" {
		d, ok = Decimal{pow10Cache[0], 0}, true
		d = Decimal{V: d.V.Sub(d.V, d.V), Scale: 0}
	}
	prec := max(len(whole)+len(frac), 1)
	if !ok {
		p.badAt(p.i - 1)
	}
	if prec > 38 {
		failCompile(t.line, 1007, 15, 1, "The number '%s' is out of the range for numeric representation (maximum precision 38).", utf16Cut(t.text, 60))
	}
	out := d.String()
	if frac == "" {
		out += "."
	}
	if !strings.Contains(text, ".") {
		out = d.String()
	}
	return &litExpr{d, Numeric(uint8(prec), uint8(len(frac))), out}
}

func (p *parser) primary() expr {
	t := *p.tok()
	switch t.kind {
	case tVar:
		p.next()
		return &varExpr{t.text, t.line}
	case tGlobal:
		p.next()
		return &globalExpr{strings.ToUpper(t.text), t.line}
	case tOp:
		if t.text == "(" {
			p.enter()
			defer p.leave()
			p.next()
			if p.is("SELECT") {
				q := p.query(nil)
				p.expectOp(")")
				return &subExpr{q, t.line}
			}
			x := p.scalar()
			p.expectOp(")")
			return x
		}
		p.bad()
	case tQuoted:
		return p.nameOrCall()
	case tIdent:
		return p.wordExpr(t)
	case tEOF:
		p.bad()
	}
	return p.literal()
}

func (p *parser) wordExpr(t token) expr {
	call := p.peek(1).kind == tOp && p.peek(1).text == "("
	switch t.up {
	case "NULL":
		p.next()
		return nullLit
	case "CASE":
		return p.caseExpr()
	case "DEFAULT":
		p.bad()
	case "CURRENT_TIMESTAMP":
		p.next()
		return &callExpr{path: []string{"GETDATE"}, line: t.line}
	case "CURRENT_USER", "SESSION_USER", "USER":
		p.next()
		return &callExpr{path: []string{"USER_NAME"}, line: t.line}
	case "SYSTEM_USER":
		p.next()
		return &callExpr{path: []string{"SUSER_SNAME"}, line: t.line}
	case "CAST", "TRY_CAST":
		if !call {
			break
		}
		p.i += 2
		x := p.scalar()
		p.expect("AS")
		e := &castExpr{x: x, typ: p.typeOf(true), try: t.up == "TRY_CAST", line: t.line}
		p.expectOp(")")
		return e
	case "CONVERT", "TRY_CONVERT":
		if !call {
			break
		}
		p.i += 2
		e := &castExpr{typ: p.typeOf(true), try: t.up == "TRY_CONVERT", conv: true, line: t.line}
		p.expectOp(",")
		e.x = p.scalar()
		if p.acceptOp(",") {
			e.style = p.scalar()
		}
		p.expectOp(")")
		return e
	case "COALESCE", "NULLIF", "LEFT", "RIGHT":
		if call {
			return p.call([]string{p.next().text}, t.line)
		}
	}
	if reserved[t.up] {
		p.bad()
	}
	return p.nameOrCall()
}

func (p *parser) caseExpr() expr {
	p.enter()
	defer p.leave()
	p.next()
	e := &caseExpr{}
	if !p.is("WHEN") {
		e.operand = p.scalar()
	}
	for p.accept("WHEN") {
		var w when
		if e.operand != nil {
			w.cond = p.scalar()
		} else {
			w.cond = p.cond()
		}
		p.expect("THEN")
		w.then = p.scalar()
		e.whens = append(e.whens, w)
	}
	if len(e.whens) == 0 {
		p.bad()
	}
	if p.accept("ELSE") {
		e.els = p.scalar()
	}
	p.expect("END")
	return e
}

func (p *parser) nameOrCall() expr {
	line := p.tok().line
	path := []string{p.name()}
	for p.isOp(".") {
		if n := p.peek(1); n.kind == tOp && n.text == "*" {
			p.i += 2
			return &starExpr{path, line}
		}
		if len(path) > 0 && p.peek(2).kind == tOp && p.peek(2).text == "(" && xmlMethods[strings.ToLower(p.peek(1).text)] {
			break
		}
		p.next()
		if p.isOp(".") {
			path = append(path, "")
			continue
		}
		path = append(path, p.afterDot())
	}
	if len(path) > 5 {
		failCompile(line, 4104, 16, 1, "The multi-part identifier \"%s\" could not be bound.", strings.Join(path, "."))
	}
	if p.isOp("(") {
		return p.call(path, line)
	}
	return &colExpr{path, line}
}

var xmlMethods = map[string]bool{"value": true, "query": true, "exist": true, "nodes": true, "modify": true}

// dateParts are the words that DATEADD and its kin take as their first argument.
func isDatePartFunc(name string) bool {
	switch strings.ToUpper(name) {
	case "DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATEPART", "DATENAME", "DATETRUNC":
		return true
	}
	return false
}

func (p *parser) call(path []string, line int) expr {
	p.enter()
	defer p.leave()
	p.expectOp("(")
	e := &callExpr{path: path, line: line}
	switch {
	case p.acceptOp("*"):
		e.star = true
		p.expectOp(")")
	case p.acceptOp(")"):
	default:
		if p.accept("DISTINCT") {
			e.distinct = true
		} else {
			p.accept("ALL")
		}
		if len(path) == 1 && EqualFold(path[0], "IIF") {
			e.args = append(e.args, p.cond())
			p.expectOp(",")
		} else if len(path) == 1 && isDatePartFunc(path[0]) {
			t := p.tok()
			if t.kind != tIdent {
				failCompile(t.line, 1023, 15, 1, "Invalid parameter 1 specified for %s.", strings.ToLower(path[0]))
			}
			p.next()
			e.args = append(e.args, &colExpr{[]string{t.text}, t.line})
			if !p.acceptOp(",") {
				p.expectOp(")")
				return e
			}
		}
		for {
			if p.accept("DEFAULT") {
				e.args = append(e.args, &defaultExpr{})
			} else {
				e.args = append(e.args, p.scalar())
			}
			if !p.acceptOp(",") {
				break
			}
		}
		p.expectOp(")")
	}
	if p.is("WITHIN") {
		p.next()
		p.expect("GROUP")
		p.expectOp("(")
		p.expect("ORDER")
		p.expect("BY")
		e.within = p.orderList()
		p.expectOp(")")
	}
	if p.is("OVER") {
		p.next()
		p.expectOp("(")
		e.over = &overSpec{}
		if p.accept("PARTITION") {
			p.expect("BY")
			for {
				e.over.part = append(e.over.part, p.scalar())
				if !p.acceptOp(",") {
					break
				}
			}
		}
		if p.accept("ORDER") {
			p.expect("BY")
			e.over.order = p.orderList()
		}
		if p.is("ROWS") || p.is("RANGE") {
			notImplemented(p.tok().line, "window frames (ROWS, RANGE)")
		}
		p.expectOp(")")
	}
	return e
}

func (p *parser) orderList() []orderItem {
	var out []orderItem
	for {
		o := orderItem{x: p.scalar()}
		if p.accept("DESC") {
			o.desc = true
		} else {
			p.accept("ASC")
		}
		out = append(out, o)
		if !p.acceptOp(",") {
			return out
		}
	}
}
