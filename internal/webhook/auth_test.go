package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/internal/config"
)

func makeCert(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true,
	}
	if parent == nil {
		parent, parentKey = tmpl, key
	} else {
		u, err := url.Parse("spiffe://x/" + name)
		if err != nil {
			t.Fatal(err)
		}
		tmpl.DNSNames, tmpl.URIs = []string{name, "*"}, []*url.URL{u}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// writePEM puts a self-signed pair and the client CA where a web file names them.
func writePEM(t *testing.T, dir string, ca *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem":  {Type: "CERTIFICATE", Bytes: ca.Raw},
		"key.pem": {Type: "EC PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	ca, key := makeCert(t, "ca", nil, nil)
	leaf, _ := makeCert(t, "ops.example", ca, key)
	otherCA, otherKey := makeCert(t, "other", nil, nil)
	stranger, _ := makeCert(t, "ops.example", otherCA, otherKey)
	writePEM(t, dir, ca, key)
	file := filepath.Join(dir, "web.yml")
	write := func(clientAuth, clientCA string) {
		t.Helper()
		text := "tls_server_config: {cert_file: ca.pem, key_file: key.pem, client_auth_type: " + clientAuth + clientCA + "}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const withCA = ", client_ca_file: ca.pem"
	request := func(chain ...*x509.Certificate) (Identity, bool) {
		t.Helper()
		a, err := NewAuth(file)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: chain[:1]}
		if len(chain) > 1 {
			r.TLS.VerifiedChains = [][]*x509.Certificate{chain}
		}
		return a.Identify(r)
	}
	write("RequireAndVerifyClientCert", withCA)
	id, ok := request(leaf, ca)
	if !ok || id.Name != "ops.example" || !id.Is("spiffe://x/ops.example") || id.Is("*") {
		t.Errorf("%+v %v", id, ok)
	}
	if !id.Has(Operator, config.Roles{Operator: []string{"spiffe://x/ops.example"}}) {
		t.Error("no role by the second SAN")
	}
	if id.Has(Operator, config.Roles{Operator: []string{"ca"}}) {
		t.Error("the issuer's name is no identity")
	}
	if id, ok := request(stranger, otherCA); ok {
		t.Errorf("of another CA: %+v", id)
	}
	if id, ok := request(leaf); ok {
		t.Errorf("not verified: %+v", id)
	}
	a, err := NewAuth(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Demands(); err != nil {
		t.Error(err)
	}
	// Without a CA of our own, TLS would verify against the system's roots.
	write("RequireAndVerifyClientCert", "")
	if a.Demands() == nil {
		t.Error("system roots count as authentication")
	}
	if id, ok := request(leaf, ca); ok {
		t.Errorf("without a CA: %+v", id)
	}
	write("RequireAnyClientCert", withCA)
	if id, ok := request(leaf, ca); ok || a.Demands() == nil {
		t.Errorf("unverified certificates: %+v", id)
	}
	write("VerifyClientCertIfGiven", withCA)
	if a.Demands() == nil {
		t.Error("an optional certificate counts as demanded")
	}
	if _, ok := request(leaf, ca); !ok {
		t.Error("an optional certificate, given, is nobody")
	}
}

func TestIdentityComesFromTheSnapshot(t *testing.T) {
	w := newWorld(t, "execute")
	if rec := w.do("POST", "/api/v1/dags/erp/hold", "ops", "{}"); rec.Code != 200 {
		t.Fatal(rec.Code)
	}
	// Somebody empties the file: the toolkit lets everybody in, we do not.
	if err := os.WriteFile(w.webFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if rec := w.do("POST", "/api/v1/dags/erp/hold", "", "{}"); rec.Code != 401 {
		t.Errorf("nobody: %d", rec.Code)
	}
	if rec := w.do("POST", "/api/v1/dags/erp/hold", "ops", "{}"); rec.Code != 200 {
		t.Errorf("a hold must always be possible: %d", rec.Code)
	}
	if rec := w.do("POST", "/api/v1/dags/erp/arm", "ops", "{}"); rec.Code != 409 || !strings.Contains(rec.Body.String(), "authentication is gone") {
		t.Errorf("arm: %d %s", rec.Code, rec.Body)
	}
}

func TestDisarmsWhenAuthenticationGoes(t *testing.T) {
	for name, content := range map[string]string{"emptied": "", "broken": "basic_auth_users: [", "users gone": "tls_server_config: {}\n"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "execute")
			if bad := w.watchOnce(0); bad != 0 || w.fleet.dags[0].disarmed != "" {
				t.Fatal("disarmed with the file in order")
			}
			if err := os.WriteFile(w.webFile, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			bad := w.watchOnce(0)
			if w.fleet.dags[0].disarmed != "" {
				t.Error("disarmed at the first bad look: an editor may be writing")
			}
			if bad = w.watchOnce(bad); w.fleet.dags[0].disarmed == "" || w.fleet.dags[1].disarmed == "" {
				t.Error("not disarmed")
			}
			writeUsers(t, w.webFile)
			if w.watchOnce(bad); w.authGone.Load() {
				t.Error("still gone with the file back")
			}
			if rec := w.do("POST", "/api/v1/dags/erp/arm", "ops", "{}"); rec.Code != 200 {
				t.Errorf("arm afterwards: %d %s", rec.Code, rec.Body)
			}
		})
	}
	w := newWorld(t, "dry_run")
	if err := os.Remove(w.webFile); err != nil {
		t.Fatal(err)
	}
	if w.watchOnce(w.watchOnce(0)); w.fleet.dags[0].disarmed != "" {
		t.Error("a dry run was disarmed")
	}
}

func TestPasswordCache(t *testing.T) {
	w := newWorld(t, "dry_run")
	a := w.o.Auth
	a.mu.Lock()
	s := a.snap
	a.mu.Unlock()
	if !a.verify(s, "ops", "ops-pw") || len(a.verified) != 1 {
		t.Fatal("not remembered")
	}
	// A hash that was remembered is not compared again: spoil it and see.
	for name := range a.verified {
		if strings.Contains(string(name[:]), "ops-pw") {
			t.Error("the cache holds the password")
		}
	}
	for _, wrong := range [][2]string{{"ops", "ops-pw "}, {"ops", ""}, {"lead", "ops-pw"}, {"ghost", "ops-pw"}, {"", ""}} {
		if a.verify(s, wrong[0], wrong[1]) {
			t.Errorf("%q is let in", wrong)
		}
	}
	if cost, err := bcrypt.Cost([]byte(a.decoy)); err != nil || cost != bcrypt.DefaultCost {
		t.Errorf("an unknown user costs nothing: %d %v", cost, err)
	}
	a.decoy = hashes()["ops"] // even who knows the word is nobody
	if a.verify(s, "ghost", "ops-pw") {
		t.Error("an unknown user is let in")
	}
	if len(a.verified) != 1 {
		t.Error("a failure was remembered")
	}
	a.bcryptMu.Lock() // a second comparison would wait here for ever
	if !a.verify(s, "ops", "ops-pw") {
		t.Error("forgotten")
	}
	a.bcryptMu.Unlock()
	if err := a.Reload(); err != nil || len(a.verified) != 0 {
		t.Errorf("remembered across a reload: %v", err)
	}
}
