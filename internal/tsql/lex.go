package tsql

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokKind uint8

const (
	tEOF    tokKind = iota
	tIdent          // bare word, keyword or not
	tQuoted         // [x] or "x"; text is without the quotes
	tVar            // @x
	tGlobal         // @@x, text without the @@
	tInt
	tDec   // 1.5
	tFloat // 1e5
	tHex   // 0xAB
	tMoney // $1.5
	tStr   // 'x'; text is the value
	tNStr  // N'x'
	tOp
)

type token struct {
	kind     tokKind
	text     string
	up       string // upper-cased text of a bare word, else ""
	pos, end int
	line     int
}

// lex splits a batch into tokens, the last one tEOF. It panics with error 105 or 113 for an unclosed quotation or comment.
func lex(src string) []token {
	l := &lexer{src: src, line: 1}
	out := make([]token, 0, min(len(src)/5+4, maxTokens))
	for {
		t := l.next()
		if len(out) == maxTokens {
			notImplemented(t.line, "a text of more than a million words and signs")
		}
		out = append(out, t)
		if t.kind == tEOF {
			return out
		}
	}
}

type lexer struct {
	src  string
	pos  int
	line int
}

func (l *lexer) peek(off int) byte {
	if l.pos+off < len(l.src) {
		return l.src[l.pos+off]
	}
	return 0
}

// skip moves over n bytes and counts lines.
func (l *lexer) skip(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

func (l *lexer) blanks() {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch {
		case c == '\n' || c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || c == 0:
			l.skip(1)
		case c == '-' && l.peek(1) == '-':
			n := strings.IndexByte(l.src[l.pos:], '\n')
			if n < 0 {
				n = len(l.src) - l.pos
			}
			l.skip(n)
		case c == '/' && l.peek(1) == '*':
			l.comment()
		case c >= utf8.RuneSelf:
			r, w := utf8.DecodeRuneInString(l.src[l.pos:])
			if r != 0xFEFF && !unicode.IsSpace(r) {
				return
			}
			l.pos += w
		default:
			return
		}
	}
}

// comment skips /* … */, which nest in T-SQL.
func (l *lexer) comment() {
	start, depth := l.line, 0
	for l.pos < len(l.src) {
		switch {
		case l.peek(0) == '/' && l.peek(1) == '*':
			depth++
			l.skip(2)
		case l.peek(0) == '*' && l.peek(1) == '/':
			depth--
			l.skip(2)
			if depth == 0 {
				return
			}
		default:
			l.skip(1)
		}
	}
	failCompile(start, 113, 15, 1, "Missing end comment mark '*/'.")
}

func isWordStart(r rune) bool { return r == '_' || r == '#' || unicode.IsLetter(r) }
func isWordPart(r rune) bool {
	return r == '_' || r == '#' || r == '@' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r)
}

func (l *lexer) word(from int) string {
	i := from
	for i < len(l.src) {
		r, w := utf8.DecodeRuneInString(l.src[i:])
		if !isWordPart(r) {
			break
		}
		i += w
	}
	return l.src[from:i]
}

func (l *lexer) next() token {
	l.blanks()
	t := token{pos: l.pos, line: l.line}
	if l.pos >= len(l.src) {
		t.kind, t.end = tEOF, l.pos
		return t
	}
	c := l.src[l.pos]
	switch {
	case c == '\'':
		t.kind, t.text = tStr, l.quoted('\'')
	case (c == 'N' || c == 'n') && l.peek(1) == '\'':
		l.pos++
		t.kind, t.text = tNStr, l.quoted('\'')
	case c == '[':
		t.kind, t.text = tQuoted, l.quoted(']')
	case c == '"':
		t.kind, t.text = tQuoted, l.quoted('"')
	case c == '@' && l.peek(1) == '@':
		t.kind, t.text = tGlobal, l.word(l.pos+2)
		l.pos += 2 + len(t.text)
	case c == '@':
		w := l.word(l.pos + 1)
		t.kind, t.text = tVar, "@"+w
		l.pos += len(t.text)
	case c >= '0' && c <= '9' || c == '.' && l.peek(1) >= '0' && l.peek(1) <= '9':
		t.kind, t.text = l.number()
	case c == '$' && (l.peek(1) >= '0' && l.peek(1) <= '9' || l.peek(1) == '.'):
		l.pos++
		_, t.text = l.number()
		t.kind = tMoney
	default:
		r, w := utf8.DecodeRuneInString(l.src[l.pos:])
		if isWordStart(r) {
			t.kind, t.text = tIdent, l.word(l.pos)
			t.up = strings.ToUpper(t.text)
			l.pos += len(t.text)
			break
		}
		t.kind, t.text = tOp, l.op(w)
		l.pos += len(t.text)
	}
	t.end = l.pos
	return t
}

func (l *lexer) op(width int) string {
	if l.pos+2 <= len(l.src) {
		switch two := l.src[l.pos : l.pos+2]; two {
		case "<>", "<=", ">=", "!=", "!<", "!>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "::":
			return two
		}
	}
	return l.src[l.pos : l.pos+width]
}

// quoted reads up to the closing mark, a doubled one standing for itself.
func (l *lexer) quoted(mark byte) string {
	start, line := l.pos+1, l.line
	i, doubled := start, false
	for {
		n := strings.IndexByte(l.src[i:], mark)
		if n < 0 {
			failCompile(line, 105, 15, 1, "Unclosed quotation mark after the character string '%s'.", utf16Cut(l.src[start:], 128))
		}
		i += n
		if i+1 < len(l.src) && l.src[i+1] == mark {
			doubled = true
			i += 2
			continue
		}
		break
	}
	s := l.src[start:i]
	l.skip(i + 1 - l.pos)
	if doubled {
		s = strings.ReplaceAll(s, string([]byte{mark, mark}), string([]byte{mark}))
	}
	return s
}

func (l *lexer) digits() {
	for l.pos < len(l.src) && l.src[l.pos] >= '0' && l.src[l.pos] <= '9' {
		l.pos++
	}
}

func (l *lexer) number() (tokKind, string) {
	start := l.pos
	if l.peek(0) == '0' && (l.peek(1) == 'x' || l.peek(1) == 'X') {
		l.pos += 2
		for l.pos < len(l.src) && strings.IndexByte("0123456789abcdefABCDEF", l.src[l.pos]) >= 0 {
			l.pos++
		}
		return tHex, l.src[start+2 : l.pos]
	}
	kind := tInt
	l.digits()
	if l.peek(0) == '.' {
		kind = tDec
		l.pos++
		l.digits()
	}
	if e := l.peek(0); e == 'e' || e == 'E' {
		kind = tFloat
		l.pos++
		if l.peek(0) == '+' || l.peek(0) == '-' {
			l.pos++
		}
		l.digits()
	}
	return kind, l.src[start:l.pos]
}

// reserved are the words that cannot be a bare identifier or alias.
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`ADD ALL ALTER AND ANY AS ASC AUTHORIZATION BACKUP BEGIN BETWEEN BREAK BROWSE BULK BY CASCADE CASE CHECK CHECKPOINT CLOSE
		CLUSTERED COALESCE COLLATE COLUMN COMMIT COMPUTE CONSTRAINT CONTAINS CONTINUE CONVERT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP
		CURRENT_USER CURSOR DATABASE DBCC DEALLOCATE DECLARE DEFAULT DELETE DENY DESC DISTINCT DISTRIBUTED DOUBLE DROP ELSE END ERRLVL ESCAPE EXCEPT
		EXEC EXECUTE EXISTS EXIT EXTERNAL FETCH FILE FILLFACTOR FOR FOREIGN FREETEXT FROM FULL FUNCTION GOTO GRANT GROUP HAVING HOLDLOCK IDENTITY IF IN INDEX
		INNER INSERT INTERSECT INTO IS JOIN KEY KILL LEFT LIKE LINENO MERGE NATIONAL NOCHECK NONCLUSTERED NOT NULL NULLIF OF OFF OFFSETS ON OPEN OPENQUERY
		OPENROWSET OPENXML OPTION OR ORDER OUTER OVER PERCENT PIVOT PLAN PRIMARY PRINT PROC PROCEDURE PUBLIC RAISERROR READ READTEXT RECONFIGURE REFERENCES
		REPLICATION RESTORE RESTRICT RETURN REVERT REVOKE RIGHT ROLLBACK ROWCOUNT ROWGUIDCOL RULE SAVE SCHEMA SELECT SESSION_USER SET SETUSER
		SHUTDOWN SOME STATISTICS SYSTEM_USER TABLE TABLESAMPLE TEXTSIZE THEN TO TOP TRAN TRANSACTION TRIGGER TRUNCATE TRY_CONVERT TSEQUAL UNION UNIQUE UNPIVOT UPDATE
		UPDATETEXT USE USER VALUES VARYING VIEW WAITFOR WHEN WHERE WHILE WITH WITHIN WRITETEXT`) {
		m[w] = true
	}
	return m
}()
