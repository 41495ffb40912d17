package exporter

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// A part of a reading that fails while the rest is read leaves one metric; what
// the server said to it stands in the log and on the page, once an hour and not
// with every scrape.
func TestPartOfAReadingFails(t *testing.T) {
	var h history
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	at := time.Unix(0, 0)
	scrape := func(failed, why string) {
		s := &collector.Snapshot{Source: collector.SideResult{Reason: collector.ReasonNone, Reading: &hadr.Reading{}}, Target: collector.SideResult{Reason: collector.ReasonNone, Reading: &hadr.Reading{}}}
		if failed != "" {
			s.Source.Reading = &hadr.Reading{Failed: []string{failed}, FailedWhy: []string{why}}
		}
		h.add(at, s, nil, nil, log)
		at = at.Add(5 * time.Second)
	}
	wants := func(n int, text string) {
		t.Helper()
		_, _, problems := h.get()
		if len(problems) != n || problems[0].Text != text || problems[0].Side != hadr.Source || problems[0].Reason != "incomplete" {
			t.Fatalf("%d entries, want %d with %q first: %+v", len(problems), n, text, problems)
		}
		if got := strings.Count(logged.String(), "a part of the reading failed"); got != n {
			t.Fatalf("%d lines in the log, want %d\n%s", got, n, logged.String())
		}
	}
	for range 3 {
		scrape("log", "error 300: no right")
		scrape("", "") // a scrape that does not ask for it
	}
	wants(1, "log: error 300: no right")
	scrape("seeding", "")
	wants(2, "seeding: no answer")
	scrape("log", "error 701: no memory")
	wants(3, "log: error 701: no memory")
	at = at.Add(tellPartly)
	scrape("log", "error 701: no memory")
	wants(4, "log: error 701: no memory")
	for i := range 1000 {
		scrape("log", fmt.Sprint(i))
	}
	if len(h.partly) > 101 {
		t.Errorf("%d texts are kept", len(h.partly))
	}
}
