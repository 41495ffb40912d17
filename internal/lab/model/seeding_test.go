package model

import (
	"slices"
	"testing"
	"time"
)

func last(m *Model, i *Instance) SeedingView {
	s := m.Snapshot(i).Seedings
	if len(s) == 0 {
		return SeedingView{State: "none"}
	}
	return s[len(s)-1]
}

// TestSeedingTakesWhatTheLinkGives: the database is missing while it is copied, progress and rate are the link's, and what was written
// meanwhile is there in the end.
func TestSeedingTakesWhatTheLinkGives(t *testing.T) {
	m := pair(t, func(c *Config) { c.Link = LinkConfig{Latency: time.Millisecond, Bandwidth: 1_000_000} })
	must(t, m.Seed(tgt(m).Copy("db001"), 10_000_000, -1))
	refused(t, "a second one at the same time", m.Seed(tgt(m).Copy("db001"), 0, -1), 19505)
	m.Advance(4 * time.Second)
	c := newClient(t, m)
	if err := c.write(src(m), "db001", time.Second); err != nil {
		t.Fatal(err)
	}
	for _, i := range []*Instance{src(m), tgt(m)} {
		s := last(m, i)
		if s.State != SeedingTransfer || !s.Performed || s.Moved < 3_500_000 || s.Moved > 5_000_000 || s.Rate < 900_000 || s.Rate > 1_000_000 || s.Size != 10_000_000 {
			t.Errorf("%s: %+v", i.ServerName(), s)
		}
		if s.Source != (i == src(m)) || !s.Done.IsZero() || s.Operation == s.RemoteOp {
			t.Errorf("%s: %+v", i.ServerName(), s)
		}
	}
	if a, b := last(m, src(m)), last(m, tgt(m)); a.Operation != b.RemoteOp || a.RemoteOp != b.Operation || a.Group != b.Group {
		t.Errorf("%+v and %+v do not belong together", a, b)
	}
	if d := own(m, tgt(m), "db001"); d.Joined || d.Listed || d.State != DBRestoring {
		t.Errorf("meanwhile: joined %v listed %v %s", d.Joined, d.Listed, d.State)
	}
	m.Advance(20 * time.Second)
	if s := last(m, src(m)); s.State != SeedingCompleted || s.Done.IsZero() || s.Moved != s.Size {
		t.Errorf("%+v", s)
	}
	if d := own(m, tgt(m), "db001"); !d.Joined || !d.Listed || d.State != DBOnline || len(d.Ledger) != 1 {
		t.Errorf("joined %v listed %v %s, %d rows", d.Joined, d.Listed, d.State, len(d.Ledger))
	}
	s1(t, m, Sync)
	if got := linkState(m); got != Synchronized {
		t.Errorf("the link is %s", got)
	}
	if a, b := own(m, src(m), "db001"), own(m, tgt(m), "db001"); a.Own.Hardened != b.Own.Hardened || a.Fork != b.Fork || a.Family != b.Family {
		t.Error("the copy is another database")
	}
}

// TestSeedingFails: as it was told to, when the path is gone for longer than a session, when the source loses its role, when somebody
// sets MANUAL, and into a newer version. The database is not there afterwards; another one brings it.
func TestSeedingFails(t *testing.T) {
	for _, c := range []struct {
		what   string
		fails  int
		do     func(*Model)
		reason string
		code   int32
	}{
		{"told", 15, func(*Model) {}, "Seeding", 0},
		{"told, on the target", 223, func(*Model) {}, "Database With Name Already Exists", 0},
		{"cut", -1, func(m *Model) { m.Cut() }, "Transport", 0},
		{"S2", -1, func(m *Model) { must(t, m.Execute(src(m), Statement{Verb: SetRole, Group: "DAG"}, true, 0)) }, "Primary Failure", 0},
		{"MANUAL", -1, func(m *Model) {
			must(t, m.Execute(src(m), Statement{Verb: ModifyMembers, Group: "DAG", Members: []Member{{Name: "AzureAG", Seeding: "MANUAL"}}}, true, 0))
		}, "User Cancellation", 0},
		{"removed", -1, func(m *Model) { must(t, m.Execute(src(m), database(RemoveDatabase, "OnPremAG", "db001"), true, 0)) }, "User Cancellation", 0},
		{"newer", -1, func(*Model) {}, "SQL Error", 946},
	} {
		m := pair(t, func(cfg *Config) {
			cfg.Link = LinkConfig{Latency: time.Millisecond, Bandwidth: 1_000_000}
			if c.what == "newer" {
				cfg.Sides[Source].Instances = []InstanceConfig{{Major: 13}}
			}
		})
		must(t, m.Seed(tgt(m).Copy("db001"), 10_000_000, c.fails))
		m.Advance(time.Second)
		c.do(m)
		m.Advance(20 * time.Second)
		if s := last(m, src(m)); s.State != SeedingFailed || s.Reason != c.reason || s.Done.IsZero() || s.Code != c.code {
			t.Errorf("%s: %+v", c.what, s)
		}
		if d := own(m, tgt(m), "db001"); d.Joined || d.State != DBRestoring {
			t.Errorf("%s: joined %v, %s", c.what, d.Joined, d.State)
		}
	}
	if _, known := SeedingReason(26); known {
		t.Error("26 is documented nowhere")
	}
}

// TestSeedingWaitsForAShortBreak: less than a session's timeout is no failure.
func TestSeedingWaitsForAShortBreak(t *testing.T) {
	m := pair(t, func(c *Config) { c.Link = LinkConfig{Latency: time.Millisecond, Bandwidth: 1_000_000} })
	must(t, m.Seed(tgt(m).Copy("db001"), 5_000_000, -1))
	m.Advance(2 * time.Second)
	m.Cut()
	m.Advance(5 * time.Second)
	at := last(m, src(m)).Moved
	m.Heal()
	m.Advance(20 * time.Second)
	if s := last(m, src(m)); at >= 5_000_000 || s.State != SeedingCompleted {
		t.Errorf("%d bytes when it broke, %+v", at, s)
	}
}

// TestSeedingModeManual: what is added then is not seeded, until it is AUTOMATIC again; then a copy that can follow only catches up.
func TestSeedingModeManual(t *testing.T) {
	m := pair(t, nil)
	mode := func(to string) {
		run(t, m, src(m), Statement{Verb: ModifyMembers, Group: "DAG", Members: []Member{{Name: "AzureAG", Seeding: to}}})
	}
	mode("MANUAL")
	if d := m.Snapshot(src(m)).DAG; !d.Members[Target].Manual || d.Members[Source].Manual || m.Snapshot(tgt(m)).DAG.Members[Target].Manual {
		t.Error("the mode is another copy's")
	}
	must(t, m.Off(tgt(m).Copy("db001")))
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db001"))
	run(t, m, src(m), database(AddDatabase, "OnPremAG", "db001"))
	m.Advance(time.Minute)
	if got := history(m, src(m)); len(got) != 0 {
		t.Errorf("seeded all the same: %q", got)
	}
	mode("AUTOMATIC")
	m.Advance(time.Minute)
	if got := history(m, src(m)); !slices.Equal(got, []string{SeedingCompleted}) || last(m, src(m)).Performed {
		t.Errorf("%q, streamed %v", got, last(m, src(m)).Performed)
	}
	if !own(m, tgt(m), "db001").Joined {
		t.Error("it is not back")
	}
}

// TestSeedingOfASecondary goes over its own side's path, and of what the log has no longer the whole is copied.
func TestSeedingOfASecondary(t *testing.T) {
	m := pair(t, twoEach)
	second := m.Instances(Source)[1].Copy("db001")
	must(t, m.Seed(second, 0, -1))
	m.Advance(time.Minute)
	if s := last(m, second.inst); s.State != SeedingCompleted || s.DAG || s.Source || s.Size != DataBytes {
		t.Errorf("%+v", s)
	}
	must(t, m.Off(second))
	c := newClient(t, m)
	for range 600 { // more than the log keeps for nobody
		if err := c.write(src(m), "db001", time.Second); err != nil {
			t.Fatal(err)
		}
		if len(c.acked)%100 == 0 {
			must(t, m.Checkpoint(src(m).Copy("db001")))
			m.Advance(time.Second)
			m.Snapshot(src(m))
		}
	}
	refused(t, "joined by hand", m.Join(second, "OnPremAG"), 1412)
	m.seedLocal(src(m).Copy("db001"))
	m.Advance(time.Minute)
	if s := last(m, second.inst); s.State != SeedingCompleted || !s.Performed {
		t.Errorf("%+v", s)
	}
	if d := own(m, second.inst, "db001"); !d.Joined || len(d.Ledger) != 600 {
		t.Errorf("joined %v, %d rows", d.Joined, len(d.Ledger))
	}
}
