package tsql

import (
	"fmt"
)

// precision gives a number's type as numeric: int is numeric(10,0).
func asNumeric(t Type) Type {
	switch t.Kind {
	case KindBit:
		return Numeric(1, 0)
	case KindTinyInt:
		return Numeric(3, 0)
	case KindSmallInt:
		return Numeric(5, 0)
	case KindInt, KindNull:
		return Numeric(10, 0)
	case KindBigInt:
		return Numeric(19, 0)
	case KindMoney:
		return Numeric(19, 4)
	case KindDecimal:
		return t
	}
	return Numeric(38, 6)
}

// common gives the type to which two operands are brought before they are compared or united, or nil if they cannot be.
func common(a, b Type) (Type, bool) {
	if a.Kind == KindNull {
		return b, true
	}
	if b.Kind == KindNull {
		return a, true
	}
	if a.Kind > b.Kind {
		a, b = b, a
	}
	switch {
	case b.Kind == KindXML:
		return b, a.IsString() || a.Kind == KindXML
	case a.IsString() && b.IsString():
		n := max(a.Len, b.Len)
		if a.Len == MaxLen || b.Len == MaxLen {
			n = MaxLen
		}
		k := b.Kind
		if a.Kind == KindVarChar && b.Kind == KindNChar || a.Kind == KindChar && b.Kind == KindNChar && a.Len != b.Len {
			k = KindNVarChar
		}
		if n > 4000 && (k == KindNChar || k == KindNVarChar) {
			n = 4000
		}
		return Type{Kind: k, Len: n}, true
	case a.IsBinary() && b.IsBinary():
		n := max(a.Len, b.Len)
		if a.Len == MaxLen || b.Len == MaxLen {
			n = MaxLen
		}
		return Type{Kind: b.Kind, Len: n}, true
	case a.IsBinary():
		return b, b.IsString() || b.IsInteger() || b.Kind == KindUniqueIdentifier || b.Kind == KindMoney || b.Kind == KindDecimal
	case a.IsString():
		return b, true
	case a.Kind == KindUniqueIdentifier:
		return b, b.Kind == a.Kind
	case a.IsNumber() && b.IsNumber():
		if b.Kind == KindDecimal {
			n := asNumeric(a)
			s := max(n.Scale, b.Scale)
			p := max(n.Prec-n.Scale, b.Prec-b.Scale) + s
			if p > 38 {
				s -= min(s, p-38)
				p = 38
			}
			return Numeric(p, s), true
		}
		return b, true
	case a.IsNumber():
		return b, b.Kind == KindDateTime || b.Kind == KindSmallDateTime
	case a.Kind == KindTime && b.Kind == KindDate:
		return Type{}, false
	}
	if b.Kind >= KindDateTime2 {
		frac := func(t Type) uint8 {
			if t.Kind == KindDateTime {
				return 3
			}
			return t.Scale
		}
		b.Scale = max(frac(a), frac(b))
	}
	return b, true
}

// allowed tells whether a conversion exists at all; explicit ones are more.
func allowed(from, to Type, explicit bool) bool {
	if from.Kind == KindNull || from.Kind == to.Kind {
		return true
	}
	switch {
	case from.Kind == KindXML || to.Kind == KindXML:
		return from.IsString() || to.IsString() && explicit || to.Kind == KindXML && from.IsBinary()
	case from.IsString():
		return explicit || !to.IsBinary()
	case to.IsString():
		return true
	case from.IsBinary():
		return to.Kind != KindReal && to.Kind != KindFloat && (!to.IsTemporal() || to.Kind == KindDateTime || to.Kind == KindSmallDateTime)
	case to.IsBinary():
		return from.IsNumber() || from.Kind == KindUniqueIdentifier || explicit
	case from.Kind == KindUniqueIdentifier || to.Kind == KindUniqueIdentifier:
		return false
	case from.IsNumber() && to.IsNumber():
		return true
	case from.IsNumber():
		return to.Kind == KindDateTime || to.Kind == KindSmallDateTime
	case to.IsNumber():
		return explicit && (from.Kind == KindDateTime || from.Kind == KindSmallDateTime)
	}
	return !(from.Kind == KindTime && to.Kind == KindDate || from.Kind == KindDate && to.Kind == KindTime)
}

// conversion gives the function that brings values of one type to another, nil if none is needed. It panics at once with 206, 257 or 529 if there is none,
// and the function panics with the error of a value that does not convert.
func conversion(from, to Type, style int, explicit bool) func(any) any {
	if !allowed(from, to, explicit) {
		if explicit {
			failCompile(0, 529, 16, 2, "Explicit conversion from data type %s to %s is not allowed.", from.Kind, to.Kind)
		}
		if allowed(from, to, true) {
			failCompile(0, 257, 16, 3, "Implicit conversion from data type %s to %s is not allowed. Use the CONVERT function to run this query.", from.Kind, to.Kind)
		}
		failCompile(0, 206, 16, 2, "Operand type clash: %s is incompatible with %s", from.Kind, to.Kind)
	}
	if from == to || from.Kind == KindNull {
		return nil
	}
	if from.Kind == to.Kind {
		switch to.Kind {
		case KindVarChar, KindNVarChar, KindVarBinary:
			if to.Len == MaxLen || from.Len != MaxLen && from.Len <= to.Len {
				return nil
			}
		case KindDecimal:
			if from.Scale == to.Scale && from.Prec <= to.Prec {
				return nil
			}
		}
	}
	if from.Kind == KindVarChar && to.Kind == KindNVarChar && (to.Len == MaxLen || from.Len != MaxLen && from.Len <= to.Len) {
		return nil
	}
	if from.IsInteger() && to.IsInteger() && to.Kind > from.Kind && from.Kind != KindBit {
		return nil
	}
	if from.Kind == KindXML && to.Kind == KindXML {
		return nil
	}
	return func(v any) any {
		if v == nil {
			return nil
		}
		return convertValue(v, from, to, style)
	}
}

func convertValue(v any, from, to Type, style int) any {
	switch {
	case to.IsString():
		return toText(v, from, to, style)
	case to.Kind == KindXML:
		if s, ok := v.(string); ok {
			return s
		}
		return fmt.Sprint(v)
	case to.IsBinary():
		return toBytes(v, from, to, style)
	case to.IsInteger():
		return toInteger(v, from, to)
	case to.Kind == KindDecimal || to.Kind == KindMoney:
		return toNumeric(v, from, to)
	case to.Kind == KindFloat || to.Kind == KindReal:
		return toFloat(v, from, to)
	case to.Kind == KindUniqueIdentifier:
		return toGUID(v)
	}
	return toTime(v, from, to)
}

// Convert brings a value from one type to another as an implicit conversion does, for hosts that take arguments or store rows.
func Convert(v any, from, to Type) (out any, err *Error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			out, err = nil, e
		}
	}()
	if v == nil {
		return nil, nil
	}
	if c := conversion(from, to, 0, false); c != nil {
		v = c(v)
	}
	return v, nil
}
