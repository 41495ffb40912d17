// Command dag_exporter reads both sides of distributed availability groups of
// SQL Server and tells Prometheus how far they have converged.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
)

// Exit codes.
const (
	exitOK     = 0
	exitError  = 1
	exitConfig = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// verb runs a command after the flags were parsed.
type verb func(logger *slog.Logger, stdout, stderr io.Writer) int

func run(args []string, stdout, stderr io.Writer) int {
	app := kingpin.New("dag_exporter", "Prometheus exporter for distributed availability groups of SQL Server: both sides, exact LSNs, one verdict.")
	app.UsageTemplate(kingpin.LongHelpTemplate)
	app.UsageWriter(stdout)
	app.ErrorWriter(stderr)
	done := -1
	app.Terminate(func(code int) { done = code })
	app.HelpFlag.Short('h')
	app.Version(version.Print("dag_exporter"))
	app.VersionFlag.Short('V')
	logConfig := &promslog.Config{Writer: stderr}
	promslogflag.AddFlags(app, logConfig)

	verbs := map[string]verb{}
	for name, add := range map[string]func(*kingpin.Application) verb{
		"serve": addServe, "discover": addDiscover, "watch": addWatch,
	} {
		verbs[name] = add(app)
	}

	name, err := app.Parse(args)
	if done >= 0 { // --help or --version has answered
		return done
	}
	if err != nil {
		complain(stderr, err)
		_, _ = fmt.Fprintln(stderr, "see dag_exporter --help")
		return exitConfig
	}
	return verbs[name](promslog.New(logConfig), stdout, stderr)
}

// complain says one error for a person. Nothing can be done about a standard
// error that is gone.
func complain(stderr io.Writer, err error) { _, _ = fmt.Fprintf(stderr, "dag_exporter: %v\n", err) }
