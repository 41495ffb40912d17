package exporter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// DiscoverOptions of Discover.
type DiscoverOptions struct {
	// Source and Target are each a DSN as the configuration has it, ${ENV}
	// included, or file:PATH for a dsn_file.
	Source, Target string
	// ShowSecrets writes DSNs as they were given; else a password becomes
	// ${SOURCE_PASSWORD} or ${TARGET_PASSWORD}.
	ShowSecrets bool
}

// Discover asks both sides which distributed availability groups they share
// and writes a configuration for them, with comments, and the rights that the
// logins lack. The error says what each side knows when they share none, and
// is a *config.Error if the options are wrong; it holds no secret, and neither does the text unless ShowSecrets asked for it.
func Discover(ctx context.Context, opt DiscoverOptions) (string, error) {
	source, target := &discovery{side: hadr.Source, arg: opt.Source}, &discovery{side: hadr.Target, arg: opt.Target}
	if err := resolve(source, target); err != nil {
		return "", err
	}
	var wg sync.WaitGroup
	for _, d := range []*discovery{source, target} {
		for i := range d.dsns {
			wg.Go(func() { d.found[i], d.errs[i] = sqlserver.Discover(ctx, d.dsns[i], "dag_exporter") })
		}
	}
	wg.Wait()
	var silent []error // of the sides that no instance answers for
	for _, d := range []*discovery{source, target} {
		if d.best() == nil {
			for _, err := range d.errs {
				silent = append(silent, fmt.Errorf("%s: %w", d.side, err))
			}
		}
	}
	if silent != nil {
		return "", errors.Join(silent...)
	}
	for _, s := range source.found {
		for _, t := range target.found {
			if s != nil && t != nil && s.Identity.SameInstance(t.Identity) {
				return "", fmt.Errorf("both DSNs lead to the same instance, %s: give one of each side", s.Identity.ServerName)
			}
		}
	}
	shared := match(source, target)
	if len(shared) == 0 {
		return "", nothingShared(source, target)
	}
	w := &configWriter{secrets: opt.ShowSecrets}
	w.write(source, target, shared)
	return w.String(), nil
}

// discovery is one side while it is looked at.
type discovery struct {
	side  hadr.Side
	arg   string
	dsns  []string           // expanded
	found []*sqlserver.Found // of each DSN; nil where errs has why
	errs  []error
}

// best is what the first instance that answered said, nil if none did.
func (d *discovery) best() *sqlserver.Found {
	for _, f := range d.found {
		if f != nil {
			return f
		}
	}
	return nil
}

// group finds a DAG as this side's primary knows it, else as any instance does.
func (d *discovery) group(id string) (out *sqlserver.Discovered, by *sqlserver.Found) {
	for _, f := range d.found {
		if f == nil {
			continue
		}
		for i := range f.DAGs {
			if g := &f.DAGs[i]; g.GroupID == id && g.Local != "" && (out == nil || g.LocalPrimary && !out.LocalPrimary) {
				out, by = g, f
			}
		}
	}
	return out, by
}

// match are the ids of the DAGs that both sides know, in order of their names.
func match(source, target *discovery) (ids []string) {
	names := map[string]string{}
	for _, f := range source.found {
		if f == nil {
			continue
		}
		for _, g := range f.DAGs {
			here, _ := source.group(g.GroupID)
			there, _ := target.group(g.GroupID)
			if g.GroupID != "" && here != nil && there != nil && here.Local != there.Local && names[g.GroupID] == "" {
				names[g.GroupID] = g.Group
				ids = append(ids, g.GroupID)
			}
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(names[a], names[b]), cmp.Compare(a, b)) })
	return ids
}

// nothingShared says what there is instead, and which rights may hide it.
func nothingShared(sides ...*discovery) error {
	var b strings.Builder
	b.WriteString("the two sides share no distributed availability group that the logins can see")
	for _, d := range sides {
		for i, f := range d.found {
			if f == nil {
				fmt.Fprintf(&b, "\n%s: %v", d.side, d.errs[i])
				continue
			}
			var groups []string
			for _, g := range f.DAGs {
				groups = append(groups, fmt.Sprintf("%s (of %s and %s)", g.Group, cmp.Or(g.Local, "?"), cmp.Or(g.Remote, "?")))
			}
			fmt.Fprintf(&b, "\n%s: %s knows %s", d.side, f.Identity.ServerName, cmp.Or(strings.Join(groups, ", "), "none"))
			for _, g := range sqlserver.Grants(f.Identity.Major, f.Login, f.Missing) {
				fmt.Fprintf(&b, "\n%s: the login lacks a right that may hide it: %s", d.side, g)
			}
		}
	}
	return errors.New(oneLine(b.String(), '\n'))
}

// configWriter writes YAML by hand, because the comments are half of it.
type configWriter struct {
	strings.Builder
	secrets bool
}

func (w *configWriter) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// note is a comment. Names in it come from the servers: a line break in one
// must not end the comment.
func (w *configWriter) note(indent, format string, args ...any) {
	w.line("%s# %s", indent, oneLine(fmt.Sprintf(format, args...), ' '))
}

func (w *configWriter) write(source, target *discovery, ids []string) {
	w.note("", "Written by dag_exporter discover. Read it before you use it; docs/config.md explains every key.")
	for _, d := range []*discovery{source, target} {
		for i, f := range d.found {
			if f == nil {
				w.note("", "%s: NOT READ: %v", d.side, d.errs[i])
				continue
			}
			id := f.Identity
			w.note("", "%s: %s is %s, SQL Server %s, %s", d.side, id.Instance, id.ServerName, id.Version, id.Edition)
			if grants := sqlserver.Grants(id.Major, f.Login, f.Missing); len(grants) > 0 {
				w.note("", "%s: MISSING RIGHTS, grant them on every instance of this side:", d.side)
				for _, g := range grants {
					w.note("", "    %s", g)
				}
			}
		}
	}
	w.line("dags:")
	names := map[string]bool{}
	for _, id := range ids {
		s, sf := source.group(id)
		t, tf := target.group(id)
		name := uniqueName(s.Group, names)
		w.line("  - name: %s", quoted(name))
		w.note("    ", "The dag label of every metric, unique over all files: better erp-prod than DAG.")
		w.line("    group: %s", quoted(s.Group))
		w.note("    ", "The distributed availability group on both servers, group_id %s.", id)
		if s.Group != t.Group {
			w.note("    ", "CHECK: the target spells it %q.", t.Group)
		}
		w.side(source, s, "SOURCE_PASSWORD")
		w.side(target, t, "TARGET_PASSWORD")
		w.databases(s, t, sf.Identity.CaseSensitive || tf.Identity.CaseSensitive)
		switch here, there := sf.Identity, tf.Identity; {
		case here.Major < there.Major:
			w.line("    cross_version: true")
			w.note("    ", "The target is newer (%s): its databases cannot be opened before the failover, and there is no way back after it.", there.Version)
		case here.Major > there.Major:
			w.note("    ", "CHECK: the target (%s) is OLDER than the source (%s): the databases can never be opened there.", there.Version, here.Version)
		}
	}
}

func (w *configWriter) side(d *discovery, g *sqlserver.Discovered, env string) {
	w.line("    %s:", d.side)
	w.line("      ag: %s", quoted(g.Local))
	switch {
	case g.Role == hadr.RolePrimary:
		w.note("      ", "Its databases are the ones that applications write to now.")
	case d.side == hadr.Source && g.Role == hadr.RoleSecondary:
		w.note("      ", "CHECK: the source does not hold the primary role of the group. Are the two DSNs the wrong way round, or has it failed over already?")
	}
	if !g.LocalPrimary {
		w.note("      ", "CHECK: no instance that was asked is PRIMARY of %s now: list the one that is, too.", g.Local)
	}
	file, isFile := strings.CutPrefix(d.arg, "file:")
	if isFile {
		w.line("      dsn_file: %s", quoted(file))
	} else {
		w.line("      instances:")
		dsn := d.arg
		if !w.secrets {
			w.note("        ", "The password comes from the environment; dsn_file: FILE instead of instances reads a file again when it changes.")
			dsn = withoutSecrets(d.dsns[0], d.arg, env)
		}
		w.line("        - %s", quoted(dsn))
	}
	known := map[string]bool{}
	for _, f := range d.found {
		if f != nil {
			known[strings.ToLower(f.Identity.ServerName)] = true
		}
	}
	for _, replica := range g.Replicas {
		if known[strings.ToLower(replica)] {
			continue
		}
		w.note("      ", "%s is a replica of %s too. List it, or the listener alone: after a local failover the side is read there.", replica, g.Local)
		if !isFile {
			w.note("        ", "- %s", quoted(onHost(withoutSecrets(d.dsns[0], d.arg, env), replica)))
		}
	}
	if trusts(d.dsns[0]) {
		w.note("      ", "trustservercertificate=true: anybody in between can pretend to be this server. Better encrypt=strict and a certificate that is trusted.")
	}
}

func (w *configWriter) databases(s, t *sqlserver.Discovered, caseSensitive bool) {
	fold := strings.ToLower
	if caseSensitive {
		fold = func(s string) string { return s }
	}
	has := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(o string) bool { return fold(o) == fold(name) })
	}
	if len(s.Databases) == 0 {
		w.note("    ", "CHECK: %s shows no database.", s.Local)
		return
	}
	w.line("    databases:")
	w.note("      ", "The expected set: one that leaves it or comes in shows as a difference.")
	for _, name := range s.Databases {
		w.line("      - %s", quoted(name))
		if !has(t.Databases, name) {
			w.note("      ", "  CHECK: %s does not have it.", t.Local)
		}
	}
	for _, name := range t.Databases {
		if !has(s.Databases, name) {
			w.note("      ", "CHECK: %q is in %s alone.", name, t.Local)
		}
	}
}

// quoted is a YAML double-quoted scalar, which JSON's strings are.
func quoted(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return strconv.QuoteToASCII(s) // a string always encodes
	}
	return strings.TrimSpace(b.String())
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// uniqueName makes a name that the configuration accepts of a group's.
func uniqueName(group string, used map[string]bool) string {
	base := strings.TrimLeft(notInName.ReplaceAllString(group, "-"), "-._")
	base = strings.TrimRight(base[:min(len(base), 100)], "-")
	if base == "" {
		base = "dag"
	}
	name := base
	for i := 2; used[strings.ToLower(name)]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	used[strings.ToLower(name)] = true
	return name
}

// shownKeys are the DSN's options whose values are no secrets. Everything that
// is not here is left to the environment.
var shownKeys = []string{"encrypt", "trustservercertificate", "certificate", "hostnameincertificate", "tlsmin", "multisubnetfailover",
	"dial timeout", "connection timeout", "keepalive", "packet size", "protocol", "serverspn", "fedauth", "authenticator",
	"krb5-configfile", "krb5-realm", "krb5-keytabfile", "krb5-credcachefile", "krb5-dnslookupkdc", "krb5-udppreferencelimit",
	"database", "app name", "workstation id", "applicationclientid", "clientcertpath"}

var passwordEnv = regexp.MustCompile(`^[^@]*:\$\{([A-Za-z_][A-Za-z0-9_]*)\}@`)

// withoutSecrets writes a DSN anew: the password and every option that may
// hold a secret become ${…}. given is the DSN before its ${…} were expanded:
// a variable that it used for the password is used again.
func withoutSecrets(dsn, given, env string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "${" + strings.TrimSuffix(env, "PASSWORD") + "DSN}" // the configuration's reader has parsed it before
	}
	if m := passwordEnv.FindStringSubmatch(strings.TrimPrefix(given, "sqlserver://")); m != nil {
		env = m[1]
	}
	var b strings.Builder
	b.WriteString("sqlserver://")
	if u.User != nil {
		b.WriteString(url.User(u.User.Username()).String())
		if _, has := u.User.Password(); has {
			b.WriteString(":${" + env + "}")
		}
		b.WriteString("@")
	}
	b.WriteString(u.Host + u.EscapedPath())
	sep := "?"
	query := u.Query()
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		value := url.QueryEscape(query.Get(k))
		if !slices.Contains(shownKeys, strings.ToLower(strings.TrimSpace(k))) {
			value = "${" + strings.TrimSuffix(env, "PASSWORD") + strings.ToUpper(strings.Trim(notInEnv.ReplaceAllString(k, "_"), "_")) + "}"
		}
		b.WriteString(sep + url.QueryEscape(k) + "=" + value)
		sep = "&"
	}
	return b.String()
}

var notInEnv = regexp.MustCompile(`[^A-Za-z0-9]+`)

// onHost is a DSN for another replica, by its server name, which may or may
// not be how it is reached: the line that it stands in is a comment.
func onHost(dsn, replica string) string {
	_, rest, _ := strings.Cut(dsn, "://")
	at := strings.LastIndexByte(strings.SplitN(rest, "?", 2)[0], '@')
	host, instance, named := strings.Cut(replica, `\`)
	if named {
		host += "/" + url.PathEscape(instance)
	} else {
		host += ":1433"
	}
	out := "sqlserver://" + rest[:at+1] + host
	if _, query, ok := strings.Cut(rest, "?"); ok {
		out += "?" + query
	}
	return out
}

func trusts(dsn string) bool {
	u, err := url.Parse(dsn)
	if err != nil {
		return false
	}
	for k, v := range u.Query() {
		if strings.EqualFold(k, "trustservercertificate") {
			yes, err := strconv.ParseBool(v[0])
			return err == nil && yes
		}
	}
	return false
}
