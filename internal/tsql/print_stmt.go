package tsql

import "strings"

// printBatch writes statements, one per line.
func printBatch(list []stmt) string {
	p := &printer{}
	for _, s := range list {
		p.stmt(s)
		p.WriteString(";\n")
	}
	return p.String()
}

func (p *printer) block(list []stmt) {
	for _, s := range list {
		p.WriteByte(' ')
		p.stmt(s)
		p.WriteByte(';')
	}
}

func (p *printer) columns(cols []colDef) {
	p.WriteString(" (")
	for i, c := range cols {
		if i > 0 {
			p.WriteString(", ")
		}
		p.f("%s %s", quoteName(c.name), c.typ)
		if c.collate != "" {
			p.f(" COLLATE %s", quoteName(c.collate))
		}
		if c.identity {
			p.f(" IDENTITY(%d, %d)", c.seed, c.inc)
		}
		if c.notNull {
			p.WriteString(" NOT NULL")
		}
		if c.deflt != nil {
			p.WriteString(" DEFAULT ")
			p.expr(c.deflt)
		}
	}
	p.WriteByte(')')
}

func (p *printer) output(list []outputItem) {
	for i, o := range list {
		if i == 0 {
			p.WriteString(" OUTPUT ")
		} else {
			p.WriteString(", ")
		}
		w := "INSERTED."
		if o.deleted {
			w = "DELETED."
		}
		p.WriteString(w)
		if o.col == "" {
			p.WriteByte('*')
			continue
		}
		p.WriteString(quoteName(o.col))
		if o.alias != "" {
			p.WriteString(" AS " + quoteName(o.alias))
		}
	}
}

func (p *printer) stmt(s stmt) {
	switch t := s.(type) {
	case *selectStmt:
		p.query(t.q)
	case *declareStmt:
		for i, d := range t.items {
			if i == 0 {
				p.WriteString("DECLARE ")
			} else {
				p.WriteString(", ")
			}
			p.WriteString(d.name + " ")
			if d.cols != nil {
				p.WriteString("TABLE")
				p.columns(d.cols)
				continue
			}
			p.WriteString(d.typ.String())
			if d.init != nil {
				p.WriteString(" = ")
				p.expr(d.init)
			}
		}
	case *setVarStmt:
		p.f("SET %s %s ", t.name, t.op)
		p.expr(t.x)
	case *setOptStmt:
		v := t.value
		if strings.HasPrefix(t.names[0], "TRANSACTION") {
			p.f("SET %s %s", t.names[0], v)
			return
		}
		p.WriteString("SET ")
		for i, n := range t.names {
			if i > 0 {
				p.WriteString(", ")
				n = strings.TrimPrefix(n, "STATISTICS ")
			}
			p.WriteString(n)
		}
		p.WriteString(" " + optionValue(v))
	case *insertStmt:
		p.with(t.with)
		p.WriteString("INSERT INTO ")
		p.path(t.target.path)
		p.names(t.cols)
		p.output(t.output)
		p.WriteByte(' ')
		switch {
		case t.deflt:
			p.WriteString("DEFAULT VALUES")
		case t.values != nil:
			p.values(t.values)
		case t.q != nil:
			p.query(t.q)
		default:
			p.stmt(t.exec)
		}
	case *updateStmt:
		p.with(t.with)
		p.WriteString("UPDATE ")
		p.top(t.top)
		p.path(t.target.path)
		for i, a := range t.sets {
			if i == 0 {
				p.WriteString(" SET ")
			} else {
				p.WriteString(", ")
			}
			if a.varnam != "" {
				p.WriteString(a.varnam + " ")
				if a.col != "" {
					p.WriteString("= ")
				}
			}
			if a.col != "" {
				p.WriteString(quoteName(a.col) + " ")
			}
			p.WriteString(a.op + " ")
			p.expr(a.x)
		}
		p.output(t.output)
		p.fromClause(t.from)
		p.whereClause(t.where)
	case *deleteStmt:
		p.with(t.with)
		p.WriteString("DELETE ")
		p.top(t.top)
		p.WriteString("FROM ")
		p.path(t.target.path)
		p.output(t.output)
		p.fromClause(t.from)
		p.whereClause(t.where)
	case *ifStmt:
		p.WriteString("IF ")
		p.expr(t.cond)
		p.WriteByte(' ')
		p.branch(t.then, t.els != nil)
		if t.els != nil {
			p.WriteString(" ELSE ")
			p.branch(t.els, false)
		}
	case *whileStmt:
		p.WriteString("WHILE ")
		p.expr(t.cond)
		p.WriteByte(' ')
		p.stmt(t.body)
	case *blockStmt:
		p.WriteString("BEGIN")
		p.block(t.list)
		p.WriteString(" END")
	case *tryStmt:
		p.WriteString("BEGIN TRY")
		p.block(t.body)
		p.WriteString(" END TRY BEGIN CATCH")
		p.block(t.catch)
		p.WriteString(" END CATCH")
	case *breakStmt:
		p.WriteString("BREAK")
	case *continueStmt:
		p.WriteString("CONTINUE")
	case *returnStmt:
		p.WriteString("RETURN")
		if t.x != nil {
			p.WriteByte(' ')
			p.expr(t.x)
		}
	case *printStmt:
		p.WriteString("PRINT ")
		p.expr(t.x)
	case *throwStmt:
		p.WriteString("THROW ")
		p.list(t.args)
	case *raiseStmt:
		p.WriteString("RAISERROR(")
		p.list(t.args)
		p.WriteByte(')')
		sep := " WITH "
		for _, o := range []struct {
			on   bool
			word string
		}{{t.nowait, "NOWAIT"}, {t.log, "LOG"}, {t.seterr, "SETERROR"}} {
			if o.on {
				p.WriteString(sep + o.word)
				sep = ", "
			}
		}
	case *waitStmt:
		w := "DELAY"
		if t.time {
			w = "TIME"
		}
		p.f("WAITFOR %s ", w)
		p.expr(t.x)
	case *execStmt:
		p.exec(t)
	case *tranStmt:
		p.f("%s TRANSACTION", t.verb)
		if t.vari != "" {
			p.WriteString(" " + t.vari)
		} else if t.name != "" {
			p.WriteString(" " + quoteName(t.name))
		}
	case *useStmt:
		p.WriteString("USE " + quoteName(t.db))
	case *createTableStmt:
		p.WriteString("CREATE TABLE ")
		p.path(t.path)
		p.columns(t.cols)
	case *dropTableStmt:
		p.WriteString("DROP TABLE ")
		if t.ifExists {
			p.WriteString("IF EXISTS ")
		}
		for i, path := range t.paths {
			if i > 0 {
				p.WriteString(", ")
			}
			p.path(path)
		}
	case *truncateStmt:
		p.WriteString("TRUNCATE TABLE ")
		p.path(t.path)
	case *foreignStmt:
		p.WriteString(t.text)
	case *cursorDecl, *cursorVerb, *fetchStmt:
		p.cursorStmt(s)
	case *nopStmt:
		p.WriteString(t.text)
	}
}

// optionValue writes the value of a SET option; what is not a plain word or number came as a string.
func optionValue(v string) string {
	for _, r := range v {
		if !isWordPart(r) && r != '-' {
			return quoteLit(v)
		}
	}
	if v == "" || reserved[strings.ToUpper(v)] && !strings.EqualFold(v, "ON") && !strings.EqualFold(v, "OFF") {
		return quoteLit(v)
	}
	return v
}

func (p *printer) branch(s stmt, hasElse bool) {
	if inner, ok := s.(*ifStmt); ok && hasElse && inner.els == nil {
		p.WriteString("BEGIN ")
		p.stmt(s)
		p.WriteString("; END")
		return
	}
	p.stmt(s)
}

func (p *printer) top(x expr) {
	if x != nil {
		p.WriteString("TOP (")
		p.expr(x)
		p.WriteString(") ")
	}
}

func (p *printer) whereClause(x expr) {
	if x != nil {
		p.WriteString(" WHERE ")
		p.expr(x)
	}
}

func (p *printer) exec(t *execStmt) {
	p.WriteString("EXEC ")
	if t.text != nil {
		p.WriteByte('(')
		p.list(t.text)
		p.WriteByte(')')
		return
	}
	if t.rc != "" {
		p.WriteString(t.rc + " = ")
	}
	if t.pathOf != "" {
		p.WriteString(t.pathOf)
	} else {
		p.path(t.path)
	}
	for i, a := range t.args {
		if i > 0 {
			p.WriteByte(',')
		}
		p.WriteByte(' ')
		if a.name != "" {
			p.WriteString(a.name + " = ")
		}
		if a.deflt {
			p.WriteString("DEFAULT")
		} else {
			p.expr(a.x)
		}
		if a.output {
			p.WriteString(" OUTPUT")
		}
	}
}
