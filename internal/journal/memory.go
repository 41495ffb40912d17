package journal

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// NewMemory is a Journal that lasts as long as the process: for tests, and for
// the verbs that work alone and write nothing (check, plan).
func NewMemory() Journal {
	return &journal{b: &memory{m: map[string][]byte{}}}
}

type memory struct {
	mu sync.RWMutex
	m  map[string][]byte
}

func (b *memory) view(f func(kv) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return f(memTx{b.m})
}

// update works on a copy, so that an error leaves nothing behind.
func (b *memory) update(f func(kv) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := maps.Clone(b.m)
	if err := f(memTx{m}); err != nil {
		return err
	}
	b.m = m
	return nil
}

func (b *memory) close() error { return nil }

type memTx struct{ m map[string][]byte }

func (t memTx) get(key string) []byte              { return t.m[key] }
func (t memTx) put(key string, value []byte) error { t.m[key] = value; return nil }
func (t memTx) del(key string) error               { delete(t.m, key); return nil }

func (t memTx) keys(prefix string) []string {
	var keys []string
	for k := range t.m {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func (t memTx) scan(prefix string, f func(string, []byte) error) error {
	for _, k := range t.keys(prefix) {
		if err := f(k, t.m[k]); err != nil {
			return err
		}
	}
	return nil
}

func (t memTx) last(prefix string) (string, bool) {
	keys := t.keys(prefix)
	if len(keys) == 0 {
		return "", false
	}
	return keys[len(keys)-1], true
}
