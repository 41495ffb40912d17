package tsql

import (
	"strings"
	"testing"
)

// TestChains: a chain of any length and kind is an answer or an error, never the end of the process, which a stack that overflows would be.
func TestChains(t *testing.T) {
	for _, c := range []struct{ before, link, after string }{
		{"SELECT 1", "+1", ""}, {"SELECT 1", "*1", ""}, {"SELECT 'a'", " COLLATE x", ""}, {"SELECT @x", ".value(1)", ""}, {"SELECT 1 WHERE 1=1", " OR 1=2", ""},
		{"SELECT 1", " UNION SELECT 1", ""}, {"SELECT 1", " INTERSECT SELECT 1", ""}, {"SELECT 1 FROM a", " CROSS JOIN a", ""}, {"SELECT 1 FROM a", " JOIN a ON 1=1", ""},
		{"SELECT 1 FROM a JOIN a", " CROSS JOIN a", " ON 1=1"}, {"SELECT 1 FROM a", " JOIN a", strings.Repeat(" ON 1=1", 2_000)}, {"", "IF 1=1 SELECT 1 ELSE ", "SELECT 2"},
		{"SELECT ", "(", "1"}, {"SELECT ", "- ", "1"}, {"SELECT 1 WHERE ", "NOT ", "1=1"}, {"SELECT ", "CASE WHEN 1=1 THEN ", "1"}, {"", "BEGIN ", ""}, {"", "BEGIN TRY ", ""},
		{"", "WHILE 1=1 ", "BREAK"}, {"SELECT 1 FROM ", "(SELECT 1 AS a FROM ", "b"}, {"SELECT ", "(SELECT ", "1"}, {"SELECT 1 WHERE EXISTS ", "(SELECT 1 WHERE EXISTS ", "b"},
	} {
		out := runText(c.before + strings.Repeat(c.link, 2_000) + c.after)
		if number, _, _ := strings.Cut(out, ","); !strings.Contains("Msg 191 Msg 8631 Msg 137 Msg 50900 Msg 448 Msg 1011 Msg 208 ", number+" ") {
			t.Errorf("%q: %.200s", c.link, out)
		}
	}
	if out := runText("SELECT 1" + strings.Repeat("+1", 4_000_000)); !strings.HasPrefix(out, "Msg 50900") { // without a bound this ends the tests with a fatal error
		t.Errorf("%.200s", out)
	}
	if _, err := parseBatch("SELECT 1"+strings.Repeat("+1", maxLinks), 200); err != nil {
		t.Error(err)
	}
	if _, err := parseBatch("SELECT 1"+strings.Repeat("+1", maxLinks+1), 200); err == nil || err.Number != 8631 {
		t.Error(err)
	}
	if _, err := parseBatch(strings.Repeat("SELECT 1+1+1+1+1;", maxLinks), 200); err == nil || err.Number != ErrNotImplemented {
		t.Error(err)
	}
	if _, err := parseBatch(strings.Repeat("SELECT 1+1;", maxLinks), 200); err != nil { // statement by statement
		t.Error(err)
	}
}
