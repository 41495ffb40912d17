package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Values of the enumerations of the file.
const (
	LifecycleMigrating = "migrating" // the source is expected to be primary
	LifecycleMigrated  = "migrated"  // the target is
	LifecycleRetired   = "retired"   // nothing is expected any more; no cutover

	ModeDryRun  = "dry_run"
	ModeExecute = "execute"

	StartNear         = "near"
	StartCaughtUp     = "caught_up"
	StartSynchronized = "synchronized"

	ProofHardened = "hardened"
	ProofEndOfLog = "end_of_log"
)

// alertNames is the alert that follows each start_at.
var alertNames = map[string]string{
	StartNear:         "DAGNearConvergence",
	StartCaughtUp:     "DAGConverged",
	StartSynchronized: "DAGSynchronized",
}

// defaults fills what the file leaves out. What it writes, it keeps, a zero
// too: the check speaks about that.
func (p *parser) defaults(d *DAG, where string) {
	c := &d.Cutover
	if d.Group == "" && !p.has(where+".group") {
		d.Group = d.Name
	}
	text := func(key string, v *string, def string) {
		if *v == "" && !p.has(where+key) {
			*v = def
		}
	}
	duration := func(key string, v *Duration, def time.Duration) {
		if *v == 0 && !p.has(where+key) {
			*v = Duration(def)
		}
	}
	size := func(key string, v *Bytes, def Bytes) {
		if *v == 0 && !p.has(where+key) {
			*v = def
		}
	}
	text(".lifecycle", &d.Lifecycle, LifecycleMigrating)
	size(".near.log_send_queue", &d.Near.LogSendQueue, 64<<20)
	size(".near.redo_queue", &d.Near.RedoQueue, 256<<20)
	text(".cutover.mode", &c.Mode, ModeDryRun)
	text(".cutover.start_at", &c.StartAt, StartCaughtUp)
	text(".cutover.alertname", &c.AlertName, alertNames[c.StartAt])
	text(".cutover.proof_basis", &c.ProofBasis, ProofHardened)
	duration(".cutover.alert_lease", &c.AlertLease, 45*time.Second)
	duration(".cutover.max_duration", &c.MaxDuration, 30*time.Minute)
	duration(".cutover.max_write_unavailable", &c.MaxWriteUnavailable, time.Minute)
	duration(".cutover.proof_ttl", &c.ProofTTL, 10*time.Second)
	duration(".cutover.settle_interval", &c.SettleInterval, 250*time.Millisecond)
	duration(".cutover.settle", &c.Settle, 2*time.Minute)
	duration(".cutover.require_exposure", &c.RequireExposure, 15*time.Second)
	duration(".cutover.split_watch", &c.SplitWatch, 10*time.Minute)
	if c.SettleReadings == 0 && !p.has(where+".cutover.settle_readings") {
		c.SettleReadings = 3
	}
	if c.Approvals == nil {
		one := 1
		c.Approvals = &one
	}
	for _, h := range c.hooks() {
		if !h.hook.IsZero() {
			duration(".cutover.hooks."+h.name+".timeout", &h.hook.Timeout, 30*time.Second)
		}
	}
}

type namedHook struct {
	name string
	hook *Hook
}

func (c *Cutover) hooks() []namedHook {
	return []namedHook{
		{"quiesce", &c.Hooks.Quiesce}, {"unquiesce", &c.Hooks.Unquiesce},
		{"repoint", &c.Hooks.Repoint}, {"after", &c.Hooks.After},
	}
}

func (p *parser) validate(cfg *Config) {
	if len(cfg.DAGs) == 0 && len(p.typed) == 0 {
		p.at("dags", "no DAG is configured: give at least one entry under dags")
	}
	names := map[string]int{}
	groups := map[string]string{}
	execute := false
	for i := range cfg.DAGs {
		d := &cfg.DAGs[i]
		where := fmt.Sprintf("dags[%d]", i)
		p.name(d, where)
		if first, twice := names[strings.ToLower(d.Name)]; twice {
			p.at(where+".name", "%q is already the name of dags[%d]: names are unique, in any case of letters", d.Name, first)
		} else if d.Name != "" {
			names[strings.ToLower(d.Name)] = i
		}
		p.dag(d, where, groups)
		execute = execute || d.Cutover.Mode == ModeExecute
	}
	p.roles(cfg, execute)
}

// name keeps a DAG's name usable as a label, in a URL and in a terminal.
func (p *parser) name(d *DAG, where string) {
	bad := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._- ", r)
	}
	first, _ := utf8.DecodeRuneInString(d.Name)
	switch {
	case d.Name == "":
		p.at(where+".name", "is missing: give each DAG a unique name, it becomes the dag label")
	case len(d.Name) > 128 || strings.ContainsFunc(d.Name, bad) || !unicode.IsLetter(first) && !unicode.IsDigit(first) || strings.HasSuffix(d.Name, " "):
		p.at(where+".name", "may hold letters, digits, '.', '_', '-' and spaces, must begin with a letter or digit, at most 128 bytes: the name on SQL Server goes into group")
	}
	if d.Group == "" && d.Name != "" || len([]rune(d.Group)) > 128 {
		p.at(where+".group", "must be the name of the distributed availability group on SQL Server, 1 to 128 characters")
	}
}

func (p *parser) dag(d *DAG, where string, groups map[string]string) {
	p.oneOf(where+".lifecycle", d.Lifecycle, LifecycleMigrating, LifecycleMigrated, LifecycleRetired)
	source := p.side(&d.Source, where+".source")
	target := p.side(&d.Target, where+".target")
	for key, from := range source {
		if to, both := target[key]; both {
			p.at(to, "%s is also an instance of %s: source and target must be different instances", key, from)
		}
		group := strings.ToLower(d.Group) + "\x00" + key
		if other, twice := groups[group]; twice && d.Group != "" {
			p.at(where+".group", "%q on %s is already watched by %s: give each distributed availability group one entry", d.Group, key, other)
		}
		groups[group] = where
	}
	seen := map[string]bool{}
	for i, db := range d.Databases {
		at := fmt.Sprintf("%s.databases[%d]", where, i)
		switch low := strings.ToLower(db); {
		case db == "" || len([]rune(db)) > 128:
			p.at(at, "a database name has 1 to 128 characters")
		case slices.Contains([]string{"master", "model", "msdb", "tempdb"}, low):
			p.at(at, "%s cannot be in an availability group: list user databases only", low)
		case seen[low]:
			p.at(at, "%q is listed twice", db)
		default:
			seen[low] = true
		}
	}
	for _, b := range []struct {
		key string
		v   Bytes
	}{{"log_send_queue", d.Near.LogSendQueue}, {"redo_queue", d.Near.RedoQueue}} {
		if b.v < 0 {
			p.at(where+".near."+b.key, "must not be negative")
		}
	}
	p.cutover(d, where)
}

// side checks one end and returns the path of each of its instances.
func (p *parser) side(s *Side, where string) map[string]string {
	if s.AG == "" {
		p.at(where+".ag", "is missing: name the local availability group of this side")
	}
	seen := map[string]string{}
	instance := func(dsn, at string) {
		key := instanceKey(dsn)
		if first, twice := seen[key]; twice {
			p.at(at, "%s is the same instance as %s: list each instance once", key, first)
			return
		}
		seen[key] = at
	}
	switch {
	case len(s.Instances) > 0 && s.DSNFile != "":
		p.at(where+".dsn_file", "is given beside instances: keep one of them")
	case len(s.Instances) == 0 && s.DSNFile == "":
		p.at(where, "has no instances: give instances (a list of DSNs) or dsn_file (one DSN a line)")
	case s.DSNFile != "":
		entries, err := readDSNFile(s.DSNFile)
		if err != nil {
			p.at(where+".dsn_file", "%v", err)
		}
		for _, e := range entries {
			if e.problem != "" {
				p.at(where+".dsn_file", "%s:%d: %s", s.DSNFile, e.line, e.problem)
				continue
			}
			instance(e.dsn, where+".dsn_file")
		}
	}
	for i, secret := range s.Instances {
		at := fmt.Sprintf("%s.instances[%d]", where, i)
		dsn := secret.Reveal()
		if envRE.MatchString(dsn) {
			continue // already reported: a variable is not set
		}
		if problem := checkDSN(dsn); problem != "" {
			p.at(at, "%s", problem)
			continue
		}
		instance(dsn, at)
	}
	return seen
}

var labelRE = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (p *parser) cutover(d *DAG, where string) {
	c, at := &d.Cutover, where+".cutover"
	p.oneOf(at+".mode", c.Mode, ModeDryRun, ModeExecute)
	p.oneOf(at+".start_at", c.StartAt, StartNear, StartCaughtUp, StartSynchronized)
	p.oneOf(at+".proof_basis", c.ProofBasis, ProofHardened, ProofEndOfLog)
	if c.StartAt == StartNear && c.Hooks.Quiesce.IsZero() {
		p.at(at+".start_at", "near needs hooks.quiesce: without it nothing stops the writers, and the queues never drain; set the hook, or start_at: caught_up")
	}
	if c.AlertName == "" && alertNames[c.StartAt] != "" {
		p.at(at+".alertname", "must not be empty: leave it out for %s", alertNames[c.StartAt])
	}
	for k, v := range c.AlertMatch {
		switch {
		case !labelRE.MatchString(k):
			p.at(at+".alert_match", "%s is not a label name", safeKey(k))
		case k == "dag" || k == "alertname":
			p.at(at+".alert_match", "%s is matched anyway: name another label, such as environment", k)
		case v == "":
			p.at(at+".alert_match."+k, "an empty value would match alerts without the label: give the value")
		}
	}
	for _, v := range []struct {
		key string
		d   Duration
	}{
		{"alert_lease", c.AlertLease}, {"max_duration", c.MaxDuration}, {"max_write_unavailable", c.MaxWriteUnavailable},
		{"proof_ttl", c.ProofTTL}, {"settle_interval", c.SettleInterval}, {"settle", c.Settle},
		{"require_exposure", c.RequireExposure}, {"split_watch", c.SplitWatch},
	} {
		if v.d <= 0 {
			p.at(at+"."+v.key, "must be longer than 0: leave it out for the default")
		}
	}
	if c.SettleReadings < 2 {
		p.at(at+".settle_readings", "must be at least 2: one reading cannot show that nothing moves")
	}
	if *c.Approvals < 0 {
		p.at(at+".approvals", "must not be negative: 0 means that nobody has to approve")
	}
	for _, h := range c.hooks() {
		p.hook(h.hook, at+".hooks."+h.name)
	}
	p.window(c, at)
	if c.Mode == ModeExecute {
		if len(d.Databases) == 0 {
			p.at(where+".databases", "mode: execute needs the databases written out: a run must know what it moves; list them (cutover_webhook plan shows what the source holds)")
		}
		if len(c.AlertMatch) == 0 {
			p.at(at+".alert_match", "mode: execute needs at least one label that an alert must carry, such as {environment: prod}")
		}
	}
}

func (p *parser) window(c *Cutover, at string) {
	for i, w := range c.Window {
		_, errs := w.parse()
		for _, e := range errs {
			path := fmt.Sprintf("%s.window[%d]", at, i)
			if e.field != "" {
				path += "." + e.field
			}
			p.at(path, "%s", e.text)
		}
	}
	for _, key := range []string{"not_before", "not_after"} {
		path := at + "." + key
		if !p.has(path) {
			continue
		}
		// What is no time at all was told before the file was decoded.
		node, _ := p.find(path)
		if _, err := time.Parse(time.RFC3339, resolve(node).Value); err != nil && isTimestamp(resolve(node)) {
			p.at(path, timeText)
		}
	}
	if !c.NotBefore.IsZero() && !c.NotAfter.IsZero() && !c.NotBefore.Before(c.NotAfter) {
		p.at(at+".not_after", "is not after not_before: the window would never open")
	}
}

func (p *parser) hook(h *Hook, at string) {
	if h.IsZero() {
		if p.has(at) {
			p.at(at, "has neither command nor url: give one of them, or leave the hook out")
		}
		return
	}
	switch {
	case len(h.Command) > 0 && h.URL != "":
		p.at(at, "has both command and url: keep one of them")
	case len(h.Command) > 0 && h.Command[0] == "":
		p.at(at+".command", "the first word is the program and must not be empty")
	case h.URL != "":
		u, err := url.Parse(h.URL.Reveal())
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			p.at(at+".url", "must be an http:// or https:// URL (not shown, it may hold a secret)")
		} else if envRE.MatchString(h.URL.Reveal()) {
			p.at(at+".url", "${…} is replaced in DSNs alone, and would be sent as it stands: write the URL out, or call a command that knows the secret")
		}
	}
	if h.Timeout <= 0 {
		p.at(at+".timeout", "must be longer than 0: leave it out for 30s")
	}
}

func (p *parser) roles(cfg *Config, execute bool) {
	r := &cfg.Webhook.Roles
	lists := []struct {
		key   string
		names []string
		why   string
	}{
		{"receiver", r.Receiver, "who delivers alerts"},
		{"operator", r.Operator, "who may arm, hold and roll back"},
		{"approver", r.Approver, "who may approve a plan"},
		{"viewer", r.Viewer, "who may look"},
	}
	for _, l := range lists {
		for i, name := range l.names {
			if strings.TrimSpace(name) != name || name == "" {
				p.at(fmt.Sprintf("webhook.roles.%s[%d]", l.key, i), "must be a Basic user or a certificate's SAN, without spaces around it, or \"*\" for any identity")
			}
		}
	}
	if !execute {
		return
	}
	for _, l := range lists[:3] {
		if len(l.names) == 0 && (l.key != "approver" || needsApproval(cfg)) {
			p.at("webhook.roles", "mode: execute needs the role %s: name %s", l.key, l.why)
		}
	}
	for i := range cfg.DAGs {
		c := &cfg.DAGs[i].Cutover
		if c.Mode != ModeExecute || slices.Contains(r.Approver, "*") || len(r.Approver) == 0 {
			continue
		}
		if n := len(slices.Compact(slices.Sorted(slices.Values(r.Approver)))); *c.Approvals > n {
			p.at(fmt.Sprintf("dags[%d].cutover.approvals", i), "%d approvals can never be given by %d approver(s): name more under webhook.roles.approver", *c.Approvals, n)
		} else if *c.Approvals == n && !c.SelfApprove && len(r.Operator) == 1 && slices.Contains(r.Approver, r.Operator[0]) {
			p.at(fmt.Sprintf("dags[%d].cutover.approvals", i), "the only operator is counted among the approvers, and who arms may not approve: name another approver, or set self_approve: true")
		}
	}
}

func needsApproval(cfg *Config) bool {
	for i := range cfg.DAGs {
		if c := &cfg.DAGs[i].Cutover; c.Mode == ModeExecute && *c.Approvals > 0 {
			return true
		}
	}
	return false
}

func (p *parser) oneOf(path, v string, values ...string) {
	if !slices.Contains(values, v) {
		p.at(path, "must be one of %s", strings.Join(values, ", "))
	}
}
