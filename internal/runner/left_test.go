package runner

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// What is left to do is read as a list of things to type: no statement stands
// there before what has to be true first.
func TestLeftHasWhatComesFirst(t *testing.T) {
	rec := recordOf(t, cutover.Plan{}, cutover.Intent{Pages: []cutover.PageTime{{At: time.Unix(1, 0), Page: cutover.Page{
		Text: "the target cannot be read", Before: []string{"the target reads SECONDARY, or is fenced for good"},
		Statements: []cutover.Statement{{Kind: cutover.Promote, Side: hadr.Source, SQL: "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS;"}}}}}})
	left := newReport(rec, time.Unix(2, 0)).Left
	first := slices.Index(left, "first: the target reads SECONDARY, or is fenced for good")
	typed := slices.IndexFunc(left, func(s string) bool { return strings.Contains(s, "FORCE_FAILOVER") })
	if first < 0 || typed < first {
		t.Errorf("%q", left)
	}
}

// After the move the list says what is so, and nothing else.
func TestLeftAfterDone(t *testing.T) {
	has := func(plan cutover.Plan, i cutover.Intent, text string) bool {
		i.Outcome = cutover.OutcomeDone
		return slices.ContainsFunc(newReport(recordOf(t, plan, i), time.Unix(2, 0)).Left, func(s string) bool { return strings.Contains(s, text) })
	}
	async := cutover.Plan{}
	async.BackToAsync = true
	suspended := cutover.Intent{Notes: []cutover.Note{{Text: "erp is suspended on the source (USER): look before you RESUME"}}}
	repointed := cutover.Intent{Hooks: map[cutover.HookName]cutover.HookState{cutover.HookRepoint: {OK: true}}}
	for _, c := range []struct {
		plan cutover.Plan
		i    cutover.Intent
		text string
		want bool
	}{
		{cutover.Plan{}, cutover.Intent{}, "before you RESUME any", false},
		{cutover.Plan{}, suspended, "before you RESUME any", true},
		{cutover.Plan{}, cutover.Intent{}, "no repoint hook ran", true},
		{cutover.Plan{}, repointed, "no repoint hook ran", false},
		{cutover.Plan{}, cutover.Intent{}, "commit synchronously", true},
		{async, cutover.Intent{}, "commit synchronously", false},
	} {
		if got := has(c.plan, c.i, c.text); got != c.want {
			t.Errorf("%q: %t, want %t", c.text, got, c.want)
		}
	}
}

// After S2 no gate is read: the report says so in place of an empty table.
func TestNoGatesAfterS2(t *testing.T) {
	rec := recordOf(t, cutover.Plan{}, cutover.Intent{})
	rec.Events = []journal.Event{journal.NewEvent(time.Unix(1, 0), "verdicts", "all gates before promote", []cutover.Verdict{})}
	var b strings.Builder
	if err := newReport(rec, time.Unix(2, 0)).Markdown(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "None is read after S2") || strings.Contains(b.String(), "| by cutover_webhook |") {
		t.Error(b.String())
	}
	b.Reset()
	rec.Run.Version = "v9.9"
	if err := newReport(rec, time.Unix(2, 0)).Markdown(&b); err != nil || !strings.Contains(b.String(), "| by cutover_webhook | v9.9 |") {
		t.Error(err, b.String())
	}
}

func recordOf(t *testing.T, plan cutover.Plan, i cutover.Intent) *journal.Record {
	t.Helper()
	doc, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	return &journal.Record{Run: journal.Run{ID: "run-1", Mode: string(ModeExecute), Plan: doc}, Intent: i}
}
