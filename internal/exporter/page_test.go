package exporter

import (
	"strings"
	"testing"
	"time"
)

// A verdict that nobody has renewed is not shown as one: at 3 a.m. a green
// caught_up of yesterday evening would be believed.
func TestPageOfLongAgo(t *testing.T) {
	b := start(t, "erp")
	b.do("GET", "/metrics")
	began := time.Now()
	b.opt.Now = func() time.Time { return began.Add(4 * time.Minute) }
	w := b.do("GET", "/")
	wantBody(t, w, 200, `<span class="state synchronized">synchronized</span>`, "<td>yes</td>", "1 databases")
	b.opt.Now = func() time.Time { return began.Add(7 * time.Hour) }
	w = b.do("GET", "/")
	wantBody(t, w, 200, `<span class="state unknown">unknown</span>`, "nobody has scraped it for 7h0m0s; at that time it was synchronized")
	if body := w.Body.String(); strings.Contains(body, `class="state synchronized"`) || strings.Contains(body, "<td>yes</td>") {
		t.Errorf("what was said 7 h ago looks as if it were said now:\n%s", body)
	}
}
