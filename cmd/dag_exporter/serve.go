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
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/exporter"
)

func addServe(app *kingpin.Application) verb {
	cmd := app.Command("serve", "Serve metrics (what it does without a command).").Default()
	cmd.HelpLong(`For example:
  dag_exporter --config.file=dag.yml
  dag_exporter --config.file=dag.yml --config.check           for a pipeline
  dag_exporter --config.file=dag.yml --collector.replicas     one group more
  dag_exporter --config.file=dag.yml --web.config.file=web.yml

SIGHUP or POST /-/reload reads the configuration again; a wrong one is refused.`)
	file := configFile(cmd)
	check := cmd.Flag("config.check", "Only check --config.file and --web.config.file: exit 0, or 2 with every problem.").Bool()
	timeout := cmd.Flag("scrape.timeout", "Bound of a scrape whose request does not tell its own.").Default("10s").Duration()
	offset := cmd.Flag("scrape.timeout-offset", "Taken off the timeout that Prometheus tells, so that the answer is there in time.").Default("500ms").Duration()
	on := map[string]*bool{}
	for _, g := range collector.Groups() {
		on[g.Name] = cmd.Flag("collector."+g.Name, g.Help).Default(fmt.Sprint(g.Default)).Bool()
	}
	webFlags := kingpinflag.AddFlags(cmd, ":19968")

	return func(logger *slog.Logger, stdout, stderr io.Writer) int {
		groups := []string{}
		for _, g := range collector.Groups() {
			if *on[g.Name] {
				groups = append(groups, g.Name)
			}
		}
		var loaded *config.Config // the last one without an error
		e, err := exporter.New(exporter.Options{
			Load: func() (*config.Config, error) {
				cfg, err := config.Load(*file)
				if err == nil {
					loaded = cfg
				}
				return cfg, err
			},
			Groups: groups, Timeout: *timeout, TimeoutOffset: *offset, Logger: logger,
		})
		if err == nil {
			if err = web.Validate(*webFlags.WebConfigFile); err != nil {
				e.Close()
				err = fmt.Errorf("--web.config.file %s: %w", *webFlags.WebConfigFile, err)
			}
		}
		if err != nil {
			complain(stderr, err)
			return exitConfig
		}
		warnings := loaded.Warnings()
		if *check {
			e.Close()
			for _, w := range warnings {
				_, _ = fmt.Fprintf(stderr, "warning: %s\n", w)
			}
			_, _ = fmt.Fprintf(stdout, "%s: %s, no problem found\n", *file, dags(len(loaded.DAGs)))
			return exitOK
		}
		logger.Info("starting dag_exporter", "version", version.Info(), "build", version.BuildContext(), "config", *file)
		for _, w := range warnings {
			logger.Warn(w)
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		reloadOnHangup(ctx, e, logger)
		if err := exporter.Serve(ctx, e, webFlags, logger); err != nil && !errors.Is(err, context.Canceled) {
			if errors.Is(err, syscall.EADDRINUSE) {
				err = fmt.Errorf("%w; stop what listens there, or give another --web.listen-address", err)
			}
			complain(stderr, err)
			return exitError
		}
		return exitOK
	}
}

func configFile(cmd *kingpin.CmdClause) *string {
	return cmd.Flag("config.file", "The configuration: which DAGs there are. See docs/config.md.").Default("dag.yml").String()
}

func dags(n int) string {
	if n == 1 {
		return "1 DAG"
	}
	return fmt.Sprintf("%d DAGs", n)
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
