package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	dsnA = "sqlserver://sa:hunter2-A@sql1:1433?encrypt=strict"
	dsnB = "sqlserver://sa:hunter2-B@sql2:1433?encrypt=strict"
	dsnC = "sqlserver://sa:hunter2-C@sql3?encrypt=true"
)

// minimal is a file that loads; the tests below break it in one place each.
const minimal = `dags:
  - name: erp
    source: {ag: OnPremAG, instances: ["` + dsnA + `"]}
    target: {ag: AzureAG, instances: ["` + dsnB + `"]}
`

const executing = `dags:
  - name: erp
    source: {ag: OnPremAG, instances: ["` + dsnA + `"]}
    target: {ag: AzureAG, instances: ["` + dsnB + `"]}
    databases: [db1, db2]
    cutover:
      mode: execute
      alert_match: {environment: prod}
webhook:
  roles: {receiver: [am], operator: [ops], approver: [lead]}
`

func TestDefaults(t *testing.T) {
	cfg, err := Parse([]byte(minimal), "c.yml")
	if err != nil {
		t.Fatal(err)
	}
	d := cfg.DAGs[0]
	c := d.Cutover
	got := []any{d.Group, d.Lifecycle, d.Near.LogSendQueue, d.Near.RedoQueue, c.Mode, c.StartAt, c.AlertName, c.ProofBasis, *c.Approvals, c.SettleReadings,
		c.AlertLease.D(), c.MaxDuration.D(), c.MaxWriteUnavailable.D(), c.ProofTTL.D(), c.SettleInterval.D(), c.Settle.D(), c.RequireExposure.D(), c.SplitWatch.D(), cfg.Path}
	want := []any{"erp", "migrating", Bytes(64 << 20), Bytes(256 << 20), "dry_run", "caught_up", "DAGConverged", "hardened", 1, 3,
		45 * time.Second, 30 * time.Minute, time.Minute, 10 * time.Second, 250 * time.Millisecond, 2 * time.Minute, 15 * time.Second, 10 * time.Minute, "c.yml"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("default %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if _, err := Parse([]byte(executing), "c.yml"); err != nil {
		t.Errorf("the executing file: %v", err)
	}
	if _, ok := cfg.ByName("erp"); !ok {
		t.Error("ByName does not find erp")
	}
	if _, ok := cfg.ByName("ERP"); ok {
		t.Error("ByName finds a name in another case")
	}
}

func TestAlertNameFollowsStartAt(t *testing.T) {
	for startAt, want := range map[string]string{"near": "DAGNearConvergence", "caught_up": "DAGConverged", "synchronized": "DAGSynchronized"} {
		cfg, err := Parse([]byte(minimal+"    cutover: {start_at: "+startAt+", hooks: {quiesce: {command: [stop]}}}\n"), "c.yml")
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.DAGs[0].Cutover.AlertName; got != want {
			t.Errorf("%s: %s, want %s", startAt, got, want)
		}
		if got := cfg.DAGs[0].Cutover.Hooks.Quiesce.Timeout.D(); got != 30*time.Second {
			t.Errorf("hook timeout %v", got)
		}
	}
}

// cut replaces one part of a file; from must be in it.
func cut(t *testing.T, file, from, to string) string {
	t.Helper()
	if !strings.Contains(file, from) {
		t.Fatalf("%q is not in the file", from)
	}
	return strings.Replace(file, from, to, 1)
}

func TestProblems(t *testing.T) {
	under := func(cutover string) string { return minimal + "    cutover: {" + cutover + "}\n" }
	tests := []struct {
		name, file string
		want       []string // whole lines of the error, in order
	}{
		{"empty", "", []string{"c.yml: the file is empty: give at least one entry under dags"}},
		{"no DAG", "dags: []\n", []string{"c.yml:1: dags: no DAG is configured: give at least one entry under dags"}},
		{"not YAML", "dags: [\n", []string{"c.yml:1: not valid YAML: did not find expected node content"}},
		{"unknown key, near a known one", cut(t, minimal, "instances", "instance"), []string{
			"c.yml:3: unknown key \"instance\": did you mean instances?"}},
		{"unknown key", "dagz: 1\n" + minimal, []string{"c.yml:1: unknown key \"dagz\": did you mean dags?"}},
		{"unknown key of another world", "scrape: 1\n" + minimal, []string{"c.yml:1: unknown key \"scrape\": known here: dags, webhook"}},
		{"key twice", minimal + "    databases: [a]\n    databases: [b]\n", []string{"c.yml:6: key \"databases\" is already given on line 5: keep one of them"}},
		{"two documents", minimal + "---\n" + minimal, []string{"c.yml: holds more than one YAML document (---): use one file for each"}},
		{"name missing", cut(t, minimal, "name: erp", "group: G"), []string{"c.yml:2: dags[0].name: is missing: give each DAG a unique name, it becomes the dag label"}},
		{"name with a slash", cut(t, minimal, "name: erp", "name: a/b"), []string{"c.yml:2: dags[0].name: may hold letters, digits, '.', '_', '-' and spaces, must begin with a letter or digit, at most 128 bytes: the name on SQL Server goes into group"}},
		{"duplicate name", minimal + strings.Replace(strings.TrimPrefix(minimal, "dags:\n"), "erp", "ERP\n    group: other", 1), []string{
			`c.yml:5: dags[1].name: "ERP" is already the name of dags[0]: names are unique, in any case of letters`}},
		{"one group twice", minimal + strings.Replace(strings.TrimPrefix(minimal, "dags:\n"), "erp", "erp2\n    group: ERP", 1), []string{
			`c.yml:6: dags[1].group: "ERP" on sql1:1433 is already watched by dags[0]: give each distributed availability group one entry`}},
		{"no ag", cut(t, minimal, "ag: OnPremAG, ", ""), []string{"c.yml:3: dags[0].source.ag: is missing: name the local availability group of this side"}},
		{"no encrypt", cut(t, minimal, "1433?encrypt=strict", "1433"), []string{
			"c.yml:3: dags[0].source.instances[0]: the DSN of sql1:1433 does not say encrypt: add encrypt=strict, encrypt=true, or, knowing what it means, encrypt=disable"}},
		{"encrypt=maybe", cut(t, minimal, "encrypt=strict", "encrypt=maybe"), []string{"c.yml:3: dags[0].source.instances[0]: encrypt of sql1:1433 must be strict, true, false or disable"}},
		{"encrypt twice", cut(t, minimal, "encrypt=strict", "encrypt=strict&Encrypt=false"), []string{`c.yml:3: dags[0].source.instances[0]: the DSN gives a key twice ("encrypt"): keys ignore case, keep one`}},
		{"not a URL", cut(t, minimal, dsnA, "sqlserver://sa:hunter2-%zz@x"), []string{
			"c.yml:3: dags[0].source.instances[0]: not a URL (not shown, it may hold a password): write sqlserver://user:password@host:1433?encrypt=strict and percent-encode special characters of user and password"}},
		{"ADO string", cut(t, minimal, dsnA, "server=sql1;password=hunter2"), []string{"c.yml:3: dags[0].source.instances[0]: a DSN must be a URL of the form sqlserver://user:password@host:1433?encrypt=strict"}},
		{"no host", cut(t, minimal, dsnA, "sqlserver://sa:hunter2@?encrypt=true"), []string{"c.yml:3: dags[0].source.instances[0]: the DSN names no host: write sqlserver://user:password@host:1433?encrypt=strict"}},
		{"same instance on both sides", cut(t, minimal, dsnB, "sqlserver://other:hunter2@SQL1?encrypt=true"), []string{
			"c.yml:4: dags[0].target.instances[0]: sql1:1433 is also an instance of dags[0].source.instances[0]: source and target must be different instances"}},
		{"same instance, two spellings of this machine", cut(t, cut(t, minimal, "sql1", "127.0.0.1"), "sql2", "localhost"), []string{
			"c.yml:4: dags[0].target.instances[0]: localhost:1433 is also an instance of dags[0].source.instances[0]: source and target must be different instances"}},
		{"same instance twice on one side", cut(t, minimal, dsnB+`"`, dsnB+`", "`+dsnB+`"`), []string{
			"c.yml:4: dags[0].target.instances[1]: sql2:1433 is the same instance as dags[0].target.instances[0]: list each instance once"}},
		{"neither instances nor dsn_file", cut(t, minimal, `, instances: ["`+dsnA+`"]`, ""), []string{
			"c.yml:3: dags[0].source: has no instances: give instances (a list of DSNs) or dsn_file (one DSN a line)"}},
		{"both", cut(t, minimal, "ag: OnPremAG", "ag: OnPremAG, dsn_file: testdata/dsns.txt"), []string{"c.yml:3: dags[0].source.dsn_file: is given beside instances: keep one of them"}},
		{"dsn_file missing", cut(t, minimal, `instances: ["`+dsnA+`"]`, "dsn_file: testdata/none"), []string{
			"c.yml:3: dags[0].source.dsn_file: dsn_file testdata/none cannot be read: no such file or directory"}},
		{"dsn_file bad", cut(t, minimal, `instances: ["`+dsnA+`"]`, "dsn_file: testdata/bad-dsns.txt"), []string{
			"c.yml:3: dags[0].source.dsn_file: testdata/bad-dsns.txt:3: the DSN of sql9:1433 does not say encrypt: add encrypt=strict, encrypt=true, or, knowing what it means, encrypt=disable"}},
		{"dsn_file shares an instance with the other side", cut(t, minimal, `instances: ["`+dsnB+`"]`, "dsn_file: testdata/dsns.txt"), []string{
			"c.yml:4: dags[0].target.dsn_file: sql1:1433 is also an instance of dags[0].source.instances[0]: source and target must be different instances"}},
		{"variable not set", cut(t, minimal, "hunter2-A", "${DAG_TEST_UNSET}"), []string{
			"c.yml:3: dags[0].source.instances[0]: the environment variable DAG_TEST_UNSET is not set: set it for this process, or use dsn_file"}},
		{"lifecycle", minimal + "    lifecycle: done\n", []string{"c.yml:5: dags[0].lifecycle: must be one of migrating, migrated, retired"}},
		{"database twice", minimal + "    databases: [Sales, sales]\n", []string{`c.yml:5: dags[0].databases[1]: "sales" is listed twice`}},
		{"system database", minimal + "    databases: [master]\n", []string{"c.yml:5: dags[0].databases[0]: master cannot be in an availability group: list user databases only"}},
		{"decimal size", minimal + "    near: {redo_queue: 64MB}\n", []string{"c.yml:5: dags[0].near.redo_queue: a size is written as 64MiB, 512KiB, 1GiB or a plain number of bytes"}},
		{"text for a list", minimal + "    databases: hunter2\n", []string{"c.yml:5: dags[0].databases: a list expected here, not text"}},
		{"mode", under("mode: yes_please"), []string{"c.yml:5: dags[0].cutover.mode: must be one of dry_run, execute"}},
		{"start_at", under("start_at: soon"), []string{"c.yml:5: dags[0].cutover.start_at: must be one of near, caught_up, synchronized"}},
		{"near without quiesce", under("start_at: near"), []string{
			"c.yml:5: dags[0].cutover.start_at: near needs hooks.quiesce: without it nothing stops the writers, and the queues never drain; set the hook, or start_at: caught_up"}},
		{"duration without unit", under("alert_lease: 45"), []string{"c.yml:5: dags[0].cutover.alert_lease: a duration is written with its unit: 250ms, 45s, 2m, 1h30m"}},
		{"duration of zero", under("settle: 0s"), []string{"c.yml:5: dags[0].cutover.settle: must be longer than 0: leave it out for the default"}},
		{"settle_readings", under("settle_readings: 1"), []string{"c.yml:5: dags[0].cutover.settle_readings: must be at least 2: one reading cannot show that nothing moves"}},
		{"approvals", under("approvals: -1"), []string{"c.yml:5: dags[0].cutover.approvals: must not be negative: 0 means that nobody has to approve"}},
		{"proof_basis", under("proof_basis: hope"), []string{"c.yml:5: dags[0].cutover.proof_basis: must be one of hardened, end_of_log"}},
		{"empty window entry", under("window: [{}]"), []string{
			"c.yml:5: dags[0].cutover.window[0]: an entry without limits contains every moment: give times, weekdays, days_of_month, months or years, or leave window out"}},
		{"window over midnight", under(`window: [{times: [{start_time: "22:00", end_time: "02:00"}]}]`), []string{
			"c.yml:5: dags[0].cutover.window[0].times[0]: 22:00–02:00 crosses midnight: write two, 22:00–24:00 and 00:00–02:00 (mind weekdays: the second one is the next day)"}},
		{"window time", under(`window: [{times: [{start_time: "9", end_time: "25:00"}]}]`), []string{
			"c.yml:5: dags[0].cutover.window[0].times[0]: start_time and end_time are written as HH:MM, from 00:00 to 24:00"}},
		{"weekday", under(`window: [{weekdays: [caturday]}]`), []string{`c.yml:5: dags[0].cutover.window[0].weekdays[0]: "caturday" is not a weekday: write monday, or a range such as monday:friday`}},
		{"location", under(`window: [{weekdays: [monday], location: Europe/Atlantis}]`), []string{
			`c.yml:5: dags[0].cutover.window[0].location: "Europe/Atlantis" is not a time zone: write a name such as Europe/Berlin, or UTC`}},
		{"time without offset", under("not_before: 2026-11-24 22:00:00"), []string{
			"c.yml:5: dags[0].cutover.not_before: must be a time with its offset, such as 2026-11-24T22:00:00+01:00"}},
		{"times that are none", under("not_before: 2026-11-24T22:00:00, not_after: 'hunter2', alert_lease: 45"), []string{
			"c.yml:5: dags[0].cutover.not_before: must be a time with its offset, such as 2026-11-24T22:00:00+01:00",
			"c.yml:5: dags[0].cutover.not_after: must be a time with its offset, such as 2026-11-24T22:00:00+01:00",
			"c.yml:5: dags[0].cutover.alert_lease: a duration is written with its unit: 250ms, 45s, 2m, 1h30m"}},
		{"a time with an escape", under(`not_before: "hunter\x32"`), []string{
			"c.yml:5: dags[0].cutover.not_before: must be a time with its offset, such as 2026-11-24T22:00:00+01:00"}},
		{"another intent", cut(t, minimal, "encrypt=strict", "encrypt=strict&ApplicationIntent=ReadOnly"), []string{
			"c.yml:3: dags[0].source.instances[0]: the DSN of sql1:1433 asks for another instance by ApplicationIntent: take it out, a reading needs the one that is named"}},
		{"failover partner", cut(t, minimal, "encrypt=strict", "encrypt=strict&FailoverPartner=hunter2"), []string{
			"c.yml:3: dags[0].source.instances[0]: the DSN of sql1:1433 names a failover partner: list the instances of the side instead"}},
		{"dsn_file in UTF-16", cut(t, minimal, `instances: ["`+dsnA+`"]`, "dsn_file: testdata/utf16-dsns.txt"), []string{
			"c.yml:3: dags[0].source.dsn_file: dsn_file testdata/utf16-dsns.txt is not plain text: save it as UTF-8 (Notepad's Unicode and PowerShell's > are UTF-16)"}},
		{"variable in a hook's URL", under("hooks: {after: {url: 'https://x/${hunter2}'}}"), []string{
			"c.yml:5: dags[0].cutover.hooks.after.url: ${…} is replaced in DSNs alone, and would be sent as it stands: write the URL out, or call a command that knows the secret"}},
		{"never open", under("not_before: 2026-11-24T22:00:00Z, not_after: 2026-11-24T21:00:00Z"), []string{
			"c.yml:5: dags[0].cutover.not_after: is not after not_before: the window would never open"}},
		{"hook with both", under("hooks: {quiesce: {command: [a], url: 'https://x/hunter2'}}"), []string{"c.yml:5: dags[0].cutover.hooks.quiesce: has both command and url: keep one of them"}},
		{"hook with nothing", under("hooks: {after: {timeout: 3s}}"), []string{"c.yml:5: dags[0].cutover.hooks.after: has neither command nor url: give one of them, or leave the hook out"}},
		{"hook URL", under("hooks: {after: {url: 'ftp://hunter2'}}"), []string{"c.yml:5: dags[0].cutover.hooks.after.url: must be an http:// or https:// URL (not shown, it may hold a secret)"}},
		{"alert_match on dag", under("alert_match: {dag: erp}"), []string{"c.yml:5: dags[0].cutover.alert_match: dag is matched anyway: name another label, such as environment"}},
		{"alert_match empty", under("alert_match: {environment: ''}"), []string{"c.yml:5: dags[0].cutover.alert_match.environment: an empty value would match alerts without the label: give the value"}},
		{"execute without anything", under("mode: execute"), []string{
			"c.yml:5: dags[0].cutover.alert_match: mode: execute needs at least one label that an alert must carry, such as {environment: prod}",
			"c.yml:2: dags[0].databases: mode: execute needs the databases written out: a run must know what it moves; list them (cutover_webhook plan shows what the source holds)",
			"c.yml:1: webhook.roles: mode: execute needs the role receiver: name who delivers alerts",
			"c.yml:1: webhook.roles: mode: execute needs the role operator: name who may arm, hold and roll back",
			"c.yml:1: webhook.roles: mode: execute needs the role approver: name who may approve a plan"}},
		{"approvals that cannot be given", cut(t, executing, "mode: execute", "mode: execute\n      approvals: 2"), []string{
			"c.yml:8: dags[0].cutover.approvals: 2 approvals can never be given by 1 approver(s): name more under webhook.roles.approver"}},
		{"the only approver is the only operator", cut(t, executing, "[lead]", "[ops]"), []string{
			"c.yml:7: dags[0].cutover.approvals: the only operator is counted among the approvers, and who arms may not approve: name another approver, or set self_approve: true"}},
		{"role with a space", cut(t, executing, "[am]", "[' am']"), []string{`c.yml:10: webhook.roles.receiver[0]: must be a Basic user or a certificate's SAN, without spaces around it, or "*" for any identity`}},
		{"several at once", cut(t, cut(t, minimal, "ag: OnPremAG", "ag: ''"), "1433?encrypt=strict\"]}\n    target", "1433\"]}\n    lifecycle: x\n    target"), []string{
			"c.yml:3: dags[0].source.ag: is missing: name the local availability group of this side",
			"c.yml:3: dags[0].source.instances[0]: the DSN of sql1:1433 does not say encrypt: add encrypt=strict, encrypt=true, or, knowing what it means, encrypt=disable",
			"c.yml:4: dags[0].lifecycle: must be one of migrating, migrated, retired"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.file), "c.yml")
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("no *Error: %v", err)
			}
			got := strings.Split(err.Error(), "\n")
			for _, w := range tt.want {
				found := false
				for _, g := range got {
					found = found || g == w
				}
				if !found {
					t.Errorf("missing %s\ngot %s", w, strings.Join(got, "\n    "))
				}
			}
			if tt.name != "unknown key, near a known one" && tt.name != "same instance, two spellings of this machine" && len(got) != len(tt.want) {
				t.Errorf("%d problems, want %d:\n%s", len(got), len(tt.want), err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

// A password in a place where it does not belong must not come back in an error.
func TestSecretsNeverInErrors(t *testing.T) {
	for _, file := range []string{
		"dags: 'hunter2'\n",
		"dags: [hunter2]\n",
		"dags:\n - name: erp\n   source:\n     sqlserver://sa:hunter2@h?encrypt=true:\n",
		"dags:\n - name: erp\n   source: sqlserver://sa:hunter2@h\n",
		"dags:\n - name: erp\n   source: {instances: {a: 'hunter2'}}\n",
		"dags:\n - name: erp\n   source: {instances: *hunter2}\n",
		"dags:\n - name: erp\n   source: {instances: [!!int hunter2]}\n",
		"dags:\n - name: erp\n   source: {instances: [!!binary hunter2]}\n",
		"dags:\n - name: erp\n   near: {redo_queue: 'hunter2'}\n   cutover: {alert_lease: hunter2, not_before: hunter2}\n",
		"dags:\n - name: erp\n   source: {instances: ['sqlserver://sa:hunter2@h:1x?encrypt=true']}\n",
		"dags:\n - name: erp\n   source: {instances: ['sqlserver://sa:p@h?pass;hunter2']}\n",
		"dags:\n - name: erp\n   source: {instances: ['${hunter2:-x}']}\n",
		"? [hunter2, b]\n: 1\n",
	} {
		_, err := Parse([]byte(file), "c.yml")
		if err == nil {
			t.Errorf("no error for %q", file)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the secret is in %v", err)
		}
	}
}

// Every way to log in that docs/config.md lists is a DSN that the file accepts,
// and nothing of it comes back in an error, a dump or a log line.
func TestDocumentedLogins(t *testing.T) {
	doc, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "| how | DSN | tried |")
	if !ok {
		t.Fatal("docs/config.md has no table of logins")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	n := 0
	for row := range strings.Lines(table) {
		_, rest, ok := strings.Cut(row, "`sqlserver://")
		if !ok {
			continue
		}
		n++
		dsn, _, _ := strings.Cut(rest, "`")
		dsn = "sqlserver://" + strings.NewReplacer("PASSWORD", "hunter2", "SECRET", "hunter2").Replace(dsn) + "&clientassertion=hunter2"
		cfg, err := Parse([]byte(strings.Replace(minimal, dsnA, dsn, 1)), "c.yml")
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		got, err := cfg.DAGs[0].Source.DSNs()
		if err != nil || len(got) != 1 || got[0] != dsn {
			t.Errorf("%s: %v, %v", dsn, got, err)
		}
		if text := fmt.Sprintf("%v %+v %#v %s", cfg.DAGs[0].Source, cfg.DAGs[0].Source, cfg.DAGs[0].Source, cfg.DAGs[0].Source.Instances); strings.Contains(text, "hunter2") {
			t.Errorf("the secret is in %q", text)
		}
		_, err = Parse([]byte(strings.Replace(minimal, dsnA, strings.Replace(dsn, "encrypt=", "encrypt=hunter2", 1), 1)), "c.yml")
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	if n < 6 {
		t.Errorf("only %d logins in the table", n)
	}
}

func TestExpandEnv(t *testing.T) {
	t.Setenv("DAG_TEST_PW", "p@ss/w?rd&x=%;")
	t.Setenv("DAG_TEST_HOST", "sql1:1433")
	t.Setenv("DAG_TEST_DSN", dsnA)
	for in, want := range map[string]string{
		"${DAG_TEST_DSN}": dsnA,
		"sqlserver://sa:${DAG_TEST_PW}@${DAG_TEST_HOST}?encrypt=true":                  "sqlserver://sa:p%40ss%2Fw%3Frd%26x%3D%25%3B@sql1:1433?encrypt=true",
		"sqlserver://${DAG_TEST_HOST}?user id=sa&password=${DAG_TEST_PW}&encrypt=true": "sqlserver://sql1:1433?user id=sa&password=p%40ss%2Fw%3Frd%26x%3D%25%3B&encrypt=true",
		"$DAG_TEST_PW": "$DAG_TEST_PW",
	} {
		got, err := expandEnv(in, "")
		if err != nil || got != want {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
	// Nothing but DSNs expands.
	cfg, err := Parse([]byte(cut(t, minimal, "name: erp", "name: erp\n    group: '${DAG_TEST_HOST}'")), "c.yml")
	if err != nil || cfg.DAGs[0].Group != "${DAG_TEST_HOST}" {
		t.Errorf("group expanded: %v %v", cfg, err)
	}
}

func TestDSNFileIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "dsns")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# nodes\n" + dsnA + "\r\n\n" + dsnC + "\n")
	yml := filepath.Join(dir, "c.yml")
	if err := os.WriteFile(yml, []byte(cut(t, minimal, `instances: ["`+dsnA+`"]`, "dsn_file: dsns")), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(yml)
	if err != nil {
		t.Fatal(err)
	}
	got, err := cfg.DAGs[0].Source.DSNs()
	if err != nil || len(got) != 2 || got[0] != dsnA || got[1] != dsnC {
		t.Fatalf("%v %v", got, err)
	}
	write(strings.Replace(dsnA, "hunter2-A", "rotated", 1))
	if got, err = cfg.DAGs[0].Source.DSNs(); err != nil || len(got) != 1 || !strings.Contains(got[0], "rotated") {
		t.Fatalf("after the rotation: %v %v", got, err)
	}
	write("sqlserver://sa:hunter2@sql1\n")
	if _, err = cfg.DAGs[0].Source.DSNs(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), ":1: the DSN of sql1:1433 does not say encrypt") {
		t.Errorf("bad line: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err = cfg.DAGs[0].Source.DSNs(); err == nil {
		t.Error("no error without the file")
	}
}

func TestInstanceName(t *testing.T) {
	for dsn, want := range map[string]string{
		"sqlserver://sa:x@SQL1?encrypt=true":      "sql1:1433",
		"sqlserver://sa:x@SQL1:1500?encrypt=true": "sql1:1500",
		"sqlserver://sa:x@sql1/INST2":             `sql1\inst2`,
		"sqlserver://sa:x@sql1:1500/INST2":        "sql1:1500",
		"sqlserver://[fe80::1]:1433":              "[fe80::1]:1433",
		"server=sql1":                             "",
		"sqlserver://%zz":                         "",
	} {
		if got := InstanceName(dsn); got != want {
			t.Errorf("%s: %q, want %q", dsn, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[string]Bytes{"64MiB": 64 << 20, "0": 0, "10": 10, "5B": 5, "1 GiB": 1 << 30, "8388607TiB": 8388607 << 40} {
		if got, err := ParseBytes(in); err != nil || got != want {
			t.Errorf("%s: %d %v", in, got, err)
		}
	}
	for _, in := range []string{"", "-1", "1.5MiB", "64MB", "9999999TiB", "MiB", "99999999999999999999"} {
		if got, err := ParseBytes(in); err == nil {
			t.Errorf("%s: taken as %d", in, got)
		}
	}
	if s := Bytes(64 << 20).String(); s != "64MiB" {
		t.Error(s)
	}
}

func TestMergeKeys(t *testing.T) {
	file := `dags:
  - &base
    name: a
    group: G1
    source: {ag: A, instances: ["` + dsnA + `"]}
    target: {ag: B, instances: ["` + dsnB + `"]}
    cutover: &cut {settle_readings: 5, near: 1}
  - <<: *base
    name: b
    group: G2
`
	_, err := Parse([]byte(file), "c.yml")
	if err == nil || !strings.HasPrefix(err.Error(), `c.yml:7: unknown key "near"`) {
		t.Fatal(err)
	}
	cfg, err := Parse([]byte(strings.Replace(file, ", near: 1", "", 1)), "c.yml")
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.DAGs[1]; got.Name != "b" || got.Cutover.SettleReadings != 5 {
		t.Errorf("%+v", got)
	}
}
