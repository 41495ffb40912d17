package tds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
)

// establish takes a connection from its first byte to the login response. With
// an error nothing of it is left but the socket.
func (c *conn) establish(ctx context.Context) error {
	cfg := &c.server.cfg
	c.raw.limitReading(cfg.LoginTimeout, false)
	first, err := c.wire.br.Peek(1)
	if err != nil {
		return err
	}
	var login message
	switch first[0] {
	case 0x16: // a TLS record: TDS 8.0
		login, err = c.strict(ctx)
	case packPrelogin:
		login, err = c.prelogin(ctx)
	case packLogin7:
		if cfg.ForceEncryption {
			return errors.New("tds: a client without encryption, which is required")
		}
		login, err = c.packets.next()
	default:
		return fmt.Errorf("tds: a first byte of 0x%02X", first[0])
	}
	if err != nil {
		return err
	}
	if login.kind != packLogin7 || login.ignored {
		return fmt.Errorf("tds: a packet of type 0x%02X instead of LOGIN7", login.kind)
	}
	return c.login(ctx, login.data)
}

// expectPrelogin reads PRELOGIN's options.
func (c *conn) expectPrelogin() (map[byte][]byte, error) {
	m, err := c.packets.next()
	if err != nil {
		return nil, err
	}
	if m.kind != packPrelogin || m.ignored {
		return nil, fmt.Errorf("tds: a packet of type 0x%02X instead of PRELOGIN", m.kind)
	}
	return parsePrelogin(m.data)
}

func (c *conn) answerPrelogin(ctx context.Context, asked map[byte][]byte, encryption byte) error {
	w := c.newResponse(ctx)
	w.pw.size = minPacketSize // before LOGIN7 we do not know what the client takes
	if err := w.put(appendPrelogin(nil, asked, encryption, c.server.version)); err != nil {
		return err
	}
	return w.pw.end()
}

// strict is TDS 8.0: TLS first, everything else inside.
func (c *conn) strict(ctx context.Context) (message, error) {
	if err := c.startTLS(ctx, c.server.tlsStrict); err != nil {
		return message{}, err
	}
	c.info.Encrypted, c.info.Strict = true, true
	options, err := c.expectPrelogin()
	if err != nil {
		return message{}, err
	}
	if err := c.answerPrelogin(ctx, options, encryptOn); err != nil {
		return message{}, err
	}
	return c.packets.next()
}

// prelogin is TDS 7: PRELOGIN in the clear, then TLS for all, for the login, or
// not at all. It returns the LOGIN7 message.
func (c *conn) prelogin(ctx context.Context) (message, error) {
	options, err := c.expectPrelogin()
	if err != nil {
		return message{}, err
	}
	answer, err := negotiate(options[preEncryption][0], c.server.cfg.ForceEncryption)
	if err != nil {
		return message{}, err
	}
	if err := c.answerPrelogin(ctx, options, answer); err != nil {
		return message{}, err
	}
	if answer == encryptNotSup {
		return c.packets.next()
	}
	if err := c.wire.switchTo(modeWrapped); err != nil {
		return message{}, err
	}
	// A client that will not encrypt sends LOGIN7 here, which the handshake refuses.
	if err := c.startTLS(ctx, c.server.tlsWrapped); err != nil {
		return message{}, err
	}
	if answer != encryptOff {
		c.info.Encrypted = true
		if err := c.wire.switchTo(modeRaw); err != nil {
			return message{}, err
		}
		return c.packets.next()
	}
	// Only the login travels inside TLS. The record mode keeps TLS from reading
	// into what the client sends in the clear afterwards.
	if err := c.wire.switchTo(modeRecord); err != nil {
		return message{}, err
	}
	m, err := c.packets.next()
	if err != nil {
		return message{}, err
	}
	c.stream, c.packets.r = c.wire, c.wire
	return m, c.wire.switchTo(modeRaw)
}

func (c *conn) startTLS(ctx context.Context, cfg *tls.Config) error {
	t := tls.Server(c.wire, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("tds: TLS handshake: %w", err)
	}
	c.stream, c.packets.r = t, t
	return nil
}

// login reads LOGIN7, asks the handler and answers.
func (c *conn) login(ctx context.Context, data []byte) (err error) {
	cfg := &c.server.cfg
	l, err := parseLogin7(data)
	if errors.Is(err, errOldVersion) {
		c.sayBye(ctx, appendTooOld(nil, cfg.ServerName), startSize)
		return err
	}
	if err != nil {
		return err
	}
	w := c.newResponse(ctx)
	w.pw.size = min(startSize, l.PacketSize)
	if l.Integrated {
		return c.refuse(w, &Error{Number: 18452, Class: 14, State: 1, Message: "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication."})
	}
	if err := c.before(ctx, w, Request{Kind: KindLogin, Login: l}); err != nil {
		return c.broken(w, err)
	}
	session, refusal := c.askHandler(ctx, l)
	if refusal == nil && session == nil {
		refusal = &Error{Number: 18456, Class: 14, State: 1, Message: "Login failed for user '" + l.User + "'."}
	}
	if refusal != nil {
		return c.refuse(w, refusal)
	}
	c.session = session
	c.server.setLoggedIn(c, true) // before the client knows: then it can rely on it
	if err = w.put(appendLoginResponse(nil, l, cfg, c.server.version)); err == nil {
		err = w.pw.end()
	}
	if err == nil && w.broken {
		err = errDropped
	}
	if err != nil {
		c.server.setLoggedIn(c, false)
		c.closeSession()
		return c.broken(w, err)
	}
	c.packetSize = l.PacketSize
	c.log.Debug("login", "user", l.User, "app", l.AppName, "host", l.HostName)
	return nil
}

func (c *conn) askHandler(ctx context.Context, l *Login) (s Session, e *Error) {
	defer func() {
		if p := recover(); p != nil {
			s, e = nil, c.panicked(p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.server.cfg.LoginTimeout)
	defer cancel()
	return c.server.handler.Login(ctx, l, c.info)
}

// refuse sends the errors of a failed login and waits until they were read.
func (c *conn) refuse(w *Response, e *Error) error {
	err := w.Error(e)
	if err == nil {
		err = w.close(doneToken{token: tokenDone, status: doneError})
	}
	if err != nil || w.broken {
		return c.broken(w, err)
	}
	c.drain()
	return e
}

// broken does what a fault on the login's answer still has to do.
func (c *conn) broken(w *Response, err error) error {
	if w.dropped {
		c.breakNow(w.fault)
	}
	if c.hung.Load() {
		c.raw.limitReading(0, false)
		_, _ = io.Copy(io.Discard, c.raw) // until the peer or the server gives up
	}
	if err == nil {
		err = errDropped
	}
	return err
}

// sayBye sends a last message.
func (c *conn) sayBye(ctx context.Context, p []byte, size int) {
	w := c.newResponse(ctx)
	w.pw.size = size
	if w.put(p) == nil && w.pw.end() == nil {
		c.drain()
	}
}

// drain closes our half and reads the other for a moment: a close with unread
// input would be a reset, which can overtake the error that the client should see.
func (c *conn) drain() {
	c.raw.closeWrite()
	c.raw.limitReading(lingering, false)
	_, _ = io.CopyN(io.Discard, c.raw, 1<<20) // it ends in an error by design
}
