package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// results is everything that one run measured.
type results struct {
	databases             int
	loadBefore, loadAfter float64
	singles               []single // as statements
	crowds                []together
}

// single is one statement, asked again and again on one connection.
type single struct {
	last  answer
	times []time.Duration
	cpu   time.Duration // of the process, for one
}

// together is the first statement, asked by many at once.
type together struct {
	connections, each int
	times             []time.Duration
	slowest, took     time.Duration
	cpu               time.Duration
	peak              float64 // MiB
}

const (
	goalAtOnce = 3 * time.Second
	goalPeak   = 300 // MiB
)

// text is what goes into the document.
func (r *results) text() string {
	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format, a...) }
	p("Measured with %s databases a side on %d CPUs, %s, load average %.1f before and %.1f after (a machine with nothing else to do: 1 to 2). "+
		"*Noise* is the distance from the 10 %% to the 90 %% quantile, in per cent of the median.\n\n", thousands(r.databases), runtime.GOMAXPROCS(0), runtime.Version(), r.loadBefore, r.loadAfter)
	p("| statement | rows | bytes | CPU | best | median | 90 %% | noise | goal |\n|---|---|---|---|---|---|---|---|---|\n")
	for i, s := range r.singles {
		median := quantile(s.times, 0.5)
		noise := float64(quantile(s.times, 0.9)-quantile(s.times, 0.1)) / float64(max(median, 1)) * 100
		p("| %s | %s | %s | %s | %s | %s | %s | %.0f %% | %s |\n", statements[i].name, thousands(int(s.last.rows)), thousands(s.last.bytes), ms(s.cpu), ms(quantile(s.times, 0)), ms(median),
			ms(quantile(s.times, 0.9)), noise, goal(statements[i].goal))
	}
	p("\n| the guide's script at once | CPU of each | best | median | 99 %% | worst connection's mean | questions/s | peak memory |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range r.crowds {
		p("| %d connections, %d questions each | %s | %s | %s | %s | %s | %.0f | %s |\n", c.connections, c.each, ms(c.cpu), ms(quantile(c.times, 0)), ms(quantile(c.times, 0.5)), ms(quantile(c.times, 0.99)), ms(c.slowest),
			float64(len(c.times))/max(c.took.Seconds(), 1e-9), mib(c.peak))
	}
	p("| goal for 200 | | | | %s | | | %d MiB |\n\n", goal(goalAtOnce), goalPeak)
	for _, line := range r.verdicts() {
		p("- %s\n", line)
	}
	return b.String()
}

// verdicts say of each goal whether these figures meet it, by the median; where only the best or the CPU does, they say that too.
func (r *results) verdicts() []string {
	var out []string
	for i, s := range r.singles {
		out = append(out, fmt.Sprintf("%s in %s: %s.", statements[i].name, goal(statements[i].goal), verdict(statements[i].goal, quantile(s.times, 0.5), quantile(s.times, 0), s.cpu)))
	}
	if len(r.crowds) == 0 {
		return out
	}
	c := r.crowds[len(r.crowds)-1]
	p99 := quantile(c.times, 0.99)
	cores := time.Duration(runtime.GOMAXPROCS(0))
	line := "met"
	if p99 > goalAtOnce {
		line = fmt.Sprintf("not met: %s, of which the CPU alone explains %s (one question of each, on all CPUs)", ms(p99), ms(c.cpu*time.Duration(c.connections)/cores))
	}
	out = append(out, fmt.Sprintf("%d connections at once, 99 %% in %s: %s.", c.connections, goal(goalAtOnce), line))
	line = "met"
	if c.peak > goalPeak {
		line = "not met"
	}
	return append(out, fmt.Sprintf("%d connections in %d MiB: %s, with the clients in the same process.", c.connections, goalPeak, line))
}

func verdict(want, median, best, used time.Duration) string {
	switch {
	case median <= want:
		return "met"
	case best <= want && used <= want:
		return "not met by the median; by the best and by the CPU it is"
	case best <= want:
		return "not met by the median; by the best it is"
	case used <= want:
		return "not met by the median; by the CPU it is"
	}
	return "not met"
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func ms(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

func goal(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

func mib(v float64) string {
	if v == 0 {
		return "unknown: no /proc here"
	}
	return fmt.Sprintf("%.0f MiB", v)
}

// thousands writes 3000 as 3,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
