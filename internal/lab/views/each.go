package views

import (
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// Rows that belong to one database are built once for all snapshots in which that database looks the same, and for all sessions: see
// [model.Database.Derive]. That is right only if such a row depends on nothing else than the Database and an [around], which is
// why the functions that build them are given nothing else.

// around is everything but the database itself that a database's rows depend on. It must stay comparable by ==.
type around struct {
	major      int // of the columns that are shown
	instance   int // of the instance itself
	linux      bool
	collation  string
	primary    bool // of the local AG
	writable   bool
	sync       bool // the local replica's mode
	group      model.GUID
	replica    model.GUID
	dag        model.GUID // zero: none
	replicas   [maxReplicas]member
	assumption model.Assumptions
}

// maxReplicas is the most that a local AG can have in the lab, and some.
const maxReplicas = 4

type member struct {
	id    model.GUID
	local bool
}

func look(s *model.Snapshot, major int) around {
	a := around{major: major, instance: s.Instance.Config.Major, linux: s.Instance.Config.Linux, collation: s.Instance.Collation, primary: s.Instance.Primary,
		writable: s.Instance.Writable, group: s.Group.ID, replica: s.Instance.ReplicaID, assumption: s.Assume}
	for i, r := range s.Group.Replicas {
		if r.Local {
			a.sync = r.Mode == model.Sync
		}
		a.replicas[i] = member{r.ID, r.Local}
	}
	if s.DAG != nil {
		a.dag = s.DAG.ID
	}
	return a
}

// each is how a view shows one database; slot tells the views apart.
type each struct {
	slot int
	rows func(a *around, d *model.Database) [][]any
}

const (
	slotReplicaStates = iota
	slotClusterStates
	slotDatabases
	slotRecovery
	slotFiles
	slotCounters
	slots
)

var _ [model.Memos - slots]struct{} // there are enough

// of gives the rows of one database, cut to the columns of the table's version.
func (x *each) of(t *table, a *around, key any, d *model.Database) [][]any {
	v := d.Derive(x.slot, key, func() any {
		rows := x.rows(a, d)
		for i, r := range rows {
			rows[i] = t.cut(r)
		}
		return rows
	})
	rows, _ := v.([][]any)
	return rows
}
