package tsql

import (
	"crypto/rand"
	"strings"
)

// errorFunc reads the error of the CATCH block around; NULL outside of one.
func errorFunc(t Type, f func(e *Error) any) builtin {
	return builtin{0, 0, func(c *compiler, _ *callExpr, _ []cx) cx {
		s := c.x.s
		return cx{t: t, null: true, f: func(*env) any {
			if len(s.caught) == 0 {
				return nil
			}
			return f(s.caught[len(s.caught)-1])
		}}
	}}
}

func systemFuncs() map[string]builtin {
	return map[string]builtin{
		"ERROR_NUMBER":   errorFunc(Int, func(e *Error) any { return int64(e.Number) }),
		"ERROR_MESSAGE":  errorFunc(NVarChar(4000), func(e *Error) any { return e.Message }),
		"ERROR_SEVERITY": errorFunc(Int, func(e *Error) any { return int64(e.Class) }),
		"ERROR_STATE":    errorFunc(Int, func(e *Error) any { return int64(e.State) }),
		"ERROR_LINE":     errorFunc(Int, func(e *Error) any { return int64(e.Line) }),
		"ERROR_PROCEDURE": errorFunc(NVarChar(128), func(e *Error) any {
			if e.Procedure == "" {
				return nil
			}
			return e.Procedure
		}),
		"XACT_STATE": {0, 0, func(c *compiler, _ *callExpr, _ []cx) cx {
			s := c.x.s
			return cx{t: SmallInt, f: func(*env) any {
				switch {
				case s.tranCount == 0:
					return int64(0)
				case s.doomed:
					return int64(-1)
				}
				return int64(1)
			}}
		}},
		"CURSOR_STATUS": {2, 2, cursorStatus},
		"ROWCOUNT_BIG": {0, 0, func(c *compiler, _ *callExpr, _ []cx) cx {
			s := c.x.s
			return cx{t: BigInt, f: func(*env) any { return s.rowCount }}
		}},
		"SCOPE_IDENTITY": {0, 0, func(c *compiler, _ *callExpr, _ []cx) cx {
			return c.global(&globalExpr{name: "IDENTITY"})
		}},
		"NEWID": {0, 0, func(*compiler, *callExpr, []cx) cx {
			return cx{t: UniqueIdentifier, f: func(*env) any {
				var g GUID
				if _, err := rand.Read(g[:]); err != nil {
					panic(NotImplemented("NEWID without entropy"))
				}
				g[6], g[8] = g[6]&0x0f|0x40, g[8]&0x3f|0x80
				return g
			}}
		}},
		"ISNULL": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			t := a[0].t
			if t.Kind == KindNull {
				t = a[1].t
			}
			if t.Kind == KindNull {
				t = Int
			}
			y := c.to(a[1], t)
			xf, yf := a[0].f, y.f
			out := cx{t: t, null: a[0].null && a[1].null, label: a[0].lab(), konst: a[0].konst && y.konst}
			if a[0].t.Kind == KindNull {
				out.label = a[1].lab()
			}
			out.f = func(e *env) any {
				if v := xf(e); v != nil {
					return v
				}
				return yf(e)
			}
			return out.foldConst()
		}},
		"NULLIF": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			if a[0].t.Kind == KindNull {
				failCompile(c.x.line, 4151, 16, 1, "The type of the first argument to NULLIF cannot be the NULL constant because the type of the first argument has to be known.")
			}
			eq := c.compare("=", a[0], a[1])
			f := a[0].f
			return cx{t: a[0].t, null: true, label: a[0].lab(), f: func(e *env) any {
				if eq(e) == yes {
					return nil
				}
				return f(e)
			}}
		}},
		"CHOOSE": {2, 254, func(c *compiler, _ *callExpr, a []cx) cx {
			i := c.to(a[0], Int).f
			fs, out := c.unify("CHOOSE", a[1:])
			out.null = true
			out.f = func(e *env) any {
				n, ok := i(e).(int64)
				if !ok || n < 1 || n > int64(len(fs)) {
					return nil
				}
				return fs[n-1](e)
			}
			return out
		}},
		"OBJECT_ID": {1, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			name := c.text(a[0])
			typ := constant("", VarChar(2))
			if len(a) > 1 {
				typ = c.text(a[1])
			}
			x := c.x
			return cx{t: Int, null: true, f: func(e *env) any {
				n, ok := name.f(e).(string)
				if !ok || strings.TrimSpace(n) == "" {
					return nil
				}
				t, _ := typ.f(e).(string)
				path := newPath(n)
				if isTemp(path) {
					m := x.s.temp(path[len(path)-1])
					if m == nil || t != "" && !EqualFold(t, "U") {
						return nil
					}
					return int64(-1000000 - m.id)
				}
				if x.dry {
					return nil
				}
				return x.s.host.ObjectID(x.ctx, path, t)
			}}
		}},
	}
}
