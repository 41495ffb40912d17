package runner

import (
	"testing"
	"testing/synctest"
	"time"
)

// An approval is of an arming: taken away, or over, it takes the approval with
// it, also where the plan is the same. Prolonged in time, it keeps it.
func TestApprovalsEndWithTheArming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.dag.Cutover.Approvals = nil // one
		r.start()
		defer r.close()
		ctx := t.Context()
		arm := func(d time.Duration) string {
			t.Helper()
			a, err := r.c.Arm(ctx, ArmRequest{Request: Request{By: "anna"}, For: d})
			if err != nil {
				t.Fatal(err)
			}
			return a.PlanHash
		}
		approve := func(hash string) {
			t.Helper()
			if _, err := r.c.Approve(ctx, ApproveRequest{Request: Request{By: "lead"}, PlanHash: hash}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(n int, what string) {
			t.Helper()
			if s := r.c.Status(); len(s.Approvals) != n {
				t.Errorf("%s: approvals %+v", what, s.Approvals)
			}
		}
		hash := arm(time.Hour)
		approve(hash)
		if again := arm(2 * time.Hour); again != hash {
			t.Fatalf("the plan has changed: %s, %s", hash, again)
		}
		want(1, "prolonged in time")
		if err := r.c.Disarm(ctx, Request{By: "anna"}); err != nil {
			t.Fatal(err)
		}
		want(0, "disarmed")
		approve(arm(time.Hour))
		time.Sleep(2 * time.Hour)
		arm(time.Hour)
		want(0, "armed again when the first arming was over")
		approve(hash)
		r.c.DisarmAll("the web config demands nothing any more")
		want(0, "everything disarmed")
	})
}
