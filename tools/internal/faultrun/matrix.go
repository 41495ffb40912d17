package faultrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Boundary is a step of the order at which the webhook dies.
type Boundary struct {
	Step  string // as the tracker names it
	Drill bool   // only a drill comes there by itself: the way back
	Text  string // for the table
	// Rollback: a person asks for the way back as soon as the webhook was
	// started again, whatever is still on its way.
	Rollback bool
	// Part rows are run whole by soak --matrix; make accept takes three cells of
	// each, chosen so that every column is met in some of these rows. All rows
	// of statements that change something are whole in both.
	Part bool
}

// Name is the row's name; unique.
func (b Boundary) Name() string {
	switch {
	case b.Drill:
		return "drill: " + b.Step
	case b.Rollback:
		return b.Step + ", then rollback"
	}
	return b.Step
}

// Boundaries lists every step: each statement, each reading that something
// rests on, each hook.
var Boundaries = []Boundary{
	{Step: "lock on source", Text: "1, the application lock in master of the source", Part: true},
	{Step: "lock on target", Text: "1, the same on the target", Part: true},
	{Step: "mark on source", Text: "1, the run's id into master of the source", Part: true},
	{Step: "mark on target", Text: "1, the same on the target", Part: true},
	{Step: "S1 on source", Text: "2, synchronous commit in the source's own copy"},
	{Step: "S1 on source, source reading 1", Text: "2, its reading back", Part: true},
	{Step: "S1 on target", Text: "2, synchronous commit in the target's own copy"},
	{Step: "S1 on target, target reading 1", Text: "2, its reading back", Part: true},
	{Step: "S1 on target, source reading 2", Text: "3, the link reads SYNCHRONIZED", Part: true},
	{Step: "quiesce hook", Text: "4, the writers are stopped"},
	{Step: "quiesce hook, source reading 1", Text: "4, the mark is read", Part: true},
	{Step: "quiesce hook, target reading 2", Text: "4, drained past the mark, and quiet", Part: true},
	{Step: "RSSTC=1 on source", Text: "5"},
	{Step: "RSSTC=1 on source, source reading 1", Text: "5–6, read back, and every gate again", Part: true},
	{Step: "RSSTC=1 on source, target reading 1", Text: "6, every gate again", Part: true},
	{Step: "S2 on source", Text: "7, the source gives up its role"},
	{Step: "S2 on source, target reading 1", Text: "8, first round after S2", Part: true},
	{Step: "S2 on source, source reading 1", Text: "8, the source reads SECONDARY"},
	{Step: "S2 on source, target reading 2", Text: "9, proving reading", Part: true},
	{Step: "S2 on source, source reading 2", Text: "9, proving reading", Part: true},
	{Step: "S2 on source, target reading 3", Text: "9, last proving reading of the target", Part: true},
	{Step: "S2 on source, source reading 3", Text: "9, last proving reading of the source, the one S3 rests on"},
	{Step: "S3 on target", Text: "10, forced failover to the target, carrying the proof"},
	{Step: "S3 on target, target reading 1", Text: "11, the target reads PRIMARY, its databases open"},
	{Step: "S3 on target, source reading 1", Text: "11, the source does not read PRIMARY", Part: true},
	{Step: "RSSTC=0 on source", Text: "12, after the move"},
	{Step: "repoint hook", Text: "12, the writers go to the target"},
	{Step: "unmark on source", Text: "12, the run's id is dropped", Part: true},
	{Step: "unmark on target", Text: "12, the same on the target", Part: true},
	{Step: "RSSTC=0 on source", Drill: true, Text: "back, first of all"},
	{Step: "RSSTC=0 on source, source reading 1", Drill: true, Text: "back, its reading back", Part: true},
	{Step: "S3 on source", Drill: true, Text: "back, the source takes its role again"},
	{Step: "S3 on source, source reading 1", Drill: true, Text: "back, the source reads PRIMARY", Part: true},
	{Step: "async on target", Drill: true, Text: "back, the target's old mode", Part: true},
	{Step: "async on source", Drill: true, Text: "back, the source's old mode", Part: true},
	{Step: "unquiesce hook", Drill: true, Text: "back, the writers go on"},
	{Step: "RSSTC=1 on source", Rollback: true, Text: "a person asks for the way back while it may still land"},
	{Step: "S2 on source", Rollback: true, Text: "the same"},
	{Step: "S3 on target", Rollback: true, Text: "the same, too late: there is no way back any more", Part: true},
}

// Cell is one case of the matrix.
type Cell struct {
	Boundary Boundary
	Wire     Wire
	Do       Effect
}

// Column is the cell's column name.
func (c Cell) Column() string { return fmt.Sprintf("%s, %s", c.Wire, c.Do) }

// Case of a cell.
func (c Cell) Case() Case {
	return Case{Name: c.Boundary.Name() + " × " + c.Column(), Drill: c.Boundary.Drill, Rollback: c.Boundary.Rollback, Seed: 1,
		Hits: []Hit{{At: c.Boundary.Step, Do: c.Do, Wire: c.Wire}}}
}

// Matrix is every cell, row by row; with all unset, the ones that make accept
// runs.
func Matrix(all bool) (cells []Cell) {
	part := 0
	for _, b := range Boundaries {
		n := 0
		for _, w := range Wires {
			for _, e := range Effects {
				// Such a row takes every fifth cell, the next row the next ones.
				if all || !b.Part || (n+part)%5 == 0 {
					cells = append(cells, Cell{b, w, e})
				}
				n++
			}
		}
		if b.Part {
			part++
		}
	}
	return cells
}

// Parallel is how many cases are run at once: they wait more than they work.
func Parallel() int { return 3 * runtime.GOMAXPROCS(0) }

// RunAll runs cases, n at once, and tells each result as it comes. The results
// are in the order of the cases.
func RunAll(ctx context.Context, program string, cases []Case, n int, tell func(Result)) []Result {
	results := make([]Result, len(cases))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range n {
		wg.Go(func() {
			for i := range next {
				r := Run(ctx, program, cases[i])
				mu.Lock()
				results[i] = r
				if tell != nil && !errors.Is(r.Err, errNotReached) {
					tell(r)
				}
				mu.Unlock()
			}
		})
	}
	for i := range cases {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	for i, r := range results {
		if errors.Is(r.Err, errNotReached) && ctx.Err() == nil { // alone it comes there
			results[i] = Run(ctx, program, cases[i])
			if tell != nil {
				tell(results[i])
			}
		}
	}
	return results
}

// Table is what docs/fault-matrix.md says of each cell: the classes that it
// ended in, by row and column.
type Table map[string]map[string][]string

// Add notes an end.
func (t Table) Add(row, column, class string) {
	if t[row] == nil {
		t[row] = map[string][]string{}
	}
	if !slices.Contains(t[row][column], class) {
		t[row][column] = append(t[row][column], class)
		slices.SortFunc(t[row][column], func(a, b string) int { return cmp.Compare(b, a) }) // done before back
	}
}

// Markdown of the matrix.
func (t Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| step at which the webhook dies | of the order |")
	for _, w := range Wires {
		fmt.Fprintf(&b, " %s |", w)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(Wires)) + "\n")
	for _, row := range Boundaries {
		fmt.Fprintf(&b, "| %s | %s |", row.Name(), row.Text)
		for _, w := range Wires {
			var parts []string
			for _, e := range Effects {
				parts = append(parts, strings.Join(t[row.Name()][Cell{Wire: w, Do: e}.Column()], " or "))
			}
			fmt.Fprintf(&b, " %s |", strings.Join(parts, "; "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// ParseTable reads back what Markdown wrote.
func ParseTable(text string) Table {
	t := Table{}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != len(Wires)+4 {
			continue
		}
		row := strings.TrimSpace(f[1])
		if !slices.ContainsFunc(Boundaries, func(b Boundary) bool { return b.Name() == row }) {
			continue
		}
		for i, w := range Wires {
			cells := strings.Split(strings.TrimSpace(f[i+3]), ";")
			for n, e := range Effects {
				if n >= len(cells) {
					continue
				}
				for _, class := range strings.Split(strings.TrimSpace(cells[n]), " or ") {
					if class != "" {
						t.Add(row, Cell{Wire: w, Do: e}.Column(), class)
					}
				}
			}
		}
	}
	return t
}
