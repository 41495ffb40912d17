package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// report compares what the client was promised with what the target holds,
// and is the judge of the demo's exit code.
func (d *demo) report(ctx context.Context, end ending) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var problems []error

	role, err := dagRole(ctx, d.dsn("target", "master"))
	if err != nil {
		problems = append(problems, fmt.Errorf("read the target's role: %w", err))
	} else if role != "PRIMARY" {
		problems = append(problems, fmt.Errorf("the target is %s, not PRIMARY", role))
	}
	if end.last.LastOutcome != "done" {
		problems = append(problems, fmt.Errorf("the run ended as %q: %s", end.last.LastOutcome, end.last.Reason))
	}
	missing, rows, err := d.writer.missing(ctx, "target")
	if err != nil {
		problems = append(problems, err)
	} else if missing > 0 {
		problems = append(problems, fmt.Errorf("%d acknowledged rows are missing on the target", missing))
	}

	acked, unsure := d.writer.count()
	d.writer.mu.Lock()
	first, last, worst := d.writer.first, d.writer.last, d.writer.worst
	onTarget := 0
	for _, n := range d.writer.onTgt {
		onTarget += n
	}
	var clientErrors []string
	for text, n := range d.writer.errors {
		clientErrors = append(clientErrors, fmt.Sprintf("%d × %s", n, text))
	}
	d.writer.mu.Unlock()

	line := func(what, format string, args ...any) { fmt.Printf("  %-42s %s\n", what, fmt.Sprintf(format, args...)) }
	fmt.Println("\nReport")
	line("run", "%s: %s", end.last.LastRun, end.last.LastOutcome)
	line("target's role in the DAG, read by the client", "%s", role)
	if !end.nearAt.IsZero() && !end.seenAt.IsZero() {
		line("alert latency, near seen → webhook", "%.1f s (the alert needs 5 good samples, and no bad one within 30 s)", end.seenAt.Sub(end.nearAt).Seconds())
	}
	if !first.IsZero() && !last.IsZero() {
		line("write-unavailable, as the clients saw it", "%.3f s (last row on the source → first on the target)", first.Sub(last).Seconds())
	}
	line("write-unavailable, by the webhook's report", "%.3f s", end.last.WriteUnavailable)
	line("longest wait of one client", "%.3f s", worst.Seconds())
	line("rows acknowledged on the source", "%d", acked-onTarget)
	line("rows acknowledged on the target", "%d", onTarget)
	line("rows without an answer", "%d", unsure)
	line("rows on the target now", "%d", rows)
	line("acknowledged rows missing", "%d", missing)
	if len(clientErrors) > 0 {
		line("what the clients met", "%s", strings.Join(clientErrors, "; "))
	}
	if rows < acked || rows > acked+unsure {
		problems = append(problems, fmt.Errorf("%d rows on the target, %d were acknowledged and %d had no answer", rows, acked, unsure))
	}
	if len(problems) == 0 {
		fmt.Println("\nThe target is PRIMARY and every acknowledged row is there.")
	}
	return errors.Join(problems...)
}

// dagRole asks one instance for its role in the distributed group, with an
// ordinary query of our own: the judge does not use the product.
func dagRole(ctx context.Context, dsn string) (role string, err error) {
	pool, err := sql.Open("sqlserver", dsn)
	if err != nil {
		return "", err
	}
	defer pool.Close()
	err = pool.QueryRowContext(ctx, `SELECT ars.role_desc FROM sys.dm_hadr_availability_replica_states ars
JOIN sys.availability_groups ag ON ag.group_id = ars.group_id WHERE ag.is_distributed = 1 AND ars.is_local = 1`).Scan(&role)
	return role, err
}
