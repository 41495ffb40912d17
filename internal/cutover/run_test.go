package cutover

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// sim is a world with an engine in it, run round by round.
type sim struct {
	w    world
	p    Plan
	hash string
	off  rules
	in   Intent
	now  time.Time
	out  func(now time.Time, o *Outside)
	// answer is what becomes of a statement; nil: accepted, at once.
	answer func(s *sim, st Statement) (a Answer, lands bool)
	log    []string
	last   Decision
	bad    []string
	kept   *[]TraceStep // every round is added, if somebody wants them
}

func newSim(drill bool) *sim {
	w := newWorld()
	s := &sim{w: w, p: testPlan(w, drill), now: t0}
	s.hash = s.p.Hash()
	return s
}

// begin starts the run as the runner would after ActionStart.
func (s *sim) begin() *sim {
	s.in = Begin(s.p, testRun, Arming{By: "op", Generation: 1, PlanHash: s.hash}, nil, s.now)
	return s
}

func (s *sim) outside() Outside {
	o := outside(s.p, s.now)
	o.Armed.PlanHash = s.hash
	if s.out != nil {
		s.out(s.now, &o)
	}
	return o
}

const tick = 5 * time.Second

// round is observe, decide, act, record.
func (s *sim) round() Decision { return s.roundAfter(tick) }

func (s *sim) roundAfter(d time.Duration) Decision {
	s.now = s.now.Add(d)
	s.w.tick()
	o := s.w.observe(s.now, s.outside())
	return s.act(o, decide(s.off, &s.p, s.hash, s.in, &o, s.now.Add(50*time.Millisecond)))
}

func (s *sim) act(o Observation, d Decision) Decision {
	s.bad = append(s.bad, checkSend(&s.p, s.in, &o, d)...)
	step := TraceStep{At: s.now.Add(50 * time.Millisecond), Before: s.in, Observation: o, Decision: d, RecordedAt: s.now}
	s.in, s.last = d.Intent, d
	res := Result{Action: d.Action, Side: d.Side, Statement: d.Statement, Hook: d.Hook, Answer: AnswerAccepted, ReturnedAt: s.now}
	i := idx(d.Side)
	switch d.Action {
	case ActionLock:
		s.w.s[i].lock = !s.w.s[i].down
	case ActionMark:
		s.w.s[i].marker = 1
	case ActionUnmark:
		s.w.s[i].marker = 0
	case ActionHook:
		s.w.quiet = d.Hook == HookQuiesce
	case ActionExecute:
		lands := true
		if s.answer != nil {
			res.Answer, lands = s.answer(s, d.Statement)
		}
		if why := s.w.guarded(d.Statement, d.Guard); why != "" {
			res.Answer, res.Text, lands = AnswerGuardRefused, why, false
		}
		if s.w.s[i].down {
			res.Answer, lands = AnswerUnknown, false
			if d.Guard.WithoutLock {
				res.Answer = AnswerBusy // needs a connection of its own, and gets none
			}
		}
		if lands {
			s.w.land(d.Statement.Kind, i)
		}
	}
	s.in = Record(s.in, res, s.now)
	if step.Result = &res; s.kept != nil {
		*s.kept = append(*s.kept, step)
	}
	s.log = append(s.log, describe(d))
	return d
}

func describe(d Decision) string {
	switch d.Action {
	case ActionExecute:
		return fmt.Sprintf("%s %s", d.Statement.Kind, d.Statement.Side)
	case ActionHook:
		return "hook " + string(d.Hook)
	case ActionLock, ActionMark, ActionUnmark:
		return fmt.Sprintf("%s %s", d.Action, d.Side)
	case ActionPage:
		return "page " + d.Page.Code
	case ActionFinish:
		return "finish " + string(d.Outcome)
	}
	return string(d.Action)
}

// until runs rounds until the action says stop, at most n.
func (s *sim) until(t *testing.T, n int, stop func(Decision) bool) Decision {
	t.Helper()
	for range n {
		if d := s.round(); stop(d) {
			return d
		}
	}
	t.Fatalf("not reached in %d rounds; phase %s, last: %s\n%s", n, s.in.Phase, s.last.Reason, strings.Join(s.log, "\n"))
	return Decision{}
}

func sends(k Kind, side hadr.Side) func(Decision) bool {
	return func(d Decision) bool {
		return d.Action == ActionExecute && d.Statement.Kind == k && d.Statement.Side == side
	}
}

func finishes(d Decision) bool { return d.Action == ActionFinish }
func pages(d Decision) bool    { return d.Action == ActionPage }

func (s *sim) count(line string) (n int) {
	for _, l := range s.log {
		if l == line {
			n++
		}
	}
	return n
}

// statements that were sent, in order.
func (s *sim) acts() string {
	var l []string
	for _, x := range s.log {
		if x != "wait" {
			l = append(l, x)
		}
	}
	return strings.Join(l, ", ")
}

// checkSend is Audit, and what only the model holds it to: the bounds of the
// budget and of RSSTC=1, no open transaction, no page about nothing, no proof of
// unknowns.
func checkSend(p *Plan, before Intent, o *Observation, d Decision) (bad []string) {
	bad = Audit(p, before, o, d)
	in := &d.Intent
	if in.Stuck == "" && (in.Phase == PhaseConfirmDemoted || in.Phase == PhaseProve) && o.Began.Sub(in.WriteUnavailableFrom) > p.MaxWriteUnavailable+tick {
		bad = append(bad, "the budget is over and nothing happens")
	}
	if r := o.Source.Reading; d.Action == ActionExecute && d.Statement.Kind == Demote && r != nil && (!r.TransactionsRead || len(r.Transactions) > 0) {
		bad = append(bad, "S2 though not quiet")
	}
	if mayBeSent(in, RequireSecondary, hadr.Source) && !mayBeSent(in, Demote, hadr.Source) && in.GoingBack == nil && in.Stuck == "" && in.Outcome == OutcomeNone {
		for _, n := range in.Sent {
			if n.Statement.Kind == RequireSecondary && n.Outcome != SentRefused && o.Began.Sub(n.At) > p.RequireExposure+tick {
				bad = append(bad, "RSSTC=1 stands longer than require_exposure, and neither S2 nor the way back has begun")
			}
		}
	}
	if d.Page != nil && d.Page.Code == PageOutstanding && !mayBeSent(in, Demote, hadr.Source) && !mayBeSent(in, RequireSecondary, hadr.Source) && !mayBeSent(in, Promote, hadr.Source) && !mayBeSent(in, Promote, hadr.Target) {
		bad = append(bad, "a page about a statement that may still land, and none was sent that was not refused")
	}
	if sends(Promote, hadr.Target)(d) && in.Proof != nil && p.ProofBasis == BasisHardened {
		for _, r := range in.Proof.Rows {
			if !r.SourceHardened.Known() || !r.SourceEndOfLog.Known() || !r.TargetHardened.Known() || !r.TargetEndOfLog.Known() {
				bad = append(bad, "S3 on a proof with an LSN in it that nobody has shown")
			} else if !r.TargetHardened.Beyond(r.SourceEndOfLog) {
				bad = append(bad, "S3 on a proof that the target's disk holds less than the source's log")
			}
		}
	}
	return bad
}

// checkEnd holds the world against what the engine says about it.
func checkEnd(w *world, in Intent) (bad []string) {
	if w.two {
		bad = append(bad, "two primaries by our doing")
	}
	if w.lost {
		bad = append(bad, "a commit that a client was told about is lost")
	}
	if in.Ended.IsZero() {
		return bad
	}
	may := func(k Kind, side int8) bool {
		for _, l := range w.late[:w.lates] {
			if l.kind == k && l.side == side {
				return true
			}
		}
		return false
	}
	switch in.Outcome {
	case OutcomeDone:
		if w.s[1].role != hadr.RolePrimary && !w.dba {
			bad = append(bad, "done, and the target is not PRIMARY")
		}
		if w.s[1].rsstc != 0 && !w.dba {
			bad = append(bad, "done, and RSSTC=1 stands on the target")
		}
		if in.Proof == nil || len(in.Proof.Rows) == 0 {
			bad = append(bad, "done without a proof")
		}
	case OutcomeAborted, OutcomeRolledBack, OutcomeDrilled:
		if w.s[0].role != hadr.RolePrimary && !w.dba {
			bad = append(bad, string(in.Outcome)+", and the source is not PRIMARY")
		}
		if w.s[0].rsstc != 0 && !w.dba {
			bad = append(bad, string(in.Outcome)+", and RSSTC=1 stands on the source")
		}
		if may(Demote, 0) || may(RequireSecondary, 0) || may(Promote, 1) {
			bad = append(bad, string(in.Outcome)+", and a statement of ours may still land")
		}
	case OutcomeClosed:
	default:
		bad = append(bad, "ended without an outcome")
	}
	return bad
}

func (s *sim) clean(t *testing.T) {
	t.Helper()
	if bad := append(s.bad, checkEnd(&s.w, s.in)...); len(bad) > 0 {
		t.Errorf("%s\n%s", strings.Join(bad, "\n"), strings.Join(s.log, "\n"))
	}
}

func TestForward(t *testing.T) {
	s := newSim(false).begin()
	s.until(t, 60, finishes)
	s.clean(t)
	want := "lock source, lock target, mark source, mark target, set_synchronous source, set_synchronous target, hook quiesce, require_secondary source, demote source, promote target, release_secondary source, unmark source, unmark target, finish done"
	if got := s.acts(); got != want {
		t.Errorf("acts\n got %s\nwant %s", got, want)
	}
	if !s.in.Proof.Valid() || s.in.Proof.Rows[0].ForkGUID != "fork-1" {
		t.Errorf("proof %+v", s.in.Proof)
	}
}

func TestDrillMovesNothing(t *testing.T) {
	s := newSim(true).begin()
	s.until(t, 80, finishes)
	s.clean(t)
	if s.in.Outcome != OutcomeDrilled || s.w.s[0].role != hadr.RolePrimary || s.count("promote target") != 0 || s.w.s[0].sync || s.w.quiet {
		t.Errorf("outcome %s, world %+v\n%s", s.in.Outcome, s.w, s.acts())
	}
	if !s.in.Proof.Valid() {
		t.Error("a drill has to make the proof")
	}
}

func TestStartsFromIdle(t *testing.T) {
	s := newSim(false)
	d := s.round()
	if d.Action != ActionStart {
		t.Fatalf("%s: %s", d.Action, d.Reason)
	}
	for _, v := range d.Verdicts {
		if !v.Open() && v.Gate != GateDrained {
			t.Errorf("gate %s is %s: %s", v.Gate, v.State, v.Reason)
		}
	}
}

func TestBefore2022HasNoStep5(t *testing.T) {
	w := newWorld()
	w.use = false
	s := &sim{w: w, p: testPlan(w, false), now: t0}
	s.hash = s.p.Hash()
	s.begin().until(t, 60, finishes)
	s.clean(t)
	if s.in.Outcome != OutcomeDone || s.count("require_secondary source") != 0 || s.count("release_secondary source") != 0 {
		t.Errorf("%s: %s", s.in.Outcome, s.acts())
	}
}
