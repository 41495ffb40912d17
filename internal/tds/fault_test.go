package tds_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/dag-exporter/dag_exporter/internal/tds"
)

// planned gives the next matching request a fault.
type planned struct {
	mu    sync.Mutex
	text  string
	fault tds.Fault
}

func (p *planned) next(text string, f tds.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.fault = text, f
}

func (p *planned) Fault(_ tds.ConnInfo, r tds.Request) (f tds.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text != "" && strings.Contains(r.Text(), p.text) {
		f, p.text = p.fault, ""
	}
	return f
}

func TestFaults(t *testing.T) {
	const late = 150 * time.Millisecond
	tests := []struct {
		name    string
		fault   tds.Fault
		effects int64 // when the client knows
		answer  bool
		reset   bool
		hang    bool
		slow    bool
	}{
		{name: "none", effects: 1, answer: true},
		{name: "delayed request", fault: tds.Fault{DelayRequest: late}, effects: 1, answer: true, slow: true},
		{name: "delayed answer", fault: tds.Fault{Delay: late}, effects: 1, answer: true, slow: true},
		{name: "dropped request", fault: tds.Fault{DropRequest: true}},
		{name: "dropped answer", fault: tds.Fault{DropAnswer: true}, effects: 1},
		{name: "dropped answer, reset", fault: tds.Fault{DropAnswer: true, Reset: true}, effects: 1, reset: true},
		{name: "cut answer", fault: tds.Fault{CutAfter: 12}, effects: 1},
		{name: "hanging answer", fault: tds.Fault{DropAnswer: true, Hang: true}, effects: 1, hang: true},
		{name: "hanging request", fault: tds.Fault{DropRequest: true, Hang: true}, hang: true},
		{name: "late effect", fault: tds.Fault{BreakFirst: true, DelayRequest: late}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := &planned{}
			b := start(t, tds.Config{Faults: plan})
			c := b.login(t)
			plan.next("effect", tt.fault)
			begin := time.Now()
			c.send(1, 1, batch("effect"))
			if tt.hang {
				if err := c.SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
					t.Fatal(err)
				}
			}
			m, err := c.message()
			if (err == nil) != tt.answer || tt.hang != isTimeout(err) {
				t.Fatalf("got % x, %v", m, err)
			}
			if errors.Is(err, syscall.ECONNRESET) != tt.reset {
				t.Errorf("the break is %v", err)
			}
			if tt.slow && time.Since(begin) < late {
				t.Error("there was no delay")
			}
			if n := b.effects.Load(); n != tt.effects {
				t.Errorf("%d effects", n)
			}
			if tt.fault.BreakFirst {
				waitFor(t, func() bool { return b.effects.Load() == 1 })
			}
			if tt.answer { // the connection goes on
				c.send(1, 1, batch("nothing"))
				c.expect(done(0))
			}
		})
	}
}

func isTimeout(err error) bool {
	var n interface{ Timeout() bool }
	return errors.As(err, &n) && n.Timeout()
}

// TestFaultBySession has the session arm the fault, and the login faulted too.
func TestFaultBySession(t *testing.T) {
	plan := &planned{}
	b := start(t, tds.Config{Faults: plan})
	db := b.open(t, "true")
	for _, how := range []string{"plain", "reset"} {
		if _, err := db.Exec("faulty " + how); err == nil {
			t.Errorf("%s: an answer came", how)
		}
	}
	if n := b.effects.Load(); n != 2 {
		t.Errorf("%d effects", n)
	}
	for _, f := range []tds.Fault{{DropRequest: true}, {DropAnswer: true}, {CutAfter: 100}, {CutAfter: 100, Hang: true}} {
		plan.next("login", f)
		c := b.dial(t)
		c.send(0x10, 1, login7(0x74000004, "sa", password, false))
		if f.Hang {
			if err := c.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := c.message(); err == nil {
			t.Errorf("%+v: the login was answered: % x", f, m)
		}
		_ = c.Close() // where it hangs, this ends it
	}
}

func TestFreezeAndLatency(t *testing.T) {
	b := start(t, tds.Config{MessageTimeout: 50 * time.Millisecond, LoginTimeout: 300 * time.Millisecond})
	c := b.login(t)
	own := b.server.Connections()[0]
	for name, freeze := range map[string]func(bool){"server": b.server.Freeze, "connection": own.Freeze} {
		freeze(true)
		c.send(1, 1, batch("effect"))
		before := b.effects.Load()
		time.Sleep(100 * time.Millisecond) // longer than MessageTimeout
		if b.effects.Load() != before {
			t.Errorf("%s: a frozen server ran a request", name)
		}
		freeze(false)
		if _, err := c.message(); err != nil {
			t.Errorf("%s: after the thaw: %v", name, err)
		}
	}
	b.server.Freeze(true)
	d := b.dial(t) // the kernel accepts
	d.send(0x10, 1, login7(0x74000004, "sa", password, false))
	time.Sleep(350 * time.Millisecond) // longer than LoginTimeout, which a frozen process does not count
	b.server.Freeze(false)
	if m, err := d.message(); err != nil {
		t.Errorf("a login that met the freeze: % x %v", m, err)
	}

	const trip = 100 * time.Millisecond
	took := func() time.Duration {
		begin := time.Now()
		c.send(1, 1, batch("nothing"))
		c.expect(done(0))
		return time.Since(begin)
	}
	b.server.SetLatency(trip)
	if d := took(); d < trip {
		t.Errorf("the server's latency is %v", d)
	}
	b.server.SetLatency(0)
	own.SetLatency(trip)
	if d := took(); d < trip {
		t.Errorf("the connection's latency is %v", d)
	}
	b.server.Freeze(true) // Close must end a frozen server
}

func TestKill(t *testing.T) {
	b := start(t, tds.Config{})
	why := &tds.Error{Number: 983, Class: 14, State: 1, Line: 1, Message: "Unable to access availability database"}

	db := b.open(t, "true")
	failed := make(chan error, 1)
	go func() {
		_, err := db.Exec("wait .")
		failed <- err
	}()
	info := <-b.waiting
	info.Kill(why)
	var e mssql.Error
	if err := <-failed; !errors.As(err, &e) || e.Number != 983 {
		t.Errorf("a busy client hears %v", err)
	}
	if cause := <-b.causes; !errors.Is(cause, tds.ErrKilled) {
		t.Errorf("the handler saw %v", cause)
	}
	waitFor(t, func() bool { return len(b.server.Connections()) == 0 })

	c := b.login(t)
	waitFor(t, func() bool { return len(b.server.Connections()) == 1 })
	info = b.server.Connections()[0]
	info.Kill(why)
	if m, err := c.message(); err == nil {
		t.Errorf("an idle client hears % x", m)
	}
	info.Kill(why) // once more is harmless
	(tds.ConnInfo{}).Kill(why)

	// With nothing to say, also a busy one is cut off.
	c = b.login(t)
	c.send(1, 1, batch("wait"))
	info = <-b.waiting
	info.Kill(nil)
	if m, err := c.message(); err == nil || len(m) > 0 {
		t.Errorf("% x, %v", m, err)
	}
	if cause := <-b.causes; !errors.Is(cause, tds.ErrKilled) {
		t.Errorf("the handler saw %v", cause)
	}
}

// TestServerEnds closes a server in the middle of everything.
func TestServerEnds(t *testing.T) {
	b := start(t, tds.Config{})
	var clients []*client
	for range 20 {
		c := b.login(t)
		c.send(1, 1, batch("wait"))
		<-b.waiting
		clients = append(clients, c, b.login(t), b.dial(t))
	}
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if cause := <-b.causes; !errors.Is(cause, tds.ErrServerClosed) {
			t.Fatalf("a handler saw %v", cause)
		}
	}
	for _, c := range clients {
		c.gone()
	}
	if err := b.server.Serve(context.Background(), nopListener{}); !errors.Is(err, tds.ErrServerClosed) {
		t.Errorf("a closed server serves: %v", err)
	}
}

func TestBadConfig(t *testing.T) {
	cert, _ := certificate()
	for _, cfg := range []tds.Config{{Version: "16"}, {Version: "16.0.99999.0"}, {Version: "a.b.c"}, {MaxMessage: -1}} {
		cfg.Certificate = cert
		if _, err := tds.NewServer(newToy(), cfg); err == nil {
			t.Errorf("%+v is accepted", cfg.Version)
		}
	}
	if _, err := tds.NewServer(nil, tds.Config{Certificate: cert}); err == nil {
		t.Error("no handler is accepted")
	}
	s, err := tds.NewServer(newToy(), tds.Config{Certificate: cert})
	if err != nil {
		t.Fatal(err)
	}
	if _, pem := certificate(); !bytes.Equal(s.CertificatePEM(), pem) {
		t.Error("another certificate")
	}
}

// nopListener is one that a closed server only closes.
type nopListener struct{ net.Listener }

func (nopListener) Close() error { return nil }
