package exporter

import (
	"net/http"
	"sync"
)

// encoding bounds how many expositions are made at the same time. Making one
// needs no server and no client, only a processor, and several times the memory
// of the readings that it tells of; more of them than processors are not ready
// any sooner, they only exist at the same time. Waiting for servers is not
// bounded by this, and no client that reads slowly holds a place: an answer is
// held in memory until it is whole, or so long that the rest goes out without a
// place.
type encoding struct {
	places chan struct{}
	pages  sync.Pool // of *page
}

// page is a piece of an answer.
type page struct {
	bytes [32 << 10]byte
	used  int
}

// mostPages of an answer are held: 512 KiB. 50 databases are 280 KiB, and 14
// when they are compressed, which Prometheus asks for.
const mostPages = 16

func newEncoding(places int) *encoding {
	return &encoding{places: make(chan struct{}, places), pages: sync.Pool{New: func() any { return new(page) }}}
}

// serve lets h answer.
func (e *encoding) serve(h http.Handler, w http.ResponseWriter, r *http.Request) {
	out := &held{encoding: e, to: w, code: http.StatusOK}
	defer out.free()
	out.make(h, r)
	_ = out.flush() // the client went away
}

// held is an answer on its way.
type held struct {
	*encoding
	to     http.ResponseWriter
	code   int
	pages  []*page // all full but the last
	placed bool    // it has one of the places
	begun  bool    // what comes goes to the client at once
}

func (h *held) make(from http.Handler, r *http.Request) {
	h.places <- struct{}{}
	h.placed = true
	defer h.leave()
	from.ServeHTTP(h, r)
}

func (h *held) leave() {
	if h.placed {
		h.placed = false
		<-h.places
	}
}

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header { return h.to.Header() }

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(code int) {
	if h.begun {
		h.to.WriteHeader(code)
	}
	h.code = code
}

// Write implements http.ResponseWriter.
func (h *held) Write(b []byte) (n int, err error) {
	for n < len(b) && !h.begun {
		p := h.page()
		if p == nil {
			h.leave()
			if err := h.flush(); err != nil {
				return n, err
			}
			break
		}
		m := copy(p.bytes[p.used:], b[n:])
		p.used, n = p.used+m, n+m
	}
	if n == len(b) {
		return n, nil
	}
	m, err := h.to.Write(b[n:])
	return n + m, err
}

// page has room; nil if enough is held.
func (h *held) page() *page {
	if last := len(h.pages) - 1; last >= 0 && h.pages[last].used < len(h.pages[last].bytes) {
		return h.pages[last]
	}
	if len(h.pages) == mostPages {
		return nil
	}
	p := h.encoding.pages.Get().(*page)
	h.pages = append(h.pages, p)
	return p
}

// flush writes what is held.
func (h *held) flush() error {
	if !h.begun {
		h.begun = true
		h.to.WriteHeader(h.code)
	}
	defer h.free()
	for _, p := range h.pages {
		if _, err := h.to.Write(p.bytes[:p.used]); err != nil {
			return err
		}
	}
	return nil
}

func (h *held) free() {
	for _, p := range h.pages {
		p.used = 0
		h.encoding.pages.Put(p)
	}
	h.pages = nil
}
