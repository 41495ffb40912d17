package tsql

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
)

// Decimal is an exact number V / 10^Scale. V is never changed after it was made.
type Decimal struct {
	V     *big.Int
	Scale uint8
}

// NewDecimal reads "-12.50" and the like; it panics on anything else (for tables and tests).
func NewDecimal(s string) Decimal {
	d, ok := parseDecimal(s)
	if !ok {
		panic("tsql: not a decimal: " + s)
	}
	return d
}

func parseDecimal(s string) (Decimal, bool) {
	neg := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	whole, frac, _ := strings.Cut(s, ".")
	if whole+frac == "" || len(whole)+len(frac) > 5000 {
		return Decimal{}, false
	}
	for _, c := range whole + frac {
		if c < '0' || c > '9' {
			return Decimal{}, false
		}
	}
	if len(frac) > 200 {
		frac = frac[:200]
	}
	v, ok := new(big.Int).SetString(whole+frac, 10)
	if !ok {
		return Decimal{}, false
	}
	if neg {
		v.Neg(v)
	}
	return Decimal{V: v, Scale: uint8(len(frac))}, true
}

// DecimalParts gives V and Scale, for those who know this type only as an interface.
func (d Decimal) DecimalParts() (unscaled *big.Int, scale int) { return d.V, int(d.Scale) }

func (d Decimal) String() string {
	s := d.V.String()
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if n := int(d.Scale); n > 0 {
		if len(s) <= n {
			s = strings.Repeat("0", n-len(s)+1) + s
		}
		s = s[:len(s)-n] + "." + s[len(s)-n:]
	}
	if neg {
		s = "-" + s
	}
	return s
}

var pow10Cache = func() [80]*big.Int {
	var t [80]*big.Int
	t[0] = big.NewInt(1)
	for i := 1; i < len(t); i++ {
		t[i] = new(big.Int).Mul(t[i-1], big.NewInt(10))
	}
	return t
}()

func pow10(n int) *big.Int {
	if n < len(pow10Cache) {
		return pow10Cache[n]
	}
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// rescale gives the value at another scale, rounding half away from zero.
func (d Decimal) rescale(scale uint8) Decimal {
	switch {
	case scale == d.Scale:
		return d
	case scale > d.Scale:
		return Decimal{new(big.Int).Mul(d.V, pow10(int(scale-d.Scale))), scale}
	}
	p := pow10(int(d.Scale - scale))
	q, r := new(big.Int).QuoRem(d.V, p, new(big.Int))
	r.Abs(r).Lsh(r, 1)
	if r.Cmp(p) >= 0 {
		if d.V.Sign() < 0 {
			q.Sub(q, pow10Cache[0])
		} else {
			q.Add(q, pow10Cache[0])
		}
	}
	return Decimal{q, scale}
}

// trunc is the integer part.
func (d Decimal) trunc() *big.Int { return new(big.Int).Quo(d.V, pow10(int(d.Scale))) }

// Cmp compares by value: 1.0 equals 1.
func (d Decimal) Cmp(e Decimal) int {
	if d.Scale < e.Scale {
		d = d.rescale(e.Scale)
	} else if e.Scale < d.Scale {
		e = e.rescale(d.Scale)
	}
	return d.V.Cmp(e.V)
}

// digits is the number of decimal digits, at least 1.
func (d Decimal) digits() int {
	if d.V.Sign() == 0 {
		return 1
	}
	if d.V.IsInt64() {
		n, v := 0, d.V.Int64()
		for ; v != 0; v /= 10 {
			n++
		}
		return n
	}
	n := len(d.V.String())
	if d.V.Sign() < 0 {
		n--
	}
	return n
}

func (d Decimal) float() float64 {
	f, _ := new(big.Rat).SetFrac(d.V, pow10(int(d.Scale))).Float64()
	return f
}

func decimalFromInt(i int64) Decimal { return Decimal{big.NewInt(i), 0} }

func decimalFromFloat(f float64, scale uint8) (Decimal, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Decimal{}, false
	}
	r := new(big.Rat).SetFloat64(f)
	r.Mul(r, new(big.Rat).SetInt(pow10(int(scale)+1)))
	v := new(big.Int).Quo(r.Num(), r.Denom())
	return Decimal{v, scale + 1}.rescale(scale), true
}

// GUID is a uniqueidentifier in the order of its text: byte 0 is the first pair of digits. On the wire the first three groups are swapped.
type GUID [16]byte

// GUIDBytes gives the value to those who know this type only as an interface.
func (g GUID) GUIDBytes() [16]byte { return g }

// String is the text in upper case, as SQL Server writes it.
func (g GUID) String() string {
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", g[0:4], g[4:6], g[6:8], g[8:10], g[10:16]))
}

// ParseGUID reads the text form, with or without braces; characters after it are ignored, as SQL Server does.
func ParseGUID(s string) (GUID, bool) {
	var g GUID
	brace := strings.HasPrefix(s, "{")
	if brace {
		s = s[1:]
	}
	if len(s) < 36 || brace && (len(s) < 37 || s[36] != '}') || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, false
	}
	b, err := hex.DecodeString(s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36])
	if err != nil {
		return g, false
	}
	copy(g[:], b)
	return g, true
}

// sqlBytes is the storage order (first three groups little-endian), which CAST to binary shows.
func (g GUID) sqlBytes() []byte {
	return []byte{g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]}
}

func guidFromSQLBytes(b []byte) GUID {
	var s [16]byte
	copy(s[:], b)
	return GUID{s[3], s[2], s[1], s[0], s[5], s[4], s[7], s[6], s[8], s[9], s[10], s[11], s[12], s[13], s[14], s[15]}
}

// guidOrder lists the text-order bytes from most to least significant when SQL Server compares: the last six first.
var guidOrder = [16]int{10, 11, 12, 13, 14, 15, 8, 9, 7, 6, 5, 4, 3, 2, 1, 0}

// Cmp orders as SQL Server does: by the last six bytes first.
func (g GUID) Cmp(h GUID) int {
	for _, i := range guidOrder {
		if g[i] != h[i] {
			if g[i] < h[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// utf16Len counts UTF-16 units, which is what LEN and declared lengths count.
func utf16Len(s string) int {
	n := 0
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			n++
			continue
		}
		r, w := utf8.DecodeRuneInString(s[i:])
		i += w
		n++
		if r >= 0x10000 {
			n++
		}
	}
	return n
}

// utf16Cut gives the longest prefix of at most n UTF-16 units that does not split a character.
func utf16Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	c := 0
	for i, r := range s {
		w := 1
		if r >= 0x10000 {
			w = 2
		}
		if c+w > n {
			return s[:i]
		}
		c += w
	}
	return s
}
