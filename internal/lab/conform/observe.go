// Package conform holds a real SQL Server against the lab's model of one: it reads both with the same statements over the same
// driver, SELECTs and nothing else, and says line by line where they differ. What it finds is a text that a user can send.
package conform

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/dag-exporter/dag_exporter/internal/lab/views"
)

// Observation is what one instance showed. Values are text; NULL is absent from a row.
type Observation struct {
	Server, Version, Edition, Collation string
	Major, Engine                       int
	Linux                               bool
	Started                             string
	Permissions                         map[string]bool // by name, as HAS_PERMS_BY_NAME says
	Sysadmin                            bool

	Columns  map[string][]string          // by view: "name type"
	Refused  map[string]int32             // by view or query: the error's number; 0 is no answer at all
	Rows     map[string][]Row             // by view
	Counters map[string]bool              // object/counter
	Database map[string]map[string]string // by database: what functions say of it

	DAG string // the one that is looked at; "" where none was seen
}

// Row is one row: column to text; a NULL is not in it.
type Row map[string]string

// rowViews are read whole; all others give their columns alone. sys.database_recovery_status is not among them: reading it tries to
// start databases that are closed.
var rowViews = []string{"sys.availability_groups", "sys.availability_replicas", "sys.availability_databases_cluster", "sys.dm_hadr_availability_replica_states",
	"sys.dm_hadr_availability_group_states", "sys.dm_hadr_database_replica_cluster_states", "sys.dm_hadr_database_replica_states"}

// reader asks one server, one statement at a time, each with its own bound.
type reader struct {
	db    *sql.DB
	bound time.Duration
	o     *Observation
}

// number is a SQL error's, 0 for everything else.
func number(err error) int32 {
	var e mssql.Error
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// query runs a SELECT. The error of a server is noted under the name, and is no error: a least-rights login meets many.
func (r *reader) query(ctx context.Context, name, text string, each func(cols []*sql.ColumnType, row []any)) error {
	ctx, cancel := context.WithTimeout(ctx, r.bound)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, text)
	if err == nil {
		err = scan(rows, each)
	}
	if err == nil {
		return nil
	}
	n := number(err)
	if n == 0 && ctx.Err() == nil {
		return unsaid(err)
	}
	r.o.Refused[name] = n
	return nil
}

func scan(rows *sql.Rows, each func([]*sql.ColumnType, []any)) error {
	defer func() { _ = rows.Close() }() // Err says what went wrong
	cols, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	each(cols, nil)
	for rows.Next() {
		line := make([]any, len(cols))
		to := make([]any, len(cols))
		for i := range line {
			to[i] = &line[i]
		}
		if err := rows.Scan(to...); err != nil {
			return err
		}
		each(cols, line)
	}
	return rows.Err()
}

// unsaid keeps what a driver says from being repeated: it may hold parts of a connection string.
func unsaid(err error) error {
	switch {
	case number(err) != 0:
		return fmt.Errorf("the server answered %d", number(err))
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	}
	return errors.New("no connection (is the address right, does it listen, is its certificate trusted?)")
}

// Observe reads one instance. dag names the distributed group to look at; "" is the only one there is.
func Observe(ctx context.Context, db *sql.DB, dag string, bound time.Duration) (*Observation, error) {
	db.SetMaxOpenConns(1)
	r := &reader{db: db, bound: bound, o: &Observation{Permissions: map[string]bool{}, Columns: map[string][]string{}, Refused: map[string]int32{}, Rows: map[string][]Row{},
		Counters: map[string]bool{}, Database: map[string]map[string]string{}}}
	ping, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if err := db.PingContext(ping); err != nil {
		return nil, unsaid(err)
	}
	for _, step := range []func(context.Context) error{r.identity, r.columns, r.rows, r.counters, r.databases} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	r.o.DAG, err = r.o.choose(dag)
	return r.o, err
}

func (r *reader) identity(ctx context.Context) error {
	o := r.o
	err := r.query(ctx, "identity", `SELECT @@SERVERNAME, CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), CONVERT(nvarchar(128), SERVERPROPERTY('Edition')),
 CONVERT(nvarchar(128), SERVERPROPERTY('Collation')), CONVERT(int, SERVERPROPERTY('EngineEdition')), IS_SRVROLEMEMBER('sysadmin')`, func(_ []*sql.ColumnType, v []any) {
		if v != nil {
			o.Server, o.Version, o.Edition, o.Collation = text(v[0]), text(v[1]), text(v[2]), text(v[3])
			_, _ = fmt.Sscan(text(v[4]), &o.Engine)
			o.Sysadmin = text(v[5]) == "1"
		}
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(o.Version, "%d.", &o.Major); err != nil {
		return errors.New("the server does not say its version")
	}
	for _, p := range []string{"VIEW SERVER STATE", "VIEW SERVER PERFORMANCE STATE", "VIEW ANY DEFINITION", "ALTER ANY AVAILABILITY GROUP", "CONTROL SERVER"} {
		if err := r.query(ctx, "permissions", "SELECT HAS_PERMS_BY_NAME(NULL, NULL, '"+p+"')", func(_ []*sql.ColumnType, v []any) {
			if v != nil {
				o.Permissions[p] = text(v[0]) == "1"
			}
		}); err != nil {
			return err
		}
	}
	if o.Major >= 14 {
		if err := r.query(ctx, "host", "SELECT host_platform FROM sys.dm_os_host_info", func(_ []*sql.ColumnType, v []any) {
			if v != nil {
				o.Linux = text(v[0]) == "Linux"
			}
		}); err != nil {
			return err
		}
	}
	return r.query(ctx, "start", "SELECT sqlserver_start_time FROM sys.dm_os_sys_info", func(_ []*sql.ColumnType, v []any) {
		if v != nil {
			o.Started = text(v[0])
		}
	})
}

func (r *reader) columns(ctx context.Context) error {
	for _, v := range viewNames(r.o.Major) {
		if err := r.query(ctx, v, "SELECT TOP (0) * FROM "+v, func(cols []*sql.ColumnType, row []any) {
			if row == nil {
				for _, c := range cols {
					r.o.Columns[v] = append(r.o.Columns[v], c.Name()+" "+typeOf(c))
				}
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// viewNames are the views that the model has in a version.
func viewNames(major int) []string {
	var out []string
	for _, v := range views.New() {
		if v.From <= major {
			out = append(out, v.Name)
		}
	}
	slices.Sort(out)
	return out
}

func typeOf(c *sql.ColumnType) string {
	name := strings.ToLower(c.DatabaseTypeName())
	switch name {
	case "decimal", "numeric":
		p, s, _ := c.DecimalSize()
		return fmt.Sprintf("numeric(%d,%d)", p, s)
	case "nvarchar", "varbinary", "varchar", "nchar", "char", "binary":
		if n, _ := c.Length(); n > 0 && n <= 8000 {
			return fmt.Sprintf("%s(%d)", name, n)
		}
		return name + "(max)"
	}
	return name
}

func (r *reader) rows(ctx context.Context) error {
	for _, v := range rowViews {
		err := r.query(ctx, v, "SELECT * FROM "+v, func(cols []*sql.ColumnType, vals []any) {
			if vals == nil {
				return
			}
			row := Row{}
			for i, c := range cols {
				if vals[i] == nil {
					continue
				}
				if row[c.Name()] = text(vals[i]); c.DatabaseTypeName() == "UNIQUEIDENTIFIER" {
					row[c.Name()] = guid(vals[i])
				}
			}
			r.o.Rows[v] = append(r.o.Rows[v], row)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) counters(ctx context.Context) error {
	return r.query(ctx, "sys.dm_os_performance_counters", `SELECT DISTINCT RTRIM(object_name), RTRIM(counter_name) FROM sys.dm_os_performance_counters
 WHERE object_name LIKE '%:Database Replica%' OR object_name LIKE '%:Availability Replica%' OR object_name LIKE '%:Databases%'`, func(_ []*sql.ColumnType, v []any) {
		if v != nil {
			_, object, _ := strings.Cut(text(v[0]), ":")
			r.o.Counters[object+"/"+text(v[1])] = true
		}
	})
}

func (r *reader) databases(ctx context.Context) error {
	return r.query(ctx, "databases", `SELECT d.name, d.state_desc, CONVERT(nvarchar(20), DATABASEPROPERTYEX(d.name, 'Updateability')), sys.fn_hadr_is_primary_replica(d.name)
 FROM sys.databases d WHERE d.group_database_id IS NOT NULL`, func(_ []*sql.ColumnType, v []any) {
		if v != nil {
			r.o.Database[text(v[0])] = map[string]string{"state": text(v[1]), "updateability": text(v[2]), "is_primary_replica": text(v[3])}
		}
	})
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		return string(v)
	case bool:
		if v {
			return "1"
		}
		return "0"
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return fmt.Sprint(v)
}

func guid(v any) string {
	var g mssql.UniqueIdentifier
	if err := g.Scan(v); err != nil {
		return "?"
	}
	return g.String()
}

// choose gives the distributed group that is looked at.
func (o *Observation) choose(want string) (string, error) {
	var found []string
	for _, g := range o.Rows["sys.availability_groups"] {
		if g["is_distributed"] == "1" && (want == "" || strings.EqualFold(want, g["name"])) {
			found = append(found, g["name"])
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", errors.New("there are several distributed availability groups: name one with --dag")
	case want != "" && len(o.Rows["sys.availability_groups"]) > 0:
		return "", errors.New("there is no distributed availability group of that name")
	}
	return "", nil
}

// find gives the first row of a view with these values.
func (o *Observation) find(view string, want Row) Row {
	for _, r := range o.Rows[view] {
		if r.has(want) {
			return r
		}
	}
	return nil
}

func (r Row) has(want Row) bool {
	for k, v := range want {
		if r[k] != v {
			return false
		}
	}
	return true
}

// group is sys.availability_groups' row of the DAG.
func (o *Observation) group() Row {
	return o.find("sys.availability_groups", Row{"name": o.DAG, "is_distributed": "1"})
}

// local is the row of the local AG that is a member of the DAG; nil if it cannot be told.
func (o *Observation) local() Row {
	g := o.group()
	for _, l := range o.Rows["sys.availability_groups"] {
		if g != nil && l["is_distributed"] != "1" && o.find("sys.availability_replicas", Row{"group_id": g["group_id"], "replica_server_name": l["name"]}) != nil {
			return l
		}
	}
	return nil
}

// roles are the local AG's and the DAG's on this instance, "" where not seen.
func (o *Observation) roles() (local, dag string) {
	if l := o.local(); l != nil {
		local = o.find("sys.dm_hadr_availability_replica_states", Row{"group_id": l["group_id"], "is_local": "1"})["role_desc"]
	}
	if g := o.group(); g != nil {
		dag = o.find("sys.dm_hadr_availability_replica_states", Row{"group_id": g["group_id"], "is_local": "1"})["role_desc"]
	}
	return local, dag
}

// blocks tells how far last_hardened_lsn is beyond end_of_log_lsn, in blocks of one VLF; ok is false where it cannot be told.
func (r Row) blocks() (n int64, ok bool) {
	a, okA := new(big.Int).SetString(r["last_hardened_lsn"], 10)
	b, okB := new(big.Int).SetString(r["end_of_log_lsn"], 10)
	if !okA || !okB {
		return 0, false
	}
	vlf := big.NewInt(1_000_000_000_000_000)
	if new(big.Int).Div(a, vlf).Cmp(new(big.Int).Div(b, vlf)) != 0 || a.Cmp(vlf) < 0 {
		return 0, false
	}
	d := new(big.Int).Sub(a, b)
	return new(big.Int).Div(d, big.NewInt(100_000)).Int64(), d.IsInt64()
}
