package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files that people copy from are good.
func TestDocumentedConfigs(t *testing.T) {
	t.Setenv("TARGET_PASSWORD", "x")
	for path, mark := range map[string]string{"../../docs/config.md": "dags:\n", "../../README.md": "# dag.yml\n"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, text, ok := strings.Cut(string(b), "```yaml\n"+mark)
		if !ok {
			t.Fatalf("%s: no block that begins with %q", path, mark)
		}
		text, _, _ = strings.Cut(text, "```")
		dir := t.TempDir()
		for name, body := range map[string]string{
			"dag.yml":    mark + text,
			"source.dsn": "sqlserver://m:x@sql1.example.com?encrypt=true\n",
			"target.dsn": "sqlserver://m:x@vm1.example.com?encrypt=true\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Load(filepath.Join(dir, "dag.yml")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
