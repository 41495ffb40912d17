package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// Tokens of a server's message (MS-TDS 2.2.7).
const (
	tokenReturnStatus  = 0x79
	tokenColMetadata   = 0x81
	tokenError         = 0xAA
	tokenInfo          = 0xAB
	tokenReturnValue   = 0xAC
	tokenLoginAck      = 0xAD
	tokenFeatureExtAck = 0xAE
	tokenRow           = 0xD1
	tokenEnvChange     = 0xE3
	tokenDone          = 0xFD
	tokenDoneProc      = 0xFE
	tokenDoneInProc    = 0xFF
)

const (
	envDatabase     = 1
	envLanguage     = 2
	envPacketSize   = 4
	envCollation    = 7
	envBeginTran    = 8
	envCommitTran   = 9
	envRollbackTran = 10
	envReset        = 18
)

// collation is SQL_Latin1_General_CP1_CI_AS.
var collation = [5]byte{0x09, 0x04, 0xD0, 0x00, 0x34}

var le = binary.LittleEndian

func appendUTF16(p []byte, s string) []byte {
	p = slices.Grow(p, 2*len(s))
	i := 0
	for ; i < len(s) && s[i] < utf8.RuneSelf; i++ {
		p = append(p, s[i], 0)
	}
	for _, r := range s[i:] {
		if r < 0x10000 {
			p = append(p, byte(r), byte(r>>8))
			continue
		}
		hi, lo := utf16.EncodeRune(r)
		p = append(p, byte(hi), byte(hi>>8), byte(lo), byte(lo>>8))
	}
	return p
}

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x10000 {
			n++
		}
	}
	return n
}

// clip shortens s to at most n UTF-16 units; names and messages have byte-sized
// or word-sized lengths.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	units := 0
	for i, r := range s {
		u := 1
		if r >= 0x10000 {
			u = 2
		}
		if units+u > n {
			return s[:i]
		}
		units += u
	}
	return s
}

// appendBVarChar writes a string with a length of one byte.
func appendBVarChar(p []byte, s string) []byte {
	s = clip(s, 255)
	return appendUTF16(append(p, byte(utf16Len(s))), s)
}

// appendUSVarChar writes a string with a length of two bytes. The longest text
// that keeps an ERROR token within its own two-byte length is far below 65535.
func appendUSVarChar(p []byte, s string) []byte {
	s = clip(s, 16000)
	return appendUTF16(le.AppendUint16(p, uint16(utf16Len(s))), s)
}

// sized patches the two-byte length of a token that begins at start: its type
// byte, then the length, then the body.
func sized(p []byte, start int) []byte {
	le.PutUint16(p[start+1:], uint16(len(p)-start-3))
	return p
}

// appendMessage writes ERROR or INFO. legacy is the shape of TDS 7.1, used only
// to tell such a client that it is too old.
func appendMessage(p []byte, token byte, e *Error, server string, legacy bool) []byte {
	if e.Server != "" {
		server = e.Server
	}
	start := len(p)
	p = append(p, token, 0, 0)
	p = le.AppendUint32(p, uint32(e.Number))
	p = append(p, e.State, e.Class)
	p = appendUSVarChar(p, e.Message)
	p = appendBVarChar(p, server)
	p = appendBVarChar(p, e.Proc)
	if legacy {
		p = le.AppendUint16(p, uint16(e.Line))
	} else {
		p = le.AppendUint32(p, uint32(e.Line))
	}
	return sized(p, start)
}

func appendDone(p []byte, token byte, status uint16, cmd Command, rows uint64) []byte {
	p = append(p, token)
	p = le.AppendUint16(p, status)
	p = le.AppendUint16(p, uint16(cmd))
	return le.AppendUint64(p, rows)
}

func appendReturnStatus(p []byte, status int32) []byte {
	return le.AppendUint32(append(p, tokenReturnStatus), uint32(status))
}

func appendReturnValue(p []byte, ordinal int, name string, t Type, v any) ([]byte, error) {
	p = append(p, tokenReturnValue)
	p = le.AppendUint16(p, uint16(ordinal))
	p = appendBVarChar(p, name)
	p = append(p, 0x01)              // an OUTPUT parameter
	p = append(p, 0, 0, 0, 0)        // user type
	p = append(p, columnNullable, 0) // flags
	p, err := appendTypeInfo(p, t, true)
	if err != nil {
		return nil, err
	}
	return appendValue(p, t, true, v)
}

func appendEnvStrings(p []byte, kind byte, now, before string) []byte {
	start := len(p)
	p = append(p, tokenEnvChange, 0, 0, kind)
	p = appendBVarChar(p, now)
	p = appendBVarChar(p, before)
	return sized(p, start)
}

func appendEnvCollation(p []byte) []byte {
	start := len(p)
	p = append(p, tokenEnvChange, 0, 0, envCollation, byte(len(collation)))
	p = append(p, collation[:]...)
	p = append(p, 0)
	return sized(p, start)
}

// appendEnvTran writes the begin (new id) or the end (old id) of a transaction.
func appendEnvTran(p []byte, kind byte, id uint64) []byte {
	start := len(p)
	p = append(p, tokenEnvChange, 0, 0, kind)
	if kind == envBeginTran {
		p = append(p, 8)
		p = le.AppendUint64(p, id)
		p = append(p, 0)
	} else {
		p = append(p, 0, 8)
		p = le.AppendUint64(p, id)
	}
	return sized(p, start)
}

func appendEnvReset(p []byte) []byte {
	return append(p, tokenEnvChange, 3, 0, envReset, 0, 0)
}

const (
	columnNullable   = 0x01
	columnUpdateable = 0x08 // unknown
)

var errTooManyColumns = errors.New("more than 4096 columns")

func appendColMetadata(p []byte, cols []Column) ([]byte, error) {
	if len(cols) > 4096 {
		return nil, errTooManyColumns
	}
	p = append(p, tokenColMetadata)
	p = le.AppendUint16(p, uint16(len(cols)))
	for i := range cols {
		c := &cols[i]
		flags := byte(columnUpdateable)
		if c.Nullable {
			flags |= columnNullable
		}
		p = append(p, 0, 0, 0, 0, flags, 0)
		var err error
		if p, err = appendTypeInfo(p, c.Type, c.Nullable); err != nil {
			return nil, fmt.Errorf("tds: column %d %q: %w", i+1, c.Name, err)
		}
		if c.Type.ID == TypeText || c.Type.ID == TypeNText || c.Type.ID == TypeImage {
			p = append(p, 0) // no table name
		}
		p = appendBVarChar(p, c.Name)
	}
	return p, nil
}
