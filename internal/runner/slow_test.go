package runner

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// slowServer takes a time of its own over each reading, and is cut off by the
// deadline as a real one is: the statement had no complete answer in time.
type slowServer struct {
	Server
	guarded[time.Duration]
}

func (s *slowServer) Read(ctx context.Context, w Want) (*hadr.Reading, error) {
	var takes time.Duration
	s.with(func(v *time.Duration) { takes = *v })
	t := time.NewTimer(takes)
	defer t.Stop()
	select {
	case <-t.C:
		return s.Server.Read(ctx, w)
	case <-ctx.Done():
		return nil, fakeErr("read", sqlserver.ClassUnknown, "no complete answer in time")
	}
}

// TestReadingThatTakesLong: from S2 on a side with hundreds of databases needs
// longer over a reading than the short deadline of these seconds, and less than
// the ordinary one. It is waited for: cut off again and again it would never be
// read, and no side would take writes until a human came.
func TestReadingThatTakesLong(t *testing.T) {
	for _, side := range []hadr.Side{hadr.Source, hadr.Target} {
		t.Run(string(side), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				slow := map[hadr.Side]*slowServer{hadr.Source: {Server: r.p.server(hadr.Source)}, hadr.Target: {Server: r.p.server(hadr.Target)}}
				r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
					if st.Kind == cutover.Demote {
						slow[side].with(func(v *time.Duration) { *v = 4 * time.Second })
					}
					return fate{lands: true}
				})
				r.startWith(slow[hadr.Source], slow[hadr.Target]).arm(false)
				defer r.close()
				began := time.Now()
				r.fire()
				r.wantOutcome("done")
				r.wantState(targetPrimary)
				if took := time.Since(began); took > 3*time.Minute {
					t.Errorf("it took %s", took)
				}
				if got := r.p.statements(); !slices.Contains(got, "promote target") {
					t.Error(got)
				}
			})
		})
	}
}

// goneServer does not answer while it is gone, and the server was asked: the
// outcome is unknown.
type goneServer struct {
	Server
	gone atomic.Bool
}

func (s *goneServer) Read(ctx context.Context, w Want) (*hadr.Reading, error) {
	if s.gone.Load() {
		<-ctx.Done()
		return nil, fakeErr("read", sqlserver.ClassUnknown, "no complete answer in time")
	}
	return s.Server.Read(ctx, w)
}

func (s *goneServer) ClearRequired(ctx context.Context, group string) error {
	if s.gone.Load() {
		<-ctx.Done()
		return fakeErr("require_0", sqlserver.ClassUnknown, "no answer")
	}
	return s.Server.ClearRequired(ctx, group)
}

// TestExposureWhileTheTargetHangs: with RSSTC=1 on the source the target takes a
// reading and never answers. The longer deadline is of the time after S2: here
// commits wait, and require_exposure is kept but for the readings under way.
func TestExposureWhileTheTargetHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		tgt := &goneServer{Server: r.p.server(hadr.Target)}
		var on, off time.Time
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			switch {
			case st.Kind == cutover.RequireSecondary:
				on = time.Now()
				tgt.gone.Store(true)
			case st.Kind == cutover.ReleaseSecondary && off.IsZero():
				off = time.Now()
			}
			return fate{lands: true}
		})
		r.startWith(r.p.server(hadr.Source), tgt).arm(false)
		defer r.close()
		time.AfterFunc(5*time.Minute, func() { tgt.gone.Store(false) })
		r.fireFor(20 * time.Minute)
		if got, most := off.Sub(on), 15*time.Second+2*3*time.Second; got > most {
			t.Errorf("RSSTC=1 stood for %s, more than %s", got, most)
		}
		r.wantOutcome("aborted")
	})
}

// TestStuckWhileTheSourceHangs: the source hangs with RSSTC=1 on it, so that each
// round is one more RSSTC=0, and somebody forces the target. A human is called all
// the same, and can take the run over.
func TestStuckWhileTheSourceHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		src := &goneServer{Server: r.p.server(hadr.Source)}
		r.p.onStatement(func(_ *servers, st cutover.Statement) fate {
			if st.Kind == cutover.Demote {
				src.gone.Store(true)
				time.AfterFunc(20*time.Second, func() { r.p.with(func(v *servers) { v.land(cutover.Promote, hadr.Target) }) })
			}
			return fate{lands: true}
		})
		r.startWith(src, r.p.server(hadr.Target)).arm(false)
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(10 * time.Minute)
		rec, err := r.j.Load(r.c.Status().Run)
		if err != nil {
			t.Fatal(err)
		}
		if stuck := rec.Intent.Stuck; stuck == "" || !strings.Contains(strings.Join(r.pageIDs(), " "), stuck) {
			t.Errorf("it is stuck (%q), and the pages are %v", stuck, r.pageIDs())
		}
		if err := r.c.Acknowledge(t.Context(), Request{By: "ben"}); err != nil {
			t.Error(err)
		}
		src.gone.Store(false)
		r.c.Kill()
	})
}
