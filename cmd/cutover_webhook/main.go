// Command cutover_webhook takes Alertmanager's notifications and, in execute
// mode, moves a distributed availability group to its target. One binary is
// the server (serve) and its client (every other verb).
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// Exit codes.
const (
	exitDone       = 0 // done, or every gate is open
	exitError      = 1
	exitConfig     = 2 // the configuration or the command line is wrong
	exitWait       = 3 // not now; waiting can help
	exitNever      = 4 // can never become true by waiting
	exitRolledBack = 5 // the run went back; the source is in charge as before
	exitHuman      = 6 // somebody has to act: see the page
)

const help = `Fails over a SQL Server distributed availability group when an alert says that it may, and both servers agree.

The server:
  cutover_webhook serve --config.file=dag.yml --web.config.file=web.yml

Look first; this only reads, and needs no server:
  cutover_webhook check erp --config.file=dag.yml   every gate, with its reason
  cutover_webhook plan  erp --config.file=dag.yml   every statement, and its hash

Then, through the server (--url, and --http.config.file for the credentials):
  arm, approve         allow one run of exactly this plan; the alert starts it
  run, drill           start it by hand; measure the outage, nothing moved
  hold, release        stop before the next step, go on
  rollback, disarm     go back, take the permission away
  status, report       what goes on, the evidence
  acknowledge          the end was seen: the cooldown is over

cutover_webhook COMMAND --help has examples.

Dry run is the default: without "mode: execute" in the configuration nothing is ever sent but reads.

Exit codes: 0 done or open, 1 error, 2 configuration, 3 wait, 4 never by waiting, 5 rolled back, 6 needs a human.`

// usage is kingpin's own, and a command's examples below its text.
var usage = strings.Replace(kingpin.DefaultUsageTemplate, `{{template "FormatUsage" .Context.SelectedCommand}}`,
	`{{template "FormatUsage" .Context.SelectedCommand}}{{with .Context.SelectedCommand.HelpLong}}{{"\n"}}{{.|Wrap 0}}{{end}}`, 1)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// coded is an error with its own exit code.
type coded struct {
	code int
	err  error
}

func (c coded) Error() string { return c.err.Error() }
func (c coded) Unwrap() error { return c.err }

// exitOnly ends with a code and nothing more to say.
func exitOnly(code int) error {
	if code == exitDone {
		return nil
	}
	return coded{code, nil}
}

// cli is what every verb shares.
type cli struct {
	out, err   io.Writer
	width      int // of the terminal that out is; 0: it is none
	configFile string
	client     clientFlags
	format     string
	dag        string
}

// run is main without the process, so that tests can call it.
func run(args []string, stdout, stderr io.Writer) int {
	c := &cli{out: stdout, err: stderr, width: widthOf(stdout, os.Getenv("COLUMNS"))}
	app := kingpin.New("cutover_webhook", help)
	app.UsageTemplate(usage).UsageWriter(stdout).ErrorWriter(stderr)
	app.Version(version.Print("cutover_webhook"))
	app.HelpFlag.Short('h')
	app.VersionFlag.Short('V')
	ended := -1
	app.Terminate(func(code int) { ended = code; app.UsageWriter(io.Discard) }) // kingpin would go on and print it once more: no command was given
	logConfig := &promslog.Config{Writer: stderr}
	promslogflag.AddFlags(app, logConfig)

	serve := addServe(app, c)
	verbs := addVerbs(app, c)

	command, err := app.Parse(args)
	if ended >= 0 { // --help, --version
		return ended
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "cutover_webhook: %v; try --help\n", err)
		return exitConfig
	}
	if command == "serve" {
		err = serve(promslog.New(logConfig))
	} else {
		err = verbs[command]()
	}
	return c.exit(err)
}

// exit prints an error and gives its code.
func (c *cli) exit(err error) int {
	if err == nil {
		return exitDone
	}
	code := exitError
	var own coded
	var cfg *config.Error
	switch {
	case errors.As(err, &own):
		code = own.code
		if own.err == nil {
			return code
		}
	case errors.As(err, &cfg):
		// Each line names its file already.
		_, _ = fmt.Fprintln(c.err, cfg)
		return exitConfig
	default:
		if refused, ok := runner.AsRefused(err); ok {
			code = exitNever
			if refused.Wait {
				code = exitWait
			}
		}
	}
	_, _ = fmt.Fprintf(c.err, "cutover_webhook: %v\n", err)
	return code
}
