// Command manifests makes deploy/kubernetes from alerts/rules.yml,
// deploy/prometheus.yml and dashboards/*.json: objects for the Prometheus
// operator and for a Grafana with the dashboard sidecar. With -check it writes
// nothing and exits 1 if a file is not in step.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const header = "# Made by `make manifests`. Do not edit: change %s.\n"

func main() {
	os.Exit(run())
}

func run() int {
	root := flag.String("root", ".", "the repository")
	check := flag.Bool("check", false, "write nothing; exit 1 if a file is not in step")
	flag.Parse()
	files, err := generate(*root)
	if err == nil {
		err = put(filepath.Join(*root, "deploy", "kubernetes"), files, *check)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		return 1
	}
	return 0
}

func put(dir string, files map[string][]byte, check bool) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if !check {
			errs = append(errs, os.WriteFile(path, files[name], 0o644))
			continue
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, files[name]) {
			errs = append(errs, fmt.Errorf("%s is not in step; note: make manifests", path))
		}
	}
	return errors.Join(errs...)
}

func generate(root string) (map[string][]byte, error) {
	rules, err := os.ReadFile(filepath.Join(root, "alerts", "rules.yml"))
	if err != nil {
		return nil, err
	}
	scrape, err := os.ReadFile(filepath.Join(root, "deploy", "prometheus.yml"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if files["prometheusrule.yaml"], err = prometheusRule(rules); err != nil {
		return nil, err
	}
	if files["scrapeconfig.yaml"], err = scrapeConfigs(scrape); err != nil {
		return nil, err
	}
	boards, err := filepath.Glob(filepath.Join(root, "dashboards", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range boards {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(path)
		files["dashboard-"+strings.TrimSuffix(name, ".json")+".yaml"] = dashboard(name, b)
	}
	return files, nil
}

// prometheusRule wraps the groups as they stand, comments and all.
func prometheusRule(rules []byte) ([]byte, error) {
	_, groups, ok := strings.Cut(string(rules), "\ngroups:\n")
	if !ok {
		return nil, errors.New("alerts/rules.yml: no groups")
	}
	var out strings.Builder
	fmt.Fprintf(&out, header, "alerts/rules.tmpl or alerts/values.yml")
	out.WriteString("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: dag-exporter\n  labels:\n    app.kubernetes.io/name: dag-exporter\nspec:\n  groups:\n")
	out.WriteString(indent(strings.TrimRight(groups, "\n"), "  ") + "\n")
	return []byte(out.String()), nil
}

// dashboard is the ConfigMap that Grafana's sidecar looks for.
func dashboard(name string, json []byte) []byte {
	var out strings.Builder
	fmt.Fprintf(&out, header, "the program that makes dashboards/"+name)
	fmt.Fprintf(&out, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  labels:\n    grafana_dashboard: \"1\"\ndata:\n  %s: |\n",
		"dag-exporter-"+strings.TrimSuffix(name, ".json"), name)
	out.WriteString(indent(strings.TrimRight(string(json), "\n"), "    ") + "\n")
	return []byte(out.String())
}

func indent(text, by string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = by + l
		}
	}
	return strings.Join(lines, "\n")
}

// scrapeJob is what the shipped Prometheus config uses of a scrape config.
// Anything else in it is an error, so that nothing is lost on the way.
type scrapeJob struct {
	JobName     string              `yaml:"job_name"`
	MetricsPath string              `yaml:"metrics_path"`
	Params      map[string][]string `yaml:"params"`
	HTTPSD      []struct {
		URL             string `yaml:"url"`
		RefreshInterval string `yaml:"refresh_interval"`
	} `yaml:"http_sd_configs"`
	Static []struct {
		Targets []string `yaml:"targets"`
	} `yaml:"static_configs"`
	Relabel       []relabel `yaml:"relabel_configs"`
	MetricRelabel []relabel `yaml:"metric_relabel_configs"`
	BasicAuth     *struct {
		Username     string `yaml:"username"`
		PasswordFile string `yaml:"password_file"`
	} `yaml:"basic_auth"`
}

type relabel struct {
	SourceLabels []string `yaml:"source_labels"`
	Regex        string   `yaml:"regex"`
	TargetLabel  string   `yaml:"target_label"`
	Replacement  string   `yaml:"replacement"`
	Action       string   `yaml:"action"`
}

// scrapeNotes is what of deploy/prometheus.yml has no place in a ScrapeConfig.
const scrapeNotes = `# Belongs into the Prometheus object: spec.externalLabels {environment: prod}, which
# alertmanager.yml and alert_match ask for, and spec.evaluationInterval 5s.
# The Secret prometheus-password has the keys username and password.
`

// scrapeConfigs is one ScrapeConfig a job. The job label is set by relabeling,
// since the operator names the job after the object and the rules name theirs.
func scrapeConfigs(text []byte) ([]byte, error) {
	var top struct {
		Global struct {
			Interval string `yaml:"scrape_interval"`
			Timeout  string `yaml:"scrape_timeout"`
		} `yaml:"global"`
		Jobs []yaml.Node `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(text, &top); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, header, "deploy/prometheus.yml")
	out.WriteString(scrapeNotes)
	for i := range top.Jobs {
		job, err := strictJob(&top.Jobs[i])
		if err != nil {
			return nil, fmt.Errorf("deploy/prometheus.yml: %w", err)
		}
		spec := job.spec()
		spec["scrapeInterval"], spec["scrapeTimeout"] = top.Global.Interval, top.Global.Timeout
		out.WriteString("---\n")
		e := yaml.NewEncoder(&out)
		e.SetIndent(2)
		err = e.Encode(map[string]any{
			"apiVersion": "monitoring.coreos.com/v1alpha1",
			"kind":       "ScrapeConfig",
			"metadata": map[string]any{
				"name":   strings.ReplaceAll(job.JobName, "_", "-"),
				"labels": map[string]string{"app.kubernetes.io/name": "dag-exporter"},
			},
			"spec": spec,
		})
		if err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func strictJob(n *yaml.Node) (*scrapeJob, error) {
	text, err := yaml.Marshal(n)
	if err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var job scrapeJob
	return &job, d.Decode(&job)
}

func (j *scrapeJob) spec() map[string]any {
	spec := map[string]any{}
	if j.MetricsPath != "" {
		spec["metricsPath"] = j.MetricsPath
	}
	if j.Params != nil {
		spec["params"] = j.Params
	}
	var list []any
	for _, s := range j.HTTPSD {
		list = append(list, map[string]any{"url": s.URL, "refreshInterval": s.RefreshInterval})
	}
	if list != nil {
		spec["httpSDConfigs"] = list
	}
	list = nil
	for _, s := range j.Static {
		list = append(list, map[string]any{"targets": s.Targets})
	}
	if list != nil {
		spec["staticConfigs"] = list
	}
	spec["relabelings"] = append(relabelings(j.Relabel), map[string]any{"targetLabel": "job", "replacement": j.JobName})
	if r := relabelings(j.MetricRelabel); r != nil {
		spec["metricRelabelings"] = r
	}
	if a := j.BasicAuth; a != nil {
		// A Secret with both keys; the file of the plain config holds the password.
		spec["basicAuth"] = map[string]any{
			"username": map[string]string{"name": a.PasswordFile, "key": "username"},
			"password": map[string]string{"name": a.PasswordFile, "key": "password"},
		}
	}
	return spec
}

func relabelings(from []relabel) []any {
	var out []any
	for _, r := range from {
		m := map[string]any{}
		if r.SourceLabels != nil {
			m["sourceLabels"] = r.SourceLabels
		}
		for key, v := range map[string]string{"regex": r.Regex, "targetLabel": r.TargetLabel, "replacement": r.Replacement, "action": r.Action} {
			if v != "" {
				m[key] = v
			}
		}
		out = append(out, m)
	}
	return out
}
