package cutover

import (
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// later moves the clock of the journal: what it holds reads as if it were an
// hour from now. That is a clock that was put back over a restart.
func (s *sim) later() {
	const d = time.Hour
	for _, t := range []*time.Time{&s.in.Began, &s.in.WriteUnavailableFrom, &s.in.SourceUnread, &s.in.TargetUnread, &s.in.LockTriedAt, &s.in.MarkTriedAt} {
		if !t.IsZero() {
			*t = t.Add(d)
		}
	}
	for i := range s.in.Phases {
		s.in.Phases[i].At = s.in.Phases[i].At.Add(d)
	}
	for i := range s.in.Sent {
		s.in.Sent[i].At, s.in.Sent[i].ReturnedAt = s.in.Sent[i].At.Add(d), s.in.Sent[i].ReturnedAt.Add(d)
	}
	if s.in.Rest != nil {
		s.in.Rest.Since, s.in.Rest.Last = s.in.Rest.Since.Add(d), s.in.Rest.Last.Add(d)
	}
	if s.in.Mark != nil {
		s.in.Mark.At = s.in.Mark.At.Add(d)
	}
}

// TestClockPutBack: no bound gets longer by the hour.
func TestClockPutBack(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(*sim)
		in   time.Duration // the end comes within this
		want Outcome
	}{
		{"before S2", func(s *sim) {
			s.to(60, func(Decision) bool { return s.in.Phase == PhaseWaitSynchronized })
			s.w.link = false
		}, 3 * time.Minute, OutcomeAborted},
		{"after S2, no proof", func(s *sim) {
			s.to(60, sends(Demote, hadr.Source))
			s.w.link, s.w.s[1].log = false, s.w.s[1].log-1
		}, 3 * time.Minute, OutcomeRolledBack},
		{"after S2, at rest", func(s *sim) { s.to(60, sends(Demote, hadr.Source)); s.round() }, time.Minute, OutcomeDone},
		{"after S3, landed", func(s *sim) { s.to(60, sends(Promote, hadr.Target)) }, time.Minute, OutcomeDone},
		{"on the way back, S2 not landed", func(s *sim) {
			s.answer = func(_ *sim, st Statement) (Answer, bool) { return AnswerUnknown, st.Kind != Demote }
			s.to(60, sends(Demote, hadr.Source))
			s.answer, s.out = nil, rollback
		}, 2 * time.Minute, OutcomeAborted},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(false).begin()
			c.play(s)
			s.later()
			from := s.now
			for s.in.Ended.IsZero() && s.now.Sub(from) < 3*time.Hour {
				s.roundAfter(2 * time.Second)
			}
			if got := s.now.Sub(from); got > c.in || s.in.Outcome != c.want {
				t.Errorf("%s after %s: %s", s.in.Outcome, got, s.last.Reason)
			}
			s.clean(t)
		})
	}
}

// TestProofFromTheFuture: a proof that reads younger than now is of unknown
// age, and blind_s3 does not take it.
func TestProofFromTheFuture(t *testing.T) {
	s := provenAt(t, true)
	s.now = s.in.Proof.At.Add(-time.Hour)
	s.roundAfter(time.Second)
	if s.count("promote target") > 0 {
		t.Error("S3 with the source unread, on a proof of unknown age")
	}
	// And Audit, asked by itself.
	s = provenAt(t, true)
	before := s.in
	s.now = s.in.Proof.At.Add(2 * time.Second)
	o := s.w.observe(s.now, s.outside())
	d := decide(rules{}, &s.p, s.hash, before, &o, s.now)
	if d.Action != ActionExecute || len(Audit(&s.p, before, &o, d)) > 0 {
		t.Fatalf("%s: %s", describe(d), d.Reason)
	}
	o.Began = before.Proof.At.Add(-time.Hour)
	if bad := Audit(&s.p, before, &o, d); len(bad) == 0 {
		t.Error("Audit lets it pass")
	}
}
