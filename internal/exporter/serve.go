package exporter

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
)

// drainTimeout is how long scrapes under way may take after the end was
// asked for.
const drainTimeout = 30 * time.Second

// Serve serves e until ctx ends, and then lets scrapes under way finish.
func Serve(ctx context.Context, e *Exporter, flags *web.FlagConfig, logger *slog.Logger) error {
	var once sync.Once
	srv := newServer(e.Handler(), logger)
	// Called when a listener is there, which is what systemd waits for.
	srv.BaseContext = func(net.Listener) context.Context {
		once.Do(func() { notify(logger, "READY=1") })
		return context.Background()
	}
	failed := make(chan error, 1)
	go func() { failed <- web.ListenAndServe(srv, flags, logger) }()
	select {
	case err := <-failed:
		e.Close()
		return err
	case <-ctx.Done():
	}
	logger.Info("shutting down, scrapes under way may finish")
	notify(logger, "STOPPING=1")
	e.Drain()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := srv.Shutdown(limit)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	e.Close()
	return err
}

// newServer bounds the arrival of a whole request: one that announces a body and
// sends none must not keep its connection, and without a bound it can, with no
// credentials. Answers have none here: a scrape has its own.
func newServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// notify tells systemd about the service's state, where it asked for that.
func notify(logger *slog.Logger, state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		logger.Warn("cannot notify systemd", "err", err)
		return
	}
	defer func() { _ = conn.Close() }() // a datagram socket: nothing is buffered
	if _, err := conn.Write([]byte(state)); err != nil {
		logger.Warn("cannot notify systemd", "err", err)
	}
}
