package cutover

import (
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Record folds the result of a Decision's action into the intent, to be
// journalled after the action. A statement's entry is the newest pending one
// of that kind and side; an answer that belongs to none changes nothing.
func Record(intent Intent, result Result, now time.Time) Intent {
	in := clone(intent)
	switch result.Action {
	case ActionExecute:
		for i := len(in.Sent) - 1; i >= 0; i-- {
			s := &in.Sent[i]
			if s.Statement.Kind != result.Statement.Kind || s.Statement.Side != result.Statement.Side || s.Outcome != SentPending {
				continue
			}
			s.Answer, s.Number, s.Class, s.Text = result.Answer, result.Number, result.Class, result.Text
			s.ReturnedAt = result.ReturnedAt
			if s.ReturnedAt.IsZero() {
				s.ReturnedAt = now
			}
			switch result.Answer {
			case AnswerAccepted:
				s.Outcome = SentAccepted
			case AnswerRefused, AnswerGuardRefused, AnswerBusy:
				s.Outcome = SentRefused
			default:
				s.Outcome = SentUnknown
			}
			break
		}
	case ActionHook:
		st, ok := in.Hooks[result.Hook]
		if !ok {
			break
		}
		st.Ended, st.OK, st.Error = now, result.Answer == AnswerAccepted, result.Text
		in.Hooks[result.Hook] = st
	case ActionLock:
		if result.Answer == AnswerAccepted {
			in.LockTries, in.LockTriedAt = 0, time.Time{}
		}
	case ActionMark:
		if result.Answer == AnswerAccepted {
			in.MarkTries, in.MarkTriedAt = 0, time.Time{}
		}
	}
	return in
}

// Outstanding reports an S2 or S3 of this run that may still land as seen from
// now: while it does, no run starts on this DAG and no emergency is offered.
func (i *Intent) Outstanding(plan Plan, now time.Time) bool {
	for _, s := range i.Sent {
		if s.Outcome == SentRefused || !s.EffectSeen.IsZero() {
			continue
		}
		if k := s.Statement.Kind; (k == Demote || k == Promote) && now.Before(s.settled(plan.Settle)) {
			return true
		}
	}
	return false
}

// WriteUnavailable is how long no side took writes by this run's doing, so
// far; 0 before the quiesce. Of a run that a person closed it is the most that it
// can have been: when writes went on again was not seen.
func (i *Intent) WriteUnavailable(now time.Time) time.Duration {
	switch {
	case i.WriteUnavailableFrom.IsZero():
		return 0
	case i.WriteUnavailableTo.IsZero() && !i.Ended.IsZero():
		return i.Ended.Sub(i.WriteUnavailableFrom)
	case i.WriteUnavailableTo.IsZero():
		return now.Sub(i.WriteUnavailableFrom)
	}
	return i.WriteUnavailableTo.Sub(i.WriteUnavailableFrom)
}

// Statement of the plan for a side; false if the plan does not have it.
func (p *Plan) Statement(k Kind, s hadr.Side) (Statement, bool) { return p.statement(k, s) }
