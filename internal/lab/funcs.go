package lab

import (
	"context"
	"fmt"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// argument helpers: NULL in, NULL out is decided by each function.
func str(args []any, i int) (string, bool) {
	if i >= len(args) || args[i] == nil {
		return "", false
	}
	switch v := args[i].(type) {
	case string:
		return strings.TrimRight(v, " "), true
	case int64:
		return fmt.Sprint(v), true
	}
	return fmt.Sprint(args[i]), true
}

// function is a scalar function of the host.
type function struct {
	min, max int
	result   tsql.Type
	call     func(h *host, ctx context.Context, args []any) (any, *tsql.Error)
}

// scalarFunctions by lower-case name; those of the sys schema are written with it.
func scalarFunctions() map[string]function {
	name := tsql.NVarChar(128)
	return map[string]function{
		"db_name": {0, 1, name, func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			if len(a) == 0 {
				return h.db, nil
			}
			id, ok := a[0].(int64)
			if !ok {
				return nil, nil
			}
			return h.databaseName(int(id)), nil
		}},
		"db_id": {0, 1, tsql.SmallInt, func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			n := h.db
			if len(a) > 0 {
				var ok bool
				if n, ok = str(a, 0); !ok {
					return nil, nil
				}
			}
			if id := h.env().DatabaseID(h.spelled(n)); id > 0 {
				return int64(id), nil
			}
			return nil, nil
		}},
		"has_dbaccess": {1, 1, tsql.Int, func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			n, ok := str(a, 0)
			if !ok {
				return nil, nil
			}
			if !h.exists(n) {
				return nil, nil
			}
			_, err := h.reach(n)
			return number(err == nil), nil
		}},
		"suser_sname": {0, 1, name, func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			if len(a) == 0 {
				return h.login.Name, nil
			}
			b, _ := a[0].([]byte)
			for _, p := range h.env().Principals {
				if string(p.SID()) == string(b) {
					return p.Name, nil
				}
			}
			return nil, nil
		}},
		"suser_name":     {0, 1, name, func(h *host, _ context.Context, _ []any) (any, *tsql.Error) { return h.login.Name, nil }},
		"system_user":    {0, 0, name, func(h *host, _ context.Context, _ []any) (any, *tsql.Error) { return h.login.Name, nil }},
		"original_login": {0, 0, name, func(h *host, _ context.Context, _ []any) (any, *tsql.Error) { return h.login.Name, nil }},
		"app_name":       {0, 0, name, func(h *host, _ context.Context, _ []any) (any, *tsql.Error) { return h.app, nil }},
		"host_name":      {0, 0, name, func(h *host, _ context.Context, _ []any) (any, *tsql.Error) { return h.client, nil }},
		"user_name": {0, 1, name, func(h *host, _ context.Context, _ []any) (any, *tsql.Error) {
			if h.login.Sysadmin {
				return "dbo", nil
			}
			return h.login.Name, nil
		}},
		"serverproperty":     {1, 1, tsql.NVarChar(128), serverProperty},
		"databasepropertyex": {2, 2, tsql.NVarChar(128), databaseProperty},
		"is_srvrolemember": {1, 2, tsql.Int, func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			role, ok := str(a, 0)
			if !ok {
				return nil, nil
			}
			g := h.login
			if who, ok := str(a, 1); ok {
				if g = h.node.lab.login(who); g == nil {
					return nil, nil
				}
			}
			switch strings.ToLower(role) {
			case "public":
				return int64(1), nil
			case "sysadmin", "serveradmin", "securityadmin", "setupadmin", "processadmin", "diskadmin", "dbcreator", "bulkadmin":
				return number(g.Sysadmin), nil
			}
			return nil, nil
		}},
		"is_member": {1, 1, tsql.Int, func(h *host, _ context.Context, a []any) (any, *tsql.Error) { return number(h.login.Sysadmin), nil }},
		"has_perms_by_name": {3, 5, tsql.Int, func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			return h.hasPermission(a), nil
		}},
		"applock_mode": {3, 3, tsql.NVarChar(32), func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			l, ok := h.lockArgs(a, "Shared")
			if !ok {
				return nil, nil
			}
			var mode string
			if err := h.do(func(m *model.Model) { mode = m.AppLockMode(h.inst(), l) }); err != nil {
				return nil, gone(err)
			}
			return mode, nil
		}},
		"applock_test": {4, 4, tsql.SmallInt, func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			mode, _ := str(a, 2)
			owner, ok := str(a, 3)
			if !ok || model.LockMode(mode) == "" {
				return nil, nil
			}
			l, ok := h.lockArgs([]any{a[0], a[1], owner}, model.LockMode(mode))
			if !ok {
				return nil, nil
			}
			free := false
			if err := h.do(func(m *model.Model) { free = m.TestAppLock(h.inst(), l) }); err != nil {
				return nil, gone(err)
			}
			return number(free), nil
		}},
		"sys.fn_hadr_is_primary_replica": {1, 1, tsql.Bit, func(h *host, _ context.Context, a []any) (any, *tsql.Error) {
			n, ok := str(a, 0)
			if !ok {
				return nil, nil
			}
			s := h.snapshot()
			n = h.spelled(n)
			for _, d := range s.Seen {
				if d.Name == n && d.Joined {
					if s.Assume.ForwarderIsPrimaryReplica0 {
						return s.Instance.Writable, nil
					}
					return s.Instance.Primary, nil
				}
			}
			return nil, nil
		}},
	}
}

func number(b bool) any {
	if b {
		return int64(1)
	}
	return int64(0)
}

// Function implements tsql.Host.
func (h *host) Function(ctx context.Context, path []string, args []tsql.Type) (*tsql.Function, *tsql.Error) {
	if len(path) == 3 && h.same("master", path[0]) {
		path = path[1:]
	}
	written := strings.Join(path, ".")
	key := strings.ToLower(written)
	f, ok := h.node.lab.functions[key]
	if !ok || len(path) > 1 && !h.same(key, written) {
		return nil, nil
	}
	if len(args) < f.min || len(args) > f.max {
		if f.min == f.max {
			return nil, tsql.NewError(174, 15, 1, "The %s function requires %d argument(s).", key, f.min)
		}
		return nil, tsql.NewError(189, 15, 1, "The %s function requires %d to %d arguments.", key, f.min, f.max)
	}
	return &tsql.Function{Result: f.result, Call: func(ctx context.Context, a []any) (any, *tsql.Error) { return f.call(h, ctx, a) }}, nil
}

func (h *host) databaseName(id int) any {
	for i, n := range []string{"master", "tempdb", "model", "msdb"} {
		if id == i+1 {
			return n
		}
	}
	if c := h.inst().CopyByID(id); c != nil {
		return c.Name
	}
	return nil
}

// edition codes of SERVERPROPERTY('EngineEdition'): 3 is Enterprise, 8 a Managed Instance.
func serverProperty(h *host, _ context.Context, a []any) (any, *tsql.Error) {
	p, _ := str(a, 0)
	cfg := h.node.cfg
	version := versions[cfg.Major]
	parts := strings.Split(version, ".")
	switch strings.ToLower(p) {
	case "servername":
		return cfg.ServerName, nil
	case "machinename", "computernamephysicalnetbios":
		name, _, _ := strings.Cut(cfg.ServerName, `\`)
		return name, nil
	case "instancename":
		if _, name, ok := strings.Cut(cfg.ServerName, `\`); ok {
			return name, nil
		}
		return nil, nil
	case "productversion":
		return version, nil
	case "productmajorversion":
		return parts[0], nil
	case "productminorversion":
		return parts[1], nil
	case "productbuild":
		return parts[2], nil
	case "productlevel":
		return "RTM", nil
	case "productupdatelevel":
		return "CU16", nil
	case "edition":
		return cfg.Edition, nil
	case "engineedition":
		if strings.Contains(strings.ToLower(cfg.Edition), "azure") {
			return "8", nil
		}
		if strings.HasPrefix(strings.ToLower(cfg.Edition), "standard") {
			return "2", nil
		}
		return "3", nil
	case "ishadrenabled", "isintegratedsecurityonly", "isclustered", "issingleuser", "hadrmanagerstatus", "isfulltextinstalled":
		return map[string]string{"ishadrenabled": "1", "hadrmanagerstatus": "1"}[strings.ToLower(p)] + map[string]string{"isintegratedsecurityonly": "0",
			"isclustered": "0", "issingleuser": "0", "isfulltextinstalled": "0"}[strings.ToLower(p)], nil
	case "collation":
		return h.snapshot().Instance.Collation, nil
	case "processid":
		return "4242", nil
	case "isxtpsupported":
		return "1", nil
	}
	return nil, nil
}

func databaseProperty(h *host, _ context.Context, a []any) (any, *tsql.Error) {
	db, ok := str(a, 0)
	p, _ := str(a, 1)
	if !ok {
		return nil, nil
	}
	if !h.exists(db) {
		return nil, nil
	}
	status, update, collation := "ONLINE", "READ_WRITE", any(h.snapshot().Instance.Collation)
	db = h.spelled(db)
	for _, d := range h.snapshot().Seen {
		if d.Name == db {
			status = d.State.String()
			if !d.Writable && (!h.snapshot().Assume.ForwarderReadWrite || d.Readable != nil) {
				update = "READ_ONLY"
			}
			if d.Readable != nil {
				collation = nil
			}
		}
	}
	switch strings.ToLower(p) {
	case "status":
		return status, nil
	case "updateability":
		return update, nil
	case "collation":
		return collation, nil
	case "useraccess":
		return "MULTI_USER", nil
	case "recovery":
		return "FULL", nil
	case "isinstandby", "isautoclose", "isautoshrink":
		return "0", nil
	}
	return nil, nil
}

// hasPermission is HAS_PERMS_BY_NAME(securable, class, permission).
func (h *host) hasPermission(a []any) any {
	securable, hasName := str(a, 0)
	class, hasClass := str(a, 1)
	permission, ok := str(a, 2)
	if !ok {
		return nil
	}
	permission = strings.ToUpper(permission)
	switch strings.ToUpper(class) {
	case "", "SERVER":
		if hasName && hasClass && class == "" {
			return nil
		}
		return number(h.login.has(permission))
	case "AVAILABILITY GROUP":
		securable = unquote(securable)
		s := h.snapshot()
		known := strings.EqualFold(securable, s.Group.Name) || s.DAG != nil && strings.EqualFold(securable, s.DAG.Name)
		if !known {
			return number(false)
		}
		switch permission {
		case "ALTER", "CONTROL", "TAKE OWNERSHIP":
			return number(h.login.mayAlter(securable))
		case "VIEW DEFINITION":
			return number(h.login.has("VIEW ANY DEFINITION") || h.login.mayAlter(securable))
		}
		return number(h.login.Sysadmin)
	case "DATABASE":
		if _, err := h.find(unquote(securable)); err != nil {
			return nil
		}
		if permission == "CONNECT" || permission == "ANY" {
			return number(true)
		}
		return number(h.login.Sysadmin)
	case "OBJECT":
		return number(h.login.Sysadmin)
	}
	return number(h.login.Sysadmin)
}

// unquote reads a securable's name as a server does: an identifier, which may be quoted: [a]]b] is a]b, "DAG" is DAG.
func unquote(name string) string {
	n := len(name)
	switch {
	case n >= 2 && name[0] == '[' && name[n-1] == ']':
		return strings.ReplaceAll(name[1:n-1], "]]", "]")
	case n >= 2 && name[0] == '"' && name[n-1] == '"':
		return strings.ReplaceAll(name[1:n-1], `""`, `"`)
	}
	return name
}

// lockArgs builds an application lock from principal, resource, owner.
func (h *host) lockArgs(a []any, mode string) (model.AppLock, bool) {
	principal, ok1 := str(a, 0)
	resource, ok2 := str(a, 1)
	owner, ok3 := str(a, 2)
	switch strings.ToLower(owner) {
	case "session":
		owner = "Session"
	case "transaction":
		owner = "Transaction"
	default:
		ok3 = false
	}
	return model.AppLock{Resource: resource, Database: h.db, Principal: principal, Owner: owner, Mode: mode, Session: h.spid}, ok1 && ok2 && ok3
}

// TableFunction implements tsql.Host.
func (h *host) TableFunction(_ context.Context, path []string, args []tsql.Type) (*tsql.TableFunction, *tsql.Error) {
	if len(path) == 1 && h.same("fn_my_permissions", path[0]) { // the documented way to write it
		path = []string{"sys", path[0]}
	}
	n := len(path)
	if n < 2 || !h.same("sys", path[n-2]) || !h.same(strings.ToLower(path[n-1]), path[n-1]) {
		return nil, nil
	}
	guidOf := func(v any) string {
		switch v := v.(type) {
		case tsql.GUID:
			return v.String()
		case string:
			return strings.ToUpper(v)
		}
		return ""
	}
	name := strings.ToLower(path[n-1])
	switch name {
	case "fn_my_permissions", "fn_hadr_distributed_ag_database_replica", "fn_hadr_distributed_ag_replica":
		if len(args) < 2 {
			return nil, tsql.NewError(313, 16, 3, "An insufficient number of arguments were supplied for the procedure or function sys.%s.", name)
		}
		if len(args) > 2 {
			return nil, tsql.NewError(8144, 16, 3, "Procedure or function sys.%s has too many arguments specified.", name)
		}
	}
	switch name {
	case "fn_my_permissions":
		return &tsql.TableFunction{Columns: []tsql.Column{{Name: "entity_name", Type: tsql.Sysname}, {Name: "subentity_name", Type: tsql.Sysname}, {Name: "permission_name", Type: tsql.NVarChar(60)}},
			Call: func(context.Context, []any) ([][]any, *tsql.Error) {
				var out [][]any
				for _, p := range []string{"CONNECT SQL", "VIEW ANY DATABASE", "VIEW SERVER STATE", "VIEW SERVER PERFORMANCE STATE", "VIEW ANY DEFINITION", "ALTER ANY AVAILABILITY GROUP", "CONTROL SERVER"} {
					if h.login.has(p) && (p != "VIEW SERVER PERFORMANCE STATE" || h.major() >= 16) {
						out = append(out, []any{"server", "", p})
					}
				}
				return out, nil
			}}, nil
	case "fn_hadr_distributed_ag_database_replica":
		return &tsql.TableFunction{Columns: []tsql.Column{{Name: "group_database_id", Type: tsql.UniqueIdentifier, Nullable: true}},
			Call: func(_ context.Context, a []any) ([][]any, *tsql.Error) {
				s := h.snapshot()
				for _, d := range s.Seen {
					if s.DAG != nil && d.Joined && guidOf(a[0]) == s.DAG.ID.String() && guidOf(a[1]) == d.InDAG.String() {
						return [][]any{{tsql.GUID(d.Group)}}, nil
					}
				}
				return nil, nil
			}}, nil
	case "fn_hadr_distributed_ag_replica":
		return &tsql.TableFunction{Columns: []tsql.Column{{Name: "group_id", Type: tsql.UniqueIdentifier, Nullable: true}},
			Call: func(_ context.Context, a []any) ([][]any, *tsql.Error) {
				s := h.snapshot()
				if s.DAG != nil && guidOf(a[0]) == s.DAG.ID.String() && guidOf(a[1]) == s.DAG.Members[s.DAG.OwnIndex].ReplicaID.String() {
					return [][]any{{tsql.GUID(s.Group.ID)}}, nil
				}
				return nil, nil
			}}, nil
	}
	return nil, nil
}

// Global implements tsql.Host.
func (h *host) Global(_ context.Context, name string) (tsql.Type, any, bool) {
	cfg := h.node.cfg
	switch name {
	case "SERVERNAME":
		return tsql.NVarChar(128), cfg.ServerName, true
	case "SERVICENAME":
		_, inst, ok := strings.Cut(cfg.ServerName, `\`)
		if !ok {
			inst = "MSSQLSERVER"
		}
		return tsql.NVarChar(128), inst, true
	case "SPID":
		return tsql.SmallInt, int64(h.spid), true
	case "VERSION":
		year := map[int]string{13: "2016", 14: "2017", 15: "2019", 16: "2022", 17: "2025"}[cfg.Major]
		system := "Windows Server 2022 Standard 10.0 <X64>"
		if cfg.Linux {
			system = "Linux (Ubuntu 22.04) <X64>"
		}
		return tsql.NVarChar(300), fmt.Sprintf("Microsoft SQL Server %s (dag_lab look-alike) - %s (X64)\n\t%s on %s", year, versions[cfg.Major], cfg.Edition, system), true
	case "MICROSOFTVERSION":
		return tsql.Int, int64(cfg.Major) << 24, true
	case "MAX_PRECISION":
		return tsql.TinyInt, int64(38), true
	case "LANGUAGE":
		return tsql.NVarChar(128), "us_english", true
	case "LANGID", "DBTS", "PROCID", "CONNECTIONS":
		return tsql.Int, int64(0), true
	case "LOCK_TIMEOUT":
		return tsql.Int, int64(-1), true
	case "DATEFIRST":
		return tsql.TinyInt, int64(7), true
	case "MAX_CONNECTIONS":
		return tsql.Int, int64(32767), true
	}
	return tsql.Type{}, nil, false
}
