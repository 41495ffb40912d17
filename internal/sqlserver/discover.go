package sqlserver

import (
	"cmp"
	"context"
	"database/sql/driver"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Discovered is a distributed AG as one instance knows it.
type Discovered struct {
	Group   string    // the DAG's name
	GroupID string    // lower-case GUID, the same on both sides
	Local   string    // the member AG that this instance belongs to; "" if none of the members is here
	Remote  string    // the other member
	Role    hadr.Role // of this instance in the DAG
	// LocalPrimary reports that the instance is PRIMARY of Local.
	LocalPrimary bool
	Replicas     []string // replica_server_name of the local AG's replicas
	Databases    []string // databases of the local AG
}

// Found is what Discover learned from one instance.
type Found struct {
	Identity hadr.Identity // ReplicaID is "": an instance has one per AG
	Login    string        // as the server names it; "" unknown
	Missing  []string      // permissions that the login lacks; see Grants
	DAGs     []Discovered  // by name; empty also when Missing holds VIEW ANY DEFINITION
}

func discoverBatch(major int) string {
	return "SET NOCOUNT ON;\n" +
		"SELECT CONVERT(nvarchar(128), @@SERVERNAME) AS [server.name], SUSER_SNAME() AS login, HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE') AS view_state, " +
		performanceState(major) + " AS view_performance_state, HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DEFINITION') AS view_definition;\n" +
		isolated("start", "SELECT CONVERT(varchar(30), sqlserver_start_time, 126) AS [start.time] FROM sys.dm_os_sys_info") +
		isolated("replica", "SELECT CONVERT(varchar(36), g.group_id) AS [replica.group_id], g.name, g.is_distributed, r.replica_server_name, s.is_local, s.role\n"+
			"FROM sys.availability_groups AS g INNER JOIN sys.availability_replicas AS r ON r.group_id = g.group_id\n"+
			"LEFT JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = r.group_id AND s.replica_id = r.replica_id") +
		// Without VIEW SERVER STATE the states are refused, the catalog is not:
		// the names are found all the same, and the missing right is told.
		isolated("name", "SELECT CONVERT(varchar(36), g.group_id) AS [name.group_id], g.name, g.is_distributed, r.replica_server_name\n"+
			"FROM sys.availability_groups AS g INNER JOIN sys.availability_replicas AS r ON r.group_id = g.group_id") +
		isolated("database", "SELECT g.name AS [database.ag], c.database_name FROM sys.availability_groups AS g INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id")
}

type discoveredReplica struct {
	groupID, group string
	distributed    bool
	name           string
	local          bool
	role           hadr.Role
}

// Discover asks one instance which distributed AGs it knows. The DSN is one of
// go-mssqldb and must say encrypt explicitly.
func Discover(ctx context.Context, dsn, appName string) (*Found, error) {
	const op = "discover"
	t, err := parseDSN(dsn, appName, 5*time.Second)
	if err != nil {
		return nil, &Error{Op: op, Class: ClassNotSent, Reason: ReasonQuery, Err: err}
	}
	e := &Error{Op: op, Instance: t.label}
	sess, err := connect(ctx, t)
	if err != nil {
		return nil, e.aboutConnect(err, &t)
	}
	if u := sess.probe.usable(); u != nil {
		sess.kill()
		u.Op, u.Instance = op, t.label
		return nil, u
	}
	var l line
	found, err := do(ctx, &l, sess.kill, func(ctx context.Context) (*Found, error) {
		defer sess.kill()
		return discover(ctx, sess, t.label)
	})
	if err != nil {
		return nil, e.about(err, &t)
	}
	return found, nil
}

func discover(ctx context.Context, sess *session, label string) (*Found, error) {
	var who sample
	var login string
	var replicas, named []discoveredReplica
	databases := map[string][]string{}
	err := sess.query(ctx, discoverBatch(sess.probe.major), func(cols []string) (rowFunc, error) {
		part, _, _ := strings.Cut(cols[0], ".")
		return func(row []driver.Value) error {
			c := &columns{row: row}
			switch part {
			case "server":
				who.serverName, login = c.text(), c.text()
				who.viewState, who.viewPerformance, who.viewDefinition = c.flag(), c.flag(), c.flag()
			case "start":
				who.startTime = c.text()
			case "replica":
				r := discoveredReplica{groupID: c.guid(), group: c.text(), distributed: c.flag().V, name: c.text()}
				r.local, r.role = c.flag().V, pick(c.integer(), roles)
				replicas = append(replicas, r)
			case "name":
				named = append(named, discoveredReplica{groupID: c.guid(), group: c.text(), distributed: c.flag().V, name: c.text()})
			case "database":
				ag := c.text()
				databases[ag] = append(databases[ag], c.text())
			}
			return c.err
		}, nil
	})
	if err != nil {
		return nil, err
	}
	f := &Found{Identity: sess.probe.identity(label, who), Login: login, Missing: who.missing()}
	if len(replicas) == 0 {
		replicas = named
	}
	f.DAGs = groupsOf(replicas, databases, sess.probe.caseSensitive)
	return f, nil
}

// groupsOf the distributed AGs among replicas. The members of one are named as
// somebody typed them: the server finds its AG OnPremAG by the name onpremag
// too, unless it is case-sensitive.
func groupsOf(replicas []discoveredReplica, databases map[string][]string, caseSensitive bool) (out []Discovered) {
	key := strings.ToLower
	if caseSensitive {
		key = func(s string) string { return s }
	}
	locals := map[string][]discoveredReplica{}
	for _, r := range replicas {
		if !r.distributed {
			locals[key(r.group)] = append(locals[key(r.group)], r)
		}
	}
	dags := map[string]*Discovered{}
	for _, r := range replicas {
		if !r.distributed {
			continue
		}
		d := dags[r.group]
		if d == nil {
			d = &Discovered{Group: r.group, GroupID: r.groupID}
			dags[r.group] = d
		}
		here := locals[key(r.name)]
		if len(here) == 0 {
			d.Remote = r.name
			continue
		}
		d.Local = here[0].group
		d.Databases = databases[d.Local]
		if r.local {
			d.Role = r.role
		}
		for _, l := range here {
			d.Replicas = append(d.Replicas, l.name)
			d.LocalPrimary = d.LocalPrimary || l.local && l.role == hadr.RolePrimary
		}
	}
	for _, d := range dags {
		slices.Sort(d.Databases)
		slices.Sort(d.Replicas)
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Discovered) int { return cmp.Compare(a.Group, b.Group) })
	return out
}
