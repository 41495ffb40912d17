package hadr

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// LSN is a log sequence number as the columns of
// sys.dm_hadr_database_replica_states show it: numeric(25,0) =
// VLF·10^15 + block·10^5 + slot. It is kept in its three parts, because real
// values overflow int64 (10227000241966000001) and lose digits in a float64.
//
// The zero LSN is unknown. NULL, 0, 1 and every other value with VLF 0, and
// every value with VLF 4294967295 (4294967295429496729500001 is what a
// primary's own row shows for recovery_lsn) are unknown too: see Known. Two
// unknown LSNs are never equal, and an unknown LSN is never a number in a
// metric.
type LSN struct {
	VLF   uint32 // sequence number of the virtual log file
	Block uint32 // offset of the log block within the VLF
	Slot  uint16 // record within the block
}

// Known reports whether l is a position in a log at all.
func (l LSN) Known() bool { return l.VLF != 0 && l.VLF != math.MaxUint32 }

// ParseLSN reads the decimal text of a numeric(25,0). Sentinels parse without
// an error and are not Known. Anything that is not 1 to 25 digits whose parts
// fit their widths (4, 4 and 2 bytes) is an error.
func ParseLSN(s string) (LSN, error) {
	if s == "" || len(s) > 25 {
		return LSN{}, fmt.Errorf("LSN %q: want 1 to 25 decimal digits", s)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		return LSN{}, fmt.Errorf("LSN %q: want decimal digits only", s)
	}
	p := strings.Repeat("0", 25-len(s)) + s
	vlf, block, slot := digits(p[:10]), digits(p[10:20]), digits(p[20:])
	if vlf > math.MaxUint32 || block > math.MaxUint32 || slot > math.MaxUint16 {
		return LSN{}, fmt.Errorf("LSN %q: a part is wider than SQL Server's 4, 4 and 2 bytes", s)
	}
	return LSN{VLF: uint32(vlf), Block: uint32(block), Slot: uint16(slot)}, nil
}

func digits(s string) (n uint64) {
	for _, c := range []byte(s) {
		n = n*10 + uint64(c-'0')
	}
	return n
}

// String is the decimal text of the numeric(25,0), without leading zeros, as
// SQL Server prints it.
func (l LSN) String() string {
	s := strings.TrimLeft(fmt.Sprintf("%d%010d%05d", l.VLF, l.Block, l.Slot), "0")
	if s == "" {
		return "0"
	}
	return s
}

// Hex is the form that log readers print: VVVVVVVV:BBBBBBBB:SSSS.
func (l LSN) Hex() string { return fmt.Sprintf("%08X:%08X:%04X", l.VLF, l.Block, l.Slot) }

// Big is the whole number, exact.
func (l LSN) Big() *big.Int {
	n := new(big.Int).Mul(big.NewInt(int64(l.VLF)), big.NewInt(1e15))
	return n.Add(n, big.NewInt(int64(l.Block)*1e5+int64(l.Slot)))
}

// Order of two LSNs. Unknown is an answer of its own: callers must treat it
// as "no", whichever question they asked.
type Order int8

// The answers of Compare.
const (
	OrderUnknown Order = iota
	OrderLess
	OrderEqual
	OrderGreater
)

// Compare orders l against m, exactly; OrderUnknown if either is not Known.
// Only order and equality have a meaning across VLFs: distances do not.
func (l LSN) Compare(m LSN) Order {
	if !l.Known() || !m.Known() {
		return OrderUnknown
	}
	switch cmp.Or(cmp.Compare(l.VLF, m.VLF), cmp.Compare(l.Block, m.Block), cmp.Compare(l.Slot, m.Slot)) {
	case -1:
		return OrderLess
	case 1:
		return OrderGreater
	}
	return OrderEqual
}

// Equal reports that both are known and the same.
func (l LSN) Equal(m LSN) bool { return l.Compare(m) == OrderEqual }

// AtLeast reports that both are known and l ≥ m.
func (l LSN) AtLeast(m LSN) bool {
	o := l.Compare(m)
	return o == OrderEqual || o == OrderGreater
}

// Beyond reports that both are known and l > m.
func (l LSN) Beyond(m LSN) bool { return l.Compare(m) == OrderGreater }

// MarshalText writes the decimal digits; an unknown LSN is the empty text.
func (l LSN) MarshalText() ([]byte, error) {
	if !l.Known() {
		return nil, nil
	}
	return []byte(l.String()), nil
}

// UnmarshalText is the reverse of MarshalText.
func (l *LSN) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*l = LSN{}
		return nil
	}
	v, err := ParseLSN(string(b))
	if err == nil {
		*l = v
	}
	return err
}
