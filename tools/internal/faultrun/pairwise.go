package faultrun

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// Pairwise is a small array in which every pair of values of every two factors
// stands in some row. levels are how many values each factor has.
func Pairwise(levels []int, seed uint64) [][]int {
	type pair struct{ f, v, g, w int }
	open := map[pair]bool{}
	for f := range levels {
		for g := f + 1; g < len(levels); g++ {
			for v := range levels[f] {
				for w := range levels[g] {
					open[pair{f, v, g, w}] = true
				}
			}
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0x9a12))
	gain := func(row []int, f, v int) (n int) {
		for g, w := range row {
			p := pair{f, v, g, w}
			if g < f {
				p = pair{g, w, f, v}
			}
			if w >= 0 && g != f && open[p] {
				n++
			}
		}
		return n
	}
	var rows [][]int
	for len(open) > 0 {
		var best []int
		most := -1
		for range 60 { // candidates; the best one is taken
			row := slices.Repeat([]int{-1}, len(levels))
			total := 0
			for _, f := range rng.Perm(len(levels)) {
				value, n := 0, -1
				for _, v := range rng.Perm(levels[f]) {
					if k := gain(row, f, v); k > n {
						value, n = v, k
					}
				}
				row[f] = value
				total += n
			}
			if total > most {
				best, most = row, total
			}
		}
		if most == 0 { // cannot be while something is open, but must not go on for ever
			for p := range open {
				best[p.f], best[p.g] = p.v, p.w
				break
			}
		}
		for f, v := range best {
			for g := f + 1; g < len(best); g++ {
				delete(open, pair{f, v, g, best[g]})
			}
		}
		rows = append(rows, best)
	}
	return rows
}

// Switches are the names of the lab's assumptions.
func Switches() (names []string) {
	t := reflect.TypeFor[model.Assumptions]()
	for i := range t.NumField() {
		if t.Field(i).Type.Kind() == reflect.Bool {
			names = append(names, t.Field(i).Name)
		}
	}
	return names
}

// assume turns the switches on that are named.
func assume(names []string) (a model.Assumptions) {
	v := reflect.ValueOf(&a).Elem()
	for _, n := range names {
		v.FieldByName(n).SetBool(true)
	}
	return a
}

// versions of the two sides: before 2022, from 2022, and one of each.
var versions = [][2]int{{16, 16}, {15, 15}, {16, 17}}

// Setting is one row of the pairwise array.
type Setting struct {
	On     []string // switches at their alternative
	Majors [2]int
}

// String of a setting for a table.
func (s Setting) String() string {
	on := strings.Join(s.On, ", ")
	if on == "" {
		on = "all defaults"
	}
	return fmt.Sprintf("%d → %d: %s", s.Majors[0], s.Majors[1], on)
}

// Settings covers all pairs of the lab's switches and of the versions. The
// first row is the defaults.
func Settings() (list []Setting) {
	// Where a forwarder reads READ_WRITE a gate keeps every run from starting: it
	// has a row of its own, or half of all pairs would show nothing.
	const closes = "ForwarderReadWrite"
	names := slices.DeleteFunc(Switches(), func(n string) bool { return n == closes })
	levels := append(slices.Repeat([]int{2}, len(names)), len(versions))
	list = append(list, Setting{Majors: versions[0]}, Setting{Majors: versions[0], On: []string{closes}})
	for _, row := range Pairwise(levels, 1) {
		s := Setting{Majors: versions[row[len(names)]]}
		for i, n := range names {
			if row[i] == 1 {
				s.On = append(s.On, n)
			}
		}
		list = append(list, s)
	}
	return list
}

// AssumptionCases runs each setting undisturbed and with one hit by seed.
func AssumptionCases(seed uint64) (cases []Case) {
	rng := rand.New(rand.NewPCG(seed, 0xa55))
	for i, s := range Settings() {
		c := Case{Name: fmt.Sprintf("assumptions %d (%s)", i, s), Majors: s.Majors, Assume: assume(s.On), Seed: seed}
		cases = append(cases, c)
		c.Name += ", hit"
		c.Hits = []Hit{randomHit(rng, 0)}
		c.Hits[0].Stay = false
		cases = append(cases, c)
	}
	return cases
}
