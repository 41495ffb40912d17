package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

func TestEdits(t *testing.T) {
	const expr = `max without (pod) (a{x="1",y=~"p|q"}) >= 5 and on (job) changes(b[30s]) > 0 unless c == 1`
	all, err := edits(expr)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range all {
		have = append(have, e.text)
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(e.text); err != nil {
			t.Errorf("%s: %v", e.text, err)
		}
	}
	for _, want := range []string{
		`max without (pod) (a{x="1",y=~"p|q"}) >= 6 and on (job) changes(b[30s]) > 0 unless c == 1`,
		`max without (pod) (a{x="1",y=~"p|q"}) >= 4 and on (job) changes(b[30s]) > 0 unless c == 1`,
		`(max without (pod) (a{x="1",y=~"p|q"}) < 5) and on (job) changes(b[30s]) > 0 unless c == 1`,
		`(max without (pod) (a{x="1",y=~"p|q"}) >= 5 or on (job) changes(b[30s]) > 0) unless c == 1`,
		`max without (pod) (a{x="1",y=~"p|q"}) >= 5 and on (job) changes(b[15s]) > 0 unless c == 1`,
		`max without (pod) (a{x="1",y=~"p|q"}) >= 5 and on (job) changes(b[30s] offset 30s) > 0 unless c == 1`,
		`max without (pod) (a{x="1",y=~"p|q"}) >= 5 and on () changes(b[30s]) > 0 unless c == 1`,
		`max without (pod) (a{y=~"p|q"}) >= 5 and on (job) changes(b[30s]) > 0 unless c == 1`,
		`max without (pod) (a{x!="1",y=~"p|q"}) >= 5 and on (job) changes(b[30s]) > 0 unless c == 1`,
		`max without (pod) (a{x="1",y=~"q"}) >= 5 and on (job) changes(b[30s]) > 0 unless c == 1`,
		`min without (pod) (a{x="1",y=~"p|q"}) >= 5 and on (job) changes(b[30s]) > 0 unless c == 1`,
		`max without () (a{x="1",y=~"p|q"}) >= 5 and on (job) changes(b[30s]) > 0 unless c == 1`,
		`(max without (pod) (a{x="1",y=~"p|q"}) >= 5 and on (job) changes(b[30s]) > 0)`,
	} {
		if !slices.Contains(have, want) {
			t.Errorf("no mutant %s", want)
		}
	}
	if slices.Contains(have, expr) {
		t.Error("the expression itself is a mutant")
	}
	if again := slices.Compact(slices.Sorted(slices.Values(have))); len(again) != len(have) {
		t.Error("a mutant is there twice")
	}
	if _, err := edits(`quantile(0.9, a)`); err == nil {
		t.Error("what this program does not know goes by without a word")
	}
}

// A survivor must be listed, and the list holds nothing else.
func TestReport(t *testing.T) {
	m := mutant{rule: "A", what: "x"}
	for _, c := range []struct {
		result verdict
		listed map[string]string
		want   string
	}{
		{survived, nil, "survived: A: x"},
		{survived, map[string]string{"A: x": "why"}, ""},
		{killed, map[string]string{"A: x": "why"}, "listed as equivalent, and is not"},
		{killed, map[string]string{"A: y": "why"}, "there is no such mutant"},
		{killed, nil, ""},
	} {
		err := report([]mutant{m}, []verdict{c.result}, c.listed, false)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%v %v: %v", c.result, c.listed, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v %v: %v, want %s", c.result, c.listed, err, c.want)
		}
	}
}

// A record that an alert rests on by way of another one is its own too: the
// alert's tests are run over the mutants of both.
func TestUsersOf(t *testing.T) {
	critical := map[string]string{"severity": "critical"}
	rules := []rule{
		{Record: "a:up:max", Expr: "max(up)"}, {Record: "b:role:last", Expr: "role unless a:up:max == 1"},
		{Alert: "Pages", Expr: "b:role:last == 0", Labels: critical}, {Alert: "Warns", Expr: "a:up:max == 0", Labels: map[string]string{"severity": "warning"}},
	}
	if have := usersOf(rules, "a:up:max"); !slices.Equal(have, []string{"Pages"}) {
		t.Errorf("users %v, want Pages", have)
	}
	m := mutant{rule: "a:up:max", edit: func(r *rule) { r.Expr = "min(up)" }}
	if have := m.apply(file{Groups: []group{{Rules: rules}}}).all(); len(have) != 3 || have[0].Expr != "min(up)" {
		t.Errorf("the mutated group is %v", have)
	}
}
