package faultrun

import (
	"fmt"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// kind of thing that the webhook asks a server for.
type kind struct {
	name  string
	has   []string // all of these stand in the request's text
	hasNo string   // and this does not
	match string   // a regular expression that finds it again, for the lab's faults
	alter bool     // an ALTER AVAILABILITY GROUP: accepted now, effective later
	class string   // the lab's class of it
}

// guarded is what every statement of the engine has in its batch and no
// statement that a person types.
const guarded = "@held"

var kinds = []kind{
	{"lock", []string{"sp_getapplock"}, "", `sp_getapplock`, false, ""},
	{"mark", []string{"sp_addextendedproperty"}, "webhook probe ", `sp_addextendedproperty`, false, ""},
	{"unmark", []string{"sp_dropextendedproperty"}, "webhook probe ", `sp_dropextendedproperty`, false, ""},
	{"S3", []string{guarded, "FORCE_FAILOVER_ALLOW_DATA_LOSS"}, "", `@held.*FORCE_FAILOVER_ALLOW_DATA_LOSS`, true, "s3"},
	{"S2", []string{guarded, "SET (ROLE = SECONDARY)"}, "", `@held.*SET \(ROLE = SECONDARY\)`, true, "s2"},
	{"RSSTC=1", []string{guarded, "_TO_COMMIT = 1)"}, "", `@held.*_TO_COMMIT = 1\)`, true, "rsstc"},
	{"RSSTC=0", []string{guarded, "_TO_COMMIT = 0)"}, "", `@held.*_TO_COMMIT = 0\)`, true, "rsstc"},
	{"S1", []string{guarded, "AVAILABILITY_MODE = SYNCHRONOUS_COMMIT"}, "", `@held.*AVAILABILITY_MODE = SYNCHRONOUS_COMMIT`, true, "s1"},
	{"async", []string{guarded, "AVAILABILITY_MODE = ASYNCHRONOUS_COMMIT"}, "", `@held.*AVAILABILITY_MODE = ASYNCHRONOUS_COMMIT`, true, "s1"},
	{"read", []string{"[begin.server_name]", "[end.server_name]"}, "", `\[begin\.server_name\].*\[end\.server_name\]`, false, ""},
}

// kindOf a request, by its text; nil for what is no step of the order.
func kindOf(text string) *kind {
next:
	for i := range kinds {
		k := &kinds[i]
		if k.hasNo != "" && strings.Contains(text, k.hasNo) {
			continue
		}
		for _, h := range k.has {
			if !strings.Contains(text, h) {
				continue next
			}
		}
		return k
	}
	return nil
}

// tracker names what it sees: a statement by its name and side, a reading by
// its number on its side since the last statement or hook.
type tracker struct {
	last  string
	reads [2]int
}

func (t *tracker) step(name string) string {
	t.last, t.reads = name, [2]int{}
	return name
}

func (t *tracker) see(k *kind, side lab.Side) string {
	if k.name != "read" {
		return t.step(k.name + " on " + side.String())
	}
	t.reads[side]++
	if t.last == "" {
		return "" // before the run
	}
	return fmt.Sprintf("%s, %s reading %d", t.last, side, t.reads[side])
}
