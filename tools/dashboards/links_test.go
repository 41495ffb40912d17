package main

import (
	"maps"
	"slices"
	"testing"
)

// A link that hands all variables on gives another dashboard several values, or
// All, only for variables that take them there: Grafana keeps what an address
// says, and a DAG of the name $__all is none, in red.
func TestLinksHandOnWhatTheOtherSideTakes(t *testing.T) {
	boards := plainBoards(t)
	single := map[string]bool{}
	for _, b := range boards {
		for _, v := range b.Templating.List {
			single[v.Name] = single[v.Name] || !v.Multi && !v.All
		}
	}
	if !single["dag"] || single["database"] {
		t.Fatalf("variables of one value: %v: the way they are looked for is wrong", slices.Sorted(maps.Keys(single)))
	}
	for name, b := range boards {
		for _, v := range b.Templating.List {
			if !v.Multi && !v.All || !single[v.Name] {
				continue
			}
			for _, l := range b.Links {
				if l.IncludeVars {
					t.Errorf("%s: a link hands on the variable %s, which may be several or All, and others have one", name, v.Name)
				}
			}
		}
	}
}
