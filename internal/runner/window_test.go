package runner

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestWindowClosesBeforeTheQuiesce: a run begins in the change window and waits
// for the link until the window is over. Nobody agreed to an outage then: the
// writers are not stopped, and the run goes back.
func TestWindowClosesBeforeTheQuiesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		end := time.Now().Add(5 * time.Minute)
		r.dag.Cutover.NotAfter = end
		r.p.onStatement(func(v *servers, st cutover.Statement) fate {
			if st.Kind == cutover.SetSynchronous && st.Side == hadr.Target {
				v.stuckTarget = true
				v.side[hadr.Source].log++
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		defer r.close()
		time.AfterFunc(10*time.Minute, func() { r.p.with(func(v *servers) { v.stuckTarget = false }) })
		r.fireFor(30 * time.Minute)
		rep := r.wantOutcome("aborted")
		if rep.GoingBack == nil || !strings.Contains(rep.GoingBack.Reason, "window") {
			t.Errorf("went back: %+v", rep.GoingBack)
		}
		if slices.Contains(r.p.statements(), "demote source") || len(r.h.names()) > 0 {
			t.Errorf("outside of the window: sent %v, hooks %v", r.p.statements(), r.h.names())
		}
		r.wantState(sourcePrimary)
	})
}
