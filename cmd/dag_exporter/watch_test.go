package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// The live table draws over itself at its interval until it is ended, and
// gives the cursor and the wrapping of lines back.
func TestWatchLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out strings.Builder
		var at []time.Duration
		began := time.Now()
		w := &watch{out: &out, live: true, interval: 5 * time.Second, look: func(context.Context, ...string) ([]*collector.Snapshot, error) {
			if at = append(at, time.Since(began)); len(at) == 3 {
				cancel()
			}
			return []*collector.Snapshot{{DAG: "erp\x1b[2J", Convergence: hadr.Convergence{State: hadr.StateUnknown, Reason: "line\nbreak"}}}, nil
		}}
		if err := w.run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(at) != 3 || at[1] != 5*time.Second || at[2] != 10*time.Second {
			t.Errorf("read at %v", at)
		}
		text := out.String()
		if strings.Count(text, "\x1b[H") != 2 || !strings.HasSuffix(text, "\x1b[J\x1b[?7h\x1b[?25h") || !strings.HasPrefix(text, "\x1b[2J\x1b[?25l\x1b[?7l") || !strings.Contains(text, "erp?[2J") || !strings.Contains(text, "line?break") {
			t.Errorf("%q", text)
		}
	})
}

// Each table of a pipe or a ticket says when it was read.
func TestWatchSaysWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out strings.Builder
		reads := 0
		w := &watch{out: &out, interval: 5 * time.Second, look: func(context.Context, ...string) ([]*collector.Snapshot, error) {
			if reads++; reads == 3 {
				cancel()
			}
			return []*collector.Snapshot{{DAG: "erp", Convergence: hadr.Convergence{State: hadr.StateUnknown}}}, nil
		}}
		if err := w.run(ctx); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"2000-01-01T00:00:00Z\nerp  UNKNOWN", "\n\n2000-01-01T00:00:05Z\nerp  UNKNOWN"} {
			if !strings.Contains(out.String(), table) {
				t.Errorf("no %q in:\n%s", table, &out)
			}
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("%q", &out)
		}
	})
}

// What a terminal of few rows shows at its top: the verdict, not what is left
// after it scrolled.
func TestWatchInALowTerminal(t *testing.T) {
	c := hadr.Convergence{State: hadr.StateBehind, Reason: "db00 is suspended"}
	for i := range 30 {
		c.Databases = append(c.Databases, hadr.DatabaseConvergence{Name: fmt.Sprintf("db%02d", i), State: hadr.StateBehind, Level: hadr.Level(min(i, 4))})
	}
	var out strings.Builder
	w := &watch{out: &out, live: true, interval: time.Second, look: func(context.Context, ...string) ([]*collector.Snapshot, error) {
		return []*collector.Snapshot{{DAG: "erp", Convergence: c}}, nil
	}}
	for range 2 {
		if _, err := w.frame(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, rows := range []int{12, 24, 100} {
		screen := shownIn(rows, out.String())
		if !strings.Contains(screen[0], "Ctrl-C") || !strings.HasPrefix(screen[2], "erp  BEHIND") || !strings.Contains(screen[8], "db00") {
			t.Errorf("%d rows:\n%s", rows, strings.Join(screen, "\n"))
		}
	}
}

// shownIn is what a terminal with so many rows shows of a text, as far as its
// cursor moves in it.
func shownIn(rows int, text string) []string {
	screen, at := make([]string, rows), 0
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[H"):
			at, text = 0, text[3:]
			screen[at] = ""
		case strings.HasPrefix(text, "\x1b[E"):
			at, text = min(at+1, rows-1), text[3:]
			screen[at] = ""
		case strings.HasPrefix(text, "\x1b["): // erases what this screen has erased already
			text = text[3:]
		case text[0] == '\n':
			if text = text[1:]; at == rows-1 {
				screen = append(screen[1:], "")
				break
			}
			at++
			screen[at] = ""
		default:
			screen[at], text = screen[at]+text[:1], text[1:]
		}
	}
	return screen
}
