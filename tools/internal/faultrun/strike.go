package faultrun

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// request is told of every request to the lab, before it runs.
func (w *world) request(side lab.Side, _ int, text string) {
	k := kindOf(text)
	if k == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dieNext {
		w.dieLocked()
		w.faultLocked(lab.Fault{Side: side.String(), Text: k.match, LoseAnswer: "before", Reset: true})
		w.logLocked("killed at the sight of %s on the %s, which does not run", k.name, side)
		return
	}
	if !w.armed {
		return
	}
	name := w.track.see(k, side)
	h, ok := w.dueLocked(name)
	if !ok {
		return
	}
	w.strikeLocked(h, k, side)
}

// dueLocked counts a step and gives the hit that is meant for it.
func (w *world) dueLocked(name string) (Hit, bool) {
	if name == "" {
		return Hit{}, false
	}
	w.steps++
	w.logLocked("step %d: %s", w.steps, name)
	if len(w.hits) == 0 {
		return Hit{}, false
	}
	h := w.hits[0]
	if h.At != name && (h.At != "" || w.steps < h.Nth) {
		return Hit{}, false
	}
	w.hits = w.hits[1:]
	w.struck = append(w.struck, fmt.Sprintf("%s: %s, %s", name, h.Wire, h.Do))
	w.logLocked("hit: %s, %s", h.Wire, h.Do)
	return h, true
}

func (w *world) faultLocked(f lab.Fault) {
	if _, err := w.lab.Control().Fault(f); err != nil {
		w.logLocked("fault: %v", err)
	}
}

func (w *world) dieLocked() {
	w.dieNext, w.dieAt = false, time.Time{}
	w.proc.kill()
	w.killed <- struct{}{}
}

// strikeLocked does to a request what the hit says.
func (w *world) strikeLocked(h Hit, k *kind, side lab.Side) {
	f := lab.Fault{Side: side.String(), Text: k.match}
	breaks := h.Wire != Cut
	switch h.Do {
	case Applied:
		if breaks {
			f.LoseAnswer = "after"
		}
	case Not:
		f.LoseAnswer = "before"
	case Late:
		switch {
		case k.alter:
			// A fault of a statement sees its own text, not the batch around it.
			w.faultLocked(lab.Fault{Side: side.String(), Class: k.class, Late: lab.Duration(lateBy)})
			if breaks {
				f.LoseAnswer = "after"
			}
		case breaks:
			f.BreakFirst, f.DelayRequest = true, lab.Duration(lateBy)
		default:
			f.DelayRequest = lab.Duration(lateBy)
		}
	}
	f.Reset = h.Wire == Reset || h.Wire == Cut && h.Do == Not
	f.Hang = h.Wire == Lost || h.Wire == Freeze || h.Wire == Sight
	if f.BreakFirst || f.LoseAnswer != "" || f.DelayRequest > 0 {
		w.faultLocked(f)
	}
	w.surroundLocked(h, side)
}

// surroundLocked is what a hit does besides its step: the link, the server,
// and the death.
func (w *world) surroundLocked(h Hit, side lab.Side) {
	ctl := w.lab.Control()
	switch h.Wire {
	case Cut:
		_ = ctl.Cut() // an error means that the lab has ended, and so has the case
		w.heal = func() { _ = ctl.Heal() }
	case Freeze:
		wait := time.Duration(0) // not applied: it never moves
		switch h.Do {
		case Applied:
			wait = 60 * time.Millisecond // the effect is there by then
		case Late:
			wait = 20 * time.Millisecond // accepted; it lands when the server moves again
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(wait)
			_ = ctl.Freeze(side, 0)
		}()
		w.heal = func() { <-done; _ = ctl.Unfreeze(side, 0) }
	}
	switch {
	case h.Stay:
		w.stayHeal <- h
	case h.Wire == Sight && h.Do == Not:
		w.dieLocked()
	case h.Wire == Sight:
		// It waits for an answer that never leaves: whenever it dies now, it
		// dies as if at once. A server that notices that its client is gone
		// stops what it runs, so the statement is given the time that it needs.
		w.dieAt = time.Now().Add(2 * dying / 3)
	default:
		w.dieNext, w.dieAt = true, time.Now().Add(dying)
	}
}

// dieOfAge kills a webhook that gave no further sign of life after a hit.
func (w *world) dieOfAge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.dieAt.IsZero() && time.Now().After(w.dieAt) {
		w.logLocked("killed while it waited")
		w.dieLocked()
	}
}

// hook is a hook of the webhook, which can be hit like a statement.
func (w *world) hook(rw http.ResponseWriter, name string, set func()) {
	w.mu.Lock()
	if w.dieNext {
		w.dieLocked()
		w.logLocked("killed at the sight of the %s hook, which does not run", name)
		w.mu.Unlock()
		abort(rw)
		return
	}
	w.hookSeq++
	seq := w.hookSeq
	h, ok := w.dueLocked(w.track.step(name + " hook"))
	if ok {
		w.surroundLocked(h, lab.Source)
	}
	w.mu.Unlock()
	switch {
	case !ok || h.Do == Applied:
		set()
	case h.Do == Late:
		time.AfterFunc(lateBy, func() {
			w.mu.Lock()
			newest := seq == w.hookSeq
			w.mu.Unlock()
			if newest { // what a later call asked for stands
				set()
			}
		})
	}
	switch {
	case !ok || h.Wire == Freeze && h.Do != Not || h.Wire == Cut && h.Do != Not:
	case h.Wire == Freeze || h.Wire == Cut:
		http.Error(rw, "the hook could not do it", http.StatusInternalServerError)
	case h.Wire == Lost || h.Wire == Sight:
		time.Sleep(3 * time.Second) // longer than the hook may take, or the webhook lives
	default:
		abort(rw)
	}
}

// abort resets the connection of a request.
func abort(rw http.ResponseWriter) {
	hj, ok := rw.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hj.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // else it is a close, which is as good
	}
	_ = conn.Close()
}
