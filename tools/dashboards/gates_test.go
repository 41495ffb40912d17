package main

import (
	"regexp"
	"slices"
	"testing"
)

// Each gate stands in one of the grids, whose names are the engine's; more than
// twelve in one cannot be read on a phone.
func TestGateGroups(t *testing.T) {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^\tGate\w+ +Gate = "(\w+)"`).FindAllStringSubmatch(slurp(t, "internal/cutover/names.go"), -1) {
		all = append(all, m[1])
	}
	if len(all) < 30 {
		t.Fatalf("only %d gates were found: the way they are looked for is wrong", len(all))
	}
	last, rest := gateGroups[len(gateGroups)-1], len(all)
	for _, g := range gateGroups {
		rest -= len(g.gates)
		if len(g.gates) > 12 || g.gates == nil && g.title != last.title {
			t.Errorf("%s has %d gates", g.title, len(g.gates))
		}
		for n, name := range g.gates {
			if !slices.Contains(all, name) || slices.Contains(g.gates[:n], name) {
				t.Errorf("%s: there is no such gate, or twice: %s", g.title, name)
			}
			for _, other := range gateGroups {
				if other.title != g.title && slices.Contains(other.gates, name) {
					t.Errorf("%s stands in %s and in %s", name, g.title, other.title)
				}
			}
		}
	}
	if last.gates != nil || rest < 1 || rest > 12 {
		t.Errorf("%s is left %d gates", last.title, rest)
	}
}
