package sqlserver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/microsoft/go-mssqldb/integratedauth"
	"github.com/microsoft/go-mssqldb/msdsn"
)

// All ways in that the documentation lists are accepted, and each DSN's
// connector has what is forced upon every one.
func TestWaysToLogIn(t *testing.T) {
	for name, dsn := range map[string]string{
		"SQL login":                    "sqlserver://monitor:" + secret + "@sql1:1500?encrypt=strict",
		"Kerberos, keytab":             "sqlserver://monitor@sql1:1500?encrypt=true&authenticator=krb5&krb5-realm=EXAMPLE.COM&krb5-keytabfile=/etc/dag/monitor.keytab&krb5-configfile=/etc/krb5.conf",
		"Kerberos, password":           "sqlserver://monitor:" + secret + "@sql1:1500?encrypt=true&authenticator=krb5&krb5-realm=EXAMPLE.COM",
		"Kerberos, cache":              "sqlserver://sql1:1500?encrypt=true&authenticator=krb5&krb5-credcachefile=/run/dag/cc&serverspn=MSSQLSvc/sql1:1500",
		"Entra, managed identity":      "sqlserver://sql1:1500?encrypt=strict&fedauth=ActiveDirectoryManagedIdentity",
		"Entra, one managed identity":  "sqlserver://11111111-2222-3333-4444-555555555555@sql1:1500?encrypt=strict&fedauth=ActiveDirectoryManagedIdentity",
		"Entra, service principal":     "sqlserver://app%40tenant:" + secret + "@sql1:1500?encrypt=strict&fedauth=ActiveDirectoryServicePrincipal",
		"Entra, certificate":           "sqlserver://app%40tenant:" + secret + "@sql1:1500?encrypt=strict&fedauth=ActiveDirectoryServicePrincipal&clientcertpath=/etc/dag/app.pem",
		"Entra, workload identity":     "sqlserver://app%40tenant@sql1:1500?encrypt=strict&fedauth=ActiveDirectoryWorkloadIdentity&tokenfilepath=/var/run/token",
		"Entra, default":               "sqlserver://sql1:1500?encrypt=strict&fedauth=activedirectorydefault",
		"Entra, password":              "sqlserver://me%40example.com:" + secret + "@sql1:1500?encrypt=strict&fedauth=ActiveDirectoryPassword&applicationclientid=abc",
		"Entra, client assertion":      "sqlserver://app%40tenant@sql1:1500?encrypt=strict&fedauth=ActiveDirectoryClientAssertion&clientassertion=" + secret,
		"Entra, on behalf of somebody": "sqlserver://app%40tenant:x" + secret + "@sql1:1500?encrypt=strict&fedauth=ActiveDirectoryOnBehalfOf&userassertion=" + secret,
	} {
		tg, err := parseDSN(dsn+"&database=tempdb&Connection+Timeout=99&LOG=255&app+name=other", "dag_exporter", 7*time.Second)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := tg.connector(); err != nil {
			t.Errorf("%s: no connector: %v", name, err)
		}
		if entra := strings.Contains(strings.ToLower(dsn), "fedauth"); entra != (tg.entra != "") {
			t.Errorf("%s: Entra ID: %v", name, tg.entra != "")
		} else if entra {
			cfg, err := msdsn.Parse(tg.entra)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, field := range []string{"Host", "Port", "Instance", "User", "Password", "Database", "AppName", "DisableRetry", "ConnTimeout", "DialTimeout", "LogFlags", "Encryption", "TrustServerCertificate", "ReadOnlyIntent", "ServerSPN"} {
				got, want := reflect.ValueOf(cfg).FieldByName(field).Interface(), reflect.ValueOf(tg.cfg).FieldByName(field).Interface()
				if got != want {
					t.Errorf("%s: %s is %v in Entra ID's DSN, want %v", name, field, got, want)
				}
			}
			if cfg.Encoding.GetTimezone() != time.UTC {
				t.Errorf("%s: times are read in %v", name, cfg.Encoding.GetTimezone())
			}
		}
		if !strings.Contains(dsn, secret) {
			continue
		}
		for _, text := range []string{tg.redact("it says " + secret), tg.redact(dsn), tg.redact(tg.entra), tg.label} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: the secret is in %q", name, text)
			}
		}
	}
}

func TestWaysThatAreRefused(t *testing.T) {
	for why, dsn := range map[string]string{
		"wants a person to sign in":  "sqlserver://sql1?encrypt=strict&fedauth=ActiveDirectoryInteractive&applicationclientid=" + secret,
		"wants a person to sign in:": "sqlserver://sql1?encrypt=strict&fedauth=activedirectorydevicecode",
		"none that the driver knows": "sqlserver://sql1?encrypt=strict&fedauth=" + secret,
		"applicationclientid":        "sqlserver://me:" + secret + "@sql1?encrypt=strict&fedauth=ActiveDirectoryPassword",
		"Must provide 'password'":    "sqlserver://app@sql1?encrypt=strict&fedauth=ActiveDirectoryServicePrincipal",
		"write it as a URL":          "server=sql1;encrypt=true;user id=app;password=" + secret + ";fedauth=ActiveDirectoryServicePrincipal",
	} {
		_, err := parseDSN(dsn, "dag_exporter", time.Second)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the secret is in %q", why, err)
		}
	}
}

// Kerberos is compiled in, and what is missing for it is said without the
// password; a KDC that nobody runs delays nobody beyond the deadline.
func TestKerberosIsCompiledIn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "krb5.conf")
	kdc, err := net.ListenPacket("udp", "127.0.0.1:0") // hears, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kdc.Close() })
	conf := "[libdefaults]\n default_realm = EXAMPLE.COM\n dns_lookup_kdc = false\n udp_preference_limit = 1\n[realms]\n EXAMPLE.COM = {\n  kdc = " + kdc.LocalAddr().String() + "\n }\n"
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	dsn := "sqlserver://monitor:" + secret + "@127.0.0.1:1?encrypt=true&authenticator=krb5&krb5-dnslookupkdc=false&krb5-configfile="
	good, err := parseDSN(dsn+file, "", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := integratedauth.GetIntegratedAuthenticator(good.cfg)
	if err != nil || auth == nil {
		t.Fatalf("%v, %v", auth, err)
	}
	without, err := parseDSN(dsn+filepath.Join(dir, "gone.conf"), "", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := integratedauth.GetIntegratedAuthenticator(without.cfg); err == nil {
		t.Error("no error without krb5.conf")
	} else if text := (&Error{}).aboutConnect(err, &without).Error(); strings.Contains(text, secret) || !strings.Contains(text, "krb5") {
		t.Errorf("%q", text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := connect(ctx, good); err == nil {
		t.Error("connected to nobody")
	}
}
