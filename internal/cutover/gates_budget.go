package cutover

import (
	"fmt"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Gates about the outage to come: what is still to be moved, and how long it
// takes.

func (e *engine) gateQueues() Verdict {
	if e.src == nil || e.tgt == nil {
		return unknown("%s", strings.TrimSpace(e.srcWhy+" "+e.tgtWhy))
	}
	var send, redo int64
	for _, n := range e.p.Databases {
		s, t := database(e.src, n), database(e.tgt, n)
		if s == nil || s.Link == nil || !s.Link.SendQueue.OK {
			return unknown("the send queue of %s was not read on the source", n)
		}
		q := s.Link.RedoQueue
		if t != nil && t.Own != nil && t.Own.RedoQueue.OK {
			q = t.Own.RedoQueue // its own value, not the hearsay
		}
		if !q.OK {
			return unknown("the redo queue of %s was not read", n)
		}
		if s.Link.SendQueue.V > e.p.NearSendQueue {
			return later("%s has %s to send", n, size(s.Link.SendQueue.V))
		}
		if q.V > e.p.NearRedoQueue {
			return later("%s has %s to redo", n, size(q.V))
		}
		send, redo = send+s.Link.SendQueue.V, redo+q.V
	}
	v := open("%s to send, %s to redo in all", size(send), size(redo))
	v.EvidenceAge = e.now.Sub(e.src.Ended)
	return v
}

func size(b int64) string {
	switch {
	case b >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(b)/(1<<30))
	case b >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(b)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", b/1024)
}

// Predict is how long no side would take writes if the run went on now: the
// reads and statements at the latency just measured, the samples of rest, and
// what is still to be sent and redone at the rates just read. false when a
// queue is not empty and its rate is unknown.
func Predict(plan Plan, source, target *hadr.Reading) (time.Duration, bool) {
	if source == nil || target == nil {
		return 0, false
	}
	round := source.Ended.Sub(source.Began) + target.Ended.Sub(target.Began)
	// RSSTC=1 read back, step 6, S2 read back, S3, PRIMARY read back; then
	// the samples of rest.
	d := 6*round + time.Duration(plan.SettleReadings)*(round+plan.SettleInterval) + time.Second
	var drain time.Duration
	for _, n := range plan.Databases {
		s, t := database(source, n), database(target, n)
		if s == nil || s.Link == nil {
			return 0, false
		}
		queue, rate := s.Link.RedoQueue, s.Link.RedoRate
		if t != nil && t.Own != nil && t.Own.RedoQueue.OK {
			queue, rate = t.Own.RedoQueue, t.Own.RedoRate
		}
		var own time.Duration
		for _, q := range []struct{ queue, rate hadr.Opt[int64] }{{s.Link.SendQueue, s.Link.SendRate}, {queue, rate}} {
			switch {
			case !q.queue.OK:
				return 0, false
			case q.queue.V < 1<<20: // an idle queue has no rate
			case !q.rate.OK || q.rate.V <= 0:
				return 0, false
			default:
				own += time.Duration(float64(q.queue.V) / float64(q.rate.V) * float64(time.Second))
			}
		}
		drain = max(drain, own) // databases drain side by side
	}
	return d + drain, true
}

func (e *engine) gateBudget() Verdict {
	if e.src == nil || e.tgt == nil {
		return unknown("%s", strings.TrimSpace(e.srcWhy+" "+e.tgtWhy))
	}
	d, ok := Predict(*e.p, e.src, e.tgt)
	if !ok {
		return unknown("cannot be predicted: a queue is not empty and its rate is unknown")
	}
	used := time.Duration(0)
	if e.in.Active() {
		used = e.in.WriteUnavailable(e.now)
	}
	v := open("%s predicted, %s used, of %s", d.Round(time.Millisecond), used.Round(time.Millisecond), e.p.MaxWriteUnavailable)
	if used+d > e.p.MaxWriteUnavailable {
		v = later("%s predicted and %s used, more than max_write_unavailable (%s)", d.Round(time.Millisecond), used.Round(time.Millisecond), e.p.MaxWriteUnavailable)
	}
	v.EvidenceAge = e.now.Sub(e.src.Ended)
	return v
}
