package exporter

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// What a handler answers arrives as it was: code, header and every byte, also
// when it is longer than a page and written in pieces, and when pages of
// another answer are used again.
func TestEncodingChangesNothing(t *testing.T) {
	e := newEncoding(1)
	for _, size := range []int{0, 1, 32<<10 - 1, 32 << 10, 32<<10 + 1, 200_001, 7,
		mostPages*(32<<10) - 1, mostPages * (32 << 10), mostPages*(32<<10) + 1, 3_000_001, 7} {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte(i*7 + size)
		}
		w := httptest.NewRecorder()
		e.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/strange")
			w.WriteHeader(http.StatusTeapot)
			for rest := text; len(rest) > 0; {
				n, err := w.Write(rest[:min(len(rest), 1000)])
				if err != nil || n != min(len(rest), 1000) {
					t.Fatalf("wrote %d: %v", n, err)
				}
				rest = rest[n:]
			}
		}), w, httptest.NewRequest("GET", "/", nil))
		if w.Code != http.StatusTeapot || w.Header().Get("Content-Type") != "text/strange" || !bytes.Equal(w.Body.Bytes(), text) {
			t.Errorf("%d bytes: %d %v, %d bytes", size, w.Code, w.Header(), w.Body.Len())
		}
	}
}

// stuck is a client that does not read.
type stuck struct {
	http.ResponseWriter
	began, goOn chan struct{}
	writes      int
}

func (s *stuck) Write([]byte) (int, error) {
	if s.writes++; s.writes == 1 {
		close(s.began)
		<-s.goOn
	}
	return 0, errors.New("gone")
}

// A client that does not read holds no place, and gets nothing more once it is
// gone; a handler that panics leaves its place.
func TestEncodingWaitsForNoClient(t *testing.T) {
	e := newEncoding(1)
	answer := func(size int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
	}
	var all sync.WaitGroup
	var clients []*stuck
	for _, size := range []int{100_000, 3_000_000} { // one that is held, and one that is too long for that
		s := &stuck{ResponseWriter: httptest.NewRecorder(), began: make(chan struct{}), goOn: make(chan struct{})}
		clients = append(clients, s)
		all.Go(func() { e.serve(answer(size), s, httptest.NewRequest("GET", "/", nil)) })
		<-s.began
	}
	func() {
		defer func() { _ = recover() }()
		e.serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("it stumbles") }), httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	w := httptest.NewRecorder()
	e.serve(answer(100_000), w, httptest.NewRequest("GET", "/", nil))
	if w.Body.Len() != 100_000 {
		t.Errorf("%d bytes", w.Body.Len())
	}
	for _, s := range clients {
		close(s.goOn)
	}
	all.Wait()
	for _, s := range clients {
		if s.writes != 1 {
			t.Errorf("a client that is gone was written to %d times", s.writes)
		}
	}
}

// As many are made at once as there are places, no more, and all are made.
func TestEncodingPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEncoding(2)
		var began, made atomic.Int32
		goOn := make(chan struct{})
		h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			began.Add(1)
			<-goOn
			made.Add(1)
		})
		for range 5 {
			go e.serve(h, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		synctest.Wait()
		if n := began.Load(); n != 2 {
			t.Errorf("%d are made at once, want 2", n)
		}
		close(goOn)
		synctest.Wait()
		if n := made.Load(); n != 5 {
			t.Errorf("%d of 5 were made", n)
		}
	})
}
