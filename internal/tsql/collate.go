package tsql

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// How strings compare. Letters compare with or without case, accents always count, punctuation sorts before digits, digits before letters, and trailing
// blanks do not count. Linguistic order beyond that (accents, ligatures, signs) is by code point and this package's own. The binary collations follow
// the documented order. What is not known is error 50900, not a guess.

// collation is the rules of comparison: a kind, and what else is to be kept to. The zero value is the rules of SQL_Latin1_General_CP1_CI_AS.
type collation uint8

const (
	collCI   collation = iota
	collCS             // case-sensitive, a lower-case letter before its upper-case one
	collBin            // _BIN: the first character, then byte for byte
	collBin2           // _BIN2: by code point
	collKind collation = 3

	collASCII  collation = 1 << 2 // accents do not count (_AI), and which letters are the same then is not known here: ASCII alone is
	collNoCase collation = 1 << 3 // a SQL_ collation: which case of a letter is first in char and varchar is not known here
	collBytes  collation = 1 << 4 // the operands are char or varchar: their bytes count, not their characters
	collEqual  collation = 1 << 5 // only whether they are equal is asked
)

// fold gives the form whose bytes are equal exactly if the strings are equal under c.
func (c collation) fold(s string) string {
	s = strings.TrimRight(s, " ")
	if c != collCI {
		c.known(s)
		if c&collKind != collCI {
			return s
		}
	}
	lower := true
	for i := 0; i < len(s); i++ {
		if b := s[i]; b >= utf8.RuneSelf || b >= 'A' && b <= 'Z' {
			lower = false
			break
		}
	}
	if lower {
		return s
	}
	return strings.Map(foldRune, s)
}

func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(r)
}

// known fails if a collation without accents meets what could have one.
func (c collation) known(s string) {
	if c&collASCII != 0 && !ascii(s) {
		panic(NotImplemented("accent-insensitive collations for text beyond ASCII"))
	}
}

// weight orders one character: punctuation, digits, letters.
func weight(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
		return r + 1000
	case r >= utf8.RuneSelf:
		return r + 2000
	}
	return r
}

// compare orders two strings under c.
func (c collation) compare(a, b string) int {
	if a == b {
		return 0
	}
	a, b = strings.TrimRight(a, " "), strings.TrimRight(b, " ")
	if c == collCI {
		return compareFold(a, b)
	}
	c.known(a)
	c.known(b)
	switch {
	case a == b:
		return 0
	case c&collKind == collBin || c&collKind == collBin2:
		return c.compareBinary(a, b)
	}
	if n := compareFold(a, b); n != 0 || c&collKind == collCI {
		return n
	}
	return c.compareCase(a, b)
}

// compareFold orders without case. Neither string has trailing blanks.
func compareFold(x, y string) int {
	for x != "" && y != "" {
		r, n := utf8.DecodeRuneInString(x)
		q, m := utf8.DecodeRuneInString(y)
		if wr, wq := weight(foldRune(r)), weight(foldRune(q)); wr != wq {
			if wr < wq {
				return -1
			}
			return 1
		}
		x, y = x[n:], y[m:]
	}
	// The shorter one is as if filled up with blanks: "a\t" and "a \tb" sort before "a".
	x, y = strings.TrimLeft(x, " "), strings.TrimLeft(y, " ")
	switch {
	case x == "" && y == "":
		return 0
	case x == "":
		r, _ := utf8.DecodeRuneInString(y)
		if weight(r) < ' ' {
			return 1
		}
		return -1
	}
	r, _ := utf8.DecodeRuneInString(x)
	if weight(r) < ' ' {
		return -1
	}
	return 1
}

// compareCase orders two strings that differ by case alone: lower case first, as the Windows collations do it, and SQL_ collations for nchar and nvarchar.
func (c collation) compareCase(a, b string) int {
	if c&collEqual != 0 {
		return 1
	}
	if c&collNoCase != 0 && c&collBytes != 0 {
		panic(NotImplemented("the order of upper and lower case in char and varchar under a SQL_ collation (a Windows collation such as Latin1_General_CS_AS is understood)"))
	}
	for a != "" && b != "" {
		r, n := utf8.DecodeRuneInString(a)
		q, m := utf8.DecodeRuneInString(b)
		if r != q {
			switch {
			case foldRune(r) == r:
				return -1
			case foldRune(q) == q:
				return 1
			}
			break
		}
		a, b = a[n:], b[m:]
	}
	panic(NotImplemented("the order of letters with more than two cases"))
}

// compareBinary orders as _BIN2 and _BIN do: char and varchar by the bytes of their code page, nchar and nvarchar by code point, and under _BIN by the
// first code unit and then by the bytes of the others, the lower byte first. The shorter one is filled up with blanks. a is not b.
func (c collation) compareBinary(a, b string) int {
	if ascii(a) && ascii(b) {
		return comparePadded([]byte(a), []byte(b), ' ')
	}
	switch {
	case c&collBytes != 0:
		if n := comparePadded(codePageBytes(a), codePageBytes(b), ' '); n != 0 {
			return n
		} // else a character that the code page does not have: none is stored so, but equal they are not
	case c&collKind == collBin:
		x, y := units(a), units(b)
		if n := comparePadded(x[:min(1, len(x))], y[:min(1, len(y))], ' '); n != 0 {
			return n
		}
		return comparePadded(lowFirst(x, len(y)), lowFirst(y, len(x)), 0)
	}
	x, y := []rune(a), []rune(b)
	n := comparePadded(x, y, ' ')
	if c&collEqual == 0 {
		for i := 0; i < min(len(x), len(y)); i++ {
			if x[i] == y[i] {
				continue
			}
			// Documented is the order of code points, seen was that of UTF-16 code units; they differ for these pairs only.
			if lo, hi := min(x[i], y[i]), max(x[i], y[i]); hi >= 0x10000 && lo >= 0xE000 && lo < 0x10000 {
				panic(NotImplemented("the order of a supplementary character and one of U+E000 to U+FFFF under a _BIN2 collation"))
			}
			break
		}
	}
	return n
}

func comparePadded[T byte | rune | uint16](a, b []T, pad T) int {
	for i := 0; i < max(len(a), len(b)); i++ {
		x, y := pad, pad
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
	}
	return 0
}

// lowFirst gives the bytes of the code units after the first, filled up with blanks to n units.
func lowFirst(u []uint16, n int) []byte {
	var out []byte
	for i := 1; i < max(len(u), n); i++ {
		x := uint16(' ')
		if i < len(u) {
			x = u[i]
		}
		out = append(out, byte(x), byte(x>>8))
	}
	return out
}

// EqualFold compares two names as the default collation does. Under another one it is [Session.EqualNames] that tells.
func EqualFold(a, b string) bool { return a == b || collCI.fold(a) == collCI.fold(b) }

func (c collation) equalNames(a, b string) bool { return a == b || c.fold(a) == c.fold(b) }

// EqualNames compares two identifiers as the session's own collation does: with case if that is case-sensitive or binary.
func (s *Session) EqualNames(a, b string) bool { return s.names.equalNames(a, b) }
