package sqlserver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func lock(t *testing.T, s *Side, resource string) *Lock {
	t.Helper()
	k, err := s.Lock(soon(t), resource)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Release() })
	return k
}

func stmt(t *testing.T, kind Kind, group string, members ...string) Statement {
	t.Helper()
	s, err := Render(kind, group, members...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// guardFor expects what a reading shows.
func guardFor(r *hadr.Reading, run string) Guard {
	g := Guard{Run: run, Role: r.DAG.Role, ServerName: r.Identity.ServerName, StartTime: r.Identity.StartTime}
	for _, d := range r.Databases {
		g.Databases = append(g.Databases, d.Name)
	}
	return g
}

// floors is the proof that a reading is.
func floors(r *hadr.Reading) map[string]Floor {
	m := map[string]Floor{}
	for _, d := range r.Databases {
		m[d.Name] = Floor{Hardened: d.Own.LastHardened, EndOfLog: d.Own.EndOfLog}
	}
	return m
}

func classOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ""
}

func surely(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.SurelyNothingDone()
}

func TestLocksExclude(t *testing.T) {
	_, src, tgt := pair(t, lab.Options{})
	k := lock(t, src, "erp")
	if held, err := k.Held(soon(t)); !held || err != nil {
		t.Errorf("held %v, %v", held, err)
	}
	_, err := src.Lock(soon(t), "erp")
	if classOf(err) != ClassRetry || !strings.Contains(err.Error(), "held by session") || !strings.Contains(err.Error(), "dag_exporter") {
		t.Errorf("second: %v", err)
	}
	lock(t, src, "another DAG") // its own lock
	lock(t, tgt, "erp")         // its own instance
	if err := k.Release(); err != nil {
		t.Error(err)
	}
	if err := k.Release(); err != nil {
		t.Errorf("released twice: %v", err)
	}
	if held, err := k.Held(soon(t)); held || err != nil || k.Alive() {
		t.Errorf("after release: held %v, %v", held, err)
	}
	lock(t, src, "erp")
}

// A lock dies with its session, and says so.
func TestLockIsLostWithItsSession(t *testing.T) {
	l, src, _ := pair(t, lab.Options{})
	k := lock(t, src, "erp")
	r := read(t, src, Want{})
	if err := k.WriteRun(soon(t), "run-1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Control().Stop(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	err := k.Do(soon(t), stmt(t, KindDemote, "DAG"), guardFor(r, "run-1"))
	if classOf(err) != ClassUnknown {
		t.Errorf("the first one finds the broken connection: %v", err)
	}
	if k.Alive() {
		t.Error("alive")
	}
	err = k.Do(soon(t), stmt(t, KindDemote, "DAG"), guardFor(r, "run-1"))
	if classOf(err) != ClassLockLost || !surely(err) {
		t.Errorf("the second one sends nothing: %v", err)
	}
	if held, err := k.Held(soon(t)); held || err != nil {
		t.Errorf("held %v, %v", held, err)
	}
}

func TestRunMarker(t *testing.T) {
	_, src, _ := pair(t, lab.Options{})
	k := lock(t, src, "erp")
	if err := k.ProbeMarker(soon(t)); err != nil {
		t.Fatal(err)
	}
	if run, err := k.ReadRun(soon(t)); run != "" || err != nil {
		t.Errorf("%q, %v", run, err)
	}
	for range 2 {
		if err := k.WriteRun(soon(t), "run-1"); err != nil {
			t.Error(err)
		}
	}
	if run, err := k.ReadRun(soon(t)); run != "run-1" || err != nil {
		t.Errorf("%q, %v", run, err)
	}
	if m := read(t, src, Want{Marker: true}).Marker; m != hadr.Some("run-1") {
		t.Errorf("%v", m)
	}
	if err := k.WriteRun(soon(t), "run-2"); classOf(err) != ClassGuardRefused || !strings.Contains(err.Error(), "run-1") {
		t.Errorf("another run: %v", err)
	}
	if err := k.ClearRun(soon(t), "run-2"); classOf(err) != ClassGuardRefused {
		t.Errorf("another run: %v", err)
	}
	if run, _ := k.ReadRun(soon(t)); run != "run-1" {
		t.Errorf("%q", run)
	}
	for range 2 {
		if err := k.ClearRun(soon(t), "run-1"); err != nil {
			t.Error(err)
		}
	}
	if m := read(t, src, Want{Marker: true}).Marker; m != hadr.Some("") {
		t.Errorf("%v", m)
	}
}

// Every guard, broken alone, refuses and does nothing; with all of them whole
// the same statement goes through.
func TestGuardsRefuse(t *testing.T) {
	opt := lab.Options{}
	opt.Model.DAGMode = model.Sync
	l, src, tgt := pair(t, opt)
	sk, tk := lock(t, src, "erp"), lock(t, tgt, "erp")
	for _, k := range []*Lock{sk, tk} {
		if err := k.WriteRun(soon(t), "run-1"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "at rest and equal", func() bool {
		a, b := read(t, src, Want{}), read(t, tgt, Want{})
		for i := range a.Databases {
			if !a.Databases[i].Own.LastHardened.Equal(b.Databases[i].Own.LastHardened) || !a.Databases[i].Own.EndOfLog.Equal(b.Databases[i].Own.EndOfLog) {
				return false
			}
		}
		return true
	})
	a, b := read(t, src, Want{}), read(t, tgt, Want{})
	far := func(m map[string]Floor) map[string]Floor {
		f := m["db002"]
		f.Hardened.Block += 8
		m["db002"] = f
		return m
	}
	farEnd := func(m map[string]Floor) map[string]Floor {
		f := m["db003"]
		f.EndOfLog.Slot++
		m["db003"] = f
		return m
	}
	for name, c := range map[string]struct {
		number int32 // of the server; 0: refused before anything was sent
		lock   *Lock
		kind   Kind
		spoil  func(*Guard)
	}{
		"another run":                  {throwMarker, sk, KindDemote, func(g *Guard) { g.Run = "run-2" }},
		"no run":                       {0, sk, KindDemote, func(g *Guard) { g.Run = "" }},
		"another server":               {0, sk, KindDemote, func(g *Guard) { g.ServerName = "OTHER" }},
		"before a restart":             {0, sk, KindDemote, func(g *Guard) { g.StartTime = "2020-01-01T00:00:00" }},
		"not the role":                 {throwDAGRole, sk, KindSync, func(g *Guard) { g.Role = hadr.RoleSecondary }},
		"demote on the wrong side":     {0, tk, KindDemote, func(*Guard) {}},
		"demote, role as if":           {throwDAGRole, tk, KindDemote, func(g *Guard) { g.Role = hadr.RolePrimary }},
		"a database more than planned": {throwDatabases, sk, KindDemote, func(g *Guard) { g.Databases = g.Databases[:2] }},
		"a database less than planned": {throwDatabases, sk, KindDemote, func(g *Guard) { g.Databases = append(g.Databases[:3:3], "db999") }},
		"another database":             {throwDatabases, sk, KindDemote, func(g *Guard) { g.Databases = []string{"db001", "db002", "db999"} }},
		"a database twice":             {throwDatabases, sk, KindDemote, func(g *Guard) { g.Databases = []string{"db001", "db002", "db002"} }},
		"no databases":                 {0, sk, KindDemote, func(g *Guard) { g.Databases = nil }},
		"RSSTC":                        {throwRSSTC, sk, KindDemote, func(g *Guard) { g.RSSTC = hadr.Some[int64](1) }},
		"no proof":                     {0, tk, KindPromote, func(*Guard) {}},
		"proof not reached":            {throwProof, tk, KindPromote, func(g *Guard) { g.AtLeast = far(floors(a)) }},
		"end of log not reached":       {throwProof, tk, KindPromote, func(g *Guard) { g.AtLeast = farEnd(floors(a)) }},
		"end of log alone, not there":  {throwProof, tk, KindPromote, func(g *Guard) { g.AtLeast, g.EndOfLogOnly = farEnd(floors(a)), true }},
		"proof of too few":             {0, tk, KindPromote, func(g *Guard) { g.AtLeast = floors(a); delete(g.AtLeast, "db001") }},
		"proof with an unknown": {0, tk, KindPromote, func(g *Guard) {
			g.AtLeast = floors(a)
			g.AtLeast["db001"] = Floor{EndOfLog: a.Databases[0].Own.EndOfLog}
		}},
		"a proof that is none": {0, tk, KindPromote, func(g *Guard) { g.AtLeast, g.NoProof = floors(a), true }},
	} {
		t.Run(name, func(t *testing.T) {
			r := a
			if c.lock == tk {
				r = b
			}
			g := guardFor(r, "run-1")
			c.spoil(&g)
			var members []string
			if c.kind == KindSync {
				members = []string{"OnPremAG", "AzureAG"}
			}
			err := c.lock.Do(soon(t), stmt(t, c.kind, "DAG", members...), g)
			var e *Error
			if !errors.As(err, &e) || e.Class != ClassGuardRefused || !e.SurelyNothingDone() || e.Number != c.number {
				t.Errorf("%v (%+v), want number %d", err, e, c.number)
			}
		})
	}
	t.Run("NULL at the target", func(t *testing.T) {
		if err := l.Control().OverrideLSN(lab.Target, 0, "db002", "last_hardened_lsn", "null"); err != nil {
			t.Fatal(err)
		}
		g := guardFor(b, "run-1")
		g.AtLeast = floors(a)
		if err := tk.Do(soon(t), stmt(t, KindPromote, "DAG"), g); classOf(err) != ClassGuardRefused || !strings.Contains(err.Error(), "db002") {
			t.Errorf("%v", err)
		}
		if err := l.Control().OverrideLSN(lab.Target, 0, "db002", "last_hardened_lsn", "4294967295429496729500001"); err != nil {
			t.Fatal(err)
		}
		if err := tk.Do(soon(t), stmt(t, KindPromote, "DAG"), g); classOf(err) != ClassGuardRefused || !strings.Contains(err.Error(), "db002") {
			t.Errorf("sentinel: %v", err)
		}
		if err := l.Control().OverrideLSN(lab.Target, 0, "db002", "last_hardened_lsn", ""); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("lock given back", func(t *testing.T) {
		if _, err := sk.ask(soon(t), "EXEC sp_releaseapplock @Resource = N'erp', @LockOwner = N'Session', @DbPrincipal = N'dbo'; SELECT 1 AS [x.y];", "x"); err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := sk.Do(soon(t), stmt(t, KindDemote, "DAG"), guardFor(a, "run-1")); !errors.As(err, &e) || e.Number != throwLock {
			t.Errorf("%v", err)
		}
		if held, err := sk.Held(soon(t)); held || err != nil {
			t.Errorf("held %v, %v", held, err)
		}
	})
	// Nothing of all that had an effect …
	time.Sleep(100 * time.Millisecond)
	x, y := read(t, src, Want{}), read(t, tgt, Want{})
	if x.DAG.Role != hadr.RolePrimary || y.DAG.Role != hadr.RoleSecondary || x.DAG.SequenceNumber != a.DAG.SequenceNumber || y.DAG.SequenceNumber != b.DAG.SequenceNumber {
		t.Errorf("%+v, %+v", x.DAG, y.DAG)
	}
	// … and the guards are not simply shut: the same S3, proven, goes through.
	g := guardFor(b, "run-1")
	g.AtLeast = floors(a)
	if err := tk.Do(soon(t), stmt(t, KindPromote, "DAG"), g); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the target is primary", func() bool { return read(t, tgt, Want{}).DAG.Role == hadr.RolePrimary })
}

// The answers that get lost, and what is known then.
func TestLostAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fault lab.Fault
		done  bool
		class Class
	}{
		"lost before it ran":      {lab.Fault{Class: "s2", LoseAnswer: "before"}, false, ClassUnknown},
		"lost after its effect":   {lab.Fault{Class: "s2", LoseAnswer: "after"}, true, ClassUnknown},
		"reset after its effect":  {lab.Fault{Class: "s2", LoseAnswer: "after", Reset: true}, true, ClassUnknown},
		"hangs after its effect":  {lab.Fault{Class: "s2", LoseAnswer: "after", Hang: true}, true, ClassUnknown},
		"refused with a number":   {lab.Fault{Class: "s2", Error: 41140}, false, ClassWrongSide},
		"a number of no class":    {lab.Fault{Class: "s2", Error: 64321}, false, ClassUnknown},
		"accepted, effect later":  {lab.Fault{Class: "s2", Late: lab.Duration(150 * time.Millisecond)}, true, ClassNone},
		"answer after our time":   {lab.Fault{Class: "s2", DelayAnswer: lab.Duration(3 * time.Second)}, true, ClassUnknown},
		"timeout on bringing up":  {lab.Fault{Class: "s2", Error: 41131}, false, ClassUnknown},
		"missing right, surely n": {lab.Fault{Class: "s2", Error: 15151}, false, ClassPermission},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, src, _ := pair(t, lab.Options{})
			k := lock(t, src, "erp")
			r := read(t, src, Want{})
			if err := k.WriteRun(soon(t), "run-1"); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Control().Fault(c.fault); err != nil {
				t.Fatal(err)
			}
			err := k.Do(within(t, time.Second), stmt(t, KindDemote, "DAG"), guardFor(r, "run-1"))
			if classOf(err) != c.class {
				t.Errorf("%v, want class %q", err, c.class)
			}
			if surely(err) && c.done {
				t.Errorf("it is said not to have happened: %v", err)
			}
			if c.done {
				eventually(t, "the source is demoted", func() bool {
					r, err := src.Read(soon(t), Want{})
					return err == nil && r.DAG.Role == hadr.RoleSecondary
				})
			}
		})
	}
}

// RSSTC is taken back while the pinned session and the reading one hang.
func TestClearRequiredNeedsNobody(t *testing.T) {
	t.Parallel() // it waits for the driver's own 5 s
	l, src, _ := pair(t, lab.Options{})
	k := lock(t, src, "erp")
	if err := k.WriteRun(soon(t), "run-1"); err != nil {
		t.Fatal(err)
	}
	r := read(t, src, Want{})
	g := guardFor(r, "run-1")
	g.RSSTC = hadr.Some[int64](0)
	if err := k.Do(soon(t), stmt(t, KindRequire1, "DAG"), g); err != nil {
		t.Fatal(err)
	}
	eventually(t, "RSSTC reads 1", func() bool { return read(t, src, Want{}).DAG.RSSTC == hadr.Some[int64](1) })
	for _, f := range []lab.Fault{{Class: "s2", LoseAnswer: "before", Hang: true}, {Text: `begin\.server_name`, LoseAnswer: "before", Hang: true}} {
		if _, err := l.Control().Fault(f); err != nil {
			t.Fatal(err)
		}
	}
	g.RSSTC = hadr.Some[int64](1)
	if err := k.Do(within(t, 50*time.Millisecond), stmt(t, KindDemote, "DAG"), g); classOf(err) != ClassUnknown {
		t.Errorf("%v", err)
	}
	if err := k.Do(soon(t), stmt(t, KindRequire0, "DAG"), g); classOf(err) != ClassNotSent || !surely(err) {
		t.Errorf("behind the hung statement: %v", err)
	}
	if _, err := src.Read(within(t, 50*time.Millisecond), Want{}); reasonOf(err) != ReasonTimeout {
		t.Errorf("%v", err)
	}
	if err := src.ClearRequired(soon(t), r.DAG.GroupID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "RSSTC reads 0", func() bool {
		r, err := src.Read(soon(t), Want{})
		return err == nil && r.DAG.RSSTC == hadr.Some[int64](0)
	})
	if err := src.ClearRequired(soon(t), r.DAG.GroupID); err != nil {
		t.Errorf("again: %v", err)
	}
}

// RSSTC=0 goes to the group of the plan: to no other one of the same name, and by
// its name alone only where nobody knows the id.
func TestClearRequiredOnAnotherGroup(t *testing.T) {
	l, src, _ := pair(t, lab.Options{})
	if err := l.Control().RSSTC(lab.Source, 1); err != nil {
		t.Fatal(err)
	}
	group := read(t, src, Want{}).DAG.GroupID
	for _, other := range []string{"0c1d2e3f-0000-4000-8000-0123456789ab", "not a GUID", "' OR 1 = 1 --"} {
		if err := src.ClearRequired(soon(t), other); classOf(err) != ClassGuardRefused || !surely(err) {
			t.Errorf("group %q: %v", other, err)
		}
		if r := read(t, src, Want{}); r.DAG.RSSTC != hadr.Some[int64](1) {
			t.Errorf("group %q: RSSTC reads %v", other, r.DAG.RSSTC)
		}
	}
	for _, same := range []string{group, strings.ToUpper(group), ""} {
		if err := l.Control().RSSTC(lab.Source, 1); err != nil {
			t.Fatal(err)
		}
		if err := src.ClearRequired(soon(t), same); err != nil {
			t.Errorf("group %q: %v", same, err)
		}
		eventually(t, "RSSTC reads 0", func() bool { return read(t, src, Want{}).DAG.RSSTC == hadr.Some[int64](0) })
	}
}

func TestRequireIsRefusedBefore2022(t *testing.T) {
	opt := lab.Options{}
	for i := range opt.Model.Sides {
		opt.Model.Sides[i].Instances = []model.InstanceConfig{{Major: 15}}
	}
	_, src, _ := pair(t, opt)
	k := lock(t, src, "erp")
	if err := k.Do(soon(t), stmt(t, KindRequire1, "DAG"), guardFor(read(t, src, Want{}), "run-1")); classOf(err) != ClassGuardRefused {
		t.Errorf("%v", err)
	}
	if err := src.ClearRequired(soon(t), ""); classOf(err) != ClassVersion {
		t.Errorf("%v", err)
	}
}

// A whole cutover, and the way back of another, by hand through Lock.Do.
func TestWholeCutover(t *testing.T) {
	_, src, tgt := pair(t, lab.Options{})
	const run = "run-1"
	sk, tk := lock(t, src, "erp"), lock(t, tgt, "erp")
	act := func(k *Lock, s *Side, kind Kind, change func(*Guard), members ...string) {
		t.Helper()
		g := guardFor(read(t, s, Want{}), run)
		if change != nil {
			change(&g)
		}
		if err := k.Do(soon(t), stmt(t, kind, "DAG", members...), g); err != nil {
			t.Fatal(err)
		}
	}
	role := func(s *Side, want hadr.Role) {
		t.Helper()
		eventually(t, string(want), func() bool {
			r, err := s.Read(soon(t), Want{})
			return err == nil && r.DAG.Role == want
		})
	}
	for _, k := range []*Lock{sk, tk} {
		if err := k.WriteRun(soon(t), run); err != nil {
			t.Fatal(err)
		}
	}
	act(sk, src, KindSync, nil, "OnPremAG", "AzureAG")
	act(tk, tgt, KindSync, nil, "OnPremAG", "AzureAG")
	eventually(t, "synchronized", func() bool {
		for _, d := range read(t, src, Want{}).Databases {
			if d.Link == nil || d.Link.Sync != hadr.Synchronized {
				return false
			}
		}
		return true
	})
	required := func(n int64) func(*Guard) { return func(g *Guard) { g.RSSTC = hadr.Some(n) } }
	demote := func() *hadr.Reading {
		act(sk, src, KindRequire1, required(0))
		eventually(t, "RSSTC reads 1", func() bool { return read(t, src, Want{}).DAG.RSSTC == hadr.Some[int64](1) })
		act(sk, src, KindDemote, required(1))
		role(src, hadr.RoleSecondary)
		return read(t, src, Want{})
	}
	// There and back: the drill.
	demote()
	if err := src.ClearRequired(soon(t), read(t, src, Want{}).DAG.GroupID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "RSSTC reads 0", func() bool { return read(t, src, Want{}).DAG.RSSTC == hadr.Some[int64](0) })
	act(sk, src, KindPromote, func(g *Guard) { g.NoProof = true; g.RSSTC = hadr.Some[int64](0) })
	role(src, hadr.RolePrimary)
	eventually(t, "synchronized again", func() bool {
		for _, d := range read(t, src, Want{}).Databases {
			if d.Link == nil || d.Link.Sync != hadr.Synchronized || d.Updateability != "read_write" {
				return false
			}
		}
		return true
	})
	// And for good.
	proof := demote()
	eventually(t, "the target has it all", func() bool {
		g := guardFor(read(t, tgt, Want{}), run)
		g.AtLeast, g.RSSTC = floors(read(t, src, Want{})), hadr.Some[int64](0)
		err := tk.Do(soon(t), stmt(t, KindPromote, "DAG"), g)
		if err != nil && classOf(err) != ClassGuardRefused {
			t.Fatal(err)
		}
		return err == nil
	})
	role(tgt, hadr.RolePrimary)
	eventually(t, "writable", func() bool {
		for _, d := range read(t, tgt, Want{}).Databases {
			if d.State != hadr.DBOnline || d.Updateability != "read_write" {
				return false
			}
		}
		return true
	})
	for i, d := range read(t, tgt, Want{}).Databases {
		if !d.Own.EndOfLog.AtLeast(proof.Databases[i].Own.EndOfLog) {
			t.Errorf("%s: %s, proof %s", d.Name, d.Own.EndOfLog, proof.Databases[i].Own.EndOfLog)
		}
	}
	if r := read(t, src, Want{}); r.DAG.Role != hadr.RoleSecondary {
		t.Errorf("the source is %s", r.DAG.Role)
	}
	act(sk, src, KindRequire0, nil)
	act(tk, tgt, KindAsync, nil, "OnPremAG", "AzureAG")
	act(sk, src, KindAsync, nil, "OnPremAG", "AzureAG")
	for _, k := range []*Lock{sk, tk} {
		if err := k.ClearRun(soon(t), run); err != nil {
			t.Error(err)
		}
	}
}

func TestDiscover(t *testing.T) {
	l := startLab(t, lab.Options{Logins: []lab.Login{{Name: "poor", Password: "p"}}})
	for side, want := range map[lab.Side]Discovered{
		lab.Source: {Group: "DAG", Local: "OnPremAG", Remote: "AzureAG", Role: hadr.RolePrimary},
		lab.Target: {Group: "DAG", Local: "AzureAG", Remote: "OnPremAG", Role: hadr.RoleSecondary},
	} {
		f, err := Discover(soon(t), l.DSN(side), "dag_exporter")
		if err != nil {
			t.Fatal(err)
		}
		if len(f.DAGs) != 1 || len(f.Missing) != 0 || f.Identity.ServerName == "" || f.Identity.StartTime == "" {
			t.Fatalf("%+v", f)
		}
		d := f.DAGs[0]
		if d.Group != want.Group || d.Local != want.Local || d.Remote != want.Remote || d.Role != want.Role || !d.LocalPrimary || len(d.Databases) != 3 || len(d.Replicas) != 1 || d.GroupID == "" {
			t.Errorf("%+v", d)
		}
	}
	f, err := Discover(soon(t), l.DSNFor(l.Address(lab.Source), "poor", "p", "master"), "")
	if err != nil || len(f.DAGs) != 0 || len(f.Missing) != 2 {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := Discover(context.Background(), "sqlserver://sa:x@h", ""); err == nil || !strings.Contains(err.Error(), "encrypt") {
		t.Errorf("%v", err)
	}
}
