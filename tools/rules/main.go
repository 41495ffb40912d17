// Command rules makes alerts/rules.yml from alerts/rules.tmpl and
// alerts/values.yml. With -check it writes nothing and exits 1 if the file is
// not in step.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

func main() {
	os.Exit(run())
}

func run() int {
	values := flag.String("values", "alerts/values.yml", "the values")
	from := flag.String("template", "alerts/rules.tmpl", "the template")
	to := flag.String("out", "alerts/rules.yml", "the rules")
	check := flag.Bool("check", false, "write nothing; exit 1 if the rules are not in step")
	flag.Parse()

	out, err := generate(*values, *from)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		return 1
	}
	if *check {
		have, err := os.ReadFile(*to)
		if err != nil || !bytes.Equal(have, out) {
			fmt.Fprintf(os.Stderr, "rules: %s is not what %s and %s give; note: make rules\n", *to, *from, *values)
			return 1
		}
		return 0
	}
	if err := os.WriteFile(*to, out, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		return 1
	}
	return 0
}

func generate(valuesPath, templatePath string) ([]byte, error) {
	b, err := os.ReadFile(valuesPath)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(b, &values); err != nil {
		return nil, fmt.Errorf("%s: %w", valuesPath, err)
	}
	interval, ok := values["scrape_interval_seconds"].(int)
	if !ok || interval < 1 {
		return nil, fmt.Errorf("%s: scrape_interval_seconds is a whole number from 1", valuesPath)
	}
	values["window"] = fmt.Sprintf("%ds", 6*interval)
	values["interval"] = fmt.Sprintf("%ds", interval)
	text, err := os.ReadFile(templatePath)
	if err != nil {
		return nil, err
	}
	// Delimiters that PromQL does not use; {{ }} stay for Prometheus.
	t := template.New(templatePath).Delims("<<", ">>").Option("missingkey=error").Funcs(template.FuncMap{
		"labels": func(severity string, inhibitClass ...string) string {
			return labels(severity, inhibitClass, values["extra_labels"])
		},
	})
	if t, err = t.Parse(string(text)); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, values)
	return out.Bytes(), err
}

// labels is the flow mapping of an alert's labels. The inhibit class, where
// there is one, is what alertmanager.yml inhibits by.
func labels(severity string, inhibitClass []string, extra any) string {
	parts := []string{"severity: " + severity}
	for _, class := range inhibitClass {
		parts = append(parts, "inhibit_class: "+class)
	}
	if m, ok := extra.(map[string]any); ok {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			parts = append(parts, fmt.Sprintf("%s: %q", k, fmt.Sprint(m[k])))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
