package model

import (
	"fmt"
	"math/big"
	"math/bits"
)

// Pos is a place in a database's log, counted in units of 512 bytes since the log began. It never rolls over; LSNs are derived.
type Pos int64

// LSN is SQL Server's triple. As decimal(25,0): VLF·10^15 + block·10^5 + slot.
type LSN struct {
	VLF   uint32
	Block uint32
	Slot  uint16
}

// Big returns the exact decimal value.
func (l LSN) Big() *big.Int {
	hi, lo := bits.Mul64(uint64(l.VLF), 1e15)
	lo, carry := bits.Add64(lo, uint64(l.Block)*1e5+uint64(l.Slot), 0)
	hi += carry
	if bits.UintSize == 32 {
		v := new(big.Int).Lsh(new(big.Int).SetUint64(hi), 64)
		return v.Or(v, new(big.Int).SetUint64(lo))
	}
	n := &struct { // the number and its words in one piece: they are read together, a hundred thousand times a second
		v big.Int
		w [2]big.Word
	}{w: [2]big.Word{big.Word(lo), big.Word(hi)}}
	return n.v.SetBits(n.w[:])
}

func (l LSN) String() string { return l.Big().String() }

// IsZero tells the LSN that a server shows as 0: not known.
func (l LSN) IsZero() bool { return l == LSN{} }

// Sentinels that real servers show where nothing is known (recorded: R2).
var (
	lsnOne = LSN{Slot: 1}
	lsnMax = LSN{VLF: 4294967295, Block: 4294967295, Slot: 1}
)

// MaxLSN is what recovery_lsn reads on a primary's rows.
func MaxLSN() LSN { return lsnMax }

// OneLSN is what last_sent_lsn reads on a secondary's row.
func OneLSN() LSN { return lsnOne }

const vlfHeader = 16 // units before the first block of a VLF: 8 KiB

// numbering turns positions into LSNs. All copies of a database share one, since they hold the same log.
type numbering struct {
	vlf0     int64 // VLF number of position -offset
	offset   Pos   // added to a position before it is cut into VLFs
	vlfUnits Pos   // units per VLF, a multiple of 8
}

func (n *numbering) lsn(p Pos, slot uint16) LSN {
	at := p + n.offset
	return LSN{
		VLF:   uint32(n.vlf0 + int64(at/n.vlfUnits)),
		Block: uint32(at%n.vlfUnits) + vlfHeader,
		Slot:  slot,
	}
}

// place makes position p read as the given VLF and block.
func (n *numbering) place(p Pos, vlf, block uint32, align Pos) error {
	if vlf == 0 || block < vlfHeader || Pos(block-vlfHeader) >= n.vlfUnits {
		return fmt.Errorf("VLF must be at least 1 and block between %d and %d", vlfHeader, n.vlfUnits+vlfHeader-1)
	}
	want := Pos(block - vlfHeader)
	want -= want % align
	// offset in [0, vlfUnits) so that (p+offset) % vlfUnits == want
	off := (want - p%n.vlfUnits + n.vlfUnits) % n.vlfUnits
	n.offset = off
	n.vlf0 = int64(vlf) - int64((p+off)/n.vlfUnits)
	return nil
}
