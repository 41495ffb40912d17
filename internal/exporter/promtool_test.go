//go:build accept

package exporter

import (
	"bytes"
	"net/http/httptest"
	osexec "os/exec"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// promtool's linter has nothing to say about what a scrape is answered with:
// all groups, both sides read, one side down, and the process's own metrics.
func TestPromtoolHasNothingToSay(t *testing.T) {
	promtool, err := osexec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not on PATH: make accept puts .tools/bin there; tools/install.sh prometheus builds it")
	}
	r := newRig(t, lab.Options{Model: model.Config{Databases: model.Names(3), Sides: [2]model.SideConfig{two("A0", "A1"), two("B0", "B1")}}}, "")
	r.until(t, caughtUp, 1)
	var all []string
	for _, g := range collector.Groups() {
		all = append(all, "collect[]="+g.Name)
	}
	probe := "/probe?target=erp-prod&" + strings.Join(all, "&")
	check := func(name, url string) {
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, httptest.NewRequest("GET", url, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), "mssql_dag_up{") {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		cmd := osexec.Command(promtool, "check", "metrics", "--extended")
		cmd.Stdin = bytes.NewReader(w.Body.Bytes())
		var stderr, stdout bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil || stderr.Len() > 0 {
			t.Errorf("%s: %v\n%s", name, err, &stderr)
		}
		if !strings.Contains(stdout.String(), "mssql_dag_convergence_reached") {
			t.Errorf("%s: promtool counted no series of ours:\n%s", name, &stdout)
		}
	}
	check("all groups", probe)
	check("the default groups and the process", "/metrics")
	if err := r.control.Suspend(lab.Source, 0, "db002", "user"); err != nil {
		t.Fatal(err)
	}
	if err := r.control.Stop(lab.Target, 0); err != nil {
		t.Fatal(err)
	}
	check("a side down, a database suspended", probe)
}
