package tsql

import "strings"

// query reads a SELECT with its CTEs (already read ones are passed in), set operators, ORDER BY, FOR XML and OPTION.
func (p *parser) query(with []cte) *queryExpr {
	p.enter()
	defer p.leave()
	q := &queryExpr{with: with, line: p.tok().line}
	q.body = p.unionBody()
	if p.accept("ORDER") {
		p.expect("BY")
		q.order = p.orderList()
		if p.accept("OFFSET") {
			q.offset = p.scalar()
			if p.acceptAny("ROW", "ROWS") == "" {
				p.bad()
			}
			if p.accept("FETCH") {
				if p.acceptAny("NEXT", "FIRST") == "" {
					p.bad()
				}
				q.fetch = p.scalar()
				if p.acceptAny("ROW", "ROWS") == "" {
					p.bad()
				}
				p.expect("ONLY")
			}
		}
	}
	if p.is("FOR") && p.peek(1).up != "READ" && p.peek(1).up != "READ_ONLY" && p.peek(1).up != "UPDATE" { // those belong to DECLARE CURSOR
		p.forClause(q)
	}
	p.option()
	return q
}

func (p *parser) option() {
	if p.accept("OPTION") {
		p.expectOp("(")
		p.skipParens()
	}
}

// skipParens moves behind the parenthesis that closes an open one.
func (p *parser) skipParens() {
	for depth := 1; depth > 0; {
		t := p.tok()
		if t.kind == tEOF {
			p.bad()
		}
		if t.kind == tOp && t.text == "(" {
			depth++
		}
		if t.kind == tOp && t.text == ")" {
			depth--
		}
		p.next()
	}
}

func (p *parser) forClause(q *queryExpr) {
	line := p.next().line
	if !p.is("XML") {
		notImplemented(line, "FOR "+strings.ToUpper(p.tok().text))
	}
	p.next()
	if !p.accept("PATH") {
		notImplemented(line, "FOR XML other than PATH")
	}
	x := &forXML{row: "row"}
	if p.acceptOp("(") {
		t := p.next()
		if t.kind != tStr && t.kind != tNStr {
			p.badAt(p.i - 1)
		}
		x.row = t.text
		p.expectOp(")")
	}
	for p.acceptOp(",") {
		switch p.acceptAny("TYPE", "ROOT", "ELEMENTS") {
		case "TYPE":
			x.typed = true
		case "ROOT":
			x.root = "root"
			if p.acceptOp("(") {
				t := p.next()
				if t.kind != tStr && t.kind != tNStr {
					p.badAt(p.i - 1)
				}
				x.root = t.text
				p.expectOp(")")
			}
		case "":
			p.bad()
		}
	}
	q.xml = x
}

func (p *parser) unionBody() queryBody {
	b := p.intersectBody()
	for {
		op := p.acceptAny("UNION", "EXCEPT")
		if op == "" {
			return b
		}
		if op == "UNION" && p.accept("ALL") {
			op = "UNION ALL"
		}
		p.link()
		b = &setOp{op, b, p.intersectBody()}
	}
}

func (p *parser) intersectBody() queryBody {
	b := p.bodyPrimary()
	for p.accept("INTERSECT") {
		p.link()
		b = &setOp{"INTERSECT", b, p.bodyPrimary()}
	}
	return b
}

func (p *parser) bodyPrimary() queryBody {
	if p.acceptOp("(") {
		p.enter()
		defer p.leave()
		b := p.unionBody()
		p.expectOp(")")
		return b
	}
	return p.core()
}

func (p *parser) core() *selectCore {
	c := &selectCore{line: p.tok().line}
	values := p.allowValues
	p.allowValues = false
	if values && p.is("VALUES") {
		c.values = p.valuesList()
		return c
	}
	p.expect("SELECT")
	if p.accept("DISTINCT") {
		c.distinct = true
	} else {
		p.accept("ALL")
	}
	if p.accept("TOP") {
		c.top = p.topExpr()
		c.percent = p.accept("PERCENT")
		if p.is("WITH") && p.peek(1).up == "TIES" {
			p.i += 2
			c.ties = true
		}
	}
	for {
		c.items = append(c.items, p.selectItem())
		if !p.acceptOp(",") {
			break
		}
	}
	if p.accept("INTO") {
		c.into = p.path()
	}
	if p.accept("FROM") {
		c.from = p.fromList()
	}
	if p.accept("WHERE") {
		c.where = p.cond()
	}
	if p.accept("GROUP") {
		p.expect("BY")
		for {
			if w := p.tok(); (w.up == "ROLLUP" || w.up == "CUBE" || w.up == "GROUPING") && (p.peek(1).kind == tOp || p.peek(1).up == "SETS") {
				notImplemented(w.line, "GROUP BY "+w.up)
			}
			c.group = append(c.group, p.scalar())
			if !p.acceptOp(",") {
				break
			}
		}
		if p.is("WITH") && (p.peek(1).up == "ROLLUP" || p.peek(1).up == "CUBE") {
			notImplemented(p.tok().line, "GROUP BY … WITH "+p.peek(1).up)
		}
	}
	if p.accept("HAVING") {
		c.having = p.cond()
	}
	return c
}

func (p *parser) topExpr() expr {
	if p.acceptOp("(") {
		x := p.scalar()
		p.expectOp(")")
		return x
	}
	if t := p.tok(); t.kind != tInt && t.kind != tDec && t.kind != tFloat && t.kind != tVar {
		p.bad()
	}
	return p.primary()
}

func (p *parser) valuesList() [][]expr {
	p.expect("VALUES")
	var out [][]expr
	for {
		p.expectOp("(")
		var row []expr
		for {
			if p.accept("DEFAULT") {
				row = append(row, &defaultExpr{})
			} else {
				row = append(row, p.scalar())
			}
			if !p.acceptOp(",") {
				break
			}
		}
		p.expectOp(")")
		out = append(out, row)
		if len(out[0]) != len(row) {
			failCompile(p.tok().line, 10709, 16, 1, "The number of columns for each row in a table value constructor must be the same.")
		}
		if !p.acceptOp(",") {
			return out
		}
	}
}

func (p *parser) selectItem() selectItem {
	t := p.tok()
	if t.kind == tOp && t.text == "*" {
		p.next()
		return selectItem{x: &starExpr{line: t.line}}
	}
	if n := p.peek(1); n.kind == tOp {
		if t.kind == tVar && strings.HasSuffix(n.text, "=") && n.text != "<=" && n.text != ">=" && n.text != "!=" {
			p.next()
			return selectItem{assign: t.text, op: p.assignOp(), x: p.scalar()}
		}
		if (p.isName() || t.kind == tStr) && n.text == "=" {
			p.i += 2
			return selectItem{alias: checkName(*t), x: p.scalar()}
		}
	}
	it := selectItem{x: p.scalar()}
	if _, ok := it.x.(*starExpr); ok {
		return it
	}
	if p.accept("AS") {
		if s := p.tok(); s.kind == tStr || s.kind == tNStr {
			it.alias = checkName(p.next())
		} else {
			it.alias = p.name()
		}
	} else if s := p.tok(); s.kind == tStr || s.kind == tNStr {
		it.alias = checkName(p.next())
	} else if p.isName() && !statementWords[s.up] {
		it.alias = p.name()
	}
	return it
}

func (p *parser) fromList() []tableRef {
	var out []tableRef
	for {
		out = append(out, p.tableJoin())
		if !p.acceptOp(",") {
			return out
		}
	}
}

func (p *parser) tableJoin() tableRef {
	p.enter()
	defer p.leave()
	l := p.tableFactor()
	for {
		kind, ok := p.joinKind()
		if !ok {
			return l
		}
		p.link()
		j := &joinRef{kind: kind, l: l}
		switch kind {
		case joinCross, joinCrossApply, joinOuterApply:
			j.r = p.tableFactor()
		default:
			j.r = p.tableJoinRight()
			p.expect("ON")
			j.on = p.cond()
		}
		l = j
	}
}

// tableJoinRight reads the right side of a join with ON: a factor, or a nested join whose ON stands before ours (a JOIN b JOIN c ON … ON …).
func (p *parser) tableJoinRight() tableRef {
	p.enter()
	defer p.leave()
	r := p.tableFactor()
	for !p.is("ON") {
		kind, ok := p.joinKind()
		if !ok {
			return r
		}
		p.link()
		j := &joinRef{kind: kind, l: r}
		switch kind {
		case joinCross, joinCrossApply, joinOuterApply:
			j.r = p.tableFactor()
		default:
			j.r = p.tableJoinRight()
			p.expect("ON")
			j.on = p.cond()
		}
		r = j
	}
	return r
}

func (p *parser) joinKind() (joinKind, bool) {
	hint := func() { p.acceptAny("HASH", "LOOP", "MERGE", "REMOTE") }
	switch {
	case p.accept("JOIN"):
		return joinInner, true
	case p.is("INNER"):
		p.next()
		hint()
		p.expect("JOIN")
		return joinInner, true
	case p.is("LEFT"), p.is("RIGHT"), p.is("FULL"):
		k := map[string]joinKind{"LEFT": joinLeft, "RIGHT": joinRight, "FULL": joinFull}[p.next().up]
		p.accept("OUTER")
		hint()
		p.expect("JOIN")
		return k, true
	case p.is("CROSS"):
		p.next()
		if p.accept("APPLY") {
			return joinCrossApply, true
		}
		p.expect("JOIN")
		return joinCross, true
	case p.is("OUTER"):
		p.next()
		p.expect("APPLY")
		return joinOuterApply, true
	}
	return 0, false
}

func (p *parser) tableFactor() tableRef {
	p.enter()
	defer p.leave()
	t := *p.tok()
	if t.kind == tVar {
		p.next()
		r := &tableName{path: []string{t.text}, line: t.line}
		r.alias, _ = p.tableAlias(false)
		p.hints()
		return r
	}
	if p.isOp("(") {
		// A derived table, or a join in parentheses.
		i := p.i
		for p.toks[i].kind == tOp && p.toks[i].text == "(" {
			i++
		}
		if w := p.toks[i].up; w != "SELECT" && w != "VALUES" {
			p.next()
			r := p.tableJoin()
			p.expectOp(")")
			return r
		}
		if i > p.i+1 { // ((SELECT …) AS x JOIN …) against ((SELECT …) UNION …) AS x: only the second is taken
			j, depth := p.i+2, 1
			for ; depth > 0 && p.toks[j].kind != tEOF; j++ {
				if t := p.toks[j]; t.kind == tOp && t.text == "(" {
					depth++
				} else if t.kind == tOp && t.text == ")" {
					depth--
				}
			}
			after := p.toks[j]
			joined := after.up != "UNION" && after.up != "EXCEPT" && after.up != "INTERSECT" && after.up != "ORDER" && (after.kind != tOp || after.text != ")")
			if joined {
				p.next()
				r := p.tableJoin()
				p.expectOp(")")
				return r
			}
		}
		p.next()
		p.allowValues = p.is("VALUES") // a table value constructor stands alone, and only here
		d := &derived{q: p.query(nil)}
		p.expectOp(")")
		d.alias, d.cols = p.tableAlias(true)
		if d.alias == "" {
			p.bad()
		}
		p.noTableOperator()
		return d
	}
	if !p.isName() && !p.isOp(".") {
		if p.is("OPENROWSET") || p.is("OPENQUERY") || p.is("OPENXML") || p.is("CONTAINS") {
			notImplemented(t.line, p.tok().up)
		}
		p.bad()
	}
	path := p.path()
	if p.isOp("(") && !p.oldHintAhead() {
		p.next()
		f := &tableFunc{path: path, line: t.line}
		if !p.acceptOp(")") {
			for {
				if p.accept("DEFAULT") {
					f.args = append(f.args, &defaultExpr{})
				} else {
					f.args = append(f.args, p.scalar())
				}
				if !p.acceptOp(",") {
					break
				}
			}
			p.expectOp(")")
		}
		if p.is("WITH") {
			notImplemented(t.line, "a table function WITH a schema")
		}
		f.alias, f.cols = p.tableAlias(true)
		if p.is("WITH") && p.peek(1).kind == tOp && p.peek(1).text == "(" {
			p.hints()
		}
		return f
	}
	r := &tableName{path: path, line: t.line}
	p.hints()
	r.alias, _ = p.tableAlias(false)
	p.hints()
	p.noTableOperator()
	return r
}

// noTableOperator says what may follow a table in SQL Server and not here.
func (p *parser) noTableOperator() {
	for _, w := range []string{"PIVOT", "UNPIVOT", "TABLESAMPLE"} {
		if p.is(w) {
			notImplemented(p.tok().line, w)
		}
	}
	if p.is("FOR") && p.peek(1).up == "SYSTEM_TIME" {
		notImplemented(p.tok().line, "FOR SYSTEM_TIME")
	}
}

var hintWords = map[string]bool{"NOLOCK": true, "READUNCOMMITTED": true, "READCOMMITTED": true, "READPAST": true, "HOLDLOCK": true, "UPDLOCK": true, "ROWLOCK": true, "TABLOCK": true,
	"TABLOCKX": true, "PAGLOCK": true, "XLOCK": true, "NOWAIT": true, "REPEATABLEREAD": true, "SERIALIZABLE": true, "READCOMMITTEDLOCK": true, "FORCESEEK": true, "NOEXPAND": true, "KEEPIDENTITY": true, "SNAPSHOT": true}

// oldHintAhead sees "t (NOLOCK)", the form without WITH.
func (p *parser) oldHintAhead() bool {
	return p.isOp("(") && hintWords[p.peek(1).up] && p.peek(2).kind == tOp && (p.peek(2).text == ")" || p.peek(2).text == ",")
}

func (p *parser) hints() {
	if p.is("WITH") && p.peek(1).kind == tOp && p.peek(1).text == "(" {
		p.i += 2
		if !hintWords[p.tok().up] && !p.is("INDEX") {
			p.bad()
		}
		p.skipParens()
	} else if p.oldHintAhead() {
		p.next()
		p.skipParens()
	}
}

func (p *parser) tableAlias(cols bool) (string, []string) {
	alias := ""
	if p.accept("AS") {
		alias = p.name()
	} else if t := p.tok(); p.isName() && !statementWords[t.up] {
		alias = p.name()
	}
	var names []string
	if alias != "" && cols && p.isOp("(") {
		p.next()
		for {
			names = append(names, p.name())
			if !p.acceptOp(",") {
				break
			}
		}
		p.expectOp(")")
	}
	return alias, names
}

func (p *parser) withStatement(b base) stmt {
	p.next()
	var with []cte
	for {
		if len(with) == 0 && p.is("XMLNAMESPACES") {
			notImplemented(b.line, "WITH XMLNAMESPACES")
		}
		c := cte{name: p.name()}
		if p.acceptOp("(") {
			for {
				c.cols = append(c.cols, p.name())
				if !p.acceptOp(",") {
					break
				}
			}
			p.expectOp(")")
		}
		p.expect("AS")
		p.expectOp("(")
		c.q = p.query(nil)
		p.expectOp(")")
		with = append(with, c)
		if !p.acceptOp(",") {
			break
		}
	}
	switch {
	case p.is("SELECT"), p.isOp("("):
		return &selectStmt{b, p.query(with)}
	case p.is("INSERT"):
		return p.insert(b, with)
	case p.is("UPDATE"):
		return p.update(b, with)
	case p.is("DELETE"):
		return p.delete(b, with)
	case p.is("MERGE"):
		notImplemented(b.line, "the statement MERGE")
	}
	p.bad()
	return nil
}
