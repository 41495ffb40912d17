package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Packet types (MS-TDS 2.2.3.1.1).
const (
	packBatch     = 0x01
	packRPC       = 0x03
	packReply     = 0x04
	packAttention = 0x06
	packBulk      = 0x07
	packTM        = 0x0E
	packLogin7    = 0x10
	packSSPI      = 0x11
	packPrelogin  = 0x12
)

// Packet status bits.
const (
	statusEOM       = 0x01
	statusIgnore    = 0x02
	statusReset     = 0x08
	statusResetKeep = 0x10 // reset, but keep the transaction
)

const (
	headerSize     = 8
	minPacketSize  = 512
	maxPacketSize  = 32767
	startSize      = 4096 // until the login has settled the size
	maxLoginLength = 128 << 10
)

var errTooLong = errors.New("tds: message over its limit")

// message is what a client sent between two ends of message.
type message struct {
	kind    byte
	status  byte // of the first packet: the reset bits count only there
	ignored bool // the client changed its mind before the end; data is empty
	data    []byte
}

// packetReader joins packets to messages. It checks neither packet ids, which
// clients number as they like, nor that packets are full.
type packetReader struct {
	r     io.Reader
	max   int    // longest message
	begun func() // called at the first byte of a message
	head  [headerSize]byte
}

// next reads one message. An ATTENTION in the middle of another message discards
// what came of that.
func (r *packetReader) next() (message, error) {
	var m message
	for first := true; ; first = false {
		if _, err := io.ReadFull(r.r, r.head[:1]); err != nil {
			return m, err
		}
		if first && r.begun != nil {
			r.begun()
		}
		if _, err := io.ReadFull(r.r, r.head[1:]); err != nil {
			return m, noEOF(err)
		}
		kind, status := r.head[0], r.head[1]
		length := int(binary.BigEndian.Uint16(r.head[2:]))
		if length < headerSize || length > maxPacketSize {
			return m, fmt.Errorf("tds: packet length %d", length)
		}
		if first || kind == packAttention {
			m = message{kind: kind, status: status}
		} else if kind != m.kind {
			return m, fmt.Errorf("tds: packet of type 0x%02X inside a message of type 0x%02X", kind, m.kind)
		}
		body := length - headerSize
		if len(m.data)+body > r.max {
			return m, errTooLong
		}
		at := len(m.data)
		m.data = append(m.data, make([]byte, body)...)
		if _, err := io.ReadFull(r.r, m.data[at:]); err != nil {
			return m, noEOF(err)
		}
		if status&statusEOM == 0 {
			continue
		}
		if status&statusIgnore != 0 {
			m.ignored, m.data = true, nil
		}
		return m, nil
	}
}

// noEOF makes an end inside a message an error of its own.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// packetWriter cuts a message into packets. Full packets gather until they are
// worth a system call; the open packet is sealed only when something follows it,
// so that the last one can carry the end of message.
type packetWriter struct {
	out  func([]byte) error
	size int
	spid int
	buf  []byte // sealed packets, then the open one with room for its header
	open int    // where the open packet begins
	id   byte
}

// writeAt is the number of bytes that are worth a write.
const writeAt = 16 << 10

func (w *packetWriter) write(p []byte) error {
	for len(p) > 0 {
		if len(w.buf) == w.open {
			w.buf = append(w.buf, make([]byte, headerSize)...)
		}
		room := w.size - (len(w.buf) - w.open)
		if room == 0 {
			w.seal(0)
			if len(w.buf) >= writeAt {
				if err := w.send(); err != nil {
					return err
				}
			}
			continue
		}
		n := min(room, len(p))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
	}
	return nil
}

// seal writes the header of the open packet and begins the next.
func (w *packetWriter) seal(status byte) {
	w.id++
	h := w.buf[w.open:]
	h[0], h[1] = packReply, status
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)))
	binary.BigEndian.PutUint16(h[4:], uint16(w.spid))
	h[6], h[7] = w.id, 0
	w.open = len(w.buf)
}

func (w *packetWriter) send() error {
	err := w.out(w.buf)
	w.buf, w.open = w.buf[:0], 0
	return err
}

// flush sends what there is without ending the message.
func (w *packetWriter) flush() error {
	if len(w.buf) > w.open {
		w.seal(0)
	}
	if len(w.buf) == 0 {
		return nil
	}
	return w.send()
}

// end ends the message.
func (w *packetWriter) end() error {
	if len(w.buf) == w.open {
		w.buf = append(w.buf, make([]byte, headerSize)...)
	}
	w.seal(statusEOM)
	return w.send()
}
