package tsql

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestHashJoinIsNestedLoop: with hash joins, indexes and pushed-down conditions, and without any hashing, the rows are the same.
func TestHashJoinIsNestedLoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := genQuery(t)
		noHash = false
		fast := runText(q)
		noHash = true
		slow := runText(q)
		noHash = false
		if sortedLines(fast) != sortedLines(slow) {
			t.Fatalf("%s\nhash:\n%s\nnested:\n%s", q, fast, slow)
		}
		if strings.Contains(fast, "Msg ") {
			t.Fatalf("%s\n%s", q, fast)
		}
	})
}

func someCollation(t *rapid.T, what string) string {
	names := []string{"DATABASE_DEFAULT", "Latin1_General_CI_AS", "Latin1_General_CS_AS", "Latin1_General_BIN", "Latin1_General_100_BIN2", "SQL_Latin1_General_CP1_CS_AS", "Latin1_General_CI_AI"}
	return names[rapid.IntRange(0, len(names)-1).Draw(t, what)]
}

// genQuery draws a query over three small tables with repeated values, NULLs, and types that meet across kinds.
func genQuery(t *rapid.T) string {
	coll := someCollation(t, "collation of the columns")
	table := func(name string) string {
		n := rapid.IntRange(0, 6).Draw(t, name)
		var rows []string
		for i := 0; i < n; i++ {
			k := []string{"NULL", "1", "2", "3"}[rapid.IntRange(0, 3).Draw(t, "k")]
			s := []string{"NULL", "'a'", "'A'", "'b '", "'b'", "'B'"}[rapid.IntRange(0, 5).Draw(t, "s")]
			d := []string{"NULL", "1.0", "2.5", "3.00", "9999999999000000155200001"}[rapid.IntRange(0, 4).Draw(t, "d")]
			rows = append(rows, fmt.Sprintf("(%s, %s, %s)", k, s, d))
		}
		sql := fmt.Sprintf("CREATE TABLE #%s (k int NULL, s varchar(5) COLLATE %s NULL, d numeric(30,2) NULL)\n", name, coll)
		if n > 0 {
			sql += fmt.Sprintf("INSERT #%s VALUES %s\n", name, strings.Join(rows, ", "))
		}
		return sql
	}
	sql := table("x") + table("y") + table("z")
	cond := func(a, b string) string {
		c := []string{"a.k = b.k", "a.s = b.s", "a.k = b.d", "a.d = b.d", "a.k = b.k AND b.s = a.s", "a.k = b.k AND b.s = a.s AND a.d = b.d", "a.k < b.k", "a.s = b.s AND a.k <> b.k", "b.k = 2", "a.k = b.k + 1", "a.s = b.s AND a.k = 1",
			"a.s = b.s COLLATE " + someCollation(t, "collation of the condition"), "a.k = b.k AND b.s COLLATE " + someCollation(t, "collation of the condition") + " = a.s", "a.s = LOWER(b.s)"}
		s := c[rapid.IntRange(0, len(c)-1).Draw(t, "cond")]
		return strings.NewReplacer("a.", a+".", "b.", b+".").Replace(s)
	}
	kind := func() string {
		return []string{"JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"}[rapid.IntRange(0, 3).Draw(t, "kind")]
	}
	from := []string{
		fmt.Sprintf("#x x %s #y y ON %s %s #z z ON %s", kind(), cond("x", "y"), kind(), cond("y", "z")),
		fmt.Sprintf("#x x, #y y, #z z WHERE %s AND %s", cond("x", "y"), cond("x", "z")),
		fmt.Sprintf("#x x %s (#y y %s #z z ON %s) ON %s", kind(), kind(), cond("y", "z"), cond("x", "z")),
		fmt.Sprintf("#x x %s #y y ON %s CROSS JOIN #z z WHERE %s", kind(), cond("x", "y"), cond("z", "x")),
		fmt.Sprintf("#x x CROSS APPLY (SELECT * FROM #y q WHERE %s) y OUTER APPLY (SELECT TOP 9 * FROM #z w WHERE %s) z", cond("x", "q"), cond("y", "w")),
		fmt.Sprintf("#x x %s (SELECT k, s, d FROM #y) y ON %s LEFT JOIN #z z ON %s WHERE EXISTS (SELECT 1 FROM #z e WHERE %s)", kind(), cond("x", "y"), cond("x", "z"), cond("y", "e")),
		fmt.Sprintf("#x x %s #y y ON %s LEFT JOIN #z z ON %s WHERE x.k IN (SELECT k FROM #z) OR x.s NOT IN (SELECT s FROM #y i WHERE %s)", kind(), cond("x", "y"), cond("x", "z"), cond("x", "i")),
	}
	return sql + "SELECT x.k, x.s, x.d, y.k, y.s, y.d, z.k, z.s, z.d FROM " + from[rapid.IntRange(0, len(from)-1).Draw(t, "shape")]
}

// corpusScripts are all scripts of testdata.
func corpusScripts(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range strings.Split(string(data), "\n====\n") {
			script, _, _ := strings.Cut(b, "\n----\n")
			out = append(out, script)
		}
	}
	return out
}

// TestPrintParses: what is printed parses, and prints the same again.
func TestPrintParses(t *testing.T) {
	for _, s := range corpusScripts(t) {
		list, err := parseBatch(s, 200)
		if err != nil {
			continue
		}
		once := printBatch(list)
		again, err := parseBatch(once, 400)
		if err != nil {
			t.Errorf("%s\nprinted:\n%s\n%v", s, once, err)
			continue
		}
		if twice := printBatch(again); twice != once {
			t.Errorf("%s\nprinted:\n%s\nagain:\n%s", s, once, twice)
		}
	}
}

// TestPowersStay: what numbers are computed with is shared by all sessions, and no statement may change it.
func TestPowersStay(t *testing.T) {
	for _, s := range append(corpusScripts(t), "SELECT 0.", "SELECT -00.") {
		_ = runText(s)
		for i, p := range pow10Cache {
			if want := "1" + strings.Repeat("0", i); p.String() != want {
				t.Fatalf("after %.200q 10^%d is %s", s, i, p)
			}
		}
	}
}
