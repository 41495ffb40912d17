package tds

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Causes of a request's cancellation, for context.Cause.
var (
	ErrAttention    = errors.New("tds: cancelled by the client")
	ErrPeerGone     = errors.New("tds: the client is gone")
	ErrKilled       = errors.New("tds: the connection was killed")
	ErrServerClosed = errors.New("tds: the server was closed")
)

// firstSPID is the first session id that SQL Server gives to a user.
const firstSPID = 51

// Server answers the clients of any number of listeners with one handler. All
// its methods may be called from any goroutine.
type Server struct {
	handler    Handler
	cfg        Config
	version    serverVersion
	tlsWrapped *tls.Config
	tlsStrict  *tls.Config

	latency atomic.Int64
	frozen  gate

	ctx  context.Context // ends with Close
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	ids    uint64
	spids  map[int]bool   // in use
	conns  map[*conn]bool // logged in
}

// NewServer checks cfg and makes a server. Without a certificate it makes one,
// which takes a moment.
func NewServer(h Handler, cfg Config) (*Server, error) {
	if h == nil {
		return nil, errors.New("tds: no handler")
	}
	setDefault(&cfg.Version, "16.0.4166.0")
	setDefault(&cfg.ServerName, "localhost")
	setDefault(&cfg.MaxConnections, 1024)
	setDefault(&cfg.MaxMessage, 16<<20)
	setDefault(&cfg.LoginTimeout, 15*time.Second)
	setDefault(&cfg.MessageTimeout, 30*time.Second)
	setDefault(&cfg.WriteTimeout, 30*time.Second)
	if cfg.MaxConnections < 0 || cfg.MaxMessage < 0 || cfg.LoginTimeout < 0 || cfg.MessageTimeout < 0 || cfg.WriteTimeout < 0 {
		return nil, errors.New("tds: negative limit")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	version, err := parseVersion(cfg.Version)
	if err != nil {
		return nil, fmt.Errorf("tds: %w", err)
	}
	if len(cfg.Certificate.Certificate) == 0 {
		if cfg.Certificate, _, err = SelfSigned(); err != nil {
			return nil, fmt.Errorf("tds: %w", err)
		}
	}
	s := &Server{handler: h, cfg: cfg, version: version, spids: map[int]bool{}, conns: map[*conn]bool{}}
	s.tlsWrapped, s.tlsStrict = tlsConfigs(cfg.Certificate)
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	return s, nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// CertificatePEM is the certificate that clients must be told to trust.
func (s *Server) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cfg.Certificate.Certificate[0]})
}

// SetLatency sets the round-trip time of all connections that have none of their
// own: half passes before a request is seen, half before its answer is sent.
func (s *Server) SetLatency(d time.Duration) { s.latency.Store(int64(max(d, 0))) }

// Freeze stops (or resumes) all reading and writing, as if the process stood
// still: sockets stay open, new ones are accepted and not answered. Requests
// under way go on until they write.
func (s *Server) Freeze(on bool) { s.frozen.set(on) }

// Connections lists the connections that are logged in, by ID.
func (s *Server) Connections() []ConnInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ConnInfo, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c.info)
	}
	slices.SortFunc(list, func(a, b ConnInfo) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return list
}

// Serve accepts connections on ln until ctx ends or Close is called; both are no
// error. It closes ln, ends its connections and returns when nothing of them is
// left.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = ln.Close() // it was handed over to be closed
		return ErrServerClosed
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()

	// One context for both ends, so that requests always see ErrServerClosed.
	all, end := context.WithCancelCause(context.WithoutCancel(ctx))
	var conns sync.WaitGroup
	defer conns.Wait()
	defer end(ErrServerClosed)
	for _, outer := range []context.Context{ctx, s.ctx} {
		stop := context.AfterFunc(outer, func() { end(ErrServerClosed) })
		defer stop()
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(all, func() {
		_ = ln.Close() // Accept says so
		close(closed)
	})
	defer func() {
		end(ErrServerClosed)
		if !stop() {
			<-closed
		}
	}()

	var delay time.Duration
	for {
		nc, err := ln.Accept()
		if all.Err() != nil {
			if err == nil {
				_ = nc.Close() // came too late
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			// Out of descriptors, or a client that left early: neither is the end.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.cfg.Logger.Warn("accept failed", "err", err, "again_in", delay)
			select {
			case <-time.After(delay):
			case <-all.Done():
			}
			continue
		}
		delay = 0
		c := s.admit(nc)
		if c == nil {
			_ = nc.Close() // full
			continue
		}
		conns.Add(1)
		go func() {
			defer conns.Done()
			defer s.leave(c)
			c.serve(all)
		}()
	}
}

// admit makes a connection, or nil when there are enough.
func (s *Server) admit(nc net.Conn) *conn {
	if t, ok := nc.(*net.TCPConn); ok {
		// Without it a peer that vanished would stay for hours; not fatal if refused.
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spids) >= s.cfg.MaxConnections {
		s.cfg.Logger.Warn("too many connections", "limit", s.cfg.MaxConnections, "peer", nc.RemoteAddr().String())
		return nil
	}
	spid := firstSPID
	for s.spids[spid] {
		spid++
	}
	s.spids[spid] = true
	s.ids++
	return newConn(s, nc, s.ids, spid)
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.spids, c.info.SPID)
}

func (s *Server) setLoggedIn(c *conn, in bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in {
		s.conns[c] = true
	} else {
		delete(s.conns, c)
	}
}

// Close ends every connection and every Serve, and waits for all goroutines. It
// thaws a frozen server only in so far as it ends it.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop(ErrServerClosed)
	s.wg.Wait()
	return nil
}
