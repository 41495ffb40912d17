package sqlserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A certificate that is not there is named, instead of blaming the DSN.
func TestParseDSNNamesTheCertificate(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone, noPEM, noDER, noType := filepath.Join(dir, "gone.pem"), file("no.pem", "x"), file("no.der", "x"), file("ca.crt", "x")
	for _, c := range []struct{ query, want string }{
		{"encrypt=true&certificate=" + gone, "certificate " + gone + " cannot be read: no such file or directory"},
		{"encrypt=strict&Certificate=" + gone, "certificate " + gone + " cannot be read: no such file or directory"},
		{"encrypt=true&serverCertificate=" + gone, "certificate " + gone + " cannot be read: no such file or directory"},
		{"encrypt=true&certificate=" + dir, "certificate " + dir + " cannot be read: is a directory"},
		{"encrypt=true&serverCertificate=" + noPEM, "certificate " + noPEM + " holds no PEM: it begins with -----BEGIN CERTIFICATE-----"},
		{"encrypt=true&certificate=" + noDER, "certificate " + noDER + " is no DER: name a PEM file .pem"},
		{"encrypt=true&certificate=" + noType, "certificate " + noType + " must be named .pem (PEM), .cer or .der (DER): the driver goes by the name"},
		{"encrypt=true&certificate=" + secret + "@sql1", "certificate (not shown, since it may hold a secret) cannot be read: no such file or directory"},
	} {
		_, err := parseDSN("sqlserver://sa:"+secret+"@sql1?"+c.query, "", time.Second)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.query, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the secret is in %v", c.query, err)
		}
	}
}
