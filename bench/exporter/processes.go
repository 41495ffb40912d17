package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The tables of this file are about real processes, measured from outside.

// buildExporter builds the program as it ships.
func buildExporter(dir string) (string, error) {
	path := filepath.Join(dir, "dag_exporter")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/dag-exporter/dag_exporter/cmd/dag_exporter")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building dag_exporter: %w\n%s", err, out)
	}
	return path, nil
}

// serveDAGs starts dag_exporter for some DAGs; base is its URL.
func serveDAGs(dir, path string, dsns [][2]string, names []string) (c *child, base string, err error) {
	file := filepath.Join(dir, fmt.Sprintf("dags-%d.yml", len(names)))
	if err := os.WriteFile(file, []byte(configText(dsns, names...)), 0o600); err != nil {
		return nil, "", err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	log, err := os.Create(file + ".log")
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = log.Close() }() // the child has its own
	if c, err = startChild(log, path, "--config.file="+file, "--web.listen-address="+address, "--scrape.timeout=60s"); err != nil {
		return nil, "", err
	}
	base = "http://" + address
	if err := untilUp(base+"/-/ready", "ready"); err != nil {
		c.stop()
		return nil, "", err
	}
	return c, base, nil
}

// otherTable compares with Debian's prometheus-sql-exporter.
func otherTable(dir string, n int, say func(string, ...any)) error {
	theirs, err := findSQLExporter()
	if err != nil {
		return err
	}
	ours, err := buildExporter(dir)
	if err != nil {
		return err
	}
	say("Against Debian's prometheus-sql-exporter, as processes, asked the same: CPU by the system's count, allocation by their own. Its scrape is one run of its queries and one exposition.\n\n")
	say("| databases | | series | CPU | allocated |\n|---|---|---|---|---|\n")
	for _, s := range []struct {
		databases, each int
		interval        time.Duration // of their timer: longer than an exposition takes
	}{{100, 15, 200 * time.Millisecond}, {1000, 3, 1500 * time.Millisecond}} {
		if err := compareProcesses(dir, ours, theirs, s.databases, n, s.each, s.interval, say); err != nil {
			return err
		}
	}
	say("\n")
	return nil
}

func compareProcesses(dir, ours, theirs string, databases, n, each int, interval time.Duration, say func(string, ...any)) error {
	dsns, stop, err := startLab(1, databases)
	if err != nil {
		return err
	}
	defer stop()
	us, base, err := serveDAGs(dir, ours, dsns, []string{floorDAG})
	if err != nil {
		return err
	}
	defer us.stop()
	them, err := startSQLExporter(dir, theirs, dsns[0], interval)
	if err != nil {
		return err
	}
	defer them.close()
	if err := untilUp(them.url, "sql_rows{"); err != nil {
		return err
	}
	scrapeUs := func() (string, error) { return fetch(base + "/metrics") }
	var costs [2][]cost
	var series [2]int
	for r := range n + 1 { // the first does not count
		for i, p := range []struct {
			*child
			scrape func() (string, error)
			prefix string
		}{{us, scrapeUs, "mssql_dag_"}, {them.child, them.run, "sql_"}} {
			text, err := p.scrape()
			if err != nil {
				return err
			}
			series[i] = seriesIn(text, p.prefix)
			ran := them.batches()
			had, err1 := valueOf(text, "go_memstats_alloc_bytes_total")
			before, err2 := p.cpu()
			for range each {
				if text, err = p.scrape(); err != nil {
					return err
				}
			}
			after, err3 := p.cpu()
			has, err4 := valueOf(text, "go_memstats_alloc_bytes_total")
			if err := errors.Join(err1, err2, err3, err4); err != nil {
				return err
			}
			times := int64(each)
			if i == 1 {
				// On a busy machine the timer fires again before the
				// exposition is there. Counting runs is in their favour.
				times = max(times, (them.batches()-ran)/queriesPerRun)
			}
			if r > 0 {
				costs[i] = append(costs[i], cost{cpu: (after - before) / time.Duration(times), bytes: (has - had) / float64(times)})
			}
		}
	}
	for i, name := range []string{"dag_exporter", "prometheus-sql-exporter"} {
		say("| %d | %s | %d | %s ms | %s KiB |\n", databases, name, series[i], over(costs[i], getCPU).text(1), over(costs[i], getBytes).text(0))
	}
	say("| %d | **dag_exporter ÷ prometheus-sql-exporter** | | **%s** | **%s** |\n", databases, ratio(costs[0], costs[1], getCPU).text(2), ratio(costs[0], costs[1], getBytes).text(2))
	return nil
}

// fleetTable probes many DAGs with some in flight, until it is seen whether
// memory grows.
func fleetTable(dir string, say func(string, ...any)) error {
	ours, err := buildExporter(dir)
	if err != nil {
		return err
	}
	say("%d probes of %d databases each, %d at a time, one process for all; every probe is of another DAG. The lab's %d instances run on the same CPUs, and most of a probe's time is theirs. Memory is the exporter's own, by the system's count; a line is a pass over all DAGs, after one that logs in.\n\n", fleetDAGs, fleetDatabases, fleetInFlight, 2*fleetDAGs)
	say("| connections | pass | median | 99 %% | all | CPU of a probe | RSS after | RSS at its highest |\n|---|---|---|---|---|---|---|---|\n")
	for _, f := range []struct {
		name, encrypt string
		shown         []int
	}{
		{"plain", "encrypt=disable", []int{1, 2, 3, 10, 30}},
		{"encrypted", "encrypt=true&trustservercertificate=true", []int{1, 2, 3, 10}},
	} {
		if err := fleet(dir, ours, f.name, f.encrypt, f.shown, say); err != nil {
			return err
		}
	}
	say("| goal | | | | | | | 150 MiB |\n")
	return nil
}

const fleetDAGs, fleetDatabases, fleetInFlight = 200, 50, 32

// fleet makes passes and tells of those that are to be shown.
func fleet(dir, ours, name, encrypt string, shown []int, say func(string, ...any)) error {
	dsns, stop, err := startLab(fleetDAGs, fleetDatabases)
	if err != nil {
		return err
	}
	defer stop()
	var names []string
	for i := range dsns {
		names = append(names, fmt.Sprintf("dag%03d", i))
		for side, dsn := range dsns[i] {
			dsns[i][side] = strings.Replace(dsn, "encrypt=disable", encrypt, 1)
		}
	}
	c, base, err := serveDAGs(dir, ours, dsns, names)
	if err != nil {
		return err
	}
	defer c.stop()
	// A login takes five seconds at most, which this many at once on a busy
	// machine can need: whoever was not read is asked again.
	for missing := names; len(missing) > 0; {
		_, missing = probeAll(base, missing, fleetInFlight)
	}
	for pass := 1; pass <= slices.Max(shown); pass++ {
		before, err := c.cpu()
		if err != nil {
			return err
		}
		began := time.Now()
		times, missing := probeAll(base, names, fleetInFlight)
		took := time.Since(began)
		after, err1 := c.cpu()
		now, peak, err2 := c.memory()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		label := strconv.Itoa(pass)
		if len(missing) > 0 {
			label += fmt.Sprintf(", %d timed out", len(missing))
		}
		if !slices.Contains(shown, pass) && len(missing) == 0 {
			continue
		}
		slices.Sort(times)
		say("| %s | %s | %d ms | %d ms | %.1f s | %.1f ms | %.0f MiB | %.0f MiB |\n", name, label, times[len(times)/2].Milliseconds(), times[len(times)*99/100].Milliseconds(),
			took.Seconds(), (after-before).Seconds()*1000/fleetDAGs, now, peak)
	}
	return nil
}

// probeAll probes each DAG once. missing are those of which a side was not
// read.
func probeAll(base string, names []string, inFlight int) (times []time.Duration, missing []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	next := make(chan string)
	for range inFlight {
		all.Go(func() {
			for name := range next {
				began := time.Now()
				text, err := fetch(base + "/probe?target=" + url.QueryEscape(name))
				took := time.Since(began)
				read := err == nil && strings.Contains(text, `mssql_dag_up{dag="`+name+`",side="source"} 1`) && strings.Contains(text, `mssql_dag_up{dag="`+name+`",side="target"} 1`)
				mu.Lock()
				times = append(times, took)
				if !read {
					missing = append(missing, name)
				}
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		next <- name
	}
	close(next)
	all.Wait()
	return times, missing
}
