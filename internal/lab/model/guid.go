package model

import (
	"fmt"
	"math/rand/v2"
)

// GUID is a uniqueidentifier in the order in which it is written.
type GUID [16]byte

// String gives the upper-case form that SQL Server prints.
func (g GUID) String() string {
	return fmt.Sprintf("%X-%X-%X-%X-%X", g[0:4], g[4:6], g[6:8], g[8:10], g[10:16])
}

// IsZero tells the GUID that stands for NULL.
func (g GUID) IsZero() bool { return g == GUID{} }

func newGUID(r *rand.Rand) GUID {
	var g GUID
	for i := range g {
		g[i] = byte(r.UintN(256))
	}
	g[6] = g[6]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}
