package docs

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/config"
)

const plainDAG = `dags:
  - name: erp
    source: {ag: OnPremAG, instances: ["sqlserver://m:x@sql1?encrypt=true"]}
    target: {ag: AzureAG, instances: ["sqlserver://m:x@vm1?encrypt=true"]}
`

// TestConfigDefaults: the block of defaults in config.md changes nothing.
func TestConfigDefaults(t *testing.T) {
	_, block, ok := strings.Cut(configText(t), "```yaml\nnear: ")
	if !ok {
		t.Fatal("config.md has no block of defaults that begins with near:")
	}
	block, _, _ = strings.Cut("near: "+block, "```")
	block = "    " + strings.TrimSuffix(strings.ReplaceAll(block, "\n", "\n    "), "    ")
	want := load(t, plainDAG)
	have := load(t, plainDAG+block)
	have.DAGs[0].Cutover.QuietPrograms = nil // an empty list is none
	if !reflect.DeepEqual(have, want) {
		t.Errorf("with the defaults of config.md written out: %+v\nwithout: %+v", have.DAGs[0], want.DAGs[0])
	}
}

// TestConfigKeys: config.md has every key.
func TestConfigKeys(t *testing.T) {
	text := configText(t)
	for key := range keys(reflect.TypeFor[config.Config]()) {
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(text) {
			t.Errorf("config.md does not speak of %s", key)
		}
	}
}

func keys(of reflect.Type) map[string]bool {
	out := map[string]bool{}
	for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return out
	}
	for i := range of.NumField() {
		f := of.Field(i)
		if key := f.Tag.Get("yaml"); key != "" && key != "-" {
			out[key] = true
			for k := range keys(f.Type) {
				out[k] = true
			}
		}
	}
	return out
}

func load(t *testing.T, text string) *config.Config {
	cfg, err := config.Parse([]byte(text), "dag.yml")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

func configText(t *testing.T) string {
	b, err := os.ReadFile("config.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
