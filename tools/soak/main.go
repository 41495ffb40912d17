// Command soak runs the real cutover_webhook against labs of its own under a
// writing client, disturbs and kills it by a seed, and judges every end. It
// goes on until something ends badly, its time is over, or it is told to stop.
//
//	soak --program=bin/cutover_webhook [--seed=N] [--for=1h] [--parallel=N]
//	soak --program=bin/cutover_webhook --matrix [--only=REGEXP | --write=docs/fault-matrix.md [--add]]
//
// On a failure it prints the seed, the commit, what happened, and the command
// that does the same again, and exits 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dag-exporter/dag_exporter/tools/internal/faultrun"
)

func main() { os.Exit(run()) }

type flags struct {
	program  string
	seed     uint64
	forTime  time.Duration
	parallel int
	count    int
	matrix   bool
	only     string
	write    string
	add      bool
	keep     bool
	verbose  bool
}

func run() int {
	var f flags
	flag.StringVar(&f.program, "program", "bin/cutover_webhook", "the webhook to test")
	flag.Uint64Var(&f.seed, "seed", 0, "first seed of the random schedules; 0: by the clock")
	flag.DurationVar(&f.forTime, "for", 0, "stop by itself after this long; 0: never")
	flag.IntVar(&f.parallel, "parallel", faultrun.Parallel(), "cases at once")
	flag.IntVar(&f.count, "count", 0, "stop after so many schedules; 0: never")
	flag.BoolVar(&f.matrix, "matrix", false, "run the whole fault matrix and the pairwise assumptions once, instead of random schedules")
	flag.StringVar(&f.only, "only", "", "with --matrix: only cases whose name matches this regular expression")
	flag.StringVar(&f.write, "write", "", "with --matrix: write what was found to this file")
	flag.BoolVar(&f.add, "add", false, "with --write: keep the ends that the file has already")
	flag.BoolVar(&f.keep, "keep-going", false, "do not stop at a bad end")
	flag.BoolVar(&f.verbose, "v", false, "print every case, and the log of bad ends")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "soak takes flags only")
		return 2
	}
	path, err := filepath.Abs(f.program)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err, "\nnote: make build builds it")
		return 2
	}
	f.program = path
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.forTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.forTime)
		defer cancel()
	}
	if f.matrix {
		return matrix(ctx, f)
	}
	return random(ctx, f)
}

// random runs one seed after the other until something ends badly.
func random(ctx context.Context, f flags) int {
	if f.seed == 0 {
		f.seed = uint64(time.Now().UnixNano() / int64(time.Millisecond))
	}
	fmt.Printf("soak: commit %s, seeds from %d, %d at once\n", commit(), f.seed, f.parallel)
	running, stop := context.WithCancel(ctx)
	defer stop()
	began := time.Now()
	var mu sync.Mutex
	next, ended := f.seed, 0
	classes := map[string]int{}
	var bad []faultrun.Result
	var wg sync.WaitGroup
	for range f.parallel {
		wg.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				mu.Unlock()
				if running.Err() != nil || f.count > 0 && seed >= f.seed+uint64(f.count) {
					return
				}
				r := faultrun.Run(running, f.program, faultrun.RandomCase(seed))
				mu.Lock()
				switch {
				case running.Err() != nil: // cut off: no verdict
				case r.Err != nil:
					bad = append(bad, r)
					if f.keep {
						fmt.Println(r)
						break
					}
					stop()
				default:
					ended++
					classes[r.Class]++
					if f.verbose {
						fmt.Println(r)
					} else if ended%50 == 0 {
						fmt.Printf("%d schedules ended well in %s: %v\n", ended, time.Since(began).Round(time.Second), classes)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	fmt.Printf("%d schedules ended well in %s: %v; %d bad ends\n", ended, time.Since(began).Round(time.Second), classes, len(bad))
	for _, r := range bad {
		fmt.Printf("\n%s\n%s\nthe same again, at commit %s after make build: go -C tools run ./soak --program=../bin/cutover_webhook --seed=%d --count=1 -v\n", r, r.Log, commit(), r.Case.Seed)
	}
	if len(bad) > 0 {
		return 1
	}
	return 0
}

// commit is the revision that was built; a tree with changes says so.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// matrix runs every cell of the fault matrix and the pairwise settings once.
func matrix(ctx context.Context, f flags) int {
	only, err := regexp.Compile(f.only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	var cells []faultrun.Cell
	var cases []faultrun.Case
	for _, c := range faultrun.Matrix(true) {
		if only.MatchString(c.Case().Name) {
			cells, cases = append(cells, c), append(cases, c.Case())
		}
	}
	for _, c := range faultrun.AssumptionCases(1) {
		if only.MatchString(c.Name) {
			cases = append(cases, c)
		}
	}
	began, bad, n := time.Now(), 0, 0
	results := faultrun.RunAll(ctx, f.program, cases, f.parallel, func(r faultrun.Result) {
		if ctx.Err() != nil {
			return
		}
		n++
		if r.Err != nil {
			bad++
		}
		if r.Err != nil || f.verbose {
			fmt.Println(r)
		}
		if r.Err != nil && f.verbose {
			fmt.Println(r.Log)
		}
	})
	fmt.Printf("%d of %d cases, %d bad ends, in %s\n", n, len(cases), bad, time.Since(began).Round(time.Second))
	if bad > 0 || n < len(cases) {
		return 1
	}
	if f.write == "" {
		return 0
	}
	if f.only != "" && !f.add {
		fmt.Fprintln(os.Stderr, "--write needs the whole matrix: leave --only out, or --add to what the file has")
		return 2
	}
	if err := write(f, cells, results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// write makes the document. With --add the ends that it has already stay.
func write(f flags, cells []faultrun.Cell, results []faultrun.Result) error {
	doc := faultrun.Document{Matrix: faultrun.Table{}}
	if f.add {
		old, err := faultrun.ReadDocument(f.write)
		if err != nil {
			return err
		}
		doc = old
	}
	for i, c := range cells {
		doc.Matrix.Add(c.Boundary.Name(), c.Column(), results[i].Class)
	}
	if rest := results[len(cells):]; len(rest) == len(faultrun.AssumptionCases(1)) {
		doc.Settings = nil
		doc.AddSettings(rest)
	}
	return os.WriteFile(f.write, []byte(doc.Markdown()), 0o644)
}
