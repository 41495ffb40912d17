package runner

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestOutageOfAClosedRun: a run that a person brought to its end has an outage of
// which the end was not seen. What is said of it does not grow for ever after.
func TestOutageOfAClosedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).killedAfter("demote source")
		r.dag.Cutover.Mode = "dry_run"
		r.start()
		defer r.close()
		began := time.Now()
		r.p.with(func(v *servers) { v.land(cutover.ReleaseSecondary, hadr.Source); v.land(cutover.Promote, hadr.Target) })
		time.Sleep(time.Minute)
		if err := r.c.Acknowledge(t.Context(), Request{By: "anna", Reason: "done by hand"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		rep := r.wantOutcome("closed")
		most := time.Since(began).Seconds() + 5
		time.Sleep(time.Hour)
		again, err := r.c.Report(t.Context(), rep.Run)
		if err != nil {
			t.Fatal(err)
		}
		runs, err := r.c.Runs(t.Context())
		if err != nil || len(runs) != 1 {
			t.Fatal(runs, err)
		}
		for what, got := range map[string]float64{"report": again.WriteUnavailable, "list": runs[0].WriteUnavailable} {
			if got <= 0 || got > most {
				t.Errorf("%s an hour later: %.0f s without writes, at most %.0f", what, got, most)
			}
		}
		var b bytes.Buffer
		if err := again.Markdown(&b); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "at most") || !strings.Contains(b.String(), "was not seen") {
			t.Error("the report says when writes went on again, and nobody saw it")
		}
	})
}

// TestOutageOfADryRun: it made nothing unavailable, in the list of runs too.
func TestOutageOfADryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.dag.Cutover.Mode = "dry_run"
		r.start().arm(false).fire()
		defer r.close()
		rep := r.wantOutcome("rehearsed")
		runs, err := r.c.Runs(t.Context())
		if err != nil || len(runs) != 1 {
			t.Fatal(runs, err)
		}
		if rep.WriteUnavailable != 0 || runs[0].WriteUnavailable != 0 {
			t.Errorf("report %v s, list %v s without writes", rep.WriteUnavailable, runs[0].WriteUnavailable)
		}
	})
}
