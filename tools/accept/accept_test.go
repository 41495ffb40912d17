//go:build accept

// Package accept holds the tests that need the real processes: the binaries
// in bin/, Prometheus, Alertmanager, FreeTDS. `make accept` builds and
// installs what they need.
package accept

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(root(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built; note: make accept builds it", name)
	}
	return path
}

// process is one that a test started and that ends with it.
type process struct {
	cmd    *exec.Cmd
	out    *buffer
	exited chan struct{}
}

// buffer is a bytes.Buffer that two goroutines may use.
type buffer struct {
	mu  chan struct{}
	buf bytes.Buffer
}

func newBuffer() *buffer { return &buffer{mu: make(chan struct{}, 1)} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu <- struct{}{}
	defer func() { <-b.mu }()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu <- struct{}{}
	defer func() { <-b.mu }()
	return b.buf.String()
}

// start runs a program in dir until the test ends.
func start(t *testing.T, dir, path string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), out: newBuffer(), exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.exited:
		case <-time.After(20 * time.Second):
			t.Errorf("%s did not end on SIGTERM in 20 s", filepath.Base(path))
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			<-p.exited
		}
		if t.Failed() {
			t.Logf("--- %s\n%s", filepath.Base(path), p.out)
		}
	})
	return p
}

// output runs a program to its end and returns its exit code and everything
// that it printed.
func output(t *testing.T, dir, path string, args ...string) (code int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	b, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(b)
	}
	if err != nil {
		t.Fatalf("%s %v: %v", path, args, err)
	}
	return 0, string(b)
}

// eventually calls f until it returns nil, for at most a minute: a bound
// against hanging, not a claim about speed.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// lab is a running dag_lab.
type lab struct {
	Source  string `json:"source"`
	Target  string `json:"target"`
	Control string `json:"control"`
	PEM     string `json:"certificate"`
}

func startLab(t *testing.T, dir string, flags ...string) lab {
	t.Helper()
	ready := filepath.Join(dir, "lab.json")
	start(t, dir, program(t, "dag_lab"), append([]string{"serve", "--listen.source=127.0.0.1:0", "--listen.target=127.0.0.1:0",
		"--listen.control=127.0.0.1:0", "--tls.cert-out=" + filepath.Join(dir, "lab.pem"), "--ready-file=" + ready}, flags...)...)
	var l lab
	eventually(t, "dag_lab is ready", func() error {
		b, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &l)
	})
	return l
}

const password = "Lab-Passw0rd"

// dsn of one side of the lab.
func (l lab) dsn(addr, database string) string {
	return fmt.Sprintf("sqlserver://sa:%s@%s?database=%s&encrypt=true&certificate=%s&hostNameInCertificate=localhost", password, addr, database, l.PEM)
}

// get fetches an URL.
func get(url string, auth ...string) (code int, body string, err error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if len(auth) == 2 {
		req.SetBasicAuth(auth[0], auth[1])
	}
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// noSecrets fails if a password shows up in what somebody may read.
func noSecrets(t *testing.T, what, text string, secrets ...string) {
	t.Helper()
	for _, s := range append(secrets, password) {
		if strings.Contains(text, s) {
			t.Errorf("%s shows a secret:\n%s", what, text)
		}
	}
}
