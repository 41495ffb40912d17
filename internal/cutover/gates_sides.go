package cutover

import (
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Gates about who the two sides are: read, platform, instance, login, version,
// clock.

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
