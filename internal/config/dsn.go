package config

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const dsnShape = "sqlserver://user:password@host:1433?encrypt=strict"

// DSNs are the side's connection strings, ready for the driver. A dsn_file is
// read again each time, so that a rotated password is picked up without a
// reload. No error holds the text of a DSN.
func (s Side) DSNs() ([]string, error) {
	if s.DSNFile == "" {
		out := make([]string, len(s.Instances))
		for i, dsn := range s.Instances {
			out[i] = dsn.Reveal()
		}
		if len(out) == 0 {
			return nil, errors.New("no instance is configured")
		}
		return out, nil
	}
	entries, err := readDSNFile(s.DSNFile)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		if e.problem != "" {
			return nil, fmt.Errorf("%s:%d: %s", s.DSNFile, e.line, e.problem)
		}
		out[i] = e.dsn
	}
	return out, nil
}

// InstanceName is a DSN's server without credentials: host:1433 or
// host\instance, host in lower case. It is "" when the DSN does not parse.
func InstanceName(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "sqlserver" {
		return ""
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if instance := strings.Trim(u.Path, "/"); instance != "" && u.Port() == "" {
		return host + `\` + strings.ToLower(instance)
	}
	port := u.Port()
	if port == "" {
		port = "1433"
	}
	return net.JoinHostPort(host, port)
}

// instanceKey is InstanceName with the spellings of this machine made one.
func instanceKey(dsn string) string {
	name := InstanceName(dsn)
	for _, loop := range []string{"127.0.0.1", "[::1]", "(local)", "."} {
		if rest, ok := strings.CutPrefix(name, loop); ok && rest != "" && (rest[0] == ':' || rest[0] == '\\') {
			return "localhost" + rest
		}
	}
	return name
}

// checkDSN says what is wrong with a DSN, and the remedy, or "". It never
// repeats any part of it but the host.
func checkDSN(dsn string) string {
	if dsn == "" {
		return "the DSN is empty: write " + dsnShape
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "not a URL (not shown, it may hold a password): write " + dsnShape + " and percent-encode special characters of user and password"
	}
	if u.Scheme != "sqlserver" {
		return "a DSN must be a URL of the form " + dsnShape
	}
	if u.Hostname() == "" {
		return "the DSN names no host: write " + dsnShape
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "the DSN's port is not between 1 and 65535"
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "the part after ? is not key=value&key=value: percent-encode special characters"
	}
	values := map[string]string{}
	for k, v := range query {
		lk := strings.ToLower(strings.TrimSpace(k))
		if _, twice := values[lk]; twice || len(v) > 1 {
			return fmt.Sprintf("the DSN gives a key twice (%s): keys ignore case, keep one", safeKey(lk))
		}
		values[lk] = v[0]
	}
	encrypt, ok := values["encrypt"]
	if !ok || encrypt == "" {
		return fmt.Sprintf("the DSN of %s does not say encrypt: add encrypt=strict, encrypt=true, or, knowing what it means, encrypt=disable", InstanceName(dsn))
	}
	switch strings.ToLower(encrypt) {
	case "strict", "mandatory", "yes", "1", "t", "true", "optional", "no", "0", "f", "false", "disable":
	default:
		return fmt.Sprintf("encrypt of %s must be strict, true, false or disable", InstanceName(dsn))
	}
	// Both lead to another instance than the one that is meant.
	if v, ok := values["applicationintent"]; ok && !strings.EqualFold(v, "ReadWrite") {
		return fmt.Sprintf("the DSN of %s asks for another instance by ApplicationIntent: take it out, a reading needs the one that is named", InstanceName(dsn))
	}
	if _, ok := values["failoverpartner"]; ok {
		return fmt.Sprintf("the DSN of %s names a failover partner: list the instances of the side instead", InstanceName(dsn))
	}
	return ""
}

// expand replaces ${NAME} in every DSN of a side and makes a relative dsn_file
// relative to the configuration file.
func (p *parser) expand(s *Side, base, where string) {
	for i, dsn := range s.Instances {
		text, err := expandEnv(dsn.Reveal(), ", or use dsn_file")
		if err != nil {
			p.at(fmt.Sprintf("%s.instances[%d]", where, i), "%v", err)
		}
		s.Instances[i] = Secret(text)
	}
	if s.DSNFile != "" && !filepath.IsAbs(s.DSNFile) {
		s.DSNFile = filepath.Join(base, s.DSNFile)
	}
}

var envRE = regexp.MustCompile(`\$\{([^}]*)\}`)
var envNameRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expandEnv replaces ${NAME}. A variable that is the whole DSN is taken as it
// is; one that stands in the user, the password or a query value is
// percent-encoded, so that a password may hold any character.
//
// instead is the other way out, told beside a variable that is not set.
func expandEnv(dsn, instead string) (string, error) {
	userEnd := strings.LastIndexByte(dsn, '@')
	queryStart := strings.IndexByte(dsn, '?')
	var b strings.Builder
	var bad []string
	at := 0
	for _, m := range envRE.FindAllStringSubmatchIndex(dsn, -1) {
		b.WriteString(dsn[at:m[0]])
		at = m[1]
		name := dsn[m[2]:m[3]]
		value, ok := os.LookupEnv(name)
		switch {
		case !envNameRE.MatchString(name):
			bad = append(bad, "a ${…} does not hold the name of an environment variable")
		case !ok:
			bad = append(bad, fmt.Sprintf("the environment variable %s is not set: set it for this process%s", name, instead))
		case m[0] < userEnd || (queryStart >= 0 && m[0] > queryStart):
			b.WriteString(percentEncode(value))
		default:
			b.WriteString(value)
		}
	}
	b.WriteString(dsn[at:])
	if bad != nil {
		return dsn, errors.New(strings.Join(bad, "; "))
	}
	return b.String(), nil
}

func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// fileDSN is one line of a dsn_file.
type fileDSN struct {
	line    int
	dsn     string
	problem string
}

// readDSNFile reads one DSN a line; empty lines and lines that begin with #
// are left out.
func readDSNFile(path string) ([]fileDSN, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("dsn_file %s cannot be read: %s", path, reason(err))
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("dsn_file %s is not plain text: save it as UTF-8 (Notepad's Unicode and PowerShell's > are UTF-16)", path)
	}
	var out []fileDSN
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e := fileDSN{line: i + 1}
		if e.dsn, err = expandEnv(line, ""); err != nil {
			e.problem = err.Error()
		} else {
			e.problem = checkDSN(e.dsn)
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("dsn_file %s holds no DSN: write one a line, %s", path, dsnShape)
	}
	return out, nil
}
