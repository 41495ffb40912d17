package sqlserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

func TestParseDSNForcesWhatWeRelyOn(t *testing.T) {
	tg, err := parseDSN("sqlserver://sa:Geheim%231@sql1:14331?encrypt=true&database=tempdb&disableretry=false&app+name=other&connection+timeout=3&log=255&timezone=Europe/Berlin", "dag_exporter", 7*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c := tg.cfg
	if c.Database != "master" || !c.DisableRetry || c.AppName != "dag_exporter" || c.LogFlags != 0 || c.ConnTimeout != 0 || c.DialTimeout != 7*time.Second || c.Encoding.Timezone != time.UTC {
		t.Errorf("%+v", c)
	}
	if tg.label != "sql1:14331" {
		t.Errorf("label %q", tg.label)
	}
	for dsn, want := range map[string]string{
		"sqlserver://u:p@sql1?encrypt=strict":         "sql1:1433",
		`sqlserver://u:p@sql1/INST?encrypt=true`:      `sql1\INST`,
		"sqlserver://u:p@[::1]:1500?encrypt=disable":  "[::1]:1500",
		"server=sql2;user id=u;password=p;encrypt=no": "sql2:1433",
	} {
		if tg, err := parseDSN(dsn, "", time.Second); err != nil || tg.label != want {
			t.Errorf("%s: %q, %v", dsn, tg.label, err)
		}
	}
}

const secret = "S3cr3t-Pa55"

// DSNs that are refused, and that say why without a word of the password.
func TestParseDSNRefuses(t *testing.T) {
	for why, dsn := range map[string]string{
		"encrypt":               "sqlserver://sa:" + secret + "@sql1:1433",
		"ReadOnly":              "sqlserver://sa:" + secret + "@sql1?encrypt=true&database=x&applicationintent=ReadOnly",
		"failover partner":      "sqlserver://sa:" + secret + "@sql1?encrypt=true&failoverpartner=sql2",
		"%23":                   "sqlserver://sa:12#" + secret + "@sql1?encrypt=true",
		"%2F":                   "sqlserver://sa:12/" + secret + "@sql1?encrypt=true",
		"%3F":                   "sqlserver://sa:12?" + secret + "@sql1&encrypt=true",
		"not a URL":             "sqlserver://sa:%zz" + secret + "@sql1?encrypt=true",
		"names no host":         "sqlserver://sa:" + secret + "@?encrypt=true",
		"cannot be parsed":      "sqlserver://sa:" + secret + "@sql1?encrypt=" + secret,
		"cannot be parsed: wri": "sqlserver://sa:" + secret + "@sql1?encrypt=true&log=" + secret,
	} {
		_, err := parseDSN(dsn, "", time.Second)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
			continue
		}
		if strings.Contains(err.Error(), "S3cr3t") || strings.Contains(err.Error(), "Pa55") {
			t.Errorf("%s: the secret is in %q", why, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	good := Options{DAG: "d", Group: "DAG", AG: "AG", Side: hadr.Source, DSNs: dsns("sqlserver://sa:" + secret + "@sql1?encrypt=true")}
	for why, change := range map[string]func(*Options){
		"no instance is configured":  func(o *Options) { o.DSNs = nil },
		"no instance is configured:": func(o *Options) { o.DSNs = dsns() },
		"is listed twice": func(o *Options) {
			o.DSNs = dsns("sqlserver://a:b@SQL1?encrypt=true", "sqlserver://c:d@sql1:1433?encrypt=true")
		},
		"does not say encrypt":         func(o *Options) { o.DSNs = dsns("sqlserver://sa:" + secret + "@sql1") },
		"cannot read":                  func(o *Options) { o.DSNs = func() ([]string, error) { return nil, errors.New("cannot read f") } },
		"distributed AG's name is emp": func(o *Options) { o.Group = "" },
		"both named":                   func(o *Options) { o.AG = "DAG" },
	} {
		o := good
		change(&o)
		s, err := Open(o)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(why, ":")) || !strings.Contains(err.Error(), "d: source:") {
			t.Errorf("%s: %v, %v", why, s, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the secret is in %q", err)
		}
	}
	s, err := Open(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(t.Context(), Want{}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("read after close: %v", err)
	}
}

func dsns(list ...string) func() ([]string, error) {
	return func() ([]string, error) { return list, nil }
}

// No text of an *Error repeats a secret that the server or the network sent
// back.
func TestErrorsAreRedacted(t *testing.T) {
	tg, err := parseDSN("sqlserver://sa:"+secret+"%2F%20@sql1?encrypt=true", "", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	full := secret + "/ "
	for _, cause := range []error{
		fmt.Errorf("login for %s and %s failed", full, "sa"),
		fmt.Errorf("bad DSN %s", tg.dsn),
		fmt.Errorf("escaped %s", secret+"%2F%20"),
		fmt.Errorf("read %s: %w", full, context.DeadlineExceeded),
		server(18456),
	} {
		for _, e := range []*Error{(&Error{}).about(cause, &tg), (&Error{}).aboutAct(cause, &tg), (&Error{}).aboutConnect(cause, &tg)} {
			for _, text := range []string{e.Error(), fmt.Sprintf("%v %+v %#v", e.Err, e, errors.Unwrap(e).Error())} {
				if strings.Contains(text, secret) {
					t.Errorf("the secret is in %q", text)
				}
			}
		}
	}
	s := fmt.Sprintf("%v", (&Error{}).about(fmt.Errorf("password %s", full), &tg))
	if strings.Contains(s, full) || !strings.Contains(s, "<secret>") {
		t.Errorf("%q", s)
	}
}
