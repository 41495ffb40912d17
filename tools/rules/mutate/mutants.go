package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mutant is one rule with one thing changed.
type mutant struct {
	rule  string   // the rule's name; empty: nothing is changed
	users []string // the rules that its tests speak of
	what  string   // what is changed, unique within the rule
	now   string   // the changed text, to read
	edit  func(*rule)
}

func (m *mutant) id() string { return m.rule + ": " + m.what }

// apply is the mutated rule's group, which holds what it rests on and what rests
// on it: the rules of other groups cannot notice it.
func (m *mutant) apply(f file) file {
	if m.rule == "" {
		return f
	}
	for _, g := range f.Groups {
		out := group{Name: g.Name}
		for _, r := range g.Rules {
			if r.name() == m.rule {
				m.edit(&r)
			}
			out.Rules = append(out.Rules, r)
		}
		if slices.ContainsFunc(g.Rules, func(r rule) bool { return r.name() == m.rule }) {
			return file{Groups: []group{out}}
		}
	}
	return f
}

func (m *mutant) spokenOf(test string) bool {
	return slices.ContainsFunc(m.users, func(u string) bool { return strings.Contains(test, u) })
}

// startAlerts may start a cutover.
var startAlerts = []string{"DAGNearConvergence", "DAGConverged", "DAGSynchronized"}

// matters is whether the rule starts a cutover or wakes somebody.
func (r *rule) matters() bool {
	return slices.Contains(startAlerts, r.Alert) || r.Labels["severity"] == "critical"
}

// mutants lists every mutant of the start alerts, the critical alerts and the
// recording rules that they rest on.
func mutants(f file) []mutant {
	rules := f.all()
	var out []mutant
	for _, r := range rules {
		users := []string{r.Alert}
		if r.Record != "" {
			users = nil
			for _, u := range rules {
				if u.matters() && strings.Contains(u.Expr, r.Record) {
					users = append(users, u.Alert)
				}
			}
		} else if !r.matters() {
			continue
		}
		if len(users) > 0 {
			out = append(out, ofRule(r, users)...)
		}
	}
	return out
}

func ofRule(r rule, users []string) []mutant {
	var out []mutant
	seen := map[string]int{}
	for _, e := range edits(r.Expr) {
		what := fmt.Sprintf("%q to %q", e.old, e.new)
		seen[what]++
		if n := seen[what]; n > 1 {
			what += " (" + strconv.Itoa(n) + ")"
		}
		text := r.Expr[:e.at] + e.new + r.Expr[e.at+len(e.old):]
		out = append(out, mutant{r.name(), users, what, text, func(r *rule) { r.Expr = text }})
	}
	if r.For != "" {
		out = append(out,
			mutant{r.name(), users, "without for", "", func(r *rule) { r.For = "" }},
			mutant{r.name(), users, "for doubled", "", func(r *rule) { r.For = scaled(r.For, 2, 1) }})
	}
	if r.KeepFiringFor != "" {
		out = append(out, mutant{r.name(), users, "without keep_firing_for", "", func(r *rule) { r.KeepFiringFor = "" }})
	}
	return out
}

// edit is one replacement in an expression.
type edit struct {
	at       int
	old, new string
}

// swaps are words and operators that are mistaken for each other.
var swaps = map[string][]string{
	"min": {"max"}, "max": {"min"}, "sum": {"max"}, "count": {"sum"},
	"min_over_time": {"max_over_time"}, "count_over_time": {"max_over_time"}, "last_over_time": {"max_over_time", "min_over_time"},
	"changes": {"resets"}, "and": {"or", "unless"}, "or": {"and"}, "unless": {"and", "or"},
	"==": {"!=", ">=", "<="}, "!=": {"=="}, ">=": {">", "<"}, ">": {">=", "<"}, "<": {"<=", ">"}, "<=": {"<", ">"},
	"-": {"+"}, "/": {"*"},
	// In a matcher.
	"=": {"!="}, "=~": {"!~"},
}

var (
	token    = regexp.MustCompile(`"[^"]*"|\[[^\]]+\]|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9.]+|==|!=|>=|<=|=~|!~|[^\s]`)
	isNumber = regexp.MustCompile(`^[0-9.]+$`)
	isWord   = regexp.MustCompile(`^[a-zA-Z_:]`)
)

// edits lists the replacements that this program knows for an expression.
func edits(expr string) []edit {
	var out []edit
	tokens := token.FindAllStringIndex(expr, -1)
	at := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return ""
		}
		return expr[tokens[i][0]:tokens[i][1]]
	}
	for i, t := range tokens {
		word := at(i)
		replace := func(with ...string) {
			for _, w := range with {
				out = append(out, edit{t[0], word, w})
			}
		}
		replace(swaps[word]...)
		switch {
		case isNumber.MatchString(word):
			n, err := strconv.ParseFloat(word, 64)
			if err != nil {
				continue
			}
			step := 1.0
			if n != float64(int64(n)) {
				step = 0.05
			}
			replace(strconv.FormatFloat(n+step, 'g', 6, 64), strconv.FormatFloat(n-step, 'g', 6, 64))
		case strings.HasPrefix(word, "["):
			d := strings.Trim(word, "[]")
			replace("["+scaled(d, 1, 2)+"]", "["+scaled(d, 2, 1)+"]")
		case strings.HasPrefix(word, `"`):
			out = append(out, withoutAlternative(t[0], word)...)
		case slices.Contains([]string{"without", "on", "ignoring"}, word):
			out = append(out, withoutLabel(expr, t[0])...)
		case word == "{":
			if end := strings.Index(expr[t[0]:], "}"); end > 0 {
				out = append(out, edit{t[0], expr[t[0] : t[0]+end+1], ""})
			}
		case slices.Contains([]string{"and", "unless", "or"}, word) && isWord.MatchString(word):
			end := operandEnd(expr, t[1])
			out = append(out, edit{t[0], strings.TrimRight(expr[t[0]:end], " \n"), ""})
		}
	}
	return out
}

// withoutAlternative takes each alternative of a regexp out.
func withoutAlternative(at int, quoted string) []edit {
	parts := strings.Split(strings.Trim(quoted, `"`), "|")
	if len(parts) < 2 {
		return nil
	}
	var out []edit
	for i := range parts {
		rest := slices.Delete(slices.Clone(parts), i, i+1)
		out = append(out, edit{at, quoted, `"` + strings.Join(rest, "|") + `"`})
	}
	return out
}

// withoutLabel takes each label out of a list such as without (a, b).
func withoutLabel(expr string, at int) []edit {
	open, end := strings.Index(expr[at:], "("), strings.Index(expr[at:], ")")
	if open < 0 || end < open {
		return nil
	}
	old := expr[at : at+end+1]
	labels := strings.Split(expr[at+open+1:at+end], ",")
	var out []edit
	for i := range labels {
		rest := slices.Delete(slices.Clone(labels), i, i+1)
		out = append(out, edit{at, old, old[:open+1] + strings.TrimSpace(strings.Join(rest, ",")) + ")"})
	}
	return out
}

var setOperator = regexp.MustCompile(`^(and|or|unless)\b`)

// operandEnd is where the right operand of a set operator ends: at the next one
// of the same depth, at the bracket that closes around it, or at the end.
func operandEnd(expr string, from int) int {
	depth := 0
	for i := from; i < len(expr); i++ {
		switch c := expr[i]; {
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			if depth--; depth < 0 {
				return i
			}
		case depth == 0 && (expr[i-1] == ' ' || expr[i-1] == '\n') && setOperator.MatchString(expr[i:]):
			return i
		}
	}
	return len(expr)
}

// scaled multiplies a duration of one unit by a fraction.
func scaled(d string, by, of int) string {
	unit := strings.TrimLeft(d, "0123456789")
	n, err := strconv.Atoi(strings.TrimSuffix(d, unit))
	if err != nil {
		return d
	}
	if seconds := map[string]int{"m": 60, "h": 3600, "d": 86400}[unit]; seconds > 0 {
		n, unit = n*seconds, "s"
	}
	return strconv.Itoa(n*by/of) + unit
}
