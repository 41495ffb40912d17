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
	links    int // operators, joins and UNIONs of the statement so far
	// allowValues: the query that begins here may be VALUES (…).
	allowValues bool
}

// A chain (1 + 1 + …, x OR y OR …) is a tree as deep as it is long, and a goroutine's stack that overflows ends the process, whatever recovers. maxLinks
// is far above what the compiler takes of most chains. maxTokens bounds the memory that a text can be blown up to.
const (
	maxLinks  = 100_000
	maxTokens = 1_000_000
)

// link counts one link of a chain.
func (p *parser) link() {
	if p.links++; p.links > maxLinks {
		failCompile(p.tok().line, 8631, 17, 1, "Internal error: Server stack limit has been reached. Please look for potentially deep nesting in your query, and try to simplify it.")
	}
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

func (p *parser) is(word string) bool { return p.tok().kind == tIdent && p.tok().up == word }

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
