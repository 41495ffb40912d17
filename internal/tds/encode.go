package tds

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"time"
)

// pow10 returns 10^n for 0 ≤ n ≤ 38; it must not be changed.
func pow10(n int) *big.Int { return powers[n] }

var powers = func() (p [39]*big.Int) {
	p[0] = big.NewInt(1)
	for i := 1; i < len(p); i++ {
		p[i] = new(big.Int).Mul(p[i-1], big.NewInt(10))
	}
	return p
}()

// appendValue writes a value in the form that appendTypeInfo announced.
func appendValue(p []byte, t Type, nullable bool, v any) ([]byte, error) {
	if v == nil {
		if !nullable {
			return nil, fmt.Errorf("NULL in a %s that is not nullable", t)
		}
		return appendNull(p, t), nil
	}
	_, fixed := fixedForm(t)
	fixed = fixed && !nullable
	switch t.ID {
	case TypeInt1, TypeInt2, TypeInt4, TypeInt8, TypeIntN:
		return appendInt(p, t, fixed, v)
	case TypeBit, TypeBitN:
		var b byte
		switch v := v.(type) {
		case bool:
			if v {
				b = 1
			}
		case int64:
			if v != 0 {
				b = 1
			}
		default:
			return nil, misfit(t, v)
		}
		return append(lengthByte(p, fixed, 1), b), nil
	case TypeFloat4, TypeFloat8, TypeFloatN:
		var f float64
		switch v := v.(type) {
		case float64:
			f = v
		case int64:
			f = float64(v)
		default:
			return nil, misfit(t, v)
		}
		if math.IsNaN(f) || math.IsInf(f, 0) || (t.Size == 4 && math.Abs(f) > math.MaxFloat32) {
			return nil, fmt.Errorf("%v does not fit %s", f, t)
		}
		p = lengthByte(p, fixed, t.Size)
		if t.Size == 4 {
			return le.AppendUint32(p, math.Float32bits(float32(f))), nil
		}
		return le.AppendUint64(p, math.Float64bits(f)), nil
	case TypeMoney4, TypeMoney8, TypeMoneyN:
		u, err := unscaled(t, 4, v)
		if err != nil {
			return nil, err
		}
		if !u.IsInt64() || (t.Size == 4 && (u.Int64() > math.MaxInt32 || u.Int64() < math.MinInt32)) {
			return nil, fmt.Errorf("%v does not fit %s", v, t)
		}
		p = lengthByte(p, fixed, t.Size)
		if t.Size == 8 {
			p = le.AppendUint32(p, uint32(u.Int64()>>32))
		}
		return le.AppendUint32(p, uint32(u.Int64())), nil
	case TypeDecimalN, TypeNumericN:
		return appendNumeric(p, t, v)
	case TypeGUID:
		var g GUID
		switch v := v.(type) {
		case GUID:
			g = v
		case GUIDValue:
			g = v.GUIDBytes()
		default:
			return nil, misfit(t, v)
		}
		g = g.swapped()
		return append(append(p, 16), g[:]...), nil
	case TypeDateTime4, TypeDateTime8, TypeDateTimeN, TypeDate, TypeTime, TypeDateTime2, TypeDateTimeOffset:
		at, ok := v.(time.Time)
		if !ok {
			return nil, misfit(t, v)
		}
		return appendTime(p, t, fixed, at)
	case TypeNVarChar, TypeNChar, TypeVarChar, TypeChar, TypeVarBinary, TypeBinary:
		return appendCharacters(p, t, v)
	}
	return nil, fmt.Errorf("values of %s are not sent", t)
}

func misfit(t Type, v any) error { return fmt.Errorf("a Go %T in a %s", v, t) }

// lengthByte writes the length that the nullable forms have.
func lengthByte(p []byte, fixed bool, n int) []byte {
	if fixed {
		return p
	}
	return append(p, byte(n))
}

func appendNull(p []byte, t Type) []byte {
	switch t.ID {
	case TypeNVarChar, TypeNChar, TypeVarChar, TypeChar, TypeVarBinary, TypeBinary:
		if t.Size == MaxSize {
			return le.AppendUint64(p, math.MaxUint64)
		}
		return append(p, 0xFF, 0xFF)
	}
	return append(p, 0)
}

func appendInt(p []byte, t Type, fixed bool, v any) ([]byte, error) {
	var i int64
	switch v := v.(type) {
	case int64:
		i = v
	case int:
		i = int64(v)
	case bool:
		if v {
			i = 1
		}
	default:
		return nil, misfit(t, v)
	}
	p = lengthByte(p, fixed, t.Size)
	switch t.Size {
	case 1:
		if i == int64(uint8(i)) {
			return append(p, byte(i)), nil
		}
	case 2:
		if i == int64(int16(i)) {
			return le.AppendUint16(p, uint16(i)), nil
		}
	case 4:
		if i == int64(int32(i)) {
			return le.AppendUint32(p, uint32(i)), nil
		}
	case 8:
		return le.AppendUint64(p, uint64(i)), nil
	}
	return nil, fmt.Errorf("%d does not fit %s", i, t)
}

// unscaled brings a number to the given scale, rounding half away from zero as
// SQL Server does.
func unscaled(t Type, scale int, v any) (*big.Int, error) {
	var u *big.Int
	var has int
	switch v := v.(type) {
	case int64:
		return new(big.Int).Mul(big.NewInt(v), pow10(scale)), nil
	case Decimal:
		u, has = v.Unscaled, v.Scale
	case DecimalValue:
		u, has = v.DecimalParts()
	default:
		return nil, misfit(t, v)
	}
	switch {
	case u == nil:
		return new(big.Int), nil
	case has < 0 || has > 38:
		return nil, fmt.Errorf("a decimal of scale %d", has)
	case has < scale:
		return new(big.Int).Mul(u, pow10(scale-has)), nil
	case has > scale:
		div := pow10(has - scale)
		half := new(big.Int).Rsh(div, 1)
		if u.Sign() < 0 {
			half.Neg(half)
		}
		return half.Quo(half.Add(half, u), div), nil
	}
	return u, nil
}

// limits are the powers as two words, for magnitude.
var limits = func() (l [39][2]uint64) {
	for i, p := range powers {
		l[i][0] = p.Uint64()
		l[i][1] = new(big.Int).Rsh(p, 64).Uint64()
	}
	return l
}()

// magnitude gives |u| as two words, the low one first, if it is less than 10^prec.
func magnitude(u *big.Int, prec int) (m [2]uint64, ok bool) {
	words := u.Bits()
	switch {
	case bits.UintSize == 64 && len(words) <= 2:
		for i, w := range words {
			m[i] = uint64(w)
		}
	case u.BitLen() <= 128:
		var b [16]byte
		u.FillBytes(b[:])
		m = [2]uint64{binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[:8])}
	default:
		return m, false
	}
	l := limits[prec]
	return m, m[1] < l[1] || m[1] == l[1] && m[0] < l[0]
}

func appendNumeric(p []byte, t Type, v any) ([]byte, error) {
	u, err := unscaled(t, int(t.Scale), v)
	if err != nil {
		return nil, err
	}
	m, ok := magnitude(u, int(t.Prec))
	if !ok {
		return nil, fmt.Errorf("%v does not fit %s", v, t)
	}
	n := numericSize(int(t.Prec))
	sign := byte(1)
	if u.Sign() < 0 {
		sign = 0
	}
	p = append(p, byte(n), sign)
	for i := range (n - 1) / 4 {
		p = le.AppendUint32(p, uint32(m[i/2]>>(32*(i%2))))
	}
	return p, nil
}

// appendTime writes the wall clock of at; only datetimeoffset knows zones.
func appendTime(p []byte, t Type, fixed bool, at time.Time) ([]byte, error) {
	_, offset := at.Zone()
	seconds := at.Unix()
	if t.ID != TypeDateTimeOffset {
		seconds += int64(offset)
	}
	day, rest := seconds/86400, seconds%86400
	if rest < 0 {
		day, rest = day-1, rest+86400
	}
	day += unixDay
	clock := rest*int64(time.Second) + int64(at.Nanosecond())
	outside := func() ([]byte, error) { return nil, fmt.Errorf("%v lies outside %s", at, t) }
	switch t.ID {
	case TypeDateTime4, TypeDateTime8, TypeDateTimeN:
		days, perDay := day-day1900, int64(300*86400)
		ticks := (clock*3 + 5_000_000) / 10_000_000
		if t.Size == 4 {
			perDay = 1440
			ticks = (clock + int64(30*time.Second)) / int64(time.Minute)
		}
		if ticks >= perDay {
			days, ticks = days+1, 0
		}
		if t.Size == 4 {
			if days < 0 || days > math.MaxUint16 {
				return outside()
			}
			p = le.AppendUint16(lengthByte(p, fixed, 4), uint16(days))
			return le.AppendUint16(p, uint16(ticks)), nil
		}
		if days < minDateTimeDay || days > maxDateTimeDay {
			return outside()
		}
		p = le.AppendUint32(lengthByte(p, fixed, 8), uint32(int32(days)))
		return le.AppendUint32(p, uint32(ticks)), nil
	}
	if t.ID == TypeDate {
		if day < 0 || day > maxDay {
			return outside()
		}
		return appendDay(append(p, 3), day), nil
	}
	unit := clockUnit(int(t.Scale))
	ticks := (clock + unit/2) / unit
	if ticks >= int64(24*time.Hour)/unit {
		if t.ID == TypeTime || day == maxDay {
			ticks-- // the server does not round into a day that the type does not have
		} else {
			day, ticks = day+1, 0
		}
	}
	if day < 0 || day > maxDay {
		return outside()
	}
	n := timeSize(int(t.Scale))
	size := n
	switch t.ID {
	case TypeDateTime2:
		size += 3 // the day
	case TypeDateTimeOffset:
		size += 5 // the day and the offset
	}
	p = append(p, byte(size))
	for range n {
		p = append(p, byte(ticks))
		ticks >>= 8
	}
	if t.ID == TypeTime {
		return p, nil
	}
	p = appendDay(p, day)
	if t.ID == TypeDateTimeOffset {
		if offset%60 != 0 || offset < -14*3600 || offset > 14*3600 {
			return outside()
		}
		p = le.AppendUint16(p, uint16(int16(offset/60)))
	}
	return p, nil
}

const (
	unixDay = 719162 // 1970-01-01, counted from 0001-01-01
	day1900 = 693595 // 1900-01-01
)

func appendDay(p []byte, day int64) []byte { return append(p, byte(day), byte(day>>8), byte(day>>16)) }

// appendCharacters writes strings and bytes, in parts for the (max) types.
func appendCharacters(p []byte, t Type, v any) ([]byte, error) {
	s, isString := v.(string)
	b, isBytes := v.([]byte)
	binary := t.ID == TypeVarBinary || t.ID == TypeBinary
	if binary && !isBytes || !binary && !isString {
		return nil, misfit(t, v)
	}
	// The length is written after the value, over a gap left for it.
	start, gap := len(p), 2
	if t.Size == MaxSize {
		gap = 12 // the total, then the length of the only part
	}
	p = append(p, make([]byte, gap)...)
	switch t.ID {
	case TypeNVarChar, TypeNChar:
		p = appendUTF16(p, s)
	case TypeVarChar, TypeChar:
		p = append1252(p, s)
	default:
		p = append(p, b...)
	}
	n := len(p) - start - gap
	if t.Size == MaxSize {
		le.PutUint64(p[start:], uint64(n))
		if n == 0 {
			return p[:start+gap], nil // the part's zero length is the end
		}
		le.PutUint32(p[start+8:], uint32(n))
		return append(p, 0, 0, 0, 0), nil
	}
	if n > t.Size {
		return nil, fmt.Errorf("%d bytes do not fit %s", n, t)
	}
	for ; n < t.Size; n++ { // the types of fixed length are padded
		switch t.ID {
		case TypeNChar:
			p = append(p, ' ', 0)
			n++
			continue
		case TypeChar:
			p = append(p, ' ')
			continue
		case TypeBinary:
			p = append(p, 0)
			continue
		}
		break
	}
	le.PutUint16(p[start:], uint16(len(p)-start-gap))
	return p, nil
}
