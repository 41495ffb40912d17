package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

// TestTables: medians, spreads and the ratio are what they are called.
func TestTables(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	move := func(demoted, s3, writable int) marks {
		ms := func(n int) time.Time { return at.Add(time.Duration(n) * time.Millisecond) }
		return marks{s2: at, demoted: ms(demoted), s3: ms(s3), writable: ms(writable)}
	}
	l := 20 * time.Millisecond
	out := tables([]time.Duration{l}, map[time.Duration]map[string][]marks{l: {
		"engine":       {move(300, 800, 1500), move(280, 780, 1100), move(310, 820, 1200)},
		"floor":        {move(250, 750, 1000), move(250, 750, 1100), move(250, 750, 1050), move(250, 750, 900)},
		"guide's loop": {move(5000, 5000, 5500)},
	}}, 3)
	for _, want := range []string{"| 20ms | 1200 (1100–1500) | 1025 (900–1100) | 1.17 | 5500 (5500–5500) |", "| 20ms | engine | 300 | 500 | 380 |", "| 20ms | guide's loop | 5000 | 0 | 500 |"} {
		if !strings.Contains(out, want) {
			t.Errorf("no line %s in\n%s", want, out)
		}
	}
}

// TestFlags: what cannot be measured is refused before anything starts.
func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-runs=0"}, {"-latency=fast"}, {"-nosuch"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}
