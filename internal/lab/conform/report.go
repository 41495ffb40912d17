package conform

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Server is one instance to look at.
type Server struct {
	DB  *sql.DB
	DAG string // "" is the only one
}

// Options of a report.
type Options struct {
	Bound  time.Duration // of one statement; default 10 s
	Redact bool          // names of servers, groups and databases become S1, G1, D1, …
	Build  string        // what says which program wrote it
}

// Report observes the servers, holds each against the model, and writes what it found. It returns how many differences there are.
// Nothing that it writes comes from a connection string.
func Report(ctx context.Context, w io.Writer, servers []Server, opt Options) (differences int, err error) {
	if opt.Bound <= 0 {
		opt.Bound = 10 * time.Second
	}
	var seen []*Observation
	for i, s := range servers {
		o, err := Observe(ctx, s.DB, s.DAG, opt.Bound)
		if err != nil {
			return 0, fmt.Errorf("server %d: %w", i+1, err)
		}
		seen = append(seen, o)
	}
	models, err := Reference(ctx, seen)
	if err != nil {
		return 0, err
	}
	hide := strings.NewReplacer()
	if opt.Redact {
		hide = redactor(seen)
	}
	var b strings.Builder
	say := func(format string, args ...any) { b.WriteString(hide.Replace(fmt.Sprintf(format, args...)) + "\n") }
	b.WriteString("dag_lab conformance " + opt.Build + "\n")
	for i, o := range seen {
		local, dag := o.roles()
		say("\nserver %d: %s, version %s, %s, collation %s", i+1, o.Server, o.Version, o.Edition, o.Collation)
		say("  linux=%t sysadmin=%t databases=%d DAG=%q local role %s, DAG role %s, modes %s", o.Linux, o.Sysadmin, len(o.Database), o.DAG, word(local), word(dag), word(o.modes()))
		for _, p := range slices.Sorted(maps.Keys(o.Permissions)) {
			say("  %s=%t", p, o.Permissions[p])
		}
		counts := map[Level]int{}
		for _, l := range Compare(o, models[i]) {
			counts[l.Level]++
			say("  %-5s %s: %s", l.Level, l.Where, l.Text)
		}
		differences += counts[Diff]
		say("  %d differences, %d known, %d not compared, %d the same", counts[Diff], counts[Known], counts[Note], counts[Same])
	}
	b.WriteString("\nopen questions\n")
	for _, e := range Experiments(seen) {
		answer := "SEEN " + e.Seen
		if e.Seen == "" {
			answer = "not seen: " + e.Why
		}
		if e.Switch != "" {
			answer += " (switch " + e.Switch + ")"
		}
		say("  %-3s %s: %s", e.ID, e.Asks, answer)
	}
	_, err = io.WriteString(w, b.String())
	return differences, err
}

func word(s string) string {
	if s == "" {
		return "not seen"
	}
	return s
}

// redactor replaces every name that the servers told.
func redactor(list []*Observation) *strings.Replacer {
	names := map[string]string{}
	next := map[string]int{}
	give := func(kind, name string) {
		if name != "" && names[name] == "" {
			next[kind]++
			names[name] = fmt.Sprintf("%s%d", kind, next[kind])
		}
	}
	for _, o := range list {
		give("S", o.Server)
		for _, g := range o.Rows["sys.availability_groups"] {
			give("G", g["name"])
		}
		for _, r := range o.Rows["sys.availability_replicas"] {
			give("S", r["replica_server_name"])
		}
		for _, d := range slices.Sorted(maps.Keys(o.Database)) {
			give("D", d)
		}
	}
	long := slices.SortedFunc(maps.Keys(names), func(a, b string) int { return len(b) - len(a) }) // a name within another comes later
	var pairs []string
	for _, n := range long {
		pairs = append(pairs, `"`+n+`"`, `"`+names[n]+`"`, ": "+n+",", ": "+names[n]+",")
	}
	return strings.NewReplacer(pairs...)
}
