package sqlserver

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRenderExactTexts(t *testing.T) {
	// The documented statements, word for word (domain.md §1.3).
	want := map[Kind]string{
		KindSync: `ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON
  'OnPremAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT),
  'AzureAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT);`,
		KindAsync: `ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON
  'OnPremAG' WITH (AVAILABILITY_MODE = ASYNCHRONOUS_COMMIT),
  'AzureAG' WITH (AVAILABILITY_MODE = ASYNCHRONOUS_COMMIT);`,
		KindDemote:   `ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY);`,
		KindPromote:  `ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS;`,
		KindRequire1: `ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1);`,
		KindRequire0: `ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 0);`,
	}
	for kind, sql := range want {
		var members []string
		if kind == KindSync || kind == KindAsync {
			members = []string{"OnPremAG", "AzureAG"}
		}
		got, err := Render(kind, "DAG", members...)
		if err != nil || got.SQL != sql || got.Kind != kind {
			t.Errorf("%s: %q, %v", kind, got.SQL, err)
		}
	}
}

func TestRenderHardNames(t *testing.T) {
	long := strings.Repeat("ü", maxName)
	for name, want := range map[string]string{
		"a]b":                   "[a]]b]",
		"]; DROP DATABASE x;--": "[]]; DROP DATABASE x;--]",
		"it's":                  "[it's]",
		" blank ":               "[ blank ]",
		"🚀 moves":               "[🚀 moves]",
		long:                    "[" + long + "]",
	} {
		s, err := Render(KindDemote, name)
		if err != nil || s.SQL != "ALTER AVAILABILITY GROUP "+want+" SET (ROLE = SECONDARY);" {
			t.Errorf("%q: %q, %v", name, s.SQL, err)
		}
	}
	s, err := Render(KindSync, "D", "it's", "🚀")
	if err != nil || !strings.Contains(s.SQL, "'it''s' WITH") || !strings.Contains(s.SQL, "N'🚀' WITH") {
		t.Errorf("%q, %v", s.SQL, err)
	}
}

func TestRenderRefuses(t *testing.T) {
	for _, c := range []struct {
		why     string
		kind    Kind
		group   string
		members []string
	}{
		{"no group", KindDemote, "", nil},
		{"129 characters", KindDemote, strings.Repeat("a", 129), nil},
		{"65 emoji are 130 units", KindDemote, strings.Repeat("🚀", 65), nil},
		{"NUL", KindDemote, "a\x00b", nil},
		{"broken UTF-8", KindDemote, "a\xff", nil},
		{"members where none belong", KindPromote, "D", []string{"A", "B"}},
		{"one member", KindSync, "D", []string{"A"}},
		{"the same member twice", KindSync, "D", []string{"A", "A"}},
		{"unknown kind", "drop", "D", nil},
	} {
		if s, err := Render(c.kind, c.group, c.members...); err == nil {
			t.Errorf("%s: rendered %q", c.why, s.SQL)
		}
	}
}

// An identifier and a literal read back as what they were made of, whatever the
// name: nothing of a name ever stands outside its quotes.
func TestQuotingReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOf(rapid.RuneFrom([]rune("ab]['\"; -\n🚀é"))).Draw(t, "name")
		if got, rest := unquote(ident(name), '[', ']'); got != name || rest != "" {
			t.Fatalf("ident(%q) reads back as %q, rest %q", name, got, rest)
		}
		if got, rest := unquote(literal(name), '\'', '\''); got != name || rest != "" {
			t.Fatalf("literal(%q) reads back as %q, rest %q", name, got, rest)
		}
	})
}

func unquote(s string, open, closing byte) (value, rest string) {
	if s == "" || s[0] != open {
		return "", s
	}
	for i := 1; i < len(s); i++ {
		if s[i] != closing {
			value += s[i : i+1]
			continue
		}
		if i+1 < len(s) && s[i+1] == closing {
			value += string(closing)
			i++
			continue
		}
		return value, s[i+1:]
	}
	return value, "unterminated"
}
