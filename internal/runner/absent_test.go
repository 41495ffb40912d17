package runner

import (
	"bytes"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
)

// lines is a log that may be read while it is written.
type lines struct{ guarded[bytes.Buffer] }

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(b []byte) (n int, err error) {
	l.with(func(buf *bytes.Buffer) { n, err = buf.Write(b) })
	return n, err
}

func (l *lines) count(text string) (n int) {
	l.with(func(buf *bytes.Buffer) { n = strings.Count(buf.String(), text) })
	return n
}

// TestRunOfAnAbsentDAG: the DAG of an unfinished run was taken out of the
// configuration, or renamed. The webhook starts, sends nothing, and says so in
// every place that it has until the DAG is back.
func TestRunOfAnAbsentDAG(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.untraced = true // no round looked at it while it was absent
		r.killedAfter("demote source")
		run := r.c.Status().Run
		sent := len(r.p.touched())

		out := &lines{}
		f, err := OpenFleet(&config.Config{}, r.j, slog.New(slog.NewTextHandler(out, nil)))
		if err != nil {
			t.Fatal(err)
		}
		renamed := newRig(t)
		renamed.dag.Name, renamed.p, renamed.j = "erp2", r.p, r.j
		renamed.open(r.p.server(hadr.Source), r.p.server(hadr.Target))
		f = NewFleet(append(f.controllers, renamed.c)...)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute + time.Second)

		var names []string
		for _, api := range f.All() {
			names = append(names, api.Name())
		}
		if !slices.Equal(names, []string{"erp", "erp2"}) {
			t.Fatalf("DAGs %v", names)
		}
		api, _ := f.Get("erp")
		s := api.Status()
		if s.Run != run || len(s.Pages) != 1 || !strings.Contains(s.Pages[0].Text, "run "+run+" is unfinished (phase confirm_demoted), and no DAG named erp is in the configuration") {
			t.Fatalf("status %+v", s)
		}
		if st := s.Pages[0].Statements; len(st) != 1 || st[0].Kind != "release_secondary" {
			t.Errorf("statements %v", st)
		}
		if n := out.count("level=ERROR"); n < 5 || n > 7 {
			t.Errorf("%d errors in 5 minutes", n)
		}
		want := `# HELP mssql_dag_cutover_pages_open How many pages ask a human to act: those that stand now, and those of ended runs that nobody has acknowledged.
# TYPE mssql_dag_cutover_pages_open gauge
mssql_dag_cutover_pages_open{dag="erp"} 1
mssql_dag_cutover_pages_open{dag="erp2"} 1
`
		if err := testutil.CollectAndCompare(f, strings.NewReader(want), "mssql_dag_cutover_pages_open"); err != nil {
			t.Error(err)
		}
		// Nobody's word ends it here, and its local AGs are not to be moved by
		// another DAG meanwhile.
		if err := api.Acknowledge(t.Context(), Request{By: "anna"}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if s := api.Status(); s.Run != run {
			t.Errorf("closed unseen: %+v", s)
		}
		if i := slices.IndexFunc(renamed.c.Status().Gates, func(g Gate) bool { return g.Name == "other_run" && g.State != GateOpen }); i < 0 {
			t.Errorf("other_run is open: %+v", renamed.c.Status().Gates)
		}
		if got := r.p.touched(); len(got) != sent {
			t.Errorf("sent %v", got[sent:])
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}

		// Back under its name it is taken up and brought to its end.
		_, err = r.j.Update("erp", func(s *journal.State) error { s.TakenOver = nil; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if again, err := absent(&config.Config{DAGs: []config.DAG{r.dag}}, r.j, nil); err != nil || len(again) > 0 {
			t.Errorf("a DAG that is configured: %d, %v", len(again), err)
		}
		r.start().fire()
		r.close()
		if got := r.p.state(); got != sourcePrimary && got != targetPrimary {
			t.Error(got)
		}
	})
}

// TestOwnTroubleNamesTheWayOut: the pages that need no server name what a person
// can type when the engine does not go on, and nothing that may make two
// primaries.
func TestOwnTroubleNamesTheWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for at, want := range map[string][]string{
			"set_synchronous source":   nil,
			"require_secondary source": {"release_secondary source"},
			"demote source":            {"release_secondary source", "promote source"},
			"promote target":           nil,
		} {
			r := newRig(t)
			r.untraced = true
			bad := &brokenServer{Server: r.p.server(hadr.Target)}
			r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
				if string(st.Kind)+" "+string(st.Side) == at {
					bad.set(true)
				}
				return fate{lands: true}
			})
			r.startWith(r.p.server(hadr.Source), bad)
			r.arm(false)
			r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
			time.Sleep(10 * time.Second) // several panics in a row
			var got []string
			for _, p := range r.c.Status().Pages {
				if p.ID != "bug" {
					continue
				}
				for _, st := range p.Statements {
					got = append(got, st.Kind+" "+st.Side)
				}
				if len(got) > 0 && !slices.ContainsFunc(p.Conditions, func(c string) bool { return strings.HasPrefix(c, "the webhook is stopped") }) {
					t.Errorf("after %s: conditions %q", at, p.Conditions)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("after %s the page names %v, want %v", at, got, want)
			}
			bad.set(false)
			r.fire()
			r.close()
		}
	})
}
