package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// FileName of the journal inside --storage.path.
const FileName = "journal.db"

var bucket = []byte("journal")

// Open opens the journal in the folder dir (--storage.path), and makes both if
// they are not there: the folder with mode 0700, the file with 0600. A second
// process gets ErrInUse after one second; a journal of a newer build ErrNewer.
func Open(dir string) (Journal, error) {
	path := filepath.Join(dir, FileName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: make the folder of --storage.path: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("journal: open %s: %w; stop the other cutover_webhook, or give this one its own --storage.path", path, ErrInUse)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return nil, fmt.Errorf("journal: open %s: it is not a journal or it is damaged (%w); keep it, and look at both servers by hand before you start with an empty --storage.path", path, err)
	case err != nil:
		return nil, fmt.Errorf("journal: open %s: %w", path, err)
	}
	if err := prepare(db, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: open %s: %w", path, err), db.Close())
	}
	return &journal{b: boltBackend{db}}, nil
}

// prepare checks the schema number before anything else is looked at, and
// writes it into a new file.
func prepare(db *bolt.DB, dir string) error {
	// A file that was restored or copied may have been opened to others.
	if err := os.Chmod(db.Path(), 0o600); err != nil {
		return err
	}
	err := db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		if b == nil {
			var err error
			if b, err = tx.CreateBucket(bucket); err != nil {
				return err
			}
			return b.Put([]byte(keySchema), []byte(strconv.Itoa(Schema)))
		}
		text := b.Get([]byte(keySchema))
		n, err := strconv.Atoi(string(text))
		switch {
		case err != nil || n < 1:
			return fmt.Errorf("its schema number %q is no number", text)
		case n > Schema:
			return fmt.Errorf("%w: schema %d, this build knows %d; start the newer build", ErrNewer, n, Schema)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The file's name has to survive a power failure too. Not every system
	// lets a folder be synced, and those that do not need no help.
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

// boltBackend leaves bbolt's defaults as they are: each update is one
// transaction, fsynced before it returns.
type boltBackend struct{ db *bolt.DB }

func (b boltBackend) view(f func(kv) error) error {
	return closedErr(b.db.View(func(tx *bolt.Tx) error { return f(boltTx{tx.Bucket(bucket)}) }))
}

func (b boltBackend) update(f func(kv) error) error {
	return closedErr(b.db.Update(func(tx *bolt.Tx) error { return f(boltTx{tx.Bucket(bucket)}) }))
}

func (b boltBackend) close() error { return b.db.Close() }

func closedErr(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

type boltTx struct{ b *bolt.Bucket }

func (t boltTx) get(key string) []byte              { return t.b.Get([]byte(key)) }
func (t boltTx) put(key string, value []byte) error { return t.b.Put([]byte(key), value) }
func (t boltTx) del(key string) error               { return t.b.Delete([]byte(key)) }

func (t boltTx) scan(prefix string, f func(string, []byte) error) error {
	c := t.b.Cursor()
	p := []byte(prefix)
	for k, v := c.Seek(p); k != nil && bytes.HasPrefix(k, p); k, v = c.Next() {
		if err := f(string(k), v); err != nil {
			return err
		}
	}
	return nil
}

func (t boltTx) last(prefix string) (string, bool) {
	c := t.b.Cursor()
	// Keys of a list are prefix + 8 bytes, so nothing of it sorts after this.
	k, _ := c.Seek([]byte(prefix + "\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	if k == nil || !bytes.HasPrefix(k, []byte(prefix)) {
		return "", false
	}
	return string(k), true
}
