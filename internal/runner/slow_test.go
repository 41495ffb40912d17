package runner

import (
	"context"
	"slices"
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
