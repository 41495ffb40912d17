package cutover

import (
	"strings"
	"testing"
)

// A report shows the gates as evidence: where a person stood in for the alert
// none of them says that an alert fires or that a notification came.
func TestStartedByHandIsSaid(t *testing.T) {
	m := idleMoment()
	m.o.Outside.ByHand, m.o.Outside.LeaseFrom, m.o.Outside.PipelineSeen = true, "run by ops", m.now
	for _, v := range CheckAll(m.p, m.in, m.o, m.now) {
		if v.Gate != GateLease && v.Gate != GatePipeline {
			continue
		}
		if v.State != GateOpen || !strings.HasPrefix(v.Reason, "run by ops: ") || strings.Contains(v.Reason, "firing") || strings.Contains(v.Reason, "notification came") {
			t.Errorf("%s %s: %s", v.Gate, v.State, v.Reason)
		}
	}
}

// A hold without a reason ends without a colon that leads nowhere.
func TestHoldWithoutAReason(t *testing.T) {
	m := idleMoment()
	for reason, want := range map[string]string{"": "held by op since 2026-", "wait": ": wait"} {
		m.o.Outside.Held = &Hold{By: "op", At: m.now, Reason: reason}
		for _, v := range CheckAll(m.p, m.in, m.o, m.now) {
			if v.Gate == GateHeld && (!strings.Contains(v.Reason, want) || strings.HasSuffix(strings.TrimSpace(v.Reason), ":")) {
				t.Errorf("%q: %s", reason, v.Reason)
			}
		}
	}
}
