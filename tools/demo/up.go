package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/tools/internal/freeport"
)

const dag = "demo"

// labAddresses is what dag_lab writes into its ready file.
type labAddresses struct {
	Source  string `json:"source"`
	Target  string `json:"target"`
	Control string `json:"control"`
	PEM     string `json:"certificate"`
}

// ports are the addresses that the demo chose, and the passwords it made.
type ports struct {
	exporter, prometheus, alertmanager, webhook string
	passwords                                   map[string]string
}

func (p ports) password(user string) string { return p.passwords[user] }

// users of the webhook: each has one role, as in a real team.
var users = []string{"alertmanager", "prometheus", "ops", "lead"}

// up starts everything and returns when everything answers.
func (d *demo) up(ctx context.Context) error {
	programs := map[string]string{}
	for _, name := range []string{"dag_lab", "dag_exporter", "cutover_webhook"} {
		path, err := filepath.Abs(filepath.Join(d.bin, name))
		if err != nil {
			return err
		}
		programs[name] = path
	}
	for _, name := range []string{"prometheus", "alertmanager"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("%w; note: make demo installs it", err)
		}
		programs[name] = path
	}

	ready := filepath.Join(d.dir, "lab.json")
	if err := d.spawn("dag_lab", programs["dag_lab"], "serve",
		"--listen.source=127.0.0.1:0", "--listen.target=127.0.0.1:0", "--listen.control=127.0.0.1:0",
		"--databases="+strconv.Itoa(d.databases), "--tls.cert-out="+filepath.Join(d.dir, "lab.pem"), "--ready-file="+ready); err != nil {
		return err
	}
	if err := d.until(ctx, "wait for dag_lab", func() error {
		b, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &d.lab)
	}); err != nil {
		return err
	}
	d.say("lab", "two SQL Server look-alikes on %s (source) and %s (target), %d databases", d.lab.Source, d.lab.Target, d.databases)

	for _, p := range []*string{&d.ports.exporter, &d.ports.prometheus, &d.ports.alertmanager, &d.ports.webhook} {
		var err error
		if *p, err = freeport.Address(); err != nil {
			return err
		}
	}
	d.writer = newWriter(d.databaseNames(), d.rate, d.dsn)
	var err error
	if d.hooks, err = serveHooks(d); err != nil {
		return err
	}
	if err := d.configs(); err != nil {
		return err
	}

	config, web := filepath.Join(d.dir, "dag.yml"), filepath.Join(d.dir, "web.yml")
	start := []struct {
		name, ready string
		argv        []string
	}{
		{"dag_exporter", "http://" + d.ports.exporter + "/-/ready", []string{programs["dag_exporter"],
			"--config.file=" + config, "--web.listen-address=" + d.ports.exporter}},
		{"cutover_webhook", "", []string{programs["cutover_webhook"], "serve",
			"--config.file=" + config, "--web.config.file=" + web, "--web.listen-address=" + d.ports.webhook,
			"--storage.path=" + filepath.Join(d.dir, "data")}},
		{"alertmanager", "http://" + d.ports.alertmanager + "/-/ready", []string{programs["alertmanager"],
			"--config.file=alertmanager.yml", "--storage.path=" + filepath.Join(d.dir, "am"),
			"--web.listen-address=" + d.ports.alertmanager, "--cluster.listen-address="}},
		{"prometheus", "http://" + d.ports.prometheus + "/-/ready", []string{programs["prometheus"],
			"--config.file=prometheus.yml", "--storage.tsdb.path=" + filepath.Join(d.dir, "tsdb"),
			"--web.listen-address=" + d.ports.prometheus}},
	}
	for _, s := range start {
		if err := d.spawn(s.name, s.argv...); err != nil {
			return err
		}
		if err := d.until(ctx, "wait for "+s.name, func() error {
			if s.ready == "" {
				_, err := d.status(ctx)
				return err
			}
			return answers(ctx, s.ready)
		}); err != nil {
			return err
		}
		d.say("up", "%s", s.name)
	}
	return nil
}

func (d *demo) databaseNames() []string {
	var names []string
	for i := range d.databases {
		names = append(names, fmt.Sprintf("db%03d", i+1))
	}
	return names
}

// dsn is what any client of the lab uses: an ordinary one, verified TLS.
func (d *demo) dsn(side, database string) string {
	host := d.lab.Source
	if side == "target" {
		host = d.lab.Target
	}
	q := url.Values{
		"database": {database}, "encrypt": {"true"}, "certificate": {d.lab.PEM}, "hostNameInCertificate": {"localhost"},
		"dial timeout": {"2"}, "app name": {"demo application"},
	}
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("sa", "Lab-Passw0rd"), Host: host, RawQuery: q.Encode()}
	return u.String()
}

// configs writes the shipped Prometheus and Alertmanager configs with the
// ports of this run, the product's own config, and the webhook's users.
func (d *demo) configs() error {
	d.ports.passwords = map[string]string{}
	web := "basic_auth_users:\n"
	for _, user := range users {
		b := make([]byte, 12)
		if _, err := rand.Read(b); err != nil {
			return err
		}
		password := hex.EncodeToString(b)
		d.ports.passwords[user] = password
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			return err
		}
		web += fmt.Sprintf("  %s: %s\n", user, hash)
		client := fmt.Sprintf("basic_auth: {username: %s, password: %s}\n", user, password)
		if err := errors.Join(d.write(user+"-password", password), d.write(user+".yml", client)); err != nil {
			return err
		}
	}
	config := fmt.Sprintf(`dags:
  - name: %s
    group: DAG
    source: {ag: OnPremAG, instances: [%q]}
    target: {ag: AzureAG, instances: [%q]}
    databases: [%s]
    cutover:
      mode: execute
      start_at: near
      alert_match: {environment: prod}
      approvals: 1
      max_write_unavailable: 60s
      hooks:
        quiesce: {url: "http://%[5]s/quiesce"}
        unquiesce: {url: "http://%[5]s/unquiesce"}
        repoint: {url: "http://%[5]s/repoint"}
webhook:
  roles: {receiver: [alertmanager], viewer: ["*"], operator: [ops], approver: [lead]}
`, dag, d.dsn("source", "master"), d.dsn("target", "master"), strings.Join(d.databaseNames(), ", "), d.hooks.addr)

	replace := strings.NewReplacer(
		"dag-exporter:19968", d.ports.exporter, "cutover-webhook:19969", d.ports.webhook, "alertmanager:9093", d.ports.alertmanager)
	errs := []error{d.write("web.yml", web), d.write("dag.yml", config)}
	for _, file := range []string{"alerts/rules.yml", "alerts/alertmanager.yml", "deploy/prometheus.yml"} {
		b, err := os.ReadFile(file)
		errs = append(errs, err, d.write(filepath.Base(file), replace.Replace(string(b))))
	}
	return errors.Join(errs...)
}

func (d *demo) write(name, text string) error {
	return os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600)
}
