package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/exporter"
)

func addServe(app *kingpin.Application) verb {
	cmd := app.Command("serve", "Serve metrics (what it does without a command).").Default()
	file := cmd.Flag("config.file", "The configuration: which DAGs there are. See docs/config.md.").Default("dag_exporter.yml").String()
	check := cmd.Flag("config.check", "Only check the configuration, and say what is wrong with it (exit code 2).").Bool()
	timeout := cmd.Flag("scrape.timeout", "Bound of a scrape whose request does not tell its own.").Default("10s").Duration()
	offset := cmd.Flag("scrape.timeout-offset", "Taken off the timeout that Prometheus tells, so that the answer is there in time.").Default("500ms").Duration()
	on := map[string]*bool{}
	for _, g := range collector.Groups() {
		on[g.Name] = cmd.Flag("collector."+g.Name, g.Help).Default(fmt.Sprint(g.Default)).Bool()
	}
	webFlags := kingpinflag.AddFlags(cmd, ":19968")

	return func(logger *slog.Logger, stdout, stderr io.Writer) int {
		load := func() (*config.Config, error) { return config.Load(*file) }
		if *check {
			cfg, err := load()
			if err != nil {
				complain(stderr, err)
				return exitConfig
			}
			_, _ = fmt.Fprintf(stdout, "%s: good, %d DAGs\n", *file, len(cfg.DAGs))
			return exitOK
		}
		groups := []string{}
		for _, g := range collector.Groups() {
			if *on[g.Name] {
				groups = append(groups, g.Name)
			}
		}
		e, err := exporter.New(exporter.Options{
			Load: load, Groups: groups, Timeout: *timeout, TimeoutOffset: *offset, Logger: logger,
		})
		if err != nil {
			complain(stderr, err)
			return exitConfig
		}
		logger.Info("starting dag_exporter", "version", version.Info(), "build", version.BuildContext(), "config", *file)
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		reloadOnHangup(ctx, e, logger)
		if err := exporter.Serve(ctx, e, webFlags, logger); err != nil && !errors.Is(err, context.Canceled) {
			complain(stderr, err)
			return exitError
		}
		return exitOK
	}
}

// reloadOnHangup is the second way to reload, beside POST /-/reload.
func reloadOnHangup(ctx context.Context, e *exporter.Exporter, logger *slog.Logger) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				if err := e.Reload(); err != nil {
					logger.Error("reload refused, the configuration before stays in force", "err", err)
				} else {
					logger.Info("configuration reloaded")
				}
			}
		}
	}()
}
