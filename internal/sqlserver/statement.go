package sqlserver

import "fmt"

// Kind names one of the statements that a cutover consists of.
type Kind string

// The statements of domain.md §1.3.
const (
	KindSync     Kind = "sync"      // S1: synchronous commit, on both sides
	KindAsync    Kind = "async"     // S1': asynchronous commit, on both sides
	KindDemote   Kind = "demote"    // S2: SET (ROLE = SECONDARY), on the global primary only
	KindPromote  Kind = "promote"   // S3: FORCE_FAILOVER_ALLOW_DATA_LOSS
	KindRequire1 Kind = "require_1" // S4: REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1; a DAG has it from 2022 on
	KindRequire0 Kind = "require_0" // the same, = 0
)

// Statement is one ALTER AVAILABILITY GROUP, made by Render alone.
type Statement struct {
	Kind Kind
	SQL  string // exactly what the server gets, without the guards
}

// Render makes a statement for the distributed AG named group. members are the
// names of the two member AGs, in the DAG's own spelling; only KindSync and
// KindAsync take them.
func Render(kind Kind, group string, members ...string) (Statement, error) {
	fail := func(err error) (Statement, error) {
		return Statement{}, &Error{Op: "render " + string(kind), Class: ClassNotSent, Reason: ReasonQuery, Err: err}
	}
	if err := checkName("the distributed AG's name", group); err != nil {
		return fail(err)
	}
	withMembers := kind == KindSync || kind == KindAsync
	switch {
	case withMembers && len(members) != 2:
		return fail(fmt.Errorf("want the names of the two member AGs, have %d", len(members)))
	case !withMembers && len(members) != 0:
		return fail(fmt.Errorf("the statement takes no member AGs"))
	}
	for _, m := range members {
		if err := checkName("a member AG's name", m); err != nil {
			return fail(err)
		}
	}
	if withMembers && members[0] == members[1] {
		return fail(fmt.Errorf("both member AGs are named %q", members[0]))
	}
	alter := "ALTER AVAILABILITY GROUP " + ident(group)
	mode := func(m string) string {
		return fmt.Sprintf("%s MODIFY AVAILABILITY GROUP ON\n  %s WITH (AVAILABILITY_MODE = %s),\n  %s WITH (AVAILABILITY_MODE = %s);",
			alter, nameLiteral(members[0]), m, nameLiteral(members[1]), m)
	}
	var sql string
	switch kind {
	case KindSync:
		sql = mode("SYNCHRONOUS_COMMIT")
	case KindAsync:
		sql = mode("ASYNCHRONOUS_COMMIT")
	case KindDemote:
		sql = alter + " SET (ROLE = SECONDARY);"
	case KindPromote:
		sql = alter + " FORCE_FAILOVER_ALLOW_DATA_LOSS;"
	case KindRequire1:
		sql = alter + " SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1);"
	case KindRequire0:
		sql = alter + " SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 0);"
	default:
		return fail(fmt.Errorf("there is no such statement"))
	}
	return Statement{Kind: kind, SQL: sql}, nil
}
