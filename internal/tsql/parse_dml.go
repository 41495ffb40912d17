package tsql

import (
	"strconv"
	"strings"
)

func (p *parser) target() *tableName {
	t := *p.tok()
	var r *tableName
	if t.kind == tVar {
		p.next()
		r = &tableName{path: []string{t.text}, line: t.line}
	} else {
		r = &tableName{path: p.path(), line: t.line}
	}
	p.hints()
	return r
}

func (p *parser) insert(b base, with []cte) stmt {
	p.next()
	s := &insertStmt{base: b, with: with}
	if p.is("TOP") {
		notImplemented(b.line, "INSERT TOP")
	}
	p.accept("INTO")
	s.target = p.target()
	s.colLine = p.tok().line
	if p.isOp("(") && !p.subqueryAhead() {
		p.next()
		for {
			path := p.path()
			s.cols = append(s.cols, path[len(path)-1])
			if !p.acceptOp(",") {
				break
			}
		}
		p.expectOp(")")
	}
	s.output = p.outputClause()
	switch {
	case p.accept("DEFAULT"):
		p.expect("VALUES")
		s.deflt = true
	case p.is("VALUES"):
		s.values = p.valuesList()
	case p.is("SELECT"), p.isOp("("):
		s.q = p.query(nil)
	case p.is("EXEC"), p.is("EXECUTE"):
		line := p.next().line
		s.exec = p.execTail(base{line}).(*execStmt)
	default:
		p.bad()
	}
	p.option()
	return s
}

func (p *parser) outputClause() []outputItem {
	if !p.accept("OUTPUT") {
		return nil
	}
	var out []outputItem
	for {
		w := p.acceptAny("INSERTED", "DELETED")
		if w == "" {
			notImplemented(p.tok().line, "OUTPUT of anything but INSERTED and DELETED columns")
		}
		p.expectOp(".")
		o := outputItem{deleted: w == "DELETED"}
		if !p.acceptOp("*") {
			o.col = p.name()
			if p.accept("AS") || p.isName() {
				o.alias = p.name()
			}
		}
		out = append(out, o)
		if !p.acceptOp(",") {
			break
		}
	}
	if p.is("INTO") {
		notImplemented(p.tok().line, "OUTPUT … INTO")
	}
	return out
}

func (p *parser) dmlTop() expr {
	if p.accept("TOP") {
		p.expectOp("(")
		x := p.scalar()
		p.expectOp(")")
		return x
	}
	return nil
}

func (p *parser) update(b base, with []cte) stmt {
	p.next()
	if p.is("STATISTICS") {
		return p.foreign(b)
	}
	s := &updateStmt{base: b, with: with, top: p.dmlTop(), target: p.target()}
	p.expect("SET")
	for {
		t := *p.tok()
		a := assignment{line: t.line}
		if t.kind == tVar {
			p.next()
			a.varnam = t.text
			if p.isOp("=") && p.peek(1).kind != tVar && p.peek(2).kind == tOp && p.peek(2).text == "=" {
				p.next()
				a.col = p.name()
			}
		} else {
			path := p.path()
			a.col = path[len(path)-1]
		}
		a.op = p.assignOp()
		if p.accept("DEFAULT") {
			a.x = &defaultExpr{}
		} else {
			a.x = p.scalar()
		}
		s.sets = append(s.sets, a)
		if !p.acceptOp(",") {
			break
		}
	}
	s.output = p.outputClause()
	if p.accept("FROM") {
		s.from = p.fromList()
	}
	s.where = p.dmlWhere(b)
	return s
}

func (p *parser) dmlWhere(b base) (x expr) {
	if p.accept("WHERE") {
		if p.is("CURRENT") {
			notImplemented(b.line, "WHERE CURRENT OF")
		}
		x = p.cond()
	}
	p.option()
	return x
}

func (p *parser) delete(b base, with []cte) stmt {
	p.next()
	s := &deleteStmt{base: b, with: with, top: p.dmlTop()}
	p.accept("FROM")
	s.target = p.target()
	s.output = p.outputClause()
	if p.accept("FROM") {
		s.from = p.fromList()
	}
	s.where = p.dmlWhere(b)
	return s
}

// columnDefs reads the parenthesised columns of CREATE TABLE #x or DECLARE @t TABLE.
func (p *parser) columnDefs() []colDef {
	p.expectOp("(")
	var out []colDef
	for {
		if p.is("PRIMARY") || p.is("UNIQUE") || p.is("CONSTRAINT") || p.is("CHECK") || p.is("INDEX") {
			p.tableConstraint()
		} else {
			out = append(out, p.columnDef())
		}
		if !p.acceptOp(",") || p.isOp(")") {
			break
		}
	}
	p.expectOp(")")
	return out
}

func (p *parser) tableConstraint() {
	line := p.tok().line
	if p.accept("CONSTRAINT") {
		p.name()
	}
	if w := p.acceptAny("PRIMARY", "UNIQUE", "INDEX"); w == "" {
		notImplemented(line, "CHECK and FOREIGN KEY constraints")
	} else if w == "PRIMARY" {
		p.expect("KEY")
	} else if w == "INDEX" {
		p.name()
	}
	p.accept("UNIQUE")
	p.acceptAny("CLUSTERED", "NONCLUSTERED")
	p.expectOp("(")
	p.skipParens()
	p.keyOptions()
}

// keyOptions is what may follow a key: WITH (IGNORE_DUP_KEY = ON) and its kin.
func (p *parser) keyOptions() {
	if p.accept("WITH") {
		p.expectOp("(")
		p.skipParens()
	}
}

func (p *parser) columnDef() colDef {
	d := colDef{name: p.name()}
	if p.is("AS") {
		notImplemented(p.tok().line, "computed columns")
	}
	d.typ = p.typeName()
	for {
		switch {
		case p.accept("NOT"):
			p.expect("NULL")
			d.notNull = true
		case p.accept("NULL"):
		case p.accept("CONSTRAINT"):
			p.name()
		case p.accept("DEFAULT"):
			d.deflt = p.scalar()
		case p.accept("COLLATE"):
			d.collate = p.name()
		case p.accept("IDENTITY"):
			d.identity, d.notNull, d.seed, d.inc = true, true, 1, 1
			if p.acceptOp("(") {
				d.seed = p.signedInt()
				p.expectOp(",")
				d.inc = p.signedInt()
				p.expectOp(")")
			}
		case p.is("PRIMARY"), p.is("UNIQUE"):
			primary := p.next().up == "PRIMARY"
			if primary {
				p.expect("KEY")
			}
			p.acceptAny("CLUSTERED", "NONCLUSTERED")
			if p.acceptOp("(") { // a key of the table, which needs no comma before it
				p.skipParens()
			} else if primary {
				d.notNull = true
			}
			p.keyOptions()
		case p.accept("INDEX"):
			p.name()
			p.accept("UNIQUE")
			p.acceptAny("CLUSTERED", "NONCLUSTERED")
			if p.acceptOp("(") {
				p.skipParens()
			}
			p.keyOptions()
		case p.is("CHECK"), p.is("REFERENCES"), p.is("FOREIGN"):
			notImplemented(p.tok().line, "CHECK and FOREIGN KEY constraints")
		default:
			return d
		}
	}
}

func (p *parser) signedInt() int64 {
	neg := p.acceptOp("-")
	t := p.tok()
	v, err := strconv.ParseInt(t.text, 10, 64)
	if t.kind != tInt || err != nil {
		p.bad()
	}
	p.next()
	if neg {
		return -v
	}
	return v
}

func isTemp(path []string) bool { return strings.HasPrefix(path[len(path)-1], "#") }

// ddl takes what concerns temporary tables, and leaves everything else to the host.
func (p *parser) ddl(b base) stmt {
	start := p.i
	verb := p.next().up
	switch {
	case verb == "CREATE" && p.is("TABLE") && p.tempAhead(1):
		p.next()
		s := &createTableStmt{base: b, path: p.path()}
		s.cols = p.columnDefs()
		return s
	case verb == "DROP" && p.accept("TABLE"):
		s := &dropTableStmt{base: b}
		if p.accept("IF") {
			p.expect("EXISTS")
			s.ifExists = true
		}
		for {
			s.paths = append(s.paths, p.path())
			if !p.acceptOp(",") {
				break
			}
		}
		for _, path := range s.paths {
			if !isTemp(path) {
				p.i = start
				return p.foreign(b)
			}
		}
		return s
	case verb == "TRUNCATE":
		p.expect("TABLE")
		if s := (&truncateStmt{b, p.path()}); isTemp(s.path) {
			return s
		}
	case verb == "CREATE":
		i := p.i
		for p.is("UNIQUE") || p.is("CLUSTERED") || p.is("NONCLUSTERED") {
			p.next()
		}
		if p.accept("INDEX") {
			p.name()
			p.expect("ON")
			if path := p.path(); isTemp(path) {
				p.expectOp("(")
				p.skipParens()
				if p.accept("INCLUDE") {
					p.expectOp("(")
					p.skipParens()
				}
				return &nopStmt{b, strings.TrimSpace(p.src[p.toks[start].pos:p.toks[p.i-1].end])}
			}
		}
		p.i = i
	case verb == "ALTER" && p.is("TABLE") && p.tempAhead(1):
		notImplemented(b.line, "ALTER TABLE on a temporary table")
	}
	p.i = start
	return p.foreign(b)
}

func (p *parser) tempAhead(off int) bool {
	i := p.i + off
	for i < len(p.toks) && (p.toks[i].kind == tIdent || p.toks[i].kind == tQuoted || p.toks[i].kind == tOp && p.toks[i].text == ".") {
		if strings.HasPrefix(p.toks[i].text, "#") {
			return true
		}
		if i+1 >= len(p.toks) || p.toks[i].kind != tOp && (p.toks[i+1].kind != tOp || p.toks[i+1].text != ".") {
			return false
		}
		i++
	}
	return false
}

// starters begin a statement, and so end a foreign one that has no semicolon.
var starters = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`SELECT INSERT UPDATE DELETE DECLARE IF WHILE BEGIN EXEC EXECUTE PRINT RAISERROR RETURN THROW WAITFOR USE CREATE DROP ALTER GRANT DENY REVOKE
		COMMIT ROLLBACK SAVE BREAK CONTINUE END ELSE KILL SHUTDOWN BACKUP RESTORE TRUNCATE CHECKPOINT DBCC MERGE SET RECONFIGURE OPEN CLOSE FETCH DEALLOCATE`) {
		m[w] = true
	}
	return m
}()

// foreign takes the text of a statement up to its end. The difficulty is that inside it stand words which begin statements elsewhere:
// ALTER DATABASE x SET …, ALTER AVAILABILITY GROUP x GRANT CREATE ANY DATABASE, … WITH ROLLBACK IMMEDIATE, DROP x IF EXISTS, GRANT ALTER ….
func (p *parser) foreign(b base) stmt {
	start := p.i
	verb := p.next().up
	what := p.tok().up
	if (verb == "CREATE" || verb == "ALTER") && (what == "PROCEDURE" || what == "PROC" || what == "VIEW" || what == "FUNCTION" || what == "TRIGGER" || what == "OR") {
		for p.tok().kind != tEOF { // the body is the rest of the batch
			p.next()
		}
	}
	isGrant := verb == "GRANT" || verb == "DENY" || verb == "REVOKE"
	sets, granted, seenTo := 0, false, false
	for p.tok().kind != tEOF {
		t := p.tok()
		prev := p.toks[p.i-1].up
		if t.kind == tOp && t.text == ";" {
			break
		}
		if t.kind == tOp && t.text == "(" {
			p.next()
			p.skipParens()
			continue
		}
		if isGrant && (t.up == "TO" || t.up == "FROM") {
			seenTo = true
		}
		if t.kind == tIdent && starters[t.up] {
			inside := false
			switch {
			case t.up == "END" || t.up == "ELSE":
			case prev == "." || p.toks[p.i-1].kind == tOp && p.toks[p.i-1].text == ".":
				inside = true
			case isGrant:
				inside = !seenTo
			case t.up == "SET":
				inside = sets == 0 && p.i > start+1 && verb == "ALTER" && p.peek(1).kind != tVar
				sets++
			case (t.up == "GRANT" || t.up == "DENY") && verb == "ALTER" && what == "AVAILABILITY" && !granted:
				inside, granted = true, true
			case t.up == "CREATE" && (prev == "GRANT" || prev == "DENY"):
				inside = true
			case t.up == "ROLLBACK":
				inside = prev == "WITH"
			case t.up == "IF":
				inside = p.peek(1).up == "EXISTS" && (verb == "DROP" || verb == "ALTER")
			case t.up == "DROP" || t.up == "ALTER":
				inside = verb == "ALTER" && what != "AVAILABILITY" && p.i > start+2 && sets == 0 && p.toks[p.i-1].line == t.line
			case t.up == "UPDATE" || t.up == "DELETE":
				inside = prev == "ON" || prev == "AFTER"
			}
			if !inside {
				break
			}
		}
		p.next()
	}
	if p.i == start+1 && verb != "CHECKPOINT" && verb != "SHUTDOWN" && verb != "RECONFIGURE" {
		p.bad()
	}
	// The body of a procedure is the rest of the batch, its closing semicolons too.
	return &foreignStmt{b, strings.TrimRight(p.src[p.toks[start].pos:p.toks[p.i-1].end], "; \t\r\n")}
}
