package tds

import (
	"math"
	"math/big"
	"time"
)

// value reads a parameter's value; nil is NULL.
func (c *cursor) value(t wireType) any {
	if c.err != nil {
		return nil
	}
	switch t.ID {
	case TypeNull:
		return nil
	case TypeInt1, TypeInt2, TypeInt4, TypeInt8, TypeBit, TypeFloat4, TypeFloat8,
		TypeMoney4, TypeMoney8, TypeDateTime4, TypeDateTime8:
		return c.scalar(t, c.take(t.Size))
	case TypeText, TypeNText, TypeImage:
		n := c.u32()
		if n == 0xFFFFFFFF {
			return nil
		}
		if int64(n) > int64(len(c.p)) {
			c.fail(errShort)
			return nil
		}
		return c.characters(t, c.take(int(n)))
	case TypeVarBinary, TypeBinary, TypeVarChar, TypeChar, TypeNVarChar, TypeNChar:
		if t.max {
			b, null := c.plp()
			if null {
				return nil
			}
			return c.characters(t, b)
		}
		n := c.u16()
		if n == 0xFFFF {
			return nil
		}
		if int(n) > t.Size {
			c.failf("%d bytes in a %s", n, t.Type)
			return nil
		}
		return c.characters(t, c.take(int(n)))
	}
	n := int(c.u8())
	if n == 0 {
		return nil
	}
	return c.scalar(t, c.take(n))
}

// plp reads a value in parts, as (max) types travel.
func (c *cursor) plp() (b []byte, null bool) {
	switch total := c.u64(); {
	case c.err != nil:
		return nil, false
	case total == math.MaxUint64:
		return nil, true
	case total != math.MaxUint64-1 && total > uint64(len(c.p)):
		c.fail(errShort)
		return nil, false
	}
	b = []byte{}
	for {
		n := c.u32()
		if c.err != nil || n == 0 {
			return b, false
		}
		if int64(n) > int64(len(c.p)) {
			c.fail(errShort)
			return nil, false
		}
		b = append(b, c.take(int(n))...)
	}
}

// characters makes a string or a copy of the bytes.
func (c *cursor) characters(t wireType, b []byte) any {
	if c.err != nil {
		return nil
	}
	switch t.ID {
	case TypeNVarChar, TypeNChar, TypeNText:
		if len(b)%2 != 0 {
			c.failf("%s with half a character", t.Type)
			return nil
		}
		return decodeUTF16(b)
	case TypeVarChar, TypeChar, TypeText:
		if t.utf8 {
			return string(b)
		}
		return decode1252(b)
	}
	return append([]byte{}, b...)
}

// scalar decodes a value of known length; a length that the type cannot have is
// an error.
func (c *cursor) scalar(t wireType, b []byte) any {
	if c.err != nil {
		return nil
	}
	bad := func() any {
		c.failf("%d bytes for a %s", len(b), t.Type)
		return nil
	}
	switch t.ID {
	case TypeInt1, TypeInt2, TypeInt4, TypeInt8, TypeIntN:
		switch len(b) {
		case 1:
			return int64(b[0]) // tinyint has no sign
		case 2:
			return int64(int16(le.Uint16(b)))
		case 4:
			return int64(int32(le.Uint32(b)))
		case 8:
			return int64(le.Uint64(b))
		}
	case TypeBit, TypeBitN:
		if len(b) == 1 {
			return b[0] != 0
		}
	case TypeFloat4, TypeFloat8, TypeFloatN:
		switch len(b) {
		case 4:
			return float64(math.Float32frombits(le.Uint32(b)))
		case 8:
			return math.Float64frombits(le.Uint64(b))
		}
	case TypeMoney4, TypeMoney8, TypeMoneyN:
		switch len(b) {
		case 4:
			return Decimal{big.NewInt(int64(int32(le.Uint32(b)))), 4}
		case 8: // the high half comes first
			return Decimal{big.NewInt(int64(le.Uint32(b))<<32 | int64(le.Uint32(b[4:]))), 4}
		}
	case TypeDecimalN, TypeNumericN:
		if len(b) < 2 || len(b) > 17 {
			return bad()
		}
		mag := make([]byte, len(b)-1)
		for i := range mag {
			mag[i] = b[len(b)-1-i]
		}
		u := new(big.Int).SetBytes(mag)
		if u.CmpAbs(pow10(int(t.Prec))) >= 0 {
			c.failf("a number too long for %s", t.Type)
			return nil
		}
		if b[0] == 0 {
			u.Neg(u)
		}
		return Decimal{u, int(t.Scale)}
	case TypeGUID:
		if len(b) == 16 {
			return GUID(b).swapped()
		}
	case TypeDateTime4, TypeDateTime8, TypeDateTimeN:
		switch len(b) {
		case 4:
			days, minutes := int(le.Uint16(b)), int(le.Uint16(b[2:]))
			if minutes >= 24*60 {
				return bad()
			}
			return time.Date(1900, 1, 1+days, 0, minutes, 0, 0, time.UTC)
		case 8:
			days, ticks := int(int32(le.Uint32(b))), le.Uint32(b[4:])
			if days < minDateTimeDay || days > maxDateTimeDay || ticks >= 300*86400 {
				return bad()
			}
			ms := (int64(ticks)*10 + 1) / 3 // 1/300 s shows as 0, 3, 7, 10 ms
			return time.Date(1900, 1, 1+days, 0, 0, 0, int(ms%1000)*1e6, time.UTC).Add(time.Duration(ms/1000) * time.Second)
		}
	case TypeDate:
		if len(b) == 3 {
			if day := decodeDay(b); day <= maxDay {
				return dayTime(day)
			}
		}
	case TypeTime:
		if len(b) == t.Size {
			if d, ok := decodeClock(b, int(t.Scale)); ok {
				return dayTime(0).Add(d)
			}
		}
	case TypeDateTime2:
		if len(b) == t.Size {
			d, ok := decodeClock(b[:len(b)-3], int(t.Scale))
			if day := decodeDay(b[len(b)-3:]); ok && day <= maxDay {
				return dayTime(day).Add(d)
			}
		}
	case TypeDateTimeOffset:
		if len(b) == t.Size {
			n := len(b)
			d, ok := decodeClock(b[:n-5], int(t.Scale))
			day, minutes := decodeDay(b[n-5:n-2]), int(int16(le.Uint16(b[n-2:])))
			if ok && day <= maxDay && minutes >= -14*60 && minutes <= 14*60 {
				zone := time.UTC
				if minutes != 0 {
					zone = time.FixedZone("", minutes*60)
				}
				return dayTime(day).Add(d).In(zone)
			}
		}
	}
	return bad()
}

const (
	maxDay         = 3652058 // 9999-12-31, counted from 0001-01-01
	minDateTimeDay = -53690  // 1753-01-01, counted from 1900-01-01
	maxDateTimeDay = 2958463 // 9999-12-31
)

func decodeDay(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func dayTime(day int) time.Time { return time.Date(1, 1, 1+day, 0, 0, 0, 0, time.UTC) }

// decodeClock reads a time of day in units of 10^-scale s.
func decodeClock(b []byte, scale int) (time.Duration, bool) {
	var u int64
	for i := len(b) - 1; i >= 0; i-- {
		u = u<<8 | int64(b[i])
	}
	unit := clockUnit(scale)
	if u > int64(24*time.Hour)/unit {
		return 0, false
	}
	d := time.Duration(u * unit)
	return d, d < 24*time.Hour
}

// clockUnit is 10^-scale s in nanoseconds.
func clockUnit(scale int) int64 {
	unit := int64(time.Second)
	for range scale {
		unit /= 10
	}
	return unit
}
