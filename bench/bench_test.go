package main

import (
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// TestTable runs the command small: every statement gives all its rows, and
// the table is printed. No time is asserted.
func TestTable(t *testing.T) {
	var out strings.Builder
	if err := run([]string{"--databases=3", "--runs=2", "--connections=5", "--each=2"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| guide | 9 |", "| six tables | 9 |", "| SELECT * | 9 |", "| 5 connections at once, 2 questions each |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
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
