package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
)

// kv is one transaction over ordered keys.
type kv interface {
	get(key string) []byte // nil if absent; valid inside the transaction only
	put(key string, value []byte) error
	del(key string) error
	scan(prefix string, f func(key string, value []byte) error) error // ascending
	last(prefix string) (key string, ok bool)                         // the greatest key with the prefix
}

// backend runs transactions: update is all or nothing and durable before it
// returns nil, if the backend is one that lasts.
type backend interface {
	view(f func(kv) error) error
	update(f func(kv) error) error
	close() error
}

// The keys. \x00 separates the parts, so that no name can be mistaken for
// another name's prefix; names with \x00 are refused.
//
//	meta \0 schema                   decimal number
//	dag  \0 NAME \0 state            State
//	dag  \0 NAME \0 open             id of the unfinished run
//	dag  \0 NAME \0 run \0 SEQ       id of a run
//	dag  \0 NAME \0 log \0 SEQ       Event
//	run  \0 ID   \0 head             Run
//	run  \0 ID   \0 intent           cutover.Intent
//	run  \0 ID   \0 event \0 SEQ     Event
const (
	sep       = "\x00"
	keySchema = "meta" + sep + "schema"
)

func dagKey(dag, part string) string { return "dag" + sep + dag + sep + part }
func runKey(run, part string) string { return "run" + sep + run + sep + part }

// journal is the one implementation of Journal, over a backend.
type journal struct {
	b      backend
	closed atomic.Bool
}

var _ Journal = (*journal)(nil)

func (j *journal) view(what string, f func(kv) error) error   { return j.do(what, j.b.view, f) }
func (j *journal) update(what string, f func(kv) error) error { return j.do(what, j.b.update, f) }

func (j *journal) do(what string, run func(func(kv) error) error, f func(kv) error) error {
	if j.closed.Load() {
		return fmt.Errorf("journal: %s: %w", what, ErrClosed)
	}
	if err := run(f); err != nil {
		return fmt.Errorf("journal: %s: %w", what, err)
	}
	return nil
}

func (j *journal) State(dag string) (s State, err error) {
	err = j.view("read state of "+dag, func(t kv) error { return getJSON(t, dagKey(dag, "state"), &s) })
	return s, err
}

func (j *journal) Update(dag string, f func(*State) error, events ...Event) (s State, err error) {
	var refused error // f's own error goes back unwrapped
	err = j.update("change state of "+dag, func(t kv) error {
		s, refused = State{}, nil
		if err := valid(dag); err != nil {
			return err
		}
		if err := getJSON(t, dagKey(dag, "state"), &s); err != nil {
			return err
		}
		if refused = f(&s); refused != nil {
			return refused
		}
		if err := appendEvents(t, dagKey(dag, "log"), events); err != nil {
			return err
		}
		return putJSON(t, dagKey(dag, "state"), s)
	})
	if refused != nil {
		return s, refused
	}
	return s, err
}

func (j *journal) Begin(run Run, intent cutover.Intent, events ...Event) error {
	return j.update("begin run "+run.ID, func(t kv) error {
		if err := valid(run.DAG, run.ID); err != nil {
			return err
		}
		if t.get(runKey(run.ID, "head")) != nil {
			return fmt.Errorf("run %s exists already", run.ID)
		}
		var s State
		if err := getJSON(t, dagKey(run.DAG, "state"), &s); err != nil {
			return err
		}
		if err := begin(&s, run, string(t.get(dagKey(run.DAG, "open")))); err != nil {
			return err
		}
		if err := putJSON(t, dagKey(run.DAG, "state"), s); err != nil {
			return err
		}
		if err := t.put(dagKey(run.DAG, "open"), []byte(run.ID)); err != nil {
			return err
		}
		if err := t.put(nextKey(t, dagKey(run.DAG, "run")), []byte(run.ID)); err != nil {
			return err
		}
		if err := putJSON(t, runKey(run.ID, "head"), run); err != nil {
			return err
		}
		return putIntent(t, run.ID, intent, events)
	})
}

func (j *journal) Put(run string, intent cutover.Intent, events ...Event) error {
	return j.update("write intent of run "+run, func(t kv) error {
		if t.get(runKey(run, "head")) == nil {
			return fmt.Errorf("%w: %s", ErrNoRun, run)
		}
		return putIntent(t, run, intent, events)
	})
}

func (j *journal) Append(run string, events ...Event) error {
	return j.update("append to run "+run, func(t kv) error {
		if t.get(runKey(run, "head")) == nil {
			return fmt.Errorf("%w: %s", ErrNoRun, run)
		}
		return appendEvents(t, runKey(run, "event"), events)
	})
}

func (j *journal) End(run string, ended time.Time, outcome string, intent cutover.Intent, f func(*State), events ...Event) error {
	return j.update("end run "+run, func(t kv) error {
		var head Run
		if t.get(runKey(run, "head")) == nil {
			return fmt.Errorf("%w: %s", ErrNoRun, run)
		}
		if err := getJSON(t, runKey(run, "head"), &head); err != nil {
			return err
		}
		if head.Ended.IsZero() {
			head.Ended, head.Outcome = ended.UTC(), outcome
			if err := putJSON(t, runKey(run, "head"), head); err != nil {
				return err
			}
		}
		if string(t.get(dagKey(head.DAG, "open"))) == run {
			if err := t.del(dagKey(head.DAG, "open")); err != nil {
				return err
			}
		}
		if f != nil {
			var s State
			if err := getJSON(t, dagKey(head.DAG, "state"), &s); err != nil {
				return err
			}
			f(&s)
			if err := putJSON(t, dagKey(head.DAG, "state"), s); err != nil {
				return err
			}
		}
		return putIntent(t, run, intent, events)
	})
}

func (j *journal) Unfinished(dag string) (r *Record, err error) {
	err = j.view("look for an unfinished run of "+dag, func(t kv) error {
		id := t.get(dagKey(dag, "open"))
		if id == nil {
			return nil
		}
		r, err = load(t, string(id))
		return err
	})
	return r, err
}

func (j *journal) AllUnfinished() (runs []Run, err error) {
	var bad error
	err = j.view("look for every unfinished run", func(t kv) error {
		runs, bad = nil, nil
		prefix := "dag" + sep
		return t.scan(prefix, func(key string, id []byte) error {
			if _, part, _ := strings.Cut(strings.TrimPrefix(key, prefix), sep); part != "open" {
				return nil
			}
			var r Run
			if err := getJSON(t, runKey(string(id), "head"), &r); err != nil {
				bad = errors.Join(bad, err) // one that cannot be read hides no other
				return nil
			}
			runs = append(runs, r)
			return nil
		})
	})
	return runs, errors.Join(err, bad)
}

func (j *journal) Runs(dag string) (runs []Run, err error) {
	err = j.view("list runs of "+dag, func(t kv) error {
		runs = nil
		return t.scan(dagKey(dag, "run")+sep, func(_ string, id []byte) error {
			var r Run
			if err := getJSON(t, runKey(string(id), "head"), &r); err != nil {
				return err
			}
			runs = append(runs, r)
			return nil
		})
	})
	for i, k := 0, len(runs)-1; i < k; i, k = i+1, k-1 {
		runs[i], runs[k] = runs[k], runs[i]
	}
	return runs, err
}

func (j *journal) Load(run string) (r *Record, err error) {
	err = j.view("read run "+run, func(t kv) error {
		r, err = load(t, run)
		return err
	})
	return r, err
}

func (j *journal) Log(dag string) (events []Event, err error) {
	err = j.view("read log of "+dag, func(t kv) error {
		events, err = scanEvents(t, dagKey(dag, "log"))
		return err
	})
	return events, err
}

func (j *journal) Close() error {
	if j.closed.Swap(true) {
		return nil
	}
	return j.b.close()
}

func load(t kv, run string) (*Record, error) {
	r := new(Record)
	if t.get(runKey(run, "head")) == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoRun, run)
	}
	if err := getJSON(t, runKey(run, "head"), &r.Run); err != nil {
		return nil, err
	}
	if err := getJSON(t, runKey(run, "intent"), &r.Intent); err != nil {
		return nil, err
	}
	var err error
	r.Events, err = scanEvents(t, runKey(run, "event"))
	return r, err
}

func putIntent(t kv, run string, intent cutover.Intent, events []Event) error {
	if err := putJSON(t, runKey(run, "intent"), intent); err != nil {
		return err
	}
	return appendEvents(t, runKey(run, "event"), events)
}

func appendEvents(t kv, log string, events []Event) error {
	for _, e := range events {
		if err := putJSON(t, nextKey(t, log), e); err != nil {
			return err
		}
	}
	return nil
}

func scanEvents(t kv, log string) (events []Event, err error) {
	err = t.scan(log+sep, func(key string, b []byte) error {
		var e Event
		if err := json.Unmarshal(b, &e); err != nil {
			return fmt.Errorf("event %q: %w", key, err)
		}
		events = append(events, e)
		return nil
	})
	return events, err
}

// nextKey is the key after the last one of a list; big-endian, so that keys
// sort by number.
func nextKey(t kv, list string) string {
	var n uint64
	if key, ok := t.last(list + sep); ok {
		n = binary.BigEndian.Uint64([]byte(key[len(key)-8:])) + 1
	}
	return list + sep + string(binary.BigEndian.AppendUint64(nil, n))
}

func getJSON(t kv, key string, v any) error {
	b := t.get(key)
	if b == nil {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("entry %q: %w", key, err)
	}
	return nil
}

func putJSON(t kv, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("entry %q: %w", key, err)
	}
	return t.put(key, b)
}

func valid(names ...string) error {
	for _, n := range names {
		if n == "" {
			return fmt.Errorf("an empty name cannot be written")
		}
		for i := range len(n) {
			if n[i] == 0 {
				return fmt.Errorf("name %q holds a zero byte", n)
			}
		}
	}
	return nil
}
