package sqlserver

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/azuread"
	_ "github.com/microsoft/go-mssqldb/integratedauth/krb5" // authenticator=krb5
)

// Besides SQL logins the driver knows Kerberos (authenticator=krb5) and Entra
// ID (fedauth=…). Both are compiled in, and neither has been tried against a
// server here: see docs/config.md.

// attended are the ways of Entra ID that a service cannot go: they open a
// browser, wait for somebody to type a code, or want a token provider that the
// driver does not have.
var attended = []string{azuread.ActiveDirectoryInteractive, azuread.ActiveDirectoryDeviceCode, azuread.ActiveDirectoryIntegrated}

// secretParameters may hold what nobody else may see.
var secretParameters = []string{"password", "change password", "clientassertion", "userassertion", "systemtoken"}

// fedauth checks what the DSN says about Entra ID, and remembers the DSN that
// its connector is made of: the driver's package takes nothing else.
func (t *target) fedauth(dsn string) error {
	how, ok := t.cfg.Parameters["fedauth"]
	if !ok || how == "" {
		return nil
	}
	if slices.ContainsFunc(attended, func(a string) bool { return strings.EqualFold(a, how) }) {
		return fmt.Errorf("the DSN of %s wants a person to sign in: a service needs fedauth=ActiveDirectoryManagedIdentity, ActiveDirectoryWorkloadIdentity, ActiveDirectoryServicePrincipal or ActiveDirectoryDefault", t.label)
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "sqlserver" {
		return fmt.Errorf("the DSN of %s says fedauth: write it as a URL, sqlserver://…?encrypt=strict&fedauth=…", t.label)
	}
	q := u.Query()
	for key := range q {
		switch strings.ToLower(key) {
		case "database", "disableretry", "log", "timezone", "connection timeout", "dial timeout", "app name":
			q.Del(key)
		}
	}
	// What parseDSN forces upon a configuration, as a DSN says it.
	q.Set("database", t.cfg.Database)
	q.Set("disableretry", "true")
	q.Set("timezone", "UTC")
	q.Set("connection timeout", "0")
	q.Set("dial timeout", fmt.Sprint(int(t.cfg.DialTimeout.Seconds())))
	if t.cfg.AppName != "" {
		q.Set("app name", t.cfg.AppName)
	}
	u.RawQuery = q.Encode()
	t.entra = u.String()
	if _, err := azuread.NewConnector(t.entra); err != nil {
		var known bool
		for _, begin := range []string{"Must provide ", "applicationclientid "} {
			known = known || strings.HasPrefix(err.Error(), begin) // no value is in these texts
		}
		if !known {
			err = errors.New("fedauth is none that the driver knows")
		}
		return fmt.Errorf("the DSN of %s: %w", t.label, err)
	}
	return nil
}

// connector makes connections to the target.
func (t *target) connector() (*mssql.Connector, error) {
	if t.entra != "" {
		return azuread.NewConnector(t.entra)
	}
	return mssql.NewConnectorConfig(t.cfg), nil
}
