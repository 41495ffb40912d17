package lab

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"
)

// TestRunbookMistakes: what SQL Server refuses is refused here too, with the text of its list of messages, so that a runbook that is rehearsed here runs there.
func TestRunbookMistakes(t *testing.T) {
	l := start(t, Options{})
	src, tgt, db := l.test(t, Source), l.test(t, Target), userDB(t, l, Source, "db001")

	// Only in master, and nothing has happened.
	for _, s := range []string{sqlS1, sqlS2, "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS", "DROP AVAILABILITY GROUP [DAG]"} {
		fails(t, db, 35208, s)
	}
	// A mistake in the last statement keeps the first from running.
	fails(t, src, 102, sqlS2+"; ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATALOSS")
	fails(t, src, 50900, sqlS2+"; ALTER AVAILABILITY GROUP [DAG] OFFLINE")
	if got := one(t, src, roleQuery); got != "PRIMARY" {
		t.Errorf("the source is %s", got)
	}

	for _, c := range []struct {
		db    *sql.DB
		query string
		want  string
	}{
		{tgt, "ALTER AVAILABILITY GROUP [DAG] FAILOVER", "19504 Cannot failover a distributed availability replica for availability group 'DAG'. Only force failover is supported in this version of SQL Server."},
		{src, "ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'onpremag' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)",
			"19508 'ALTER AVAILABILITY GROUP MODIFY AVAILABILITY GROUP' command failed. Participant availability replica 'onpremag' not found in the distributed availability group 'DAG'."},
		{src, "ALTER AVAILABILITY GROUP [X] MODIFY AVAILABILITY GROUP ON 'OnPremAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)",
			"19510 Distributed availability group 'X' not found. Rerun the command with an existing distributed availbility group."},
		{src, "ALTER AVAILABILITY GROUP [OnPremAG] SET (ROLE = SECONDARY)",
			"19512 The requested operation only applies to distributed availability group, and is not supported on the specified availability group 'OnPremAG'. Please make sure you are specifying the correct availability group name."},
		{src, "ALTER AVAILABILITY GROUP [OnPremAG] MODIFY REPLICA ON 'N9' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)", "35210 Failed to modify options for availability replica 'N9' in availability group 'OnPremAG'."},
		{src, "ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 2)",
			"35248 The ALTER AVAILABILITY GROUP operation is not allowed by the current availability group configuration.  The required_synchronized_secondaries_to_commit 2 is greater than the 1 possible secondary"},
		{src, "ALTER AVAILABILITY GROUP [OnPremAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1)", "35248 "},
	} {
		_, err := c.db.ExecContext(within(t), c.query)
		var e mssql.Error
		number, text, _ := strings.Cut(c.want, " ")
		if !errors.As(err, &e) || errorNumber(err) != e.Number || strconv.Itoa(int(e.Number)) != number || !strings.HasPrefix(e.Message, text) {
			t.Errorf("%s: %v, want %s", c.query, err, c.want)
		}
	}
}

// TestTableFunctionArguments: too few or too many arguments are errors of their own, and leave the connection as it is.
func TestTableFunctionArguments(t *testing.T) {
	db := start(t, Options{}).test(t, Source)
	for _, f := range []string{"fn_my_permissions", "fn_hadr_distributed_ag_database_replica", "fn_hadr_distributed_ag_replica"} {
		fails(t, db, 313, "SELECT * FROM sys."+f+"()")
		fails(t, db, 313, "SELECT * FROM sys."+f+"((SELECT group_id FROM sys.availability_groups WHERE is_distributed = 1))")
		fails(t, db, 8144, "SELECT * FROM sys."+f+"(NULL, NULL, NULL)")
	}
	if got := one(t, db, "SELECT COUNT(*) FROM fn_my_permissions(NULL, 'SERVER') WHERE permission_name = 'CONTROL SERVER'"); got != "1" {
		t.Errorf("%s rows", got)
	}
}
