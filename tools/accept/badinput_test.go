//go:build accept

package accept

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/tools/internal/freeport"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// config of one DAG for two DSNs; extra lines go into the DAG.
func config(source, target string, extra ...string) string {
	text := fmt.Sprintf("dags:\n  - name: erp\n    group: DAG\n    source: {ag: OnPremAG, instances: [%q]}\n    target: {ag: AzureAG, instances: [%q]}\n", source, target)
	for _, line := range extra {
		text += "    " + line + "\n"
	}
	return text
}

// freeAddress is a loopback address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// TestBadConfig: one clear sentence with file and line and the remedy, exit 2,
// nothing started, no secret shown; the same for both binaries.
func TestBadConfig(t *testing.T) {
	good := func(host string) string {
		return "sqlserver://sa:" + password + "@" + host + ":1433?encrypt=true"
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"unknown key":           {config(good("a"), good("b"), "databses: [x]"), []string{"dag.yml:6", "databses"}},
		"DSN without encrypt":   {config("sqlserver://sa:"+password+"@a:1433", good("b")), []string{"dag.yml:4", "source", "encrypt"}},
		"the same instance":     {config(good("a"), good("A")), []string{"dag.yml:5", "source and target must be different instances"}},
		"no file":               {"", []string{"dag.yml", "no such file"}},
		"execute without match": {config(good("a"), good("b"), "databases: [x]", "cutover: {mode: execute}"), []string{"dag.yml:", "alert_match"}},
	} {
		for _, binary := range [][]string{{"dag_exporter", "--config.check"}, {"cutover_webhook", "serve"}} {
			t.Run(name+"/"+binary[0], func(t *testing.T) {
				dir := t.TempDir()
				if c.text != "" {
					write(t, dir, "dag.yml", c.text)
				}
				code, out := output(t, dir, program(t, binary[0]), append(binary[1:], "--config.file=dag.yml")...)
				if code != 2 {
					t.Errorf("exit code %d, want 2", code)
				}
				for _, want := range c.want {
					if !strings.Contains(out, want) {
						t.Errorf("does not say %q:\n%s", want, out)
					}
				}
				noSecrets(t, "the error", out)
			})
		}
	}
}

// TestBadServers: a wrong password and an unreachable side are one sentence
// that names the side and the remedy, a non-zero exit, and nothing executed.
func TestBadServers(t *testing.T) {
	dir := t.TempDir()
	l := startLab(t, dir, "--databases=1")
	good, unreachable := l.dsn(l.Target, "master"), l.dsn(freeAddress(t), "master")
	wrong := strings.Replace(l.dsn(l.Source, "master"), password, "Wr0ng-Secret", 1)
	for name, c := range map[string]struct {
		source string
		want   []string
	}{
		"wrong password": {wrong, []string{"source", "login"}},
		"unreachable":    {unreachable, []string{"source", "refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "dag.yml", config(c.source, good))
			code, out := output(t, dir, program(t, "cutover_webhook"), "check", "erp", "--config.file=dag.yml")
			if code == 0 {
				t.Error("exit code 0")
			}
			for _, want := range c.want {
				if !strings.Contains(strings.ToLower(out), want) {
					t.Errorf("does not say %q:\n%s", want, out)
				}
			}
			noSecrets(t, "the error", out, "Wr0ng-Secret")

			// The exporter goes on, says up 0 and why, and still reads the other side.
			addr := freeAddress(t)
			p := start(t, dir, program(t, "dag_exporter"), "--config.file=dag.yml", "--web.listen-address="+addr)
			var metrics string
			eventually(t, "the exporter answers", func() (err error) {
				_, metrics, err = get("http://" + addr + "/metrics")
				return err
			})
			for _, want := range []string{`mssql_dag_up{dag="erp",side="source"} 0`, `mssql_dag_up{dag="erp",side="target"} 1`,
				`mssql_dag_convergence_state{dag="erp",state="unknown"} 1`,
				`mssql_dag_scrape_error{dag="erp",reason="` + c.want[1] + `",side="source"} 1`} {
				if !strings.Contains(metrics, want) {
					t.Errorf("/metrics lacks %s", want)
				}
			}
			_, page, err := get("http://" + addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			noSecrets(t, "the metrics", metrics, "Wr0ng-Secret")
			noSecrets(t, "the page", page, "Wr0ng-Secret")
			noSecrets(t, "the log", p.out.String(), "Wr0ng-Secret")
		})
	}
}

// TestBadNotifications: what is not an Alertmanager notification gets the
// answer of the table, and nothing is executed.
func TestBadNotifications(t *testing.T) {
	dir := t.TempDir()
	l := startLab(t, dir, "--databases=1")
	secret := "receiver-Secret-1"
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "web.yml", fmt.Sprintf("basic_auth_users:\n  am: %s\n  ops: %s\n", hash, hash))
	write(t, dir, "dag.yml", config(l.dsn(l.Source, "master"), l.dsn(l.Target, "master"), "databases: [db001]",
		"cutover: {mode: execute, alert_match: {environment: prod}, approvals: 1}")+
		"webhook:\n  roles: {receiver: [am], viewer: [\"*\"], operator: [ops], approver: [am]}\n")
	addr := freeAddress(t)
	p := start(t, dir, program(t, "cutover_webhook"), "serve", "--config.file=dag.yml", "--web.config.file=web.yml",
		"--web.listen-address="+addr, "--storage.path="+filepath.Join(dir, "data"))
	eventually(t, "the webhook answers", func() error {
		code, body, err := get("http://"+addr+"/api/v1/dags", "ops", secret)
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
	alert := `{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"DAGConverged","dag":"erp","environment":"prod"}}]}`
	for name, c := range map[string]struct {
		user, kind, body string
		want             int
	}{
		"a lease":         {"am", "application/json", alert, 200},
		"not JSON":        {"am", "application/json", "hello", 400},
		"wrong type":      {"am", "text/plain", alert, 415},
		"too large":       {"am", "application/json", `{"version":"4","x":"` + strings.Repeat("x", 2<<20) + `"}`, 413},
		"nobody":          {"", "application/json", alert, 401},
		"not a receiver":  {"ops", "application/json", alert, 403},
		"another version": {"am", "application/json", strings.Replace(alert, `"4"`, `"5"`, 1), 200},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/api/v1/alerts", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.kind)
			if c.user != "" {
				req.SetBasicAuth(c.user, secret)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("%s, want %d", resp.Status, c.want)
			}
		})
	}
	code, body, err := get("http://"+addr+"/api/v1/dags/erp", "ops", secret)
	if err != nil || code != http.StatusOK {
		t.Fatal(code, err)
	}
	if !strings.Contains(body, `"phase": "idle"`) {
		t.Errorf("something began: %s", body)
	}
	noSecrets(t, "the status", body, secret)
	noSecrets(t, "the log", p.out.String(), secret)
}
