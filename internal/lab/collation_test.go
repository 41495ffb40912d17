package lab

import (
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
