package cutover

import (
	"slices"
	"time"
)

// variant is a world and a plan that one search goes through. Those of TestModel
// have the faults that every run may meet. The others are for seeded bugs whose
// harm the plain world cannot show: each has one property of a server more and
// few kinds of faults. A bug is looked for in its world, and the same search with
// every rule on is its control; make accept goes through each of them with every
// kind of fault as well.
type variant struct {
	name       string
	use, drill bool // both sides 2022; a drill
	blind      bool // blind_s3

	writers  bool          // the plan has no hooks: the writers go on
	cross    bool          // cross_version: step 3 does not wait for SYNCHRONIZED
	slow     bool          // the link ships one commit between two rounds, and never says SYNCHRONIZED
	trail    int8          // readings for which a side that restarted or was demoted shows one commit less than it has
	readings int           // settle_readings; 0 = 2
	settle   time.Duration // 0 = 20 s
	late     Kind          // what of this kind lands late may take all of settle, not a part of it
	hang     bool          // a source that cannot be read hangs, and then goes on where it was
	only     []string      // names of the faults and outcomes that may cost one; nil: all but the rare ones
	more     []string      // names of rare faults that may come besides
}

var variants = []variant{
	{name: "from 2022", use: true},
	{name: "before 2022"},
	{name: "drill", use: true, drill: true},
	{name: "blind_s3", use: true, blind: true},
}

// Names of faults and outcomes that worlds ask for.
const (
	slips   = "the link breaks over a commit"
	burst   = "three commits"
	wakes   = "source restarts, and from then on shows less than it had shown"
	untold  = "the open transactions are not shown"
	noHard  = "neither side shows last_hardened_lsn"
	cached  = "neither the target's disk nor a secondary of the source has the newest commit"
	hangs   = "the source hangs over a statement that may still land"
	reboot  = "source restarts"
	forces  = "a DBA sends S3 to the target"
	lingers = "answer lost, lands later"
)

// rare faults: each belongs to some world, and comes only where it is named.
var rare = []string{slips, burst, wakes, hangs, untold, noHard, cached}

var slowly = []string{lingers, "accepted, lands later", "rollback asked for"}

// What each world assumes, and no more: S2, RSSTC=1 and S3 land within settle of
// time in which the server is up and answers, or never; LSNs trail for less than
// settle_readings readings after a restart or a change of role, unless more had
// been shown before.
var (
	plain      = variants[0]
	slowS2     = variant{name: "S2 lands at any time within settle", use: true, settle: 2 * time.Minute, late: Demote, only: slowly}
	slowRSSTC  = variant{name: "RSSTC=1 lands at any time within settle", use: true, settle: 2 * time.Minute, late: RequireSecondary, only: slowly}
	hungSource = variant{name: "S2 lands within settle on a source that may hang", settle: 40 * time.Second, late: Demote, hang: true, only: []string{lingers, hangs}}
	trailing   = variant{name: "LSNs trail for two readings, settle_readings 3", writers: true, readings: 3, trail: 2, only: []string{slips, reboot}}
	waking     = variant{name: "a source that shows less after a restart", writers: true, only: []string{slips, wakes}}
	noColumn   = variant{name: "last_hardened_lsn may not be shown", use: true, only: []string{noHard}}
	slowDisks  = variant{name: "slow disks", use: true, only: []string{cached}}
	noView     = variant{name: "open transactions may not be shown", use: true, only: []string{untold}}
	slowLink   = variant{name: "cross-version over a slow link", use: true, cross: true, slow: true, only: []string{burst}}
	refusing   = variant{name: "S2 may be refused and a rollback asked for", only: []string{"refused", "rollback asked for"}}
	forced     = variant{name: "nothing but a DBA's S3 on the target", use: true, only: []string{forces}}
)

func (v *variant) world() world {
	w := newWorld()
	w.use, w.trail, w.hang, w.slow = v.use, v.trail, v.hang, v.slow
	return w
}

func (v *variant) plan() Plan {
	set := testSettings(v.drill)
	set.BlindS3, set.CrossVersion = v.blind, v.cross
	if v.writers {
		set.Hooks = nil
	}
	if v.readings > 0 {
		set.SettleReadings = v.readings
	}
	if v.settle > 0 {
		set.Settle = v.settle
	}
	return testPlanWith(v.world(), set)
}

// has reports that the fault, or the outcome that costs one, may come here.
func (v *variant) has(name string) bool {
	if v.only != nil {
		return slices.Contains(v.only, name)
	}
	return !slices.Contains(rare, name) || slices.Contains(v.more, name)
}

// comes reports that the outcome, which costs one, may be that of this act.
func (v *variant) comes(x outcome, k Kind) bool {
	return v.has(x.name) && (v.only == nil || !x.late || k == v.late)
}

// rounds that a late statement takes at most; the effect of S3 has no bound.
func (v *variant) rounds(k Kind) int8 {
	switch k {
	case Promote:
		return -1
	case v.late:
		return int8(v.settle / tick)
	}
	return 3
}

// oldest age in rounds that the key of a state tells from older ones: beyond
// every timer, the longest of which are max_duration (18) and settle. What is
// left of settle has its own place in the key.
func (v *variant) oldest() int {
	if v.hang {
		return 20
	}
	return max(25, int(v.settle/tick)+2)
}
