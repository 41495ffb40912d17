package collector

import "github.com/dag-exporter/dag_exporter/internal/hadr"

var lsnSlotValue = gauge(Fact, "database_lsn_slot",
	"Slot part of an LSN of this side's own row, exact. With mssql_dag_database_lsn_vlf and _block it is the whole LSN; the columns that are compared are block ids, so it is 1 nearly always.",
	"dag", "side", "database", "lsn")

var lsnSlot = Group{
	Name:    "lsn_slot",
	Help:    "The slot part of the LSNs.",
	metrics: []*metric{lsnSlotValue},
	collect: func(s *Snapshot, out *sink, _ *Options) {
		for i := range s.Convergence.Databases {
			d := &s.Convergence.Databases[i]
			for _, side := range s.sides() {
				db := onSide(d, side.side)
				if db == nil || db.Own == nil {
					continue
				}
				for _, c := range []struct {
					column string
					l      hadr.LSN
				}{{lastHardened, db.Own.LastHardened}, {endOfLog, db.Own.EndOfLog}} {
					if c.l.Known() {
						out.put(lsnSlotValue, float64(c.l.Slot), s.DAG, side.name, d.Name, c.column)
					}
				}
			}
		}
	},
}
