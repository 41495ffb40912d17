// Command bench measures what is fast by promise, and prints a table for
// docs/benchmarks.md. It asserts nothing: a time is a matter of the machine,
// and a busy one would fail for no reason.
//
//	go run ./bench                   the lab with 1,000 databases a side
//	go run ./bench --databases=100
//	go run ./bench --write=docs/benchmarks.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dag-exporter/dag_exporter/bench/internal/report"
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
	file := flags.String("write", "", "put the tables into the section \"lab\" of this `file` as well")
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
	r := &results{databases: *databases, loadBefore: load()}
	if err := r.single(l, *runs); err != nil {
		return err
	}
	for _, n := range []int{max(*connections/4, 1), *connections} {
		if err := r.atOnce(l, n, *each); err != nil {
			return err
		}
	}
	r.loadAfter = load()
	text := r.text()
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if *file == "" {
		return nil
	}
	return report.Replace(*file, "lab", text)
}

// single measures each statement alone.
func (r *results) single(l *lab.Lab, runs int) error {
	c, err := dial(l.Address(lab.Source), lab.SA, lab.SAPassword)
	if err != nil {
		return err
	}
	defer c.close()
	for i := range statements {
		s := single{}
		var before time.Duration
		for n := range runs + 5 {
			if n == 5 {
				before = cpu()
			}
			if s.last, err = measure(c, i, r.databases); err != nil {
				return err
			}
			if n >= 5 {
				s.times = append(s.times, s.last.took)
			}
		}
		s.cpu = (cpu() - before) / time.Duration(runs)
		r.singles = append(r.singles, s)
	}
	return nil
}

// atOnce measures the first statement on many connections.
func (r *results) atOnce(l *lab.Lab, connections, each int) error {
	c := together{connections: connections, each: each}
	before := cpu()
	var err error
	if c.times, c.slowest, c.took, err = crowd(l, r.databases, connections, each); err != nil {
		return err
	}
	c.cpu = (cpu() - before) / time.Duration(len(c.times))
	c.peak = peak()
	r.crowds = append(r.crowds, c)
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

// cpu is what this process has used of all processors: what a busy machine
// does not distort. The client's part of it is small.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the most memory that this process ever had, in MiB, clients included; 0 if nobody can tell.
func peak() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			return kb / 1024
		}
	}
	return 0
}

// load is the machine's load average of the last minute: what other things it has to do; -1 if nobody can tell.
func load() float64 {
	v := -1.0
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		if _, err := fmt.Sscan(string(b), &v); err != nil {
			return -1
		}
	}
	return v
}
