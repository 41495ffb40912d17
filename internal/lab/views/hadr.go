package views

import (
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func hadrViews() []*View {
	return []*View{
		{Name: "sys.dm_hadr_database_replica_states", Access: ServerState, each: &each{slotReplicaStates, databaseReplicaStates}, Columns: columns(`
			database_id int!
			group_id uniqueidentifier!
			replica_id uniqueidentifier!
			group_database_id uniqueidentifier!
			is_local bit
			is_primary_replica bit
			synchronization_state tinyint
			synchronization_state_desc nvarchar(60)
			is_commit_participant bit
			synchronization_health tinyint
			synchronization_health_desc nvarchar(60)
			database_state tinyint
			database_state_desc nvarchar(60)
			is_suspended bit
			suspend_reason tinyint
			suspend_reason_desc nvarchar(60)
			recovery_lsn lsn
			truncation_lsn lsn
			last_sent_lsn lsn
			last_sent_time datetime
			last_received_lsn lsn
			last_received_time datetime
			last_hardened_lsn lsn
			last_hardened_time datetime
			last_redone_lsn lsn
			last_redone_time datetime
			log_send_queue_size bigint
			log_send_rate bigint
			redo_queue_size bigint
			redo_rate bigint
			filestream_send_rate bigint
			end_of_log_lsn lsn
			last_commit_lsn lsn
			last_commit_time datetime
			low_water_mark_for_ghosts bigint
			secondary_lag_seconds bigint
			quorum_commit_lsn lsn 15
			quorum_commit_time datetime 15
			is_internal bit 17`)},
		{Name: "sys.dm_hadr_availability_replica_states", Access: ServerState, Rows: replicaStates, Columns: columns(`
			replica_id uniqueidentifier!
			group_id uniqueidentifier!
			is_local bit!
			role tinyint
			role_desc nvarchar(60)
			operational_state tinyint
			operational_state_desc nvarchar(60)
			connected_state tinyint
			connected_state_desc nvarchar(60)
			recovery_health tinyint
			recovery_health_desc nvarchar(60)
			synchronization_health tinyint
			synchronization_health_desc nvarchar(60)
			last_connect_error_number int
			last_connect_error_description nvarchar(1024)
			last_connect_error_timestamp datetime
			write_lease_remaining_ticks bigint 14
			current_configuration_commit_start_time_utc datetime 15`)},
		{Name: "sys.dm_hadr_availability_group_states", Access: ServerState, Rows: groupStates, Columns: columns(`
			group_id uniqueidentifier!
			primary_replica varchar(128)
			primary_recovery_health tinyint
			primary_recovery_health_desc nvarchar(60)
			secondary_recovery_health tinyint
			secondary_recovery_health_desc nvarchar(60)
			synchronization_health tinyint
			synchronization_health_desc nvarchar(60)`)},
		{Name: "sys.dm_hadr_database_replica_cluster_states", Access: ServerState, each: &each{slotClusterStates, clusterStates}, Columns: columns(`
			replica_id uniqueidentifier!
			group_database_id uniqueidentifier!
			database_name sysname
			is_failover_ready bit!
			is_pending_secondary_suspend bit!
			is_database_joined bit!
			recovery_lsn lsn
			truncation_lsn lsn`)},
		{Name: "sys.availability_groups", Access: Definition, Rows: groups, Columns: columns(`
			group_id uniqueidentifier!
			name sysname
			resource_id nvarchar(40)
			resource_group_id nvarchar(40)
			failure_condition_level int
			health_check_timeout int
			automated_backup_preference tinyint
			automated_backup_preference_desc nvarchar(60)
			version smallint
			basic_features bit
			dtc_support bit
			db_failover bit
			is_distributed bit
			cluster_type tinyint 14
			cluster_type_desc nvarchar(60) 14
			required_synchronized_secondaries_to_commit int 14
			sequence_number bigint 14
			is_contained bit 16
			cluster_connection_options nvarchar(4000) 17`)},
		{Name: "sys.availability_replicas", Access: Definition, Rows: replicas, Columns: columns(`
			replica_id uniqueidentifier
			group_id uniqueidentifier
			replica_metadata_id int
			replica_server_name nvarchar(256)
			owner_sid varbinary(85)
			endpoint_url nvarchar(256)
			availability_mode tinyint
			availability_mode_desc nvarchar(60)
			failover_mode tinyint
			failover_mode_desc nvarchar(60)
			session_timeout int
			primary_role_allow_connections tinyint
			primary_role_allow_connections_desc nvarchar(60)
			secondary_role_allow_connections tinyint
			secondary_role_allow_connections_desc nvarchar(60)
			create_date datetime
			modify_date datetime
			backup_priority int
			read_only_routing_url nvarchar(256)
			seeding_mode tinyint
			seeding_mode_desc nvarchar(60)
			read_write_routing_url nvarchar(256) 15`)},
		{Name: "sys.availability_databases_cluster", Access: Definition, Rows: databasesCluster, Columns: columns(`
			group_id uniqueidentifier!
			group_database_id uniqueidentifier!
			database_name sysname`)},
		{Name: "sys.availability_group_listeners", Access: Definition, Rows: listeners, Columns: columns(`
			group_id uniqueidentifier!
			listener_id nvarchar(36)
			dns_name nvarchar(63)
			port int
			is_conformant bit!
			ip_configuration_string_from_cluster nvarchar(max)
			is_distributed_network_name bit 15`)},
		{Name: "sys.dm_hadr_automatic_seeding", Access: ServerState, Rows: automaticSeeding, Columns: columns(`
			start_time datetime
			completion_time datetime
			ag_id uniqueidentifier
			ag_db_id uniqueidentifier
			ag_remote_replica_id uniqueidentifier
			operation_id uniqueidentifier
			is_source bit
			current_state nvarchar(60)
			performed_seeding bit
			failure_state int
			failure_state_desc nvarchar(60)
			error_code int
			number_of_attempts int`)},
		{Name: "sys.dm_hadr_physical_seeding_stats", Access: ServerState, Rows: physicalSeeding, Columns: columns(`
			local_physical_seeding_id uniqueidentifier
			remote_physical_seeding_id uniqueidentifier
			local_database_id int
			local_database_name nvarchar(128)
			remote_machine_name nvarchar(128)
			role_code int
			role_desc nvarchar(60)
			internal_state_code int
			internal_state_desc nvarchar(60)
			transfer_rate_bytes_per_second bigint
			transferred_size_bytes bigint
			database_size_bytes bigint
			start_time_utc datetime
			end_time_utc datetime
			estimate_time_complete_utc datetime
			total_disk_io_wait_time_ms bigint
			total_network_wait_time_ms bigint
			failure_code int
			failure_message nvarchar(512)
			failure_time_utc datetime
			is_compression_enabled bit`)},
		{Name: "sys.dm_hadr_cluster", Access: ServerState, Rows: cluster, Columns: columns(`
			cluster_name nvarchar(256)!
			quorum_type tinyint!
			quorum_type_desc nvarchar(60)!
			quorum_state tinyint!
			quorum_state_desc nvarchar(60)!`)},
	}
}

func none(*Env) [][]any { return nil }

var healthNames = [...]string{"NOT_HEALTHY", "PARTIALLY_HEALTHY", "HEALTHY"}

func health(n int) (any, any) { return int64(n), healthNames[n] }

func stateHealth(s model.SyncState, sync, suspended bool) int {
	switch {
	case suspended || s == model.NotSynchronizing:
		return 0
	case s == model.Synchronized || s == model.Synchronizing && !sync:
		return 2
	}
	return 1
}

// databaseReplicaStates: domain.md sections 2.1, 2.9 and 3. On a secondary only its own rows; on a primary its own rows, a row for
// every local secondary, and on the global primary one row for the forwarder under the distributed AG's group_id.
func databaseReplicaStates(a *around, d *model.Database) [][]any {
	if !d.Joined {
		return nil
	}
	out := [][]any{ownRow(a, d)}
	for i := range d.Replica {
		r := &d.Replica[i]
		out = append(out, remoteRow(d, r, a.group, d.Group, r.Sync))
	}
	if d.DAG != nil {
		out = append(out, remoteRow(d, d.DAG, a.dag, d.InDAG, d.DAG.Sync && !a.assumption.ForwarderCommitParticipantZero))
	}
	return out
}

func ownRow(a *around, d *model.Database) []any {
	primary := a.primary
	h, hd := health(stateHealth(d.State2, a.sync, d.Suspended && !primary))
	p := d.Own
	secondary := func(v any) any { return when(!primary, v) }
	hardened := lsn(p.Hardened)
	if p.HardenedNull {
		hardened = nil
	}
	suspended := d.Suspended
	r := []any{
		i64(d.ID), guid(a.group), guid(a.replica), guid(d.Group), true, primary,
		i64(int(d.State2)), d.State2.String(), primary && d.Commit, h, hd,
		i64(int(d.State)), d.State.String(), suspended, when(suspended, int64(d.Reason)), nil,
		lsn(p.Recovery), lsn(p.Truncation), secondary(lsn(model.OneLSN())), secondary(at(p.ReceivedTime)), secondary(lsn(p.Received)), secondary(at(p.ReceivedTime)),
		hardened, secondary(at(p.HardenedTime)), secondary(lsn(p.Redone)), secondary(at(p.RedoneTime)),
		secondary(int64(0)), secondary(int64(0)), secondary(p.RedoQueue), secondary(p.RedoRate), secondary(int64(0)),
		lsn(p.EndOfLog), lsn(p.Commit), at(p.CommitTime), when(primary, d.Ghosts), nil, nil, nil, false,
	}
	if suspended {
		r[15] = d.Reason.String()
	}
	override(r, d)
	return r
}

var lsnColumns = map[string]int{"recovery_lsn": 16, "truncation_lsn": 17, "last_sent_lsn": 18, "last_received_lsn": 20, "last_hardened_lsn": 22,
	"last_redone_lsn": 24, "end_of_log_lsn": 31, "last_commit_lsn": 32}

func override(r []any, d *model.Database) {
	for name, i := range lsnColumns {
		if v := d.Override(name); v != nil {
			r[i] = lsn(*v)
		}
	}
	if d.Override("last_hardened_lsn:null") != nil {
		r[22] = nil
	}
	if d.Override("end_of_log_lsn:null") != nil {
		r[31] = nil
	}
}

func remoteRow(d *model.Database, v *model.RemoteView, group, groupDB model.GUID, commit bool) []any {
	h, hd := health(stateHealth(v.State, v.Sync, v.Suspended))
	p := v.Progress
	lag := any(v.Lag)
	if v.Suspended {
		lag = int64(0)
	}
	recovery := lsn(p.Recovery)
	if !v.Heard { // nothing is known yet: what a server shows just after S3
		recovery = lsn(model.LSN{})
	}
	r := []any{
		i64(d.ID), guid(group), guid(v.ReplicaID), guid(groupDB), false, false,
		i64(int(v.State)), v.State.String(), commit && v.Sync && v.State != model.NotSynchronizing, h, hd,
		nil, nil, v.Suspended, when(v.Suspended && v.Reason >= 0, int64(v.Reason)), nil,
		recovery, lsn(p.Truncation), lsn(model.OneLSN()), at(v.SentTime), lsn(p.Received), at(p.ReceivedTime),
		lsn(p.Hardened), at(p.HardenedTime), lsn(p.Redone), at(p.RedoneTime),
		v.SendQueue, v.SendRate, p.RedoQueue, p.RedoRate, int64(0),
		lsn(p.EndOfLog), lsn(p.Commit), at(p.CommitTime), d.Ghosts, lag, nil, nil, false,
	}
	if v.Suspended && v.Reason >= 0 {
		r[15] = v.Reason.String()
	}
	return r
}

func roleRow(role model.Role) (any, any) { return int64(role), role.String() }

// replicaStates: a primary shows every replica of its groups, a secondary only itself.
func replicaStates(e *Env) [][]any {
	s := e.Snap
	var out [][]any
	lease := func(local bool, t model.ClusterType, primary bool) any {
		if !local {
			return nil
		}
		if t == model.WSFC {
			return when(primary, int64(6141))
		}
		return int64(9223372036854775807)
	}
	add := func(id, group model.GUID, local bool, role model.Role, connected bool, h int, lost time.Time, lease any) {
		rn, rd := roleRow(role)
		hn, hd := health(h)
		online := role != model.Resolving
		var op, opd, rec, recd any
		if local {
			op, opd = int64(2), "ONLINE"
			if !online {
				op, opd = int64(1), "PENDING"
			}
			rec, recd = int64(1), "ONLINE"
			for _, d := range s.Seen {
				if d.Joined && d.State != model.DBOnline {
					rec, recd = int64(0), "ONLINE_IN_PROGRESS"
				}
			}
		}
		cn, cd := any(int64(1)), any("CONNECTED")
		if !connected {
			cn, cd = int64(0), "DISCONNECTED"
		}
		var en, ed, et any
		if !connected && !lost.IsZero() {
			en, ed, et = int64(10061), "An error occurred while receiving data: '10061(No connection could be made because the target machine actively refused it.)'.", at(lost)
		}
		out = append(out, []any{guid(id), guid(group), local, rn, rd, op, opd, cn, cd, rec, recd, hn, hd, en, ed, et, lease, nil})
	}
	worst := 2
	for _, d := range s.Seen {
		if d.Joined && d.State2 == model.NotSynchronizing {
			worst = 0
		}
	}
	for _, r := range s.Group.Replicas {
		if !r.Local && !s.Instance.Primary {
			continue
		}
		h := worst
		if !r.Local {
			h = 2
			if !r.Connected {
				h = 0
			} else if !r.Healthy {
				h = 1
			}
		}
		add(r.ID, s.Group.ID, r.Local, r.Role, r.Connected, h, r.LastError, lease(r.Local, s.Group.ClusterType, r.Primary))
	}
	if x := s.Second; x != nil && x.Holds {
		add(x.Members[0].ReplicaID, x.ID, true, x.Role, true, 2, time.Time{}, lease(true, s.Group.ClusterType, true))
		add(x.Members[1].ReplicaID, x.ID, false, model.Secondary, true, 2, time.Time{}, nil)
	}
	if d := s.DAG; d != nil && d.Holds {
		own, other := d.Members[d.OwnIndex], d.Members[1-d.OwnIndex]
		switch d.Role {
		case model.Primary:
			h := 2
			for _, db := range s.Seen {
				if db.DAG == nil {
					continue
				}
				h = min(h, stateHealth(db.DAG.State, db.DAG.Sync, db.DAG.Suspended))
			}
			add(own.ReplicaID, d.ID, true, d.Role, true, 2, time.Time{}, lease(true, s.Group.ClusterType, true))
			if !d.Connected {
				h = 0
			}
			add(other.ReplicaID, d.ID, false, model.Secondary, d.Connected, h, d.LastError, nil)
		default:
			h := 2
			if !d.Connected {
				h = 0
			}
			add(own.ReplicaID, d.ID, true, d.Role, d.Connected, h, d.LastError, lease(true, s.Group.ClusterType, false))
		}
	}
	return out
}

func groupStates(e *Env) [][]any {
	s := e.Snap
	online := func(ok bool) (any, any) {
		if !ok {
			return nil, nil
		}
		return int64(1), "ONLINE"
	}
	worst := 2
	for _, d := range s.Seen {
		if d.Joined && d.State2 == model.NotSynchronizing {
			worst = 0
		}
	}
	pr, prd := online(s.Instance.Primary)
	sr, srd := online(!s.Instance.Primary)
	h, hd := health(worst)
	out := [][]any{{guid(s.Group.ID), s.Group.Primary, pr, prd, sr, srd, h, hd}}
	if d := s.DAG; d != nil && d.Holds {
		primary := d.Role == model.Primary
		pr, prd = online(primary)
		sr, srd = online(!primary)
		name := any(nil)
		switch {
		case primary:
			name = d.Members[d.OwnIndex].Name
		case d.Connected:
			name = d.Members[1-d.OwnIndex].Name
		}
		n := 2
		if !d.Connected {
			n = 0
		}
		h, hd = health(n)
		out = append(out, []any{guid(d.ID), name, pr, prd, sr, srd, h, hd})
	}
	return out
}

func clusterStates(a *around, d *model.Database) [][]any {
	if !d.Listed {
		return nil
	}
	var out [][]any
	for _, r := range a.replicas {
		if r.id.IsZero() || !r.local && !a.primary {
			continue
		}
		ready, pending, joined := r.local && d.Joined && d.State2 == model.Synchronized, false, d.Joined
		rec, trunc := lsn(d.Own.Recovery), lsn(d.Own.Truncation)
		if !a.primary {
			rec = nil
		}
		for _, v := range d.Replica {
			if v.ReplicaID == r.id {
				ready, pending, trunc, joined = v.Ready, v.Suspended && v.Reason == model.SuspendPartner, lsn(v.Truncation), v.Joined
			}
		}
		out = append(out, []any{guid(r.id), guid(d.Group), d.Name, ready, pending, joined, rec, trunc})
	}
	if d.DAG != nil {
		out = append(out, []any{guid(d.DAG.ReplicaID), guid(d.InDAG), d.Name, d.DAG.Ready && !a.assumption.DAGFailoverReadyZero, d.DAG.Suspended && d.DAG.Reason == model.SuspendPartner, d.DAG.Joined,
			lsn(d.Own.Recovery), lsn(d.DAG.Truncation)})
	}
	return out
}

// distributed are the distributed AGs that an instance lists.
func distributed(s *model.Snapshot) []*model.DAGView {
	var out []*model.DAGView
	for _, d := range []*model.DAGView{s.DAG, s.Second} {
		if d != nil {
			out = append(out, d)
		}
	}
	return out
}

var clusterNames = [...]string{"wsfc", "external", "none"}

func groups(e *Env) [][]any {
	s := e.Snap
	resource := func(g model.GUID) (any, any) {
		if s.Group.ClusterType != model.WSFC {
			return nil, nil
		}
		return strings.ToLower(g.String()), strings.ToLower(g.String())
	}
	id, gid := resource(s.Group.ID)
	out := [][]any{{guid(s.Group.ID), s.Group.Name, id, gid, int64(3), int64(30000), int64(2), "secondary", int64(1), false, false, true, false,
		i64(int(s.Group.ClusterType)), clusterNames[s.Group.ClusterType], i64(s.Group.RSSTC), s.Group.Sequence, s.Group.Contained, nil}}
	for _, d := range distributed(s) {
		out = append(out, []any{guid(d.ID), d.Name, nil, nil, nil, nil, nil, nil, int64(1), false, false, false, true,
			i64(int(s.Group.ClusterType)), clusterNames[s.Group.ClusterType], i64(d.RSSTC), d.Sequence, false, nil})
	}
	return out
}

func replicas(e *Env) [][]any {
	s := e.Snap
	access := [...]string{"NO", "READ_ONLY", "ALL"}
	automatic := int64(0)
	if s.Assume.SeedingModeSwapped {
		automatic = 1
	}
	var out [][]any
	for _, r := range s.Group.Replicas {
		out = append(out, []any{guid(r.ID), guid(s.Group.ID), when(r.Local, int64(r.MetadataID)), r.ServerName, sid(r.OwnerSID), r.Endpoint,
			i64(int(r.Mode)), r.Mode.String(), int64(1), "MANUAL", int64(10), int64(2), "ALL", i64(int(r.Access)), access[r.Access],
			at(s.Group.Created), at(s.Group.Created), int64(50), nil, automatic, "AUTOMATIC", nil})
	}
	for _, d := range distributed(s) {
		for _, m := range d.Members {
			mode, name := automatic, "AUTOMATIC"
			if m.Manual {
				mode, name = 1-automatic, "MANUAL"
			}
			out = append(out, []any{guid(m.ReplicaID), guid(d.ID), nil, m.Name, nil, m.URL, i64(int(m.Mode)), m.Mode.String(), int64(1), "MANUAL",
				int64(10), int64(2), "ALL", int64(2), "ALL", at(d.Created), at(d.Modified), int64(50), nil, mode, name, nil})
		}
	}
	return out
}

func databasesCluster(e *Env) [][]any {
	var out [][]any
	for _, d := range e.Snap.Seen {
		if d.Listed {
			out = append(out, []any{guid(e.Snap.Group.ID), guid(d.Group), d.Name})
		}
	}
	return out
}

func listeners(e *Env) [][]any {
	s := e.Snap
	if s.Group.ClusterType == model.None && s.Group.ListenerURL == "" {
		return nil
	}
	host := strings.TrimPrefix(strings.TrimPrefix(s.Group.ListenerURL, "tcp://"), "TCP://")
	host, _, _ = strings.Cut(host, ":")
	return [][]any{{guid(s.Group.ID), strings.ToLower(s.Group.ID.String()), host, i64(e.Port), true, nil, false}}
}

func cluster(e *Env) [][]any {
	if e.Snap.Group.ClusterType != model.WSFC {
		return nil
	}
	return [][]any{{e.Snap.Instance.ServerName + "-cluster", int64(0), "NODE_MAJORITY", int64(1), "NORMAL_QUORUM"}}
}
