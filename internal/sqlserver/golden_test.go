package sqlserver

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

var update = flag.Bool("update", false, "write the golden T-SQL in testdata anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what is sent now; look at the difference, then go test -update:\n%s", path, got)
	}
}

// What a DBA can review: every batch, exactly as it is sent, per version.
func TestGoldenReadings(t *testing.T) {
	n := names{group: "DAG", ag: "OnPremAG"}
	for major := v2016; major <= v2025; major++ {
		golden(t, fmt.Sprintf("read_scrape_%d.sql", major), readBatch(n, major, Want{Log: true}))
		golden(t, fmt.Sprintf("read_everything_%d.sql", major), readBatch(n, major, Everything))
		golden(t, fmt.Sprintf("role_%d.sql", major), roleBatch(n, major))
		golden(t, fmt.Sprintf("discover_%d.sql", major), discoverBatch(major))
	}
	golden(t, "probe.sql", probeBatch)
}

func testGuard() Guard {
	return Guard{Run: "run-1", Role: hadr.RolePrimary, ServerName: "ONPREM1", StartTime: "2026-01-02T03:04:05.006", Databases: []string{"db001", "it's ]"}}
}

func TestGoldenGuards(t *testing.T) {
	n := names{group: "DAG", ag: "OnPremAG"}
	render := func(k Kind, members ...string) Statement {
		s, err := Render(k, n.group, members...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	g := testGuard()
	golden(t, "guard_sync.sql", guardedBatch(n, "lock/DAG", render(KindSync, "OnPremAG", "AzureAG"), g))
	g.RSSTC = hadr.Some[int64](1)
	golden(t, "guard_demote.sql", guardedBatch(n, "lock/DAG", render(KindDemote), g))
	g = testGuard()
	g.Role, g.RSSTC = hadr.RoleSecondary, hadr.Some[int64](0)
	l := hadr.LSN{VLF: 10227, Block: 241966, Slot: 1}
	h := hadr.LSN{VLF: 10227, Block: 241974, Slot: 1}
	g.AtLeast = map[string]Floor{"db001": {Hardened: h, EndOfLog: l}, "it's ]": {Hardened: h, EndOfLog: l}}
	golden(t, "guard_promote.sql", guardedBatch(n, "lock/DAG", render(KindPromote), g))
	g.EndOfLogOnly = true
	golden(t, "guard_promote_end_of_log.sql", guardedBatch(n, "lock/DAG", render(KindPromote), g))
	g.AtLeast, g.NoProof = nil, true
	golden(t, "guard_way_back.sql", guardedBatch(n, "lock/DAG", render(KindPromote), g))
	golden(t, "clear.sql", clearBatch(n, "0c1d2e3f-0000-4000-8000-0123456789ab", render(KindRequire0)))
	golden(t, "clear_unknown_group.sql", clearBatch(n, "", render(KindRequire0)))
}

// A column is asked for from the version on that has it, and never before.
func TestColumnsPerVersion(t *testing.T) {
	n := names{group: "DAG", ag: "OnPremAG"}
	since := map[string]int{"g.cluster_type": 14, "g.required_synchronized_secondaries_to_commit": 14, "g.sequence_number": 14, "g.is_contained": 16,
		"VIEW SERVER PERFORMANCE STATE": 16}
	for major := v2016; major <= v2025; major++ {
		batch := readBatch(n, major, Everything)
		for column, first := range since {
			if has := strings.Contains(batch, column); has != (major >= first) {
				t.Errorf("version %d: %s asked for: %v", major, column, has)
			}
		}
		if strings.Contains(batch, "*)") || strings.Contains(batch, "SELECT *") {
			t.Errorf("version %d selects columns that it does not name", major)
		}
	}
}

func TestEveryPartIsIsolatedAndKnown(t *testing.T) {
	batch := readBatch(names{"DAG", "AG"}, v2025, Everything)
	for _, p := range parts {
		if fillers[p.name] == nil {
			t.Errorf("nobody reads the part %q", p.name)
		}
		if p.wanted(Everything) && strings.Count(batch, "N'"+p.name+"' AS [failed.part]") != 1 {
			t.Errorf("the part %q is not isolated once", p.name)
		}
		if sql := p.sql(names{"DAG", "AG"}, v2025); !strings.Contains(sql, " AS ["+p.name+".") {
			t.Errorf("the first column of part %q does not name it", p.name)
		}
	}
}
