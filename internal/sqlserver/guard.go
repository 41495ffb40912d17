package sqlserver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Floor is what a database's own row must have reached. Both columns are
// compared like with like.
type Floor struct {
	Hardened hadr.LSN // last_hardened_lsn
	EndOfLog hadr.LSN // end_of_log_lsn
}

// Guard is what must be true in the moment before the statement. What is not
// surely true refuses it: NULL, an unknown LSN or a row that is missing are no.
// That this instance is PRIMARY of the local AG, that the local AG is a member
// of the DAG, and that the lock is held by this very session are always
// checked.
type Guard struct {
	Run        string    // run id that must stand in master; always checked, must not be empty
	Role       hadr.Role // this side's role in the DAG; must not be unknown
	ServerName string    // @@SERVERNAME; always checked
	StartTime  string    // as in hadr.Identity; always checked

	// Databases is the exact set of the local AG, by name under the server's
	// collation. Always checked, must not be empty.
	Databases []string

	// AtLeast is the proof that S3 carries, one Floor per database of
	// Databases. Required for KindPromote unless NoProof; nil is right for
	// every other kind. EndOfLogOnly is the approved proof_basis end_of_log:
	// then, and only then, may Floor.Hardened be unknown, and that column is
	// not judged.
	AtLeast      map[string]Floor
	EndOfLogOnly bool

	// NoProof lets a KindPromote run without AtLeast: the way back on the
	// source, which takes its own log up again, and nothing else.
	NoProof bool

	// RSSTC, if known, is what the DAG's own
	// required_synchronized_secondaries_to_commit must read (2022+).
	RSSTC hadr.Opt[int64]
}

// check refuses what must not even be sent.
func (g Guard) check(kind Kind) error {
	switch {
	case g.Run == "":
		return errEmptyRun
	case utf16Len(g.Run) > maxName:
		return fmt.Errorf("the run id is longer than %d characters", maxName)
	case g.Role != hadr.RolePrimary && g.Role != hadr.RoleSecondary && g.Role != hadr.RoleResolving:
		return fmt.Errorf("the guard expects no role")
	case g.ServerName == "" || g.StartTime == "":
		return fmt.Errorf("the guard expects no identity")
	case len(g.Databases) == 0:
		return fmt.Errorf("the guard expects no databases")
	}
	for _, d := range g.Databases {
		if err := checkName("a database's name", d); err != nil {
			return err
		}
	}
	switch kind {
	case KindDemote, KindRequire1:
		if g.Role != hadr.RolePrimary {
			return fmt.Errorf("the statement is for the DAG's primary, the guard expects %s", g.Role)
		}
	case KindPromote:
		if g.Role == hadr.RolePrimary {
			return fmt.Errorf("the statement is for a side that is not the DAG's primary")
		}
		if g.NoProof && g.AtLeast != nil {
			return fmt.Errorf("the guard has a proof, and says that it has none")
		}
		if !g.NoProof && g.AtLeast == nil {
			return fmt.Errorf("the guard carries no proof")
		}
	}
	if g.AtLeast == nil {
		return nil
	}
	if len(g.AtLeast) != len(g.Databases) {
		return fmt.Errorf("the proof is about %d databases, the plan about %d", len(g.AtLeast), len(g.Databases))
	}
	for _, d := range g.Databases {
		f, ok := g.AtLeast[d]
		switch {
		case !ok:
			return fmt.Errorf("the proof says nothing about database %s", d)
		case !f.EndOfLog.Known():
			return fmt.Errorf("the proof has no end_of_log_lsn for database %s", d)
		case !f.Hardened.Known() && !g.EndOfLogOnly:
			return fmt.Errorf("the proof has no last_hardened_lsn for database %s", d)
		}
	}
	return nil
}

var roleNumbers = map[hadr.Role]int{hadr.RoleResolving: 0, hadr.RolePrimary: 1, hadr.RoleSecondary: 2}

// guardWriter writes a batch of guards that count. Each guard that surely holds
// adds one to @held; the statement runs only if all of them did. A guard whose
// own SELECT fails (a right that is missing ends a statement, not the batch)
// adds nothing, so the statement cannot be reached past it.
type guardWriter struct {
	b strings.Builder
	n int
}

// holds: the guard holds if the query has a row.
func (w *guardWriter) holds(number int32, refusal, query string) {
	w.n++
	fmt.Fprintf(&w.b, "IF EXISTS (%s)\nBEGIN\nSET @held = @held + 1;\nEND\nELSE\nBEGIN\nTHROW %d, %s, 1;\nEND;\n", query, number, nliteral(clip(refusal)))
}

// clean: the guard holds if from, a FROM clause with its WHERE, has no row.
// COUNT decides: if the SELECT fails @bad stays -1. The first name that was
// found is put at the end of the refusal.
func (w *guardWriter) clean(number int32, refusal, name, from string) {
	w.n++
	fmt.Fprintf(&w.b, "SET @bad = -1;\nSET @name = NULL;\nSELECT @bad = COUNT(*), @name = MIN(%s) %s;\nIF @bad = 0\nBEGIN\nSET @held = @held + 1;\nEND\n"+
		"ELSE\nBEGIN\nSET @refusal = %s + ISNULL(@name, N'?');\nTHROW %d, @refusal, 1;\nEND;\n", name, from, nliteral(clip(refusal)), number)
}

// clip keeps a message within what THROW takes, with room for a name.
func clip(s string) string {
	if r := []rune(s); len(r) > 800 {
		return string(r[:800])
	}
	return s
}

// guardedBatch is one statement behind its guards.
func guardedBatch(n names, resource string, stmt Statement, g Guard) string {
	w := &guardWriter{}
	w.b.WriteString("SET NOCOUNT ON;\nDECLARE @held int, @bad int, @name nvarchar(128), @refusal nvarchar(2048);\nSET @held = 0;\n")
	local := "g.is_distributed = 0 AND g.name = " + nliteral(n.ag)
	dag := "g.is_distributed = 1 AND g.name = " + nliteral(n.group)

	w.holds(throwIdentity, "this is not "+g.ServerName+" as it started at "+g.StartTime,
		"SELECT 1 FROM sys.dm_os_sys_info AS i WHERE @@SERVERNAME = "+nliteral(g.ServerName)+" AND CONVERT(varchar(30), i.sqlserver_start_time, 126) = "+literal(g.StartTime))
	w.holds(throwLock, "the lock is not held by this session",
		"SELECT 1 WHERE APPLOCK_MODE(N'dbo', "+nliteral(resource)+", N'Session') = N'Exclusive'")
	w.holds(throwMarker, "the run id in master is not "+g.Run,
		"SELECT 1 FROM sys.extended_properties AS p WHERE p.class = 0 AND p.name = "+nliteral(markerName(n.group))+" AND CONVERT(nvarchar(4000), p.value) = "+nliteral(g.Run))
	w.holds(throwLocalRole, "this instance is not PRIMARY of "+n.ag,
		"SELECT 1 FROM sys.availability_groups AS g INNER JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = g.group_id WHERE "+local+" AND s.is_local = 1 AND s.role = 1")
	w.holds(throwMember, n.ag+" is not a member of "+n.group,
		"SELECT 1 FROM sys.availability_groups AS g INNER JOIN sys.availability_replicas AS r ON r.group_id = g.group_id WHERE "+dag+" AND r.replica_server_name = "+nliteral(n.ag))
	w.holds(throwDAGRole, "this side is not "+strings.ToUpper(string(g.Role))+" in "+n.group,
		fmt.Sprintf("SELECT 1 FROM sys.availability_groups AS g INNER JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = g.group_id WHERE %s AND s.is_local = 1 AND s.role = %d", dag, roleNumbers[g.Role]))
	guardDatabases(w, local, g)
	if g.RSSTC.OK {
		w.holds(throwRSSTC, fmt.Sprintf("required_synchronized_secondaries_to_commit of %s is not %d", n.group, g.RSSTC.V),
			fmt.Sprintf("SELECT 1 FROM sys.availability_groups AS g WHERE %s AND g.required_synchronized_secondaries_to_commit = %d", dag, g.RSSTC.V))
	}
	if g.AtLeast != nil {
		guardProof(w, local, g)
	}
	fmt.Fprintf(&w.b, "IF @held = %d\nBEGIN\n%s\nEND\nELSE\nBEGIN\nTHROW %d, N'not every guard could be judged', 1;\nEND;\n", w.n, stmt.SQL, throwCount)
	return w.b.String()
}

// guardDatabases demands the exact set: nothing planned is missing here, and
// nothing more is here.
func guardDatabases(w *guardWriter, local string, g Guard) {
	rows := make([]string, 0, len(g.Databases))
	for _, d := range g.Databases {
		rows = append(rows, "("+nliteral(d)+")")
	}
	planned := "(VALUES " + strings.Join(rows, ", ") + ") AS v(name)"
	here := "(SELECT c.database_name FROM sys.availability_groups AS g INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id WHERE " + local + ")"
	w.clean(throwDatabases, "planned, but not in the availability group: ",
		"v.name", "FROM "+planned+" LEFT JOIN "+here+" AS c ON c.database_name = v.name WHERE c.database_name IS NULL")
	w.clean(throwDatabases, "in the availability group, but not planned: ",
		"c.database_name", "FROM "+here+" AS c LEFT JOIN "+planned+" ON v.name = c.database_name WHERE v.name IS NULL")
}

// guardProof demands that every database's own row has reached its floor, in
// values that are positions at all, and is in no state in which a forced
// failover can ruin it.
func guardProof(w *guardWriter, local string, g Guard) {
	rows := make([]string, 0, len(g.Databases))
	for _, d := range slices.Sorted(slices.Values(g.Databases)) {
		f := g.AtLeast[d]
		h := "NULL"
		if !g.EndOfLogOnly {
			h = "'" + f.Hardened.String() + "'"
		}
		rows = append(rows, fmt.Sprintf("(%s, CONVERT(numeric(25, 0), %s), CONVERT(numeric(25, 0), '%s'))", nliteral(d), h, f.EndOfLog))
	}
	hardened := "x.last_hardened_lsn >= v.hardened AND x.last_hardened_lsn < @top AND "
	if g.EndOfLogOnly {
		hardened = ""
	}
	// Everything with VLF 4294967295 is a sentinel.
	w.b.WriteString("DECLARE @top numeric(25, 0);\nSET @top = CONVERT(numeric(25, 0), '4294967295000000000000000');\n")
	w.clean(throwProof, "has not reached its proven position: ",
		"v.name", "FROM (VALUES "+strings.Join(rows, ", ")+") AS v(name, hardened, end_of_log)\n"+
			"LEFT JOIN (SELECT c.database_name, r.last_hardened_lsn, r.end_of_log_lsn, r.synchronization_state FROM sys.availability_groups AS g\n"+
			"INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id\n"+
			"INNER JOIN sys.dm_hadr_database_replica_states AS r ON r.group_id = g.group_id AND r.group_database_id = c.group_database_id\n"+
			"WHERE "+local+" AND r.is_local = 1) AS x\n"+
			"ON x.database_name = v.name AND "+hardened+"x.end_of_log_lsn >= v.end_of_log AND x.end_of_log_lsn < @top AND ISNULL(x.synchronization_state, 0) NOT IN (3, 4)\n"+
			"WHERE x.database_name IS NULL")
}

// clearBatch takes the commit condition back, behind the two guards that need no
// lock: this instance is PRIMARY of the local AG, and the DAG of that name is the
// one whose RSSTC was set. group is that one's id, "" if it is not known: then
// its name has to do, since a source that refuses every commit must not wait for
// what nobody knows.
func clearBatch(n names, group string, stmt Statement) string {
	w := &guardWriter{}
	w.b.WriteString("SET NOCOUNT ON;\nDECLARE @held int;\nSET @held = 0;\n")
	w.holds(throwLocalRole, "this instance is not PRIMARY of "+n.ag,
		"SELECT 1 FROM sys.availability_groups AS g INNER JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = g.group_id WHERE g.is_distributed = 0 AND g.name = "+nliteral(n.ag)+" AND s.is_local = 1 AND s.role = 1")
	if group != "" {
		w.holds(throwMember, "another group of this name: "+n.group+" is not "+group,
			"SELECT 1 FROM sys.availability_groups AS g WHERE g.is_distributed = 1 AND g.name = "+nliteral(n.group)+" AND g.group_id = "+literal(group))
	}
	fmt.Fprintf(&w.b, "IF @held = %d\nBEGIN\n%s\nEND\nELSE\nBEGIN\nTHROW %d, N'not every guard could be judged', 1;\nEND;\n", w.n, stmt.SQL, throwCount)
	return w.b.String()
}
