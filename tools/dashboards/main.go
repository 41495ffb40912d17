// Command dashboards makes dashboards/*.json, the Grafana dashboards as
// shipped. With -check it writes nothing and exits 1 if a file is not in step.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"go.yaml.in/yaml/v3"
)

func main() {
	os.Exit(run())
}

// settings are what an installation may want otherwise. They are defaults of
// variables: a viewer can change them in the dashboard's address too.
type settings struct {
	Console  string // base URL of cutover_webhook, no slash at the end
	Runbooks string // base URL of the runbooks, up to and without /runbooks
	Scrape   string // scrape interval, from which Grafana makes $__rate_interval
}

func run() int {
	values := flag.String("values", "alerts/values.yml", "the values of the alerts: scrape interval, runbook base")
	console := flag.String("console", "http://cutover-webhook:19969", "where cutover_webhook's console is")
	runbooks := flag.String("runbooks", "", "where the runbooks are; runbook_base of the values if empty, dag_exporter if that is empty too")
	to := flag.String("out", "dashboards", "the folder of the dashboards")
	check := flag.Bool("check", false, "write nothing; exit 1 if a dashboard is not in step")
	tests := flag.String("scenarios", "", "write the scenarios to this file, for promtool test rules, and nothing else")
	flag.Parse()

	set, err := readSettings(*values, *console, *runbooks)
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		return 1
	}
	if *tests != "" {
		b, err := unitTests(set)
		if err == nil {
			err = os.WriteFile(*tests, b, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "dashboards:", err)
			return 1
		}
		return 0
	}
	files, err := generate(set)
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		return 1
	}
	code := 0
	for name, want := range files {
		path := filepath.Join(*to, name)
		if *check {
			if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, want) {
				fmt.Fprintf(os.Stderr, "dashboards: %s is not what tools/dashboards gives; note: make dashboards\n", path)
				code = 1
			}
			continue
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "dashboards:", err)
			return 1
		}
	}
	return code
}

func readSettings(values, console, runbooks string) (settings, error) {
	b, err := os.ReadFile(values)
	if err != nil {
		return settings{}, err
	}
	var v struct {
		Scrape int    `yaml:"scrape_interval_seconds"`
		Base   string `yaml:"runbook_base"`
	}
	if err := yaml.Unmarshal(b, &v); err != nil {
		return settings{}, fmt.Errorf("%s: %w", values, err)
	}
	if v.Scrape < 1 {
		return settings{}, fmt.Errorf("%s: scrape_interval_seconds is a whole number from 1", values)
	}
	for _, base := range []string{v.Base, "http://dag-exporter:19968"} {
		if runbooks == "" {
			runbooks = base
		}
	}
	return settings{
		Console:  strings.TrimSuffix(console, "/"),
		Runbooks: strings.TrimSuffix(runbooks, "/"),
		Scrape:   fmt.Sprintf("%ds", v.Scrape),
	}, nil
}

// generate makes every dashboard, keyed by its file name.
func generate(set settings) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, d := range []dashboard.Dashboard{fleet(set), migration(set), cutover(set)} {
		b, err := encode(d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", *d.Uid, err)
		}
		files[*d.Uid+".json"] = b
	}
	return files, nil
}

// encode gives JSON with sorted keys and with < and > as they are, so that a
// person can review an expression in a diff.
func encode(d dashboard.Dashboard) ([]byte, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(plain)
	return out.Bytes(), err
}
