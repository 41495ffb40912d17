package collector

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

var update = flag.Bool("update", false, "write golden files")

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	reasons = []string{"none", "busy", "timeout", "refused", "login", "tls", "permission", "no_primary", "no_dag", "hadr_off", "version", "identity", "duplicate", "query"}
)

func some[T any](v T) hadr.Opt[T] { return hadr.Some(v) }

// side is a reading with every fact known.
func side(s hadr.Side, names ...string) *hadr.Reading {
	local, server, groupID, began, dagRole := "OnPremAG", `SQL1\PROD`, "be9be8c9-6e17-1132-bfba-8b7d2c28afdb", noon, hadr.RolePrimary
	if s == hadr.Target {
		local, server, groupID, began, dagRole = "AzureAG", "SQL2", "04539685-21fa-dff2-d990-b45a6bcdd4cd", noon.Add(5*time.Millisecond), hadr.RoleSecondary
	}
	r := &hadr.Reading{
		Side: s, Began: began, Ended: began.Add(20 * time.Millisecond),
		Identity: hadr.Identity{ServerName: server, StartTime: "2026-02-01T08:00:00", Major: 16, Version: "16.0.4135.4", Edition: "Enterprise Edition (64-bit)",
			Platform: "windows", ServerUTC: some(began.Add(260 * time.Millisecond)), Encrypted: some(true)},
		DAG: hadr.Group{Found: true, GroupID: "6bc05a51-aa36-a196-09bd-481d7a0973c0", Name: "DAG", Role: dagRole, RSSTC: some(int64(0))},
		Local: hadr.Group{Found: true, GroupID: groupID, Name: local, Role: hadr.RolePrimary, Members: []hadr.Member{
			{Name: server, Mode: hadr.ModeSynchronous, IsLocal: some(true), Role: hadr.RolePrimary, Connected: some(true), OperationalState: "online"},
			{Name: server + "B", Mode: hadr.ModeSynchronous, IsLocal: some(false), Role: hadr.RoleSecondary, Connected: some(true), LastConnectError: some(int64(10060))},
		}},
		Certificates: []hadr.Certificate{{Name: "dag_cert", Expiry: some(noon.AddDate(1, 0, 0))}, {Name: "later", Expiry: some(noon.AddDate(2, 0, 0))}, {Name: "never"}},
		Databases:    []hadr.Database{},
	}
	for _, m := range []string{"OnPremAG", "AzureAG"} {
		member := hadr.Member{Name: m, Mode: hadr.ModeSynchronous, EndpointURL: "tcp://" + strings.ToLower(m) + ".example.com:5022"}
		if s == hadr.Source {
			member.IsLocal, member.Connected = some(m == local), some(true)
		}
		r.DAG.Members = append(r.DAG.Members, member)
	}
	for _, name := range names {
		db := hadr.Database{
			Name: name, Joined: some(true), State: hadr.DBOnline,
			Own: &hadr.Replica{Name: server, IsPrimary: some(true), Sync: hadr.Synchronized, State: hadr.DBOnline, Suspended: some(false),
				LastHardened: hadr.LSN{VLF: 10227, Block: 2419661, Slot: 1}, EndOfLog: hadr.LSN{VLF: 10227, Block: 2419660, Slot: 1},
				Recovery: hadr.LSN{VLF: 4294967295, Block: 4294967295, Slot: 1}, LastCommitTime: some(noon.Add(-time.Second))},
			Replicas: []hadr.Replica{{Name: server + "B", Sync: hadr.Synchronized, Suspended: some(false), SendQueue: some(int64(2048)), RedoQueue: some(int64(4096))}},
			LogUsed:  some(int64(1 << 20)), LogSize: some(int64(1 << 30)), LogReuseWait: "nothing", LogFlushed: some(int64(123456789)), Writes: some(int64(4711)),
		}
		if s == hadr.Source {
			db.Link = &hadr.Replica{Name: "AzureAG", Sync: hadr.Synchronized, Suspended: some(false), LastHardened: hadr.LSN{VLF: 10227, Block: 2419661, Slot: 1},
				SendQueue: some(int64(0)), SendRate: some(int64(9 << 20)), RedoQueue: some(int64(1024)), RedoRate: some(int64(5 << 20)), SecondaryLag: some(int64(0))}
		}
		r.Databases = append(r.Databases, db)
	}
	return r
}

func snapshot(source, target *hadr.Reading, expected ...string) *Snapshot {
	result := func(r *hadr.Reading) SideResult {
		if r == nil {
			return SideResult{Reason: "timeout", Duration: 3 * time.Second, Verified: some(true)}
		}
		return SideResult{Reading: r, Reason: ReasonNone, Duration: 25 * time.Millisecond, Verified: some(true)}
	}
	return &Snapshot{DAG: "erp-prod", Source: result(source), Target: result(target), Convergence: hadr.Compare(source, target, hadr.Options{
		Group: "DAG", Databases: expected, Near: hadr.Bounds{LogSendQueue: 64 << 20, RedoQueue: 256 << 20},
	})}
}

func both(names ...string) (source, target *hadr.Reading) {
	return side(hadr.Source, names...), side(hadr.Target, names...)
}

func mustNew(t testing.TB, groups []string, s ...*Snapshot) *Collector {
	t.Helper()
	c, err := New(Options{Groups: groups, Reasons: reasons}, s...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exposition is what a scrape of c is answered with.
func exposition(t testing.TB, c prometheus.Collector) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// series are the sample lines without their values.
func series(t testing.TB, c prometheus.Collector) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for line := range strings.Lines(exposition(t, c)) {
		if !strings.HasPrefix(line, "#") {
			out[line[:strings.LastIndexByte(line, ' ')]] = true
		}
	}
	return out
}

// golden holds a group's whole exposition against testdata, and lints it.
func golden(t *testing.T, file string, c *Collector) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(exposition(t, c)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	if err := testutil.CollectAndCompare(c, f); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Each group by itself, over a healthy pair whose LSNs have 20 digits, a pair
// that is far apart, and one with a side that is down.
func TestGroups(t *testing.T) {
	if len(Groups()) < 7 {
		t.Fatalf("only %d groups", len(Groups()))
	}
	for _, g := range Groups() {
		t.Run(g.Name, func(t *testing.T) {
			source, target := both("db001")
			golden(t, g.Name+"_healthy.prom", mustNew(t, []string{g.Name}, snapshot(source, target)))
			source, target = troubled()
			golden(t, g.Name+"_troubled.prom", mustNew(t, []string{g.Name}, snapshot(source, target, "db001", "ghost")))
			golden(t, g.Name+"_source_down.prom", mustNew(t, []string{g.Name}, snapshot(nil, side(hadr.Target, "db001"), "db001")))
		})
	}
}

// troubled has what can go wrong with a pair that was read.
func troubled() (source, target *hadr.Reading) {
	source, target = both("db001", "only")
	target.Databases = target.Databases[:1]
	db, there := &source.Databases[0], &target.Databases[0]
	db.Own.EndOfLog = hadr.LSN{VLF: 4294967294, Block: 4294967295, Slot: 65535} // 25 digits
	db.Own.LastHardened = hadr.LSN{VLF: 10227, Block: 2419661, Slot: 2}         // one slot more than the target
	db.Link.Suspended, db.Link.SuspendReason, db.Link.Sync = some(true), "user", hadr.NotSynchronizing
	db.LogReuseWait = "availability_replica"
	there.State = hadr.DBRestoring
	there.Own.LastCommitTime = some(noon.Add(-90 * time.Second))
	source.DAG.Members[1].Connected, source.DAG.Members[1].LastConnectError = some(false), some(int64(10061))
	source.DAG.Members[0].Mode = hadr.ModeAsynchronous
	target.DAG.Members[0].EndpointURL = "tcp://old.example.com:5022"
	target.Missing = []string{"VIEW SERVER STATE"}
	target.Failed = []string{"certificates"}
	target.Certificates = nil
	target.Identity.Encrypted = some(false)
	source.Seeding = []hadr.Seeding{
		{Database: "only", State: "SEEDING", Running: true, Transferred: some(int64(1 << 30)), Size: some(int64(4 << 30)), EstimatedEnd: some(noon.Add(time.Hour))},
		{Database: "db001", State: "COMPLETED"},
		{Database: "db001", State: "FAILED", Failure: "Seeding Check Message Timeout"}, // older
	}
	return source, target
}

func TestDefaultGroups(t *testing.T) {
	if got, want := Defaults(), []string{"summary", "database", "log"}; !slices.Equal(got, want) {
		t.Errorf("on by default: %v, want %v", got, want)
	}
	if _, err := New(Options{Groups: []string{"summary", "nonsense"}}); err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "lsn_slot") {
		t.Errorf("unknown group: %v", err)
	}
}

// At most 75 series a DAG and 50 a database by default.
func TestBudget(t *testing.T) {
	count := func(n int) int {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("db%03d", i)
		}
		s, f := both(names...)
		return len(series(t, mustNew(t, Defaults(), snapshot(s, f))))
	}
	none, ten, twenty := count(0), count(10), count(20)
	perDatabase := (twenty - ten) / 10
	t.Logf("%d series a database, %d a DAG", perDatabase, ten-10*perDatabase)
	if perDatabase > 50 || ten-10*perDatabase > 75 || none > 75 {
		t.Errorf("%d series a database (at most 50), %d a DAG (at most 75)", perDatabase, ten-10*perDatabase)
	}
}

// All groups on, many DAGs in one collector: nothing collides, and the
// pedantic registry agrees that what comes is what was described.
func TestAllGroupsManyDAGs(t *testing.T) {
	var all []string
	for _, g := range Groups() {
		all = append(all, g.Name)
	}
	var snapshots []*Snapshot
	for i := range 3 {
		s, f := troubled()
		sn := snapshot(s, f)
		sn.DAG = fmt.Sprintf("dag-%d", i)
		snapshots = append(snapshots, sn)
	}
	golden(t, "all_groups.prom", mustNew(t, all, snapshots...))
}

// A name that is no UTF-8 (half a surrogate pair) costs a character, not the
// scrape.
func TestNamesThatAreNotUTF8(t *testing.T) {
	s, f := both("a\xffb", `q"u\o`+"\n", "a]b", "🚚")
	all := series(t, mustNew(t, Defaults(), snapshot(s, f)))
	if !all["mssql_dag_database_convergence_reached{dag=\"erp-prod\",database=\"a\uFFFDb\",level=\"known\"}"] {
		t.Error("no series for the repaired name")
	}
}

// presenceOf finds the metric of a series.
func presenceOf(t *testing.T, line string) Presence {
	name, _, _ := strings.Cut(line, "{")
	for _, g := range Groups() {
		for _, m := range g.metrics {
			if m.name == name {
				return m.presence
			}
		}
	}
	t.Fatalf("no metric %s", name)
	return ""
}

// Verdicts are there whatever was read; facts of a side that was not read
// are absent as a whole.
func TestPresence(t *testing.T) {
	var all []string
	for _, g := range Groups() {
		all = append(all, g.Name)
	}
	expected := []string{"db001", "db002"}
	s, f := both(expected...)
	whole := series(t, mustNew(t, all, snapshot(s, f, expected...)))
	broken := side(hadr.Target, expected...)
	broken.DAG, broken.Databases = hadr.Group{}, nil
	for name, sn := range map[string]*Snapshot{
		"source down": snapshot(nil, f, expected...),
		"target down": snapshot(s, nil, expected...),
		"both down":   snapshot(nil, nil, expected...),
		"half read":   snapshot(s, broken, expected...),
		"same twice":  snapshot(s, s, expected...),
	} {
		t.Run(name, func(t *testing.T) {
			got := series(t, mustNew(t, all, sn))
			for line := range whole {
				if p := presenceOf(t, line); p != Fact && !got[line] {
					t.Errorf("%s is a %s and absent", line, p)
				}
			}
			for _, side := range sn.sides() {
				if side.Reading != nil {
					continue
				}
				for line := range got {
					if presenceOf(t, line) == Fact && strings.Contains(line, `side="`+side.name+`"`) {
						t.Errorf("%s is a fact of a side that was not read", line)
					}
				}
			}
		})
	}
	nothing := series(t, mustNew(t, all, snapshot(nil, nil, expected...)))
	for line := range nothing {
		if presenceOf(t, line) == Fact {
			t.Errorf("%s is a fact, and nothing was read", line)
		}
	}
}

// NULL in a nullable column: its series are absent, and nothing else is lost.
func TestNullColumns(t *testing.T) {
	var all []string
	for _, g := range Groups() {
		all = append(all, g.Name)
	}
	for _, tt := range []struct {
		column string
		forget func(s, f *hadr.Reading)
		lost   []string // prefixes of series without the namespace; every one must lose something
	}{
		{"source last_hardened_lsn", func(s, f *hadr.Reading) { s.Databases[0].Own.LastHardened = hadr.LSN{} }, []string{
			`database_lsn_vlf{dag="erp-prod",database="db001",lsn="last_hardened",side="source"}`,
			`database_lsn_block{dag="erp-prod",database="db001",lsn="last_hardened",side="source"}`,
			`database_lsn_slot{dag="erp-prod",database="db001",lsn="last_hardened",side="source"}`,
			`database_lsn_delta{dag="erp-prod",database="db001",lsn="last_hardened"}`,
			`database_lsn_delta_vlfs{dag="erp-prod",database="db001",lsn="last_hardened"}`,
			`database_lsn_delta_blocks{dag="erp-prod",database="db001",lsn="last_hardened"}`}},
		{"target end_of_log_lsn sentinel", func(s, f *hadr.Reading) {
			f.Databases[0].Own.EndOfLog = hadr.LSN{VLF: 4294967295, Block: 4294967295, Slot: 1}
		}, []string{
			`database_lsn_vlf{dag="erp-prod",database="db001",lsn="end_of_log",side="target"}`,
			`database_lsn_block{dag="erp-prod",database="db001",lsn="end_of_log",side="target"}`,
			`database_lsn_slot{dag="erp-prod",database="db001",lsn="end_of_log",side="target"}`,
			`database_lsn_delta{dag="erp-prod",database="db001",lsn="end_of_log"}`,
			`database_lsn_delta_vlfs{dag="erp-prod",database="db001",lsn="end_of_log"}`,
			`database_lsn_delta_blocks{dag="erp-prod",database="db001",lsn="end_of_log"}`}},
		{"link log_send_queue_size", func(s, f *hadr.Reading) { s.Databases[0].Link.SendQueue = hadr.Opt[int64]{} }, []string{`database_log_send_queue_bytes{`}},
		{"link log_send_rate", func(s, f *hadr.Reading) { s.Databases[0].Link.SendRate = hadr.Opt[int64]{} }, []string{`database_log_send_rate_bytes_per_second{`}},
		{"link redo_queue_size", func(s, f *hadr.Reading) { s.Databases[0].Link.RedoQueue = hadr.Opt[int64]{} }, []string{`database_redo_queue_bytes{`}},
		{"link redo_rate", func(s, f *hadr.Reading) { s.Databases[0].Link.RedoRate = hadr.Opt[int64]{} }, []string{`database_redo_rate_bytes_per_second{`}},
		{"link secondary_lag_seconds", func(s, f *hadr.Reading) { s.Databases[0].Link.SecondaryLag = hadr.Opt[int64]{} }, []string{`database_secondary_lag_seconds{`}},
		{"secondary_lag_seconds while suspended", func(s, f *hadr.Reading) { s.Databases[0].Link.Suspended = some(true) }, []string{`database_secondary_lag_seconds{`}},
		{"link synchronization_state", func(s, f *hadr.Reading) { s.Databases[0].Link.Sync = "" }, []string{`database_synchronization_state{availability_group="DAG"`}},
		{"target is_suspended", func(s, f *hadr.Reading) { f.Databases[0].Own.Suspended = hadr.Opt[bool]{} }, []string{`database_suspended{availability_group="AzureAG",dag="erp-prod",database="db001",replica="SQL2",`}},
		{"last_commit_time", func(s, f *hadr.Reading) { f.Databases[0].Own.LastCommitTime = hadr.Opt[time.Time]{} }, []string{`database_commit_lag_seconds{`}},
		{"database state", func(s, f *hadr.Reading) { f.Databases[0].State = "" }, []string{`database_state{dag="erp-prod",database="db001",side="target"`}},
		{"log used", func(s, f *hadr.Reading) { s.Databases[0].LogUsed = hadr.Opt[int64]{} }, []string{`database_log_used_bytes{`}},
		{"log size", func(s, f *hadr.Reading) { s.Databases[0].LogSize = hadr.Opt[int64]{} }, []string{`database_log_size_bytes{`}},
		{"log_reuse_wait", func(s, f *hadr.Reading) { s.Databases[0].LogReuseWait = "" }, []string{`database_log_held_by_replica{`}},
		{"log flushed", func(s, f *hadr.Reading) { f.Databases[0].LogFlushed = hadr.Opt[int64]{} }, []string{`database_log_flushed_bytes_total{dag="erp-prod",database="db001",side="target"}`}},
		{"write transactions", func(s, f *hadr.Reading) { s.Databases[0].Writes = hadr.Opt[int64]{} }, []string{`database_write_transactions_total{dag="erp-prod",database="db001",side="source"}`}},
		{"RSSTC", func(s, f *hadr.Reading) { f.DAG.RSSTC = hadr.Opt[int64]{} }, []string{`required_synchronized_secondaries{dag="erp-prod",side="target"}`}},
		{"availability_mode", func(s, f *hadr.Reading) { f.DAG.Members[0].Mode = "" }, []string{`availability_mode{dag="erp-prod",member="OnPremAG",mode="synchronous_commit",side="target"}`, `availability_mode{dag="erp-prod",member="OnPremAG",mode="asynchronous_commit",side="target"}`}},
		{"connected_state", func(s, f *hadr.Reading) { s.DAG.Members[1].Connected = hadr.Opt[bool]{} }, []string{`link_connected{`}},
		{"server time", func(s, f *hadr.Reading) { s.Identity.ServerUTC = hadr.Opt[time.Time]{} }, []string{`clock_offset_seconds{dag="erp-prod",side="source"}`}},
		{"certificates", func(s, f *hadr.Reading) { s.Certificates = nil }, []string{`endpoint_certificate_expiry_timestamp_seconds{dag="erp-prod",side="source"}`}},
		{"encrypt_option", func(s, f *hadr.Reading) { s.Identity.Encrypted = hadr.Opt[bool]{} }, []string{`connection_encrypted{dag="erp-prod",side="source"}`}},
		{"@@SERVERNAME", func(s, f *hadr.Reading) { s.Identity.ServerName = "" }, []string{`instance_info{dag="erp-prod"`}},
		{"begin of the reading", func(s, f *hadr.Reading) { s.Began = time.Time{} }, []string{`reading_timestamp_seconds{dag="erp-prod",side="source"}`, `read_skew_seconds{`, `clock_offset_seconds{dag="erp-prod",side="source"}`}},
		{"operational_state", func(s, f *hadr.Reading) { s.Local.Members[0].OperationalState = "" }, []string{`replica_operational_state_info{availability_group="OnPremAG"`}},
		{"replica connected", func(s, f *hadr.Reading) { s.Local.Members[1].Connected = hadr.Opt[bool]{} }, []string{`replica_connected{availability_group="OnPremAG",dag="erp-prod",replica="SQL1\\PRODB"`}},
		{"replica role", func(s, f *hadr.Reading) { s.Local.Members[1].Role = "" }, []string{`replica_role{availability_group="OnPremAG",dag="erp-prod",replica="SQL1\\PRODB"`}},
		{"replica mode", func(s, f *hadr.Reading) { s.Local.Members[1].Mode = "" }, []string{`replica_availability_mode{availability_group="OnPremAG",dag="erp-prod",mode="`}},
		{"listener", func(s, f *hadr.Reading) { s.DAG.Members[1].EndpointURL = "" }, []string{`listener_url_info{dag="erp-prod",member="AzureAG",side="source"`, `listener_urls_agree{`}},
	} {
		t.Run(tt.column, func(t *testing.T) {
			s, f := both("db001")
			before := series(t, mustNew(t, all, snapshot(s, f)))
			tt.forget(s, f)
			after := series(t, mustNew(t, all, snapshot(s, f)))
			hit := map[string]bool{}
			for line := range before {
				if after[line] {
					continue
				}
				i := slices.IndexFunc(tt.lost, func(p string) bool { return strings.HasPrefix(line, Namespace+"_"+p) })
				if i < 0 {
					t.Errorf("lost too: %s", line)
					continue
				}
				hit[tt.lost[i]] = true
			}
			for _, p := range tt.lost {
				if !hit[p] {
					t.Errorf("%s is still there", p)
				}
			}
			for line := range after {
				if !before[line] {
					t.Errorf("new: %s", line)
				}
			}
		})
	}
}

// No sentinel and no NULL is a number anywhere.
func TestUnknownIsNeverANumber(t *testing.T) {
	s, f := both("db001")
	for _, r := range []*hadr.Reading{s, f} {
		r.Databases[0].Own.LastHardened, r.Databases[0].Own.EndOfLog = hadr.LSN{}, hadr.LSN{Slot: 1}
	}
	s.Databases[0].Link.LastHardened = hadr.LSN{}
	for line := range series(t, mustNew(t, []string{"summary", "database", "lsn_slot"}, snapshot(s, f))) {
		if strings.Contains(line, "_lsn_") {
			t.Errorf("%s is there", line)
		}
	}
}

// The level a dashboard draws is the sum of the cumulative levels.
func TestRank(t *testing.T) {
	s, f := both("db001", "db002")
	f.Databases[1].Own.Suspended = some(true)
	rank := map[string]float64{}
	for line := range strings.Lines(exposition(t, mustNew(t, []string{"database"}, snapshot(s, f)))) {
		var v float64
		if name, value, ok := strings.Cut(line, "} "); ok && strings.HasPrefix(name, "mssql_dag_database_convergence_reached") {
			if _, err := fmt.Sscan(value, &v); err != nil {
				t.Fatal(err)
			}
			_, db, _ := strings.Cut(name, `database="`)
			db, _, _ = strings.Cut(db, `"`)
			rank[db] += v
		}
	}
	if rank["db001"] != 4 || rank["db002"] != 1 {
		t.Errorf("ranks %v, want db001 4 and db002 1", rank)
	}
}
