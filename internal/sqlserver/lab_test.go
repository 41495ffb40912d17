package sqlserver

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick makes everything that takes time in the lab take little.
var quick = model.Timing{Demote: 20 * time.Millisecond, Resolving: 20 * time.Millisecond, Failover: 20 * time.Millisecond, Recovery: 30 * time.Millisecond,
	Relink: 150 * time.Millisecond, Undo: 50 * time.Millisecond, Revert: 20 * time.Millisecond, Reconnect: 50 * time.Millisecond, Modify: 5 * time.Millisecond,
	SessionTimeout: 300 * time.Millisecond, Background: -1}

func startLab(t *testing.T, opt lab.Options) *lab.Lab {
	t.Helper()
	if opt.Model.Timing == (model.Timing{}) {
		opt.Model.Timing = quick
	}
	l, err := lab.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func optionsFor(side hadr.Side, list ...string) Options {
	o := Options{DAG: "erp", Group: "DAG", AG: "OnPremAG", Side: side, DSNs: dsns(list...), AppName: "dag_exporter", DialTimeout: 5 * time.Second, HungHold: 200 * time.Millisecond}
	if side == hadr.Target {
		o.AG = "AzureAG"
	}
	return o
}

func openSide(t *testing.T, o Options) *Side {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// pair is a lab with a Side on each of its sides.
func pair(t *testing.T, opt lab.Options) (*lab.Lab, *Side, *Side) {
	t.Helper()
	l := startLab(t, opt)
	return l, openSide(t, optionsFor(hadr.Source, l.DSN(lab.Source))), openSide(t, optionsFor(hadr.Target, l.DSN(lab.Target)))
}

func soon(t *testing.T) context.Context {
	t.Helper()
	return within(t, 20*time.Second)
}

func read(t *testing.T, s *Side, w Want) *hadr.Reading {
	t.Helper()
	r, err := s.Read(soon(t), w)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// eventually waits for something that the lab will do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func reasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func TestReadBothSides(t *testing.T) {
	for major := v2016; major <= v2025; major++ {
		opt := lab.Options{Model: model.Config{Log: model.LogConfig{StartVLF: 10227}}}
		for i := range opt.Model.Sides {
			opt.Model.Sides[i].Instances = []model.InstanceConfig{{Major: major}}
		}
		_, src, tgt := pair(t, opt)
		a, b := read(t, src, Everything), read(t, tgt, Everything)
		for _, r := range []*hadr.Reading{a, b} {
			if len(r.Failed) != 0 || len(r.Missing) != 0 {
				t.Errorf("version %d %s: failed %v, missing %v", major, r.Side, r.Failed, r.Missing)
			}
			if r.Identity.Major != major || r.Identity.ServerName == "" || r.Identity.StartTime == "" || r.Identity.ReplicaID == "" || r.Identity.Platform != "windows" ||
				r.Identity.HadrEnabled != hadr.Some(true) || r.Identity.Encrypted != hadr.Some(true) || !r.Identity.ServerUTC.OK || r.Identity.CaseSensitive {
				t.Errorf("version %d: %+v", major, r.Identity)
			}
			if r.Local.Role != hadr.RolePrimary || len(r.DAG.Members) != 2 || !r.DAG.Found || len(r.Databases) != 3 {
				t.Errorf("version %d %s: %+v %+v", major, r.Side, r.Local, r.DAG)
			}
			if r.DAG.RSSTC.OK != (major >= v2017) || r.DAG.SequenceNumber.OK != (major >= v2017) || r.Local.Contained.OK != (major >= v2022) {
				t.Errorf("version %d %s: %+v", major, r.Side, r.DAG)
			}
			for _, d := range r.Databases {
				if d.Own == nil || !d.Own.EndOfLog.Known() || d.State != hadr.DBOnline || !d.Joined.OK || !d.LogSize.OK || !d.LogUsed.OK || !d.LogFlushed.OK || !d.Writes.OK || d.Lineage == nil {
					t.Errorf("version %d %s: %+v", major, r.Side, d)
				}
				if (d.Link != nil) != (r.Side == hadr.Source) {
					t.Errorf("version %d %s: link %+v", major, r.Side, d.Link)
				}
			}
			if r.Rights == nil || r.Rights.Sysadmin != hadr.Some(true) || r.Rights.AlterDAG != hadr.Some(true) || r.Marker != hadr.Some("") || !r.TransactionsRead {
				t.Errorf("version %d %s: rights %+v marker %v", major, r.Side, r.Rights, r.Marker)
			}
			if len(r.Certificates) == 0 {
				t.Errorf("version %d %s: no certificate", major, r.Side)
			}
		}
		if a.DAG.Role != hadr.RolePrimary || b.DAG.Role != hadr.RoleSecondary || a.DAG.GroupID != b.DAG.GroupID || a.DAG.GroupID == "" {
			t.Errorf("version %d: roles %s %s", major, a.DAG.Role, b.DAG.Role)
		}
		for i := range a.Databases {
			x, y := a.Databases[i], b.Databases[i]
			if x.Name != y.Name || !x.Own.EndOfLog.Equal(y.Own.EndOfLog) || len(x.Own.EndOfLog.String()) != 20 || !x.Link.LastHardened.Equal(y.Own.LastHardened) {
				t.Errorf("version %d: %s %s / %s %s", major, x.Name, x.Own.EndOfLog, y.Name, y.Own.EndOfLog)
			}
			if *x.Lineage != *y.Lineage || x.Lineage.ForkGUID == "" {
				t.Errorf("version %d: lineage %+v %+v", major, x.Lineage, y.Lineage)
			}
		}
	}
}

// Names that SQL Server allows and that break careless quoting.
func TestReadHardNames(t *testing.T) {
	long := strings.Repeat("x", 127) + "]"
	hard := []string{"it's ]a[ trap", "🚀 moves", "with;DROP DATABASE x--", long}
	opt := lab.Options{Model: model.Config{DAG: "D]'🚀 x", Databases: hard}}
	opt.Model.Sides[0].AG, opt.Model.Sides[1].AG = "On'Prem]", "Azure 🚀"
	l := startLab(t, opt)
	for side, dsn := range map[hadr.Side]string{hadr.Source: l.DSN(lab.Source), hadr.Target: l.DSN(lab.Target)} {
		o := optionsFor(side, dsn)
		o.Group, o.AG = "D]'🚀 x", "On'Prem]"
		if side == hadr.Target {
			o.AG = "Azure 🚀"
		}
		s := openSide(t, o)
		r := read(t, s, Everything)
		if len(r.Failed) != 0 || len(r.Databases) != len(hard) {
			t.Fatalf("%s: failed %v, %d databases", side, r.Failed, len(r.Databases))
		}
		for _, d := range r.Databases {
			if d.Own == nil || !d.LogSize.OK {
				t.Errorf("%s: %q: %+v", side, d.Name, d)
			}
		}
		k := lock(t, s, "lock/it's")
		if err := k.ProbeMarker(soon(t)); err != nil {
			t.Error(err)
		}
		if err := k.WriteRun(soon(t), "run'1"); err != nil {
			t.Error(err)
		}
		members := []string{"On'Prem]", "Azure 🚀"}
		g := guardFor(r, "run'1")
		if err := k.Do(soon(t), stmt(t, KindSync, o.Group, members...), g); err != nil {
			t.Error(err)
		}
	}
}

// batchCounter is a TCP proxy that counts SQL batches: the last packet of a
// message of type 1, which only an unencrypted connection shows.
type batchCounter struct {
	address string
	batches atomic.Int64
	logins  atomic.Int64
}

func countBatches(t *testing.T, to string) *batchCounter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &batchCounter{address: ln.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, c, up)
			mu.Unlock()
			wg.Go(func() { _, _ = io.Copy(c, up); _ = c.Close() })
			wg.Go(func() { p.pump(up, c); _ = up.Close() })
		}
	})
	return p
}

func (p *batchCounter) pump(up io.Writer, c io.Reader) {
	head := make([]byte, 8)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		body := make([]byte, int(binary.BigEndian.Uint16(head[2:]))-8)
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		if head[1]&1 != 0 {
			switch head[0] {
			case 1, 3:
				p.batches.Add(1)
			case 0x10:
				p.logins.Add(1)
			}
		}
		if _, err := up.Write(append(head, body...)); err != nil {
			return
		}
	}
}

func plainDSN(address string) string {
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword(lab.SA, lab.SAPassword), Host: address, RawQuery: "encrypt=disable"}
	return u.String()
}

// Once connected, a reading is one batch per instance, whatever it contains.
func TestWarmReadIsOneRoundTrip(t *testing.T) {
	opt := lab.Options{}
	opt.Model.Sides[0].Instances = []model.InstanceConfig{{}, {}}
	l := startLab(t, opt)
	first, second := countBatches(t, l.AddressOf(lab.Source, 0)), countBatches(t, l.AddressOf(lab.Source, 1))
	o := optionsFor(hadr.Source, plainDSN(first.address), plainDSN(second.address))
	o.PeerGrace = 5 * time.Second
	s := openSide(t, o)
	read(t, s, Want{})
	for _, w := range []Want{{}, {Log: true}, Everything} {
		a, b := first.batches.Load(), second.batches.Load()
		for range 5 {
			r := read(t, s, w)
			if len(r.Peers) != 1 || r.Peers[0].Role != hadr.RoleSecondary {
				t.Errorf("peers %+v", r.Peers)
			}
		}
		if a, b = first.batches.Load()-a, second.batches.Load()-b; a != 5 || b != 5 {
			t.Errorf("%+v: %d and %d batches for 5 readings", w, a, b)
		}
	}
	if first.logins.Load() != 1 || second.logins.Load() != 1 {
		t.Errorf("%d and %d logins", first.logins.Load(), second.logins.Load())
	}
}

// The reading follows the primary within one call, without a restart.
func TestReadFollowsALocalFailover(t *testing.T) {
	opt := lab.Options{}
	opt.Model.Sides[0].Instances = []model.InstanceConfig{{ServerName: "A"}, {ServerName: "B"}}
	l := startLab(t, opt)
	list := []string{l.DSNFor(l.AddressOf(lab.Source, 0), lab.SA, lab.SAPassword, "master"), l.DSNFor(l.AddressOf(lab.Source, 1), lab.SA, lab.SAPassword, "master")}
	s := openSide(t, optionsFor(hadr.Source, list...))
	if r := read(t, s, Want{}); r.Identity.ServerName != "A" {
		t.Fatalf("%+v", r.Identity)
	}
	if err := l.Control().LocalFailover(lab.Source, 1, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "B answers", func() bool {
		r, err := s.Read(soon(t), Want{})
		if err != nil {
			if why := reasonOf(err); why != ReasonNoPrimary && why != ReasonIdentity && why != ReasonDuplicate {
				t.Errorf("in between: %v", err)
			}
			return false
		}
		return r.Identity.ServerName == "B"
	})
	only := openSide(t, optionsFor(hadr.Source, list[0]))
	if _, err := only.Read(soon(t), Want{}); reasonOf(err) != ReasonNoPrimary {
		t.Errorf("the old primary alone: %v", err)
	}
	// The old one goes away: the new one is still read, and the loss is named.
	if err := l.Control().Stop(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	if r := read(t, s, Want{}); r.Identity.ServerName != "B" || len(r.Peers) != 1 || r.Peers[0].Failed != string(ReasonRefused) {
		t.Errorf("%+v, peers %+v", r.Identity, r.Peers)
	}
}

// Two instances that both say PRIMARY of the local AG: one is wrong, so neither
// is believed.
func TestTwoPrimariesAreNone(t *testing.T) {
	l, _, _ := pair(t, lab.Options{})
	other, _, _ := pair(t, lab.Options{}) // another server, of the same names, that is PRIMARY too
	for _, list := range [][]string{{l.DSN(lab.Source), other.DSN(lab.Source)}, {other.DSN(lab.Source), l.DSN(lab.Source)}} {
		o := optionsFor(hadr.Source, list...)
		o.PeerGrace = 5 * time.Second
		s := openSide(t, o)
		if _, err := s.Read(soon(t), Want{}); reasonOf(err) != ReasonDuplicate || !strings.Contains(err.Error(), " and ") {
			t.Errorf("%v", err)
		}
		if err := l.Control().Freeze(lab.Source, 0); err != nil {
			t.Fatal(err)
		}
		// One of them does not answer: the other is read, and the silence is named.
		r, err := s.Read(within(t, 2*time.Second), Want{})
		if err != nil || len(r.Peers) != 1 || r.Peers[0].Failed == "" {
			t.Errorf("%+v, %v", r, err)
		}
		if err := l.Control().Unfreeze(lab.Source, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// A listener beside the node that it leads to is one instance, not two.
func TestListenerAndNodeAreOne(t *testing.T) {
	l := startLab(t, lab.Options{})
	a, b := countBatches(t, l.Address(lab.Source)), countBatches(t, l.Address(lab.Source))
	o := optionsFor(hadr.Source, plainDSN(a.address), plainDSN(b.address))
	o.PeerGrace = 5 * time.Second
	r := read(t, openSide(t, o), Want{})
	if len(r.Peers) != 1 || r.Peers[0].Role != hadr.RolePrimary || r.Peers[0].ServerName != r.Identity.ServerName {
		t.Errorf("%+v", r.Peers)
	}
}

func TestReasonsAtTheLab(t *testing.T) {
	opt := lab.Options{Logins: []lab.Login{
		{Name: "blind", Password: "p", Permissions: []string{"VIEW ANY DEFINITION"}},
		{Name: "nameless", Password: "p", Permissions: []string{"VIEW SERVER STATE"}},
		{Name: "reader", Password: "p", Permissions: []string{"VIEW SERVER STATE", "VIEW ANY DEFINITION"}},
	}}
	l := startLab(t, opt)
	address := l.Address(lab.Source)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := closed.Addr().String()
	_ = closed.Close()
	good := l.DSN(lab.Source)
	for name, c := range map[string]struct {
		reason Reason
		change func(*Options)
	}{
		"wrong password": {ReasonLogin, func(o *Options) { o.DSNs = dsns(l.DSNFor(address, lab.SA, "S3cr3t-wrong", "master")) }},
		"nobody listens": {ReasonRefused, func(o *Options) { o.DSNs = dsns(l.DSNFor(gone, lab.SA, lab.SAPassword, "master")) }},
		"unknown certificate": {ReasonTLS, func(o *Options) {
			o.DSNs = dsns(strings.Replace(good, "trustservercertificate=true", "trustservercertificate=false", 1))
		}},
		"no VIEW SERVER STATE":   {ReasonPermission, func(o *Options) { o.DSNs = dsns(l.DSNFor(address, "blind", "p", "master")) }},
		"no VIEW ANY DEFINITION": {ReasonPermission, func(o *Options) { o.DSNs = dsns(l.DSNFor(address, "nameless", "p", "master")) }},
		"no such DAG":            {ReasonNoDAG, func(o *Options) { o.Group = "Other" }},
		"no such AG":             {ReasonNoDAG, func(o *Options) { o.AG = "Other" }},
	} {
		o := optionsFor(hadr.Source, good)
		c.change(&o)
		s := openSide(t, o)
		_, err := s.Read(soon(t), Want{Log: true})
		if reasonOf(err) != c.reason {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
			continue
		}
		for _, secret := range []string{lab.SAPassword, "S3cr3t"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: a secret in %v", name, err)
			}
		}
		if !strings.Contains(err.Error(), "erp: source (127.0.0.1:") {
			t.Errorf("%s: does not say where: %v", name, err)
		}
	}
	// The least rights that are enough for a scrape.
	r := read(t, openSide(t, optionsFor(hadr.Source, l.DSNFor(address, "reader", "p", "master"))), Want{Log: true, Replicas: true})
	if len(r.Failed) != 0 || len(r.Missing) != 0 || r.Databases[0].Own == nil {
		t.Errorf("failed %v, missing %v", r.Failed, r.Missing)
	}
}

// A rotated password in a dsn_file is used from the next reading on.
func TestDSNsAreReadAgain(t *testing.T) {
	l := startLab(t, lab.Options{Logins: []lab.Login{{Name: "exporter", Password: "one", Sysadmin: true}}})
	password := "one"
	o := optionsFor(hadr.Source)
	o.DSNs = func() ([]string, error) {
		return []string{l.DSNFor(l.Address(lab.Source), "exporter", password, "master")}, nil
	}
	s := openSide(t, o)
	read(t, s, Want{})
	if err := l.Control().Login(lab.Login{Name: "exporter", Password: "two", Sysadmin: true}); err != nil {
		t.Fatal(err)
	}
	read(t, s, Want{}) // on the connection that is there
	password = "wrong"
	if _, err := s.Read(soon(t), Want{}); reasonOf(err) != ReasonLogin {
		t.Errorf("%v", err)
	}
	password = "two"
	read(t, s, Want{})
}

// A restart between two readings costs nothing: a connection that turns out to
// be dead is made anew inside the same call.
func TestReadSurvivesARestart(t *testing.T) {
	l, src, _ := pair(t, lab.Options{})
	before := read(t, src, Want{})
	if err := l.Control().Stop(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Read(soon(t), Want{}); reasonOf(err) != ReasonRefused {
		t.Errorf("stopped: %v", err)
	}
	if err := l.Control().Start(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "read again", func() bool {
		r, err := src.Read(soon(t), Want{})
		return err == nil && !r.Identity.SameInstance(before.Identity)
	})
	if err := l.Control().KillSession(lab.Source, 0, spidOf(t, src)); err != nil {
		t.Fatal(err)
	}
	read(t, src, Want{})
}

func spidOf(t *testing.T, s *Side) int {
	t.Helper()
	id := 0
	_, err := do(soon(t), s.instances[0].line, func() {}, func(ctx context.Context) (int, error) {
		err := s.instances[0].sess.query(ctx, "SELECT CONVERT(int, @@SPID) AS id", func([]string) (rowFunc, error) {
			return func(row []driver.Value) error {
				id = int((&columns{row: row}).integer().V)
				return nil
			}, nil
		})
		return 0, err
	})
	if err != nil || id == 0 {
		t.Fatalf("session %d, %v", id, err)
	}
	return id
}

// A side that hangs: timeout in time, then busy at once, then well again; and
// nothing of the other side is touched.
func TestHang(t *testing.T) {
	l, src, tgt := pair(t, lab.Options{})
	read(t, src, Want{})
	read(t, tgt, Want{})
	if err := l.Control().Freeze(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err := src.Read(within(t, 300*time.Millisecond), Want{})
	if reasonOf(err) != ReasonTimeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("first: %v", err)
	}
	for range 3 {
		if _, err := src.Read(soon(t), Want{}); reasonOf(err) != ReasonBusy {
			t.Errorf("behind it: %v", err)
		}
	}
	read(t, tgt, Want{})
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %v", took)
	}
	if err := l.Control().Unfreeze(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "well again", func() bool { _, err := src.Read(soon(t), Want{}); return err == nil })
}

// A cancelled statement is acknowledged, and its connection used again.
func TestCancelKeepsTheConnection(t *testing.T) {
	l := startLab(t, lab.Options{})
	p := countBatches(t, l.Address(lab.Source))
	s := openSide(t, optionsFor(hadr.Source, plainDSN(p.address)))
	read(t, s, Want{})
	if _, err := l.Control().Fault(lab.Fault{Side: "source", Text: `begin\.server_name`, DelayRequest: lab.Duration(2 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(within(t, 100*time.Millisecond), Want{}); reasonOf(err) != ReasonTimeout {
		t.Errorf("%v", err)
	}
	eventually(t, "well again", func() bool { _, err := s.Read(soon(t), Want{}); return err == nil })
	if n := p.logins.Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// Half an answer is no answer.
func TestHalfAnAnswer(t *testing.T) {
	l, src, _ := pair(t, lab.Options{})
	read(t, src, Want{})
	for _, n := range []int{1, 9, 200, 1500, 4000} {
		if _, err := l.Control().Fault(lab.Fault{Side: "source", Text: `begin\.server_name`, CutAfter: n, Times: 2}); err != nil {
			t.Fatal(err)
		}
		r, err := src.Read(soon(t), Everything)
		if err == nil && len(r.Failed) != 0 {
			t.Errorf("cut after %d: %+v", n, r.Failed)
		}
		if err != nil && reasonOf(err) != ReasonRefused {
			t.Errorf("cut after %d: %v", n, err)
		}
		l.Control().ClearFaults()
	}
	read(t, src, Want{})
}

// What is logged and what is said never holds the password.
func TestNothingLeaks(t *testing.T) {
	l := startLab(t, lab.Options{})
	var out bytes.Buffer
	o := optionsFor(hadr.Source, l.DSN(lab.Source))
	o.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := openSide(t, o)
	read(t, s, Everything)
	k := lock(t, s, "lock")
	if err := k.Release(); err != nil {
		t.Error(err)
	}
	if err := l.Control().Stop(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	_, err := s.Read(soon(t), Want{})
	_, lerr := s.Lock(soon(t), "lock")
	for _, text := range []string{out.String(), err.Error(), lerr.Error(), s.ClearRequired(soon(t), "").Error()} {
		if strings.Contains(text, lab.SAPassword) || strings.Contains(text, url.QueryEscape(lab.SAPassword)) {
			t.Errorf("the password is in %q", text)
		}
	}
}

// Servers on which case counts, in names, variables and texts: everything is
// read, and a whole cutover is done, for two databases that differ by case
// alone. What is misspelled in our own T-SQL is an error there.
func TestCaseSensitiveServers(t *testing.T) {
	for _, collation := range []string{"Latin1_General_100_CS_AS", "Latin1_General_BIN2", "SQL_Latin1_General_CP1_CS_AS"} {
		for major := v2016; major <= v2025; major++ {
			opt := lab.Options{Model: model.Config{Databases: []string{"db001", "DB001"}}}
			for i := range opt.Model.Sides {
				opt.Model.Sides[i].Collation, opt.Model.Sides[i].Instances = collation, []model.InstanceConfig{{Major: major}}
			}
			t.Run(collation+" "+strconv.Itoa(major), func(t *testing.T) {
				t.Parallel()
				l, src, tgt := pair(t, opt)
				if err := l.Control().PlaceLog("DB001", 90000, 16); err != nil {
					t.Fatal(err)
				}
				for _, s := range []*Side{src, tgt} {
					r := read(t, s, Everything)
					if len(r.Failed) != 0 || len(r.Missing) != 0 || !r.Identity.CaseSensitive || len(r.Databases) != 2 || !r.DAG.Found || r.Rights == nil || len(r.Certificates) == 0 || !r.TransactionsRead {
						t.Errorf("%s: failed %v, missing %v, %+v", r.Side, r.Failed, r.Missing, r)
					}
					for _, d := range r.Databases {
						if d.Own == nil || d.Lineage == nil || !d.LogSize.OK || !d.LogUsed.OK || !d.LogFlushed.OK || !d.Writes.OK || (d.Own.EndOfLog.VLF == 90000) != (d.Name == "DB001") {
							t.Errorf("%s %s: %+v", r.Side, d.Name, d)
						}
					}
				}
				if found, err := Discover(soon(t), l.DSN(lab.Source), "dag_exporter"); err != nil || len(found.DAGs) != 1 || len(found.DAGs[0].Databases) != 2 || !found.DAGs[0].LocalPrimary ||
					found.DAGs[0].Role != hadr.RolePrimary || found.Identity.StartTime == "" {
					t.Errorf("discovered %+v, %v", found, err)
				}
				caseSensitiveCutover(t, src, tgt, major)
			})
		}
	}
}

func caseSensitiveCutover(t *testing.T, src, tgt *Side, major int) {
	const run = "run-1"
	sk, tk := lock(t, src, "erp"), lock(t, tgt, "erp")
	if _, err := src.Lock(soon(t), "erp"); err == nil {
		t.Error("the lock is given twice")
	}
	do := func(k *Lock, s *Side, kind Kind, change func(*Guard), members ...string) error {
		g := guardFor(read(t, s, Want{}), run)
		if change != nil {
			change(&g)
		}
		return k.Do(soon(t), stmt(t, kind, "DAG", members...), g)
	}
	for _, k := range []*Lock{sk, tk} {
		if err := k.ProbeMarker(soon(t)); err != nil {
			t.Fatal(err)
		}
		if err := k.WriteRun(soon(t), run); err != nil {
			t.Fatal(err)
		}
		if got, err := k.ReadRun(soon(t)); got != run || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	for _, change := range []func(*Guard){func(g *Guard) { g.Run = "RUN-1" }, func(g *Guard) { g.Databases = g.Databases[:1] }, func(g *Guard) { g.Databases[1] = "Db001" }} {
		if err := do(sk, src, KindDemote, change); classOf(err) != ClassGuardRefused {
			t.Errorf("another name: %v", err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(do(sk, src, KindSync, nil, "OnPremAG", "AzureAG"))
	must(do(tk, tgt, KindSync, nil, "OnPremAG", "AzureAG"))
	eventually(t, "synchronized", func() bool {
		r := read(t, src, Want{})
		return !slices.ContainsFunc(r.Databases, func(d hadr.Database) bool { return d.Link == nil || d.Link.Sync != hadr.Synchronized })
	})
	if major >= v2022 {
		must(do(sk, src, KindRequire1, func(g *Guard) { g.RSSTC = hadr.Some[int64](0) }))
		eventually(t, "RSSTC reads 1", func() bool { return read(t, src, Want{}).DAG.RSSTC == hadr.Some[int64](1) })
	}
	must(do(sk, src, KindDemote, nil))
	role := func(s *Side, want hadr.Role) {
		t.Helper()
		eventually(t, string(want), func() bool {
			r, err := s.Read(soon(t), Want{})
			return err == nil && r.DAG.Role == want
		})
	}
	role(src, hadr.RoleSecondary)
	if major >= v2022 {
		must(src.ClearRequired(soon(t), read(t, src, Want{}).DAG.GroupID))
	}
	eventually(t, "the target has it all", func() bool {
		err := do(tk, tgt, KindPromote, func(g *Guard) { g.AtLeast = floors(read(t, src, Want{})) })
		if err != nil && classOf(err) != ClassGuardRefused {
			t.Fatal(err)
		}
		return err == nil
	})
	role(tgt, hadr.RolePrimary)
	for _, k := range []*Lock{sk, tk} {
		must(k.ClearRun(soon(t), run))
	}
}
