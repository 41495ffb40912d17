package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// What the two hand-written ways send. Group names are the lab's.
const (
	setSync = "ALTER AVAILABILITY GROUP [DAG] MODIFY AVAILABILITY GROUP ON 'OnPremAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT), 'AzureAG' WITH (AVAILABILITY_MODE = SYNCHRONOUS_COMMIT)"
	require = "ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1)"
	demote  = "ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY)"
	promote = "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS"
	linked  = `SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states AS r JOIN sys.availability_groups AS g ON g.group_id = r.group_id
WHERE g.is_distributed = 1 AND r.synchronization_state_desc <> N'SYNCHRONIZED'`
	role = `SELECT s.role_desc FROM sys.dm_hadr_availability_replica_states AS s JOIN sys.availability_groups AS g ON g.group_id = s.group_id
WHERE g.name = N'DAG' AND s.is_local = 1`
	lsns = `SELECT DB_NAME(r.database_id), CONVERT(varchar(30), r.last_hardened_lsn), CONVERT(varchar(30), r.end_of_log_lsn)
FROM sys.dm_hadr_database_replica_states AS r JOIN sys.availability_groups AS g ON g.group_id = r.group_id WHERE g.is_distributed = 0 AND r.is_local = 1`
	online = role + `; SELECT COUNT(*) FROM sys.databases WHERE name LIKE N'db%' AND (state_desc <> N'ONLINE' OR CONVERT(nvarchar(60), DATABASEPROPERTYEX(name, N'Updateability')) <> N'READ_WRITE')`
)

const (
	rests    = 3                      // readings of both sides, as the engine's settle_readings
	restGap  = 250 * time.Millisecond // between them, as its settle_interval
	handLook = 5 * time.Second        // "every 5 seconds or so"
)

// hands are two open connections, one per side, and what has to be done before
// S2 in any case.
type hands struct{ side [2]*sql.Conn }

func prepare(ctx context.Context, p *pair) (*hands, error) {
	h := &hands{}
	for i := range h.side {
		c, err := p.dbs[i].Conn(ctx)
		if err != nil {
			h.close()
			return nil, err
		}
		h.side[i] = c
	}
	fail := func(err error) (*hands, error) { h.close(); return nil, err }
	for i := range h.side {
		if _, err := h.side[i].ExecContext(ctx, setSync); err != nil {
			return fail(err)
		}
	}
	for synced := 0; synced < 3; { // three times in a row, since the modes take effect late
		var n int
		if err := h.side[0].QueryRowContext(ctx, linked).Scan(&n); err != nil {
			return fail(err)
		}
		if synced++; n > 0 {
			synced = 0
		}
		pause(ctx, 50*time.Millisecond)
	}
	pause(ctx, 300*time.Millisecond) // rows come in meanwhile
	p.quiesce()
	if err := p.try(ctx); err != nil {
		return fail(err)
	}
	if _, err := h.side[0].ExecContext(ctx, require); err != nil {
		return fail(err)
	}
	pause(ctx, 200*time.Millisecond)
	return h, ctx.Err()
}

func (h *hands) close() {
	for _, c := range h.side {
		if c != nil {
			_ = c.Close() // the pair ends with it
		}
	}
}

func (h *hands) role(ctx context.Context, side int) (r string, err error) {
	err = h.side[side].QueryRowContext(ctx, role).Scan(&r)
	return r, err
}

// lsns of one side: "hardened end" by database.
func (h *hands) lsns(ctx context.Context, side int) (map[string]string, error) {
	rows, err := h.side[side].QueryContext(ctx, lsns)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	out := map[string]string{}
	for rows.Next() {
		var name string
		var hard, end sql.NullString
		if err := rows.Scan(&name, &hard, &end); err != nil {
			return nil, err
		}
		if !hard.Valid || !end.Valid {
			return nil, errors.New("an LSN reads NULL")
		}
		out[name] = hard.String + " " + end.String
	}
	return out, rows.Err()
}

// floor sends S2, reads the role until it is SECONDARY, reads both sides at
// rest (as strictly as the engine does, or it would prove less), sends S3 and reads until the target is open: in sequence, without a
// pause that is not the rest's own, and without a look at anything else.
func floor(ctx context.Context, p *pair) (marks, error) {
	var m marks
	h, err := prepare(ctx, p)
	if err != nil {
		return m, err
	}
	defer h.close()
	m.s2 = time.Now()
	if _, err := h.side[0].ExecContext(ctx, demote); err != nil {
		return m, err
	}
	for r := ""; r != "SECONDARY"; {
		if r, err = h.role(ctx, 0); err != nil {
			return m, err
		}
	}
	m.demoted = time.Now()
	// At rest: three equal readings of each side, each begun 250 ms after the end of the one before, or nobody knows how far apart its LSNs were seen.
	var last [2]map[string]string
	var ended [2]time.Time
	for n := 0; n < rests; {
		same := true
		for i := range last {
			if n > 0 {
				pause(ctx, restGap-time.Since(ended[i]))
			}
			now, err := h.lsns(ctx, i)
			if err != nil {
				return m, err
			}
			same = same && maps.Equal(now, last[i])
			last[i], ended[i] = now, time.Now()
		}
		if n++; !same {
			n = 1
		}
	}
	if !maps.Equal(last[0], last[1]) {
		return m, fmt.Errorf("at rest, and not equal: %v and %v", last[0], last[1])
	}
	m.s3 = time.Now()
	if _, err := h.side[1].ExecContext(ctx, promote); err != nil {
		return m, err
	}
	if err := h.open(ctx, 0); err != nil {
		return m, err
	}
	m.writable, err = p.written(ctx)
	return m, err
}

// open reads the target until it is PRIMARY and every database can be written.
func (h *hands) open(ctx context.Context, every time.Duration) error {
	for {
		r, shut, err := h.state(ctx)
		if err != nil {
			return err
		}
		if r == "PRIMARY" && shut == 0 {
			return nil
		}
		pause(ctx, every)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// state is the target's role, and how many databases cannot be written there.
func (h *hands) state(ctx context.Context) (r string, shut int, err error) {
	rows, err := h.side[1].QueryContext(ctx, online)
	if err != nil {
		return "", 0, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	shut = -1
	for rows.Next() {
		err = errors.Join(err, rows.Scan(&r))
	}
	if rows.NextResultSet() && rows.Next() {
		err = errors.Join(err, rows.Scan(&shut))
	}
	return r, shut, errors.Join(err, rows.Err())
}

// hand is what the migration guide tells a person to do, by a script that
// never mistypes and never hesitates: S2, both sides' LSNs every five seconds
// until the source reads SECONDARY and they are equal, S3.
func hand(ctx context.Context, p *pair) (marks, error) {
	var m marks
	h, err := prepare(ctx, p)
	if err != nil {
		return m, err
	}
	defer h.close()
	m.s2 = time.Now()
	if _, err := h.side[0].ExecContext(ctx, demote); err != nil {
		return m, err
	}
	for {
		r, err := h.role(ctx, 0)
		if err != nil {
			return m, err
		}
		var both [2]map[string]string
		for i := range both {
			if both[i], err = h.lsns(ctx, i); err != nil {
				return m, err
			}
		}
		if r == "SECONDARY" && maps.Equal(both[0], both[1]) && len(slices.Collect(maps.Keys(both[0]))) > 0 {
			break
		}
		pause(ctx, handLook)
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
	}
	m.demoted = time.Now()
	m.s3 = m.demoted
	if _, err := h.side[1].ExecContext(ctx, promote); err != nil {
		return m, err
	}
	if err := h.open(ctx, handLook); err != nil {
		return m, err
	}
	m.writable, err = p.written(ctx)
	return m, err
}
