package exporter

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// grants are the rights that a script of deploy/sql gives.
func grants(t *testing.T, file string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "sql", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^GRANT (.*) TO \[dag_exporter\];$`).FindAllSubmatch(text, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

// A login with just the rights of the script reads all that all collectors
// want, on each version; one right less, and something is missing and said so.
func TestShippedRightsAreEnoughAndLeast(t *testing.T) {
	for major, file := range map[int]string{13: "exporter_login_2016-2019.sql", 14: "exporter_login_2016-2019.sql", 15: "exporter_login_2016-2019.sql",
		16: "exporter_login_2022-2025.sql", 17: "exporter_login_2022-2025.sql"} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			all := grants(t, file)
			if len(all) < 2 {
				t.Fatalf("%s grants %v", file, all)
			}
			logins := []lab.Login{{Name: "dag_exporter", Password: "p", Permissions: all}}
			for i := range all {
				less := append(append([]string{}, all[:i]...), all[i+1:]...)
				logins = append(logins, lab.Login{Name: fmt.Sprint("without", i), Password: "p", Permissions: less})
			}
			var m model.Config
			for i := range m.Sides {
				m.Sides[i].Instances = []model.InstanceConfig{{Major: major}}
			}
			r := newRig(t, lab.Options{Model: m, Logins: logins}, "")
			for _, login := range logins {
				got := scrapeAs(t, r, login.Name)
				problems := ""
				for series := range got {
					if strings.HasPrefix(series, "mssql_dag_permission_missing") || strings.HasPrefix(series, "mssql_dag_read_statement_failed") {
						problems += series + " "
					}
				}
				up := got[`mssql_dag_up{dag="erp-prod",side="source"}`] == 1 && got[`mssql_dag_up{dag="erp-prod",side="target"}`] == 1
				if login.Name == "dag_exporter" {
					if problems != "" || !up {
						t.Errorf("the script is not enough: up %v, %s", up, problems)
					}
					expect(t, got, map[string]any{`mssql_dag_scrape_error{dag="erp-prod",reason="none",side="source"}`: 1})
				} else if up && problems == "" {
					t.Errorf("the script grants more than is needed: %s of %v", login.Name, all)
				}
			}
		})
	}
}

// scrapeAs scrapes all collectors of r's lab as another login.
func scrapeAs(t *testing.T, r *rig, login string) map[string]float64 {
	t.Helper()
	e := labExporter(t, r.lab, slog.New(slog.DiscardHandler), func(s lab.Side) []string {
		return []string{r.lab.DSNFor(r.lab.Address(s), login, "p", "master")}
	}, "")
	var all []string
	for _, g := range collector.Groups() {
		all = append(all, "collect[]="+g.Name)
	}
	return (&rig{e, r.lab, r.control}).scrape(t, "/probe?target=erp-prod&"+strings.Join(all, "&"))
}

// labExporter is an exporter of a lab with any DSNs.
func labExporter(t *testing.T, l *lab.Lab, log *slog.Logger, dsns func(lab.Side) []string, extra string) *Exporter {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dag_exporter.yml")
	text := fmt.Sprintf("dags:\n  - name: erp-prod\n    group: DAG\n    source: {ag: OnPremAG, instances: [%s]}\n    target: {ag: AzureAG, instances: [%s]}\n%s",
		list(dsns(lab.Source)), list(dsns(lab.Target)), extra)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{Load: func() (*config.Config, error) { return config.Load(file) }, Timeout: 10 * time.Second,
		TimeoutOffset: 500 * time.Millisecond, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func list(dsns []string) string {
	for i, d := range dsns {
		dsns[i] = quoted(d)
	}
	return strings.Join(dsns, ", ")
}

// A certificate that nobody verifies is warned about and a metric.
func TestUnverifiedCertificates(t *testing.T) {
	l := newRig(t, lab.Options{}, "").lab
	pem := filepath.Join(t.TempDir(), "lab.pem")
	if err := os.WriteFile(pem, l.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	e := labExporter(t, l, slog.New(slog.NewTextHandler(&log, nil)), func(s lab.Side) []string {
		dsn := l.DSN(s)
		if s == lab.Target {
			dsn = strings.Replace(dsn, "trustservercertificate=true", "certificate="+pem, 1)
		}
		return []string{dsn}
	}, "")
	r := &rig{e, l, l.Control()}
	for _, url := range []string{"/probe?target=erp-prod&collect[]=connection", "/probe?target=erp-prod&collect[]=connection"} {
		expect(t, r.scrape(t, url), map[string]any{
			`mssql_dag_connection_certificate_verified{dag="erp-prod",side="source"}`: 0,
			`mssql_dag_connection_certificate_verified{dag="erp-prod",side="target"}`: 1,
			`mssql_dag_connection_encrypted{dag="erp-prod",side="target"}`:            1,
		})
	}
	if n := strings.Count(log.String(), "certificate is not verified"); n != 1 || !strings.Contains(log.String(), "side=source") {
		t.Errorf("warned %d times:\n%s", n, &log)
	}
}
