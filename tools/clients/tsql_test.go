//go:build accept

package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/tools/internal/labproc"
)

// freetds is tsql with one freetds.conf. It has no language of its own to
// write cases in, so they are here: text in, text out.
type freetds struct {
	path string
	conf string
}

func newFreeTDS(t *testing.T, l *labproc.Lab, encryption, version string, more ...string) *freetds {
	f := &freetds{path: needs(t, "tsql", "apt-get install freetds-bin"), conf: filepath.Join(t.TempDir(), "freetds.conf")}
	var text strings.Builder
	for name, addr := range map[string]string{"source": l.Source, "target": l.Target} {
		fmt.Fprintf(&text, "[%s]\nhost = 127.0.0.1\nport = %d\ntds version = %s\nencryption = %s\nclient charset = UTF-8\ntext size = 2147483647\n%s\n",
			name, port(t, addr), version, encryption, strings.Join(more, "\n"))
	}
	if err := os.WriteFile(f.conf, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// run sends one batch as sa and returns all that tsql prints.
func (f *freetds) run(t *testing.T, side, batch string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // against hanging
	defer cancel()
	args := append([]string{"-S", side, "-U", labproc.User, "-P", labproc.Password, "-o", "fhq", "-t", "|"}, flags...)
	cmd := exec.CommandContext(ctx, f.path, args...)
	cmd.Env = append(os.Environ(), "FREETDSCONF="+f.conf, "LC_ALL=C.UTF-8")
	cmd.Stdin = strings.NewReader(batch + "\ngo\nexit\n")
	out, _ := cmd.CombinedOutput() // a refused login is an exit code; the text says more
	return strings.TrimRight(string(out), "\n")
}

// lines wants exactly these lines.
func (f *freetds) lines(t *testing.T, side, batch string, want ...string) {
	t.Helper()
	if got := f.run(t, side, batch); got != strings.Join(want, "\n") {
		t.Errorf("%.200s\ngives\n%.3000s\nwant\n%.3000s", batch, got, strings.Join(want, "\n"))
	}
}

func says(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("no %q in\n%.3000s", p, got)
		}
	}
}

func TestTsql(t *testing.T) {
	l := theLab(t)
	for _, version := range []string{"7.2", "7.3", "7.4"} {
		for _, encryption := range []string{"off", "request", "require"} {
			t.Run(encryption+"/"+version, func(t *testing.T) { tsqlCases(t, l, guideRows(t, l), encryption, version) })
		}
	}
}

func tsqlCases(t *testing.T, l *labproc.Lab, guide [2][]string, encryption, version string) {
	f := newFreeTDS(t, l, encryption, version)
	nextBase += 1000
	base := nextBase
	all := map[string]func(t *testing.T){
		"login": func(t *testing.T) {
			f.lines(t, "source", "SELECT SUSER_SNAME(), DB_NAME(), @@SERVERNAME", "sa|master|N1")
			if got := f.run(t, "source", "SELECT DB_NAME()", "-D", "db001"); !strings.HasSuffix(got, "db001") {
				t.Error(got)
			}
		},
		"wrong-password": func(t *testing.T) {
			says(t, f.run(t, "source", "SELECT 1", "-P", "wrong"), "Msg 18456 (severity 14, state 1) from N1", "Login failed for user 'sa'.")
		},
		"unknown-database": func(t *testing.T) {
			says(t, f.run(t, "source", "SELECT 1", "-D", "nosuch"), "Msg 4060 (severity 11, state 1)", `Cannot open database "nosuch" requested by the login.`, "Msg 18456 (severity 14, state 1)")
		},
		"guide": func(t *testing.T) {
			same(t, "source", strings.Split(f.run(t, "source", guideScript), "\n"), guide[0])
			same(t, "target", strings.Split(f.run(t, "target", guideScript), "\n"), guide[1])
		},
		"result-sets": func(t *testing.T) {
			f.lines(t, "source", "SELECT 1 AS a; SELECT N'zwei' AS b, 2 AS c UNION ALL SELECT N'drei', 3; SELECT NULL AS d WHERE 1 = 0; SELECT 4", "1", "zwei|2", "drei|3", "4")
			says(t, f.run(t, "source", "PRINT N'größer'; SELECT 1"), "größer", "1")
		},
		"error-after-rows": func(t *testing.T) {
			out := f.run(t, "source", "SELECT 1 AS a;\nRAISERROR(N'raised é', 16, 3)\ngo\nSELECT 1 / 0\ngo\n\nSELECT nosuch FROM sys.databases\ngo\nSELECT 5")
			says(t, out, "1\n", "Msg 50000 (severity 16, state 3) from N1 Line 2", "raised é", "Msg 8134 (severity 16, state 1)", "Msg 207 (severity 16, state 1) from N1 Line 2", "\n5")
		},
		"rows-10000": func(t *testing.T) { tsql10000(t, f) },
		"transactions": func(t *testing.T) {
			insert := func(n int) string {
				return fmt.Sprintf("INSERT INTO db001.dbo.ledger (id, note) VALUES (%d, N'tx')\n", base+int64(n))
			}
			out := f.run(t, "source", "BEGIN TRANSACTION\ngo\n"+insert(100)+"go\nCOMMIT TRANSACTION\ngo\nBEGIN TRANSACTION\ngo\n"+insert(101)+"go\nROLLBACK TRANSACTION\ngo\nSELECT @@TRANCOUNT\ngo\nBEGIN TRANSACTION\n"+insert(102))
			if strings.Contains(out, "Msg") {
				t.Error(out)
			}
			f.lines(t, "source", fmt.Sprintf("SELECT id - %d FROM db001.dbo.ledger WHERE id BETWEEN %d AND %d", base, base+100, base+199), "100")
			says(t, f.run(t, "target", insert(104)), "Msg 3906 (severity 16")
		},
		"packet-32767": func(t *testing.T) {
			big := newFreeTDS(t, l, encryption, version, "initial block size = 32767")
			tsql10000(t, big)
			big.lines(t, "source", "SELECT LEN(N'"+strings.Repeat("é", 40000)+"')", "40000")
		},
		"nulls": func(t *testing.T) {
			var casts []string
			for _, typ := range sqlTypes {
				casts = append(casts, "CAST(NULL AS "+typ+")")
			}
			line := strings.TrimSuffix(strings.Repeat("NULL|", len(casts)), "|")
			f.lines(t, "source", "SELECT "+strings.Join(casts, ", ")+" UNION ALL SELECT "+strings.Join(casts, ", "), line, line)
		},
		"types": func(t *testing.T) {
			for _, c := range [][2]string{
				{"CAST(1 AS bit)", "1"}, {"CAST(255 AS tinyint)", "255"}, {"CAST(-32768 AS smallint)", "-32768"}, {"CAST(-2147483648 AS int)", "-2147483648"},
				{"CAST(-9223372036854775808 AS bigint)", "-9223372036854775808"}, {"CAST(1.5 AS float)", "1.5"}, {"CAST(-0.25 AS real)", "-.25"},
				{"CAST(9999999999000000155200001 AS numeric(25,0))", "9999999999000000155200001"},
				{"CAST(-1234567890123456789012345678901234.5678 AS numeric(38,4))", "-1234567890123456789012345678901234.5678"},
				{"CAST(-12.3456 AS money)", "-12.3456"},
				{"CAST('01234567-89ab-cdef-0123-456789abcdef' AS uniqueidentifier)", "01234567-89AB-CDEF-0123-456789ABCDEF"},
				{"CAST('2024-02-29T23:59:59.997' AS datetime)", "Feb 29 2024 11:59PM"}, {"CAST('2024-02-29 12:30' AS smalldatetime)", "Feb 29 2024 12:30PM"},
				{"CAST('ab' AS char(5)) + '.'", "ab   ."}, {"CAST('€uro é' AS varchar(30))", "€uro é"}, {"CAST(N'Größe 😀' AS nvarchar(60))", "Größe 😀"},
				{"REPLICATE(CAST('x' AS varchar(max)), 20000)", strings.Repeat("x", 20000)}, {"CAST(0x0001ff AS varbinary(85))", "0001FF"}, {"CAST(0x0102 AS binary(4))", "01020000"},
			} {
				if got := f.run(t, "source", "SELECT "+c[0]); !strings.EqualFold(got, c[1]) && strings.TrimLeft(got, "-0") != strings.TrimLeft(c[1], "-0") {
					t.Errorf("%s is %q, want %q", c[0], got, c[1])
				}
			}
		},
	}
	for _, c := range cases {
		run := all[c]
		if why, ok := cannot["tsql"][c]; ok != (run == nil) {
			t.Errorf("%s: listed as impossible: %v (%s); and yet done: %v", c, ok, why, run != nil)
		}
		if run != nil {
			t.Run(c, run)
		}
	}
}

func tsql10000(t *testing.T, f *freetds) {
	t.Helper()
	got := strings.Split(f.run(t, "source", rows10000), "\n")
	if len(got) != 10000 {
		t.Fatalf("%d lines", len(got))
	}
	for i, line := range got {
		if want := fmt.Sprintf("%d|row é %d", i, i); line != want {
			t.Fatalf("line %q, want %q", line, want)
		}
	}
}
