package tsql

import (
	"fmt"
	"strings"
)

// Kind is a type's family member, ordered by T-SQL's precedence from low to high: of two operands the lower Kind is converted to the higher.
type Kind uint8

// The kinds, in order of precedence.
const (
	KindNull Kind = iota // the literal NULL before it has met a type; reported as int
	KindBinary
	KindVarBinary
	KindChar
	KindVarChar
	KindNChar
	KindNVarChar
	KindUniqueIdentifier
	KindBit
	KindTinyInt
	KindSmallInt
	KindInt
	KindBigInt
	KindMoney
	KindDecimal
	KindReal
	KindFloat
	KindTime
	KindDate
	KindSmallDateTime
	KindDateTime
	KindDateTime2
	KindDateTimeOffset
	KindXML
)

var kindNames = [...]string{"int", "binary", "varbinary", "char", "varchar", "nchar", "nvarchar", "uniqueidentifier", "bit", "tinyint", "smallint", "int", "bigint",
	"money", "numeric", "real", "float", "time", "date", "smalldatetime", "datetime", "datetime2", "datetimeoffset", "xml"}

// String is the name of the kind in T-SQL.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MaxLen as a Type.Len is (max).
const MaxLen = -1

// Type is a T-SQL data type. Prec and Scale belong to numeric; Scale alone to time, datetime2 and datetimeoffset (fractional digits); Len, in characters
// or bytes, to the string and binary kinds.
type Type struct {
	Kind        Kind
	Prec, Scale uint8
	Len         int
}

// Short ways to write types, for tables and tests.
var (
	Bit              = Type{Kind: KindBit}
	TinyInt          = Type{Kind: KindTinyInt}
	SmallInt         = Type{Kind: KindSmallInt}
	Int              = Type{Kind: KindInt}
	BigInt           = Type{Kind: KindBigInt}
	Real             = Type{Kind: KindReal}
	Float            = Type{Kind: KindFloat}
	UniqueIdentifier = Type{Kind: KindUniqueIdentifier}
	DateTime         = Type{Kind: KindDateTime}
	Date             = Type{Kind: KindDate}
	Sysname          = Type{Kind: KindNVarChar, Len: 128}
)

// Numeric is numeric(prec, scale).
func Numeric(prec, scale uint8) Type { return Type{Kind: KindDecimal, Prec: prec, Scale: scale} }

// NVarChar is nvarchar(n), n characters or [MaxLen].
func NVarChar(n int) Type { return Type{Kind: KindNVarChar, Len: n} }

// VarChar is varchar(n).
func VarChar(n int) Type { return Type{Kind: KindVarChar, Len: n} }

// NChar is nchar(n).
func NChar(n int) Type { return Type{Kind: KindNChar, Len: n} }

// Char is char(n).
func Char(n int) Type { return Type{Kind: KindChar, Len: n} }

// VarBinary is varbinary(n), n bytes or [MaxLen].
func VarBinary(n int) Type { return Type{Kind: KindVarBinary, Len: n} }

// DateTime2 is datetime2(scale).
func DateTime2(scale uint8) Type { return Type{Kind: KindDateTime2, Scale: scale} }

// DateTimeOffset is datetimeoffset(scale).
func DateTimeOffset(scale uint8) Type { return Type{Kind: KindDateTimeOffset, Scale: scale} }

// Time is time(scale).
func Time(scale uint8) Type { return Type{Kind: KindTime, Scale: scale} }

// String is the type as T-SQL declares it.
func (t Type) String() string {
	switch {
	case t.Kind == KindDecimal:
		return fmt.Sprintf("numeric(%d,%d)", t.Prec, t.Scale)
	case t.IsString() || t.IsBinary():
		if t.Len == MaxLen {
			return t.Kind.String() + "(max)"
		}
		return fmt.Sprintf("%s(%d)", t.Kind, t.Len)
	case t.Kind == KindDateTime2 || t.Kind == KindDateTimeOffset || t.Kind == KindTime:
		return fmt.Sprintf("%s(%d)", t.Kind, t.Scale)
	}
	return t.Kind.String()
}

// IsString reports char, varchar, nchar and nvarchar.
func (t Type) IsString() bool { return t.Kind >= KindChar && t.Kind <= KindNVarChar }

// IsUnicode reports nchar and nvarchar.
func (t Type) IsUnicode() bool { return t.Kind == KindNChar || t.Kind == KindNVarChar }

// IsBinary reports binary and varbinary.
func (t Type) IsBinary() bool { return t.Kind == KindBinary || t.Kind == KindVarBinary }

// IsInteger reports bit, tinyint, smallint, int and bigint.
func (t Type) IsInteger() bool { return t.Kind >= KindBit && t.Kind <= KindBigInt }

// IsNumber reports every number, bit included.
func (t Type) IsNumber() bool { return t.Kind >= KindBit && t.Kind <= KindFloat }

// IsTemporal reports the date and time kinds.
func (t Type) IsTemporal() bool { return t.Kind >= KindTime && t.Kind <= KindDateTimeOffset }

// ParseType reads a type as a declaration writes it, such as "numeric(25, 0)", "sysname" or "nvarchar(max)".
func ParseType(text string) (t Type, err *Error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	p := newParser(text, 200)
	t = p.typeName()
	p.expectEOF()
	return t, nil
}

// makeType checks a declared type: name in lower case, args −1 for max.
func makeType(line int, name string, args []int) Type {
	need := func(n int) {
		if len(args) > n {
			failCompile(line, 2716, 16, 1, "Column, parameter, or variable #1: Cannot specify a column width on data type %s.", name)
		}
	}
	length := func(k Kind, def, limit int) Type {
		need(1)
		n := def
		if len(args) == 1 {
			n = args[0]
		}
		if n == 0 || n < -1 || n > limit || n == -1 && (k == KindChar || k == KindNChar || k == KindBinary) {
			failCompile(line, 131, 15, 3, "The size (%d) given to the type '%s' exceeds the maximum allowed for any data type (%d).", n, name, 8000)
		}
		return Type{Kind: k, Len: n}
	}
	frac := func(k Kind) Type {
		need(1)
		s := 7
		if len(args) == 1 {
			s = args[0]
		}
		if s < 0 || s > 7 {
			failCompile(line, 1002, 15, 1, "Line %d: Specified scale %d is invalid.", line, s)
		}
		return Type{Kind: k, Scale: uint8(s)}
	}
	plain := func(k Kind) Type { need(0); return Type{Kind: k} }
	switch name {
	case "bit":
		return plain(KindBit)
	case "tinyint":
		return plain(KindTinyInt)
	case "smallint":
		return plain(KindSmallInt)
	case "int", "integer":
		return plain(KindInt)
	case "bigint":
		return plain(KindBigInt)
	case "money":
		return plain(KindMoney)
	case "numeric", "decimal", "dec":
		need(2)
		p, s := 18, 0
		if len(args) > 0 {
			p = args[0]
		}
		if len(args) > 1 {
			s = args[1]
		}
		if p < 1 || p > 38 {
			failCompile(line, 2750, 16, 1, "Column or parameter #1: Specified column precision %d is greater than the maximum precision of 38.", p)
		}
		if s < 0 || s > p {
			failCompile(line, 183, 15, 1, "The scale (%d) for column '' must be within the range 0 to %d.", s, p)
		}
		return Numeric(uint8(p), uint8(s))
	case "real":
		return plain(KindReal)
	case "float":
		need(1)
		if len(args) == 1 && args[0] <= 24 && args[0] > 0 {
			return Real
		}
		return Float
	case "date":
		return plain(KindDate)
	case "time":
		return frac(KindTime)
	case "smalldatetime":
		return plain(KindSmallDateTime)
	case "datetime":
		return plain(KindDateTime)
	case "datetime2":
		return frac(KindDateTime2)
	case "datetimeoffset":
		return frac(KindDateTimeOffset)
	case "uniqueidentifier":
		return plain(KindUniqueIdentifier)
	case "char", "character":
		return length(KindChar, 1, 8000)
	case "varchar":
		return length(KindVarChar, 1, 8000)
	case "nchar":
		return length(KindNChar, 1, 4000)
	case "nvarchar":
		return length(KindNVarChar, 1, 4000)
	case "binary":
		return length(KindBinary, 1, 8000)
	case "varbinary":
		return length(KindVarBinary, 1, 8000)
	case "sysname":
		return Sysname
	case "xml":
		return plain(KindXML)
	case "ntext":
		return NVarChar(MaxLen)
	case "text":
		return VarChar(MaxLen)
	case "image":
		return VarBinary(MaxLen)
	case "sql_variant":
		return NVarChar(4000)
	}
	failCompile(line, 2715, 16, 6, "Column, parameter, or variable #1: Cannot find data type %s.", name)
	return Type{}
}

// castDefaults is for CAST targets, where a string without a length has 30 characters.
func castDefaults(name string, args []int) []int {
	if len(args) == 0 {
		switch strings.ToLower(name) {
		case "char", "varchar", "nchar", "nvarchar", "binary", "varbinary", "character":
			return []int{30}
		}
	}
	return args
}
