package main

import (
	"net"
	"net/http"
)

// hookServer is the application's side of the cutover: the webhook calls it
// to stop the writers, to let them go on, and to point them at the target.
type hookServer struct {
	addr   string
	server *http.Server
	done   chan struct{}
}

func serveHooks(d *demo) (*hookServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /quiesce", func(w http.ResponseWriter, r *http.Request) {
		if err := d.writer.quiesce(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		d.say("application", "the quiesce hook stopped the clients")
	})
	mux.HandleFunc("POST /unquiesce", func(http.ResponseWriter, *http.Request) {
		d.writer.goOn("source")
		d.say("application", "the clients go on at the source")
	})
	mux.HandleFunc("POST /repoint", func(http.ResponseWriter, *http.Request) {
		d.writer.goOn("target")
		d.say("application", "the clients go on at the target")
	})
	s := &hookServer{addr: l.Addr().String(), server: &http.Server{Handler: mux}, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ends with ErrServerClosed
	}()
	return s, nil
}

func (s *hookServer) close() {
	_ = s.server.Close()
	<-s.done
}
