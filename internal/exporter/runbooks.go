package exporter

import (
	"net/http"
	"strings"

	"github.com/dag-exporter/dag_exporter/alerts"
)

// runbook serves the text that an alert's runbook_url leads to, as it is
// written: Markdown reads well on any screen, and needs no renderer at 3 a.m.
func (e *Exporter) runbook(w http.ResponseWriter, r *http.Request) {
	text, ok := alerts.Runbook(strings.TrimSuffix(r.PathValue("name"), ".md"))
	if !ok {
		say(w, http.StatusNotFound, "there is no such runbook; there are:\n"+strings.Join(runbooks(), "\n"))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text) // the client went away
}

// runbooks are the names of all alerts that have one, sorted.
func runbooks() (names []string) {
	entries, err := alerts.Runbooks.ReadDir("runbooks")
	if err != nil {
		return nil // embedded: it is there
	}
	for _, f := range entries {
		names = append(names, strings.TrimSuffix(f.Name(), ".md"))
	}
	return names
}
