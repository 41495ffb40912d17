package tds

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unicode/utf16"
)

func units(s string) []byte {
	var p []byte
	for _, u := range utf16.Encode([]rune(s)) {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	return p
}

func withHeaders(p []byte) []byte {
	return append([]byte{22, 0, 0, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, p...)
}

func FuzzPrelogin(f *testing.F) {
	f.Add(appendPrelogin(nil, map[byte][]byte{preTrace: nil, preFedAuth: nil}, encryptOn, serverVersion{16, 0, 4166}))
	f.Add([]byte{1, 0, 6, 0, 1, 0xFF, 2})
	f.Add([]byte{0xFF})
	f.Fuzz(func(t *testing.T, data []byte) {
		options, err := parsePrelogin(data)
		if err != nil {
			return
		}
		answer, err := negotiate(options[preEncryption][0], false)
		if err != nil {
			return
		}
		again, err := parsePrelogin(appendPrelogin(nil, options, answer, serverVersion{}))
		if err != nil || again[preEncryption][0] != answer {
			t.Fatalf("our own answer reads as %v, %v", again, err)
		}
	})
}

func FuzzLogin7(f *testing.F) {
	p := make([]byte, login7Fixed)
	binary.LittleEndian.PutUint32(p[4:], 0x74000004)
	binary.LittleEndian.PutUint16(p[40:], login7Fixed)
	binary.LittleEndian.PutUint16(p[42:], 2)
	p = append(p, units("sa")...)
	binary.LittleEndian.PutUint32(p, uint32(len(p)))
	f.Add(p)
	ext := append(bytes.Clone(p), 0, 0, 0, 0, featureUTF8, 1, 0, 0, 0, 1, 0xFF)
	ext[27] = flag3Extension
	ext[56] = byte(len(p))
	ext[len(p)] = byte(len(p) + 4)
	binary.LittleEndian.PutUint32(ext, uint32(len(ext)))
	f.Add(ext)
	f.Fuzz(func(t *testing.T, data []byte) {
		// A mutated length would shut everything else off.
		if len(data) >= 4 {
			data = bytes.Clone(data)
			binary.LittleEndian.PutUint32(data, uint32(len(data)))
		}
		l, err := parseLogin7(data)
		if err != nil {
			return
		}
		if l.PacketSize < minPacketSize || l.PacketSize > maxPacketSize {
			t.Fatalf("packet size %d", l.PacketSize)
		}
		appendLoginResponse(nil, l, &Config{}, serverVersion{})
	})
}

func FuzzAllHeaders(f *testing.F) {
	f.Add(withHeaders(units("SELECT 1")))
	f.Add([]byte{4, 0, 0, 0})
	f.Add([]byte{10, 0, 0, 0, 6, 0, 0, 0, 9, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		c := cursor{p: data}
		c.allHeaders()
		if c.err == nil && len(c.p) > len(data)-4 {
			t.Fatal("the headers took nothing")
		}
		_, _ = parseBatch(data) // only that it returns
	})
}

// FuzzRPC also writes back every value that could be read.
func FuzzRPC(f *testing.F) {
	head := withHeaders([]byte{0xFF, 0xFF, 10, 0, 0, 0})
	f.Add(head)
	named := append(withHeaders([]byte{2, 0}), units("sp")...)
	f.Add(append(named, 0, 0, 0xFF, 0xFF, 0xFF, 15, 0, 0, 0))
	for _, typ := range everyType {
		p := append(bytes.Clone(head), 0, 0)
		p, err := appendTypeInfo(p, typ, true)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(appendNull(p, typ))
	}
	f.Add(append(append(bytes.Clone(head), 2), append(units("@p"), 1, 0x26, 8, 8, 1, 2, 3, 4, 5, 6, 7, 8)...))
	f.Add(append(bytes.Clone(head), 0, 0, 0x63, 0xFF, 0xFF, 0, 0, 9, 4, 0xD0, 0, 0x34, 2, 0, 0, 0, 'a', 0))
	f.Add(append(bytes.Clone(head), 0, 0, 0xE7, 0xFF, 0xFF, 9, 4, 0xD0, 0, 0x34, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 'a', 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		calls, err := parseRPC(data)
		if err != nil {
			return
		}
		if len(calls) == 0 {
			t.Fatal("a message without a call")
		}
		for _, c := range calls {
			_ = Request{Kind: KindRPC, Calls: calls}.Text() // only that it returns
			for _, p := range c.Params {
				switch p.Type.ID {
				case TypeChar, TypeNChar, TypeBinary: // come back padded
					continue
				case TypeVarChar: // may have come in another code page
					continue
				}
				got, err := roundTrip(t, p.Type, true, p.Value)
				if err == nil && !same(got, p.Value) {
					t.Fatalf("%s: %v came back as %v", p.Type, p.Value, got)
				}
				if s, ok := p.Value.(string); err != nil && !ok && p.Type.Size != 0 && p.Type.Size <= 8000 && sendable(p) {
					t.Fatalf("%s: %v (%s) cannot be written: %v", p.Type, p.Value, s, err)
				}
			}
		}
	})
}

// sendable tells whether a value that was read must also be one to write.
func sendable(p Param) bool {
	switch p.Type.ID {
	case TypeNull, TypeText, TypeNText, TypeImage, TypeFloat4, TypeFloat8, TypeFloatN:
		return false // not sent at all, or not a number
	}
	return true
}

func FuzzTM(f *testing.F) {
	f.Add(withHeaders([]byte{5, 0, 2, 2, 't', 0}))
	f.Add(withHeaders([]byte{7, 0, 0, 1, 0, 0}))
	f.Add(withHeaders([]byte{8, 0, 0, 0}))
	f.Add(withHeaders([]byte{9, 0, 4, 's', 0, 'p', 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		tm, ok, err := parseTM(data)
		if err == nil && ok && (tm.Isolation > Snapshot || tm.BeginIsolation > Snapshot) {
			t.Fatalf("%+v", tm)
		}
	})
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte{1, 0, 0, 9, 0, 0, 1, 0, 'a', 1, 1, 0, 9, 0, 0, 2, 0, 'b'})
	f.Add([]byte{1, 0, 0, 9, 0, 0, 1, 0, 'a', 6, 1, 0, 8, 0, 0, 2, 0})
	f.Add([]byte{1, 0, 0, 9, 0, 0, 1, 0, 'a', 1, 3, 0, 8, 0, 0, 2, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := packetReader{r: bytes.NewReader(data), max: 1000}
		for {
			m, err := r.next()
			if err != nil {
				return
			}
			if len(m.data) > r.max || m.ignored && len(m.data) > 0 {
				t.Fatalf("a message of %d bytes", len(m.data))
			}
			_, _ = parseRequest(m) // only that it returns
		}
	})
}
