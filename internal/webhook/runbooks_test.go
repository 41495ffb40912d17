package webhook

import (
	"regexp"
	"strings"
	"testing"
)

// The folder of the runbooks lists them, and each link leads to a text.
func TestRunbookIndex(t *testing.T) {
	w := newWorld(t, "dry_run")
	rec := w.do("GET", "/runbooks/", "", "")
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Error(rec.Code, rec.Header())
	}
	links := regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(rec.Body.String(), -1)
	if len(links) < 2 {
		t.Errorf("%d links in %s", len(links), rec.Body)
	}
	for _, l := range links {
		if rec := w.do("GET", "/runbooks/"+l[1], "", ""); rec.Code != 200 || !strings.HasPrefix(rec.Body.String(), "# "+l[1]) {
			t.Errorf("%s: %d", l[1], rec.Code)
		}
	}
}
