package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// TestConformance: the command against a lab: no difference, a difference, a file, a password from the environment, and what it refuses.
func TestConformance(t *testing.T) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Control().Checkpoint(lab.Source, 0, "db001"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LAB_TEST_PASSWORD", lab.SAPassword)
	dsn := strings.Replace(l.DSN(lab.Source), lab.SAPassword, "${LAB_TEST_PASSWORD}", 1)
	file := writeTemp(t, "target.dsn", l.DSN(lab.Target)+"\n")
	conformance := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := run(append([]string{"conformance"}, args...), &out, &errs)
		if text := out.String() + errs.String(); strings.Contains(text, lab.SAPassword) {
			t.Errorf("the password is in\n%s", text)
		}
		return code, out.String() + errs.String()
	}
	report := filepath.Join(t.TempDir(), "report.txt")
	if code, text := conformance("--dsn="+dsn, "--dsn-file="+file, "--out="+report); code != exitOK || !strings.Contains(text, "0 differences") {
		b, _ := os.ReadFile(report)
		t.Errorf("%d %s\n%s", code, text, b)
	}
	if b, err := os.ReadFile(report); err != nil || !strings.Contains(string(b), "T16") || strings.Contains(string(b), "OnPremAG") {
		t.Errorf("%v\n%s", err, b)
	}
	if err := l.Control().OverrideLSN(lab.Source, 0, "db002", "recovery_lsn", "0"); err != nil {
		t.Fatal(err)
	}
	if code, text := conformance("--dsn="+dsn, "--no-redact"); code != exitDifferent || !strings.Contains(text, "DIFF  sys.dm_hadr_database_replica_states.recovery_lsn") || !strings.Contains(text, `DAG="DAG"`) {
		t.Errorf("%d %s", code, text)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, exitOK, "VIEW ANY DEFINITION"},
		{nil, exitUsage, "one or two servers"},
		{[]string{"--dsn=Server=x;Password=" + lab.SAPassword}, exitUsage, "no URL"},
		{[]string{"--dsn=sqlserver://sa:" + lab.SAPassword + "@127.0.0.1:1?encrypt=true"}, exitError, "no connection"},
		{[]string{"--dsn=" + dsn, "--dag=nosuch"}, exitError, "no distributed availability group of that name"},
		{[]string{"--dsn-file=/nosuch"}, exitUsage, "--dsn-file"},
	} {
		if code, text := conformance(c.args...); code != c.code || !strings.Contains(text, c.says) {
			t.Errorf("%v: %d %s", c.args, code, text)
		}
	}
}
