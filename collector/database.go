package collector

import (
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

var (
	databaseReached = gauge(DatabaseVerdict, "database_convergence_reached",
		"Whether the database has at least reached the level: known, near, caught_up, synchronized. Cumulative, so that the sum without level is a rank from 0 (unknown) to 4.",
		"dag", "database", "level")

	syncState = gauge(Fact, "database_synchronization_state",
		"synchronization_state of a row of sys.dm_hadr_database_replica_states: 1 for the present state. The row of the distributed group exists on the global primary only, and is what it last heard of the other side.",
		"dag", "side", "availability_group", "replica", "database", "state")
	suspended = gauge(Fact, "database_suspended",
		"Whether data movement of the database is suspended on this row (is_suspended).",
		"dag", "side", "availability_group", "replica", "database")
	lsnVLF = gauge(Fact, "database_lsn_vlf",
		"Virtual log file part of an LSN of this side's own row, exact: LSN = VLF * 10^15 + block * 10^5 + slot. lsn is last_hardened (everything below it is on disk; NULL, so absent, on a primary whose local commit is asynchronous) or end_of_log.",
		"dag", "side", "database", "lsn")
	lsnBlock = gauge(Fact, "database_lsn_block",
		"Log block part of an LSN of this side's own row, exact.",
		"dag", "side", "database", "lsn")
	lsnDelta = gauge(Fact, "database_lsn_delta",
		"LSN of the global primary minus that of the forwarder (source minus target while no side is primary), exact before it becomes a float: 0 if and only if they are equal. For ordering only, it is no distance in bytes.",
		"dag", "database", "lsn")
	lsnDeltaVLFs = gauge(Fact, "database_lsn_delta_vlfs",
		"Difference of the virtual log file parts, global primary minus forwarder.",
		"dag", "database", "lsn")
	lsnDeltaBlocks = gauge(Fact, "database_lsn_delta_blocks",
		"Difference of the log block parts, global primary minus forwarder. Absent unless both LSNs are in the same virtual log file.",
		"dag", "database", "lsn")
	logSendQueue = gauge(Fact, "database_log_send_queue_bytes",
		"Log that the global primary has not sent to the other side yet: what is lost if it dies now.",
		"dag", "database")
	redoQueue = gauge(Fact, "database_redo_queue_bytes",
		"Log on the forwarder's disk that is not redone yet. It delays the opening of the database after a failover. The larger of what the two sides say.",
		"dag", "database")
	logSendRate = gauge(Fact, "database_log_send_rate_bytes_per_second",
		"Rate at which log is sent to the other side, as the global primary measured it last; it stands still while nothing is sent.",
		"dag", "database")
	redoRate = gauge(Fact, "database_redo_rate_bytes_per_second",
		"Rate at which the forwarder redoes log, as last measured.",
		"dag", "database")
	secondaryLag = gauge(Fact, "database_secondary_lag_seconds",
		"secondary_lag_seconds of the forwarder as the global primary sees it. Absent while data movement is suspended, when SQL Server shows 0.",
		"dag", "database")
	commitLag = gauge(Fact, "database_commit_lag_seconds",
		"Difference of last_commit_time between the two sides, both written by the primary's clock: what was committed within it may be missing on the forwarder. Slightly negative when the forwarder was read later. That clock shows local time: absent while it was put back (end of daylight saving), and an hour too much across its beginning.",
		"dag", "database")
)

var database = Group{
	Name: "database", Default: true,
	Help: "Each database: verdict, synchronization, exact LSNs of both sides and their distance, queues.",
	metrics: []*metric{databaseReached, syncState, suspended, lsnVLF, lsnBlock, lsnDelta, lsnDeltaVLFs, lsnDeltaBlocks,
		logSendQueue, redoQueue, logSendRate, redoRate, secondaryLag, commitLag},
	collect: collectDatabases,
}

var allSync = []hadr.SyncState{hadr.NotSynchronizing, hadr.Synchronizing, hadr.Synchronized, hadr.SyncReverting, hadr.SyncInitializing}

const (
	lastHardened = "last_hardened"
	endOfLog     = "end_of_log"
)

func collectDatabases(s *Snapshot, out *sink, _ *Options) {
	for i := range s.Convergence.Databases {
		d := &s.Convergence.Databases[i]
		for _, l := range allLevels {
			out.put(databaseReached, oneIf(d.Level >= l), s.DAG, d.Name, l.String())
		}
		collectDatabase(s, d, out)
	}
}

func collectDatabase(s *Snapshot, d *hadr.DatabaseConvergence, out *sink) {
	for _, side := range s.sides() {
		db := onSide(d, side.side)
		if db == nil || side.Reading == nil {
			continue
		}
		if own := db.Own; own != nil {
			collectRow(s.DAG, side.name, side.Reading.Local.Name, replicaName(own, side.Reading), d.Name, own, out)
			collectLSN(s.DAG, side.name, d.Name, lastHardened, own.LastHardened, out)
			collectLSN(s.DAG, side.name, d.Name, endOfLog, own.EndOfLog, out)
		}
		if link := db.Link; link != nil {
			collectRow(s.DAG, side.name, side.Reading.DAG.Name, link.Name, d.Name, link, out)
		}
	}
	collectDelta(s.DAG, d.Name, lastHardened, d.Hardened, out)
	collectDelta(s.DAG, d.Name, endOfLog, d.EndOfLog, out)
	if d.CommitLag.OK {
		out.put(commitLag, d.CommitLag.V.Seconds(), s.DAG, d.Name)
	}
	_, primarySide := s.primary()
	if primarySide == "" {
		return
	}
	primary, forwarder := onSide(d, primarySide), onSide(d, primarySide.Other())
	number(out, redoQueue, hadr.RedoQueue(primary, forwarder), s.DAG, d.Name)
	if primary == nil || primary.Link == nil {
		return
	}
	link := primary.Link
	number(out, logSendQueue, link.SendQueue, s.DAG, d.Name)
	number(out, logSendRate, link.SendRate, s.DAG, d.Name)
	number(out, redoRate, link.RedoRate, s.DAG, d.Name)
	if !link.Suspended.V {
		number(out, secondaryLag, link.SecondaryLag, s.DAG, d.Name)
	}
}

// collectRow is what every row of the replica states view tells.
func collectRow(dag, side, group, replica, db string, r *hadr.Replica, out *sink) {
	if r.Sync != hadr.SyncUnknown {
		states(out, syncState, allSync, r.Sync, dag, side, group, replica, db)
	}
	if r.Suspended.OK {
		out.put(suspended, oneIf(r.Suspended.V), dag, side, group, replica, db)
	}
}

func collectLSN(dag, side, db, column string, l hadr.LSN, out *sink) {
	if l.Known() {
		out.put(lsnVLF, float64(l.VLF), dag, side, db, column)
		out.put(lsnBlock, float64(l.Block), dag, side, db, column)
	}
}

func collectDelta(dag, db, column string, d hadr.Delta, out *sink) {
	if !d.Known() {
		return
	}
	out.put(lsnDelta, d.Float64(), dag, db, column)
	number(out, lsnDeltaVLFs, d.VLFs, dag, db, column)
	number(out, lsnDeltaBlocks, d.Blocks, dag, db, column)
}

func number(out *sink, m *metric, v hadr.Opt[int64], labels ...string) {
	if v.OK {
		out.put(m, float64(v.V), labels...)
	}
}

func onSide(d *hadr.DatabaseConvergence, side hadr.Side) *hadr.Database {
	if side == hadr.Target {
		return d.Target
	}
	return d.Source
}

// replicaName is the instance that an own row belongs to.
func replicaName(own *hadr.Replica, r *hadr.Reading) string {
	if own.Name != "" {
		return own.Name
	}
	if local := r.Local.Local(); local != nil && local.Name != "" {
		return local.Name
	}
	return r.Identity.ServerName
}
