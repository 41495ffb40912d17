package collector

import "github.com/dag-exporter/dag_exporter/internal/hadr"

var (
	databaseStateSet = gauge(Fact, "database_state",
		"State of the database on this side (sys.databases): 1 for the present state. RESTORING or RECOVERING on the target is normal in a migration to a newer version only.",
		"dag", "side", "database", "state")
	databasePresent = gauge(Fact, "database_present",
		"Whether this side's own availability group holds the database. 0 on one side: not seeded, not joined, or removed.",
		"dag", "side", "database")
	databasePosition = gauge(DatabaseVerdict, "database_position",
		"Where the forwarder's copy stands against the primary's: 1 for behind, caught_up or ahead; all 0 while it is not known.",
		"dag", "database", "position")
	databaseBasis = gauge(DatabaseVerdict, "database_position_basis",
		"What the position was told from: 1 for hardened (both sides' own rows), link (what the primary heard of the forwarder) or end_of_log; all 0 while the position is not known.",
		"dag", "database", "basis")
)

var databaseState = Group{
	Name:    "state",
	Help:    "Each database's state on both sides, databases on one side only, and what a verdict was told from.",
	metrics: []*metric{databaseStateSet, databasePresent, databasePosition, databaseBasis},
	collect: collectState,
}

var (
	allDatabaseStates = []hadr.DBState{hadr.DBOnline, hadr.DBRestoring, hadr.DBRecovering, hadr.DBRecoveryPending, hadr.DBSuspect, hadr.DBEmergency, hadr.DBOffline}
	allPositions      = []hadr.Position{hadr.PositionBehind, hadr.PositionCaughtUp, hadr.PositionAhead}
	allBases          = []hadr.Basis{hadr.BasisHardened, hadr.BasisLink, hadr.BasisEndOfLog}
)

func collectState(s *Snapshot, out *sink, _ *Options) {
	for i := range s.Convergence.Databases {
		d := &s.Convergence.Databases[i]
		states(out, databasePosition, allPositions, d.Position, s.DAG, d.Name)
		states(out, databaseBasis, allBases, d.Basis, s.DAG, d.Name)
		for _, side := range s.sides() {
			if side.Reading == nil || side.Reading.Databases == nil {
				continue
			}
			db := onSide(d, side.side)
			out.put(databasePresent, oneIf(db != nil), s.DAG, side.name, d.Name)
			if db != nil && db.State != hadr.DBUnknown {
				states(out, databaseStateSet, allDatabaseStates, db.State, s.DAG, side.name, d.Name)
			}
		}
	}
}
