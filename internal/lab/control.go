package lab

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/tds"
)

// Control drives a lab: everything that the HTTP control API offers. Instances are counted from 0.
type Control struct {
	l *Lab
	// m is set where a command runs inside the model, at an exact moment of a schedule: then outside takes what has to do with
	// sockets, which must not be waited for there.
	m       *model.Model
	outside func(func())
}

// Control gives access to the faults and knobs.
func (l *Lab) Control() *Control { return &Control{l: l} }

func (c *Control) with(side Side, instance int, f func(m *model.Model, i *model.Instance) error) error {
	n, err := c.l.node(side, instance)
	if err != nil {
		return err
	}
	if e := c.model(func(m *model.Model) { err = f(m, n.inst) }); e != nil {
		return e
	}
	return err
}

// sockets runs what is about listeners and connections: at once, or after the model has gone on.
func (c *Control) sockets(f func()) {
	if c.m == nil {
		f()
		return
	}
	c.outside(f)
}

func (c *Control) withDB(side Side, instance int, db string, f func(m *model.Model, d *model.Copy) error) error {
	return c.with(side, instance, func(m *model.Model, i *model.Instance) error {
		d := i.Copy(db)
		if d == nil {
			return fmt.Errorf("no database %q", db)
		}
		return f(m, d)
	})
}

func (c *Control) model(f func(m *model.Model)) error {
	if c.m != nil {
		f(c.m)
		return nil
	}
	return c.l.engine.do(f)
}

// asError keeps a nil *model.Error from becoming a non-nil error.
func asError(e *model.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// Load makes write transactions happen on a database (empty: on all), rows per second of the given size in bytes; 0 ends it.
// They do not touch dbo.ledger.
func (c *Control) Load(db string, rows float64, bytes int) error {
	return c.model(func(m *model.Model) {
		for _, d := range m.Instances(Source)[0].Copies() {
			if db == "" || d == m.Instances(Source)[0].Copy(db) {
				m.SetLoad(d.Name, rows, bytes)
			}
		}
	})
}

// Link sets latency (one way) and bandwidth (bytes per second, 0 unlimited) between the sides.
func (c *Control) Link(latency time.Duration, bandwidth int64) error {
	return c.model(func(m *model.Model) { m.SetLink(model.LinkConfig{Latency: latency, Bandwidth: bandwidth}) })
}

// LocalLink does the same between the instances of one side.
func (c *Control) LocalLink(side Side, latency time.Duration, bandwidth int64) error {
	return c.model(func(m *model.Model) { m.SetLocalLink(side, model.LinkConfig{Latency: latency, Bandwidth: bandwidth}) })
}

// Cut breaks the path between the sides without a word; Heal repairs it. Clients are not affected.
func (c *Control) Cut() error { return c.model(func(m *model.Model) { m.Cut() }) }

// Heal repairs what Cut broke.
func (c *Control) Heal() error { return c.model(func(m *model.Model) { m.Heal() }) }

// CutLocal breaks the path between the instances of one side; HealLocal repairs it.
func (c *Control) CutLocal(side Side) error {
	return c.model(func(m *model.Model) { m.CutLocal(side) })
}

// HealLocal repairs what CutLocal broke.
func (c *Control) HealLocal(side Side) error {
	return c.model(func(m *model.Model) { m.HealLocal(side) })
}

// Stop crashes an instance: connections break, nobody listens, what its disk does not have is lost.
func (c *Control) Stop(side Side, instance int) error {
	if err := c.with(side, instance, func(m *model.Model, i *model.Instance) error { m.Stop(i); return nil }); err != nil {
		return err
	}
	c.sockets(c.l.nodes[side][instance].stop)
	return nil
}

// Start starts a stopped instance at its old address, with a new sqlserver_start_time.
func (c *Control) Start(side Side, instance int) error {
	n, err := c.l.node(side, instance)
	if err != nil {
		return err
	}
	if err := c.with(side, instance, func(m *model.Model, i *model.Instance) error {
		if i.Online() {
			return fmt.Errorf("instance %d of the %s runs", instance, side)
		}
		m.Start(i)
		return nil
	}); err != nil {
		return err
	}
	if c.m == nil {
		return n.listen(n.address())
	}
	c.sockets(func() {
		if err := n.listen(n.address()); err != nil {
			c.l.log.Error("starting again", "server", n.cfg.ServerName, "err", err)
		}
	})
	return nil
}

// Freeze makes an instance hang: sockets stay open, new ones are accepted, nothing is answered; Unfreeze ends it.
func (c *Control) Freeze(side Side, instance int) error {
	if err := c.with(side, instance, func(m *model.Model, i *model.Instance) error { m.Freeze(i); return nil }); err != nil {
		return err
	}
	c.sockets(func() { c.l.nodes[side][instance].freeze(true) })
	return nil
}

// Unfreeze ends Freeze.
func (c *Control) Unfreeze(side Side, instance int) error {
	if err := c.with(side, instance, func(m *model.Model, i *model.Instance) error { m.Unfreeze(i); return nil }); err != nil {
		return err
	}
	c.sockets(func() { c.l.nodes[side][instance].freeze(false) })
	return nil
}

// RefuseLogins makes an instance answer 18456 to every login; open connections stay.
func (c *Control) RefuseLogins(side Side, instance int, on bool) error {
	return c.with(side, instance, func(m *model.Model, i *model.Instance) error { m.SetRefuse(i, on); return nil })
}

// ClientLatency sets the round-trip time between clients and an instance.
func (c *Control) ClientLatency(side Side, instance int, d time.Duration) error {
	n, err := c.l.node(side, instance)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != nil {
		n.server.SetLatency(d)
	}
	return nil
}

// Suspend stops data movement of a database (empty: all) on an instance. reason is USER, PARTNER or REDO.
func (c *Control) Suspend(side Side, instance int, db, reason string) error {
	why, ok := map[string]model.SuspendReason{"": model.SuspendUser, "USER": model.SuspendUser, "PARTNER": model.SuspendPartner, "REDO": model.SuspendRedo}[strings.ToUpper(reason)]
	if !ok {
		return fmt.Errorf("unknown reason %q", reason)
	}
	return c.each(side, instance, db, func(m *model.Model, d *model.Copy) { m.Suspend(d, why) })
}

// Resume lets data move again.
func (c *Control) Resume(side Side, instance int, db string) error {
	return c.each(side, instance, db, func(m *model.Model, d *model.Copy) { m.Resume(d) })
}

func (c *Control) each(side Side, instance int, db string, f func(*model.Model, *model.Copy)) error {
	return c.eachOf(side, instance, db, func(m *model.Model, d *model.Copy) error { f(m, d); return nil })
}

// eachOf is each with an error, which ends it.
func (c *Control) eachOf(side Side, instance int, db string, f func(*model.Model, *model.Copy) error) error {
	return c.with(side, instance, func(m *model.Model, i *model.Instance) error {
		found := false
		for _, d := range i.Copies() {
			if db == "" || d == i.Copy(db) {
				if err := f(m, d); err != nil {
					return err
				}
				found = true
			}
		}
		if !found {
			return fmt.Errorf("no database %q", db)
		}
		return nil
	})
}

// Fault arms a fault and returns its number; ClearFaults disarms all.
func (c *Control) Fault(f Fault) (int, error) { return c.l.rules.add(f) }

// ClearFaults disarms every fault that has not happened yet.
func (c *Control) ClearFaults() { c.l.rules.clear() }

// OpenTransaction leaves a transaction with the given number of rows open on a database, as a forgotten session does. It ends
// with EndTransaction, with a role change, or with the instance.
func (c *Control) OpenTransaction(side Side, instance int, db string, rows int) (uint64, error) {
	var id uint64
	err := c.withDB(side, instance, db, func(m *model.Model, d *model.Copy) error {
		s := c.l.ghost(m, side, instance)
		tx := m.Begin(d, s.ID, "user_transaction")
		s.Txs = append(s.Txs, tx)
		s.TranBegan, s.TranID = tx.Begin, tx.ID
		list := make([]model.Row, rows)
		for i := range list {
			list[i].ID = -int64(i) - 1
		}
		id = tx.ID
		if rows == 0 {
			return nil
		}
		return asError(m.Insert(tx, list, false))
	})
	return id, err
}

// forgotten is the session id of ghost.
const forgotten = 32000

// ghost is the session that owns transactions opened by the control API: a sleeping client in no database of its own.
func (l *Lab) ghost(m *model.Model, side Side, instance int) *model.Session {
	i := l.nodes[side][instance].inst
	if s := i.Session(forgotten); s != nil {
		return s
	}
	s := &model.Session{ID: forgotten, Login: SA, Host: "APPSERVER", Program: "forgotten window", Client: "127.0.0.1:1", Database: "master"}
	m.AddSession(i, s)
	return s
}

// EndTransaction commits or rolls back a transaction of OpenTransaction; with id 0 all that are open on the instance. It does not
// wait for the commit.
func (c *Control) EndTransaction(side Side, instance int, id uint64, commit bool) error {
	return c.with(side, instance, func(m *model.Model, i *model.Instance) error {
		s := i.Session(forgotten)
		if s == nil {
			return fmt.Errorf("no open transaction %d", id)
		}
		found := false
		s.Txs = slices.DeleteFunc(s.Txs, func(tx *model.Tx) bool {
			if id != 0 && tx.ID != id {
				return false
			}
			found = true
			if commit {
				m.Commit(tx, func(*model.Error) {})
			} else {
				m.Rollback(tx)
			}
			return true
		})
		if len(s.Txs) == 0 {
			s.TranBegan = time.Time{}
		}
		if !found {
			return fmt.Errorf("no open transaction %d", id)
		}
		return nil
	})
}

// PlaceLog renumbers a database's log on every instance, so that its last block reads VLF:block.
func (c *Control) PlaceLog(db string, vlf, block uint32) error {
	var err error
	if e := c.model(func(m *model.Model) { err = m.PlaceLog(db, vlf, block) }); e != nil {
		return e
	}
	return err
}

// OverrideLSN makes one column of an instance's own row read a decimal LSN, "null", or (empty) the truth again.
func (c *Control) OverrideLSN(side Side, instance int, db, column, value string) error {
	return c.withDB(side, instance, db, func(m *model.Model, d *model.Copy) error {
		i := c.l.nodes[side][instance].inst
		db = d.Name
		m.OverrideLSN(i, db, column, nil)
		m.OverrideLSN(i, db, column+":null", nil)
		switch strings.ToLower(value) {
		case "":
			return nil
		case "null":
			m.OverrideLSN(i, db, column+":null", &model.LSN{})
			return nil
		}
		l, err := parseLSN(value)
		if err == nil {
			m.OverrideLSN(i, db, column, &l)
		}
		return err
	})
}

func parseLSN(s string) (model.LSN, error) {
	v, ok := new(big.Int).SetString(s, 10)
	if !ok || v.Sign() < 0 {
		return model.LSN{}, fmt.Errorf("%q is no LSN", s)
	}
	rest := new(big.Int)
	slot := new(big.Int)
	v.QuoRem(v, big.NewInt(100000), slot)
	v.QuoRem(v, big.NewInt(10_000_000_000), rest)
	if v.BitLen() > 32 || rest.BitLen() > 32 || slot.BitLen() > 16 {
		return model.LSN{}, fmt.Errorf("%q is no LSN: a part is too large", s)
	}
	return model.LSN{VLF: uint32(v.Uint64()), Block: uint32(rest.Uint64()), Slot: uint16(slot.Uint64())}, nil
}

// LocalFailover moves the primary of a side's own AG to another instance.
func (c *Control) LocalFailover(side Side, instance int, force bool) error {
	return c.with(side, instance, func(m *model.Model, i *model.Instance) error {
		verb := model.PlainFailover
		if force {
			verb = model.ForceFailover
		}
		return asError(m.Execute(i, model.Statement{Verb: verb, Group: m.Config().Sides[side].AG}, true, 0))
	})
}

// Execute runs an ALTER or DROP AVAILABILITY GROUP on a side's present primary as sysadmin would.
func (c *Control) Execute(side Side, st model.Statement) error {
	var err *model.Error
	if e := c.model(func(m *model.Model) { err = m.Execute(m.PrimaryOf(side), st, true, 0) }); e != nil {
		return e
	}
	return asError(err)
}

// RSSTC sets required_synchronized_secondaries_to_commit in a side's copy of the distributed AG, bypassing T-SQL.
func (c *Control) RSSTC(side Side, n int) error {
	return c.Execute(side, model.Statement{Verb: model.SetRSSTC, Group: c.l.dagName(), Value: n})
}

func (l *Lab) dagName() string {
	if l.opt.Model.DAG != "" {
		return l.opt.Model.DAG
	}
	return "DAG"
}

// Timing changes the delays; zero fields stay, negative ones become none.
func (c *Control) Timing(t model.Timing) error {
	return c.model(func(m *model.Model) { m.SetTiming(t) })
}

// Assume replaces the assumptions.
func (c *Control) Assume(a model.Assumptions) error {
	return c.model(func(m *model.Model) { m.SetAssumptions(a) })
}

// ClockOffset sets how far an instance's clock runs ahead.
func (c *Control) ClockOffset(side Side, instance int, d time.Duration) error {
	err := c.with(side, instance, func(m *model.Model, i *model.Instance) error { m.SetClock(i, d); return nil })
	if err == nil {
		c.l.nodes[side][instance].offset.Store(int64(d))
	}
	return err
}

// Redo sets an instance's redo speed in KB/s; negative stops it.
func (c *Control) Redo(side Side, instance int, kbps int64) error {
	return c.with(side, instance, func(m *model.Model, i *model.Instance) error { m.SetRedo(i, kbps); return nil })
}

// Flush sets how long an instance needs to harden a block.
func (c *Control) Flush(side Side, instance int, d time.Duration) error {
	return c.with(side, instance, func(m *model.Model, i *model.Instance) error { m.SetFlush(i, d); return nil })
}

// Access sets who may read an instance's databases while they are not writable: NO, READ_ONLY, ALL.
func (c *Control) Access(side Side, instance int, access string) error {
	a, ok := map[string]model.Access{"NO": model.AllowNo, "READ_ONLY": model.AllowReadOnly, "ALL": model.AllowAll}[strings.ToUpper(access)]
	if !ok {
		return fmt.Errorf("unknown access %q", access)
	}
	return c.with(side, instance, func(m *model.Model, i *model.Instance) error { m.SetAccess(i, a); return nil })
}

// DatabaseState puts a database (empty: all) of an instance into RESTORING, RECOVERING, RECOVERY_PENDING, SUSPECT or OFFLINE: it
// cannot be opened and its log stands still. ONLINE, or empty, takes that back.
func (c *Control) DatabaseState(side Side, instance int, db, state string) error {
	want := model.DBOnline
	if state != "" {
		known := false
		for s := model.DBOnline; s <= model.DBOffline; s++ {
			if strings.EqualFold(s.String(), state) {
				want, known = s, true
			}
		}
		if !known {
			return fmt.Errorf("unknown state %q", state)
		}
	}
	return c.eachOf(side, instance, db, func(m *model.Model, d *model.Copy) error { return m.SetDatabaseState(d, want) })
}

// SyncState makes a database (empty: all) of an instance read REVERTING, INITIALIZING or NOT SYNCHRONIZING as its synchronization
// state, and its log stand still; empty is the truth again.
func (c *Control) SyncState(side Side, instance int, db, state string) error {
	var want *model.SyncState
	if state != "" {
		for s := model.NotSynchronizing; s <= model.Initializing; s++ {
			if strings.EqualFold(s.String(), state) {
				want = &s
			}
		}
		if want == nil {
			return fmt.Errorf("unknown state %q", state)
		}
	}
	return c.eachOf(side, instance, db, func(m *model.Model, d *model.Copy) error { return m.SetSyncState(d, want) })
}

// Checkpoint writes a checkpoint's log record on a database, where it is writable.
func (c *Control) Checkpoint(side Side, instance int, db string) error {
	return c.withDB(side, instance, db, func(m *model.Model, d *model.Copy) error { return asError(m.Checkpoint(d)) })
}

// Login adds or replaces a login.
func (c *Control) Login(g Login) error {
	c.l.mu.Lock()
	_, known := c.l.logins[strings.ToLower(g.Name)]
	if !known {
		c.l.opt.Logins = append(c.l.opt.Logins, g)
	}
	c.l.mu.Unlock()
	return c.l.setLogin(g)
}

// KillSession ends a client's connection on an instance, as KILL does.
func (c *Control) KillSession(side Side, instance, spid int) error {
	n, err := c.l.node(side, instance)
	if err != nil {
		return err
	}
	e := model.ErrKilled()
	if !n.kill(spid, &tds.Error{Number: e.Number, Class: e.Class, State: e.State, Message: e.Message}) {
		return fmt.Errorf("no session %d", spid)
	}
	return nil
}
