package tsql

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

func units(s string) []uint16 { return utf16.Encode([]rune(s)) }

func fromUnits(u []uint16) string { return string(utf16.Decode(u)) }

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// slice cuts UTF-16 units from..to, both within bounds.
func slice(s string, from, to int) string {
	if ascii(s) {
		return s[from:to]
	}
	return fromUnits(units(s)[from:to])
}

func printValue(v any) string {
	switch x := v.(type) {
	case nil:
		return "\x00"
	case int64:
		return strconv.FormatInt(x, 10)
	case string:
		return ""
	case time.Time:
		return x.String()
	case interface{ String() string }:
		return x.String()
	}
	return ""
}

func reverse(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

func dataLength(v any, t Type) any {
	switch x := v.(type) {
	case string:
		if t.IsUnicode() || t.Kind == KindXML {
			return int64(2 * utf16Len(x))
		}
		return int64(utf16Len(x))
	case []byte:
		return int64(len(x))
	case GUID:
		return int64(16)
	case Decimal:
		if t.Kind == KindMoney {
			return int64(8)
		}
		switch {
		case t.Prec <= 9:
			return int64(5)
		case t.Prec <= 19:
			return int64(9)
		case t.Prec <= 28:
			return int64(13)
		}
		return int64(17)
	}
	n := map[Kind]int64{KindBit: 1, KindTinyInt: 1, KindSmallInt: 2, KindInt: 4, KindNull: 4, KindBigInt: 8, KindReal: 4, KindFloat: 8, KindDate: 3, KindTime: 5, KindSmallDateTime: 4,
		KindDateTime: 8, KindDateTime2: 8, KindDateTimeOffset: 10}
	return n[t.Kind]
}

func substring(c *compiler, _ *callExpr, a []cx) cx {
	start, length := c.to(a[1], BigInt), c.to(a[2], BigInt)
	bounds := func(n, s, l int64) (int, int) {
		if l < 0 {
			fail(537, 16, 3, "Invalid length parameter passed to the LEFT or SUBSTRING function.")
		}
		l = min(l, 1<<40)
		end := min(max(s-1+l, 0), n)
		s = min(max(s-1, 0), end)
		return int(s), int(end)
	}
	if a[0].t.IsBinary() {
		return strict(VarBinary(lenOf(a[0].t)), []cx{a[0], start, length}, func(v []any) any {
			b := v[0].([]byte)
			i, j := bounds(int64(len(b)), v[1].(int64), v[2].(int64))
			return b[i:j]
		})
	}
	s := a[0]
	if !s.t.IsString() && s.t.Kind != KindNull {
		failCompile(c.x.line, 8116, 16, 1, "Argument data type %s is invalid for argument 1 of substring function.", s.t.Kind)
	}
	s = c.text(s)
	n := lenOf(s.t)
	if length.konst && n != MaxLen {
		if l, ok := length.val.(int64); ok && l > 0 && l < int64(n) {
			n = int(l)
		}
	}
	return strict(sameText(s, n), []cx{s, start, length}, func(v []any) any {
		str := v[0].(string)
		i, j := bounds(int64(utf16Len(str)), v[1].(int64), v[2].(int64))
		return slice(str, i, j)
	})
}

func leftRight(c *compiler, a []cx, left bool) cx {
	s, n := c.text(a[0]), c.to(a[1], BigInt)
	size := lenOf(s.t)
	if n.konst && size != MaxLen {
		if l, ok := n.val.(int64); ok && l > 0 && l < int64(size) {
			size = int(l)
		}
	}
	return strict(sameText(s, size), []cx{s, n}, func(v []any) any {
		str, k := v[0].(string), v[1].(int64)
		if k < 0 {
			if left {
				fail(536, 16, 1, "Invalid length parameter passed to the left function.")
			}
			fail(536, 16, 2, "Invalid length parameter passed to the right function.")
		}
		l := int64(utf16Len(str))
		k = min(k, l)
		if left {
			return slice(str, 0, int(k))
		}
		return slice(str, int(l-k), int(l))
	})
}

func foldRunes(s string, coll collation) []rune {
	r := []rune(s)
	coll.known(s)
	if coll&collKind == collCI {
		for i := range r {
			r[i] = foldRune(r[i])
		}
	}
	return r
}

func indexRunes(s, sub []rune, from int) int {
	for i := from; i+len(sub) <= len(s); i++ {
		k := 0
		for k < len(sub) && s[i+k] == sub[k] {
			k++
		}
		if k == len(sub) {
			return i
		}
	}
	return -1
}

func replaceFold(s, old, new string, coll collation) string {
	if old == "" || s == "" {
		return s
	}
	orig, str, sub := []rune(s), foldRunes(s, coll), foldRunes(old, coll)
	var b strings.Builder
	i := 0
	for {
		k := indexRunes(str, sub, i)
		if k < 0 {
			break
		}
		b.WriteString(string(orig[i:k]))
		b.WriteString(new)
		if b.Len() > maxString {
			fail(ErrTooManyRows, 16, 2, "dag_lab gave up: a string of more than %d bytes.", maxString)
		}
		i = k + len(sub)
	}
	b.WriteString(string(orig[i:]))
	return b.String()
}

func charIndex(sub, s string, start int64, coll collation) any {
	if sub == "" {
		return int64(0)
	}
	r := foldRunes(s, coll)
	from, unit := 0, int64(1) // start counts UTF-16 units
	for from < len(r) && unit < start {
		unit += int64(len(units(string(r[from]))))
		from++
	}
	if unit < start {
		return int64(0)
	}
	i := indexRunes(r, foldRunes(sub, coll), from)
	if i < 0 {
		return int64(0)
	}
	return int64(utf16Len(string(r[:i]))) + 1
}

func patIndex(pat, s string, coll collation) any {
	front := strings.HasPrefix(pat, "%")
	if !front {
		if coll.like(s, pat, 0) {
			return int64(1)
		}
		return int64(0)
	}
	r := []rune(s)
	if len(r) > 8000 {
		r = r[:8000]
	}
	rest := strings.TrimLeft(pat, "%")
	for i := range r {
		if coll.like(string(r[i:]), rest, 0) {
			return int64(utf16Len(string(r[:i]))) + 1
		}
	}
	return int64(0)
}

func concatFunc(c *compiler, _ *callExpr, a []cx) cx {
	return joinTexts(c, "concat", a, nil)
}

func concatWS(c *compiler, _ *callExpr, a []cx) cx {
	sep := c.text(a[0])
	return joinTexts(c, "concat_ws", a[1:], &sep)
}

func joinTexts(c *compiler, op string, a []cx, sep *cx) cx {
	n, uni := 0, false
	var l label
	if sep != nil {
		l = sep.lab()
	}
	args := make([]cx, len(a))
	for i, x := range a {
		if x.t.Kind == KindNull {
			x = c.to(x, VarChar(1))
		}
		args[i] = c.text(x)
		if i == 0 && sep == nil {
			l = args[i].lab()
		} else {
			l = c.meet(op, l, args[i].lab())
		}
		uni = uni || args[i].t.IsUnicode()
		if args[i].t.Len == MaxLen || n == MaxLen {
			n = MaxLen
		} else {
			n += args[i].t.Len
			if sep != nil && i > 0 {
				n += max(sep.t.Len, 1)
			}
		}
	}
	t := VarChar(n)
	if uni {
		t = NVarChar(n)
	}
	if lim := maxText(Type{Kind: t.Kind}); n > lim {
		t.Len = lim
	}
	return cx{t: t, label: l, f: func(e *env) any {
		s := ""
		if sep != nil {
			s, _ = sep.f(e).(string)
		}
		var b strings.Builder
		first := true
		for _, x := range args {
			v, ok := x.f(e).(string)
			if !ok {
				continue
			}
			if !first {
				b.WriteString(s)
			}
			first = false
			b.WriteString(v)
		}
		if t.Len != MaxLen {
			return utf16Cut(b.String(), t.Len)
		}
		return b.String()
	}}
}

func quoteWith(s, q string) any {
	if utf16Len(s) > 128 {
		return nil
	}
	switch q {
	case "[", "]", "":
		return "[" + strings.ReplaceAll(s, "]", "]]") + "]"
	case "'", "\"", "`":
		return q + strings.ReplaceAll(s, q, q+q) + q
	case "(", ")":
		return "(" + strings.ReplaceAll(s, ")", "))") + ")"
	case "{", "}":
		return "{" + strings.ReplaceAll(s, "}", "}}") + "}"
	case "<", ">":
		return "<" + strings.ReplaceAll(s, ">", ">>") + ">"
	}
	return nil
}

// parseNamePart is PARSENAME: parts count from the right.
func parseNamePart(s string, n int64) any {
	var parts []string
	for i := 0; i <= len(s); {
		var b strings.Builder
		if i < len(s) && (s[i] == '[' || s[i] == '"') {
			end := byte(']')
			if s[i] == '"' {
				end = '"'
			}
			for i++; ; i++ {
				if i >= len(s) {
					return nil
				}
				if s[i] == end {
					i++
					if i < len(s) && s[i] == end {
						b.WriteByte(end)
						continue
					}
					break
				}
				b.WriteByte(s[i])
			}
			if i < len(s) && s[i] != '.' {
				return nil
			}
		} else {
			for i < len(s) && s[i] != '.' {
				b.WriteByte(s[i])
				i++
			}
		}
		parts = append(parts, b.String())
		i++
	}
	if len(parts) > 4 || n < 1 || n > int64(len(parts)) {
		return nil
	}
	p := parts[len(parts)-int(n)]
	if p == "" || utf16Len(p) > 128 {
		return nil
	}
	return p
}

func replicate(s string, n int64, limit int) any {
	if n < 0 {
		return nil
	}
	if limit != MaxLen {
		n = min(n, int64(limit))
	}
	if s == "" {
		return ""
	}
	if n > maxString/int64(len(s)) {
		fail(ErrTooManyRows, 16, 2, "dag_lab gave up: a string of more than %d bytes.", maxString)
	}
	r := strings.Repeat(s, int(n))
	if limit != MaxLen {
		r = utf16Cut(r, limit)
	}
	return r
}

func stringEscape(c *compiler, _ *callExpr, a []cx) cx {
	return strict(NVarChar(MaxLen), []cx{c.text(a[0]), c.text(a[1])}, func(v []any) any {
		if !EqualFold(v[1].(string), "json") {
			fail(13617, 16, 1, "An invalid value was specified for argument 2.")
		}
		return strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "/", "\\/", "\n", "\\n", "\r", "\\r", "\t", "\\t", "\b", "\\b", "\f", "\\f").Replace(v[0].(string))
	})
}

func stringSplit(_ context.Context, args []any) ([][]any, *Error) {
	s, ok1 := args[0].(string)
	sep, ok2 := args[1].(string)
	if !ok2 || utf16Len(sep) != 1 {
		return nil, NewError(214, 16, 11, "Procedure expects parameter 'separator' of type 'nchar(1)/nvarchar(1)'.")
	}
	if !ok1 {
		return nil, nil
	}
	var out [][]any
	for _, p := range strings.Split(s, sep) {
		out = append(out, []any{p})
	}
	return out, nil
}
