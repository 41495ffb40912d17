// Package collector turns what hadr knows into Prometheus metrics. It reads
// nothing itself: a Snapshot of a DAG goes in, const metrics come out, one
// file for each group of families.
//
// Every metric is of one of three kinds of presence, so that absence has one
// meaning: see Presence. Markdown is what docs/metrics.md says of them.
package collector

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// ReasonNone is the scrape error of a side that was read.
const ReasonNone = "none"

// SideResult is what came of reading one side.
type SideResult struct {
	Reading  *hadr.Reading // nil: not read
	Reason   string        // ReasonNone, or why there is no reading: one of Options.Reasons
	Duration time.Duration // of the reading, waiting included
	// Verified is whether the server's certificate is verified on every
	// connection to this side.
	Verified hadr.Opt[bool]
}

// Snapshot is one DAG in one scrape.
type Snapshot struct {
	DAG            string // the config's unique name, not the SQL Server name
	Source, Target SideResult
	Convergence    hadr.Convergence
}

// sides in the order of the configuration.
func (s *Snapshot) sides() [2]struct {
	name string
	side hadr.Side
	*SideResult
} {
	type side = struct {
		name string
		side hadr.Side
		*SideResult
	}
	return [2]side{
		{string(hadr.Source), hadr.Source, &s.Source},
		{string(hadr.Target), hadr.Target, &s.Target},
	}
}

// primary is the reading of the one side that is primary, and its name; nil
// and "" otherwise.
func (s *Snapshot) primary() (*hadr.Reading, hadr.Side) {
	switch side := s.Convergence.Primary(); side {
	case hadr.Source:
		return s.Source.Reading, side
	case hadr.Target:
		return s.Target.Reading, side
	}
	return nil, ""
}

// Group is a set of families that is switched on and off together, by flag
// or by collect[].
type Group struct {
	Name    string
	Help    string
	Default bool

	metrics []*metric
	shares  []*metric // families of another group that this one adds series to
	collect func(s *Snapshot, out *sink, opt *Options)
}

// Groups are all groups, in the order of the documentation.
func Groups() []Group {
	return []Group{summary, database, logGroup, replicas, databaseState, connection, seeding, suspendReason, lsnSlot}
}

// Defaults are the names of the groups that are on by default.
func Defaults() (names []string) {
	for _, g := range Groups() {
		if g.Default {
			names = append(names, g.Name)
		}
	}
	return names
}

// Options of New.
type Options struct {
	// Groups are the names of the groups that are on; see Groups.
	Groups []string
	// Reasons are all values of SideResult.Reason, ReasonNone among them:
	// each is a series of mssql_dag_scrape_error.
	Reasons []string
}

// Collector has the metrics of snapshots.
type Collector struct {
	opt       Options
	groups    []Group
	snapshots []*Snapshot
}

// New collects from snapshots of different DAGs. An unknown group is an
// error.
func New(opt Options, snapshots ...*Snapshot) (*Collector, error) {
	c := &Collector{opt: opt, snapshots: snapshots}
	for _, g := range Groups() {
		if slices.Contains(opt.Groups, g.Name) {
			c.groups = append(c.groups, g)
		}
	}
	for _, name := range opt.Groups {
		if !slices.ContainsFunc(c.groups, func(g Group) bool { return g.Name == name }) {
			return nil, fmt.Errorf("unknown collector %q: there are %s", name, names())
		}
	}
	return c, nil
}

func names() string {
	var all []string
	for _, g := range Groups() {
		all = append(all, g.Name)
	}
	return strings.Join(all, ", ")
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range c.groups {
		for _, m := range slices.Concat(g.shares, g.metrics) {
			ch <- m.desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	out := newSink(ch)
	for _, s := range c.snapshots {
		for _, g := range c.groups {
			g.collect(s, out, &c.opt)
		}
	}
}
