//go:build accept

package accept

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/dag-exporter/dag_exporter/tools/internal/promproc"
	"github.com/dag-exporter/dag_exporter/tools/internal/rulegen"
)

// unseen are the selectors that may find no series throughout the run of
// TestExpressions, each with the reason.
var unseen = map[string]string{
	`mssql_dag_read_statement_failed`:            "the lab answers every statement of a reading",
	`mssql_dag_read_statement_failed{dag="erp"}`: "the lab answers every statement of a reading",
	`ALERTS{alertname!="DAGWatchdog",alertname=~"DAG.*",alertstate="firing",dag="",severity="info"}`:     "no alert of that severity is without a DAG",
	`ALERTS{alertname!="DAGWatchdog",alertname=~"DAG.*",alertstate="firing",dag="",severity="critical"}`: "no alert of that severity is without a DAG",
}

// TestExpressions asks a real Prometheus for every expression of every panel and
// rule, over a run with load, faults, a cutover and a split: each returns something
// at some time, and every series that it selects is there at some time.
func TestExpressions(t *testing.T) {
	t.Parallel()
	w := newExprWorld(t)
	w.play()
	to := time.Now()

	names, err := w.prom.MetricNames()
	if err != nil {
		t.Fatal(err)
	}
	all := w.expressions()
	if len(all) < 100 {
		t.Fatalf("only %d expressions were found: the way they are looked for is wrong", len(all))
	}
	used := map[string]bool{}
	for _, e := range all {
		for _, complaint := range w.judge(e, names, to, used) {
			t.Errorf("%s: %s\n%s", e.name, complaint, e.text)
		}
	}
	for name := range unseen {
		if !used[name] {
			t.Errorf("%s is excused, and needs no excuse", name)
		}
	}
	t.Logf("%d expressions over %.0f s", len(all), to.Sub(w.from).Seconds())
}

// expression is one of a rule, a panel, an annotation or a variable.
type expression struct {
	name string // the rule, or the panel with its board
	text string
}

// filled is what Grafana puts into an expression.
var filled = strings.NewReplacer(`"$1"`, `"$1"`, "$__rate_interval", "10s", "$__range", "5m", "$__interval", "1s", "$dag", "erp", "${dag}", "erp",
	"$database", ".*", "${database}", ".*", "$budget", "60")

// expressions are those of rules.yml as made for this run, and of every board.
func (w *exprWorld) expressions() (out []expression) {
	for _, r := range w.rules() {
		out = append(out, expression{r.Record + r.Alert, r.Expr})
	}
	paths, err := filepath.Glob(filepath.Join(root(w.t), "dashboards", "*.json"))
	if err != nil || len(paths) == 0 {
		w.t.Fatal("no dashboards", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		var board any
		if err := json.Unmarshal(b, &board); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, inBoard(filepath.Base(path), board)...)
	}
	for i := range out {
		out[i].text = filled.Replace(out[i].text)
	}
	return out
}

var labelValues = regexp.MustCompile(`^label_values\((.*), *\w+\)$`)

// inBoard finds every expression of a board, wherever it stands.
func inBoard(where string, node any) (out []expression) {
	switch n := node.(type) {
	case []any:
		for _, v := range n {
			out = append(out, inBoard(where, v)...)
		}
	case map[string]any:
		if title, ok := n["title"].(string); ok && title != "" {
			where += ": " + title
		}
		if expr, ok := n["expr"].(string); ok {
			out = append(out, expression{where, expr})
		}
		if q, ok := n["query"].(string); ok {
			if m := labelValues.FindStringSubmatch(q); m != nil {
				out = append(out, expression{where + ": a variable", m[1]})
			}
		}
		for _, k := range slices.Sorted(maps.Keys(n)) {
			out = append(out, inBoard(where, n[k])...)
		}
	}
	return out
}

// judge is what is wrong with an expression, after the run.
func (w *exprWorld) judge(e expression, names map[string]bool, to time.Time, used map[string]bool) (complaints []string) {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(e.text)
	if err != nil {
		return []string{err.Error()}
	}
	selectors, excused := 0, 0
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		selectors++
		bare := *v
		bare.OriginalOffset, bare.Timestamp, bare.StartOrEnd = 0, nil, 0
		selector := bare.String()
		if v.Name != "" && !names[v.Name] {
			if _, ok := unseen[selector]; ok {
				used[selector] = true
				excused++
				return nil
			}
			complaints = append(complaints, "nobody emits "+v.Name)
			return nil
		}
		found, err := w.prom.Query("count(last_over_time(" + selector + "[30m]))")
		switch {
		case err != nil:
			complaints = append(complaints, err.Error())
		case len(found) == 0:
			if _, ok := unseen[selector]; ok {
				used[selector] = true
				excused++
				return nil
			}
			complaints = append(complaints, "there was never a series "+selector)
		}
		return nil
	})
	if len(complaints) > 0 || selectors > 0 && excused == selectors {
		return complaints // and so is what it returns
	}
	series, err := w.prom.QueryRange(e.text, w.from, to, time.Second)
	if err != nil {
		return []string{err.Error()}
	}
	if len(series) == 0 {
		return []string{"it returned nothing throughout"}
	}
	return nil
}

// exprWorld is everything that the product needs, on the lab.
type exprWorld struct {
	*crashWorld
	exporter, webhook *process
	exporterAddr      string
	prom              *promproc.Prometheus
	from              time.Time
}

func newExprWorld(t *testing.T) *exprWorld {
	w := &exprWorld{crashWorld: newCrashWorld(t), exporterAddr: freeAddress(t)}
	// Long enough for a scrape every second to see each phase.
	w.ctl("timing", `timing={"demote":"2s","failover":"2s","session_timeout":"3s"}`)
	w.exporter = start(t, w.dir, program(t, "dag_exporter"), "--config.file=dag.yml", "--web.listen-address="+w.exporterAddr)
	w.webhook = w.crashWorld.webhook()

	shipped := func(path string, changes ...string) string {
		b, err := os.ReadFile(filepath.Join(root(t), path))
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for i := 0; i < len(changes); i += 2 {
			if !strings.Contains(text, changes[i]) {
				t.Fatalf("%s has no %q", path, changes[i])
			}
			text = strings.ReplaceAll(text, changes[i], changes[i+1])
		}
		return text
	}
	write(t, w.dir, "alertmanager-password", w.secret)
	write(t, w.dir, "prometheus-password", w.secret)
	write(t, w.dir, "alertmanager.yml", shipped("alerts/alertmanager.yml", "cutover-webhook:19969", w.addr, "username: alertmanager", "username: am"))
	am, err := promproc.StartAlertmanager(t, w.dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.dir, "prometheus.yml", shipped("deploy/prometheus.yml", "dag-exporter:19968", w.exporterAddr, "cutover-webhook:19969", w.addr,
		"alertmanager:9093", strings.TrimPrefix(am.URL, "http://"), "username: prometheus", "username: ops",
		"scrape_interval: 5s", "scrape_interval: 1s", "scrape_timeout: 4s", "scrape_timeout: 1s", "evaluation_interval: 5s", "evaluation_interval: 1s",
		"refresh_interval: 1m", "refresh_interval: 5s"))
	values, err := rulegen.Read(filepath.Join(root(t), "alerts", "values.yml"))
	if err != nil {
		t.Fatal(err)
	}
	// The shipped expressions with thresholds that a run of minutes crosses.
	maps.Copy(values, rulegen.Values{"scrape_interval_seconds": 1, "send_queue_bytes": 50000, "redo_queue_bytes": 50000, "log_used_ratio": 0,
		"certificate_expiring_days": 100000, "delivery_silent_seconds": 3, "held_too_long_seconds": 1, "phase_stuck_seconds": 1})
	rules, err := rulegen.Generate(values, filepath.Join(root(t), "alerts", "rules.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.dir, "rules.yml", string(rules))
	w.from = time.Now()
	if w.prom, err = promproc.StartPrometheus(t, w.dir); err != nil {
		t.Fatal(err)
	}
	return w
}

type liveRule struct{ Record, Alert, Expr string }

func (w *exprWorld) rules() (out []liveRule) {
	b, err := os.ReadFile(filepath.Join(w.dir, "rules.yml"))
	if err != nil {
		w.t.Fatal(err)
	}
	var file struct {
		Groups []struct{ Rules []liveRule }
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		w.t.Fatal(err)
	}
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// ctl drives the lab.
func (w *exprWorld) ctl(args ...string) {
	w.t.Helper()
	if code, text := output(w.t, w.dir, program(w.t, "dag_lab"), append([]string{"ctl", "--url=" + w.lab.Control}, args...)...); code != 0 {
		w.t.Fatalf("dag_lab ctl %v: %s", args, text)
	}
}

// sees waits until Prometheus has it.
func (w *exprWorld) sees(expr string) {
	w.t.Helper()
	if err := promproc.Until(w.t.Context(), "Prometheus sees "+expr, func() error {
		found, err := w.prom.Query(expr)
		if err == nil && len(found) == 0 {
			err = errors.New("it does not")
		}
		return err
	}); err != nil {
		s, _ := w.status()
		w.t.Fatalf("%v\nthe webhook: %+v", err, s)
	}
}

// play is the run. Each step waits for what Prometheus sees of it, and so does its
// end: nothing here depends on how fast the machine is.
func (w *exprWorld) play() {
	w.sees(`count(mssql_dag_up == 1) == 2`)
	w.sees(`mssql_dag_cutover_gate_open`)

	// The link, while nothing waits: nothing leads to convergence then.
	w.ctl("cut")
	w.sees(`mssql_dag_link_connected == 0`)
	w.sees(`mssql_dag_database_log_held_by_replica == 1`)
	w.sees(`mssql_dag_database_synchronization_state{state="not_synchronizing"} == 1`)
	w.ctl("heal")
	w.sees(`mssql_dag_link_connected == 1`)

	// Load, more of it than the link takes, and a forwarder that does not redo.
	w.ctl("load", "rows=200", "bytes=4000")
	w.ctl("link", "latency=2ms", "bandwidth=20000")
	w.sees(`dag:mssql_dag_log_send_queue_bytes:sum > 50000 and dag:mssql_dag_log_send_queue_bytes:deriv5m > 0`)
	w.ctl("link", "latency=2ms", "bandwidth=125000000")
	w.sees(`mssql_dag_convergence_reached{level="near"} == 1`)
	w.ctl("redo", "side=target", "kbps=-1")
	w.sees(`dag:mssql_dag_redo_queue_bytes:sum > 50000 and dag:mssql_dag_redo_queue_bytes:deriv5m > 0`)
	w.ctl("redo", "side=target", "kbps=1000000")
	w.ctl("load", "rows=20", "bytes=500")

	// Faults of one side.
	w.ctl("suspend", "side=target", "database=db001")
	w.sees(`mssql_dag_database_suspended == 1`)
	w.ctl("resume", "side=target", "database=db001")
	w.ctl("stop", "side=target")
	w.sees(`mssql_dag_up{side="target"} == 0`)
	w.ctl("start", "side=target")
	w.sees(`mssql_dag_up{side="target"} == 1`)
	w.ctl("clock", "side=source", "offset=1h")
	w.sees(`abs(mssql_dag_clock_offset_seconds) > 1000`)
	w.ctl("clock", "side=source", "offset=0s")

	// An address that one side alone was told.
	for _, s := range []struct{ url, seen string }{
		{"tcp://elsewhere:5022", `mssql_dag_listener_urls_agree == 0`},
		{"tcp://AzureAG-listener:5022", `min(mssql_dag_listener_urls_agree) == 1`},
	} {
		w.ctl("execute", "side=target", "statement=ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'AzureAG' WITH (LISTENER_URL = N'"+s.url+"');")
		w.sees(s.seen)
	}

	// A database leaves the source's group and comes back. The target's copy is in
	// the way of its seeding, until it has left too; the link decides how long the
	// next one takes.
	w.ctl("execute", "side=source", "statement=ALTER AVAILABILITY GROUP [OnPremAG] REMOVE DATABASE [db002];")
	w.sees(`mssql_dag_database_present{side="source",database="db002"} == 0`)
	w.ctl("execute", "side=source", "statement=ALTER AVAILABILITY GROUP [OnPremAG] ADD DATABASE [db002];")
	w.sees(`mssql_dag_database_seeding_info{side="source",database="db002",state=~"(?i)failed.*",failure!=""} == 1`)
	w.sees(`mssql_dag_database_present{side="source",database="db002"} == 1`)
	w.ctl("execute", "side=target", "statement=ALTER DATABASE [db002] SET HADR OFF;")
	w.sees(`mssql_dag_database_present{side="target",database="db002"} == 0`)
	w.ctl("link", "latency=2ms", "bandwidth=2000000")
	w.ctl("seed", "side=target", "database=db002", "bytes=500000000")
	w.sees(`mssql_dag_database_seeding_running{side="source",database="db002"} == 1 and mssql_dag_database_seeding_transferred_bytes > 0`)
	w.sees(`mssql_dag_database_seeding_estimated_end_timestamp_seconds{side="source",database="db002"} > time()`)
	w.ctl("link", "latency=2ms", "bandwidth=125000000")
	w.sees(`count(mssql_dag_database_present == 1) == 4`)
	w.sees(`mssql_dag_database_seeding_info{side="source",database="db002",state=~"(?i)completed"} == 1`)

	for _, s := range []struct{ with, seen string }{
		{`'AzureAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)`, `count(mssql_dag_availability_mode{mode="synchronous_commit"} == 1) == 1`},
		{`'AzureAG' WITH (AVAILABILITY_MODE = ASYNCHRONOUS_COMMIT)`, `count(mssql_dag_availability_mode{mode="asynchronous_commit"} == 1) == 4`},
	} {
		w.ctl("execute", "side=source", "statement=ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON "+s.with+";")
		w.sees(s.seen)
	}
	w.ctl("rsstc", "side=source", "value=1")
	w.sees(`mssql_dag_required_synchronized_secondaries == 1`)
	w.sees(`mssql_dag_cutover_pages_open > 0`) // the webhook reads less often than it is scraped
	w.ctl("rsstc", "side=source", "value=0")
	w.sees(`max(mssql_dag_required_synchronized_secondaries) == 0 and max(mssql_dag_cutover_pages_open) == 0`)
	if resp, err := http.Post("http://am:"+w.secret+"@"+w.addr+"/api/v1/alerts", "application/json", strings.NewReader("{")); err == nil {
		_ = resp.Body.Close()
	}

	// Both sides in synchronous commit, without a run.
	both := "statement=ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'OnPremAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT), 'AzureAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT);"
	w.ctl("execute", "side=source", both)
	w.ctl("execute", "side=target", both)
	w.ctl("load", "rows=0")
	w.mu.Lock()
	w.paused = true // at rest it converges
	w.mu.Unlock()
	w.sees(`ALERTS{alertname="DAGSynchronized"}`)
	w.mu.Lock()
	w.paused = false
	w.mu.Unlock()

	// The cutover: armed and held, then released. The alert starts it.
	w.post("ops", "hold", `{"reason": "test"}`)
	w.sees(`mssql_dag_cutover_held_since_timestamp_seconds > 0`)
	w.sees(`mssql_dag_cutover_held_since_timestamp_seconds > 0 and time() - mssql_dag_cutover_held_since_timestamp_seconds > 1`)
	w.arm()
	w.sees(`mssql_dag_cutover_armed_until_timestamp_seconds > 0`)
	w.post("ops", "release", `{"reason": "test"}`)
	if end := w.ended(); end != "done" {
		w.t.Fatalf("the cutover ended as %q", end)
	}
	w.sees(`mssql_dag_direction{direction="target_to_source"} == 1`)
	w.sees(`mssql_dag_cutover_runs_total{outcome="done"} > 0`)

	// Somebody makes two primaries.
	w.ctl("execute", "side=source", "statement=ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS;")
	w.sees(`mssql_dag_convergence_state{state="split"} == 1`)
	w.sees(`sum without (side) (dag_side:mssql_dag_role_primary:max) == 2`)
	w.sees(`mssql_dag_cutover_pages_open > 0`)

	// The product itself: a config that does not load, and each program gone.
	good, err := os.ReadFile(filepath.Join(w.dir, "dag.yml"))
	if err != nil {
		w.t.Fatal(err)
	}
	write(w.t, w.dir, "dag.yml", "nonsense: true\n")
	if err := w.exporter.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		w.t.Fatal(err)
	}
	w.sees(`mssql_dag_config_last_reload_successful == 0`)
	write(w.t, w.dir, "dag.yml", string(good))
	for p, seen := range map[*process]string{
		w.webhook:  `up{job="cutover_webhook"} == 0`,
		w.exporter: `up{job="dag_exporter"} == 0 and on () (up{job="dag"} == 0)`,
	} {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			w.t.Fatal(err)
		}
		w.sees(seen)
	}
	w.sees(`last_over_time(mssql_dag_up[1h] offset 2s) unless (mssql_dag_up offset 2s)`)
}
