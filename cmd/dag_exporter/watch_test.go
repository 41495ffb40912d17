package main

import (
	"context"
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
