package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/runner"
	"github.com/dag-exporter/dag_exporter/internal/webhook"
)

type serveFlags struct {
	storage string
	check   bool
	health  string
	web     *web.FlagConfig
}

func addServe(app *kingpin.Application, c *cli) func(*slog.Logger) error {
	f := &serveFlags{}
	cmd := app.Command("serve", "Receive alerts, serve the console and the API, and run what is armed.")
	cmd.HelpLong(`For example:
  cutover_webhook serve --config.file=dag.yml --web.config.file=web.yml \
      --storage.path=/var/lib/cutover_webhook
  cutover_webhook serve --config.check

web.yml says who may log in, as hashes (htpasswd -nB NAME):
  basic_auth_users:
    alertmanager: $2y$10$…
    ops: $2y$10$…

webhook.roles in dag.yml says what each of them may. SIGTERM ends it: a run before S2 is wound down, one after S2 goes on to its end; a second signal kills it, and the next start takes the run up.`)
	cmd.Flag("config.file", "The configuration. See docs/config.md.").Default("dag.yml").StringVar(&c.configFile)
	cmd.Flag("config.check", "Only check --config.file and --web.config.file: exit 0, or 2 with every problem.").BoolVar(&f.check)
	cmd.Flag("storage.path", "Folder of the journal (journal.db). It is what a run resumes from after a crash: keep it on a disk that survives.").Default("data").StringVar(&f.storage)
	cmd.Flag("web.health-address", "A separate plain listener with /-/healthy and /-/ready alone, for probes without credentials. Off by default.").StringVar(&f.health)
	f.web = kingpinflag.AddFlags(cmd, ":19969")
	return func(log *slog.Logger) error { return serve(c, f, log) }
}

func serve(c *cli, f *serveFlags, log *slog.Logger) error {
	cfg, err := config.Load(c.configFile)
	if err != nil {
		return err
	}
	auth, err := webhook.NewAuth(*f.web.WebConfigFile)
	if err != nil {
		return coded{exitConfig, err}
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	jrn, closeJournal, err := openJournal(f)
	if err != nil {
		return err
	}
	defer closeJournal()
	fleet, err := runner.OpenFleet(cfg, jrn, log)
	if err != nil {
		return coded{exitConfig, fmt.Errorf("%s: %w", cfg.Path, err)}
	}
	defer func() { _ = fleet.Close() }() // the process ends

	registry := prometheus.NewRegistry()
	registry.MustRegister(fleet, versioncollector.NewCollector("cutover_webhook"),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	h, err := webhook.New(webhook.Options{
		Config: cfg, Fleet: fleet, Auth: auth, Gatherer: registry, Log: log, Version: version.Version,
		Reload: func(context.Context) (*config.Config, error) { return reload(c.configFile, cfg) },
	})
	if err != nil {
		return coded{exitConfig, fmt.Errorf("%s: %w", c.configFile, err)}
	}
	warnings := webhook.Warnings(cfg, auth)
	if f.check {
		for _, w := range warnings {
			_, _ = fmt.Fprintf(c.err, "warning: %s\n", w)
		}
		n := fmt.Sprintf("%d DAGs", len(cfg.DAGs))
		if len(cfg.DAGs) == 1 {
			n = "1 DAG"
		}
		_, _ = fmt.Fprintf(c.out, "%s: %s, no problem found\n", c.configFile, n)
		return nil
	}
	log.Info("starting cutover_webhook", "version", version.Info(), "dags", len(cfg.DAGs))
	for i := range cfg.DAGs {
		log.Info("watching", "dag", cfg.DAGs[i].Name, "mode", cfg.DAGs[i].Cutover.Mode)
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	if auth.Anonymous() {
		log.Warn("no --web.config.file: whoever reaches this port may arm and approve dry runs; nothing can be executed")
	}
	return serveUntilStopped(ctx, f, h, fleet, log)
}

// openJournal opens the journal; for --config.check it is one in memory, since
// a check must not need the lock that a running server holds.
func openJournal(f *serveFlags) (journal.Journal, func(), error) {
	if f.check {
		return journal.NewMemory(), func() {}, nil
	}
	j, err := journal.Open(f.storage)
	if err != nil {
		return nil, nil, err
	}
	return j, func() {
		closed := make(chan struct{})
		go func() {
			_ = j.Close() // every entry was fsynced when it was written
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(5 * time.Second): // a write that hangs must not keep a killed process
		}
	}, nil
}

// reload reads the file again. The engine of a DAG is built once: what it may
// do must not change under a run that people armed and approved.
func reload(path string, running *config.Config) (*config.Config, error) {
	next, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(next.DAGs, running.DAGs) {
		return nil, errors.New("dags changed: only webhook.roles, the web config file and DSN files are read again while running; restart to apply the rest (an unfinished run is taken up again)")
	}
	return next, nil
}

func serveUntilStopped(ctx context.Context, f *serveFlags, h *webhook.Handler, fleet *runner.Fleet, log *slog.Logger) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	servers := []*http.Server{webhook.NewServer(h, log)}
	failed := make(chan error, 2)
	go func() { failed <- web.ListenAndServe(servers[0], f.web, log) }()
	if f.health != "" {
		l, err := net.Listen("tcp", f.health)
		if err != nil {
			return inUse(err, "--web.health-address")
		}
		servers = append(servers, webhook.NewServer(healthOnly(h), log))
		go func() { failed <- servers[1].Serve(l) }()
	}
	if err := fleet.Start(ctx); err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go h.Watch(watching)
	h.SetReady()

	var err error
	for running := true; running; {
		select {
		case err = <-failed:
			running = false
		case s := <-signals:
			if s != syscall.SIGHUP {
				log.Info("stopping", "signal", s.String())
				running = false
			} else if rerr := h.Reload(ctx); rerr != nil {
				log.Error("reload failed, the old configuration stands", "err", rerr)
			} else {
				log.Info("configuration reloaded", "by", "SIGHUP")
			}
		}
	}
	h.Drain()
	// A run before S2 is wound down; a run after S2 goes on until it ends, since
	// leaving both sides SECONDARY is the worst place to stop. A second signal
	// kills the process, and the journal takes over.
	closed := make(chan error, 1)
	go func() { closed <- fleet.Close() }()
	for ended := false; !ended; {
		select {
		case cerr := <-closed:
			err, ended = errors.Join(err, cerr), true
		case s := <-signals:
			if s == syscall.SIGHUP { // a rotated log must not kill a run
				log.Warn("not reloaded: the webhook is stopping")
				continue
			}
			fleet.Kill() // before the word, which people act on: nothing is sent after it
			log.Error("killed while a run was under way: it is taken up at the next start", "signal", s.String())
			return errors.Join(err, errors.New("killed by a second signal"))
		}
	}
	h.Close()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, s := range servers {
		if serr := s.Shutdown(end); serr != nil {
			log.Warn("connections were cut", "err", serr)
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return inUse(err, "--web.listen-address")
}

// inUse adds the remedy to the error of a port that is taken.
func inUse(err error, flag string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop what listens there, or give another %s", err, flag)
	}
	return err
}

func healthOnly(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /-/healthy", h)
	mux.Handle("GET /-/ready", h)
	return mux
}
