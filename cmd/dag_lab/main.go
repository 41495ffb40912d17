// Command dag_lab plays two SQL Servers with a distributed availability group between them, for any TDS client.
//
//	dag_lab serve              two look-alikes until SIGTERM
//	dag_lab ctl cut            drives one that serves
//	dag_lab schedule           prints a random schedule of faults
//	dag_lab conformance        says where a real server differs from the model
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kingpin/v2"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

func run(args []string, stdout, stderr io.Writer) int {
	app := kingpin.New("dag_lab", "Two SQL Server look-alikes with a distributed availability group between them.").UsageWriter(stdout).ErrorWriter(stderr)
	app.HelpFlag.Short('h')
	stop := -1
	app.Terminate(func(code int) { stop = code; app.UsageWriter(io.Discard) }) // kingpin would go on and print it once more: no command was given
	verbs := map[string]func(io.Writer, io.Writer) error{}
	serveCommand(app, verbs)
	ctlCommand(app, verbs)
	scheduleCommand(app, verbs)
	conformanceCommand(app, verbs)
	name, err := app.Parse(aliases(args))
	if stop >= 0 {
		return stop
	}
	if err != nil {
		say(stderr, "dag_lab: %v, try --help\n", err)
		return exitUsage
	}
	err = verbs[name](stdout, stderr)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage):
		say(stderr, "dag_lab: %v\n", err)
		return exitUsage
	}
	say(stderr, "dag_lab: %v\n", err)
	if errors.Is(err, errDifferent) {
		return exitDifferent
	}
	return exitError
}

// aliases lets --version stand for --sql-version: kingpin leaves out every default when a flag of that name is given.
func aliases(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if rest, ok := strings.CutPrefix(a, "--version"); ok && (rest == "" || rest[0] == '=') {
			a = "--sql-version" + rest
		}
		out[i] = a
	}
	return out
}

// say writes to a terminal; there is nobody to tell if that fails.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
