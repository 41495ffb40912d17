package tds

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
)

// TypeID is the first byte of a TYPE_INFO.
type TypeID uint8

// The types that this package reads or writes (MS-TDS 2.2.5.4).
const (
	TypeNull           TypeID = 0x1F
	TypeImage          TypeID = 0x22
	TypeText           TypeID = 0x23
	TypeGUID           TypeID = 0x24
	TypeIntN           TypeID = 0x26
	TypeDate           TypeID = 0x28
	TypeTime           TypeID = 0x29
	TypeDateTime2      TypeID = 0x2A
	TypeDateTimeOffset TypeID = 0x2B
	TypeInt1           TypeID = 0x30
	TypeBit            TypeID = 0x32
	TypeInt2           TypeID = 0x34
	TypeInt4           TypeID = 0x38
	TypeDateTime4      TypeID = 0x3A
	TypeFloat4         TypeID = 0x3B
	TypeMoney8         TypeID = 0x3C
	TypeDateTime8      TypeID = 0x3D
	TypeFloat8         TypeID = 0x3E
	TypeNText          TypeID = 0x63
	TypeBitN           TypeID = 0x68
	TypeDecimalN       TypeID = 0x6A
	TypeNumericN       TypeID = 0x6C
	TypeFloatN         TypeID = 0x6D
	TypeMoneyN         TypeID = 0x6E
	TypeDateTimeN      TypeID = 0x6F
	TypeMoney4         TypeID = 0x7A
	TypeInt8           TypeID = 0x7F
	TypeVarBinary      TypeID = 0xA5
	TypeVarChar        TypeID = 0xA7
	TypeBinary         TypeID = 0xAD
	TypeChar           TypeID = 0xAF
	TypeNVarChar       TypeID = 0xE7
	TypeNChar          TypeID = 0xEF
)

// MaxSize is the Size of the (max) types and of text, ntext and image.
const MaxSize = -1

// Type is a SQL Server type as it travels. Nullability belongs to the [Column];
// the constructors return the nullable form's ID, and a column that is not
// nullable travels in the fixed form where one exists.
type Type struct {
	ID    TypeID
	Size  int   // bytes (nvarchar(10) has 20); MaxSize for (max); 0 where the ID says it all
	Prec  uint8 // numeric
	Scale uint8 // numeric; fractional digits of time, datetime2, datetimeoffset
}

// Bit is bit; its Go value is bool.
func Bit() Type { return Type{ID: TypeBitN, Size: 1} }

// TinyInt is tinyint; like all integers its Go value is int64.
func TinyInt() Type { return Type{ID: TypeIntN, Size: 1} }

// SmallInt is smallint.
func SmallInt() Type { return Type{ID: TypeIntN, Size: 2} }

// Int is int.
func Int() Type { return Type{ID: TypeIntN, Size: 4} }

// BigInt is bigint.
func BigInt() Type { return Type{ID: TypeIntN, Size: 8} }

// Real is real; its Go value is float64.
func Real() Type { return Type{ID: TypeFloatN, Size: 4} }

// Float is float(53); its Go value is float64.
func Float() Type { return Type{ID: TypeFloatN, Size: 8} }

// Money is money; its Go value is a [Decimal] of scale 4.
func Money() Type { return Type{ID: TypeMoneyN, Size: 8, Prec: 19, Scale: 4} }

// SmallMoney is smallmoney.
func SmallMoney() Type { return Type{ID: TypeMoneyN, Size: 4, Prec: 10, Scale: 4} }

// Numeric is numeric(p,s), 1 ≤ p ≤ 38; its Go value is a [Decimal].
func Numeric(p, s int) Type {
	return Type{ID: TypeNumericN, Size: numericSize(p), Prec: uint8(p), Scale: uint8(s)}
}

// UniqueIdentifier is uniqueidentifier; its Go value is a [GUID].
func UniqueIdentifier() Type { return Type{ID: TypeGUID, Size: 16} }

// NVarChar is nvarchar(n), n in UTF-16 units, 1 to 4000; its Go value is string.
func NVarChar(n int) Type { return Type{ID: TypeNVarChar, Size: 2 * n} }

// NVarCharMax is nvarchar(max).
func NVarCharMax() Type { return Type{ID: TypeNVarChar, Size: MaxSize} }

// NChar is nchar(n).
func NChar(n int) Type { return Type{ID: TypeNChar, Size: 2 * n} }

// VarChar is varchar(n), n in bytes of Windows-1252, 1 to 8000; its Go value is
// string, and a character outside the code page becomes a question mark.
func VarChar(n int) Type { return Type{ID: TypeVarChar, Size: n} }

// VarCharMax is varchar(max).
func VarCharMax() Type { return Type{ID: TypeVarChar, Size: MaxSize} }

// Char is char(n).
func Char(n int) Type { return Type{ID: TypeChar, Size: n} }

// VarBinary is varbinary(n); its Go value is []byte.
func VarBinary(n int) Type { return Type{ID: TypeVarBinary, Size: n} }

// VarBinaryMax is varbinary(max).
func VarBinaryMax() Type { return Type{ID: TypeVarBinary, Size: MaxSize} }

// Binary is binary(n).
func Binary(n int) Type { return Type{ID: TypeBinary, Size: n} }

// DateTime is datetime (steps of 1/300 s, 1753 to 9999); like all dates and
// times but datetimeoffset its Go value is a time.Time whose wall clock counts.
func DateTime() Type { return Type{ID: TypeDateTimeN, Size: 8} }

// SmallDateTime is smalldatetime (minutes, 1900 to 2079).
func SmallDateTime() Type { return Type{ID: TypeDateTimeN, Size: 4} }

// DateTime2 is datetime2(s), 0 ≤ s ≤ 7.
func DateTime2(s int) Type { return Type{ID: TypeDateTime2, Size: timeSize(s) + 3, Scale: uint8(s)} }

// DateTimeOffset is datetimeoffset(s); the zone of its time.Time is kept.
func DateTimeOffset(s int) Type {
	return Type{ID: TypeDateTimeOffset, Size: timeSize(s) + 5, Scale: uint8(s)}
}

// Date is date.
func Date() Type { return Type{ID: TypeDate, Size: 3} }

// Time is time(s); the date of its time.Time is 1 January of year 1.
func Time(s int) Type { return Type{ID: TypeTime, Size: timeSize(s), Scale: uint8(s)} }

func numericSize(p int) int {
	switch {
	case p <= 9:
		return 5
	case p <= 19:
		return 9
	case p <= 28:
		return 13
	}
	return 17
}

func timeSize(scale int) int {
	switch {
	case scale <= 2:
		return 3
	case scale <= 4:
		return 4
	}
	return 5
}

// String is the type in T-SQL, for example numeric(25,0).
func (t Type) String() string {
	length := func(unit int) string {
		if t.Size == MaxSize {
			return "(max)"
		}
		return fmt.Sprintf("(%d)", t.Size/unit)
	}
	switch t.ID {
	case TypeNull:
		return "null"
	case TypeImage:
		return "image"
	case TypeText:
		return "text"
	case TypeNText:
		return "ntext"
	case TypeGUID:
		return "uniqueidentifier"
	case TypeInt1, TypeInt2, TypeInt4, TypeInt8, TypeIntN:
		switch t.Size {
		case 1:
			return "tinyint"
		case 2:
			return "smallint"
		case 4:
			return "int"
		}
		return "bigint"
	case TypeBit, TypeBitN:
		return "bit"
	case TypeFloat4, TypeFloat8, TypeFloatN:
		if t.Size == 4 {
			return "real"
		}
		return "float"
	case TypeMoney4, TypeMoney8, TypeMoneyN:
		if t.Size == 4 {
			return "smallmoney"
		}
		return "money"
	case TypeDateTime4, TypeDateTime8, TypeDateTimeN:
		if t.Size == 4 {
			return "smalldatetime"
		}
		return "datetime"
	case TypeDate:
		return "date"
	case TypeTime:
		return fmt.Sprintf("time(%d)", t.Scale)
	case TypeDateTime2:
		return fmt.Sprintf("datetime2(%d)", t.Scale)
	case TypeDateTimeOffset:
		return fmt.Sprintf("datetimeoffset(%d)", t.Scale)
	case TypeDecimalN:
		return fmt.Sprintf("decimal(%d,%d)", t.Prec, t.Scale)
	case TypeNumericN:
		return fmt.Sprintf("numeric(%d,%d)", t.Prec, t.Scale)
	case TypeVarBinary:
		return "varbinary" + length(1)
	case TypeVarChar:
		return "varchar" + length(1)
	case TypeBinary:
		return "binary" + length(1)
	case TypeChar:
		return "char" + length(1)
	case TypeNVarChar:
		return "nvarchar" + length(2)
	case TypeNChar:
		return "nchar" + length(2)
	}
	return fmt.Sprintf("type 0x%02X", uint8(t.ID))
}

// Column is one column of a result set.
type Column struct {
	Name     string
	Type     Type
	Nullable bool
}

// Decimal is an exact number: Unscaled / 10^Scale. It is the Go value of
// numeric, decimal and money. A nil Unscaled counts as zero.
type Decimal struct {
	Unscaled *big.Int
	Scale    int
}

// NewDecimal reads a number like -12.50; ok is false for anything else.
func NewDecimal(s string) (d Decimal, ok bool) {
	digits := s
	if i := strings.IndexByte(s, '.'); i >= 0 {
		digits = s[:i] + s[i+1:]
		d.Scale = len(s) - i - 1
	}
	if strings.ContainsAny(digits, "_") || digits == "" {
		return Decimal{}, false
	}
	d.Unscaled, ok = new(big.Int).SetString(digits, 10)
	return d, ok
}

// String writes all digits of the scale: {1250, 2} is 12.50.
func (d Decimal) String() string {
	u := d.Unscaled
	if u == nil {
		u = new(big.Int)
	}
	s := new(big.Int).Abs(u).String()
	if d.Scale > 0 {
		if len(s) <= d.Scale {
			s = strings.Repeat("0", d.Scale-len(s)+1) + s
		}
		s = s[:len(s)-d.Scale] + "." + s[len(s)-d.Scale:]
	}
	if u.Sign() < 0 {
		s = "-" + s
	}
	return s
}

// GUID is a uniqueidentifier in the order in which it is written; the swapped
// order of the wire is this package's business.
type GUID [16]byte

// DecimalValue and GUIDValue are values of another package that a [Response] takes as they are, like a [Decimal] of those parts
// and a [GUID] of those bytes.
type (
	DecimalValue interface {
		DecimalParts() (unscaled *big.Int, scale int)
	}
	GUIDValue interface{ GUIDBytes() [16]byte }
)

// String is the canonical upper-case form, as SQL Server prints it.
func (g GUID) String() string {
	h := strings.ToUpper(hex.EncodeToString(g[:]))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// swapped converts between the written and the wire order; it is its own inverse.
func (g GUID) swapped() GUID {
	g[0], g[1], g[2], g[3] = g[3], g[2], g[1], g[0]
	g[4], g[5] = g[5], g[4]
	g[6], g[7] = g[7], g[6]
	return g
}
