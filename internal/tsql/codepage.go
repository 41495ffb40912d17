package tsql

import (
	"strings"
	"unicode/utf8"
)

// Code page 1252, which is that of every collation whose char and varchar this package knows.

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
