package faultrun

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// lastStep is about how many steps a run has.
const lastStep = 58

func randomHit(rng *rand.Rand, after int) Hit {
	h := Hit{Nth: after + 1 + rng.IntN(max(lastStep-after, 12)), Do: Effects[rng.IntN(len(Effects))], Wire: Wires[rng.IntN(len(Wires))],
		Heal: 100*time.Millisecond + time.Duration(rng.Int64N(int64(2500*time.Millisecond)))}
	if rng.IntN(8) == 0 {
		h.Heal = 11*time.Second + time.Duration(rng.Int64N(int64(4*time.Second))) // long enough for a page
	}
	h.Stay = h.Wire != Sight && rng.IntN(3) == 0
	return h
}

// RandomCase is the case of a seed: one to three hits at any step, now and then
// another version, other assumptions, a drill, a client that nothing stops,
// and a schedule of faults in the lab by its clock.
func RandomCase(seed uint64) Case {
	rng := rand.New(rand.NewPCG(seed, 0xca5e))
	c := Case{Name: fmt.Sprintf("seed %d", seed), Seed: seed, Limit: 2 * time.Minute}
	c.Drill = rng.IntN(5) == 0
	c.Hookless = rng.IntN(5) == 0
	c.Rollback = rng.IntN(6) == 0
	if rng.IntN(3) == 0 {
		c.Majors = versions[rng.IntN(len(versions))]
	}
	if rng.IntN(2) == 0 {
		var on []string
		for _, s := range Switches() {
			if rng.IntN(8) == 0 {
				on = append(on, s)
			}
		}
		c.Assume = assume(on)
		c.Name += fmt.Sprintf(" %v", on)
	}
	for _, x := range []struct {
		is   bool
		what string
	}{{c.Drill, " drill"}, {c.Hookless, " hookless"}, {c.Rollback, " rollback"}} {
		if x.is {
			c.Name += x.what
		}
	}
	at := 0
	for range rng.IntN(4) {
		h := randomHit(rng, at)
		at = h.Nth
		c.Hits = append(c.Hits, h)
	}
	if rng.IntN(2) == 0 || len(c.Hits) == 0 {
		// No fault of the schedule lasts longer than settle, which is what the
		// engine was told about this pair of servers.
		s := lab.RandomSchedule(seed, 1+rng.IntN(4), lab.RandomOptions{Span: 5 * time.Second, Longest: 1500 * time.Millisecond, Databases: []string{"db001", "db002"}})
		c.Schedule = &s
	}
	return c
}
