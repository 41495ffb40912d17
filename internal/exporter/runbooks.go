package exporter

import (
	"fmt"
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

// runbookIndex lists the runbooks, as links.
func runbookIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><title>Runbooks</title>\n<h1>Runbooks</h1>\n<ul>\n")
	for _, name := range runbooks() { // names of alerts: letters alone
		fmt.Fprintf(&b, "<li><a href=\"%[1]s\">%[1]s</a></li>\n", name)
	}
	b.WriteString("</ul>\n</html>\n")
	_, _ = w.Write([]byte(b.String())) // the client went away
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
