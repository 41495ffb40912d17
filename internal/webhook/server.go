package webhook

import (
	"log/slog"
	"net/http"
	"time"
)

// requestTimeout bounds the arrival of a whole request, its body included: whoever
// sends one byte and no more must not keep a connection, least of all without
// credentials, where the toolkit answers before this package is asked.
const requestTimeout = 20 * time.Second

// NewServer is the server for a Handler. Answers have no bound here: event
// streams are long, and a plan takes as long as the sides do.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: requestTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
