package tsql

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The collation is case-insensitive and accent-sensitive (SQL_Latin1_General_CP1_CI_AS in spirit): letters compare without case, punctuation sorts before digits,
// digits before letters, and trailing blanks do not count. Linguistic order beyond that (accents, ligatures) is by code point.

// collation says how strings compare; the zero value is the default.
type collation uint8

const (
	collCI  collation = iota
	collCS            // case-sensitive
	collBin           // by code point
)

func collationOf(name string) (collation, bool) {
	u := strings.ToUpper(name)
	switch {
	case u == "DATABASE_DEFAULT" || u == "CATALOG_DEFAULT":
		return collCI, true
	case strings.HasSuffix(u, "_BIN") || strings.HasSuffix(u, "_BIN2") || strings.Contains(u, "_BIN2_"):
		return collBin, true
	case strings.Contains(u, "_CS_"):
		return collCS, true
	case strings.Contains(u, "_CI_"):
		return collCI, true
	}
	return 0, false
}

// fold gives the form whose bytes are equal exactly if the strings are equal under c.
func (c collation) fold(s string) string {
	s = strings.TrimRight(s, " ")
	if c != collCI {
		return s
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
	if c == collBin {
		return strings.Compare(a, b)
	}
	x, y := a, b
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
	if len(x) != len(y) && (x == "" || y == "") {
		// The shorter one is as if filled up with blanks: "a\t" sorts before "a".
		if x == "" {
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
	if c == collCS {
		return -strings.Compare(a, b) // lower case first
	}
	return 0
}

// EqualFold compares two names as the default collation does.
func EqualFold(a, b string) bool { return a == b || collCI.fold(a) == collCI.fold(b) }

// cp1252 maps 0x80–0x9F of code page 1252.
var cp1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

func codePageByte(r rune) (byte, bool) {
	if r < 0x80 || r >= 0xA0 && r <= 0xFF {
		return byte(r), true
	}
	for i, c := range cp1252 {
		if c == r {
			return byte(0x80 + i), true
		}
	}
	return 0, false
}

// toCodePage replaces what code page 1252 does not have by '?', which is what putting it into a varchar does.
func toCodePage(s string) string {
	ascii := true
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if _, ok := codePageByte(r); ok {
			b.WriteRune(r)
			continue
		}
		b.WriteByte('?')
		if r >= 0x10000 {
			b.WriteByte('?')
		}
	}
	return b.String()
}

func codePageBytes(s string) []byte {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		b, ok := codePageByte(r)
		if !ok {
			b = '?'
		}
		out = append(out, b)
	}
	return out
}

func fromCodePage(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		r := rune(c)
		if c >= 0x80 && c < 0xA0 {
			r = cp1252[c-0x80]
		}
		s.WriteRune(r)
	}
	return s.String()
}

// like matches with %, _, [a-z], [^a-z] and an escape character (0 for none), without recursion.
func (c collation) like(s, pat string, esc rune) bool {
	str := []rune(s)
	if c == collCI {
		for i, r := range str {
			str[i] = foldRune(r)
		}
	}
	items, ok := c.likeItems([]rune(pat), esc)
	if !ok {
		return false
	}
	i, j, star, mark := 0, 0, -1, 0
	for i < len(str) {
		switch {
		case j < len(items) && items[j].any:
			star, mark = j, i
			j++
		case j < len(items) && items[j].match(str[i]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return restBlank(str[i:], items[j:])
		}
	}
	for j < len(items) && items[j].any {
		j++
	}
	return j == len(items)
}

// restBlank: blanks at the end of the string that the pattern does not have are ignored.
func restBlank(rest []rune, items []likeItem) bool {
	if len(items) > 0 {
		return false
	}
	for _, r := range rest {
		if r != ' ' {
			return false
		}
	}
	return true
}

type likeItem struct {
	any, one, not bool
	set           [][2]rune
	r             rune
}

func (m likeItem) match(r rune) bool {
	if m.one {
		return true
	}
	if m.set == nil {
		return m.r == r
	}
	for _, p := range m.set {
		if r >= p[0] && r <= p[1] {
			return !m.not
		}
	}
	return m.not
}

func (c collation) likeItems(pat []rune, esc rune) ([]likeItem, bool) {
	f := func(r rune) rune {
		if c == collCI {
			return foldRune(r)
		}
		return r
	}
	var out []likeItem
	for i := 0; i < len(pat); i++ {
		r := pat[i]
		switch {
		case esc != 0 && r == esc:
			i++
			if i >= len(pat) {
				return nil, false
			}
			out = append(out, likeItem{r: f(pat[i])})
		case r == '%':
			if len(out) == 0 || !out[len(out)-1].any {
				out = append(out, likeItem{any: true})
			}
		case r == '_':
			out = append(out, likeItem{one: true})
		case r == '[':
			m := likeItem{set: [][2]rune{}}
			i++
			if i < len(pat) && pat[i] == '^' {
				m.not = true
				i++
			}
			for first := true; ; first = false {
				if i >= len(pat) {
					return nil, false
				}
				if pat[i] == ']' && !first {
					break
				}
				if esc != 0 && pat[i] == esc && i+1 < len(pat) {
					i++
				}
				lo, hi := f(pat[i]), f(pat[i])
				if i+2 < len(pat) && pat[i+1] == '-' && pat[i+2] != ']' {
					hi = f(pat[i+2])
					i += 2
				}
				m.set = append(m.set, [2]rune{lo, hi})
				i++
			}
			out = append(out, m)
		default:
			out = append(out, likeItem{r: f(r)})
		}
	}
	return out, true
}
