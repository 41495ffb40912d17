package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// TestTable runs the command small: every statement gives all its rows, and the tables are printed and written where they belong. No
// time is asserted.
func TestTable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(file, []byte("above\n<!-- begin lab -->\nold\n<!-- end lab -->\nbelow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run([]string{"--databases=3", "--runs=2", "--connections=5", "--each=2", "--write=" + file}, &out); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| the migration guide's script | 9 |", "| six tables, 32 columns, ordered | 9 |", "| `SELECT *` of all replica states | 9 |", "| 1 connections, 2 questions each |",
		"| 5 connections, 2 questions each |", "load average ", "- 5 connections at once, 99 % in 3 s: "} {
		if !strings.Contains(out.String(), want) || !strings.Contains(string(written), want) {
			t.Errorf("no %q in\n%s\nor in\n%s", want, out.String(), written)
		}
	}
	if s := string(written); !strings.HasPrefix(s, "above\n<!-- begin lab -->\n") || !strings.HasSuffix(s, "<!-- end lab -->\nbelow\n") || strings.Contains(s, "old") {
		t.Errorf("written:\n%s", s)
	}
}

// TestVerdict: a goal is met by the median or it is not, and what else speaks for it is said.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		median, best, cpu time.Duration
		want              string
	}{{5, 1, 9, "met"}, {6, 5, 5, "not met by the median; by the best and by the CPU it is"}, {6, 5, 6, "not met by the median; by the best it is"},
		{7, 6, 5, "not met by the median; by the CPU it is"}, {7, 6, 6, "not met"}} {
		if got := verdict(5, c.median, c.best, c.cpu); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func BenchmarkLab(b *testing.B) {
	const databases = 1000
	l, err := startLab(b.Context(), databases)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c, err := dial(l.Address(lab.Source), lab.SA, lab.SAPassword)
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	for i, s := range statements {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				a, err := measure(c, i, databases)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(a.bytes))
			}
		})
	}
}
