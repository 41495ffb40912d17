package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// After S2 the first SIGTERM waits for the end of the run, which does not come
// while the target is gone. The second one ends the process at once: a page
// may say "the engine is stopped for good" before a person types.
func TestSecondSignal(t *testing.T) {
	l, err := lab.New(lab.Options{Model: model.Config{Databases: []string{"db001"}}, Schedule: &lab.Schedule{Steps: []lab.Step{
		{On: &lab.Event{Statement: "s2", Side: "source"}, Do: "stop", With: lab.Args{Side: "target"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"web.yml": "basic_auth_users: {ops: " + string(hash) + "}",
		"ops.yml": "basic_auth: {username: ops, password: hunter2}",
		"dag.yml": strings.NewReplacer("$SOURCE", l.Address(lab.Source), "$TARGET", l.Address(lab.Target)).Replace(`
dags:
  - name: erp
    group: DAG
    source: {ag: OnPremAG, instances: ["sqlserver://sa:Lab-Passw0rd@$SOURCE?encrypt=true&trustservercertificate=true"]}
    target: {ag: AzureAG, instances: ["sqlserver://sa:Lab-Passw0rd@$TARGET?encrypt=true&trustservercertificate=true"]}
    databases: [db001]
    cutover: {mode: execute, alert_match: {environment: prod}, approvals: 0}
webhook:
  roles: {receiver: [am], operator: [ops], approver: [lead]}
`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "cutover_webhook", args...)
		cmd.Dir = dir
		return cmd
	}
	ask := func(args ...string) (string, error) {
		out, err := command(t.Context(), append(args, "--url=http://"+addr, "--http.config.file=ops.yml")...).CombinedOutput()
		return string(out), err
	}
	server := command(context.Background(), "serve", "--config.file=dag.yml", "--web.config.file=web.yml", "--web.listen-address="+addr)
	var log strings.Builder // read after Wait alone
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() { _ = server.Process.Kill() })
	// until waits for what a verb says; a deadline is for a test that would hang.
	until := func(want string, args ...string) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			out, err := ask(args...)
			if strings.Contains(out, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
		}
	}
	until("erp is armed", "arm")
	until("has begun", "run")
	until("the target cannot be read", "status", "erp")
	term := func() {
		t.Helper()
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	term()
	// Seen when it takes no more notifications; it still answers, and acts.
	for deadline := time.Now().Add(60 * time.Second); ready(t, addr) != http.StatusServiceUnavailable; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the first signal was not seen")
		}
	}
	until("the target cannot be read", "status", "erp")
	term()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitError || !strings.Contains(log.String(), "killed by a second signal") {
			t.Errorf("%v\n%s", err, log.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("two signals, and it still acts")
	}
}

func ready(t *testing.T, addr string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/-/ready", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("ops", "hunter2")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("the first signal did not wait for the run: %v", err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
