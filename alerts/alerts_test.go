package alerts

import (
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// startAlerts may start a cutover.
var startAlerts = []string{"DAGNearConvergence", "DAGConverged", "DAGSynchronized"}

type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Alert         string
			Expr          string
			Labels        map[string]string
			Annotations   map[string]string
			KeepFiringFor string `yaml:"keep_firing_for"`
			For           string
		}
	}
}

func shipped(t *testing.T) map[string]map[string]string {
	t.Helper()
	var f ruleFile
	if err := yaml.Unmarshal(Rules, &f); err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			out[r.Alert] = r.Annotations
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: severity, summary and description are wanted", r.Alert)
			}
			class := r.Labels["inhibit_class"]
			if class != "" && (r.Labels["severity"] == "critical" || strings.HasPrefix(r.Alert, "DAGCutover")) {
				t.Errorf("%s: a critical alert, or one of the cutover itself, is never inhibited", r.Alert)
			}
			if slices.Contains(startAlerts, r.Alert) {
				if r.For != "" || r.KeepFiringFor != "" {
					t.Errorf("%s: a start alert has no for and no keep_firing_for: both invent time that nobody saw", r.Alert)
				}
				if !strings.Contains(r.Expr, "source_to_target") {
					t.Errorf("%s: a start alert requires the direction source to target", r.Alert)
				}
			}
		}
	}
	return out
}

// Each alert has one runbook, each runbook its alert, and the alert's link
// leads to it.
func TestAlertsAndRunbooksAreTheSameList(t *testing.T) {
	rules := shipped(t)
	var books []string
	entries, err := fs.ReadDir(Runbooks, "runbooks")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		books = append(books, strings.TrimSuffix(e.Name(), ".md"))
	}
	names := slices.Sorted(maps.Keys(rules))
	if !slices.Equal(names, books) {
		t.Errorf("alerts   %v\nrunbooks %v", names, books)
	}
	for name, annotations := range rules {
		if want := "/runbooks/" + name; annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", name, annotations["runbook_url"], want)
		}
		text, ok := Runbook(name)
		if !ok {
			continue
		}
		for _, section := range []string{"# " + name, "## What it means", "## How to look", "## What to do", "## What never to do"} {
			if !strings.Contains(string(text), section+"\n") {
				t.Errorf("runbooks/%s.md: no section %q", name, section)
			}
		}
	}
}

func TestRunbookUnknown(t *testing.T) {
	if _, ok := Runbook("../rules"); ok {
		t.Error("a path outside the runbooks was served")
	}
}

// What a team relies on: these alerts, with these severities. A page always has
// something to do.
func TestListOfAlerts(t *testing.T) {
	want := map[string]string{}
	for severity, names := range map[string]string{
		"info": "DAGNearConvergence DAGConverged DAGSynchronized DAGMigrationLeftOpen",
		"none": "DAGWatchdog",
		"warning": "DAGSideDown DAGLinkDisconnected DAGDatabaseNotSynchronizing DAGDatabaseSuspended DAGDatabaseMissing DAGSendQueueGrowing DAGRedoQueueGrowing " +
			"DAGConvergenceStalled DAGModeDiffers DAGListenerUrlDiffers DAGSynchronousModeLeftOn DAGEndpointCertificateExpiring DAGClockOffset DAGSeedingFailed " +
			"DAGReadingIncomplete DAGExporterDown DAGSeriesVanished DAGConfigReloadFailed DAGCutoverWebhookDown DAGWebhookDeliveryFailing DAGCutoverAlertsRefused DAGCutoverArmedTooLong DAGCutoverHeldTooLong",
		"critical": "DAGTwoPrimaries DAGBothSecondary DAGSourceLogFilling DAGRequiredSecondariesLeftOn DAGCutoverNeedsHuman DAGCutoverPhaseStuck",
	} {
		for name := range strings.FieldsSeq(names) {
			want[name] = severity
		}
	}
	var f ruleFile
	if err := yaml.Unmarshal(Rules, &f); err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				have[r.Alert] = r.Labels["severity"]
			}
		}
	}
	if !maps.Equal(have, want) {
		t.Errorf("alerts and severities\nhave %v\nwant %v", have, want)
	}
	// What wakes somebody names what to type, or the verb that asks for it.
	for name, severity := range have {
		text, _ := Runbook(name)
		_, todo, _ := strings.Cut(string(text), "## What to do")
		if severity == "critical" && !strings.Contains(todo, "```sql") {
			t.Errorf("%s pages, and its runbook has no statement under What to do", name)
		}
	}
}

// The tests of promtool speak of every alert.
func TestEveryAlertHasATest(t *testing.T) {
	paths, err := fs.Glob(os.DirFS("tests"), "*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no tests", err)
	}
	var all strings.Builder
	for _, p := range paths {
		b, err := os.ReadFile("tests/" + p)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for name := range shipped(t) {
		if !strings.Contains(all.String(), name) {
			t.Errorf("no test of promtool speaks of %s", name)
		}
	}
}
