package conform

import (
	"database/sql"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// requests are the texts that a lab was sent.
type requests struct {
	mu   sync.Mutex
	list []string
}

// playing is a lab at rest that stands for a real pair.
func playing(t *testing.T, cfg model.Config, logins ...lab.Login) (*lab.Lab, *requests) {
	t.Helper()
	sent := &requests{}
	clock := lab.NewVirtualClock(time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC))
	l, err := lab.New(lab.Options{Model: cfg, Clock: clock, Logins: logins, Request: func(_ lab.Side, _ int, text string) {
		sent.mu.Lock()
		defer sent.mu.Unlock()
		sent.list = append(sent.list, text)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	settle(t, l, clock)
	st, err := l.Control().State()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range st.Sides[0].Instances[0].Databases { // so that something was sent
		if err := l.Control().Checkpoint(lab.Source, 0, d.Name); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, l, clock)
	return l, sent
}

func settle(t *testing.T, l *lab.Lab, clock *lab.VirtualClock) {
	t.Helper()
	for range 30 {
		clock.Advance(200 * time.Millisecond)
		if _, err := l.Control().Roles(); err != nil {
			t.Fatal(err)
		}
	}
}

func servers(t *testing.T, dsns ...string) []Server {
	t.Helper()
	var out []Server
	for _, d := range dsns {
		db, err := sql.Open("sqlserver", d)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		out = append(out, Server{DB: db})
	}
	return out
}

func report(t *testing.T, list []Server, redact bool) (int, string) {
	t.Helper()
	var b strings.Builder
	n, err := Report(t.Context(), &b, list, Options{Redact: redact})
	if err != nil {
		t.Fatal(err)
	}
	return n, b.String()
}

func has(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(text) {
			t.Errorf("no line %q in\n%s", p, text)
		}
	}
}

// shapes are pairs of every kind.
func shapes() map[string]model.Config {
	cfg := func(change func(*model.Config)) model.Config {
		c := model.Config{Databases: model.Names(4)}
		change(&c)
		return c
	}
	three := func(major int) []model.InstanceConfig {
		return []model.InstanceConfig{{Major: major}, {Major: major}, {Major: major}}
	}
	return map[string]model.Config{
		"2022": cfg(func(*model.Config) {}),
		"2016": cfg(func(c *model.Config) { c.Sides[0].Instances = three(13)[:1]; c.Sides[1].Instances = three(13)[:1] }),
		"2025, synchronous": cfg(func(c *model.Config) {
			c.DAGMode = model.Sync
			c.Sides[0].Instances = three(17)[:2]
			c.Sides[1].Instances = three(17)
		}),
		"asynchronous inside": cfg(func(c *model.Config) {
			c.Sides[0].LocalAsync, c.Sides[1].LocalAsync = true, true
			c.Sides[0].Instances = three(15)[:2]
			c.Sides[1].Instances = three(15)[:2]
		}),
		"cross version": cfg(func(c *model.Config) { c.Sides[0].Instances = three(15)[:1] }),
		"linux, no cluster": cfg(func(c *model.Config) {
			c.Sides[0].ClusterType, c.Sides[1].ClusterType = model.None, model.None
			c.Sides[0].Instances = []model.InstanceConfig{{Linux: true}}
		}),
		"external cluster": cfg(func(c *model.Config) { c.Sides[0].ClusterType, c.Sides[1].ClusterType = model.External, model.External }),
	}
}

// TestTheLabConforms: in every shape, from every viewpoint, the lab does not differ from itself, and it is asked with SELECTs alone.
func TestTheLabConforms(t *testing.T) {
	for name, cfg := range shapes() {
		t.Run(name, func(t *testing.T) {
			l, sent := playing(t, cfg)
			views := [][]Server{servers(t, l.DSN(lab.Source), l.DSN(lab.Target))}
			switch name {
			case "2022":
				views = append(views, servers(t, l.DSN(lab.Target), l.DSN(lab.Source)), servers(t, l.DSN(lab.Target)))
			case "asynchronous inside":
				views = append(views, servers(t, l.DSNFor(l.AddressOf(lab.Source, 1), lab.SA, lab.SAPassword, "master")))
			}
			for i, v := range views {
				if n, text := report(t, v, false); n != 0 {
					t.Errorf("viewpoint %d:\n%s", i, text)
				}
			}
			sent.mu.Lock()
			defer sent.mu.Unlock()
			for _, s := range sent.list {
				if !strings.HasPrefix(s, "SELECT ") && !slices.Contains([]string{"login", "sp_reset_connection", ""}, s) && !strings.HasPrefix(s, "select 1") {
					t.Errorf("it sent %q", s)
				}
			}
			if len(sent.list) < 50 {
				t.Errorf("%d requests were seen", len(sent.list))
			}
		})
	}
}

// TestDifferencesAreTold: a lab that shows something else than the model.
func TestDifferencesAreTold(t *testing.T) {
	l, _ := playing(t, model.Config{Databases: model.Names(2), DAGMode: model.Sync, Assume: model.Assumptions{ForwarderCommitParticipantZero: true, SingleReplicaNull: true}})
	for column, value := range map[string]string{"recovery_lsn": "0", "end_of_log_lsn": "42000000000100001"} {
		if err := l.Control().OverrideLSN(lab.Source, 0, "db002", column, value); err != nil {
			t.Fatal(err)
		}
	}
	n, text := report(t, servers(t, l.DSN(lab.Source)), false)
	if n == 0 {
		t.Error("no difference")
	}
	has(t, text, `DIFF  sys.dm_hadr_database_replica_states.recovery_lsn, local AG, own row, .*: 0 in 1 of 2 rows, in the model 4294967295429496729500001`,
		`DIFF  sys.dm_hadr_database_replica_states.last_hardened_lsn, local AG, own row.*: NULL in 2 of 2 rows, in the model a value`,
		`DIFF  sys.dm_hadr_database_replica_states.is_commit_participant, DAG, row about the other \(synchronous_commit\).*: 0 in 2 of 2 rows, in the model 1`,
		`T1  .*SEEN DAG role PRIMARY, DAG SYNCHRONOUS_COMMIT: last_hardened_lsn NULL in 2 rows`, `T15 .*SEEN 0 in 2 rows`)
	if n, text := report(t, servers(t, l.DSN(lab.Target)), false); n == 0 { // NULL there too
		t.Error(text)
	}
}

// TestRelation: a distance between hardened and end of log that the model does not know.
func TestRelation(t *testing.T) {
	l, _ := playing(t, model.Config{Databases: []string{"db001"}})
	if err := l.Control().PlaceLog("db001", 99, 1000); err != nil {
		t.Fatal(err)
	}
	if err := l.Control().OverrideLSN(lab.Target, 0, "db001", "last_hardened_lsn", "99000000100500001"); err != nil {
		t.Fatal(err)
	}
	n, text := report(t, servers(t, l.DSN(lab.Target)), false)
	if n != 1 {
		t.Errorf("%d\n%s", n, text)
	}
	has(t, text, `DIFF  last_hardened_lsn - end_of_log_lsn: \+5 units`)
}

// TestOtherColumns: columns, types and order that a server has otherwise.
func TestOtherColumns(t *testing.T) {
	server := &Observation{Columns: map[string][]string{"a": {"x int", "y int", "v sql_variant"}, "b": {"q int", "p int", "new bit"}}, Refused: map[string]int32{"c": 208, "d": 300}}
	m := &Observation{Columns: map[string][]string{"a": {"x bigint", "y int", "z int", "v nvarchar(10)"}, "b": {"p int", "q int"}, "c": {"i int"}, "d": {"i int"}}}
	var got []string
	for _, l := range Compare(server, m) {
		got = append(got, string(l.Level)+" "+l.Where+": "+l.Text)
	}
	for _, want := range []string{"DIFF a.x: int, in the model bigint", "DIFF a.z: the model has it (int), the server does not", "known a.v: sql_variant, in the model nvarchar(10)",
		"DIFF b.new: the server has it (bit), the model does not", "DIFF b: other order of columns: q, p", "DIFF c: there is no such view (208)",
		"note d: not with this login (300): grant VIEW SERVER STATE and VIEW ANY DEFINITION"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, strings.Join(got, "\n"))
		}
	}
}

// TestLeastRights: a login with less is told what it does not see, and that is no difference.
func TestLeastRights(t *testing.T) {
	l, _ := playing(t, model.Config{}, lab.Login{Name: "mon", Password: "m-1", Permissions: []string{"VIEW SERVER STATE", "VIEW ANY DEFINITION"}},
		lab.Login{Name: "state", Password: "s-1", Permissions: []string{"VIEW SERVER STATE"}}, lab.Login{Name: "nobody", Password: "n-1"})
	for user, want := range map[string]string{"mon": "DAG role PRIMARY", "state": "rows are not compared", "nobody": `not with this login \(297|300\)`} {
		n, text := report(t, servers(t, l.DSNFor(l.Address(lab.Source), user, user[:1]+"-1", "master")), false)
		if n != 0 {
			t.Errorf("%s:\n%s", user, text)
		}
		has(t, text, want)
	}
}

// TestExperimentsOnAPair: what both sides show, before and after the demotion.
func TestExperimentsOnAPair(t *testing.T) {
	cfg := model.Config{Databases: model.Names(2), DAGMode: model.Sync}
	cfg.Sides[model.Target].Instances = []model.InstanceConfig{{Major: 17}}
	cfg.Sides[model.Target].BlockBytes = 4096
	l, err := lab.New(lab.Options{Model: cfg})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Control().RSSTC(lab.Source, 1); err != nil {
		t.Fatal(err)
	}
	list := servers(t, l.DSN(lab.Source), l.DSN(lab.Target))
	_, text := report(t, list, false)
	// Accepted is not yet shown.
	for deadline := time.Now().Add(20 * time.Second); strings.Contains(text, "RSSTC is 0 on every side") && time.Now().Before(deadline); _, text = report(t, list, false) {
	}
	has(t, text, `T4  .*SEEN side 1 \(PRIMARY\): 1, side 2 \(SECONDARY\): 0 `, `T10 .*SEEN versions 16 and 17; DAG rows SYNCHRONIZED in 2; forwarder's databases RECOVERING in 2`, `T11 .*SEEN fn_hadr_is_primary_replica 1 in 2 databases, Updateability`,
		`T7  .*SEEN side 1: started`, `T3  .*not seen: needs statements`, `T2  .*not seen`)
	if err := l.Control().Execute(lab.Source, model.Statement{Verb: model.SetRole, Group: "DAG"}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if r, err := l.Control().Roles(); err != nil || r[0] == model.Secondary || time.Now().After(deadline) {
			break
		}
	}
	n, text := report(t, list, false)
	if n != 0 {
		t.Error(text)
	}
	has(t, text, `T2  .*SEEN side 1: 0 DAG database rows`)
}

// TestRedaction: no name of the pair is in the text; with it they are.
func TestRedaction(t *testing.T) {
	cfg := model.Config{DAG: "ZebraDAG", Databases: []string{"Payroll"}}
	cfg.Sides[0].AG, cfg.Sides[1].AG = "HorseAG", "CamelAG"
	cfg.Sides[0].Instances = []model.InstanceConfig{{ServerName: `OSTRICH\INST`}}
	l, _ := playing(t, cfg)
	secrets := regexp.MustCompile(`(?i)zebra|horse|camel|ostrich|payroll|` + regexp.QuoteMeta(lab.SAPassword) + `|127\.0\.0\.1`)
	if _, text := report(t, servers(t, l.DSN(lab.Source), l.DSN(lab.Target)), true); secrets.MatchString(text) {
		t.Error(text)
	}
	_, text := report(t, servers(t, l.DSN(lab.Source)), false)
	has(t, text, `OSTRICH\\INST`, `DAG="ZebraDAG"`)
	if strings.Contains(text, lab.SAPassword) {
		t.Error("the password is in it")
	}
}

// TestServersThatDoNotAnswer: errors say what is wrong and repeat nothing of the connection string.
func TestServersThatDoNotAnswer(t *testing.T) {
	l, _ := playing(t, model.Config{})
	dead := "sqlserver://sa:" + "geheim-1" + "@127.0.0.1:1?encrypt=true&dial+timeout=1"
	for dsn, want := range map[string]string{dead: "no connection", l.DSNFor(l.Address(lab.Source), "sa", "geheim-2", "master"): "18456"} {
		_, err := Report(t.Context(), &strings.Builder{}, servers(t, dsn), Options{Bound: 5 * time.Second})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := l.Control().Fault(lab.Fault{Text: "dm_hadr_database_replica_states", DelayAnswer: lab.Duration(30 * time.Second), Times: -1}); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := Report(t.Context(), &b, servers(t, l.DSN(lab.Source)), Options{Bound: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	has(t, b.String(), `note  sys.dm_hadr_database_replica_states: no answer in time`)
}
