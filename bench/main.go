// Command bench measures what is fast by promise, and prints a table for
// docs/benchmarks.md. It asserts nothing: a time is a matter of the machine,
// and a busy one would fail for no reason.
//
//	go run ./bench                   the lab with 1,000 databases a side
//	go run ./bench --databases=100
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	databases := flags.Int("databases", 1000, "databases a side")
	runs := flags.Int("runs", 50, "runs of each statement, after five that do not count")
	connections := flags.Int("connections", 200, "connections that ask at once")
	each := flags.Int("each", 5, "questions of each of them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 1 || *connections < 1 || *each < 1 {
		return errors.New("runs, connections and each must be at least 1")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l, err := startLab(ctx, *databases)
	if err != nil {
		return err
	}
	defer l.Close()
	p := func(format string, a ...any) { _, _ = fmt.Fprintf(out, format, a...) } // a terminal or a file; there is nobody to tell
	p("%d databases a side, %d CPUs, %s\n\n", *databases, runtime.GOMAXPROCS(0), runtime.Version())
	p("| statement | rows | bytes | CPU | best | median | 90 %% | goal |\n|---|---|---|---|---|---|---|---|\n")
	c, err := dial(l.Address(lab.Source), lab.SA, lab.SAPassword)
	if err != nil {
		return err
	}
	defer c.close()
	for i, s := range statements {
		var times []time.Duration
		var a answer
		var before time.Duration
		for n := range *runs + 5 {
			if n == 5 {
				before = cpu()
			}
			if a, err = measure(c, i, *databases); err != nil {
				return err
			}
			if n >= 5 {
				times = append(times, a.took)
			}
		}
		p("| %s | %d | %d | %s | %s | %s | %s | %s |\n", s.name, a.rows, a.bytes, ms((cpu()-before)/time.Duration(*runs)), ms(quantile(times, 0)), ms(quantile(times, 0.5)), ms(quantile(times, 0.9)), s.goal)
	}
	before := cpu()
	times, slowest, took, err := crowd(l, *databases, *connections, *each)
	if err != nil {
		return err
	}
	p("\n| %d connections at once, %d questions each | median | 99 %% | worst connection's mean | all | CPU of each | questions/s | peak memory |\n|---|---|---|---|---|---|---|---|\n", *connections, *each)
	p("| guide's script | %s | %s | %s | %s | %s | %.0f | %s |\n| goal | | 3 s | | | | | 300 MiB |\n", ms(quantile(times, 0.5)), ms(quantile(times, 0.99)), ms(slowest), ms(took), ms((cpu()-before)/time.Duration(len(times))), float64(len(times))/took.Seconds(), peak())
	return nil
}

// crowd lets many connections ask at the same time. slowest is the mean of
// the connection that waited longest: near the median means that no one
// starves.
func crowd(l *lab.Lab, databases, connections, each int) (times []time.Duration, slowest, took time.Duration, err error) {
	clients := make([]*client, connections)
	for i := range clients {
		if clients[i], err = dial(l.Address(lab.Source), lab.SA, lab.SAPassword); err != nil {
			return nil, 0, 0, err
		}
		defer clients[i].close()
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	for _, c := range clients {
		wg.Go(func() {
			var own []time.Duration
			var sum time.Duration
			for range each {
				a, e := measure(c, 0, databases)
				if e != nil {
					mu.Lock()
					err = e
					mu.Unlock()
					return
				}
				own = append(own, a.took)
				sum += a.took
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, own...)
			slowest = max(slowest, sum/time.Duration(each))
		})
	}
	wg.Wait()
	return times, slowest, time.Since(start), err
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// cpu is what this process has used of all processors: what a busy machine
// does not distort. The client's part of it is small.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the most memory that this process ever had, clients included.
func peak() string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown: no /proc here"
	}
	for line := range strings.Lines(string(b)) {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			return fmt.Sprintf("%.0f MiB", kb/1024)
		}
	}
	return "unknown"
}
