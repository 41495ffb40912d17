package exporter

import (
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// A primary's own last_hardened_lsn is the minimum over its synchronizing
// secondaries: what a slow secondary of the source makes of the comparison
// that people do by eye.

// slowSource is a source whose second instance does not harden any more, so
// that the primary's last_hardened_lsn stands still while its log goes on.
func slowSource(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, lab.Options{Model: model.Config{Databases: []string{"db001"}, Sides: [2]model.SideConfig{two("A0", "A1"), {}},
		Timing: model.Timing{SessionTimeout: time.Hour}}}, "")
	r.until(t, caughtUp, 1)
	must(t, r.control.Flush(lab.Source, 1, time.Hour))
	return r
}

// The minimum is below what the forwarder has. While that is all there is, it
// is caught up, although the two last_hardened_lsn never become the same; and
// when the source's log goes on unsent it is not, although the forwarder's
// last_hardened_lsn is the higher one still.
func TestLabSourceMinimumBelowTheForwarder(t *testing.T) {
	r := slowSource(t)
	hardened := of("lsn_delta", "db001", `lsn="last_hardened"`)
	below := func(reached float64) map[string]float64 {
		t.Helper()
		must(t, r.control.Checkpoint(lab.Source, 0, "db001"))
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			got := r.scrape(t, with("state"))
			if got[caughtUp] == reached && got[hardened] < 0 {
				return got
			}
			if time.Now().After(deadline) {
				t.Fatalf("caught up %v, want %v; last_hardened_lsn apart by %v: %s", got[caughtUp], reached, got[hardened], r.reason(t))
			}
		}
	}
	expect(t, below(1), map[string]any{of("lsn_delta", "db001", `lsn="end_of_log"`): 0,
		`mssql_dag_database_position_basis{basis="hardened",dag="erp-prod",database="db001"}`: 1})
	must(t, r.control.Link(time.Hour, 0))
	expect(t, below(0), map[string]any{`mssql_dag_database_position{dag="erp-prod",database="db001",position="behind"}`: 1})
	r.says(t, "has not passed end_of_log_lsn")
}

// The minimum and the forwarder's value are the same, and the source's log has
// gone on: not caught up, neither while the tail is not sent, nor while it has
// arrived and no disk has it, when end_of_log_lsn is equal too.
func TestLabHardenedEqualWhileTheLogGoesOn(t *testing.T) {
	for name, hold := range map[string]func(r *rig) error{
		"not sent":            func(r *rig) error { return r.control.Link(time.Hour, 0) },
		"arrived, on no disk": func(r *rig) error { return r.control.Flush(lab.Target, 0, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			r := slowSource(t)
			must(t, hold(r))
			block := func(got map[string]float64, side, lsn string) float64 {
				return got[of("lsn_block", "db001", `lsn="`+lsn+`",side="`+side+`"`)]
			}
			// Several blocks: after one, last_hardened_lsn (the start of the next
			// block) is where that block begins, and reads like end_of_log_lsn.
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				must(t, r.control.Checkpoint(lab.Source, 0, "db001"))
				got := r.scrape(t, "/metrics")
				if block(got, "source", "end_of_log") > block(got, "source", "last_hardened") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the source's log does not go on")
				}
			}
			arrived := func(got map[string]float64) bool {
				return block(got, "source", "end_of_log") == block(got, "target", "end_of_log")
			}
			got := r.scrape(t, "/metrics")
			for deadline := time.Now().Add(20 * time.Second); name != "not sent" && !arrived(got); got = r.scrape(t, "/metrics") {
				if time.Now().After(deadline) {
					t.Fatal("the log does not arrive")
				}
				time.Sleep(10 * time.Millisecond)
			}
			for range 5 {
				got = r.scrape(t, "/metrics")
				expect(t, got, map[string]any{of("lsn_delta", "db001", `lsn="last_hardened"`): 0, caughtUp: 0,
					of("convergence_reached", "db001", `level="known"`): 1})
				if arrived(got) == (name == "not sent") {
					t.Errorf("end_of_log_lsn: source %v, target %v", block(got, "source", "end_of_log"), block(got, "target", "end_of_log"))
				}
			}
			r.says(t, "has not passed end_of_log_lsn")
		})
	}
}
