package sqlserver

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// What the NULL test reads from: a server that is nothing but rows. They go
// through the session's own query, so that all of the way from the driver to
// the reading is the product's.

// tableRow is one row by the names of its columns.
type tableRow map[string]any

// table is a result set: its columns as the statement selects them, and rows
// in which every column has a value, NULL (nil) only where a server says so.
type table struct {
	part    string
	columns []string
	rows    []tableRow
}

// tables are the result sets of the probe and of a reading of everything, in
// the order of their statements.
type tables []*table

// statements are all that is selected for a reading, by part.
func statements() (out []struct{ part, sql string }) {
	add := func(part, sql string) { out = append(out, struct{ part, sql string }{part, sql}) }
	for _, s := range [][2]string{{"probe", "SELECT CONVERT(int"}, {"platform", "SELECT host_platform"}, {"connection", "SELECT encrypt_option"}} {
		_, rest, _ := strings.Cut(probeBatch, s[1])
		add(s[0], strings.ReplaceAll(s[1]+rest, "''", "'"))
	}
	for _, p := range parts {
		if p.wanted(Everything) {
			add(p.name, p.sql(testNames, v2025))
		}
	}
	return out
}

// selected are the names of the columns that a SELECT gives, in their order.
func selected(sql string) (names []string) {
	sql = strings.TrimPrefix(sql, "SELECT ")
	depth, quoted, from := 0, false, 0
	name := func(expr string) {
		expr = strings.TrimSpace(expr)
		if i := strings.LastIndex(expr, " AS "); i >= 0 {
			expr = strings.Trim(expr[i+4:], "[]")
		}
		names = append(names, expr[strings.LastIndexByte(expr, '.')+1:])
	}
	for i := 0; i < len(sql); i++ {
		switch c := sql[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth > 0:
		case c == ',':
			name(sql[from:i])
			from = i + 1
		case (c == ' ' || c == '\n') && strings.HasPrefix(sql[i+1:], "FROM "), c == ';':
			name(sql[from:i])
			return names
		}
	}
	name(sql[from:])
	return names
}

var wholeNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// wholeSide is one side of a synchronized pair of three instances each, source
// primary, two databases, in which everything that a server can say is said.
func wholeSide(t *testing.T, side hadr.Side) tables {
	t.Helper()
	here, there, server, dagRole := "OnPremAG", "AzureAG", "SQL1", int64(1)
	if side == hadr.Target {
		here, there, server, dagRole = there, here, "SQL2", int64(2)
	}
	rows := map[string][]tableRow{}
	put := func(part string, r tableRow) { rows[part] = append(rows[part], r) }

	put("probe", tableRow{"major": int64(16), "version": "16.0.4135.4", "edition": "Enterprise Edition (64-bit)", "engine_edition": int64(3), "hadr_enabled": int64(1), "case_sensitive": int64(0)})
	put("platform", tableRow{"name": "Windows"})
	put("connection", tableRow{"encrypted": "TRUE"})
	put("begin", tableRow{"server_name": server, "start_time": "2026-02-01T08:00:00", "replica_id": "R-" + server, "role": int64(1), "utc": wholeNoon.Add(2 * time.Second),
		"view_state": int64(1), "view_performance_state": int64(1), "view_definition": int64(1)})
	put("end", tableRow{"server_name": server, "start_time": "2026-02-01T08:00:00", "replica_id": "R-" + server, "role": int64(1)})

	group := func(id, name string, distributed bool, kind int64) {
		put("group", tableRow{"group_id": id, "name": name, "is_distributed": distributed, "kind": kind, "cluster_type": int64(0),
			"required_synchronized_secondaries_to_commit": int64(1), "sequence_number": int64(7), "is_contained": false})
	}
	group("G-DAG", "DAG", true, 1)
	group("G-"+here, here, false, 2)
	group("G-2", "Second", true, 0)
	member := func(gid, name string, states bool, local bool, role int64) {
		m := tableRow{"group_id": gid, "replica_id": "R-" + name, "replica_server_name": name, "endpoint_url": "tcp://" + name + ".example.com:5022", "availability_mode": int64(1),
			"failover_mode_desc": "MANUAL", "seeding_mode_desc": "AUTOMATIC", "session_timeout": int64(10), "is_local_ag": int64(0)}
		if name == here {
			m["is_local_ag"] = int64(1)
		}
		for column, v := range map[string]any{"is_local": local, "role": role, "connected_state": int64(1), "operational_state_desc": "ONLINE", "synchronization_health": int64(2),
			"last_connect_error_number": int64(10061), "last_connect_error_description": "refused"} {
			if m[column] = v; !states {
				m[column] = nil
			}
		}
		put("member", m)
	}
	member("G-DAG", here, true, true, dagRole)
	member("G-DAG", there, side == hadr.Source, false, 2) // a forwarder has no state of the other side
	member("G-"+here, server, true, true, 1)
	member("G-"+here, server+"B", true, false, 2)
	member("G-"+here, server+"C", true, false, 2)
	member("G-2", here, true, true, 1)

	for i, db := range []string{"db001", "db002"} {
		id := int64(5 + i)
		put("database", tableRow{"name": db, "group_database_id": "X-" + db, "database_id": id, "state": int64(0), "updateability": "READ_WRITE", "log_reuse_wait_desc": "AVAILABILITY_REPLICA", "is_database_joined": true})
		replica := func(dag int64, gid, name string, local bool) tableRow {
			r := tableRow{"dag": dag, "database_id": id, "group_database_id": gid, "replica_id": "R-" + name, "replica_server_name": name, "is_local": local, "is_primary_replica": local,
				"synchronization_state": int64(2), "synchronization_health": int64(2), "database_state": int64(0), "is_suspended": false, "suspend_reason_desc": nil,
				"last_commit_time": wholeNoon.Add(-time.Second), "log_send_queue_size": int64(3), "log_send_rate": int64(900), "redo_queue_size": int64(4), "redo_rate": int64(500), "secondary_lag_seconds": int64(2)}
			for _, c := range lsnColumns {
				r[c] = "10227000241966000001"
			}
			r["last_hardened_lsn"] = "10227000241966100001"
			put("row", r)
			return r
		}
		own := replica(0, "X-"+db, server, true)
		if own["redo_queue_size"] = nil; side == hadr.Target {
			own["redo_queue_size"] = int64(6) // more than what the other side heard
		}
		replica(0, "X-"+db, server+"B", false)
		other := replica(0, "X-"+db, server+"C", false)
		other["is_suspended"], other["suspend_reason_desc"] = true, "SUSPEND_FROM_USER"
		if side == hadr.Source {
			replica(1, "Y-"+db, there, false)
		}
		for j, counter := range []string{"Log File(s) Size (KB)", "Log File(s) Used Size (KB)", "Log Bytes Flushed/sec", "Write Transactions/sec"} {
			put("log", tableRow{"database": db, "counter": counter, "cntr_value": int64(1000 + j)})
		}
		put("seeding", tableRow{"database": db, "current_state": "COMPLETED", "failure_state_desc": "none", "start_time": wholeNoon.Add(-time.Hour), "completion_time": wholeNoon,
			"transferred_size_bytes": int64(1 << 30), "database_size_bytes": int64(1 << 31), "estimate_time_complete_utc": wholeNoon.Add(time.Hour)})
		put("transaction", tableRow{"database": db, "session_id": int64(55), "login_name": "app", "program_name": "erp", "host_name": "APP1", "status": "sleeping", "open_seconds": int64(9),
			"database_transaction_log_record_count": int64(3), "database_transaction_log_bytes_used": int64(300), "is_user_transaction": true})
		put("lineage", tableRow{"database": db, "family_guid": "F-" + db, "recovery_fork_guid": "K-" + db})
	}
	put("certificate", tableRow{"name": "dag_cert", "expiry_date": wholeNoon.AddDate(1, 0, 0)})
	put("rights", tableRow{"login": "monitor", "sysadmin": int64(1), "alter_dag": int64(1)})
	put("marker", tableRow{"run": "run-1"})

	var out tables
	for _, s := range statements() {
		one := &table{part: s.part, columns: selected(s.sql), rows: rows[s.part]}
		if len(one.rows) == 0 {
			t.Fatalf("the complete reading has no row of the statement %q: give it one", s.part)
		}
		for _, r := range one.rows {
			if len(r) != len(one.columns) {
				t.Fatalf("%s: the row has %d columns, the statement selects %v", s.part, len(r), one.columns)
			}
			for _, c := range one.columns {
				if _, there := r[c]; !there {
					t.Fatalf("%s.%s is selected, and the complete reading has no value for it: give it one, and a case", s.part, c)
				}
			}
		}
		out = append(out, one)
	}
	return out
}

// readRows is a reading of a side that answers with these rows.
func readRows(t *testing.T, side hadr.Side, rows tables) (*hadr.Reading, error) {
	t.Helper()
	now := wholeNoon
	if side == hadr.Target {
		now = now.Add(3 * time.Millisecond)
	}
	ag := map[hadr.Side]string{hadr.Source: "OnPremAG", hadr.Target: "AzureAG"}[side]
	s, err := Open(Options{DAG: "erp-prod", Group: "DAG", AG: ag, Side: side,
		DSNs: func() ([]string, error) { return []string{"sqlserver://" + string(side) + "?encrypt=true"}, nil },
		Now:  func() time.Time { now = now.Add(10 * time.Millisecond); return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	list, err := s.list("read")
	if err != nil {
		t.Fatal(err)
	}
	sess := &session{conn: rows, sockets: &sockets{}}
	if err := sess.learn(context.Background()); err != nil {
		return nil, err
	}
	list[0].put(sess)
	return s.Read(context.Background(), Everything)
}

// tables are a connection of the driver that knows one thing: the result sets
// of the statements which the batch holds.

func (ts tables) Prepare(batch string) (driver.Stmt, error) {
	var in tables
	for _, t := range ts {
		if strings.Contains(batch, " AS ["+t.part+".") {
			in = append(in, t)
		}
	}
	return answered{in}, nil
}
func (tables) Close() error              { return nil }
func (tables) Begin() (driver.Tx, error) { return nil, errors.New("only reads") }

type answered struct{ sets tables }

func (answered) Close() error                               { return nil }
func (answered) NumInput() int                              { return 0 }
func (answered) Exec([]driver.Value) (driver.Result, error) { return nil, errors.New("only reads") }
func (a answered) Query([]driver.Value) (driver.Rows, error) {
	return &resultSets{sets: a.sets}, nil
}
func (a answered) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	return a.Query(nil)
}

type resultSets struct {
	sets tables
	at   int
}

func (r *resultSets) Close() error { return nil }
func (r *resultSets) Columns() []string {
	if len(r.sets) == 0 {
		return nil
	}
	cols := append([]string(nil), r.sets[0].columns...)
	cols[0] = r.sets[0].part + "." + cols[0]
	return cols
}
func (r *resultSets) Next(dest []driver.Value) error {
	if len(r.sets) == 0 || r.at >= len(r.sets[0].rows) {
		return io.EOF
	}
	for i, c := range r.sets[0].columns {
		dest[i] = r.sets[0].rows[r.at][c]
	}
	r.at++
	return nil
}
func (r *resultSets) HasNextResultSet() bool { return len(r.sets) > 1 }
func (r *resultSets) NextResultSet() error {
	if len(r.sets) < 2 {
		return io.EOF
	}
	r.sets, r.at = r.sets[1:], 0
	return nil
}
