package exporter

import (
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// What holds for the whole DAG stands in the head, and not again in each row;
// what one database has alone stays with it.
func TestTableSaysOnce(t *testing.T) {
	const all = "the DAG is ASYNCHRONOUS_COMMIT on the source; the DAG is ASYNCHRONOUS_COMMIT on the target"
	s := &collector.Snapshot{DAG: "erp", Convergence: hadr.Convergence{
		State: hadr.StateCaughtUp, Level: hadr.LevelCaughtUp,
		Reason: "3 of 3 databases caught_up; db1: the link is SYNCHRONIZING; " + all,
		Databases: []hadr.DatabaseConvergence{
			{Name: "db1", State: hadr.StateCaughtUp, Level: hadr.LevelCaughtUp, Reason: "the link is SYNCHRONIZING; " + all},
			{Name: "db2", State: hadr.StateCaughtUp, Level: hadr.LevelCaughtUp, Reason: all},
			{Name: "db3", State: hadr.StateCaughtUp, Level: hadr.LevelCaughtUp, Reason: all + "; only here"},
		},
	}}
	text := Table([]*collector.Snapshot{s}, TableOptions{})
	for _, once := range append(strings.Split(all, "; "), "only here") {
		if n := strings.Count(text, once); n != 1 {
			t.Errorf("%q stands there %d times", once, n)
		}
	}
	for name, end := range map[string]string{"db1": "the link is SYNCHRONIZING", "db2": "as above", "db3": "only here"} {
		if !strings.HasSuffix(rowOf(text, name), "  "+end) {
			t.Errorf("%s: %q", name, rowOf(text, name))
		}
	}
	if t.Failed() {
		t.Log(text)
	}

	// One database is worse: what the head says of it is not said of the others.
	s.Convergence.Reason = "1 of 3 databases behind; db1: suspended; no link"
	for i, reason := range []string{"suspended; no link", "no link", "slow"} {
		s.Convergence.Databases[i].Reason = reason
	}
	text = Table([]*collector.Snapshot{s}, TableOptions{})
	for name, end := range map[string]string{"db1": "suspended; no link", "db2": "no link", "db3": "slow"} {
		if !strings.HasSuffix(rowOf(text, name), "  "+end) {
			t.Errorf("%s: %q", name, rowOf(text, name))
		}
	}
}

// rowOf is the line of a database.
func rowOf(text, name string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  "+name+" ") {
			return strings.TrimRight(line, "\n")
		}
	}
	return ""
}
