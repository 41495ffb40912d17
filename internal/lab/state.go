package lab

import (
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// State is everything that GET /api/v1/state shows.
type State struct {
	Now    time.Time   `json:"now"`
	DAG    string      `json:"dag"`
	Seed   uint64      `json:"seed"`
	Sides  []SideState `json:"sides"`
	Faults []Fault     `json:"faults"`
}

// SideState is one side in State.
type SideState struct {
	Side      string          `json:"side"`
	AG        string          `json:"ag"`
	Role      string          `json:"role"` // in the DAG; DROPPED where there is none
	Primary   string          `json:"primary"`
	Modes     [2]string       `json:"modes"` // this side's copy: source member, target member
	RSSTC     int             `json:"rsstc"`
	Sequence  int64           `json:"sequence_number"`
	Instances []InstanceState `json:"instances"`
}

// InstanceState is one instance in SideState.
type InstanceState struct {
	Server    string          `json:"server"`
	Address   string          `json:"address"`
	Online    bool            `json:"online"`
	Frozen    bool            `json:"frozen"`
	Refuses   bool            `json:"refuses_logins"`
	LocalRole string          `json:"local_role"`
	Writable  bool            `json:"writable"`
	Started   time.Time       `json:"sqlserver_start_time"`
	Pending   []string        `json:"pending,omitempty"`
	Sessions  int             `json:"sessions"`
	Databases []DatabaseState `json:"databases"`
}

// DatabaseState is one database in InstanceState. LSNs are decimal text.
type DatabaseState struct {
	Name      string  `json:"name"`
	State     string  `json:"state"`
	Sync      string  `json:"synchronization_state"`
	Suspended bool    `json:"suspended"`
	Out       bool    `json:"out_of_group,omitempty"` // this copy is not joined
	EndOfLog  string  `json:"end_of_log_lsn"`
	Hardened  string  `json:"hardened_lsn"`
	Fork      string  `json:"recovery_fork_guid"`
	Link      string  `json:"link,omitempty"`
	SendQueue int64   `json:"send_queue_kb"`
	RedoQueue int64   `json:"redo_queue_kb"`
	Open      int     `json:"open_transactions"`
	Ledger    int     `json:"ledger_rows"`
	Load      float64 `json:"load_rows_per_second"`
	LogUsed   int64   `json:"log_used_bytes"`
}

// State shows the whole pair as it is, not as a client would see it.
func (c *Control) State() (State, error) {
	out := State{DAG: c.l.dagName(), Faults: c.l.rules.all()}
	err := c.model(func(m *model.Model) {
		out.Now, out.Seed = m.Now(), m.Config().Seed
		for _, side := range []Side{Source, Target} {
			s := SideState{Side: side.String(), AG: m.Config().Sides[side].AG, Role: "DROPPED", Primary: m.PrimaryOf(side).ServerName()}
			for n, i := range m.Instances(side) {
				v := m.Snapshot(i)
				if d := v.DAG; d != nil && i == m.PrimaryOf(side) {
					s.Role, s.RSSTC, s.Sequence = d.Role.String(), d.RSSTC, d.Sequence
					s.Modes = [2]string{d.Members[0].Mode.String(), d.Members[1].Mode.String()}
				}
				is := InstanceState{Server: i.ServerName(), Address: c.l.nodes[side][n].address(), Online: i.Online(), Frozen: i.Frozen(), Refuses: i.Refuses(),
					LocalRole: v.Instance.Role.String(), Writable: v.Instance.Writable, Started: v.Instance.Started, Pending: v.Instance.Pending, Sessions: len(v.Sessions)}
				for _, d := range v.Seen {
					ds := DatabaseState{Name: d.Name, State: d.State.String(), Sync: d.State2.String(), Suspended: d.Suspended, Out: !d.Joined, EndOfLog: d.Own.EndOfLog.String(),
						Hardened: d.Own.Hardened.String(), Fork: d.Fork.String(), RedoQueue: d.Own.RedoQueue, Open: len(d.Open), Ledger: len(d.Ledger), LogUsed: d.LogUsed}
					if v.Instance.Writable {
						ds.Load = m.Load(d.Name)
					}
					if d.DAG != nil {
						ds.Link, ds.SendQueue = d.DAG.State.String(), d.DAG.SendQueue
					}
					is.Databases = append(is.Databases, ds)
				}
				s.Instances = append(s.Instances, is)
			}
			out.Sides = append(out.Sides, s)
		}
	})
	return out, err
}
