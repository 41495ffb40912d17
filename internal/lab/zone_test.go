package lab

import (
	"database/sql"
	"testing"
	"time"
	_ "time/tzdata" // the zones' table, where the machine has none

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// location is a zone by name.
func location(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// inZones is a pair whose sides stand in two zones that are nine and a half or ten and a half hours apart.
func inZones(t *testing.T) model.Config {
	cfg := model.Config{Timing: quick, Databases: []string{"db001"}}
	cfg.Sides[Source].Instances = []model.InstanceConfig{{Zone: location(t, "Asia/Kolkata")}}
	cfg.Sides[Target].Instances = []model.InstanceConfig{{Zone: location(t, "America/New_York")}}
	return cfg
}

// execWhile runs a statement that needs time, and moves the clock until it is done.
func execWhile(t *testing.T, clock *VirtualClock, db *sql.DB, query string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := db.Exec(query)
		done <- err
	}()
	eventually(t, query, func() bool {
		clock.Advance(time.Millisecond)
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return true
		default:
			return false
		}
	})
}

const commitTime = "SELECT MAX(CONVERT(varchar(30), last_commit_time, 126)) FROM sys.dm_hadr_database_replica_states WHERE is_local = 1"

// TestZones: what is documented as local is local, what is called UTC is UTC, and the time of a commit is the writer's on both sides.
func TestZones(t *testing.T) {
	clock := NewVirtualClock(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	l := start(t, Options{Clock: clock, Model: inZones(t)})
	src, tgt := l.test(t, Source), l.test(t, Target)
	execWhile(t, clock, src, "INSERT db001.dbo.ledger (id) VALUES (1)")
	eventually(t, "redone", func() bool {
		clock.Advance(time.Second)
		return one(t, src, commitTime) == one(t, tgt, commitTime)
	})
	if got := one(t, tgt, commitTime); got < "2026-07-01T17:30:00" || got > "2026-07-01T17:40:00" {
		t.Errorf("the target shows %s for a commit at 17:30 on the source's wall", got)
	}
	for _, c := range []struct{ expr, source, target string }{
		{"DATEDIFF(minute, GETUTCDATE(), GETDATE())", "330", "-240"},
		{"DATEDIFF(minute, SYSUTCDATETIME(), SYSDATETIME())", "330", "-240"},
		{"DATEPART(tzoffset, SYSDATETIMEOFFSET())", "330", "-240"},
		{"DATEDIFF(minute, SYSUTCDATETIME(), CURRENT_TIMESTAMP)", "330", "-240"},
		{"CURRENT_TIMEZONE()", "(UTC+05:30) Asia/Kolkata", "(UTC-05:00) America/New_York"},
		{"DATEDIFF(hour, (SELECT login_time FROM sys.dm_exec_sessions WHERE session_id = @@SPID), GETDATE())", "0", "0"},
		{"DATEDIFF(hour, (SELECT sqlserver_start_time FROM sys.dm_os_sys_info), GETDATE())", "24", "25"},
		{"DATEPART(hour, (SELECT create_date FROM sys.databases WHERE name = 'db001'))", "17", "8"},
	} {
		for side, db := range map[Side]*sql.DB{Source: src, Target: tgt} {
			want := c.source
			if side == Target {
				want = c.target
			}
			if got := one(t, db, "SELECT "+c.expr); got != want {
				t.Errorf("%s: %s is %s, want %s", side, c.expr, got, want)
			}
		}
	}
	if err := l.Control().Seed(Target, 0, "db001", 0, -1); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Second)
	const begin = "SELECT DATEDIFF(hour, s.start_time, GETDATE()), DATEDIFF(hour, p.start_time_utc, SYSUTCDATETIME()) FROM sys.dm_hadr_automatic_seeding AS s " +
		"INNER JOIN sys.dm_hadr_physical_seeding_stats AS p ON p.local_physical_seeding_id = s.operation_id"
	for side, db := range map[Side]*sql.DB{Source: src, Target: tgt} {
		var local, utc int
		eventually(t, "the seeding is seen", func() bool {
			clock.Advance(10 * time.Millisecond)
			return db.QueryRow(begin).Scan(&local, &utc) == nil
		})
		if local != 0 || utc != 0 {
			t.Errorf("%s: the seeding began %d hours ago by its local time and %d by its _utc", side, local, utc)
		}
	}
}

// TestTheHourThatComesTwice: when summer time ends, the wall clock of a server goes back by an hour, and with it what the views show of commits.
func TestTheHourThatComesTwice(t *testing.T) {
	clock := NewVirtualClock(time.Date(2026, 10, 25, 0, 59, 50, 0, time.UTC))
	cfg := model.Config{Timing: quick, Databases: []string{"db001"}}
	cfg.Timing.Background = -1
	cfg.Sides[Source].Instances = []model.InstanceConfig{{Zone: location(t, "Europe/Berlin")}}
	l := start(t, Options{Clock: clock, Model: cfg})
	src, tgt := l.test(t, Source), l.test(t, Target)
	shown := func(id, want string) {
		t.Helper()
		execWhile(t, clock, src, "INSERT db001.dbo.ledger (id) VALUES ("+id+")")
		eventually(t, "redone", func() bool {
			clock.Advance(10 * time.Millisecond)
			return one(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger") == id && one(t, src, commitTime) == one(t, tgt, commitTime)
		})
		if got := one(t, tgt, commitTime); got[:len(want)] != want {
			t.Errorf("commit %s is shown at %s, want %s…", id, got, want)
		}
	}
	shown("1", "2026-10-25T02:59:5")
	clock.Advance(20 * time.Second)
	if got := one(t, src, "SELECT CONVERT(varchar(16), GETDATE(), 126) + ' ' + CONVERT(varchar(16), GETUTCDATE(), 126)"); got != "2026-10-25T02:00 2026-10-25T01:00" {
		t.Error(got)
	}
	shown("2", "2026-10-25T02:00:")
}
