package exporter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/alerts"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is one side that answers as told.
type fake struct {
	opt     sqlserver.Options
	reads   atomic.Int32
	closed  atomic.Bool
	mu      sync.Mutex
	wants   []sqlserver.Want
	answers func(ctx context.Context) (*hadr.Reading, error)
}

func (f *fake) Read(ctx context.Context, want sqlserver.Want) (*hadr.Reading, error) {
	f.reads.Add(1)
	f.mu.Lock()
	f.wants = append(f.wants, want)
	f.mu.Unlock()
	return f.answers(ctx)
}

func (f *fake) Close() error { f.closed.Store(true); return nil }

// fleet opens fakes and remembers them.
type fleet struct {
	mu    sync.Mutex
	sides map[string]*fake // "dag/side"
	old   []*fake
	fail  string // Open fails for this one
}

func (f *fleet) open(opt sqlserver.Options) (Reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := opt.DAG + "/" + string(opt.Side)
	if f.fail == key {
		return nil, fmt.Errorf("%s: %s: cannot be opened", opt.DAG, opt.Side) // as sqlserver.Error begins
	}
	if before := f.sides[key]; before != nil {
		f.old = append(f.old, before)
	}
	s := &fake{opt: opt, answers: func(context.Context) (*hadr.Reading, error) { return reading(opt), nil }}
	f.sides[key] = s
	return s, nil
}

func (f *fleet) side(key string) *fake {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sides[key]
}

// reading is a synchronized side with one database.
func reading(opt sqlserver.Options) *hadr.Reading {
	r := &hadr.Reading{
		Side: opt.Side, Began: time.Now(), Ended: time.Now(),
		Identity: hadr.Identity{ServerName: "SQL-" + string(opt.Side) + "-" + opt.DAG, StartTime: "2026-01-01T00:00:00", Version: "16.0.4135.4"},
		DAG:      hadr.Group{Found: true, GroupID: "id-of-" + opt.Group, Name: opt.Group, Role: hadr.RolePrimary},
		Local: hadr.Group{Found: true, GroupID: opt.AG, Name: opt.AG, Role: hadr.RolePrimary, Members: []hadr.Member{
			{Name: "SQL-" + string(opt.Side), Mode: hadr.ModeSynchronous, IsLocal: hadr.Some(true), Role: hadr.RolePrimary}}},
	}
	end, hard := hadr.LSN{VLF: 10227, Block: 2419660, Slot: 1}, hadr.LSN{VLF: 10227, Block: 2419661, Slot: 1}
	row := func() *hadr.Replica {
		return &hadr.Replica{Sync: hadr.Synchronized, State: hadr.DBOnline, Suspended: hadr.Some(false), LastHardened: hard, EndOfLog: end,
			SendQueue: hadr.Some(int64(0)), RedoQueue: hadr.Some(int64(0))}
	}
	db := hadr.Database{Name: "db001", Joined: hadr.Some(true), State: hadr.DBOnline, Own: row()}
	for _, ag := range []string{"OnPremAG", "AzureAG"} {
		r.DAG.Members = append(r.DAG.Members, hadr.Member{Name: ag, Mode: hadr.ModeSynchronous, IsLocal: hadr.Some(ag == opt.AG), Connected: hadr.Some(true)})
	}
	if opt.Side == hadr.Source {
		db.Link = row()
	} else {
		r.DAG.Role = hadr.RoleSecondary
	}
	r.Databases = []hadr.Database{db}
	return r
}

func conf(names ...string) *config.Config {
	c := &config.Config{Path: "dag_exporter.yml"}
	for _, n := range names {
		c.DAGs = append(c.DAGs, config.DAG{Name: n, Group: "DAG-" + n, Lifecycle: "migrating",
			Source: config.Side{AG: "OnPremAG", Instances: []config.Secret{"sqlserver://sa:hunter2@" + config.Secret(n) + "-source?encrypt=strict"}},
			Target: config.Side{AG: "AzureAG", Instances: []config.Secret{"sqlserver://sa:hunter2@" + config.Secret(n) + "-target?encrypt=strict"}},
			Near:   config.Near{LogSendQueue: 64 << 20, RedoQueue: 256 << 20}})
	}
	return c
}

type bench struct {
	*Exporter
	fleet *fleet
	log   *strings.Builder
	load  func() (*config.Config, error)
}

func start(t *testing.T, names ...string) *bench {
	t.Helper()
	b := &bench{fleet: &fleet{sides: map[string]*fake{}}, log: &strings.Builder{}}
	b.load = func() (*config.Config, error) { return conf(names...), nil }
	e, err := New(Options{
		Load: func() (*config.Config, error) { return b.load() }, Open: b.fleet.open,
		Timeout: 10 * time.Second, TimeoutOffset: 500 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&locked{w: b.log}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Exporter = e
	t.Cleanup(e.Close)
	return b
}

type locked struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (b *bench) do(method, url string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	return w
}

func wantBody(t *testing.T, w *httptest.ResponseRecorder, code int, parts ...string) {
	t.Helper()
	if w.Code != code {
		t.Errorf("%d, want %d: %s", w.Code, code, w.Body)
	}
	for _, p := range parts {
		if !strings.Contains(w.Body.String(), p) {
			t.Errorf("no %q in:\n%s", p, w.Body)
		}
	}
}

func TestProbe(t *testing.T) {
	b := start(t, "erp", "crm")
	wantBody(t, b.do("GET", "/probe?target=erp"), 200,
		`mssql_dag_up{dag="erp",side="source"} 1`, `mssql_dag_up{dag="erp",side="target"} 1`,
		`mssql_dag_convergence_state{dag="erp",state="synchronized"} 1`,
		`mssql_dag_database_lsn_vlf{dag="erp",database="db001",lsn="last_hardened",side="target"} 10227`,
		`mssql_dag_database_lsn_block{dag="erp",database="db001",lsn="end_of_log",side="source"} 2.41966e+06`)
	wantBody(t, b.do("GET", "/probe?target=nowhere"), 404, `"nowhere"`)
	wantBody(t, b.do("GET", "/probe"), 400, "target=NAME")
	wantBody(t, b.do("GET", "/probe?target="), 400)
	wantBody(t, b.do("GET", "/probe?target=erp&target=crm"), 400)
	wantBody(t, b.do("GET", "/probe?target=erp&collect[]=nonsense"), 400, "nonsense", "lsn_slot")
	for _, bad := range []string{"x", "-1", "0", "NaN"} {
		wantBody(t, b.do("GET", "/probe?target=erp", timeoutHeader, bad), 400, "no number of seconds")
	}
	if b := b.do("GET", "/probe?target=erp").Body.String(); strings.Contains(b, `dag="crm"`) || strings.Contains(b, "go_goroutines") {
		t.Error("a probe answers about more than its target")
	}
	if n := b.fleet.side("crm/source").reads.Load(); n != 0 {
		t.Errorf("the other DAG was read %d times", n)
	}
}

func TestCollectChoosesWhatIsReadAndShown(t *testing.T) {
	b := start(t, "erp")
	w := b.do("GET", "/probe?target=erp&collect[]=summary&collect[]=lsn_slot&collect[]=seeding")
	wantBody(t, w, 200, "mssql_dag_up", "mssql_dag_database_lsn_slot")
	if strings.Contains(w.Body.String(), "mssql_dag_database_suspended") {
		t.Error("collector database is on")
	}
	b.do("GET", "/probe?target=erp")
	want := []sqlserver.Want{{Seeding: true, Certificates: true}, {Log: true, Certificates: true}}
	if got := b.fleet.side("erp/source").wants; !slices.Equal(got, want) {
		t.Errorf("wants %+v, want %+v", got, want)
	}
	// What only the engine may ask is never part of a scrape.
	if w := wantOf([]string{"summary", "database", "log", "replicas", "seeding", "suspend_reason", "lsn_slot", "state", "connection"}); w.Lineage || w.Rights || w.Transactions || w.Marker {
		t.Errorf("a scrape wants %+v", w)
	}
}

// A side that is down answers 200 with its reason; the other side's facts
// are there.
func TestDownSide(t *testing.T) {
	for _, tt := range []struct {
		err    error
		reason string
	}{
		{&sqlserver.Error{Op: "read", Side: hadr.Source, Reason: sqlserver.ReasonLogin, Err: errors.New("Login failed")}, "login"},
		{fmt.Errorf("wrapped: %w", &sqlserver.Error{Op: "read", Reason: sqlserver.ReasonBusy}), "busy"},
		{context.DeadlineExceeded, "timeout"},
		{errors.New("something else"), "query"},
		{&sqlserver.Error{Op: "read", Reason: "made up"}, "query"},
		{nil, "query"}, // neither reading nor error
	} {
		b := start(t, "erp")
		b.fleet.side("erp/source").answers = func(context.Context) (*hadr.Reading, error) { return nil, tt.err }
		wantBody(t, b.do("GET", "/probe?target=erp"), 200,
			`mssql_dag_up{dag="erp",side="source"} 0`, `mssql_dag_up{dag="erp",side="target"} 1`,
			fmt.Sprintf(`mssql_dag_scrape_error{dag="erp",reason="%s",side="source"} 1`, tt.reason),
			`mssql_dag_scrape_error{dag="erp",reason="none",side="target"} 1`,
			`mssql_dag_convergence_state{dag="erp",state="unknown"} 1`, `mssql_dag_convergence_reached{dag="erp",level="known"} 0`,
			`mssql_dag_role{dag="erp",role="secondary",side="target"} 1`)
	}
}

// A side that hangs, and does not even heed its context, is given up when
// the scrape's timeout minus the offset is over; the other side is served.
func TestHangingSide(t *testing.T) {
	for _, hung := range []string{"erp/source", "erp/target"} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, "erp")
			free := make(chan struct{})
			defer close(free)
			b.fleet.side(hung).answers = func(context.Context) (*hadr.Reading, error) { <-free; return nil, errors.New("late") }
			began := time.Now()
			w := b.do("GET", "/probe?target=erp", timeoutHeader, "4")
			if took := time.Since(began); took != 3500*time.Millisecond {
				t.Errorf("answered after %s, want 3.5s", took)
			}
			down := strings.TrimPrefix(hung, "erp/")
			wantBody(t, w, 200, fmt.Sprintf(`mssql_dag_up{dag="erp",side="%s"} 0`, down), fmt.Sprintf(`mssql_dag_up{dag="erp",side="%s"} 1`, hadr.Side(down).Other()),
				fmt.Sprintf(`mssql_dag_scrape_error{dag="erp",reason="timeout",side="%s"} 1`, down))
		})
	}
}

func TestTimeouts(t *testing.T) {
	b := start(t, "erp")
	for _, tt := range []struct {
		header string
		want   time.Duration
	}{
		{"", 10 * time.Second},
		{"5", 4500 * time.Millisecond},
		{"0.4", 200 * time.Millisecond}, // shorter than the offset
		{"1e300", longest - 500*time.Millisecond},
	} {
		r := httptest.NewRequest("GET", "/probe", nil)
		if tt.header != "" {
			r.Header.Set(timeoutHeader, tt.header)
		}
		if got, err := b.timeout(r); err != nil || got != tt.want {
			t.Errorf("header %q: %s, %v, want %s", tt.header, got, err, tt.want)
		}
	}
}

// Both sides are read at the same time; two who ask at the same time share
// one reading; who asks later gets a new one.
func TestReadingsAreSharedAndNeverKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, "erp")
		for _, key := range []string{"erp/source", "erp/target"} {
			f := b.fleet.side(key)
			f.answers = func(context.Context) (*hadr.Reading, error) {
				time.Sleep(time.Second)
				return reading(f.opt), nil
			}
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { wantBody(t, b.do("GET", "/probe?target=erp"), 200, `mssql_dag_up{dag="erp",side="source"} 1`) })
		}
		wg.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("two sides, one second each, took %s", took)
		}
		for _, key := range []string{"erp/source", "erp/target"} {
			if n := b.fleet.side(key).reads.Load(); n != 1 {
				t.Errorf("%s was read %d times by two scrapes at once", key, n)
			}
		}
		b.do("GET", "/probe?target=erp")
		if n := b.fleet.side("erp/source").reads.Load(); n != 2 {
			t.Errorf("read %d times, a later scrape must read again", n)
		}
	})
}

// Who began a reading may hang up: those who joined still get it. And who
// joined with less time gets its answer in its own time, with the side that
// was quick.
func TestJoining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, "erp")
		slow := b.fleet.side("erp/source")
		slow.answers = func(ctx context.Context) (*hadr.Reading, error) {
			select {
			case <-time.After(3 * time.Second):
				return reading(slow.opt), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		ctx, hangUp := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			r := httptest.NewRequestWithContext(ctx, "GET", "/probe?target=erp", nil)
			b.Handler().ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait()
		wg.Go(func() { wantBody(t, b.do("GET", "/probe?target=erp"), 200, `mssql_dag_up{dag="erp",side="source"} 1`) })
		wg.Go(func() {
			began := time.Now()
			wantBody(t, b.do("GET", "/probe?target=erp", timeoutHeader, "2"), 200, `mssql_dag_up{dag="erp",side="source"} 0`, `mssql_dag_up{dag="erp",side="target"} 1`)
			if took := time.Since(began); took != 1500*time.Millisecond {
				t.Errorf("answered after %s", took)
			}
		})
		synctest.Wait()
		hangUp()
		wg.Wait()
		if n := slow.reads.Load(); n != 1 {
			t.Errorf("read %d times", n)
		}
	})
}

func TestTwoNamesForOneGroup(t *testing.T) {
	b := start(t, "erp", "crm", "web")
	for _, key := range []string{"crm/source", "crm/target"} {
		f := b.fleet.side(key)
		f.answers = func(context.Context) (*hadr.Reading, error) {
			r := reading(f.opt)
			r.DAG.GroupID = "ID-OF-DAG-erp"
			return r, nil
		}
	}
	b.do("GET", "/metrics")
	w := b.do("GET", "/metrics")
	for _, dag := range []string{"erp", "crm"} {
		for _, side := range []string{"source", "target"} {
			wantBody(t, w, 200, fmt.Sprintf(`mssql_dag_scrape_error{dag="%s",reason="duplicate",side="%s"} 1`, dag, side), fmt.Sprintf(`mssql_dag_up{dag="%s",side="%s"} 0`, dag, side))
		}
		wantBody(t, w, 200, fmt.Sprintf(`mssql_dag_convergence_state{dag="%s",state="unknown"} 1`, dag))
	}
	wantBody(t, w, 200, `mssql_dag_up{dag="web",side="source"} 1`)
	wantBody(t, b.do("GET", "/"), 200, "one and the same distributed availability group")
	// Gone from the configuration, the other one is itself again.
	b.load = func() (*config.Config, error) { return conf("erp", "web"), nil }
	wantBody(t, b.do("POST", "/-/reload"), 200)
	wantBody(t, b.do("GET", "/metrics"), 200, `mssql_dag_up{dag="erp",side="source"} 1`)
}

func TestMetrics(t *testing.T) {
	few := start(t, "a", "b", "c", "d", "e")
	wantBody(t, few.do("GET", "/metrics"), 200, "go_goroutines", "dag_exporter_build_info", "mssql_dag_config_last_reload_successful 1",
		`mssql_dag_up{dag="a",side="source"} 1`, `mssql_dag_up{dag="e",side="target"} 1`)
	many := start(t, "a", "b", "c", "d", "e", "f")
	w := many.do("GET", "/metrics")
	wantBody(t, w, 200, "go_goroutines")
	if strings.Contains(w.Body.String(), "mssql_dag_up") || many.fleet.side("a/source").reads.Load() != 0 {
		t.Error("more DAGs than /metrics holds are in it")
	}
}

func TestDiscovery(t *testing.T) {
	b := start(t, "erp", "crm")
	w := b.do("GET", "/sd")
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %s", got)
	}
	var got []struct {
		Targets []string
		Labels  map[string]string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].Targets[0] != "crm" || got[1].Labels["__meta_mssql_dag_group"] != "DAG-crm" || got[1].Labels["__meta_mssql_dag_lifecycle"] != "migrating" {
		t.Errorf("%+v", got)
	}
	if w := start(t).do("GET", "/sd"); strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("no DAG: %s", w.Body)
	}
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, "erp", "crm")
		wantBody(t, b.do("GET", "/-/reload"), http.StatusMethodNotAllowed)
		erp, crm := b.fleet.side("erp/source"), b.fleet.side("crm/source")

		b.load = func() (*config.Config, error) { return nil, errors.New("dag_exporter.yml:7: unknown key") }
		wantBody(t, b.do("POST", "/-/reload"), 500, "dag_exporter.yml:7", "stays in force")
		w := b.do("GET", "/metrics")
		wantBody(t, w, 200, "mssql_dag_config_last_reload_successful 0", `mssql_dag_up{dag="crm",side="source"} 1`)

		// One that cannot be opened leaves everything as it was too.
		b.load = func() (*config.Config, error) { return conf("new", "bad"), nil }
		b.fleet.fail = "bad/target"
		wantBody(t, b.do("POST", "/-/reload"), 500, "\nbad: target: cannot be opened")
		if !b.fleet.side("new/source").closed.Load() || !b.fleet.side("bad/source").closed.Load() || erp.closed.Load() {
			t.Error("the wrong sides were closed")
		}

		// crm goes, web comes, erp stays with its connections; a scrape of crm
		// under way ends first.
		crm.answers = func(context.Context) (*hadr.Reading, error) {
			time.Sleep(time.Second)
			if crm.closed.Load() {
				t.Error("closed under a scrape")
			}
			return reading(crm.opt), nil
		}
		var wg sync.WaitGroup
		wg.Go(func() { wantBody(t, b.do("GET", "/probe?target=crm"), 200, `mssql_dag_up{dag="crm",side="source"} 1`) })
		synctest.Wait()
		b.load = func() (*config.Config, error) { return conf("erp", "web"), nil }
		wantBody(t, b.do("POST", "/-/reload"), 200, "reloaded")
		wantBody(t, b.do("GET", "/probe?target=crm"), 404)
		wg.Wait()
		synctest.Wait()
		if !crm.closed.Load() || erp.closed.Load() || b.fleet.side("erp/source") != erp {
			t.Error("connections of the DAG that went are open, or of the one that stayed were not kept")
		}
		wantBody(t, b.do("GET", "/metrics"), 200, "mssql_dag_config_last_reload_successful 1", `mssql_dag_up{dag="web",side="target"} 1`)

		// Another DSN is another side.
		b.load = func() (*config.Config, error) {
			c := conf("erp", "web")
			c.DAGs[0].Source.Instances[0] = "sqlserver://sa:hunter3@elsewhere?encrypt=strict"
			return c, nil
		}
		wantBody(t, b.do("POST", "/-/reload"), 200)
		synctest.Wait()
		if !erp.closed.Load() || b.fleet.side("erp/source") == erp {
			t.Error("the old DSN is still in use")
		}
	})
}

func TestPage(t *testing.T) {
	b := start(t, "erp", "crm<script>")
	wantBody(t, b.do("GET", "/"), 200, "erp", "not scraped yet", "crm&lt;script&gt;")
	if n := b.fleet.side("erp/source").reads.Load(); n != 0 {
		t.Error("the page asks the servers")
	}
	b.fleet.side("erp/target").answers = func(context.Context) (*hadr.Reading, error) {
		return nil, &sqlserver.Error{Op: "read", DAG: "erp", Side: hadr.Target, Instance: "azure1", Reason: sqlserver.ReasonRefused, Err: errors.New("connection <refused>")}
	}
	for range 3 {
		b.do("GET", "/metrics")
	}
	w := b.do("GET", "/")
	wantBody(t, w, 200, "synchronized", "source_to_target", "SQL-source-erp", "OnPremAG", "10227000241966000001", "connection &lt;refused&gt;", "crm%3cscript%3e")
	if n := strings.Count(w.Body.String(), "<td>refused</td>"); n != 1 {
		t.Errorf("an error that goes on is listed %d times", n)
	}
	if n := strings.Count(b.log.String(), "side was not read"); n != 1 {
		t.Errorf("an error that goes on was logged %d times:\n%s", n, b.log)
	}
	wantBody(t, b.do("GET", "/nowhere"), 404)
}

func TestHealth(t *testing.T) {
	b := start(t)
	wantBody(t, b.do("GET", "/-/healthy"), 200)
	wantBody(t, b.do("GET", "/-/ready"), 200)
	b.Drain()
	wantBody(t, b.do("GET", "/-/ready"), 503)
	wantBody(t, b.do("GET", "/-/healthy"), 200)
}

// No answer, page or log line shows what is in a DSN.
func TestSecrets(t *testing.T) {
	b := start(t, "erp")
	b.fleet.side("erp/source").answers = func(context.Context) (*hadr.Reading, error) { return nil, errors.New("x") }
	var all strings.Builder
	for _, url := range []string{"/metrics", "/probe?target=erp", "/sd", "/", "/probe?target=nowhere"} {
		all.WriteString(b.do("GET", url).Body.String())
	}
	all.WriteString(b.do("POST", "/-/reload").Body.String())
	if strings.Contains(all.String()+b.log.String(), "hunter2") {
		t.Error("a password got out")
	}
}

func TestNewRefuses(t *testing.T) {
	good := func() (*config.Config, error) { return conf("erp"), nil }
	f := &fleet{sides: map[string]*fake{}}
	if _, err := New(Options{Load: func() (*config.Config, error) { return nil, errors.New("bad file") }, Open: f.open}); err == nil || !strings.Contains(err.Error(), "bad file") {
		t.Errorf("bad file: %v", err)
	}
	if _, err := New(Options{Load: good, Open: f.open, Groups: []string{"nonsense"}}); err == nil {
		t.Error("unknown collector taken")
	}
	f.fail = "erp/target"
	if _, err := New(Options{Load: good, Open: f.open}); err == nil || !f.side("erp/source").closed.Load() {
		t.Errorf("half-open: %v", err)
	}
}

// Every runbook_url of the rules leads to a text here, and the page leads to
// all of them.
func TestRunbooks(t *testing.T) {
	b := start(t, "a")
	links := regexp.MustCompile(`runbook_url: (\S+)`).FindAllSubmatch(alerts.Rules, -1)
	if len(links) == 0 {
		t.Fatal("the rules have no runbook_url")
	}
	page := b.do("GET", "/")
	for _, l := range links {
		path := string(l[1])
		w := b.do("GET", path)
		wantBody(t, w, 200, "# ")
		if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("%s: %s", path, got)
		}
		wantBody(t, page, 200, `href="`+strings.TrimPrefix(path, "/")+`"`)
	}
	wantBody(t, b.do("GET", "/runbooks/DAGConverged.md"), 200, "# ")
	wantBody(t, b.do("GET", "/runbooks/Nonsense"), 404, "DAGConverged")
	for _, path := range []string{"/runbooks/..%2Frules", "/runbooks/%2e%2e%2f%2e%2e%2falerts.go"} {
		if w := b.do("GET", path); w.Code == 200 {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}
