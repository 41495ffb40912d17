package tsql

import (
	"context"
	"strings"
	"testing"
)

// TestStoredRowsAreTheirOwn: SELECT * of one table gives the table's own rows, in a join several times over. What is stored of them
// must be rows of their own, since UPDATE and DELETE know rows by their identity.
func TestStoredRowsAreTheirOwn(t *testing.T) {
	const pair = "SELECT 1 AS k INTO #pair; INSERT INTO #pair VALUES (2); SELECT 1 AS i INTO #a; "
	for _, c := range []struct{ name, setup string }{
		{"insert from itself", "INSERT INTO #a SELECT * FROM #a"},
		{"select into, of a join", "SELECT #a.* INTO #b FROM #a CROSS JOIN #pair; DROP TABLE #a; SELECT * INTO #a FROM #b"},
		{"insert, of a join", "INSERT INTO #a SELECT #a.* FROM #a CROSS JOIN #pair; DELETE TOP (1) FROM #a"},
		{"insert exec", "INSERT INTO #a EXEC ('SELECT * FROM #a')"},
		{"top of a derived table", "INSERT INTO #a SELECT TOP 1 * FROM (SELECT * FROM #a) d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSession(newFake(), Options{})
			defer s.Close(context.Background())
			var out textSink
			if err := s.Exec(context.Background(), "SET NOCOUNT ON; "+pair+c.setup+"; UPDATE TOP (1) #a SET i = 7; SELECT MIN(i), MAX(i), COUNT(*) FROM #a; DELETE TOP (1) FROM #a; SELECT COUNT(*) FROM #a", &out); err != nil || len(out.errs) > 0 {
				t.Fatal(err, out.errs)
			}
			if got := out.String(); !strings.Contains(got, "1 | 7 | 2\n") || !strings.HasSuffix(strings.TrimSpace(got), "1") {
				t.Error(got)
			}
		})
	}
}
