package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// PRELOGIN options.
const (
	preVersion    = 0
	preEncryption = 1
	preInstance   = 2
	preThread     = 3
	preMARS       = 4
	preTrace      = 5
	preFedAuth    = 6
	preEnd        = 0xFF
)

// Values of the ENCRYPTION option.
const (
	encryptOff    = 0 // the login only
	encryptOn     = 1
	encryptNotSup = 2
	encryptReq    = 3
	encryptStrict = 4
)

// serverVersion is what VERSION and LOGINACK carry.
type serverVersion struct {
	major, minor byte
	build        uint16
}

// parseVersion reads 16.0.4166.0; the last part is not sent anywhere.
func parseVersion(s string) (v serverVersion, err error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 && len(parts) != 4 {
		return v, fmt.Errorf("version %q: want major.minor.build or major.minor.build.revision", s)
	}
	var n [4]uint64
	for i, p := range parts {
		bits := 8
		if i >= 2 {
			bits = 16
		}
		if n[i], err = strconv.ParseUint(p, 10, bits); err != nil {
			return v, fmt.Errorf("version %q: %w", s, err)
		}
	}
	return serverVersion{byte(n[0]), byte(n[1]), uint16(n[2])}, nil
}

// parsePrelogin reads the options; numbers are big-endian here.
func parsePrelogin(data []byte) (map[byte][]byte, error) {
	options := map[byte][]byte{}
	for p := 0; ; p += 5 {
		if p >= len(data) {
			return nil, errShort
		}
		if data[p] == preEnd {
			break
		}
		if p+5 > len(data) {
			return nil, errShort
		}
		off, n := int(binary.BigEndian.Uint16(data[p+1:])), int(binary.BigEndian.Uint16(data[p+3:]))
		if off+n > len(data) {
			return nil, fmt.Errorf("tds: PRELOGIN option %d lies outside the message", data[p])
		}
		options[data[p]] = data[off : off+n]
	}
	if len(options[preEncryption]) != 1 {
		return nil, errors.New("tds: PRELOGIN without ENCRYPTION")
	}
	return options, nil
}

// negotiate answers the client's ENCRYPTION byte as a server without a configured
// certificate does, or as one with Force Encryption.
func negotiate(client byte, force bool) (byte, error) {
	switch client {
	case encryptOff, encryptOn, encryptReq:
		if force {
			return encryptReq, nil
		}
		if client == encryptReq {
			return encryptOn, nil
		}
		return client, nil
	case encryptNotSup:
		if force {
			return encryptReq, nil
		}
		return encryptNotSup, nil
	}
	return 0, fmt.Errorf("tds: PRELOGIN with ENCRYPTION %d", client)
}

// appendPrelogin writes the answer. Options that newer clients send are answered
// only to them.
func appendPrelogin(p []byte, asked map[byte][]byte, encryption byte, v serverVersion) []byte {
	type option struct {
		id   byte
		data []byte
	}
	options := []option{
		{preVersion, []byte{v.major, v.minor, byte(v.build >> 8), byte(v.build), 0, 0}},
		{preEncryption, []byte{encryption}},
		{preInstance, []byte{0}},
		{preThread, nil},
		{preMARS, []byte{0}},
	}
	if _, ok := asked[preTrace]; ok {
		options = append(options, option{preTrace, nil})
	}
	if _, ok := asked[preFedAuth]; ok {
		options = append(options, option{preFedAuth, []byte{0}})
	}
	off := 5*len(options) + 1
	for _, o := range options {
		p = append(p, o.id)
		p = binary.BigEndian.AppendUint16(p, uint16(off))
		p = binary.BigEndian.AppendUint16(p, uint16(len(o.data)))
		off += len(o.data)
	}
	p = append(p, preEnd)
	for _, o := range options {
		p = append(p, o.data...)
	}
	return p
}
