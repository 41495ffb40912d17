package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/dag-exporter/dag_exporter/internal/runner"
	"github.com/dag-exporter/dag_exporter/internal/webhook"
)

type clientFlags struct {
	url        string
	httpConfig string
	timeout    time.Duration
}

// client speaks the API of a running cutover_webhook.
type client struct {
	base *url.URL
	http *http.Client
}

func (f clientFlags) open() (*client, error) {
	base, err := url.Parse(f.url)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, coded{exitConfig, errors.New("--url must be the webhook's address, such as https://cutover-webhook:19969")}
	}
	if base.User != nil {
		return nil, coded{exitConfig, errors.New("--url must not hold credentials, other users of this machine could read them: put basic_auth into a file for --http.config.file")}
	}
	cfg := &commoncfg.DefaultHTTPClientConfig
	if f.httpConfig != "" {
		if cfg, _, err = commoncfg.LoadHTTPConfigFile(f.httpConfig); err != nil {
			return nil, coded{exitConfig, fmt.Errorf("--http.config.file %s: %w", f.httpConfig, err)}
		}
		if err := cfg.Validate(); err != nil {
			return nil, coded{exitConfig, fmt.Errorf("--http.config.file %s: %w", f.httpConfig, err)}
		}
		if err := readable(cfg); err != nil {
			return nil, coded{exitConfig, fmt.Errorf("--http.config.file %s: %w", f.httpConfig, err)}
		}
	}
	h, err := commoncfg.NewClientFromConfig(*cfg, "cutover_webhook")
	if err != nil {
		return nil, coded{exitConfig, fmt.Errorf("--http.config.file %s: %w", f.httpConfig, err)}
	}
	h.Timeout = f.timeout
	return &client{base: base, http: h}, nil
}

// readable looks at the files that are only read by the first request: there a
// missing one would pass for a webhook that does not answer.
func readable(cfg *commoncfg.HTTPClientConfig) error {
	var files []string
	if b := cfg.BasicAuth; b != nil {
		files = append(files, b.UsernameFile, b.PasswordFile)
	}
	if a := cfg.Authorization; a != nil {
		files = append(files, a.CredentialsFile)
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		if _, err := os.ReadFile(file); err != nil {
			return err
		}
	}
	return nil
}

// call sends one request and decodes the answer into out (nil: a *bytes.Buffer
// takes the body as it is).
func (c *client) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), send)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		if untrusted := (*tls.CertificateVerificationError)(nil); errors.As(err, &untrusted) {
			return fmt.Errorf("the certificate of %s is not trusted: %w; give its CA with --http.config.file (tls_config: {ca_file: …})", c.base, untrusted.Err)
		}
		return fmt.Errorf("%s does not answer: %w; is cutover_webhook serve running there, and is --url right?", c.base, err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.base, err)
	}
	if res.StatusCode != http.StatusOK {
		return answerError(c.base.String(), res.StatusCode, data)
	}
	if raw, ok := out.(*bytes.Buffer); ok {
		raw.Write(data)
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s is not cutover_webhook's API, or of another version: %w", c.base, err)
	}
	return nil
}

// answerError turns an answer that is no success into an error with its exit code.
func answerError(base string, status int, data []byte) error {
	var p webhook.Problem
	text := strings.TrimSpace(string(data))
	if json.Unmarshal(data, &p) == nil && p.Error != "" {
		text = p.Error
		if p.Remedy != "" {
			text += "; " + p.Remedy
		}
	}
	err := fmt.Errorf("%s answered %d: %s", base, status, text)
	switch {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%w; give your credentials with --http.config.file (basic_auth or tls_config)", err)
	case p.Refused && p.Wait:
		return coded{exitWait, errors.New(text)}
	case p.Refused && status == http.StatusConflict:
		return coded{exitNever, errors.New(text)}
	}
	return err
}

func (c *client) get(ctx context.Context, dag, what string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, dagPath(dag, what), query, nil, out)
}

func (c *client) post(ctx context.Context, dag, verb string, body webhook.Act, out any) error {
	return c.call(ctx, http.MethodPost, dagPath(dag, verb), nil, body, out)
}

func dagPath(dag, what string) string {
	p := "/api/v1/dags/" + url.PathEscape(dag)
	if what != "" {
		p += "/" + what
	}
	return p
}

// pick is the DAG to speak of: the named one, or the only one there is.
func (c *client) pick(ctx context.Context, dag string) (string, error) {
	if dag != "" {
		return dag, nil
	}
	list, err := c.list(ctx)
	if err != nil {
		return "", err
	}
	if len(list) == 1 {
		return list[0].DAG, nil
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.DAG
	}
	return "", severalDAGs(names)
}

func (c *client) list(ctx context.Context) ([]runner.Status, error) {
	var list webhook.DAGs
	err := c.call(ctx, http.MethodGet, "/api/v1/dags", nil, nil, &list)
	return list.DAGs, err
}

func severalDAGs(names []string) error {
	return coded{exitConfig, fmt.Errorf("name the DAG: there are %s", strings.Join(names, ", "))}
}
