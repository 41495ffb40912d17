package main

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "github.com/microsoft/go-mssqldb" // the driver, bare
)

// The floor reads what a scrape of the exporter reads (the same columns of the
// same rows, from both sides in parallel) with nothing around it: no isolation
// of a failing statement, no NULL that means unknown, no verdict but the
// plainest comparison. What the exporter costs more is what it knows more.

const floorDAG = "erp-prod"

// floorSQL is one batch: who answers, groups, members, databases, their rows,
// their log counters, the certificates, and again who answers.
func floorSQL(ag string) string {
	databases := "SELECT c.database_name FROM sys.availability_databases_cluster AS c INNER JOIN sys.availability_groups AS g ON g.group_id = c.group_id WHERE g.is_distributed = 0 AND g.name = N'" + ag + "'"
	local := "SELECT s.replica_id, s.group_id, s.role FROM sys.dm_hadr_availability_replica_states AS s INNER JOIN sys.availability_groups AS g ON g.group_id = s.group_id WHERE s.is_local = 1 AND g.is_distributed = 0 AND g.name = N'" + ag + "'"
	who := "SELECT CONVERT(nvarchar(128), @@SERVERNAME), CONVERT(varchar(30), i.sqlserver_start_time, 126), CONVERT(varchar(36), s.replica_id), s.role"
	from := "\nFROM sys.dm_os_sys_info AS i LEFT JOIN (" + local + ") AS s ON 1 = 1;\n"
	return "SET NOCOUNT ON;\n" + who + `, SYSUTCDATETIME(), HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE'), HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER PERFORMANCE STATE'), HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DEFINITION')` + from + `
SELECT CONVERT(varchar(36), g.group_id), g.name, g.is_distributed, CASE WHEN g.is_distributed = 1 AND g.name = N'DAG' THEN 1 WHEN g.is_distributed = 0 AND g.name = N'` + ag + `' THEN 2 ELSE 0 END, g.cluster_type, g.required_synchronized_secondaries_to_commit, g.sequence_number, g.is_contained
FROM sys.availability_groups AS g;
SELECT CONVERT(varchar(36), r.group_id), CONVERT(varchar(36), r.replica_id), r.replica_server_name, r.endpoint_url,
r.availability_mode, r.failover_mode_desc, r.seeding_mode_desc, r.session_timeout, s.is_local, s.role, s.connected_state, s.operational_state_desc,
s.synchronization_health, s.last_connect_error_number, s.last_connect_error_description, CASE WHEN r.replica_server_name = N'` + ag + `' THEN 1 ELSE 0 END
FROM sys.availability_replicas AS r
INNER JOIN sys.availability_groups AS g ON g.group_id = r.group_id
LEFT JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = r.group_id AND s.replica_id = r.replica_id
WHERE g.is_distributed = 1 OR g.name = N'` + ag + `';
SELECT c.database_name, CONVERT(varchar(36), c.group_database_id), d.database_id, d.state, CONVERT(nvarchar(60), DATABASEPROPERTYEX(c.database_name, 'Updateability')), d.log_reuse_wait_desc, s.is_database_joined
FROM sys.availability_groups AS g
INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id
LEFT JOIN sys.databases AS d ON d.name = c.database_name
LEFT JOIN sys.dm_hadr_availability_replica_states AS l ON l.group_id = g.group_id AND l.is_local = 1
LEFT JOIN sys.dm_hadr_database_replica_cluster_states AS s ON s.group_database_id = c.group_database_id AND s.replica_id = l.replica_id
WHERE g.is_distributed = 0 AND g.name = N'` + ag + `';
SELECT CASE WHEN g.is_distributed = 1 THEN 1 ELSE 0 END, r.database_id, CONVERT(varchar(36), r.group_database_id), CONVERT(varchar(36), r.replica_id), a.replica_server_name, r.is_local, r.is_primary_replica, r.synchronization_state, r.synchronization_health,
r.database_state, r.is_suspended, r.suspend_reason_desc, CONVERT(varchar(30), r.last_sent_lsn), CONVERT(varchar(30), r.last_received_lsn), CONVERT(varchar(30), r.last_hardened_lsn), CONVERT(varchar(30), r.last_redone_lsn),
CONVERT(varchar(30), r.end_of_log_lsn), CONVERT(varchar(30), r.last_commit_lsn), CONVERT(varchar(30), r.truncation_lsn), CONVERT(varchar(30), r.recovery_lsn), r.last_commit_time, r.log_send_queue_size, r.log_send_rate, r.redo_queue_size, r.redo_rate, r.secondary_lag_seconds
FROM sys.dm_hadr_database_replica_states AS r
INNER JOIN sys.availability_groups AS g ON g.group_id = r.group_id
LEFT JOIN sys.availability_replicas AS a ON a.group_id = r.group_id AND a.replica_id = r.replica_id
WHERE (g.is_distributed = 0 AND g.name = N'` + ag + `' AND r.is_local = 1) OR (g.is_distributed = 1 AND g.name = N'DAG');
SELECT RTRIM(p.instance_name), RTRIM(p.counter_name), p.cntr_value
FROM sys.dm_os_performance_counters AS p
WHERE p.object_name LIKE N'%:Databases%' AND p.counter_name IN (N'Log File(s) Size (KB)', N'Log File(s) Used Size (KB)', N'Log Bytes Flushed/sec', N'Write Transactions/sec')
AND p.instance_name IN (` + databases + `);
SELECT c.name, c.expiry_date FROM sys.database_mirroring_endpoints AS e INNER JOIN sys.certificates AS c ON c.certificate_id = e.certificate_id;
` + who + from
}

type floorMember struct {
	name      string
	mode      int64
	local     bool
	role      int64
	connected int64
}

type floorDatabase struct {
	name      string
	id        int64
	reuseWait string
	own, link *floorRow
	size      int64
	used      int64
	flushed   int64
	writes    int64
}

type floorRow struct {
	replica          string
	sync             int64
	suspended        bool
	hardened, end    string
	commit           time.Time
	sendQueue        sql.NullInt64
	sendRate         sql.NullInt64
	redoQueue        sql.NullInt64
	redoRate         sql.NullInt64
	lag              sql.NullInt64
	hVLF, hBlock     int64
	endVLF, endBlock int64
}

type floorSide struct {
	began, ended time.Time
	server       string
	group        string // the DAG's id
	utc          time.Time
	required     int64
	members      []floorMember
	databases    []*floorDatabase
	expiry       time.Time
}

// floorPair is what was read.
type floorPair struct{ side [2]floorSide }

var (
	sideNames = [2]string{"source", "target"}
	agNames   = [2]string{"OnPremAG", "AzureAG"}
)

type floor struct {
	db                         [2]*sql.DB
	version, edition, platform [2]string // they do not change while a server runs
}

func newFloor(ctx context.Context, dsns [2]string) (*floor, error) {
	f := &floor{}
	for i, dsn := range dsns {
		db, err := sql.Open("sqlserver", dsn)
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		f.db[i] = db
		err = db.QueryRowContext(ctx, "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), CONVERT(nvarchar(128), SERVERPROPERTY('Edition')), host_platform FROM sys.dm_os_host_info").
			Scan(&f.version[i], &f.edition[i], &f.platform[i])
		if err != nil {
			return nil, err
		}
		f.platform[i] = strings.ToLower(f.platform[i])
	}
	return f, nil
}

func (f *floor) close() {
	for _, db := range f.db {
		if db != nil {
			_ = db.Close() // read only
		}
	}
}

// read asks both sides in parallel.
func (f *floor) read(ctx context.Context) (*floorPair, error) {
	var p floorPair
	var errs [2]error
	var wg sync.WaitGroup
	for i := range f.db {
		wg.Go(func() { errs[i] = readSide(ctx, f.db[i], agNames[i], &p.side[i]) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return &p, nil
}

func readSide(ctx context.Context, db *sql.DB, ag string, s *floorSide) error {
	s.began = time.Now()
	rows, err := db.QueryContext(ctx, floorSQL(ag))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // read to its end, or broken
	byID, byName, byGUID := map[int64]*floorDatabase{}, map[string]*floorDatabase{}, map[string]*floorDatabase{}
	for set := 0; ; set++ {
		for rows.Next() {
			switch set {
			case 0:
				var start, id string
				var role, state, performance, definition int64
				err = rows.Scan(&s.server, &start, &id, &role, &s.utc, &state, &performance, &definition)
			case 1:
				var id, name string
				var distributed, contained sql.NullBool
				var kind, cluster, required, sequence sql.NullInt64
				err = rows.Scan(&id, &name, &distributed, &kind, &cluster, &required, &sequence, &contained)
				if kind.Int64 == 1 {
					s.group, s.required = id, required.Int64
				}
			case 2:
				err = scanMember(rows, s)
			case 3:
				d := &floorDatabase{}
				var guid string
				var update sql.NullString
				var state sql.NullInt64
				var joined sql.NullBool
				err = rows.Scan(&d.name, &guid, &d.id, &state, &update, &d.reuseWait, &joined)
				s.databases = append(s.databases, d)
				byID[d.id], byName[d.name], byGUID[guid] = d, d, d
			case 4:
				err = scanRow(rows, byID, byGUID)
			case 5:
				var name, counter string
				var v int64
				err = rows.Scan(&name, &counter, &v)
				if d := byName[name]; d != nil {
					switch counter {
					case "Log File(s) Size (KB)":
						d.size = v * 1024
					case "Log File(s) Used Size (KB)":
						d.used = v * 1024
					case "Log Bytes Flushed/sec":
						d.flushed = v
					case "Write Transactions/sec":
						d.writes = v
					}
				}
			case 6:
				var name string
				err = rows.Scan(&name, &s.expiry)
			case 7:
				var name, start, id string
				var role int64
				err = rows.Scan(&name, &start, &id, &role)
			}
			if err != nil {
				return err
			}
		}
		if !rows.NextResultSet() {
			break
		}
	}
	s.ended = time.Now()
	return rows.Err()
}

func scanMember(rows *sql.Rows, s *floorSide) error {
	var m floorMember
	var group, id string
	var url, failover, seeding, operational, text sql.NullString
	var timeout, role, connected, health, number, is sql.NullInt64
	var local sql.NullBool
	err := rows.Scan(&group, &id, &m.name, &url, &m.mode, &failover, &seeding, &timeout, &local, &role, &connected, &operational, &health, &number, &text, &is)
	m.local, m.role, m.connected = local.Bool, role.Int64, connected.Int64
	if group == s.group {
		s.members = append(s.members, m)
	}
	return err
}

func scanRow(rows *sql.Rows, byID map[int64]*floorDatabase, byGUID map[string]*floorDatabase) error {
	r := &floorRow{}
	var dag, id, state sql.NullInt64
	var local, primary sql.NullBool
	var health sql.NullInt64
	var guid, replicaID string
	var reason, sent, received, hardened, redone, end, commit, truncation, recovery sql.NullString
	var at sql.NullTime
	if err := rows.Scan(&dag, &id, &guid, &replicaID, &r.replica, &local, &primary, &r.sync, &health, &state, &r.suspended, &reason,
		&sent, &received, &hardened, &redone, &end, &commit, &truncation, &recovery, &at, &r.sendQueue, &r.sendRate, &r.redoQueue, &r.redoRate, &r.lag); err != nil {
		return err
	}
	r.hardened, r.end, r.commit = hardened.String, end.String, at.Time
	r.hVLF, r.hBlock = splitLSN(r.hardened)
	r.endVLF, r.endBlock = splitLSN(r.end)
	if dag.Int64 == 1 {
		if d := byID[id.Int64]; d != nil && !local.Bool {
			d.link = r
		}
	} else if d := byGUID[guid]; d != nil {
		d.own = r
	}
	return nil
}

// splitLSN gives the first two parts of a numeric(25,0)'s text.
func splitLSN(s string) (vlf, block int64) {
	if len(s) <= 15 {
		return 0, 0
	}
	vlf, _ = strconv.ParseInt(s[:len(s)-15], 10, 64)
	block, _ = strconv.ParseInt(s[len(s)-15:len(s)-5], 10, 64)
	return vlf, block
}
