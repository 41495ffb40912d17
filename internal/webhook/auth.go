package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/internal/config"
)

// Role is a permission of the configuration's webhook.roles.
type Role string

// Roles. Operator and approver include viewer.
const (
	Receiver Role = "receiver" // deliver alerts
	Viewer   Role = "viewer"   // look
	Operator Role = "operator" // arm, disarm, run, drill, hold, release, rollback, acknowledge, reload
	Approver Role = "approver" // approve a plan
)

// Identity is who sent a request.
type Identity struct {
	// Name is what is journalled: the Basic user, else the certificate's first SAN.
	Name string
	// All holds every name that the request proved.
	All []string
	// anonymous: there is no web config file and nothing can be executed.
	anonymous bool
}

// Is reports whether name is one of the identity's.
func (id Identity) Is(name string) bool { return slices.Contains(id.All, name) }

// Has reports whether the configuration gives the identity a role.
func (id Identity) Has(role Role, roles config.Roles) bool {
	if id.anonymous {
		return true
	}
	in := func(names []string) bool {
		return len(id.All) > 0 && (slices.Contains(names, "*") || slices.ContainsFunc(id.All, func(n string) bool { return slices.Contains(names, n) }))
	}
	switch role {
	case Receiver:
		return in(roles.Receiver)
	case Operator:
		return in(roles.Operator)
	case Approver:
		return in(roles.Approver)
	case Viewer:
		return in(roles.Viewer) || in(roles.Operator) || in(roles.Approver)
	}
	return false
}

// webFile is the part of exporter-toolkit's web config file that says who is
// let in. The toolkit itself checks the file strictly.
type webFile struct {
	Users map[string]string `yaml:"basic_auth_users"`
	TLS   struct {
		Cert         string `yaml:"cert"`
		CertFile     string `yaml:"cert_file"`
		ClientAuth   string `yaml:"client_auth_type"`
		ClientCA     string `yaml:"client_ca"`
		ClientCAFile string `yaml:"client_ca_file"`
	} `yaml:"tls_server_config"`
}

// snapshot is a web config file as it was understood at one moment.
type snapshot struct {
	users map[string]string // bcrypt hashes
	cas   [][]byte          // DER of the client CAs; nil: certificates prove nothing
	force bool              // a verified client certificate is demanded of everybody
	tls   bool              // nothing crosses the network in clear
}

// demands reports that nobody gets in without credentials.
func (s *snapshot) demands() bool { return len(s.users) > 0 || s.force && len(s.cas) > 0 }

func readSnapshot(path string) (*snapshot, error) {
	if err := web.Validate(path); err != nil {
		return nil, fmt.Errorf("web config file %s: %w", path, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f webFile
	if err := yaml.Unmarshal(data, &f); err != nil {
		// The library's text may quote a value.
		return nil, fmt.Errorf("web config file %s is not valid YAML", path)
	}
	s := &snapshot{users: f.Users, tls: f.TLS.Cert != "" || f.TLS.CertFile != ""}
	switch f.TLS.ClientAuth {
	case "RequireAndVerifyClientCert":
		s.force = true
	case "VerifyClientCertIfGiven":
	default:
		return s, nil // certificates are not verified
	}
	// Without a CA of its own, TLS would verify clients against the system's
	// roots: a certificate that anybody can buy is no identity.
	bundle := []byte(f.TLS.ClientCA)
	if f.TLS.ClientCAFile != "" {
		name := f.TLS.ClientCAFile
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		if bundle, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	for len(bundle) > 0 {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			s.cas = append(s.cas, block.Bytes)
		}
	}
	return s, nil
}

// Auth turns a request into an Identity, by the web config file as it was at
// start or at the last Reload.
type Auth struct {
	path string
	key  [32]byte // of the HMAC that names a verified password in the cache
	// decoy is a hash of a random word: an unknown user costs the same time as a
	// wrong password.
	decoy string

	mu       sync.Mutex
	snap     *snapshot
	verified map[[32]byte]struct{}

	bcryptMu sync.Mutex // one at a time: each costs tens of milliseconds of a core
}

// NewAuth reads the web config file. Without a path nobody has to prove who he
// is; execute mode refuses that (see New).
func NewAuth(path string) (*Auth, error) {
	a := &Auth{path: path}
	if _, err := rand.Read(a.key[:]); err != nil {
		return nil, err
	}
	if path == "" {
		return a, nil
	}
	decoy, err := makeDecoy()
	if err != nil {
		return nil, err
	}
	a.decoy = decoy
	return a, a.Reload()
}

// makeDecoy costs a bcrypt, so once for the process.
var makeDecoy = sync.OnceValues(func() (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), bcrypt.DefaultCost)
	return string(hash), err
})

// Reload reads the file again. After an error the old state stands.
func (a *Auth) Reload() error {
	if a.path == "" {
		return nil
	}
	s, err := readSnapshot(a.path)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.snap, a.verified = s, map[[32]byte]struct{}{}
	return nil
}

// Anonymous reports that there is no web config file.
func (a *Auth) Anonymous() bool { return a.path == "" }

// Demands reports whether the file, as it is on disk now, lets nobody in
// without credentials; the reason says why not. The toolkit obeys the file on
// disk, so this is about the outer door.
func (a *Auth) Demands() error {
	if a.path == "" {
		return errors.New("there is no --web.config.file")
	}
	s, err := readSnapshot(a.path)
	if err != nil {
		return err
	}
	if !s.demands() {
		return fmt.Errorf("%s demands neither basic_auth_users nor a verified client certificate (client_auth_type: RequireAndVerifyClientCert with client_ca_file)", a.path)
	}
	return nil
}

// Identify says who sent a request; ok is false for nobody.
func (a *Auth) Identify(r *http.Request) (id Identity, ok bool) {
	if a.path == "" {
		return Identity{Name: "anonymous", All: []string{"anonymous"}, anonymous: true}, true
	}
	a.mu.Lock()
	s := a.snap
	a.mu.Unlock()
	if user, password, given := r.BasicAuth(); given && a.verify(s, user, password) {
		id.All = append(id.All, user)
	}
	id.All = append(id.All, sans(s, r)...)
	if len(id.All) == 0 {
		return Identity{}, false
	}
	id.Name = id.All[0]
	return id, true
}

// sans are the names of a client certificate that TLS verified against a CA of
// the snapshot.
func sans(s *snapshot, r *http.Request) []string {
	if r.TLS == nil {
		return nil
	}
	for _, chain := range r.TLS.VerifiedChains {
		if len(chain) == 0 {
			continue
		}
		anchor := chain[len(chain)-1].Raw
		if slices.ContainsFunc(s.cas, func(ca []byte) bool { return slices.Equal(ca, anchor) }) {
			return names(chain[0])
		}
	}
	return nil
}

func names(leaf *x509.Certificate) []string {
	out := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, u := range leaf.URIs {
		out = append(out, u.String())
	}
	for _, ip := range leaf.IPAddresses {
		out = append(out, ip.String())
	}
	// "*" is the configuration's word for anybody; as a name it would be a key
	// to every role.
	return slices.DeleteFunc(out, func(n string) bool { return n == "" || n == "*" })
}

const maxVerified = 1024

// verify compares a password with the snapshot's hash. A success is remembered
// under an HMAC of all three with a key of this process, so that a heartbeat
// does not cost a bcrypt each time and the cache holds nothing to attack.
func (a *Auth) verify(s *snapshot, user, password string) bool {
	hash, known := s.users[user]
	if !known {
		hash = a.decoy
	}
	mac := hmac.New(sha256.New, a.key[:])
	for _, part := range []string{user, hash, password} {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part) // a hash never fails to write
	}
	var name [32]byte
	copy(name[:], mac.Sum(nil))

	a.mu.Lock()
	_, hit := a.verified[name]
	a.mu.Unlock()
	if hit && known {
		return true
	}
	a.bcryptMu.Lock()
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	a.bcryptMu.Unlock()
	if err != nil || !known {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.verified) >= maxVerified {
		clear(a.verified)
	}
	if a.snap == s { // not across a reload
		a.verified[name] = struct{}{}
	}
	return true
}
