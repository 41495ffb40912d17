package lab

import (
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// caseSensitive is a pair with two databases whose names differ by case alone.
func caseSensitive() model.Config {
	cfg := model.Config{Timing: quick, Databases: []string{"db001", "DB001", "other"}}
	for i := range cfg.Sides {
		cfg.Sides[i].Collation = "Latin1_General_100_CS_AS"
	}
	return cfg
}

// TestCaseSensitiveNames: each name is its own database, whatever is asked of it.
func TestCaseSensitiveNames(t *testing.T) {
	l := start(t, Options{Model: caseSensitive()})
	src, tgt := l.test(t, Source), l.test(t, Target)
	exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (1)")
	exec(t, src, "INSERT [DB001].dbo.ledger (id) VALUES (1), (2)")
	for _, db := range []struct{ name, rows string }{{"db001", "1"}, {"DB001", "2"}} {
		eventually(t, db.name+" on the target", func() bool { return one(t, tgt, "SELECT COUNT(*) FROM ["+db.name+"].dbo.ledger") == db.rows })
		if got := one(t, userDB(t, l, Source, db.name), "SELECT DB_NAME() + ' ' + DB_NAME(DB_ID())"); got != db.name+" "+db.name {
			t.Errorf("%s: %s", db.name, got)
		}
	}
	if got := one(t, src, "SELECT COUNT(DISTINCT DB_ID(name COLLATE Latin1_General_BIN2)) FROM sys.databases WHERE database_id > 4"); got != "3" {
		t.Errorf("%s database ids", got)
	}
	if got := one(t, src, "SELECT COUNT(*) FROM sys.databases WHERE DB_ID('Db001') IS NULL AND DB_ID('Other') IS NULL AND database_id = 5"); got != "1" {
		t.Error("a name in another spelling is found")
	}
	fails(t, src, 911, "USE [Other]")
	if err := l.Control().Suspend(Target, 0, "DB001", ""); err != nil {
		t.Fatal(err)
	}
	if got := one(t, tgt, "SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states WHERE is_suspended = 1"); got != "1" {
		t.Errorf("%s databases are suspended", got)
	}
	if err := l.Control().Suspend(Target, 0, "OTHER", ""); err == nil {
		t.Error("a name in another spelling is suspended")
	}
	if got := one(t, src, "SELECT collation_name FROM sys.databases WHERE database_id = 5"); got != "Latin1_General_100_CS_AS" {
		t.Errorf("collation %s", got)
	}
}

// TestCaseCounts: with a case-sensitive or binary collation every name must be written as it is, and texts compare with case; names of built-in functions,
// properties, permissions and keywords are free, and so are the words of _desc columns. With the default collation all of it is.
func TestCaseCounts(t *testing.T) {
	batches := []struct {
		batch string
		error int32 // where case counts
	}{
		{"SELECT Name FROM sys.databases", 207},
		{"SELECT D.name FROM sys.databases AS d", 4104},
		{"SELECT name FROM sys.Databases", 208},
		{"SELECT name FROM SYS.databases", 208},
		{"SELECT name FROM Master.sys.databases", 911},
		{"SELECT sql_handle FROM sys.dm_exec_Requests", 208},
		{"SELECT id FROM db001.dbo.Ledger", 208},
		{"SELECT id FROM db001.DBO.ledger", 208},
		{"DECLARE @a int = 1; SELECT @A", 137},
		{"SELECT sys.FN_hadr_is_primary_replica('db001')", 4121},
		{"SELECT permission_name FROM sys.Fn_my_permissions(NULL, 'SERVER')", 208},
		{"EXEC Sp_who", 2812},
		{"EXEC SYS.sp_who", 2812},
		{"EXEC sp_addextendedproperty @Name = 'x', @value = 'y'", 8145},
		{"USE MASTER", 911},
		{"IF 'a' <> 'A' THROW 51000, 'two', 1", 51000},
		{"IF OBJECT_ID('sys.Databases') IS NULL OR DB_ID('Master') IS NULL THROW 51001, 'unknown', 1", 51001},
		{"select Db_Name(), serverproperty('COLLATION'), databasepropertyex('db001', 'STATUS'), Has_Perms_By_Name(NULL, NULL, 'view server state')", 0},
		{"SELECT name FROM master.sys.databases; EXEC master.sys.sp_who; EXEC dbo.sp_who", 0},
		{"SELECT master.sys.fn_hadr_is_primary_replica('db001'), sys.fn_hadr_is_primary_replica('db001')", 0},
	}
	for _, collation := range []string{"", "Latin1_General_100_CS_AS", "Latin1_General_BIN2", "SQL_Latin1_General_CP1_CS_AS"} {
		t.Run(collation, func(t *testing.T) {
			cfg := caseSensitive()
			cfg.Databases = []string{"db001"}
			for i := range cfg.Sides {
				cfg.Sides[i].Collation = collation
			}
			db := start(t, Options{Model: cfg}).test(t, Source)
			for _, b := range batches {
				if collation != "" && b.error != 0 {
					fails(t, db, b.error, b.batch)
				} else if b.error != 8145 { // a property would stay
					exec(t, db, b.batch)
				}
			}
			fails(t, db, 451, "SELECT name + ' ' + state_desc FROM sys.databases")
			exec(t, db, "SELECT name + ' ' + state_desc COLLATE DATABASE_DEFAULT FROM sys.databases")
			exec(t, db, "SELECT g.name + ' ' + r.role_desc FROM sys.availability_groups AS g JOIN sys.dm_hadr_availability_replica_states AS r ON r.group_id = g.group_id")
			if got := one(t, db, "SELECT COUNT(*) FROM sys.databases WHERE state_desc = 'online' AND database_id = 5"); got != "1" {
				t.Error("the words of a _desc column are compared with case")
			}
			if got, want := one(t, db, "SELECT COUNT(*) FROM sys.databases WHERE name = 'DB001'"), map[bool]string{true: "1", false: "0"}[collation == ""]; got != want {
				t.Errorf("%s databases with the name DB001", got)
			}
		})
	}
}

// TestCollationsThatAreRefused: what the T-SQL cannot compare by is an error of the command line, not another collation.
func TestCollationsThatAreRefused(t *testing.T) {
	for name, why := range map[string]string{
		"Nowhere_CI_AS":                    "target: collation: Invalid collation 'Nowhere_CI_AS'",
		"Turkish_CI_AS":                    "target: collation: ",
		"Greek_BIN2":                       "code page",
		"Latin1_General_100_CI_AS_SC_UTF8": "target: collation: ",
	} {
		cfg := model.Config{}
		cfg.Sides[Target].Collation = name
		if _, err := New(Options{Model: cfg}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamesThatCannotBe: without a case-sensitive collation on both sides such names are refused.
func TestNamesThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*model.Config){
		"one side": func(c *model.Config) { c.Sides[Target].Collation = "" },
		"both":     func(c *model.Config) { c.Sides[Source].Collation, c.Sides[Target].Collation = "", "" },
		"the same": func(c *model.Config) { c.Databases = []string{"a", "b", "a"} },
		"reversed": func(c *model.Config) { c.Databases = []string{"A", "a"}; c.Sides[Source].Collation = "" },
	} {
		cfg := caseSensitive()
		change(&cfg)
		if _, err := New(Options{Model: cfg}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	l := start(t, Options{})
	exec(t, l.test(t, Source), "USE [DB001]") // without case elsewhere
}
