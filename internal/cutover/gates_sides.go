package cutover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// both evaluates f on each side; the first verdict that is not open wins,
// closed for good before closed, closed before unknown. A side that was not
// read is unknown.
func (e *engine) both(f func(hadr.Side, *hadr.Reading) Verdict) Verdict {
	var worst Verdict
	var reasons []string
	rank := func(v Verdict) int {
		switch {
		case v.State == GateClosed && !v.WaitingHelps:
			return 3
		case v.State == GateClosed:
			return 2
		case v.State != GateOpen:
			return 1
		}
		return 0
	}
	for i, s := range []hadr.Side{hadr.Source, hadr.Target} {
		v := unknown("%s", e.why(s))
		if r := e.reading(s); r != nil {
			v = f(s, r)
			v.EvidenceAge = e.now.Sub(r.Ended)
		}
		if v.Open() {
			reasons = append(reasons, v.Reason)
		}
		if i == 0 || rank(v) > rank(worst) {
			age := worst.EvidenceAge
			worst = v
			worst.EvidenceAge = max(age, v.EvidenceAge)
		}
	}
	if worst.Open() {
		worst.Reason = strings.Join(slices.Compact(reasons), "; ")
	}
	return worst
}

func (e *engine) gateReadable() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		if len(r.Missing) > 0 {
			return never("the login on the %s lacks %s: what it cannot see would be missing silently", s, strings.Join(r.Missing, ", "))
		}
		if len(r.Failed) > 0 {
			return unknown("parts of the %s's reading failed: %s", s, strings.Join(r.Failed, ", "))
		}
		return open("%s read in %s", s, r.Ended.Sub(r.Began).Round(time.Millisecond))
	})
}

func (e *engine) gatePlatform() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		switch {
		case r.Identity.EngineEdition == 0:
			return unknown("the %s does not say what it is (EngineEdition)", s)
		case r.Identity.EngineEdition == 8:
			return never("the %s is an Azure SQL Managed Instance: its link has other verbs, this tool does not drive it", s)
		case r.Identity.HadrEnabled.OK && !r.Identity.HadrEnabled.V:
			return never("Always On is off on the %s", s)
		case r.Local.Contained.OK && r.Local.Contained.V:
			return never("%s on the %s is a contained availability group: not supported", r.Local.Name, s)
		case !r.Local.Contained.OK && r.Identity.Major >= firstRequired:
			return unknown("the %s does not say whether %s is contained", s, r.Local.Name)
		}
		return open("%s: SQL Server %s", s, r.Identity.Version)
	})
}

func (e *engine) gateTopology() Verdict {
	v := e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		if len(r.DAG.Members) != 2 || r.DAG.Member(e.p.SourceAG) == nil || r.DAG.Member(e.p.TargetAG) == nil {
			return never("%s on the %s does not have the two members %s and %s", e.p.Group, s, e.p.SourceAG, e.p.TargetAG)
		}
		primaries := 0
		for _, m := range r.Local.Members {
			if m.Role == hadr.RolePrimary {
				primaries++
			}
		}
		if primaries > 1 {
			return later("%d replicas of %s say that they are PRIMARY", primaries, r.Local.Name)
		}
		if n := replicaNames(r); n != e.p.Endpoint(s).ReplicaNames {
			return never("the replicas of %s are %s, in the plan they are %s", r.Local.Name, n, e.p.Endpoint(s).ReplicaNames)
		}
		return open("%s has both members", s)
	})
	if v.Open() && e.src.Identity.SameInstance(e.tgt.Identity) {
		return never("source and target are the same instance, %s", e.src.Identity.ServerName)
	}
	return v
}

// gatePlanTrue holds the sequence numbers against the plan up to step 2: our
// own statements move them.
func (e *engine) gatePlanTrue() Verdict {
	if e.in.Active() && (e.sentAny(SetSynchronous) || e.sent(RequireSecondary, hadr.Source)) {
		return open("our own statements have moved the sequence numbers")
	}
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		ep := e.p.Endpoint(s)
		for _, n := range []struct {
			what string
			was  int64
			is   hadr.Opt[int64]
		}{{e.p.Group, ep.DAGSequence, r.DAG.SequenceNumber}, {ep.AG, ep.AGSequence, r.Local.SequenceNumber}} {
			switch {
			case n.was == 0:
			case !n.is.OK:
				return unknown("the sequence number of %s was not read on the %s", n.what, s)
			case n.is.V != n.was:
				return never("%s was altered on the %s since the plan was made (sequence number %d, now %d): look at the new plan and arm that", n.what, s, n.was, n.is.V)
			}
		}
		return open("%s unaltered", s)
	})
}

func (e *engine) gateIdentity() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		ep := e.p.Endpoint(s)
		want := Pin{ServerName: ep.ServerName, StartTime: ep.StartTime}
		if e.in.Active() && e.in.Pinned {
			want = *e.pin(s)
		}
		if !samePin(&want, r) {
			return never("the %s is %s (started %s), expected %s (started %s): it restarted or failed over", s, r.Identity.ServerName, r.Identity.StartTime, want.ServerName, want.StartTime)
		}
		return open("%s is %s", s, r.Identity.ServerName)
	})
}

func (e *engine) gateRights() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		switch {
		case r.Rights == nil || !r.Rights.Sysadmin.OK:
			return unknown("the rights of the login on the %s were not read", s)
		case !r.Rights.Sysadmin.V:
			return never("login %s is not sysadmin on the %s: the documentation asks for it to fail over a distributed availability group", r.Rights.Login, s)
		}
		return open("%s is sysadmin on the %s", r.Rights.Login, s)
	})
}

func (e *engine) gateVersions() Verdict {
	v := e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		switch {
		case r.Identity.Major == 0:
			return unknown("the %s does not say its version", s)
		case r.Identity.Major < 13:
			return never("the %s is older than SQL Server 2016: no distributed availability groups", s)
		case r.Identity.Major != e.p.Endpoint(s).Major:
			return never("the %s is of major version %d, the plan was made for %d", s, r.Identity.Major, e.p.Endpoint(s).Major)
		}
		return open("%s %s", s, r.Identity.Version)
	})
	if !v.Open() {
		return v
	}
	switch s, t := e.src.Identity.Major, e.tgt.Identity.Major; {
	case t < s:
		return never("the target (major %d) is older than the source (%d): its databases could never be opened there", t, s)
	case t > s && !e.p.CrossVersion:
		return never("the target (major %d) is newer than the source (%d) and cross_version is not declared: there would be no way back after the move", t, s)
	}
	return v
}

func (e *engine) gateDirection() Verdict {
	v := e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		want := hadr.RolePrimary
		if s == hadr.Target {
			want = hadr.RoleSecondary
		}
		switch {
		case r.DAG.Role == hadr.RoleUnknown || r.DAG.Role == hadr.RoleResolving:
			return unknown("the %s reads %s in %s", s, shown(string(r.DAG.Role)), e.p.Group)
		case r.DAG.Role != want:
			return never("the %s is %s in %s: the move is not from here to there", s, shown(string(r.DAG.Role)), e.p.Group)
		}
		return open("%s %s", s, shown(string(r.DAG.Role)))
	})
	return v
}

func (e *engine) gateDatabases() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		if r.Databases == nil {
			return unknown("the %s's list of databases was not read", s)
		}
		var missing, extra []string
		for _, n := range e.p.Databases {
			if database(r, n) == nil {
				missing = append(missing, n)
			}
		}
		for _, d := range r.Databases {
			if !slices.ContainsFunc(e.p.Databases, func(n string) bool {
				return n == d.Name || !r.Identity.CaseSensitive && strings.EqualFold(n, d.Name)
			}) {
				extra = append(extra, d.Name)
			}
		}
		switch {
		case len(missing) > 0:
			return never("%s on the %s lacks %s", r.Local.Name, s, strings.Join(missing, ", "))
		case len(extra) > 0:
			return never("%s on the %s also holds %s, which the plan does not name", r.Local.Name, s, strings.Join(extra, ", "))
		}
		return open("%d databases on the %s", len(r.Databases), s)
	})
}

func (e *engine) gateListeners() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		for _, ag := range []string{e.p.SourceAG, e.p.TargetAG} {
			m := r.DAG.Member(ag)
			if m == nil || m.EndpointURL == "" {
				return unknown("the %s does not show the LISTENER_URL of %s", s, ag)
			}
			if o := e.reading(s.Other()); o != nil {
				if x := o.DAG.Member(ag); x != nil && x.EndpointURL != "" && !strings.EqualFold(x.EndpointURL, m.EndpointURL) {
					return never("the LISTENER_URL of %s is %s on the %s and %s on the %s", ag, m.EndpointURL, s, x.EndpointURL, s.Other())
				}
			}
		}
		return open("both copies agree")
	})
}

func (e *engine) gateOtherDAGs() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		if len(r.OtherDAGs) > 0 {
			return never("%s on the %s is also a member of %s", r.Local.Name, s, strings.Join(r.OtherDAGs, ", "))
		}
		return open("%s in no other distributed group", r.Local.Name)
	})
}

// gateLocalModes: an asynchronous local commit makes last_hardened_lsn NULL on
// that primary, and then only a plan with proof basis end_of_log can prove.
func (e *engine) gateLocalModes() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		m := r.Local.Local()
		switch {
		case m == nil || m.Mode == hadr.ModeUnknown:
			return unknown("the local commit mode of the %s was not read", s)
		case m.Mode == hadr.ModeSynchronous:
			return open("%s commits synchronously in %s", m.Name, r.Local.Name)
		case e.p.ProofBasis == BasisEndOfLog:
			return open("%s commits asynchronously in %s: the proof rests on end_of_log_lsn, as the plan says", m.Name, r.Local.Name)
		}
		return later("%s commits asynchronously in %s: ALTER AVAILABILITY GROUP there to SYNCHRONOUS_COMMIT, else its last_hardened_lsn is NULL", m.Name, r.Local.Name)
	})
}

func (e *engine) gateLocalRSSTC() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		if !r.Local.RSSTC.OK {
			if r.Identity.Major > 0 && r.Identity.Major < 14 {
				return open("%s has none before 2017", r.Local.Name)
			}
			return unknown("%s's own RSSTC was not read on the %s", r.Local.Name, s)
		}
		var sync int64
		for _, m := range r.Local.Members {
			if m.IsLocal.OK && !m.IsLocal.V && m.Mode == hadr.ModeSynchronous && m.Connected.OK && m.Connected.V {
				sync++
			}
		}
		if r.Local.RSSTC.V > sync {
			return later("%s on the %s requires %d synchronized secondaries and has %d: its new primary could not commit", r.Local.Name, s, r.Local.RSSTC.V, sync)
		}
		return open("%s requires %d, has %d", r.Local.Name, r.Local.RSSTC.V, sync)
	})
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

func (e *engine) gateWayBack() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		a, b := memberModes(e.p, r)
		switch {
		case a == "" || b == "":
			return unknown("the %s does not show both members' commit modes, so there is no way back to them", s)
		case e.p.CrossVersion:
			return open("yes until S3 on the target, none after it (cross-version)")
		}
		return open("yes until S3 on the target; after it only as a move in the other direction")
	})
}

func (e *engine) gateClock() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		if !r.Identity.ServerUTC.OK {
			return unknown("the %s's clock was not read", s)
		}
		t := r.Identity.ServerUTC.V
		off := time.Duration(0)
		if t.Before(r.Began) {
			off = r.Began.Sub(t)
		} else if t.After(r.Ended) {
			off = t.Sub(r.Ended)
		}
		if off > e.p.MaxClockOffset {
			return later("the %s's clock is %s away from ours", s, off.Round(time.Second))
		}
		return open("%s within %s", s, e.p.MaxClockOffset)
	})
}

func (e *engine) gateRSSTC() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		if s == hadr.Source && e.in.Active() && e.sent(RequireSecondary, s) {
			if r.DAG.RSSTC.OK && r.DAG.RSSTC.V == 1 {
				return open("RSSTC=1 on the source, by us")
			}
			return later("RSSTC=1 was sent to the source and does not read back")
		}
		switch {
		case released(r):
			return open("RSSTC is 0 on the %s", s)
		case !r.DAG.RSSTC.OK:
			return unknown("RSSTC of %s was not read on the %s", e.p.Group, s)
		}
		return later("RSSTC=%d on the %s without a run of ours", r.DAG.RSSTC.V, s)
	})
}

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

// gateLocalHealth: a lagging synchronous secondary of the target would hold
// its last_hardened_lsn, and with it the proof, back.
func (e *engine) gateLocalHealth() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		for _, m := range r.Local.Members {
			if m.Mode != hadr.ModeSynchronous || m.IsLocal.OK && m.IsLocal.V {
				continue
			}
			switch {
			case !m.Connected.OK:
				return unknown("the %s does not say whether %s is connected", s, m.Name)
			case !m.Connected.V:
				return later("%s of %s is disconnected", m.Name, r.Local.Name)
			case m.Health == "":
				return unknown("the %s does not show the health of %s", s, m.Name)
			case m.Health != "healthy" && !(e.p.CrossVersion && s == hadr.Target && m.Health == "partially_healthy"):
				return later("%s of %s is %s", m.Name, r.Local.Name, shown(m.Health))
			}
			for _, n := range e.p.Databases {
				d := database(r, n)
				if d == nil {
					continue
				}
				i := slices.IndexFunc(d.Replicas, func(x hadr.Replica) bool { return x.Name == m.Name })
				if i >= 0 && d.Replicas[i].Sync != hadr.Synchronized && !(e.p.CrossVersion && s == hadr.Target) {
					return later("%s is %s on %s, a synchronous replica of %s", n, shown(string(d.Replicas[i].Sync)), m.Name, r.Local.Name)
				}
			}
		}
		return open("%s healthy", r.Local.Name)
	})
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

func (e *engine) gateQueues() Verdict {
	if e.src == nil || e.tgt == nil {
		return unknown("%s", strings.TrimSpace(e.srcWhy+" "+e.tgtWhy))
	}
	var send, redo int64
	for _, n := range e.p.Databases {
		s, t := database(e.src, n), database(e.tgt, n)
		if s == nil || s.Link == nil || !s.Link.SendQueue.OK {
			return unknown("the send queue of %s was not read on the source", n)
		}
		q := s.Link.RedoQueue
		if t != nil && t.Own != nil && t.Own.RedoQueue.OK {
			q = t.Own.RedoQueue // its own value, not the hearsay
		}
		if !q.OK {
			return unknown("the redo queue of %s was not read", n)
		}
		if s.Link.SendQueue.V > e.p.NearSendQueue {
			return later("%s has %s to send", n, size(s.Link.SendQueue.V))
		}
		if q.V > e.p.NearRedoQueue {
			return later("%s has %s to redo", n, size(q.V))
		}
		send, redo = send+s.Link.SendQueue.V, redo+q.V
	}
	v := open("%s to send, %s to redo in all", size(send), size(redo))
	v.EvidenceAge = e.now.Sub(e.src.Ended)
	return v
}

func size(b int64) string {
	switch {
	case b >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(b)/(1<<30))
	case b >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(b)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", b/1024)
}

// Predict is how long no side would take writes if the run went on now: the
// reads and statements at the latency just measured, the samples of rest, and
// what is still to be sent and redone at the rates just read. false when a
// queue is not empty and its rate is unknown.
func Predict(plan Plan, source, target *hadr.Reading) (time.Duration, bool) {
	if source == nil || target == nil {
		return 0, false
	}
	round := source.Ended.Sub(source.Began) + target.Ended.Sub(target.Began)
	// RSSTC=1 read back, step 6, S2 read back, S3, PRIMARY read back; then
	// the samples of rest.
	d := 6*round + time.Duration(plan.SettleReadings)*(round+plan.SettleInterval) + time.Second
	var drain time.Duration
	for _, n := range plan.Databases {
		s, t := database(source, n), database(target, n)
		if s == nil || s.Link == nil {
			return 0, false
		}
		queue, rate := s.Link.RedoQueue, s.Link.RedoRate
		if t != nil && t.Own != nil && t.Own.RedoQueue.OK {
			queue, rate = t.Own.RedoQueue, t.Own.RedoRate
		}
		var own time.Duration
		for _, q := range []struct{ queue, rate hadr.Opt[int64] }{{s.Link.SendQueue, s.Link.SendRate}, {queue, rate}} {
			switch {
			case !q.queue.OK:
				return 0, false
			case q.queue.V < 1<<20: // an idle queue has no rate
			case !q.rate.OK || q.rate.V <= 0:
				return 0, false
			default:
				own += time.Duration(float64(q.queue.V) / float64(q.rate.V) * float64(time.Second))
			}
		}
		drain = max(drain, own) // databases drain side by side
	}
	return d + drain, true
}

func (e *engine) gateBudget() Verdict {
	if e.src == nil || e.tgt == nil {
		return unknown("%s", strings.TrimSpace(e.srcWhy+" "+e.tgtWhy))
	}
	d, ok := Predict(*e.p, e.src, e.tgt)
	if !ok {
		return unknown("cannot be predicted: a queue is not empty and its rate is unknown")
	}
	used := time.Duration(0)
	if e.in.Active() {
		used = e.in.WriteUnavailable(e.now)
	}
	v := open("%s predicted, %s used, of %s", d.Round(time.Millisecond), used.Round(time.Millisecond), e.p.MaxWriteUnavailable)
	if used+d > e.p.MaxWriteUnavailable {
		v = later("%s predicted and %s used, more than max_write_unavailable (%s)", d.Round(time.Millisecond), used.Round(time.Millisecond), e.p.MaxWriteUnavailable)
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
