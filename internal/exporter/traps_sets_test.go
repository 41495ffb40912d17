package exporter

import (
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// The sets of databases differ by what the servers hold, not by what a file
// says: one side's group has lost a database while the other still has it, with
// equal logs. Either way it would not come along, and the others are not
// touched by it.
func TestLabDatabaseOnOneSideOnly(t *testing.T) {
	for name, c := range map[string]struct {
		side        lab.Side // which loses it
		statement   string
		source, tgt int
		reason      string
	}{
		"removed on the source":   {lab.Source, "ALTER AVAILABILITY GROUP [OnPremAG] REMOVE DATABASE [db002]", 0, 1, "it is in the target's availability group only"},
		"taken out of the target": {lab.Target, "ALTER DATABASE [db002] SET HADR OFF", 1, 0, "it is in the source's availability group only"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001", "db002"}}}, "")
			r.until(t, caughtUp, 1)
			exec(t, r, c.side, c.statement)
			present := `mssql_dag_database_present{dag="erp-prod",database="db002",side="` + c.side.String() + `"}`
			got := r.scrape(t, with("state"))
			for deadline := time.Now().Add(20 * time.Second); got[present] != 0; got = r.scrape(t, with("state")) {
				if time.Now().After(deadline) {
					t.Fatal("the side does not lose it")
				}
				time.Sleep(10 * time.Millisecond)
			}
			expect(t, got, map[string]any{
				`mssql_dag_database_present{dag="erp-prod",database="db002",side="source"}`: c.source,
				`mssql_dag_database_present{dag="erp-prod",database="db002",side="target"}`: c.tgt,
				behind: 1, caughtUp: 0,
				of("convergence_reached", "db001", `level="caught_up"`): 1,
				of("convergence_reached", "db002", `level="known"`):     1,
				of("convergence_reached", "db002", `level="near"`):      0,
				of("lsn_delta", "db002", `lsn="end_of_log"`):            nil,
			})
			r.says(t, c.reason)
		})
	}
}

// Without a cluster an old primary that comes back believes that it still is
// one: two instances of a side say PRIMARY, and the side has no reading, so the
// DAG no verdict, whichever of the two was asked first. The reader refuses it
// already; that Compare does too, by the peers and by the members' roles in the
// reading, is a second wall that no answer of a server comes through to.
func TestLabTwoLocalPrimaries(t *testing.T) {
	for _, side := range []lab.Side{lab.Source, lab.Target} {
		t.Run(side.String(), func(t *testing.T) {
			cfg := model.Config{Databases: []string{"db001"}, Sides: [2]model.SideConfig{two("A0", "A1"), two("B0", "B1")}}
			cfg.Sides[side].ClusterType = model.None
			r := newRig(t, lab.Options{Model: cfg}, "")
			r.until(t, caughtUp, 1)
			must(t, r.control.Stop(side, 0))
			must(t, r.control.LocalFailover(side, 1, true))
			r.until(t, `mssql_dag_up{dag="erp-prod",side="`+side.String()+`"}`, 1)
			must(t, r.control.Start(side, 0))
			got := r.until(t, `mssql_dag_scrape_error{dag="erp-prod",reason="duplicate",side="`+side.String()+`"}`, 1)
			for range 5 {
				expect(t, got, map[string]any{
					`mssql_dag_up{dag="erp-prod",side="` + side.String() + `"}`:         0,
					`mssql_dag_up{dag="erp-prod",side="` + side.Other().String() + `"}`: 1,
					`mssql_dag_convergence_state{dag="erp-prod",state="unknown"}`:       1,
					`mssql_dag_convergence_reached{dag="erp-prod",level="known"}`:       0,
				})
				got = r.scrape(t, "/metrics")
			}
			r.says(t, "both say that they are PRIMARY")
		})
	}
}

// A failover is forced on the target while the source is PRIMARY still: both
// sides may take writes, and no level is reached, however equal the logs are.
func TestLabSplit(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, DAGMode: model.Sync}}, "")
	r.until(t, synchronized, 1)
	exec(t, r, lab.Target, "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS")
	expect(t, r.until(t, `mssql_dag_convergence_state{dag="erp-prod",state="split"}`, 1), map[string]any{
		`mssql_dag_direction{dag="erp-prod",direction="both"}`:             1,
		`mssql_dag_direction{dag="erp-prod",direction="source_to_target"}`: 0,
		`mssql_dag_convergence_reached{dag="erp-prod",level="known"}`:      0,
		of("convergence_reached", "db001", `level="known"`):                0,
	})
	r.says(t, "both sides are PRIMARY")
}
