//go:build accept

package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/tools/internal/labproc"
)

// cases is what is asked of every client, in the order in which it runs.
var cases = []string{"login", "wrong-password", "unknown-database", "guide", "parameters", "prepare", "result-sets", "error-after-rows", "rows-10000",
	"cancel", "transactions", "begin-again", "reset", "packet-512", "packet-32767", "nulls", "types"}

// cannot says what a client has no way to do, and why.
var cannot = map[string]map[string]string{
	"pyodbc": {
		"reset":      "resets belong to unixODBC's pool, which is off",
		"packet-512": "FreeTDS never asks for less than 4096",
	},
	"python-tds": {
		"prepare": "it has no prepared statements, only sp_executesql",
	},
	"tedious": {
		"begin-again": "it never asks a commit to begin the next transaction",
	},
	"tsql": {
		"parameters":  "it sends batches only",
		"prepare":     "it sends batches only",
		"cancel":      "its timeout closes the socket",
		"begin-again": "it sends batches only",
		"reset":       "it never asks for one",
		"packet-512":  "FreeTDS never asks for less than 4096",
	},
	"go-mssqldb": {
		"begin-again": "it never asks a commit to begin the next transaction",
	},
}

// guideScript is the migration guide's own, word for word.
const guideScript = `SELECT ag.name, drs.database_id, db_name(drs.database_id) as database_name, drs.group_id, drs.replica_id, drs.synchronization_state_desc, drs.last_hardened_lsn
FROM sys.dm_hadr_database_replica_states drs INNER JOIN sys.availability_groups ag on drs.group_id = ag.group_id;
`

// rows10000 is the query of the case of that name: a number and a text that
// depends on it.
const rows10000 = `SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS n, N'row é ' + CONVERT(nvarchar(10), a.n + 10 * b.n + 100 * c.n + 1000 * d.n) AS note
FROM (VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) a(n) CROSS JOIN (VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) b(n)
CROSS JOIN (VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) c(n) CROSS JOIN (VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) d(n) ORDER BY n`

// sqlTypes are all that a column of the lab may have.
var sqlTypes = []string{"bit", "tinyint", "smallint", "int", "bigint", "real", "float", "numeric(25,0)", "numeric(38,4)", "money", "uniqueidentifier", "date", "time(7)",
	"smalldatetime", "datetime", "datetime2(7)", "datetimeoffset(7)", "char(5)", "varchar(30)", "varchar(max)", "nchar(5)", "nvarchar(60)", "nvarchar(max)", "binary(4)",
	"varbinary(85)", "varbinary(max)"}

// config is what a client's script reads from its standard input.
type config struct {
	Host       string   `json:"host"`
	SourcePort int      `json:"sourcePort"`
	TargetPort int      `json:"targetPort"`
	User       string   `json:"user"`
	Password   string   `json:"password"`
	PEM        string   `json:"pem"`
	Encrypt    string   `json:"encrypt"` // in the client's own words
	Guide      string   `json:"guide"`
	Rows10000  string   `json:"rows10000"`
	Types      []string `json:"types"`
	Base       int64    `json:"base"` // first ledger id that is this run's
}

// result is one line of a script's output.
type result struct {
	Case   string   `json:"case"`
	Error  string   `json:"error"`
	Source []string `json:"source"` // of the case guide: its rows, joined by |
	Target []string `json:"target"`
}

// theLab has two databases at rest whose VLF numbers have ten digits, so that
// LSNs have 25.
func theLab(t *testing.T) *labproc.Lab {
	l := labproc.Start(t, "--databases=2", "--log.start-vlf=4200000000", "--background=0", "--dag-commit=sync")
	for i, db := range l.Databases {
		l.Ctl(t, "place-log", "database="+db, "vlf=4294967295", fmt.Sprintf("block=%d", 100000+i))
	}
	return l
}

func port(t *testing.T, addr string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &n); err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	return n
}

var nextBase int64

func newConfig(t *testing.T, l *labproc.Lab, encrypt string) config {
	nextBase += 1000
	return config{Host: "127.0.0.1", SourcePort: port(t, l.Source), TargetPort: port(t, l.Target), User: labproc.User, Password: labproc.Password, PEM: l.PEM,
		Encrypt: encrypt, Guide: guideScript, Rows10000: rows10000, Types: sqlTypes, Base: nextBase}
}

// runScript gives a client's script its config and returns what it reports.
func runScript(t *testing.T, cfg config, name string, args ...string) []result {
	t.Helper()
	in, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // against hanging
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(in)
	cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1", "PYTHONDONTWRITEBYTECODE=1", "LC_ALL=C.UTF-8")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var results []result
	for s := bufio.NewScanner(&stdout); s.Scan(); {
		var r result
		if e := json.Unmarshal(s.Bytes(), &r); e != nil {
			t.Errorf("the script said %q", s.Text())
			continue
		}
		results = append(results, r)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", filepath.Base(name), err, stderr.String())
	}
	return results
}

// check makes every case of the list a subtest of its own. A case that the
// client can do and did not report is a failure.
func check(t *testing.T, client string, want [2][]string, results []result) {
	t.Helper()
	for _, r := range results {
		if !slices.Contains(cases, r.Case) {
			t.Errorf("the client reports a case %q that nobody knows", r.Case)
		}
	}
	for _, c := range cases {
		i := slices.IndexFunc(results, func(r result) bool { return r.Case == c })
		if why, ok := cannot[client][c]; ok {
			if i >= 0 {
				t.Errorf("%s: listed as impossible (%s), and yet it was done", c, why)
			}
			continue
		}
		t.Run(c, func(t *testing.T) {
			if i < 0 {
				t.Fatal("the client did not report this case")
			}
			r := results[i]
			if r.Error != "" {
				t.Fatal(r.Error)
			}
			if c == "guide" {
				same(t, "source", r.Source, want[0])
				same(t, "target", r.Target, want[1])
			}
		})
	}
}

func same(t *testing.T, side string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("guide's script on the %s:\n%s\nwant:\n%s", side, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// needs fails with the way out if a program is missing.
func needs(t *testing.T, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("this test needs %s; note: %s", program, install)
	}
	return path
}

// debianPython is the interpreter that Debian's python3-* packages belong to,
// whatever else is on PATH.
func debianPython(t *testing.T, module, pkg string) string {
	t.Helper()
	python := needs(t, "/usr/bin/python3", "apt-get install python3 "+pkg)
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import "+module).CombinedOutput(); err != nil {
		t.Fatalf("this test needs Python's %s; note: apt-get install %s\n%s", module, pkg, out)
	}
	return python
}

func TestPyodbc(t *testing.T) {
	python := debianPython(t, "pyodbc", "python3-pyodbc tdsodbc")
	if drivers, _ := filepath.Glob("/usr/lib/*/odbc/libtdsodbc.so"); len(drivers) == 0 {
		t.Fatal("this test needs FreeTDS's ODBC driver; note: apt-get install tdsodbc")
	}
	l := theLab(t)
	for _, encrypt := range []string{"off", "request", "require"} {
		t.Run(encrypt, func(t *testing.T) {
			check(t, "pyodbc", guideRows(t, l), runScript(t, newConfig(t, l, encrypt), python, "testdata/pyodbc_client.py"))
		})
	}
}

func TestPythonTDS(t *testing.T) {
	python := debianPython(t, "pytds, OpenSSL", "python3-tds python3-openssl")
	l := theLab(t)
	for _, encrypt := range []string{"plain", "login", "full"} {
		t.Run(encrypt, func(t *testing.T) {
			check(t, "python-tds", guideRows(t, l), runScript(t, newConfig(t, l, encrypt), python, "testdata/pytds_client.py"))
		})
	}
}

func TestTedious(t *testing.T) {
	node := needs(t, "node", "apt-get install nodejs npm")
	if _, err := os.Stat("node/node_modules/tedious"); err != nil {
		t.Fatal("this test needs node's tedious; note: npm ci --ignore-scripts in tools/clients/node")
	}
	l := theLab(t)
	for _, encrypt := range []string{"false", "true", "strict"} {
		t.Run(encrypt, func(t *testing.T) {
			check(t, "tedious", guideRows(t, l), runScript(t, newConfig(t, l, encrypt), node, "node/tedious_client.js"))
		})
	}
}
