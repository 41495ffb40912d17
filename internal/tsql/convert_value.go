package tsql

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

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
