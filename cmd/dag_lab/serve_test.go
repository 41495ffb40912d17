package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/microsoft/go-mssqldb" // the driver of these tests

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/exporter"
)

// TestMain keeps SIGTERM from ending the tests where it comes a moment after the program that it is for has ended.
func TestMain(m *testing.M) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	os.Exit(m.Run())
}

// output is a program's standard output that can be read while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// served is `dag_lab serve` in this process, on free ports.
type served struct {
	ready
	out, errs output
	code      chan int
}

// serving starts it and waits until it listens. It ends with the test, by SIGTERM, unless it has ended by itself.
func serving(t *testing.T, args ...string) *served {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	s := &served{code: make(chan int, 1)}
	go func() {
		s.code <- run(append([]string{"serve", "--listen.source=127.0.0.1:0", "--listen.target=127.0.0.1:0", "--listen.control=127.0.0.1:0", "--ready-file=" + file}, args...), &s.out, &s.errs)
	}()
	for s.Control == "" {
		select {
		case code := <-s.code:
			t.Fatalf("ended with %d: %s", code, s.errs.String())
		case <-time.After(5 * time.Millisecond):
		}
		if b, err := os.ReadFile(file); err == nil {
			if err := json.Unmarshal(b, &s.ready); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := <-s.code; code != exitOK {
			t.Errorf("exit %d: %s", code, s.errs.String())
		}
	})
	return s
}

func ask(t *testing.T, dsn, query string) string {
	t.Helper()
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var v any
	if err := db.QueryRowContext(ctx, query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

func writeTemp(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestServeFlags: the shapes that the product must refuse, and the others, through a client of the whole program.
func TestServeFlags(t *testing.T) {
	s := serving(t, "--second-dag.target=Chain", "--contained.source", "--managed-instance.target", "--version.source=15", "--version.target=17", "--databases=2",
		"--instances.source=2", "--local-commit=async", "--dag-commit=sync", "--cluster-type=none", "--linux", "--dag=Move", "--ag.source=A", "--ag.target=B",
		"--server.source=SQLA", "--zone.source=Asia/Kolkata", "--log.start-vlf=10000", `--login={"name":"mon","password":"p-1","permissions":["VIEW SERVER STATE"]}`)
	const contained = "SELECT is_contained FROM sys.availability_groups WHERE is_distributed = 0"
	for _, c := range []struct{ dsn, query, want string }{
		{s.TargetDSN, "SELECT COUNT(*) FROM sys.availability_groups WHERE is_distributed = 1 AND name IN (N'Move', N'Chain')", "2"},
		{s.SourceDSN, "SELECT COUNT(*) FROM sys.availability_groups WHERE is_distributed = 1", "1"},
		{s.TargetDSN, "SELECT SERVERPROPERTY('EngineEdition')", "8"},
		{s.SourceDSN, "SELECT SERVERPROPERTY('EngineEdition')", "3"},
		{s.SourceDSN, "SELECT SERVERPROPERTY('ProductMajorVersion')", "15"},
		{s.TargetDSN, contained, "false"},
		{s.SourceDSN, "SELECT COUNT(*) FROM sys.databases WHERE database_id > 4", "2"},
		{s.SourceDSN, "SELECT @@SERVERNAME", "SQLA"},
		{s.SourceDSN, "SELECT COUNT(*) FROM sys.availability_replicas r JOIN sys.availability_groups g ON g.group_id = r.group_id WHERE g.name = N'A'", "2"},
		{s.SourceDSN, "SELECT host_platform FROM sys.dm_os_host_info", "Linux"},
		{s.SourceDSN, "SELECT cluster_type FROM sys.availability_groups WHERE name = N'A'", "2"},
		{s.SourceDSN, "SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states WHERE is_local = 1 AND last_hardened_lsn IS NULL", "2"},
		{s.SourceDSN, "SELECT CASE WHEN MIN(end_of_log_lsn) > 10000000000000000000 THEN 'high' END FROM sys.dm_hadr_database_replica_states WHERE is_local = 1", "high"},
		{s.SourceDSN, "SELECT DATEDIFF(minute, GETUTCDATE(), GETDATE())", "330"},
		{strings.Replace(s.SourceDSN, "sa:Lab-Passw0rd@", "mon:p-1@", 1), "SELECT SUSER_SNAME()", "mon"},
	} {
		if got := ask(t, c.dsn, c.query); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
	if c := serving(t, "--contained.source"); ask(t, c.SourceDSN, contained) != "true" {
		t.Error("--contained.source does not show")
	}
}

// TestServeSchedule: it ends by itself, after the last step or at the first failure, and says how to see that again.
func TestServeSchedule(t *testing.T) {
	whole := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := run(append([]string{"serve", "--listen.source=127.0.0.1:0", "--listen.target=127.0.0.1:0", "--listen.control=127.0.0.1:0"}, args...), &out, &errs)
		return code, errs.String()
	}
	if code, log := whole("--schedule.end", "--schedule="+writeTemp(t, "s.yml", "steps: [{at: 300ms, do: cut}, {at: 400ms, do: heal}]")); code != exitOK || !strings.Contains(log, "command=heal") {
		t.Errorf("exit %d: %s", code, log)
	}
	code, log := whole("--seed=17", "--schedule="+writeTemp(t, "s.jsonl", `{"seed":4}`+"\n"+`{"at":"300ms","do":"suspend","with":{"side":"source","database":"nosuch"}}`+"\n"))
	if code != exitError || !strings.Contains(log, "seed=17 schedule_seed=4 commit=") {
		t.Errorf("exit %d: %s", code, log)
	}
	if code, log := whole("--schedule=" + writeTemp(t, "bad.yml", "steps: [{do: nosuch}]")); code != exitUsage || !strings.Contains(log, "nosuch") {
		t.Errorf("exit %d: %s", code, log)
	}
	var a, b, errs bytes.Buffer
	for _, w := range []io.Writer{&a, &b} {
		if code := run(strings.Fields("schedule --seed=3 --faults=5 --span=200ms --longest=100ms"), w, &errs); code != exitOK {
			t.Fatal(errs.String())
		}
	}
	if a.String() != b.String() || strings.Count(a.String(), "\n") < 6 {
		t.Errorf("%s\n%s", a.String(), b.String())
	}
	if code, log := whole("--schedule.end", "--schedule="+writeTemp(t, "s.jsonl", a.String())); code != exitOK {
		t.Errorf("exit %d: %s", code, log)
	}
}

const likeConfig = `# two migrations
dags:
  - name: erp-prod
    group: ERPDAG
    source:
      ag: OnPremERP
      instances:
        - sqlserver://exporter:${ERP_PASSWORD}@sql-a.example.com:1433?encrypt=strict
        - sqlserver://exporter:${ERP_PASSWORD}@sql-b.example.com:1433?encrypt=strict
    target: {ag: AzureERP, dsn_file: /run/secrets/erp-target}
    databases: [Sales, "HR data"] # both
  - name: crm
    source: {ag: OnPremCRM, dsn_file: crm-source.dsn}
    target: {ag: AzureCRM, dsn_file: crm-target.dsn}
    cross_version: true
webhook:
  roles: {viewer: ["*"]}
`

// TestServeLike: the names of a configuration are played, the configuration that comes out is good, and the product converges on it.
func TestServeLike(t *testing.T) {
	out := filepath.Join(t.TempDir(), "lab.yml")
	s := serving(t, "--like="+writeTemp(t, "product.yml", likeConfig), "--like.out="+out, "--databases=2")
	cfg, err := config.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.DAGs) != 2 || cfg.DAGs[0].Group != "ERPDAG" || len(cfg.DAGs[0].Source.Instances) != 2 || len(s.DAGs) != 2 {
		t.Fatalf("%+v %+v", cfg.DAGs, s.DAGs)
	}
	if b, err := os.ReadFile(out); err != nil || strings.Contains(string(b), "ERP_PASSWORD") || strings.Contains(string(b), "dsn_file") || !strings.Contains(string(b), "# two migrations") {
		t.Errorf("%v\n%s", err, b)
	}
	erp, crm := s.DAGs[0], s.DAGs[1]
	for _, c := range []struct{ dsn, query, want string }{
		{erp.SourceDSN, "SELECT @@SERVERNAME", "SQL-A"},
		{erp.SourceDSN, "SELECT COUNT(*) FROM sys.databases WHERE name IN (N'Sales', N'HR data')", "2"},
		{erp.TargetDSN, "SELECT COUNT(*) FROM sys.availability_groups WHERE name IN (N'ERPDAG', N'AzureERP')", "2"},
		{crm.SourceDSN, "SELECT SERVERPROPERTY('ProductMajorVersion')", "15"},
		{crm.TargetDSN, "SELECT SERVERPROPERTY('ProductMajorVersion')", "16"},
		{crm.SourceDSN, "SELECT COUNT(*) FROM sys.databases WHERE name IN (N'db001', N'db002', N'db003')", "2"},
	} {
		if got := ask(t, c.dsn, c.query); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
	var errs bytes.Buffer
	if code := run([]string{"ctl", "--url=" + s.Control, "--dag=crm", "cut"}, io.Discard, &errs); code != exitOK {
		t.Error(errs.String())
	}
	if code := run([]string{"ctl", "--url=" + s.Control, "--dag=crm", "heal"}, io.Discard, &errs); code != exitOK {
		t.Error(errs.String())
	}

	e, err := exporter.New(exporter.Options{Load: func() (*config.Config, error) { return config.Load(out) }})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		rec := httptest.NewRecorder()
		e.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text := rec.Body.String()
		if strings.Contains(text, `mssql_dag_convergence_reached{dag="erp-prod",level="caught_up"} 1`) && strings.Contains(text, `mssql_dag_convergence_reached{dag="crm",level="caught_up"} 1`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(text)
		}
	}
}

func TestLikePrintsYAML(t *testing.T) {
	s := serving(t, "--like="+writeTemp(t, "product.yml", likeConfig))
	if _, err := config.Parse([]byte(s.out.String()), "stdout"); err != nil {
		t.Errorf("%v\n%s", err, s.out.String())
	}
	for text, want := range map[string]string{
		"dags: []":                          "no dags",
		"dags: [{name: x}]":                 "no ag",
		"a: [":                              "not YAML",
		"dags: {a: sqlserver://u:geheim@h}": "not written",
		"dags: [{name: x, source: &a {ag: A}, target: {<<: *a, ag: B}}]":                                   "written out",
		"dags: [{name: x, source: &a {ag: A}, target: *a}]":                                                "written out",
		"dags: [{name: x, source: {ag: A}, target: {ag: B}}, {name: x, source: {ag: A}, target: {ag: B}}]": "two dags",
	} {
		var errs bytes.Buffer
		code := run([]string{"serve", "--like=" + writeTemp(t, "bad.yml", text)}, io.Discard, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), want) || strings.Contains(errs.String(), "geheim") {
			t.Errorf("%s: %d %s", text, code, errs.String())
		}
	}
}

func TestHostOf(t *testing.T) {
	for dsn, want := range map[string]string{
		"sqlserver://u:p@sql1.example.com:1433?encrypt=true": "SQL1", "sqlserver://u:${P}@n1/INST?encrypt=true": `N1\INST`, "sqlserver://u:p@10.0.0.1?x=y": "",
		"sqlserver://u:p@${HOST}": "", "nonsense": "", "sqlserver://u:a@b@host": "HOST", "sqlserver://u:p@localhost:1433": "",
	} {
		if got := hostOf(dsn); got != want {
			t.Errorf("%s: %q, want %q", dsn, got, want)
		}
	}
}
