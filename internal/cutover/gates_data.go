package cutover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Gates about the databases: do they move, is the copy the same, is the log
// quiet and drained.

func (e *engine) gateStates() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		for _, n := range e.p.Databases {
			d := database(r, n)
			if d == nil || d.Own == nil {
				return unknown("%s has no row of its own on the %s", n, s)
			}
			unopened := s == hadr.Target && e.p.CrossVersion && (d.State == hadr.DBRestoring || d.State == hadr.DBRecovering)
			switch {
			case d.Joined.OK && !d.Joined.V:
				return later("%s is not joined on the %s", n, s)
			case d.State == hadr.DBUnknown:
				return unknown("the state of %s on the %s was not read", n, s)
			case d.State != hadr.DBOnline && !unopened:
				return later("%s is %s on the %s", n, shown(string(d.State)), s)
			case !d.Own.Suspended.OK:
				return unknown("%s on the %s does not say whether it is suspended", n, s)
			case d.Own.Suspended.V:
				return later("%s is suspended on the %s (%s)", n, s, d.Own.SuspendReason)
			case d.Own.Sync == hadr.SyncReverting || d.Own.Sync == hadr.SyncInitializing:
				return later("%s is %s on the %s: forcing now can ruin it", n, shown(string(d.Own.Sync)), s)
			case d.Own.Sync == hadr.SyncUnknown:
				return unknown("%s does not show its synchronization state on the %s", n, s)
			case s == hadr.Target && r.DAG.Role == hadr.RoleSecondary && d.Updateability == "read_write":
				// Whether a forwarder ever reads READ_WRITE is not documented. Where
				// it does, step 8 could not tell a demoted source from one that takes
				// writes, and the run would take the whole outage for nothing.
				return never("%s reads READ_WRITE on the target although the target is SECONDARY: the database is not under the group's rule, or this server's Updateability does not tell; a demotion could not be confirmed", n)
			case s == hadr.Source && d.Updateability != "read_write":
				return later("%s is %s on the source", n, shown(d.Updateability))
			}
		}
		return open("%d databases in order on the %s", len(e.p.Databases), s)
	})
}

func (e *engine) gateLink() Verdict {
	if e.src == nil {
		return unknown("%s", e.srcWhy)
	}
	age := e.now.Sub(e.src.Ended)
	v := open("connected, every database moving")
	if e.in.Active() && e.in.Phase != PhaseLock && e.in.Phase != PhaseMark {
		if why := e.notSynchronized(); why != "" {
			v = later("%s", why)
		} else {
			v = open("every database's link row is SYNCHRONIZED, connected and moving")
		}
		v.EvidenceAge = age
		return v
	}
	m := e.src.DAG.Member(e.p.TargetAG)
	switch {
	case m == nil || !m.Connected.OK:
		v = unknown("the source does not say whether %s is connected", e.p.TargetAG)
	case !m.Connected.V:
		v = later("%s is disconnected: %s", e.p.TargetAG, m.LastConnectErrorText)
	default:
		for _, n := range e.p.Databases {
			d := database(e.src, n)
			if d == nil || d.Link == nil {
				v = unknown("%s has no link row on the source", n)
			} else if d.Link.Sync != hadr.Synchronizing && d.Link.Sync != hadr.Synchronized {
				v = later("the link of %s is %s", n, shown(string(d.Link.Sync)))
			} else if !d.Link.Suspended.OK || d.Link.Suspended.V {
				v = later("the link of %s is suspended, or does not say", n)
			}
		}
	}
	v.EvidenceAge = age
	return v
}

func (e *engine) gateLineage() Verdict {
	if e.src == nil || e.tgt == nil {
		return e.both(func(hadr.Side, *hadr.Reading) Verdict { return unknown("not compared") })
	}
	hidden := 0
	for _, n := range e.p.Databases {
		s, t := lineageOf(e.src, n), lineageOf(e.tgt, n)
		if s.FamilyGUID == "" || s.ForkGUID == "" {
			return unknown("the lineage of %s was not read on the source", n)
		}
		if t.ForkGUID == "" {
			hidden++
			continue
		}
		if s.ForkGUID != t.ForkGUID && e.role(hadr.Target) == hadr.RolePrimary {
			// No advice to seed: over which of the copies is not a gate's to say.
			return never("%s is of another recovery fork on each side; the target is PRIMARY, and forks are compared for a move to it only: nothing is to be seeded because of this", n)
		}
		if s.ForkGUID != t.ForkGUID || t.FamilyGUID != "" && s.FamilyGUID != t.FamilyGUID {
			return never("%s is of another recovery fork on each side: equal LSNs mean nothing, seed it again", n)
		}
	}
	for _, l := range e.p.Lineage {
		if s := lineageOf(e.src, l.Database); l.FamilyGUID != s.FamilyGUID {
			return never("%s is of another family than when the plan was made", l.Database)
		}
	}
	if hidden > 0 {
		return open("one lineage; %d of %d do not show it on the target", hidden, len(e.p.Databases))
	}
	return open("one lineage in all databases")
}

func (e *engine) gateSeeding() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		for _, x := range r.Seeding {
			if x.Running {
				return later("%s is being seeded", x.Database)
			}
		}
		return open("none running on the %s", s)
	})
}

func (e *engine) gateLogSpace() Verdict {
	if e.src == nil {
		return unknown("%s", e.srcWhy)
	}
	worst, name := 0.0, ""
	for _, n := range e.p.Databases {
		d := database(e.src, n)
		if d == nil || !d.LogUsed.OK || !d.LogSize.OK || d.LogSize.V <= 0 {
			return unknown("log size and use of %s were not read on the source", n)
		}
		if f := float64(d.LogUsed.V) / float64(d.LogSize.V); f > worst {
			worst, name = f, n
		}
	}
	v := open("the fullest log is %.0f %% used", 100*worst)
	if worst > 0.9 {
		v = later("the log of %s is %.0f %% used: it may fill while the link waits", name, 100*worst)
	}
	v.EvidenceAge = e.now.Sub(e.src.Ended)
	return v
}

func (e *engine) gateConvergence() Verdict {
	if e.src == nil || e.tgt == nil {
		return unknown("%s", strings.TrimSpace(e.srcWhy+" "+e.tgtWhy))
	}
	c := hadr.Compare(e.src, e.tgt, hadr.Options{Group: e.p.Group, Databases: e.p.Databases, CrossVersion: e.p.CrossVersion,
		Near: hadr.Bounds{LogSendQueue: e.p.NearSendQueue, RedoQueue: e.p.NearRedoQueue}})
	want := hadr.LevelCaughtUp
	switch {
	case e.in.Active() && e.in.Phase != PhaseLock:
		// The mark has taken over: with hundreds of databases whose
		// background log never rests, all caught up in one reading is never
		// true.
		want = hadr.LevelNear
	case e.p.StartAt == LevelNear:
		want = hadr.LevelNear
	case e.p.StartAt == LevelSynchronized:
		want = hadr.LevelSynchronized
	}
	var v Verdict
	switch {
	case c.State == hadr.StateUnknown:
		v = unknown("%s", c.Reason)
	case c.State == hadr.StateDiverged || c.State == hadr.StateSplit:
		v = never("%s: %s", c.State, c.Reason)
	case c.State == hadr.StateDemoted || c.State == hadr.StateFailedOver || c.Level < want:
		v = later("%s, to be at least %s: %s", c.State, want, c.Reason)
	default:
		v = open("%s", c.State)
	}
	v.EvidenceAge = e.now.Sub(e.src.Ended)
	return v
}

// gateQuiet: an open transaction is rolled back in the source's log after it
// lost the role, and then the LSNs never meet.
func (e *engine) gateQuiet() Verdict {
	if e.src == nil {
		return unknown("%s", e.srcWhy)
	}
	if e.off.noQuiet {
		return open("")
	}
	if !e.src.TransactionsRead {
		return unknown("the open transactions were not read on the source")
	}
	n, text := 0, ""
	for _, t := range e.src.Transactions {
		if t.LogRecords.OK && t.LogRecords.V == 0 || t.Program != "" && slices.Contains(e.p.QuietPrograms, t.Program) {
			continue
		}
		if n++; n == 1 {
			who := "an internal transaction"
			if t.SessionID.OK {
				who = fmt.Sprintf("session %d, %s@%s", t.SessionID.V, t.Program, t.Host)
			}
			text = fmt.Sprintf("%s: %s", t.Database, who)
			if t.OpenFor.OK {
				text += fmt.Sprintf(", open for %s", time.Duration(t.OpenFor.V)*time.Second)
			}
			if t.LogRecords.OK {
				text += fmt.Sprintf(", %d log records", t.LogRecords.V)
			}
		}
	}
	v := open("no open transaction with log records")
	if n > 0 {
		v = later("%s", text)
		if n > 1 {
			v.Reason += fmt.Sprintf(" (and %d more)", n-1)
		}
	}
	v.EvidenceAge = e.now.Sub(e.src.Ended)
	return v
}

func (e *engine) gateDrained() Verdict {
	switch {
	case e.off.noDrain:
		return open("")
	case e.in.Mark == nil || !e.in.Active():
		return later("no mark yet: it is taken after the quiesce")
	case len(e.in.Mark.Drained) < len(e.p.Databases):
		return later("%d of %d databases past the mark", len(e.in.Mark.Drained), len(e.p.Databases))
	}
	v := open("all %d databases past the mark", len(e.p.Databases))
	v.EvidenceAge = e.now.Sub(e.in.Mark.At)
	return v
}
