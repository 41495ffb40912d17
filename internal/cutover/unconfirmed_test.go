package cutover

import (
	"slices"
	"strings"
	"testing"
)

// TestUnconfirmed: what is named belongs to a step that the plan has, in the
// order of the steps, and what a plan leaves out is not named.
func TestUnconfirmed(t *testing.T) {
	for name, p := range map[string]Plan{
		"cutover":     {UseRequired: true},
		"before 2022": {},
		"drill":       {UseRequired: true, Settings: Settings{Drill: true}},
		"cross":       {Settings: Settings{CrossVersion: true}},
		"one replica": {Source: Endpoint{ReplicaNames: "sqla"}, Target: Endpoint{ReplicaNames: "sqlb,sqlc"}},
	} {
		t.Run(name, func(t *testing.T) {
			var order []string
			for _, s := range p.Steps() {
				order = append(order, s.Number)
			}
			last, text := 0, ""
			for _, u := range p.Unconfirmed() {
				n := slices.Index(order, u.Step)
				if n < last {
					t.Errorf("step %s is not one of the plan, or out of order: %v", u.Step, order)
				}
				last = n
				text += u.Step + ": " + u.Text + "\n"
			}
			for part, want := range map[string]bool{
				"RSSTC=1":              p.UseRequired,
				"newer version":        p.CrossVersion,
				"on the source, whose": name == "one replica",
				"on the target, whose": false,
				"after S3;":            !p.Drill,
				"drill: ":              p.Drill,
				"back: ":               !p.Drill,
				"1: that a session":    true,
			} {
				if strings.Contains(text, part) != want {
					t.Errorf("%q in it is %v:\n%s", part, !want, text)
				}
			}
		})
	}
}
