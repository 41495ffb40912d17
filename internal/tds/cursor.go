package tds

import (
	"errors"
	"fmt"
	"unicode/utf16"
)

// errShort says that a message ends before what its lengths announce.
var errShort = errors.New("tds: message is truncated")

// cursor reads a message from its start. The first failure sticks and every
// later read gives zero, so that a decoder checks once at its end; but whoever
// loops or allocates by a count that was read must look at err first.
type cursor struct {
	p   []byte
	err error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.p = nil
}

func (c *cursor) failf(format string, args ...any) { c.fail(fmt.Errorf("tds: "+format, args...)) }

// take returns the next n bytes, which alias the message.
func (c *cursor) take(n int) []byte {
	if c.err != nil || n < 0 || n > len(c.p) {
		c.fail(errShort)
		return nil
	}
	b := c.p[:n:n]
	c.p = c.p[n:]
	return b
}

func (c *cursor) u8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return le.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return le.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return le.Uint64(b)
	}
	return 0
}

// utf16 reads n UTF-16 units.
func (c *cursor) utf16(n int) string { return decodeUTF16(c.take(2 * n)) }

// bVarChar reads a string with a length of one byte, in units.
func (c *cursor) bVarChar() string { return c.utf16(int(c.u8())) }

// decodeUTF16 decodes little-endian UTF-16; half a surrogate pair becomes U+FFFD
// and a last odd byte is left out.
func decodeUTF16(b []byte) string {
	ascii := true
	for i := 0; i+1 < len(b); i += 2 {
		if b[i+1] != 0 || b[i] >= 0x80 {
			ascii = false
			break
		}
	}
	if ascii {
		s := make([]byte, len(b)/2)
		for i := range s {
			s[i] = b[2*i]
		}
		return string(s)
	}
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = le.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}
