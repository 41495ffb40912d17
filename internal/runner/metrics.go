package runner

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// The metrics of the webhook. Every label value that can ever be is there
// from the start, so that a rate over a series that has just appeared is never
// the reason why an alert was missed. A time stamp of 0 means "none".
var (
	descPhase = desc("phase", "Whether the DAG is in this phase of a cutover (one of them is 1).", "dag", "phase")
	descGate  = desc("gate_open", "Whether this gate is open; unknown counts as closed.", "dag", "gate")
	descArmed = desc("armed_until_timestamp_seconds", "When the arming that has not started a run yet ends; 0 while none stands.", "dag")
	descHeld  = desc("held_since_timestamp_seconds", "Since when the DAG is held; 0 while it is not.", "dag")
	descPages = desc("pages_open", "How many pages ask a human to act: those that stand now, and those of ended runs that nobody has acknowledged.", "dag")
	descRuns  = desc("runs_total", "Runs in execute mode that ended, by outcome, as the journal holds them.", "dag", "outcome")
	descLast  = desc("last_write_unavailable_seconds", "How long no side took writes in the newest run in execute mode that measured it; absent before.", "dag")
	descPred  = desc("predicted_write_unavailable_seconds", "How long no side would take writes if a run began now; absent where it cannot be told.", "dag")
	descMost  = desc("max_write_unavailable_seconds", "The outage budget: how long no side may take writes before the way back begins (max_write_unavailable).", "dag")
	descTook  = desc("statement_duration_seconds", "From sending this statement to the reading that showed its effect (else to the answer), the last one of the present or the last run; 0 if it sent none.", "dag", "statement", "side")
	descStep  = desc("step_duration_seconds", "How long this phase took in the present or the last run, so far; 0 if it had none.", "dag", "step")
	descStart = desc("phase_start_timestamp_seconds", "When this phase last began in the present or the last run; 0 if it did not.", "dag", "phase")
	descAlert = desc("alerts_received_total", "Alerts received, by what became of them; those that belong to no DAG have an empty dag.", "dag", "result")
	descLease = desc("alert_lease_expiry_timestamp_seconds", "When the lease that a firing alert gave ends; 0 while there is none.", "dag")
	descPipe  = desc("alert_pipeline_last_seen_timestamp_seconds", "When the alert pipeline's heartbeat was last received; 0 if never since the start.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mssql_dag_cutover_"+name, help, labels, nil)
}

// fleetMetrics is what belongs to no single DAG.
type fleetMetrics struct {
	mu     sync.Mutex
	seen   time.Time
	alerts map[AlertResult]float64
}

func newFleetMetrics() *fleetMetrics { return &fleetMetrics{alerts: map[AlertResult]float64{}} }

func (m *fleetMetrics) pipelineSeen(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.After(m.seen) {
		m.seen = now
	}
}

func (m *fleetMetrics) countAlert(r AlertResult) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alerts[r]++
}

// Describe implements prometheus.Collector.
func (f *Fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descPhase, descGate, descArmed, descHeld, descPages, descRuns, descLast, descPred, descMost, descTook, descStep, descStart, descAlert, descLease, descPipe} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It asks no server.
func (f *Fleet) Collect(ch chan<- prometheus.Metric) {
	f.metrics.mu.Lock()
	ch <- gauge(descPipe, unix(f.metrics.seen))
	for _, r := range AlertResults {
		ch <- counter(descAlert, f.metrics.alerts[r], "", string(r))
	}
	f.metrics.mu.Unlock()
	now := time.Now()
	for _, c := range f.controllers {
		c.collect(ch, now)
	}
}

func (c *Controller) collect(ch chan<- prometheus.Metric, now time.Time) {
	dag := c.Name()
	c.mu.Lock()
	defer c.mu.Unlock()

	// The split watch goes on after the run, and is no phase of its intent.
	watch := c.intent.WatchUntil
	if c.intent.Ended.IsZero() {
		watch = time.Time{}
	}
	lasted, began := map[cutover.Phase]time.Duration{}, map[cutover.Phase]time.Time{}
	end := now
	if !c.intent.Ended.IsZero() {
		end = c.intent.Ended
	}
	for n, p := range c.intent.Phases {
		to := end
		if n+1 < len(c.intent.Phases) {
			to = c.intent.Phases[n+1].At
		}
		lasted[p.Phase] += to.Sub(p.At)
		began[p.Phase] = p.At
	}
	if !watch.IsZero() {
		began[cutover.PhaseWatch], lasted[cutover.PhaseWatch] = c.intent.Ended, earlier(now, watch).Sub(c.intent.Ended)
	}
	for _, p := range cutover.Phases {
		name := string(p.Phase)
		ch <- gauge(descPhase, one(name == c.base.Phase), dag, name)
		ch <- gauge(descStep, lasted[p.Phase].Seconds(), dag, name)
		ch <- gauge(descStart, unix(began[p.Phase]), dag, name)
	}
	open := map[string]bool{}
	for _, g := range c.base.Gates {
		open[g.Name] = g.State == GateOpen
	}
	for _, g := range cutover.Gates {
		ch <- gauge(descGate, one(open[string(g.Gate)]), dag, string(g.Gate))
	}
	var armed, held time.Time
	if a := c.state.Arming; a != nil && a.Spent == "" && a.Generation > c.blocked && now.Before(a.Until) {
		armed = a.Until
	}
	if h := c.state.Hold; h != nil {
		held = h.At
	}
	ch <- gauge(descArmed, unix(armed), dag)
	ch <- gauge(descHeld, unix(held), dag)
	pages := len(c.base.Pages) + len(c.state.Pages)
	if c.fault != nil {
		pages++
	}
	ch <- gauge(descPages, float64(pages), dag)
	ch <- gauge(descLease, unix(c.lease.Until), dag)
	for _, o := range Outcomes() {
		ch <- counter(descRuns, c.outcomes[o], dag, string(o))
	}
	for _, r := range AlertResults {
		ch <- counter(descAlert, c.alerts[r], dag, string(r))
	}
	if c.lastOutage >= 0 {
		ch <- gauge(descLast, c.lastOutage, dag)
	}
	ch <- gauge(descMost, settings(c.o.DAG, false).MaxWriteUnavailable.Seconds(), dag)
	for _, st := range statementSeries {
		var took time.Duration
		for _, s := range c.intent.Sent {
			if s.Statement.Kind == st.kind && s.Statement.Side == st.side {
				took = tookTime(s)
			}
		}
		ch <- gauge(descTook, took.Seconds(), dag, string(st.kind), string(st.side))
	}
	if c.predicted != nil {
		ch <- gauge(descPred, *c.predicted, dag)
	}
}

// statementSeries are the statements that a plan can have.
var statementSeries = []struct {
	kind cutover.Kind
	side hadr.Side
}{
	{cutover.SetSynchronous, hadr.Source}, {cutover.SetSynchronous, hadr.Target}, {cutover.SetAsynchronous, hadr.Source}, {cutover.SetAsynchronous, hadr.Target},
	{cutover.RequireSecondary, hadr.Source}, {cutover.ReleaseSecondary, hadr.Source}, {cutover.ReleaseSecondary, hadr.Target},
	{cutover.Demote, hadr.Source}, {cutover.Promote, hadr.Source}, {cutover.Promote, hadr.Target},
}

func tookTime(s cutover.Sent) time.Duration {
	switch {
	case !s.EffectSeen.IsZero():
		return s.EffectSeen.Sub(s.At)
	case !s.ReturnedAt.IsZero():
		return s.ReturnedAt.Sub(s.At)
	}
	return 0
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}
