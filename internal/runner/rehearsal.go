package runner

import (
	"context"
	"slices"
	"sync"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// rehearsal is the second implementation of the servers: the one of a dry
// run. It reads the real ones and lets nothing else through. What a statement
// would do is laid over the readings instead, so that the same Decide goes
// through the same order and names the same statements as a real run would;
// what is laid over is assumed, not seen, and the report says so.
//
// There is no way from here to a Lock or a statement of a real server: a
// Controller in dry run holds nothing but this.
type rehearsal struct {
	source, target Server // only Read and Close are ever called

	mu       sync.Mutex
	marker   map[hadr.Side]string
	mode     map[hadr.Side]hadr.Mode
	role     map[hadr.Side]hadr.Role
	rsstc    hadr.Opt[int64] // of the source's copy
	quiet    bool            // the quiesce hook would have run
	frozen   map[hadr.Side]map[string]hadr.Replica
	last     map[hadr.Side]*hadr.Reading // as last shown
	lastReal map[hadr.Side]*hadr.Reading
}

func newRehearsal(source, target Server) *rehearsal {
	r := &rehearsal{source: source, target: target}
	r.reset()
	return r
}

// reset forgets what was laid over, for the next run.
func (r *rehearsal) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marker, r.mode, r.role = map[hadr.Side]string{}, map[hadr.Side]hadr.Mode{}, map[hadr.Side]hadr.Role{}
	r.rsstc, r.quiet, r.frozen = hadr.Opt[int64]{}, false, nil
	r.last, r.lastReal = map[hadr.Side]*hadr.Reading{}, map[hadr.Side]*hadr.Reading{}
}

// hook notes that a hook would have run.
func (r *rehearsal) hook(name cutover.HookName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch name {
	case cutover.HookQuiesce:
		r.quiet = true
	case cutover.HookUnquiesce:
		r.quiet = false
	}
}

func (r *rehearsal) server(s hadr.Side) Server {
	if s == hadr.Source {
		return &rehearsed{r, s, r.source}
	}
	return &rehearsed{r, s, r.target}
}

// rehearsed is one side.
type rehearsed struct {
	r    *rehearsal
	side hadr.Side
	real Server
}

func (s *rehearsed) Read(ctx context.Context, w Want) (*hadr.Reading, error) {
	got, err := s.real.Read(ctx, w)
	if err != nil {
		return nil, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	shown := s.r.overlay(s.side, got)
	s.r.last[s.side], s.r.lastReal[s.side] = shown, got
	return shown, nil
}

func (s *rehearsed) Lock(context.Context, string) (Lock, error) { return &rehearsedLock{s}, nil }
func (s *rehearsed) Close() error                               { return s.real.Close() }

func (s *rehearsed) ClearRequired(context.Context, string) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.side == hadr.Source {
		s.r.rsstc = hadr.Some[int64](0)
	}
	return nil
}

type rehearsedLock struct{ s *rehearsed }

func (l *rehearsedLock) Identity() hadr.Identity {
	l.s.r.mu.Lock()
	defer l.s.r.mu.Unlock()
	if got := l.s.r.last[l.s.side]; got != nil {
		return got.Identity
	}
	return hadr.Identity{}
}

func (l *rehearsedLock) Alive() bool                        { return true }
func (l *rehearsedLock) Held(context.Context) (bool, error) { return true, nil }
func (l *rehearsedLock) ProbeMarker(context.Context) error  { return nil }
func (l *rehearsedLock) Release() error                     { return nil }

func (l *rehearsedLock) WriteRun(_ context.Context, run string) error {
	l.s.r.mu.Lock()
	defer l.s.r.mu.Unlock()
	l.s.r.marker[l.s.side] = run
	return nil
}

func (l *rehearsedLock) ReadRun(context.Context) (string, error) {
	l.s.r.mu.Lock()
	defer l.s.r.mu.Unlock()
	return l.s.r.marker[l.s.side], nil
}

func (l *rehearsedLock) ClearRun(context.Context, string) error {
	l.s.r.mu.Lock()
	defer l.s.r.mu.Unlock()
	delete(l.s.r.marker, l.s.side)
	return nil
}

// Do lays over what the statement would do.
func (l *rehearsedLock) Do(_ context.Context, st cutover.Statement, _ Guard) error {
	r := l.s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	switch st.Kind {
	case cutover.SetSynchronous:
		r.mode[st.Side] = hadr.ModeSynchronous
	case cutover.SetAsynchronous:
		r.mode[st.Side] = hadr.ModeAsynchronous
	case cutover.RequireSecondary:
		r.rsstc = hadr.Some[int64](1)
	case cutover.ReleaseSecondary:
		r.rsstc = hadr.Some[int64](0)
	case cutover.Demote:
		r.role[hadr.Source] = hadr.RoleSecondary
		r.freeze()
	case cutover.Promote:
		r.role[st.Side] = hadr.RolePrimary
		if st.Side == hadr.Source {
			r.frozen = nil
		}
	}
	return nil
}

// freeze keeps both sides' logs where they were last read, the target's
// brought up to the source's: in a real run nobody could write any more, and
// the target would have received the rest.
func (r *rehearsal) freeze() {
	r.frozen = map[hadr.Side]map[string]hadr.Replica{hadr.Source: {}, hadr.Target: {}}
	src, dst := r.last[hadr.Source], r.last[hadr.Target]
	if src == nil || dst == nil {
		return
	}
	for _, d := range src.Databases {
		if d.Own != nil {
			r.frozen[hadr.Source][d.Name] = *d.Own
		}
	}
	for _, d := range dst.Databases {
		if d.Own == nil {
			continue
		}
		own := *d.Own
		if s, ok := r.frozen[hadr.Source][d.Name]; ok {
			own.LastHardened, own.EndOfLog = later(own.LastHardened, s.LastHardened), later(own.EndOfLog, s.EndOfLog)
		}
		r.frozen[hadr.Target][d.Name] = own
	}
}

// later LSN of the two; one that is unknown stays unknown.
func later(a, b hadr.LSN) hadr.LSN {
	if a.Known() && b.Beyond(a) {
		return b
	}
	return a
}

// overlay is got with everything laid over that was rehearsed so far. got
// itself is left as it is.
func (r *rehearsal) overlay(side hadr.Side, got *hadr.Reading) *hadr.Reading {
	out := *got
	if got.Marker.OK {
		out.Marker = hadr.Some(r.marker[side])
	}
	if r.quiet && got.TransactionsRead {
		out.Transactions = nil
	}
	out.DAG.Members = slices.Clone(got.DAG.Members)
	if m := r.mode[side]; m != hadr.ModeUnknown {
		for i := range out.DAG.Members {
			out.DAG.Members[i].Mode = m
		}
	}
	if side == hadr.Source && r.rsstc.OK && got.DAG.RSSTC.OK {
		out.DAG.RSSTC = r.rsstc
	}
	role := r.role[side]
	if role != hadr.RoleUnknown {
		out.DAG.Role = role
		for i := range out.DAG.Members {
			if m := &out.DAG.Members[i]; m.IsLocal.OK && m.IsLocal.V {
				m.Role = role
			}
		}
	}
	bothSynchronous := r.mode[hadr.Source] == hadr.ModeSynchronous && r.mode[hadr.Target] == hadr.ModeSynchronous
	out.Databases = slices.Clone(got.Databases)
	for i := range out.Databases {
		d := &out.Databases[i]
		if d.Link != nil && bothSynchronous && d.Link.Sync == hadr.Synchronizing {
			link := *d.Link
			link.Sync = hadr.Synchronized
			d.Link = &link
		}
		switch role {
		case hadr.RoleSecondary:
			d.Link, d.Updateability = nil, "read_only"
		case hadr.RolePrimary:
			d.State, d.Updateability = hadr.DBOnline, "read_write"
		}
		if f, ok := r.frozen[side][d.Name]; ok && d.Own != nil {
			own := *d.Own
			own.LastHardened, own.EndOfLog = f.LastHardened, f.EndOfLog
			d.Own = &own
		}
	}
	return &out
}
