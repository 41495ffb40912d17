package conform

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Level says what a line is.
type Level string

// The levels. Only DIFF counts as a difference.
const (
	Same  Level = "same"
	Diff  Level = "DIFF"
	Known Level = "known" // a difference on purpose, docs/lab.md
	Note  Level = "note"  // could not be compared, and why
)

// Line is one finding.
type Line struct {
	Level Level
	Where string // view, kind of row, column
	Text  string
}

// Compare holds a server against the model in the same shape.
func Compare(server, model *Observation) []Line {
	c := &comparison{server: server, model: model}
	c.columns()
	c.counters()
	c.patterns()
	return c.lines
}

type comparison struct {
	server, model *Observation
	lines         []Line
}

func (c *comparison) add(l Level, where, format string, args ...any) {
	c.lines = append(c.lines, Line{l, where, fmt.Sprintf(format, args...)})
}

// refused turns the number of an error into words that help.
func refused(n int32) string {
	switch n {
	case 0:
		return "no answer in time"
	case 208:
		return "there is no such view (208)"
	case 229, 297, 300:
		return fmt.Sprintf("not with this login (%d): grant VIEW SERVER STATE and VIEW ANY DEFINITION", n)
	}
	return fmt.Sprintf("error %d", n)
}

func (c *comparison) columns() {
	for _, v := range slices.Sorted(maps.Keys(c.model.Columns)) {
		if n, ok := c.server.Refused[v]; ok {
			level := Note
			if n == 208 {
				level = Diff
			}
			c.add(level, v, "%s", refused(n))
			continue
		}
		got, want := c.server.Columns[v], c.model.Columns[v]
		if slices.Equal(got, want) {
			c.add(Same, v, "%d columns, order and types", len(want))
			continue
		}
		c.columnsOf(v, got, want)
	}
}

func (c *comparison) columnsOf(view string, got, want []string) {
	typ := func(list []string) map[string]string {
		m := map[string]string{}
		for _, s := range list {
			name, t, _ := strings.Cut(s, " ")
			m[name] = t
		}
		return m
	}
	g, w := typ(got), typ(want)
	common := func(list []string, other map[string]string) (out []string) {
		for _, s := range list {
			name, _, _ := strings.Cut(s, " ")
			if _, ok := other[name]; ok {
				out = append(out, name)
			}
		}
		return out
	}
	for _, s := range want {
		name, t, _ := strings.Cut(s, " ")
		switch real, ok := g[name]; {
		case !ok:
			c.add(Diff, view+"."+name, "the model has it (%s), the server does not", t)
		case real == "sql_variant" && t != real:
			c.add(Known, view+"."+name, "sql_variant, in the model %s", t)
		case real != t:
			c.add(Diff, view+"."+name, "%s, in the model %s", real, t)
		}
	}
	for _, s := range got {
		name, t, _ := strings.Cut(s, " ")
		if _, ok := w[name]; !ok {
			c.add(Diff, view+"."+name, "the server has it (%s), the model does not", t)
		}
	}
	if a, b := common(got, w), common(want, g); !slices.Equal(a, b) {
		c.add(Diff, view, "other order of columns: %s", strings.Join(a, ", "))
	}
}

func (c *comparison) counters() {
	if n, ok := c.server.Refused["sys.dm_os_performance_counters"]; ok {
		c.add(Note, "counters", "%s", refused(n))
		return
	}
	missing := 0
	for _, k := range slices.Sorted(maps.Keys(c.model.Counters)) {
		if !c.server.Counters[k] {
			missing++
			c.add(Diff, "counter "+k, "the model has it, the server does not")
		}
	}
	if missing == 0 {
		c.add(Same, "counters", "%d of the model are all there", len(c.model.Counters))
	}
}

// kinds groups the rows of a view by what kind of row it is; "" is left out.
func (o *Observation) kinds(view string) map[string][]Row {
	out := map[string][]Row{}
	localRole, dagRole := o.roles()
	local, dag := o.local(), o.group()
	for _, r := range o.Rows[view] {
		which := ""
		switch {
		case local != nil && r["group_id"] == local["group_id"]:
			which = "local AG"
		case dag != nil && r["group_id"] == dag["group_id"]:
			which = "DAG"
		case view == "sys.dm_hadr_database_replica_cluster_states":
			which = "any AG"
		default:
			continue // of another AG
		}
		kind := which + ", "
		switch {
		case view == "sys.dm_hadr_availability_group_states" || view == "sys.dm_hadr_database_replica_cluster_states":
			kind += "row"
		case r["is_local"] == "1":
			kind += "own row"
		default:
			mode := o.find("sys.availability_replicas", Row{"replica_id": r["replica_id"]})["availability_mode_desc"]
			kind += "row about the other (" + strings.ToLower(mode) + ")"
		}
		kind += ", on a local " + strings.ToLower(cmp.Or(localRole, "unknown")) + " whose DAG role is " + strings.ToLower(cmp.Or(dagRole, "unknown"))
		out[kind] = append(out[kind], r)
	}
	return out
}

// moving are columns whose being NULL or not depends on what happened before, on either side.
var moving = map[string]bool{"last_commit_lsn": true, "last_commit_time": true, "low_water_mark_for_ghosts": true, "write_lease_remaining_ticks": true,
	"last_connect_error_number": true, "last_connect_error_description": true, "last_connect_error_timestamp": true, "quorum_commit_lsn": true, "quorum_commit_time": true,
	"current_configuration_commit_start_time_utc": true, "is_failover_ready": true, "filestream_send_rate": true, "last_sent_time": true}

// pattern reduces a value to what is fixed about it.
func pattern(column string, r Row) string {
	v, ok := r[column]
	switch {
	case !ok:
		return "NULL"
	case strings.HasSuffix(column, "_lsn") && (v == "0" || v == "1" || v == "4294967295429496729500001"):
		return v
	case strings.HasSuffix(column, "_desc") || strings.HasPrefix(column, "is_"):
		return v
	}
	return "a value"
}

// atRest tells whether a row of the replica states is one that a pattern can be told of.
func atRest(view string, r Row) bool {
	if view != "sys.dm_hadr_database_replica_states" {
		return true
	}
	return r["is_suspended"] != "1" && (r["synchronization_state"] == "1" || r["synchronization_state"] == "2")
}

func (c *comparison) patterns() {
	if c.server.local() == nil || c.server.group() == nil {
		c.add(Note, "rows", "no distributed availability group with a local member is seen: rows are not compared (without VIEW ANY DEFINITION and VIEW SERVER STATE they are missing silently)")
		return
	}
	for _, v := range rowViews {
		if !strings.HasPrefix(v, "sys.dm_hadr_") {
			continue
		}
		got, want := c.server.kinds(v), c.model.kinds(v)
		for _, kind := range slices.Sorted(maps.Keys(got)) {
			if len(want[kind]) == 0 {
				c.add(Diff, v, "%d rows of a kind that the model does not show: %s", len(got[kind]), kind)
				continue
			}
			c.rowsOfKind(v, kind, got[kind], want[kind])
		}
		for _, kind := range slices.Sorted(maps.Keys(want)) {
			if _, refused := c.server.Refused[v]; len(got[kind]) == 0 && !refused {
				c.add(Diff, v, "no row of a kind that the model shows: %s", kind)
			}
		}
	}
	c.relation()
}

func (c *comparison) rowsOfKind(view, kind string, got, want []Row) {
	var rest []Row
	for _, r := range got {
		if atRest(view, r) {
			rest = append(rest, r)
		}
	}
	if n := len(got) - len(rest); n > 0 {
		c.add(Note, view+", "+kind, "%d of %d rows are suspended or not synchronizing: not compared", n, len(got))
	}
	if len(rest) == 0 {
		return
	}
	diffs := 0
	for _, col := range c.model.Columns[view] {
		name, _, _ := strings.Cut(col, " ")
		if moving[name] || !slices.ContainsFunc(c.server.Columns[view], func(s string) bool { n, _, _ := strings.Cut(s, " "); return n == name }) {
			continue
		}
		patterns := map[string]bool{}
		for _, r := range want {
			patterns[pattern(name, r)] = true
		}
		other := map[string]int{}
		for _, r := range rest {
			if p := pattern(name, r); !patterns[p] {
				other[p]++
			}
		}
		for _, p := range slices.Sorted(maps.Keys(other)) {
			diffs++
			c.add(Diff, view+"."+name+", "+kind, "%s in %d of %d rows, in the model %s", p, other[p], len(rest), strings.Join(slices.Sorted(maps.Keys(patterns)), " or "))
		}
	}
	if diffs == 0 {
		c.add(Same, view+", "+kind, "NULLs, sentinels and words of %d rows", len(rest))
	}
}

// relation is the one between last_hardened_lsn and end_of_log_lsn at rest: one block, of 512 or of 4096 bytes.
func (c *comparison) relation() {
	seen := map[int64]int{}
	for _, r := range c.server.Rows["sys.dm_hadr_database_replica_states"] {
		if n, ok := r.blocks(); ok && r["is_local"] == "1" && atRest("sys.dm_hadr_database_replica_states", r) {
			seen[n]++
		}
	}
	for _, n := range slices.Sorted(maps.Keys(seen)) {
		level := Diff
		if n == 1 || n == 8 {
			level = Same
		}
		c.add(level, "last_hardened_lsn - end_of_log_lsn", "%+d units of 512 bytes in %d own rows (the model at rest: +1 or +8, by the log's block size)", n, seen[n])
	}
}
