package tds

import "fmt"

// wireType is a TYPE_INFO as read: the type, and how its characters are coded.
type wireType struct {
	Type
	utf8 bool // a UTF-8 collation
	max  bool // the length is that of PLP
}

// collationUTF8 is the fUTF8 bit of a collation's first four bytes.
const collationUTF8 = 1 << 26

// typeInfo reads a parameter's TYPE_INFO.
func (c *cursor) typeInfo() (t wireType) {
	t.ID = TypeID(c.u8())
	if c.err != nil {
		return t
	}
	switch t.ID {
	case TypeNull:
	case TypeInt1, TypeBit:
		t.Size = 1
	case TypeInt2:
		t.Size = 2
	case TypeInt4, TypeDateTime4, TypeFloat4:
		t.Size = 4
	case TypeMoney4:
		t.Type = Type{ID: t.ID, Size: 4, Prec: 10, Scale: 4}
	case TypeInt8, TypeDateTime8, TypeFloat8:
		t.Size = 8
	case TypeMoney8:
		t.Type = Type{ID: t.ID, Size: 8, Prec: 19, Scale: 4}
	case TypeGUID:
		t.Size = c.size(16, 0)
	case TypeIntN:
		t.Size = c.size(1, 2, 4, 8)
	case TypeBitN:
		t.Size = c.size(1)
	case TypeFloatN:
		t.Size = c.size(4, 8)
	case TypeDateTimeN:
		t.Size = c.size(4, 8)
	case TypeMoneyN:
		t.Size, t.Prec, t.Scale = c.size(4, 8), 19, 4
		if t.Size == 4 {
			t.Prec = 10
		}
	case TypeDecimalN, TypeNumericN:
		n := int(c.u8())
		t.Prec, t.Scale = c.u8(), c.u8()
		if c.err == nil && (n > 17 || t.Prec < 1 || t.Prec > 38 || t.Scale > t.Prec) {
			c.failf("numeric(%d,%d) in %d bytes", t.Prec, t.Scale, n)
		}
		t.Size = numericSize(int(t.Prec))
	case TypeDate:
		t.Size = 3
	case TypeTime, TypeDateTime2, TypeDateTimeOffset:
		if t.Scale = c.u8(); t.Scale > 7 {
			c.failf("a time with %d digits", t.Scale)
		}
		t.Size = timeSize(int(t.Scale))
		switch t.ID {
		case TypeDateTime2:
			t.Size += 3
		case TypeDateTimeOffset:
			t.Size += 5
		}
	case TypeVarBinary, TypeBinary, TypeVarChar, TypeChar, TypeNVarChar, TypeNChar:
		t.Size = int(c.u16())
		if t.Size == 0xFFFF {
			t.Size, t.max = MaxSize, true
			if t.ID == TypeBinary || t.ID == TypeChar || t.ID == TypeNChar {
				c.failf("%s(max)", t.Type)
			}
		}
		if t.ID != TypeVarBinary && t.ID != TypeBinary {
			t.collation(c)
		}
	case TypeText, TypeNText, TypeImage:
		c.u32()
		t.Size = MaxSize
		if t.ID != TypeImage {
			t.collation(c)
		}
	default:
		c.failf("parameters of type 0x%02X are not supported", uint8(t.ID))
	}
	return t
}

func (t *wireType) collation(c *cursor) {
	t.utf8 = c.u32()&collationUTF8 != 0
	c.u8()
}

// size reads the size of an N type, which must be one of the given.
func (c *cursor) size(legal ...int) int {
	n := int(c.u8())
	for _, l := range legal {
		if n == l {
			return n
		}
	}
	c.failf("a type of %d bytes where %v are possible", n, legal)
	return 0
}

// appendTypeInfo writes the TYPE_INFO of a column or an output parameter. What is
// not nullable takes the fixed form where there is one.
func appendTypeInfo(p []byte, t Type, nullable bool) ([]byte, error) {
	if id, ok := fixedForm(t); ok && !nullable {
		return append(p, byte(id)), nil
	}
	switch t.ID {
	case TypeInt1, TypeInt2, TypeInt4, TypeInt8, TypeIntN:
		return append(p, byte(TypeIntN), byte(t.Size)), nil
	case TypeBit, TypeBitN:
		return append(p, byte(TypeBitN), 1), nil
	case TypeFloat4, TypeFloat8, TypeFloatN:
		return append(p, byte(TypeFloatN), byte(t.Size)), nil
	case TypeMoney4, TypeMoney8, TypeMoneyN:
		return append(p, byte(TypeMoneyN), byte(t.Size)), nil
	case TypeDateTime4, TypeDateTime8, TypeDateTimeN:
		return append(p, byte(TypeDateTimeN), byte(t.Size)), nil
	case TypeGUID:
		return append(p, byte(TypeGUID), 16), nil
	case TypeDecimalN, TypeNumericN:
		if t.Prec < 1 || t.Prec > 38 || t.Scale > t.Prec {
			return nil, fmt.Errorf("%s does not exist", t)
		}
		return append(p, byte(t.ID), byte(numericSize(int(t.Prec))), t.Prec, t.Scale), nil
	case TypeDate:
		return append(p, byte(TypeDate)), nil
	case TypeTime, TypeDateTime2, TypeDateTimeOffset:
		if t.Scale > 7 {
			return nil, fmt.Errorf("%s does not exist", t)
		}
		return append(p, byte(t.ID), t.Scale), nil
	case TypeVarBinary, TypeBinary, TypeVarChar, TypeChar, TypeNVarChar, TypeNChar:
		size := t.Size
		switch {
		case size == MaxSize && (t.ID == TypeVarBinary || t.ID == TypeVarChar || t.ID == TypeNVarChar):
			size = 0xFFFF
		case size < 1 || size > 8000:
			return nil, fmt.Errorf("%s does not exist", t)
		}
		p = le.AppendUint16(append(p, byte(t.ID)), uint16(size))
		if t.ID != TypeVarBinary && t.ID != TypeBinary {
			p = append(p, collation[:]...)
		}
		return p, nil
	}
	return nil, fmt.Errorf("values of %s are not sent; use a (max) type", t)
}

// fixedForm returns the ID under which a type travels without lengths.
func fixedForm(t Type) (TypeID, bool) {
	switch t.ID {
	case TypeInt1, TypeInt2, TypeInt4, TypeInt8, TypeIntN:
		switch t.Size {
		case 1:
			return TypeInt1, true
		case 2:
			return TypeInt2, true
		case 4:
			return TypeInt4, true
		}
		return TypeInt8, true
	case TypeBit, TypeBitN:
		return TypeBit, true
	case TypeFloat4, TypeFloat8, TypeFloatN:
		if t.Size == 4 {
			return TypeFloat4, true
		}
		return TypeFloat8, true
	case TypeMoney4, TypeMoney8, TypeMoneyN:
		if t.Size == 4 {
			return TypeMoney4, true
		}
		return TypeMoney8, true
	case TypeDateTime4, TypeDateTime8, TypeDateTimeN:
		if t.Size == 4 {
			return TypeDateTime4, true
		}
		return TypeDateTime8, true
	}
	return 0, false
}
