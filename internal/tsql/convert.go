package tsql

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
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

func overflow(from, to Type) {
	name := from.Kind.String()
	if from.IsInteger() || from.Kind == KindNull {
		name = "expression to data type "
		fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type %s.", to.Kind)
	}
	fail(8115, 16, 2, "Arithmetic overflow error converting %s to data type %s.", name, to.Kind)
}

var intLimits = map[Kind][2]int64{KindTinyInt: {0, 255}, KindSmallInt: {-1 << 15, 1<<15 - 1}, KindInt: {math.MinInt32, math.MaxInt32}, KindBigInt: {math.MinInt64, math.MaxInt64}}

func toInteger(v any, from, to Type) any {
	if to.Kind == KindBit {
		return toBit(v, from)
	}
	lim := intLimits[to.Kind]
	var n int64
	switch x := v.(type) {
	case bool:
		if x {
			n = 1
		}
	case int64:
		n = x
		if (n < lim[0] || n > lim[1]) && to.Kind != KindInt {
			fail(220, 16, 2, "Arithmetic overflow error for data type %s, value = %d.", to.Kind, n)
		}
	case float64:
		x = math.Trunc(x)
		if !(x >= float64(lim[0]) && x <= float64(lim[1])) || x >= math.MaxInt64 {
			if to.Kind == KindTinyInt || to.Kind == KindSmallInt {
				fail(232, 16, 3, "Arithmetic overflow error for type %s, value = %f.", to.Kind, x)
			}
			overflow(Int, to)
		}
		n = int64(x)
	case Decimal:
		i := x.trunc()
		if from.Kind == KindMoney {
			i = x.rescale(0).V
		}
		if !i.IsInt64() || i.Int64() < lim[0] || i.Int64() > lim[1] {
			overflow(from, to)
		}
		n = i.Int64()
	case []byte:
		if len(x) > 8 {
			x = x[len(x)-8:]
		}
		for _, b := range x {
			n = n<<8 | int64(b)
		}
		switch to.Kind {
		case KindTinyInt:
			n = int64(uint8(n))
		case KindSmallInt:
			n = int64(int16(n))
		case KindInt:
			n = int64(int32(n))
		}
		return n
	case time.Time:
		n = int64(math.Round(daysSince1900(x)))
	case string:
		s := strings.TrimSpace(x)
		if s == "" {
			return int64(0)
		}
		i, ok := parseInteger(s)
		if !ok {
			if to.Kind == KindBigInt {
				failAbort(8114, 16, 5, "Error converting data type %s to bigint.", from.Kind)
			}
			failAbort(245, 16, 1, "Conversion failed when converting the %s value '%s' to data type %s.", from.Kind, x, to.Kind)
		}
		if !i.IsInt64() || i.Int64() < lim[0] || i.Int64() > lim[1] {
			switch to.Kind {
			case KindBigInt:
				fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type bigint.")
			case KindInt:
				failAbort(248, 16, 1, "The conversion of the %s value '%s' overflowed an int column.", from.Kind, x)
			}
			failAbort(244, 16, 1, "The conversion of the %s value '%s' overflowed an %s column. Use a larger integer column.", from.Kind, x,
				map[Kind]string{KindTinyInt: "INT1", KindSmallInt: "INT2"}[to.Kind])
		}
		return i.Int64()
	default:
		panic(fmt.Sprintf("tsql: %T as %s", v, to))
	}
	if n < lim[0] || n > lim[1] {
		overflow(from, to)
	}
	return n
}

func parseInteger(s string) (*big.Int, bool) {
	t := s
	if t[0] == '-' || t[0] == '+' {
		t = strings.TrimSpace(t[1:])
	}
	if t == "" || len(t) > 100 {
		return nil, false
	}
	for _, c := range t {
		if c < '0' || c > '9' {
			return nil, false
		}
	}
	i, ok := new(big.Int).SetString(t, 10)
	if ok && s[0] == '-' {
		i.Neg(i)
	}
	return i, ok
}

func toBit(v any, from Type) any {
	switch x := v.(type) {
	case bool:
		return x
	case int64:
		return x != 0
	case float64:
		return x != 0
	case Decimal:
		return x.V.Sign() != 0
	case []byte:
		return len(x) > 0 && x[len(x)-1] != 0
	case string:
		s := strings.TrimSpace(x)
		switch strings.ToLower(s) {
		case "true":
			return true
		case "false", "":
			return false
		}
		if i, ok := parseInteger(s); ok {
			return i.Sign() != 0
		}
		failAbort(245, 16, 1, "Conversion failed when converting the %s value '%s' to data type bit.", from.Kind, x)
	case time.Time:
		return daysSince1900(x) != 0
	}
	panic(fmt.Sprintf("tsql: %T as bit", v))
}

func toNumeric(v any, from, to Type) any {
	if to.Kind == KindMoney {
		to.Prec, to.Scale = 19, 4
	}
	var d Decimal
	switch x := v.(type) {
	case bool:
		d = decimalFromInt(0)
		if x {
			d = decimalFromInt(1)
		}
	case int64:
		d = decimalFromInt(x)
	case Decimal:
		d = x
	case float64:
		var ok bool
		if d, ok = decimalFromFloat(x, to.Scale); !ok {
			overflow(from, to)
		}
	case []byte:
		d = decimalFromInt(toInteger(x, from, BigInt).(int64))
	case time.Time:
		d, _ = decimalFromFloat(daysSince1900(x), to.Scale)
	case string:
		s := strings.TrimSpace(x)
		if to.Kind == KindMoney {
			s = strings.ReplaceAll(strings.TrimPrefix(s, "$"), ",", "")
		}
		var ok bool
		if d, ok = parseDecimal(s); !ok {
			if to.Kind == KindMoney {
				failAbort(235, 16, 0, "Cannot convert a char value to money. The char value has incorrect syntax.")
			}
			failAbort(8114, 16, 5, "Error converting data type %s to numeric.", from.Kind)
		}
	default:
		panic(fmt.Sprintf("tsql: %T as numeric", v))
	}
	d = d.rescale(to.Scale)
	if d.digits() > int(to.Prec) {
		name := from.Kind.String()
		if from.IsString() {
			fail(8115, 16, 6, "Arithmetic overflow error converting %s to data type numeric.", name)
		}
		fail(8115, 16, 8, "Arithmetic overflow error converting %s to data type %s.", name, to.Kind)
	}
	return d
}

func toFloat(v any, from, to Type) any {
	var f float64
	switch x := v.(type) {
	case bool:
		if x {
			f = 1
		}
	case int64:
		f = float64(x)
	case float64:
		f = x
	case Decimal:
		f = x.float()
	case time.Time:
		f = daysSince1900(x)
	case string:
		s := strings.TrimSpace(x)
		if s == "" {
			return 0.0
		}
		var err error
		for _, c := range s {
			if !strings.ContainsRune("0123456789+-.eE", c) {
				err = strconv.ErrSyntax
			}
		}
		if err == nil {
			f, err = strconv.ParseFloat(s, 64)
		}
		if err != nil {
			failAbort(8114, 16, 5, "Error converting data type %s to %s.", from.Kind, to.Kind)
		}
	default:
		panic(fmt.Sprintf("tsql: %T as float", v))
	}
	if to.Kind == KindReal {
		f = float64(float32(f))
		if math.IsInf(f, 0) {
			fail(232, 16, 2, "Arithmetic overflow error for type real, value = %v.", v)
		}
	}
	return f
}

func toGUID(v any) any {
	switch x := v.(type) {
	case GUID:
		return x
	case string:
		g, ok := ParseGUID(x)
		if !ok {
			failAbort(8169, 16, 2, "Conversion failed when converting from a character string to uniqueidentifier.")
		}
		return g
	case []byte:
		return guidFromSQLBytes(x)
	}
	panic(fmt.Sprintf("tsql: %T as uniqueidentifier", v))
}

func daysSince1900(t time.Time) float64 {
	return float64(t.Unix()-epoch1900.Unix())/86400 + float64(t.Nanosecond())/86400e9
}

func toTime(v any, from, to Type) any {
	var t time.Time
	switch x := v.(type) {
	case time.Time:
		t = x
	case string:
		var zoned, ok bool
		t, zoned, ok = parseTime(x)
		digits := 0
		if i := strings.LastIndexByte(x, '.'); i >= 0 && strings.IndexByte(x, ':') >= 0 && strings.IndexByte(x, ':') < i {
			for j := i + 1; j < len(x) && x[j] >= '0' && x[j] <= '9'; j++ {
				digits++
			}
		}
		old := to.Kind == KindDateTime || to.Kind == KindSmallDateTime
		if ok && old && (digits > 3 || zoned && !strings.HasSuffix(strings.TrimSpace(x), "Z")) || !ok {
			failAbort(241, 16, 1, "Conversion failed when converting date and/or time from character string.")
		}
	case []byte:
		if len(x) < 8 {
			x = append(make([]byte, 8-len(x)), x...)
		}
		x = x[len(x)-8:]
		days, ticks := int32(binary.BigEndian.Uint32(x)), binary.BigEndian.Uint32(x[4:])
		t = epoch1900.AddDate(0, 0, int(days)).Add(time.Duration(int64(ticks) * 10_000_000 / 3))
	default:
		f := toFloat(v, from, Float).(float64)
		if f < -1e6 || f > 4e6 || math.IsNaN(f) {
			overflow(from, to)
		}
		d := math.Floor(f)
		t = epoch1900.AddDate(0, 0, int(d)).Add(time.Duration(math.Round((f - d) * 86400e9)))
	}
	r, inRange := fitTime(t, to)
	if !inRange {
		if from.IsString() {
			failAbort(242, 16, 3, "The conversion of a %s data type to a %s data type resulted in an out-of-range value.", from.Kind, to.Kind)
		}
		if from.IsTemporal() {
			failAbort(242, 16, 3, "The conversion of a %s data type to a %s data type resulted in an out-of-range value.", from.Kind, to.Kind)
		}
		overflow(from, to)
	}
	return r
}

func toBytes(v any, from, to Type, style int) any {
	var b []byte
	switch x := v.(type) {
	case []byte:
		b = x
	case string:
		switch {
		case style == 1 || style == 2:
			h := strings.TrimRight(x, " ")
			if style == 1 {
				if len(h) < 2 || !strings.EqualFold(h[:2], "0x") {
					failAbort(8114, 16, 5, "Error converting data type %s to %s.", from.Kind, to.Kind)
				}
				h = h[2:]
			}
			d, err := hex.DecodeString(h)
			if err != nil {
				failAbort(8114, 16, 5, "Error converting data type %s to %s.", from.Kind, to.Kind)
			}
			b = d
		case from.IsUnicode():
			for _, u := range utf16.Encode([]rune(x)) {
				b = append(b, byte(u), byte(u>>8))
			}
		default:
			b = codePageBytes(x)
		}
	case GUID:
		b = x.sqlBytes()
	case bool:
		b = []byte{0}
		if x {
			b[0] = 1
		}
	case int64:
		n := map[Kind]int{KindTinyInt: 1, KindSmallInt: 2, KindInt: 4, KindBigInt: 8}[from.Kind]
		if n == 0 {
			n = 4
		}
		full := binary.BigEndian.AppendUint64(nil, uint64(x))
		b = full[8-n:]
		if to.Len != MaxLen && len(b) > to.Len { // numbers lose their left end
			b = b[len(b)-to.Len:]
		}
		if to.Kind == KindBinary && len(b) < to.Len {
			b = append(make([]byte, to.Len-len(b)), b...)
		}
	case Decimal:
		// numeric in its storage form: precision, scale, sign, little-endian magnitude in 4-byte units.
		sign := byte(1)
		if x.V.Sign() < 0 {
			sign = 0
		}
		mag := x.V.Bytes()
		n := (len(mag) + 3) / 4 * 4
		b = append(b, from.Prec, from.Scale, 0, sign)
		for i := 0; i < n; i++ {
			c := byte(0)
			if i < len(mag) {
				c = mag[len(mag)-1-i]
			}
			b = append(b, c)
		}
	default:
		panic(NotImplemented("the conversion of " + from.Kind.String() + " to " + to.Kind.String()))
	}
	if to.Len != MaxLen && len(b) > to.Len {
		b = b[:to.Len]
	}
	if to.Kind == KindBinary && len(b) < to.Len {
		b = append(append([]byte{}, b...), make([]byte, to.Len-len(b))...)
	}
	return b
}

// formatFloat is style 0: six digits, three digits of exponent.
func formatFloat(f float64, style int, real bool) string {
	digits := 6
	switch {
	case style == 3 || style == 128:
		digits = 17
	case style == 1 || style == 2:
		return fixExponent(strconv.FormatFloat(f, 'e', map[int]int{1: 7, 2: 15}[style], 64))
	}
	_ = real
	return fixExponent(strconv.FormatFloat(f, 'g', digits, 64))
}

func fixExponent(s string) string {
	mant, exp, ok := strings.Cut(s, "e")
	if !ok {
		return s
	}
	return mant + "e" + exp[:1] + strings.Repeat("0", max(0, 3-len(exp[1:]))) + exp[1:]
}

func toText(v any, from, to Type, style int) any {
	var s string
	cut := true // a text that is too long is cut off; else it is an error
	switch x := v.(type) {
	case string:
		s = x
		if !to.IsUnicode() && from.Kind != KindVarChar && from.Kind != KindChar {
			s = toCodePage(s)
		}
	case bool:
		s = "0"
		if x {
			s = "1"
		}
	case int64:
		s = strconv.FormatInt(x, 10)
		cut = false
		if to.Len != MaxLen && len(s) > to.Len && !to.IsUnicode() {
			if from.Kind == KindBigInt {
				fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type %s.", to.Kind)
			}
			return padText("*", to)
		}
	case Decimal:
		s = x.String()
		if from.Kind == KindMoney {
			switch style {
			case 2, 126:
			default:
				s = x.rescale(2).String()
			}
		}
		if to.Len != MaxLen && len(s) > to.Len {
			fail(8115, 16, 5, "Arithmetic overflow error converting %s to data type %s.", from.Kind, to.Kind)
		}
	case float64:
		s = formatFloat(x, style, from.Kind == KindReal)
		cut = false
	case GUID:
		s = x.String()
		if to.Len != MaxLen && to.Len < 36 {
			fail(8170, 16, 2, "Insufficient result space to convert uniqueidentifier value to char.")
		}
	case []byte:
		switch {
		case style == 1 || style == 2:
			s = strings.ToUpper(hex.EncodeToString(x))
			if style == 1 {
				s = "0x" + s
			}
		case to.IsUnicode():
			u := make([]uint16, len(x)/2)
			for i := range u {
				u[i] = uint16(x[2*i]) | uint16(x[2*i+1])<<8
			}
			s = string(utf16.Decode(u))
		default:
			s = fromCodePage(x)
		}
	case time.Time:
		var ok bool
		if s, ok = formatTime(x, from, style); !ok {
			fail(281, 16, 1, "%d is not a valid style number when converting from %s to a character string.", style, from.Kind)
		}
	default:
		panic(fmt.Sprintf("tsql: %T as text", v))
	}
	if to.Len != MaxLen {
		if !cut && utf16Len(s) > to.Len {
			fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type %s.", to.Kind)
		}
		s = utf16Cut(s, to.Len)
	}
	return padText(s, to)
}

func padText(s string, to Type) string {
	if to.Kind == KindChar || to.Kind == KindNChar {
		if n := to.Len - utf16Len(s); n > 0 {
			s += strings.Repeat(" ", n)
		}
	}
	return s
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

// compareValues orders two non-NULL values of the same Go type.
func compareValues(a, b any, c collation) int {
	switch x := a.(type) {
	case int64:
		y := b.(int64)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	case string:
		return c.compare(x, b.(string))
	case Decimal:
		return x.Cmp(b.(Decimal))
	case float64:
		y := b.(float64)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	case bool:
		y := b.(bool)
		switch {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	case GUID:
		return x.Cmp(b.(GUID))
	case time.Time:
		return x.Compare(b.(time.Time))
	case []byte:
		return compareBytes(x, b.([]byte))
	}
	panic(fmt.Sprintf("tsql: cannot compare %T", a))
}

// compareBytes orders binary values; zeros at the end do not count.
func compareBytes(a, b []byte) int {
	for i := 0; i < max(len(a), len(b)); i++ {
		var x, y byte
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}

// hashKey gives a comparable value that is equal for two values exactly if they are equal; NULL stays nil.
func hashKey(v any, c collation) any {
	switch x := v.(type) {
	case string:
		return c.fold(x)
	case Decimal:
		if x.V.IsInt64() && x.Scale == 0 {
			return x.V.Int64()
		}
		d := x
		for d.Scale > 0 {
			q, r := new(big.Int).QuoRem(d.V, pow10(1), new(big.Int))
			if r.Sign() != 0 {
				break
			}
			d = Decimal{q, d.Scale - 1}
		}
		if d.Scale == 0 && d.V.IsInt64() {
			return d.V.Int64()
		}
		return d.String()
	case []byte:
		return strings.TrimRight(string(x), "\x00")
	case time.Time:
		return [2]int64{x.Unix(), int64(x.Nanosecond())}
	case float64:
		if x == 0 {
			return 0.0
		}
		return x
	}
	return v
}
