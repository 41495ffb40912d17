package tsql

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

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
