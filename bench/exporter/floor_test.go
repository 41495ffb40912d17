package main

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// The comparison is worth something only if all contestants tell the same
// series with the same values.
func TestAllContestantsTellTheSame(t *testing.T) {
	l, err := lab.New(lab.Options{Model: model.Config{Databases: model.Names(3), Timing: model.Timing{Background: -1}, Log: model.LogConfig{StartVLF: 10227}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	dsns := [2]string{plain(l.Address(lab.Source)), plain(l.Address(lab.Target))}
	all, err := contestants(t.Context(), dsns)
	if err != nil {
		t.Fatal(err)
	}
	var texts []map[string]string
	for _, c := range all {
		t.Cleanup(c.close)
		if err := c.scrape(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequest("GET", c.url, nil))
		texts = append(texts, samplesOf(t, w.Body.String()))
	}
	if n := len(texts[0]); n < 100 {
		t.Fatalf("only %d series", n)
	}
	for i, c := range all[1:] {
		got := texts[i+1]
		for series, v := range texts[0] {
			other, ok := got[series]
			timing := strings.Contains(series, "_timestamp_seconds{") && !strings.Contains(series, "certificate") || strings.Contains(series, "skew") || strings.Contains(series, "duration") || strings.Contains(series, "clock_offset")
			if !ok || other != v && !timing {
				t.Errorf("%s: %s is %q, the exporter says %q", c.name, series, other, v)
			}
		}
		for series := range got {
			if _, ok := texts[0][series]; !ok {
				t.Errorf("%s has %s, the exporter has not", c.name, series)
			}
		}
	}
}

// samplesOf maps a series, its labels in the order of their names, to its
// value.
func samplesOf(t *testing.T, text string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if !ok {
			t.Fatalf("%q", line)
		}
		family, labels, _ := strings.Cut(name, "{")
		pairs := strings.Split(labels, ",") // no value here holds one
		slices.Sort(pairs)
		out[family+"{"+strings.Join(pairs, ",")+"}"] = value
	}
	return out
}
