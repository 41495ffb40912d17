package model

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestLSNBig holds the decimal value, which is made of machine words, against the formula.
func TestLSNBig(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	list := []LSN{{}, lsnOne, lsnMax, {VLF: math.MaxUint32, Block: math.MaxUint32, Slot: math.MaxUint16}, {VLF: 18446, Block: 744073, Slot: 9}, {VLF: 1}, {Block: 1}}
	for range 1000 {
		list = append(list, LSN{VLF: r.Uint32() >> r.IntN(32), Block: r.Uint32() >> r.IntN(32), Slot: uint16(r.Uint32())})
	}
	for _, l := range list {
		want := new(big.Int).Exp(big.NewInt(10), big.NewInt(15), nil)
		want.Mul(want, big.NewInt(int64(l.VLF)))
		want.Add(want, new(big.Int).Mul(big.NewInt(int64(l.Block)), big.NewInt(100000)))
		want.Add(want, big.NewInt(int64(l.Slot)))
		if got := l.Big(); got.Cmp(want) != 0 || got.String() != want.String() {
			t.Errorf("%+v reads %s, want %s", l, got, want)
		}
	}
}
