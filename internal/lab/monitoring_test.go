package lab

import (
	"os"
	"strings"
	"testing"
)

// TestMonitoringScripts runs the scripts of internal/tsql/testdata/monitoring.txt, written in the manner of the scripts that people use on availability groups,
// against the lab's own views, on both sides: each runs to its end without an error, but for those whose answer there is one.
func TestMonitoringScripts(t *testing.T) {
	data, err := os.ReadFile("../tsql/testdata/monitoring.txt")
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, Options{})
	blocks := strings.Split(string(data), "\n====\n")
	if len(blocks) < 10 {
		t.Fatalf("%d scripts", len(blocks))
	}
	for _, side := range []Side{Source, Target} {
		db := l.test(t, side)
		for _, b := range blocks {
			script, answer, _ := strings.Cut(b, "\n----\n")
			name, _, _ := strings.Cut(script, "\n")
			refused := strings.Contains(answer, "Msg 50900")
			rows, err := db.QueryContext(within(t), script)
			for err == nil {
				for rows.Next() {
				}
				if err = rows.Err(); err != nil || !rows.NextResultSet() {
					break
				}
			}
			if rows != nil {
				_ = rows.Close()
			}
			if refused != (err != nil) || refused && !strings.Contains(err.Error(), "does not implement") {
				t.Errorf("%s on the %s: %v", name, side, err)
			}
		}
	}
}
