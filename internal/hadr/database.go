package hadr

import (
	"fmt"
	"math/big"
	"strings"
	"time"
)

// database is the verdict about one pair.
func (c *comparison) database(p pair) DatabaseConvergence {
	d := DatabaseConvergence{Name: p.name, Source: p.source, Target: p.target}
	d.SourceHardened, d.SourceEndOfLog = ownLSNs(p.source)
	d.TargetHardened, d.TargetEndOfLog = ownLSNs(p.target)
	primary, forwarder := d.inDirection(c.direction)
	var link *Replica
	if c.single() && primary != nil && forwarder != nil && forwarder.Own != nil {
		// Without a single primary a DAG row is a memory. And it stands in for
		// values that the forwarder's row leaves open, not for the row.
		link = primary.Link
	}
	if link != nil {
		d.LinkHardened = link.LastHardened
	}
	pHard, pEnd := ownLSNs(primary)
	fHard, fEnd := ownLSNs(forwarder)
	d.Hardened, d.EndOfLog = NewDelta(pHard, fHard), NewDelta(pEnd, fEnd)
	d.CommitLag = c.commitLag(primary, forwarder)
	d.Position, d.Basis = position(pHard, pEnd, fHard, fEnd, d.LinkHardened)

	switch {
	case p.ambiguous:
		// No copy and no LSN goes with it either: it may be the other one's.
		return DatabaseConvergence{Name: p.name, State: StateUnknown, Reason: "one side has two databases whose names differ in case only"}
	case c.diverged(p):
		d.State, d.Reason = StateDiverged, "the two copies are on different recovery forks: equal LSNs mean nothing, the target must be seeded anew"
		return d
	case c.direction == DirectionBoth:
		d.State, d.Reason = StateSplit, "both sides are PRIMARY"
		return d
	}
	wrong := c.wrong(p)
	if len(wrong) == 0 && d.Position == PositionUnknown {
		d.State, d.Reason = StateUnknown, unknownReason(d, c)
		return d
	}
	if c.direction == DirectionNone {
		d.State, d.Level = StateDemoted, LevelKnown
		d.Reason = strings.Join(append(wrong, c.positionText(d)), "; ")
		return d
	}
	blockers := append(wrong, c.notMoving(primary, forwarder, link)...)
	if len(blockers) > 0 {
		return d.at(LevelKnown, blockers)
	}
	if blockers = c.notCaughtUp(d, primary, forwarder); len(blockers) > 0 {
		return d.at(LevelNear, blockers)
	}
	if link.Sync != Synchronized {
		blockers = append(blockers, fmt.Sprintf("the link is %s, not SYNCHRONIZED", shown(string(link.Sync))))
	}
	if blockers = append(blockers, c.modeBlockers...); len(blockers) > 0 {
		return d.at(LevelCaughtUp, blockers)
	}
	return d.at(LevelSynchronized, []string{c.positionText(d)})
}

// at puts the verdict at level l; reasons are what keeps it from the next.
func (c DatabaseConvergence) at(l Level, reasons []string) DatabaseConvergence {
	c.Level, c.State, c.Reason = l, l.state(), strings.Join(reasons, "; ")
	return c
}

// position compares. Caught up is the forwarder's disk holding the primary's
// last block: a hardened value (the start of the next block beyond what is on
// disk) above the primary's end of log (the last block); or, for logs that
// show neither convention, all columns equal. Equal hardened values below that
// end are no such thing: slow secondaries of the primary hold its minimum
// down, the forwarder has the tail in its cache and no disk has it. A
// primary's own hardened value is a minimum over its secondaries, so it tells
// nothing about its log's end: like is compared with like, or across in this
// one direction only.
func position(pHard, pEnd, fHard, fEnd, link LSN) (Position, Basis) {
	if !pEnd.Known() {
		return PositionUnknown, ""
	}
	there := PositionCaughtUp
	if fEnd.Beyond(pEnd) {
		there = PositionAhead
	}
	switch {
	case fHard.Known():
		if fHard.Beyond(pEnd) || fHard.Equal(pEnd) && fHard.Equal(pHard) && fEnd.Equal(pEnd) {
			return there, BasisHardened
		}
		// The forwarder's own value can be held back by a lagging secondary
		// of its own, since it is their minimum. What the primary heard can
		// lag, never lead.
		if link.Beyond(pEnd) {
			return there, BasisLink
		}
		return PositionBehind, BasisHardened
	case link.Known():
		if link.Beyond(pEnd) {
			return there, BasisLink
		}
		return PositionBehind, BasisLink
	case fEnd.Known():
		if fEnd.AtLeast(pEnd) {
			return there, BasisEndOfLog
		}
		return PositionBehind, BasisEndOfLog
	}
	return PositionUnknown, ""
}

// wrong lists known facts, and such that must be known, that make a database
// never better than behind. Both sides count, whatever the direction.
func (c *comparison) wrong(p pair) (reasons []string) {
	switch {
	case p.source == nil && p.target == nil:
		return []string{"the configuration expects it, and neither side's availability group has it"}
	case p.target == nil:
		return []string{"it is in the source's availability group only: not seeded, not joined, or removed"}
	case p.source == nil:
		return []string{"it is in the target's availability group only"}
	}
	if p.unexpected {
		reasons = append(reasons, "the configuration's list of databases does not name it, yet it would fail over with the rest")
	}
	for _, s := range []struct {
		side Side
		db   *Database
	}{{Source, p.source}, {Target, p.target}} {
		if s.db.Joined.OK && !s.db.Joined.V {
			reasons = append(reasons, fmt.Sprintf("it is not joined to the %s's availability group", s.side))
		}
		own := s.db.Own
		if own == nil {
			own = &Replica{}
		}
		reasons = append(reasons, replicaWrong(fmt.Sprintf("on the %s", s.side), *own)...)
		for _, state := range distinct(s.db.State, own.State) {
			if bad(state) && !(c.opt.CrossVersion && s.side == Target && (state == DBRestoring || state == DBRecovering)) {
				reasons = append(reasons, fmt.Sprintf("it is %s on the %s%s", shown(string(state)), s.side, c.undeclared(s.side, state)))
			}
		}
	}
	if _, fork := lineageDiffers(p.source, p.target); fork && c.direction == DirectionTargetToSource {
		reasons = append(reasons, "the source's copy is on the recovery fork from before the failover: the link has not brought it over yet, or it went its own way and must be seeded anew")
	}
	if c.single() {
		if primary, _ := (DatabaseConvergence{Source: p.source, Target: p.target}).inDirection(c.direction); primary.Link != nil {
			reasons = append(reasons, replicaWrong("on the link", *primary.Link)...)
		}
	}
	return reasons
}

// undeclared says which key of the configuration a migration to a newer
// version needs, whose databases are not online before the failover.
func (c *comparison) undeclared(side Side, state DBState) string {
	newer := c.source.Identity.Major > 0 && c.target.Identity.Major > c.source.Identity.Major
	if !newer || side != Target || state != DBRestoring && state != DBRecovering {
		return ""
	}
	return " (its version is newer than the source's: if that is meant, the configuration must say cross_version: true)"
}

func replicaWrong(where string, r Replica) (reasons []string) {
	if r.Suspended.OK && r.Suspended.V {
		by := ""
		if r.SuspendReason != "" {
			by = " (" + shown(r.SuspendReason) + ")"
		}
		reasons = append(reasons, fmt.Sprintf("data movement is suspended %s%s", where, by))
	}
	if r.Sync == SyncReverting || r.Sync == SyncInitializing {
		reasons = append(reasons, fmt.Sprintf("it is %s %s: a forced failover now could ruin it", shown(string(r.Sync)), where))
	}
	return reasons
}

func bad(s DBState) bool { return s != DBOnline && s != DBUnknown }

func distinct(a, b DBState) []DBState {
	if a == b {
		return []DBState{a}
	}
	return []DBState{a, b}
}

// notMoving lists what keeps a database from near, besides what wrong says.
// Unknown is "no" here.
func (c *comparison) notMoving(primary, forwarder *Database, link *Replica) (reasons []string) {
	reasons = append(reasons, c.linkBlockers...)
	if primary == nil || forwarder == nil {
		return reasons
	}
	for _, s := range []struct {
		where string
		r     *Replica
	}{
		{fmt.Sprintf("on the %s", c.primaryName()), primary.Own},
		{fmt.Sprintf("on the %s", c.forwarderName()), forwarder.Own},
		{"on the link", link},
	} {
		if s.r == nil {
			reasons = append(reasons, "no row tells its state "+s.where)
			continue
		}
		switch s.r.Sync {
		case Synchronizing, Synchronized, SyncReverting, SyncInitializing: // the last two are in wrong
		case SyncUnknown:
			reasons = append(reasons, "its synchronization state is unknown "+s.where)
		default:
			reasons = append(reasons, fmt.Sprintf("it is NOT SYNCHRONIZING %s", s.where))
		}
		if !s.r.Suspended.OK {
			reasons = append(reasons, "it is unknown whether data movement is suspended "+s.where)
		}
	}
	for _, s := range []struct {
		side Side
		db   *Database
	}{{c.primaryName(), primary}, {c.forwarderName(), forwarder}} {
		if !s.db.Joined.OK {
			reasons = append(reasons, fmt.Sprintf("it is unknown whether it is joined on the %s", s.side))
		}
		if s.db.State == DBUnknown && (s.db.Own == nil || s.db.Own.State == DBUnknown) {
			reasons = append(reasons, fmt.Sprintf("its database state is unknown on the %s", s.side))
		}
	}
	if link == nil {
		return reasons
	}
	reasons = append(reasons, outside("log send queue", link.SendQueue, c.opt.Near.LogSendQueue)...)
	return append(reasons, outside("redo queue", RedoQueue(primary, forwarder), c.opt.Near.RedoQueue)...)
}

// RedoQueue of the forwarder in bytes: the worse of what the primary heard
// (the DAG row) and of what the forwarder's own row says, which as a local
// primary's row mostly says nothing.
func RedoQueue(primary, forwarder *Database) Opt[int64] {
	var q Opt[int64]
	if primary != nil && primary.Link != nil {
		q = primary.Link.RedoQueue
	}
	if forwarder != nil && forwarder.Own != nil {
		if o := forwarder.Own.RedoQueue; o.OK && (!q.OK || o.V > q.V) {
			q = o
		}
	}
	return q
}

func outside(name string, q Opt[int64], bound int64) []string {
	switch {
	case !q.OK:
		return []string{"the " + name + " is unknown"}
	case q.V > bound:
		return []string{fmt.Sprintf("the %s is %s, above %s", name, sizeText(q.V), sizeText(bound))}
	}
	return nil
}

// notCaughtUp lists what keeps a database that moves from caught_up.
func (c *comparison) notCaughtUp(d DatabaseConvergence, primary, forwarder *Database) (reasons []string) {
	if d.Position != PositionCaughtUp && d.Position != PositionAhead {
		reasons = append(reasons, c.positionText(d))
	}
	for _, s := range []struct {
		side Side
		r    *Reading
		own  *Replica
	}{{c.primaryName(), c.primary, primary.Own}, {c.forwarderName(), c.forwarder, forwarder.Own}} {
		local := s.r.Local.Local()
		if local != nil && local.Mode == ModeAsynchronous {
			continue // its own row stays SYNCHRONIZING, rightly
		}
		if s.own.Sync != Synchronized {
			reasons = append(reasons, fmt.Sprintf("it is %s in the %s's own availability group, not SYNCHRONIZED", shown(string(s.own.Sync)), s.side))
		}
	}
	return reasons
}

// positionText says what was compared.
func (c *comparison) positionText(d DatabaseConvergence) string {
	pEnd, fHard, fEnd := d.SourceEndOfLog, d.TargetHardened, d.TargetEndOfLog
	if c.direction == DirectionTargetToSource {
		pEnd, fHard, fEnd = d.TargetEndOfLog, d.SourceHardened, d.SourceEndOfLog
	}
	p, f := c.primaryName(), c.forwarderName()
	what := fmt.Sprintf("last_hardened_lsn %s of the %s", fHard, f)
	switch d.Basis {
	case BasisLink:
		what = fmt.Sprintf("last_hardened_lsn %s of the %s, as the %s heard it,", d.LinkHardened, f, p)
	case BasisEndOfLog:
		what = fmt.Sprintf("end_of_log_lsn %s of the %s", fEnd, f)
	}
	switch d.Position {
	case PositionBehind:
		return fmt.Sprintf("%s has not passed end_of_log_lsn %s of the %s", what, pEnd, p)
	case PositionCaughtUp:
		return fmt.Sprintf("%s covers end_of_log_lsn %s of the %s", what, pEnd, p)
	case PositionAhead:
		return fmt.Sprintf("%s is ahead of end_of_log_lsn %s of the %s", what, pEnd, p)
	}
	return "the LSNs are not known"
}

func unknownReason(d DatabaseConvergence, c *comparison) string {
	pEnd := d.SourceEndOfLog
	if c.direction == DirectionTargetToSource {
		pEnd = d.TargetEndOfLog
	}
	if !pEnd.Known() {
		return fmt.Sprintf("the %s does not say where its log ends (end_of_log_lsn is NULL or a sentinel)", c.primaryName())
	}
	return fmt.Sprintf("neither the %s nor the link says what the %s has hardened (NULL or a sentinel)", c.forwarderName(), c.forwarderName())
}

func ownLSNs(db *Database) (hardened, endOfLog LSN) {
	if db == nil || db.Own == nil {
		return LSN{}, LSN{}
	}
	return db.Own.LastHardened, db.Own.EndOfLog
}

// clockJitter is how much a clock that is kept in time may be set back at once.
const clockJitter = time.Second

// commitLag of the forwarder. The primary's clock is the server's local time:
// where the forwarder shows a later commit than the two readings can be apart,
// that clock was put back, at the end of daylight saving or by hand, or another
// server's clock wrote it, and the difference, which may hide up to an hour of
// lag, is no knowledge.
func (c *comparison) commitLag(primary, forwarder *Database) Opt[time.Duration] {
	if primary == nil || forwarder == nil || primary.Own == nil || forwarder.Own == nil ||
		!primary.Own.LastCommitTime.OK || !forwarder.Own.LastCommitTime.OK {
		return Opt[time.Duration]{}
	}
	lag := primary.Own.LastCommitTime.V.Sub(forwarder.Own.LastCommitTime.V)
	if lag < -skew(c.source, c.target).V-clockJitter {
		return Opt[time.Duration]{}
	}
	return Some(lag)
}

// diverged needs both lineages; they are not read with every scrape. After a
// failover from source to target the old primary's copy is on the former fork
// until the link has brought it over: not better than behind (see wrong), but
// no divergence by that alone.
func (c *comparison) diverged(p pair) bool {
	family, fork := lineageDiffers(p.source, p.target)
	return family || fork && c.direction != DirectionTargetToSource
}

func lineageDiffers(source, target *Database) (family, fork bool) {
	if source == nil || target == nil || source.Lineage == nil || target.Lineage == nil {
		return false, false
	}
	differ := func(a, b string) bool { return a != "" && b != "" && !strings.EqualFold(a, b) }
	return differ(source.Lineage.FamilyGUID, target.Lineage.FamilyGUID), differ(source.Lineage.ForkGUID, target.Lineage.ForkGUID)
}

// NewDelta is a minus b, exact; unknown if either is.
func NewDelta(a, b LSN) Delta {
	if !a.Known() || !b.Known() {
		return Delta{}
	}
	d := Delta{Exact: new(big.Int).Sub(a.Big(), b.Big()), VLFs: Some(int64(a.VLF) - int64(b.VLF))}
	if a.VLF == b.VLF {
		d.Blocks = Some(int64(a.Block) - int64(b.Block))
	}
	return d
}

func sizeText(n int64) string {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	switch {
	case n >= gib:
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	case n >= mib:
		return fmt.Sprintf("%.1f MiB", float64(n)/mib)
	case n >= kib:
		return fmt.Sprintf("%.1f KiB", float64(n)/kib)
	}
	return fmt.Sprintf("%d bytes", n)
}
