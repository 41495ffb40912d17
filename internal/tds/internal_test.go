package tds

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// roundTrip writes a value as a column would and reads it as a parameter.
func roundTrip(t *testing.T, typ Type, nullable bool, v any) (any, error) {
	t.Helper()
	p, err := appendTypeInfo(nil, typ, nullable)
	if err != nil {
		return nil, err
	}
	if p, err = appendValue(p, typ, nullable, v); err != nil {
		return nil, err
	}
	c := cursor{p: p}
	info := c.typeInfo()
	got := c.value(info)
	if c.err != nil || len(c.p) != 0 {
		t.Fatalf("%s %v: read back %v, %v, %d bytes left", typ, v, got, c.err, len(c.p))
	}
	return got, nil
}

func same(a, b any) bool {
	switch a := a.(type) {
	case Decimal:
		b, ok := b.(Decimal)
		return ok && a.String() == b.String()
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	}
	return reflect.DeepEqual(a, b)
}

var everyType = []Type{Bit(), TinyInt(), SmallInt(), Int(), BigInt(), Real(), Float(), Money(), SmallMoney(),
	Numeric(9, 2), Numeric(19, 0), Numeric(25, 0), Numeric(28, 28), Numeric(38, 10), UniqueIdentifier(), NVarChar(10), NVarCharMax(), NChar(3),
	VarChar(10), VarCharMax(), Char(3), VarBinary(10), VarBinaryMax(), Binary(3), DateTime(), SmallDateTime(),
	DateTime2(0), DateTime2(4), DateTime2(7), DateTimeOffset(0), DateTimeOffset(7), Date(), Time(0), Time(3), Time(7)}

func TestNulls(t *testing.T) {
	for _, typ := range everyType {
		if got, err := roundTrip(t, typ, true, nil); got != nil || err != nil {
			t.Errorf("%s: NULL came back as %v, %v", typ, got, err)
		}
		if _, err := appendValue(nil, typ, false, nil); err == nil {
			t.Errorf("%s: NULL where none may be", typ)
		}
		if _, err := appendValue(nil, typ, true, struct{}{}); err == nil {
			t.Errorf("%s takes a struct", typ)
		}
	}
}

func TestValuesRoundTrip(t *testing.T) {
	dec := func(s string) Decimal {
		d, ok := NewDecimal(s)
		if !ok {
			t.Fatal(s)
		}
		return d
	}
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		typ  Type
		v    any
		want any // nil: the same; false: does not fit
	}{
		{TinyInt(), int64(255), nil}, {TinyInt(), int64(-1), false}, {TinyInt(), int64(256), false},
		{SmallInt(), int64(-32768), nil}, {SmallInt(), int64(32768), false},
		{Int(), int64(math.MinInt32), nil}, {Int(), int64(math.MaxInt32 + 1), false},
		{BigInt(), int64(math.MinInt64), nil}, {BigInt(), 7, int64(7)},
		{Bit(), true, nil}, {Bit(), int64(2), true}, {Bit(), "x", false},
		{Float(), math.NaN(), false}, {Float(), math.Inf(-1), false}, {Real(), 1e39, false}, {Float(), -0.1, nil},
		{Numeric(25, 0), dec("9999999999000000155200001"), nil},
		{Numeric(25, 0), dec("9999999999999999999999999"), nil}, {Numeric(25, 0), dec("10000000000000000000000000"), false},
		{Numeric(38, 0), dec("-99999999999999999999999999999999999999"), nil},
		{Numeric(38, 38), dec("0.00000000000000000000000000000000000001"), nil},
		{Numeric(5, 2), dec("-1.005"), dec("-1.01")}, {Numeric(5, 2), dec("1.0049"), dec("1.00")}, {Numeric(5, 2), int64(999), dec("999.00")},
		{Numeric(5, 2), dec("999.995"), false}, {Numeric(5, 2), Decimal{}, dec("0.00")}, {Numeric(5, 2), 1.5, false},
		{Money(), dec("-922337203685477.5808"), nil}, {Money(), dec("922337203685477.5808"), false},
		{SmallMoney(), dec("-214748.3648"), nil}, {SmallMoney(), dec("214748.3648"), false},
		{NVarChar(2), "😀", nil}, {NVarChar(1), "😀", false}, {NVarChar(3), "", nil}, {NVarCharMax(), "", nil},
		{NVarCharMax(), strings.Repeat("é", 70000), nil}, {NVarChar(4), []byte("x"), false},
		{VarChar(3), "€“Ÿ", nil}, {VarChar(3), "日本語", "???"}, {VarChar(3), "abcd", false},
		{NChar(3), "a", "a  "}, {Char(3), "a", "a  "}, {Binary(3), []byte{1}, []byte{1, 0, 0}},
		{VarBinary(2), []byte{}, nil}, {VarBinaryMax(), []byte{}, nil}, {VarBinary(2), []byte{1, 2, 3}, false},
		{Date(), day(1, 1, 1), nil}, {Date(), day(9999, 12, 31), nil}, {Date(), day(10000, 1, 1), false}, {Date(), day(0, 12, 31), false},
		{DateTime(), day(1753, 1, 1), nil}, {DateTime(), day(1752, 12, 31), false}, {DateTime(), day(9999, 12, 31), nil},
		{DateTime(), day(2024, 1, 1).Add(2 * time.Millisecond), day(2024, 1, 1).Add(3 * time.Millisecond)},
		{DateTime(), day(2024, 1, 1).Add(-time.Millisecond), day(2024, 1, 1)},
		{DateTime(), day(9999, 12, 31).Add(24*time.Hour - time.Millisecond), false},
		{SmallDateTime(), day(2079, 6, 6), nil}, {SmallDateTime(), day(2079, 6, 7), false}, {SmallDateTime(), day(1899, 12, 31), false},
		{DateTime2(7), day(9999, 12, 31).Add(24*time.Hour - 100), nil},
		{DateTime2(0), day(2024, 12, 31).Add(24*time.Hour - 1), day(2025, 1, 1)},
		{DateTime2(3), time.Date(2024, 1, 1, 5, 0, 0, 0, time.FixedZone("", 3600)), day(2024, 1, 1).Add(5 * time.Hour)},
		{DateTimeOffset(7), time.Date(2024, 1, 1, 5, 0, 0, 100, time.FixedZone("", -12600)), nil},
		{DateTimeOffset(7), time.Date(2024, 1, 1, 5, 0, 0, 0, time.FixedZone("", 15*3600)), false},
		{Time(7), day(1, 1, 1).Add(24*time.Hour - 100), nil}, {Time(0), day(1, 1, 1).Add(24*time.Hour - 1), day(1, 1, 1).Add(24*time.Hour - time.Second)},
	}
	for _, tt := range tests {
		for _, nullable := range []bool{true, false} {
			got, err := roundTrip(t, tt.typ, nullable, tt.v)
			want := tt.want
			if want == nil {
				want = tt.v
			}
			if b, ok := tt.want.(bool); ok && !b {
				if err == nil {
					t.Errorf("%s takes %v as %v", tt.typ, tt.v, got)
				}
				continue
			}
			if err != nil || !same(got, want) {
				t.Errorf("%s nullable=%v: %v came back as %v, %v", tt.typ, nullable, tt.v, got, err)
			}
		}
	}
	if got, err := roundTrip(t, DateTimeOffset(7), true, time.Date(2024, 1, 1, 5, 0, 0, 0, time.FixedZone("", -12600))); err != nil {
		t.Error(err)
	} else if _, offset := got.(time.Time).Zone(); offset != -12600 {
		t.Errorf("the offset came back as %d", offset)
	}
	for b := range 256 {
		s := decode1252([]byte{byte(b)})
		if p := append1252(nil, s); len(p) != 1 || p[0] != byte(b) {
			t.Errorf("byte %02x became %q and % x", b, s, p)
		}
	}
}

// TestWireBytes holds the encoding against the table of what servers send.
func TestWireBytes(t *testing.T) {
	lsn, _ := NewDecimal("42000000155200001")
	tests := []struct {
		typ  Type
		v    any
		want string
	}{
		{Numeric(25, 0), lsn, "\x6C\x0D\x19\x00" + "\x0D\x01\x81\x22\x65\xDE\xA6\x36\x95\x00\x00\x00\x00\x00"},
		{UniqueIdentifier(), GUID{0x6F, 0x96, 0x19, 0xFF, 0x8B, 0x86, 0xD0, 0x11, 0xB4, 0x2D}, "\x24\x10" + "\x10\xFF\x19\x96\x6F\x86\x8B\x11\xD0\xB4\x2D\x00\x00\x00\x00\x00\x00"},
		{NVarChar(60), "a", "\xE7\x78\x00\x09\x04\xD0\x00\x34" + "\x02\x00a\x00"},
		{VarChar(128), "€", "\xA7\x80\x00\x09\x04\xD0\x00\x34" + "\x01\x00\x80"},
		{VarBinary(85), []byte{7}, "\xA5\x55\x00" + "\x01\x00\x07"},
		{DateTime2(7), time.Date(1, 1, 2, 0, 0, 0, 100, time.UTC), "\x2A\x07" + "\x08\x01\x00\x00\x00\x00\x01\x00\x00"},
		{DateTime(), time.Date(1900, 1, 2, 0, 0, 1, 0, time.UTC), "\x6F\x08" + "\x08\x01\x00\x00\x00\x2C\x01\x00\x00"},
		{NVarCharMax(), "a", "\xE7\xFF\xFF\x09\x04\xD0\x00\x34" + "\x02\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00a\x00\x00\x00\x00\x00"},
	}
	for _, tt := range tests {
		p, err := appendTypeInfo(nil, tt.typ, true)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = appendValue(p, tt.typ, true, tt.v); err != nil {
			t.Fatal(err)
		}
		// The numeric's magnitude is checked by arithmetic, its frame by the table.
		if tt.typ.ID == TypeNumericN {
			u := new(big.Int)
			for i := len(p) - 1; i >= 6; i-- {
				u.Or(u.Lsh(u, 8), big.NewInt(int64(p[i])))
			}
			if u.Cmp(lsn.Unscaled) != 0 || string(p[:6]) != tt.want[:6] || len(p) != len(tt.want) {
				t.Errorf("%s: % x", tt.typ, p)
			}
			continue
		}
		if string(p) != tt.want {
			t.Errorf("%s: % x, want % x", tt.typ, p, tt.want)
		}
	}
}

// TestNumericSizes: a client reads as many bytes as the precision announces.
func TestNumericSizes(t *testing.T) {
	for prec, size := range map[int]byte{1: 5, 9: 5, 10: 9, 19: 9, 20: 13, 28: 13, 29: 17, 38: 17} {
		p, err := appendTypeInfo(nil, Numeric(prec, 0), false)
		if err != nil || p[1] != size {
			t.Errorf("numeric(%d) is announced with % x, %v", prec, p, err)
		}
		if p, err = appendValue(nil, Numeric(prec, 0), false, int64(1)); err != nil || p[0] != size || len(p) != int(size)+1 {
			t.Errorf("numeric(%d) is written as % x, %v", prec, p, err)
		}
	}
}

// TestTLSVersions: FreeTDS hangs for good in a wrapped handshake of TLS 1.3.
func TestTLSVersions(t *testing.T) {
	wrapped, strict := tlsConfigs(tls.Certificate{})
	if wrapped.MinVersion != tls.VersionTLS12 || wrapped.MaxVersion != tls.VersionTLS12 || strict.MaxVersion != tls.VersionTLS13 {
		t.Errorf("wrapped %x to %x, strict up to %x", wrapped.MinVersion, wrapped.MaxVersion, strict.MaxVersion)
	}
}

// TestPackets cuts random messages at random sizes and joins them again.
func TestPackets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var wire, want []byte
		size := minPacketSize + rng.IntN(3)*rng.IntN(maxPacketSize-minPacketSize)/2
		w := packetWriter{size: size, out: func(p []byte) error { wire = append(wire, p...); return nil }}
		for range rng.IntN(20) {
			p := bytes.Repeat([]byte{byte(rng.Int())}, rng.IntN(2*size))
			want = append(want, p...)
			if err := w.write(p); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(5) == 0 {
				if err := w.flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		r := packetReader{r: bytes.NewReader(wire), max: 1 << 20}
		m, err := r.next()
		if err != nil || m.kind != packReply || !bytes.Equal(m.data, want) {
			t.Fatalf("size %d: %d of %d bytes, %v", size, len(m.data), len(want), err)
		}
		if _, err := r.next(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the end: %v", err)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, s := range []string{"0", "-1", "0.05", "-12.50", "9999999999000000155200001"} {
		if d, ok := NewDecimal(s); !ok || d.String() != s {
			t.Errorf("%s became %v", s, d)
		}
	}
	for _, s := range []string{"", ".", "x", "1.2.3", "1_0", "0x1"} {
		if d, ok := NewDecimal(s); ok {
			t.Errorf("%q became %v", s, d)
		}
	}
}

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		client       byte
		plain, force byte
	}{{encryptOff, encryptOff, encryptReq}, {encryptOn, encryptOn, encryptReq},
		{encryptNotSup, encryptNotSup, encryptReq}, {encryptReq, encryptOn, encryptReq}} {
		plain, err1 := negotiate(tt.client, false)
		force, err2 := negotiate(tt.client, true)
		if plain != tt.plain || force != tt.force || err1 != nil || err2 != nil {
			t.Errorf("client %d: %d and %d", tt.client, plain, force)
		}
	}
	if _, err := negotiate(encryptStrict, false); err == nil {
		t.Error("strict without its TLS is accepted")
	}
}

func BenchmarkRows(b *testing.B) {
	// 3,000 rows of 38 columns, as SELECT * of the widest view.
	var cols []Column
	var row []any
	lsn, _ := NewDecimal("9999999999000000155200001")
	for i := range 38 {
		typ, v := NVarChar(60), any("SYNCHRONIZED")
		switch {
		case i < 4:
			typ, v = UniqueIdentifier(), GUID{1, 2, 3}
		case i < 12:
			typ, v = Numeric(25, 0), lsn
		case i < 24:
			typ, v = BigInt(), int64(i)
		case i < 30:
			typ, v = DateTime(), time.Unix(1.7e9, 0).UTC()
		}
		cols, row = append(cols, Column{"column", typ, true}), append(row, v)
	}
	bytes := 0
	for b.Loop() {
		w := Response{ctx: b.Context()}
		w.pw = packetWriter{size: 4096, out: func(p []byte) error { bytes += len(p); return nil }}
		if err := w.Columns(cols); err != nil {
			b.Fatal(err)
		}
		for range 3000 {
			if err := w.Row(row); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.SetBytes(int64(bytes / b.N))
}
