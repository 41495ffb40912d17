// Command cutover measures how long nobody can write in a cutover: from the
// moment S2 is sent until a client's INSERT on the target is acknowledged. The
// engine, as it is shipped and with its default waits, is held against two
// hand-written ways of doing the same on the same simulated pair: the floor,
// which sends what cannot be left out, in sequence and without a gate, and the
// migration guide's way, which looks every five seconds.
//
//	go run ./bench/cutover
//	go run ./bench/cutover -runs=5 -latency=0,80ms -write docs/benchmarks.md
//
// The three ways take turns, so that what else the machine does meets all of
// them. It asserts nothing: a time is a matter of the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/bench/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cutover:", err)
		os.Exit(1)
	}
}

// A way is one manner of moving the pair, timed.
type way struct {
	name string
	move func(ctx context.Context, p *pair) (marks, error)
}

var ways = []way{{"engine", engine}, {"floor", floor}, {"guide's loop", hand}}

// marks are the moments of one move.
type marks struct {
	s2       time.Time // S2 sent
	demoted  time.Time // the source read SECONDARY
	s3       time.Time // S3 sent
	writable time.Time // a client's INSERT on the target acknowledged
}

func (m marks) total() time.Duration { return m.writable.Sub(m.s2) }

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cutover", flag.ContinueOnError)
	runs := flags.Int("runs", 4, "moves of the engine and of the floor for each latency; the guide's loop moves three times")
	latency := flags.String("latency", "0,20ms,80ms", "round trips between client and server")
	trace := flags.Bool("trace", false, "show what the engine asked from a second before S2 on, and how long each answer took")
	write := flags.String("write", "", "put the tables into this file, between its cutover marks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 1 {
		return errors.New("runs must be at least 1")
	}
	var traced io.Writer
	if *trace {
		traced = out
	}
	var latencies []time.Duration
	for _, s := range strings.Split(*latency, ",") {
		if s = strings.TrimSpace(s); s == "0" {
			s = "0s"
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return err
		}
		latencies = append(latencies, d)
	}
	results := map[time.Duration]map[string][]marks{}
	for _, l := range latencies {
		results[l] = map[string][]marks{}
	}
	// The guide's loop mostly sleeps: all of its moves at once disturb nobody, and it comes first.
	hands := ways[len(ways)-1]
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, l := range latencies {
		for range min(*runs, 3) {
			wg.Go(func() {
				m, err := once(ctx, hands, l, nil)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s at %s: %w", hands.name, l, err))
					return
				}
				results[l][hands.name] = append(results[l][hands.name], m)
			})
		}
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	for n := range *runs {
		for _, l := range latencies {
			for i := range 2 {
				w := ways[(n+i)%2] // in turn the first
				m, err := once(ctx, w, l, traced)
				if err != nil {
					return fmt.Errorf("%s at %s: %w", w.name, l, err)
				}
				results[l][w.name] = append(results[l][w.name], m)
			}
		}
	}
	body := tables(latencies, results, *runs)
	if _, err := io.WriteString(out, body); err != nil {
		return err
	}
	if *write != "" {
		return report.Replace(*write, "cutover", body)
	}
	return nil
}

// once moves a new pair, so that no move begins where another one ended.
func once(ctx context.Context, w way, latency time.Duration, traced io.Writer) (marks, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	p, err := newPair(ctx, latency)
	if err != nil {
		return marks{}, err
	}
	defer p.close()
	p.trace.out = traced
	return w.move(ctx, p)
}

func tables(latencies []time.Duration, results map[time.Duration]map[string][]marks, runs int) string {
	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format, a...) }
	p("From S2 sent to a client's first acknowledged INSERT on the target; %d moves of each way and latency (the guide's loop: %d), in turn, median (least–most) in milliseconds. %d CPUs, %s, three databases%s.\n\n",
		runs, min(runs, 3), runtime.GOMAXPROCS(0), runtime.Version(), load())
	p("| round trip | engine | floor | engine ÷ floor | guide's loop, every 5 s |\n|---|---|---|---|---|\n")
	for _, l := range latencies {
		r := results[l]
		total := func(name string) []time.Duration { return each(r[name], marks.total) }
		p("| %s | %s | %s | %.2f | %s |\n", l, spread(total("engine")), spread(total("floor")), ratio(total("engine"), total("floor")), spread(total("guide's loop")))
	}
	p("\nWhere it goes (medians, ms):\n\n| round trip | | S2 sent → source reads SECONDARY | → S3 sent (three readings of both sides at rest, 250 ms from the end of one to the beginning of the next) | → writable |\n|---|---|---|---|---|\n")
	for _, l := range latencies {
		for _, w := range ways {
			m := results[l][w.name]
			p("| %s | %s | %s | %s | %s |\n", l, w.name,
				mid(each(m, func(m marks) time.Duration { return m.demoted.Sub(m.s2) })),
				mid(each(m, func(m marks) time.Duration { return m.s3.Sub(m.demoted) })),
				mid(each(m, func(m marks) time.Duration { return m.writable.Sub(m.s3) })))
		}
	}
	return b.String()
}

// load tells how busy the machine was, where it says so: beside other work the engine, which computes more than the floor, loses more.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	one, _, ok := strings.Cut(string(b), " ")
	if err != nil || !ok {
		return ""
	}
	return ", load average " + one
}

func each(list []marks, f func(marks) time.Duration) []time.Duration {
	out := make([]time.Duration, len(list))
	for i, m := range list {
		out[i] = f(m)
	}
	slices.Sort(out)
	return out
}

func median(sorted []time.Duration) time.Duration {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func ratio(a, b []time.Duration) float64 {
	if median(b) == 0 {
		return 0
	}
	return float64(median(a)) / float64(median(b))
}

func mid(sorted []time.Duration) string { return fmt.Sprint(median(sorted).Milliseconds()) }

func spread(sorted []time.Duration) string {
	if len(sorted) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%d–%d)", mid(sorted), sorted[0].Milliseconds(), sorted[len(sorted)-1].Milliseconds())
}
