package cutover

import (
	"hash/maphash"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestTwoEngines: two engines, each with its own journal, on one pair of
// servers: every order of their steps without a fault, and a part of those with
// one. make accept has all of those, and some with two.
func TestTwoEngines(t *testing.T) {
	searchTwo(t, switches{}, 0, 0, 500)
	searchTwo(t, switches{}, 1, 8_000, 8_000)
}

// searchTwo searches with every rule on, and wants it clean and at least that
// large.
func searchTwo(t *testing.T, sw switches, budget int8, limit, least int) {
	t.Helper()
	r := checkTwo(sw, budget, limit)
	t.Logf("two engines, %d faults: %s", budget, r)
	if r.bad != "" {
		t.Error(r.bad)
	}
	if r.states < least {
		t.Errorf("only %d states: the model has lost something", r.states)
	}
	if limit == 0 && (r.bounded || r.cut > 0) {
		t.Error("not every state was visited")
	}
}

// seedsOfTwo are bugs that the search of two engines has to find by itself, with
// one fault of the kinds that it names. The control is the same search with
// nothing taken away.
var seedsOfTwo = []struct {
	name string
	sw   switches
}{
	{"another engine's run id ignored", switches{off: rules{ignoreOtherRun: true}, only: []string{"session that holds the lock"}}},
	{"guard without the run id", switches{noRun: true, only: []string{"drops the run id"}}},
	{"guard without the lock", switches{noLock: true, only: []string{"session that holds the lock"}}},
}

// TestSeededBugsOfTwo finds each of them, and nothing in its control. To see a
// trace again: CUTOVER_TRACE=1 go test -v -run 'TestSeededBugsOfTwo/NAME'.
func TestSeededBugsOfTwo(t *testing.T) {
	for _, s := range seedsOfTwo {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			r := checkTwo(s.sw, 1, 0)
			first, trace, _ := strings.Cut(r.bad, "\n")
			if r.bad == "" {
				t.Errorf("not found in %d states", r.states)
			}
			t.Logf("found after %d states: %s", r.states, first)
			if os.Getenv("CUTOVER_TRACE") != "" {
				t.Log(trace)
			}
		})
	}
	controls := map[string]bool{}
	for _, s := range seedsOfTwo {
		name := strings.Join(s.sw.only, ", ")
		if controls[name] {
			continue
		}
		controls[name] = true
		t.Run("control: "+name, func(t *testing.T) { searchTwo(t, switches{only: s.sw.only}, 1, 0, 4_000) })
	}
}

// TestTwoSeesWhatItLooksFor: an S3 of each engine on its own side, both let
// through and both landing, is what the search would call by its names. No bug
// that was seeded leads there.
func TestTwoSeesWhatItLooksFor(t *testing.T) {
	p := plain.plan()
	c := &pair{checker: checker{v: &plain, p: p, hash: p.Hash()}}
	n := newTwo(0)
	n.w.s[0].role = hadr.RoleSecondary
	n.w.s[1].log-- // a commit that the target does not have
	var bad []string
	for e, s := range []hadr.Side{hadr.Source, hadr.Target} {
		st, _ := p.Statement(Promote, s)
		n.lock[e], n.w.s[e].marker, n.e[e].at = int8(e)+1, int8(e)+1, n.now
		d := Decision{Action: ActionExecute, Side: s, Statement: st, Guard: Guard{Role: hadr.RoleSecondary, ServerName: string(s) + "-1", StartTime: "start-1"}}
		bad = append(bad, c.execute(&n, e, &d, outcomes[0], &Result{})...)
	}
	bad = append(bad, worldIsWrong(&n.w)...)
	want := []string{"S3 on both sides", "two primaries by our doing", "a commit that a client was told about is lost"}
	if !slices.Equal(bad, want) {
		t.Errorf("%q", bad)
	}
	n.e[0].in.Ended, n.e[1].in.Ended = t0, t0
	c.sp = &space{}
	if c.atRest(&n); c.sp.bad.Load() == nil {
		t.Error("two sides are PRIMARY, nobody was called, and it is at rest")
	}
}

// TestLockOfAnEngineThatOnlyReads: B decides to take the lock and stands still;
// A comes as far as S2 and starts anew; B takes the lock that has become free,
// finds A's run id, and only reads. As long as it keeps that lock A cannot go on
// or back, and calls a human; were it to let go, A would finish by itself.
func TestLockOfAnEngineThatOnlyReads(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		p := plain.plan()
		c := &pair{checker: checker{v: &plain, p: p, hash: p.Hash(), sp: &space{seed: maphash.MakeSeed()}}, sw: switches{keeps: keeps}}
		n := newTwo(0)
		n.e[1].unarmed = false
		var bad []string
		round := func(e, steps int) {
			for range steps {
				if !n.e[e].waits() {
					bad = append(bad, c.oneStep(&n, e)...)
				}
			}
		}
		round(0, 3)
		round(1, 3)
		n.tick()
		round(0, 3)
		round(1, 2)
		for range 40 {
			n.tick()
			if round(0, 3); mayBeSent(&n.e[0].in, Demote, hadr.Source) {
				break
			}
		}
		n.crash(0)
		for range 40 {
			round(0, 3)
			round(1, 3)
			n.tick()
		}
		a, b := &n.e[0], &n.e[1]
		if len(bad) > 0 || b.in.Stuck != PageOtherRun || n.w.two || n.w.lost {
			t.Fatalf("%q, B is stuck by %q", bad, b.in.Stuck)
		}
		if !keeps && a.in.Outcome != OutcomeDone {
			t.Errorf("A has not gone on: phase %s", a.in.Phase)
		}
		if keeps && (n.lock[0] != 2 || a.in.Page == nil || a.in.Page.Code != PagePromoteStuck) {
			t.Errorf("the lock is of %s, A's page is %+v", whose(n.lock[0]), a.in.Page)
		}
	}
}
