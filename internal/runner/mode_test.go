package runner

import (
	"testing"
	"testing/synctest"
	"time"
)

// In a dry run anybody may arm, approve and tick: what was said of one starts
// nothing real after the mode was changed, whether the dry run has begun or not.
func TestDryArmingStartsNothingReal(t *testing.T) {
	for name, begun := range map[string]bool{"armed": false, "under way, ended by the restart": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.dag.Cutover.Mode, r.dag.Cutover.Approvals, r.dag.Cutover.Checklist = "dry_run", nil, []string{"DNS"}
				disk := &hungJournal{Journal: r.j, back: make(chan struct{})}
				r.j = disk
				r.start()
				a, err := r.c.Arm(t.Context(), ArmRequest{Request: Request{By: "anna"}, Checklist: []string{"DNS"}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.c.Approve(t.Context(), ApproveRequest{Request: Request{By: "lead"}, PlanHash: a.PlanHash}); err != nil {
					t.Fatal(err)
				}
				if begun {
					disk.hang("Put")
					r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
					for r.c.Status().Run == "" {
						time.Sleep(time.Millisecond)
					}
				}
				r.c.Kill()
				disk.goOn()
				r.dag.Cutover.Mode = "execute"
				r.start()
				defer r.close()
				if s := r.c.Status(); s.Arming != nil && s.Arming.Spent == "" || len(s.Approvals) > 0 {
					t.Errorf("armed %+v, approvals %+v", s.Arming, s.Approvals)
				}
				time.Sleep(time.Minute)
				if begun { // who arms anew must not find what was approved and ticked before
					if _, err := r.c.Arm(t.Context(), ArmRequest{Request: Request{By: "anna"}}); err != nil {
						t.Fatal(err)
					}
				}
				for range 4 {
					r.c.LeaseSeen(Alert{Name: "A", Firing: true}, time.Now())
					time.Sleep(15 * time.Second)
				}
				if got := r.p.touched(); len(got) > 0 {
					t.Errorf("a real run began: %v", got)
				}
			})
		})
	}
}
