package tsql

import (
	"encoding/hex"
	"math/big"
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
		return t.text == "(" || t.text == "-" || t.text == "+" || t.text == "~" || t.text == "{"
	}
	return true
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
		d, ok = Decimal{new(big.Int), 0}, true
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
		if t.text == "{" {
			return p.odbc(t.line)
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

// odbc reads an ODBC escape, which SQL Server takes in any text: {d '2026-11-28'} and {ts '…'} are a datetime.
func (p *parser) odbc(line int) expr {
	p.next()
	kind := p.tok().up
	switch kind {
	case "D", "TS":
		p.next()
		if p.tok().kind != tStr && p.tok().kind != tNStr {
			p.bad()
		}
		e := &castExpr{x: p.literal(), typ: DateTime, line: line}
		p.expectOp("}")
		return e
	case "T", "FN", "GUID", "INTERVAL":
		notImplemented(line, "the ODBC escape {"+strings.ToLower(kind)+" …}")
	}
	p.bad()
	return nil
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
	case "PARSE", "TRY_PARSE":
		if call {
			notImplemented(t.line, "the function "+t.up)
		}
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
			e.over.frame = p.frame()
		}
		p.expectOp(")")
	}
	return e
}

// frame reads ROWS or RANGE, a bound alone or BETWEEN two.
func (p *parser) frame() *frameSpec {
	t := p.next()
	f := &frameSpec{rows: t.up == "ROWS", hi: frameBound{kind: boundCurrent}}
	if p.accept("BETWEEN") {
		f.lo = p.frameBound(f.rows)
		p.expect("AND")
		f.hi = p.frameBound(f.rows)
	} else if f.lo = p.frameBound(f.rows); f.lo.kind > boundCurrent {
		p.badAt(p.i - 1)
	}
	if f.lo.kind > f.hi.kind || f.lo.kind == boundLast || f.hi.kind == boundFirst {
		failCompile(t.line, 4193, 16, 1, "'BETWEEN ... FOLLOWING AND CURRENT ROW' is not a valid window frame and cannot be used with the OVER clause.")
	}
	return f
}

func (p *parser) frameBound(rows bool) frameBound {
	line := p.tok().line
	switch {
	case p.accept("CURRENT"):
		p.expect("ROW")
		return frameBound{kind: boundCurrent}
	case p.accept("UNBOUNDED"):
		if p.accept("PRECEDING") {
			return frameBound{kind: boundFirst}
		}
		p.expect("FOLLOWING")
		return frameBound{kind: boundLast}
	}
	n := p.signedInt()
	if n < 0 {
		p.badAt(p.i - 1)
	}
	if !rows {
		failCompile(line, 4194, 16, 1, "RANGE is only supported with UNBOUNDED and CURRENT ROW window frame delimiters.")
	}
	if p.accept("PRECEDING") {
		return frameBound{boundPreceding, n}
	}
	p.expect("FOLLOWING")
	return frameBound{boundFollowing, n}
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
