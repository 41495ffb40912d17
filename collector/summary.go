package collector

import (
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

var (
	up = gauge(DAGVerdict, "up",
		"Whether this side was read in this scrape (1) or not (0; mssql_dag_scrape_error tells why).",
		"dag", "side")
	scrapeError = gauge(DAGVerdict, "scrape_error",
		"Why this side was not read: 1 for the reason of this scrape, 0 for all others; reason none when it was read.",
		"dag", "side", "reason")
	convergenceState = gauge(DAGVerdict, "convergence_state",
		"What both sides together say about the DAG, as good as its worst database: 1 for the present state. An alert on it is a request to look, never a permission to fail over.",
		"dag", "state")
	convergenceReached = gauge(DAGVerdict, "convergence_reached",
		"Whether every database has at least reached the level: known, near, caught_up (what the migration guide waits for), synchronized. Cumulative. Runs from whichever side is primary: look at mssql_dag_direction too.",
		"dag", "level")
	direction = gauge(DAGVerdict, "direction",
		"Which side the log comes from, told by both sides' roles in the DAG: 1 for the present direction. All 0 while the roles are not known.",
		"dag", "direction")

	readingTimestamp = gauge(Fact, "reading_timestamp_seconds",
		"When the reading of this side began, by the exporter's clock: none of its values is older. A value that stands still means that old data is served.",
		"dag", "side")
	readSkew = gauge(Fact, "read_skew_seconds",
		"Upper bound of the time between two values of the two sides that are compared with each other.",
		"dag")
	scrapeDuration = gauge(Fact, "scrape_duration_seconds",
		"How long the reading of this side took, waiting for its turn included.",
		"dag", "side")
	instanceInfo = gauge(Fact, "instance_info",
		"The instance that answered, which is the PRIMARY replica of this side's own availability group. It changes with a local failover. Always 1.",
		"dag", "side", "server", "version", "edition", "platform")
	role = gauge(Fact, "role",
		"Role of this side in the distributed availability group, by its own words: 1 for the present role. Both sides secondary is the time between demotion and failover, when nobody can write.",
		"dag", "side", "role")
	linkConnected = gauge(Fact, "link_connected",
		"Whether the global primary sees the other side connected. It notices a cut only after the session timeout, 10 s by default. The forwarder cannot know.",
		"dag")
	availabilityMode = gauge(Fact, "availability_mode",
		"Commit mode of the DAG's two members in this side's own copy: 1 for the present mode. The modes of the two sides are set separately and can differ; a failover without loss needs synchronous_commit in both.",
		"dag", "side", "member", "mode")
	requiredSynchronized = gauge(Fact, "required_synchronized_secondaries",
		"REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT of the DAG in this side's copy (SQL Server 2022 and later). At 1 the primary cannot commit without the other side.",
		"dag", "side")
	clockOffset = gauge(Fact, "clock_offset_seconds",
		"The instance's UTC clock minus the exporter's, at the middle of the reading. No verdict uses a server's clock; people who compare times do.",
		"dag", "side")
	certificateExpiry = gauge(Fact, "endpoint_certificate_expiry_timestamp_seconds",
		"When the first of this side's endpoint certificates expires. The link does not come back after that.",
		"dag", "side")
	statementFailed = gauge(Fact, "read_statement_failed",
		"A part of the reading that failed while the rest was read: its metrics are absent. Always 1.",
		"dag", "side", "statement")
)

var summary = Group{
	Name: "summary", Default: true,
	Help: "The DAG and its two sides: read or not, roles, verdict, commit modes.",
	metrics: []*metric{up, scrapeError, convergenceState, convergenceReached, direction, readingTimestamp, readSkew, scrapeDuration,
		instanceInfo, role, linkConnected, availabilityMode, requiredSynchronized, clockOffset, certificateExpiry, statementFailed},
	collect: collectSummary,
}

var (
	allRoles    = []hadr.Role{hadr.RoleResolving, hadr.RolePrimary, hadr.RoleSecondary}
	dagModes    = []hadr.Mode{hadr.ModeAsynchronous, hadr.ModeSynchronous}
	allStates   = hadr.States()
	allLevels   = hadr.Levels()
	allDirected = hadr.Directions()
)

func collectSummary(s *Snapshot, out *sink, opt *Options) {
	c := &s.Convergence
	for _, side := range s.sides() {
		out.put(up, oneIf(side.Reading != nil), s.DAG, side.name)
		states(out, scrapeError, opt.Reasons, side.Reason, s.DAG, side.name)
		if side.Reading != nil {
			out.put(scrapeDuration, side.Duration.Seconds(), s.DAG, side.name)
			collectSide(s.DAG, side.name, side.Reading, out)
		}
	}
	states(out, convergenceState, allStates, c.State, s.DAG)
	for _, l := range allLevels {
		out.put(convergenceReached, oneIf(c.Level >= l), s.DAG, l.String())
	}
	states(out, direction, allDirected, c.Direction, s.DAG)
	if c.Skew.OK {
		out.put(readSkew, c.Skew.V.Seconds(), s.DAG)
	}
	if r, _ := s.primary(); r != nil {
		for _, m := range r.DAG.Members {
			if m.IsLocal.OK && !m.IsLocal.V && m.Connected.OK {
				out.put(linkConnected, oneIf(m.Connected.V), s.DAG)
				break
			}
		}
	}
}

func collectSide(dag, side string, r *hadr.Reading, out *sink) {
	if !r.Began.IsZero() {
		out.put(readingTimestamp, float64(r.Began.UnixNano())/1e9, dag, side)
	}
	id := r.Identity
	if id.ServerName != "" {
		out.put(instanceInfo, 1, dag, side, id.ServerName, id.Version, id.Edition, id.Platform)
	}
	if r.DAG.Role != hadr.RoleUnknown {
		states(out, role, allRoles, r.DAG.Role, dag, side)
	}
	for _, m := range r.DAG.Members {
		if m.Name != "" && m.Mode != hadr.ModeUnknown {
			states(out, availabilityMode, dagModes, m.Mode, dag, side, m.Name)
		}
	}
	if r.DAG.RSSTC.OK {
		out.put(requiredSynchronized, float64(r.DAG.RSSTC.V), dag, side)
	}
	if id.ServerUTC.OK && !r.Began.IsZero() && !r.Ended.IsZero() {
		middle := r.Began.Add(r.Ended.Sub(r.Began) / 2)
		out.put(clockOffset, id.ServerUTC.V.Sub(middle).Seconds(), dag, side)
	}
	first := hadr.Opt[int64]{}
	for _, c := range r.Certificates {
		if c.Expiry.OK && (!first.OK || c.Expiry.V.Unix() < first.V) {
			first = hadr.Some(c.Expiry.V.Unix())
		}
	}
	if first.OK {
		out.put(certificateExpiry, float64(first.V), dag, side)
	}
	for _, name := range r.Failed {
		out.put(statementFailed, 1, dag, side, name)
	}
}
