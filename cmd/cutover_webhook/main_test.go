package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
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
