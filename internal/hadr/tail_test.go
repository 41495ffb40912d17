package hadr

import (
	"testing"

	"pgregory.net/rapid"
)

// Both hardened values held down to the same place, the primary's by a slow
// secondary of its own and the forwarder's by its own disk, while both ends of
// the log have gone on: the tail is on no disk over there, and equal columns do
// not put it there.
func TestEqualColumnsBelowTheEndOfTheLog(t *testing.T) {
	tail := LSN{10227, 2419700, 1}
	for name, c := range map[string]struct {
		hard LSN
		want Position
		by   Basis
	}{
		"hardened below the end":  {rest, PositionBehind, BasisHardened},
		"all four columns equal":  {tail, PositionCaughtUp, BasisHardened}, // a log that shows neither convention
		"hardened beyond the end": {LSN{10227, 2419701, 1}, PositionCaughtUp, BasisHardened},
	} {
		got, by := position(c.hard, tail, c.hard, tail, LSN{})
		if got != c.want || by != c.by {
			t.Errorf("%s: %s by %s, want %s by %s", name, got, by, c.want, c.by)
		}
	}
	source, target := healthy("db")
	for _, r := range []*Reading{source, target} {
		r.Databases[0].Own.EndOfLog = tail
	}
	if got := Compare(source, target, options); got.State != StateNear {
		t.Errorf("%s: %s", got.State, got.Reason)
	}
}

// Whatever the numbers: by the forwarder's own hardened value it is never
// caught up while that value is below the primary's end of log.
func TestHardenedCoversTheEndOfTheLog(t *testing.T) {
	some := rapid.Custom(func(t *rapid.T) LSN {
		return LSN{rapid.Uint32Range(1, 2).Draw(t, "vlf"), rapid.Uint32Range(0, 3).Draw(t, "block"), 1}
	})
	rapid.Check(t, func(t *rapid.T) {
		ph, pe, fh, fe, link := some.Draw(t, "ph"), some.Draw(t, "pe"), some.Draw(t, "fh"), some.Draw(t, "fe"), some.Draw(t, "link")
		got, by := position(ph, pe, fh, fe, link)
		if (got == PositionCaughtUp || got == PositionAhead) && by == BasisHardened && !fh.AtLeast(pe) {
			t.Fatalf("%s: the forwarder's disk ends at %v, the primary's log at %v", got, fh, pe)
		}
	})
}
