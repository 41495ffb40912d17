package runner

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// TestLogOfAStandingRun: the source is gone for ten minutes with RSSTC=1 on it. It
// is tried every two seconds all the time, and the log of the run, which people
// read to see what happened, does not grow by each of them.
func TestLogOfAStandingRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.p.onStatement(func(v *servers, st cutover.Statement) fate {
			if st.Kind == cutover.RequireSecondary {
				v.side[hadr.Source].down = true
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		defer r.close()
		r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
		time.Sleep(10 * time.Minute)
		r.p.set(hadr.Source, func(s *fakeSide) { s.down = false })
		r.fire()
		r.wantOutcome("aborted")
		r.wantState(sourcePrimary)
		runs, err := r.j.Runs("erp")
		if err != nil {
			t.Fatal(err)
		}
		rec, err := r.j.Load(runs[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		tries, count, since := 0, map[string]int{}, 0
		for _, n := range rec.Intent.Sent {
			if n.Statement.Kind == cutover.ReleaseSecondary {
				tries += max(1, n.Tries)
			}
		}
		for _, e := range rec.Events {
			count[e.Kind]++
			if strings.Contains(e.Text, "times more since ") {
				since++
			}
		}
		if tries < 200 {
			t.Errorf("RSSTC=0 was tried %d times", tries)
		}
		if len(rec.Events) > 200 || since < 5 {
			t.Errorf("%d events, %d of them for many: %v", len(rec.Events), since, count)
		}
		if last := rec.Events[len(rec.Events)-1]; !strings.Contains(last.Text, "aborted") {
			t.Errorf("the last one: %+v", last)
		}
	})
}

// TestEveryS3IsTold: what is thinned out is RSSTC=0 alone. S3 on the way back that
// is refused for minutes, and then of unknown outcome, has a line for each.
func TestEveryS3IsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		n := 0
		r.p.onStatement(func(v *servers, st cutover.Statement) fate {
			switch {
			case st.Kind == cutover.Demote:
				v.stuckTarget = true
				v.side[hadr.Source].log++
			case st.Kind == cutover.Promote && st.Side == hadr.Source:
				n++
				if n <= 14 {
					return fate{err: fakeErr("promote", sqlserver.ClassRetry, "busy")}
				}
				if n == 15 {
					return fate{err: fakeErr("promote", sqlserver.ClassUnknown, "no answer")}
				}
			}
			return fate{lands: true}
		})
		r.start().arm(false)
		defer r.close()
		r.fireFor(time.Hour)
		runs, err := r.j.Runs("erp")
		if err != nil {
			t.Fatal(err)
		}
		rec, err := r.j.Load(runs[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		sent, answers := 0, 0
		for _, e := range rec.Events {
			if strings.Contains(e.Text, "about to send promote on the source") {
				sent++
			}
			if e.Kind == "statement" && strings.Contains(e.Text, "promote on the source") {
				answers++
			}
		}
		if n < 15 || sent != n || answers != n {
			t.Errorf("S3 on the source was sent %d times: %d lines say so, %d have the answer\n%s", n, sent, answers, r.log())
		}
	})
}
