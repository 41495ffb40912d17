package tds

import (
	"errors"
	"fmt"
)

// errOldVersion marks a client of TDS 7.1 or older.
var errOldVersion = errors.New("tds: the client's TDS version is older than 7.2")

const (
	login7Fixed = 94
	// option flags that matter here
	flag2Integrated = 0x80
	flag3Extension  = 0x10
	typeReadOnly    = 0x20
)

// parseLogin7 reads a LOGIN7 message. With errOldVersion the returned login
// holds the version only.
func parseLogin7(data []byte) (*Login, error) {
	if len(data) < 8 {
		return nil, errShort
	}
	if n := le.Uint32(data); int64(n) != int64(len(data)) {
		return nil, fmt.Errorf("tds: LOGIN7 says that it has %d bytes and has %d", n, len(data))
	}
	l := &Login{TDSVersion: le.Uint32(data[4:])}
	if major := l.TDSVersion >> 24; major != 0x08 && (major < 0x72 || major > 0x74) {
		if major == 0x70 || major == 0x71 {
			return l, errOldVersion
		}
		return nil, fmt.Errorf("tds: unknown TDS version 0x%08x", l.TDSVersion)
	}
	if len(data) < login7Fixed {
		return nil, errShort
	}
	l.PacketSize = clampPacketSize(int(le.Uint32(data[8:])))
	l.Integrated = data[25]&flag2Integrated != 0
	l.ReadOnly = data[26]&typeReadOnly != 0

	var err error
	at := func(pos int) []byte {
		off, n := int(le.Uint16(data[pos:])), 2*int(le.Uint16(data[pos+2:]))
		if n == 0 {
			return nil // clients write any offset for nothing
		}
		if off < login7Fixed-8 || off+n > len(data) {
			err = fmt.Errorf("tds: LOGIN7 field at %d lies outside the message", pos)
			return nil
		}
		return data[off : off+n]
	}
	l.HostName = decodeUTF16(at(36))
	l.User = decodeUTF16(at(40))
	l.Password = decodeUTF16(unmaskPassword(at(44)))
	l.AppName = decodeUTF16(at(48))
	l.ServerName = decodeUTF16(at(52))
	l.Library = decodeUTF16(at(60))
	l.Language = decodeUTF16(at(64))
	l.Database = decodeUTF16(at(68))
	if err != nil {
		return nil, err
	}
	if data[27]&flag3Extension != 0 {
		if l.Features, err = parseFeatures(data); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// clampPacketSize makes a legal packet size of what a client asked for.
func clampPacketSize(n int) int {
	if n <= 0 {
		return startSize
	}
	return min(max(n, minPacketSize), maxPacketSize)
}

// unmaskPassword undoes the masking, on a copy.
func unmaskPassword(b []byte) []byte {
	p := make([]byte, len(b))
	for i, x := range b {
		x ^= 0xA5
		p[i] = x<<4 | x>>4
	}
	return p
}

// parseFeatures follows the extension field to the FeatureExt block.
func parseFeatures(data []byte) (map[byte][]byte, error) {
	off := int(le.Uint16(data[56:]))
	if off+4 > len(data) {
		return nil, errors.New("tds: LOGIN7 extension lies outside the message")
	}
	start := le.Uint32(data[off:])
	if int64(start) >= int64(len(data)) {
		return nil, errors.New("tds: FeatureExt lies outside the message")
	}
	c := cursor{p: data[start:]}
	features := map[byte][]byte{}
	for {
		id := c.u8()
		if c.err == nil && id == 0xFF {
			return features, nil
		}
		n := c.u32()
		if c.err != nil || int64(n) > int64(len(c.p)) {
			return nil, errors.New("tds: FeatureExt is truncated")
		}
		features[id] = c.take(int(n))
	}
}

const featureUTF8 = 0x0A

// appendLoginAck writes LOGINACK; the version travels big-endian here.
func appendLoginAck(p []byte, tdsVersion uint32, version serverVersion) []byte {
	start := len(p)
	p = append(p, tokenLoginAck, 0, 0, 1) // interface 1: T-SQL
	p = append(p, byte(tdsVersion>>24), byte(tdsVersion>>16), byte(tdsVersion>>8), byte(tdsVersion))
	p = appendBVarChar(p, "Microsoft SQL Server")
	p = append(p, version.major, version.minor, byte(version.build>>8), byte(version.build))
	return sized(p, start)
}

// appendLoginResponse writes everything that tells a client that it is logged in.
func appendLoginResponse(p []byte, l *Login, cfg *Config, version serverVersion) []byte {
	database, language := l.Database, l.Language
	if database == "" {
		database = "master"
	}
	if language == "" {
		language = "us_english"
	}
	p = appendEnvStrings(p, envDatabase, database, "master")
	p = appendMessage(p, tokenInfo, &Error{Number: 5701, State: 2,
		Message: "Changed database context to '" + database + "'.", Line: 1}, cfg.ServerName, false)
	p = appendEnvCollation(p)
	p = appendEnvStrings(p, envLanguage, language, "")
	p = appendMessage(p, tokenInfo, &Error{Number: 5703, State: 1,
		Message: "Changed language setting to " + language + ".", Line: 1}, cfg.ServerName, false)
	p = appendLoginAck(p, l.TDSVersion, version)
	p = appendEnvStrings(p, envPacketSize, fmt.Sprint(l.PacketSize), fmt.Sprint(startSize))
	// Only what was asked may be acknowledged, and session recovery (1) never: we
	// could not recover one.
	if _, asked := l.Features[featureUTF8]; asked {
		p = append(p, tokenFeatureExtAck, featureUTF8, 1, 0, 0, 0, 1, 0xFF)
	}
	return appendDone(p, tokenDone, 0, CmdNone, 0)
}

// appendTooOld tells a client of TDS 7.1 or older, in its own dialect, why not.
func appendTooOld(p []byte, server string) []byte {
	p = appendMessage(p, tokenError, &Error{Number: 18456, Class: 14, State: 1,
		Message: "This server speaks TDS 7.2 and newer. Tell the client to use TDS 7.4."}, server, true)
	p = append(p, tokenDone, byte(doneError), 0, 0, 0)
	return append(p, 0, 0, 0, 0)
}
