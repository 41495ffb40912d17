package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

func ctlCommand(app *kingpin.Application, verbs map[string]func(io.Writer, io.Writer) error) {
	c := app.Command("ctl", "Drive a lab that serves. Commands:\n\n  state: show everything\n  "+strings.Join(lab.CommandHelp(), "\n  "))
	address := c.Flag("url", "Address of the control API.").Default("http://127.0.0.1:14330").String()
	dag := c.Flag("dag", "Which DAG of serve --like; default the first.").String()
	command := c.Arg("command", "What to do; state shows everything.").Required().String()
	args := c.Arg("args", "name=value; a value that is JSON is sent as JSON.").Strings()
	verbs[c.FullCommand()] = func(stdout, _ io.Writer) error { return ctl(*address, *dag, *command, *args, stdout) }
}

// textFields are arguments that stay text even if they look like a number.
var textFields = map[string]bool{"value": true, "database": true, "column": true, "statement": true}

func ctl(base, dag, command string, args []string, stdout io.Writer) error {
	body := map[string]any{}
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%w: %q is not name=value", errUsage, a)
		}
		if !textFields[name] && json.Valid([]byte(value)) {
			body[name] = json.RawMessage(value)
		} else {
			body[name] = value
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	method := http.MethodPost
	if command == "state" || command == "certificate" {
		method, b = http.MethodGet, nil
	}
	base = strings.TrimSuffix(base, "/")
	if dag != "" {
		base += "/dags/" + url.PathEscape(dag)
	}
	req, err := http.NewRequest(method, base+"/api/v1/"+command, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	client := &http.Client{Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no lab answers: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(out)))
	}
	_, err = stdout.Write(out)
	return err
}
