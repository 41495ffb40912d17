package model

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)

// pair is a model at rest.
func pair(t *testing.T, change func(*Config)) *Model {
	t.Helper()
	cfg := Config{Seed: 7}
	cfg.Timing.Background = -1
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg, epoch, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	m.Advance(time.Second)
	return m
}

func src(m *Model) *Instance { return m.PrimaryOf(Source) }
func tgt(m *Model) *Instance { return m.PrimaryOf(Target) }

func own(m *Model, i *Instance, db string) *Database {
	for _, d := range m.Snapshot(i).Seen {
		if d.Name == db {
			return d
		}
	}
	return nil
}

type client struct {
	t     *testing.T
	m     *Model
	next  int64
	acked map[int64]bool
}

// write inserts one row on an instance and advances until it is acknowledged, at most for d.
func (c *client) write(i *Instance, db string, d time.Duration) *Error {
	c.t.Helper()
	copy := i.Copy(db)
	tx := c.m.Begin(copy, 60, "INSERT")
	c.next++
	id := c.next
	if err := c.m.Insert(tx, []Row{{ID: id}}, true); err != nil {
		c.m.Rollback(tx)
		return err
	}
	answered, failed := false, (*Error)(nil)
	c.m.Commit(tx, func(e *Error) {
		answered, failed = true, e
		if e == nil {
			c.acked[id] = true
		}
	})
	for end := c.m.Now().Add(d); !answered && c.m.Now().Before(end); {
		c.m.Advance(time.Millisecond)
	}
	if !answered {
		return errf(-1, 0, "no answer within %s", d)
	}
	return failed
}

func newClient(t *testing.T, m *Model) *client {
	return &client{t: t, m: m, acked: map[int64]bool{}}
}

func ids(d *Database) map[int64]bool {
	out := map[int64]bool{}
	for _, r := range d.Ledger {
		out[r.ID] = true
	}
	return out
}

func must(t *testing.T, err *Error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func both(v Mode) []Member {
	return []Member{{Name: "OnPremAG", Mode: &v}, {Name: "AzureAG", Mode: &v}}
}

func s1(t *testing.T, m *Model, v Mode) {
	t.Helper()
	must(t, m.Execute(src(m), Statement{Verb: ModifyMembers, Group: "DAG", Members: both(v)}, true, 0))
	must(t, m.Execute(tgt(m), Statement{Verb: ModifyMembers, Group: "DAG", Members: both(v)}, true, 0))
	m.Advance(time.Second)
}

func linkState(m *Model) SyncState {
	d := own(m, src(m), "db001")
	if d.DAG == nil {
		return -1
	}
	return d.DAG.State
}

func TestAtRest(t *testing.T) {
	m := pair(t, nil)
	s, d := own(m, src(m), "db001"), own(m, tgt(m), "db001")
	if s.Own.Hardened != d.Own.Hardened || s.Own.EndOfLog != d.Own.EndOfLog {
		t.Fatalf("at rest the LSNs differ: %+v %+v", s.Own, d.Own)
	}
	if s.Own.Hardened.Block != s.Own.EndOfLog.Block+1 {
		t.Fatalf("hardened %s is not one block ahead of %s", s.Own.Hardened, s.Own.EndOfLog)
	}
	if linkState(m) != Synchronizing {
		t.Fatalf("async link reads %s", linkState(m))
	}
	s1(t, m, Sync)
	if linkState(m) != Synchronized {
		t.Fatalf("sync link reads %s", linkState(m))
	}
}

func TestOneSidedS1StaysSynchronizing(t *testing.T) {
	m := pair(t, nil)
	must(t, m.Execute(src(m), Statement{Verb: ModifyMembers, Group: "DAG", Members: both(Sync)}, true, 0))
	m.Advance(time.Second)
	if linkState(m) != Synchronizing {
		t.Fatalf("link reads %s", linkState(m))
	}
}

// cutover runs the documented order and a writer that stops only at the RSSTC step, for each combination of assumptions.
func TestCutoverLosesNothing(t *testing.T) {
	for n, a := range []Assumptions{{}, {RSSTCUnmetWaits: true, S2ShipsRollback: true}, {S2DrainsSendQueue: true, RSSTCTravels: true}, {ResumeAlways: true, SameForkAfterFailover: true}} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			// The link is slower than the writer: a commit that did not wait for it would be acknowledged and lost.
			m := pair(t, func(c *Config) { c.Assume = a; c.Link = LinkConfig{Latency: 5 * time.Millisecond, Bandwidth: 40_000} })
			w := newClient(t, m)
			for range 50 {
				must(t, w.write(src(m), "db001", time.Second))
			}
			s1(t, m, Sync)
			m.Advance(3 * time.Second)
			if linkState(m) != Synchronized {
				t.Fatalf("link reads %s", linkState(m))
			}
			for range 50 {
				must(t, w.write(src(m), "db001", time.Second))
			}
			must(t, m.Execute(src(m), Statement{Verb: SetRSSTC, Group: "dag", Value: 1}, true, 0))
			m.Advance(100 * time.Millisecond)
			must(t, w.write(src(m), "db001", time.Second))
			must(t, m.Execute(src(m), Statement{Verb: SetRole, Group: "DAG"}, true, 0))
			for w.write(src(m), "db001", time.Second) == nil { // the writer goes on until it is refused
			}
			m.Advance(2 * time.Second)
			if src(m).DAGRole() != Secondary || tgt(m).DAGRole() != Secondary {
				t.Fatalf("roles %s, %s", src(m).DAGRole(), tgt(m).DAGRole())
			}
			if own(m, src(m), "db001").DAG != nil {
				t.Fatal("the demoted side shows DAG rows")
			}
			a, b := own(m, src(m), "db001"), own(m, tgt(m), "db001")
			if a.Own.Hardened != b.Own.Hardened {
				t.Fatalf("LSNs %s and %s", a.Own.Hardened, b.Own.Hardened)
			}
			must(t, m.Execute(tgt(m), Statement{Verb: ForceFailover, Group: "DAG"}, true, 0))
			m.Advance(600 * time.Millisecond)
			d := own(m, tgt(m), "db001")
			if d.DAG == nil || d.DAG.State != NotSynchronizing || !d.DAG.Hardened.IsZero() {
				t.Fatalf("just after S3 the DAG row reads %+v", d.DAG)
			}
			m.Advance(time.Second)
			if a.Family == (GUID{}) || !d.Writable {
				t.Fatal("target not writable")
			}
			if m.cfg.Assume.RSSTCTravels { // the new primary's own copy stands in the way of its commits: the writer comes first
				must(t, m.Execute(tgt(m), Statement{Verb: SetRSSTC, Group: "DAG", Value: 0}, true, 0))
			}
			must(t, m.Execute(src(m), Statement{Verb: SetRSSTC, Group: "DAG", Value: 0}, true, 0))
			m.Advance(time.Second)
			for range 20 {
				must(t, w.write(tgt(m), "db001", 20*time.Second))
			}
			have := ids(own(m, tgt(m), "db001"))
			for id := range w.acked {
				if !have[id] {
					t.Fatalf("acknowledged row %d is gone", id)
				}
			}
			for _, c := range src(m).Copies() {
				m.Resume(c)
			}
			m.Advance(3 * time.Second)
			if a, b := own(m, src(m), "db001"), own(m, tgt(m), "db001"); len(a.Ledger) != len(b.Ledger) || a.Own.EndOfLog != b.Own.EndOfLog {
				t.Fatalf("the reversed flow has not caught up: %d rows at %s, %d at %s", len(a.Ledger), a.Own.EndOfLog, len(b.Ledger), b.Own.EndOfLog)
			}
		})
	}
}

func TestWayBack(t *testing.T) {
	m := pair(t, nil)
	w := newClient(t, m)
	s1(t, m, Sync)
	must(t, w.write(src(m), "db001", time.Second))
	must(t, m.Execute(src(m), Statement{Verb: SetRole, Group: "DAG"}, true, 0))
	m.Advance(time.Second)
	must(t, m.Execute(src(m), Statement{Verb: ForceFailover, Group: "DAG"}, true, 0))
	m.Advance(4 * time.Second)
	must(t, w.write(src(m), "db001", time.Second))
	if linkState(m) != Synchronized {
		t.Fatalf("link reads %s", linkState(m))
	}
}

func TestTooEarlyMakesTwoPrimariesAndLosesRows(t *testing.T) {
	m := pair(t, nil)
	w := newClient(t, m)
	must(t, w.write(src(m), "db001", time.Second))
	m.Advance(time.Second)
	m.Cut()
	for range 5 {
		must(t, w.write(src(m), "db001", time.Second)) // asynchronous: acknowledged, not shipped
	}
	must(t, m.Execute(tgt(m), Statement{Verb: ForceFailover, Group: "DAG"}, true, 0))
	m.Advance(2 * time.Second)
	m.Heal()
	m.Advance(2 * time.Second)
	if src(m).DAGRole() != Primary || tgt(m).DAGRole() != Primary || !own(m, src(m), "db001").Writable || !own(m, tgt(m), "db001").Writable {
		t.Fatal("not two primaries")
	}
	must(t, w.write(src(m), "db001", time.Second))
	must(t, w.write(tgt(m), "db001", time.Second))
	if n := len(own(m, tgt(m), "db001").Ledger); n != 2 {
		t.Fatalf("target has %d rows", n)
	}
	if own(m, src(m), "db001").Fork == own(m, tgt(m), "db001").Fork {
		t.Fatal("both on one recovery fork")
	}
	// the old primary is demoted: it has log that the new one has not, so it is suspended until RESUME, then loses it
	must(t, m.Execute(src(m), Statement{Verb: SetRole, Group: "DAG"}, true, 0))
	m.Advance(3 * time.Second)
	d := own(m, src(m), "db001")
	if !d.Suspended || d.Reason != SuspendPartner {
		t.Fatalf("diverged copy not suspended: %+v", d.Reason)
	}
	m.Resume(src(m).Copy("db001"))
	m.Advance(3 * time.Second)
	d = own(m, src(m), "db001")
	if len(d.Ledger) != 2 || d.Fork != own(m, tgt(m), "db001").Fork {
		t.Fatalf("after RESUME the old primary holds %d rows", len(d.Ledger))
	}
}

func TestOpenTransactionKeepsLSNsApart(t *testing.T) {
	m := pair(t, nil)
	s1(t, m, Sync)
	tx := m.Begin(src(m).Copy("db002"), 61, "")
	must(t, m.Insert(tx, []Row{{ID: 1}}, false))
	m.Advance(2 * time.Second)
	if open := own(m, src(m), "db002").Open; len(open) != 1 || open[0].First.IsZero() {
		t.Fatalf("open transactions: %+v", open)
	}
	must(t, m.Execute(src(m), Statement{Verb: SetRole, Group: "DAG"}, true, 0))
	m.Advance(5 * time.Second)
	a, b := own(m, src(m), "db002"), own(m, tgt(m), "db002")
	if a.Own.Hardened == b.Own.Hardened {
		t.Fatal("the rollback left the LSNs equal")
	}
	if tx.Lost() == nil || len(a.Open) != 0 {
		t.Fatal("the transaction lives on")
	}
	if x, y := own(m, src(m), "db001"), own(m, tgt(m), "db001"); x.Own.Hardened != y.Own.Hardened {
		t.Fatal("a database without open transaction is apart too")
	}
}

func TestSessionTimeoutDropsTheForwarder(t *testing.T) {
	m := pair(t, nil)
	s1(t, m, Sync)
	w := newClient(t, m)
	m.Cut()
	start := m.Now()
	must(t, w.write(src(m), "db001", time.Minute))
	if d := m.Now().Sub(start); d < 9*time.Second || d > 11*time.Second {
		t.Fatalf("the commit waited %s", d)
	}
	if linkState(m) != NotSynchronizing {
		t.Fatalf("link reads %s", linkState(m))
	}
	start = m.Now()
	must(t, w.write(src(m), "db001", time.Minute))
	if m.Now().Sub(start) > time.Second {
		t.Fatal("a dropped forwarder still holds commits")
	}
	m.Heal()
	m.Advance(3 * time.Second)
	if linkState(m) != Synchronized || len(own(m, tgt(m), "db001").Ledger) != 2 {
		t.Fatal("no catching up after the link came back")
	}
}

func TestRequiredSecondariesStopCommits(t *testing.T) {
	for _, waits := range []bool{false, true} {
		m := pair(t, func(c *Config) { c.Assume.RSSTCUnmetWaits = waits })
		s1(t, m, Sync)
		must(t, m.Execute(src(m), Statement{Verb: SetRSSTC, Group: "DAG", Value: 1}, true, 0))
		m.Advance(time.Second)
		w := newClient(t, m)
		must(t, w.write(src(m), "db001", time.Second))
		m.Cut()
		m.Advance(11 * time.Second)
		err := w.write(src(m), "db001", 30*time.Second)
		switch {
		case waits && (err == nil || err.Number != -1):
			t.Fatalf("commit did not wait: %v", err)
		case !waits && (err == nil || err.Number != 988):
			t.Fatalf("commit did not fail: %v", err)
		}
		must(t, m.Execute(src(m), Statement{Verb: SetRSSTC, Group: "DAG", Value: 0}, true, 0))
		m.Advance(time.Second)
		must(t, w.write(src(m), "db001", time.Second))
	}
}

func TestCrashBeforeTheFlushLeavesTheTargetAhead(t *testing.T) {
	m := pair(t, func(c *Config) { c.Sides[0].Instances = []InstanceConfig{{Flush: time.Second}} })
	tx := m.Begin(src(m).Copy("db001"), 60, "")
	must(t, m.Insert(tx, []Row{{ID: 1}}, true))
	m.Commit(tx, func(*Error) {})
	m.Advance(200 * time.Millisecond)
	m.Stop(src(m))
	if a, b := src(m).Copy("db001"), tgt(m).Copy("db001"); a.hardened >= b.hardened {
		t.Fatalf("source %d, target %d", a.hardened, b.hardened)
	}
	m.Start(src(m))
	m.Advance(5 * time.Second)
	if a, b := src(m).Copy("db001"), tgt(m).Copy("db001"); a.end != b.end || len(b.rows) != 0 {
		t.Fatalf("the target did not follow back: %d %d", a.end, b.end)
	}
}

func TestLogRollsOverAndStartsHigh(t *testing.T) {
	m := pair(t, func(c *Config) { c.Log = LogConfig{StartVLF: 10227, VLFBytes: 80 * 1024}; c.Sides[0].BlockBytes = 4096 })
	before := own(m, src(m), "db001").Own.EndOfLog
	if before.VLF < 10227 || own(m, src(m), "db001").Own.Hardened.Block-before.Block != 8 {
		t.Fatalf("end of log %s, hardened %s", before, own(m, src(m), "db001").Own.Hardened)
	}
	w := newClient(t, m)
	for range 40 {
		must(t, w.write(src(m), "db001", time.Second))
	}
	m.Advance(time.Second)
	after := own(m, src(m), "db001").Own.EndOfLog
	if after.VLF <= before.VLF {
		t.Fatalf("%s → %s", before, after)
	}
	if err := m.PlaceLog("db001", 42, 16+16); err != nil {
		t.Fatal(err)
	}
	if got := own(m, tgt(m), "db001").Own.EndOfLog; got.VLF != 42 || got.Block != 32 {
		t.Fatalf("placed log reads %s", got)
	}
}

func TestWrongStatements(t *testing.T) {
	m := pair(t, nil)
	sync := Sync
	for _, c := range []struct {
		name string
		on   *Instance
		st   Statement
		want int32
	}{
		{"S2 on the forwarder", tgt(m), Statement{Verb: SetRole, Group: "DAG"}, 41140},
		{"S3 on the primary", src(m), Statement{Verb: ForceFailover, Group: "DAG"}, 41122},
		{"plain failover", tgt(m), Statement{Verb: PlainFailover, Group: "DAG"}, 19504},
		{"S2 on the local AG", src(m), Statement{Verb: SetRole, Group: "OnPremAG"}, 19512},
		{"S1 on the local AG", src(m), Statement{Verb: ModifyMembers, Group: "OnPremAG"}, 19512},
		{"unknown DAG", src(m), Statement{Verb: ModifyMembers, Group: "X"}, 19510},
		{"unknown group", src(m), Statement{Verb: SetRole, Group: "X"}, 15151},
		{"unknown member", src(m), Statement{Verb: ModifyMembers, Group: "DAG", Members: []Member{{Name: "onpremag", Mode: &sync}}}, 19508},
	} {
		err := m.Execute(c.on, c.st, true, 0)
		if err == nil || err.Number != c.want {
			t.Errorf("%s: %v, want %d", c.name, err, c.want)
		}
	}
	if err := m.Execute(src(m), Statement{Verb: SetRole, Group: "DAG"}, false, 0); err == nil || err.Number != 15151 {
		t.Errorf("without sysadmin: %v", err)
	}
}

func TestThreeInstancesAndLocalFailover(t *testing.T) {
	m := pair(t, func(c *Config) {
		for i := range c.Sides {
			c.Sides[i].Instances = make([]InstanceConfig, 3)
		}
	})
	s1(t, m, Sync)
	w := newClient(t, m)
	must(t, w.write(src(m), "db001", time.Second))
	m.Advance(time.Second)
	if n := len(own(m, src(m), "db001").Replica); n != 2 {
		t.Fatalf("%d local secondaries", n)
	}
	old := src(m)
	must(t, m.Execute(m.Instances(Source)[2], Statement{Verb: PlainFailover, Group: "OnPremAG"}, true, 0))
	m.Advance(5 * time.Second)
	if src(m) == old || src(m).DAGRole() != Primary {
		t.Fatal("the primary did not move")
	}
	must(t, w.write(src(m), "db001", time.Second))
	m.Advance(2 * time.Second)
	for _, s := range []Side{Source, Target} {
		for _, i := range m.Instances(s) {
			if d := own(m, i, "db001"); len(d.Ledger) != 2 || d.State2 != Synchronized {
				t.Errorf("%s: %d rows, %s", i.ServerName(), len(d.Ledger), d.State2)
			}
		}
	}
}

func TestSameSeedSameRun(t *testing.T) {
	run := func() string {
		m := pair(t, func(c *Config) { c.Timing.Background = 3 * time.Second })
		m.SetLoad("db001", 200, 300)
		m.Advance(30 * time.Second)
		m.SetLoad("db001", 0, 0)
		m.Advance(2 * time.Second)
		a, b := own(m, src(m), "db001"), own(m, tgt(m), "db001")
		if a.Own.Hardened != b.Own.Hardened {
			t.Fatalf("not caught up: %s %s", a.Own.Hardened, b.Own.Hardened)
		}
		return a.Own.Hardened.String() + a.Fork.String() + fmt.Sprint(a.Writes)
	}
	if a, b := run(), run(); a != b {
		t.Fatalf("%s\n%s", a, b)
	}
}

func TestOlderTargetIsRefused(t *testing.T) {
	var cfg Config
	cfg.Sides[0].Instances = []InstanceConfig{{Major: 16}}
	cfg.Sides[1].Instances = []InstanceConfig{{Major: 15}}
	if _, err := New(cfg, time.Unix(0, 0), Hooks{}); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("a target older than the source: %v", err)
	}
}
