package alter

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func mode(m model.Mode) *model.Mode { return &m }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want any
		err  int32
	}{
		{"ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS", model.Statement{Verb: model.ForceFailover, Group: "DAG"}, 0},
		{"alter availability\n group dag -- x\n failover;", model.Statement{Verb: model.PlainFailover, Group: "dag"}, 0},
		{"ALTER AVAILABILITY GROUP [a]]b] SET (ROLE = SECONDARY)", model.Statement{Verb: model.SetRole, Group: "a]b"}, 0},
		{"ALTER AVAILABILITY GROUP [DAG] SET (ROLE = PRIMARY)", nil, 102},
		{"ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1)", model.Statement{Verb: model.SetRSSTC, Group: "DAG", Value: 1}, 0},
		{"ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = -1)", nil, 102},
		{"ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON N'a''b' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT), 'c' WITH (SEEDING_MODE = MANUAL, AVAILABILITY_MODE = ASYNCHRONOUS_COMMIT)",
			model.Statement{Verb: model.ModifyMembers, Group: "DAG", Members: []model.Member{{Name: "a'b", Mode: mode(model.Sync)}, {Name: "c", Mode: mode(model.Async), Seeding: "MANUAL"}}}, 0},
		{"ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON [a] WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)", nil, 102},
		{"ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'a' WITH (FAILOVER_MODE = AUTOMATIC)", nil, 35277},
		{"ALTER AVAILABILITY GROUP [OnPremAG] MODIFY REPLICA ON N'N1' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)",
			model.Statement{Verb: model.ModifyReplica, Group: "OnPremAG", Members: []model.Member{{Name: "N1", Mode: mode(model.Sync)}}}, 0},
		{"ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'c' WITH (LISTENER_URL = N'tcp://x:5022')",
			model.Statement{Verb: model.ModifyMembers, Group: "DAG", Members: []model.Member{{Name: "c", URL: "tcp://x:5022"}}}, 0},
		{"ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'c' WITH (LISTENER_URL = tcp)", nil, 102},
		{"ALTER AVAILABILITY GROUP [OnPremAG] ADD DATABASE [a b];", model.Statement{Verb: model.AddDatabase, Group: "OnPremAG", Database: "a b"}, 0},
		{"ALTER AVAILABILITY GROUP OnPremAG remove database db", model.Statement{Verb: model.RemoveDatabase, Group: "OnPremAG", Database: "db"}, 0},
		{"ALTER AVAILABILITY GROUP [OnPremAG] REMOVE DATABASE 'db'", nil, 102},
		{"ALTER AVAILABILITY GROUP [OnPremAG] ADD DATABASE a, b", nil, 102},
		{"ALTER DATABASE [x] SET HADR OFF", HADR{Database: "x", Action: "OFF"}, 0},
		{"DROP AVAILABILITY GROUP [DAG]", model.Statement{Verb: model.DropGroup, Group: "DAG"}, 0},
		{"ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS x", nil, 102},
		{"ALTER AVAILABILITY GROUP [DAG", nil, 105},
		{"ALTER AVAILABILITY GROUP /* [DAG]", nil, 113},
		{"ALTER DATABASE db001 SET HADR RESUME", HADR{Database: "db001", Action: "RESUME"}, 0},
		{"ALTER DATABASE [x] SET HADR AVAILABILITY GROUP = [AzureAG]", HADR{Database: "x", Action: "JOIN", Group: "AzureAG"}, 0},
		{"ALTER DATABASE x SET SINGLE_USER WITH ROLLBACK IMMEDIATE", DatabaseOption{Database: "x", Option: "SINGLE_USER"}, 0},
		{"KILL 53", Kill{53}, 0},
		{"GRANT ALTER ON AVAILABILITY GROUP::[DAG] TO [x]", nil, 0},
	} {
		got, err := Parse(c.text)
		switch {
		case c.err != 0:
			if err == nil || err.Number != c.err {
				t.Errorf("%s: %v, want error %d", c.text, err, c.err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.text, err)
		case !reflect.DeepEqual(got, c.want):
			t.Errorf("%s: %+v, want %+v", c.text, got, c.want)
		}
	}
}

// TestUnmodelled: what is right in SQL Server and not in the lab is not called a mistake; what is a mistake is not called unmodelled.
func TestUnmodelled(t *testing.T) {
	for text, want := range map[string]string{
		"JOIN": "50900 ALTER AVAILABILITY GROUP … JOIN", "join availability group on 'a' with (listener_url = 'tcp://a:5022')": "50900 ALTER AVAILABILITY GROUP … JOIN AVAILABILITY GROUP ON",
		"ADD REPLICA ON 'N3' WITH (ENDPOINT_URL = 'TCP://n3:5022')": "50900 ALTER AVAILABILITY GROUP … ADD REPLICA ON", "REMOVE REPLICA ON 'N3'": "50900 ALTER AVAILABILITY GROUP … REMOVE REPLICA ON",
		"ADD LISTENER 'l' (WITH DHCP)": "50900 ALTER AVAILABILITY GROUP … ADD LISTENER", "MODIFY LISTENER 'l' (PORT = 1433)": "50900 ALTER AVAILABILITY GROUP … MODIFY LISTENER",
		"RESTART LISTENER 'l'": "50900 ALTER AVAILABILITY GROUP … RESTART LISTENER", "REMOVE LISTENER 'l';": "50900 ALTER AVAILABILITY GROUP … REMOVE LISTENER", "OFFLINE": "50900 ALTER AVAILABILITY GROUP … OFFLINE",
		"SET (AUTOMATED_BACKUP_PREFERENCE = PRIMARY)": "50900 ALTER AVAILABILITY GROUP … SET AUTOMATED_BACKUP_PREFERENCE", "SET (HEALTH_CHECK_TIMEOUT = 60000)": "50900 ALTER AVAILABILITY GROUP … SET HEALTH_CHECK_TIMEOUT",
		"MODIFY REPLICA ON 'N1' WITH (SESSION_TIMEOUT = 15)": "50900 the replica option SESSION_TIMEOUT", "MODIFY REPLICA ON 'N1' WITH (BACKUP_PRIORITY = 30)": "50900 the replica option BACKUP_PRIORITY",
		"MODIFY REPLICA ON 'N1' WITH (PRIMARY_ROLE (ALLOW_CONNECTIONS = ALL))":                   "50900 the replica option PRIMARY_ROLE",
		"MODIFY REPLICA ON 'N1' WITH (SECONDARY_ROLE (READ_ONLY_ROUTING_URL = N'TCP://x:1433'))": "50900 the replica option READ_ONLY_ROUTING_URL",
		"MODIFY REPLICA ON 'N1' WITH (FAILOVER_MODE = AUTOMATIC)":                                "50900 FAILOVER_MODE = AUTOMATIC", "MODIFY REPLICA ON 'N1' WITH (SEEDING_MODE = MANUAL)": "50900 SEEDING_MODE = MANUAL",
		"MODIFY REPLICA ON 'N1' WITH (FAILOVER_MODE = MANUAL)": "", "MODIFY REPLICA ON 'N1' WITH (SEEDING_MODE = AUTOMATIC)": "", "MODIFY REPLICA ON 'N1' WITH (FAILOVER_MODE = EXTERNAL)": "",
		"MODIFY REPLICA ON 'N1' WITH (SEEDING_MODE = )": "102", "MODIFY REPLICA ON 'N1' WITH (FAILOVER_MODE = NEVER)": "102", "MODIFY REPLICA ON 'N1' WITH (SESION_TIMEOUT = 15)": "102",
		"ONLINE": "102", "ADD REPLICA 'N3'": "102", "SET (HEALTH_CHECK = 1)": "102", "FORCE_FAILOVER": "102",
	} {
		_, err := Parse("ALTER AVAILABILITY GROUP [DAG] " + text)
		number, what, _ := strings.Cut(want, " ")
		switch {
		case want == "":
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
		case err == nil || strconv.Itoa(int(err.Number)) != number || what != "" && err.Message != "dag_lab does not implement "+what+".":
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]int32{
		"ALTER DATABASE CURRENT SET HADR SUSPEND": 50900, "ALTER DATABASE SCOPED CONFIGURATION SET MAXDOP = 1": 50900, "ALTER DATABASE x MODIFY FILE (NAME = l, SIZE = 1GB)": 50900, "ALTER DATABASE x COLLATE y": 50900,
		"ALTER DATABASE x HADR SUSPEND": 102, "ALTER DATABASE x SET HADR STOP": 102,
	} {
		if _, err := Parse(text); err == nil || err.Number != want {
			t.Errorf("%s: %v, want %d", text, err, want)
		}
	}
}

// FuzzParse: nothing that a client sends may end the lab.
func FuzzParse(f *testing.F) {
	f.Add("ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY);")
	f.Add("ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON N'a' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)")
	f.Add("ALTER DATABASE [db] SET HADR SUSPEND /* x */ -- y")
	f.Add("KILL '53")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := Parse(s); v != nil && err != nil {
			t.Errorf("%q is both %v and %v", s, v, err)
		}
	})
}
