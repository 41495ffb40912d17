package cutover

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

const divergedPrefix = "diverged: "

// sample is a side's own rows of the planned databases, and the first reason
// why it cannot be one.
func (e *engine) sample(s hadr.Side) ([]DatabaseLSNs, string) {
	r := e.reading(s)
	if r == nil {
		return nil, e.why(s)
	}
	if role := e.role(s); role != hadr.RoleSecondary {
		return nil, fmt.Sprintf("the %s reads %s, not SECONDARY", s, shown(string(role)))
	}
	if n := len(r.Databases); r.Databases == nil || n != len(e.p.Databases) {
		return nil, fmt.Sprintf("the %s shows %d databases, the plan has %d", s, n, len(e.p.Databases))
	}
	rows := make([]DatabaseLSNs, 0, len(e.p.Databases))
	for _, n := range e.p.Databases {
		d := database(r, n)
		if d == nil || d.Own == nil {
			return nil, fmt.Sprintf("%s has no row of its own on the %s", n, s)
		}
		rows = append(rows, DatabaseLSNs{Database: n, Hardened: known(d.Own.LastHardened), EndOfLog: known(d.Own.EndOfLog)})
	}
	return rows, ""
}

// prove is step 9: takes this round's sample of both sides, counts it when it
// equals the last ones, and makes the proof when they are at rest. "" means
// that the proof is complete and true of this round's readings; else why not.
func (e *engine) prove() string {
	src, why := e.sample(hadr.Source)
	if why != "" {
		return why
	}
	tgt, why := e.sample(hadr.Target)
	if why != "" {
		return why
	}
	at := e.src.Ended
	if e.tgt.Ended.After(at) {
		at = e.tgt.Ended
	}
	began := e.src.Began
	if e.tgt.Began.Before(began) {
		began = e.tgt.Began
	}
	switch r := e.in.Rest; {
	case r == nil || !slices.Equal(r.Source, src) || !slices.Equal(r.Target, tgt):
		e.in.Proof = nil
		e.in.Rest = &Rest{Since: at, Last: at, Count: 1, Source: src, Target: tgt}
	case began.Sub(r.Last) >= e.p.SettleInterval:
		r.Count++
		r.Last = at
	}
	need := e.p.SettleReadings
	if e.off.noRest {
		need = 1
	}
	if e.in.Rest.Count < need {
		return fmt.Sprintf("waiting for rest: %d of %d identical readings of both sides", e.in.Rest.Count, need)
	}
	p := Proof{Run: e.in.Run, PlanHash: e.in.PlanHash, At: at, Basis: e.p.ProofBasis, Samples: e.in.Rest.Count, Since: e.in.Rest.Since,
		SourcePin: e.in.SourcePin, TargetPin: e.in.TargetPin}
	for i, n := range e.p.Databases {
		row := ProofRow{Database: n,
			SourceHardened: src[i].Hardened, SourceEndOfLog: src[i].EndOfLog,
			TargetHardened: tgt[i].Hardened, TargetEndOfLog: tgt[i].EndOfLog}
		if j := slices.IndexFunc(e.in.Highest, func(d DatabaseLSNs) bool { return d.Database == n }); j >= 0 && !e.off.proofPresentOnly {
			row.HighHardened, row.HighEndOfLog = e.in.Highest[j].Hardened, e.in.Highest[j].EndOfLog
		} else {
			row.HighHardened, row.HighEndOfLog = row.SourceHardened, row.SourceEndOfLog
		}
		if why := e.holds(&row); why != "" {
			return why
		}
		if why := e.lineage(&row, &p); why != "" {
			return divergedPrefix + why
		}
		row.Ahead = row.TargetEndOfLog.Beyond(row.SourceEndOfLog) || row.TargetHardened.Beyond(row.SourceHardened)
		p.Rows = append(p.Rows, row)
	}
	p.Hash = p.hash()
	e.in.Proof = &p
	return ""
}

// holds is why a database's row proves nothing; "" when the target holds
// everything that the source ever showed, in both columns, and its disk the
// source's last block: a hardened value, which is the start of the next block,
// beyond the end of the log, as on every recorded row at rest. An unknown LSN
// never proves.
func (e *engine) holds(r *ProofRow) string {
	atLeast := func(l, m hadr.LSN) bool {
		return l.AtLeast(m) || e.off.zerosEqual && !l.Known() && !m.Known()
	}
	if !atLeast(r.TargetEndOfLog, r.SourceEndOfLog) || !atLeast(r.TargetEndOfLog, r.HighEndOfLog) {
		return fmt.Sprintf("%s: the target's end_of_log_lsn %s is not shown to be at the source's %s (highest read %s)", r.Database, lsn(r.TargetEndOfLog), lsn(r.SourceEndOfLog), lsn(r.HighEndOfLog))
	}
	if e.p.ProofBasis == BasisEndOfLog && (!r.TargetHardened.Known() || !r.SourceHardened.Known()) {
		return "" // approved in the plan: where last_hardened_lsn is NULL, end_of_log_lsn stands alone
	}
	if !atLeast(r.TargetHardened, r.SourceHardened) || !atLeast(r.TargetHardened, r.HighHardened) {
		return fmt.Sprintf("%s: the target's last_hardened_lsn %s is not shown to be at the source's %s (highest read %s)", r.Database, lsn(r.TargetHardened), lsn(r.SourceHardened), lsn(r.HighHardened))
	}
	// Both columns may be equal while no disk of the target holds the tail: the
	// source's hardened value is held down by a slow secondary of its own, the
	// target's by its disk, and both ends of log count what is in the cache.
	beyond := func(m hadr.LSN) bool {
		return r.TargetHardened.Beyond(m) || e.off.tailUnhardened || e.off.zerosEqual && !(r.TargetHardened.Known() && m.Known())
	}
	if !beyond(r.SourceEndOfLog) || !beyond(r.HighEndOfLog) {
		return fmt.Sprintf("%s: the target's last_hardened_lsn %s is not beyond the source's end_of_log_lsn %s (highest read %s): its disk is not shown to hold the last block", r.Database, lsn(r.TargetHardened), lsn(r.SourceEndOfLog), lsn(r.HighEndOfLog))
	}
	return ""
}

func lsn(l hadr.LSN) string {
	if !l.Known() {
		return "unknown"
	}
	return l.String()
}

// lineage is why a database's LSNs cannot be compared at all: other family or
// recovery fork, between the sides where both show it, or against the plan.
func (e *engine) lineage(row *ProofRow, p *Proof) string {
	s, t := lineageOf(e.src, row.Database), lineageOf(e.tgt, row.Database)
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	if differ(s.FamilyGUID, t.FamilyGUID) || differ(s.ForkGUID, t.ForkGUID) {
		return fmt.Sprintf("%s is of another lineage on each side (fork %s on the source, %s on the target): equal LSNs mean nothing", row.Database, s.ForkGUID, t.ForkGUID)
	}
	for _, l := range e.p.Lineage {
		if l.Database == row.Database && (differ(l.FamilyGUID, s.FamilyGUID) || differ(l.FamilyGUID, t.FamilyGUID)) {
			return fmt.Sprintf("%s is of another family than in the plan", row.Database)
		}
	}
	row.FamilyGUID, row.ForkGUID = s.FamilyGUID, s.ForkGUID
	if row.ForkGUID == "" {
		row.FamilyGUID, row.ForkGUID = t.FamilyGUID, t.ForkGUID
	}
	if s.ForkGUID == "" || t.ForkGUID == "" {
		p.Unverified = append(p.Unverified, row.Database)
	}
	return ""
}

func lineageOf(r *hadr.Reading, name string) hadr.Lineage {
	if d := database(r, name); d != nil && d.Lineage != nil {
		return *d.Lineage
	}
	return hadr.Lineage{}
}

// hash of the proof without its Hash field.
func (p Proof) hash() string {
	p.Hash = ""
	b, err := json.Marshal(p)
	if err != nil { // strings, numbers and times only: cannot happen
		return "unhashable: " + err.Error()
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// Valid reports that the proof is what it was when it was hashed.
func (p *Proof) Valid() bool { return p.Hash != "" && p.Hash == p.hash() }
