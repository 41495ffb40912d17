package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
	"unicode/utf16"
)

// client is the cheapest TDS client there can be: it logs in without
// encryption, sends batches and throws the answers away, so that what is
// measured is the server.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

// answer is what a batch gave.
type answer struct {
	bytes int
	rows  uint64 // of the last statement
	took  time.Duration
}

const timeout = 2 * time.Minute // against hanging

func dial(addr, user, password string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 1<<16), buf: make([]byte, 1<<16)}
	if err := c.login(user, password); err != nil {
		_ = conn.Close() // the error is the login's
		return nil, fmt.Errorf("logging in: %w", err)
	}
	return c, nil
}

func (c *client) close() { _ = c.conn.Close() } // nothing is lost with it

func ucs2(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// send writes one message in packets of at most 4096 bytes.
func (c *client) send(kind byte, body []byte) error {
	for first := true; first || len(body) > 0; first = false {
		n := min(len(body), 4096-8)
		status := byte(0)
		if n == len(body) {
			status = 1
		}
		p := append([]byte{kind, status, 0, 0, 0, 0, 1, 0}, body[:n]...)
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		if _, err := c.conn.Write(p); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

// receive reads one message, keeps its last packet in buf and returns the
// length of the whole and that packet.
func (c *client) receive() (total int, last []byte, err error) {
	var header [8]byte
	for {
		if _, err := io.ReadFull(c.r, header[:]); err != nil {
			return total, nil, err
		}
		n := int(binary.BigEndian.Uint16(header[2:])) - len(header)
		if n < 0 || n > len(c.buf) {
			return total, nil, errors.New("a packet without sense")
		}
		if _, err := io.ReadFull(c.r, c.buf[:n]); err != nil {
			return total, nil, err
		}
		total += n
		if header[1]&1 != 0 {
			return total, c.buf[:n], nil
		}
	}
}

func (c *client) login(user, password string) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	// PRELOGIN: version, and encryption not supported.
	prelogin := []byte{0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 16, 0, 0, 0, 0, 0, 2}
	if err := c.send(0x12, prelogin); err != nil {
		return err
	}
	if _, _, err := c.receive(); err != nil {
		return err
	}
	secret := ucs2(password)
	for i, b := range secret {
		b = b<<4 | b>>4
		secret[i] = b ^ 0xA5
	}
	body := make([]byte, 94)
	binary.LittleEndian.PutUint32(body[4:], 0x74000004)
	binary.LittleEndian.PutUint32(body[8:], 32767) // packet size
	body[24], body[25] = 0xe0, 0x03
	for i, field := range [][]byte{ucs2("bench"), ucs2(user), secret, ucs2("bench"), ucs2("localhost"), nil, ucs2("bench"), nil, ucs2("master")} {
		at := 36 + 4*i
		binary.LittleEndian.PutUint16(body[at:], uint16(len(body)))
		binary.LittleEndian.PutUint16(body[at+2:], uint16(len(field)/2))
		body = append(body, field...)
	}
	binary.LittleEndian.PutUint32(body, uint32(len(body)))
	if err := c.send(0x10, body); err != nil {
		return err
	}
	_, last, err := c.receive()
	if err == nil && len(last) > 0 && last[0] == 0xAA {
		err = errors.New("refused")
	}
	return err
}

// batch runs one and reads its answer to the end.
func (c *client) batch(sql string) (answer, error) {
	headers := make([]byte, 22)
	binary.LittleEndian.PutUint32(headers, 22)
	binary.LittleEndian.PutUint32(headers[4:], 18)
	headers[8] = 2
	headers[18] = 1
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return answer{}, err
	}
	start := time.Now()
	if err := c.send(1, append(headers, ucs2(sql)...)); err != nil {
		return answer{}, err
	}
	n, last, err := c.receive()
	a := answer{bytes: n, took: time.Since(start)}
	if err != nil {
		return a, err
	}
	// The message ends in DONE: token, status, command, rows.
	if len(last) < 13 || last[len(last)-13] != 0xFD {
		return a, errors.New("an answer without its end")
	}
	done := last[len(last)-12:]
	if binary.LittleEndian.Uint16(done)&2 != 0 {
		return a, fmt.Errorf("the server says it is an error: %.60s", sql)
	}
	a.rows = binary.LittleEndian.Uint64(done[4:])
	return a, nil
}
