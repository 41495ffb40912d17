package runner

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/microsoft/go-mssqldb" // an ordinary client

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// quickLab makes everything that takes time in the lab take little.
var quickLab = model.Timing{Demote: 20 * time.Millisecond, Resolving: 20 * time.Millisecond, Failover: 20 * time.Millisecond, Recovery: 30 * time.Millisecond,
	Relink: 150 * time.Millisecond, Undo: 50 * time.Millisecond, Revert: 20 * time.Millisecond, Reconnect: 50 * time.Millisecond, Modify: 5 * time.Millisecond,
	SessionTimeout: 300 * time.Millisecond, Background: -1}

// bench is a lab, a client that writes all the time, and a Controller over
// real connections with a journal on disk.
type bench struct {
	t   *testing.T
	lab *lab.Lab
	w   *writer
	j   journal.Journal
	dag config.DAG
	c   *Controller
	// around wraps the source's server.
	around func(Server) Server
	steps  guarded[[]cutover.TraceStep]
}

func newBench(t *testing.T) *bench {
	t.Helper()
	l, err := lab.New(lab.Options{Model: model.Config{Timing: quickLab}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	j, err := journal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	dag := testDAG()
	dag.Databases = []string{"db001", "db002", "db003"}
	dag.Source.Instances = []config.Secret{config.Secret(l.DSN(lab.Source))}
	dag.Target.Instances = []config.Secret{config.Secret(l.DSN(lab.Target))}
	dag.Cutover.Settle = config.Duration(2 * time.Second)
	dag.Cutover.SettleInterval = config.Duration(50 * time.Millisecond)
	dag.Cutover.MaxWriteUnavailable = config.Duration(20 * time.Second)
	b := &bench{t: t, lab: l, j: j, dag: dag, around: func(s Server) Server { return s }}
	b.w = newWriter(t, l.DSNFor(l.Address(lab.Source), lab.SA, lab.SAPassword, "db001"), l.DSNFor(l.Address(lab.Target), lab.SA, lab.SAPassword, "db001"))
	return b
}

func (b *bench) start() {
	b.t.Helper()
	var servers [2]Server
	for i, side := range []hadr.Side{hadr.Source, hadr.Target} {
		s, err := OpenSide(b.dag, side, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = s.Close() })
		servers[i] = s
	}
	c, err := New(Options{DAG: b.dag, Source: b.around(servers[0]), Target: servers[1], Journal: b.j, hooks: b.w,
		trace: func(s cutover.TraceStep) { b.steps.with(func(v *[]cutover.TraceStep) { *v = append(*v, s) }) }})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := c.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.c = c
	b.t.Cleanup(func() {
		if b.t.Failed() {
			c.Kill() // a run that does not end is not waited for
		}
		_ = c.Close()
	})
}

// run arms, lets the alert fire, and waits for the end.
func (b *bench) run() *Report {
	b.t.Helper()
	if _, err := b.c.Arm(b.t.Context(), ArmRequest{Request: Request{By: "anna"}}); err != nil {
		b.t.Fatal(err)
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		b.c.LeaseSeen(Alert{Name: "DAGNearConvergence", Firing: true}, time.Now())
		s := b.c.Status()
		if s.Run == "" && s.LastRun != "" {
			break
		}
		if time.Now().After(end) {
			closed := ""
			for _, g := range s.Gates {
				if g.State != GateOpen {
					closed += fmt.Sprintf("\n%s %s: %s", g.Name, g.State, g.Reason)
				}
			}
			rep, _ := b.c.Report(b.t.Context(), "")
			var md bytes.Buffer
			if rep != nil {
				_ = rep.Markdown(&md)
			}
			b.t.Fatalf("no end: phase %s: %s%s\n%s", s.Phase, s.Reason, closed, md.String())
		}
	}
	rep, err := b.c.Report(b.t.Context(), "")
	if err != nil {
		b.t.Fatal(err)
	}
	return rep
}

// checkTrace holds every round of the run, as it went over real connections,
// against the model: see cutover.CheckTrace.
func (b *bench) checkTrace() {
	b.t.Helper()
	var steps []cutover.TraceStep
	b.steps.with(func(v *[]cutover.TraceStep) { steps = slices.Clone(*v) })
	runs, err := b.j.Runs(b.dag.Name)
	if err != nil || len(runs) != 1 || len(steps) < 10 {
		b.t.Fatalf("%d runs, %d rounds, %v", len(runs), len(steps), err)
	}
	plan, err := decodePlan(runs[0])
	if err != nil {
		b.t.Fatal(err)
	}
	if bad := cutover.CheckTrace(plan, steps, false); len(bad) > 0 {
		b.t.Errorf("the trace of %d rounds:\n%s", len(steps), strings.Join(bad, "\n"))
	}
	// Seen to fail: without the round that sent S2 it is no trace of the model.
	n := slices.IndexFunc(steps, func(s cutover.TraceStep) bool { return s.Decision.Statement.Kind == cutover.Demote })
	if n < 0 || len(cutover.CheckTrace(plan, slices.Delete(slices.Clone(steps), n, n+1), false)) == 0 {
		b.t.Errorf("S2 (round %d) can be left out of the trace, and nobody notices", n)
	}
}

// writer is a client of dbo.ledger that remembers what was acknowledged to
// it, and the hooks that stop it and point it to the other side.
type writer struct {
	dbs  [2]*sql.DB
	mu   sync.Mutex
	at   int // 0 source, 1 target
	stop bool
	next int64
	acks []int64
	ran  []string
	done chan struct{}
	wg   sync.WaitGroup
}

func newWriter(t *testing.T, dsns ...string) *writer {
	t.Helper()
	w := &writer{done: make(chan struct{})}
	for i, d := range dsns {
		db, err := sql.Open("sqlserver", d)
		if err != nil {
			t.Fatal(err)
		}
		w.dbs[i] = db
		t.Cleanup(func() { _ = db.Close() })
	}
	w.wg.Go(func() {
		for {
			select {
			case <-w.done:
				return
			case <-time.After(2 * time.Millisecond):
				w.write()
			}
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *writer) end() {
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	w.wg.Wait()
}

// write holds the lock for as long as an INSERT takes, so that a quiesce waits
// for the one under way.
func (w *writer) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop {
		return
	}
	w.next++
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := w.dbs[w.at].ExecContext(ctx, "INSERT INTO dbo.ledger (id, note) VALUES (@p1, @p2)", w.next, "x"); err == nil {
		w.acks = append(w.acks, w.next)
	}
}

// Run implements hookRunner.
func (w *writer) Run(_ context.Context, _ config.Hook, env map[string]string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ran = append(w.ran, env["DAG_HOOK"])
	switch env["DAG_HOOK"] {
	case "quiesce":
		w.stop = true
	case "unquiesce":
		w.stop = false
	case "repoint":
		w.stop, w.at = false, 1
	}
	return "", nil
}

func (w *writer) acked() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acks)
}

// hooks are the names of those that ran.
func (w *writer) hooks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ran)
}

// missing rows: acknowledged, and not on that side.
func (w *writer) missing(t *testing.T, side int) (lost []int64) {
	t.Helper()
	rows, err := w.dbs[side].Query("SELECT id FROM dbo.ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	have := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		have[id] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range w.acked() {
		if !have[id] {
			lost = append(lost, id)
		}
	}
	return lost
}

// TestLabCutover is a whole cutover over real connections, under a client that
// writes all the time.
func TestLabCutover(t *testing.T) {
	b := newBench(t)
	b.start()
	rep := b.run()
	before := len(b.w.acked())
	for end := time.Now().Add(10 * time.Second); len(b.w.acked()) < before+20 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	b.w.end()
	var md bytes.Buffer
	if err := rep.Markdown(&md); err != nil {
		t.Fatal(err)
	}
	if rep.Outcome != "done" || rep.Proof == nil || len(rep.Proof.Rows) != 3 || rep.WriteUnavailable <= 0 {
		t.Fatalf("%s", md.String())
	}
	if n := len(b.w.acked()); n < before+20 {
		t.Errorf("the client got %d commits through at the target", n-before)
	}
	if lost := b.w.missing(t, 1); len(lost) > 0 {
		t.Errorf("%d acknowledged rows are not on the target: %v", len(lost), lost)
	}
	check, err := b.c.Check(t.Context())
	if err != nil || check.Status.Target.Role != "primary" || check.Status.Source.Role != "secondary" || check.Readiness != Never {
		t.Errorf("after the cutover: %+v, %v", check, err)
	}
	if strings.Contains(md.String(), lab.SAPassword) || strings.Contains(rep.Summary, lab.SAPassword) {
		t.Error("the report holds a password")
	}
	b.checkTrace()
	t.Logf("write-unavailable %.0f ms; %d commits", rep.WriteUnavailable*1000, len(b.w.acked()))
}

// TestLabWayBack: the target cannot be proven to hold everything, so the
// source takes its role again and the client goes on there.
func TestLabWayBack(t *testing.T) {
	b := newBench(t)
	b.dag.Cutover.MaxWriteUnavailable = config.Duration(4 * time.Second)
	b.around = func(s Server) Server {
		return &beforeDemote{Server: s, do: func() {
			if err := b.lab.Control().OverrideLSN(lab.Target, 0, "db002", "last_hardened_lsn", "1"); err != nil {
				t.Error(err)
			}
		}}
	}
	b.start()
	rep := b.run()
	before := len(b.w.acked())
	for end := time.Now().Add(10 * time.Second); len(b.w.acked()) < before+20 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	b.w.end()
	if rep.Outcome != "rolled_back" || rep.Proof != nil || rep.GoingBack == nil {
		var md bytes.Buffer
		_ = rep.Markdown(&md)
		t.Fatalf("%s", md.String())
	}
	for _, s := range rep.Statements {
		if s.Kind == string(cutover.Promote) && s.Side == "target" {
			t.Error("S3 was sent to the target without a proof")
		}
	}
	if n := len(b.w.acked()); n < before+20 {
		t.Errorf("the client got %d commits through after the way back", n-before)
	}
	if lost := b.w.missing(t, 0); len(lost) > 0 {
		t.Errorf("%d acknowledged rows are not on the source", len(lost))
	}
	b.checkTrace()
}

// beforeDemote does something immediately before S2.
type beforeDemote struct {
	Server
	do func()
}

func (s *beforeDemote) Lock(ctx context.Context, resource string) (Lock, error) {
	l, err := s.Server.Lock(ctx, resource)
	if err != nil {
		return nil, err
	}
	return &beforeDemoteLock{l, s.do}, nil
}

type beforeDemoteLock struct {
	Lock
	do func()
}

func (l *beforeDemoteLock) Do(ctx context.Context, st cutover.Statement, g Guard) error {
	if st.Kind == cutover.Demote {
		l.do()
	}
	return l.Lock.Do(ctx, st, g)
}

// TestLabDryRun: real servers, and not one of them is touched.
func TestLabDryRun(t *testing.T) {
	b := newBench(t)
	b.dag.Cutover.Mode = "dry_run"
	b.start()
	rep := b.run()
	if ran := b.w.hooks(); rep.Outcome != OutcomeRehearsed || len(ran) > 0 {
		var md bytes.Buffer
		_ = rep.Markdown(&md)
		t.Fatalf("hooks %v\n%s", ran, md.String())
	}
	check, err := b.c.Check(t.Context())
	if err != nil || check.Status.Source.Role != "primary" || check.Status.Target.Role != "secondary" || !strings.Contains(check.Status.Source.Modes, "asynchronous_commit") {
		t.Errorf("after a dry run: %+v, %v", check, err)
	}
	b.checkTrace()
}
