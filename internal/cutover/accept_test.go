//go:build accept

package cutover

import (
	"runtime/debug"
	"testing"
	"time"
)

// TestModelTwoFaults visits every state of every variant with two faults
// anywhere: millions, minutes on two cores. Not with -race: there is nothing
// between the walkers but the set of states, and it would take half an hour.
func TestModelTwoFaults(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	total := 0
	for _, v := range variants {
		began := time.Now()
		r := check(v, rules{}, 2, 0)
		total += r.states
		t.Logf("%s, 2 faults, %s: %s", v.name, time.Since(began).Round(time.Millisecond), r)
		if r.bad != "" {
			t.Errorf("%s: %s", v.name, r.bad)
		}
	}
	t.Logf("states visited: %d", total)
	if total < 1_000_000 {
		t.Errorf("only %d states: the model has lost something", total)
	}
}

// TestSeededBugsTwoFaults finds every seed, those included that one fault
// does not show.
func TestSeededBugsTwoFaults(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	seededBugs(t, 2)
}

// TestControlsEveryFault goes through the worlds of the seeded bugs with every
// rule on and one fault of any kind, the rare ones of that world included.
func TestControlsEveryFault(t *testing.T) {
	controls(t, func(v variant, _ int8) (variant, int8) {
		v.only, v.more = nil, v.only
		return v, 1
	})
}
