package cutover

import (
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// mix makes one member synchronous and the other not, in a side's own copy.
func mix(r *hadr.Reading) {
	r.DAG.Members[0].Mode, r.DAG.Members[1].Mode = hadr.ModeSynchronous, hadr.ModeAsynchronous
}

// TestMixedModesAreRefused: S1 and its way back set both members alike, so a
// copy in which they differ could not be brought back: nothing starts.
func TestMixedModesAreRefused(t *testing.T) {
	for _, side := range []hadr.Side{hadr.Source, hadr.Target} {
		m := idleMoment()
		if v := m.verdict(GateWayBack); !v.Open() {
			t.Fatalf("alike: %+v", v)
		}
		r := m.src
		if side == hadr.Target {
			r = m.tgt
		}
		mix(r)
		v := m.verdict(GateWayBack)
		if v.State != GateClosed || v.WaitingHelps || !strings.Contains(v.Reason, "in the "+string(side)+"'s own copy of DAG, OnPremAG is SYNCHRONOUS") || !strings.Contains(v.Reason, "AzureAG is ASYNCHRONOUS") {
			t.Errorf("%s: %+v", side, v)
		}
		if d := m.decide(); d.Action == ActionStart {
			t.Errorf("%s: %s", side, describe(d))
		}
		// Altered between the gates and the first round of the run: before
		// 2017 no sequence number shows that.
		m.in = Begin(m.p, testRun, *m.o.Outside.Armed, nil, m.now)
		if d := m.decide(); d.Intent.GoingBack == nil || !strings.Contains(d.Intent.GoingBack.Reason, "own copy") {
			t.Errorf("%s, after the start: %s %+v", side, describe(d), d.Intent.GoingBack)
		}
	}
	for _, k := range []hadr.Mode{hadr.ModeUnknown, "configuration_only"} {
		m := idleMoment()
		m.src.DAG.Members[0].Mode, m.src.DAG.Members[1].Mode = k, k
		if v := m.verdict(GateWayBack); v.Open() {
			t.Errorf("both %q: %+v", k, v)
		}
	}
}

// TestModesComeBackPerSide: each side keeps its own copy, and each is brought
// back to what was found in it.
func TestModesComeBackPerSide(t *testing.T) {
	for name, c := range map[string]struct {
		source, target bool // synchronous when the run begins
		sent           string
	}{
		"both asynchronous":       {false, false, "set_asynchronous target, set_asynchronous source"},
		"only the target's copy":  {false, true, "set_asynchronous source"},
		"only the source's copy":  {true, false, "set_asynchronous target"},
		"both synchronous before": {true, true, ""},
	} {
		for _, after := range []Kind{SetSynchronous, Demote} {
			t.Run(name+", after "+string(after), func(t *testing.T) {
				s := newSim(false)
				s.w.s[0].sync, s.w.s[1].sync = c.source, c.target
				s.begin()
				s.until(t, 60, func(d Decision) bool {
					return after == Demote && sends(Demote, hadr.Source)(d) || after == SetSynchronous && s.in.Phase == PhaseWaitSynchronized
				})
				s.out = rollback
				s.until(t, 60, finishes)
				s.clean(t)
				if s.w.s[0].sync != c.source || s.w.s[1].sync != c.target {
					t.Errorf("source's copy synchronous %v, target's %v: %s", s.w.s[0].sync, s.w.s[1].sync, s.acts())
				}
				var sent []string
				for _, l := range s.log {
					if strings.HasPrefix(l, "set_asynchronous") {
						sent = append(sent, l)
					}
				}
				if got := strings.Join(sent, ", "); got != c.sent {
					t.Errorf("sent %q, want %q", got, c.sent)
				}
			})
		}
	}
}

// TestLateS1: the answer of S1 was lost, the run goes back, and S1 lands after
// all. It is waited for before the run is called aborted, and what it did is
// taken back or said.
func TestLateS1(t *testing.T) {
	s := newSim(false).begin()
	s.answer = func(s *sim, st Statement) (Answer, bool) {
		if st.Kind == SetSynchronous && st.Side == hadr.Source {
			s.w.defer_(SetSynchronous, 0, 6)
			return AnswerUnknown, false
		}
		return AnswerAccepted, true
	}
	s.until(t, 60, sends(SetSynchronous, hadr.Source))
	s.out = rollback
	var d Decision
	for d = s.round(); d.Action != ActionFinish; d = s.roundAfter(2 * time.Second) {
		if len(s.log) > 200 {
			t.Fatalf("no end: %s", d.Reason)
		}
	}
	s.clean(t)
	if s.w.lates > 0 {
		t.Errorf("called %s while S1 may still land", s.in.Outcome)
	}
	if s.w.s[0].sync && d.Page == nil {
		t.Errorf("called %s with synchronous commit left behind, and nobody is told: %s", s.in.Outcome, s.acts())
	}
	if s.in.Outcome != OutcomeAborted {
		t.Errorf("outcome %s", s.in.Outcome)
	}
}
