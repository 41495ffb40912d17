package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `dags:
  - name: erp-prod
    group: DAG
    source: {ag: OnPremAG, instances: ["sqlserver://reader:hunter2@sql1:1433?encrypt=strict"]}
    target: {ag: AzureAG, instances: ["sqlserver://reader:hunter2@sql2:1433?encrypt=strict"]}
`

// What a person sees without a server: exit codes, one clear sentence, no
// secret.
func TestCommandLine(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "dag_exporter.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := func(path string) string {
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name        string
		args        []string
		code        int
		out, errOut string
	}{
		{"good file", []string{"--config.check", "--config.file=" + file(good)}, exitOK, ": 1 DAG, no problem found", ""},
		{"a file that everybody may change", []string{"--config.check", "--config.file=" + open(file(good))}, exitOK, "no problem found", "can be changed by every user of this machine"},
		{"the command may be named", []string{"serve", "--config.check", "--config.file=" + file(good)}, exitOK, "1 DAG", ""},
		{"unknown key", []string{"--config.check", "--config.file=" + file(good+"    colour: blue\n")}, exitConfig, "", ":6:"},
		{"no encrypt", []string{"--config.check", "--config.file=" + file(strings.Replace(good, "?encrypt=strict", "", 1))}, exitConfig, "", "encrypt"},
		{"a bad file does not start either", []string{"--config.file=" + file("dags: 7\n")}, exitConfig, "", "dag_exporter.yml:1"},
		{"no file", []string{"--config.file=" + filepath.Join(t.TempDir(), "none.yml")}, exitConfig, "", "none.yml"},
		{"a certificate that is not there", []string{"--config.check", "--config.file=" + file(strings.Replace(good, "encrypt=strict", "encrypt=strict&certificate=none.pem", 1))}, exitConfig, "", "erp-prod"},
		{"no web config", []string{"--config.check", "--config.file=" + file(good), "--web.config.file=none.yml"}, exitConfig, "", "--web.config.file none.yml: "},
		{"a bad web config", []string{"--config.file=" + file(good), "--web.config.file=" + file("x: 1\n")}, exitConfig, "", "field x not found"},
		{"watch of nothing there is", []string{"watch", "--once", "--config.file=" + file(good), "crm"}, exitConfig, "", `no DAG named "crm": there are ["erp-prod"]`},
		{"discover with half a DSN", []string{"discover", "sql1", "file:none.dsn"}, exitConfig, "", "sqlserver://user:password@host"},
		{"unknown flag", []string{"--nonsense"}, exitConfig, "", "nonsense"},
		{"version", []string{"--version"}, exitOK, "dag_exporter, version", ""},
		{"help", []string{"--help"}, exitOK, "Exit codes: 0 done", ""},
		{"help of a command", []string{"serve", "--help"}, exitOK, "--[no-]collector.lsn_slot", ""},
		{"help with examples", []string{"watch", "--help"}, exitOK, "--once erp-prod", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errOut strings.Builder
			if code := run(tt.args, &out, &errOut); code != tt.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, out.String(), errOut.String())
			}
			if !strings.Contains(out.String(), tt.out) || !strings.Contains(errOut.String(), tt.errOut) {
				t.Errorf("want %q on stdout and %q on stderr, have\n%s---\n%s", tt.out, tt.errOut, out.String(), errOut.String())
			}
			if strings.Contains(out.String()+errOut.String(), "hunter2") {
				t.Error("the password is shown")
			}
		})
	}
}
