package cutover

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Gates about how the availability groups are set up, on both sides: members,
// modes, RSSTC, listeners, roles, the set of databases.

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
			case m.Health != "healthy" && (!e.p.CrossVersion || s != hadr.Target || m.Health != "partially_healthy"):
				return later("%s of %s is %s", m.Name, r.Local.Name, shown(m.Health))
			}
			for _, n := range e.p.Databases {
				d := database(r, n)
				if d == nil {
					continue
				}
				i := slices.IndexFunc(d.Replicas, func(x hadr.Replica) bool { return x.Name == m.Name })
				if i < 0 {
					return unknown("the %s shows no row of %s on %s, a synchronous replica of %s", s, n, m.Name, r.Local.Name)
				}
				if d.Replicas[i].Sync != hadr.Synchronized && (!e.p.CrossVersion || s != hadr.Target) {
					return later("%s is %s on %s, a synchronous replica of %s", n, shown(string(d.Replicas[i].Sync)), m.Name, r.Local.Name)
				}
			}
		}
		return open("%s healthy", r.Local.Name)
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
		case s == hadr.Target && e.in.Active() && r.DAG.RSSTC.V == 1 && r.DAG.Role == hadr.RoleSecondary && e.sent(RequireSecondary, hadr.Source):
			// Whether the primary's value reaches the forwarder's copy is not
			// documented. There it fences nothing, and before S3 it goes back to 0.
			return open("RSSTC=1 on the target too, since it was set on the source; it is taken back before S3")
		}
		return later("RSSTC=%d on the %s without a run of ours", r.DAG.RSSTC.V, s)
	})
}

func (e *engine) gateWayBack() Verdict {
	return e.both(func(s hadr.Side, r *hadr.Reading) Verdict {
		a, b := memberModes(e.p, r)
		switch {
		case a == "" || b == "":
			return unknown("the %s does not show both members' commit modes, so there is no way back to them", s)
		case mixedModes(e.p, s, r) != "":
			return never("%s", mixedModes(e.p, s, r))
		case e.p.CrossVersion:
			return open("yes until S3 on the target, none after it (cross-version)")
		}
		return open("yes until S3 on the target; after it only as a move in the other direction")
	})
}

// mixedModes is why the commit modes in a side's own copy could not be brought
// back: S1 and its way back set both members alike. "" when they can be.
func mixedModes(p *Plan, s hadr.Side, r *hadr.Reading) string {
	a, b := memberModes(p, r)
	if a == b && (a == hadr.ModeSynchronous || a == hadr.ModeAsynchronous) {
		return ""
	}
	return fmt.Sprintf("in the %s's own copy of %s, %s is %s and %s is %s: the way back sets both members alike, so it could not bring that back. On the %s set both to one mode first (ALTER AVAILABILITY GROUP … MODIFY AVAILABILITY GROUP ON)",
		s, p.Group, p.SourceAG, shown(string(a)), p.TargetAG, shown(string(b)), s)
}
