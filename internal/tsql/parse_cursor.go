package tsql

type (
	// cursorDecl is DECLARE name CURSOR … FOR a query.
	cursorDecl struct {
		base
		name   string
		local  bool
		static bool
		scroll bool
		q      *queryExpr
	}
	// cursorVerb is OPEN, CLOSE or DEALLOCATE.
	cursorVerb struct {
		base
		verb   string
		global bool
		name   string
	}
	fetchStmt struct {
		base
		dir    string // NEXT PRIOR FIRST LAST ABSOLUTE RELATIVE
		n      expr   // of ABSOLUTE and RELATIVE
		global bool
		name   string
		into   []string
	}
)

// cursorAhead sees DECLARE name [INSENSITIVE] [SCROLL] CURSOR behind the word DECLARE.
func (p *parser) cursorAhead() bool {
	if !p.isName() {
		return false
	}
	i := 1
	for p.peek(i).up == "INSENSITIVE" || p.peek(i).up == "SCROLL" {
		i++
	}
	return p.peek(i).up == "CURSOR"
}

func (p *parser) declareCursor(b base) stmt {
	s := &cursorDecl{base: b, name: p.name()}
	forward := false
	for p.is("INSENSITIVE") || p.is("SCROLL") {
		if p.next().up == "SCROLL" {
			s.scroll = true
		} else {
			s.static = true
		}
	}
	p.expect("CURSOR")
	for !p.is("FOR") {
		line := p.tok().line
		switch p.acceptAny("LOCAL", "GLOBAL", "FORWARD_ONLY", "SCROLL", "STATIC", "FAST_FORWARD", "READ_ONLY", "TYPE_WARNING", "KEYSET", "DYNAMIC", "SCROLL_LOCKS", "OPTIMISTIC") {
		case "LOCAL":
			s.local = true
		case "FORWARD_ONLY", "FAST_FORWARD":
			forward = true
		case "SCROLL":
			s.scroll = true
		case "STATIC":
			s.static = true
		case "GLOBAL", "READ_ONLY", "TYPE_WARNING":
		case "KEYSET", "DYNAMIC":
			notImplemented(line, "KEYSET and DYNAMIC cursors")
		case "SCROLL_LOCKS", "OPTIMISTIC":
			notImplemented(line, "cursors for updates")
		default:
			p.bad()
		}
	}
	if s.scroll && forward {
		failCompile(b.line, 1048, 15, 1, "Conflicting cursor options FAST_FORWARD and SCROLL.")
	}
	s.scroll = s.scroll || s.static && !forward
	p.next()
	if p.is("WITH") {
		s.q = p.withStatement(base{p.tok().line}).(*selectStmt).q
	} else {
		s.q = p.query(nil)
	}
	if p.is("FOR") { // the query left it: READ ONLY or UPDATE
		line := p.next().line
		if p.accept("UPDATE") {
			notImplemented(line, "cursors for updates")
		}
		if !p.accept("READ_ONLY") {
			p.expect("READ")
			p.expect("ONLY")
		}
	}
	return s
}

func (p *parser) cursorVerb(b base) stmt {
	s := &cursorVerb{base: b, verb: p.next().up}
	if s.verb == "OPEN" && (p.is("SYMMETRIC") || p.is("MASTER")) || s.verb == "CLOSE" && (p.is("SYMMETRIC") || p.is("MASTER") || p.is("ALL")) {
		notImplemented(b.line, "the statement "+s.verb+" "+p.tok().up)
	}
	s.global, s.name = p.cursorName()
	return s
}

func (p *parser) cursorName() (bool, string) {
	global := false
	if p.is("GLOBAL") && (p.peek(1).kind == tQuoted || p.peek(1).kind == tIdent && !reserved[p.peek(1).up] && !starters[p.peek(1).up]) {
		p.next()
		global = true
	}
	if p.tok().kind == tVar {
		notImplemented(p.tok().line, "cursor variables")
	}
	return global, p.name()
}

func (p *parser) fetch(b base) stmt {
	p.next()
	s := &fetchStmt{base: b, dir: "NEXT"}
	n := p.peek(1)
	switch up := p.tok().up; {
	case (up == "NEXT" || up == "PRIOR" || up == "FIRST" || up == "LAST") && n.up == "FROM":
		s.dir = p.next().up
		p.next()
	case (up == "ABSOLUTE" || up == "RELATIVE") && (n.kind == tInt || n.kind == tVar || n.kind == tOp && n.text == "-"):
		s.dir = p.next().up
		s.n = p.unary()
		p.expect("FROM")
	default:
		p.accept("FROM")
	}
	s.global, s.name = p.cursorName()
	if p.accept("INTO") {
		for {
			if p.tok().kind != tVar {
				p.bad()
			}
			s.into = append(s.into, p.next().text)
			if !p.acceptOp(",") {
				break
			}
		}
	}
	return s
}

func (p *printer) cursorStmt(s stmt) {
	global := func(on bool) string {
		if on {
			return "GLOBAL "
		}
		return ""
	}
	switch t := s.(type) {
	case *cursorDecl:
		p.f("DECLARE %s CURSOR", quoteName(t.name))
		if t.local {
			p.WriteString(" LOCAL")
		}
		if t.static {
			p.WriteString(" STATIC")
		}
		if t.scroll {
			p.WriteString(" SCROLL")
		} else {
			p.WriteString(" FORWARD_ONLY")
		}
		p.WriteString(" FOR ")
		p.query(t.q)
	case *cursorVerb:
		p.f("%s %s%s", t.verb, global(t.global), quoteName(t.name))
	case *fetchStmt:
		p.WriteString("FETCH " + t.dir)
		if t.n != nil {
			p.WriteByte(' ')
			p.expr(t.n)
		}
		p.f(" FROM %s%s", global(t.global), quoteName(t.name))
		for i, v := range t.into {
			if i == 0 {
				p.WriteString(" INTO ")
			} else {
				p.WriteString(", ")
			}
			p.WriteString(v)
		}
	}
}
