package runner

import "sync"

// hub hands events to any number of readers and never waits for one.
type hub struct {
	mu     sync.Mutex
	next   uint64
	subs   map[chan Event]struct{}
	closed bool
}

const hubBuffer = 64

func newHub() *hub { return &hub{subs: map[chan Event]struct{}{}} }

// subscribe makes a reader whose first event is first.
func (h *hub) subscribe(first Event) (<-chan Event, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := make(chan Event, hubBuffer)
	first.Sequence = h.next
	ch <- first
	if h.closed {
		close(ch)
		return ch, func() {}
	}
	h.subs[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, ok := h.subs[ch]; ok {
			delete(h.subs, ch)
			close(ch)
		}
	}
}

// publish gives e to every reader. Where a reader is behind, its oldest event
// goes: each event carries the full state, so only the newest one matters.
func (h *hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.next++
	e.Sequence = h.next
	for ch := range h.subs {
		for {
			select {
			case ch <- e:
			default:
				select {
				case <-ch:
				default:
				}
				continue
			}
			break
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for ch := range h.subs {
		delete(h.subs, ch)
		close(ch)
	}
}
