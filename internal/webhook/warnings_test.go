package webhook

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/config"
)

// What would be found out at night is said at the start.
func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "stop-writers")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain.yml")
	writeUsers(t, plain)
	users, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	tls := filepath.Join(dir, "tls.yml")
	for file, text := range map[string]string{
		tls:                            "tls_server_config: {cert_file: ca.pem, key_file: key.pem}\n" + string(users),
		filepath.Join(dir, "mtls.yml"): "tls_server_config: {cert_file: ca.pem, key_file: key.pem, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca, key := makeCert(t, "ca", nil, nil)
	writePEM(t, dir, ca, key)
	base := strings.ReplaceAll(dagYAML, "MODE", "execute")
	roles := strings.NewReplacer(", am.example", "", ", ops.example", "").Replace(base)
	hooks := func(text string) string { return strings.Replace(roles, "hooks: {", "hooks: {"+text+", ", 1) }
	for name, tc := range map[string]struct {
		file, web string
		want      []string // in order
	}{
		"nothing":                {roles, "tls.yml", nil},
		"no web config file":     {strings.ReplaceAll(base, "execute", "dry_run"), "", nil},
		"passwords in clear":     {roles, "plain.yml", []string{"passwords that may start a cutover cross the network in clear"}},
		"dry run in clear":       {strings.ReplaceAll(roles, "execute", "dry_run"), "plain.yml", nil},
		"names that nobody has":  {base, "tls.yml", []string{`webhook.roles.receiver names "am.example"`, `webhook.roles.operator names "ops.example"`}},
		"names of certificates":  {base, "mtls.yml", nil},
		"a program that is not":  {hooks("quiesce: {command: [" + program + "]}, unquiesce: {command: [" + program + "x]}"), "tls.yml", []string{"erp: hooks.unquiesce cannot be run here: "}},
		"quiesce, and no return": {hooks("quiesce: {command: [" + program + "]}"), "tls.yml", []string{"erp: hooks.quiesce stops the writers, and without hooks.unquiesce"}},
		"both programs":          {hooks("quiesce: {command: [" + program + "]}, unquiesce: {command: [" + program + "]}"), "tls.yml", nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse([]byte(tc.file), filepath.Join(dir, "dag.yml")) // of no file: no mode to speak of
			if err != nil {
				t.Fatal(err)
			}
			if tc.web != "" {
				tc.web = filepath.Join(dir, tc.web)
			}
			auth, err := NewAuth(tc.web)
			if err != nil {
				t.Fatal(err)
			}
			got := Warnings(cfg, auth)
			if !slices.EqualFunc(got, tc.want, strings.Contains) {
				t.Errorf("got %q\nwant %q", got, tc.want)
			}
			if text := strings.Join(got, "\n"); strings.Contains(text, secret) {
				t.Errorf("a secret is in %q", text)
			}
		})
	}
}
