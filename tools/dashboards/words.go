package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Colours by meaning. Green is kept for the one state of a thing in which
// nothing is left to wish for.
const (
	red    = "red"
	orange = "orange"
	yellow = "yellow"
	blue   = "blue"
	purple = "purple"
	green  = "green"
	grey   = "#8e8e8e"
	plain  = "text"
)

// word is what a number stands for. state is the label value of a StateSet
// that code turns into the number.
type word struct {
	value        float64
	state        string
	text, colour string
}

// nothing marks the word for "there is no such value"; without one it is
// "not known", in red.
const nothing = "nothing"

func mappings(words []word) []dashboard.ValueMapping {
	if len(words) == 0 {
		return nil
	}
	m := dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: map[string]dashboard.ValueMappingResult{}}
	absent := dashboard.ValueMappingResult{Text: ptr("not known"), Color: ptr(red)}
	for n, w := range words {
		result := dashboard.ValueMappingResult{Text: ptr(w.text), Color: ptr(w.colour), Index: ptr(int32(n))}
		if w.state == nothing {
			absent = result
			continue
		}
		m.Options[strconv.FormatFloat(w.value, 'f', -1, 64)] = result
	}
	absent.Index = ptr(int32(len(words)))
	out := []dashboard.ValueMapping{{ValueMap: &m}}
	if len(m.Options) == 0 {
		out = nil
	}
	return append(out, dashboard.ValueMapping{SpecialValueMap: &dashboard.SpecialValueMap{
		Type:    dashboard.MappingTypeSpecialValue,
		Options: dashboard.DashboardSpecialValueMapOptions{Match: dashboard.SpecialValueMatchNullAndNan, Result: absent},
	}})
}

// code turns a StateSet into one number, the value of the present state's
// word. Where several exporters read one DAG, the lowest number is shown, so
// a list of words begins with the worst.
func code(metric, matchers, label, keep string, words []word) string {
	var parts []string
	for _, w := range words {
		if w.state != "" && w.state != nothing {
			parts = append(parts, fmt.Sprintf("(%s{%s%s=%q} == 1) * 0 + %g", metric, prefix(matchers), label, w.state, w.value))
		}
	}
	return "min by (" + keep + ") (\n  " + strings.Join(parts, "\n  or ") + "\n)"
}

func prefix(matchers string) string {
	if matchers == "" {
		return ""
	}
	return matchers + ","
}

// The words, worst first.
var (
	// states are those of internal/hadr.
	states = []word{
		{-1, "", "NO EXPORTER", red},
		{0, "split", "TWO PRIMARIES", red},
		{1, "diverged", "DIVERGED", red},
		{2, "unknown", "UNKNOWN", red},
		{3, "demoted", "NO PRIMARY", red},
		{4, "behind", "BEHIND", orange},
		{5, "near", "NEAR", yellow},
		{6, "caught_up", "CAUGHT UP", blue},
		{7, "synchronized", "SYNCHRONIZED", green},
		{8, "failed_over", "FAILED OVER", purple},
	}
	// answers are the same states as answers to "can we cut over?".
	answers = []word{
		{-1, "", "NO: no exporter", red},
		{0, "split", "NO: two primaries", red},
		{1, "diverged", "NO: diverged", red},
		{2, "unknown", "NO: unknown", red},
		{3, "demoted", "NO: no side is primary", red},
		{4, "behind", "NO: behind", orange},
		{5, "near", "NEAR: with a quiesce", yellow},
		{6, "caught_up", "CAUGHT UP: not synchronous", blue},
		{7, "synchronized", "YES: synchronized", green},
		{8, "failed_over", "DONE: failed over", purple},
	}
	ranks = []word{
		{-1, "", "no data", red},
		{0, "", "unknown", red},
		{1, "", "behind", orange},
		{2, "", "near", yellow},
		{3, "", "caught up", blue},
		{4, "", "synchronized", green},
	}
	directions = []word{
		{0, "both", "BOTH PRIMARY", red},
		{1, "none", "NO PRIMARY", red},
		{2, "target_to_source", "target → source", purple},
		{3, "source_to_target", "source → target", blue},
	}
	roles = []word{
		{0, "resolving", "resolving", red},
		{1, "secondary", "SECONDARY", blue},
		{2, "primary", "PRIMARY", purple},
	}
	// bothRoles are roles, and what two of a kind mean.
	bothRoles = append([]word{{-1, "", "NOT READ", red}, {3, "", "TWO PRIMARIES", red}, {4, "", "NO PRIMARY", red}}, roles...)
	modes     = []word{
		{0, "asynchronous_commit", "asynchronous", blue},
		{1, "synchronous_commit", "synchronous", green},
	}
	synchronization = []word{
		{0, "not_synchronizing", "not synchronizing", red},
		{1, "reverting", "reverting", red},
		{2, "initializing", "initializing", orange},
		{3, "synchronizing", "synchronizing", blue},
		{4, "synchronized", "synchronized", green},
	}
	severities = []word{{1, "", "info", blue}, {2, "", "warning", orange}, {3, "", "critical", red}}
	read       = []word{{0, "", "NOT READ", red}, {1, "", "read", green}}
	connected  = []word{{0, "", "DISCONNECTED", red}, {1, "", "connected", green}}
	// gates are green together or not at all: one that is open is nothing to be
	// glad of while another is closed.
	gates  = []word{{0, "", "closed", "dark-orange"}, {1, "", "open", "dark-blue"}, {2, "", "not asked", grey}, {3, "", "later", grey}, {4, "", "open", green}}
	phases = []word{
		{0, nothing, "no webhook", grey},
		{0, "idle", "idle", grey},
		{1, "lock", "LOCK", blue},
		{2, "mark", "MARK", blue},
		{3, "set_synchronous", "SET SYNCHRONOUS", blue},
		{4, "wait_synchronized", "WAIT SYNCHRONIZED", blue},
		{5, "quiesce", "QUIESCE", yellow},
		{6, "drain", "DRAIN", yellow},
		{7, "require", "REQUIRE", orange},
		{8, "demote", "DEMOTE", red},
		{9, "confirm_demoted", "CONFIRM DEMOTED", red},
		{10, "prove", "PROVE", red},
		{11, "promote", "PROMOTE", red},
		{12, "after", "AFTER", purple},
		{13, "watch", "WATCH", purple},
		{14, "back", "BACK", orange},
		{15, "back_after", "BACK, AFTER", orange},
		{16, "ended", "ended", grey},
	}
)
