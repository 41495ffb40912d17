package tsql

import (
	"crypto/md5"  //nolint:gosec // HASHBYTES has it
	"crypto/sha1" //nolint:gosec // HASHBYTES has it
	"crypto/sha256"
	"crypto/sha512"
	"hash/crc32"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
			n := maxText(s.t)
			t := sameText(s, n)
			l := c.settled("replace", c.settled("replace", s.lab(), old.lab()), new.lab())
			checkWide(c.x.line, l.coll, t)
			coll := c.rules(l, t)
			out := strict(t, []cx{s, old, new}, func(v []any) any {
				r := replaceFold(v[0].(string), v[1].(string), v[2].(string), coll)
				if n != MaxLen {
					r = utf16Cut(r, n)
				}
				return r
			})
			out.label = l
			return out
		}},
		"CHARINDEX": {2, 3, func(c *compiler, _ *callExpr, a []cx) cx {
			sub, s := c.text(a[0]), c.text(a[1])
			args := []cx{sub, s}
			if len(a) > 2 {
				args = append(args, c.to(a[2], BigInt))
			}
			coll := c.pairRules("charindex", sub, s)
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
			coll := c.pairRules("patindex", p, s)
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
			l := c.settled("stuff", s.lab(), ins.lab())
			checkWide(c.x.line, l.coll, t)
			out := strict(t, []cx{s, c.to(a[1], BigInt), c.to(a[2], BigInt), ins}, func(v []any) any {
				u := units(v[0].(string))
				start, length := v[1].(int64), v[2].(int64)
				if start < 1 || start > int64(len(u)) || length < 0 {
					return nil
				}
				end := start - 1 + min(length, int64(len(u))-start+1)
				return fromUnits(u[:start-1]) + v[3].(string) + fromUnits(u[end:])
			})
			out.label = l
			return out
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
			rules := make([]collation, len(a))
			for i, x := range a {
				rules[i] = c.rules(x.lab(), x.t)
			}
			return cx{t: Int, f: func(e *env) any {
				h := crc32.NewIEEE()
				for i, x := range a {
					k, _ := hashKey(x.f(e), rules[i]).(string)
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
