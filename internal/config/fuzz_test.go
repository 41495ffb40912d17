package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the bytes are, the loader answers with a usable Config or an *Error,
// and never panics.
func parseAnything(t interface{ Fatalf(string, ...any) }, data []byte) {
	cfg, err := Parse(data, "c.yml")
	var e *Error
	switch {
	case err == nil && cfg == nil:
		t.Fatalf("neither a Config nor an error for %q", data)
	case err != nil && (!errors.As(err, &e) || len(e.Problems) == 0 || err.Error() == ""):
		t.Fatalf("not a list of problems: %#v", err)
	case err == nil:
		for i := range cfg.DAGs {
			cfg.DAGs[i].Cutover.Open(time.Unix(1764000000, 0))
			if _, err := cfg.DAGs[i].Source.DSNs(); err != nil {
				t.Fatalf("a checked file has no DSNs: %v", err)
			}
		}
	}
}

func TestNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := strings.SplitAfter(rapid.SampledFrom([]string{minimal, executing}).Draw(t, "file"), "\n")
		token := rapid.SampledFrom([]string{"", "{", "}", "[", "]", ":", "- ", "&a ", "*a", "<<: *a\n", "null", "~", "!!int ", "!!binary x", "---\n", "\t", "'", "\"", "${", "${X}", "%", "0", "-1", "9999999999999999999", "2026-01-01", "\x00", "\xff", "|\n", "? ", "window: [{times: [{start_time: '24:00'}]}]"})
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
			at := rapid.IntRange(0, len(lines[i])).Draw(t, "column")
			end := rapid.IntRange(at, len(lines[i])).Draw(t, "end")
			lines[i] = lines[i][:at] + token.Draw(t, "token") + lines[i][end:]
		}
		parseAnything(t, []byte(strings.Join(lines, "")))
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(executing))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) { parseAnything(t, data) })
}
