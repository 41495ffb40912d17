package tds_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/dag-exporter/dag_exporter/internal/tds"
)

// client is a TDS client of a few lines, for what a decent one never does.
type client struct {
	t testing.TB
	net.Conn
}

func (b *bench) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // often closed already
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{t, c}
}

func packet(kind, status byte, body []byte) []byte {
	p := []byte{kind, status, 0, 0, 0, 0, 1, 0}
	binary.BigEndian.PutUint16(p[2:], uint16(len(body)+8))
	return append(p, body...)
}

func utf16le(s string) []byte {
	var p []byte
	for _, u := range utf16.Encode([]rune(s)) {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	return p
}

// headers is ALL_HEADERS with a transaction descriptor of 0.
var headers = append([]byte{22, 0, 0, 0, 18, 0, 0, 0, 2, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0)

func batch(text string) []byte { return append(bytes.Clone(headers), utf16le(text)...) }

// login7 for sa, with extension features appended when asked.
func login7(version uint32, user, pass string, utf8 bool) []byte {
	p := make([]byte, 94)
	binary.LittleEndian.PutUint32(p[4:], version)
	binary.LittleEndian.PutUint32(p[8:], 4096)
	put := func(at int, s []byte) {
		binary.LittleEndian.PutUint16(p[at:], uint16(len(p)))
		binary.LittleEndian.PutUint16(p[at+2:], uint16(len(s)/2))
		p = append(p, s...)
	}
	put(40, utf16le(user))
	masked := utf16le(pass)
	for i, x := range masked {
		masked[i] = (x<<4 | x>>4) ^ 0xA5
	}
	put(44, masked)
	if utf8 {
		p[27] |= 0x10
		binary.LittleEndian.PutUint16(p[56:], uint16(len(p)))
		p = binary.LittleEndian.AppendUint32(p, uint32(len(p)+4))
		p = append(p, 0x0A, 1, 0, 0, 0, 1, 0xFF)
	}
	binary.LittleEndian.PutUint32(p, uint32(len(p)))
	return p
}

func (c *client) send(kind, status byte, body []byte) {
	c.t.Helper()
	if _, err := c.Write(packet(kind, status, body)); err != nil {
		c.t.Fatal(err)
	}
}

// message reads one message.
func (c *client) message() ([]byte, error) {
	var all []byte
	for {
		var h [8]byte
		if _, err := io.ReadFull(c, h[:]); err != nil {
			return all, err
		}
		body := make([]byte, int(binary.BigEndian.Uint16(h[2:]))-8)
		if _, err := io.ReadFull(c, body); err != nil {
			return all, err
		}
		if all = append(all, body...); h[1]&1 != 0 {
			return all, nil
		}
	}
}

func (c *client) expect(want []byte) {
	c.t.Helper()
	got, err := c.message()
	if err != nil || !bytes.Equal(got, want) {
		c.t.Fatalf("got % x, %v\nwant % x", got, err, want)
	}
}

// gone expects the end of the connection.
func (c *client) gone() {
	c.t.Helper()
	for {
		if _, err := c.message(); err != nil {
			var n net.Error
			if errors.As(err, &n) && n.Timeout() {
				c.t.Fatal("the connection is still there")
			}
			return
		}
	}
}

// login without PRELOGIN, as old clients do.
func (b *bench) login(t testing.TB) *client {
	t.Helper()
	c := b.dial(t)
	c.send(0x10, 1, login7(0x74000004, "sa", password, false))
	if m, err := c.message(); err != nil || !bytes.Contains(m, utf16le("Microsoft SQL Server")) {
		t.Fatalf("login: % x, %v", m, err)
	}
	return c
}

func done(status byte) []byte { return append([]byte{0xFD, status, 0, 0, 0}, make([]byte, 8)...) }

func TestAttention(t *testing.T) {
	b := start(t, tds.Config{})
	c := b.login(t)

	// While a request runs: two messages.
	c.send(1, 1, batch("wait"))
	<-b.waiting
	c.send(6, 1, nil)
	c.expect(done(0))
	c.expect(done(0x20))
	if cause := <-b.causes; cause == nil {
		t.Error("cancelled without a cause")
	}

	// While nothing runs: one.
	c.send(6, 1, nil)
	c.expect(done(0x20))

	// After half a row stream: it ends at a token.
	c.send(1, 1, batch("stream"))
	<-b.waiting
	c.send(6, 1, nil)
	m, err := c.message()
	if err != nil || !bytes.HasSuffix(m, done(0)) || len(m) < 13+5*5 {
		t.Fatalf("% x, %v", m, err)
	}
	if rows := m[:len(m)-13]; bytes.Count(rows, []byte{0xD1, 5, 0, 0, 0}) != 1 {
		t.Errorf("row 5 was sent before the cancel: % x", rows)
	}
	c.expect(done(0x20))
	if cause := <-b.causes; cause == nil {
		t.Error("cancelled without a cause")
	}

	// In the middle of a request's packets.
	c.send(1, 0, batch("one"))
	c.send(6, 1, nil)
	c.expect(done(0x20))

	// IGNORE at the end of a request: one message, no acknowledgement.
	c.send(1, 0, batch("effect"))
	c.send(1, 3, utf16le("more"))
	c.expect(done(2))
	if b.effects.Load() != 0 {
		t.Error("an ignored request ran")
	}
	c.send(1, 1, batch("nothing"))
	c.expect(done(0))
}

func TestResetAndSeparators(t *testing.T) {
	b := start(t, tds.Config{})
	c := b.login(t)
	c.send(1, 1|8, batch("nothing"))
	c.expect(append([]byte{0xE3, 3, 0, 18, 0, 0}, done(0)...))
	c.send(1, 1|8|2, batch("nothing")) // ignored: no reset either
	c.expect(done(2))
	c.send(1, 8, batch("noth")) // only the first packet's bits count
	c.send(1, 1, utf16le("ing"))
	c.expect(append([]byte{0xE3, 3, 0, 18, 0, 0}, done(0)...))
	if n := b.resets.Load(); n != 2 {
		t.Errorf("%d resets", n)
	}

	// Two calls in one message, by name, with a separator between and after them.
	call := append([]byte{7, 0}, utf16le("nothing")...)
	call = append(call, 0, 0)
	rpc := append(bytes.Clone(headers), call...)
	rpc = append(append(rpc, 0xFF), call...)
	rpc = append(rpc, 0xFF)
	status := []byte{0x79, 0, 0, 0, 0}
	proc := func(s byte) []byte { return append([]byte{0xFE, s, 0, 0xE0, 0}, make([]byte, 8)...) }
	c.send(3, 1, rpc)
	c.expect(bytes.Join([][]byte{status, proc(1), status, proc(0)}, nil))
}

func TestTransactionRequests(t *testing.T) {
	b := start(t, tds.Config{})
	c := b.login(t)
	tm := func(request uint16, body ...byte) {
		c.send(0x0E, 1, append(binary.LittleEndian.AppendUint16(bytes.Clone(headers), request), body...))
	}
	tm(5, append([]byte{2, 2}, utf16le("t")...)...)
	if m, err := c.message(); err != nil || !bytes.HasPrefix(m, []byte{0xE3, 11, 0, 8, 8}) || !bytes.HasSuffix(m, done(0)) {
		t.Fatalf("begin: % x, %v", m, err)
	}
	tm(7, 0, 1, 0, 0) // commit and begin again
	if m, err := c.message(); err != nil || m[3] != 9 || m[14+3] != 8 || !bytes.HasSuffix(m, done(0)) {
		t.Fatalf("commit and begin: % x, %v", m, err)
	}
	tm(8, 0, 0)
	if m, err := c.message(); err != nil || m[3] != 10 {
		t.Fatalf("rollback: % x, %v", m, err)
	}
	tm(9, append([]byte{4}, utf16le("sp")...)...)
	c.expect(done(0))
	tm(6) // promote
	if m, err := c.message(); err != nil || m[0] != 0xAA || !bytes.HasSuffix(m, done(2)) {
		t.Fatalf("promote: % x, %v", m, err)
	}
	want := []tds.TM{{Request: tds.TMBegin, Isolation: tds.ReadCommitted, Name: "t"},
		{Request: tds.TMCommit, BeginAgain: true}, {Request: tds.TMRollback}, {Request: tds.TMSave, Name: "sp"}}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range want {
		if b.tms[i] != w {
			t.Errorf("got %+v, want %+v", b.tms[i], w)
		}
	}
}

func TestLoginDialects(t *testing.T) {
	b := start(t, tds.Config{Version: "15.0.4430.1"})
	ack := []byte{0x0A, 1, 0, 0, 0, 1, 0xFF}
	for _, asked := range []bool{false, true} {
		c := b.dial(t)
		c.send(0x10, 1, login7(0x74000004, "sa", password, asked))
		m, err := c.message()
		if err != nil || bytes.Contains(m, append([]byte{0xAE}, ack...)) != asked {
			t.Errorf("FEATUREEXTACK asked %v: % x, %v", asked, m, err)
		}
		if !bytes.Contains(m, []byte{15, 0, 0x11, 0x4E}) {
			t.Errorf("no version in % x", m)
		}
	}
	c := b.dial(t)
	old := login7(0x71000001, "sa", password, false)
	c.send(0x10, 1, old)
	if m, err := c.message(); err != nil || !bytes.Contains(m, utf16le("TDS 7.2 and newer")) {
		t.Errorf("an old client hears % x, %v", m, err)
	}
	c.gone()
}

// TestLastWords: a refusal reaches a client that has sent more than was read.
func TestLastWords(t *testing.T) {
	b := start(t, tds.Config{})
	c := b.dial(t)
	if _, err := c.Write(append(packet(0x10, 1, login7(0x74000004, "eve", password, false)), make([]byte, 300_000)...)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if m, err := c.message(); err != nil || !bytes.Contains(m, utf16le("Login failed for user 'eve'.")) {
		t.Errorf("% x, %v", m, err)
	}
	if _, err := c.message(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

// TestMalformed has clients that break the rules; a good one lives on beside them.
func TestMalformed(t *testing.T) {
	b := start(t, tds.Config{MaxMessage: 1 << 16, MessageTimeout: 200 * time.Millisecond, LoginTimeout: 400 * time.Millisecond})
	good := b.login(t)
	before := []struct {
		name string
		sent []byte
	}{
		{"an unknown first byte", []byte("GET / HTTP/1.1\r\n\r\n")},
		{"nothing", nil},
		{"half a header", []byte{0x12, 1, 0}},
		{"a length of nothing", []byte{0x12, 1, 0, 0, 0, 0, 0, 0}},
		{"a length too long", []byte{0x12, 1, 0xFF, 0xFF, 0, 0, 0, 0}},
		{"an empty PRELOGIN", packet(0x12, 1, nil)},
		{"LOGIN7 of nothing", packet(0x10, 1, []byte{1, 2, 3})},
		{"a batch before the login", packet(1, 1, batch("one"))},
		{"half a ClientHello", []byte{0x16, 3, 1, 2, 0, 1, 0, 1}},
		{"PRELOGIN, then no TLS", append(packet(0x12, 1, []byte{1, 0, 6, 0, 1, 0xFF, 1}), packet(0x10, 1, login7(0x74000004, "sa", password, false))...)},
		{"PRELOGIN, then half of a handshake", append(packet(0x12, 1, []byte{1, 0, 6, 0, 1, 0xFF, 0}), packet(0x12, 0, []byte{0x16, 3})...)},
	}
	for _, tt := range before {
		c := b.dial(t)
		if _, err := c.Write(tt.sent); err != nil {
			t.Fatal(err)
		}
		t.Log(tt.name)
		c.gone()
	}
	after := []struct {
		name string
		sent []byte
	}{
		{"half a header", []byte{1, 1}},
		{"a request and half a header", append(packet(1, 1, batch("nothing")), 1, 1, 0)},
		{"half a packet", packet(1, 1, batch("one"))[:20]},
		{"a message without end", packet(1, 0, batch("one"))},
		{"a message over its limit", append(packet(1, 0, batch("effect"+strings.Repeat(" ", 14000))),
			append(packet(1, 0, utf16le(strings.Repeat(" ", 14000))), packet(1, 1, utf16le(strings.Repeat(" ", 14000)))...)...)},
		{"two types in a message", append(packet(1, 0, batch("one")), packet(3, 1, batch("one"))...)},
		{"an unknown type", packet(0x55, 1, nil)},
		{"headers beyond the message", packet(1, 1, []byte{0xFF, 0xFF, 0xFF, 0x7F})},
		{"half a character", packet(1, 1, append(batch("one"), 0))},
		{"half a call", packet(3, 1, append(bytes.Clone(headers), 10, 0, 1))},
		{"another PRELOGIN", packet(0x12, 1, []byte{0xFF})},
	}
	for _, tt := range after {
		c := b.login(t)
		if _, err := c.Write(tt.sent); err != nil {
			t.Fatal(err)
		}
		t.Log(tt.name)
		c.gone()
	}
	if b.effects.Load() != 0 {
		t.Error("a message over its limit ran")
	}
	good.send(1, 1, batch("nothing"))
	good.expect(done(0))
	time.Sleep(300 * time.Millisecond) // idle beyond MessageTimeout, which is no crime
	good.send(1, 1, batch("nothing"))
	good.expect(done(0))
}

// TestVanish has clients that leave at bad moments.
func TestVanish(t *testing.T) {
	b := start(t, tds.Config{WriteTimeout: 300 * time.Millisecond})
	c := b.login(t)
	c.send(1, 1, batch("wait"))
	<-b.waiting
	_ = c.Close() // the point
	if cause := <-b.causes; !errors.Is(cause, tds.ErrPeerGone) {
		t.Errorf("the handler saw %v", cause)
	}

	// A client that asks and never reads.
	c = b.login(t)
	c.send(1, 1, batch("stream"))
	<-b.waiting
	if err := <-b.causes; err == nil {
		t.Error("the stream went on")
	}
	waitFor(t, func() bool { return b.closed.Load() == 2 })

	// One that leaves in the middle of a handshake, and one before it.
	c = b.dial(t)
	c.send(0x12, 1, []byte{1, 0, 6, 0, 1, 0xFF, 1})
	if _, err := c.message(); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	_ = b.dial(t).Close()
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

func TestConnectionLimit(t *testing.T) {
	b := start(t, tds.Config{MaxConnections: 2})
	one, two := b.login(t), b.login(t)
	b.dial(t).gone()
	_ = two.Close() // makes room
	waitFor(t, func() bool { return len(b.server.Connections()) == 1 })
	waitFor(t, func() bool {
		c := b.dial(t)
		c.send(0x10, 1, login7(0x74000004, "sa", password, false))
		_, err := c.message()
		return err == nil
	})
	one.send(1, 1, batch("nothing"))
	one.expect(done(0))
}
