package model

import (
	"container/heap"
	"time"
)

// event is something that happens at a moment. Events of one moment happen in the order in which they were planned.
type event struct {
	at    time.Time
	seq   uint64
	run   func()
	index int
}

type eventQueue []*event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q eventQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *eventQueue) Push(x any) {
	e := x.(*event)
	e.index = len(*q)
	*q = append(*q, e)
}
func (q *eventQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.index = -1
	return e
}

// after plans run at d from now. The result can be handed to cancel.
func (m *Model) after(d time.Duration, run func()) *event {
	if d < 0 {
		d = 0
	}
	m.seq++
	e := &event{at: m.now.Add(d), seq: m.seq, run: run}
	heap.Push(&m.queue, e)
	return e
}

// After lets f happen d from the model's present. It belongs to whoever may call the model, and so does f.
func (m *Model) After(d time.Duration, f func()) { m.after(d, f) }

func (m *Model) cancel(e *event) {
	if e != nil && e.index >= 0 {
		heap.Remove(&m.queue, e.index)
	}
}

// Next returns the moment of the next planned event; false if nothing is planned.
func (m *Model) Next() (time.Time, bool) {
	if len(m.queue) == 0 {
		return time.Time{}, false
	}
	return m.queue[0].at, true
}

// AdvanceTo lets everything happen that is planned up to t, in order, and leaves the clock at t. A t in the past is now.
func (m *Model) AdvanceTo(t time.Time) {
	for len(m.queue) > 0 && !m.queue[0].at.After(t) {
		e := heap.Pop(&m.queue).(*event)
		if e.at.After(m.now) {
			m.now = e.at
		}
		m.rev++
		e.run()
	}
	if t.After(m.now) {
		m.now = t
	}
}

// Advance is AdvanceTo for d from the model's present.
func (m *Model) Advance(d time.Duration) { m.AdvanceTo(m.now.Add(d)) }

// Now is the model's present.
func (m *Model) Now() time.Time { return m.now }
