package sqlserver

import (
	"bufio"
	"database/sql/driver"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// feed plays result sets into an answer as session.query would.
func feed(t *testing.T, a *answer, part string, rows ...[]driver.Value) {
	t.Helper()
	fn, err := a.set([]string{part + ".first", "second"})
	if err != nil || fn == nil {
		t.Fatalf("%s: %v", part, err)
	}
	for _, r := range rows {
		if err := fn(r); err != nil {
			t.Fatalf("%s: %v", part, err)
		}
	}
}

func replicaRowOf(dag int64, id any, gid string, local bool, hardened, end any) []driver.Value {
	return []driver.Value{dag, id, gid, "REPLICA-1", "N1", local, true, int64(2), int64(2), int64(0), false, nil,
		nil, nil, hardened, nil, end, "42000000155200001", nil, "4294967295429496729500001",
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), nil, nil, nil, nil, int64(3)}
}

func threeDatabases(t *testing.T) *answer {
	a := newAnswer()
	feed(t, a, "begin", []driver.Value{"SQL1", "2026-01-01T00:00:00", "R", int64(1), time.Now(), int64(1), nil, int64(1)})
	feed(t, a, "end", []driver.Value{"SQL1", "2026-01-01T00:00:00", "R", int64(1)})
	feed(t, a, "group",
		[]driver.Value{"D-1", "DAG", true, int64(1), nil, int64(0), int64(7), nil},
		[]driver.Value{"A-1", "OnPremAG", false, int64(2), int64(0), int64(0), int64(8), false},
		[]driver.Value{"D-2", "Second", true, int64(0), nil, int64(0), int64(9), nil},
		[]driver.Value{"D-3", "Foreign", true, int64(0), nil, int64(0), int64(9), nil})
	member := func(gid, name string, local any, role any, isAG int64) []driver.Value {
		return []driver.Value{gid, "R-" + name, name, "TCP://x:5022", int64(0), "MANUAL", "AUTOMATIC", int64(10), local, role, int64(1), "ONLINE", int64(2), nil, nil, isAG}
	}
	feed(t, a, "member", member("d-1", "OnPremAG", true, int64(1), 1), member("d-1", "AzureAG", false, int64(2), 0),
		member("a-1", "SQL1", true, int64(1), 0), member("d-2", "onpremag", nil, nil, 1), member("d-3", "Elsewhere", nil, nil, 0))
	db := func(name, gid string, id any) []driver.Value {
		return []driver.Value{name, gid, id, int64(0), "READ_WRITE", "AVAILABILITY_REPLICA", true}
	}
	feed(t, a, "database", db("b", "G-B", int64(6)), db("a", "G-A", int64(5)), db("not here", "G-C", nil))
	return a
}

var testNames = names{group: "DAG", ag: "OnPremAG"}

func TestAssemble(t *testing.T) {
	a := threeDatabases(t)
	feed(t, a, "row",
		replicaRowOf(0, int64(5), "G-A", true, "42000000156000001", "42000000155200001"),
		replicaRowOf(1, int64(5), "X-A", false, "42000000156000001", "0"),
		replicaRowOf(0, int64(6), "G-B", true, nil, "1"),
		replicaRowOf(0, int64(6), "G-B", false, "42000000156000001", "42000000155200001"),
		replicaRowOf(1, int64(99), "X-Z", false, "42000000156000001", "42000000155200001"))
	r := a.assemble(testNames, Want{Replicas: true}, false)
	if len(r.Failed) != 0 || len(r.Missing) != 0 {
		t.Errorf("failed %v, missing %v", r.Failed, r.Missing)
	}
	if !r.DAG.Found || r.DAG.Role != hadr.RolePrimary || r.DAG.GroupID != "d-1" || len(r.DAG.Members) != 2 || r.DAG.Member("AzureAG").Mode != hadr.ModeAsynchronous {
		t.Errorf("%+v", r.DAG)
	}
	if !r.Local.Found || r.Local.ClusterType != "wsfc" || r.Local.Contained != hadr.Some(false) || r.DAG.RSSTC != hadr.Some[int64](0) {
		t.Errorf("%+v", r.Local)
	}
	if strings.Join(r.OtherDAGs, ",") != "Second" {
		t.Errorf("other DAGs: %v", r.OtherDAGs)
	}
	if len(r.Databases) != 3 || r.Databases[0].Name != "a" || r.Databases[2].Name != "not here" {
		t.Fatalf("%+v", r.Databases)
	}
	da, db, dc := r.Databases[0], r.Databases[1], r.Databases[2]
	if da.Own == nil || da.Own.LastHardened.String() != "42000000156000001" || da.Own.EndOfLog.String() != "42000000155200001" || da.Own.Recovery.Known() {
		t.Errorf("own: %+v", da.Own)
	}
	if da.Link == nil || da.Link.EndOfLog.Known() || da.LogReuseWait != "availability_replica" || da.Updateability != "read_write" {
		t.Errorf("link: %+v", da.Link)
	}
	if db.Link != nil || db.Own == nil || db.Own.LastHardened.Known() || db.Own.EndOfLog.Known() || len(db.Replicas) != 1 {
		t.Errorf("b: %+v", db)
	}
	if dc.Own != nil || dc.Link != nil || dc.DatabaseID.OK {
		t.Errorf("not here: %+v", dc)
	}
}

// Two rows for one place are no knowledge.
func TestAmbiguousRowsAreNoRow(t *testing.T) {
	a := threeDatabases(t)
	feed(t, a, "row",
		replicaRowOf(0, int64(5), "G-A", true, "42000000156000001", "42000000155200001"),
		replicaRowOf(0, int64(5), "G-A", true, "43000000156000001", "43000000155200001"),
		replicaRowOf(1, int64(6), "X-A", false, "42000000156000001", "42000000155200001"),
		replicaRowOf(1, int64(6), "X-B", false, "43000000156000001", "43000000155200001"))
	r := a.assemble(testNames, Want{}, false)
	if r.Databases[0].Own != nil || r.Databases[1].Link != nil {
		t.Errorf("%+v", r.Databases)
	}
}

// A part that failed, or that did not come at all, is unknown as a whole, and
// hides nothing else.
func TestFailedPartsAreUnknown(t *testing.T) {
	want := Everything
	a := threeDatabases(t)
	feed(t, a, "failed", []driver.Value{"row", int64(207), "Invalid column name"})
	feed(t, a, "row", replicaRowOf(0, int64(5), "G-A", true, "42000000156000001", "42000000155200001")) // came before it failed
	feed(t, a, "transaction")
	feed(t, a, "marker")
	r := a.assemble(testNames, want, false)
	if got := strings.Join(r.Failed, ","); got != "row,log,seeding,certificate,rights,lineage" {
		t.Errorf("failed: %s", got)
	}
	if got := strings.Join(r.FailedWhy, ","); got != "error 207: Invalid column name,,,,," {
		t.Errorf("why: %s", got)
	}
	if r.Databases[0].Own != nil || r.Rights != nil {
		t.Error("a failed part left facts behind")
	}
	if !r.TransactionsRead || r.Transactions == nil || len(r.Transactions) != 0 || r.Marker != hadr.Some("") {
		t.Errorf("transactions %v %v, marker %v", r.TransactionsRead, r.Transactions, r.Marker)
	}
	a = threeDatabases(t)
	feed(t, a, "failed", []driver.Value{"database", int64(300), "no"}, []driver.Value{"transaction", int64(300), "no"}, []driver.Value{"marker", int64(229), "no"})
	r = a.assemble(testNames, want, false)
	if r.Databases != nil || r.TransactionsRead || r.Transactions != nil || r.Marker.OK {
		t.Errorf("%+v", r)
	}
}

func TestSecondaryLagIsUnknownWhileSuspended(t *testing.T) {
	row := replicaRowOf(0, int64(5), "G-A", true, nil, nil)
	for suspended, want := range map[any]bool{false: true, true: false, nil: false} {
		a := threeDatabases(t)
		row[10] = suspended
		feed(t, a, "row", row)
		if got := a.assemble(testNames, Want{}, false).Databases[0].Own.SecondaryLag.OK; got != want {
			t.Errorf("suspended %v: lag known %v", suspended, got)
		}
	}
}

// A size that cannot be one is unknown: as a number it would be inside every
// bound.
func TestSizesThatAreNone(t *testing.T) {
	for kb, want := range map[int64]hadr.Opt[int64]{0: hadr.Some[int64](0), 3: hadr.Some[int64](3072), 1<<53 - 1: hadr.Some[int64](1<<63 - 1024),
		-1: {}, 1 << 53: {}, math.MaxInt64: {}, math.MinInt64: {}} {
		a := threeDatabases(t)
		row := replicaRowOf(0, int64(5), "G-A", true, nil, nil)
		row[21], row[23] = kb, kb
		feed(t, a, "row", row)
		feed(t, a, "log", []driver.Value{"a", "Log File(s) Used Size (KB)", kb})
		d := a.assemble(testNames, Want{Log: true}, false).Databases[0]
		if d.Own.SendQueue != want || d.Own.RedoQueue != want || d.LogUsed != want {
			t.Errorf("%d KB: send queue %v, redo queue %v, log used %v", kb, d.Own.SendQueue, d.Own.RedoQueue, d.LogUsed)
		}
	}
}

func TestTheAnswersShapeIsChecked(t *testing.T) {
	a := newAnswer()
	fn, err := a.set([]string{"end.server_name"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][]driver.Value{{"SQL1", "t", "r"}, {int64(1), "t", "r", int64(1)}, {"SQL1", "t", "r", "primary"}} {
		if err := fn(row); err == nil {
			t.Errorf("%v was taken", row)
		}
	}
	if fn, err := a.set([]string{"x"}); fn != nil || err != nil {
		t.Error("a result set of nobody was read")
	}
}

func TestVoidAnswers(t *testing.T) {
	good := func() *heard {
		return &heard{in: newInstance(target{label: "sql1:1433"}, 0, new(line), nil), full: true, a: threeDatabases(t), p: probe{major: 16}}
	}
	if e := good().check(); e != nil {
		t.Fatal(e)
	}
	off := false
	for name, c := range map[string]struct {
		reason Reason
		spoil  func(*heard)
	}{
		"another server at the end": {ReasonIdentity, func(h *heard) { h.a.end.serverName = "SQL2" }},
		"restarted in between":      {ReasonIdentity, func(h *heard) { h.a.end.startTime = "2026-01-01T00:00:01" }},
		"another replica":           {ReasonIdentity, func(h *heard) { h.a.end.replicaID = "other" }},
		"role changed in between":   {ReasonIdentity, func(h *heard) { h.a.end.role = hadr.RoleSecondary }},
		"no start time":             {ReasonIdentity, func(h *heard) { h.a.begin.startTime, h.a.end.startTime = "", "" }},
		"no end":                    {ReasonQuery, func(h *heard) { delete(h.a.seen, "end") }},
		"no groups":                 {ReasonQuery, func(h *heard) { delete(h.a.seen, "group") }},
		"no right to the states":    {ReasonPermission, func(h *heard) { h.a.failures["member"] = server(297) }},
		"nothing visible":           {ReasonPermission, func(h *heard) { h.a.begin.role, h.a.begin.viewDefinition = "", hadr.Some(false) }},
		"2014":                      {ReasonVersion, func(h *heard) { h.p.major = 12 }},
		"Always On is off":          {ReasonHadrOff, func(h *heard) { h.p.hadr = &off }},
	} {
		h := good()
		c.spoil(h)
		if e := h.check(); e == nil || e.Reason != c.reason {
			t.Errorf("%s: %v, want reason %s", name, e, c.reason)
		}
	}
}

// Every LSN that a real server printed goes through unchanged, or is unknown.
func TestRecordedLSNs(t *testing.T) {
	f, err := os.Open("../hadr/testdata/ag_2012_both_viewpoints.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	seen := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var rec struct{ Row map[string]*string }
		if err := json.Unmarshal(sc.Bytes(), &rec); err != nil {
			t.Fatal(err)
		}
		for _, name := range lsnColumns {
			v := rec.Row[name]
			if v == nil {
				continue
			}
			c := &columns{row: []driver.Value{*v}}
			l := c.lsn()
			if c.err != nil {
				t.Errorf("%s %s: %v", name, *v, c.err)
			}
			if l.Known() && l.String() != *v {
				t.Errorf("%s %s came out as %s", name, *v, l)
			}
			seen++
		}
	}
	if seen < 20 {
		t.Errorf("only %d values", seen)
	}
}
