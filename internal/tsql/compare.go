package tsql

import (
	"fmt"
	"math/big"
	"strings"
	"time"
)

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
