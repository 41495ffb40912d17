package webhook

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/dag-exporter/dag_exporter/alerts"
)

// runbook serves the text that an alert's runbook_url leads to: a pager's link
// works without a wiki.
func runbook(w http.ResponseWriter, r *http.Request) {
	text, ok := alerts.Runbook(r.PathValue("alert"))
	if !ok {
		writeText(w, http.StatusNotFound, "no such runbook: /runbooks/ lists them")
		return
	}
	writeText(w, http.StatusOK, string(text))
}

// runbookIndex lists the runbooks, as links.
func runbookIndex(w http.ResponseWriter, _ *http.Request) {
	entries, err := alerts.Runbooks.ReadDir("runbooks")
	if err != nil {
		writeText(w, http.StatusInternalServerError, "the runbooks are not readable") // embedded: they are
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><title>Runbooks</title>\n<h1>Runbooks</h1>\n<ul>\n")
	for _, f := range entries { // names of alerts: letters alone
		fmt.Fprintf(&b, "<li><a href=\"%[1]s\">%[1]s</a></li>\n", strings.TrimSuffix(f.Name(), ".md"))
	}
	b.WriteString("</ul>\n</html>\n")
	_, _ = w.Write([]byte(b.String())) // the client went away
}
