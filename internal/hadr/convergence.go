package hadr

// CONTRACT: what Compare answers, and what collector and cutover read. Extend
// freely; rename only with a reason.

import (
	"math/big"
	"time"
)

// State is the verdict about a database, or about the DAG, which is as good
// as its worst database. unknown, behind, near, caught_up and synchronized
// are an order; the others stand beside it.
type State string

// The states.
const (
	// StateUnknown: at least one fact that a better verdict needs was not
	// read, was NULL or a sentinel, or contradicts another one. It is never a
	// "no difference".
	StateUnknown State = "unknown"
	// StateBehind: both sides are known, and the forwarder lacks log, or
	// something (suspension, a database that is missing or not online, a link
	// that does not move) makes the comparison worthless.
	StateBehind State = "behind"
	// StateNear: everything moves, and both queues are inside the bounds.
	StateNear State = "near"
	// StateCaughtUp: what the migration guide has people wait for. The
	// forwarder's disk holds the primary's last log block.
	StateCaughtUp State = "caught_up"
	// StateSynchronized: caught up, and synchronous commit on both sides'
	// copies keeps it so.
	StateSynchronized State = "synchronized"

	// StateDemoted: both sides say SECONDARY. Nobody can write.
	StateDemoted State = "demoted"
	// StateFailedOver: the target is primary and the source is not. Level and
	// the databases' states then describe the way back, target to source.
	StateFailedOver State = "failed_over"
	// StateSplit: both sides say PRIMARY.
	StateSplit State = "split"
	// StateDiverged: the two copies of a database are on different recovery
	// forks (or of different families): equal LSNs mean nothing.
	StateDiverged State = "diverged"
)

// States are all states, in the order of the documentation.
func States() []State {
	return []State{StateUnknown, StateBehind, StateNear, StateCaughtUp, StateSynchronized,
		StateDemoted, StateFailedOver, StateSplit, StateDiverged}
}

// Level is how far up the order a verdict stands. Levels are cumulative: who
// reached LevelCaughtUp has reached LevelNear and LevelKnown too.
type Level int

// The levels. LevelNone is the level of unknown, split and diverged.
const (
	LevelNone Level = iota
	LevelKnown
	LevelNear
	LevelCaughtUp
	LevelSynchronized
)

// Levels are the four levels that can be reached, lowest first.
func Levels() []Level { return []Level{LevelKnown, LevelNear, LevelCaughtUp, LevelSynchronized} }

// String is the label value; "none" for LevelNone.
func (l Level) String() string {
	switch l {
	case LevelKnown:
		return "known"
	case LevelNear:
		return "near"
	case LevelCaughtUp:
		return "caught_up"
	case LevelSynchronized:
		return "synchronized"
	}
	return "none"
}

// state of the order that stands at this level.
func (l Level) state() State {
	switch l {
	case LevelKnown:
		return StateBehind
	case LevelNear:
		return StateNear
	case LevelCaughtUp:
		return StateCaughtUp
	case LevelSynchronized:
		return StateSynchronized
	}
	return StateUnknown
}

// Direction is which way the log flows, told by the roles in the DAG. ""
// is unknown.
type Direction string

// The directions.
const (
	DirectionUnknown        Direction = ""
	DirectionSourceToTarget Direction = "source_to_target"
	DirectionTargetToSource Direction = "target_to_source"
	DirectionNone           Direction = "none" // no side is primary
	DirectionBoth           Direction = "both" // both are
)

// Directions are all known directions.
func Directions() []Direction {
	return []Direction{DirectionSourceToTarget, DirectionTargetToSource, DirectionNone, DirectionBoth}
}

// Position is where the forwarder's copy of a database stands against the
// primary's. "" is unknown.
type Position string

// The positions.
const (
	PositionUnknown  Position = ""
	PositionBehind   Position = "behind"
	PositionCaughtUp Position = "caught_up"
	// PositionAhead: the forwarder holds log that the primary's reading does
	// not show: it was read later, or it hardened a block before the primary
	// did.
	PositionAhead Position = "ahead"
)

// Basis names the columns that a position was told from. "" goes with an
// unknown position.
type Basis string

// The bases, strongest first.
const (
	// BasisHardened: the forwarder's own last_hardened_lsn.
	BasisHardened Basis = "hardened"
	// BasisLink: last_hardened_lsn of the primary's DAG row about the
	// forwarder. Hearsay: it can lag, never lead.
	BasisLink Basis = "link"
	// BasisEndOfLog: both sides' end_of_log_lsn, since no hardened value is
	// known. What the forwarder shows there may still be in its cache.
	BasisEndOfLog Basis = "end_of_log"
)

// Bounds of the state near, in bytes.
type Bounds struct {
	LogSendQueue int64
	RedoQueue    int64
}

// Options of Compare.
type Options struct {
	// Group is the DAG's name in SQL Server; "" is not checked.
	Group string
	// Databases is the expected set; empty: whatever the source's AG holds.
	Databases []string
	// Near bounds the queues of the state near.
	Near Bounds
	// CrossVersion declares a target of a newer version, whose databases
	// cannot be opened before the failover: RESTORING and RECOVERING are
	// allowed there.
	CrossVersion bool
}

// Delta is the distance between two LSNs, primary minus forwarder. The zero
// Delta is unknown.
type Delta struct {
	// Exact is the difference of the two decimal numbers; nil is unknown. It
	// orders and tells equality. It is no distance in bytes across VLFs.
	Exact *big.Int
	// VLFs is the difference of the VLF sequence numbers.
	VLFs Opt[int64]
	// Blocks is the difference of the block offsets; unknown unless both LSNs
	// are in one VLF, since offsets start again in the next.
	Blocks Opt[int64]
}

// Known reports whether both LSNs were known.
func (d Delta) Known() bool { return d.Exact != nil }

// Zero reports that both LSNs were known and are equal.
func (d Delta) Zero() bool { return d.Exact != nil && d.Exact.Sign() == 0 }

// Float64 is the nearest float: a nonzero delta stays nonzero. It must not be
// called on an unknown Delta.
func (d Delta) Float64() float64 {
	f, _ := new(big.Float).SetInt(d.Exact).Float64()
	return f
}

// DatabaseConvergence is the verdict about one database.
type DatabaseConvergence struct {
	// Name in the source's spelling, else the target's, else the configured.
	Name string
	// Source and Target are the database as each side shows it; nil if it is
	// not in that side's AG, or if the side is not known.
	Source, Target *Database

	State  State
	Level  Level
	Reason string // in a DBA's words: why it is not better than State

	Position Position
	Basis    Basis

	// The values that were compared, each side's own row; the link's is the
	// primary's row about the forwarder. Unknown where not known.
	SourceHardened, SourceEndOfLog LSN
	TargetHardened, TargetEndOfLog LSN
	LinkHardened                   LSN

	// Deltas of like columns, primary minus forwarder (source minus target
	// while no side is primary). Hardened.Zero() is what the guide asks for.
	Hardened, EndOfLog Delta

	// CommitLag is the difference of the raw last_commit_time values, both of
	// which the primary's clock wrote. It can be negative when the forwarder
	// was read later; by more than that can explain, it is unknown.
	CommitLag Opt[time.Duration]
}

// Primary and forwarder side of the database in direction d; source and
// target when there is no single primary.
func (c DatabaseConvergence) inDirection(d Direction) (primary, forwarder *Database) {
	if d == DirectionTargetToSource {
		return c.Target, c.Source
	}
	return c.Source, c.Target
}

// Convergence is the verdict about a DAG.
type Convergence struct {
	State State
	// Level is the worst database's. In StateFailedOver it describes the way
	// from target to source; in StateDemoted it is at most LevelKnown.
	Level     Level
	Reason    string // in a DBA's words: why it is not better than State
	Direction Direction
	// Databases has every database expected and every one seen, in order of
	// their names.
	Databases []DatabaseConvergence
	// OnlySource and OnlyTarget are databases in one side's AG alone; nil
	// unless both lists are known. Unexpected are those that the
	// configuration does not name, NotFound those that it names and no side
	// has.
	OnlySource, OnlyTarget []string
	Unexpected, NotFound   []string
	// Skew bounds how far apart in time two values of the two readings can
	// be: from the earlier begin to the later end.
	Skew Opt[time.Duration]
}

// Database by name, exact; nil if there is none.
func (c Convergence) Database(name string) *DatabaseConvergence {
	for i := range c.Databases {
		if c.Databases[i].Name == name {
			return &c.Databases[i]
		}
	}
	return nil
}

// Primary is the side that the log comes from; "" unless exactly one side is
// primary.
func (c Convergence) Primary() Side {
	switch c.Direction {
	case DirectionSourceToTarget:
		return Source
	case DirectionTargetToSource:
		return Target
	}
	return ""
}
