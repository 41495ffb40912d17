package tsql

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the scripts gave into testdata/*.txt")

// TestGolden runs testdata/*.txt: scripts, each followed by ---- and what it answers, separated by ====. Every script has its own session.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for i, block := range strings.Split(string(data), "\n====\n") {
				script, want, _ := strings.Cut(strings.TrimSuffix(block, "\n")+"\n", "\n----\n")
				script = strings.TrimSuffix(script, "\n")
				got := runText(script)
				if i > 0 {
					out.WriteString("\n====\n")
				}
				out.WriteString(script + "\n----\n" + strings.TrimSuffix(got, "\n"))
				if !*update && got != want {
					t.Errorf("script:\n%s\ngot:\n%s\nwant:\n%s", script, got, want)
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(out.String()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
