package tsql

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var allRules = []collation{collCI, collCS, collCS | collNoCase, collBin, collBin2, collBin | collBytes, collBin2 | collBytes, collCI | collEqual, collCS | collEqual, collBin2 | collEqual}

func someText(t *rapid.T, what string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("aAbBzZ_1- \t'éÉ€Āā")), 0, 4, -1).Draw(t, what)
}

// pairOfTexts draws two texts that differ by case, by blanks at the end, or anyhow.
func pairOfTexts(t *rapid.T) (a, b string) {
	a = someText(t, "a")
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0:
		return a, strings.ToUpper(a)
	case 1:
		return a, a + "  "
	case 2:
		return strings.ToLower(a) + "x", a + "X "
	}
	return a, someText(t, "b")
}

// TestFoldIsEquality: what hash joins, GROUP BY and DISTINCT take for the key is the same exactly if the comparison says equal, and the comparison is an order.
func TestFoldIsEquality(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(allRules).Draw(t, "rules")
		a, b := pairOfTexts(t)
		d := someText(t, "c")
		ab := c.compare(a, b)
		if same := c.fold(a) == c.fold(b); same != (ab == 0) {
			t.Fatalf("%b: fold says %v, compare %d", c, same, ab)
		}
		if c&collEqual != 0 {
			return
		}
		if ba := c.compare(b, a); ab != -ba {
			t.Fatalf("%b: %d and %d", c, ab, ba)
		}
		if ab <= 0 && c.compare(b, d) <= 0 && c.compare(a, d) > 0 {
			t.Fatalf("%b: a ≤ b ≤ c and not a ≤ c", c)
		}
	})
}

// TestSensitiveIsFiner: what is equal with case is equal without, and what is equal by code point is equal by case.
func TestSensitiveIsFiner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := pairOfTexts(t)
		ci, cs, bin := collCI.compare(a, b) == 0, (collCS|collEqual).compare(a, b) == 0, collBin2.compare(a, b) == 0
		if bin && !cs || cs && !ci {
			t.Fatalf("CI %v, CS %v, BIN2 %v", ci, cs, bin)
		}
	})
}

// TestShorterIsFilledUp: what counts behind the end of the shorter text is the first character that is no blank.
func TestShorterIsFilledUp(t *testing.T) {
	for _, c := range allRules {
		if c&collEqual != 0 {
			continue
		}
		for text, want := range map[string]int{"a\t": -1, "a \tb": -1, "a -": 1, "a  b": 1, "a  ": 0} {
			if got := c.compare(text, "a"); got != want {
				t.Errorf("%b: %q against a: %d", c, text, got)
			}
			if got := c.compare("a", text); got != -want {
				t.Errorf("%b: a against %q: %d", c, text, got)
			}
		}
	}
}

func TestCollationNames(t *testing.T) {
	for name, want := range map[string]string{
		"latin1_general_ci_as":                 "Latin1_General_CI_AS 0",
		"Latin1_General_100_CS_AS_KS_WS":       "Latin1_General_100_CS_AS_KS_WS 1",
		"Latin1_General_CI_AI":                 "Latin1_General_CI_AI 100",
		"SQL_latin1_general_cp1_cs_as":         "SQL_Latin1_General_CP1_CS_AS 1001",
		"Greek_BIN":                            "Greek_BIN 10 wide",
		"French_100_BIN2":                      "French_100_BIN2 11",
		"Latin1_General_100_BIN2_UTF8":         "Latin1_General_100_BIN2_UTF8 11 wide",
		"Latin1_General_100_CI_AS_SC_UTF8":     "refused",
		"Japanese_XJIS_140_CI_AS_VSS":          "refused",
		"SQL_Latin1_General_CP850_CI_AS":       "refused",
		"SQL_Latin1_General_Pref_CP1_CI_AS":    "refused",
		"Turkish_CI_AS":                        "refused",
		"Turkish_90_CI_AS":                     "448", // there is Turkish_CI_AS and Turkish_100_CI_AS
		"Latin1_General":                       "448",
		"Latin1_General_AS_CI":                 "448",
		"Latin1_General_CI_AS_SC":              "448", // version 100 and later
		"Latin1_General_BIN2_UTF8":             "448",
		"Latin1_General_100_BIN_UTF8":          "448",
		"Latin1_General_100_CI_AS_UTF8":        "448",
		"Latin1_General_100_CI_AS_WS_KS":       "448",
		"SQL_Latin1_General_CI_AS":             "448",
		"Latin1_General_100_CI_AS_KS_WS; DROP": "448",
		"":                                     "448",
	} {
		got := "448"
		if k := findCollation(name); k != nil {
			got = fmt.Sprintf("%s %b", k.name, k.rules)
			if k.wide {
				got += " wide"
			}
			if k.refuse != "" {
				got = "refused"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		refused := CheckCollation(name)
		if ok := !strings.ContainsAny(want, "w") && want != "refused" && want != "448"; ok != (refused == nil) {
			t.Errorf("%s as a session's own: %v", name, refused)
		}
	}
}

// inSession runs a batch in a session with a collation of its own.
func inSession(collation, batch string) string {
	s := NewSession(newFake(), Options{Collation: collation})
	defer s.Close(context.Background())
	var t textSink
	if err := s.Exec(context.Background(), "SET NOCOUNT ON; "+batch, &t); err != nil {
		fmt.Fprintf(&t, "ended: %v\n", err)
	}
	return t.String()
}

// TestSessionCollation: literals, columns and names follow the collation that the session was given.
func TestSessionCollation(t *testing.T) {
	for _, c := range []struct{ batch, ci, cs string }{
		{"SELECT IIF('a' = 'A', 1, 0) AS x", "x int\n1\n", "x int\n0\n"},
		{"SELECT name FROM sys.databases WHERE name = 'SALES'", "name nvarchar(128)\nSales\n", "name nvarchar(128)\n"},
		{"SELECT name FROM sys.databases WHERE name = 'SALES' COLLATE Latin1_General_CI_AS", "name nvarchar(128)\nSales\n", "name nvarchar(128)\nSales\n"},
		{"SELECT Name FROM sys.databases WHERE database_id = 5", "name nvarchar(128)\nSales\n", "Msg 207, Level 16, State 1, Line 1: Invalid column name 'Name'.\n"},
		{"SELECT D.name FROM sys.databases d WHERE d.database_id = 5", "name nvarchar(128)\nSales\n", "Msg 4104, Level 16, State 1, Line 1: The multi-part identifier \"D.name\" could not be bound.\n"},
		{"DECLARE @a int = 1; SELECT @A AS x", "x int\n1\n", "Msg 137, Level 15, State 2, Line 1: Must declare the scalar variable \"@A\".\n"},
		{"CREATE TABLE #t (a int, b int); INSERT #t VALUES (1, 2); SELECT a FROM #T", "a int\n1\n", "Msg 208, Level 16, State 0, Line 1: Invalid object name '#T'.\n"},
		{"CREATE TABLE #t (a int, A int); INSERT #t VALUES (1, 2); SELECT a, A FROM #t", "Msg 2705, Level 16, State 3, Line 1: Column names in each table must be unique. Column name 'A' in table '#t' is specified more than once.\n", "a int | A int\n1 | 2\n"},
		{"WITH q AS (SELECT 1 AS a) SELECT a FROM Q", "a int\n1\n", "Msg 208, Level 16, State 1, Line 1: Invalid object name 'Q'.\n"},
		{"EXEC SP_EXECUTESQL N'SELECT 1 AS x'", "x int\n1\n", "Msg 2812, Level 16, State 62, Line 1: Could not find stored procedure 'SP_EXECUTESQL'.\n"},
		{"SELECT len('ab') AS x ORDER BY X", "x int\n2\n", "Msg 207, Level 16, State 1, Line 1: Invalid column name 'X'.\n"},
		{"SELECT 'a' AS x WHERE 'a' COLLATE DATABASE_DEFAULT = 'a' COLLATE Latin1_General_100_CS_AS", "Msg 468, Level 16, State 9, Line 1: Cannot resolve the collation conflict between \"Latin1_General_100_CS_AS\" and \"SQL_Latin1_General_CP1_CI_AS\" in the equal to operation.\n", "x varchar(1)\na\n"},
	} {
		c.cs = strings.Replace(c.cs, "State 0", "State 1", 1)
		if got := inSession("", c.batch); got != c.ci {
			t.Errorf("without case: %s\n%s", c.batch, got)
		}
		if got := inSession("latin1_general_100_cs_as", c.batch); got != c.cs {
			t.Errorf("with case: %s\n%s", c.batch, got)
		}
	}
	for name, number := range map[string]string{"Nowhere_CI_AS": "Msg 448,", "Danish_Norwegian_CI_AS": "Msg 50900,", "Greek_BIN2": "Msg 50900,"} {
		if got := inSession(name, "SELECT 1 AS x"); !strings.HasPrefix(got, number) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestColumnCollation: a host's column has the collation that it says.
func TestColumnCollation(t *testing.T) {
	table := func(coll string) string {
		h := newFake()
		h.tables["dbo.t"] = &fakeTable{cols: []Column{{Name: "v", Type: NVarChar(9), Collation: coll}, {Name: "d", Type: NVarChar(9)}}, rows: [][]any{{"a", "A"}}}
		s := NewSession(h, Options{})
		defer s.Close(context.Background())
		var out textSink
		if err := s.Exec(context.Background(), "SELECT COUNT(*) AS n FROM dbo.t WHERE v = 'A'; SELECT 1 AS x FROM dbo.t WHERE v = d", &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := table(""); got != "n int\n1\n(1 rows)\nx int\n1\n(1 rows)\n" {
		t.Error(got)
	}
	if got := table("Latin1_General_CS_AS"); !strings.HasPrefix(got, "Msg 468,") {
		t.Error(got) // found before anything of the batch runs
	}
	for name, number := range map[string]string{"Nowhere_CI_AS": "Msg 448,", "Thai_CI_AS": "Msg 50900,"} {
		if got := table(name); !strings.HasPrefix(got, number) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
