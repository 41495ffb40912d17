package tsql

import (
	"strings"
)

// statementWords start a statement although they are not reserved.
var statementWords = map[string]bool{"THROW": true, "DISABLE": true, "ENABLE": true, "SEND": true, "RECEIVE": true, "MOVE": true}

func (p *parser) statement() stmt {
	p.enter()
	defer p.leave()
	p.links = 0
	t := *p.tok()
	b := base{t.line}
	if t.kind == tOp && t.text == "(" {
		return &selectStmt{b, p.query(nil)}
	}
	if t.kind != tIdent {
		p.bad()
	}
	switch t.up {
	case "SELECT":
		return &selectStmt{b, p.query(nil)}
	case "WITH":
		return p.withStatement(b)
	case "INSERT":
		return p.insert(b, nil)
	case "UPDATE":
		return p.update(b, nil)
	case "DELETE":
		return p.delete(b, nil)
	case "DECLARE":
		return p.declare(b)
	case "SET":
		return p.set(b)
	case "IF":
		p.next()
		s := &ifStmt{base: b, cond: p.cond()}
		s.then = p.branch()
		if p.elseAhead() {
			p.semicolons()
			p.expect("ELSE")
			s.els = p.branch()
		}
		return s
	case "WHILE":
		p.next()
		return &whileStmt{b, p.cond(), p.branch()}
	case "BEGIN":
		return p.begin(b)
	case "BREAK":
		p.next()
		return &breakStmt{b}
	case "CONTINUE":
		p.next()
		return &continueStmt{b}
	case "RETURN":
		p.next()
		s := &returnStmt{base: b}
		if p.startsExpr() {
			s.x = p.scalar()
		}
		return s
	case "PRINT":
		p.next()
		return &printStmt{b, p.scalar()}
	case "THROW":
		p.next()
		s := &throwStmt{base: b}
		if p.startsExpr() {
			for i := 0; i < 3; i++ {
				if i > 0 {
					p.expectOp(",")
				}
				s.args = append(s.args, p.scalar())
			}
		}
		return s
	case "RAISERROR":
		return p.raiserror(b)
	case "WAITFOR":
		p.next()
		s := &waitStmt{base: b}
		switch p.acceptAny("DELAY", "TIME") {
		case "TIME":
			s.time = true
		case "":
			notImplemented(b.line, "WAITFOR other than DELAY and TIME")
		}
		s.x = p.scalar()
		return s
	case "EXEC", "EXECUTE":
		p.next()
		return p.execTail(b)
	case "COMMIT", "ROLLBACK", "SAVE":
		return p.tran(b)
	case "USE":
		p.next()
		return &useStmt{b, p.name()}
	case "CREATE", "DROP", "TRUNCATE", "ALTER":
		return p.ddl(b)
	case "GRANT", "DENY", "REVOKE", "KILL", "SHUTDOWN", "BACKUP", "RESTORE", "CHECKPOINT", "DBCC", "RECONFIGURE":
		return p.foreign(b)
	case "OPEN", "CLOSE", "DEALLOCATE":
		return p.cursorVerb(b)
	case "FETCH":
		return p.fetch(b)
	case "MERGE", "GOTO", "BULK", "REVERT", "READTEXT", "WRITETEXT", "UPDATETEXT", "SETUSER", "DISABLE", "ENABLE":
		notImplemented(b.line, "the statement "+t.up)
	}
	if p.labelAhead() {
		notImplemented(b.line, "labels and GOTO")
	}
	p.bad()
	return nil
}

func (p *parser) branch() stmt {
	p.semicolons()
	return p.statement()
}

// elseAhead sees through the semicolons between a branch and ELSE.
func (p *parser) elseAhead() bool {
	i := p.i
	for p.toks[i].kind == tOp && p.toks[i].text == ";" {
		i++
	}
	return p.toks[i].kind == tIdent && p.toks[i].up == "ELSE"
}

func (p *parser) listUntilEnd() []stmt {
	var list []stmt
	for {
		p.semicolons()
		if p.is("END") {
			return list
		}
		if p.tok().kind == tEOF {
			p.bad()
		}
		list = append(list, p.statement())
	}
}

func (p *parser) begin(b base) stmt {
	switch n := p.peek(1); {
	case n.kind == tIdent && (n.up == "TRAN" || n.up == "TRANSACTION"):
		return p.tran(b)
	case n.kind == tIdent && n.up == "DISTRIBUTED":
		notImplemented(b.line, "BEGIN DISTRIBUTED TRANSACTION")
	case n.kind == tIdent && n.up == "TRY":
		p.i += 2
		s := &tryStmt{base: b, body: p.listUntilEnd()}
		p.next()
		p.expect("TRY")
		p.semicolons()
		p.expect("BEGIN")
		p.expect("CATCH")
		s.catch = p.listUntilEnd()
		p.next()
		p.expect("CATCH")
		return s
	}
	p.next()
	s := &blockStmt{b, p.listUntilEnd()}
	if len(s.list) == 0 {
		p.bad() // an empty BEGIN END is a syntax error
	}
	p.next()
	return s
}

func (p *parser) declare(b base) stmt {
	p.next()
	if p.cursorAhead() {
		return p.declareCursor(b)
	}
	s := &declareStmt{base: b}
	for {
		t := p.tok()
		if t.kind != tVar {
			p.bad()
		}
		p.next()
		d := declItem{name: t.text}
		p.accept("AS")
		if p.accept("TABLE") {
			d.cols = p.columnDefs()
		} else if p.is("CURSOR") {
			notImplemented(b.line, "cursor variables")
		} else {
			d.typ = p.typeName()
			if p.acceptOp("=") {
				d.init = p.scalar()
			}
		}
		s.items = append(s.items, d)
		if !p.acceptOp(",") {
			return s
		}
	}
}

func (p *parser) assignOp() string {
	t := p.tok()
	if t.kind == tOp {
		switch t.text {
		case "=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=":
			p.next()
			return t.text
		}
	}
	p.bad()
	return ""
}

func (p *parser) set(b base) stmt {
	p.next()
	if t := p.tok(); t.kind == tVar {
		p.next()
		return &setVarStmt{b, t.text, p.assignOp(), p.scalar()}
	}
	s := &setOptStmt{base: b}
	if p.accept("TRANSACTION") {
		p.expect("ISOLATION")
		p.expect("LEVEL")
		s.names = []string{"TRANSACTION ISOLATION LEVEL"}
		w := p.acceptAny("READ", "REPEATABLE", "SERIALIZABLE", "SNAPSHOT")
		switch w {
		case "READ":
			v := p.acceptAny("COMMITTED", "UNCOMMITTED")
			if v == "" {
				p.bad()
			}
			w += " " + v
		case "REPEATABLE":
			p.expect("READ")
			w += " READ"
		case "":
			p.bad()
		}
		s.value = w
		return s
	}
	if p.accept("STATISTICS") {
		for {
			w := p.acceptAny("IO", "TIME", "XML", "PROFILE")
			if w == "" {
				p.bad()
			}
			s.names = append(s.names, "STATISTICS "+w)
			if !p.acceptOp(",") {
				break
			}
		}
	} else if p.accept("IDENTITY_INSERT") {
		s.names = []string{"IDENTITY_INSERT " + strings.Join(p.path(), ".")}
	} else {
		for {
			t := p.tok()
			if t.kind != tIdent || reserved[t.up] && !setWords[t.up] {
				p.bad()
			}
			if !setWords[t.up] {
				failCompile(t.line, 195, 15, 10, "'%s' is not a recognized SET option.", t.text)
			}
			p.next()
			s.names = append(s.names, t.up)
			if !p.acceptOp(",") {
				break
			}
		}
	}
	switch t := p.tok(); {
	case t.kind == tIdent && (t.up == "ON" || t.up == "OFF" || !reserved[t.up]), t.kind == tInt, t.kind == tStr, t.kind == tNStr, t.kind == tVar, t.kind == tHex:
		s.value = t.text
		p.next()
	case t.kind == tOp && t.text == "-" && p.peek(1).kind == tInt:
		p.next()
		s.value = "-" + p.next().text
	default:
		p.bad()
	}
	return s
}

var setWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`NOCOUNT XACT_ABORT LOCK_TIMEOUT DEADLOCK_PRIORITY QUOTED_IDENTIFIER ANSI_NULLS ANSI_PADDING ANSI_WARNINGS ARITHABORT ARITHIGNORE
		ANSI_NULL_DFLT_ON ANSI_NULL_DFLT_OFF ANSI_DEFAULTS CONCAT_NULL_YIELDS_NULL NUMERIC_ROUNDABORT IMPLICIT_TRANSACTIONS CURSOR_CLOSE_ON_COMMIT
		TEXTSIZE ROWCOUNT LANGUAGE DATEFORMAT DATEFIRST CONTEXT_INFO FMTONLY NOEXEC PARSEONLY NO_BROWSETABLE FORCEPLAN REMOTE_PROC_TRANSACTIONS QUERY_GOVERNOR_COST_LIMIT
		SHOWPLAN_ALL SHOWPLAN_TEXT SHOWPLAN_XML`) {
		m[w] = true
	}
	return m
}()
