package exporter

import (
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// The traps of hadr.Compare that another check mostly covers up. Here each
// check stands alone between the servers and a verdict that is too good; where
// the lab has no such state, because servers that show the one thing show the
// other too, the check is held to what it says: the reason, which is all that
// a DBA has to go by.

const synchronized = `mssql_dag_convergence_reached{dag="erp-prod",level="synchronized"}`

// reason is why the last scrape's verdict is not better.
func (r *rig) reason(t *testing.T) string {
	t.Helper()
	_, last, _ := r.set.dags[0].history.get()
	if last == nil {
		t.Fatal("nothing was scraped")
	}
	return last.Convergence.Reason
}

// says holds the reason to some texts.
func (r *rig) says(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if have := r.reason(t); !strings.Contains(have, text) {
			t.Errorf("the reason does not say %q: %s", text, have)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Both local AGs asynchronous: no side's own row has a hardened value. The
// target has received the last block and its disk has not taken it, so that
// both end_of_log_lsn are equal, and so are both last_hardened_lsn for whoever
// takes two NULLs for the same. Only what the source heard of the target's
// disk says that it is not there yet.
func TestLabAsynchronousAndNotHardened(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, Sides: [2]model.SideConfig{{LocalAsync: true}, {LocalAsync: true}}}}, "")
	end := func(got map[string]float64, side string) float64 {
		return got[of("lsn_block", "db001", `lsn="end_of_log",side="`+side+`"`)]
	}
	got := r.until(t, caughtUp, 1)
	before := end(got, "source")
	must(t, r.control.Flush(lab.Target, 0, time.Hour))
	must(t, r.control.Checkpoint(lab.Source, 0, "db001"))
	for deadline := time.Now().Add(20 * time.Second); end(got, "source") == before || end(got, "source") != end(got, "target"); got = r.scrape(t, "/metrics") {
		if time.Now().After(deadline) {
			t.Fatalf("the last block does not arrive: %v on the source, %v on the target", end(got, "source"), end(got, "target"))
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range 5 {
		expect(t, r.scrape(t, with("state")), map[string]any{
			`mssql_dag_convergence_reached{dag="erp-prod",level="near"}`: 1, caughtUp: 0, synchronized: 0,
			of("lsn_delta", "db001", `lsn="end_of_log"`):                                      0,
			of("lsn_delta", "db001", `lsn="last_hardened"`):                                   nil,
			of("lsn_vlf", "db001", `lsn="last_hardened",side="source"`):                       nil,
			of("lsn_vlf", "db001", `lsn="last_hardened",side="target"`):                       nil,
			`mssql_dag_database_position{dag="erp-prod",database="db001",position="behind"}`:  1,
			`mssql_dag_database_position_basis{basis="link",dag="erp-prod",database="db001"}`: 1,
		})
	}
	r.says(t, "as the source heard it", "has not passed end_of_log_lsn")
}

// The primary follows its own copy of the modes (a switch of the lab, since
// nobody has seen which copy decides), so that the row of the link reads
// SYNCHRONIZED while the other side's copy is asynchronous: nothing but the
// modes of both copies is between this and "synchronized". In both directions,
// so that it is each side's copy once.
func TestLabModeSeenInOneCopyOnly(t *testing.T) {
	const modes = "ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'OnPremAG' WITH (AVAILABILITY_MODE = %), 'AzureAG' WITH (AVAILABILITY_MODE = %)"
	for _, forwarder := range []lab.Side{lab.Target, lab.Source} {
		t.Run("the "+forwarder.String()+"'s copy", func(t *testing.T) {
			r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, DAGMode: model.Sync, Assume: model.Assumptions{S1OneSideSuffices: true}}}, "")
			r.until(t, synchronized, 1)
			primary, member := "source", "AzureAG"
			if forwarder == lab.Source {
				exec(t, r, lab.Source, "ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY)")
				r.until(t, `mssql_dag_convergence_state{dag="erp-prod",state="demoted"}`, 1)
				exec(t, r, lab.Target, "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS")
				primary, member = "target", "OnPremAG"
			}
			r.until(t, synchronized, 1)
			exec(t, r, forwarder, strings.ReplaceAll(modes, "%", "ASYNCHRONOUS_COMMIT"))
			for range 3 {
				got := r.until(t, `mssql_dag_availability_mode{dag="erp-prod",member="`+member+`",mode="asynchronous_commit",side="`+forwarder.String()+`"}`, 1)
				expect(t, got, map[string]any{
					caughtUp: 1, synchronized: 0,
					`mssql_dag_database_synchronization_state{availability_group="DAG",dag="erp-prod",database="db001",replica="` + member + `",side="` + primary + `",state="synchronized"}`: 1,
				})
			}
			r.says(t, member+" is ASYNCHRONOUS_COMMIT in the "+forwarder.String()+"'s copy of the DAG")
			exec(t, r, forwarder, strings.ReplaceAll(modes, "%", "SYNCHRONOUS_COMMIT"))
			r.until(t, synchronized, 1)
		})
	}
}

// Two names that this program takes for one and the servers do not: U+017F is
// a small s to Unicode's case folding. Which copy belongs to which cannot be
// told, whatever the logs say, and nothing is shown under the other one's name.
func TestLabNamesThatCannotBeToldApart(t *testing.T) {
	names := []string{"sales", "\u017Fales"}
	r := newRig(t, lab.Options{Model: model.Config{Databases: append(names, "db003")}}, "")
	got := r.until(t, of("convergence_reached", "db003", `level="caught_up"`), 1)
	for range 5 {
		for series, v := range got {
			if strings.Contains(series, `ales"`) && (strings.Contains(series, "convergence_reached") && v != 0 || strings.Contains(series, "_lsn_")) {
				t.Errorf("%s is %v", series, v)
			}
		}
		expect(t, got, map[string]any{caughtUp: 0, `mssql_dag_convergence_state{dag="erp-prod",state="unknown"}`: 1})
		got = r.scrape(t, "/metrics")
	}
	r.says(t, "differ in case only")
}

// Data movement suspended, by either side. On every server that shows it the
// row of the link reads NOT SYNCHRONIZING as well, which alone is "behind"; in
// the lab both come from one look at the flow. So the check is held to the
// reason: the DBA must read that somebody suspended it, and where, for the
// remedy of that is RESUME.
func TestLabSuspendedIsSaid(t *testing.T) {
	for _, side := range []lab.Side{lab.Source, lab.Target} {
		t.Run(side.String(), func(t *testing.T) {
			r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, Sides: [2]model.SideConfig{{LocalAsync: true}, {LocalAsync: true}}}}, "")
			r.until(t, caughtUp, 1)
			must(t, r.control.Suspend(side, 0, "db001", "user"))
			expect(t, r.scrape(t, "/metrics"), map[string]any{behind: 1, of("lsn_delta", "db001", `lsn="end_of_log"`): 0})
			r.says(t, "data movement is suspended on the "+side.String()+" (USER)", "data movement is suspended on the link")
			must(t, r.control.Resume(side, 0, "db001"))
			r.until(t, caughtUp, 1)
		})
	}
}

// The link is cut and the log is equal. A server that sees the other side
// DISCONNECTED shows the link's row as NOT SYNCHRONIZING in the same moment
// (recorded so, and in the lab one event does both), so "behind" has two
// witnesses. Each is held to its own reason.
func TestLabCutLinkIsSaid(t *testing.T) {
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, Timing: model.Timing{SessionTimeout: 100 * time.Millisecond}}}, "")
	r.until(t, caughtUp, 1)
	must(t, r.control.Cut())
	expect(t, r.until(t, `mssql_dag_link_connected{dag="erp-prod"}`, 0), map[string]any{
		behind: 1, of("lsn_delta", "db001", `lsn="end_of_log"`): 0, of("lsn_delta", "db001", `lsn="last_hardened"`): 0,
	})
	r.says(t, "AzureAG is DISCONNECTED", "it is NOT SYNCHRONIZING on the link")
	must(t, r.control.Heal())
	r.until(t, caughtUp, 1)
}
