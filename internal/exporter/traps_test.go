package exporter

import (
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

const (
	caughtUp = `mssql_dag_convergence_reached{dag="erp-prod",level="caught_up"}`
	behind   = `mssql_dag_convergence_state{dag="erp-prod",state="behind"}`
)

// two instances on a side.
func two(a, b string) model.SideConfig {
	return model.SideConfig{Instances: []model.InstanceConfig{{ServerName: a}, {ServerName: b}}}
}

// with asks for collectors that are off by default.
func with(names ...string) string {
	return "/probe?target=erp-prod&collect[]=summary&collect[]=database&collect[]=" + strings.Join(names, "&collect[]=")
}

// serverOf is the instance that answered for a side.
func serverOf(got map[string]float64, side string) string {
	for series := range got {
		if strings.HasPrefix(series, "mssql_dag_instance_info") && strings.Contains(series, `side="`+side+`"`) {
			_, rest, _ := strings.Cut(series, `server="`)
			name, _, _ := strings.Cut(rest, `"`)
			return name
		}
	}
	return ""
}

// The primary of the source's own group moves between two scrapes: what is
// read follows it, without a restart, and no scrape in between says anything
// that is not so.
func TestLabLocalFailoverBetweenTwoReadings(t *testing.T) {
	for _, side := range []lab.Side{lab.Source, lab.Target} {
		t.Run(side.String(), func(t *testing.T) {
			r := newRig(t, lab.Options{Model: model.Config{Sides: [2]model.SideConfig{two("A0", "A1"), two("B0", "B1")}}}, "")
			first := r.until(t, caughtUp, 1)
			name := side.String()
			before := serverOf(first, name)
			if err := r.control.LocalFailover(side, 1, false); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(20 * time.Second)
			for {
				got := r.scrape(t, "/metrics")
				now := serverOf(got, name)
				up := got[`mssql_dag_up{dag="erp-prod",side="`+name+`"}`]
				if up == 1 && now == "" || up == 0 && now != "" {
					t.Errorf("up %v, and %q answered", up, now)
				}
				if got[caughtUp] == 1 && up == 0 {
					t.Error("caught up with a side that was not read")
				}
				for _, wrong := range []string{"target_to_source", "both"} {
					if got[`mssql_dag_direction{dag="erp-prod",direction="`+wrong+`"}`] == 1 {
						t.Errorf("direction %s", wrong)
					}
				}
				if now != "" && now != before && got[caughtUp] == 1 {
					break
				}
				if time.Now().After(deadline) {
					_, last, problems := r.set.dags[0].history.get()
					t.Fatalf("%q answers, %s %v", now, last.Convergence.Reason, problems)
				}
				time.Sleep(10 * time.Millisecond)
			}
			// The old primary goes for good: no scrape suffers.
			if err := r.control.Stop(side, 0); err != nil {
				t.Fatal(err)
			}
			if got := r.scrape(t, "/metrics"); serverOf(got, name) == "" {
				t.Error("the side is not read while its old primary is down")
			}
		})
	}
}

// Several instances a side, all of them listed: the secondaries' rows are
// there, and one that hangs or is down hides nothing and delays little.
func TestLabSeveralInstances(t *testing.T) {
	three := two("A0", "A1")
	three.Instances = append(three.Instances, model.InstanceConfig{ServerName: "A2"})
	r := newRig(t, lab.Options{Model: model.Config{Sides: [2]model.SideConfig{three, two("B0", "B1")}, Databases: []string{"db001"}}}, "")
	r.until(t, caughtUp, 1)
	got := r.scrape(t, with("replicas"))
	for _, name := range []string{"A0", "A1", "A2", "B0", "B1"} {
		found := false
		for series := range got {
			found = found || strings.HasPrefix(series, "mssql_dag_replica_") && strings.Contains(series, `replica="`+name+`"`)
		}
		if !found {
			t.Errorf("no series of replica %s", name)
		}
	}
	if err := r.control.Freeze(lab.Source, 1); err != nil {
		t.Fatal(err)
	}
	if err := r.control.Stop(lab.Source, 2); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		expect(t, r.scrape(t, "/probe?target=erp-prod", timeoutHeader, "3"), map[string]any{
			`mssql_dag_up{dag="erp-prod",side="source"}`: 1,
			`mssql_dag_up{dag="erp-prod",side="target"}`: 1,
		})
	}
	if err := r.control.Unfreeze(lab.Source, 1); err != nil {
		t.Fatal(err)
	}
}

// A secondary of the target lags: the target's own last_hardened_lsn is the
// minimum over its secondaries and stands still, while its primary has all.
func TestLabSlowLocalSecondary(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, Sides: [2]model.SideConfig{{}, two("B0", "B1")},
		Timing: model.Timing{SessionTimeout: time.Hour}}}, "")
	r.until(t, caughtUp, 1)
	if err := r.control.Flush(lab.Target, 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := r.control.Checkpoint(lab.Source, 0, "db001"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := r.scrape(t, "/metrics")
		delta, ok := got[`mssql_dag_database_lsn_delta{dag="erp-prod",database="db001",lsn="last_hardened"}`]
		if ok && delta > 0 && got[caughtUp] == 1 {
			_, last, _ := r.set.dags[0].history.get()
			if d := last.Convergence.Databases[0]; d.Basis != "link" {
				t.Errorf("caught up by %q while the own value is held back", d.Basis)
			}
			break
		}
		if time.Now().After(deadline) {
			_, last, _ := r.set.dags[0].history.get()
			t.Fatalf("delta %v %v, caught up %v: %+v", delta, ok, got[caughtUp], last.Convergence)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A newer target: its databases cannot be opened, which is expected where the
// configuration declares it, and else no convergence.
func TestLabCrossVersion(t *testing.T) {
	opt := lab.Options{Model: model.Config{Databases: []string{"db001"}, Sides: [2]model.SideConfig{
		{Instances: []model.InstanceConfig{{Major: 13}}}, {Instances: []model.InstanceConfig{{Major: 17}}}}}}
	declared := newRig(t, opt, "    cross_version: true\n")
	declared.until(t, caughtUp, 1)
	expect(t, declared.scrape(t, with("state")), map[string]any{
		`mssql_dag_database_state{dag="erp-prod",database="db001",side="source",state="online"}`:     1,
		`mssql_dag_database_state{dag="erp-prod",database="db001",side="target",state="online"}`:     0,
		`mssql_dag_database_state{dag="erp-prod",database="db001",side="target",state="recovering"}`: 1,
		`mssql_dag_required_synchronized_secondaries{dag="erp-prod",side="source"}`:                  nil, // 2016 has no such column
	})
	undeclared := newRig(t, opt, "")
	undeclared.until(t, behind, 1)
	if _, last, _ := undeclared.set.dags[0].history.get(); !strings.Contains(last.Convergence.Reason, "cross_version: true") {
		t.Errorf("the reason names no way out: %s", last.Convergence.Reason)
	}
}

// Clocks that are wrong, in both directions: no verdict moves, and the offset
// is told.
func TestLabClockSkew(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, Sides: [2]model.SideConfig{
		{Instances: []model.InstanceConfig{{ClockOffset: -37 * time.Minute}}}, {Instances: []model.InstanceConfig{{ClockOffset: 2 * time.Hour}}}}}}, "")
	got := r.until(t, caughtUp, 1)
	for side, offset := range map[string]float64{"source": -37 * 60, "target": 7200} {
		if have := got[`mssql_dag_clock_offset_seconds{dag="erp-prod",side="`+side+`"}`]; math.Abs(have-offset) > 60 {
			t.Errorf("%s: clock offset %v, want %v", side, have, offset)
		}
		at := got[`mssql_dag_reading_timestamp_seconds{dag="erp-prod",side="`+side+`"}`]
		if math.Abs(at-float64(time.Now().Unix())) > 120 {
			t.Errorf("%s: the reading is stamped by the server's clock: %v", side, at)
		}
	}
	expect(t, got, map[string]any{`mssql_dag_database_commit_lag_seconds{dag="erp-prod",database="db001"}`: 0})
}

// The sides' walls show different hours, and both clocks are right: nothing is
// offset, nothing lags, and the link catches up as in one zone.
func TestLabTimeZoneSkew(t *testing.T) {
	for _, zones := range [][2]int{{330, -240}, {-240, 330}} { // minutes east of UTC: Kolkata and New York
		side := func(minutes int) model.SideConfig {
			return model.SideConfig{Instances: []model.InstanceConfig{{Zone: time.FixedZone("", minutes*60)}}}
		}
		r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, Sides: [2]model.SideConfig{side(zones[0]), side(zones[1])}}}, "")
		r.until(t, caughtUp, 1)
		exec(t, r, lab.Source, "INSERT db001.dbo.ledger (id) VALUES (1)")
		expect(t, r.until(t, caughtUp, 1), map[string]any{`mssql_dag_database_commit_lag_seconds{dag="erp-prod",database="db001"}`: 0})
		if err := r.control.Seed(lab.Target, 0, "db001", 100<<30, -1); err != nil { // at 125 MB/s it stays under way
			t.Fatal(err)
		}
		const left = `mssql_dag_database_seeding_estimated_end_timestamp_seconds{dag="erp-prod",database="db001",side="source"}`
		deadline := time.Now().Add(20 * time.Second)
		for r.scrape(t, with("seeding"))[left] == 0 {
			if time.Now().After(deadline) {
				t.Fatal("no estimated end of the seeding is shown")
			}
		}
		got := r.scrape(t, with("seeding"))
		for _, name := range []string{"source", "target"} {
			if have := got[`mssql_dag_clock_offset_seconds{dag="erp-prod",side="`+name+`"}`]; math.Abs(have) > 60 {
				t.Errorf("%v %s: a clock that is right is off by %v s", zones, name, have)
			}
			at := got[`mssql_dag_reading_timestamp_seconds{dag="erp-prod",side="`+name+`"}`]
			if math.Abs(at-float64(time.Now().Unix())) > 120 {
				t.Errorf("%v %s: the reading is stamped by the server's wall: %v", zones, name, at)
			}
		}
		if hours := (got[left] - float64(time.Now().Unix())) / 3600; hours < 0 || hours > 1 {
			t.Errorf("%v: 100 GiB at 125 MB/s end in %.1f h", zones, hours)
		}
	}
}

// S1 ran on one side alone: that side's copy says synchronous, the other's
// does not, and the DAG is not synchronized.
func TestLabModeChangedOnOneSide(t *testing.T) {
	for _, side := range []lab.Side{lab.Source, lab.Target} {
		r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}}}, "")
		r.until(t, caughtUp, 1)
		exec(t, r, side, "ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'OnPremAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT), 'AzureAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)")
		got := r.until(t, `mssql_dag_availability_mode{dag="erp-prod",member="AzureAG",mode="synchronous_commit",side="`+side.String()+`"}`, 1)
		other := lab.Source
		if side == lab.Source {
			other = lab.Target
		}
		expect(t, got, map[string]any{
			`mssql_dag_availability_mode{dag="erp-prod",member="AzureAG",mode="synchronous_commit",side="` + other.String() + `"}`:  0,
			`mssql_dag_availability_mode{dag="erp-prod",member="AzureAG",mode="asynchronous_commit",side="` + other.String() + `"}`: 1,
			`mssql_dag_convergence_reached{dag="erp-prod",level="synchronized"}`:                                                    0,
		})
	}
}

// The link is cut: the primary's row about the other side is what it heard
// last, and is not believed.
func TestLabStaleRemoteRow(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, Timing: model.Timing{SessionTimeout: 100 * time.Millisecond},
		Sides: [2]model.SideConfig{{LocalAsync: true}, {LocalAsync: true}}}}, "")
	r.until(t, caughtUp, 1)
	if err := r.control.Cut(); err != nil {
		t.Fatal(err)
	}
	got := r.until(t, `mssql_dag_link_connected{dag="erp-prod"}`, 0)
	expect(t, got, map[string]any{`mssql_dag_convergence_reached{dag="erp-prod",level="near"}`: 0, caughtUp: 0})
}

// Names that tests like to forget: the longest one, quotes of every kind,
// blanks and an emoji.
func TestLabHardNames(t *testing.T) {
	long := strings.Repeat("x", 126) + "\U0001F680" // 128 UTF-16 units
	names := []string{long, `a]b'c"d`, "blank in it "}
	r := newRig(t, lab.Options{Model: model.Config{Databases: names}}, "")
	got := r.until(t, caughtUp, 1)
	for _, name := range names {
		label := strings.ReplaceAll(name, `"`, `\"`)
		expect(t, got, map[string]any{
			`mssql_dag_database_convergence_reached{dag="erp-prod",database="` + label + `",level="caught_up"}`: 1,
			`mssql_dag_database_lsn_delta{dag="erp-prod",database="` + label + `",lsn="end_of_log"}`:            0,
		})
	}
}

// Both DSNs lead to one server, which no comparison of names can tell: nothing
// is known of a second one.
func TestLabSameInstanceTwice(t *testing.T) {
	l := newRig(t, lab.Options{}, "").lab
	door := backDoor(t, l.Address(lab.Source))
	for ag, want := range map[string]map[string]any{
		"AzureAG":  {`mssql_dag_scrape_error{dag="erp-prod",reason="no_dag",side="target"}`: 1},
		"OnPremAG": {`mssql_dag_up{dag="erp-prod",side="target"}`: 1},
	} {
		text := "dags:\n- name: erp-prod\n  group: DAG\n  source: {ag: OnPremAG, instances: [" + quoted(l.DSN(lab.Source)) +
			"]}\n  target: {ag: " + ag + ", instances: [" + quoted(l.DSNFor(door, lab.SA, lab.SAPassword, "master")) + "]}\n"
		e, err := New(Options{Load: func() (*config.Config, error) { return config.Parse([]byte(text), "test.yml") }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		r := &rig{e, l, l.Control()}
		got := r.scrape(t, "/metrics")
		expect(t, got, want)
		if ag == "OnPremAG" {
			// That both local groups are one would be noticed too, and no server
			// of the lab holds both: so the check is held to what it says.
			r.says(t, "source and target are the same instance, N1", "check the two DSNs")
		}
		expect(t, got, map[string]any{
			`mssql_dag_convergence_state{dag="erp-prod",state="unknown"}`: 1,
			`mssql_dag_convergence_reached{dag="erp-prod",level="known"}`: 0,
		})
	}
}

// backDoor is another address of a server.
func backDoor(t *testing.T, to string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			pipe := func(a, b net.Conn) func() {
				return func() { _, _ = io.Copy(a, b); _ = a.Close(); _ = b.Close() }
			}
			all.Go(pipe(up, c))
			all.Go(pipe(c, up))
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	return ln.Addr().String()
}
