//go:build accept

package faultrun

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func webhook(t *testing.T) string {
	t.Helper()
	path := filepath.Join(root(t), "bin", "cutover_webhook")
	if _, err := os.Stat(path); err != nil {
		t.Fatal("cutover_webhook is not built; note: make accept builds it")
	}
	return path
}

// commit is what has to be checked out to see a failure again.
func commit(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// onlyThis are the flags of soak that run one cell or setting.
func onlyThis(r Result) string { return "--matrix --only='^" + regexp.QuoteMeta(r.Case.Name) + "$'" }

// bad reports an end that is none, and how to see it again.
func bad(t *testing.T, r Result, again string) {
	t.Helper()
	if r.Err != nil {
		t.Errorf("%s\n%s\nthe same again, at commit %s: go -C tools run ./soak --program=../bin/cutover_webhook %s -v", r, r.Log, commit(t), again)
	}
}

// TestFaultMatrix kills the webhook at every step of the order, under every
// disturbance, and compares the ends with docs/fault-matrix.md.
func TestFaultMatrix(t *testing.T) {
	doc, err := ReadDocument(filepath.Join(root(t), "docs", "fault-matrix.md"))
	if err != nil {
		t.Fatal(err)
	}
	cells := Matrix(false)
	cases := make([]Case, len(cells))
	for i, c := range cells {
		cases[i] = c.Case()
	}
	began := time.Now()
	var again []Cell
	for i, r := range RunAll(t.Context(), webhook(t), cases, Parallel(), nil) {
		bad(t, r, onlyThis(r))
		if doc.Matrix.Differs(cells[i], r.Class) != "" && r.Err == nil {
			again = append(again, cells[i])
		}
	}
	// An end that is good and another one than in the table: on a busy machine
	// a bound may have been over. Alone it has to come out as written.
	differ := 0
	for _, c := range again {
		r := Run(t.Context(), webhook(t), c.Case())
		bad(t, r, onlyThis(r))
		if why := doc.Matrix.Differs(c, r.Class); why != "" {
			differ++
			t.Log(why)
		}
	}
	// Both ends are good, and which of them comes is, in a few cells, the
	// machine's to say: a document that is out of date differs in many.
	if differ > len(cells)/20 {
		t.Errorf("%d of %d cells end differently from docs/fault-matrix.md; note: make faults writes it anew, look at what changed", differ, len(cells))
	}
	t.Logf("%d cells of %d in %s on %d CPUs, %d of them twice", len(cells), len(Matrix(true)), time.Since(began).Round(time.Second), runtime.GOMAXPROCS(0), len(again))
}

// TestAssumptionPairs runs the pairwise array of the lab's switches.
func TestAssumptionPairs(t *testing.T) {
	doc, err := ReadDocument(filepath.Join(root(t), "docs", "fault-matrix.md"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	results := RunAll(t.Context(), webhook(t), AssumptionCases(1), Parallel(), nil)
	for _, r := range results {
		bad(t, r, onlyThis(r))
	}
	var rows []string
	for _, s := range Settings() {
		rows = append(rows, s.String())
	}
	var written []string
	for _, s := range doc.Settings {
		written = append(written, s.Setting)
	}
	if !slices.Equal(rows, written) {
		t.Errorf("docs/fault-matrix.md has other settings than are run; note: soak --matrix --write\n%q\n%q", written, rows)
	}
	for i, s := range doc.Settings {
		if 2*i < len(results) && results[2*i].Err == nil && results[2*i].Class != s.Plain {
			if r := Run(t.Context(), webhook(t), results[2*i].Case); r.Class != s.Plain {
				t.Errorf("%s ended as %q undisturbed, docs/fault-matrix.md says %q", s.Setting, r.Class, s.Plain)
			}
		}
	}
	t.Logf("%d runs in %s", len(results), time.Since(began).Round(time.Second))
}

// TestSchedules runs the first seeds of make soak.
func TestSchedules(t *testing.T) {
	const seeds = 30
	began := time.Now()
	var cases []Case
	for seed := uint64(1); seed <= seeds; seed++ {
		cases = append(cases, RandomCase(seed))
	}
	classes := map[string]int{}
	for _, r := range RunAll(t.Context(), webhook(t), cases, Parallel(), nil) {
		classes[r.Class]++
		bad(t, r, fmt.Sprintf("--seed=%d --count=1", r.Case.Seed))
	}
	t.Logf("%d schedules in %s: %v", seeds, time.Since(began).Round(time.Second), classes)
}
