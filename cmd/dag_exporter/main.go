// Command dag_exporter reads both sides of distributed availability groups of
// SQL Server and tells Prometheus how far they have converged.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
)

// Exit codes.
const (
	exitOK     = 0
	exitError  = 1
	exitConfig = 2 // the configuration or the command line is wrong
)

const help = `Prometheus exporter for distributed availability groups of SQL Server: both sides, exact LSNs, one verdict.

Begin with a file: by hand (docs/config.md), or from a pair that exists. In single quotes dag_exporter, and not the shell, reads the password from the environment:
  read -rs PW && export PW
  dag_exporter discover 'sqlserver://mon:${PW}@sql1?encrypt=true' \
      'sqlserver://mon:${PW}@vm1?encrypt=true' > dag.yml
  dag_exporter --config.file=dag.yml --config.check

Look, without Prometheus:
  dag_exporter watch --config.file=dag.yml

Serve /metrics, /probe, /sd and a status page on :19968:
  dag_exporter --config.file=dag.yml

It only reads. Exit codes: 0 done, 1 error (watch --once: a side was not read), 2 configuration or command line.`

// usage is kingpin's own, and a command's examples below its text.
var usage = strings.Replace(kingpin.DefaultUsageTemplate, `{{template "FormatUsage" .Context.SelectedCommand}}`,
	`{{template "FormatUsage" .Context.SelectedCommand}}{{with .Context.SelectedCommand.HelpLong}}{{"\n"}}{{.|Wrap 0}}{{end}}`, 1)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// verb runs a command after the flags were parsed.
type verb func(logger *slog.Logger, stdout, stderr io.Writer) int

func run(args []string, stdout, stderr io.Writer) int {
	app := kingpin.New("dag_exporter", help)
	app.UsageTemplate(usage)
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
	for _, v := range []struct {
		name string
		add  func(*kingpin.Application) verb
	}{{"serve", addServe}, {"watch", addWatch}, {"discover", addDiscover}} {
		verbs[v.name] = v.add(app)
	}

	name, err := app.Parse(args)
	if done >= 0 { // --help or --version has answered
		return done
	}
	if err != nil {
		complain(stderr, fmt.Errorf("%w; try --help", err))
		return exitConfig
	}
	return verbs[name](promslog.New(logConfig), stdout, stderr)
}

// complain says one error for a person. Nothing can be done about a standard
// error that is gone.
func complain(stderr io.Writer, err error) { _, _ = fmt.Fprintf(stderr, "dag_exporter: %v\n", err) }
