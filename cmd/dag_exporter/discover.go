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

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/exporter"
)

func addDiscover(app *kingpin.Application) verb {
	cmd := app.Command("discover", "Ask both sides what there is, and print a configuration for it, with comments, and the rights that are missing.")
	cmd.HelpLong(`For example:
  read -rs PW && export PW
  dag_exporter discover 'sqlserver://mon:${PW}@sql1:1433?encrypt=true' \
      'sqlserver://mon:${PW}@vm1:1433?encrypt=true' > dag.yml
  dag_exporter discover file:source.dsn file:target.dsn > dag.yml

In single quotes dag_exporter, and not the shell, reads the password from the environment. file:PATH reads DSNs from a file, one a line, and becomes dsn_file.`)
	source := cmd.Arg("source", "An instance of the source: a DSN, or file:PATH.").Required().String()
	target := cmd.Arg("target", "An instance of the target: a DSN, or file:PATH.").Required().String()
	timeout := cmd.Flag("timeout", "Bound of the whole.").Default("15s").Duration()
	secrets := cmd.Flag("show-passwords", "Print the DSNs as they were given. Without it the printed file reads the passwords from the environment.").Bool()

	return func(_ *slog.Logger, stdout, stderr io.Writer) int {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		text, err := exporter.Discover(ctx, exporter.DiscoverOptions{Source: *source, Target: *target, ShowSecrets: *secrets})
		if err == nil {
			_, err = fmt.Fprint(stdout, text)
		}
		if err != nil {
			complain(stderr, err)
			if wrong := (*config.Error)(nil); errors.As(err, &wrong) {
				return exitConfig
			}
			return exitError
		}
		return exitOK
	}
}
