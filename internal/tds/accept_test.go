//go:build accept

package tds_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/tds"
)

// tsql runs FreeTDS's tsql on the given lines and returns all that it prints.
func tsql(t *testing.T, b *bench, encryption, version, user string, lines ...string) string {
	t.Helper()
	path, err := exec.LookPath("tsql")
	if err != nil {
		t.Fatal("this test needs FreeTDS's tsql: apt-get install freetds-bin")
	}
	host, port, _ := strings.Cut(b.addr, ":")
	conf := filepath.Join(t.TempDir(), "freetds.conf")
	text := "[lab]\n\thost = " + host + "\n\tport = " + port + "\n\ttds version = " + version +
		"\n\tencryption = " + encryption + "\n\tclient charset = UTF-8\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-S", "lab", "-U", user, "-P", password)
	cmd.Env = append(os.Environ(), "FREETDSCONF="+conf, "LC_ALL=C.UTF-8")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\ngo\n") + "\ngo\nexit\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // a refused login is an exit code; the text says more
	return out.String()
}

func TestTsql(t *testing.T) {
	for _, encryption := range []string{"off", "request", "require"} {
		for _, version := range []string{"7.2", "7.3", "7.4"} {
			t.Run(encryption+"/"+version, func(t *testing.T) {
				b := start(t, tds.Config{})
				out := tsql(t, b, encryption, version, "sa", "sets", "raise it", "print hello", "lsns", "rows 10000")
				for _, want := range []string{"(1 row affected)", "Msg 50000 (severity 16, state 2)", "raised", "hello", "row 9999", "(10000 rows affected)",
					"9999999999000000155200001", guidText, "NULL", "Größe"} {
					if !strings.Contains(out, want) {
						t.Errorf("no %q in\n%.3000s", want, out)
					}
				}
				out = tsql(t, b, encryption, version, "eve", "one")
				if !strings.Contains(out, "Msg 18456 (severity 14, state 1)") || !strings.Contains(out, "Login failed for user 'eve'.") {
					t.Errorf("a refused login shows\n%s", out)
				}
			})
		}
	}
	t.Run("every type", func(t *testing.T) {
		b := start(t, tds.Config{})
		out := tsql(t, b, "request", "7.4", "sa", "types", "fixed", "long 20000")
		for _, want := range []string{"-9223372036854775808", "-12345678901234567890123456789012345.678", "Feb 29 2024 11:59PM", "-12345678901.2345", "€uro é"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%.5000s", want, out)
			}
		}
	})
	t.Run("forced", func(t *testing.T) {
		b := start(t, tds.Config{ForceEncryption: true})
		for _, encryption := range []string{"require", "off"} { // tsql encrypts when told to
			if out := tsql(t, b, encryption, "7.4", "sa", "rows 2"); !strings.Contains(out, "(2 rows affected)") {
				t.Errorf("%s: %s", encryption, out)
			}
		}
	})
}
