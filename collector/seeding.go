package collector

import "github.com/dag-exporter/dag_exporter/internal/hadr"

var (
	seedingRunning = gauge(Fact, "database_seeding_running",
		"Whether the newest automatic seeding of the database on this side is running.",
		"dag", "side", "database")
	seedingInfo = gauge(Fact, "database_seeding_info",
		"State and failure of the newest automatic seeding, as the server prints them. The view is a history: on the forwarder a FAILED row may be harmless, trust the global primary's. Always 1.",
		"dag", "side", "database", "state", "failure")
	seedingTransferred = gauge(Fact, "database_seeding_transferred_bytes",
		"How much of the database is copied; absent unless seeding runs.",
		"dag", "side", "database")
	seedingSize = gauge(Fact, "database_seeding_size_bytes",
		"How much there is to copy; absent unless seeding runs.",
		"dag", "side", "database")
	seedingEnd = gauge(Fact, "database_seeding_estimated_end_timestamp_seconds",
		"When the server expects the seeding to end; absent unless seeding runs.",
		"dag", "side", "database")
)

var seeding = Group{
	Name:    "seeding",
	Help:    "Automatic seeding: progress, failures, estimated end.",
	metrics: []*metric{seedingRunning, seedingInfo, seedingTransferred, seedingSize, seedingEnd},
	collect: func(s *Snapshot, out *sink, _ *Options) {
		for _, side := range s.sides() {
			if side.Reading == nil {
				continue
			}
			seen := map[string]bool{}
			for i := range side.Reading.Seeding {
				row := &side.Reading.Seeding[i]
				if row.Database != "" && !seen[row.Database] { // the newest comes first
					seen[row.Database] = true
					collectSeeding(s.DAG, side.name, row, out)
				}
			}
		}
	},
}

func collectSeeding(dag, side string, row *hadr.Seeding, out *sink) {
	l := []string{dag, side, row.Database}
	out.put(seedingRunning, oneIf(row.Running), l...)
	out.put(seedingInfo, 1, dag, side, row.Database, row.State, row.Failure)
	number(out, seedingTransferred, row.Transferred, l...)
	number(out, seedingSize, row.Size, l...)
	if row.EstimatedEnd.OK {
		out.put(seedingEnd, float64(row.EstimatedEnd.V.Unix()), l...)
	}
}
