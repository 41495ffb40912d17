package sqlserver

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/microsoft/go-mssqldb/msdsn"
)

// target is one parsed DSN: where to connect and under which name errors speak
// of it.
type target struct {
	dsn     string // as given; compared to see a change, never printed
	label   string // host:port or host\instance
	cfg     msdsn.Config
	entra   string   // the DSN for Entra ID's connector, with what is forced; "" without fedauth
	secrets []string // what must never appear in a text
}

// parseDSN reads a go-mssqldb connection string and forces what the product
// relies on: database master, no silent retry of a statement, no read-only
// routing. No error of it repeats any part of the DSN but the host.
func parseDSN(dsn, appName string, dialTimeout time.Duration) (target, error) {
	if strings.HasPrefix(dsn, "sqlserver://") {
		if err := checkURL(dsn); err != nil {
			return target{}, err
		}
	}
	cfg, err := msdsn.Parse(dsn)
	if err != nil {
		if err := checkCertificate(dsn); err != nil {
			return target{}, err
		}
		// The parser's own text may hold values; none of them is worth the
		// risk of printing a secret that slipped out of its place.
		return target{}, errors.New("the DSN cannot be parsed: write sqlserver://user:password@host:1433?encrypt=strict, and special characters of the password as %XX")
	}
	t := target{dsn: dsn, label: label(cfg), cfg: cfg}
	secrets := []string{cfg.Password, cfg.ChangePassword, dsn}
	for _, key := range secretParameters {
		secrets = append(secrets, cfg.Parameters[key])
	}
	for _, s := range secrets {
		if s != "" {
			t.secrets = append(t.secrets, s)
			if esc := url.QueryEscape(s); esc != s {
				t.secrets = append(t.secrets, esc)
			}
			if esc := url.PathEscape(s); esc != s {
				t.secrets = append(t.secrets, esc)
			}
		}
	}
	if _, ok := cfg.Parameters[msdsn.Encrypt]; !ok {
		return target{}, fmt.Errorf("the DSN of %s does not say encrypt: write encrypt=strict, encrypt=true or, knowingly, encrypt=disable", t.label)
	}
	if cfg.ReadOnlyIntent {
		return target{}, fmt.Errorf("the DSN of %s says applicationintent=ReadOnly, which routes to a secondary: leave it out", t.label)
	}
	if cfg.FailOverPartner != "" {
		return target{}, fmt.Errorf("the DSN of %s names a failover partner: list the instances of the side instead", t.label)
	}
	t.cfg.Database = "master"
	t.cfg.DisableRetry = true
	t.cfg.LogFlags = 0
	t.cfg.Encoding.Timezone = time.UTC // server-local times are compared raw
	t.cfg.ConnTimeout = 0              // contexts bound everything
	t.cfg.DialTimeout = dialTimeout
	if appName != "" {
		t.cfg.AppName = appName
	}
	if err := t.fedauth(dsn); err != nil {
		return target{}, err
	}
	if t.entra != "" {
		t.secrets = append(t.secrets, t.entra)
	}
	return t, nil
}

// checkURL refuses the shapes in which a password that was not escaped slides
// into a place that is printed.
func checkURL(dsn string) error {
	u, err := url.Parse(dsn)
	switch {
	case err != nil:
		return errors.New("the DSN is not a URL: write special characters of the password as %XX")
	case u.Fragment != "" || strings.Contains(dsn, "#"):
		return errors.New("the DSN holds a #: write it as %23")
	case strings.Contains(u.Path, "@"):
		return errors.New("the DSN holds a / before its @: write it as %2F")
	case u.Hostname() == "":
		return errors.New("the DSN names no host: write sqlserver://user:password@host:1433?encrypt=strict")
	}
	for k := range u.Query() {
		if strings.Contains(k, "@") {
			return errors.New("the DSN holds a ? before its @: write it as %3F")
		}
	}
	return nil
}

// checkCertificate says which certificate file of a DSN that did not parse is
// no certificate: the parser reads the files, too. It is nil if they are not
// to blame.
func checkCertificate(dsn string) error {
	_, query, _ := strings.Cut(dsn, "?") // of a URL: in key=value;… no place is sure to be a path
	values, _ := url.ParseQuery(query)   // what can be read of it
	for key, values := range values {
		file := values[0]
		if key = strings.ToLower(strings.TrimSpace(key)); key != msdsn.Certificate && key != msdsn.ServerCertificate || file == "" {
			continue
		}
		if strings.Contains(file, "@") { // a password may have slid in here
			file = "(not shown, since it may hold a secret)"
		}
		data, err := os.ReadFile(values[0])
		if err != nil {
			if pe := (*os.PathError)(nil); errors.As(err, &pe) {
				err = pe.Err
			}
			return fmt.Errorf("certificate %s cannot be read: %w", file, err)
		}
		switch strings.ToLower(filepath.Ext(values[0])) {
		case ".pem":
			if block, _ := pem.Decode(data); block == nil || block.Type != "CERTIFICATE" {
				return fmt.Errorf("certificate %s holds no PEM: it begins with -----BEGIN CERTIFICATE-----", file)
			}
		case ".cer", ".der":
			if _, err := x509.ParseCertificate(data); err != nil {
				return fmt.Errorf("certificate %s is no DER: name a PEM file .pem", file)
			}
		default:
			return fmt.Errorf("certificate %s must be named .pem (PEM), .cer or .der (DER): the driver goes by the name", file)
		}
	}
	return nil
}

func label(cfg msdsn.Config) string {
	if cfg.Instance != "" && cfg.Port == 0 {
		return cfg.Host + `\` + cfg.Instance
	}
	port := cfg.Port
	if port == 0 {
		port = 1433
	}
	return net.JoinHostPort(cfg.Host, strconv.FormatUint(port, 10))
}

// verifies reports that a server which cannot prove its name is refused.
func (t target) verifies() bool {
	return !t.cfg.TrustServerCertificate && t.cfg.Encryption != msdsn.EncryptionDisabled
}

// redact takes every secret of the target out of a text.
func (t target) redact(text string) string {
	for _, s := range t.secrets {
		if len(s) >= 3 {
			text = strings.ReplaceAll(text, s, "<secret>")
		}
	}
	return text
}

func parseDSNs(dsns []string, appName string, dialTimeout time.Duration) ([]target, error) {
	if len(dsns) == 0 {
		return nil, errors.New("no instance is configured")
	}
	out := make([]target, 0, len(dsns))
	for _, dsn := range dsns {
		t, err := parseDSN(dsn, appName, dialTimeout)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o target) bool { return strings.EqualFold(o.label, t.label) }) {
			return nil, fmt.Errorf("%s is listed twice: list each instance once", t.label)
		}
		out = append(out, t)
	}
	return out, nil
}
