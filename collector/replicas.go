package collector

import "github.com/dag-exporter/dag_exporter/internal/hadr"

var (
	replicaConnected = gauge(Fact, "replica_connected",
		"Whether the primary of this side's own availability group sees the replica connected.",
		"dag", "side", "availability_group", "replica")
	replicaRole = gauge(Fact, "replica_role",
		"Role of a replica in this side's own availability group: 1 for the present role.",
		"dag", "side", "availability_group", "replica", "role")
	replicaMode = gauge(Fact, "replica_availability_mode",
		"Commit mode of a replica of this side's own availability group: 1 for the present mode. The guide wants the primaries synchronous before a failover.",
		"dag", "side", "availability_group", "replica", "mode")
	replicaState = gauge(Fact, "replica_operational_state_info",
		"operational_state of the local replica, as the server prints it. Always 1.",
		"dag", "side", "availability_group", "replica", "state")
	replicaError = gauge(Fact, "replica_last_connect_error",
		"Number of the last connection error with the member or replica (last_connect_error_number); absent if there was none.",
		"dag", "side", "availability_group", "replica")
	replicaSendQueue = gauge(Fact, "replica_log_send_queue_bytes",
		"Log that this side's primary has not sent to its own secondary yet.",
		"dag", "side", "availability_group", "replica", "database")
	replicaRedoQueue = gauge(Fact, "replica_redo_queue_bytes",
		"Log that this side's own secondary has not redone yet.",
		"dag", "side", "availability_group", "replica", "database")
)

var replicas = Group{
	Name: "replicas",
	Help: "The replicas inside each side's own availability group, and how their databases follow. A lagging secondary of the target holds the proof of a cutover back.",
	metrics: []*metric{replicaConnected, replicaRole, replicaMode, replicaState, replicaError,
		replicaSendQueue, replicaRedoQueue},
	shares:  []*metric{syncState, suspended},
	collect: collectReplicas,
}

var allModes = []hadr.Mode{hadr.ModeAsynchronous, hadr.ModeSynchronous, hadr.ModeConfigurationOnly}

func collectReplicas(s *Snapshot, out *sink, _ *Options) {
	for _, side := range s.sides() {
		r := side.Reading
		if r == nil {
			continue
		}
		for _, m := range r.Local.Members {
			if m.Name == "" { // NULL: whose facts these are is not known
				continue
			}
			l := []string{s.DAG, side.name, r.Local.Name, m.Name}
			if m.Connected.OK {
				out.put(replicaConnected, oneIf(m.Connected.V), l...)
			}
			if m.Role != hadr.RoleUnknown {
				states(out, replicaRole, allRoles, m.Role, l...)
			}
			if m.Mode != hadr.ModeUnknown {
				states(out, replicaMode, allModes, m.Mode, l...)
			}
			if m.OperationalState != "" {
				out.put(replicaState, 1, s.DAG, side.name, r.Local.Name, m.Name, m.OperationalState)
			}
			number(out, replicaError, m.LastConnectError, l...)
		}
		for _, m := range r.DAG.Members {
			if m.Name != "" {
				number(out, replicaError, m.LastConnectError, s.DAG, side.name, r.DAG.Name, m.Name)
			}
		}
		for i := range s.Convergence.Databases {
			d := &s.Convergence.Databases[i]
			db := onSide(d, side.side)
			if db == nil {
				continue
			}
			for j := range db.Replicas {
				row := &db.Replicas[j]
				if row.Name == "" {
					continue
				}
				collectRow(s.DAG, side.name, r.Local.Name, row.Name, d.Name, row, out)
				number(out, replicaSendQueue, row.SendQueue, s.DAG, side.name, r.Local.Name, row.Name, d.Name)
				number(out, replicaRedoQueue, row.RedoQueue, s.DAG, side.name, r.Local.Name, row.Name, d.Name)
			}
		}
	}
}
