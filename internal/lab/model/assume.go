package model

// Assumptions are the model's answers to what domain.md calls UNCONFIRMED: nobody of the project has seen a server do it.
// The zero value is the documented default; each field says what its alternative is. docs/lab.md lists them with sources.
type Assumptions struct {
	// RSSTCUnmetWaits: with REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT unmet, commits wait until it is met or set back.
	// Default false: they fail (988), and those already waiting lose their connection with an unknown outcome (ALTER25). (T5)
	RSSTCUnmetWaits bool
	// RSSTCUnmetBlocksReads: reads of the database fail with 988 as well. Default false. (T5)
	RSSTCUnmetBlocksReads bool
	// RSSTCTravels: the primary's value reaches the forwarder's copy. Default false: each side keeps its own. (T4)
	RSSTCTravels bool
	// S1OneSideSuffices: the primary's own copy decides the commit mode of the link. Default false: both sides' copies must say
	// SYNCHRONOUS_COMMIT, as the recorded output suggests.
	S1OneSideSuffices bool
	// S2ShipsRollback: demotion first rolls open transactions back and ships that log. Default false: they are rolled back in
	// the old primary's log after it lost the role, so the LSNs stay apart. (T16)
	S2ShipsRollback bool
	// S2DrainsSendQueue: demotion ships what was not yet sent. Default false: what is on the wire arrives, the rest does not.
	S2DrainsSendQueue bool
	// DemotedKeepsDAGRows: after S2 the old primary still shows its DAG database rows (NOT SYNCHRONIZING). Default false. (T2)
	DemotedKeepsDAGRows bool
	// MasterSessionsDie: a role change also ends connections that are in master. Default false: only those in user databases. (T3)
	MasterSessionsDie bool
	// UserSessionsLive: a role change ends no connection at all. Default false.
	UserSessionsLive bool
	// ResumeAlways / ResumeNever: whether a forced failover suspends the other side's databases until RESUME. Default (both
	// false): only those whose log has to be undone. ResumeNever undoes it without asking. (T6)
	ResumeAlways bool
	ResumeNever  bool
	// RestartLosesRole: after a restart a member that was PRIMARY of the DAG comes back RESOLVING and stays so. Default false:
	// the role is kept, after a moment in RESOLVING. (T7)
	RestartLosesRole bool
	// PendingSurvivesRestart: a statement that was accepted and has not landed still lands after a restart. Default false.
	PendingSurvivesRestart bool
	// SingleReplicaNull: the only replica of a synchronous AG shows last_hardened_lsn NULL. Default false: its own value. (T1)
	SingleReplicaNull bool
	// MinimumHasForwarder: the global primary's own last_hardened_lsn counts an asynchronous forwarder in its minimum too.
	// Default false: the forwarder counts only while the link is synchronous.
	MinimumHasForwarder bool
	// ForwarderCommitParticipantZero: the DAG rows read is_commit_participant 0 after S1. Default false: 1 when synchronous. (T15)
	ForwarderCommitParticipantZero bool
	// SameForkAfterFailover: a failover does not begin a new recovery fork. Default false: it does.
	SameForkAfterFailover bool
	// WrongSide41190: S2 on the side that is not primary answers 41190. Default false: 41140.
	WrongSide41190 bool
	// ForwarderIsPrimaryReplica0: sys.fn_hadr_is_primary_replica says 0 on the forwarder. Default false: 1, its local role. (T11)
	ForwarderIsPrimaryReplica0 bool
	// ForwarderReadWrite: DATABASEPROPERTYEX(…,'Updateability') reads READ_WRITE on the forwarder. Default false. (T11)
	ForwarderReadWrite bool
	// GrantSuffices: ALTER on the availability group is enough for S1, S2, S3 and RSSTC. Default false: S1 and the failover want
	// sysadmin, as CFG25 says; others get 15151. (T8)
	GrantSuffices bool
	// ForceOnPrimary41190: FORCE_FAILOVER_ALLOW_DATA_LOSS on the side that is primary answers 41190. Default false: 41122.
	ForceOnPrimary41190 bool
	// DAGFailoverReadyZero: is_failover_ready reads 0 on the rows of the DAG's member. Default false: 1 where it is SYNCHRONIZED.
	DAGFailoverReadyZero bool
	// SeedingModeSwapped: seeding_mode 1 is AUTOMATIC and 0 MANUAL; the description is the same. Default false: 0 is AUTOMATIC.
	SeedingModeSwapped bool
	// FinerDefinitionSuffices: from 2022 on VIEW ANY PERFORMANCE DEFINITION or VIEW ANY SECURITY DEFINITION shows the catalog's rows.
	// Default false: only VIEW ANY DEFINITION does.
	FinerDefinitionSuffices bool
	// LinkStaysDown: up to version 14, with more than 15 databases, data movement to the forwarder does not go on by itself after a lost
	// connection, but with RESUME on either side (KB4501797). Default false: these builds are corrected. (T14)
	LinkStaysDown bool
	// CrossVersionRestoring: the databases of a newer forwarder read RESTORING. Default false: RECOVERING. (T10)
	CrossVersionRestoring bool
	// CrossVersionNeverSynchronized: the DAG rows of a newer forwarder stay SYNCHRONIZING, whatever both copies say, and no commit
	// waits. Default false: they become SYNCHRONIZED. (T10)
	CrossVersionNeverSynchronized bool
}
