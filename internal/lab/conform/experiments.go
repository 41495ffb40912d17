package conform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Experiment is one of the open questions T1 to T16 about a live pair, as far as it can be seen without a statement.
type Experiment struct {
	ID     string
	Asks   string
	Seen   string // "" where this pair does not show it now
	Why    string // why it is not seen
	Switch string // the lab's assumption that answers it; "" where there is none
}

// Experiments reads the answers from one or two sides. They are in the order in which they were given; which of them is the global
// primary is read, not told.
func Experiments(list []*Observation) []Experiment {
	p := pairOf(list)
	out := []Experiment{
		{ID: "T1", Asks: "last_hardened_lsn on the only, synchronous replica of an AG", Switch: "SingleReplicaNull", Seen: p.singleReplica(), Why: "no side has one synchronous replica alone"},
		{ID: "T2", Asks: "what both sides show after the demotion", Switch: "DemotedKeepsDAGRows", Seen: p.demoted(), Why: "the pair is not demoted, or only one side was given"},
		{ID: "T3", Asks: "whether a lock session in master survives a role change", Switch: "MasterSessionsDie", Why: "needs statements"},
		{ID: "T4", Asks: "whether RSSTC set on the global primary shows on the forwarder", Switch: "RSSTCTravels", Seen: p.required(), Why: "RSSTC is 0 on every side that was given, or only one was"},
		{ID: "T5", Asks: "what clients see while RSSTC is unmet", Switch: "RSSTCUnmetWaits, RSSTCUnmetBlocksReads", Why: "needs statements"},
		{ID: "T6", Asks: "whether the other side is suspended after a forced failover", Switch: "ResumeAlways, ResumeNever", Seen: p.suspended(), Why: "no database is suspended now, and whether a failover was is not told"},
		{ID: "T7", Asks: "the DAG role after a restart", Switch: "RestartLosesRole", Seen: p.restarted(), Why: "no start time or role is seen"},
		{ID: "T8", Asks: "whether ALTER on the group suffices", Switch: "GrantSuffices", Why: "needs statements"},
		{ID: "T9", Asks: "end_of_log_lsn with an uncommitted, unflushed tail", Why: "needs statements"},
		{ID: "T10", Asks: "states of a newer forwarder", Switch: "CrossVersionRestoring, CrossVersionNeverSynchronized", Seen: p.crossVersion(), Why: "both sides have one version, or only one was given"},
		{ID: "T11", Asks: "fn_hadr_is_primary_replica and Updateability on the forwarder", Switch: "ForwarderIsPrimaryReplica0, ForwarderReadWrite", Seen: p.forwarder(), Why: "no forwarder was given, or its databases are not seen"},
		{ID: "T12", Asks: "ALTER AVAILABILITY GROUP in a batch after IF", Why: "needs statements"},
		{ID: "T13", Asks: "LSNs of a pair with 512 and 4096 byte blocks after the failover", Seen: p.blockSizes(), Why: "both sides write one block size, or it is not seen"},
		{ID: "T14", Asks: "builds in which KB4501797 is corrected", Seen: p.builds(), Why: "neither side is 2016 or 2017"},
		{ID: "T15", Asks: "is_commit_participant on DAG rows of a synchronous DAG", Switch: "ForwarderCommitParticipantZero", Seen: p.participant(), Why: "no global primary with a synchronous DAG was given"},
		{ID: "T16", Asks: "whether the demotion ships its own rollback first", Switch: "S2ShipsRollback", Why: "needs statements"},
	}
	for i := range out {
		if out[i].Seen != "" {
			out[i].Why = ""
		}
	}
	return out
}

// pair is what was given, with what is known of the roles.
type pair struct {
	all       []*Observation
	primary   *Observation // of the DAG; nil: none was given
	secondary []*Observation
}

func pairOf(list []*Observation) pair {
	p := pair{all: list}
	for _, o := range list {
		switch local, dag := o.roles(); {
		case local == "PRIMARY" && dag == "PRIMARY":
			p.primary = o
		case local == "PRIMARY" && dag == "SECONDARY":
			p.secondary = append(p.secondary, o)
		}
	}
	return p
}

const replicaStates = "sys.dm_hadr_database_replica_states"

// tally counts what rows say: "NULL in 3, a value in 2".
func tally(counts map[string]int) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s in %d", k, counts[k]))
	}
	return strings.Join(out, ", ")
}

func (o *Observation) count(view string, which func(Row) bool, what func(Row) string) map[string]int {
	out := map[string]int{}
	for _, r := range o.Rows[view] {
		if which(r) {
			out[what(r)]++
		}
	}
	return out
}

func (o *Observation) dagRow(r Row) bool {
	g := o.group()
	return g != nil && r["group_id"] == g["group_id"]
}

// modes are this side's copy of the DAG's commit modes.
func (o *Observation) modes() string {
	var out []string
	for _, r := range o.Rows["sys.availability_replicas"] {
		if o.dagRow(r) && !slices.Contains(out, r["availability_mode_desc"]) {
			out = append(out, r["availability_mode_desc"])
		}
	}
	slices.Sort(out)
	return strings.Join(out, " and ")
}

func (p pair) singleReplica() string {
	var out []string
	for _, o := range p.all {
		l := o.local()
		if l == nil {
			continue
		}
		replicas, sync := 0, false
		for _, r := range o.Rows["sys.availability_replicas"] {
			if r["group_id"] == l["group_id"] {
				replicas++
				sync = r["availability_mode"] == "1"
			}
		}
		if replicas != 1 || !sync {
			continue
		}
		n := o.count(replicaStates, func(r Row) bool { return r["group_id"] == l["group_id"] && r["is_local"] == "1" }, func(r Row) string { return pattern("last_hardened_lsn", r) })
		if len(n) > 0 {
			_, dag := o.roles()
			out = append(out, fmt.Sprintf("DAG role %s, DAG %s: last_hardened_lsn %s rows", dag, o.modes(), tally(n)))
		}
	}
	return strings.Join(out, "; ")
}

func (p pair) demoted() string {
	if len(p.secondary) != 2 {
		return ""
	}
	var out []string
	for i, o := range p.secondary {
		out = append(out, fmt.Sprintf("side %d: %d DAG database rows", i+1, len(slices.DeleteFunc(slices.Clone(o.Rows[replicaStates]), func(r Row) bool { return !o.dagRow(r) }))))
		for _, kind := range slices.Sorted(maps.Keys(o.kinds(replicaStates))) {
			for _, r := range o.kinds(replicaStates)[kind][:1] {
				var cells []string
				for _, c := range o.Columns[replicaStates] {
					name, _, _ := strings.Cut(c, " ")
					cells = append(cells, name+"="+pattern(name, r))
				}
				out = append(out, kind+": "+strings.Join(cells, " "))
			}
		}
	}
	return strings.Join(out, "; ")
}

func (p pair) required() string {
	if len(p.all) < 2 {
		return ""
	}
	var out []string
	any := false
	for i, o := range p.all {
		v, ok := o.group()["required_synchronized_secondaries_to_commit"]
		if !ok {
			v = "not seen"
		}
		any = any || ok && v != "0"
		_, dag := o.roles()
		out = append(out, fmt.Sprintf("side %d (%s): %s", i+1, dag, v))
	}
	if !any {
		return ""
	}
	return strings.Join(out, ", ")
}

func (p pair) suspended() string {
	var out []string
	for i, o := range p.all {
		n := o.count(replicaStates, func(r Row) bool { return r["is_suspended"] == "1" }, func(r Row) string { return r["suspend_reason_desc"] })
		if len(n) > 0 {
			out = append(out, fmt.Sprintf("side %d: %s rows", i+1, tally(n)))
		}
	}
	return strings.Join(out, "; ")
}

func (p pair) restarted() string {
	var out []string
	for i, o := range p.all {
		if _, dag := o.roles(); dag != "" && o.Started != "" {
			out = append(out, fmt.Sprintf("side %d: started %s, DAG role now %s", i+1, o.Started, dag))
		}
	}
	return strings.Join(out, "; ")
}

func (p pair) crossVersion() string {
	if len(p.all) < 2 || p.all[0].Major == p.all[1].Major {
		return ""
	}
	out := []string{fmt.Sprintf("versions %d and %d", p.all[0].Major, p.all[1].Major)}
	if o := p.primary; o != nil {
		out = append(out, "DAG rows "+tally(o.count(replicaStates, o.dagRow, func(r Row) string { return r["synchronization_state_desc"] })))
	}
	for _, o := range p.secondary {
		states := map[string]int{}
		for _, d := range o.Database {
			states[d["state"]]++
		}
		out = append(out, "forwarder's databases "+tally(states))
	}
	return strings.Join(out, "; ")
}

func (p pair) forwarder() string {
	if p.primary == nil && len(p.secondary) == 2 { // nobody can tell which one was
		return ""
	}
	for _, o := range p.secondary {
		is, up := map[string]int{}, map[string]int{}
		for _, d := range o.Database {
			is[d["is_primary_replica"]]++
			up[d["updateability"]]++
		}
		if len(is) > 0 {
			return fmt.Sprintf("fn_hadr_is_primary_replica %s databases, Updateability %s", tally(is), tally(up))
		}
	}
	return ""
}

func (p pair) blockSizes() string {
	steps := map[int64]bool{}
	var out []string
	for i, o := range p.all {
		n := map[string]int{}
		for _, r := range o.Rows[replicaStates] {
			if b, ok := r.blocks(); ok && r["is_local"] == "1" {
				n[fmt.Sprintf("%+d", b)]++
				steps[b] = true
			}
		}
		out = append(out, fmt.Sprintf("side %d: last_hardened_lsn - end_of_log_lsn %s rows", i+1, tally(n)))
	}
	if len(steps) < 2 {
		return ""
	}
	return strings.Join(out, "; ")
}

func (p pair) builds() string {
	var out []string
	for i, o := range p.all {
		if o.Major == 13 || o.Major == 14 {
			out = append(out, fmt.Sprintf("side %d: %s, %d databases", i+1, o.Version, len(o.Database)))
		}
	}
	return strings.Join(out, "; ")
}

func (p pair) participant() string {
	if p.primary == nil || p.primary.modes() != "SYNCHRONOUS_COMMIT" {
		return ""
	}
	if n := p.primary.count(replicaStates, p.primary.dagRow, func(r Row) string { return r["is_commit_participant"] }); len(n) > 0 {
		return tally(n) + " rows"
	}
	return ""
}
