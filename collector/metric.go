package collector

import (
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
}

func newMetric(p Presence, t prometheus.ValueType, name, help string, labels []string) *metric {
	m := &metric{name: Namespace + "_" + name, help: help, labels: labels, presence: p, typ: t}
	m.desc = prometheus.NewDesc(m.name, help, labels, nil)
	return m
}

func gauge(p Presence, name, help string, labels ...string) *metric {
	return newMetric(p, prometheus.GaugeValue, name, help, labels)
}

func counter(p Presence, name, help string, labels ...string) *metric {
	return newMetric(p, prometheus.CounterValue, name, help, labels)
}

// sink takes the samples of one scrape.
type sink chan<- prometheus.Metric

func (s sink) put(m *metric, v float64, labels ...string) {
	c, err := prometheus.NewConstMetric(m.desc, m.typ, v, labels...)
	if err != nil {
		// A name with half a surrogate pair is not UTF-8; nothing else can be
		// wrong with a label value.
		for i := range labels {
			labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
		}
		c = prometheus.MustNewConstMetric(m.desc, m.typ, v, labels...)
	}
	s <- c
}

// states puts a StateSet: one series a state, 1 for the current one. The
// state label is the last.
func states[T ~string](s sink, m *metric, all []T, current T, labels ...string) {
	l := append(labels, "")
	for _, state := range all {
		l[len(l)-1] = string(state)
		s.put(m, oneIf(state == current), append([]string(nil), l...)...)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
