package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		want int
		says string
	}{
		{"--help", exitOK, "serve"},
		{"frob", exitUsage, "frob"},
		{"serve --databases=0", exitUsage, "--databases"},
		{"serve --version=12", exitUsage, "13 to 17"},
		{"serve --listen.control=0.0.0.0:0", exitUsage, "loopback"},
		{"serve --login={", exitUsage, "--login"},
		{"serve --zone.target=Europe/Nowhere", exitUsage, `--zone.target: "Europe/Nowhere" is not the name of a time zone`},
		{"ctl cut x", exitUsage, "name=value"},
		{"ctl --url=http://127.0.0.1:1 cut", exitError, "no lab answers"},
	} {
		var out, errs bytes.Buffer
		if got := run(strings.Fields(c.args), &out, &errs); got != c.want || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%s: %d, %s%s", c.args, got, out.String(), errs.String())
		}
	}
}

// Help was asked for: it goes to the standard output, a line for each command.
func TestHelp(t *testing.T) {
	for _, args := range []string{"--help", "ctl --help", "serve --help"} {
		var out, errs bytes.Buffer
		if got := run(strings.Fields(args), &out, &errs); got != exitOK || errs.Len() > 0 || !strings.Contains(out.String(), "usage: dag_lab") {
			t.Errorf("%s: %d, %q, %q", args, got, out.String(), errs.String())
		}
		if args != "ctl --help" {
			continue
		}
		for _, c := range append(lab.CommandHelp(), "state: show everything") {
			name, _, _ := strings.Cut(c, ":")
			if !strings.Contains(out.String(), "\n  "+name) {
				t.Errorf("%s does not begin a line of\n%s", name, out.String())
			}
		}
	}
}

func TestCtl(t *testing.T) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	srv := httptest.NewServer(l.Control())
	defer srv.Close()
	ctl := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := run(append([]string{"ctl", "--url=" + srv.URL}, args...), &out, &errs)
		return code, out.String() + errs.String()
	}
	for _, c := range [][]string{{"state"}, {"cut"}, {"heal"}, {"rsstc", "side=source", "value=1"}, {"fault", `fault={"class":"s3","lose":"after"}`},
		{"timing", `timing={"failover":"90s"}`}, {"link", "latency=5ms", "bandwidth=1000000"}} {
		if code, text := ctl(c...); code != exitOK {
			t.Errorf("%v: %d %s", c, code, text)
		}
	}
	if code, text := ctl("stop", "side=middle"); code != exitError || !strings.Contains(text, "source or target") {
		t.Errorf("%d %s", code, text)
	}
}

// TestServeEndsOnSIGTERM starts the whole program in this process, waits for its ready file, and ends it as an operator would.
func TestServeEndsOnSIGTERM(t *testing.T) {
	dir := t.TempDir()
	file, pem := filepath.Join(dir, "ready.json"), filepath.Join(dir, "cert.pem")
	done := make(chan int, 1)
	var out, errs bytes.Buffer
	go func() {
		done <- run([]string{"serve", "--listen.source=127.0.0.1:0", "--listen.target=127.0.0.1:0", "--listen.control=127.0.0.1:0", "--ready-file=" + file, "--tls.cert-out=" + pem}, &out, &errs)
	}()
	var r ready
	for r.Control == "" {
		select {
		case code := <-done:
			t.Fatalf("ended with %d: %s", code, errs.String())
		case <-time.After(10 * time.Millisecond):
		}
		if b, err := os.ReadFile(file); err == nil {
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := os.Stat(r.Certificate); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
