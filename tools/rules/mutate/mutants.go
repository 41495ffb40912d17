package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// mutant is one rule with one thing changed.
type mutant struct {
	rule  string   // the rule's name; empty: nothing is changed
	users []string // the alerts that its tests speak of
	what  string   // what is changed, unique within the rule
	now   string   // the changed text, to read
	edit  func(*rule)
}

func (m *mutant) id() string { return m.rule + ": " + m.what }

// apply is the mutated rule's group, as far as its users rest on it: the rules
// of other groups cannot notice it, and those that nobody asks about cost time.
func (m *mutant) apply(f file) file {
	if m.rule == "" {
		return f
	}
	for _, g := range f.Groups {
		if !slices.ContainsFunc(g.Rules, func(r rule) bool { return r.name() == m.rule }) {
			continue
		}
		out := group{Name: g.Name}
		for i, r := range g.Rules {
			if !r.matters() && (r.Record == "" || len(usersOf(g.Rules[i:], r.Record)) == 0) {
				continue
			}
			if r.name() == m.rule {
				m.edit(&r)
			}
			out.Rules = append(out.Rules, r)
		}
		return file{Groups: []group{out}}
	}
	return f
}

func (m *mutant) spokenOf(test string) bool {
	return slices.ContainsFunc(m.users, func(u string) bool { return strings.Contains(test, u) })
}

// startAlerts may start a cutover.
var startAlerts = []string{"DAGNearConvergence", "DAGConverged", "DAGSynchronized"}

// matters is whether the rule starts a cutover or wakes somebody.
func (r *rule) matters() bool {
	return slices.Contains(startAlerts, r.Alert) || r.Labels["severity"] == "critical"
}

// mutants lists every mutant of the start alerts, the critical alerts and the
// recording rules that they rest on.
func mutants(f file) ([]mutant, error) {
	rules := f.all()
	var out []mutant
	for _, r := range rules {
		users := []string{r.Alert}
		if r.Record != "" {
			users = usersOf(rules, r.Record)
		} else if !r.matters() {
			continue
		}
		if len(users) == 0 {
			continue
		}
		of, err := ofRule(r, users)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name(), err)
		}
		out = append(out, of...)
	}
	return out, nil
}

// usersOf are the alerts that rest on a record, also by way of another one.
func usersOf(rules []rule, record string) (users []string) {
	for _, u := range rules {
		switch {
		case !strings.Contains(u.Expr, record):
		case u.matters():
			users = append(users, u.Alert)
		case u.Record != "" && u.Record != record:
			users = append(users, usersOf(rules, u.Record)...)
		}
	}
	return users
}

func ofRule(r rule, users []string) ([]mutant, error) {
	all, err := edits(r.Expr)
	if err != nil {
		return nil, err
	}
	var out []mutant
	seen := map[string]int{}
	for _, e := range all {
		what := e.what
		seen[what]++
		if n := seen[what]; n > 1 {
			what += " (" + strconv.Itoa(n) + ")"
		}
		out = append(out, mutant{r.name(), users, what, e.text, func(r *rule) { r.Expr = e.text }})
	}
	if r.Record != "" {
		return out, nil
	}
	times := func(name string, of string, set func(*rule, string)) {
		add := func(what, d string) {
			out = append(out, mutant{r.name(), users, what, name + ": " + d, func(r *rule) { set(r, d) }})
		}
		if of == "" {
			add("with "+name+" 30s", "30s")
			return
		}
		add("without "+name, "")
		d, err := model.ParseDuration(of)
		if err != nil {
			return // the tests say so
		}
		add(name+" halved", (d / 2).String())
		add(name+" doubled", (d * 2).String())
	}
	times("for", r.For, func(r *rule, d string) { r.For = d })
	times("keep_firing_for", r.KeepFiringFor, func(r *rule, d string) { r.KeepFiringFor = d })
	return out, nil
}

// promDuration prints a duration as Prometheus writes it.
func promDuration(d time.Duration) string { return model.Duration(d).String() }
