package model

import (
	"slices"
	"strings"
	"time"
)

// Session is one connection as the DMVs show it.
type Session struct {
	ID        int
	Login     string
	Host      string
	Program   string
	Client    string // client's address
	Database  string
	LoginTime time.Time
	LastStart time.Time
	LastEnd   time.Time
	Running   bool
	Text      string // of the batch that runs
	Command   string
	Reads     int64
	Writes    int64
	Encrypted bool
	TranBegan time.Time // zero: no open transaction
	TranID    uint64    // its id while it has not written
	TranName  string
	Txs       []*Tx // its open transactions that touched a database
}

// AddSession and RemoveSession keep the list of an instance's connections. Removing one releases its application locks.
func (m *Model) AddSession(i *Instance, s *Session) {
	s.LoginTime = i.clock()
	s.LastStart, s.LastEnd = s.LoginTime, s.LoginTime
	i.sessions[s.ID] = s
	m.touch()
}

// RemoveSession is the end of a connection. See AddSession.
func (m *Model) RemoveSession(i *Instance, s *Session) {
	for _, tx := range s.Txs {
		m.Rollback(tx)
	}
	if i.sessions[s.ID] != s { // the instance was restarted meanwhile
		return
	}
	delete(i.sessions, s.ID)
	i.locks.releaseAll(s.ID, "")
	m.touch()
}

// Sessions lists the connections of an instance, in no order.
func (i *Instance) Sessions() []*Session {
	out := make([]*Session, 0, len(i.sessions))
	for _, s := range i.sessions {
		out = append(out, s)
	}
	return out
}

// Session finds a connection by its id.
func (i *Instance) Session(id int) *Session { return i.sessions[id] }

// Clock is the instance's own wall clock.
func (i *Instance) Clock() time.Time { return i.clock() }

// lock modes of sp_getapplock, in the order of strength used for display.
var lockModes = map[string]string{
	"shared": "Shared", "update": "Update", "intentshared": "IntentShared", "intentexclusive": "IntentExclusive", "exclusive": "Exclusive",
	"sharedintentexclusive": "SharedIntentExclusive", "updateintentexclusive": "UpdateIntentExclusive",
}

// LockMode gives a mode's proper spelling, or "".
func LockMode(s string) string { return lockModes[strings.ToLower(s)] }

// AppLock is one application lock that is held or waited for.
type AppLock struct {
	Resource  string
	Database  string
	Principal string
	Owner     string // Session or Transaction
	Mode      string
	Session   int
	Count     int
	Granted   bool
	grant     func()
}

type lockTable struct{ list []*AppLock }

func (t *lockTable) init() { t.list = nil }

// compatible tells whether two modes can be held at the same time by different sessions.
func compatible(a, b string) bool {
	if a > b {
		a, b = b, a
	}
	switch a + "/" + b {
	case "IntentShared/IntentShared", "IntentShared/Shared", "IntentShared/Update", "IntentExclusive/IntentShared", "IntentExclusive/IntentExclusive",
		"Shared/Shared", "Shared/Update", "IntentShared/SharedIntentExclusive", "IntentShared/UpdateIntentExclusive":
		return true
	}
	return false
}

func sameResource(a, b *AppLock) bool {
	return a.Resource == b.Resource && a.Database == b.Database && strings.EqualFold(a.Principal, b.Principal)
}

func (t *lockTable) blocked(l *AppLock) bool {
	for _, o := range t.list {
		if o != l && o.Granted && o.Session != l.Session && sameResource(o, l) && !compatible(o.Mode, l.Mode) {
			return true
		}
	}
	return false
}

// GetAppLock is sp_getapplock. It returns true at once if the lock is held now; else grant is called when it is, unless the
// returned cancel is called first (which reports whether it came too late).
func (m *Model) GetAppLock(i *Instance, l AppLock, grant func()) (held bool, cancel func()) {
	m.touch()
	for _, o := range i.locks.list {
		if o.Granted && o.Session == l.Session && o.Owner == l.Owner && sameResource(o, &l) && o.Mode == l.Mode {
			o.Count++
			return true, nil
		}
	}
	n := &AppLock{}
	*n = l
	n.Count = 1
	i.locks.list = append(i.locks.list, n)
	if !i.locks.blocked(n) {
		n.Granted = true
		return true, nil
	}
	n.grant = grant
	return false, func() {
		if !n.Granted {
			i.locks.list = slices.DeleteFunc(i.locks.list, func(o *AppLock) bool { return o == n })
			i.locks.wake()
			m.touch()
		}
	}
}

// TestAppLock is APPLOCK_TEST: whether the lock could be had at once.
func (m *Model) TestAppLock(i *Instance, l AppLock) bool {
	l.Granted = false
	return !i.locks.blocked(&l)
}

// AppLockMode is APPLOCK_MODE: the strongest mode that the session holds, or NoLock.
func (m *Model) AppLockMode(i *Instance, l AppLock) string {
	mode := "NoLock"
	for _, o := range i.locks.list {
		if o.Granted && o.Session == l.Session && o.Owner == l.Owner && sameResource(o, &l) && (mode == "NoLock" || o.Mode == "Exclusive") {
			mode = o.Mode
		}
	}
	return mode
}

// ReleaseAppLock is sp_releaseapplock; false if the session does not hold it.
func (m *Model) ReleaseAppLock(i *Instance, l AppLock) bool {
	m.touch()
	for n, o := range i.locks.list {
		if o.Granted && o.Session == l.Session && o.Owner == l.Owner && sameResource(o, &l) {
			if o.Count--; o.Count == 0 {
				i.locks.list = append(i.locks.list[:n:n], i.locks.list[n+1:]...)
				i.locks.wake()
			}
			return true
		}
	}
	return false
}

// ReleaseTranLocks ends the locks that a session's transaction owns.
func (m *Model) ReleaseTranLocks(i *Instance, session int) {
	i.locks.releaseAll(session, "Transaction")
	m.touch()
}

// ReleaseSessionLocks ends everything that a session holds, as a reset does.
func (m *Model) ReleaseSessionLocks(i *Instance, session int) {
	i.locks.releaseAll(session, "")
	m.touch()
}

// NextTransaction gives a transaction id.
func (m *Model) NextTransaction() uint64 {
	m.txSeq++
	return 1000 + m.txSeq
}

func (t *lockTable) releaseAll(session int, owner string) {
	t.list = slices.DeleteFunc(t.list, func(o *AppLock) bool { return o.Session == session && (owner == "" || o.Owner == owner) })
	t.wake()
}

func (t *lockTable) wake() {
	for _, l := range t.list {
		if !l.Granted && !t.blocked(l) {
			l.Granted = true
			if l.grant != nil {
				l.grant()
			}
		}
	}
}

type propKey struct{ database, name string }

// Property is one extended property at database level (class 0).
type Property struct{ Database, Name, Value string }

// AddProperty is sp_addextendedproperty without levels; 15233 if it exists.
func (m *Model) AddProperty(i *Instance, db, name, value string) *Error {
	k := propKey{key(db), name}
	if _, ok := i.props[k]; ok {
		return errf(15233, 16, "Property cannot be added. Property '%s' already exists for 'object specified'.", name)
	}
	i.props[k] = value
	m.touch()
	return nil
}

// UpdateProperty is sp_updateextendedproperty; 15217 if there is none.
func (m *Model) UpdateProperty(i *Instance, db, name, value string) *Error {
	k := propKey{key(db), name}
	if _, ok := i.props[k]; !ok {
		return errf(15217, 16, "Property cannot be updated or deleted. Property '%s' does not exist for 'object specified'.", name)
	}
	i.props[k] = value
	m.touch()
	return nil
}

// DropProperty is sp_dropextendedproperty; 15217 if there is none.
func (m *Model) DropProperty(i *Instance, db, name string) *Error {
	k := propKey{key(db), name}
	if _, ok := i.props[k]; !ok {
		return errf(15217, 16, "Property cannot be updated or deleted. Property '%s' does not exist for 'object specified'.", name)
	}
	delete(i.props, k)
	m.touch()
	return nil
}
