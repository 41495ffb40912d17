package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const repository = "../.."

func TestInStep(t *testing.T) {
	files, err := generate(repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(filepath.Join(repository, "deploy", "kubernetes"), files, true); err != nil {
		t.Error(err)
	}
	have, err := filepath.Glob(filepath.Join(repository, "deploy", "kubernetes", "*.yaml"))
	if err != nil || len(have) != len(files) {
		t.Errorf("%d manifests are checked in, %d are made (%v)", len(have), len(files), err)
	}
}

// objects are the documents of every manifest.
func objects(t *testing.T) (out []map[string]any) {
	t.Helper()
	files, err := generate(repository)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		d := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var o map[string]any
			err := d.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if o != nil {
				out = append(out, o)
			}
		}
	}
	return out
}

// Each object of the operator fits the operator's own schema, and nothing in it
// is unknown there: an API server drops such a field without a word.
func TestObjectsFitTheOperatorsSchemas(t *testing.T) {
	b, err := os.ReadFile("testdata/crd.json")
	if err != nil {
		t.Fatal(err)
	}
	var schemas map[string]json.RawMessage
	if err := json.Unmarshal(b, &schemas); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, o := range objects(t) {
		kind := fmt.Sprint(o["kind"])
		kinds[kind]++
		if kind == "ConfigMap" {
			continue
		}
		raw, ok := schemas[kind+"/"+fmt.Sprint(o["apiVersion"])]
		if !ok {
			t.Errorf("no schema of %v/%v", kind, o["apiVersion"])
			continue
		}
		var s schema
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields() // a keyword that is not checked below
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		for _, complaint := range s.judge("", plain(t, o)) {
			t.Errorf("%s %s", kind, complaint)
		}
	}
	if kinds["PrometheusRule"] != 1 || kinds["ScrapeConfig"] != 3 || kinds["ConfigMap"] != 3 {
		t.Errorf("objects: %v", kinds)
	}
}

// What a schema finds, so that the test above is known to look.
func TestSchemaFinds(t *testing.T) {
	b, err := os.ReadFile("testdata/crd.json")
	if err != nil {
		t.Fatal(err)
	}
	var schemas map[string]schema
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	delete(raw, "source")
	schemas = map[string]schema{}
	for k, r := range raw {
		var s schema
		if err := json.Unmarshal(r, &s); err != nil {
			t.Fatal(err)
		}
		schemas[k] = s
	}
	for _, c := range []struct{ kind, text, want string }{
		{"PrometheusRule/monitoring.coreos.com/v1", "spec: {groups: [{name: a, rules: [{alert: A}]}]}", ".spec.groups[0].rules[0]: expr is missing"},
		{"PrometheusRule/monitoring.coreos.com/v1", "spec: {groups: [{name: a, rules: [{alert: A, expr: 1, for: 5 min}]}]}", ".spec.groups[0].rules[0].for: \"5 min\" does not match"},
		{"ScrapeConfig/monitoring.coreos.com/v1alpha1", "spec: {relabelConfigs: []}", ".spec: relabelConfigs is unknown"},
		{"ScrapeConfig/monitoring.coreos.com/v1alpha1", "spec: {metricRelabelings: [{action: dorp}]}", ".spec.metricRelabelings[0].action: dorp is not one of"},
		{"ScrapeConfig/monitoring.coreos.com/v1alpha1", "spec: {scrapeInterval: 5}", ".spec.scrapeInterval: 5 is no string"},
	} {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(c.text), &o); err != nil {
			t.Fatal(err)
		}
		s := schemas[c.kind]
		if found := strings.Join(s.judge("", plain(t, o)), "\n"); !strings.Contains(found, c.want) {
			t.Errorf("%s: found %q, want %q", c.text, found, c.want)
		}
	}
}

// A dashboard is a ConfigMap that the sidecar finds, and the board in it is the
// one in dashboards/.
func TestDashboardsInConfigMaps(t *testing.T) {
	seen := 0
	for _, o := range objects(t) {
		if o["kind"] != "ConfigMap" {
			continue
		}
		var m struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Metadata   struct {
				Name   string
				Labels map[string]string
			}
			Data map[string]string
		}
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		if m.APIVersion != "v1" || m.Metadata.Labels["grafana_dashboard"] != "1" || !dnsName.MatchString(m.Metadata.Name) || len(m.Data) != 1 {
			t.Errorf("%s: %s, labels %v, %d keys", m.Metadata.Name, m.APIVersion, m.Metadata.Labels, len(m.Data))
		}
		for name, board := range m.Data {
			seen++
			want, err := os.ReadFile(filepath.Join(repository, "dashboards", name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(board) != strings.TrimSpace(string(want)) {
				t.Errorf("%s is not the dashboard", name)
			}
			// kubectl apply keeps a second copy in an annotation of at most 256 KiB.
			if len(board) > 200<<10 {
				t.Errorf("%s has %d bytes: kubectl apply would not take it", name, len(board))
			}
		}
	}
	if seen != 3 {
		t.Errorf("%d dashboards", seen)
	}
}

var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// The rules of the operator's object are those of alerts/rules.yml.
func TestRulesAreTheSame(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(repository, "alerts", "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Groups any }
	if err := yaml.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects(t) {
		if o["kind"] != "PrometheusRule" {
			continue
		}
		have, _ := json.Marshal(o["spec"].(map[string]any)["groups"])
		should, _ := json.Marshal(want.Groups)
		if !bytes.Equal(have, should) {
			t.Error("the groups differ")
		}
	}
}

// schema is the part of OpenAPI v3 that the operator's schemas use.
type schema struct {
	Type        string             `json:"type"`
	Properties  map[string]*schema `json:"properties"`
	Additional  *schema            `json:"additionalProperties"`
	Items       *schema            `json:"items"`
	Required    []string           `json:"required"`
	Enum        []any              `json:"enum"`
	Pattern     string             `json:"pattern"`
	MinLength   int                `json:"minLength"`
	MinItems    int                `json:"minItems"`
	Minimum     *float64           `json:"minimum"`
	Format      string             `json:"format"`
	Default     any                `json:"default"`
	AnyOf       []*schema          `json:"anyOf"`
	IntOrString bool               `json:"x-kubernetes-int-or-string"`
}

func (s *schema) judge(at string, v any) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		add("%v is not one of %v", v, s.Enum)
	}
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			add("an object where %s is wanted", s.Type)
		}
		for _, r := range s.Required {
			if _, ok := v[r]; !ok {
				add("%s is missing", r)
			}
		}
		for k, e := range v {
			p := s.Properties[k]
			if p == nil {
				p = s.Additional
			}
			switch {
			case p != nil:
				wrong = append(wrong, p.judge(at+"."+k, e)...)
			case at != ".metadata": // its schema is that of every object
				add("%s is unknown", k)
			}
		}
	case []any:
		if s.Type != "array" {
			add("a list where %s is wanted", s.Type)
			break
		}
		if len(v) < s.MinItems {
			add("%d items", len(v))
		}
		for i, e := range v {
			wrong = append(wrong, s.Items.judge(fmt.Sprintf("%s[%d]", at, i), e)...)
		}
	case string:
		if s.Type != "string" && !s.IntOrString {
			add("%q where %s is wanted", v, s.Type)
		}
		if len(v) < s.MinLength {
			add("%q is too short", v)
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			add("%q does not match %s", v, s.Pattern)
		}
	case bool:
		if s.Type != "boolean" {
			add("%v is no %s", v, s.Type)
		}
	case float64:
		if s.Type != "integer" && s.Type != "number" && !s.IntOrString {
			add("%v is no %s", v, s.Type)
		}
		if s.Minimum != nil && v < *s.Minimum {
			add("%v is below %v", v, *s.Minimum)
		}
	default:
		add("%T", v)
	}
	return wrong
}

// plain is the object as JSON has it, which is what an API server sees.
func plain(t *testing.T, o any) (out any) {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
