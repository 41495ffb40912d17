package collector

import "github.com/dag-exporter/dag_exporter/internal/hadr"

var (
	logUsed = gauge(Fact, "database_log_used_bytes",
		"Used part of the database's transaction log on the global primary. A link that stalls keeps the log from being truncated until it is full: the outage that a migration really causes.",
		"dag", "side", "database")
	logSize = gauge(Fact, "database_log_size_bytes",
		"Size of the database's transaction log files on the global primary.",
		"dag", "side", "database")
	logHeld = gauge(Fact, "database_log_held_by_replica",
		"Whether an availability replica keeps the log from being truncated on the global primary (log_reuse_wait AVAILABILITY_REPLICA).",
		"dag", "side", "database")
	logFlushed = counter(Fact, "database_log_flushed_bytes_total",
		"Log written by this side since its instance started: who generates log.",
		"dag", "side", "database")
	writeTransactions = counter(Fact, "database_write_transactions_total",
		"Transactions that wrote to the database and committed on this side since its instance started: who takes the commits.",
		"dag", "side", "database")
)

var logGroup = Group{
	Name: "log", Default: true,
	Help:    "Each database's transaction log: how full, held by the link or not, who writes.",
	metrics: []*metric{logUsed, logSize, logHeld, logFlushed, writeTransactions},
	collect: collectLog,
}

func collectLog(s *Snapshot, out *sink, _ *Options) {
	_, primary := s.primary()
	for i := range s.Convergence.Databases {
		d := &s.Convergence.Databases[i]
		for _, side := range s.sides() {
			db := onSide(d, side.side)
			if db == nil {
				continue
			}
			number(out, logFlushed, db.LogFlushed, s.DAG, side.name, d.Name)
			number(out, writeTransactions, db.Writes, s.DAG, side.name, d.Name)
			if side.side == primary {
				collectLogSpace(s.DAG, side.name, d.Name, db, out)
			}
		}
	}
}

func collectLogSpace(dag, side, name string, db *hadr.Database, out *sink) {
	number(out, logUsed, db.LogUsed, dag, side, name)
	number(out, logSize, db.LogSize, dag, side, name)
	if db.LogReuseWait != "" {
		out.put(logHeld, oneIf(db.LogReuseWait == "availability_replica"), dag, side, name)
	}
}
