package lab

import (
	"fmt"

	"github.com/dag-exporter/dag_exporter/internal/tds"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// toWire translates a T-SQL type for a result column.
func toWire(t tsql.Type) (tds.Type, error) {
	switch t.Kind {
	case tsql.KindBit:
		return tds.Bit(), nil
	case tsql.KindTinyInt:
		return tds.TinyInt(), nil
	case tsql.KindSmallInt:
		return tds.SmallInt(), nil
	case tsql.KindInt, tsql.KindNull:
		return tds.Int(), nil
	case tsql.KindBigInt:
		return tds.BigInt(), nil
	case tsql.KindReal:
		return tds.Real(), nil
	case tsql.KindFloat:
		return tds.Float(), nil
	case tsql.KindMoney:
		return tds.Money(), nil
	case tsql.KindDecimal:
		return tds.Numeric(int(t.Prec), int(t.Scale)), nil
	case tsql.KindUniqueIdentifier:
		return tds.UniqueIdentifier(), nil
	case tsql.KindDate:
		return tds.Date(), nil
	case tsql.KindTime:
		return tds.Time(int(t.Scale)), nil
	case tsql.KindSmallDateTime:
		return tds.SmallDateTime(), nil
	case tsql.KindDateTime:
		return tds.DateTime(), nil
	case tsql.KindDateTime2:
		return tds.DateTime2(int(t.Scale)), nil
	case tsql.KindDateTimeOffset:
		return tds.DateTimeOffset(int(t.Scale)), nil
	case tsql.KindXML:
		return tds.NVarCharMax(), nil
	}
	n := t.Len
	if n == 0 {
		n = 1
	}
	if n == tsql.MaxLen {
		switch t.Kind {
		case tsql.KindVarChar, tsql.KindChar:
			return tds.VarCharMax(), nil
		case tsql.KindNVarChar, tsql.KindNChar:
			return tds.NVarCharMax(), nil
		case tsql.KindVarBinary, tsql.KindBinary:
			return tds.VarBinaryMax(), nil
		}
	}
	switch t.Kind {
	case tsql.KindChar:
		return tds.Char(n), nil
	case tsql.KindVarChar:
		return tds.VarChar(n), nil
	case tsql.KindNChar:
		return tds.NChar(n), nil
	case tsql.KindNVarChar:
		return tds.NVarChar(n), nil
	case tsql.KindBinary:
		return tds.Binary(n), nil
	case tsql.KindVarBinary:
		return tds.VarBinary(n), nil
	}
	return tds.Type{}, fmt.Errorf("no wire type for %s", t)
}

// fromWire translates a parameter's type.
func fromWire(t tds.Type) (tsql.Type, error) {
	length := func(unit int) int {
		if t.Size == tds.MaxSize {
			return tsql.MaxLen
		}
		return max(t.Size/unit, 1)
	}
	switch t.ID {
	case tds.TypeNull:
		return tsql.NVarChar(1), nil
	case tds.TypeGUID:
		return tsql.UniqueIdentifier, nil
	case tds.TypeInt1, tds.TypeInt2, tds.TypeInt4, tds.TypeInt8, tds.TypeIntN:
		switch t.Size {
		case 1:
			return tsql.TinyInt, nil
		case 2:
			return tsql.SmallInt, nil
		case 4:
			return tsql.Int, nil
		}
		return tsql.BigInt, nil
	case tds.TypeBit, tds.TypeBitN:
		return tsql.Bit, nil
	case tds.TypeFloat4, tds.TypeFloat8, tds.TypeFloatN:
		if t.Size == 4 {
			return tsql.Real, nil
		}
		return tsql.Float, nil
	case tds.TypeMoney4, tds.TypeMoney8, tds.TypeMoneyN:
		return tsql.Type{Kind: tsql.KindMoney}, nil
	case tds.TypeDateTime4, tds.TypeDateTime8, tds.TypeDateTimeN:
		if t.Size == 4 {
			return tsql.Type{Kind: tsql.KindSmallDateTime}, nil
		}
		return tsql.DateTime, nil
	case tds.TypeDate:
		return tsql.Date, nil
	case tds.TypeTime:
		return tsql.Time(t.Scale), nil
	case tds.TypeDateTime2:
		return tsql.DateTime2(t.Scale), nil
	case tds.TypeDateTimeOffset:
		return tsql.DateTimeOffset(t.Scale), nil
	case tds.TypeDecimalN, tds.TypeNumericN:
		return tsql.Numeric(t.Prec, t.Scale), nil
	case tds.TypeVarChar:
		return tsql.VarChar(length(1)), nil
	case tds.TypeChar:
		return tsql.Char(length(1)), nil
	case tds.TypeText:
		return tsql.VarChar(tsql.MaxLen), nil
	case tds.TypeNVarChar:
		return tsql.NVarChar(length(2)), nil
	case tds.TypeNChar:
		return tsql.NChar(length(2)), nil
	case tds.TypeNText:
		return tsql.NVarChar(tsql.MaxLen), nil
	case tds.TypeVarBinary, tds.TypeBinary:
		return tsql.VarBinary(length(1)), nil
	case tds.TypeImage:
		return tsql.VarBinary(tsql.MaxLen), nil
	}
	return tsql.Type{}, fmt.Errorf("parameter of type %s", t)
}

func valueToWire(v any) any {
	switch v := v.(type) {
	case tsql.Decimal:
		return tds.Decimal{Unscaled: v.V, Scale: int(v.Scale)}
	case tsql.GUID:
		return tds.GUID(v)
	}
	return v
}

func valueFromWire(v any) any {
	switch v := v.(type) {
	case tds.Decimal:
		return tsql.Decimal{V: v.Unscaled, Scale: uint8(v.Scale)}
	case tds.GUID:
		return tsql.GUID(v)
	}
	return v
}
