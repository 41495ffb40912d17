package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	indent  = ": the indentation of this line fits no line above it"
	bracket = ": a bracket or a quote is not closed, here or above"
)

// What is not YAML is told with the line where it stops to be, YAML's own
// signs are shown, and what the file holds is not.
func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"dags:\n  - name: erp\n   source: {ag: a}\n", "c.yml:3: not valid YAML: did not find expected '-' indicator" + indent},
		{"dags:\n  - name: erp\n     source: {}\n", "c.yml:3: not valid YAML: mapping values are not allowed in this context"},
		{"dags:\n- name: erp\n  source:\n    ag: a\n   instances: []\n", "c.yml:5: not valid YAML: did not find expected key" + indent},
		{"dags:\n  - name: erp\n   source: {}\n" + strings.Repeat("# comment\n", 20) + "    target: {}\n", "c.yml:3: not valid YAML: did not find expected '-' indicator" + indent},
		{"a: 1\nb: \"x\"hunter2\n" + strings.Repeat("# comment\n\n", 20), "c.yml:2: not valid YAML: did not find expected key" + indent},
		{"a: 1\nb: \"x\"hunter2\n  more\n  and more\nc: 1\n", "c.yml:2: not valid YAML: did not find expected key" + indent},
		{"dags:\n  - name: erp\n    source: {ag: a, instances: [\n      \"hunter2\"}\n    target: {}\n", "c.yml:4: not valid YAML: did not find expected ',' or ']'" + bracket},
		{"a: 1\nb: {b: 'hunter2\nc: d\n", "c.yml:2: not valid YAML: found unexpected end of stream"},
		{"dags: [\n", "c.yml:1: not valid YAML: did not find expected node content"},
		{"a: [1\n" + strings.Repeat("  ,1\n", 20) + "b: c\n", "c.yml:22: not valid YAML: did not find expected ',' or ']'" + bracket},
		{"a: 1\nb\nc: 2\n", "c.yml:2: not valid YAML: could not find expected ':'"},
		{"dags: []\na: *hunter2\n", "c.yml:2: not valid YAML: unknown anchor … referenced"},
	} {
		_, err := Parse([]byte(c.file), "c.yml")
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n%v\nwant\n%s", c.file, err, c.want)
		}
	}
}

// A value of the wrong type is told with its key, also where several stand on
// one line.
func TestTypeErrorsNameTheKey(t *testing.T) {
	file := minimal + `    near: {log_send_queue: 1MiB, redo_queue: 64MB}
    databases: hunter2
    cutover: {alert_lease: 45s, settle: 45, window: now, approvals: [1], alert_match: {environment: [prod]}, checklist: hunter2, quiet_programs: hunter2,
      hooks: {quiesce: {timeout: 3}, after: {command: hunter2}}}
webhook: {roles: {receiver: {a: b}, viewer: hunter2}}
`
	_, err := Parse([]byte(file), "c.yml")
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{
		"c.yml:5: dags[0].near.redo_queue: a size is written as 64MiB, 512KiB, 1GiB or a plain number of bytes",
		"c.yml:6: dags[0].databases: a list expected here, not text",
		"c.yml:7: dags[0].cutover.settle: a duration is written with its unit: 250ms, 45s, 2m, 1h30m",
		"c.yml:7: dags[0].cutover.window: a list expected here, not text",
		"c.yml:7: dags[0].cutover.approvals: a whole number expected here, not a list",
		"c.yml:7: dags[0].cutover.alert_match.environment: text expected here, not a list",
		"c.yml:7: dags[0].cutover.checklist: a list expected here, not text",
		"c.yml:7: dags[0].cutover.quiet_programs: a list expected here, not text",
		"c.yml:8: dags[0].cutover.hooks.quiesce.timeout: a duration is written with its unit: 250ms, 45s, 2m, 1h30m",
		"c.yml:8: dags[0].cutover.hooks.after.command: a list expected here, not text",
		"c.yml:9: webhook.roles.receiver: a list expected here, not a mapping",
		"c.yml:9: webhook.roles.viewer: a list expected here, not text",
	} {
		if !strings.Contains(err.Error()+"\n", want+"\n") {
			t.Errorf("missing %s", want)
		}
	}
	if t.Failed() || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got\n%v", err)
	}
}

// A variable that a dsn_file uses: its reader has found dsn_file already.
func TestVariableOfADSNFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dsns")
	if err := os.WriteFile(file, []byte("sqlserver://sa:${DAG_TEST_UNSET}@sql1?encrypt=true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Side{DSNFile: file}.DSNs()
	if want := file + ":1: the environment variable DAG_TEST_UNSET is not set: set it for this process"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
