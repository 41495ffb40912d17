package collector

import (
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A scrape of 1,000 databases is 50,000 series, and nearly all their labels
// repeat those of the series before. A const metric of the library makes each
// label anew: in a profile that was half of what a scrape allocated. A sink
// makes a pair of name and value once and lets the series share it. A pair is
// never changed once it is made, so sharing needs no lock; nothing outlives
// the scrape but what the scrape's reader keeps.

// sink takes the samples of one scrape. It is used by one goroutine.
type sink struct {
	ch    chan<- prometheus.Metric
	pairs map[string]*labelPairs // by label name
	of    map[*metric][]*labelPairs
	free  []sample         // samples are made in blocks
	slots []*dto.LabelPair // and so are their lists of labels
}

// labelPairs are the pairs of one label name that were made so far.
type labelPairs struct {
	name    string
	last    *dto.LabelPair // the one asked for last: mostly the next one too
	byValue map[string]*dto.LabelPair
}

func newSink(ch chan<- prometheus.Metric) *sink {
	return &sink{ch: ch, pairs: map[string]*labelPairs{}, of: map[*metric][]*labelPairs{}}
}

// block is how many samples are made at once: few enough that a small scrape
// wastes little.
const block = 64

// put tells one series of m, with label values in the order of m.labels.
func (s *sink) put(m *metric, v float64, labels ...string) {
	n := len(m.labels)
	if len(labels) != n {
		panic("collector: " + m.name + " has other labels")
	}
	pairs := s.of[m]
	if pairs == nil {
		pairs = s.pairsOf(m)
	}
	if len(s.free) == 0 {
		s.free = make([]sample, block)
	}
	if len(s.slots) < n {
		s.slots = make([]*dto.LabelPair, 4*block)
	}
	c := &s.free[0]
	c.m, c.value, c.labels = m, v, s.slots[:n:n]
	s.free, s.slots = s.free[1:], s.slots[n:]
	for at, i := range m.sorted {
		c.labels[at] = pairs[at].pair(labels[i])
	}
	s.ch <- c
}

// pairsOf is for each label of m, in the order of their names, where its pairs
// are.
func (s *sink) pairsOf(m *metric) []*labelPairs {
	pairs := make([]*labelPairs, len(m.sorted))
	for at, i := range m.sorted {
		name := m.labels[i]
		p := s.pairs[name]
		if p == nil {
			p = &labelPairs{name: name, byValue: map[string]*dto.LabelPair{}}
			s.pairs[name] = p
		}
		pairs[at] = p
	}
	s.of[m] = pairs
	return pairs
}

func (p *labelPairs) pair(value string) *dto.LabelPair {
	if p.last != nil && *p.last.Value == value {
		return p.last
	}
	known := p.byValue[value]
	if known == nil {
		// A name with half a surrogate pair is not UTF-8; nothing else can be
		// wrong with a label value.
		shown := value
		if !utf8.ValidString(value) {
			shown = strings.ToValidUTF8(value, "\uFFFD")
		}
		known = &dto.LabelPair{Name: &p.name, Value: &shown}
		p.byValue[value] = known
	}
	p.last = known
	return known
}

// sample is one series of one scrape. Nearly all are gauges, so only that form
// is part of it: a counter's beside it made every sample half as large again.
type sample struct {
	m      *metric
	value  float64
	labels []*dto.LabelPair // by name
	gauge  dto.Gauge
}

// Desc implements prometheus.Metric.
func (c *sample) Desc() *prometheus.Desc { return c.m.desc }

// Write implements prometheus.Metric.
func (c *sample) Write(out *dto.Metric) error {
	out.Label = c.labels
	if c.m.typ == prometheus.CounterValue {
		out.Counter = &dto.Counter{Value: &c.value}
	} else {
		c.gauge.Value = &c.value
		out.Gauge = &c.gauge
	}
	return nil
}

// states puts a StateSet: one series a state, 1 for the current one. The
// state label is the last.
func states[T ~string](s *sink, m *metric, all []T, current T, labels ...string) {
	var room [8]string
	l := append(append(room[:0], labels...), "")
	for _, state := range all {
		l[len(l)-1] = string(state)
		s.put(m, oneIf(state == current), l...)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
