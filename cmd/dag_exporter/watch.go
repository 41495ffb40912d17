package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/exporter"
)

func addWatch(app *kingpin.Application) verb {
	cmd := app.Command("watch", "Show in a terminal, without Prometheus, how far both sides have converged, worst first. Exit code of --once: 0 both sides of every DAG were read, 1 not.")
	cmd.HelpLong(`For example:
  dag_exporter watch --config.file=dag.yml                    until Ctrl-C
  dag_exporter watch --config.file=dag.yml --once erp-prod    for a ticket`)
	file := configFile(cmd)
	w := &watch{}
	cmd.Flag("interval", "Time between two readings.").Default("5s").DurationVar(&w.interval)
	timeout := cmd.Flag("timeout", "Bound of one reading.").Default("4s").Duration()
	once := cmd.Flag("once", "Print once and end.").Bool()
	colour := cmd.Flag("color", "Colours: auto (in a terminal, unless NO_COLOR is set), always or never.").Default("auto").Enum("auto", "always", "never")
	rows := cmd.Flag("rows", "Most databases shown of each DAG; 0 is all. Default: all with --once, 30 without.").Default("-1").Int()
	cmd.Arg("dag", "Names of the DAGs to show; all without one.").StringsVar(&w.dags)

	return func(_ *slog.Logger, stdout, stderr io.Writer) int {
		// What went wrong is in the table; log lines would tear it.
		var cfg *config.Config
		e, err := exporter.New(exporter.Options{Load: func() (_ *config.Config, err error) { cfg, err = config.Load(*file); return cfg, err },
			Groups: collector.Defaults(), Timeout: *timeout, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			complain(stderr, err)
			return exitConfig
		}
		defer e.Close()
		if err := known(cfg, *file, w.dags); err != nil {
			complain(stderr, err)
			return exitConfig
		}
		terminal := isTerminal(stdout)
		w.look, w.out, w.live = e.Look, stdout, terminal && !*once
		w.table.Colour = *colour == "always" || *colour == "auto" && terminal && os.Getenv("NO_COLOR") == ""
		switch {
		case *rows >= 0:
			w.table.Rows = *rows
		case !*once:
			w.table.Rows = 30
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		good, err := true, error(nil)
		if *once {
			good, err = w.frame(ctx)
		} else {
			err = w.run(ctx)
		}
		if err != nil {
			complain(stderr, err)
			return exitError
		}
		if !good {
			return exitError
		}
		return exitOK
	}
}

// known says which of the names the configuration does not have.
func known(cfg *config.Config, file string, names []string) error {
	var have []string
	for i := range cfg.DAGs {
		have = append(have, cfg.DAGs[i].Name)
	}
	for _, name := range names {
		if !slices.Contains(have, name) {
			return fmt.Errorf("%s: no DAG named %q: there are %q", file, name, have)
		}
	}
	return nil
}

// watch prints one table after another.
type watch struct {
	look     func(context.Context, ...string) ([]*collector.Snapshot, error)
	out      io.Writer
	dags     []string
	interval time.Duration
	live     bool // draw over what was there before
	table    exporter.TableOptions
}

// run prints until ctx ends.
func (w *watch) run(ctx context.Context) error {
	if w.live {
		// No cursor, and lines that end at the edge: one that went on in the
		// next row would push the table apart.
		if _, err := io.WriteString(w.out, "\x1b[2J\x1b[?25l\x1b[?7l"); err != nil {
			return err
		}
		defer func() { _, _ = io.WriteString(w.out, "\x1b[?7h\x1b[?25h") }() // the terminal is gone
	}
	tick := time.NewTicker(max(w.interval, 100*time.Millisecond))
	defer tick.Stop()
	for {
		if _, err := w.frame(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// frame prints once and reports whether all sides were read.
func (w *watch) frame(ctx context.Context) (good bool, err error) {
	list, err := w.look(ctx, w.dags...)
	if err != nil {
		return false, err
	}
	select {
	case <-ctx.Done(): // asked to end in between: what came of it says nothing
		return false, nil
	default:
	}
	// In a file or a ticket nothing else tells when this was true.
	text := time.Now().UTC().Format(time.RFC3339) + "\n" + exporter.Table(list, w.table) + "\n"
	if w.live {
		text = strings.Replace(text, "\n", fmt.Sprintf("  every %s, Ctrl-C ends\n\n", w.interval), 1)
		// To the next line without a line feed, which at the bottom of a low
		// terminal would push the verdict and the worst databases out at the top.
		text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\x1b[E") + "\x1b[J"
	}
	good = !slices.ContainsFunc(list, func(s *collector.Snapshot) bool { return s.Source.Reading == nil || s.Target.Reading == nil })
	_, err = io.WriteString(w.out, text)
	return good, err
}

// isTerminal reports that w is a character device, which is near enough.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
