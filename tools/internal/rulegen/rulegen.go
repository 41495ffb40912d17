// Package rulegen makes the alert rules from their template and their values.
package rulegen

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// Values are what alerts/values.yml holds, by name.
type Values map[string]any

// Read reads a file of values.
func Read(path string) (Values, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := Values{}
	if err := yaml.Unmarshal(b, &values); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

// Generate fills the template. It is an error if the template names a value that
// is not there.
func Generate(from Values, templatePath string) ([]byte, error) {
	interval, ok := from["scrape_interval_seconds"].(int)
	if !ok || interval < 1 {
		return nil, errors.New("scrape_interval_seconds is a whole number from 1")
	}
	values := maps.Clone(from)
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
