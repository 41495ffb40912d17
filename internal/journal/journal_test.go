package journal

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

var t0 = time.Date(2026, 3, 1, 2, 3, 4, 5, time.UTC)

// reopenable is a Journal under the contract test; reopen closes it and opens
// the same storage again.
type reopenable struct {
	Journal
	reopen func(t *testing.T) Journal
}

func implementations(t *testing.T) map[string]func(t *testing.T) *reopenable {
	return map[string]func(t *testing.T) *reopenable{
		"bolt": func(t *testing.T) *reopenable {
			dir := filepath.Join(t.TempDir(), "data")
			r := &reopenable{}
			open := func(t *testing.T) Journal {
				if r.Journal != nil {
					if err := r.Close(); err != nil {
						t.Fatal(err)
					}
				}
				j, err := Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				return j
			}
			r.Journal, r.reopen = open(t), open
			t.Cleanup(func() { _ = r.Close() })
			return r
		},
		"memory": func(t *testing.T) *reopenable {
			j := NewMemory()
			return &reopenable{Journal: j, reopen: func(*testing.T) Journal { return j }}
		},
	}
}

// TestContract is what every Journal has to keep.
func TestContract(t *testing.T) {
	cases := map[string]func(t *testing.T, j *reopenable){
		"unseen DAG":                 contractUnseen,
		"state survives":             contractState,
		"refused update":             contractRefusedUpdate,
		"one arming one run":         contractOneArming,
		"one unfinished run":         contractUnfinished,
		"every unfinished run":       contractAllUnfinished,
		"intent and events together": contractTogether,
		"runs newest first":          contractNewestFirst,
		"names do not run together":  contractNames,
		"many updates at once":       contractConcurrent,
		"closed":                     contractClosed,
	}
	for name, open := range implementations(t) {
		for what, f := range cases {
			t.Run(name+"/"+what, func(t *testing.T) { f(t, open(t)) })
		}
	}
}

func arm(t *testing.T, j Journal, dag string) uint64 {
	t.Helper()
	s, err := j.Update(dag, func(s *State) error {
		s.Generation++
		s.Arming = &Arming{By: "anna", At: t0, Until: t0.Add(time.Hour), Generation: s.Generation, PlanHash: "h"}
		return nil
	}, NewEvent(t0, "arm", "armed by anna", nil))
	if err != nil {
		t.Fatal(err)
	}
	return s.Generation
}

func begun(t *testing.T, j Journal, dag, id string) Run {
	t.Helper()
	r := Run{ID: id, DAG: dag, Kind: "cutover", Mode: "execute", Generation: arm(t, j, dag), PlanHash: "h", Plan: []byte(`{"a":1}`), Started: t0}
	if err := j.Begin(r, cutover.Intent{Run: id, DAG: dag}, NewEvent(t0, "run", "began", nil)); err != nil {
		t.Fatal(err)
	}
	return r
}

func contractUnseen(t *testing.T, j *reopenable) {
	if s, err := j.State("x"); err != nil || !reflect.DeepEqual(s, State{}) {
		t.Errorf("State = %+v, %v", s, err)
	}
	if r, err := j.Unfinished("x"); err != nil || r != nil {
		t.Errorf("Unfinished = %v, %v", r, err)
	}
	if r, err := j.Runs("x"); err != nil || len(r) != 0 {
		t.Errorf("Runs = %v, %v", r, err)
	}
	if _, err := j.Load("x"); !errors.Is(err, ErrNoRun) {
		t.Errorf("Load = %v", err)
	}
	for _, err := range []error{j.Put("x", cutover.Intent{}), j.Append("x"), j.End("x", t0, "done", cutover.Intent{}, nil)} {
		if !errors.Is(err, ErrNoRun) {
			t.Errorf("write to an unknown run: %v", err)
		}
	}
}

func contractState(t *testing.T, j *reopenable) {
	arm(t, j, "erp")
	want, err := j.Update("erp", func(s *State) error {
		s.Hold = &Hold{By: "ben", Reason: "wait for the batch", At: t0}
		s.Approvals = append(s.Approvals, Approval{By: "carl", At: t0, PlanHash: "h"})
		s.Checklist = append(s.Checklist, Done{Item: "DNS", By: "carl", At: t0})
		s.Pages = append(s.Pages, Page{ID: "p1", At: t0, Text: "look", Statements: []Statement{{Side: "source", SQL: "ALTER"}}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	j.Journal = j.reopen(t)
	got, err := j.State("erp")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("after reopening %+v, %v; want %+v", got, err, want)
	}
	log, err := j.Log("erp")
	if err != nil || len(log) != 1 || log[0].Text != "armed by anna" || !log[0].At.Equal(t0) {
		t.Errorf("log = %+v, %v", log, err)
	}
}

func contractRefusedUpdate(t *testing.T, j *reopenable) {
	arm(t, j, "erp")
	no := errors.New("no")
	_, err := j.Update("erp", func(s *State) error { s.Arming.By = "mallory"; s.Generation = 99; return no }, NewEvent(t0, "x", "x", nil))
	if !errors.Is(err, no) {
		t.Errorf("err = %v, want the function's own error", err)
	}
	if s, _ := j.State("erp"); s.Generation != 1 || s.Arming.By != "anna" {
		t.Errorf("a refused update left %+v", s)
	}
	if log, _ := j.Log("erp"); len(log) != 1 {
		t.Errorf("a refused update left events: %+v", log)
	}
}

func contractOneArming(t *testing.T, j *reopenable) {
	r := begun(t, j, "erp", "r1")
	if err := j.End("r1", t0.Add(time.Minute), "aborted", cutover.Intent{Run: "r1"}, func(s *State) { s.Unacknowledged = "r1" }); err != nil {
		t.Fatal(err)
	}
	j.Journal = j.reopen(t)
	again := r
	again.ID = "r2"
	if err := j.Begin(again, cutover.Intent{}); !errors.Is(err, ErrSpent) {
		t.Errorf("the same arming started a second run: %v", err)
	}
	if _, err := j.Load("r2"); !errors.Is(err, ErrNoRun) {
		t.Errorf("a refused Begin left a run: %v", err)
	}
	s, err := j.State("erp")
	if err != nil || s.Arming.Spent != "r1" || s.Unacknowledged != "r1" {
		t.Errorf("state = %+v, %v", s, err)
	}
	// An older generation does not start one either.
	arm(t, j, "erp")
	if err := j.Begin(again, cutover.Intent{}); !errors.Is(err, ErrSpent) {
		t.Errorf("a stale generation started a run: %v", err)
	}
	// Nor does none at all.
	if _, err := j.Update("erp", func(s *State) error { s.Arming = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	again.Generation = 2
	if err := j.Begin(again, cutover.Intent{}); !errors.Is(err, ErrSpent) {
		t.Errorf("a disarmed DAG started a run: %v", err)
	}
}

func contractUnfinished(t *testing.T, j *reopenable) {
	begun(t, j, "erp", "r1")
	g := arm(t, j, "erp")
	if err := j.Begin(Run{ID: "r2", DAG: "erp", Generation: g}, cutover.Intent{}); !errors.Is(err, ErrUnfinished) {
		t.Errorf("a second run beside the first: %v", err)
	}
	g = arm(t, j, "other")
	if err := j.Begin(Run{ID: "r3", DAG: "other", Generation: g}, cutover.Intent{}); err != nil {
		t.Errorf("another DAG: %v", err)
	}
	if err := j.Begin(Run{ID: "r1", DAG: "third", Generation: arm(t, j, "third")}, cutover.Intent{}); err == nil {
		t.Error("a run id was used twice")
	}
	j.Journal = j.reopen(t)
	u, err := j.Unfinished("erp")
	if err != nil || u == nil || u.Run.ID != "r1" || u.Intent.Run != "r1" || string(u.Run.Plan) != `{"a":1}` {
		t.Fatalf("Unfinished = %+v, %v", u, err)
	}
	if err := j.End("r1", t0.Add(time.Minute), "done", u.Intent, nil); err != nil {
		t.Fatal(err)
	}
	if err := j.End("r1", t0.Add(time.Hour), "aborted", u.Intent, nil); err != nil {
		t.Fatal(err)
	}
	if u, err := j.Unfinished("erp"); err != nil || u != nil {
		t.Errorf("after End: %+v, %v", u, err)
	}
	r, err := j.Load("r1")
	if err != nil || r.Run.Outcome != "done" || !r.Run.Ended.Equal(t0.Add(time.Minute)) {
		t.Errorf("the first End counts: %+v, %v", r, err)
	}
}

// No name of a DAG is known to whoever asks, and neither a name nor the bytes of
// a log's number are taken for the mark of an open run.
func contractAllUnfinished(t *testing.T, j *reopenable) {
	want := func(ids ...string) {
		t.Helper()
		runs, err := j.AllUnfinished()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range runs {
			got = append(got, r.DAG+" "+r.ID)
		}
		if !slices.Equal(got, ids) {
			t.Errorf("unfinished: %v, want %v", got, ids)
		}
	}
	want()
	begun(t, j, "open", "r1")
	begun(t, j, "erp", "r2")
	begun(t, j, "crm", "r3")
	arm(t, j, "idle")
	for _, run := range []string{"r1", "r2"} {
		if err := j.Append(run, NewEvent(t0, "note", "x", nil)); err != nil {
			t.Fatal(err)
		}
	}
	j.Journal = j.reopen(t)
	want("crm r3", "erp r2", "open r1")
	if err := j.End("r2", t0.Add(time.Minute), "done", cutover.Intent{}, nil); err != nil {
		t.Fatal(err)
	}
	want("crm r3", "open r1")
}

func contractTogether(t *testing.T, j *reopenable) {
	begun(t, j, "erp", "r1")
	for i := range 300 { // more than fits one page, and past one byte of the sequence
		n := strconv.Itoa(i)
		if err := j.Put("r1", cutover.Intent{Run: "r1", PlanHash: n}, NewEvent(t0, "step", n, map[string]int{"n": i})); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Append("r1", NewEvent(t0, "late", "late", nil)); err != nil {
		t.Fatal(err)
	}
	j.Journal = j.reopen(t)
	r, err := j.Load("r1")
	if err != nil || r.Intent.PlanHash != "299" || len(r.Events) != 302 {
		t.Fatalf("intent %q, %d events, %v", r.Intent.PlanHash, len(r.Events), err)
	}
	for i, e := range r.Events[1:301] {
		if e.Text != strconv.Itoa(i) {
			t.Fatalf("event %d is %q", i, e.Text)
		}
	}
}

func contractNewestFirst(t *testing.T, j *reopenable) {
	for i := range 12 {
		id := "r" + strconv.Itoa(i)
		begun(t, j, "erp", id)
		if err := j.End(id, t0, "aborted", cutover.Intent{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	begun(t, j, "other", "x")
	runs, err := j.Runs("erp")
	if err != nil || len(runs) != 12 || runs[0].ID != "r11" || runs[11].ID != "r0" {
		t.Errorf("runs = %v, %v", runs, err)
	}
}

func contractNames(t *testing.T, j *reopenable) {
	begun(t, j, "erp", "r1")
	begun(t, j, "erp2", "r10")
	if runs, _ := j.Runs("erp"); len(runs) != 1 {
		t.Errorf("erp has %d runs", len(runs))
	}
	if r, _ := j.Load("r1"); len(r.Events) != 1 {
		t.Errorf("r1 has %d events", len(r.Events))
	}
	for _, bad := range []string{"", "a\x00b"} {
		if _, err := j.Update(bad, func(*State) error { return nil }); err == nil {
			t.Errorf("name %q was taken", bad)
		}
	}
}

func contractConcurrent(t *testing.T, j *reopenable) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := j.Update("erp", func(s *State) error { s.Generation++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s, _ := j.State("erp"); s.Generation != 40 {
		t.Errorf("generation = %d: an update was lost", s.Generation)
	}
}

func contractClosed(t *testing.T, j *reopenable) {
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := j.State("erp"); !errors.Is(err, ErrClosed) {
		t.Errorf("State after Close: %v", err)
	}
	if err := j.Put("r", cutover.Intent{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
}

func TestOpenModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = j.Close()
	path := filepath.Join(dir, FileName)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	for p, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		fi, err := os.Stat(p)
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", p, fi.Mode().Perm(), err, want)
		}
	}
}

func TestOpenInUse(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	_, err = Open(dir)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "stop the other cutover_webhook") {
		t.Errorf("second Open: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	schema := func(text string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := bolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if err := db.Update(func(tx *bolt.Tx) error {
				b, err := tx.CreateBucket(bucket)
				if err != nil {
					return err
				}
				return b.Put([]byte(keySchema), []byte(text))
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		is   error
		text string
	}{
		"newer schema": {schema(strconv.Itoa(Schema + 1)), ErrNewer, "start the newer build"},
		"no schema":    {schema("x"), nil, "schema number"},
		"not a journal": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 5000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, "not a journal"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, filepath.Join(dir, FileName))
			j, err := Open(dir)
			if err == nil {
				_ = j.Close()
				t.Fatal("opened")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestNewEventNeverFails(t *testing.T) {
	e := NewEvent(t0, "k", "text", func() {})
	if !strings.Contains(e.Text, "details not written") || e.Data != nil {
		t.Errorf("%+v", e)
	}
}
