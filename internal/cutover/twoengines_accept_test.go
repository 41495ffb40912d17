//go:build accept

package cutover

import (
	"runtime/debug"
	"testing"
)

// TestTwoEnginesFaults visits every state of two engines with one fault
// anywhere; every one with a pause of one engine and a crash of the other, which
// is how their acts come to meet; and a part of those with any two faults. Not
// with -race, as TestModelTwoFaults.
func TestTwoEnginesFaults(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	searchTwo(t, switches{}, 1, 0, 800_000)
	searchTwo(t, switches{only: []string{"B pauses", "A crashes"}}, 2, 0, 1_300_000)
	searchTwo(t, switches{}, 2, 400_000, 400_000)
}
