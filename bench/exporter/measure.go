package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/exporter"
)

// cost of one scrape.
type cost struct {
	cpu, wall time.Duration
	bytes     float64 // allocated
}

// cpu is what this process has used of all processors so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// block runs scrape n times and gives the mean cost of one.
func block(n int, scrape func() error) (cost, error) {
	runtime.GC() // each begins with the same heap
	before, had, began := cpu(), allocated(), time.Now()
	for range n {
		if err := scrape(); err != nil {
			return cost{}, err
		}
	}
	wall := time.Since(began)
	return cost{cpu: (cpu() - before) / time.Duration(n), wall: wall / time.Duration(n), bytes: float64(allocated()-had) / float64(n)}, nil
}

// discard is a client that reads and forgets.
type discard struct {
	header http.Header
	code   int
	bytes  int
	text   []byte // of an error
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) WriteHeader(code int) { d.code = code }

func (d *discard) Write(b []byte) (int, error) {
	d.bytes += len(b)
	if d.code != http.StatusOK {
		d.text = append(d.text, b...)
	}
	return len(b), nil
}

// contestant is one way to scrape a DAG.
type contestant struct {
	name    string
	handler http.Handler
	url     string
	close   func()
}

func (c *contestant) scrape() error {
	d := &discard{header: http.Header{}, code: http.StatusOK}
	c.handler.ServeHTTP(d, httptest.NewRequest(http.MethodGet, c.url, nil))
	if d.code != http.StatusOK || d.bytes == 0 {
		return fmt.Errorf("%s: HTTP %d, %d bytes: %s", c.name, d.code, d.bytes, d.text)
	}
	return nil
}

const probeURL = "/probe?target=" + floorDAG

func newExporter(dsns [2]string) (*exporter.Exporter, error) {
	return exporter.New(exporter.Options{
		Load: func() (*config.Config, error) {
			return config.Parse([]byte(configText([][2]string{dsns}, floorDAG)), "bench.yml")
		},
		Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
}

func configText(all [][2]string, names ...string) string {
	text := "dags:\n"
	for i, dsns := range all {
		text += fmt.Sprintf("- {name: %s, group: DAG, source: {ag: OnPremAG, instances: [%s]}, target: {ag: AzureAG, instances: [%s]}}\n",
			names[i], strconv.Quote(dsns[0]), strconv.Quote(dsns[1]))
	}
	return text
}

// contestants of the first table: the exporter, the floor through
// client_golang, and the floor with hand-written text.
func contestants(ctx context.Context, dsns [2]string) ([]contestant, error) {
	e, err := newExporter(dsns)
	if err != nil {
		return nil, err
	}
	f, err := newFloor(ctx, dsns)
	if err != nil {
		e.Close()
		return nil, err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(&floorCollector{f: f, ctx: ctx})
	return []contestant{
		{"dag_exporter", e.Handler(), probeURL, e.Close},
		{"floor", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), "/metrics", f.close},
		{"floor, text by hand", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { f.serveText(ctx, w) }), "/metrics", func() {}},
	}, nil
}

// rounds lets the contestants take turns, so that whatever else the machine
// does hits all of them.
func rounds(all []contestant, rounds, each int) ([][]cost, error) {
	costs := make([][]cost, len(all))
	for _, c := range all { // connections, caches
		for range 2 {
			if err := c.scrape(); err != nil {
				return nil, err
			}
		}
	}
	for r := range rounds {
		for i := range all {
			i := (i + r) % len(all)
			c, err := block(each, all[i].scrape)
			if err != nil {
				return nil, err
			}
			costs[i] = append(costs[i], c)
		}
	}
	return costs, nil
}

// spread is a median of several and how far they lie apart.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	s := slices.Sorted(slices.Values(values))
	return spread{s[len(s)/2], s[0], s[len(s)-1]}
}

func over(costs []cost, get func(cost) float64) spread {
	var v []float64
	for _, c := range costs {
		v = append(v, get(c))
	}
	return spreadOf(v)
}

// ratio of a to b round by round: both were measured within a second or so.
func ratio(a, b []cost, get func(cost) float64) spread {
	var v []float64
	for i := range a {
		v = append(v, get(a[i])/get(b[i]))
	}
	return spreadOf(v)
}

func getCPU(c cost) float64   { return c.cpu.Seconds() * 1000 }
func getWall(c cost) float64  { return c.wall.Seconds() * 1000 }
func getBytes(c cost) float64 { return c.bytes / 1024 }
