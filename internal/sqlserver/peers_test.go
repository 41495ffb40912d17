package sqlserver

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// farAway is the address of a server from which every packet takes delay, each
// way. made counts the connections.
func farAway(t *testing.T, to string, delay time.Duration, made ...*atomic.Int64) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
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
	pump := func(to, from net.Conn) {
		defer func() { _ = to.Close() }()
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			time.Sleep(delay)
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
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
			for _, n := range made {
				n.Add(1)
			}
			mu.Lock()
			conns = append(conns, c, up)
			mu.Unlock()
			wg.Go(func() { pump(up, c) })
			wg.Go(func() { pump(c, up) })
		}
	})
	return ln.Addr().String()
}

// A replica that is further away than a reading waits for it: its connection
// is made all the same, and so another PRIMARY there is found.
func TestAFarInstanceIsHeard(t *testing.T) {
	opt := lab.Options{}
	opt.Model.Sides[0].Instances = []model.InstanceConfig{{}, {}}
	l := startLab(t, opt)
	other := startLab(t, lab.Options{}) // another server, of the same names, that is PRIMARY too
	const delay = 60 * time.Millisecond // one way; a question takes two of them, a connection six
	o := optionsFor(hadr.Source, plainDSN(l.AddressOf(lab.Source, 0)), plainDSN(farAway(t, l.AddressOf(lab.Source, 1), delay)))
	o.PeerGrace, o.HungHold = 4*delay, time.Minute
	s := openSide(t, o)
	eventually(t, "the far replica is heard", func() bool {
		r := read(t, s, Want{})
		return len(r.Peers) == 1 && r.Peers[0].Role == hadr.RoleSecondary
	})
	o = optionsFor(hadr.Source, plainDSN(l.AddressOf(lab.Source, 0)), plainDSN(farAway(t, other.Address(lab.Source), delay)))
	o.PeerGrace, o.HungHold = 4*delay, time.Minute
	s = openSide(t, o)
	eventually(t, "the far primary is heard", func() bool {
		_, err := s.Read(soon(t), Want{})
		return reasonOf(err) == ReasonDuplicate
	})
}

// A far instance that one reading does not wait for is not busy for the reading
// of another DAG.
func TestAFarInstanceIsNotBusy(t *testing.T) {
	opt := lab.Options{}
	opt.Model.Sides[0].Instances = []model.InstanceConfig{{}, {}}
	l := startLab(t, opt)
	far := plainDSN(farAway(t, l.AddressOf(lab.Source, 1), 100*time.Millisecond))
	o := optionsFor(hadr.Source, plainDSN(l.AddressOf(lab.Source, 0)), far)
	o.PeerGrace, o.HungHold, o.Lines = time.Millisecond, time.Minute, new(Lines)
	s := openSide(t, o)
	o.DSNs = dsns(far)
	alone := openSide(t, o)
	for _, state := range []string{"while it is connected to", "when it is asked its role"} {
		read(t, s, Want{})
		if _, err := alone.Read(soon(t), Want{}); reasonOf(err) != ReasonNoPrimary {
			t.Errorf("%s: %v", state, err)
		}
		eventually(t, "connected", s.instances[1].connected)
	}
}

// A replica that takes connections and hangs over the first question of each does
// not get one more with every reading: its line is held, also where the time for
// a connection is over before the reading's.
func TestAReplicaThatHangsGetsOneConnection(t *testing.T) {
	l, other := startLab(t, lab.Options{}), startLab(t, lab.Options{})
	var made atomic.Int64
	o := optionsFor(hadr.Source, plainDSN(l.AddressOf(lab.Source, 0)), plainDSN(farAway(t, other.Address(lab.Source), 0, &made)))
	o.PeerGrace, o.HungHold, o.DialTimeout = time.Millisecond, time.Minute, time.Second // a login has to fit into it
	s := openSide(t, o)
	if _, err := other.Control().Fault(lab.Fault{Side: "source", Text: `probe\.major`, Class: "any", LoseAnswer: "after", Hang: true, Times: -1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.Read(ctx, Want{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * o.DialTimeout) // for a line that is let go too early
	for range 3 {
		if _, err := s.Read(ctx, Want{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := made.Load(); n != 1 || !s.instances[1].line.isTaken() {
		t.Errorf("%d connections to a replica that hangs, its line taken: %v", n, s.instances[1].line.isTaken())
	}
}

// isTaken reports that something is on the line.
func (l *line) isTaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// What still connects when nobody reads any more ends with the side.
func TestCloseEndsAConnectThatOutlasts(t *testing.T) {
	l := startLab(t, lab.Options{})
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connections come about, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	o := optionsFor(hadr.Source, l.DSN(lab.Source), plainDSN(silent.Addr().String()))
	o.PeerGrace, o.DialTimeout, o.Lines = time.Millisecond, time.Minute, new(Lines)
	s := openSide(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.Read(ctx, Want{}); err != nil {
		t.Fatal(err)
	}
	line := s.instances[1].line
	eventually(t, "a connect outlasts the reading", line.isTaken)
	_ = s.Close()
	eventually(t, "the connect ends", func() bool { return !line.isTaken() })
}
