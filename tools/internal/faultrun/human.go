package faultrun

import (
	"context"
	"database/sql"
	"fmt"
	"math/big"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// pageStands is how long a page has to stand, everything being well again,
// before the person who reads it does something.
const pageStands = 2500 * time.Millisecond

// human is the person whom a page calls: he looks at both servers with an
// ordinary client, and types what the page names where its conditions hold.
type human struct {
	w     *world
	since map[string]time.Time
	typed []string
	codes []string
	db    [2]*sql.DB
}

func newHuman(w *world) (*human, error) {
	h := &human{w: w, since: map[string]time.Time{}}
	for _, s := range []lab.Side{lab.Source, lab.Target} {
		db, err := sql.Open("sqlserver", w.lab.DSN(s)+"&dial+timeout=2&app+name=human&disableretry=true")
		if err != nil {
			return nil, err
		}
		h.db[s] = db
	}
	return h, nil
}

func (h *human) close() {
	for _, db := range h.db {
		_ = db.Close() // nothing is under way
	}
}

// look is called with every status. well: every disturbance has ended.
func (h *human) look(s status, well bool) {
	seen := map[string]bool{}
	for _, p := range s.Pages {
		if p.Run != "" && p.Run != s.Run {
			continue // left behind by a run that has ended
		}
		code := p.code()
		seen[code] = true
		if _, ok := h.since[code]; !ok {
			h.since[code] = time.Now()
			h.codes = append(h.codes, code)
			h.w.log("page %s: %s", code, p.Text)
		}
		if !well {
			h.since[code] = time.Now()
		}
		if time.Since(h.since[code]) >= pageStands {
			h.answer(code, p)
			h.since[code] = time.Now()
		}
	}
	for code := range h.since {
		if !seen[code] {
			delete(h.since, code)
		}
	}
}

// sideFacts is what a person reads of one side.
type sideFacts struct {
	role    string
	rsstc   int
	pending int
	lsn     map[string][2]*big.Int // last_hardened, end_of_log
}

// read asks until it is answered, a few times: a busy machine is no bad end.
func (h *human) read(ctx context.Context, side lab.Side) (f sideFacts, err error) {
	for range 3 {
		if f, err = h.readOnce(ctx, side); err == nil {
			break
		}
	}
	return f, err
}

func (h *human) readOnce(ctx context.Context, side lab.Side) (f sideFacts, err error) {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	err = h.db[side].QueryRowContext(ctx, `SELECT ars.role_desc, ISNULL(ag.required_synchronized_secondaries_to_commit, 0) FROM sys.dm_hadr_availability_replica_states ars
JOIN sys.availability_groups ag ON ag.group_id = ars.group_id WHERE ag.is_distributed = 1 AND ars.is_local = 1`).Scan(&f.role, &f.rsstc)
	if err != nil {
		return f, fmt.Errorf("role of the %s: %w", side, err)
	}
	rows, err := h.db[side].QueryContext(ctx, `SELECT c.database_name, CONVERT(varchar(30), r.last_hardened_lsn), CONVERT(varchar(30), r.end_of_log_lsn) FROM sys.dm_hadr_database_replica_states r
JOIN sys.availability_groups g ON g.group_id = r.group_id AND g.is_distributed = 0
JOIN sys.availability_databases_cluster c ON c.group_id = r.group_id AND c.group_database_id = r.group_database_id WHERE r.is_local = 1`)
	if err != nil {
		return f, fmt.Errorf("LSNs of the %s: %w", side, err)
	}
	defer func() { _ = rows.Close() }() // Err tells
	f.lsn = map[string][2]*big.Int{}
	for rows.Next() {
		var name string
		var hardened, end sql.NullString
		if err := rows.Scan(&name, &hardened, &end); err != nil {
			return f, err
		}
		f.lsn[name] = [2]*big.Int{number(hardened), number(end)}
	}
	if err := rows.Err(); err != nil {
		return f, err
	}
	f.pending, err = h.w.pending(side) // "no failover in progress": SQL Server's log would tell
	return f, err
}

// number of an LSN; nil where it is none.
func number(s sql.NullString) *big.Int {
	v, ok := new(big.Int).SetString(s.String, 10)
	if !s.Valid || !ok || v.Cmp(big.NewInt(1_000_000_000_000_000)) < 0 {
		return nil
	}
	return v
}

// atLeast: no database of a is below b in end_of_log_lsn, nor in
// last_hardened_lsn where both have one.
func atLeast(a, b sideFacts) bool {
	for name, y := range b.lsn {
		x, ok := a.lsn[name]
		if !ok || x[1] == nil || y[1] == nil || x[1].Cmp(y[1]) < 0 || x[0] != nil && y[0] != nil && x[0].Cmp(y[0]) < 0 {
			return false
		}
	}
	return len(b.lsn) > 0
}

// stuckCodes are the pages of a run that a human has to close.
var stuckCodes = map[string]bool{"split": true, "unexplained_role": true, "other_run": true, "source_moved": true}

// answer does what the page says, if what it demands is true.
func (h *human) answer(code string, p page) {
	ctx := context.Background()
	var f [2]sideFacts
	for _, s := range []lab.Side{lab.Source, lab.Target} {
		var err error
		if f[s], err = h.read(ctx, s); err != nil {
			h.w.log("the page's conditions cannot be looked at: %v", err)
			return
		}
	}
	h.w.log("a person looks at page %s: source %s RSSTC %d, target %s RSSTC %d", code, f[0].role, f[0].rsstc, f[1].role, f[1].rsstc)
	primary := -1
	for s := range f {
		if f[s].role == "PRIMARY" {
			primary = s
		}
	}
	switch code {
	case "outstanding":
		return // its statements are for the case that the engine is stopped for good
	case "unreadable", "side_gone":
		// Its statements are for a side that is gone for good. One that
		// answers a person with a role is not: the engine goes on by itself.
		if f[0].role != "RESOLVING" && f[1].role != "RESOLVING" {
			return
		}
	}
	for _, st := range p.Statements {
		side := lab.Source
		if st.Side == lab.Target.String() {
			side = lab.Target
		}
		switch st.Kind {
		case "release_secondary":
			// On a demoted side RSSTC=1 fences: it goes right before S3 there.
			if f[side].rsstc != 0 && int(side) == primary {
				h.typeIt(ctx, side, st)
			}
		case "promote":
			if primary >= 0 || f[0].pending+f[1].pending > 0 || !atLeast(f[side], f[side.Other()]) {
				continue
			}
			if f[side].rsstc != 0 {
				for _, r := range p.Statements {
					if r.Kind == "release_secondary" && r.Side == st.Side {
						h.typeIt(ctx, side, r)
					}
				}
			}
			h.typeIt(ctx, side, st)
			primary = int(side)
		}
	}
	if code == "hook" {
		h.w.writer.set(false, lab.Source)
		h.typed = append(h.typed, "let the writers go on by hand")
	}
	if stuckCodes[code] && primary >= 0 {
		if err := h.w.post("acknowledge", `{"reason": "both sides were looked at"}`); err != nil {
			h.w.log("acknowledge: %v", err)
			return
		}
		h.typed = append(h.typed, "acknowledge")
		h.w.writer.set(false, lab.Side(primary))
	}
}

func (h *human) typeIt(ctx context.Context, side lab.Side, st statement) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := h.db[side].ExecContext(ctx, st.SQL)
	h.w.log("typed on the %s: %s: %v", side, st.SQL, err)
	h.typed = append(h.typed, fmt.Sprintf("%s on the %s", st.Kind, side))
}
