package cutover

import (
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// provenAt gives a run with a complete proof, held, of a plan with or without
// blind_s3, whose source then goes dark; age is how old the proof is when it
// is released.
func provenAt(t *testing.T, blind bool) *sim {
	t.Helper()
	w, set := newWorld(), testSettings(false)
	set.BlindS3 = blind
	s := &sim{w: w, p: testPlanWith(w, set), now: t0}
	s.hash = s.p.Hash()
	s.begin()
	s.proven()
	if len(s.bad) > 0 || s.in.Proof == nil {
		t.Fatalf("no proof: %v", s.bad)
	}
	s.w.s[0].down, s.out = true, nil
	return s
}

// TestBlindS3: S3 with the source unread needs the plan's word, a complete
// proof not older than proof_ttl, a target that reads SECONDARY, no hold and
// no way back decided.
func TestBlindS3(t *testing.T) {
	for _, c := range []struct {
		name   string
		blind  bool
		age    time.Duration // of the proof, at the round that decides
		change func(*sim)
		sent   bool
	}{
		{"approved, young proof", true, 3 * time.Second, nil, true},
		{"approved, at the bound", true, 10*time.Second - 50*time.Millisecond, nil, true},
		{"approved, too old", true, 11 * time.Second, nil, false},
		{"not approved", false, 3 * time.Second, nil, false},
		{"no proof", true, 3 * time.Second, func(s *sim) { s.in.Proof = nil }, false},
		{"held", true, 3 * time.Second, func(s *sim) { s.out = held }, false},
		{"rollback asked for", true, 3 * time.Second, func(s *sim) { s.out = rollback }, false},
		{"target restarted since", true, 3 * time.Second, func(s *sim) { s.w.s[1].start++ }, false},
		{"target unread too", true, 3 * time.Second, func(s *sim) { s.w.s[1].down = true }, false},
		{"target resolving", true, 3 * time.Second, func(s *sim) { s.w.s[1].role = hadr.RoleResolving }, false},
		{"source read, and resolving", true, 3 * time.Second, func(s *sim) { s.w.s[0].down, s.w.s[0].role = false, hadr.RoleResolving }, false},
		{"another engine's id on the target", true, 3 * time.Second, func(s *sim) { s.w.s[1].marker = 2 }, false},
		{"budget used up", true, 3 * time.Second, func(s *sim) { s.in.WriteUnavailableFrom = s.now.Add(-time.Hour) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := provenAt(t, c.blind)
			if c.change != nil {
				c.change(s)
			}
			at := s.now.Add(c.age)
			if s.in.Proof != nil {
				at = s.in.Proof.At.Add(c.age)
			}
			s.roundAfter(at.Sub(s.now))
			if got := s.count("promote target") == 1; got != c.sent {
				t.Errorf("S3 sent: %v; %s: %s", got, describe(s.last), s.last.Reason)
			}
			if len(s.bad) > 0 {
				t.Error(s.bad)
			}
			if !c.sent {
				return
			}
			// The report says so, the guard carries the proof, and the lock
			// of the side that cannot be reached is not waited for.
			notes := ""
			for _, n := range s.in.Notes {
				notes += n.Text + "\n"
			}
			if !strings.Contains(notes, "blind_s3") {
				t.Errorf("no note for the report: %q", notes)
			}
			if g := s.last.Guard; len(g.AtLeast) != 1 || g.Role != hadr.RoleSecondary {
				t.Errorf("guard %+v", g)
			}
			s.w.s[0].down = false
			if bad := s.ends(60); len(bad) > 0 || s.in.Outcome != OutcomeDone {
				t.Errorf("%v %s: %s", bad, s.in.Outcome, s.last.Reason)
			}
			s.clean(t)
		})
	}
}

// TestBlindS3IsOffByDefault, and changes what is approved.
func TestBlindS3IsOffByDefault(t *testing.T) {
	p := testPlan(newWorld(), false)
	if p.BlindS3 {
		t.Error("on by default")
	}
	h := p.Hash()
	if p.BlindS3 = true; p.Hash() == h {
		t.Error("not covered by the hash")
	}
}

// named lists the statements of a page.
func named(p *Page) string {
	if p == nil {
		return "no page"
	}
	var l []string
	for _, st := range p.Statements {
		l = append(l, string(st.Kind)+" "+string(st.Side))
	}
	return p.Code + ": " + strings.Join(l, ", ")
}

// TestEmergencyPage: the source is gone after S2. A human gets the exact
// statements, what they cost and the question how the source is fenced; the
// engine sends none of them.
func TestEmergencyPage(t *testing.T) {
	for _, c := range []struct {
		name   string
		play   func(*sim)
		want   string
		text   string // in the page's text
		fenced bool   // the page asks how the source is fenced for good
	}{
		{"source gone, proof complete", func(s *sim) {
			s.proven()
			s.in.WriteUnavailableFrom = s.now // in time
			s.w.s[0].down, s.out = true, nil
			s.to(6, pages)
		}, "unreadable: promote target", "the proof of", true},
		{"source gone, no proof", func(s *sim) {
			s.to(60, sends(Demote, hadr.Source))
			s.round()
			s.w.s[0].down = true
			s.to(6, pages)
		}, "unreadable: promote target", "THERE IS NO COMPLETE PROOF", true},
		{"source gone, the target below what was read", func(s *sim) {
			s.to(60, sends(Demote, hadr.Source))
			s.w.s[1].log--
			s.w.link = false
			s.round()
			s.w.s[0].down = true
			s.to(6, pages)
		}, "unreadable: promote target", "below the highest LSN read of the source, or not known: db001", true},
		{"the target is fenced by RSSTC", func(s *sim) {
			s.proven()
			s.in.WriteUnavailableFrom = s.now // in time
			s.w.s[0].down, s.w.s[1].rsstc, s.out = true, 1, nil
			s.to(6, pages)
		}, "unreadable: release_secondary target, promote target", "the proof of", true},
		{"S2 may still land", func(s *sim) {
			s.answer = func(_ *sim, st Statement) (Answer, bool) { return AnswerUnknown, st.Kind != Demote }
			s.to(60, sends(Demote, hadr.Source))
			s.w.s[0].down = true
			s.to(20, pages)
		}, "unreadable: ", "the source may be PRIMARY and taking writes, and nothing is to be typed while a statement may still land", false},
		{"S2 may still land, and the budget is over", func(s *sim) {
			s.answer = func(_ *sim, st Statement) (Answer, bool) { return AnswerUnknown, st.Kind != Demote }
			s.to(60, sends(Demote, hadr.Source))
			s.w.s[0].down = true
			s.to(20, func(d Decision) bool { return s.in.GoingBack != nil && d.Page != nil })
		}, "unreadable: release_secondary source, promote source", "The way back is decided", false},
		{"source gone before S2, RSSTC=1 sent", func(s *sim) {
			s.to(60, sends(RequireSecondary, hadr.Source))
			s.w.s[0].down = true
			s.to(20, func(d Decision) bool { return s.in.GoingBack != nil && d.Page != nil })
		}, "release_fails: release_secondary source", "RSSTC=0 on the source was sent 5 times", false},
		{"source gone before RSSTC=1, for settle", func(s *sim) {
			s.to(60, func(d Decision) bool { return d.Action == ActionHook })
			s.w.s[0].down = true
			s.to(40, func(d Decision) bool { return d.Page != nil && len(d.Page.Statements) > 0 })
		}, "unreadable: promote target", "THERE IS NO COMPLETE PROOF", true},
		{"S3 may still land", func(s *sim) {
			s.answer = func(_ *sim, st Statement) (Answer, bool) { return AnswerUnknown, st.Kind != Promote }
			s.to(60, sends(Promote, hadr.Target))
			s.w.s[0].down, s.w.s[1].down = true, true
			s.to(6, pages)
		}, "unreadable: promote target", "nothing is to be sent to the source", false},
		{"both gone", func(s *sim) {
			s.proven()
			s.in.WriteUnavailableFrom = s.now // in time
			s.w.s[0].down, s.w.s[1].down, s.out = true, true, nil
			s.to(6, pages)
		}, "unreadable: ", "nothing is to be typed", false},
		{"going back, for less than settle", func(s *sim) {
			s.proven()
			s.w.s[0].down, s.out = true, rollback
			s.to(6, pages)
		}, "unreadable: release_secondary source, promote source", "The way back is decided", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(false).begin()
			c.play(s)
			if got := named(s.last.Page); got != c.want {
				t.Fatalf("page %s, want %s\n%s", got, c.want, s.acts())
			}
			if !strings.Contains(s.last.Page.Text, c.text) {
				t.Errorf("text %q lacks %q", s.last.Page.Text, c.text)
			}
			if got := strings.Contains(strings.Join(s.last.Page.Before, "\n"), "fenced for good: how?"); got != c.fenced {
				t.Errorf("asks for the fence: %v", got)
			}
			before := s.count("promote target")
			s.round()
			if s.count("promote target") != before || len(s.bad) > 0 {
				t.Errorf("the engine went on: %s %v", s.acts(), s.bad)
			}
		})
	}
}

// TestEmergencyOnTheWayBack: decided, but the source does not come back: after
// settle the page names the emergency instead.
func TestEmergencyOnTheWayBack(t *testing.T) {
	s := newSim(false).begin()
	s.proven()
	s.w.s[0].down, s.out = true, rollback
	for range 60 {
		s.roundAfter(time.Second)
	}
	if got := named(s.in.Page); got != "unreadable: promote target" || s.in.GoingBack == nil || s.count("promote target") != 0 {
		t.Errorf("page %s\n%s", got, s.acts())
	}
}

// TestIdleEmergency: no run of ours is active and no side is PRIMARY. Both
// ways out are named, unless something of the last run may still land.
func TestIdleEmergency(t *testing.T) {
	m := idleMoment()
	m.src.DAG.Role = hadr.RoleSecondary
	if got := named(m.decide().Page); got != "both_secondary: release_secondary source, promote source, promote target" {
		t.Error(got)
	}
	m.in.Run, m.in.Ended = "run-0", t0
	m.in.Sent = []Sent{{Statement: Statement{Kind: Promote, Side: hadr.Source}, At: m.now.Add(-time.Second), Outcome: SentUnknown}}
	if got := named(m.decide().Page); got != "both_secondary: " {
		t.Errorf("an S3 may still land: %s", got)
	}
}

// TestIdleSideGone: no run of ours, one side unread for settle, the other
// SECONDARY: the emergency is named, with its cost and the question of the
// fence; before settle, with a statement outstanding, or with a PRIMARY seen it
// is not.
func TestIdleSideGone(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *moment)
		want   string
	}{
		{"source gone", nil, "side_gone: promote target"},
		{"not for long", func(m *moment) { m.in.SourceUnread = m.now.Add(-m.p.Settle + time.Second) }, "no page"},
		{"first round of it", func(m *moment) { m.in.SourceUnread = time.Time{} }, "no page"},
		{"RESOLVING for long", func(m *moment) {
			w := newWorld()
			m.src = w.reading(hadr.Source, m.now)
			m.src.DAG.Role = hadr.RoleResolving
		}, "side_gone: promote target"},
		{"the target's RSSTC is 1", func(m *moment) { m.tgt.DAG.RSSTC = hadr.Some[int64](1) }, "side_gone: release_secondary target, promote target"},
		{"the target took over already", func(m *moment) { m.tgt.DAG.Role = hadr.RolePrimary }, "no page"},
		{"the target is unread too", func(m *moment) { m.tgt = nil }, "no page"},
		{"a statement may still land", func(m *moment) {
			m.in.Run, m.in.Ended = "run-0", t0
			m.in.Sent = []Sent{{Statement: Statement{Kind: Promote, Side: hadr.Source}, At: m.now.Add(-time.Second), Outcome: SentUnknown}}
		}, "side_gone: "},
		{"after the move, the target gone", func(m *moment) {
			m.src, m.in.SourceUnread = m.tgt, time.Time{}
			m.src.Side, m.src.Local.GroupID = hadr.Source, m.p.Source.AGGroupID
			m.tgt, m.in.TargetUnread = nil, m.now.Add(-time.Hour)
		}, "side_gone: promote source"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := idleMoment()
			m.src, m.in.SourceUnread = nil, m.now.Add(-time.Hour)
			if c.change != nil {
				c.change(m)
			}
			m.o.Source.Reading, m.o.Target.Reading = m.src, m.tgt
			d := m.decide()
			if got := named(d.Page); got != c.want {
				t.Fatalf("page %s, want %s", got, c.want)
			}
			if d.Page != nil && len(d.Page.Statements) > 0 && (!strings.Contains(d.Page.Text, "loses whatever") || !strings.Contains(strings.Join(d.Page.Before, "\n"), "fenced for good: how?")) {
				t.Errorf("%+v", d.Page)
			}
			if d.Action == ActionExecute || d.Action == ActionStart {
				t.Errorf("it acted: %s", describe(d))
			}
		})
	}
}

// TestPartialPlan names the statements though one side is gone, and never
// starts anything.
func TestPartialPlan(t *testing.T) {
	w := newWorld()
	p, err := PartialPlan(testSettings(true), nil, w.reading(hadr.Target, t0), testRender)
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := p.Statement(Promote, hadr.Target); !ok || st.SQL != "-- promote [DAG] OnPremAG AzureAG" {
		t.Errorf("%+v", p.Statements)
	}
	if _, err := PartialPlan(testSettings(false), nil, nil, testRender); err == nil {
		t.Error("a plan of nothing")
	}
	o := w.observe(t0, Outside{Mode: Execute, Armed: &Arming{By: "op", Until: t0.Add(time.Hour), PlanHash: p.Hash()}})
	if d := Decide(p, Intent{}, o, t0); d.Action == ActionStart {
		t.Error("a partial plan started a run")
	}
}
