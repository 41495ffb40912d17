package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
)

const (
	hookTimeout = 30 * time.Second // when the config says nothing
	hookOutput  = 8 << 10          // bytes of a hook's output that are kept, its end
)

// hookRunner runs one hook to its end; it must be idempotent, since a crash
// while it ran means that it is run again.
type hookRunner interface {
	// Run gives the hook's output, bounded and without secrets, and an error
	// unless the hook succeeded.
	Run(ctx context.Context, h config.Hook, env map[string]string) (output string, err error)
}

// realHooks starts the command or posts to the URL.
type realHooks struct {
	client  *http.Client
	secrets func() []string // never to be shown
}

func newHooks(secrets func() []string) *realHooks {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true
	return &realHooks{secrets: secrets, client: &http.Client{
		Transport: t,
		// A redirect is an answer that nobody approved.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (r *realHooks) Run(ctx context.Context, h config.Hook, env map[string]string) (string, error) {
	timeout := h.Timeout.D()
	if timeout <= 0 {
		timeout = hookTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var out tail
	var err error
	if len(h.Command) > 0 {
		err = r.command(ctx, h.Command, env, &out)
	} else {
		err = r.post(ctx, h.URL.Reveal(), env, &out)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("it did not end within %s: %w", timeout, err)
	}
	hide := redactor(append(r.secrets(), h.URL.Reveal()))
	if err != nil {
		err = errors.New(hide(err.Error()))
	}
	return hide(out.String()), err
}

func (r *realHooks) command(ctx context.Context, argv []string, env map[string]string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = withoutSecrets(os.Environ(), r.secrets())
	for _, k := range sortedKeys(env) {
		cmd.Env = append(cmd.Env, k+"="+env[k])
	}
	cmd.Stdout, cmd.Stderr = out, out
	// Whatever the hook started must not outlive it, nor hold its output open.
	ownGroup(cmd)
	cmd.WaitDelay = time.Second
	return cmd.Run()
}

// withoutSecrets is an environment without the variables that a DSN of ours was
// made from: a hook moves an application, it has no business with the servers.
// Short secrets only count as a whole value, or PATH would go with "bin".
func withoutSecrets(environ, secrets []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		_, value, _ := strings.Cut(kv, "=")
		return slices.ContainsFunc(secrets, func(s string) bool {
			return s != "" && (value == s || len(s) >= 6 && strings.Contains(value, s))
		})
	})
}

func (r *realHooks) post(ctx context.Context, to string, env map[string]string, out io.Writer) error {
	body, err := json.Marshal(env)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL is not valid")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			return u.Err // without the URL, which is a secret
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(out, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return fmt.Errorf("read its answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	b   []byte
	cut bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - hookOutput; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
		t.cut = true
	}
	return len(p), nil
}

func (t *tail) String() string {
	s := strings.ToValidUTF8(string(t.b), "?")
	if t.cut {
		s = "… " + s
	}
	return strings.TrimSpace(s)
}

// secretish is what looks like a password, wherever it comes from.
var secretish = regexp.MustCompile(`(?i)((?:password|passwd|pwd|secret|token|authorization)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|(?:bearer|basic)\s+\S+|[^\s;,&]+)|(://[^/\s:@]*:)[^@/\s]+@`)

// redactor replaces known secrets, and what looks like one, in a text.
func redactor(secrets []string) func(string) string {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < 3 })
	// The longest first, so that no secret is hidden only up to a shorter one.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return func(text string) string {
		for _, s := range secrets {
			text = strings.ReplaceAll(text, s, "<secret>")
		}
		return secretish.ReplaceAllStringFunc(text, func(m string) string {
			g := secretish.FindStringSubmatch(m)
			if g[3] != "" {
				return g[3] + "<secret>@"
			}
			return g[1] + "<secret>"
		})
	}
}

// dsnSecrets are the passwords inside connection strings, and the strings.
func dsnSecrets(d config.DAG) []string {
	var out []string
	for _, s := range []config.Side{d.Source, d.Target} {
		dsns, err := s.DSNs()
		if err != nil {
			continue // nothing can be shown that could not be read
		}
		for _, dsn := range dsns {
			out = append(out, dsn)
			if u, err := url.Parse(dsn); err == nil && u.User != nil {
				if p, ok := u.User.Password(); ok {
					out = append(out, p, url.QueryEscape(p), url.PathEscape(p))
				}
			}
		}
	}
	for _, h := range []config.Hook{d.Cutover.Hooks.Quiesce, d.Cutover.Hooks.Unquiesce, d.Cutover.Hooks.Repoint, d.Cutover.Hooks.After} {
		if h.URL != "" {
			out = append(out, h.URL.Reveal())
		}
	}
	return out
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
