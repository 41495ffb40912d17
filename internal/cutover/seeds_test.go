package cutover

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// seeds are bugs that the model checker has to find by itself: name, the rule
// that is taken away, the world and the number of faults that its shortest
// trace needs. Those with two faults among all kinds run in make accept. Every
// one has a control, the same search with every rule on: TestModel and
// TestModelTwoFaults for the plain worlds, TestControls for the others.
// To see a trace again: CUTOVER_TRACE=1 go test -v -run 'TestSeededBugs/NAME'.
var seeds = []struct {
	name   string
	off    rules
	v      variant
	faults int8
}{
	{"S3 with the other side unread", rules{s3OtherUnread: true}, plain, 1},
	{"RESOLVING taken for SECONDARY", rules{resolvingIsOK: true}, plain, 1},
	{"rollback after S3 was sent", rules{backAfterS3: true}, plain, 2},
	{"going back revised", rules{reviseGoingBack: true}, plain, 1},
	{"another engine's run id ignored", rules{ignoreOtherRun: true}, plain, 1},
	{"proof made on another instance of the source", rules{proofOtherInstance: true}, variants[1], 2},
	{"highest source LSN since the pin not looked at", rules{proofPresentOnly: true}, waking, 2},
	{"proof across a restart", rules{proofSurvives: true}, trailing, 2},
	{"done without looking at the proof", rules{doneOnRole: true}, plain, 1},
	{"a demotion that is not ours adopted", rules{adoptRoles: true}, plain, 1},
	{"a refused S2 leaves its entry", rules{keepRefused: true}, plain, 1},
	{"a refused S2 called outstanding", rules{keepRefused: true}, refusing, 2},
	{"aborted before a late S2 lands", rules{endEarly: true}, slowS2, 1},
	{"a late RSSTC=1 after the abort", rules{endEarly: true}, slowRSSTC, 1},
	{"settle runs while the source hangs", rules{settleWhileBlind: true}, hungSource, 2},
	{"RSSTC=0 sent once", rules{releaseOnce: true}, plain, 2},
	{"RSSTC=1 left on", rules{leaveRequired: true}, plain, 1},
	{"RSSTC=0 not taken back under a page", rules{leaveRequired: true}, forced, 1},
	{"S3 on a side that RSSTC fences", rules{promoteFenced: true}, plain, 1},
	{"hold stops the clock", rules{holdStopsClock: true}, plain, 1},
	{"blind retry", rules{blindRetry: true}, plain, 1},
	{"two zeros equal", rules{zerosEqual: true}, noColumn, 1},
	{"equal columns below the end of the log", rules{tailUnhardened: true}, slowDisks, 1},
	{"unknown taken as open", rules{unknownOpen: true}, noView, 1},
	{"S1 on one side only", rules{oneSideS1: true}, plain, 0},
	{"one sample is rest", rules{noRest: true}, trailing, 1},
	{"S2 with an open transaction", rules{noQuiet: true}, plain, 1},
	{"S2 without the mark", rules{noDrain: true}, slowLink, 1},
	{"S3 without a proof", rules{noProof: true}, variants[1], 2},
	{"RSSTC=1 without a bound", rules{noExposure: true}, plain, 1},
	{"step 6 left out", rules{skipGates: true}, plain, 1},
	{"answer awaited before the entry is journalled", rules{forgetIntent: true}, plain, 1},
}

func TestSeededBugs(t *testing.T) { seededBugs(t, 1) }

// seededBugs looks for those that need at most this many faults among all
// kinds.
func seededBugs(t *testing.T, most int8) {
	for _, s := range seeds {
		if s.faults > most && s.v.only == nil {
			continue
		}
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			r := check(s.v, s.off, s.faults, 0)
			if r.bad == "" {
				t.Errorf("not found in %d states", r.states)
				return
			}
			first, trace, _ := strings.Cut(r.bad, "\n")
			t.Logf("found after %d states: %s", r.states, first)
			if os.Getenv("CUTOVER_TRACE") != "" {
				t.Log(trace)
			}
		})
	}
}

// TestControls goes through every state of each world that TestModel does not
// have, with every rule on and as many faults as a seed has there.
func TestControls(t *testing.T) {
	controls(t, func(v variant, faults int8) (variant, int8) { return v, faults })
}

func controls(t *testing.T, with func(variant, int8) (variant, int8)) {
	faults := map[string]int8{}
	for _, s := range seeds {
		faults[s.v.name] = max(faults[s.v.name], s.faults)
	}
	for _, v := range variants {
		delete(faults, v.name)
	}
	for _, s := range seeds {
		n, ok := faults[s.v.name]
		if !ok {
			continue
		}
		delete(faults, s.v.name)
		t.Run(strings.ReplaceAll(s.v.name, " ", "_"), func(t *testing.T) {
			v, n := with(s.v, n)
			r := check(v, rules{}, n, 0)
			t.Logf("%d faults: %s", n, r)
			if r.bad != "" {
				t.Error(r.bad)
			}
			for _, name := range slices.Concat(s.v.only, s.v.more) {
				if !costly[name] {
					t.Errorf("no fault and no outcome is called %q", name)
				}
			}
		})
	}
}

// costly is every name of what may cost a fault.
var costly = func() map[string]bool {
	m := map[string]bool{}
	for _, f := range faults {
		m[f.name] = true
	}
	for _, x := range outcomes {
		m[x.name] = true
	}
	return m
}()
