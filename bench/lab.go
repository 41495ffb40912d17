package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// The statements that are measured, on the global primary of a pair with two
// instances a side: each database has two rows of its own group and one of
// the link.
var statements = []struct {
	name, sql string
	perDB     int // rows for each database
	goal      time.Duration
}{
	{"the migration guide's script", `SELECT ag.name, drs.database_id, db_name(drs.database_id) as database_name, drs.group_id, drs.replica_id, drs.synchronization_state_desc, drs.last_hardened_lsn
FROM sys.dm_hadr_database_replica_states drs INNER JOIN sys.availability_groups ag on drs.group_id = ag.group_id;`, 3, 5 * time.Millisecond},
	{"six tables, 32 columns, ordered", `SELECT ag.name, ar.replica_server_name, d.name AS database_name, drs.database_id, drs.is_local, drs.is_primary_replica, drs.synchronization_state_desc,
 drs.synchronization_health_desc, drs.database_state_desc, drs.is_suspended, drs.suspend_reason_desc, drs.recovery_lsn, drs.truncation_lsn, drs.last_sent_lsn, drs.last_sent_time,
 drs.last_received_lsn, drs.last_received_time, drs.last_hardened_lsn, drs.last_hardened_time, drs.last_redone_lsn, drs.last_redone_time, drs.log_send_queue_size, drs.log_send_rate,
 drs.redo_queue_size, drs.redo_rate, drs.end_of_log_lsn, drs.last_commit_lsn, drs.last_commit_time, ars.role_desc, ars.connected_state_desc, cs.is_failover_ready, d.state_desc
FROM sys.dm_hadr_database_replica_states drs
JOIN sys.availability_replicas ar ON ar.replica_id = drs.replica_id AND ar.group_id = drs.group_id
JOIN sys.availability_groups ag ON ag.group_id = drs.group_id
LEFT JOIN sys.dm_hadr_availability_replica_states ars ON ars.replica_id = drs.replica_id AND ars.group_id = drs.group_id
LEFT JOIN sys.dm_hadr_database_replica_cluster_states cs ON cs.replica_id = drs.replica_id AND cs.group_database_id = drs.group_database_id
LEFT JOIN sys.databases d ON d.database_id = drs.database_id
ORDER BY ag.name, ar.replica_server_name, drs.database_id`, 3, 20 * time.Millisecond},
	{"`SELECT *` of all replica states", `SELECT * FROM sys.dm_hadr_database_replica_states`, 3, 15 * time.Millisecond},
}

// startLab runs a pair with so many databases in this process. Everything
// else is as dag_lab serve has it: the model writes background log, so that
// hardly two statements see the same rows.
func startLab(ctx context.Context, databases int) (*lab.Lab, error) {
	cfg := model.Config{Seed: 1, Databases: model.Names(databases)}
	for i := range cfg.Sides {
		cfg.Sides[i].Instances = make([]model.InstanceConfig, 2)
	}
	l, err := lab.New(lab.Options{Model: cfg})
	if err != nil {
		return nil, err
	}
	if err := l.Start(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// measure runs a statement once and checks that it gave all its rows.
func measure(c *client, i, databases int) (answer, error) {
	s := statements[i]
	a, err := c.batch(s.sql)
	if err == nil && a.rows != uint64(s.perDB*databases) {
		err = fmt.Errorf("%s: %d rows, want %d", s.name, a.rows, s.perDB*databases)
	}
	return a, err
}
