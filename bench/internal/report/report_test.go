package report

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b.md")
	if err := os.WriteFile(file, []byte("# A\n\n<!-- begin lab -->\nold\n<!-- end lab -->\n\nrest\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Replace(file, "lab", "new\n\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := "# A\n\n<!-- begin lab -->\nnew\n<!-- end lab -->\n\nrest\n"; string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := Replace(file, "other", "x"); err == nil {
		t.Error("a section that is not there was replaced")
	}
}
