package exporter

import (
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// of is a series of one database.
func of(name, db, level string) string {
	return "mssql_dag_database_" + name + `{dag="erp-prod",database="` + db + `",` + level + `}`
}

// A copy that is REVERTING, INITIALIZING or RESTORING while both logs end at
// the same place: equal LSNs are worth nothing, on either side, and the other
// database is not touched by it. Both local AGs are asynchronous, so that no
// other rule keeps the verdict down.
func TestLabStatesThatAreNoConvergence(t *testing.T) {
	for _, state := range []string{"REVERTING", "INITIALIZING", "NOT SYNCHRONIZING", "RESTORING", "RECOVERING", "SUSPECT", "OFFLINE"} {
		t.Run(state, func(t *testing.T) {
			r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001", "db002"}, Sides: [2]model.SideConfig{{LocalAsync: true}, {LocalAsync: true}}}}, "")
			r.until(t, caughtUp, 1)
			force := r.control.DatabaseState
			if state == "REVERTING" || state == "INITIALIZING" || state == "NOT SYNCHRONIZING" {
				force = r.control.SyncState
			}
			if err := force(lab.Target, 0, "db001", state); err != nil {
				t.Fatal(err)
			}
			// The very next scrape has it.
			expect(t, r.scrape(t, "/metrics"), map[string]any{
				behind: 1, caughtUp: 0,
				`mssql_dag_convergence_reached{dag="erp-prod",level="near"}`: 0,
				of("lsn_delta", "db001", `lsn="end_of_log"`):                 0,
				of("convergence_reached", "db001", `level="known"`):          1,
				of("convergence_reached", "db001", `level="near"`):           0,
				of("convergence_reached", "db001", `level="caught_up"`):      0,
				of("convergence_reached", "db002", `level="caught_up"`):      1,
			})
			_, last, _ := r.set.dags[0].history.get()
			if d := last.Convergence.Database("db001"); !strings.Contains(d.Reason, "it is "+state+" on the target") {
				t.Errorf("the reason is %q", d.Reason)
			}
			if err := force(lab.Target, 0, "db001", ""); err != nil {
				t.Fatal(err)
			}
			r.until(t, caughtUp, 1)
		})
	}
}

// Two databases whose names differ by case alone, their logs far apart, on
// servers with a case-sensitive collation: each is judged by itself, and no LSN
// is shown under the other one's name. Where a collation takes two such names
// for one, no server holds both; names that this program alone takes for one
// are TestLabNamesThatCannotBeToldApart.
func TestLabNamesThatDifferByCase(t *testing.T) {
	cfg := model.Config{Databases: []string{"db001", "DB001"}}
	for i := range cfg.Sides {
		cfg.Sides[i].Collation = "Latin1_General_100_CS_AS"
	}
	r := newRig(t, lab.Options{Model: cfg}, "")
	if err := r.control.PlaceLog("DB001", 90000, 16); err != nil {
		t.Fatal(err)
	}
	r.until(t, caughtUp, 1)
	for range 5 {
		got := r.scrape(t, "/metrics")
		expect(t, got, map[string]any{
			caughtUp: 1, of("convergence_reached", "db001", `level="caught_up"`): 1, of("convergence_reached", "DB001", `level="caught_up"`): 1,
		})
		for series, v := range got {
			_, labels, is := strings.Cut(series, "mssql_dag_database_lsn_vlf")
			if is && (v == 90000) != strings.Contains(labels, `database="DB001"`) {
				t.Errorf("%s is %v", series, v)
			}
		}
	}
	must(t, r.control.Suspend(lab.Target, 0, "DB001", "user"))
	expect(t, r.until(t, of("convergence_reached", "DB001", `level="caught_up"`), 0), map[string]any{
		caughtUp: 0, of("convergence_reached", "db001", `level="caught_up"`): 1,
	})
}
