package cutover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// barred plays rounds in which a lock, or a run id, is not to be had until
// free.
func (s *sim) barred(side hadr.Side, mark bool, free, round time.Duration, until func() bool) (tries int) {
	from, i := s.now, idx(side)
	for range 120 {
		if s.now.Sub(from) < free {
			if mark {
				s.w.s[i].marker = 0
			} else {
				s.w.s[i].lock = false
			}
		}
		s.now = s.now.Add(round)
		s.w.tick()
		o := s.w.observe(s.now, s.outside())
		d := decide(s.off, &s.p, s.hash, s.in, &o, s.now.Add(50*time.Millisecond))
		if want := map[bool]Action{false: ActionLock, true: ActionMark}[mark]; d.Action == want && d.Side == side && s.now.Sub(from) < free {
			s.bad = append(s.bad, checkSend(&s.p, s.in, &o, d)...)
			s.in = Record(d.Intent, Result{Action: d.Action, Side: d.Side, Answer: AnswerBusy}, s.now)
			s.log, s.last = append(s.log, describe(d)), d
			tries++
			continue
		}
		if s.act(o, d); until() {
			return tries
		}
	}
	return tries
}

// TestLockOfADeadHost: the session of a webhook whose host is gone holds a lock
// until the server finds it dead. S3, and the way back, wait for it with a page,
// and go on trying under it.
func TestLockOfADeadHost(t *testing.T) {
	for _, c := range []struct {
		name string
		mark bool
		back bool
		page string
	}{
		{"lock, before S3", false, false, "other_run: "},
		{"run id, before S3", true, false, "other_run: "},
		{"lock, on the way back", false, true, "promote_stuck: release_secondary source, promote source"},
		{"run id, on the way back", true, true, "promote_stuck: release_secondary source, promote source"},
	} {
		for n, side := range []hadr.Side{hadr.Source, hadr.Target, hadr.Source, hadr.Target} {
			// Quicker than hold tries again, and slower: a try may take ten seconds.
			round, least := time.Second, 10
			if n > 1 {
				round, least = 3*time.Second, 6
			}
			t.Run(fmt.Sprintf("%s, %s, rounds of %s", c.name, side, round), func(t *testing.T) {
				s := newSim(false).begin()
				s.proven()
				s.in.WriteUnavailableFrom = s.now // in time
				s.out, s.answer = nil, nil
				want := OutcomeDone
				if c.back {
					s.out, want = rollback, OutcomeRolledBack
				}
				paged := ""
				tries := s.barred(side, c.mark, 30*time.Second, round, func() bool {
					if p := s.in.Page; p != nil && paged == "" {
						paged = named(p)
						if !slices.ContainsFunc(p.Before, func(b string) bool { return strings.Contains(b, "KILL that session") }) {
							t.Errorf("before: %q", p.Before)
						}
					}
					return !s.in.Ended.IsZero()
				})
				if paged != c.page || tries < least {
					t.Errorf("page %q after %d tries", paged, tries)
				}
				if s.in.Outcome != want {
					t.Errorf("outcome %q: %s\n%s", s.in.Outcome, s.last.Reason, s.acts())
				}
				s.clean(t)
			})
		}
	}
}
