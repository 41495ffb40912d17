package model

import "fmt"

// Error is an error as SQL Server would send it. Numbers and texts follow the public list of database engine events.
type Error struct {
	Number  int32
	Class   uint8 // severity; 20 and above end the connection
	State   uint8
	Message string
}

// Error returns the text with the number, as log lines want it.
func (e *Error) Error() string {
	return fmt.Sprintf("Msg %d, Level %d: %s", e.Number, e.Class, e.Message)
}

func errf(number int32, class uint8, format string, args ...any) *Error {
	return &Error{Number: number, Class: class, State: 1, Message: fmt.Sprintf(format, args...)}
}

// The errors of domain.md section 4 that the model raises.
func errNotPrimary(group string) *Error {
	return errf(41140, 16, "Availability group '%s' cannot process the ALTER AVAILABILITY GROUP command, because the local availability replica is not the primary replica.  Connect to the server instance that is currently hosting the primary replica of this availability group, and rerun the command.", group)
}

func errWrongState(group string) *Error {
	return errCommandState(group, "ALTER-AVAILABILITY GROUP")
}

// errCommandState is 41190 with the name of the command, as the list of messages has it.
func errCommandState(group, command string) *Error {
	return errf(41190, 16, "Availability group '%s' failed to process %s command.  The local availability replica is not in a state that could process the command.  Verify that the availability group is online and that the local availability replica is the primary replica, then retry the command.", group, command)
}

func errNotJoined(db string) *Error {
	return errf(35242, 16, "Cannot complete this ALTER DATABASE <database-name> SET HADR operation on database '%s'. The database is not joined to an availability group. After the database has joined the availability group, retry the command.", db)
}

func errNotOnPrimary(db, group string) *Error {
	return errf(35240, 16, "Database '%s' cannot be joined to or unjoined from availability group '%s'. This operation is not supported on the primary replica of the availability group.", db, group)
}

func errAlreadyPrimary(group string) *Error {
	return errf(41122, 16, "Cannot failover availability group '%s' to this instance of SQL Server.  The local availability replica is already the primary replica of the availability group.  To failover this availability group to another instance of SQL Server, run the failover command on that instance of SQL Server.  If local instance of SQL Server is intended to host the primary replica of the availability group, then no action is required.", group)
}

func errOnlyForce(group string) *Error {
	return errf(19504, 16, "Cannot failover a distributed availability replica for availability group '%s'. Only force failover is supported in this version of SQL Server.", group)
}

func errMemberUnknown(member, group string) *Error {
	return errf(19508, 16, "'ALTER AVAILABILITY GROUP MODIFY AVAILABILITY GROUP' command failed. Participant availability replica '%s' not found in the distributed availability group '%s'.", member, group)
}

func errDAGUnknown(group string) *Error {
	return errf(19510, 16, "Distributed availability group '%s' not found. Rerun the command with an existing distributed availbility group.", group) // the list's spelling
}

func errNotDistributed(group string) *Error {
	return errf(19512, 16, "The requested operation only applies to distributed availability group, and is not supported on the specified availability group '%s'. Please make sure you are specifying the correct availability group name.", group)
}

func errReplicaUnknown(replica, group string) *Error {
	return errf(35210, 16, "Failed to modify options for availability replica '%s' in availability group '%s'. The specified availability group does not contain an availability replica with specified name. Verify that availability group name and availability replica name are correct, then retry the operation.", replica, group)
}

// errTooManyRequired is what REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT gets where so many secondaries cannot be synchronous.
func errTooManyRequired(required, possible int, group string) *Error {
	return errf(35248, 16, "The %s operation is not allowed by the current availability group configuration.  The required_synchronized_secondaries_to_commit %d is greater than the %d possible secondary synchronous-commit availability replicas in availability group '%s'.  Change one of the existing asynchronous-commit replicas to the synchronous-commit availability mode, and retry the operation.", "ALTER AVAILABILITY GROUP", required, possible, group)
}

// ErrNotMaster is what a statement about availability groups gets in another database.
func ErrNotMaster() *Error {
	return errf(35208, 16, "Availability group DDL operations are permitted only when you are using the master database.  Run the 'USE master' statement, and retry your availability group DDL statement.")
}

// ErrMissing is 15151, which SQL Server also answers to a login that may not see the object.
func ErrMissing(kind, verb, name string) *Error {
	return errf(15151, 16, "Cannot %s the %s '%s', because it does not exist or you do not have permission.", verb, kind, name)
}

func errReadOnly(db string) *Error {
	return errf(3906, 16, "Failed to update database \"%s\" because the database is read-only.", db)
}

func errNotReadable(db string) *Error {
	return errf(976, 14, "The target database, '%s', is participating in an availability group and is currently not accessible for queries. Either data movement is suspended or the availability replica is not enabled for read access.", db)
}

func errRoleUnresolved(db string) *Error {
	return errf(983, 14, "Unable to access availability database '%s' because the database replica is not in the PRIMARY or SECONDARY role. Connections to an availability database is permitted only when the database replica is in the PRIMARY or SECONDARY role. Try the operation again later.", db)
}

func errNoQuorum(db string) *Error {
	return errf(988, 14, "Unable to access database '%s' because it lacks a quorum of nodes for high availability. Try the operation again later.", db)
}

func errRecovering(db string) *Error {
	return errf(922, 14, "Database '%s' is being recovered. Waiting until recovery is finished.", db)
}

// errLocked is what a transaction gets for a row that another one has: the lab never waits for a row lock.
func errLocked() *Error {
	return &Error{Number: 1222, Class: 16, State: 51, Message: "Lock request time out period exceeded."}
}

// errDatabaseState is what a database in a state other than ONLINE answers.
func errDatabaseState(db string, s DBState) *Error {
	switch s {
	case DBRestoring:
		return errf(927, 14, "Database '%s' cannot be opened. It is in the middle of a restore.", db)
	case DBRecovering:
		return errRecovering(db)
	case DBSuspect:
		return errf(926, 14, "Database '%s' cannot be opened. It has been marked SUSPECT by recovery. See the SQL Server errorlog for more information.", db)
	case DBOffline:
		return errf(942, 14, "Database '%s' cannot be opened because it is offline.", db)
	}
	return errf(945, 14, "Database '%s' cannot be opened due to inaccessible files or insufficient memory or disk space.  See the SQL Server errorlog for details.", db)
}

func errLogFull(db, reason string) *Error {
	return errf(9002, 17, "The transaction log for database '%s' is full due to '%s'.", db, reason)
}

func errStateChange(db string) *Error {
	return errf(35299, 16, "Nonqualified transactions are being rolled back in database %s for an Always On Availability Groups state change. Estimated rollback completion: 100%%. This is an informational message only. No user action is required.", db)
}

// ErrKilled is 596, sent with severity 21 before the connection is closed.
func ErrKilled() *Error {
	return &Error{Number: 596, Class: 21, State: 1, Message: "Cannot continue the execution because the session is in the kill state."}
}
