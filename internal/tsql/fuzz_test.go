package tsql

import (
	"context"
	"testing"
	"time"
)

func FuzzLex(f *testing.F) {
	for _, s := range corpusScripts(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(*Error); !ok {
					panic(r)
				}
			}
		}()
		end := 0
		for _, k := range lex(s) {
			if k.pos < end || k.end < k.pos || k.end > len(s) {
				t.Fatalf("token %+v in %q", k, s)
			}
			end = k.end
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range corpusScripts(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseBatch(s, 60)
		if err != nil {
			return
		}
		once := printBatch(list)
		again, err := parseBatch(once, 400)
		if err != nil {
			t.Fatalf("%q printed %q: %v", s, once, err)
		}
		if twice := printBatch(again); twice != once {
			t.Fatalf("%q printed %q, then %q", s, once, twice)
		}
	})
}

func FuzzExec(f *testing.F) {
	for _, s := range corpusScripts(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		sess := NewSession(newFake(), Options{MaxRows: 20000, MaxDepth: 60})
		var out textSink
		start := time.Now()
		_ = sess.Exec(ctx, s, &out) // any error will do; a panic or a hang will not
		if d := time.Since(start); d > 10*time.Second {
			t.Fatalf("%q took %v", s, d)
		}
		sess.Close(context.Background())
	})
}
