//go:build accept

package accept

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// leftovers lists processes whose command line names the folder.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(e)
		if err == nil && strings.Contains(string(b), dir) {
			found = append(found, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

// TestDemo is the product's main job with the real Prometheus and
// Alertmanager: the alert fires, the webhook cuts over, no row is missing.
func TestDemo(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root(t), "bin", "demo"))
	cmd.Dir = root(t)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DAGNearConvergence reached the webhook", "target's role in the DAG, read by the client PRIMARY", "every acknowledged row is there"} {
		if !strings.Contains(strings.Join(strings.Fields(string(out)), " "), want) {
			t.Errorf("the demo did not say %q", want)
		}
	}
	if l := leftovers(t, tmp); len(l) > 0 {
		t.Errorf("the demo left processes behind:\n%s", strings.Join(l, "\n"))
	}
	if entries, _ := os.ReadDir(tmp); len(entries) > 0 {
		t.Errorf("the demo left files behind: %v", entries)
	}
}

// TestDemoInterrupted is Ctrl-C in the middle.
func TestDemoInterrupted(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	out := newBuffer()
	cmd := exec.Command(filepath.Join(root(t), "bin", "demo"))
	cmd.Dir = root(t)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	eventually(t, "the demo is under way", func() error {
		if strings.Contains(out.String(), "armed") {
			return nil
		}
		return os.ErrDeadlineExceeded
	})
	if len(leftovers(t, tmp)) < 5 {
		t.Errorf("five processes should be running: %v", leftovers(t, tmp))
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("an interrupted demo says that all is well")
		}
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		t.Fatalf("the demo does not end on Ctrl-C:\n%s", out)
	}
	if l := leftovers(t, tmp); len(l) > 0 {
		t.Errorf("processes left after Ctrl-C:\n%s", strings.Join(l, "\n"))
	}
}
