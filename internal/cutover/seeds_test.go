package cutover

import (
	"os"
	"strings"
	"testing"
)

// seeds are bugs that the model checker has to find by itself: name, the rule
// that is taken away, the variant and the number of faults that its shortest
// trace needs. Those with two faults run in make accept. Every one has a
// control, the same search with every rule on: TestModel for up to one fault,
// TestModelTwoFaults for two. docs/track-record.md lists them with the bugs
// that only a trace of TestRules shows, among them "aborted before a late S2
// lands": it needs an answer slower than the whole way back, more than this
// model's bounds.
// To see a trace again: CUTOVER_TRACE=1 go test -v -run 'TestSeededBugs/NAME'.
var seeds = []struct {
	name    string
	off     rules
	variant int
	faults  int8
}{
	{"S3 with the other side unread", rules{s3OtherUnread: true}, 0, 1},
	{"RESOLVING taken for SECONDARY", rules{resolvingIsOK: true}, 0, 1},
	{"rollback after S3 was sent", rules{backAfterS3: true}, 0, 2},
	{"going back revised", rules{reviseGoingBack: true}, 0, 1},
	{"another engine's run id ignored", rules{ignoreOtherRun: true}, 0, 1},
	{"proof made on another instance of the source", rules{proofOtherInstance: true}, 1, 2},
	{"done without looking at the proof", rules{doneOnRole: true}, 0, 1},
	{"a demotion that is not ours adopted", rules{adoptRoles: true}, 0, 1},
	{"RSSTC=0 sent once", rules{releaseOnce: true}, 0, 2},
	{"RSSTC=1 left on", rules{leaveRequired: true}, 0, 1},
	{"S3 on a side that RSSTC fences", rules{promoteFenced: true}, 0, 1},
	{"hold stops the clock", rules{holdStopsClock: true}, 0, 1},
	{"blind retry", rules{blindRetry: true}, 0, 1},
	{"S1 on one side only", rules{oneSideS1: true}, 0, 0},
	{"S2 with an open transaction", rules{noQuiet: true}, 0, 1},
	{"S3 without a proof", rules{noProof: true}, 1, 2},
	{"step 6 left out", rules{skipGates: true}, 0, 1},
	{"answer awaited before the entry is journalled", rules{forgetIntent: true}, 0, 1},
}

func TestSeededBugs(t *testing.T) { seededBugs(t, 1) }

// seededBugs looks for those that need at most this many faults.
func seededBugs(t *testing.T, most int8) {
	for _, s := range seeds {
		if s.faults > most {
			continue
		}
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			r := check(variants[s.variant], s.off, s.faults, 0)
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
