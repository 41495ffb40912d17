package faultrun

import (
	"reflect"
	"slices"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// TestPairwise: every pair of values of every two factors is in some row.
func TestPairwise(t *testing.T) {
	levels := append(slices.Repeat([]int{2}, 25), 3)
	rows := Pairwise(levels, 1)
	for f := range levels {
		for g := f + 1; g < len(levels); g++ {
			for v := range levels[f] {
				for w := range levels[g] {
					if !slices.ContainsFunc(rows, func(r []int) bool { return r[f] == v && r[g] == w }) {
						t.Fatalf("no row with factor %d = %d and factor %d = %d", f, v, g, w)
					}
				}
			}
		}
	}
	if len(rows) > 20 {
		t.Errorf("%d rows: a pairwise array of this size needs about a dozen", len(rows))
	}
	if !reflect.DeepEqual(rows, Pairwise(levels, 1)) {
		t.Error("the same seed gives another array")
	}
}

// TestSettings: every switch of the lab is met on and off.
func TestSettings(t *testing.T) {
	list := Settings()
	for _, name := range Switches() {
		on := 0
		for _, s := range list {
			if slices.Contains(s.On, name) {
				on++
			}
		}
		if on == 0 || on == len(list) {
			t.Errorf("%s is on in %d of %d settings", name, on, len(list))
		}
	}
	if n := len(Switches()); n < 20 {
		t.Errorf("only %d switches", n)
	}
}

// TestRandomCase: a seed is a case, and seeds differ.
func TestRandomCase(t *testing.T) {
	seen := map[string]bool{}
	for seed := uint64(1); seed <= 50; seed++ {
		a, b := RandomCase(seed), RandomCase(seed)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d gives two cases:\n%+v\n%+v", seed, a, b)
		}
		if a.Schedule != nil {
			if err := a.Schedule.Check(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
		if len(a.Hits) == 0 && a.Schedule == nil {
			t.Errorf("seed %d disturbs nothing", seed)
		}
		for _, h := range a.Hits {
			seen[h.String()] = true
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d different hits in 50 seeds", len(seen))
	}
}

// TestMatrixCells: whole, every cell once; for make accept, every other row
// whole, and every column in some row of which only a part is run.
func TestMatrixCells(t *testing.T) {
	all := map[string]bool{}
	for _, c := range Matrix(true) {
		all[c.Case().Name] = true
	}
	if want := len(Boundaries) * len(Wires) * len(Effects); len(all) != want {
		t.Errorf("%d different cells, want %d", len(all), want)
	}
	perRow, part := map[string]int{}, map[string]bool{}
	for _, c := range Matrix(false) {
		perRow[c.Boundary.Name()]++
		if c.Boundary.Part {
			part[c.Column()] = true
		}
	}
	for _, b := range Boundaries {
		want := len(Wires) * len(Effects)
		if b.Part {
			want = 3
		}
		if perRow[b.Name()] != want {
			t.Errorf("%s: %d cells, want %d", b.Name(), perRow[b.Name()], want)
		}
	}
	if len(part) != len(Wires)*len(Effects) {
		t.Errorf("the rows in part meet %d columns", len(part))
	}
}

// TestTable: what is written is what is read.
func TestTable(t *testing.T) {
	table := Table{}
	for i, c := range Matrix(true) {
		table.Add(c.Boundary.Name(), c.Column(), "done")
		if i%7 == 0 {
			table.Add(c.Boundary.Name(), c.Column(), "back by hand")
		}
	}
	if got := ParseTable(table.Markdown()); !reflect.DeepEqual(got, table) {
		t.Errorf("read back as\n%s\nwant\n%s", got.Markdown(), table.Markdown())
	}
}

// TestSteps: requests are told apart by their text, and readings are numbered
// from the last statement or hook.
func TestSteps(t *testing.T) {
	var tr tracker
	read := "SET NOCOUNT ON;\nEXEC sp_executesql N'SELECT @@SERVERNAME AS [begin.server_name] … AS [end.server_name]';"
	for _, s := range []struct {
		side lab.Side
		text string
		want string
	}{
		{lab.Source, read, ""},
		{lab.Source, "EXEC @result = sp_getapplock @Resource = N'x'", "lock on source"},
		{lab.Target, "EXEC sp_addextendedproperty @name = N'cutover_webhook probe DAG'", "-"},
		{lab.Target, read, "lock on source, target reading 1"},
		{lab.Target, read, "lock on source, target reading 2"},
		{lab.Source, read, "lock on source, source reading 1"},
		{lab.Source, "SET @held = 0; ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY);", "S2 on source"},
		{lab.Target, "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS;", "-"}, // typed by a person
		{lab.Target, "SET @held = 0; ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS;", "S3 on target"},
		{lab.Source, "INSERT INTO dbo.ledger (id, note) VALUES (1, N'x')", "-"},
		{lab.Target, read, "S3 on target, target reading 1"},
	} {
		k := kindOf(s.text)
		got := "-"
		if k != nil {
			got = tr.see(k, s.side)
		}
		if got != s.want {
			t.Errorf("%.60s: %q, want %q", s.text, got, s.want)
		}
	}
}

// TestClass of every outcome.
func TestClass(t *testing.T) {
	for outcome, want := range map[string]string{"done": "done", "aborted": "back", "rolled_back": "back", "drilled": "back", "closed": "closed", "not started": "not started"} {
		if got := classOf(outcome, false); got != want {
			t.Errorf("%s: %s", outcome, got)
		}
		if got := classOf(outcome, true); got != want+" by hand" {
			t.Errorf("%s by hand: %s", outcome, got)
		}
	}
}
