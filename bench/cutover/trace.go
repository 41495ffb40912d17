package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// tracer writes down what the engine asks of the servers and how long each
// question takes, from a second before S2 on.
type tracer struct {
	out io.Writer // nil: nothing is traced
	mu  sync.Mutex
	all []asked
}

type asked struct {
	side       hadr.Side
	what       string
	began, end time.Time
}

func (t *tracer) wrap(s runner.Server, side hadr.Side) runner.Server {
	if t.out == nil {
		return s
	}
	return &tracedServer{Server: s, t: t, side: side}
}

func (t *tracer) took(side hadr.Side, what string, began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, asked{side, what, began, time.Now()})
}

// show prints the trace with times in milliseconds after S2.
func (t *tracer) show(m marks) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.all {
		if at := a.began.Sub(m.s2); t.out != nil && at > -time.Second && a.began.Before(m.writable) {
			fmt.Fprintf(t.out, "%6d ms  %-6s  %-10s  %4d ms\n", at.Milliseconds(), a.side, a.what, a.end.Sub(a.began).Milliseconds()) //nolint:errcheck // a terminal
		}
	}
	if t.out != nil {
		fmt.Fprintf(t.out, "%6d ms  writable\n", m.total().Milliseconds()) //nolint:errcheck // a terminal
	}
}

type tracedServer struct {
	runner.Server
	t    *tracer
	side hadr.Side
}

func (s *tracedServer) Read(ctx context.Context, want runner.Want) (*hadr.Reading, error) {
	began := time.Now()
	defer s.t.took(s.side, "read", began)
	return s.Server.Read(ctx, want)
}

func (s *tracedServer) Lock(ctx context.Context, resource string) (runner.Lock, error) {
	l, err := s.Server.Lock(ctx, resource)
	if err != nil {
		return nil, err
	}
	return &tracedLock{Lock: l, t: s.t, side: s.side}, nil
}

type tracedLock struct {
	runner.Lock
	t    *tracer
	side hadr.Side
}

func (l *tracedLock) Held(ctx context.Context) (bool, error) {
	defer l.t.took(l.side, "lock held?", time.Now())
	return l.Lock.Held(ctx)
}

func (l *tracedLock) Do(ctx context.Context, st cutover.Statement, g runner.Guard) error {
	defer l.t.took(l.side, string(st.Kind), time.Now())
	return l.Lock.Do(ctx, st, g)
}
