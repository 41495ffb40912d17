package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

var scheduleStart = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)

// trace runs a schedule for a time and returns the whole state every step of it, as text, at exact moments of the model.
func trace(t *testing.T, s Schedule, clock Clock, length, step time.Duration, cfg model.Config) []string {
	t.Helper()
	// A password of its own keeps out whoever still dials a port that belonged to another lab of this machine.
	l, err := New(Options{Clock: clock, Schedule: &s, Model: cfg, Logins: []Login{{Name: SA, Password: "nobody knows", Sysadmin: true}}})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	done := make(chan struct{})
	began := l.engine.m.Now()
	var look func()
	look = func() {
		m := l.engine.m
		st, err := (&Control{l: l, m: m}).State()
		if err != nil {
			t.Error(err)
		}
		st.Now = time.Time{}.Add(st.Now.Sub(began))
		for i := range st.Sides {
			for n := range st.Sides[i].Instances {
				in := &st.Sides[i].Instances[n]
				in.Address, in.Started = "", time.Time{}.Add(in.Started.Sub(began))
			}
		}
		b, err := json.Marshal(st)
		if err != nil {
			t.Error(err)
		}
		out = append(out, string(b))
		if m.Now().Sub(began) >= length {
			close(done)
			return
		}
		m.After(step, look)
	}
	l.engine.m.After(0, look)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if v, ok := clock.(*VirtualClock); ok {
		for began.Add(length + time.Second).After(v.Now()) {
			v.Advance(777 * time.Millisecond) // in strides of its own: the model's moments do not depend on them
			if err := l.engine.do(func(*model.Model) {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("the trace has no end")
	}
	if err := l.Run().Err(); err != nil {
		t.Error(err)
	}
	for _, h := range l.Run().Log() {
		out = append(out, fmt.Sprintf("step %d at %s: %v", h.Step, h.Offset, h.Err))
	}
	return out
}

// sameTrace fails at the first moment that differs, and shows where in it.
func sameTrace(t *testing.T, a, b []string) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d and %d moments", len(a), len(b))
	}
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		at := 0
		for at < len(a[i]) && at < len(b[i]) && a[i][at] == b[i][at] {
			at++
		}
		part := func(s string) string { return s[max(0, at-200):min(len(s), at+200)] }
		t.Fatalf("moment %d differs:\n%s\n%s", i, part(a[i]), part(b[i]))
	}
}

// TestScheduleTwice: the same seed and schedule give the same run, moment for moment; another seed gives another.
func TestScheduleTwice(t *testing.T) {
	cfg := model.Config{Seed: 7, Timing: model.Timing{Background: time.Second}}
	run := func(seed uint64) []string {
		s := RandomSchedule(seed, 25, RandomOptions{Span: 20 * time.Second, Databases: []string{"db001", "db002"}})
		s.Steps = append(s.Steps, Step{At: Duration(3 * time.Second), Jitter: Duration(time.Second), Do: "execute", With: Args{Side: "source", Statement: "ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDARY)"}, MayFail: true},
			Step{On: &Event{Statement: "s2", Side: "source"}, After: Duration(500 * time.Millisecond), Do: "execute", With: Args{Side: "target", Statement: "ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS"}, MayFail: true})
		return trace(t, s, NewVirtualClock(scheduleStart), 30*time.Second, 100*time.Millisecond, cfg)
	}
	a, b := run(11), run(11)
	if len(a) < 300 {
		t.Fatalf("%d moments", len(a))
	}
	sameTrace(t, a, b)
	if c := run(12); slices.Equal(a, c) {
		t.Error("another seed gives the same run")
	}
}

// TestScheduleOnTheRealClock: what runs on the real clock is what runs on the virtual one.
func TestScheduleOnTheRealClock(t *testing.T) {
	s, err := ReadSchedule(strings.NewReader(`
seed: 3
steps:
  - {at: 100ms, do: load, with: {rows: 300, bytes: 700}}
  - {at: 200ms, jitter: 50ms, do: cut}
  - {at: 400ms, do: heal}
  - {at: 450ms, do: stop, with: {side: target}}
  - {at: 500ms, do: start, with: {side: target}}
  - {at: 600ms, do: execute, with: {side: source, statement: "ALTER AVAILABILITY GROUP DAG SET (ROLE = SECONDARY)"}}
  - on: {statement: s2, phase: accepted}
    after: 10ms
    do: freeze
    with: {side: source}
  - {at: 900ms, do: unfreeze, with: {side: source}}
`))
	if err != nil {
		t.Fatal(err)
	}
	cfg := model.Config{Timing: quick}
	a := trace(t, s, realClock{}, 1200*time.Millisecond, 20*time.Millisecond, cfg)
	b := trace(t, s, NewVirtualClock(scheduleStart), 1200*time.Millisecond, 20*time.Millisecond, cfg)
	sameTrace(t, a, b)
	if last := a[len(a)-1]; !strings.Contains(last, "step 7 at 900ms: <nil>") {
		t.Error(last)
	}
}

// TestScheduleSeesRequests: a step that waits for a request on the wire runs before the request does.
func TestScheduleSeesRequests(t *testing.T) {
	s := Schedule{Steps: []Step{
		{On: &Event{Statement: "lock", Phase: "received", Count: 2}, Do: "refuse-logins", With: Args{Side: "target"}},
		{On: &Event{Statement: "s1", Side: "source", Phase: "received"}, Do: "fault", With: Args{Fault: &Fault{Class: "s1", Error: 41138}}},
	}}
	l := start(t, Options{Schedule: &s})
	src := l.test(t, Source)
	exec(t, l.test(t, Target), "SELECT 1")
	exec(t, src, "EXEC sp_getapplock 'a', 'Exclusive', 'Session'")
	exec(t, open(t, l.DSN(Target)), "SELECT 1")
	exec(t, src, "EXEC sp_getapplock 'b', 'Exclusive', 'Session'")
	if err := open(t, l.DSN(Target)).Ping(); errorNumber(err) != 18456 {
		t.Errorf("after the second lock: %v", err)
	}
	fails(t, src, 41138, sqlS1)
	if err := l.WaitSchedule(); err != nil || len(l.Run().Log()) != 2 {
		t.Error(err, l.Run().Log())
	}
}

// TestScheduleThatFails names the seeds and the commit.
func TestScheduleThatFails(t *testing.T) {
	s := Schedule{Seed: 99, Steps: []Step{{Do: "suspend", With: Args{Side: "source", Database: "nosuch"}}}}
	l := start(t, Options{Schedule: &s, Model: model.Config{Timing: quick, Seed: 5}})
	err := l.WaitSchedule()
	if err == nil || !strings.Contains(err.Error(), "seed=5 schedule_seed=99 commit=") || !strings.Contains(err.Error(), "step 1 (suspend)") {
		t.Error(err)
	}
	if err := start(t, Options{}).WaitSchedule(); !errors.Is(err, errNoSchedule) {
		t.Error(err)
	}
}

// TestScheduleFiles: both forms read the same; mistakes are told.
func TestScheduleFiles(t *testing.T) {
	s := RandomSchedule(4, 200, RandomOptions{Instances: [2]int{3, 2}, Kinds: RandomKinds()})
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	back, err := ReadSchedule(&b)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(s)
	y, _ := json.Marshal(back)
	if !bytes.Equal(x, y) {
		t.Errorf("written and read:\n%s\n%s", x, y)
	}
	for text, want := range map[string]string{
		"":                                                    "empty",
		"steps: [{do: nosuch}]":                               "nosuch",
		"steps: [{do: stop}]":                                 "side",
		"steps: [{do: cut, when: 3s}]":                        "when",
		"steps: [{do: cut, at: -1s}]":                         "negative",
		"steps: [{do: cut, after: 1s}]":                       "after belongs to on",
		"steps: [{do: cut, on: {statement: lock}}]":           "no phase but received",
		"steps: [{do: cut, on: {statement: s9}}]":             "s9",
		"steps: [{do: cut, on: {statement: s2, phase: x}}]":   "phase",
		"steps: [{do: cut, on: {statement: s2, side: left}}]": "left",
		`{"do":"cut"}` + "\n" + `{"do":"cut","at":"x"}`:       "line 2",
		"steps: [":                             "schedule",
		`steps: [{do: load, with: {rowz: 1}}]`: "rowz",
	} {
		if _, err := ReadSchedule(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestRandomSchedulesRecover: whatever a random schedule did, afterwards the pair stands as if nothing had been.
func TestRandomSchedulesRecover(t *testing.T) {
	for seed := range uint64(12) {
		clock := NewVirtualClock(scheduleStart)
		s := RandomSchedule(seed, 30, RandomOptions{Span: 30 * time.Second})
		l, err := New(Options{Clock: clock, Schedule: &s})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for end := scheduleStart.Add(s.End() + time.Minute); clock.Now().Before(end); clock.Advance(time.Second) {
			if err := l.engine.do(func(*model.Model) {}); err != nil {
				t.Fatal(err)
			}
		}
		st, err := l.Control().State()
		if err != nil {
			t.Fatal(err)
		}
		if len(st.Faults) != 0 || st.Sides[0].Role != "PRIMARY" || st.Sides[1].Role != "SECONDARY" {
			t.Errorf("seed %d: %+v", seed, st)
		}
		for i, side := range st.Sides {
			in := side.Instances[0]
			if !in.Online || in.Frozen || in.Refuses {
				t.Errorf("seed %d: %s %+v", seed, side.Side, in)
			}
			for n, d := range in.Databases {
				if d.Suspended || d.Open != 0 || d.Load != 0 || d.EndOfLog != st.Sides[1-i].Instances[0].Databases[n].EndOfLog || i == 0 && d.Link != "SYNCHRONIZING" {
					t.Errorf("seed %d: %s %+v", seed, side.Side, d)
				}
			}
		}
		l.Close()
	}
}
