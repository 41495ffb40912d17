package lab

import (
	"log/slog"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// Names that tests want without importing the model.
const (
	Source = model.Source
	Target = model.Target
)

// Side is a half of the pair.
type Side = model.Side

// The login that always exists.
const (
	SA         = "sa"
	SAPassword = "Lab-Passw0rd"
)

// Login is a SQL login besides sa. Permissions are server permissions by name: VIEW SERVER STATE, VIEW SERVER PERFORMANCE STATE,
// VIEW ANY DEFINITION, ALTER ANY AVAILABILITY GROUP, CONTROL SERVER, …
type Login struct {
	Name        string   `json:"name"`
	Password    string   `json:"password"`
	Sysadmin    bool     `json:"sysadmin"`
	Permissions []string `json:"permissions"`
	AlterAG     []string `json:"alter_ag"` // ALTER on these availability groups
	Disabled    bool     `json:"disabled"`
}

// has tells whether the login holds a server permission, directly or through a wider one.
func (l *Login) has(permission string) bool {
	if l.Sysadmin {
		return true
	}
	for _, p := range l.Permissions {
		p = strings.ToUpper(p)
		switch {
		case p == permission, p == "CONTROL SERVER":
			return true
		case p == "VIEW SERVER STATE" && (permission == "VIEW SERVER PERFORMANCE STATE" || permission == "VIEW SERVER SECURITY STATE"):
			return true
		case p == "VIEW ANY DEFINITION" && permission == "VIEW ANY SECURITY DEFINITION":
			return true
		case permission == "CONNECT SQL" || permission == "VIEW ANY DATABASE":
			return true
		}
	}
	return permission == "CONNECT SQL" || permission == "VIEW ANY DATABASE"
}

func (l *Login) mayAlter(group string) bool {
	if l.has("ALTER ANY AVAILABILITY GROUP") {
		return true
	}
	for _, g := range l.AlterAG {
		if strings.EqualFold(g, group) {
			return true
		}
	}
	return false
}

// Options make a Lab. The zero value is the pair of design.md on free loopback ports.
type Options struct {
	Model  model.Config
	Logins []Login // besides sa
	// Listen are the addresses of the first instance of each side; default 127.0.0.1:0. Further instances listen on the same
	// host and a free port.
	Listen [2]string
	// ForceEncryption refuses clients that do not encrypt.
	ForceEncryption bool
	// Hosts are further names and addresses in the certificate, besides localhost and loopback.
	Hosts []string
	// CertificateExpiry is what sys.certificates shows for the endpoint's certificate; default ten years from now.
	CertificateExpiry time.Time
	// Request is told of every request before a fault can meet it, on the connection's own goroutine; nil: nobody is.
	Request  func(side Side, instance int, text string)
	Schedule *Schedule // nil: nothing is planned
	Clock    Clock     // default: the real one
	Logger   *slog.Logger
}
