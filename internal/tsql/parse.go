package tsql

import (
	"strconv"
	"strings"
)

// parser is a recursive-descent parser over one batch. It panics with an *Error of compile scope.
type parser struct {
	src      string
	toks     []token
	i        int
	depth    int
	maxDepth int
	// allowValues: the query that begins here may be VALUES (…).
	allowValues bool
}

func newParser(src string, maxDepth int) *parser {
	return &parser{src: src, toks: lex(src), maxDepth: maxDepth}
}

// parseBatch gives the statements of a batch or of the text of EXEC.
func parseBatch(src string, maxDepth int) (list []stmt, err *Error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			e.scope = scopeCompile
			err = e
		}
	}()
	p := newParser(src, maxDepth)
	if t := p.tok(); (t.kind == tIdent && !reserved[t.up] && !statementWords[t.up] && !p.labelAhead()) || t.kind == tQuoted {
		list = append(list, p.execTail(base{t.line}))
	}
	for {
		p.semicolons()
		if p.tok().kind == tEOF {
			return list, nil
		}
		list = append(list, p.statement())
	}
}

func (p *parser) labelAhead() bool {
	n := p.toks[p.i+1]
	return n.kind == tOp && n.text == ":"
}

func (p *parser) tok() *token { return &p.toks[p.i] }
func (p *parser) peek(n int) *token {
	if p.i+n < len(p.toks) {
		return &p.toks[p.i+n]
	}
	return &p.toks[len(p.toks)-1]
}

func (p *parser) next() token {
	t := p.toks[p.i]
	if t.kind != tEOF {
		p.i++
	}
	return t
}

func (p *parser) is(word string) bool   { return p.tok().kind == tIdent && p.tok().up == word }
func (p *parser) isOp(text string) bool { return p.tok().kind == tOp && p.tok().text == text }

func (p *parser) accept(word string) bool {
	if p.is(word) {
		p.i++
		return true
	}
	return false
}

func (p *parser) acceptOp(text string) bool {
	if p.isOp(text) {
		p.i++
		return true
	}
	return false
}

func (p *parser) acceptAny(words ...string) string {
	for _, w := range words {
		if p.accept(w) {
			return w
		}
	}
	return ""
}

func (p *parser) expect(word string) {
	if !p.accept(word) {
		p.bad()
	}
}

func (p *parser) expectOp(text string) {
	if !p.acceptOp(text) {
		p.bad()
	}
}

func (p *parser) expectEOF() {
	if p.tok().kind != tEOF {
		p.bad()
	}
}

// bad panics with 102 or 156 at the current token.
func (p *parser) bad() { p.badAt(p.i) }

func (p *parser) badAt(i int) {
	t := p.toks[i]
	if t.kind == tEOF && i > 0 {
		t = p.toks[i-1]
	}
	if t.kind == tIdent && reserved[t.up] {
		failCompile(t.line, 156, 15, 1, "Incorrect syntax near the keyword '%s'.", t.text)
	}
	text := t.text
	if t.kind == tGlobal {
		text = "@@" + text
	}
	failCompile(t.line, 102, 15, 1, "Incorrect syntax near '%s'.", utf16Cut(text, 128))
}

func (p *parser) enter() {
	p.depth++
	if p.depth > p.maxDepth {
		failCompile(p.tok().line, 191, 15, 1, "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.")
	}
}

func (p *parser) leave() { p.depth-- }

func (p *parser) semicolons() {
	for p.acceptOp(";") {
	}
}

func (p *parser) isName() bool {
	t := p.tok()
	return t.kind == tQuoted || t.kind == tIdent && !reserved[t.up]
}

func (p *parser) name() string {
	if !p.isName() {
		p.bad()
	}
	return checkName(p.next())
}

// afterDot reads a name that follows a dot, where a reserved word is a name too, as in sys.database.
func (p *parser) afterDot() string {
	if p.tok().kind == tIdent {
		return checkName(p.next())
	}
	return p.name()
}

func checkName(t token) string {
	if t.text == "" {
		failCompile(t.line, 1038, 15, 4, "An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name. For other statements, look for empty alias names. Aliases defined as \"\" or [] are not allowed. Change the alias to a valid name.")
	}
	if utf16Len(t.text) > 128 {
		failCompile(t.line, 103, 15, 4, "The identifier that starts with '%s' is too long. Maximum length is 128.", utf16Cut(t.text, 128))
	}
	return t.text
}

// path reads a name of up to four parts; the ones in the middle may be empty.
func (p *parser) path() []string {
	out := []string{}
	if p.isOp(".") {
		out = append(out, "")
	} else {
		out = append(out, p.name())
	}
	for p.acceptOp(".") {
		if p.isOp(".") {
			out = append(out, "")
			continue
		}
		out = append(out, p.afterDot())
	}
	if len(out) > 4 {
		failCompile(p.tok().line, 117, 15, 1, "The object name '%s' contains more than the maximum number of prefixes. The maximum is 3.", strings.Join(out, "."))
	}
	return out
}

func (p *parser) typeName() Type { return p.typeOf(false) }

func (p *parser) typeOf(cast bool) Type {
	t := *p.tok()
	if t.kind != tQuoted && (t.kind != tIdent || reserved[t.up] && t.up != "NATIONAL" && t.up != "DOUBLE") {
		p.bad()
	}
	p.next()
	name := strings.ToLower(t.text)
	if p.isOp(".") && name == "sys" {
		p.next()
		name = strings.ToLower(p.name())
	}
	if name == "double" {
		p.expect("PRECISION")
		return Float
	}
	if name == "character" || name == "char" {
		if p.accept("VARYING") {
			name = "varchar"
		}
	}
	var args []int
	if p.acceptOp("(") {
		for {
			if p.is("MAX") {
				p.next()
				args = append(args, MaxLen)
			} else {
				n := p.tok()
				if n.kind != tInt {
					p.bad()
				}
				v, err := strconv.Atoi(n.text)
				if err != nil {
					p.bad()
				}
				p.next()
				args = append(args, v)
			}
			if !p.acceptOp(",") {
				break
			}
		}
		p.expectOp(")")
	}
	if cast {
		args = castDefaults(name, args)
	}
	return makeType(t.line, name, args)
}

// statementWords start a statement although they are not reserved.
var statementWords = map[string]bool{"THROW": true, "DISABLE": true, "ENABLE": true, "SEND": true, "RECEIVE": true, "MOVE": true}

func (p *parser) statement() stmt {
	p.enter()
	defer p.leave()
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
	case "MERGE", "GOTO", "OPEN", "CLOSE", "FETCH", "DEALLOCATE", "BULK", "REVERT", "READTEXT", "WRITETEXT", "UPDATETEXT", "SETUSER", "DISABLE", "ENABLE":
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
	s := &declareStmt{base: b}
	for {
		t := p.tok()
		if t.kind != tVar {
			if p.isName() && p.peek(1).up == "CURSOR" {
				notImplemented(b.line, "cursors")
			}
			p.bad()
		}
		p.next()
		d := declItem{name: t.text}
		p.accept("AS")
		if p.accept("TABLE") {
			d.cols = p.columnDefs()
		} else if p.is("CURSOR") {
			notImplemented(b.line, "cursors")
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
