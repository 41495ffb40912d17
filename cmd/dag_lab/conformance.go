package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"

	"github.com/dag-exporter/dag_exporter/internal/lab/conform"
)

// exitDifferent is the answer of conformance where a server differs from the model.
const exitDifferent = 3

// errDifferent carries it.
var errDifferent = errors.New("the servers differ from the model: see the lines that begin with DIFF")

const conformanceHelp = `Hold real servers against the lab's model of them. It asks each server with SELECTs alone, over one connection, one at a time, and writes a
text: where columns, types, NULLs and sentinels differ from the model (DIFF), and what the pair shows of the open questions T1 to T16. You can send that text.

  dag_lab conformance --dsn='sqlserver://mon:${MON_PASSWORD}@sql1:1433?encrypt=true' --dsn-file=target.dsn --out=conformance.txt

Give the primary instance of one side, or of both. A login with VIEW SERVER STATE and VIEW ANY DEFINITION sees all; one with less is told what it does not see. Passwords are
never written; names of servers, groups and databases become S1, G1, D1 unless --no-redact is given. Exit code 0: no difference, 3: differences, 1: a server could not be read, 2: command line.`

func conformanceCommand(app *kingpin.Application, verbs map[string]func(io.Writer, io.Writer) error) {
	c := app.Command("conformance", conformanceHelp)
	dsns := c.Flag("dsn", "A server, as a sqlserver:// URL; ${NAME} is taken from the environment, so that no password stands in the list of processes. At most two.").Strings()
	files := c.Flag("dsn-file", "A file that holds such a URL in its first line; after those of --dsn.").Strings()
	dag := c.Flag("dag", "The distributed availability group, where there are several.").String()
	out := c.Flag("out", "Write the text to this file instead of standard output.").String()
	redact := c.Flag("redact", "Replace the names of servers, groups and databases.").Default("true").Bool()
	bound := c.Flag("timeout.statement", "Longest time for one statement.").Default("10s").Duration()
	total := c.Flag("timeout", "Longest time for everything.").Default("2m").Duration()
	verbs[c.FullCommand()] = func(stdout, _ io.Writer) error {
		ctx, cancel := context.WithTimeout(context.Background(), *total)
		defer cancel()
		list, err := openServers(*dsns, *files, *dag)
		if err != nil {
			return err
		}
		for _, s := range list {
			defer func() { _ = s.DB.Close() }() // it was read from alone
		}
		w := stdout
		var text strings.Builder
		if *out != "" {
			w = &text
		}
		n, err := conform.Report(ctx, w, list, conform.Options{Bound: *bound, Redact: *redact, Build: fmt.Sprintf("version=%s commit=%s", version.Version, version.GetRevision())})
		if err != nil {
			return err
		}
		if *out != "" {
			if err := writeFile(*out, []byte(text.String())); err != nil {
				return err
			}
			say(stdout, "%s: %d differences\n", *out, n)
		}
		if n > 0 {
			return errDifferent
		}
		return nil
	}
}

var envName = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// openServers opens what --dsn and --dsn-file name. No error holds any part of them.
func openServers(dsns, files []string, dag string) ([]conform.Server, error) {
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("%w: --dsn-file: %w", errUsage, err)
		}
		line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
		dsns = append(dsns, strings.TrimSpace(line))
	}
	if len(dsns) < 1 || len(dsns) > 2 {
		return nil, fmt.Errorf("%w: give one or two servers with --dsn or --dsn-file", errUsage)
	}
	var out []conform.Server
	for i, d := range dsns {
		u, err := url.Parse(envName.ReplaceAllStringFunc(d, func(v string) string {
			return strings.ReplaceAll(url.QueryEscape(os.Getenv(v[2:len(v)-1])), "+", "%20")
		}))
		if err != nil || u.Scheme != "sqlserver" || u.Host == "" {
			return nil, fmt.Errorf("%w: server %d is no URL of the form sqlserver://user:password@host:1433?encrypt=true (percent-encode special characters)", errUsage, i+1)
		}
		q := u.Query()
		for k := range q {
			switch strings.ToLower(k) {
			case "database", "app name", "log", "connection timeout", "dial timeout":
				q.Del(k)
			}
		}
		q.Set("database", "master")
		q.Set("app name", "dag_lab conformance")
		q.Set("dial timeout", "10")
		q.Set("disableretry", "true")
		u.RawQuery = q.Encode()
		db, err := sql.Open("sqlserver", u.String())
		if err != nil {
			return nil, fmt.Errorf("%w: server %d: the driver does not take this URL", errUsage, i+1)
		}
		out = append(out, conform.Server{DB: db, DAG: dag})
	}
	return out, nil
}
