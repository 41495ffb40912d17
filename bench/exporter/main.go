// Command exporter measures what a scrape of dag_exporter costs, against the
// least that any program must pay for the same series, and against another
// exporter that is asked the same. It prints tables for docs/benchmarks.md,
// and asserts nothing: a time is a matter of the machine.
//
//	go run ./bench/exporter                            all tables
//	go run ./bench/exporter -write docs/benchmarks.md  and put them there
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/dag-exporter/dag_exporter/bench/internal/report"
)

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == labRole {
		err = serveLab(os.Args[2:])
	} else {
		err = run(os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/exporter:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bench/exporter", flag.ContinueOnError)
	write := flags.String("write", "", "put the tables into this file, between the lines of the section exporter")
	n := flags.Int("rounds", 9, "rounds of each comparison; medians of them are shown")
	only := flags.String("only", "", "one table: floor, other or fleet")
	profile := flags.String("profile", "", "only scrape for 10 s, and write a CPU profile to this file and an allocation profile beside it")
	size := flags.Int("databases", 1000, "with -profile: how many")
	who := flags.Int("contestant", 0, "with -profile: 0 is dag_exporter, 1 the floor")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	if *profile != "" {
		return profileScrapes(ctx, *profile, *who, *size)
	}
	var b bytes.Buffer
	out := io.MultiWriter(stdout, &b)
	say := func(format string, a ...any) { _, _ = fmt.Fprintf(out, format, a...) }
	say("Measured on %d CPUs, %s. The servers are the lab in a process of its own, whose work is in no figure. A cell is the median of %d rounds (lowest to highest of them); the contestants take turns.\n\n", runtime.GOMAXPROCS(0), runtime.Version(), *n)
	dir, err := os.MkdirTemp("", "bench-exporter-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // nobody misses it
	for _, table := range []struct {
		name string
		make func() error
	}{
		{"floor", func() error { return floorTables(ctx, *n, say) }},
		{"other", func() error { return otherTable(dir, *n, say) }},
		{"fleet", func() error { return fleetTable(dir, say) }},
	} {
		if *only != "" && *only != table.name {
			continue
		}
		if err := table.make(); err != nil {
			return err
		}
	}
	if *write != "" && *only == "" {
		return report.Replace(*write, "exporter", b.String())
	}
	return nil
}

// floorTables compare with the floor.
func floorTables(ctx context.Context, n int, say func(string, ...any)) error {
	say("| databases | | CPU | wall | allocated |\n|---|---|---|---|---|\n")
	type size struct{ databases, each int }
	means := map[int]cost{}
	for _, s := range []size{{10, 150}, {100, 30}, {1000, 4}} {
		costs, names, err := compareAt(ctx, s.databases, n, s.each)
		if err != nil {
			return err
		}
		for i, name := range names {
			say("| %d | %s | %s ms | %s ms | %s KiB |\n", s.databases, name, over(costs[i], getCPU).text(2), over(costs[i], getWall).text(2), over(costs[i], getBytes).text(0))
		}
		say("| %d | **dag_exporter ÷ floor** | **%s** | **%s** | **%s** |\n", s.databases,
			ratio(costs[0], costs[1], getCPU).text(2), ratio(costs[0], costs[1], getWall).text(2), ratio(costs[0], costs[1], getBytes).text(2))
		means[s.databases] = cost{cpu: time.Duration(over(costs[0], getCPU).median * 1e6), bytes: over(costs[0], getBytes).median}
	}
	say("\nFrom 100 to 1,000 databases: CPU × %.1f, allocated × %.1f (goal: at most 10).\n\n", float64(means[1000].cpu)/float64(means[100].cpu), means[1000].bytes/means[100].bytes)
	return nil
}

func compareAt(ctx context.Context, databases, n, each int) ([][]cost, []string, error) {
	dsns, stop, err := startLab(1, databases)
	if err != nil {
		return nil, nil, err
	}
	defer stop()
	all, err := contestants(ctx, dsns[0])
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for _, c := range all {
		defer c.close()
		names = append(names, c.name)
	}
	costs, err := rounds(all, n, each)
	return costs, names, err
}

func (s spread) text(digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.median, digits, s.low, digits, s.high)
}

// profileScrapes is what an optimisation begins with.
func profileScrapes(ctx context.Context, file string, who, databases int) error {
	dsns, stop, err := startLab(1, databases)
	if err != nil {
		return err
	}
	defer stop()
	runtime.MemProfileRate = 16 << 10
	all, err := contestants(ctx, dsns[0])
	if err != nil {
		return err
	}
	for _, c := range all {
		defer c.close()
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := all[who].scrape(); err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if err := all[who].scrape(); err != nil {
			return err
		}
	}
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil {
		return err
	}
	m, err := os.Create(file + ".allocs")
	if err != nil {
		return err
	}
	if err := pprof.Lookup("allocs").WriteTo(m, 0); err != nil {
		return err
	}
	return m.Close()
}
