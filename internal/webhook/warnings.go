package webhook

import (
	"fmt"
	"os/exec"
	"slices"

	"github.com/dag-exporter/dag_exporter/internal/config"
)

// Warnings are what starts and will not work, or not safely, when it is needed
// at night. They refuse nothing: a check may run on another machine than the
// server, and a proxy may stand before it.
func Warnings(cfg *config.Config, auth *Auth) []string {
	out := cfg.Warnings()
	for i := range cfg.DAGs {
		d := &cfg.DAGs[i]
		h := d.Cutover.Hooks
		for _, hook := range []struct {
			name string
			config.Hook
		}{{"quiesce", h.Quiesce}, {"unquiesce", h.Unquiesce}, {"repoint", h.Repoint}, {"after", h.After}} {
			if len(hook.Command) == 0 {
				continue
			}
			if _, err := exec.LookPath(hook.Command[0]); err != nil {
				out = append(out, fmt.Sprintf("%s: hooks.%s cannot be run here: %v", d.Name, hook.name, err))
			}
		}
		if !h.Quiesce.IsZero() && h.Unquiesce.IsZero() {
			out = append(out, fmt.Sprintf("%s: hooks.quiesce stops the writers, and without hooks.unquiesce nobody lets them go on when a run goes back", d.Name))
		}
	}
	return append(out, auth.warnings(cfg)...)
}

// warnings compares the web config file with the roles.
func (a *Auth) warnings(cfg *config.Config) []string {
	if a.path == "" {
		return nil
	}
	a.mu.Lock()
	s := a.snap
	a.mu.Unlock()
	var out []string
	if len(s.users) > 0 && !s.tls && executes(cfg) {
		out = append(out, fmt.Sprintf("%s has basic_auth_users and no tls_server_config: passwords that may start a cutover cross the network in clear, unless a proxy before this server does TLS", a.path))
	}
	if len(s.cas) > 0 { // any name may be in a certificate
		return out
	}
	r := cfg.Webhook.Roles
	for _, l := range []struct {
		role  Role
		names []string
	}{{Receiver, r.Receiver}, {Viewer, r.Viewer}, {Operator, r.Operator}, {Approver, r.Approver}} {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(l.names))) {
			if _, known := s.users[name]; !known && name != "*" {
				out = append(out, fmt.Sprintf("webhook.roles.%s names %q, who is not in basic_auth_users of %s and cannot log in", l.role, name, a.path))
			}
		}
	}
	return out
}
