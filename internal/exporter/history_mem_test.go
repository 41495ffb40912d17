package exporter

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// watched remembers every reading that passed, without keeping it.
type watched struct {
	Reader
	mu   *sync.Mutex
	seen *[]traces
}

// traces are a reading's parts that lie apart in memory.
type traces struct {
	reading   weak.Pointer[hadr.Reading]
	databases weak.Pointer[hadr.Database]
	rows      weak.Pointer[hadr.Replica]
}

func (p traces) kept() bool {
	return p.reading.Value() != nil || p.databases.Value() != nil || p.rows.Value() != nil
}

func (w watched) Read(ctx context.Context, want sqlserver.Want) (*hadr.Reading, error) {
	r, err := w.Reader.Read(ctx, want)
	if r != nil {
		w.mu.Lock()
		*w.seen = append(*w.seen, traces{weak.Make(r), weak.Make(&r.Databases[0]), weak.Make(r.Databases[len(r.Databases)-1].Own)})
		w.mu.Unlock()
	}
	return r, err
}

// After a scrape nothing of its readings stays, neither in the history nor
// with the connections, while the page still has what it shows: with 200 DAGs
// of 50 databases the readings that stayed were more than half of the heap.
func TestNothingOfAReadingStays(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: model.Names(20)}}, "")
	r.Close() // its own exporter is not used
	var mu sync.Mutex
	var seen []traces
	text := "dags:\n- name: erp-prod\n  group: DAG\n  source: {ag: OnPremAG, instances: [" + quoted(r.lab.DSN(lab.Source)) +
		"]}\n  target: {ag: AzureAG, instances: [" + quoted(r.lab.DSN(lab.Target)) + "]}\n"
	e, err := New(Options{Load: func() (*config.Config, error) { return config.Parse([]byte(text), "mem.yml") },
		Open: func(o sqlserver.Options) (Reader, error) {
			s, err := sqlserver.Open(o)
			return watched{s, &mu, &seen}, err
		}, Timeout: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	b := &bench{Exporter: e}
	for range 3 {
		wantBody(t, b.do("GET", "/probe?target=erp-prod"), 200, `mssql_dag_up{dag="erp-prod",side="target"} 1`)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 6 {
		t.Fatalf("%d readings, want 2 of each probe", len(seen))
	}
	// The goroutine of a reading may still be on its way out.
	for range 200 {
		if !slices.ContainsFunc(seen, traces.kept) {
			break
		}
		runtime.GC()
	}
	for i, p := range seen {
		if p.kept() {
			t.Errorf("something of reading %d is still held", i)
		}
	}
	wantBody(t, b.do("GET", "/"), 200, "20 databases", "db001")
	runtime.KeepAlive(e)
}

// A glance at a scrape holds what the page shows of it: the worst databases,
// worst first, and no way back to a side's own rows.
func TestGlance(t *testing.T) {
	s := &collector.Snapshot{
		DAG:    "erp",
		Source: collector.SideResult{Reason: collector.ReasonNone, Duration: 3 * time.Millisecond, Reading: &hadr.Reading{Identity: hadr.Identity{ServerName: "SQL1"}, DAG: hadr.Group{Role: hadr.RolePrimary}, Local: hadr.Group{Name: "OnPremAG"}}},
		Target: collector.SideResult{Reason: string(sqlserver.ReasonRefused)},
		Convergence: hadr.Convergence{State: hadr.StateBehind, Level: hadr.LevelKnown, Reason: "db007 lags", Direction: hadr.DirectionSourceToTarget,
			Skew: hadr.Some(5 * time.Millisecond)},
	}
	for i := range 12 {
		d := hadr.DatabaseConvergence{Name: fmt.Sprintf("db%03d", i), State: hadr.StateCaughtUp, Level: hadr.LevelCaughtUp, Source: &hadr.Database{}, Target: &hadr.Database{},
			SourceEndOfLog: hadr.LSN{VLF: 1, Block: 2, Slot: 3}, TargetHardened: hadr.LSN{VLF: 4, Block: 5, Slot: 6}}
		if i == 7 || i == 9 {
			d.State, d.Level, d.Reason = hadr.StateBehind, hadr.LevelKnown, "lags"
		}
		s.Convergence.Databases = append(s.Convergence.Databases, d)
	}
	g := glanceAt(s)
	var names []string
	for i := range g.Convergence.Databases {
		d := &g.Convergence.Databases[i]
		names = append(names, d.Name)
		if d.Source != nil || d.Target != nil {
			t.Errorf("%s leads to the whole reading", d.Name)
		}
	}
	if want := []string{"db007", "db009", "db000", "db001", "db002"}; !slices.Equal(names, want) {
		t.Errorf("keeps %v, want %v", names, want)
	}
	if d := g.Convergence.Databases[0]; d.Reason != "lags" || d.SourceEndOfLog.VLF != 1 || d.TargetHardened.VLF != 4 {
		t.Errorf("lost what is shown of a database: %+v", d)
	}
	if g.databases != 12 || g.Convergence.Reason != "db007 lags" || g.Convergence.State != hadr.StateBehind || g.Convergence.Level != hadr.LevelKnown ||
		g.Convergence.Direction != hadr.DirectionSourceToTarget || g.Convergence.Skew != hadr.Some(5*time.Millisecond) {
		t.Errorf("lost what is shown of the DAG: %+v", g)
	}
	want := []pageSide{{Side: hadr.Source, Reason: "none", Up: true, Role: hadr.RolePrimary, Server: "SQL1", AG: "OnPremAG", Took: "3ms"},
		{Side: hadr.Target, Reason: "refused", Took: "0s"}}
	if !slices.Equal(g.sides, want) {
		t.Errorf("sides %+v, want %+v", g.sides, want)
	}
	if s.Convergence.Databases[0].Source == nil || s.Convergence.Databases[0].Name != "db000" {
		t.Error("what is served was changed")
	}
}
