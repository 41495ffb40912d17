package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/runner"
)

const (
	keepAlive    = 15 * time.Second // proxies drop a silent stream after about a minute
	writeTimeout = 10 * time.Second // a reader that takes no bytes for so long is cut off
)

// events streams every change of one DAG as server-sent events. Each carries
// the full state, so a reader that reconnects has missed nothing that matters.
// The kind is inside the data: EventSource hands unnamed events to one listener.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, _ Identity, api runner.API) {
	rc := http.NewResponseController(w)
	events, cancel := api.Subscribe()
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)

	send := func(format string, args ...any) bool {
		// Not every server (tests) supports deadlines; then the client's own end is the bound.
		if err := rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return false
		}
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	// EventSource waits 3 s by default; a restarting webhook is back sooner.
	if !send("retry: 1000\n\n") {
		return
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			data, err := json.Marshal(e)
			if err != nil {
				h.o.Log.Error("an event does not encode", "dag", api.Name(), "err", err)
				return
			}
			if !send("id: %d\ndata: %s\n\n", e.Sequence, data) {
				return
			}
		case <-alive.C:
			if !send(": alive\n\n") {
				return
			}
		case <-r.Context().Done():
			return
		case <-h.closing:
			return
		}
	}
}
