package lab

import (
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// TestShapesThatAreRefused: what the product must refuse can be played.
func TestShapesThatAreRefused(t *testing.T) {
	cfg := model.Config{Timing: quick}
	cfg.Sides[Source] = model.SideConfig{Second: "DAG2", Contained: true}
	cfg.Sides[Target].Instances = []model.InstanceConfig{{Managed: true}}
	l := start(t, Options{Model: cfg})
	src, tgt := l.test(t, Source), l.test(t, Target)
	const contained = "SELECT is_contained FROM sys.availability_groups WHERE is_distributed = 0"
	if a, b := one(t, src, contained), one(t, tgt, contained); a != "true" || b != "false" {
		t.Errorf("is_contained %s, %s", a, b)
	}
	const edition = "SELECT CONVERT(int, SERVERPROPERTY('EngineEdition'))"
	if a, b := one(t, src, edition), one(t, tgt, edition); a != "3" || b != "8" {
		t.Errorf("EngineEdition %s, %s", a, b)
	}
	const members = `SELECT g.name, r.replica_server_name, s.role_desc FROM sys.availability_groups g JOIN sys.availability_replicas r ON r.group_id = g.group_id
LEFT JOIN sys.dm_hadr_availability_replica_states s ON s.replica_id = r.replica_id WHERE g.name = 'DAG2' ORDER BY 2`
	r := rows(t, src, members)
	if len(r) != 2 || r[0][1] != "OnPremAG" || r[0][2] != "PRIMARY" || r[1][1] != "ThirdAG" || r[1][2] != "SECONDARY" {
		t.Errorf("second DAG: %v", r)
	}
	if r := rows(t, tgt, members); len(r) != 0 {
		t.Errorf("the target has a second DAG: %v", r)
	}
	fails(t, src, 41190, "ALTER AVAILABILITY GROUP [DAG2] SET (ROLE = SECONDARY)")
}

// TestOldPrimaryThatComesBack: without a cluster nobody tells it that it was deposed.
func TestOldPrimaryThatComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		cluster model.ClusterType
		believe string
		local   string
	}{"none": {model.None, "PRIMARY", "PRIMARY"}, "wsfc": {model.WSFC, "", "SECONDARY"}} {
		t.Run(name, func(t *testing.T) {
			cfg := model.Config{Timing: quick}
			cfg.Sides[Source] = model.SideConfig{ClusterType: c.cluster, Instances: make([]model.InstanceConfig, 2)}
			l := start(t, Options{Model: cfg})
			second := open(t, l.DSNFor(l.AddressOf(Source, 1), SA, SAPassword, "master"))
			first, tgt := l.test(t, Source), l.test(t, Target)
			const localRole = `SELECT s.role_desc FROM sys.dm_hadr_availability_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id
WHERE g.is_distributed = 0 AND s.is_local = 1`
			exec(t, first, "INSERT db001.dbo.ledger (id) VALUES (1)")
			eventually(t, "synchronized", func() bool { return one(t, second, "SELECT COUNT(*) FROM db001.dbo.ledger") == "1" })
			if err := l.Control().Stop(Source, 0); err != nil {
				t.Fatal(err)
			}
			exec(t, second, "ALTER AVAILABILITY GROUP [OnPremAG] FORCE_FAILOVER_ALLOW_DATA_LOSS")
			eventually(t, "the second takes over", func() bool {
				_, err := second.ExecContext(within(t), "INSERT db001.dbo.ledger (id) VALUES (2)")
				return err == nil
			})
			if err := l.Control().Start(Source, 0); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the first one is back", func() bool { return first.PingContext(within(t)) == nil && one(t, first, localRole) == c.local })
			if c.believe == "" {
				eventually(t, "it follows", func() bool {
					r := rows(t, first, "SELECT synchronization_state_desc FROM sys.dm_hadr_database_replica_states WHERE is_local = 1 AND DB_NAME(database_id) = 'db001'")
					return len(r) == 1 && r[0][0] == "SYNCHRONIZED"
				})
				return
			}
			if got := one(t, first, roleQuery); got != c.believe {
				t.Errorf("in the DAG it believes to be %s", got)
			}
			if got := one(t, second, localRole); got != "PRIMARY" {
				t.Errorf("the new one is %s", got)
			}
			eventually(t, "it takes writes that nobody will see", func() bool {
				_, err := first.ExecContext(within(t), "INSERT db001.dbo.ledger (id) VALUES (99)")
				return err == nil
			})
			exec(t, second, "INSERT db001.dbo.ledger (id) VALUES (3)")
			eventually(t, "the target follows the new one", func() bool { return one(t, tgt, "SELECT MAX(id) FROM db001.dbo.ledger") == "3" })
			if r := rows(t, first, guide); len(r) != 9 {
				t.Errorf("it shows %d rows", len(r))
			}
			exec(t, first, "ALTER AVAILABILITY GROUP [OnPremAG] SET (ROLE = SECONDARY)")
			eventually(t, "secondary, on the new one's history", func() bool {
				if one(t, first, localRole) != "SECONDARY" {
					return false
				}
				var n int // an error while it reverts: 976
				err := first.QueryRowContext(within(t), "SELECT COUNT(*) FROM db001.dbo.ledger WHERE id = 3").Scan(&n)
				return err == nil && n == 1
			})
			if n := one(t, first, "SELECT COUNT(*) FROM db001.dbo.ledger WHERE id = 99"); n != "0" {
				t.Error("the row of the wrong history is still there")
			}
		})
	}
}
