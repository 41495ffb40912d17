package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func startLab(t *testing.T, opt lab.Options) *lab.Lab {
	t.Helper()
	opt.Model.Timing.Background = -1
	l, err := lab.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func call(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errOut strings.Builder
	if got := run(args, &out, &errOut); got != code {
		t.Errorf("%v: exit code %d, want %d\n%s\n%s", args[0], got, code, out.String(), errOut.String())
	}
	return out.String(), errOut.String()
}

func want(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in\n%s", p, text)
		}
	}
}

const labPassword = "g€heim/#&1"

func fromEnv(l *lab.Lab, side lab.Side, login, env string) string {
	return "sqlserver://" + login + ":${" + env + "}@" + l.Address(side) + "?encrypt=true&trustservercertificate=true"
}

// What discover prints is a configuration that serve accepts and that reads
// both sides, and it holds no password unless that was asked for.
func TestDiscoverPrintsWhatServeReads(t *testing.T) {
	model := model.Config{DAG: "ERP ]Gruppe", Databases: []string{"db001", `o'd"d]name`, "-: #x"}}
	model.Sides[0].Instances = append(model.Sides[0].Instances, instance("N1", 15), instance(`N1B\I`, 15))
	model.Sides[1].Instances = append(model.Sides[1].Instances, instance("N2", 16))
	l := startLab(t, lab.Options{Model: model, Logins: []lab.Login{{Name: "reader", Password: labPassword, Permissions: []string{"VIEW SERVER STATE", "VIEW ANY DEFINITION"}}}})
	t.Setenv("MY_PASSWORD", labPassword)
	t.Setenv("TARGET_PASSWORD", labPassword)
	plain := fmt.Sprintf("sqlserver://reader:%s@%s?encrypt=true&trustservercertificate=true", url.QueryEscape(labPassword), l.Address(lab.Target))

	out, _ := call(t, exitOK, "discover", fromEnv(l, lab.Source, "reader", "MY_PASSWORD"), plain)
	want(t, out, "${MY_PASSWORD}", "${TARGET_PASSWORD}", "cross_version: true", `N1B\I is a replica of OnPremAG too`, "trustservercertificate=true: anybody", "write to now")
	if strings.Contains(out, labPassword) || strings.Contains(out, url.QueryEscape(labPassword)) {
		t.Errorf("the password is in\n%s", out)
	}
	if strings.Contains(out, "MISSING") || strings.Contains(out, "CHECK") {
		t.Errorf("complains about nothing:\n%s", out)
	}
	file := filepath.Join(t.TempDir(), "found.yml")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := cfg.DAGs[0]
	if d.Group != "ERP ]Gruppe" || d.Name != "ERP-Gruppe" || d.Source.AG != "OnPremAG" || d.Target.AG != "AzureAG" || strings.Join(d.Databases, "|") != `-: #x|db001|o'd"d]name` {
		t.Errorf("%+v", d)
	}
	table, _ := call(t, exitOK, "watch", "--once", "--config.file="+file)
	want(t, table, "ERP-Gruppe", "N1", "N2", "db001", `o'd"d]name`)

	shown, _ := call(t, exitOK, "discover", "--show-passwords", fromEnv(l, lab.Source, "reader", "MY_PASSWORD"), plain)
	want(t, shown, url.QueryEscape(labPassword))

	dsns := filepath.Join(t.TempDir(), "source.dsn")
	if err := os.WriteFile(dsns, []byte(plain+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	swapped, _ := call(t, exitOK, "discover", "file:"+dsns, fromEnv(l, lab.Source, "reader", "MY_PASSWORD"))
	want(t, swapped, "dsn_file: \""+dsns+"\"", "wrong way round")
}

func TestDiscoverNamesTheMissingRights(t *testing.T) {
	var m model.Config
	m.Sides[0].Instances = append(m.Sides[0].Instances, instance("N1", 15))
	l := startLab(t, lab.Options{Model: m, Logins: []lab.Login{
		{Name: "half]", Password: "p", Permissions: []string{"VIEW ANY DEFINITION"}},
		{Name: "nothing", Password: "p"},
		{Name: "fine", Password: "p", Permissions: []string{"VIEW SERVER PERFORMANCE STATE", "VIEW ANY DEFINITION"}},
	}})
	dsn := func(side lab.Side, login string) string {
		return strings.Replace(l.DSNFor(l.Address(side), login, "p", "master"), "&database=master", "", 1)
	}
	out, _ := call(t, exitOK, "discover", dsn(lab.Source, "half]"), dsn(lab.Target, "fine"))
	want(t, out, "source: MISSING RIGHTS", "GRANT VIEW SERVER STATE TO [half]]];")
	if strings.Contains(out, "target: MISSING") {
		t.Errorf("VIEW SERVER PERFORMANCE STATE is enough from 2022 on:\n%s", out)
	}
	_, errOut := call(t, exitError, "discover", dsn(lab.Source, "half]"), dsn(lab.Target, "nothing"))
	want(t, errOut, "share no distributed availability group", "GRANT VIEW ANY DEFINITION TO [nothing];", "GRANT VIEW SERVER PERFORMANCE STATE TO [nothing];")
	_, errOut = call(t, exitError, "discover", dsn(lab.Source, "sa"), dsn(lab.Target, "fine"))
	want(t, errOut, "18456")
	_, errOut = call(t, exitConfig, "discover", "sqlserver://u:hunter2@h", dsn(lab.Target, "fine"))
	want(t, errOut, "source: the DSN of h:1433", "encrypt")
	same := strings.Replace(dsn(lab.Target, "fine"), "127.0.0.1", "localhost", 1)
	_, errOut = call(t, exitConfig, "discover", same, dsn(lab.Target, "fine"))
	if strings.Contains(errOut, "hunter2") || errOut == "" {
		t.Errorf("%s", errOut)
	}
}

func instance(name string, major int) model.InstanceConfig {
	return model.InstanceConfig{ServerName: name, Major: major}
}

func TestWatch(t *testing.T) {
	l := startLab(t, lab.Options{Model: model.Config{DAGMode: model.Sync, Databases: []string{"db001", "db002", "db003"}}})
	file := filepath.Join(t.TempDir(), "dag_exporter.yml")
	text := strings.NewReplacer("sqlserver://reader:hunter2@sql1:1433?encrypt=strict", l.DSN(lab.Source), "sqlserver://reader:hunter2@sql2:1433?encrypt=strict", l.DSN(lab.Target)).Replace(good)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	flag := "--config.file=" + file
	deadline := time.Now().Add(20 * time.Second)
	for {
		out, _ := call(t, exitOK, "watch", "--once", "--color=always", flag, "erp-prod")
		if strings.Contains(out, "\x1b[1;32mdb001") {
			want(t, out, "SYNCHRONIZED", "hardened", "  0  ")
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never synchronized:\n%s", out)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := l.Control().Suspend(lab.Source, 0, "db002", "user"); err != nil {
		t.Fatal(err)
	}
	for {
		out, _ := call(t, exitOK, "watch", "--once", "--rows=1", flag)
		if strings.Contains(out, "suspended") {
			want(t, out, "db002", "and 2 more", "BEHIND")
			if strings.Contains(out, "db001") || strings.Contains(out, "\x1b") {
				t.Errorf("not the worst first, or colours in a file:\n%s", out)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never suspended:\n%s", out)
		}
	}
	if err := l.Control().Stop(lab.Target, 0); err != nil {
		t.Fatal(err)
	}
	out, _ := call(t, exitError, "watch", "--once", flag)
	want(t, out, "NO: refused", "UNKNOWN")
	_, errOut := call(t, exitConfig, "watch", "--once", flag, "nonsense")
	want(t, errOut, `no DAG named "nonsense": there are ["erp-prod"]`)
}
