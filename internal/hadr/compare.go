package hadr

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// comparison is one call of Compare in progress.
type comparison struct {
	opt            Options
	source, target *Reading
	direction      Direction
	// primary and forwarder follow the direction; source and target while no
	// side, or both, are primary.
	primary, forwarder *Reading
	// What holds every database back, told once: the link that is not
	// connected, and copies of the DAG that are not SYNCHRONOUS_COMMIT.
	linkBlockers, modeBlockers []string
}

// Compare tells what follows from both sides' readings. A nil reading is a
// side that was not read. Nothing that is unknown on either side can make the
// answer better; the one thing that weaker evidence may stand in for is the
// forwarder's last_hardened_lsn, and then Basis says so.
func Compare(source, target *Reading, opt Options) Convergence {
	c := comparison{opt: opt, source: source, target: target}
	out := Convergence{Skew: skew(source, target)}

	if reason := c.contradiction(); reason != "" {
		return c.unknown(out, reason)
	}
	direction, reason := directionOf(source.DAG.Role, target.DAG.Role)
	if direction == DirectionUnknown {
		return c.unknown(out, reason)
	}
	c.direction, out.Direction = direction, direction
	c.primary, c.forwarder = source, target
	if direction == DirectionTargetToSource {
		c.primary, c.forwarder = target, source
	}
	if reason := c.listsUnknown(); reason != "" {
		return c.unknown(out, reason)
	}
	c.linkBlockers, c.modeBlockers = c.linkDown(), c.notSynchronous()

	for _, p := range c.pairs() {
		out.Databases = append(out.Databases, c.database(p))
		switch {
		case p.source == nil && p.target == nil:
			out.NotFound = append(out.NotFound, p.name)
		case p.target == nil:
			out.OnlySource = append(out.OnlySource, p.name)
		case p.source == nil:
			out.OnlyTarget = append(out.OnlyTarget, p.name)
		}
		if p.unexpected {
			out.Unexpected = append(out.Unexpected, p.name)
		}
	}
	if len(out.Databases) == 0 {
		return c.unknown(out, "neither side's availability group shows a database")
	}
	c.verdict(&out)
	return out
}

// contradiction is the reason why the two readings cannot be compared at all;
// "" if they can.
func (c *comparison) contradiction() string {
	for _, s := range []struct {
		side Side
		r    *Reading
	}{{Source, c.source}, {Target, c.target}} {
		if s.r == nil {
			return fmt.Sprintf("the %s was not read", s.side)
		}
		if reason := sideUnknown(s.side, s.r, c.opt); reason != "" {
			return reason
		}
	}
	if c.source.Identity.SameInstance(c.target.Identity) {
		return fmt.Sprintf("source and target are the same instance, %s: check the two DSNs and the listeners' routing", c.source.Identity.ServerName)
	}
	if !strings.EqualFold(c.source.DAG.GroupID, c.target.DAG.GroupID) {
		return fmt.Sprintf("the sides are in different distributed availability groups: group_id %s on source, %s on target", c.source.DAG.GroupID, c.target.DAG.GroupID)
	}
	if c.source.Local.GroupID != "" && strings.EqualFold(c.source.Local.GroupID, c.target.Local.GroupID) {
		return fmt.Sprintf("source and target are in one and the same local availability group, %s", c.source.Local.Name)
	}
	return ""
}

// sideUnknown is the reason why one side's reading says nothing.
func sideUnknown(side Side, r *Reading, opt Options) string {
	fold := folder(r.Identity.CaseSensitive)
	switch {
	case !r.DAG.Found || r.DAG.GroupID == "":
		return fmt.Sprintf("the %s shows no distributed availability group %s (a login without VIEW ANY DEFINITION sees none)", side, opt.Group)
	case opt.Group != "" && fold(r.DAG.Name) != fold(opt.Group):
		return fmt.Sprintf("the %s answered about %s, not about %s", side, r.DAG.Name, opt.Group)
	case !r.Local.Found:
		return fmt.Sprintf("the %s shows no local availability group", side)
	case !memberOf(r, fold):
		return fmt.Sprintf("the %s's availability group %s is not a member of %s", side, r.Local.Name, r.DAG.Name)
	case r.Local.Role != RolePrimary:
		return fmt.Sprintf("the %s's instance %s is %s of its local availability group %s, not PRIMARY", side, r.Identity.ServerName, shown(string(r.Local.Role)), r.Local.Name)
	}
	primaries := 0
	for _, m := range r.Local.Members {
		if m.Role == RolePrimary {
			primaries++
		}
	}
	if primaries > 1 {
		return fmt.Sprintf("the %s shows %d PRIMARY replicas of its local availability group %s", side, primaries, r.Local.Name)
	}
	for _, p := range r.Peers {
		if p.Role == RolePrimary && !r.Identity.SameInstance(Identity{ServerName: p.ServerName, StartTime: p.StartTime}) {
			return fmt.Sprintf("the %s has two instances that say they are PRIMARY of %s: %s and %s", side, r.Local.Name, r.Identity.ServerName, p.ServerName)
		}
	}
	return ""
}

// memberOf reports that the DAG lists the local AG; a DAG whose members were
// not read is no witness against it.
func memberOf(r *Reading, fold func(string) string) bool {
	return len(r.DAG.Members) == 0 || slices.ContainsFunc(r.DAG.Members, func(m Member) bool {
		return fold(m.Name) == fold(r.Local.Name)
	})
}

// listsUnknown: without the whole list of databases on both sides there is no
// verdict about a set of databases, and an empty list that a missing
// permission made looks just like "nothing to do".
func (c *comparison) listsUnknown() string {
	for _, s := range []struct {
		side Side
		r    *Reading
	}{{Source, c.source}, {Target, c.target}} {
		if s.r.Databases == nil {
			return fmt.Sprintf("the %s's list of databases could not be read", s.side)
		}
		if slices.Contains(s.r.Missing, "VIEW ANY DEFINITION") {
			return fmt.Sprintf("the %s's login lacks VIEW ANY DEFINITION, so databases may be hidden from it", s.side)
		}
	}
	return ""
}

func directionOf(source, target Role) (Direction, string) {
	for _, s := range []struct {
		side Side
		role Role
	}{{Source, source}, {Target, target}} {
		if s.role != RolePrimary && s.role != RoleSecondary {
			return DirectionUnknown, fmt.Sprintf("the %s's role in the distributed availability group is %s", s.side, shown(string(s.role)))
		}
	}
	switch {
	case source == RolePrimary && target == RolePrimary:
		return DirectionBoth, ""
	case source == RolePrimary:
		return DirectionSourceToTarget, ""
	case target == RolePrimary:
		return DirectionTargetToSource, ""
	}
	return DirectionNone, ""
}

// single reports that exactly one side is primary, which is when a link
// exists and the DAG rows mean something.
func (c *comparison) single() bool {
	return c.direction == DirectionSourceToTarget || c.direction == DirectionTargetToSource
}

func (c *comparison) linkDown() []string {
	if !c.single() {
		return nil
	}
	for _, m := range c.primary.DAG.Members {
		if !m.IsLocal.OK || m.IsLocal.V {
			continue
		}
		switch {
		case !m.Connected.OK:
			return []string{fmt.Sprintf("the %s does not say whether %s is connected", c.primaryName(), m.Name)}
		case !m.Connected.V:
			return []string{strings.TrimSpace(fmt.Sprintf("%s is DISCONNECTED %s", m.Name, m.LastConnectErrorText))}
		}
		return nil
	}
	return []string{fmt.Sprintf("the %s does not say whether the other side is connected", c.primaryName())}
}

func (c *comparison) notSynchronous() (blockers []string) {
	for _, s := range []struct {
		side Side
		r    *Reading
	}{{Source, c.source}, {Target, c.target}} {
		if len(s.r.DAG.Members) < 2 {
			blockers = append(blockers, fmt.Sprintf("the %s's copy of the DAG does not show both members' commit modes", s.side))
		}
		for _, m := range s.r.DAG.Members {
			if m.Mode != ModeSynchronous {
				blockers = append(blockers, fmt.Sprintf("%s is %s in the %s's copy of the DAG", m.Name, shown(string(m.Mode)), s.side))
			}
		}
	}
	return blockers
}

func (c *comparison) primaryName() Side {
	if c.direction == DirectionTargetToSource {
		return Target
	}
	return Source
}

func (c *comparison) forwarderName() Side { return c.primaryName().Other() }

// unknown fills out an answer without a verdict: every database that is
// expected or was seen is there, unknown for the same reason.
func (c *comparison) unknown(out Convergence, reason string) Convergence {
	out.State, out.Level, out.Reason = StateUnknown, LevelNone, reason
	out.Databases = nil
	for _, p := range c.pairs() {
		out.Databases = append(out.Databases, DatabaseConvergence{
			Name: p.name, Source: p.source, Target: p.target, State: StateUnknown, Reason: reason,
		})
	}
	return out
}

// verdict is the DAG's: as good as its worst database, and what the roles
// say beside that.
func (c *comparison) verdict(out *Convergence) {
	worst := &out.Databases[0]
	alike := 0
	for i := range out.Databases {
		if d := &out.Databases[i]; rank(*d) < rank(*worst) {
			worst = d
		}
	}
	for _, d := range out.Databases {
		if rank(d) == rank(*worst) {
			alike++
		}
	}
	out.State, out.Level = worst.State, worst.Level
	out.Reason = fmt.Sprintf("%s: %s", worst.Name, worst.Reason)
	if n := len(out.Databases); n > 1 {
		out.Reason = fmt.Sprintf("%d of %d databases %s; %s", alike, n, worst.State, out.Reason)
	}
	switch {
	case c.direction == DirectionBoth:
		out.State, out.Level = StateSplit, LevelNone
		out.Reason = "both sides are PRIMARY of the distributed availability group: both may accept writes"
	case out.State == StateDiverged:
	case c.direction == DirectionNone:
		out.State = StateDemoted
		out.Reason = "no side is PRIMARY of the distributed availability group: nobody can write; " + out.Reason
	case c.direction == DirectionTargetToSource:
		out.State = StateFailedOver
		out.Reason = "the target is PRIMARY; on the way back: " + out.Reason
	}
}

// rank orders databases worst first: diverged is worse than unknown, since it
// never heals.
func rank(d DatabaseConvergence) int {
	if d.State == StateDiverged {
		return -1
	}
	return int(d.Level)
}

func skew(source, target *Reading) Opt[time.Duration] {
	if source == nil || target == nil || source.Began.IsZero() || target.Began.IsZero() || source.Ended.IsZero() || target.Ended.IsZero() {
		return Opt[time.Duration]{}
	}
	first, last := source.Began, source.Ended
	if target.Began.Before(first) {
		first = target.Began
	}
	if target.Ended.After(last) {
		last = target.Ended
	}
	return Some(last.Sub(first))
}

// shown is a label value as a server prints it.
func shown(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.ToUpper(s)
}
