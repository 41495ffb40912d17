package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

const root = "../.."

func shipped(t *testing.T) map[string][]byte {
	t.Helper()
	set, err := readSettings(root+"/alerts/values.yml", "http://cutover-webhook:19969", "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(set)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInStep(t *testing.T) {
	files := shipped(t)
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join(root, "dashboards", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != string(want) {
			t.Errorf("%s is not what this program gives; note: make dashboards", name)
		}
	}
	have, err := filepath.Glob(filepath.Join(root, "dashboards", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != len(files) {
		t.Errorf("%d dashboards are checked in, %d are made", len(have), len(files))
	}
}

// The SDK's strict decoder knows every field of the dashboard, its panels,
// options and queries. It wants options to be there that Grafana defaults.
func TestStrictDecode(t *testing.T) {
	for name, b := range shipped(t) {
		for _, complaint := range strictly(b) {
			t.Errorf("%s: %s", name, complaint)
		}
	}
}

func strictly(b []byte) []string {
	plugins.RegisterDefaultPlugins()
	var d dashboard.Dashboard
	err := d.UnmarshalJSONStrict(b)
	if err == nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(err.Error(), "\n"), func(line string) bool {
		return line == "" || strings.HasSuffix(line, "required field is missing from input")
	})
}

// The plain shape of a dashboard, for what the SDK does not look at.
type plainBoard struct {
	UID         string                                 `json:"uid"`
	Title       string                                 `json:"title"`
	Description string                                 `json:"description"`
	Editable    *bool                                  `json:"editable"`
	Panels      []plainPanel                           `json:"panels"`
	Links       []plainLink                            `json:"links"`
	Templating  struct{ List []plainVariable }         `json:"templating"`
	Annotations struct{ List []struct{ Expr string } } `json:"annotations"`
}

type plainVariable struct {
	Name  string `json:"name"`
	Query any    `json:"query"`
	Multi bool   `json:"multi"`
	All   bool   `json:"includeAll"`
}

type plainLink struct {
	URL         string `json:"url"`
	IncludeVars bool   `json:"includeVars"`
}

type plainPanel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Links       []plainLink `json:"links"`
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Instant      bool   `json:"instant"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			NoValue    string `json:"noValue"`
			Thresholds *struct {
				Steps []struct{ Color string }
			} `json:"thresholds"`
			Mappings []any `json:"mappings"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

func plainBoards(t *testing.T) map[string]plainBoard {
	t.Helper()
	out := map[string]plainBoard{}
	for name, b := range shipped(t) {
		var p plainBoard
		if err := json.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		out[name] = p
	}
	return out
}

func TestBoards(t *testing.T) {
	for name, b := range plainBoards(t) {
		if b.UID+".json" != name || b.Title == "" || b.Description == "" {
			t.Errorf("%s: uid %q, title %q, description %q", name, b.UID, b.Title, b.Description)
		}
		if b.Editable == nil || *b.Editable {
			t.Errorf("%s is editable", name)
		}
		for _, complaint := range layout(b.Panels) {
			t.Errorf("%s: %s", name, complaint)
		}
		for _, p := range b.Panels {
			if p.Type == "row" {
				continue
			}
			at := name + ": " + p.Title
			if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
				t.Errorf("%s (%d): title, description, unit and a query belong to every panel", at, p.ID)
			}
			if p.Type != "stat" {
				continue
			}
			// What looks at the present must not show a last value of long
			// ago, nor anything well where there is nothing.
			if p.FieldConfig.Defaults.NoValue == "" {
				t.Errorf("%s: no word for no data", at)
			}
			if base := p.FieldConfig.Defaults.Thresholds.Steps[0].Color; base == green {
				t.Errorf("%s: green without data", at)
			}
			for _, q := range p.Targets {
				if !q.Instant {
					t.Errorf("%s: a query over time", at)
				}
			}
		}
	}
}

func layout(panels []plainPanel) []string {
	var out []string
	ids := map[int]bool{}
	for n, p := range panels {
		g := p.GridPos
		if p.ID < 1 || ids[p.ID] {
			out = append(out, p.Title+": its id is not its own")
		}
		ids[p.ID] = true
		if g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > gridWidth {
			out = append(out, p.Title+": beyond the grid")
		}
		for _, q := range panels[:n] {
			o := q.GridPos
			if g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H {
				out = append(out, p.Title+" overlaps "+q.Title)
			}
		}
	}
	return out
}

// expressions are all of a dashboard: panels, annotations, variables.
func (b plainBoard) expressions() []string {
	var out []string
	for _, p := range b.Panels {
		for _, q := range p.Targets {
			out = append(out, q.Expr)
		}
	}
	for _, a := range b.Annotations.List {
		out = append(out, a.Expr)
	}
	for _, v := range b.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			inner := strings.TrimPrefix(q["query"].(string), "label_values(")
			out = append(out, inner[:strings.LastIndex(inner, ",")])
		}
	}
	return out
}

// Every expression is PromQL, has only variables that are defined, and names
// only metrics and labels that somebody makes.
func TestExpressions(t *testing.T) {
	known := metrics(t)
	for name, b := range plainBoards(t) {
		for _, e := range b.expressions() {
			for _, complaint := range judge(known, e) {
				t.Errorf("%s: %s\n%s", name, complaint, e)
			}
		}
	}
}

func judge(known map[string][]string, expr string) []string {
	full := filled.Replace(expr)
	if regexp.MustCompile(`\$[^1-9]`).MatchString(full) { // $1 is label_replace's
		return []string{"an unknown variable"}
	}
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(full)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok || v.Name == "" {
			return nil
		}
		labels, ok := known[v.Name]
		if !ok {
			out = append(out, v.Name+": nobody makes this metric")
		}
		for _, m := range v.LabelMatchers {
			if ok && m.Name != "__name__" && len(labels) > 0 && !slices.Contains(labels, m.Name) {
				out = append(out, v.Name+" has no label "+m.Name)
			}
		}
		return nil
	})
	return out
}

var documented = regexp.MustCompile("(?m)^\\| `(mssql_dag_\\w+)` \\| ([^|]*) \\|")

// metrics are all metrics that exist, with their labels where they are told:
// those of docs/metrics.md, which a test there holds in step with the code of
// all binaries, and the recording rules.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{"ALERTS": nil}
	for _, m := range documented.FindAllStringSubmatch(slurp(t, "docs/metrics.md"), -1) {
		out[m[1]] = strings.Split(m[2], ", ")
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Record string `yaml:"record"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(slurp(t, "alerts/rules.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				out[r.Record] = nil
			}
		}
	}
	if len(out) < 60 {
		t.Fatalf("only %d metrics were found: the way they are looked for is wrong", len(out))
	}
	return out
}

func slurp(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Each state that code turns into a number is one that the code emits.
func TestStates(t *testing.T) {
	for list, in := range map[string]struct {
		words []word
		files string
	}{
		"states": {states, "internal/hadr/*.go"}, "answers": {answers, "internal/hadr/*.go"},
		"directions": {directions, "internal/hadr/*.go"}, "roles": {roles, "internal/hadr/*.go"},
		"modes": {modes, "internal/hadr/*.go"}, "synchronization": {synchronization, "internal/hadr/*.go"},
		"phases": {phases, "internal/cutover/names.go"},
	} {
		paths, err := filepath.Glob(filepath.Join(root, in.files))
		if err != nil || len(paths) == 0 {
			t.Fatal(in.files, err)
		}
		var code strings.Builder
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(b)
		}
		for _, w := range in.words {
			if w.state != "" && w.state != nothing && !regexp.MustCompile(`= "`+w.state+`"`).MatchString(code.String()) {
				t.Errorf("%s: nobody emits the state %q", list, w.state)
			}
		}
		if list == "phases" {
			if want, have := strings.Count(code.String(), " Phase = \""), len(in.words)-1; want != have {
				t.Errorf("%d phases have words, there are %d", have, want)
			}
		}
	}
}

// The scenarios are judged by promtool, in make check; here they are only made.
func TestScenariosNamePanels(t *testing.T) {
	if _, err := unitTests(settings{Scrape: "5s"}); err != nil {
		t.Error(err)
	}
}

// A runbook link leads to a runbook, a dashboard link to a dashboard.
func TestLinks(t *testing.T) {
	boards := plainBoards(t)
	for name, b := range shipped(t) {
		for _, m := range regexp.MustCompile(`\$\{runbooks\}/runbooks/(\w+)`).FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(root, "alerts", "runbooks", m[1]+".md")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, m := range regexp.MustCompile(`"/d/([\w-]+)`).FindAllStringSubmatch(string(b), -1) {
			if _, ok := boards[m[1]+".json"]; !ok {
				t.Errorf("%s: a link to the dashboard %q", name, m[1])
			}
		}
	}
}

func TestProvisioning(t *testing.T) {
	n := 0
	err := filepath.WalkDir(filepath.Join(root, "dashboards", "provisioning"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var v struct {
			APIVersion int `yaml:"apiVersion"`
		}
		if err := yaml.Unmarshal(b, &v); err != nil || v.APIVersion != 1 {
			t.Errorf("%s: apiVersion %d, %v", path, v.APIVersion, err)
		}
		return nil
	})
	if err != nil || n != 2 {
		t.Errorf("%d files, %v", n, err)
	}
}

// What the tests above are worth: each fault put in by hand is told.
func TestFaultsAreTold(t *testing.T) {
	known := metrics(t)
	for _, e := range []string{
		`mssql_dag_upp`, `mssql_dag_up{dagg="$dag"}`, `sum(mssql_dag_up`, `mssql_dag_up{dag="$dog"}`,
		`mssql_dag_cutover_phase{state="idle"}`, `rate(mssql_dag_up)`, `sort_by_label(mssql_dag_up, "dag")`,
	} {
		if len(judge(known, e)) == 0 {
			t.Errorf("nothing was said about %s", e)
		}
	}
	good := string(shipped(t)["dag-fleet.json"])
	for _, change := range [][2]string{
		{`"gridPos": {`, `"gridPos": {"z": 1,`}, {`"textMode"`, `"textMood"`}, {`"legendFormat"`, `"legend"`}, {`"editable": false`, `"editable": "no"`},
		{`"uid": "dag-fleet"`, `"udi": "dag-fleet"`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s is not in the dashboard", change[0])
		}
		if len(strictly([]byte(bad))) == 0 {
			t.Errorf("nothing was said about %s", change[1])
		}
	}
	p := func(id, x, y, w, h int) plainPanel {
		p := plainPanel{ID: id}
		p.GridPos.X, p.GridPos.Y, p.GridPos.W, p.GridPos.H = x, y, w, h
		return p
	}
	for _, panels := range [][]plainPanel{
		{p(1, 0, 0, 12, 4), p(1, 12, 0, 12, 4)}, {p(1, 13, 0, 12, 4)}, {p(1, 0, 0, 12, 4), p(2, 11, 3, 4, 4)}, {p(1, 0, 0, 12, 0)},
	} {
		if len(layout(panels)) == 0 {
			t.Errorf("nothing was said about %+v", panels)
		}
	}
}
