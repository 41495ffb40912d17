package tds

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// foreign is a decimal and a GUID of another package.
type foreign struct {
	u     *big.Int
	scale int
	g     [16]byte
}

func (f foreign) DecimalParts() (unscaled *big.Int, scale int) { return f.u, f.scale }
func (f foreign) GUIDBytes() [16]byte                          { return f.g }

// TestNumericBytes holds the encoder, which works on machine words, against big.Int's own bytes, at the limits of every precision.
func TestNumericBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for prec := 1; prec <= 38; prec++ {
		limit := pow10(prec)
		values := []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(limit, big.NewInt(1)), new(big.Int).Set(limit), new(big.Int).Lsh(limit, 64)}
		for range 50 {
			digits := make([]byte, 1+r.IntN(prec))
			for i := range digits {
				digits[i] = '0' + byte(r.IntN(10))
			}
			v, _ := new(big.Int).SetString(string(digits), 10)
			values = append(values, v)
		}
		for _, v := range values {
			for _, v := range []*big.Int{v, new(big.Int).Neg(v)} {
				got, err := appendValue(nil, Numeric(prec, 0), true, Decimal{Unscaled: v})
				if fits := v.CmpAbs(limit) < 0; fits != (err == nil) {
					t.Fatalf("%v in numeric(%d): %v", v, prec, err)
				} else if !fits {
					continue
				}
				n := numericSize(prec)
				want := make([]byte, n-1)
				v.FillBytes(want)
				want = append(want, 1, byte(n))
				if v.Sign() < 0 {
					want[n-1] = 0
				}
				for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
					want[i], want[j] = want[j], want[i]
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("%v in numeric(%d): % x, want % x", v, prec, got, want)
				}
				if other, err := appendValue(nil, Numeric(prec, 0), true, foreign{u: v}); err != nil || !bytes.Equal(other, want) {
					t.Fatalf("%v of another package: % x, %v", v, other, err)
				}
			}
		}
	}
}

// TestForeignGUID: a GUID of another package travels like one of this.
func TestForeignGUID(t *testing.T) {
	g := GUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	want, err := appendValue(nil, UniqueIdentifier(), true, g)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := appendValue(nil, UniqueIdentifier(), true, foreign{g: g}); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("% x, %v, want % x", got, err, want)
	}
}

// TestWallClock: what is sent is the date and the time of day in the value's own zone, also before 1970 and across midnight.
func TestWallClock(t *testing.T) {
	zone := time.FixedZone("", -5*3600-1800)
	for _, at := range []time.Time{
		time.Date(1753, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1899, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 990e6, time.UTC),
		time.Date(1970, 1, 1, 0, 0, 0, 0, zone), time.Date(2024, 2, 29, 23, 30, 0, 0, zone), time.Date(9999, 12, 31, 23, 59, 59, 0, zone),
	} {
		year, month, date := at.Date()
		day := time.Date(year, month, date, 0, 0, 0, 0, time.UTC).Unix()/86400 - time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).Unix()/86400
		ticks := (at.Hour()*3600+at.Minute()*60+at.Second())*300 + at.Nanosecond()*3/1e7
		got, err := appendValue(nil, DateTime(), true, at)
		want := append([]byte{8}, byte(day), byte(day>>8), byte(day>>16), byte(day>>24), byte(ticks), byte(ticks>>8), byte(ticks>>16), byte(ticks>>24))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: % x, %v, want % x", at, got, err, want)
		}
	}
}
