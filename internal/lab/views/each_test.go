package views

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// TestRowsAreNeverOld: whatever happens to the pair, the very next scan of every view gives what the functions that build its rows
// give now, on every instance and in several versions.
func TestRowsAreNeverOld(t *testing.T) {
	cfg := model.Config{Seed: 5, Databases: model.Names(3)}
	for i := range cfg.Sides {
		cfg.Sides[i].Instances = make([]model.InstanceConfig, 2)
	}
	m, err := model.New(cfg, time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC), model.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	source, target := m.PrimaryOf(model.Source), m.PrimaryOf(model.Target)
	sync := model.Sync
	s1 := model.Statement{Verb: model.ModifyMembers, Group: "DAG", Members: []model.Member{{Name: "OnPremAG", Mode: &sync}, {Name: "AzureAG", Mode: &sync}}}
	one := model.OneLSN()
	changed := 0
	before := map[string]any{}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"start", func() { m.Advance(time.Second) }},
		{"at rest", func() {}},
		{"background", func() { m.Advance(20 * time.Second) }},
		{"an LSN overridden", func() { m.OverrideLSN(source, "db001", "end_of_log_lsn", &one) }},
		{"and no more", func() { m.OverrideLSN(source, "db001", "end_of_log_lsn", nil) }},
		{"suspended", func() { m.Suspend(target.Copies()[1], model.SuspendUser) }},
		{"resumed", func() { m.Resume(target.Copies()[1]) }},
		{"a row", func() {
			tx := m.Begin(source.Copies()[2], 60, "INSERT")
			_ = m.Insert(tx, []model.Row{{ID: 1}}, true)
			m.Commit(tx, func(*model.Error) {})
			m.Advance(time.Second)
		}},
		{"another assumption", func() { m.SetAssumptions(model.Assumptions{ForwarderCommitParticipantZero: true}) }},
		{"S1", func() {
			_, _ = m.Execute(source, s1, true, 0), m.Execute(target, s1, true, 0)
			m.Advance(time.Second)
		}},
		{"the link cut", func() { m.Cut(); m.Advance(30 * time.Second) }},
		{"and healed", func() { m.Heal(); m.Advance(30 * time.Second) }},
		{"another address", func() {
			_ = m.Execute(target, model.Statement{Verb: model.ModifyMembers, Group: "DAG", Members: []model.Member{{Name: "AzureAG", URL: "tcp://x:5022", Seeding: "MANUAL"}}}, true, 0)
			m.Advance(time.Second)
		}},
		{"being seeded", func() { _ = m.Seed(target.Copies()[1], 1<<30, -1); m.Advance(5 * time.Second) }},
		{"seeded", func() { m.Advance(time.Minute) }},
		{"removed", func() {
			_ = m.Execute(source, model.Statement{Verb: model.RemoveDatabase, Group: "OnPremAG", Database: "db003"}, true, 0)
			m.Advance(time.Second)
		}},
		{"added, and in the way", func() {
			_ = m.Execute(source, model.Statement{Verb: model.AddDatabase, Group: "OnPremAG", Database: "db003"}, true, 0)
			m.Advance(time.Minute)
		}},
		{"off", func() { _ = m.Off(target.Copies()[2]); m.Advance(time.Second) }},
		{"joined", func() { _ = m.Join(target.Copies()[2], "DAG"); m.Advance(time.Minute) }},
		{"S2", func() {
			_ = m.Execute(source, model.Statement{Verb: model.SetRole, Group: "DAG"}, true, 0)
			m.Advance(time.Minute)
		}},
		{"S3", func() {
			_ = m.Execute(target, model.Statement{Verb: model.ForceFailover, Group: "DAG"}, true, 0)
			m.Advance(time.Minute)
		}},
		{"local failover", func() {
			_ = m.Execute(m.Instances(model.Target)[1], model.Statement{Verb: model.PlainFailover, Group: "AzureAG"}, true, 0)
			m.Advance(time.Minute)
		}},
		{"DROP", func() {
			_ = m.Execute(source, model.Statement{Verb: model.DropGroup, Group: "DAG"}, true, 0)
			m.Advance(time.Minute)
		}},
	} {
		step.do()
		for name, v := range New() {
			if v.each == nil {
				continue
			}
			for _, side := range []model.Side{model.Source, model.Target} {
				for _, i := range m.Instances(side) {
					for _, major := range []int{13, 16, 17, 13} {
						e := &Env{Snap: m.Snapshot(i)}
						tab, _ := v.Table(major, func() *Env { return e }).(*table)
						var got [][]any
						if err := tab.Scan(context.Background(), func(r []any) bool { got = append(got, r); return true }); err != nil {
							t.Fatal(err)
						}
						want := built(tab, e)
						if !reflect.DeepEqual(got, want) {
							t.Fatalf("after %s: %s in version %d on %s:\n%v\nwant\n%v", step.name, name, major, i.ServerName(), got, want)
						}
						if at := name + i.ServerName(); major == 17 {
							if !reflect.DeepEqual(before[at], want) {
								changed++
							}
							before[at] = want
						}
					}
				}
			}
		}
	}
	if changed < 100 {
		t.Errorf("only %d results differed from those before: nothing was shown", changed)
	}
}

// built gives a view's rows with nothing kept from earlier.
func built(t *table, e *Env) [][]any {
	var out [][]any
	add := func(rows [][]any) {
		for _, r := range rows {
			out = append(out, t.cut(r))
		}
	}
	if t.view.Rows != nil {
		add(t.view.Rows(e))
	}
	a := look(e.Snap, t.major)
	for _, d := range e.Snap.Seen {
		add(t.view.each.rows(&a, d))
	}
	if t.view.tail != nil {
		add(t.view.tail(e))
	}
	return out
}
