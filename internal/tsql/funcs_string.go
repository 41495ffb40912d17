package tsql

import (
	"context"
	"crypto/md5"  //nolint:gosec // HASHBYTES has it
	"crypto/sha1" //nolint:gosec // HASHBYTES has it
	"crypto/sha256"
	"crypto/sha512"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

func units(s string) []uint16     { return utf16.Encode([]rune(s)) }
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

// sameText is the result type of functions that give back a text of their argument's kind.
func sameText(a cx, n int) Type {
	if a.t.IsUnicode() {
		return NVarChar(n)
	}
	return VarChar(n)
}

func lenOf(t Type) int {
	if t.Len == 0 {
		return 1
	}
	return t.Len
}

// textFunc is a strict function of one text to a text of the same kind and length.
func textFunc(f func(string) string) builtin {
	return builtin{1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
		s := c.text(a[0])
		return strict(sameText(s, lenOf(s.t)), []cx{s}, func(v []any) any { return f(v[0].(string)) })
	}}
}

func maxText(t Type) int {
	if t.Len == MaxLen {
		return MaxLen
	}
	if t.IsUnicode() {
		return 4000
	}
	return 8000
}

func stringFuncs() map[string]builtin {
	m := map[string]builtin{
		"UPPER":   textFunc(strings.ToUpper),
		"LOWER":   textFunc(strings.ToLower),
		"LTRIM":   textFunc(func(s string) string { return strings.TrimLeft(s, " ") }),
		"RTRIM":   textFunc(func(s string) string { return strings.TrimRight(s, " ") }),
		"TRIM":    textFunc(func(s string) string { return strings.Trim(s, " ") }),
		"REVERSE": textFunc(reverse),
		"LEN": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			if a[0].t.IsBinary() {
				return strict(Int, a, func(v []any) any { return int64(len(v[0].([]byte))) })
			}
			s := c.text(a[0])
			t := Int
			if s.t.Len == MaxLen {
				t = BigInt
			}
			return strict(t, []cx{s}, func(v []any) any { return int64(utf16Len(strings.TrimRight(v[0].(string), " "))) })
		}},
		"DATALENGTH": {1, 1, func(_ *compiler, _ *callExpr, a []cx) cx {
			t := a[0].t
			rt := Int
			if (t.IsString() || t.IsBinary()) && t.Len == MaxLen {
				rt = BigInt
			}
			return strict(rt, a, func(v []any) any { return dataLength(v[0], t) })
		}},
		"SUBSTRING": {3, 3, substring},
		"LEFT":      {2, 2, func(c *compiler, _ *callExpr, a []cx) cx { return leftRight(c, a, true) }},
		"RIGHT":     {2, 2, func(c *compiler, _ *callExpr, a []cx) cx { return leftRight(c, a, false) }},
		"REPLACE": {3, 3, func(c *compiler, _ *callExpr, a []cx) cx {
			s, old, new := c.text(a[0]), c.text(a[1]), c.text(a[2])
			coll := c.collation(s, old)
			n := maxText(s.t)
			return strict(sameText(s, n), []cx{s, old, new}, func(v []any) any {
				r := replaceFold(v[0].(string), v[1].(string), v[2].(string), coll)
				if n != MaxLen {
					r = utf16Cut(r, n)
				}
				return r
			})
		}},
		"CHARINDEX": {2, 3, func(c *compiler, _ *callExpr, a []cx) cx {
			sub, s := c.text(a[0]), c.text(a[1])
			args := []cx{sub, s}
			if len(a) > 2 {
				args = append(args, c.to(a[2], BigInt))
			}
			coll := c.collation(s, sub)
			t := Int
			if s.t.Len == MaxLen {
				t = BigInt
			}
			return strict(t, args, func(v []any) any {
				start := int64(1)
				if len(v) > 2 {
					start = max(v[2].(int64), 1)
				}
				return charIndex(v[0].(string), v[1].(string), start, coll)
			})
		}},
		"PATINDEX": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			p, s := c.text(a[0]), c.text(a[1])
			coll := c.collation(s, p)
			return strict(Int, []cx{p, s}, func(v []any) any { return patIndex(v[0].(string), v[1].(string), coll) })
		}},
		"CONCAT":    {2, 254, concatFunc},
		"CONCAT_WS": {3, 254, concatWS},
		"QUOTENAME": {1, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			args := []cx{c.text(a[0])}
			if len(a) > 1 {
				args = append(args, c.text(a[1]))
			}
			return strict(NVarChar(258), args, func(v []any) any {
				q := "["
				if len(v) > 1 {
					q = v[1].(string)
				}
				return quoteWith(v[0].(string), q)
			})
		}},
		"PARSENAME": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			return strict(NVarChar(128), []cx{c.text(a[0]), c.to(a[1], Int)}, func(v []any) any { return parseNamePart(v[0].(string), v[1].(int64)) })
		}},
		"STUFF": {4, 4, func(c *compiler, _ *callExpr, a []cx) cx {
			s, ins := c.text(a[0]), c.text(a[3])
			n := maxText(s.t)
			if ins.t.Len == MaxLen {
				n = MaxLen
			}
			t := sameText(s, n)
			if ins.t.IsUnicode() {
				t = NVarChar(maxText(Type{Kind: KindNVarChar, Len: n}))
			}
			// A NULL replacement deletes.
			f := ins.f
			ins.f = func(e *env) any {
				if v := f(e); v != nil {
					return v
				}
				return ""
			}
			ins.konst = false
			return strict(t, []cx{s, c.to(a[1], BigInt), c.to(a[2], BigInt), ins}, func(v []any) any {
				u := units(v[0].(string))
				start, length := v[1].(int64), v[2].(int64)
				if start < 1 || start > int64(len(u)) || length < 0 {
					return nil
				}
				end := start - 1 + min(length, int64(len(u))-start+1)
				return fromUnits(u[:start-1]) + v[3].(string) + fromUnits(u[end:])
			})
		}},
		"REPLICATE": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			s := c.text(a[0])
			n := maxText(s.t)
			return strict(sameText(s, n), []cx{s, c.to(a[1], BigInt)}, func(v []any) any { return replicate(v[0].(string), v[1].(int64), n) })
		}},
		"SPACE": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			return strict(VarChar(8000), []cx{c.to(a[0], BigInt)}, func(v []any) any { return replicate(" ", v[0].(int64), 8000) })
		}},
		"ASCII": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			return strict(Int, []cx{c.text(a[0])}, func(v []any) any {
				if v[0].(string) == "" {
					return nil
				}
				r, _ := utf8.DecodeRuneInString(v[0].(string))
				b, ok := codePageByte(r)
				if !ok {
					b = '?'
				}
				return int64(b)
			})
		}},
		"UNICODE": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			return strict(Int, []cx{c.text(a[0])}, func(v []any) any {
				for _, r := range v[0].(string) {
					return int64(units(string(r))[0])
				}
				return nil
			})
		}},
		"CHAR": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			return strict(Char(1), []cx{c.to(a[0], Int)}, func(v []any) any {
				if n := v[0].(int64); n >= 0 && n <= 255 {
					return fromCodePage([]byte{byte(n)})
				}
				return nil
			})
		}},
		"NCHAR": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			return strict(NChar(1), []cx{c.to(a[0], Int)}, func(v []any) any {
				if n := v[0].(int64); n >= 0 && n <= 65535 {
					return string(rune(n))
				}
				return nil
			})
		}},
		"STR": {1, 3, func(c *compiler, _ *callExpr, a []cx) cx {
			args := []cx{c.to(a[0], Float)}
			for _, x := range a[1:] {
				args = append(args, c.to(x, Int))
			}
			return strict(VarChar(8000), args, func(v []any) any {
				length, dec := int64(10), int64(0)
				if len(v) > 1 {
					length = min(max(v[1].(int64), 0), 8000)
				}
				if len(v) > 2 {
					dec = min(max(v[2].(int64), 0), 16)
				}
				s := strconv.FormatFloat(v[0].(float64), 'f', int(dec), 64)
				if len(s) > int(length) {
					if i := strings.IndexByte(s, '.'); i >= 0 && i <= int(length) {
						return strings.TrimSuffix(s[:length], ".")
					}
					return strings.Repeat("*", int(length))
				}
				return strings.Repeat(" ", int(length)-len(s)) + s
			})
		}},
		"HASHBYTES": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			data := a[1]
			if !data.t.IsBinary() {
				from := data.t
				if !from.IsString() {
					failCompile(c.x.line, 8116, 16, 1, "Argument data type %s is invalid for argument 2 of hashbytes function.", from.Kind)
				}
				f := data.f
				data.f = func(e *env) any {
					v := f(e)
					if v == nil {
						return nil
					}
					return toBytes(v, from, VarBinary(MaxLen), 0)
				}
				data.konst = false
			}
			return strict(VarBinary(8000), []cx{c.text(a[0]), data}, func(v []any) any {
				b := v[1].([]byte)
				switch strings.ToUpper(v[0].(string)) {
				case "MD5":
					h := md5.Sum(b) //nolint:gosec // as above
					return h[:]
				case "SHA", "SHA1":
					h := sha1.Sum(b) //nolint:gosec // as above
					return h[:]
				case "SHA2_256":
					h := sha256.Sum256(b)
					return h[:]
				case "SHA2_512":
					h := sha512.Sum512(b)
					return h[:]
				}
				return nil
			})
		}},
		"CHECKSUM": {1, 254, func(c *compiler, _ *callExpr, a []cx) cx {
			// The value is this package's own, stable within it; SQL Server's algorithm is not documented.
			return cx{t: Int, f: func(e *env) any {
				h := crc32.NewIEEE()
				for _, x := range a {
					k, _ := hashKey(x.f(e), x.coll).(string)
					if _, err := h.Write([]byte(k + printValue(x.f(e)))); err != nil {
						return nil
					}
				}
				return int64(int32(h.Sum32()))
			}}
		}},
		"FORMAT":        {2, 3, formatFunc},
		"STRING_ESCAPE": {2, 2, stringEscape},
		"FORMATMESSAGE": {1, 20, func(c *compiler, _ *callExpr, a []cx) cx {
			return cx{t: NVarChar(2048), null: true, f: func(e *env) any {
				m, ok := a[0].f(e).(string)
				if !ok {
					return nil
				}
				args := make([]any, len(a)-1)
				for i, x := range a[1:] {
					args[i] = x.f(e)
				}
				return formatMessage(m, args)
			}}
		}},
	}
	return m
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
	if coll == collCI {
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
	return joinTexts(c, a, nil)
}

func concatWS(c *compiler, _ *callExpr, a []cx) cx {
	sep := c.text(a[0])
	return joinTexts(c, a[1:], &sep)
}

func joinTexts(c *compiler, a []cx, sep *cx) cx {
	n, uni := 0, false
	args := make([]cx, len(a))
	for i, x := range a {
		if x.t.Kind == KindNull {
			x = c.to(x, VarChar(1))
		}
		args[i] = c.text(x)
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
	return cx{t: t, f: func(e *env) any {
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

// formatFunc is FORMAT for numbers (N, F, D, C-less, 0 and # patterns) and for dates in the usual letters; a form that it does not know is an error.
func formatFunc(c *compiler, e *callExpr, a []cx) cx {
	if !a[0].t.IsNumber() && !a[0].t.IsTemporal() {
		failCompile(c.line(e.line), 8116, 16, 1, "Argument data type %s is invalid for argument 1 of format function.", a[0].t.Kind)
	}
	args := []cx{a[0], c.text(a[1])}
	if len(a) > 2 {
		args = append(args, c.text(a[2]))
	}
	temporal := a[0].t.IsTemporal()
	return strict(NVarChar(4000), args, func(v []any) any {
		if len(v) > 2 && !EqualFold(v[2].(string), "en-us") && !EqualFold(v[2].(string), "") {
			panic(NotImplemented("FORMAT with the culture " + v[2].(string)))
		}
		f := v[1].(string)
		if temporal {
			return formatDate(v[0].(time.Time), f)
		}
		return formatNumber(v[0], f)
	})
}

func formatNumber(v any, f string) any {
	var d Decimal
	switch x := v.(type) {
	case int64:
		d = decimalFromInt(x)
	case Decimal:
		d = x
	case float64:
		var ok bool
		if d, ok = decimalFromFloat(x, 15); !ok {
			return nil
		}
	default:
		return nil
	}
	group, digits, minWhole, optional := false, 2, 1, 0
	up := strings.ToUpper(f)
	switch {
	case up == "":
		return d.String()
	case len(up) <= 3 && strings.IndexByte("NFD", up[0]) >= 0:
		group = up[0] == 'N'
		if up[0] == 'D' {
			digits = 0
		}
		if len(up) > 1 {
			n, err := strconv.Atoi(up[1:])
			if err != nil {
				return nil
			}
			if up[0] == 'D' {
				minWhole = n
			} else {
				digits = n
			}
		}
	default:
		if strings.Trim(f, "0#,.") != "" {
			panic(NotImplemented("FORMAT with the pattern '" + f + "'"))
		}
		whole, frac, _ := strings.Cut(f, ".")
		group = strings.Contains(whole, ",")
		minWhole = strings.Count(whole, "0")
		digits = len(frac)
		optional = strings.Count(frac, "#")
	}
	s := d.rescale(uint8(min(digits, 30))).String()
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	whole, frac, _ := strings.Cut(s, ".")
	for len(whole) < minWhole {
		whole = "0" + whole
	}
	if minWhole == 0 && whole == "0" {
		whole = ""
	}
	for optional > 0 && strings.HasSuffix(frac, "0") {
		frac = frac[:len(frac)-1]
		optional--
	}
	if group {
		for i := len(whole) - 3; i > 0; i -= 3 {
			whole = whole[:i] + "," + whole[i:]
		}
	}
	if frac != "" {
		whole += "." + frac
	}
	if neg && strings.Trim(whole, "0.,") != "" {
		whole = "-" + whole
	}
	return whole
}

func formatDate(t time.Time, f string) any {
	switch f {
	case "d":
		f = "M/d/yyyy"
	case "s":
		f = "yyyy-MM-ddTHH:mm:ss"
	case "o", "O":
		f = "yyyy-MM-ddTHH:mm:ss.fffffff"
	case "u":
		f = "yyyy-MM-dd HH:mm:ssZ"
	}
	var b strings.Builder
	for i := 0; i < len(f); {
		c := f[i]
		n := 1
		for i+n < len(f) && f[i+n] == c {
			n++
		}
		pick := func(forms ...string) { b.WriteString(t.Format(forms[min(n, len(forms))-1])) }
		switch c {
		case 'y':
			if n <= 2 {
				b.WriteString(t.Format("06"))
			} else {
				b.WriteString(t.Format("2006"))
			}
		case 'M':
			pick("1", "01", "Jan", "January")
		case 'd':
			pick("2", "02", "Mon", "Monday")
		case 'H':
			if n == 1 {
				b.WriteString(strconv.Itoa(t.Hour()))
			} else {
				b.WriteString(t.Format("15"))
			}
		case 'h':
			pick("3", "03")
		case 'm':
			pick("4", "04")
		case 's':
			pick("5", "05")
		case 'f':
			b.WriteString((strconv.Itoa(1_000_000_000 + t.Nanosecond()))[1 : 1+min(n, 9)])
		case 't':
			b.WriteString(t.Format("PM")[:min(n, 2)])
		case '\'', '"':
			j := strings.IndexByte(f[i+1:], c)
			if j < 0 {
				return nil
			}
			b.WriteString(f[i+1 : i+1+j])
			n = j + 2
		case '\\':
			if i+1 < len(f) {
				b.WriteByte(f[i+1])
			}
			n = 2
		default:
			if c >= 'a' && c <= 'z' && c != 'Z' || c >= 'A' && c <= 'Z' && c != 'T' && c != 'Z' {
				panic(NotImplemented("FORMAT with the pattern '" + f + "'"))
			}
			b.WriteString(f[i : i+n])
		}
		i += n
	}
	return b.String()
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
