package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cutover_webhook": main})
}

// TestScripts runs testdata/*.txt: what a person types, and what comes back.
func TestScripts(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HASH", string(hash))
			for _, name := range []string{"ADDR", "DEAD1", "DEAD2"} {
				addr, err := freeAddress()
				if err != nil {
					return err
				}
				e.Setenv(name, addr)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"expand":  expand,
			"lab":     startLab,
			"request": request,
			"noleak":  noleak,
			"lint":    lint,
		},
	})
}

// freeAddress is a loopback address that nobody listened on a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// exits CODE PROGRAM ARGS… runs a program and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var ee *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ee) {
		got = ee.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// lab starts two look-alikes with one distributed availability group between
// them; their addresses are in $SOURCE and $TARGET, their certificate in lab.pem.
func startLab(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := lab.New(lab.Options{Model: model.Config{Databases: []string{"db001", "db002"}}})
	ts.Check(err)
	ts.Check(l.Start(context.Background()))
	ts.Defer(l.Close)
	ts.Setenv("SOURCE", l.Address(lab.Source))
	ts.Setenv("TARGET", l.Address(lab.Target))
	ts.Check(os.WriteFile(ts.MkAbs("lab.pem"), l.CertificatePEM(), 0o600))
}

// expand FILE… replaces $NAME in files of the script.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, f := range args {
		text := ts.ReadFile(f)
		for _, name := range []string{"ADDR", "DEAD1", "DEAD2", "HASH", "SOURCE", "TARGET"} {
			text = strings.ReplaceAll(text, "$"+name, ts.Getenv(name))
		}
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o600))
	}
}

// request STATUS METHOD PATH USER[:PASSWORD] [BODY [CONTENT-TYPE]] asks the
// server at $ADDR, waiting until it is up, and compares the status; "-" is nobody.
// The body of the answer goes to the file answer.
func request(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 4 {
		ts.Fatalf("usage: request STATUS METHOD PATH USER[:PASSWORD] [BODY [CONTENT-TYPE]]")
	}
	body, contentType := "", "application/json"
	if len(args) > 4 {
		body = args[4]
	}
	if len(args) > 5 {
		contentType = args[5]
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		req, err := http.NewRequest(args[1], "http://"+ts.Getenv("ADDR")+args[2], strings.NewReader(body))
		ts.Check(err)
		if args[3] != "-" {
			user, password, ok := strings.Cut(args[3], ":")
			if !ok {
				password = "hunter2"
			}
			req.SetBasicAuth(user, password)
		}
		req.Header.Set("Content-Type", contentType)
		res, err := http.DefaultClient.Do(req)
		got := ""
		var text []byte
		if err == nil {
			text, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
			got = strconv.Itoa(res.StatusCode)
		}
		if err == nil && got == args[0] {
			ts.Check(os.WriteFile(ts.MkAbs("answer"), text, 0o600))
			return
		}
		// Before it listens, and until it is ready, it may say something else.
		if time.Now().After(deadline) || err == nil && got != "503" {
			ts.Fatalf("%s %s: %v %s %s", args[1], args[2], err, got, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// noleak checks that neither stream of the last command holds the scripts' secret.
func noleak(ts *testscript.TestScript, _ bool, _ []string) {
	for _, f := range []string{"stdout", "stderr"} {
		if strings.Contains(ts.ReadFile(f), "hunter2") {
			ts.Fatalf("the secret is in %s", f)
		}
	}
}

// lint checks that Prometheus' linter (the one in promtool check metrics) has
// nothing to say about an exposition.
func lint(ts *testscript.TestScript, _ bool, args []string) {
	problems, err := promlint.New(strings.NewReader(ts.ReadFile(args[0]))).Lint()
	ts.Check(err)
	for _, p := range problems {
		ts.Logf("%s: %s", p.Metric, p.Text)
	}
	if len(problems) > 0 {
		ts.Fatalf("%d problems", len(problems))
	}
}

// A terminal's edge is not crossed, what is piped stays one line a row, and a
// sentence that closes many gates is said once.
func TestCheckTable(t *testing.T) {
	res := runner.CheckResult{DAG: "erp", Readiness: runner.Waiting, PlanError: "the source does not answer", Gates: []runner.Gate{
		{Name: "held", State: runner.GateOpen, Reason: "not held"},
		{Name: "readable", State: runner.GateUnknown, EvidenceAge: 1.5, WaitingHelps: true, Reason: "the source does not answer"},
		{Name: "topology", State: runner.GateUnknown, EvidenceAge: -1, WaitingHelps: true, Reason: "the source does not answer"},
		{Name: "rights", State: runner.GateClosed, Reason: "the login is not sysadmin"},
	}}
	for width, want := range map[int]string{
		0: `GATE      STATE    AGE   WAITING  REASON
held      open     0.0s           not held
readable  unknown  1.5s  helps    the source does not answer
topology  unknown  -     helps    as readable
rights    closed   0.0s  cannot   the login is not sysadmin

erp: not now: waiting can help
plan: none: see readable
`,
		55: `GATE      STATE    AGE   WAITING  REASON
held      open     0.0s           not held
readable  unknown  1.5s  helps    the source does not
                                  answer
topology  unknown  -     helps    as readable
rights    closed   0.0s  cannot   the login is not
                                  sysadmin

erp: not now: waiting can help
plan: none: see readable
`,
	} {
		var out strings.Builder
		c := &cli{out: &out, width: width}
		if err := c.checkTable(res); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("width %d:\n%s\nwant\n%s", width, out.String(), want)
		}
	}
	if n := widthOf(&strings.Builder{}, "120"); n != 0 {
		t.Errorf("what is no terminal has width %d", n)
	}
}

// What somebody else wrote is shown to a terminal, and not obeyed by it.
func TestTableHoldsNoControls(t *testing.T) {
	var b bytes.Buffer
	c := &cli{out: &b}
	if err := c.table([]string{"held", "by ops \x1b[2J\x1b]0;title\a\tlunch\u009b31m"}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "held  by ops [2J ]0;title lunch 31m\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A webhook whose certificate nobody here knows is no webhook that is down.
func TestUntrustedCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about the client, rightly
	server.StartTLS()
	defer server.Close()
	var out, errOut strings.Builder
	if code := run([]string{"status", "--url=" + server.URL}, &out, &errOut); code != exitError {
		t.Errorf("exit code %d", code)
	}
	if want := "is not trusted: "; !strings.Contains(errOut.String(), want) || !strings.Contains(errOut.String(), "ca_file") {
		t.Errorf("want %q and the remedy, have %s", want, errOut.String())
	}
}

func TestHelpTeaches(t *testing.T) {
	var out strings.Builder
	if code := run([]string{"--help"}, &out, io.Discard); code != 0 {
		t.Fatal(code)
	}
	for _, want := range []string{"serve", "check", "plan", "arm", "disarm", "approve", "run", "drill", "rollback", "hold", "release", "acknowledge", "status", "report", "Exit codes: 0", "Dry run is the default"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help does not say %q", want)
		}
	}
}

func Example_usageError() {
	fmt.Println(run([]string{"arm", "--nonsense"}, io.Discard, os.Stdout))
	// Output:
	// cutover_webhook: unknown long flag '--nonsense'; try --help
	// 2
}
