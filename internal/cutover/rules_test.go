package cutover

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// ruleCase is one trace that a rule prevents. drive plays it and tells what
// went wrong besides what sim finds by itself. With every rule on nothing may
// be wrong; with off something must be.
type ruleCase struct {
	rule  string
	name  string
	off   rules
	drive func(s *sim) (bad []string)
}

func rollback(_ time.Time, o *Outside) {
	o.RollbackRequested = &Hold{By: "op", At: t0, Reason: "changed my mind"}
}

func held(_ time.Time, o *Outside) { o.Held = &Hold{By: "op", At: t0, Reason: "wait"} }

// to runs until stop, quietly: a trace that is not reached shows as bad.
func (s *sim) to(n int, stop func(Decision) bool) {
	for range n {
		if stop(s.round()) {
			return
		}
	}
	s.bad = append(s.bad, "trace not reached: "+s.in.Phase2()+": "+s.last.Reason)
}

// Phase2 is the phase for messages.
func (i *Intent) Phase2() string { return string(i.Phase) }

// never runs n rounds and reports every line that matches.
func (s *sim) never(n int, what string) (bad []string) {
	from := len(s.log)
	for range n {
		if s.in.Ended.IsZero() {
			s.round()
		}
	}
	for _, l := range s.log[from:] {
		if strings.HasPrefix(l, what) {
			bad = append(bad, "sent: "+l)
		}
	}
	return bad
}

// ends runs until the run has ended.
func (s *sim) ends(n int) (bad []string) {
	for range n {
		if !s.in.Ended.IsZero() {
			return nil
		}
		s.round()
	}
	return []string{"no end: " + s.last.Reason}
}

// proven runs to a complete proof with S3 held back.
func (s *sim) proven() {
	s.to(60, sends(Demote, hadr.Source))
	s.out = held
	s.to(10, func(Decision) bool { return s.in.Proof != nil })
}

var ruleCases = []ruleCase{
	{"1", "S3 with the other side unread", rules{s3OtherUnread: true}, func(s *sim) []string {
		s.proven()
		s.w.s[0].down, s.out = true, nil
		return s.never(2, "promote target")
	}},
	{"1", "RESOLVING taken for SECONDARY", rules{resolvingIsOK: true}, func(s *sim) []string {
		s.proven()
		s.w.s[0].role, s.out = hadr.RoleResolving, nil
		return s.never(2, "promote target")
	}},
	{"2", "rollback after S3 was sent", rules{backAfterS3: true}, func(s *sim) []string {
		s.answer = func(_ *sim, st Statement) (Answer, bool) { return AnswerUnknown, st.Kind != Promote }
		s.to(60, sends(Promote, hadr.Target))
		s.out = rollback
		bad := s.never(10, "promote source")
		s.w.land(Promote, 1) // it lands after all
		s.answer = nil
		return append(bad, s.ends(40)...)
	}},
	{"2", "going back revised", rules{reviseGoingBack: true}, func(s *sim) []string {
		s.proven()
		s.out = rollback
		s.round()
		s.out = nil
		return s.never(6, "promote target")
	}},
	{"3", "another engine's run id ignored", rules{ignoreOtherRun: true}, func(s *sim) []string {
		s.proven()
		s.w.s[1].marker, s.out = 2, nil
		return append(s.never(4, "mark"), s.never(4, "promote")...)
	}},
	{"4", "proof made on another instance of the source", rules{proofOtherInstance: true}, func(s *sim) []string {
		s.to(60, sends(Demote, hadr.Source))
		s.w.s[0].server, s.w.s[0].marker, s.w.s[0].lock = 2, 0, false
		return s.never(20, "promote")
	}},
	{"4", "highest source LSN since the pin not looked at", rules{proofPresentOnly: true}, func(s *sim) []string {
		s.to(60, sends(Demote, hadr.Source))
		s.w.s[0].log++ // its own rollback, read once …
		s.round()
		s.w.s[0].log-- // … and gone after a restart
		s.w.s[0].start++
		return s.never(6, "promote target")
	}},
	{"4", "proof across a restart", rules{proofSurvives: true}, func(s *sim) (bad []string) {
		s.proven()
		s.w.s[0].start++
		s.w.s[0].lock, s.out = false, nil
		restarted := s.now
		for range 12 {
			if s.roundAfter(1200 * time.Millisecond); s.count("promote target") > 0 {
				break
			}
		}
		if s.count("promote target") == 0 {
			bad = append(bad, "no proof after the restart")
		}
		if s.in.Proof != nil && s.in.Proof.Since.Before(restarted) {
			bad = append(bad, "the proof's first sample is older than the restart")
		}
		return bad
	}},
	{"5", "done without looking at the proof", rules{doneOnRole: true}, func(s *sim) (bad []string) {
		s.answer = func(_ *sim, st Statement) (Answer, bool) { return AnswerAccepted, st.Kind != Promote }
		s.to(60, sends(Promote, hadr.Target))
		s.w.s[1] = simSide{role: hadr.RolePrimary, sync: true, log: 2, server: 2, start: 1} // a local failover to a replica that lagged
		for range 5 {
			s.round()
		}
		if s.in.Outcome == OutcomeDone {
			bad = append(bad, "called done below the proof")
		}
		return bad
	}},
	{"6", "a demotion that is not ours adopted", rules{adoptRoles: true}, func(s *sim) []string {
		s.to(60, func(Decision) bool { return s.in.Phase == PhaseWaitSynchronized })
		s.w.dba, s.w.s[0].role = true, hadr.RoleSecondary
		s.out = rollback
		return s.never(10, "promote")
	}},
	{"6", "a refused S2 leaves its entry", rules{keepRefused: true}, func(s *sim) []string {
		s.answer = func(_ *sim, st Statement) (Answer, bool) {
			if st.Kind == Demote {
				return AnswerRefused, false
			}
			return AnswerAccepted, true
		}
		s.to(60, sends(Demote, hadr.Source))
		s.out = rollback
		return append(s.never(20, "page outstanding"), s.ends(20)...)
	}},
	{"7", "aborted before a late S2 lands", rules{endEarly: true}, func(s *sim) []string {
		s.answer = func(s *sim, st Statement) (Answer, bool) {
			if st.Kind == Demote {
				s.w.defer_(Demote, 0, 14)
				return AnswerUnknown, false
			}
			return AnswerAccepted, true
		}
		s.to(60, sends(Demote, hadr.Source))
		s.out = rollback
		for range 14 { // quick rounds, so that the way back is through before it lands
			s.roundAfter(time.Second)
			if !s.in.Ended.IsZero() {
				break
			}
		}
		return s.ends(40)
	}},
	{"7", "a late RSSTC=1 after the abort", rules{endEarly: true}, func(s *sim) []string {
		s.answer = func(s *sim, st Statement) (Answer, bool) {
			if st.Kind == RequireSecondary {
				s.w.defer_(RequireSecondary, 0, 14)
				return AnswerUnknown, false
			}
			return AnswerAccepted, true
		}
		s.to(60, sends(RequireSecondary, hadr.Source))
		s.out = rollback
		for range 14 {
			s.roundAfter(time.Second)
			if !s.in.Ended.IsZero() {
				break
			}
		}
		return s.ends(40)
	}},
	{"7", "settle runs while the source hangs", rules{settleWhileBlind: true}, func(s *sim) []string {
		s.answer = func(s *sim, st Statement) (Answer, bool) {
			if st.Kind == Demote {
				s.w.defer_(Demote, 0, 14)
				return AnswerUnknown, false
			}
			return AnswerAccepted, true
		}
		s.to(60, sends(Demote, hadr.Source))
		s.out = rollback
		s.w.hang, s.w.s[0].down = true, true
		for range 6 { // longer than settle, in which the server comes no nearer to the effect
			s.round()
		}
		s.w.s[0].down = false
		for range 14 {
			s.roundAfter(time.Second)
			if !s.in.Ended.IsZero() {
				break
			}
		}
		return s.ends(40)
	}},
	{"8", "RSSTC=0 sent once", rules{releaseOnce: true}, func(s *sim) []string {
		s.to(60, sends(RequireSecondary, hadr.Source))
		n := 0
		s.answer = func(_ *sim, st Statement) (Answer, bool) {
			if st.Kind == ReleaseSecondary {
				n++
				return AnswerUnknown, n > 2
			}
			return AnswerAccepted, true
		}
		s.out = rollback
		return s.ends(40)
	}},
	{"8", "RSSTC=1 left on", rules{leaveRequired: true}, func(s *sim) []string {
		s.to(60, sends(RequireSecondary, hadr.Source))
		s.out = rollback
		return s.ends(40)
	}},
	{"8", "RSSTC=0 not taken back under a page", rules{leaveRequired: true}, func(s *sim) (bad []string) {
		s.to(60, sends(RequireSecondary, hadr.Source))
		s.w.dba, s.w.s[1].role = true, hadr.RolePrimary
		for range 5 {
			s.round()
		}
		if s.w.s[0].rsstc != 0 {
			bad = append(bad, "a page stands, and RSSTC=1 too")
		}
		return append(bad, s.never(3, "promote")...)
	}},
	{"8", "S3 on a side that its own RSSTC fences", rules{promoteFenced: true}, func(s *sim) []string {
		s.to(60, sends(Demote, hadr.Source))
		s.w.s[1].rsstc = 1 // the source's value has travelled
		return s.ends(60)
	}},
	{"9", "hold stops the clock", rules{holdStopsClock: true}, func(s *sim) []string {
		s.proven()
		return s.ends(40)
	}},
	{"–", "blind retry of S2", rules{blindRetry: true}, func(s *sim) []string {
		s.answer = func(s *sim, st Statement) (Answer, bool) {
			if st.Kind == Demote {
				s.w.defer_(Demote, 0, 2)
				return AnswerUnknown, false
			}
			return AnswerAccepted, true
		}
		return s.ends(60)
	}},
	{"–", "two zeros equal", rules{zerosEqual: true}, func(s *sim) []string {
		s.to(60, sends(Demote, hadr.Source))
		s.w.s[0].zero, s.w.s[1].zero = true, true
		s.in.Highest = nil // a process that has not read any other
		return s.never(12, "promote target")
	}},
	{"–", "equal columns below the end of the log", rules{tailUnhardened: true}, func(s *sim) []string {
		s.to(60, sends(Demote, hadr.Source))
		s.w.cached, s.in.Highest = true, nil // what it showed before does not help
		return s.never(12, "promote target")
	}},
	{"–", "unknown taken as open", rules{unknownOpen: true}, func(s *sim) []string {
		s.to(60, sends(RequireSecondary, hadr.Source))
		s.out = func(_ time.Time, o *Outside) { o.Window.Known = false } // not asked at step 6
		s.w.s[1].marker = 1
		return s.unreadGate()
	}},
	{"–", "S1 on one side only", rules{oneSideS1: true}, func(s *sim) []string { return s.ends(80) }},
	{"–", "one sample is rest", rules{noRest: true}, func(s *sim) (bad []string) {
		s.to(60, sends(Promote, hadr.Target))
		if s.in.Proof == nil || s.in.Proof.Samples < 2 {
			bad = append(bad, "a proof of one sample")
		}
		return bad
	}},
	{"–", "S2 with an open transaction", rules{noQuiet: true}, func(s *sim) []string {
		s.w.open = true
		return s.never(20, "demote source")
	}},
	{"–", "S2 without the mark", rules{noDrain: true}, func(s *sim) (bad []string) {
		s.to(60, sends(Demote, hadr.Source))
		if s.in.Mark == nil || len(s.in.Mark.Drained) != 1 {
			bad = append(bad, "not drained")
		}
		return bad
	}},
	{"–", "S3 without a proof", rules{noProof: true}, func(s *sim) []string {
		s.to(60, sends(Demote, hadr.Source))
		s.w.s[1].log--
		return s.never(5, "promote target")
	}},
	{"–", "RSSTC=1 without a bound", rules{noExposure: true}, func(s *sim) (bad []string) {
		s.to(60, sends(RequireSecondary, hadr.Source))
		from := s.now
		s.out = held
		for range 60 {
			s.round()
			if s.w.s[0].rsstc == 0 {
				break
			}
		}
		if d := s.now.Sub(from); d > s.p.RequireExposure+2*tick {
			bad = append(bad, fmt.Sprintf("RSSTC=1 stood for %s", d))
		}
		return bad
	}},
	{"–", "step 6 left out", rules{skipGates: true}, func(s *sim) []string {
		s.to(60, sends(RequireSecondary, hadr.Source))
		s.out = held
		return s.never(20, "demote source")
	}},
}

// unreadGate goes on with readings that do not show the open transactions.
func (s *sim) unreadGate() []string {
	from := len(s.log)
	for range 6 {
		s.now = s.now.Add(tick)
		s.w.tick()
		o := s.w.observe(s.now, s.outside())
		o.Source.Reading.TransactionsRead, o.Source.Reading.Transactions = false, nil
		s.act(o, decide(s.off, &s.p, s.hash, s.in, &o, s.now))
	}
	for _, l := range s.log[from:] {
		if l == "demote source" {
			return []string{"S2 on an unknown gate"}
		}
	}
	return nil
}

// TestRules plays each trace with every rule on and with that one off.
func TestRules(t *testing.T) {
	for _, c := range ruleCases {
		t.Run("rule "+c.rule+" "+c.name, func(t *testing.T) {
			play := func(off rules) ([]string, *sim) {
				s := newSim(false).begin()
				s.off = off
				bad := c.drive(s)
				return append(append(bad, s.bad...), checkEnd(&s.w, s.in)...), s
			}
			if bad, s := play(rules{}); len(bad) > 0 {
				t.Errorf("with every rule on:\n%s\nacts: %s", strings.Join(bad, "\n"), s.acts())
			}
			if bad, s := play(c.off); len(bad) == 0 {
				t.Errorf("nobody notices that the rule is off\nacts: %s\nlast: %s", s.acts(), s.last.Reason)
			}
		})
	}
}
