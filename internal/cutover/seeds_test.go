package cutover

import (
	"os"
	"strings"
	"testing"
)

// seeds are bugs that the model checker has to find by itself: name, the rule
// that is taken away, the variant and the number of faults that its shortest
// trace needs. Each is run beside a control: the same search without the bug.
// The far ones run with CUTOVER_FAULTS=2 (make accept). "Aborted
// before a late S2 lands" needs an answer slower than the whole way back, more
// than this model's bounds: TestRules has its trace.
// To see a trace again: CUTOVER_TRACE=1 go test -v -run 'TestSeededBugs/NAME'.
var seeds = []struct {
	name    string
	off     rules
	variant int
	faults  int8
	far     bool // more states than a quick run has: with CUTOVER_FAULTS set
}{
	{"S3 with the other side unread", rules{s3OtherUnread: true}, 0, 1, false},
	{"RESOLVING taken for SECONDARY", rules{resolvingIsOK: true}, 0, 1, false},
	{"rollback after S3 was sent", rules{backAfterS3: true}, 0, 2, true},
	{"going back revised", rules{reviseGoingBack: true}, 0, 1, false},
	{"another engine's run id ignored", rules{ignoreOtherRun: true}, 0, 1, true},
	{"proof made on another instance of the source", rules{proofOtherInstance: true}, 1, 2, true},
	{"done without looking at the proof", rules{doneOnRole: true}, 0, 1, false},
	{"a demotion that is not ours adopted", rules{adoptRoles: true}, 0, 1, false},
	{"RSSTC=0 sent once", rules{releaseOnce: true}, 0, 2, true},
	{"RSSTC=1 left on", rules{leaveRequired: true}, 0, 1, false},
	{"S3 on a side that RSSTC fences", rules{promoteFenced: true}, 0, 1, false},
	{"hold stops the clock", rules{holdStopsClock: true}, 0, 1, false},
	{"blind retry", rules{blindRetry: true}, 0, 1, true},
	{"S1 on one side only", rules{oneSideS1: true}, 0, 0, false},
	{"S2 with an open transaction", rules{noQuiet: true}, 0, 1, true},
	{"S3 without a proof", rules{noProof: true}, 1, 2, true},
	{"step 6 left out", rules{skipGates: true}, 0, 1, true},
	{"answer awaited before the entry is journalled", rules{forgetIntent: true}, 0, 1, false},
}

func TestSeededBugs(t *testing.T) {
	most, _ := depth()
	for _, s := range seeds {
		if s.faults > most || s.far && os.Getenv("CUTOVER_FAULTS") == "" {
			continue
		}
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			c := check(variants[s.variant], s.off, s.faults, 60000)
			if c.bad == "" {
				t.Errorf("not found in %d states", len(c.seen))
				return
			}
			first, trace, _ := strings.Cut(c.bad, "\n")
			t.Logf("found after %d states: %s", len(c.seen), first)
			if os.Getenv("CUTOVER_TRACE") != "" {
				t.Log(trace)
			}
		})
	}
}
