package model

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// fresh is a snapshot that shares nothing with those before it.
func fresh(m *Model, i *Instance) *Snapshot {
	keep := i.shown
	i.shown = nil
	s := m.Snapshot(i)
	i.shown = keep
	return s
}

// TestSharedDatabases does all kinds of things to a pair, and after each compares the snapshot that shares with those before it with
// one that does not: whatever changed must show at once.
func TestSharedDatabases(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 11))
		m := pair(t, func(c *Config) {
			c.Databases = Names(3)
			c.Timing.Background = 500 * time.Millisecond
			for i := range c.Sides {
				c.Sides[i].Instances = make([]InstanceConfig, 2)
			}
		})
		var all []*Instance
		for _, s := range []Side{Source, Target} {
			all = append(all, m.Instances(s)...)
		}
		instance := func() *Instance { return all[r.IntN(len(all))] }
		copyOf := func(i *Instance) *Copy { return i.Copies()[r.IntN(3)] }
		shared, built := 0, 0
		last := map[*Instance]*Snapshot{}
		steps := things(m, r, instance, copyOf)
		for n := range 100 {
			step := steps[r.IntN(len(steps))]
			step.do()
			for _, i := range all {
				got, want := m.Snapshot(i), fresh(m, i)
				for k := range want.Seen {
					if diff := difference(got.Seen[k], want.Seen[k]); diff != "" {
						t.Fatalf("seed %d, step %d, %s: %s of %s shows an old %s", seed, n, step.name, i.ServerName(), want.Seen[k].Name, diff)
					}
					if p := last[i]; p != nil && p.Seen[k] == got.Seen[k] {
						shared++
					} else {
						built++
					}
				}
				last[i] = got
			}
		}
		if shared < built/4 {
			t.Errorf("seed %d: %d databases shared, %d built", seed, shared, built)
		}
	}
}

type thing struct {
	name string
	do   func()
}

// things are what can happen to a pair.
func things(m *Model, r *rand.Rand, instance func() *Instance, copyOf func(*Instance) *Copy) []thing {
	var open []*Tx
	lsn := LSN{VLF: 7, Block: 8, Slot: 9}
	columns := []string{"end_of_log_lsn", "last_hardened_lsn:null", "last_commit_lsn"}
	access := []Access{AllowAll, AllowNo}
	var next int64
	return []thing{
		{"nothing", func() {}},
		{"time", func() { m.Advance(time.Duration(r.IntN(400)) * time.Millisecond) }},
		{"a little time", func() { m.Advance(time.Millisecond) }},
		{"begin", func() { open = append(open, m.Begin(copyOf(m.PrimaryOf(Source)), 60, "x")) }},
		{"insert", func() {
			if len(open) > 0 {
				next++
				_ = m.Insert(open[len(open)-1], []Row{{ID: next}}, r.IntN(2) == 0)
			}
		}},
		{"remove", func() {
			c := copyOf(m.PrimaryOf(Source))
			if rows := c.visible(); len(rows) > 0 {
				tx := m.Begin(c, 61, "delete")
				_ = m.Change(tx, []uint64{rows[r.IntN(len(rows))].Key}, nil, true)
				m.Commit(tx, func(*Error) {})
			}
		}},
		{"commit", func() {
			if len(open) > 0 {
				m.Commit(open[len(open)-1], func(*Error) {})
				open = open[:len(open)-1]
			}
		}},
		{"rollback", func() {
			if len(open) > 0 {
				m.Rollback(open[len(open)-1])
				open = open[:len(open)-1]
			}
		}},
		{"suspend", func() { m.Suspend(copyOf(instance()), SuspendUser) }},
		{"resume", func() { m.Resume(copyOf(instance())) }},
		{"cut", m.Cut},
		{"heal", m.Heal},
		{"override", func() {
			l := lsn
			l.Slot += uint16(r.IntN(3))
			m.OverrideLSN(instance(), "db001", columns[r.IntN(3)], &l)
		}},
		{"no override", func() { m.OverrideLSN(instance(), "db001", columns[r.IntN(3)], nil) }},
		{"access", func() { m.SetAccess(instance(), access[r.IntN(2)]) }},
		{"place", func() { _ = m.PlaceLog("db002", 40+uint32(r.IntN(5)), 100) }},
		{"checkpoint", func() { _ = m.Checkpoint(copyOf(m.PrimaryOf(Source))) }},
		{"stop", func() { m.Stop(instance()) }},
		{"start", func() { m.Start(instance()) }},
		{"load", func() { m.SetLoad("db003", float64(r.IntN(2)*200), 300) }},
		{"clock", func() { m.SetClock(instance(), time.Duration(r.IntN(3))*time.Second) }},
		{"state", func() { _ = m.SetDatabaseState(copyOf(instance()), []DBState{DBOnline, DBSuspect}[r.IntN(2)]) }},
		{"assume", func() {
			m.SetAssumptions(Assumptions{ForwarderReadWrite: r.IntN(2) == 0, SingleReplicaNull: r.IntN(2) == 0, MinimumHasForwarder: r.IntN(2) == 0})
		}},
		{"S2", func() {
			_ = m.Execute(m.PrimaryOf(Source), Statement{Group: m.Config().DAG, Verb: SetRole}, true, 0)
		}},
	}
}

// difference names the first field in which two Databases differ, memo apart; "" if there is none.
func difference(a, b *Database) string {
	if a.facts != b.facts {
		x, y := reflect.ValueOf(a.facts), reflect.ValueOf(b.facts)
		for k := range x.NumField() {
			if p, q := fmt.Sprint(x.Field(k)), fmt.Sprint(y.Field(k)); p != q {
				return fmt.Sprintf("%s %s, which is %s now", x.Type().Field(k).Name, p, q)
			}
		}
		return "fact"
	}
	for _, f := range []struct {
		name string
		x, y any
	}{{"Readable", a.Readable, b.Readable}, {"Replica", a.Replica, b.Replica}, {"DAG", a.DAG, b.DAG}, {"Ledger", a.Ledger, b.Ledger}, {"Open", a.Open, b.Open},
		{"overrides", a.overrides, b.overrides}} {
		x, y := reflect.ValueOf(f.x), reflect.ValueOf(f.y)
		if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 || reflect.DeepEqual(f.x, f.y) {
			continue
		}
		return fmt.Sprintf("%s %+v, which is %+v now", f.name, f.x, f.y)
	}
	return ""
}

// TestSameSeesEveryField changes one field of what is compared at a time. It must list every field of Database.
func TestSameSeesEveryField(t *testing.T) {
	row := []Row{{ID: 1}, {ID: 2}}
	l := LSN{VLF: 1}
	base := func() *viewer {
		return &viewer{readable: &Error{Number: 1}, replica: []RemoteView{{Lag: 1}}, dag: RemoteView{Lag: 1}, hasDAG: true, ledger: row, open: []TxView{{ID: 1}},
			overrides: map[string]*LSN{"a": &l}}
	}
	if !base().same(base().database()) {
		t.Fatal("the same is not the same")
	}
	fields := map[string]bool{"memo": true}
	check := func(name string, change func(v *viewer)) {
		fields[name] = true
		v := base()
		change(v)
		if v.same(base().database()) {
			t.Errorf("another %s goes unnoticed", name)
		}
	}
	for i := range reflect.TypeFor[facts]().NumField() {
		f := reflect.TypeFor[facts]().Field(i)
		if !f.Type.Comparable() {
			t.Errorf("%s cannot be compared", f.Name)
		}
	}
	check("facts", func(v *viewer) { v.facts.Own.Hardened.Slot++ })
	check("Readable", func(v *viewer) { v.readable = nil })
	check("Readable", func(v *viewer) { v.readable = &Error{Number: 2} })
	check("Replica", func(v *viewer) { v.replica = nil })
	check("Replica", func(v *viewer) { v.replica = []RemoteView{{Lag: 2}} })
	check("DAG", func(v *viewer) { v.hasDAG = false })
	check("DAG", func(v *viewer) { v.dag.Lag = 2 })
	check("Ledger", func(v *viewer) { v.ledger = row[:1] })
	check("Ledger", func(v *viewer) { v.ledger = []Row{{ID: 1}, {ID: 3}} })
	check("Open", func(v *viewer) { v.open = nil })
	check("Open", func(v *viewer) { v.open = []TxView{{ID: 2}} })
	check("overrides", func(v *viewer) { v.overrides = nil })
	check("overrides", func(v *viewer) { v.overrides = map[string]*LSN{"b": &l} })
	check("overrides", func(v *viewer) { v.overrides = map[string]*LSN{"a": {VLF: 2}} })
	for i := range reflect.TypeFor[Database]().NumField() {
		if name := reflect.TypeFor[Database]().Field(i).Name; !fields[name] {
			t.Errorf("nothing is known of %s", name)
		}
	}
}

// TestDerive: a result is built once for a Database and a key, and again for another key.
func TestDerive(t *testing.T) {
	m := pair(t, nil)
	d := m.Snapshot(src(m)).Seen[0]
	n := 0
	get := func(d *Database, key any) any { return d.Derive(1, key, func() any { n++; return n }) }
	if a, b, c := get(d, "x"), get(d, "x"), get(d, "y"); a != 1 || b != 1 || c != 2 {
		t.Error(a, b, c)
	}
	if e := m.Snapshot(src(m)).Seen[0]; e != d || get(e, "y") != 2 {
		t.Error("the database is another one, though nothing happened")
	}
	m.Suspend(src(m).Copies()[0], SuspendUser)
	if e := m.Snapshot(src(m)).Seen[0]; e == d || get(e, "y") != 3 {
		t.Error("the database is the same after it was suspended")
	}
}
