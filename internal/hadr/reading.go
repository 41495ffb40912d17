package hadr

// CONTRACT: the types that sqlserver fills, and that collector and cutover
// read. Extend freely; rename only with a reason.

import (
	"encoding/json"
	"time"
)

// Side names one end of the migration as configured, whatever the roles are.
type Side string

// The two sides.
const (
	Source Side = "source"
	Target Side = "target"
)

// Other is the opposite side.
func (s Side) Other() Side {
	if s == Source {
		return Target
	}
	return Source
}

// Opt is a column that may be NULL, or that was not asked for. The zero Opt
// is unknown; unknown is never 0, false or "".
type Opt[T any] struct {
	V  T
	OK bool
}

// Some is a known value.
func Some[T any](v T) Opt[T] { return Opt[T]{V: v, OK: true} }

// MarshalJSON writes null for an unknown value.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if !o.OK {
		return []byte("null"), nil
	}
	return json.Marshal(o.V)
}

// UnmarshalJSON is the reverse of MarshalJSON.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*o = Opt[T]{}
		return nil
	}
	o.OK = true
	return json.Unmarshal(b, &o.V)
}

// Role of an instance in an availability group
// (sys.dm_hadr_availability_replica_states.role). "" is unknown.
type Role string

// Roles.
const (
	RoleUnknown   Role = ""
	RoleResolving Role = "resolving" // 0
	RolePrimary   Role = "primary"   // 1
	RoleSecondary Role = "secondary" // 2
)

// SyncState is synchronization_state of a database replica. "" is unknown.
type SyncState string

// Synchronization states.
const (
	SyncUnknown      SyncState = ""
	NotSynchronizing SyncState = "not_synchronizing" // 0
	Synchronizing    SyncState = "synchronizing"     // 1
	Synchronized     SyncState = "synchronized"      // 2
	SyncReverting    SyncState = "reverting"         // 3: forcing now can ruin the database
	SyncInitializing SyncState = "initializing"      // 4: likewise
)

// DBState is the state of a database (sys.databases.state, database_state).
// "" is unknown.
type DBState string

// Database states.
const (
	DBUnknown         DBState = ""
	DBOnline          DBState = "online"           // 0
	DBRestoring       DBState = "restoring"        // 1
	DBRecovering      DBState = "recovering"       // 2
	DBRecoveryPending DBState = "recovery_pending" // 3
	DBSuspect         DBState = "suspect"          // 4
	DBEmergency       DBState = "emergency"        // 5
	DBOffline         DBState = "offline"          // 6
)

// Mode is a commit mode (availability_mode). "" is unknown.
type Mode string

// Commit modes.
const (
	ModeUnknown           Mode = ""
	ModeAsynchronous      Mode = "asynchronous_commit" // 0
	ModeSynchronous       Mode = "synchronous_commit"  // 1
	ModeConfigurationOnly Mode = "configuration_only"  // 4
)

// Reading is one side of a DAG at one moment: what one instance, the PRIMARY
// of the local AG, answered to one batch. A Reading is immutable after it was
// filled. Absent parts are nil or unknown, never zero.
type Reading struct {
	Side      Side
	Began     time.Time // reader's clock, just before the batch was sent
	Ended     time.Time // reader's clock, just after the last row
	Identity  Identity
	DAG       Group      // the distributed AG as this side sees it
	Local     Group      // this side's own AG
	Databases []Database // every database of the local AG, by name; nil if the list could not be read

	Missing   []string // permissions that the login lacks, e.g. "VIEW ANY DEFINITION"
	OtherDAGs []string // names of further distributed AGs that the local AG is a member of
	Failed    []string // names of statements of the batch that failed; their facts are unknown
	FailedWhy []string // to each of Failed what the server said, number and text; "" if it gave no answer

	// Peers are the side's other configured instances, as far as they
	// answered while this reading was made.
	Peers []Peer

	// Filled only when asked for (check, engine).
	Rights           *Rights
	Transactions     []Transaction // open transactions in the AG's databases; nil: not read (unknown), empty: none
	TransactionsRead bool
	Marker           Opt[string] // run id in master's extended property; Some("") = none there
	Seeding          []Seeding
	Certificates     []Certificate
}

// Identity tells which instance answered. It is sampled at both ends of a
// batch; a Reading whose two samples differ is void and never leaves
// sqlserver.
type Identity struct {
	Instance      string // the configured instance that was dialled, redacted (host or host\instance:port)
	ServerName    string // @@SERVERNAME
	StartTime     string // sys.dm_os_sys_info.sqlserver_start_time, server-local, ISO 8601 without zone: for equality only
	ReplicaID     string // the local replica's id in the local AG, lower-case GUID
	Major         int    // SERVERPROPERTY('ProductMajorVersion'): 13 = 2016 … 17 = 2025
	Version       string // SERVERPROPERTY('ProductVersion')
	Edition       string
	EngineEdition int    // 8 = Managed Instance
	Platform      string // windows | linux | ""
	CaseSensitive bool   // server collation compares names case-sensitively
	HadrEnabled   Opt[bool]
	ServerUTC     Opt[time.Time] // SYSUTCDATETIME() at the batch
	Encrypted     Opt[bool]      // sys.dm_exec_connections.encrypt_option of the reading session
}

// Peer is another configured instance of a side: what it said about its own
// role in the local AG, or why it said nothing.
type Peer struct {
	Instance   string // as in Identity
	ServerName string
	StartTime  string
	Role       Role   // unknown if it did not answer
	Failed     string // reason of sqlserver's scrape_error list; "" if it answered
}

// SameInstance reports that both are the same process of the same instance.
func (i Identity) SameInstance(o Identity) bool {
	return i.ServerName != "" && i.ServerName == o.ServerName && i.StartTime != "" && i.StartTime == o.StartTime
}

// Group is an availability group as one side sees it: the distributed one or
// the local one.
type Group struct {
	Found          bool
	GroupID        string // lower-case GUID; the DAG's is the same on both sides
	Name           string
	Role           Role // of this side in the group (replica_states, is_local = 1)
	Members        []Member
	RSSTC          Opt[int64] // required_synchronized_secondaries_to_commit; unknown before 2017
	SequenceNumber Opt[int64] // 2017+; moves with every change of the group's configuration
	ClusterType    string     // wsfc | external | none | ""
	Contained      Opt[bool]
}

// Member is a replica of a local AG, or a member AG of the DAG.
// sys.availability_replicas ⟕ sys.dm_hadr_availability_replica_states.
type Member struct {
	Name                 string // replica_server_name: an instance, or for a DAG the member AG's name
	ReplicaID            string // lower-case GUID
	EndpointURL          string // for a DAG the LISTENER_URL
	Mode                 Mode   // this side's own copy
	FailoverMode         string
	SeedingMode          string
	SessionTimeout       Opt[int64] // seconds
	IsLocal              Opt[bool]
	Role                 Role
	Connected            Opt[bool]
	OperationalState     string
	Health               string // healthy | partially_healthy | not_healthy | ""
	LastConnectError     Opt[int64]
	LastConnectErrorText string
}

// Local is the member with is_local = 1, or nil.
func (g Group) Local() *Member {
	for i := range g.Members {
		if m := &g.Members[i]; m.IsLocal.OK && m.IsLocal.V {
			return m
		}
	}
	return nil
}

// Member by name (exact), or nil.
func (g Group) Member(name string) *Member {
	for i := range g.Members {
		if g.Members[i].Name == name {
			return &g.Members[i]
		}
	}
	return nil
}

// Database is one database of the local AG on this side.
type Database struct {
	Name            string
	DatabaseID      Opt[int64] // server-local
	GroupDatabaseID string     // of the local AG; differs between the sides
	Joined          Opt[bool]  // is_database_joined of the local replica
	State           DBState    // sys.databases.state
	Updateability   string     // read_write | read_only | "" (DATABASEPROPERTYEX; unknown when NULL)

	Own      *Replica  // this instance's row in the local AG (is_local = 1); nil if there is none
	Link     *Replica  // the DAG's row about the remote AG; only a global primary has one
	Replicas []Replica // the other local replicas' rows, as this primary last heard

	LogUsed      Opt[int64] // bytes
	LogSize      Opt[int64] // bytes
	LogReuseWait string     // sys.databases.log_reuse_wait_desc, lower snake case
	LogFlushed   Opt[int64] // bytes since start, counter
	Writes       Opt[int64] // write transactions since start, counter

	Lineage *Lineage // only when asked for
}

// Replica is a row of sys.dm_hadr_database_replica_states. Sizes are bytes
// (the view has KB), rates bytes per second.
type Replica struct {
	Name          string // replica_server_name
	ReplicaID     string
	IsPrimary     Opt[bool]
	Sync          SyncState
	Health        string
	State         DBState
	Suspended     Opt[bool]
	SuspendReason string // lower snake case without SUSPEND_FROM_; "" when not suspended or unknown

	LastSent, LastReceived, LastHardened, LastRedone LSN
	EndOfLog, LastCommit, Truncation, Recovery       LSN

	LastCommitTime Opt[time.Time] // the primary's clock on both sides: subtract raw values only
	SendQueue      Opt[int64]     // bytes
	SendRate       Opt[int64]     // bytes per second
	RedoQueue      Opt[int64]
	RedoRate       Opt[int64]
	SecondaryLag   Opt[int64] // seconds; unknown while suspended (the view says 0)
}

// Lineage of a database (sys.database_recovery_status). Equal LSNs on
// different forks mean nothing.
type Lineage struct {
	FamilyGUID string
	ForkGUID   string // recovery_fork_guid
}

// Rights of the login on this instance.
type Rights struct {
	Login          string
	Sysadmin       Opt[bool]
	ViewState      Opt[bool] // VIEW SERVER STATE, or VIEW SERVER PERFORMANCE STATE from 2022
	ViewDefinition Opt[bool] // VIEW ANY DEFINITION
	AlterDAG       Opt[bool] // ALTER on AVAILABILITY GROUP::[dag]
}

// Transaction is an open transaction with log records in a database of the
// AG (sys.dm_tran_database_transactions ⋈ session_transactions ⋈
// dm_exec_sessions).
type Transaction struct {
	Database   string
	SessionID  Opt[int64] // unknown for internal transactions
	Login      string
	Program    string
	Host       string
	Status     string     // sleeping | running | …
	OpenFor    Opt[int64] // seconds
	LogRecords Opt[int64]
	LogBytes   Opt[int64]
	User       bool // a user session owns it
}

// Seeding is a row of sys.dm_hadr_automatic_seeding (a history: the newest
// row per database counts).
type Seeding struct {
	Database     string
	State        string
	Failure      string
	Running      bool
	Transferred  Opt[int64] // bytes, sys.dm_hadr_physical_seeding_stats
	Size         Opt[int64]
	EstimatedEnd Opt[time.Time] // UTC
}

// Certificate of the database mirroring endpoint.
type Certificate struct {
	Name   string
	Expiry Opt[time.Time] // sys.certificates.expiry_date
}
