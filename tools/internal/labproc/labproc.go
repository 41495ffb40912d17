// Package labproc runs bin/dag_lab for tests that point other people's
// clients at it.
package labproc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The lab's own administrator.
const (
	User     = "sa"
	Password = "Lab-Passw0rd"
)

// Lab is a running dag_lab: what its ready file says.
type Lab struct {
	Source    string   `json:"source"` // host:port
	Target    string   `json:"target"`
	Control   string   `json:"control"`     // URL
	PEM       string   `json:"certificate"` // file that clients must trust
	Databases []string `json:"databases"`

	program string
}

// Root is the repository, found from the folder of the running test.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "dag_lab")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("this test runs inside the repository only")
		}
		dir = parent
	}
}

// Start runs bin/dag_lab on free loopback ports until the test ends. What it
// said is logged if the test failed.
func Start(t testing.TB, flags ...string) *Lab {
	t.Helper()
	l := &Lab{program: filepath.Join(Root(t), "bin", "dag_lab")}
	if _, err := os.Stat(l.program); err != nil {
		t.Fatal("bin/dag_lab is not built; note: make accept builds it")
	}
	dir := t.TempDir()
	ready := filepath.Join(dir, "lab.json")
	args := append([]string{"serve", "--listen.source=127.0.0.1:0", "--listen.target=127.0.0.1:0", "--listen.control=127.0.0.1:0",
		"--tls.cert-out=" + filepath.Join(dir, "lab.pem"), "--ready-file=" + ready}, flags...)
	cmd := exec.Command(l.program, args...)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its output
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			t.Error("dag_lab did not end on SIGTERM in 20 s")
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("--- dag_lab\n%s", out)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(ready)
		if err == nil {
			if err := json.Unmarshal(b, l); err != nil {
				t.Fatal(err)
			}
			return l
		}
		select {
		case <-exited:
			t.Fatalf("dag_lab ended:\n%s", out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("dag_lab is not ready: %v", err)
		}
	}
}

// Ctl runs one command of the control API.
func (l *Lab) Ctl(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command(l.program, append([]string{"ctl", "--url=" + l.Control}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("dag_lab ctl %v: %v\n%s", args, err, out)
	}
}

// DSN is go-mssqldb's for sa on an address; more is appended to the query.
func (l *Lab) DSN(addr, database, more string) string {
	return fmt.Sprintf("sqlserver://%s:%s@%s?database=%s&%s", User, Password, addr, database, more)
}

// output is a buffer that the process and the test share.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
