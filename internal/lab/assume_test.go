package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// world is a model without listeners, in virtual time.
type world struct {
	t        *testing.T
	m        *model.Model
	src, tgt *model.Instance
	killed   string
}

func newWorld(t *testing.T, a model.Assumptions, change func(*model.Config)) *world {
	t.Helper()
	cfg := model.Config{Seed: 3, Assume: a, Timing: model.Timing{Background: -1}}
	if change != nil {
		change(&cfg)
	}
	w := &world{t: t, killed: "nobody"}
	m, err := model.New(cfg, time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC), model.Hooks{Kill: func(_ *model.Instance, all bool) {
		w.killed = map[bool]string{true: "all", false: "users"}[all]
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.m, w.src, w.tgt = m, m.PrimaryOf(Source), m.PrimaryOf(Target)
	m.Advance(time.Second)
	return w
}

func (w *world) do(i *model.Instance, st model.Statement) {
	w.t.Helper()
	st.Group = "DAG"
	if err := w.m.Execute(i, st, true, 0); err != nil {
		w.t.Fatal(err)
	}
	w.m.Advance(3 * time.Second)
}

func (w *world) s1(sides ...*model.Instance) {
	w.t.Helper()
	sync := model.Sync
	for _, i := range sides {
		w.do(i, model.Statement{Verb: model.ModifyMembers, Members: []model.Member{{Name: "OnPremAG", Mode: &sync}, {Name: "AzureAG", Mode: &sync}}})
	}
}

func (w *world) s2() { w.t.Helper(); w.do(w.src, model.Statement{Verb: model.SetRole}) }

func (w *world) s3() { w.t.Helper(); w.do(w.tgt, model.Statement{Verb: model.ForceFailover}) }

func (w *world) rsstc() {
	w.t.Helper()
	w.do(w.src, model.Statement{Verb: model.SetRSSTC, Value: 1})
}

func (w *world) db(i *model.Instance) *model.Database { return w.m.Snapshot(i).Seen[0] }

// commit writes a row and says what the client was told within a second.
func (w *world) commit(i *model.Instance) string {
	tx := w.m.Begin(i.Copies()[0], 60, "")
	if err := w.m.Insert(tx, []model.Row{{ID: 1}}, true); err != nil {
		w.m.Rollback(tx)
		return fmt.Sprint(err.Number)
	}
	told := "nothing"
	w.m.Commit(tx, func(e *model.Error) {
		if told = "done"; e != nil {
			told = fmt.Sprint(e.Number)
		}
	})
	w.m.Advance(time.Second)
	return told
}

func (w *world) lsns() string {
	if a, b := w.db(w.src).Own, w.db(w.tgt).Own; a.Hardened == b.Hardened && a.EndOfLog == b.EndOfLog {
		return "equal"
	}
	return "apart"
}

// unmet is a pair whose source needs the forwarder and has lost it.
func unmet(t *testing.T, a model.Assumptions) *world {
	w := newWorld(t, a, nil)
	w.s1(w.src, w.tgt)
	w.rsstc()
	w.m.Cut()
	w.m.Advance(11 * time.Second)
	return w
}

func crossVersion(t *testing.T, a model.Assumptions) *world {
	w := newWorld(t, a, func(c *model.Config) { c.Sides[Source].Instances = []model.InstanceConfig{{Major: 15}} })
	w.s1(w.src, w.tgt)
	return w
}

func slow(bandwidth int64) func(*model.Config) {
	return func(c *model.Config) { c.Link = model.LinkConfig{Latency: time.Millisecond, Bandwidth: bandwidth} }
}

// served asks a running pair, once both copies are synchronous.
func served(side Side, query string) func(*testing.T, model.Assumptions) string {
	return func(t *testing.T, a model.Assumptions) string {
		l := start(t, Options{Model: model.Config{Timing: quick, DAGMode: model.Sync, Assume: a}})
		src := l.test(t, Source)
		eventually(t, "SYNCHRONIZED", func() bool { return one(t, src, linkQuery) == "3" })
		return one(t, l.test(t, side), query)
	}
}

// TestEveryAssumption shows for each switch what is seen without it and with it.
func TestEveryAssumption(t *testing.T) {
	restart := func(w *world) string {
		w.m.Stop(w.src)
		w.m.Advance(time.Second)
		w.m.Start(w.src)
		w.m.Advance(10 * time.Second)
		return w.src.DAGRole().String()
	}
	cases := map[string]struct {
		without, with string
		see           func(*testing.T, model.Assumptions) string
	}{
		"RSSTCUnmetWaits": {"988", "nothing", func(t *testing.T, a model.Assumptions) string { w := unmet(t, a); return w.commit(w.src) }},
		"RSSTCUnmetBlocksReads": {"<nil>", "988", func(t *testing.T, a model.Assumptions) string {
			w := unmet(t, a)
			if err := w.src.Copies()[0].CanRead(); err != nil {
				return fmt.Sprint(err.Number)
			}
			return "<nil>"
		}},
		"RSSTCTravels": {"0", "1", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			w.rsstc()
			return fmt.Sprint(w.m.Snapshot(w.tgt).DAG.RSSTC)
		}},
		"S1OneSideSuffices": {"SYNCHRONIZING", "SYNCHRONIZED", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			w.s1(w.src)
			return w.db(w.src).DAG.State.String()
		}},
		"S2ShipsRollback": {"apart", "equal", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			tx := w.m.Begin(w.src.Copies()[0], 60, "")
			if err := w.m.Insert(tx, []model.Row{{ID: 1}}, false); err != nil {
				t.Fatal(err)
			}
			w.m.Advance(2 * time.Second)
			w.s2()
			return w.lsns()
		}},
		"S2DrainsSendQueue": {"apart", "equal", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, slow(1500))
			for range 4 {
				w.m.Commit(begin(t, w), func(*model.Error) {})
			}
			w.s2()
			return w.lsns()
		}},
		"DemotedKeepsDAGRows": {"no row", "NOT SYNCHRONIZING", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			w.s2()
			if d := w.db(w.src).DAG; d != nil {
				return d.State.String()
			}
			return "no row"
		}},
		"MasterSessionsDie": {"users", "all", func(t *testing.T, a model.Assumptions) string { w := newWorld(t, a, nil); w.s2(); return w.killed }},
		"UserSessionsLive":  {"users", "nobody", func(t *testing.T, a model.Assumptions) string { w := newWorld(t, a, nil); w.s2(); return w.killed }},
		"ResumeAlways": {"false", "true", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			w.s2()
			w.s3()
			return fmt.Sprint(w.db(w.src).Suspended)
		}},
		"ResumeNever": {"true", "false", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			w.m.Cut()
			w.commit(w.src)
			w.s3()
			w.m.Heal()
			w.s2()
			return fmt.Sprint(w.db(w.src).Suspended)
		}},
		"RestartLosesRole": {"PRIMARY", "RESOLVING", func(t *testing.T, a model.Assumptions) string { return restart(newWorld(t, a, nil)) }},
		"PendingSurvivesRestart": {"PRIMARY", "SECONDARY", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			if err := w.m.Execute(w.src, model.Statement{Verb: model.SetRole, Group: "DAG"}, true, 5*time.Second); err != nil {
				t.Fatal(err)
			}
			return restart(w)
		}},
		"SingleReplicaNull": {"false", "true", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			return fmt.Sprint(w.db(w.src).Own.HardenedNull)
		}},
		"MinimumHasForwarder": {"its own", "the forwarder's", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, slow(100))
			w.commit(w.src)
			if w.db(w.src).Own.Hardened == w.db(w.tgt).Own.Hardened {
				return "the forwarder's"
			}
			return "its own"
		}},
		"ForwarderCommitParticipantZero": {"3", "0", served(Source, `SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states s
JOIN sys.availability_groups g ON g.group_id = s.group_id WHERE g.is_distributed = 1 AND s.is_commit_participant = 1`)},
		"SameForkAfterFailover": {"false", "true", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			before := w.db(w.tgt).Fork
			w.s2()
			w.s3()
			return fmt.Sprint(w.db(w.tgt).Fork == before)
		}},
		"WrongSide41190": {"41140", "41190", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			return fmt.Sprint(w.m.Execute(w.tgt, model.Statement{Verb: model.SetRole, Group: "DAG"}, true, 0).Number)
		}},
		"ForwarderIsPrimaryReplica0": {"true", "false", served(Target, "SELECT sys.fn_hadr_is_primary_replica('db001')")},
		"ForwarderReadWrite":         {"READ_ONLY", "READ_WRITE", served(Target, "SELECT CAST(DATABASEPROPERTYEX('db001', 'Updateability') AS nvarchar(20))")},
		"GrantSuffices": {"15151", "accepted", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			if err := w.m.Execute(w.src, model.Statement{Verb: model.SetRole, Group: "DAG"}, false, 0); err != nil {
				return fmt.Sprint(err.Number)
			}
			return "accepted"
		}},
		"ForceOnPrimary41190": {"41122", "41190", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, nil)
			return fmt.Sprint(w.m.Execute(w.src, model.Statement{Verb: model.ForceFailover, Group: "DAG"}, true, 0).Number)
		}},
		"DAGFailoverReadyZero": {"3", "0", served(Source, `SELECT COUNT(*) FROM sys.dm_hadr_database_replica_cluster_states c JOIN sys.availability_replicas r ON r.replica_id = c.replica_id
JOIN sys.availability_groups g ON g.group_id = r.group_id WHERE g.is_distributed = 1 AND c.is_failover_ready = 1`)},
		"SeedingModeSwapped": {"0 AUTOMATIC", "1 AUTOMATIC", served(Source, "SELECT MAX(CONVERT(varchar(3), seeding_mode) + ' ' + seeding_mode_desc) FROM sys.availability_replicas")},
		"FinerDefinitionSuffices": {"0", "2", func(t *testing.T, a model.Assumptions) string {
			l := start(t, Options{Model: model.Config{Timing: quick, Assume: a}, Logins: []Login{{Name: "fine", Password: "x", Permissions: []string{"VIEW ANY PERFORMANCE DEFINITION"}}}})
			return one(t, open(t, l.DSNFor(l.Address(Source), "fine", "x", "master")), "SELECT COUNT(*) FROM sys.availability_groups")
		}},
		"LinkStaysDown": {"SYNCHRONIZING", "NOT SYNCHRONIZING until RESUME", func(t *testing.T, a model.Assumptions) string {
			w := newWorld(t, a, func(c *model.Config) {
				c.Databases = model.Names(16)
				c.Sides[Source].Instances, c.Sides[Target].Instances = []model.InstanceConfig{{Major: 14}}, []model.InstanceConfig{{Major: 14}}
			})
			w.m.Cut()
			w.m.Advance(11 * time.Second)
			w.m.Heal()
			w.m.Advance(10 * time.Second)
			got := w.db(w.src).DAG.State.String()
			w.m.Resume(w.tgt.Copies()[0])
			w.m.Advance(time.Second)
			if after := w.db(w.src).DAG.State.String(); after != got && after == "SYNCHRONIZING" {
				return got + " until RESUME"
			}
			return got
		}},
		"CrossVersionRestoring": {"RECOVERING", "RESTORING", func(t *testing.T, a model.Assumptions) string {
			w := crossVersion(t, a)
			return w.db(w.tgt).State.String()
		}},
		"CrossVersionNeverSynchronized": {"SYNCHRONIZED", "SYNCHRONIZING", func(t *testing.T, a model.Assumptions) string {
			w := crossVersion(t, a)
			return w.db(w.src).DAG.State.String()
		}},
	}
	fields := reflect.TypeFor[model.Assumptions]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		c, there := cases[name]
		if !there {
			t.Errorf("%s: nothing shows what it changes", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			if got := c.see(t, model.Assumptions{}); got != c.without {
				t.Errorf("without it: %s, want %s", got, c.without)
			}
			var a model.Assumptions
			reflect.ValueOf(&a).Elem().FieldByName(name).SetBool(true)
			if got := c.see(t, a); got != c.with {
				t.Errorf("with it: %s, want %s", got, c.with)
			}
		})
	}
}

// TestAssumptionsAreDocumented: every switch stands in docs/lab.md, and no line of its table speaks of one that is none.
func TestAssumptionsAreDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "lab.md"))
	if err != nil {
		t.Fatal(err)
	}
	section := func(title string) string {
		_, rest, ok := strings.Cut(string(b), "\n## "+title+"\n")
		if !ok {
			t.Fatalf("no section %q", title)
		}
		text, _, _ := strings.Cut(rest, "\n## ")
		return text
	}
	fields := reflect.TypeFor[model.Assumptions]()
	table := section("Assumptions and their alternatives")
	for i := range fields.NumField() {
		if !regexp.MustCompile(`(?m)^\|[^|]*\b` + fields.Field(i).Name + `\b[^|]*\|[^|]+\|[^|]+\|`).MatchString(table) {
			t.Errorf("%s has no line with its default and its alternative", fields.Field(i).Name)
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^\| ([A-Z]\w+(?:, [A-Z]\w+)*) \|`).FindAllStringSubmatch(table, -1) {
		for _, name := range strings.Split(line[1], ", ") {
			if _, there := fields.FieldByName(name); !there {
				t.Errorf("the table speaks of %s", name)
			}
		}
	}
	// Every open question names a switch that exists, a control command, or the recorded output that answers it.
	commands := controlCommands()
	questions := regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(section("Open questions"), -1)
	if len(questions) < 18 {
		t.Errorf("%d open questions", len(questions))
	}
	for _, q := range questions[1:] {
		for _, name := range strings.Split(q[2], ", ") {
			_, isSwitch := fields.FieldByName(name)
			_, isCommand := commands[strings.Trim(name, "`")]
			if !isSwitch && !isCommand && !strings.HasPrefix(name, "recorded") && !strings.HasPrefix(name, "not modelled") {
				t.Errorf("%s: %q answers nothing", q[1], name)
			}
		}
	}
}

// begin is a transaction of one row that is ready to commit.
func begin(t *testing.T, w *world) *model.Tx {
	t.Helper()
	tx := w.m.Begin(w.src.Copies()[0], 60, "")
	if err := w.m.Insert(tx, []model.Row{{ID: 1}}, true); err != nil {
		t.Fatal(err)
	}
	return tx
}
