package collector

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Namespace of every metric.
const Namespace = "mssql_dag"

// Presence is when the series of a metric exist, so that absence has one
// meaning for each.
type Presence string

// The kinds of presence.
const (
	// Fact of a side: there if that side was read in this scrape and the
	// column was known, else absent as a whole, never 0.
	Fact Presence = "fact"
	// DAGVerdict: there for every configured DAG and side, always.
	DAGVerdict Presence = "verdict about the DAG"
	// DatabaseVerdict: there for every expected database and every one seen.
	DatabaseVerdict Presence = "verdict about a database"
)

// metric is one family: what it is called, what it means, when it is there.
type metric struct {
	name     string
	help     string
	labels   []string
	presence Presence
	typ      prometheus.ValueType
	desc     *prometheus.Desc
	sorted   []int // labels in the order of their names, as an exposition has them
}

func newMetric(p Presence, t prometheus.ValueType, name, help string, labels []string) *metric {
	m := &metric{name: Namespace + "_" + name, help: help, labels: labels, presence: p, typ: t}
	m.desc = prometheus.NewDesc(m.name, help, labels, nil)
	for i := range labels {
		m.sorted = append(m.sorted, i)
	}
	slices.SortFunc(m.sorted, func(i, j int) int { return strings.Compare(labels[i], labels[j]) })
	return m
}

func gauge(p Presence, name, help string, labels ...string) *metric {
	return newMetric(p, prometheus.GaugeValue, name, help, labels)
}

func counter(p Presence, name, help string, labels ...string) *metric {
	return newMetric(p, prometheus.CounterValue, name, help, labels)
}
