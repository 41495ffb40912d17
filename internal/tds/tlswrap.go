package tds

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// wrapPayload is how much of the handshake goes into one packet. go-mssqldb takes
// no packet longer than the size it asked for, which may be 512, and everyone
// accepts short ones.
const wrapPayload = minPacketSize - headerSize

type wireMode uint8

const (
	modeRaw     wireMode = iota // bytes as they are
	modeWrapped                 // inside PRELOGIN packets: a TDS 7 handshake
	modeRecord                  // as they are, but never beyond the current TLS record
)

// wire is the connection as TLS or the packet reader sees it. One buffered reader
// lies below every mode, so that nothing is lost at a change.
type wire struct {
	net.Conn // the rawConn
	br       *bufio.Reader
	mode     wireMode
	left     int // of the current packet or record
}

func newWire(c *rawConn) *wire { return &wire{Conn: c, br: bufio.NewReaderSize(c, 8<<10)} }

// switchTo changes the mode between two packets.
func (w *wire) switchTo(m wireMode) error {
	if w.left != 0 {
		return errors.New("tds: bytes left over between two phases of the connection")
	}
	w.mode = m
	return nil
}

func (w *wire) Read(p []byte) (int, error) {
	if w.mode == modeRaw || len(p) == 0 {
		return w.br.Read(p)
	}
	for w.left == 0 {
		if err := w.nextUnit(); err != nil {
			return 0, err
		}
	}
	n, err := w.br.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

// nextUnit reads the header of a packet, or looks at that of a record.
func (w *wire) nextUnit() error {
	if w.mode == modeRecord {
		h, err := w.br.Peek(5)
		if err != nil {
			return err
		}
		w.left = 5 + int(binary.BigEndian.Uint16(h[3:]))
		return nil
	}
	var h [headerSize]byte
	if _, err := io.ReadFull(w.br, h[:]); err != nil {
		return err
	}
	length := int(binary.BigEndian.Uint16(h[2:]))
	if h[0] != packPrelogin || length < headerSize || length > maxPacketSize {
		return fmt.Errorf("tds: packet of type 0x%02X and length %d inside the TLS handshake", h[0], length)
	}
	w.left = length - headerSize
	return nil
}

func (w *wire) Write(p []byte) (int, error) {
	if w.mode != modeWrapped {
		return w.Conn.Write(p)
	}
	// Go hands over a whole flight at a time: one message.
	var buf []byte
	for id, rest := byte(1), p; len(rest) > 0; id++ {
		n := min(len(rest), wrapPayload)
		status := byte(0)
		if n == len(rest) {
			status = statusEOM
		}
		buf = append(buf, packPrelogin, status)
		buf = binary.BigEndian.AppendUint16(buf, uint16(n+headerSize))
		buf = append(buf, 0, 0, id, 0)
		buf = append(buf, rest[:n]...)
		rest = rest[n:]
	}
	if _, err := w.Conn.Write(buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// tlsConfigs makes the two configurations: the handshake inside PRELOGIN packets
// stays at 1.2, where FreeTDS hangs with 1.3 and SQL Server does not go either;
// TDS 8.0 takes both.
func tlsConfigs(cert tls.Certificate) (wrapped, strict *tls.Config) {
	wrapped = &tls.Config{
		Certificates:                []tls.Certificate{cert},
		MinVersion:                  tls.VersionTLS12,
		MaxVersion:                  tls.VersionTLS12,
		DynamicRecordSizingDisabled: true,
	}
	strict = wrapped.Clone()
	strict.MaxVersion = tls.VersionTLS13
	strict.NextProtos = []string{"tds/8.0"}
	return wrapped, strict
}
