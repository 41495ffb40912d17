package hadr

import (
	"bufio"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func lsn(t testing.TB, s string) LSN {
	t.Helper()
	l, err := ParseLSN(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParseLSN(t *testing.T) {
	for _, tt := range []struct {
		in    string
		want  LSN
		known bool
	}{
		{"42000000155200001", LSN{42, 1552, 1}, true},
		{"10227000241966000001", LSN{10227, 2419660, 1}, true}, // beyond int64
		{"4294967294429496729565535", LSN{4294967294, 4294967295, 65535}, true},
		{"0", LSN{}, false},
		{"1", LSN{0, 0, 1}, false},
		{"99999999965535", LSN{0, 999999999, 65535}, false}, // VLF 0
		{"4294967295429496729500001", LSN{4294967295, 4294967295, 1}, false},
		{"0000000042000000155200001", LSN{42, 1552, 1}, true}, // leading zeros
	} {
		got, err := ParseLSN(tt.in)
		if err != nil || got != tt.want || got.Known() != tt.known {
			t.Errorf("ParseLSN(%s) = %v, %v, known %v; want %v, known %v", tt.in, got, err, got.Known(), tt.want, tt.known)
		}
	}
	for _, in := range []string{"", " 1", "-1", "+1", "1.0", "1e3", "0x1", "00000000420000001552000010", "4294967296000000000000000",
		"42429496729600001", "42000000155265536", "٤٢"} {
		if got, err := ParseLSN(in); err == nil {
			t.Errorf("ParseLSN(%q) = %v, want an error", in, got)
		}
	}
}

func TestLSNText(t *testing.T) {
	l := LSN{42, 1552, 1}
	if got := l.Hex(); got != "0000002A:00000610:0001" {
		t.Errorf("Hex = %s", got)
	}
	for _, l := range []LSN{l, {}, {0, 0, 1}, {4294967295, 4294967295, 1}} {
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var back LSN
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if l.Known() && back != l || !l.Known() && back != (LSN{}) {
			t.Errorf("%v went through JSON as %s and came back as %v", l, b, back)
		}
	}
	if err := new(LSN).UnmarshalText([]byte("x")); err == nil {
		t.Error("UnmarshalText took x")
	}
}

func TestUnknownIsNeverEqual(t *testing.T) {
	known := LSN{42, 8, 1}
	for _, u := range []LSN{{}, {0, 0, 1}, {4294967295, 4294967295, 1}} {
		for _, m := range []LSN{u, known} {
			if u.Compare(m) != OrderUnknown || m.Compare(u) != OrderUnknown || u.Equal(m) || u.AtLeast(m) || m.AtLeast(u) || u.Beyond(m) || m.Beyond(u) {
				t.Errorf("%v against %v is not unknown", u, m)
			}
			if NewDelta(u, m).Known() || NewDelta(m, u).Known() {
				t.Errorf("%v minus %v is known", u, m)
			}
		}
	}
}

func anyLSN() *rapid.Generator[LSN] {
	return rapid.Custom(func(t *rapid.T) LSN {
		return LSN{
			VLF:   rapid.Uint32Range(1, 1<<32-2).Draw(t, "vlf"),
			Block: rapid.Uint32().Draw(t, "block"),
			Slot:  rapid.Uint16().Draw(t, "slot"),
		}
	})
}

func TestLSNIsItsNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyLSN().Draw(t, "a"), anyLSN().Draw(t, "b")
		if rapid.Bool().Draw(t, "near") { // one slot, block or VLF apart
			b = a
			switch rapid.IntRange(0, 2).Draw(t, "part") {
			case 0:
				b.Slot ^= 1
			case 1:
				b.Block ^= 1
			default:
				b.VLF = max(1, min(a.VLF^1, 1<<32-2))
			}
		}
		if back, err := ParseLSN(a.String()); err != nil || back != a {
			t.Fatalf("%v printed as %s parses as %v, %v", a, a, back, err)
		}
		if a.Big().String() != a.String() {
			t.Fatalf("Big %s, String %s", a.Big(), a)
		}
		want := map[int]Order{-1: OrderLess, 0: OrderEqual, 1: OrderGreater}[a.Big().Cmp(b.Big())]
		if a.Compare(b) != want {
			t.Fatalf("%v.Compare(%v) = %d, as numbers %d", a, b, a.Compare(b), want)
		}
		ab, ba := NewDelta(a, b), NewDelta(b, a)
		if new(big.Int).Add(ab.Exact, ba.Exact).Sign() != 0 {
			t.Fatal("deltas are not antisymmetric")
		}
		if (a != b) != (ab.Float64() != 0) || ab.Zero() != a.Equal(b) {
			t.Fatalf("%v and %v: delta %v, as a float %v", a, b, ab.Exact, ab.Float64())
		}
		if ab.Blocks.OK != (a.VLF == b.VLF) {
			t.Fatal("blocks are known across VLFs, or unknown within one")
		}
	})
}

func FuzzParseLSN(f *testing.F) {
	for _, s := range []string{"", "0", "1", "42000000155200001", "10227000241966000001", "4294967295429496729500001", "9999999999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLSN(s)
		if err != nil {
			if l.Known() {
				t.Fatalf("%q: %v and a known value %v", s, err, l)
			}
			return
		}
		want, ok := new(big.Int).SetString(s, 10)
		if !ok || l.Big().Cmp(want) != 0 {
			t.Fatalf("%q parsed as %s", s, l.Big())
		}
		if back, err := ParseLSN(l.String()); err != nil || back != l {
			t.Fatalf("%q does not survive: %v, %v", s, back, err)
		}
	})
}

// recordedRow is one line of testdata.
type recordedRow struct {
	Viewpoint, What, View string
	Row                   map[string]*string
}

func recorded(t *testing.T) (rows []recordedRow) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded rows: %v", err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(f)
		for sc.Scan() {
			var r recordedRow
			if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			rows = append(rows, r)
		}
		if err := sc.Err(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

func TestRecordedLSNs(t *testing.T) {
	sentinels := map[string]bool{"0": true, "1": true, "4294967295429496729500001": true}
	values, unknown := 0, 0
	for _, r := range recorded(t) {
		for col, v := range r.Row {
			if !strings.HasSuffix(col, "_lsn") || v == nil {
				continue
			}
			values++
			l, err := ParseLSN(*v)
			if err != nil || l.String() != *v {
				t.Errorf("%s %s: %v, %v", col, *v, l, err)
			}
			if l.Known() == sentinels[*v] {
				t.Errorf("%s %s: known is %v", col, *v, l.Known())
			}
			if !l.Known() {
				unknown++
			}
		}
	}
	if values < 60 || unknown < 10 {
		t.Errorf("only %d values, %d sentinels: is the corpus there?", values, unknown)
	}
}

// On every complete row at rest last_hardened_lsn stands one block beyond
// end_of_log_lsn: two copies of one database at rest are caught up, by their
// own rows, whichever of the recorded conventions (512-byte or 4 KiB blocks)
// the log has.
func TestRecordedRowsAtRestAreCaughtUp(t *testing.T) {
	complete := 0
	for _, r := range recorded(t) {
		hard, end := r.Row["last_hardened_lsn"], r.Row["end_of_log_lsn"]
		if hard == nil || end == nil || !lsn(t, *hard).Known() {
			continue
		}
		complete++
		h, e := lsn(t, *hard), lsn(t, *end)
		if !h.Beyond(e) {
			t.Errorf("%s: last_hardened_lsn %s is not beyond end_of_log_lsn %s", r.What, h, e)
		}
		if p, b := position(h, e, h, e, LSN{}); p != PositionCaughtUp || b != BasisHardened {
			t.Errorf("%s: %s by %s", r.What, p, b)
		}
	}
	if complete < 10 {
		t.Errorf("only %d complete rows", complete)
	}
}
