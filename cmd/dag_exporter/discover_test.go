package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// What differs from lab to lab in the printed configuration.
var variable = regexp.MustCompile(`127\.0\.0\.1:\d+|group_id [0-9a-f-]{36}`)

// Arguments that are wrong are errors of the command line, servers that do not
// answer are none.
func TestDiscoverExitCodes(t *testing.T) {
	refused := "sqlserver://sa:x@127.0.0.1:1?encrypt=disable"
	_, text := call(t, exitConfig, "discover", "nonsense", refused)
	want(t, text, "dag_exporter: source: a DSN must be a URL")
	_, text = call(t, exitError, "discover", refused, strings.Replace(refused, ":1?", ":2?", 1))
	want(t, text, "source: 127.0.0.1:1: ", "target: 127.0.0.1:2: ")
}

// Every version, and pairs of two: a newer target is declared, and what is
// printed is a configuration that is taken.
func TestDiscoverEveryVersion(t *testing.T) {
	for _, pair := range [][2]int{{13, 13}, {14, 14}, {15, 15}, {16, 16}, {17, 17}, {13, 17}, {15, 16}} {
		m := model.Config{Databases: []string{"db001"}}
		for i := range m.Sides {
			m.Sides[i].Instances = append(m.Sides[i].Instances, instance([]string{"N1", "N2"}[i], pair[i]))
		}
		l := startLab(t, lab.Options{Model: m, Logins: []lab.Login{{Name: "reader", Password: "p", Permissions: []string{"VIEW SERVER STATE", "VIEW ANY DEFINITION"}}}})
		t.Setenv("PASSWORD", "p")
		out, _ := call(t, exitOK, "discover", fromEnv(l, lab.Source, "reader", "PASSWORD"), fromEnv(l, lab.Target, "reader", "PASSWORD"))
		cfg, err := config.Parse([]byte(out), "found.yml")
		if err != nil {
			t.Fatalf("%v: %v\n%s", pair, err, out)
		}
		if got := cfg.DAGs[0].CrossVersion; got != (pair[0] < pair[1]) {
			t.Errorf("%v: cross_version is %v:\n%s", pair, got, out)
		}
		if strings.Contains(out, "CHECK") || strings.Contains(out, "MISSING") {
			t.Errorf("%v: complains about nothing:\n%s", pair, out)
		}
		if pair != [2]int{13, 17} {
			continue
		}
		want, err := os.ReadFile(filepath.Join("testdata", "discover_13_17.yml"))
		if err != nil {
			t.Fatal(err)
		}
		if got := variable.ReplaceAllString(out, "…"); got != string(want) {
			t.Errorf("testdata/discover_13_17.yml differs from\n%s", got)
		}
	}
}
