package hadr

import (
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// logAt is the shape of a real log at its n-th block: end_of_log_lsn is the
// last block, last_hardened_lsn the start of the next.
func logAt(blocks []LSN, n int) (hardened, endOfLog LSN) { return blocks[n+1], blocks[n] }

func logBlocks() *rapid.Generator[[]LSN] {
	return rapid.Custom(func(t *rapid.T) []LSN {
		l := LSN{rapid.Uint32Range(1, 1<<31).Draw(t, "vlf"), rapid.Uint32Range(8, 1<<20).Draw(t, "block"), 1}
		blocks := []LSN{l}
		for range 12 {
			if rapid.IntRange(0, 5).Draw(t, "next") == 0 {
				l.VLF, l.Block = l.VLF+1, 16
			} else {
				l.Block += rapid.SampledFrom([]uint32{1, 8, 120}).Draw(t, "size")
			}
			blocks = append(blocks, l)
		}
		return blocks
	})
}

// Two copies of one log: who is behind seen from here is ahead seen from
// there, and the deltas are each other's negatives.
func TestPositionIsAntisymmetric(t *testing.T) {
	mirror := map[Position]Position{PositionBehind: PositionAhead, PositionAhead: PositionBehind, PositionCaughtUp: PositionCaughtUp}
	rapid.Check(t, func(t *rapid.T) {
		blocks := logBlocks().Draw(t, "log")
		pn, fn := rapid.IntRange(0, 11).Draw(t, "primary"), rapid.IntRange(0, 11).Draw(t, "forwarder")
		source, target := healthy("db")
		demote(source, target)
		s, f := source.Databases[0].Own, target.Databases[0].Own
		s.LastHardened, s.EndOfLog = logAt(blocks, pn)
		f.LastHardened, f.EndOfLog = logAt(blocks, fn)
		here := Compare(source, target, options).Databases[0]
		there := Compare(target, source, options).Databases[0]
		if here.Position == PositionUnknown || mirror[here.Position] != there.Position {
			t.Fatalf("%s from here, %s from there", here.Position, there.Position)
		}
		if (here.Position == PositionCaughtUp) != (pn == fn) {
			t.Fatalf("blocks %d and %d: %s", pn, fn, here.Position)
		}
		for _, d := range [][2]Delta{{here.Hardened, there.Hardened}, {here.EndOfLog, there.EndOfLog}} {
			if new(big.Int).Add(d[0].Exact, d[1].Exact).Sign() != 0 {
				t.Fatalf("deltas %s and %s", d[0].Exact, d[1].Exact)
			}
		}
	})
}

// Whatever the numbers, a side is never ahead from both ends.
func TestNeverBothAhead(t *testing.T) {
	some := rapid.Custom(func(t *rapid.T) LSN {
		return LSN{rapid.Uint32Range(0, 3).Draw(t, "vlf"), rapid.Uint32Range(0, 3).Draw(t, "block"), uint16(rapid.IntRange(0, 1).Draw(t, "slot"))}
	})
	rapid.Check(t, func(t *rapid.T) {
		ph, pe, fh, fe, l := some.Draw(t, "ph"), some.Draw(t, "pe"), some.Draw(t, "fh"), some.Draw(t, "fe"), some.Draw(t, "link")
		here, basis := position(ph, pe, fh, fe, l)
		there, _ := position(fh, fe, ph, pe, LSN{})
		if here == PositionAhead && there == PositionAhead {
			t.Fatal("ahead from both ends")
		}
		if (here == PositionUnknown) != (basis == "") {
			t.Fatalf("%q by %q", here, basis)
		}
		if here != PositionUnknown && !pe.Known() {
			t.Fatalf("%s though the primary's end of log is unknown", here)
		}
		if (here == PositionCaughtUp || here == PositionAhead) && !fh.Beyond(pe) && !l.Beyond(pe) && !fe.AtLeast(pe) {
			t.Fatalf("%s without any value that says so", here)
		}
	})
}

// One slot, block or VLF more on the primary is never "caught up".
func TestSmallestDifferenceCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		end := anyLSN().Draw(t, "end")
		more := end
		switch {
		case end.Slot < 1<<16-1:
			more.Slot++
		case end.Block < 1<<32-1:
			more.Block++
		default:
			more.VLF = min(end.VLF+1, 1<<32-2)
		}
		if more == end {
			return
		}
		source, target := healthy("db")
		asynchronous(source, target)
		source.Databases[0].Link.LastHardened = LSN{}
		source.Databases[0].Own.EndOfLog, target.Databases[0].Own.EndOfLog = more, end
		got := Compare(source, target, options)
		d := got.Databases[0]
		if d.Position != PositionBehind || got.Level >= LevelCaughtUp {
			t.Fatalf("%v against %v: %s, %s", more, end, d.Position, got.State)
		}
		if d.EndOfLog.Zero() || d.EndOfLog.Float64() <= 0 {
			t.Fatalf("delta %v", d.EndOfLog.Float64())
		}
	})
}

// forget lists every single fact that a reading can lose. What weaker
// evidence may stand in for is not here: the forwarder's hardened value (the
// link, end_of_log), the link's, and the lineage, which is not read with
// every scrape.
func forget(s, t *Reading) map[string]func() {
	out := map[string]func(){}
	for i, r := range []*Reading{s, t} {
		at := func(name string, f func()) { out[fmt.Sprintf("%s of reading %d", name, i)] = f }
		at("DAG", func() { r.DAG = Group{} })
		at("DAG role", func() { r.DAG.Role = RoleUnknown })
		at("DAG members", func() { r.DAG.Members = nil })
		at("DAG group id", func() { r.DAG.GroupID = "" })
		at("local", func() { r.Local = Group{} })
		at("local role", func() { r.Local.Role = RoleUnknown })
		at("local members", func() { r.Local.Members = nil })
		at("databases", func() { r.Databases = nil })
		for m := range r.DAG.Members {
			at(fmt.Sprintf("mode %d", m), func() { r.DAG.Members[m].Mode = ModeUnknown })
			at(fmt.Sprintf("connected %d", m), func() { r.DAG.Members[m].Connected = Opt[bool]{} })
			at(fmt.Sprintf("is_local %d", m), func() { r.DAG.Members[m].IsLocal = Opt[bool]{} })
		}
		for m := range r.Local.Members {
			at(fmt.Sprintf("local mode %d", m), func() { r.Local.Members[m].Mode = ModeUnknown })
		}
		for d := range r.Databases {
			db, at := &r.Databases[d], at
			if d > 0 {
				first := at
				at = func(name string, f func()) { first(fmt.Sprintf("%s of database %d", name, d), f) }
			}
			at("joined", func() { db.Joined = Opt[bool]{} })
			at("state", func() { db.State, db.Own.State = DBUnknown, DBUnknown })
			at("own", func() { db.Own = nil })
			at("own sync", func() { db.Own.Sync = SyncUnknown })
			at("own suspended", func() { db.Own.Suspended = Opt[bool]{} })
			at("own end of log", func() { db.Own.EndOfLog = LSN{} })
			at("own commit time", func() { db.Own.LastCommitTime = Opt[time.Time]{} })
			if db.Link != nil {
				at("link", func() { db.Link = nil })
				at("link sync", func() { db.Link.Sync = SyncUnknown })
				at("link suspended", func() { db.Link.Suspended = Opt[bool]{} })
				at("link send queue", func() { db.Link.SendQueue = Opt[int64]{} })
				at("link redo queue", func() { db.Link.RedoQueue = Opt[int64]{} })
			}
		}
	}
	return out
}

// To lose a fact never makes a verdict better, from whatever state.
func TestUnknownIsNeverBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := scenario().Draw(t, "scenario")
		s, f := seed.build()
		before := Compare(s, f, options)
		keys := []string{}
		for k := range forget(s, f) {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			s, f := seed.build()
			forget(s, f)[k]()
			if after := Compare(s, f, options); after.Level > before.Level {
				t.Fatalf("without %s: %s becomes %s\nbefore: %s\nafter: %s", k, before.State, after.State, before.Reason, after.Reason)
			}
		}
	})
}

// From a healthy, idle pair nearly every fact is needed: those that are not
// are listed here, so that a check that goes missing is noticed.
func TestWhichFactsTheBestVerdictNeeds(t *testing.T) {
	s, f := healthy("db")
	notNeeded := []string{
		"connected 0 of reading 0", "connected 0 of reading 1", "connected 1 of reading 1", // the link is judged where its primary is
		"is_local 0 of reading 0", "is_local 0 of reading 1", "is_local 1 of reading 1",
		"local members of reading 0", "local members of reading 1", "local mode 0 of reading 0", "local mode 0 of reading 1", "local mode 1 of reading 0", // unknown counts as synchronous
		"own commit time of reading 0", "own commit time of reading 1",
		"own end of log of reading 1", // the target's hardened value is enough
	}
	for k := range forget(s, f) {
		s, f := healthy("db")
		forget(s, f)[k]()
		lost := Compare(s, f, options).Level < LevelSynchronized
		if listed := slices.Contains(notNeeded, k); lost == listed {
			t.Errorf("%s: needed is %v, listed as not needed is %v", k, lost, listed)
		}
	}
}

// seeded is a scenario that can be built again and again.
type seeded struct {
	Async, Demoted, FailedOver, Split bool
	Databases                         []seededDatabase
}

type seededDatabase struct {
	End, TargetHard, Link        int
	Suspended, Missing, Unjoined bool
	Queue                        int64
	Sync, LinkSync               SyncState
	State                        DBState
}

func scenario() *rapid.Generator[seeded] {
	rarely := func(t *rapid.T, name string) bool { return rapid.IntRange(0, 7).Draw(t, name) == 7 }
	return rapid.Custom(func(t *rapid.T) seeded {
		s := seeded{Async: rapid.Bool().Draw(t, "async"), Demoted: rarely(t, "demoted"), FailedOver: rarely(t, "failed over"), Split: rarely(t, "split")}
		for range rapid.IntRange(1, 3).Draw(t, "databases") {
			s.Databases = append(s.Databases, seededDatabase{
				End: rapid.IntRange(0, 1).Draw(t, "end"), TargetHard: rapid.IntRange(-1, 1).Draw(t, "hard"), Link: rapid.IntRange(-1, 1).Draw(t, "link"),
				Suspended: rarely(t, "suspended"), Missing: rarely(t, "missing"), Unjoined: rarely(t, "unjoined"),
				Queue:    rapid.SampledFrom([]int64{0, 0, 0, 1 << 40}).Draw(t, "queue"),
				Sync:     rapid.SampledFrom([]SyncState{Synchronized, Synchronized, Synchronizing, SyncReverting, NotSynchronizing}).Draw(t, "sync"),
				LinkSync: rapid.SampledFrom([]SyncState{Synchronized, Synchronized, Synchronizing, SyncInitializing, NotSynchronizing}).Draw(t, "link sync"),
				State:    rapid.SampledFrom([]DBState{DBOnline, DBOnline, DBOnline, DBRestoring}).Draw(t, "state"),
			})
		}
		return s
	})
}

func (sc seeded) build() (s, t *Reading) {
	names := make([]string, len(sc.Databases))
	for i := range names {
		names[i] = fmt.Sprintf("db%d", i)
	}
	s, t = healthy(names...)
	if sc.Async {
		asynchronous(s, t)
	}
	for i := len(sc.Databases) - 1; i >= 0; i-- {
		d, sd, td := sc.Databases[i], &s.Databases[i], &t.Databases[i]
		sd.Own.EndOfLog.Block += uint32(d.End)
		if td.Own.LastHardened.Known() {
			td.Own.LastHardened.Block += uint32(d.TargetHard)
		}
		sd.Link.LastHardened.Block += uint32(d.Link)
		sd.Own.Suspended, sd.Link.SendQueue, sd.Link.Sync = Some(d.Suspended), Some(d.Queue), d.LinkSync
		td.Own.Sync, td.State, td.Own.State = d.Sync, d.State, d.State
		if d.Unjoined {
			td.Joined = Some(false)
		}
		if d.Missing {
			t.Databases = append(t.Databases[:i:i], t.Databases[i+1:]...)
		}
	}
	switch {
	case sc.FailedOver && len(s.Databases) == len(t.Databases):
		failOver(s, t)
	case sc.Demoted:
		demote(s, t)
	case sc.Split:
		t.DAG.Role = RolePrimary
	}
	return s, t
}
