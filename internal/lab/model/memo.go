package model

// Memos is how many results a Database keeps for its readers, see [Database.Derive].
const Memos = 8

type memo struct{ key, value any }

// Derive gives what build makes of this Database and of key, which must be comparable and hold all that build reads besides the
// Database. It is built once as long as the key stays the same: readers of all snapshots that share the Database share it too. slot,
// below Memos, tells the readers' results apart. Safe for concurrent use; the result must not be changed.
func (d *Database) Derive(slot int, key any, build func() any) any {
	if m := d.memo[slot].Load(); m != nil && m.key == key {
		return m.value
	}
	m := &memo{key: key, value: build()}
	d.memo[slot].Store(m)
	return m.value
}
