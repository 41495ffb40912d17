package tsql

import (
	"strings"
)

func (p *parser) raiserror(b base) stmt {
	p.next()
	s := &raiseStmt{base: b}
	p.expectOp("(")
	for {
		s.args = append(s.args, p.scalar())
		if !p.acceptOp(",") {
			break
		}
	}
	p.expectOp(")")
	if len(s.args) < 3 {
		p.badAt(p.i - 1)
	}
	if p.accept("WITH") {
		for {
			switch p.acceptAny("NOWAIT", "LOG", "SETERROR") {
			case "NOWAIT":
				s.nowait = true
			case "LOG":
				s.log = true
			case "SETERROR":
				s.seterr = true
			default:
				p.bad()
			}
			if !p.acceptOp(",") {
				break
			}
		}
	}
	return s
}

func (p *parser) tran(b base) stmt {
	s := &tranStmt{base: b, verb: p.next().up}
	word := p.acceptAny("TRAN", "TRANSACTION")
	if word == "" {
		if s.verb == "SAVE" || s.verb == "BEGIN" {
			p.bad()
		}
		p.accept("WORK")
		return s
	}
	if t := p.tok(); t.kind == tVar {
		s.vari = p.next().text
	} else if p.isName() && !statementWords[t.up] {
		s.name = p.name()
	} else if s.verb == "SAVE" {
		p.bad()
	}
	if p.is("WITH") && p.peek(1).kind == tOp || p.is("WITH") && p.peek(1).up == "MARK" {
		notImplemented(b.line, "transactions WITH an option")
	}
	return s
}

// execTail reads what follows EXEC, or a whole implicit EXEC.
func (p *parser) execTail(b base) stmt {
	s := &execStmt{base: b}
	if p.acceptOp("(") {
		for {
			s.text = append(s.text, p.scalar())
			if !p.acceptOp(",") {
				break
			}
		}
		p.expectOp(")")
		if p.is("AT") {
			notImplemented(b.line, "EXEC … AT a linked server")
		}
		if p.is("AS") {
			notImplemented(b.line, "EXEC … AS another principal")
		}
		return s
	}
	if p.is("AS") {
		notImplemented(b.line, "EXECUTE AS")
	}
	if t := p.tok(); t.kind == tVar {
		p.next()
		if p.acceptOp("=") {
			s.rc = t.text
			if v := p.tok(); v.kind == tVar {
				p.next()
				s.pathOf = v.text
			}
		} else {
			s.pathOf = t.text
		}
	}
	if s.pathOf == "" {
		s.path = p.path()
	}
	if !p.execArgAhead() {
		return s
	}
	for {
		a := execArg{}
		if t := p.tok(); t.kind == tVar && p.peek(1).kind == tOp && p.peek(1).text == "=" {
			a.name = t.text
			p.i += 2
		}
		a.x, a.deflt = p.execValue()
		if _, ok := a.x.(*varExpr); ok && p.acceptAny("OUTPUT", "OUT") != "" {
			a.output = true
		}
		s.args = append(s.args, a)
		if !p.acceptOp(",") {
			break
		}
	}
	if p.is("WITH") && (p.peek(1).up == "RECOMPILE" || p.peek(1).up == "RESULT") {
		p.next()
		if p.next().up == "RESULT" {
			notImplemented(b.line, "WITH RESULT SETS")
		}
	}
	return s
}

func (p *parser) execArgAhead() bool {
	t := p.tok()
	switch t.kind {
	case tVar, tGlobal, tInt, tDec, tFloat, tHex, tMoney, tStr, tNStr, tQuoted:
		return true
	case tIdent:
		return !reserved[t.up] && !statementWords[t.up] || t.up == "NULL" || t.up == "DEFAULT"
	}
	return t.kind == tOp && t.text == "-"
}

// execValue is an argument of EXEC: a literal, a variable or a bare word that stands for a string; no expressions, as in SQL Server.
func (p *parser) execValue() (expr, bool) {
	t := *p.tok()
	switch t.kind {
	case tVar:
		p.next()
		return &varExpr{t.text, t.line}, false
	case tGlobal:
		p.next()
		return &globalExpr{strings.ToUpper(t.text), t.line}, false
	case tIdent, tQuoted:
		switch {
		case t.up == "NULL":
			p.next()
			return nullLit, false
		case t.up == "DEFAULT":
			p.next()
			return nullLit, true
		case t.kind == tIdent && reserved[t.up]:
			p.bad()
		}
		p.next()
		return strLit(t.text, true), false
	case tOp:
		if t.text != "-" || p.peek(1).kind != tInt && p.peek(1).kind != tDec && p.peek(1).kind != tFloat && p.peek(1).kind != tMoney {
			p.bad()
		}
		p.next()
		return &unaryExpr{"-", p.literal()}, false
	}
	return p.literal(), false
}
