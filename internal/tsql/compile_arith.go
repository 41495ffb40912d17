package tsql

import (
	"math"
	"math/big"
	"time"
)

// Operators that compute: numbers, bits, strings, dates.

func (c *compiler) unary(e *unaryExpr) cx {
	a := c.comp(e.x)
	switch e.op {
	case "+":
		return a
	case "~":
		if !a.t.IsInteger() {
			failCompile(c.x.line, 8117, 16, 1, "Operand data type %s is invalid for '~' operator.", a.t.Kind)
		}
		f := a.f
		a.f = func(e *env) any {
			switch v := f(e).(type) {
			case bool:
				return !v
			case int64:
				if a.t.Kind == KindTinyInt {
					return int64(^uint8(v))
				}
				return ^v
			}
			return nil
		}
		return a.foldConst()
	}
	if a.t.IsString() || a.t.Kind == KindUniqueIdentifier || a.t.IsTemporal() || a.t.Kind == KindBit {
		failCompile(c.x.line, 8117, 16, 1, "Operand data type %s is invalid for minus operator.", a.t.Kind)
	}
	f := a.f
	if a.t.Kind == KindTinyInt {
		a.t = SmallInt
	}
	a.f = func(e *env) any {
		switch v := f(e).(type) {
		case int64:
			r := -v
			checkInt(r, a.t, v == math.MinInt64)
			return r
		case float64:
			return -v
		case Decimal:
			return Decimal{new(big.Int).Neg(v.V), v.Scale}
		}
		return nil
	}
	lit := a.lit
	a = a.foldConst() // -2147483648 stays numeric, as in SQL Server
	a.lit = lit && a.konst
	return a
}

func checkInt(v int64, t Type, over bool) {
	lim := intLimits[t.Kind]
	if over || v < lim[0] || v > lim[1] {
		fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type %s.", t.Kind)
	}
}

func divZero() { fail(8134, 16, 1, "Divide by zero error encountered.") }

func (c *compiler) incompatible(a, b Type, op string, line int) {
	failCompile(c.line(line), 402, 16, 1, "The data types %s and %s are incompatible in the %s operator.", a.Kind, b.Kind, opName(op))
}

// arith compiles + - * / % & | ^.
func (c *compiler) arith(op string, a, b cx, line int) cx {
	konst := a.konst && b.konst
	out := cx{null: a.null || b.null, konst: konst}
	ta, tb := a.t, b.t
	if ta.Kind == KindNull && tb.Kind == KindNull {
		return constant(nil, Int)
	}
	if ta.Kind == KindNull {
		ta = tb
		a.t = tb
	}
	if tb.Kind == KindNull {
		tb = ta
		b.t = ta
	}
	switch {
	case op == "+" && ta.IsString() && tb.IsString():
		return c.concat(a, b)
	case op == "+" && ta.IsBinary() && tb.IsBinary():
		n := ta.Len + tb.Len
		if ta.Len == MaxLen || tb.Len == MaxLen {
			n = MaxLen
		} else if n > 8000 {
			n = 8000
		}
		out.t = VarBinary(n)
		out.f = both(a, b, func(x, y any) any { return append(append([]byte{}, x.([]byte)...), y.([]byte)...) })
		return out.foldConst()
	case ta.Kind == KindUniqueIdentifier || tb.Kind == KindUniqueIdentifier || ta.Kind == KindXML || tb.Kind == KindXML:
		c.incompatible(ta, tb, op, line)
	case ta.IsTemporal() || tb.IsTemporal():
		return c.timeArith(op, a, b, line)
	case op == "&" || op == "|" || op == "^":
		return c.bitArith(op, a, b, line)
	case ta.IsString() && tb.IsString():
		c.incompatible(ta, tb, op, line) // 'a' - 'b'
	case ta.Kind == KindBit && tb.Kind == KindBit:
		c.incompatible(ta, tb, op, line)
	case ta.IsBinary() && tb.IsBinary():
		c.incompatible(ta, tb, op, line)
	}
	t, ok := common(ta, tb)
	if !ok {
		c.incompatible(ta, tb, op, line)
	}
	if t.Kind == KindBit {
		t = Int
	}
	if op == "%" && (t.Kind == KindFloat || t.Kind == KindReal) {
		c.incompatible(ta, tb, op, line)
	}
	switch {
	case t.IsInteger():
		a, b = c.to(a, t), c.to(b, t)
		out.t, out.f = t, both(a, b, func(x, y any) any { return intArith(op, x.(int64), y.(int64), t) })
	case t.Kind == KindFloat || t.Kind == KindReal:
		a, b = c.to(a, t), c.to(b, t)
		out.t, out.f = t, both(a, b, func(x, y any) any { return floatArith(op, x.(float64), y.(float64), t) })
	case t.Kind == KindMoney || t.Kind == KindDecimal:
		na, nb := numericOf(a), numericOf(b)
		if a.t.IsString() {
			a, na = c.to(a, nb), nb
		}
		if b.t.IsString() {
			b, nb = c.to(b, na), na
		}
		if a.t.IsBinary() {
			a = c.to(a, nb)
		}
		if b.t.IsBinary() {
			b = c.to(b, na)
		}
		rt := numericResult(op, na, nb)
		money := t.Kind == KindMoney
		if money {
			rt = Numeric(19, 4)
		}
		a.f, b.f = asDecimal(a.f), asDecimal(b.f)
		out.f = both(a, b, func(x, y any) any { return numericArith(op, x.(Decimal), y.(Decimal), rt, money) })
		out.t = rt
		if money {
			out.t = t
		}
	default:
		c.incompatible(ta, tb, op, line)
	}
	return out.foldConst()
}

func both(a, b cx, f func(x, y any) any) valueFn {
	af, bf := a.f, b.f
	return func(e *env) any {
		x := af(e)
		if x == nil {
			return nil
		}
		y := bf(e)
		if y == nil {
			return nil
		}
		return f(x, y)
	}
}

func intArith(op string, x, y int64, t Type) any {
	var r int64
	over := false
	switch op {
	case "+":
		r = x + y
		over = (x > 0) == (y > 0) && (r > 0) != (x > 0) && x != 0 && y != 0
	case "-":
		r = x - y
		over = (x >= 0) != (y >= 0) && (r >= 0) != (x >= 0)
	case "*":
		r = x * y
		over = x != 0 && (r/x != y || x == -1 && y == math.MinInt64)
	case "/":
		if y == 0 {
			divZero()
		}
		over = x == math.MinInt64 && y == -1
		r = x / y
	case "%":
		if y == 0 {
			divZero()
		}
		if y == -1 {
			return int64(0)
		}
		r = x % y
	}
	checkInt(r, t, over)
	return r
}

func floatArith(op string, x, y float64, t Type) any {
	var r float64
	switch op {
	case "+":
		r = x + y
	case "-":
		r = x - y
	case "*":
		r = x * y
	case "/":
		if y == 0 {
			divZero()
		}
		r = x / y
	}
	if t.Kind == KindReal {
		r = float64(float32(r))
	}
	if math.IsInf(r, 0) || math.IsNaN(r) {
		fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type %s.", t.Kind)
	}
	return r
}

// numericOf is the operand's type as numeric; an integer constant has just the digits that it shows.
func numericOf(a cx) Type {
	if a.lit && a.t.IsInteger() {
		if v, ok := a.val.(int64); ok {
			return Numeric(uint8(decimalFromInt(v).digits()), 0)
		}
	}
	return asNumeric(a.t)
}

// numericResult is T-SQL's rule for the precision and scale of a result.
func numericResult(op string, a, b Type) Type {
	p1, s1, p2, s2 := int(a.Prec), int(a.Scale), int(b.Prec), int(b.Scale)
	var p, s int
	switch op {
	case "+", "-":
		s = max(s1, s2)
		p = max(p1-s1, p2-s2) + s + 1
		if p > 38 {
			s = max(0, min(s, 38-max(p1-s1, p2-s2)))
			p = 38
		}
		return Numeric(uint8(p), uint8(s))
	case "*":
		p, s = p1+p2+1, s1+s2
	case "/":
		s = max(6, s1+p2+1)
		p = p1 - s1 + s2 + s
	case "%":
		s = max(s1, s2)
		p = min(p1-s1, p2-s2) + s
	}
	if p > 38 {
		whole := p - s
		if whole < 32 {
			s = min(s, 38-whole)
		} else if s > 6 {
			s = 6
		}
		p = 38
	}
	return Numeric(uint8(max(p, 1)), uint8(s))
}

func numericArith(op string, x, y Decimal, t Type, money bool) any {
	var r Decimal
	switch op {
	case "+", "-":
		s := max(x.Scale, y.Scale)
		x, y = x.rescale(s), y.rescale(s)
		v := new(big.Int)
		if op == "+" {
			v.Add(x.V, y.V)
		} else {
			v.Sub(x.V, y.V)
		}
		r = Decimal{v, s}
	case "*":
		r = Decimal{new(big.Int).Mul(x.V, y.V), x.Scale + y.Scale}
	case "/":
		if y.V.Sign() == 0 {
			divZero()
		}
		// x/10^sx ÷ y/10^sy to t.Scale digits, cut off.
		n := new(big.Int).Mul(x.V, pow10(int(t.Scale)+int(y.Scale)))
		d := new(big.Int).Mul(y.V, pow10(int(x.Scale)))
		r = Decimal{n.Quo(n, d), t.Scale}
	case "%":
		if y.V.Sign() == 0 {
			divZero()
		}
		s := max(x.Scale, y.Scale)
		x, y = x.rescale(s), y.rescale(s)
		r = Decimal{new(big.Int).Rem(x.V, y.V), s}
	}
	r = r.rescale(t.Scale)
	if r.digits() > int(t.Prec) {
		k := KindDecimal
		if money {
			k = KindMoney
		}
		fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type %s.", k)
	}
	return r
}

func (c *compiler) bitArith(op string, a, b cx, line int) cx {
	if !(a.t.IsInteger() || a.t.IsBinary()) || !(b.t.IsInteger() || b.t.IsBinary()) || a.t.IsBinary() && b.t.IsBinary() {
		c.incompatible(a.t, b.t, op, line)
	}
	t, _ := common(a.t, b.t)
	work := t
	if t.Kind == KindBit {
		work = TinyInt
	}
	a, b = c.to(a, work), c.to(b, work)
	f := both(a, b, func(x, y any) any {
		i, j := x.(int64), y.(int64)
		switch op {
		case "&":
			i &= j
		case "|":
			i |= j
		default:
			i ^= j
		}
		if t.Kind == KindBit {
			return i != 0
		}
		return i
	})
	return cx{f: f, t: t, null: a.null || b.null, konst: a.konst && b.konst}.foldConst()
}

func (c *compiler) concat(a, b cx) cx {
	uni := a.t.IsUnicode() || b.t.IsUnicode()
	n := a.t.Len + b.t.Len
	limit := 8000
	if uni {
		limit = 4000
	}
	if a.t.Len == MaxLen || b.t.Len == MaxLen {
		n = MaxLen
	} else if n > limit {
		n = limit
	}
	t := VarChar(n)
	if uni {
		t = NVarChar(n)
	}
	out := cx{t: t, null: a.null || b.null, konst: a.konst && b.konst, label: c.made("add", t, a.lab(), b.lab())}
	out.f = both(a, b, func(x, y any) any {
		s := x.(string) + y.(string)
		if n != MaxLen && len(s) > n {
			s = utf16Cut(s, n)
		}
		if len(s) > maxString {
			fail(ErrTooManyRows, 16, 2, "dag_lab gave up: a string of more than %d bytes.", maxString)
		}
		return s
	})
	return out.foldConst()
}

// maxString bounds one value, so that a loop of @s += @s ends.
const maxString = 64 << 20

// timeArith is datetime ± number of days and datetime ± datetime; the newer types have no arithmetic.
func (c *compiler) timeArith(op string, a, b cx, line int) cx {
	old := func(t Type) bool { return t.Kind == KindDateTime || t.Kind == KindSmallDateTime }
	if op != "+" && op != "-" {
		c.incompatible(a.t, b.t, op, line)
	}
	for _, p := range [][2]Type{{a.t, b.t}, {b.t, a.t}} {
		if p[0].IsTemporal() && !old(p[0]) {
			if p[1].IsNumber() {
				failCompile(c.line(line), 206, 16, 2, "Operand type clash: %s is incompatible with %s", p[0].Kind, p[1].Kind)
			}
			c.incompatible(a.t, b.t, op, line)
		}
	}
	t := DateTime
	if !old(a.t) && op == "-" && !a.t.IsString() {
		a = c.to(a, t)
	}
	a, b = c.to(a, t), c.to(b, t)
	f := both(a, b, func(x, y any) any {
		p, q := x.(time.Time).Unix()-epoch1900.Unix(), y.(time.Time).Unix()-epoch1900.Unix()
		n, m := int64(x.(time.Time).Nanosecond()), int64(y.(time.Time).Nanosecond())
		if op == "-" {
			q, m = -q, -m
		}
		r := time.Unix(epoch1900.Unix()+p+q, n+m).UTC()
		r, ok := roundDateTime(r)
		if !ok {
			fail(517, 16, 1, "Adding a value to a 'datetime' column caused an overflow.")
		}
		return r
	})
	return cx{f: f, t: t, null: true, konst: a.konst && b.konst}.foldConst()
}
