package exporter

import (
	"regexp"
	"testing"
)

// The folder of the runbooks lists all of them, and each link leads to a text.
func TestRunbookIndex(t *testing.T) {
	b := start(t, "a")
	w := b.do("GET", "/runbooks/")
	wantBody(t, w, 200, "<!DOCTYPE html>")
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Error(got)
	}
	links := regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1)
	if len(links) != len(runbooks()) || len(links) == 0 {
		t.Errorf("%d links, %d runbooks", len(links), len(runbooks()))
	}
	for _, l := range links {
		wantBody(t, b.do("GET", "/runbooks/"+l[1]), 200, "# "+l[1])
	}
}
