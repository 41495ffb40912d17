package views

import (
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func serverViews() []*View {
	endpointHead := `
			name sysname!
			endpoint_id int!
			principal_id int
			protocol tinyint!
			protocol_desc nvarchar(60)
			type tinyint!
			type_desc nvarchar(60)
			state tinyint
			state_desc nvarchar(60)
			is_admin_endpoint bit!`
	return []*View{
		{Name: "sys.dm_os_sys_info", Access: ServerState, Rows: sysInfo, Columns: columns(`
			cpu_ticks bigint!
			ms_ticks bigint!
			cpu_count int!
			hyperthread_ratio int!
			physical_memory_kb bigint!
			virtual_memory_kb bigint!
			committed_kb bigint!
			committed_target_kb bigint!
			max_workers_count int!
			scheduler_count int!
			sqlserver_start_time_ms_ticks bigint!
			sqlserver_start_time datetime!
			affinity_type int!
			affinity_type_desc nvarchar(60)!
			virtual_machine_type int!
			virtual_machine_type_desc nvarchar(60)!
			container_type int 15
			container_type_desc nvarchar(60) 15`)},
		{Name: "sys.dm_os_host_info", Access: ServerState, From: 14, Rows: hostInfo, Columns: columns(`
			host_platform nvarchar(256)!
			host_distribution nvarchar(256)!
			host_release nvarchar(256)!
			host_service_pack_level nvarchar(256)!
			host_sku int
			os_language_version int!
			host_architecture nvarchar(256) 16`)},
		{Name: "sys.configurations", Access: Public, Rows: configurations, Columns: columns(`
			configuration_id int!
			name nvarchar(35)!
			value int
			minimum int
			maximum int
			value_in_use int
			description nvarchar(255)!
			is_dynamic bit!
			is_advanced bit!`)},
		{Name: "sys.endpoints", Access: Definition, Rows: endpoints, Columns: columns(endpointHead)},
		{Name: "sys.tcp_endpoints", Access: Definition, Rows: tcpEndpoints, Columns: columns(endpointHead + `
			port int!
			is_dynamic_port bit!
			ip_address nvarchar(45)`)},
		{Name: "sys.database_mirroring_endpoints", Access: Definition, Rows: mirroringEndpoints, Columns: columns(endpointHead + `
			role tinyint
			role_desc nvarchar(60)
			is_encryption_enabled bit!
			connection_auth tinyint!
			connection_auth_desc nvarchar(60)
			certificate_id int!
			encryption_algorithm tinyint!
			encryption_algorithm_desc nvarchar(60)`)},
		{Name: "sys.certificates", Access: Definition, Rows: certificates, Columns: columns(`
			name sysname!
			certificate_id int!
			principal_id int
			pvt_key_encryption_type char(2)!
			pvt_key_encryption_type_desc nvarchar(60)
			is_active_for_begin_dialog bit
			issuer_name nvarchar(442)
			cert_serial_number nvarchar(64)
			sid varbinary(85)
			string_sid nvarchar(128)
			subject nvarchar(4000)
			expiry_date datetime
			start_date datetime
			thumbprint varbinary(32)!
			attested_by nvarchar(260)
			pvt_key_last_backup_date datetime
			key_length int 14`)},
		{Name: "sys.server_principals", Access: Public, Rows: serverPrincipals, Columns: columns(`
			name sysname!
			principal_id int!
			sid varbinary(85)
			type char(1)!
			type_desc nvarchar(60)
			is_disabled bit
			create_date datetime!
			modify_date datetime!
			default_database_name sysname
			default_language_name sysname
			credential_id int
			owning_principal_id int
			is_fixed_role bit!`)},
		{Name: "sys.server_role_members", Access: Public, Rows: roleMembers, Columns: columns(`
			role_principal_id int!
			member_principal_id int!`)},
		{Name: "sys.server_permissions", Access: Public, Rows: serverPermissions, Columns: columns(`
			class tinyint!
			class_desc nvarchar(60)
			major_id int!
			minor_id int!
			grantee_principal_id int!
			grantor_principal_id int!
			type char(4)!
			permission_name nvarchar(128)
			state char(1)!
			state_desc nvarchar(60)`)},
	}
}

func sysInfo(e *Env) [][]any {
	s := e.Snap
	up := s.Now.Sub(s.Instance.Started)
	boot := up + 10*time.Minute
	vm := "NONE"
	if s.Instance.Side == model.Target {
		vm = "HYPERVISOR"
	}
	return [][]any{{int64(boot) * 3, boot.Milliseconds(), int64(4), int64(4), int64(16 << 20), int64(128 << 30), int64(4 << 20), int64(8 << 20), int64(512), int64(4),
		(boot - up).Milliseconds(), at(s.Instance.Started), int64(2), "AUTO", int64(len(vm) / 10), vm, int64(0), "NONE"}}[:1:1]
}

func hostInfo(e *Env) [][]any {
	if e.Snap.Instance.Config.Linux {
		return [][]any{{"Linux", "Ubuntu", "22.04", "", nil, int64(0), "X64"}}
	}
	return [][]any{{"Windows", "Windows Server 2022 Standard", "10.0", "", int64(7), int64(1033), "X64"}}
}

func configurations(*Env) [][]any {
	return [][]any{
		{int64(103), "user connections", int64(0), int64(0), int64(32767), int64(0), "Number of user connections allowed", false, true},
		{int64(1568), "Agent XPs", int64(1), int64(0), int64(1), int64(1), "Enable or disable Agent XPs", true, true},
		{int64(1544), "max server memory (MB)", int64(8192), int64(128), int64(2147483647), int64(8192), "Maximum size of server memory (MB)", true, true},
		{int64(16391), "remote data archive", int64(0), int64(0), int64(1), int64(0), "Allow the use of the REMOTE_DATA_ARCHIVE data access for databases", true, false},
	}
}

func tsqlEndpoint() []any {
	return []any{"TSQL Default TCP", int64(4), int64(1), int64(2), "TCP", int64(2), "TSQL", int64(0), "STARTED", false}
}

func mirroringHead() []any {
	return []any{"Hadr_endpoint", int64(65536), int64(261), int64(2), "TCP", int64(4), "DATABASE_MIRRORING", int64(0), "STARTED", false}
}

func endpoints(*Env) [][]any { return [][]any{tsqlEndpoint(), mirroringHead()} }

func tcpEndpoints(e *Env) [][]any {
	return [][]any{append(tsqlEndpoint(), i64(e.Port), false, nil), append(mirroringHead(), int64(5022), false, nil)}
}

func mirroringEndpoints(*Env) [][]any {
	return [][]any{append(mirroringHead(), int64(3), "ALL", true, int64(4), "CERTIFICATE", int64(256), int64(2), "AES")}
}

func certificates(e *Env) [][]any {
	s := e.Snap.Instance
	subject := s.ServerName + " dbm certificate"
	return [][]any{{"dbm_certificate", int64(256), int64(1), "MK", "ENCRYPTED_BY_MASTER_KEY", true, subject, "01", nil, nil, subject, at(e.CertExpiry),
		at(e.CertExpiry.AddDate(-1, 0, 0)), append([]byte(nil), s.OwnerSID[:]...), nil, nil, int64(2048)}}
}

func serverPrincipals(e *Env) [][]any {
	var out [][]any
	for _, p := range e.Principals {
		kind, desc := "S", "SQL_LOGIN"
		if p.Role {
			kind, desc = "R", "SERVER_ROLE"
		}
		out = append(out, []any{p.Name, i64(p.ID), p.SID(), kind, desc, false, at(started), at(started), when(!p.Role, "master"), when(!p.Role, "us_english"), nil,
			when(p.Role, int64(1)), p.Role && p.ID != 2})
	}
	return out
}

func roleMembers(e *Env) [][]any {
	var out [][]any
	for _, p := range e.Principals {
		if p.Sysadmin && !p.Role {
			out = append(out, []any{int64(3), i64(p.ID)})
		}
	}
	return out
}

func serverPermissions(e *Env) [][]any {
	codes := map[string]string{"VIEW SERVER STATE": "VWSS", "VIEW ANY DEFINITION": "VWAD", "CONNECT SQL": "COSQ", "ALTER ANY AVAILABILITY GROUP": "ALAG",
		"CONTROL SERVER": "CL  ", "VIEW SERVER PERFORMANCE STATE": "VSPS", "VIEW ANY DATABASE": "VWDB"}
	var out [][]any
	for _, p := range e.Principals {
		for _, g := range p.Grants {
			code := codes[g]
			if code == "" {
				code = "    "
			}
			out = append(out, []any{int64(100), "SERVER", int64(0), int64(0), i64(p.ID), int64(1), code, g, "G", "GRANT"})
		}
	}
	return out
}
