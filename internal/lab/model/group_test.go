package model

import (
	"slices"
	"testing"
	"time"
)

// run accepts a statement as sysadmin and lets it take effect.
func run(t *testing.T, m *Model, i *Instance, st Statement) {
	t.Helper()
	must(t, m.Execute(i, st, true, 0))
	m.Advance(time.Second)
}

func refused(t *testing.T, what string, err *Error, number int32) {
	t.Helper()
	if err == nil || err.Number != number {
		t.Errorf("%s: %v, want %d", what, err, number)
	}
}

func database(verb Verb, group, name string) Statement {
	return Statement{Verb: verb, Group: group, Database: name}
}

// history are the states and reasons of an instance's seedings, oldest first.
func history(m *Model, i *Instance) (out []string) {
	for _, s := range m.Snapshot(i).Seedings {
		line := s.State
		if s.Failure >= 0 {
			line += " " + s.Reason
		}
		out = append(out, line)
	}
	return out
}

func twoEach(c *Config) {
	for i := range c.Sides {
		c.Sides[i].Instances = make([]InstanceConfig, 2)
	}
}

// TestRemovedDatabaseGoesOnByItself: on the global primary it stays writable and commits wait for nobody, on its secondaries it is
// RESTORING, on the other side the group holds it still; the log is held by none of them.
func TestRemovedDatabaseGoesOnByItself(t *testing.T) {
	m := pair(t, func(c *Config) { twoEach(c); c.DAGMode = Sync })
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db002"))
	secondary := m.Instances(Source)[1]
	for _, want := range []struct {
		i              *Instance
		joined, listed bool
		state          DBState
	}{{src(m), false, false, DBOnline}, {secondary, false, false, DBRestoring}, {tgt(m), true, true, DBOnline}, {m.Instances(Target)[1], true, true, DBOnline}} {
		if d := own(m, want.i, "db002"); d.Joined != want.joined || d.Listed != want.listed || d.State != want.state {
			t.Errorf("%s: joined %v listed %v %s, want %+v", want.i.ServerName(), d.Joined, d.Listed, d.State, want)
		}
	}
	refused(t, "reading the secondary's", secondary.Copy("db002").CanRead(), 927)
	run(t, m, src(m), Statement{Verb: SetRSSTC, Group: "DAG", Value: 1}) // nothing to it: it has no secondary that could be required
	m.Cut()
	m.Advance(time.Minute)
	c := newClient(t, m)
	for range 20 {
		if err := c.write(src(m), "db002", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	must(t, m.Checkpoint(src(m).Copy("db002")))
	m.Advance(time.Second)
	if d := own(m, src(m), "db002"); d.ReuseWait != "NOTHING" || len(d.Ledger) != 20 {
		t.Errorf("%d rows, the log waits for %s", len(d.Ledger), d.ReuseWait)
	}
	if d := own(m, tgt(m), "db002"); len(d.Ledger) != 0 {
		t.Errorf("%d rows on the other side", len(d.Ledger))
	}
	if d := own(m, src(m), "db001"); !d.Joined || d.DAG == nil {
		t.Error("db001 went with it")
	}
}

// TestGroupStatementsAreRefused: the documented numbers.
func TestGroupStatementsAreRefused(t *testing.T) {
	m := pair(t, twoEach)
	secondary := m.Instances(Source)[1]
	for _, c := range []struct {
		what   string
		i      *Instance
		st     Statement
		number int32
	}{
		{"unknown", src(m), database(RemoveDatabase, "OnPremAG", "nothing"), 35281},
		{"on a secondary", secondary, database(RemoveDatabase, "OnPremAG", "db001"), 41140},
		{"on the forwarder", tgt(m), database(RemoveDatabase, "AzureAG", "db001"), 41190},
		{"from the distributed group", src(m), database(RemoveDatabase, "DAG", "db001"), 41190},
		{"from no group", src(m), database(RemoveDatabase, "AzureAG", "db001"), 15151},
		{"add what is there", src(m), database(AddDatabase, "OnPremAG", "db001"), 35280},
		{"add what does not exist", src(m), database(AddDatabase, "OnPremAG", "nothing"), 35238},
		{"add a system database", src(m), database(AddDatabase, "OnPremAG", "Master"), 35249},
		{"add on a secondary", secondary, database(AddDatabase, "OnPremAG", "db001"), 41140},
	} {
		refused(t, c.what, m.Execute(c.i, c.st, true, 0), c.number)
	}
	refused(t, "OFF on the global primary", m.Off(src(m).Copy("db001")), 35240)
	refused(t, "joined already", m.Join(tgt(m).Copy("db001"), "DAG"), 41145)
	refused(t, "no such group", m.Join(tgt(m).Copy("db001"), "nothing"), 41044)

	must(t, m.Off(tgt(m).Copy("db001")))
	refused(t, "add on the forwarder", m.Execute(tgt(m), database(AddDatabase, "AzureAG", "db001"), true, 0), 41190)
	for what, got := range map[string]*Error{"OFF twice": m.Off(tgt(m).Copy("db001")), "SUSPEND": m.Suspended(tgt(m).Copy("db001")), "RESUME": m.Resumed(tgt(m).Copy("db001"))} {
		refused(t, what, got, 35242)
	}
	refused(t, "the forwarder joins its own group", m.Join(tgt(m).Copy("db001"), "AzureAG"), 35240)
	refused(t, "its secondary joins first", m.Join(m.Instances(Target)[1].Copy("db001"), "AzureAG"), 35279)
	m.Cut()
	m.Advance(time.Minute)
	refused(t, "without a link", m.Join(tgt(m).Copy("db001"), "DAG"), 35250)
	m.Heal()
	m.Advance(time.Minute)
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db001"))
	refused(t, "the primary does not have it", m.Join(tgt(m).Copy("db001"), "DAG"), 35279)
	refused(t, "removed twice", m.Execute(src(m), database(RemoveDatabase, "OnPremAG", "db001"), true, 0), 35281)
}

// TestUnjoinedSecondaryIsNoFailoverTarget: 41142 until it has joined again, and it catches up then.
func TestUnjoinedSecondaryIsNoFailoverTarget(t *testing.T) {
	m := pair(t, twoEach)
	secondary := m.Instances(Source)[1]
	must(t, m.Off(secondary.Copy("db001")))
	c := newClient(t, m)
	if err := c.write(src(m), "db001", time.Second); err != nil {
		t.Fatal(err)
	}
	m.Advance(5 * time.Second)
	if d := own(m, secondary, "db001"); d.Joined || !d.Listed || d.State != DBRestoring || len(d.Ledger) != 0 {
		t.Errorf("joined %v listed %v %s, %d rows", d.Joined, d.Listed, d.State, len(d.Ledger))
	}
	for _, r := range own(m, src(m), "db001").Replica {
		if r.ReplicaID == secondary.ReplicaID && (r.Joined || r.State != NotSynchronizing) {
			t.Errorf("its primary shows %+v", r)
		}
	}
	plain := Statement{Verb: PlainFailover, Group: "OnPremAG"}
	refused(t, "failover", m.Execute(secondary, plain, true, 0), 41142)
	must(t, m.Join(secondary.Copy("db001"), "onpremag"))
	m.Advance(5 * time.Second)
	if d := own(m, secondary, "db001"); !d.Joined || d.State != DBOnline || d.State2 != Synchronized || len(d.Ledger) != 1 {
		t.Errorf("joined %v %s %s, %d rows", d.Joined, d.State, d.State2, len(d.Ledger))
	}
	run(t, m, secondary, plain)
	if m.PrimaryOf(Source) != secondary {
		t.Error("it did not take over")
	}
}

// TestAddedDatabaseIsInTheWay is the runbook: removed and added again, its seeding fails because the other side holds it still; taken
// out there too, SEEDING_MODE = AUTOMATIC seeds it, and the secondaries of both sides with it.
func TestAddedDatabaseIsInTheWay(t *testing.T) {
	m := pair(t, twoEach)
	c := newClient(t, m)
	before := own(m, src(m), "db002").Group
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db002"))
	if err := c.write(src(m), "db002", time.Second); err != nil {
		t.Fatal(err)
	}
	run(t, m, src(m), database(AddDatabase, "OnPremAG", "db002"))
	m.Advance(5 * time.Second)
	if got := history(m, src(m)); !slices.Equal(got, []string{"COMPLETED", "FAILED Database With Name Already Exists"}) {
		t.Errorf("on the source %q", got)
	}
	if got := history(m, tgt(m)); !slices.Equal(got, []string{"FAILED Database With Name Already Exists"}) {
		t.Errorf("on the target %q", got)
	}
	if d := own(m, src(m), "db002"); !d.Joined || d.Group == before || d.DAG == nil || d.DAG.Joined || d.DAG.State != NotSynchronizing {
		t.Errorf("on the source: %+v", d.DAG)
	}
	if n := len(own(m, m.Instances(Source)[1], "db002").Ledger); n != 1 {
		t.Errorf("%d rows on the source's secondary", n)
	}
	must(t, m.Off(tgt(m).Copy("db002")))
	if d := own(m, m.Instances(Target)[1], "db002"); d.Joined || d.Listed {
		t.Error("the forwarder's secondary holds it still")
	}
	run(t, m, src(m), Statement{Verb: ModifyMembers, Group: "DAG", Members: []Member{{Name: "AzureAG", Seeding: "AUTOMATIC"}}})
	m.Advance(30 * time.Second)
	for _, i := range []*Instance{tgt(m), m.Instances(Target)[1]} {
		if d := own(m, i, "db002"); !d.Joined || !d.Listed || d.State != DBOnline || len(d.Ledger) != 1 {
			t.Errorf("%s: joined %v listed %v %s, %d rows", i.ServerName(), d.Joined, d.Listed, d.State, len(d.Ledger))
		}
	}
	s1(t, m, Sync)
	if got := linkState(m); got != Synchronized {
		t.Errorf("the link is %s", got)
	}
	if a, b := own(m, src(m), "db002"), own(m, tgt(m), "db002"); a.Own.Hardened != b.Own.Hardened || a.Fork != b.Fork {
		t.Errorf("%v %v, %v %v", a.Own.Hardened, b.Own.Hardened, a.Fork, b.Fork)
	}
}

// TestRemovedDatabaseAndTheCutover: the database that is alone on the source is untouched by S2 and S3; the target's copy goes with its
// group.
func TestRemovedDatabaseAndTheCutover(t *testing.T) {
	m := pair(t, nil)
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db002"))
	tx := m.Begin(src(m).Copy("db002"), 60, "open")
	must(t, m.Insert(tx, []Row{{ID: -1}}, false))
	run(t, m, src(m), Statement{Verb: SetRole, Group: "DAG"})
	if tx.Lost() != nil {
		t.Errorf("a transaction of a database that left was lost: %v", tx.Lost())
	}
	c := newClient(t, m)
	if err := c.write(src(m), "db002", time.Second); err != nil {
		t.Error("the database that left is not writable after S2:", err)
	}
	refused(t, "the one that did not", c.write(src(m), "db001", time.Second), 3906)
	run(t, m, tgt(m), Statement{Verb: ForceFailover, Group: "DAG"})
	m.Advance(5 * time.Second)
	for _, i := range []*Instance{src(m), tgt(m)} {
		if err := c.write(i, "db002", time.Second); err != nil {
			t.Errorf("%s: %v", i.ServerName(), err)
		}
	}
	m.Stop(src(m))
	m.Start(src(m))
	m.Advance(5 * time.Second)
	if d := own(m, src(m), "db002"); d.Joined || !d.Writable || len(d.Ledger) != 2 {
		t.Errorf("after a restart: joined %v writable %v, %d rows", d.Joined, d.Writable, len(d.Ledger))
	}
}

// TestListenerURL: each side has its own copy; the wrong one on the primary stops the link when it is lost, and not before.
func TestListenerURL(t *testing.T) {
	m := pair(t, nil)
	url := func(i *Instance) string { return m.Snapshot(i).DAG.Members[Target].URL }
	good := url(src(m))
	set := func(i *Instance, to string) {
		t.Helper()
		run(t, m, i, Statement{Verb: ModifyMembers, Group: "DAG", Members: []Member{{Name: "AzureAG", URL: to}}})
	}
	set(tgt(m), "tcp://elsewhere:5022")
	if url(tgt(m)) != "tcp://elsewhere:5022" || url(src(m)) != good {
		t.Errorf("target %s, source %s", url(tgt(m)), url(src(m)))
	}
	set(src(m), "tcp://elsewhere:5022")
	connected := func() bool { return m.Snapshot(src(m)).DAG.Connected }
	if !connected() {
		t.Error("the link is gone at once")
	}
	m.Cut()
	m.Advance(time.Minute)
	m.Heal()
	m.Advance(time.Minute)
	if connected() {
		t.Error("it connects to an address where nobody is")
	}
	set(src(m), good)
	m.Advance(time.Minute)
	if !connected() {
		t.Error("it does not come back")
	}
}

// TestWhoLeftStaysWhereItWas through every change of roles: what is RESTORING on the target does not open with its group, what goes on
// by itself does not move with a local failover.
func TestWhoLeftStaysWhereItWas(t *testing.T) {
	m := pair(t, twoEach)
	out, first := tgt(m).Copy("db001"), src(m)
	must(t, m.Off(out))
	run(t, m, first, database(RemoveDatabase, "OnPremAG", "db002"))
	c := newClient(t, m)
	check := func(when string) {
		t.Helper()
		m.Advance(5 * time.Second)
		if d := own(m, out.inst, "db001"); d.Joined || d.State != DBRestoring || d.Writable {
			t.Errorf("after %s: db001 on the target is joined %v, %s, writable %v", when, d.Joined, d.State, d.Writable)
		}
		refused(t, "reading it", out.CanRead(), 927)
		if err := c.write(first, "db002", time.Second); err != nil {
			t.Errorf("after %s: db002 on the source: %v", when, err)
		}
		if d := own(m, m.Instances(Source)[1], "db002"); d.Joined || d.State != DBRestoring {
			t.Errorf("after %s: db002 on the source's secondary is joined %v, %s", when, d.Joined, d.State)
		}
	}
	tx := m.Begin(first.Copy("db002"), 60, "open")
	must(t, m.Insert(tx, []Row{{ID: -1}}, false))
	run(t, m, m.Instances(Source)[1], Statement{Verb: PlainFailover, Group: "OnPremAG"})
	check("a local failover")
	run(t, m, src(m), Statement{Verb: SetRole, Group: "DAG"})
	check("S2")
	run(t, m, tgt(m), Statement{Verb: ForceFailover, Group: "DAG"})
	check("S3")
	if tx.Lost() != nil {
		t.Errorf("a transaction of a database that left was lost: %v", tx.Lost())
	}
	m.Stop(out.inst)
	m.Start(out.inst)
	check("a restart")
	run(t, m, tgt(m), Statement{Verb: DropGroup, Group: "DAG"})
	check("DROP")
}

// TestRemovedDatabaseComesFromTheOtherSide: removed on the source, kept by the target's group and so by the distributed one after S3, it
// is seeded back to where it is RESTORING; and one that is primary again finds the other side's in the way.
func TestRemovedDatabaseComesFromTheOtherSide(t *testing.T) {
	failover := func(m *Model, from, to Side) {
		run(t, m, m.PrimaryOf(from), Statement{Verb: SetRole, Group: "DAG"})
		run(t, m, m.PrimaryOf(to), Statement{Verb: ForceFailover, Group: "DAG"})
		m.Advance(10 * time.Second)
	}
	m := pair(t, twoEach)
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db002"))
	run(t, m, m.Instances(Source)[1], Statement{Verb: PlainFailover, Group: "OnPremAG"})
	failover(m, Source, Target)
	run(t, m, tgt(m), Statement{Verb: ModifyMembers, Group: "DAG", Members: []Member{{Name: "OnPremAG", Seeding: "AUTOMATIC"}}})
	m.Advance(30 * time.Second)
	c := newClient(t, m)
	if err := c.write(tgt(m), "db002", time.Second); err != nil {
		t.Fatal(err)
	}
	m.Advance(time.Second)
	if d := own(m, src(m), "db002"); !d.Joined || len(d.Ledger) != 1 {
		t.Errorf("on the source: joined %v, %d rows; seedings %q", d.Joined, len(d.Ledger), history(m, src(m)))
	}

	m = pair(t, nil)
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db002"))
	failover(m, Source, Target)
	failover(m, Target, Source)
	run(t, m, src(m), database(AddDatabase, "OnPremAG", "db002"))
	m.Advance(10 * time.Second)
	if got := history(m, src(m)); !slices.Equal(got, []string{"FAILED Database With Name Already Exists"}) {
		t.Errorf("%q", got)
	}
	if d := own(m, src(m), "db002"); d.DAG == nil || d.DAG.State != NotSynchronizing {
		t.Errorf("%+v", d.DAG)
	}
}

// TestInTheWayIsSeenAtOnce: before anything is copied over what the other side's group holds.
func TestInTheWayIsSeenAtOnce(t *testing.T) {
	m := pair(t, func(c *Config) { c.Link = LinkConfig{Latency: time.Second, Bandwidth: 1000} })
	m.Advance(time.Minute)
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db002"))
	run(t, m, src(m), database(AddDatabase, "OnPremAG", "db002"))
	m.Advance(1500 * time.Millisecond)
	if s := last(m, src(m)); s.State != SeedingFailed || s.Failure != 23 || s.Performed {
		t.Errorf("%+v", s)
	}
	if d := own(m, tgt(m), "db002"); !d.Joined || !d.Listed {
		t.Error("the target's copy is not what it was")
	}
}

// TestNothingFollowsWhoLeft: what waited to be sent when the database left stays where it is.
func TestNothingFollowsWhoLeft(t *testing.T) {
	m := pair(t, func(c *Config) { c.Link = LinkConfig{Latency: time.Millisecond, Bandwidth: 100_000} })
	m.SetLoad("db002", 1000, 1000)
	m.Advance(10 * time.Second)
	m.SetLoad("db002", 0, 0)
	if q := own(m, src(m), "db002").DAG.SendQueue; q < 1000 {
		t.Fatalf("a send queue of %d KB: this test would show nothing", q)
	}
	run(t, m, src(m), database(RemoveDatabase, "OnPremAG", "db002"))
	m.Advance(time.Second)
	before := own(m, tgt(m), "db002").Own.EndOfLog
	m.Advance(5 * time.Minute)
	if after := own(m, tgt(m), "db002").Own.EndOfLog; after != before {
		t.Errorf("the target's log went on from %s to %s", before, after)
	}
}
