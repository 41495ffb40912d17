package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/dag-exporter/dag_exporter/internal/runner"
)

func writeKeyPair(t *testing.T, dir, name string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: cert.Raw},
		name + ".key": {Type: "EC PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMutualTLS: the roles of client certificates through a listener as the
// binary opens it, over real handshakes.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	ca, caKey := makeCert(t, "ca", nil, nil)
	server, serverKey := makeCert(t, "webhook.example", ca, caKey)
	writeKeyPair(t, dir, "ca", ca, caKey)
	writeKeyPair(t, dir, "server", server, serverKey)
	file := filepath.Join(dir, "web.yml")
	text := "tls_server_config: {cert_file: server.pem, key_file: server.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	auth, err := NewAuth(file)
	if err != nil {
		t.Fatal(err)
	}
	fleet := &fakeFleet{dags: []*fakeDAG{newFake("erp", runner.ModeExecute), newFake("crm", runner.ModeDryRun)}, counted: map[runner.AlertResult]int{}}
	h, err := New(Options{Config: parse(t, "execute"), Fleet: fleet, Auth: auth, Gatherer: prometheus.NewRegistry(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	h.SetReady()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = web.Serve(ln, srv, &web.FlagConfig{WebConfigFile: &file}, quiet) // ends with Shutdown
	}()
	defer func() {
		_ = srv.Shutdown(context.WithoutCancel(t.Context()))
		<-served
	}()

	roots := x509.NewCertPool()
	roots.AddCert(ca)
	// ask gives the status, or 0 where the handshake was refused.
	ask := func(cert *x509.Certificate, key *ecdsa.PrivateKey, method, path, body string) int {
		t.Helper()
		cfg := &tls.Config{RootCAs: roots, ServerName: "webhook.example", MinVersion: tls.VersionTLS12}
		if cert != nil {
			cfg.Certificates = []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}, Timeout: 30 * time.Second}
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+ln.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return 0
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	otherCA, otherKey := makeCert(t, "other", nil, nil)
	firing := notification("4", 0, alert("firing", "DAGConverged", "erp", "prod"))
	for _, c := range []struct {
		name   string
		issuer *x509.Certificate
		key    *ecdsa.PrivateKey
		arm    int
		alerts int
		look   int
	}{
		{"ops.example", ca, caKey, 200, 403, 200},
		{"am.example", ca, caKey, 403, 200, 403},
		{"guest.example", ca, caKey, 403, 403, 403},
		{"ops.example", otherCA, otherKey, 0, 0, 0}, // the right name, of somebody else's CA
	} {
		cert, key := makeCert(t, c.name, c.issuer, c.key)
		if got := ask(cert, key, "POST", "/api/v1/dags/erp/arm", "{}"); got != c.arm {
			t.Errorf("%s of %s arms: %d, want %d", c.name, c.issuer.Subject.CommonName, got, c.arm)
		}
		if got := ask(cert, key, "POST", "/api/v1/alerts", firing); got != c.alerts {
			t.Errorf("%s of %s delivers: %d, want %d", c.name, c.issuer.Subject.CommonName, got, c.alerts)
		}
		if got := ask(cert, key, "GET", "/api/v1/dags/erp", ""); got != c.look {
			t.Errorf("%s of %s looks: %d, want %d", c.name, c.issuer.Subject.CommonName, got, c.look)
		}
	}
	if got := ask(nil, nil, "GET", "/api/v1/dags/erp", ""); got != 0 {
		t.Errorf("without a certificate: %d", got)
	}
	if got := fleet.dags[0].took(); got != "arm ops.example" {
		t.Errorf("asked for %q", got)
	}
}
