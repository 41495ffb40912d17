package rulegen

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

const alerts = "../../../alerts/"

// Other values than the shipped ones give rules that load, with the label and the
// link that were asked for, and with the window that fits the scrape interval.
func TestOtherValues(t *testing.T) {
	v, err := Read(alerts + "values.yml")
	if err != nil {
		t.Fatal(err)
	}
	v["scrape_interval_seconds"] = 15
	v["runbook_base"] = "https://exporter.example.com"
	v["extra_labels"] = map[string]any{"team": "dba", "tier": 1}
	text, err := Generate(v, alerts+"rules.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Record, Alert, Expr string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr); err != nil {
				t.Errorf("%s%s: %v", r.Record, r.Alert, err)
			}
			if r.Record == "dag_level:mssql_dag_convergence_reached:min30s" && strings.Count(r.Expr, "[90s]") != 3 {
				t.Errorf("six scrapes of 15 s are no window of: %s", r.Expr)
			}
			if r.Alert == "" {
				continue
			}
			seen++
			if r.Labels["team"] != "dba" || r.Labels["tier"] != "1" || r.Labels["severity"] == "" {
				t.Errorf("%s has the labels %v", r.Alert, r.Labels)
			}
			if want := "https://exporter.example.com/runbooks/" + r.Alert; r.Annotations["runbook_url"] != want {
				t.Errorf("%s leads to %s", r.Alert, r.Annotations["runbook_url"])
			}
		}
	}
	if seen < 30 {
		t.Errorf("%d alerts", seen)
	}
}

func TestInStep(t *testing.T) {
	v, err := Read(alerts + "values.yml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Generate(v, alerts+"rules.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(alerts + "rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("alerts/rules.yml is not what rules.tmpl and values.yml give; note: make rules")
	}
}

func TestBadValues(t *testing.T) {
	for name, change := range map[string]func(Values){
		"scrape_interval_seconds is a whole number from 1": func(v Values) { v["scrape_interval_seconds"] = 0 },
		"side_down_for": func(v Values) { delete(v, "side_down_for") },
	} {
		v, err := Read(alerts + "values.yml")
		if err != nil {
			t.Fatal(err)
		}
		change(v)
		if _, err := Generate(v, alerts+"rules.tmpl"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error about %q, got %v", name, err)
		}
	}
}
