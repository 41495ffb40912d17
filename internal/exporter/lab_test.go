package exporter

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/microsoft/go-mssqldb" // the test's own client

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// rig is a lab, a configuration file and an exporter between them.
type rig struct {
	*Exporter
	lab     *lab.Lab
	control *lab.Control
}

func newRig(t *testing.T, opt lab.Options, extra string) *rig {
	t.Helper()
	opt.Model.Timing.Background = -1 // an idle log rests
	l, err := lab.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	e := labExporter(t, l, slog.New(slog.DiscardHandler), func(s lab.Side) (dsns []string) {
		for i := range max(1, len(opt.Model.Sides[s].Instances)) {
			dsns = append(dsns, l.DSNFor(l.AddressOf(s, i), lab.SA, lab.SAPassword, "master"))
		}
		return dsns
	}, extra)
	return &rig{e, l, l.Control()}
}

// scrape gets /metrics as a map from series to value.
func (r *rig) scrape(t *testing.T, url string, header ...string) map[string]float64 {
	t.Helper()
	req := httptest.NewRequest("GET", url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", url, w.Code, w.Body)
	}
	out := map[string]float64{}
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out[line[:i]] = v
	}
	return out
}

// expect compares some series; nil in want means absent.
func expect(t *testing.T, got map[string]float64, want map[string]any) {
	t.Helper()
	for series, v := range want {
		have, there := got[series]
		switch {
		case v == nil && there:
			t.Errorf("%s is %v, want it absent", series, have)
		case v != nil && !there:
			t.Errorf("%s is absent, want %v", series, v)
		case v != nil && have != float64(v.(int)):
			t.Errorf("%s is %v, want %v", series, have, v)
		}
	}
}

// until scrapes until a series has a value.
func (r *rig) until(t *testing.T, series string, v float64) map[string]float64 {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := r.scrape(t, "/metrics")
		if have, ok := got[series]; ok && have == v {
			return got
		}
		if time.Now().After(deadline) {
			for s, v := range got {
				if strings.HasPrefix(s, "mssql_dag") && v != 0 {
					t.Logf("%s %v", s, v)
				}
			}
			_, last, problems := r.set.dags[0].history.get()
			t.Fatalf("%s does not become %v: %s %v", series, v, last.Convergence.Reason, problems)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// The whole way from two servers to /metrics: the numbers are those that an
// ordinary client reads there, digit for digit.
func TestLabToMetrics(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001", "o'dd]name"}, Log: model.LogConfig{StartVLF: 10227}}}, "")
	got := r.until(t, `mssql_dag_convergence_reached{dag="erp-prod",level="caught_up"}`, 1)
	expect(t, got, map[string]any{
		`mssql_dag_up{dag="erp-prod",side="source"}`:                                                            1,
		`mssql_dag_up{dag="erp-prod",side="target"}`:                                                            1,
		`mssql_dag_scrape_error{dag="erp-prod",reason="none",side="target"}`:                                    1,
		`mssql_dag_scrape_error{dag="erp-prod",reason="timeout",side="target"}`:                                 0,
		`mssql_dag_direction{dag="erp-prod",direction="source_to_target"}`:                                      1,
		`mssql_dag_role{dag="erp-prod",role="primary",side="source"}`:                                           1,
		`mssql_dag_role{dag="erp-prod",role="secondary",side="target"}`:                                         1,
		`mssql_dag_convergence_state{dag="erp-prod",state="caught_up"}`:                                         1,
		`mssql_dag_convergence_reached{dag="erp-prod",level="synchronized"}`:                                    0,
		`mssql_dag_link_connected{dag="erp-prod"}`:                                                              1,
		`mssql_dag_availability_mode{dag="erp-prod",member="AzureAG",mode="asynchronous_commit",side="target"}`: 1,
		`mssql_dag_required_synchronized_secondaries{dag="erp-prod",side="source"}`:                             0,
		`mssql_dag_database_convergence_reached{dag="erp-prod",database="o'dd]name",level="caught_up"}`:         1,
		`mssql_dag_database_lsn_delta{dag="erp-prod",database="db001",lsn="end_of_log"}`:                        0,
		`mssql_dag_config_last_reload_successful`:                                                               1,
	})
	for _, side := range []lab.Side{lab.Source, lab.Target} {
		compareLSNs(t, r, side, got)
	}
}

// compareLSNs asks a side as an ordinary client and compares digit for digit.
func compareLSNs(t *testing.T, r *rig, side lab.Side, got map[string]float64) {
	t.Helper()
	db, err := sql.Open("sqlserver", r.lab.DSN(side))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query(`SELECT d.database_name, CONVERT(varchar(30), r.last_hardened_lsn), CONVERT(varchar(30), r.end_of_log_lsn)
		FROM sys.dm_hadr_database_replica_states r INNER JOIN sys.availability_databases_cluster d ON d.group_database_id = r.group_database_id
		WHERE r.is_local = 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		var name string
		var hardened, end sql.NullString
		if err := rows.Scan(&name, &hardened, &end); err != nil {
			t.Fatal(err)
		}
		n++
		for column, text := range map[string]sql.NullString{"last_hardened": hardened, "end_of_log": end} {
			labels := fmt.Sprintf(`{dag="erp-prod",database="%s",lsn="%s",side="%s"}`, name, column, side)
			if !text.Valid {
				expect(t, got, map[string]any{"mssql_dag_database_lsn_vlf" + labels: nil, "mssql_dag_database_lsn_block" + labels: nil})
				continue
			}
			// 25 digits: ten for the VLF, ten for the block, five for the slot.
			digits := strings.Repeat("0", 25-len(text.String)) + text.String
			vlf, block := strings.TrimLeft(digits[:10], "0"), strings.TrimLeft(digits[10:20], "0")
			for metric, want := range map[string]string{"vlf": vlf, "block": block} {
				have := got["mssql_dag_database_lsn_"+metric+labels]
				if strconv.FormatInt(int64(have), 10) != want || have == 0 {
					t.Errorf("%s%s is %.0f, the server says %s (%s)", metric, labels, have, want, text.String)
				}
			}
		}
	}
	if err := rows.Err(); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// Both sides synchronous, and what the DAG shows then.
func TestLabSynchronized(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, DAGMode: model.Sync}}, "")
	r.until(t, `mssql_dag_convergence_state{dag="erp-prod",state="synchronized"}`, 1)
}

// The traps of convergence against servers that show them.
func TestLabTraps(t *testing.T) {
	const base = `{dag="erp-prod",`
	for _, tt := range []struct {
		name   string
		opt    lab.Options
		extra  string
		change func(t *testing.T, r *rig)
		series string
		want   map[string]any
	}{
		{name: "both local AGs asynchronous: own hardened values are NULL", opt: lab.Options{Model: model.Config{Sides: [2]model.SideConfig{{LocalAsync: true}, {LocalAsync: true}}}},
			change: func(*testing.T, *rig) {}, series: `mssql_dag_convergence_state{dag="erp-prod",state="caught_up"}`,
			want: map[string]any{
				`mssql_dag_database_lsn_vlf{dag="erp-prod",database="db001",lsn="last_hardened",side="source"}`: nil,
				`mssql_dag_database_lsn_delta{dag="erp-prod",database="db001",lsn="last_hardened"}`:             nil,
				`mssql_dag_database_lsn_delta{dag="erp-prod",database="db001",lsn="end_of_log"}`:                0,
			}},
		{name: "suspended by a user", change: func(t *testing.T, r *rig) {
			if err := r.control.Suspend(lab.Source, 0, "db002", "user"); err != nil {
				t.Fatal(err)
			}
		}, series: `mssql_dag_convergence_state{dag="erp-prod",state="behind"}`, want: map[string]any{
			`mssql_dag_database_convergence_reached{dag="erp-prod",database="db001",level="caught_up"}`: 1,
			`mssql_dag_database_convergence_reached{dag="erp-prod",database="db002",level="near"}`:      0,
		}},
		{name: "a set that differs from the configured one", extra: "    databases: [db001, db002, ghost]\n", change: func(*testing.T, *rig) {},
			series: `mssql_dag_database_convergence_reached{dag="erp-prod",database="ghost",level="known"}`, want: map[string]any{
				`mssql_dag_convergence_state{dag="erp-prod",state="behind"}`:                                1,
				`mssql_dag_database_convergence_reached{dag="erp-prod",database="db001",level="caught_up"}`: 1,
				`mssql_dag_database_convergence_reached{dag="erp-prod",database="db003",level="near"}`:      0, // in the AG, not in the list
			}},
		{name: "zeros on both sides", change: func(t *testing.T, r *rig) {
			for _, s := range []lab.Side{lab.Source, lab.Target} {
				for _, c := range []string{"last_hardened_lsn", "end_of_log_lsn"} {
					if err := r.control.OverrideLSN(s, 0, "db001", c, "0"); err != nil {
						t.Fatal(err)
					}
				}
			}
		}, series: `mssql_dag_convergence_state{dag="erp-prod",state="unknown"}`, want: map[string]any{
			`mssql_dag_up{dag="erp-prod",side="source"}`:                                                    1,
			`mssql_dag_database_lsn_vlf{dag="erp-prod",database="db001",lsn="last_hardened",side="source"}`: nil,
			`mssql_dag_database_lsn_delta{dag="erp-prod",database="db001",lsn="end_of_log"}`:                nil,
			`mssql_dag_database_convergence_reached{dag="erp-prod",database="db001",level="known"}`:         0,
			`mssql_dag_database_convergence_reached{dag="erp-prod",database="db002",level="caught_up"}`:     1,
		}},
		{name: "one block unsent while the hardened columns are the same", change: func(t *testing.T, r *rig) {
			if err := r.control.OverrideLSN(lab.Source, 0, "db001", "end_of_log_lsn", "43000000000800001"); err != nil {
				t.Fatal(err)
			}
		}, series: `mssql_dag_database_convergence_reached{dag="erp-prod",database="db001",level="caught_up"}`, want: map[string]any{
			`mssql_dag_database_lsn_delta{dag="erp-prod",database="db001",lsn="last_hardened"}`:     0,
			`mssql_dag_database_lsn_delta_vlfs{dag="erp-prod",database="db001",lsn="end_of_log"}`:   1,
			`mssql_dag_database_lsn_delta_blocks{dag="erp-prod",database="db001",lsn="end_of_log"}`: nil,
			`mssql_dag_convergence_reached{dag="erp-prod",level="caught_up"}`:                       0,
		}},
		{name: "demoted", opt: lab.Options{Model: model.Config{DAGMode: model.Sync}}, change: func(t *testing.T, r *rig) {
			exec(t, r, lab.Source, "ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY)")
		}, series: `mssql_dag_convergence_state{dag="erp-prod",state="demoted"}`, want: map[string]any{
			`mssql_dag_direction{dag="erp-prod",direction="none"}`:            1,
			`mssql_dag_convergence_reached{dag="erp-prod",level="caught_up"}`: 0,
		}},
		{name: "after the failover", opt: lab.Options{Model: model.Config{DAGMode: model.Sync}}, change: func(t *testing.T, r *rig) {
			exec(t, r, lab.Source, "ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY)")
			r.until(t, `mssql_dag_convergence_state{dag="erp-prod",state="demoted"}`, 1)
			exec(t, r, lab.Target, "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS")
			r.until(t, `mssql_dag_convergence_state{dag="erp-prod",state="failed_over"}`, 1)
		}, series: `mssql_dag_convergence_reached{dag="erp-prod",level="caught_up"}`, want: map[string]any{
			`mssql_dag_direction{dag="erp-prod",direction="target_to_source"}`: 1,
			`mssql_dag_direction{dag="erp-prod",direction="source_to_target"}`: 0, // start alerts stay silent
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.opt, tt.extra)
			if tt.extra == "" {
				r.until(t, `mssql_dag_convergence_reached`+base+`level="caught_up"}`, 1)
			}
			tt.change(t, r)
			v := 1.0
			if strings.HasPrefix(tt.name, "one block") {
				v = 0
			}
			expect(t, r.until(t, tt.series, v), tt.want)
		})
	}
}

func exec(t *testing.T, r *rig, side lab.Side, statement string) {
	t.Helper()
	db, err := sql.Open("sqlserver", r.lab.DSN(side))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// A frozen server: the other side is served inside the scrape's timeout, and
// the frozen one comes back when it thaws.
func TestLabFrozenSide(t *testing.T) {
	r := newRig(t, lab.Options{}, "")
	r.until(t, `mssql_dag_convergence_reached{dag="erp-prod",level="caught_up"}`, 1)
	if err := r.control.Freeze(lab.Target, 0); err != nil {
		t.Fatal(err)
	}
	got := r.scrape(t, "/probe?target=erp-prod", timeoutHeader, "1.5")
	expect(t, got, map[string]any{
		`mssql_dag_up{dag="erp-prod",side="source"}`:                                            1,
		`mssql_dag_up{dag="erp-prod",side="target"}`:                                            0,
		`mssql_dag_scrape_error{dag="erp-prod",reason="timeout",side="target"}`:                 1,
		`mssql_dag_convergence_state{dag="erp-prod",state="unknown"}`:                           1,
		`mssql_dag_role{dag="erp-prod",role="primary",side="source"}`:                           1,
		`mssql_dag_database_convergence_reached{dag="erp-prod",database="db001",level="known"}`: 0,
	})
	if err := r.control.Unfreeze(lab.Target, 0); err != nil {
		t.Fatal(err)
	}
	r.until(t, `mssql_dag_up{dag="erp-prod",side="target"}`, 1)
}

func TestLabRefusedLoginAndStoppedServer(t *testing.T) {
	r := newRig(t, lab.Options{}, "")
	if err := r.control.RefuseLogins(lab.Target, 0, true); err != nil {
		t.Fatal(err)
	}
	if err := r.control.Stop(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	expect(t, r.scrape(t, "/metrics"), map[string]any{
		`mssql_dag_scrape_error{dag="erp-prod",reason="refused",side="source"}`: 1,
		`mssql_dag_scrape_error{dag="erp-prod",reason="login",side="target"}`:   1,
	})
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if strings.Contains(w.Body.String(), lab.SAPassword) {
		t.Error("the page shows the password")
	}
}
