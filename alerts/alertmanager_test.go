package alerts

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Inhibition is by list, and the list is that of the rules: each alert of the
// class replication that a side being down explains, none that is critical and
// none of the cutover.
func TestInhibitionIsByListAndNeverOfACriticalAlert(t *testing.T) {
	b, err := os.ReadFile("alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Inhibit []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
			Equal  []string
		} `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	var rules ruleFile
	if err := yaml.Unmarshal(Rules, &rules); err != nil {
		t.Fatal(err)
	}
	class := map[string]string{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			class[r.Alert] = r.Labels["severity"] + "/" + r.Labels["inhibit_class"]
		}
	}
	list := regexp.MustCompile(`^alertname =~ "([A-Za-z|]+)"$`)
	inhibited := map[string]bool{}
	for i, r := range config.Inhibit {
		if !slices.Contains(r.Target, `severity != "critical"`) || !slices.Contains(r.Equal, "dag") {
			t.Errorf("inhibit rule %d: never a critical alert, and only of the same DAG", i)
		}
		var names []string
		for _, m := range r.Target {
			if found := list.FindStringSubmatch(m); found != nil {
				names = strings.Split(found[1], "|")
			}
		}
		if names == nil {
			t.Errorf("inhibit rule %d has no list of alertnames", i)
		}
		for _, n := range names {
			inhibited[n] = true
			if class[n] != "warning/replication" {
				t.Errorf("inhibit rule %d: %s is %q, want a warning of the class replication", i, n, class[n])
			}
		}
	}
	for n, c := range class {
		if strings.HasSuffix(c, "/replication") && !inhibited[n] {
			t.Errorf("%s has the class replication and is in no inhibit rule", n)
		}
	}
}
