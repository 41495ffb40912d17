package collector

import "github.com/dag-exporter/dag_exporter/internal/hadr"

var suspendReasonInfo = gauge(Fact, "database_suspend_reason",
	"Why data movement is suspended, for rows that are: user (an administrator), partner (after a forced failover), redo (an error while redoing), ... Always 1.",
	"dag", "side", "availability_group", "replica", "database", "reason")

var suspendReason = Group{
	Name:    "suspend_reason",
	Help:    "Why a database is suspended.",
	metrics: []*metric{suspendReasonInfo},
	collect: func(s *Snapshot, out *sink, _ *Options) {
		eachRow(s, func(side, group, replica, db string, r *hadr.Replica) {
			if r.Suspended.V && r.SuspendReason != "" {
				out.put(suspendReasonInfo, 1, s.DAG, side, group, replica, db, r.SuspendReason)
			}
		})
	},
}

// eachRow visits every row of the replica states view that was read.
func eachRow(s *Snapshot, visit func(side, group, replica, db string, r *hadr.Replica)) {
	for _, side := range s.sides() {
		if side.Reading == nil {
			continue
		}
		for i := range s.Convergence.Databases {
			d := &s.Convergence.Databases[i]
			db := onSide(d, side.side)
			if db == nil {
				continue
			}
			if db.Own != nil {
				visit(side.name, side.Reading.Local.Name, replicaName(db.Own, side.Reading), d.Name, db.Own)
			}
			if db.Link != nil {
				visit(side.name, side.Reading.DAG.Name, db.Link.Name, d.Name, db.Link)
			}
			for j := range db.Replicas {
				if db.Replicas[j].Name == "" {
					continue
				}
				visit(side.name, side.Reading.Local.Name, db.Replicas[j].Name, d.Name, &db.Replicas[j])
			}
		}
	}
}
