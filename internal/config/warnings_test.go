//go:build unix

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Files that others may change or read are warned about, and load all the same.
func TestWarnings(t *testing.T) {
	t.Setenv("DAG_TEST_PW", "hunter2")
	fromEnv := strings.NewReplacer("hunter2-A", "${DAG_TEST_PW}", "hunter2-B", "${DAG_TEST_PW}").Replace(minimal)
	withFile := cut(t, fromEnv, `instances: ["`+strings.Replace(dsnB, "hunter2-B", "${DAG_TEST_PW}", 1)+`"]`, "dsn_file: target.dsn")
	const changed, read = "can be changed by every user of this machine", "holds a password and can be read by every user"
	for name, tc := range map[string]struct {
		file      string
		mode, dsn os.FileMode
		want      []string // file: what, in order
	}{
		"private":                         {minimal, 0o600, 0, nil},
		"for a group":                     {minimal, 0o660, 0, nil},
		"readable, with a password":       {minimal, 0o644, 0, []string{"c.yml " + read}},
		"readable, password elsewhere":    {fromEnv, 0o644, 0, nil},
		"changeable":                      {fromEnv, 0o666, 0, []string{"c.yml " + changed}},
		"changeable without being read":   {fromEnv, 0o602, 0, []string{"c.yml " + changed}},
		"dsn_file private":                {withFile, 0o644, 0o640, nil},
		"dsn_file readable":               {withFile, 0o644, 0o644, []string{"target.dsn " + read}},
		"dsn_file changeable":             {withFile, 0o644, 0o666, []string{"target.dsn " + changed}},
		"all of it open to everybody":     {withFile, 0o666, 0o666, []string{"c.yml " + changed, "target.dsn " + changed}},
		"a password that is half of both": {strings.Replace(fromEnv, "${DAG_TEST_PW}", "x${DAG_TEST_PW}", 1), 0o644, 0, []string{"c.yml " + read}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string, mode os.FileMode) {
				t.Helper()
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, mode); err != nil { // WriteFile's goes through the umask
					t.Fatal(err)
				}
			}
			write("c.yml", tc.file, tc.mode)
			if tc.dsn != 0 {
				write("target.dsn", dsnB+"\n", tc.dsn)
			}
			cfg, err := Load(filepath.Join(dir, "c.yml"))
			if err != nil {
				t.Fatal(err)
			}
			got := cfg.Warnings()
			if len(got) != len(tc.want) {
				t.Fatalf("%d warnings, want %d: %q", len(got), len(tc.want), got)
			}
			for i, w := range tc.want {
				if !strings.HasPrefix(got[i], filepath.Join(dir, w)) {
					t.Errorf("got %q, want …/%s", got[i], w)
				}
				if strings.Contains(got[i], "hunter2") {
					t.Errorf("a secret is in %q", got[i])
				}
			}
		})
	}
	if got := (&Config{Path: "none"}).Warnings(); got != nil {
		t.Errorf("a file that is not there: %q", got)
	}
}
