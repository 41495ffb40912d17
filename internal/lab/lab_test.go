package lab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick makes everything that takes time in the model take little.
var quick = model.Timing{Demote: 20 * time.Millisecond, Resolving: 20 * time.Millisecond, Failover: 20 * time.Millisecond, Recovery: 30 * time.Millisecond,
	Relink: 150 * time.Millisecond, Undo: 50 * time.Millisecond, Revert: 20 * time.Millisecond, Reconnect: 50 * time.Millisecond, Modify: 5 * time.Millisecond,
	SessionTimeout: 300 * time.Millisecond, Background: -1}

// start runs a lab for one test.
func start(t *testing.T, opt Options) *Lab {
	t.Helper()
	if opt.Model.Timing == (model.Timing{}) {
		opt.Model.Timing = quick
	}
	l, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (l *Lab) test(t *testing.T, side Side) *sql.DB { return open(t, l.DSN(side)) }

func userDB(t *testing.T, l *Lab, side Side, name string) *sql.DB {
	return open(t, l.DSNFor(l.Address(side), SA, SAPassword, name))
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

type queryer interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

// rows reads a result as text; NULL is "NULL".
func rows(t *testing.T, db queryer, query string, args ...any) [][]string {
	t.Helper()
	r, err := db.QueryContext(within(t), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = r.Close() }()
	cols, err := r.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for r.Next() {
		raw := make([]any, len(cols))
		for i := range raw {
			raw[i] = new(any)
		}
		if err := r.Scan(raw...); err != nil {
			t.Fatal(err)
		}
		line := make([]string, len(cols))
		for i := range raw {
			switch v := (*raw[i].(*any)).(type) {
			case nil:
				line[i] = "NULL"
			case []byte:
				line[i] = string(v)
				if len(v) == 16 {
					var g mssql.UniqueIdentifier
					if err := g.Scan(v); err == nil {
						line[i] = g.String()
					}
				}
			case time.Time:
				line[i] = v.Format(time.RFC3339Nano)
			default:
				line[i] = fmt.Sprint(v)
			}
		}
		out = append(out, line)
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func one(t *testing.T, db queryer, query string, args ...any) string {
	t.Helper()
	r := rows(t, db, query, args...)
	if len(r) != 1 || len(r[0]) == 0 {
		t.Fatalf("%s: %v", query, r)
	}
	return r[0][0]
}

func exec(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(within(t), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// number is the number of a SQL error, 0 for none, -1 for another error.
func errorNumber(err error) int32 {
	var e mssql.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Number
	}
	return -1
}

func fails(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, want int32, query string) {
	t.Helper()
	_, err := db.ExecContext(within(t), query)
	if got := errorNumber(err); got != want {
		t.Errorf("%s: %d (%v), want %d", query, got, err, want)
	}
}

// eventually waits for something that the model will do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

const guide = `SELECT ag.name, drs.database_id, db_name(drs.database_id) as database_name, drs.group_id, drs.replica_id, drs.synchronization_state_desc, drs.last_hardened_lsn
FROM sys.dm_hadr_database_replica_states drs INNER JOIN sys.availability_groups ag on drs.group_id = ag.group_id;`

// lsns are last_hardened_lsn and end_of_log_lsn of a side's own rows, by database.
func lsns(t *testing.T, db *sql.DB) map[string][2]string {
	t.Helper()
	out := map[string][2]string{}
	for _, r := range rows(t, db, `SELECT DB_NAME(database_id), last_hardened_lsn, end_of_log_lsn FROM sys.dm_hadr_database_replica_states WHERE is_local = 1`) {
		out[r[0]] = [2]string{r[1], r[2]}
	}
	return out
}

const roleQuery = `SELECT s.role_desc FROM sys.dm_hadr_availability_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id
WHERE g.is_distributed = 1 AND s.is_local = 1`

const linkQuery = `SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id
WHERE g.is_distributed = 1 AND s.synchronization_state_desc = 'SYNCHRONIZED'`

const (
	sqlS1 = `ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON
  'OnPremAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT),
  'AzureAG'  WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT);`
	sqlS2     = `ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY);`
	sqlS3     = `ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS;`
	sqlRSSTC1 = `ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1);`
	sqlRSSTC0 = `ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 0);`
)

func sleepALittle() { time.Sleep(10 * time.Millisecond) }
