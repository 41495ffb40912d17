package tsql

import (
	"crypto/rand"
	"math"
	"math/big"
)

// number brings an argument that is not a number to float.
func (c *compiler) number(a cx) cx {
	if a.t.Kind == KindBit {
		return c.to(a, Float)
	}
	if a.t.IsNumber() {
		return a
	}
	return c.to(a, Float)
}

func mathFunc(f func(float64) float64) builtin {
	return builtin{1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
		return strict(Float, []cx{c.to(a[0], Float)}, func(v []any) any {
			r := f(v[0].(float64))
			if math.IsNaN(r) || math.IsInf(r, 0) {
				fail(3623, 16, 1, "An invalid floating point operation occurred.")
			}
			return r
		})
	}}
}

func numberFuncs() map[string]builtin {
	return map[string]builtin{
		"ABS": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			x := c.number(a[0])
			return strict(x.t, []cx{x}, func(v []any) any {
				switch n := v[0].(type) {
				case int64:
					if n < 0 {
						checkInt(-n, x.t, n == math.MinInt64)
						return -n
					}
					return n
				case Decimal:
					return Decimal{new(big.Int).Abs(n.V), n.Scale}
				case float64:
					return math.Abs(n)
				}
				return nil
			})
		}},
		"SIGN": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			x := c.number(a[0])
			return strict(x.t, []cx{x}, func(v []any) any {
				switch n := v[0].(type) {
				case int64:
					return int64(compareValues(n, int64(0), 0))
				case Decimal:
					return Decimal{big.NewInt(int64(n.V.Sign())), 0}.rescale(x.t.Scale)
				case float64:
					return float64(compareValues(n, 0.0, 0))
				}
				return nil
			})
		}},
		"CEILING": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx { return floorCeil(c.number(a[0]), true) }},
		"FLOOR":   {1, 1, func(c *compiler, _ *callExpr, a []cx) cx { return floorCeil(c.number(a[0]), false) }},
		"ROUND":   {2, 3, round},
		"SQRT":    mathFunc(math.Sqrt),
		"EXP":     mathFunc(math.Exp),
		"LOG10":   mathFunc(math.Log10),
		"SIN":     mathFunc(math.Sin),
		"COS":     mathFunc(math.Cos),
		"TAN":     mathFunc(math.Tan),
		"SQUARE":  mathFunc(func(x float64) float64 { return x * x }),
		"LOG": {1, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			args := []cx{c.to(a[0], Float)}
			if len(a) > 1 {
				args = append(args, c.to(a[1], Float))
			}
			return strict(Float, args, func(v []any) any {
				r := math.Log(v[0].(float64))
				if len(v) > 1 {
					r /= math.Log(v[1].(float64))
				}
				if math.IsNaN(r) || math.IsInf(r, 0) {
					fail(3623, 16, 1, "An invalid floating point operation occurred.")
				}
				return r
			})
		}},
		"POWER": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			x := c.number(a[0])
			y := c.to(a[1], Float)
			t := x.t
			if t.Kind == KindTinyInt || t.Kind == KindSmallInt {
				t = Int
			}
			xf := c.to(x, Float)
			return strict(t, []cx{xf, y}, func(v []any) any {
				r := math.Pow(v[0].(float64), v[1].(float64))
				if math.IsNaN(r) || math.IsInf(r, 0) {
					fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type %s.", t.Kind)
				}
				if t.Kind == KindFloat {
					return r
				}
				if t.IsInteger() && math.Abs(r) < 1<<53 {
					r = math.Trunc(r)
				}
				return convertValue(r, Float, t, 0)
			})
		}},
		"PI": {0, 0, func(*compiler, *callExpr, []cx) cx { return constant(math.Pi, Float) }},
		"RAND": {0, 1, func(*compiler, *callExpr, []cx) cx {
			return cx{t: Float, f: func(*env) any {
				n, err := rand.Int(rand.Reader, big.NewInt(1<<53))
				if err != nil {
					panic(NotImplemented("RAND without entropy"))
				}
				return float64(n.Int64()) / (1 << 53)
			}}
		}},
		"ISNUMERIC": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			if a[0].t.IsNumber() && a[0].t.Kind != KindBit {
				return strict(Int, a, func([]any) any { return int64(1) })
			}
			s := c.text(a[0])
			return cx{t: Int, f: func(e *env) any {
				v, ok := s.f(e).(string)
				if !ok {
					return int64(0)
				}
				if _, err := Convert(v, NVarChar(MaxLen), Float); err == nil && v != "" {
					return int64(1)
				}
				if _, err := Convert(v, NVarChar(MaxLen), Type{Kind: KindMoney}); err == nil && v != "" {
					return int64(1)
				}
				return int64(0)
			}}
		}},
	}
}

func floorCeil(x cx, up bool) cx {
	t := x.t
	if t.Kind == KindDecimal {
		t = Numeric(t.Prec, 0)
	}
	return strict(t, []cx{x}, func(v []any) any {
		switch n := v[0].(type) {
		case float64:
			if up {
				return math.Ceil(n)
			}
			return math.Floor(n)
		case Decimal:
			q, r := new(big.Int).QuoRem(n.V, pow10(int(n.Scale)), new(big.Int))
			if up && r.Sign() > 0 {
				q.Add(q, big.NewInt(1))
			}
			if !up && r.Sign() < 0 {
				q.Sub(q, big.NewInt(1))
			}
			d := Decimal{q, 0}
			if x.t.Kind == KindMoney {
				d = d.rescale(4)
			}
			return d
		}
		return v[0]
	})
}

// round is ROUND(x, digits [, truncate]).
func round(c *compiler, _ *callExpr, a []cx) cx {
	x := c.number(a[0])
	args := []cx{x, c.to(a[1], Int)}
	if len(a) > 2 {
		args = append(args, c.to(a[2], Int))
	}
	t := x.t
	if t.Kind == KindTinyInt || t.Kind == KindSmallInt {
		t = Int
	}
	return strict(t, args, func(v []any) any {
		digits := int(min(max(v[1].(int64), -40), 40))
		trunc := len(v) > 2 && v[2].(int64) != 0
		var d Decimal
		switch n := v[0].(type) {
		case float64:
			p := math.Pow(10, float64(digits))
			if trunc {
				return math.Trunc(n*p) / p
			}
			if r := math.Round(n*p) / p; !math.IsNaN(r) && !math.IsInf(r, 0) {
				return r
			}
			return n
		case int64:
			d = decimalFromInt(n)
		case Decimal:
			d = n
		}
		r := roundDecimal(d, digits, trunc)
		if t.IsInteger() {
			return convertValue(r, Numeric(38, 0), t, 0)
		}
		r = r.rescale(d.Scale)
		if t.Kind == KindDecimal && r.digits() > int(t.Prec) {
			fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type numeric.")
		}
		return r
	})
}

func roundDecimal(d Decimal, digits int, trunc bool) Decimal {
	if digits >= int(d.Scale) {
		return d
	}
	drop := int(d.Scale) - digits // digits lost at the right of V
	if trunc {
		p := pow10(drop)
		q := new(big.Int).Quo(d.V, p)
		return Decimal{q.Mul(q, p), d.Scale}
	}
	q := Decimal{d.V, uint8(drop)}.rescale(0)
	return Decimal{new(big.Int).Mul(q.V, pow10(drop)), d.Scale}
}
