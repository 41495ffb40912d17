//go:build accept

package exporter

import (
	"context"
	"database/sql"
	"flag"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

var soakScrapes = flag.Int("soak.scrapes", 10_000, "how many scrapes the soak makes")

// usage of the process while nothing is under way. The lab runs in it too,
// which makes the test stricter, not weaker.
type usage struct {
	scrapes, goroutines int
	heap                uint64
	connections         [2]int
}

// Many scrapes of servers that misbehave in every way the lab knows: nothing
// piles up, and after each fault both sides are read again.
func TestSoak(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001", "db002"}}}, "")
	r.Close() // its own exporter is not used
	text := "dags:\n- name: erp-prod\n  group: DAG\n  source: {ag: OnPremAG, instances: [" + quoted(r.lab.DSN(lab.Source)) +
		"]}\n  target: {ag: AzureAG, instances: [" + quoted(r.lab.DSN(lab.Target)) + "]}\n"
	e, err := New(Options{Load: func() (*config.Config, error) { return config.Parse([]byte(text), "soak.yml") },
		Open: func(o sqlserver.Options) (Reader, error) {
			o.HungHold, o.DialTimeout = 50*time.Millisecond, time.Second
			return sqlserver.Open(o)
		}, Timeout: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s := &soak{rig: &rig{e, r.lab, r.control}, rand: rand.New(rand.NewPCG(1, 2)), seen: map[string]int{}}
	for i := range s.monitor {
		s.monitor[i] = s.open(t, lab.Side(i))
	}
	s.recover(t)

	const checkpoints = 10
	var used []usage
	next := 1
	for s.scrapes < *soakScrapes {
		s.fault(t)
		for range 80 {
			s.once(t)
		}
		if s.scrapes >= next**soakScrapes/checkpoints {
			next = s.scrapes*checkpoints / *soakScrapes + 1
			used = append(used, s.measure(t))
		}
	}
	for _, u := range used {
		t.Logf("%6d scrapes: %3d goroutines, %5d KiB heap, connections %v", u.scrapes, u.goroutines, u.heap>>10, u.connections)
	}
	t.Logf("reasons seen: %v", s.seen)
	for _, reason := range []string{"timeout", "refused", "login"} {
		if s.seen[reason] == 0 {
			t.Errorf("the faults did not lead to %s even once: they test nothing", reason)
		}
	}
	first, last := used[0], used[len(used)-1]
	if len(used) < 3 {
		t.Fatalf("%d checkpoints are too few: more scrapes", len(used))
	}
	if last.goroutines > first.goroutines+5 {
		t.Errorf("goroutines grow: %d, then %d", first.goroutines, last.goroutines)
	}
	if last.heap > first.heap+first.heap/4+2<<20 {
		t.Errorf("memory grows: %d KiB, then %d KiB", first.heap>>10, last.heap>>10)
	}
	for _, u := range used {
		if u.connections != [2]int{1, 1} {
			t.Errorf("after %d scrapes %v connections, want one to each instance", u.scrapes, u.connections)
		}
	}
}

type soak struct {
	*rig
	rand    *rand.Rand
	scrapes int
	kind    int
	seen    map[string]int // reasons
	monitor [2]*sql.DB
}

func (s *soak) open(t *testing.T, side lab.Side) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlserver", s.lab.DSN(side)+"&app+name=soak")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxIdleConns(0) // none of its own at a checkpoint
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// once is a scrape; it reports whether both sides were read.
func (s *soak) once(t *testing.T) bool {
	t.Helper()
	s.scrapes++
	got := s.scrape(t, "/probe?target=erp-prod")
	for series, v := range got {
		if rest, ok := strings.CutPrefix(series, `mssql_dag_scrape_error{dag="erp-prod",reason="`); ok && v == 1 {
			reason, _, _ := strings.Cut(rest, `"`)
			s.seen[reason]++
		}
	}
	return got[`mssql_dag_up{dag="erp-prod",side="source"}`] == 1 && got[`mssql_dag_up{dag="erp-prod",side="target"}`] == 1
}

// fault does something to one side, lets some scrapes feel it, undoes it, and
// waits for both sides to be read again.
func (s *soak) fault(t *testing.T) {
	t.Helper()
	side := lab.Side(s.rand.IntN(2))
	undo := func() error { return nil }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	arm := func(f lab.Fault) {
		f.Side, f.Class, f.Times = side.String(), "any", 1
		_, err := s.control.Fault(f)
		must(err)
	}
	s.kind++
	switch s.kind % 9 {
	case 0:
		arm(lab.Fault{LoseAnswer: "after", Hang: true})
	case 1:
		arm(lab.Fault{LoseAnswer: "before", Reset: true})
	case 2:
		arm(lab.Fault{CutAfter: 1 + s.rand.IntN(4000)})
	case 3:
		arm(lab.Fault{LoseAnswer: "after"})
	case 4:
		arm(lab.Fault{DelayAnswer: lab.Duration(time.Duration(s.rand.IntN(400)) * time.Millisecond)})
	case 5:
		must(s.control.RefuseLogins(side, 0, true))
		arm(lab.Fault{LoseAnswer: "before", Reset: true}) // an open session is not refused
		undo = func() error { return s.control.RefuseLogins(side, 0, false) }
	case 6:
		must(s.control.Freeze(side, 0))
		undo = func() error { return s.control.Unfreeze(side, 0) }
	case 7:
		must(s.control.Stop(side, 0))
		undo = func() error { return s.control.Start(side, 0) }
	case 8:
		must(s.control.ClientLatency(side, 0, 300*time.Millisecond))
		undo = func() error { return s.control.ClientLatency(side, 0, 0) }
	}
	for range 3 {
		s.once(t)
	}
	must(undo())
	s.control.ClearFaults()
	s.recover(t)
}

func (s *soak) recover(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !s.once(t); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after fault %d of scrape %d the sides are not read again: %v", s.kind%9, s.scrapes, s.seen)
		}
	}
}

// measure what is in use. A connection that was dropped is gone when the lab
// has noticed it, so the count is asked for until it is right.
func (s *soak) measure(t *testing.T) usage {
	t.Helper()
	var u usage
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for i, db := range s.monitor {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE program_name = N'dag_exporter'").Scan(&u.connections[i])
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
		if u.connections == [2]int{1, 1} || time.Now().After(end) {
			break
		}
	}
	time.Sleep(100 * time.Millisecond) // what ends, ends
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.scrapes, u.goroutines, u.heap = s.scrapes, runtime.NumGoroutine(), m.HeapAlloc
	return u
}
