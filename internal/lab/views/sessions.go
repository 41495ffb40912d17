package views

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func fold(s string) string { return strings.ToLower(s) }

func sessionViews() []*View {
	return []*View{
		{Name: "sys.dm_exec_sessions", Access: Public, Rows: execSessions, Columns: columns(`
			session_id smallint!
			login_time datetime!
			host_name nvarchar(128)
			program_name nvarchar(128)
			host_process_id int
			client_version int
			client_interface_name nvarchar(32)
			security_id varbinary(85)!
			login_name nvarchar(128)!
			nt_domain nvarchar(128)
			nt_user_name nvarchar(128)
			status nvarchar(30)!
			context_info varbinary(128)
			cpu_time int!
			memory_usage int!
			total_scheduled_time int!
			total_elapsed_time int!
			endpoint_id int!
			last_request_start_time datetime!
			last_request_end_time datetime
			reads bigint!
			writes bigint!
			logical_reads bigint!
			is_user_process bit!
			text_size int!
			language nvarchar(128)
			date_format nvarchar(3)
			date_first smallint!
			quoted_identifier bit!
			arithabort bit!
			ansi_null_dflt_on bit!
			ansi_defaults bit!
			ansi_warnings bit!
			ansi_padding bit!
			ansi_nulls bit!
			concat_null_yields_null bit!
			transaction_isolation_level smallint!
			lock_timeout int!
			deadlock_priority int!
			row_count bigint!
			prev_error int!
			original_security_id varbinary(85)!
			original_login_name nvarchar(128)!
			last_successful_logon datetime
			last_unsuccessful_logon datetime
			unsuccessful_logons bigint
			group_id int!
			database_id smallint!
			authenticating_database_id int
			open_transaction_count int!
			page_server_reads bigint 15
			contained_availability_group_id uniqueidentifier 16`)},
		{Name: "sys.dm_exec_connections", Access: ServerState, Rows: execConnections, Columns: columns(`
			session_id int
			most_recent_session_id int
			connect_time datetime!
			net_transport nvarchar(40)!
			protocol_type nvarchar(40)
			protocol_version int
			endpoint_id int
			encrypt_option nvarchar(40)!
			auth_scheme nvarchar(40)!
			node_affinity smallint!
			num_reads int
			num_writes int
			last_read datetime
			last_write datetime
			net_packet_size int
			client_net_address varchar(48)
			client_tcp_port int
			local_net_address varchar(48)
			local_tcp_port int
			connection_id uniqueidentifier!
			parent_connection_id uniqueidentifier
			most_recent_sql_handle varbinary(64)`)},
		{Name: "sys.dm_exec_requests", Access: Public, Rows: execRequests, Columns: columns(`
			session_id smallint!
			request_id int!
			start_time datetime!
			status nvarchar(30)!
			command nvarchar(32)!
			sql_handle varbinary(64)
			database_id smallint!
			user_id int!
			connection_id uniqueidentifier
			blocking_session_id smallint
			wait_type nvarchar(60)
			wait_time int!
			last_wait_type nvarchar(60)!
			wait_resource nvarchar(256)!
			open_transaction_count int!
			transaction_id bigint!
			percent_complete real!
			estimated_completion_time bigint!
			cpu_time int!
			total_elapsed_time int!
			reads bigint!
			writes bigint!
			logical_reads bigint!
			row_count bigint!`)},
		{Name: "sys.dm_tran_database_transactions", Access: ServerState, Rows: tranDatabase, Columns: columns(`
			transaction_id bigint!
			database_id int!
			database_transaction_begin_time datetime
			database_transaction_type int!
			database_transaction_state int!
			database_transaction_status int!
			database_transaction_status2 int!
			database_transaction_log_record_count bigint!
			database_transaction_replicate_record_count int!
			database_transaction_log_bytes_used bigint!
			database_transaction_log_bytes_reserved bigint!
			database_transaction_log_bytes_used_system int!
			database_transaction_log_bytes_reserved_system int!
			database_transaction_begin_lsn lsn
			database_transaction_last_lsn lsn
			database_transaction_most_recent_savepoint_lsn lsn
			database_transaction_commit_lsn lsn
			database_transaction_last_rollback_lsn lsn
			database_transaction_next_undo_lsn lsn`)},
		{Name: "sys.dm_tran_session_transactions", Access: ServerState, Rows: tranSession, Columns: columns(`
			session_id int!
			transaction_id bigint!
			transaction_descriptor varbinary(8)!
			enlist_count int!
			is_user_transaction bit!
			is_local bit!
			is_enlisted bit!
			is_bound bit!
			open_transaction_count int!`)},
		{Name: "sys.dm_tran_active_transactions", Access: ServerState, Rows: tranActive, Columns: columns(`
			transaction_id bigint!
			name nvarchar(32)!
			transaction_begin_time datetime!
			transaction_type int!
			transaction_uow uniqueidentifier
			transaction_state int!
			transaction_status int!
			transaction_status2 int!
			dtc_state int!
			dtc_status int!
			dtc_isolation_level int!
			filestream_transaction_id varbinary(128)`)},
		{Name: "sys.dm_tran_locks", Access: ServerState, Rows: tranLocks, Columns: columns(`
			resource_type nvarchar(60)!
			resource_subtype nvarchar(60)!
			resource_database_id int!
			resource_description nvarchar(256)!
			resource_associated_entity_id bigint
			resource_lock_partition int!
			request_mode nvarchar(60)!
			request_type nvarchar(60)!
			request_status nvarchar(60)!
			request_reference_count smallint!
			request_lifetime int!
			request_session_id int!
			request_exec_context_id int!
			request_request_id int!
			request_owner_type nvarchar(60)!
			request_owner_id bigint
			request_owner_guid uniqueidentifier
			request_owner_lockspace_id nvarchar(32)!
			lock_owner_address varbinary(8)!`)},
	}
}

// sessions are those that the login may see: all with VIEW SERVER STATE, else only its own.
func (e *Env) sessions() []model.Session {
	if !e.SPIDOnly {
		return e.Snap.Sessions
	}
	var out []model.Session
	for _, s := range e.Snap.Sessions {
		if s.ID == e.SPID {
			out = append(out, s)
		}
	}
	return out
}

// DatabaseID is the id of a database on the instance of the snapshot, by its name as the server spells it; 0 if there is none.
func (e *Env) DatabaseID(name string) int {
	for i, n := range systemDatabases {
		if fold(n) == fold(name) {
			return i + 1
		}
	}
	for _, d := range e.Snap.Seen {
		if d.Name == name {
			return d.ID
		}
	}
	return 0
}

func (e *Env) loginSID(name string) []byte {
	for _, p := range e.Principals {
		if fold(p.Name) == fold(name) {
			return p.SID()
		}
	}
	return []byte{1}
}

// SID is the principal's security identifier; sa's is 0x01 as everywhere.
func (p Principal) SID() []byte {
	if p.ID == 1 {
		return []byte{1}
	}
	b := make([]byte, 16)
	binary.LittleEndian.PutUint32(b, uint32(p.ID))
	copy(b[4:], p.Name)
	return b
}

func openCount(s model.Session) int64 {
	if s.TranBegan.IsZero() {
		return 0
	}
	return 1
}

func execSessions(e *Env) [][]any {
	var out [][]any
	add := func(s model.Session, user bool) {
		status := "sleeping"
		end := at(s.LastEnd)
		if s.Running {
			status = "running"
		}
		if !user {
			status = "background"
		}
		sid := e.loginSID(s.Login)
		dbid := e.DatabaseID(s.Database)
		out = append(out, []any{i64(s.ID), at(s.LoginTime), when(user, s.Host), when(user, s.Program), when(user, int64(4711)), when(user, int64(7)),
			when(user, "dag_lab"), sid, s.Login, "", "", status, nil, int64(0), int64(4), int64(0), int64(1), when(user, int64(4)), at(s.LastStart), end,
			s.Reads, s.Writes, s.Reads, user, int64(4096), "us_english", "mdy", int64(7), true, true, true, false, true, true, true, true, int64(2),
			int64(-1), int64(0), int64(1), int64(0), sid, s.Login, nil, nil, nil, int64(2), i64(dbid), when(user, int64(1)), openCount(s), int64(0), nil})
		if !user {
			out[len(out)-1][17] = int64(0)
		}
	}
	if !e.SPIDOnly {
		for id := 1; id <= 5; id++ {
			add(model.Session{ID: id, Login: "sa", Database: "master", LoginTime: e.Snap.Instance.Started, LastStart: e.Snap.Instance.Started}, false)
		}
	}
	for _, s := range e.sessions() {
		add(s, true)
	}
	return out
}

func execConnections(e *Env) [][]any {
	var out [][]any
	for _, s := range e.Snap.Sessions {
		host, port := s.Client, any(nil)
		if i := strings.LastIndexByte(s.Client, ':'); i > 0 {
			host = s.Client[:i]
			var n int64
			if _, err := fmt.Sscanf(s.Client[i+1:], "%d", &n); err == nil {
				port = n
			}
		}
		id := e.Snap.Instance.ReplicaID
		binary.BigEndian.PutUint32(id[:4], uint32(s.ID))
		out = append(out, []any{i64(s.ID), i64(s.ID), at(s.LoginTime), "TCP", "TSQL", int64(1946157060), int64(4), pick(s.Encrypted, "TRUE", "FALSE"), "SQL",
			int64(0), s.Reads, s.Reads, at(s.LastStart), at(s.LastEnd), int64(4096), host, port, "127.0.0.1", i64(e.Port), guid(id), nil, nil})
	}
	return out
}

func execRequests(e *Env) [][]any {
	var out [][]any
	for _, s := range e.sessions() {
		if !s.Running {
			continue
		}
		id := e.Snap.Instance.ReplicaID
		binary.BigEndian.PutUint32(id[:4], uint32(s.ID))
		elapsed := e.Snap.Now.Sub(s.LastStart).Milliseconds()
		command := s.Command
		if command == "" {
			command = "SELECT"
		}
		out = append(out, []any{i64(s.ID), int64(0), at(s.LastStart), "running", command, nil, i64(e.DatabaseID(s.Database)), int64(1), guid(id), int64(0), nil,
			int64(0), "MISCELLANEOUS", "", openCount(s), int64(s.TranID), float64(0), int64(0), int64(0), elapsed, s.Reads, s.Writes, s.Reads, int64(0)})
	}
	return out
}

func tranDatabase(e *Env) [][]any {
	var out [][]any
	for _, d := range e.Snap.Seen {
		for _, t := range d.Open {
			begin, last := any(nil), any(nil)
			state := int64(3) // initialised, no log records
			var count, used int64
			var began any
			if !t.First.IsZero() {
				begin, last, state, began = lsn(t.First), lsn(t.Last), 4, at(t.Begin)
				count, used = int64(t.Records+1), t.Bytes+100
			}
			out = append(out, []any{int64(t.ID), i64(d.ID), began, int64(1), state, int64(0), int64(0), count, int64(0), used, used * 2, int64(0), int64(0),
				begin, last, nil, nil, nil, nil})
		}
	}
	return out
}

// transactions are the session's open transactions: one with an id of its own until it writes.
func (e *Env) transactions() []model.TxView {
	var out []model.TxView
	seen := map[int]bool{}
	for _, d := range e.Snap.Seen {
		for _, t := range d.Open {
			seen[t.Session] = true
			out = append(out, t)
		}
	}
	for _, s := range e.Snap.Sessions {
		if !s.TranBegan.IsZero() && !seen[s.ID] {
			out = append(out, model.TxView{ID: s.TranID, Session: s.ID, Name: s.TranName, Begin: s.TranBegan})
		}
	}
	return out
}

func tranSession(e *Env) [][]any {
	var out [][]any
	for _, t := range e.transactions() {
		b := make([]byte, 8)
		binary.LittleEndian.PutUint64(b, t.ID)
		out = append(out, []any{i64(t.Session), int64(t.ID), b, int64(0), true, true, false, false, int64(1)})
	}
	return out
}

func tranActive(e *Env) [][]any {
	var out [][]any
	for _, t := range e.transactions() {
		name := t.Name
		if name == "" {
			name = "user_transaction"
		}
		out = append(out, []any{int64(t.ID), name, at(t.Begin), int64(1), nil, int64(2), int64(0), int64(0), int64(0), int64(0), int64(-1), nil})
	}
	return out
}

var shortModes = map[string]string{"Shared": "S", "Update": "U", "IntentShared": "IS", "IntentExclusive": "IX", "Exclusive": "X",
	"SharedIntentExclusive": "SIX", "UpdateIntentExclusive": "UIX"}

func tranLocks(e *Env) [][]any {
	var out [][]any
	add := func(kind string, db int, desc, mode, status string, count int, session int, owner string) {
		out = append(out, []any{kind, "", i64(db), desc, int64(0), int64(0), mode, "LOCK", status, i64(count), int64(0), i64(session), int64(0), int64(0),
			owner, int64(0), nil, fmt.Sprintf("0x%015X:1:1", session), []byte{0, 0, 0, 0, 0, 0, 0, byte(session)}})
	}
	for _, s := range e.Snap.Sessions {
		if id := e.DatabaseID(s.Database); id > 4 {
			add("DATABASE", id, "", "S", "GRANT", 1, s.ID, "SHARED_TRANSACTION_WORKSPACE")
		}
	}
	for _, l := range e.Snap.Locks {
		principal := 0
		if fold(l.Principal) == "dbo" {
			principal = 1
		}
		name := l.Resource
		if len(name) > 32 {
			name = name[:32]
		}
		var h uint32 = 2166136261
		for _, b := range []byte(l.Resource) {
			h = (h ^ uint32(b)) * 16777619
		}
		owner := "SESSION"
		if l.Owner == "Transaction" {
			owner = "TRANSACTION"
		}
		add("APPLICATION", e.DatabaseID(l.Database), fmt.Sprintf("%d:[%s]:(%08x)", principal, name, h), shortModes[l.Mode], pick(l.Granted, "GRANT", "WAIT"),
			max(l.Count, 1), l.Session, owner)
	}
	return out
}

var started = time.Date(2022, 11, 16, 0, 0, 0, 0, time.UTC)
