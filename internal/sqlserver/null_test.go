package sqlserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// NULL in any column that a reading selects: what depends on that column is
// absent, nothing else is lost, nothing becomes 0, and no verdict is better
// than before. All the way: rows, the driver's interface, the reading, both
// sides compared, all collectors. What each column carries stands in nullCases.

// outcome is what came of reading both sides.
type outcome struct {
	refused map[hadr.Side]string            // why a side has no reading
	fields  map[hadr.Side]map[string]string // each reading as paths and values
	series  map[string]string               // series without the namespace, and values
	level   hadr.Level
}

func outcomeOf(t *testing.T, pair map[hadr.Side]tables) outcome {
	t.Helper()
	out := outcome{refused: map[hadr.Side]string{}, fields: map[hadr.Side]map[string]string{}, series: map[string]string{}}
	result := map[hadr.Side]collector.SideResult{}
	for side, rows := range pair {
		r, err := readRows(t, side, rows)
		reason := string(ReasonNone)
		if err != nil {
			var e *Error
			if reason = "connect"; errors.As(err, &e) {
				reason = string(e.Reason)
			}
			out.refused[side] = reason
		}
		result[side] = collector.SideResult{Reading: r, Reason: reason, Duration: time.Second, Verified: hadr.Some(true)}
		out.fields[side] = flat(t, r)
	}
	source, target := result[hadr.Source], result[hadr.Target]
	c := hadr.Compare(source.Reading, target.Reading, hadr.Options{Group: "DAG", Near: hadr.Bounds{LogSendQueue: 64 << 20, RedoQueue: 256 << 20}})
	out.level = c.Level
	var groups, reasons []string
	for _, g := range collector.Groups() {
		groups = append(groups, g.Name)
	}
	for _, r := range Reasons() {
		reasons = append(reasons, string(r))
	}
	all, err := collector.New(collector.Options{Groups: groups, Reasons: reasons}, &collector.Snapshot{DAG: "erp-prod", Source: source, Target: target, Convergence: c})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(all); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Errorf("the scrape fails as a whole: %v", err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "#") {
			i := strings.LastIndexByte(line, ' ')
			out.series[strings.TrimPrefix(line[:i], collector.Namespace+"_")] = strings.TrimSpace(line[i:])
		}
	}
	return out
}

// flat is a reading as paths and values.
func flat(t *testing.T, r *hadr.Reading) map[string]string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				walk(path+"."+k, e)
			}
		case []any:
			for i, e := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), e)
			}
		default:
			out[strings.TrimPrefix(path, ".")] = fmt.Sprint(v)
		}
	}
	walk("", v)
	return out
}

func familyOf(series string) string {
	name, _, _ := strings.Cut(series, "{")
	return name
}

var labelRE = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)

func labelsOf(series string) map[string]string {
	out := map[string]string{}
	for _, m := range labelRE.FindAllStringSubmatch(series, -1) {
		out[m[1]] = m[2]
	}
	return out
}

// verdicts are the families that are always there; their values may fall, and
// nothing else's may change.
var verdicts = []string{"up", "scrape_error", "convergence_state", "convergence_reached", "database_convergence_reached", "direction", "database_position", "database_position_basis"}

// judge compares before and after of NULL in one column; scope are the labels
// that a lost series must have where it has such a label at all.
func (c nullCase) judge(t *testing.T, before, after outcome, scope map[string]string, hit map[string]bool) {
	t.Helper()
	if after.level > before.level {
		t.Errorf("the verdict is better: %s", after.level)
	}
	var lost []string
	for _, s := range slices.Sorted(maps.Keys(before.series)) {
		was, family := before.series[s], familyOf(s)
		now, there := after.series[s]
		switch {
		case !there && slices.Contains(verdicts, family):
			if !c.key { // a database without a name has lost its verdict
				t.Errorf("the verdict %s is absent", s)
			}
		case !there:
			lost = append(lost, s)
			hit["series "+family] = true
			if !slices.Contains(c.series, family) && !slices.Contains(c.changed, family) && !c.key {
				t.Errorf("lost too: %s", s)
			}
			for label, want := range scope {
				if have, has := labelsOf(s)[label]; has && have != want && !c.key {
					t.Errorf("lost beyond its row (%v): %s", scope, s)
				}
			}
		case was == now:
		case strings.HasSuffix(family, "convergence_reached"):
			if now > was {
				t.Errorf("a better verdict: %s is %s, was %s", s, now, was)
			}
		case !slices.Contains(verdicts, family):
			hit["changed "+family] = true
			if !slices.Contains(c.changed, family) {
				t.Errorf("%s is %s, was %s", s, now, was)
			}
		}
	}
	for _, s := range slices.Sorted(maps.Keys(after.series)) {
		if _, there := before.series[s]; !there && !slices.Contains(c.gained, familyOf(s)) && !relabelled(s, after.series[s], lost, before.series) {
			t.Errorf("new: %s %s", s, after.series[s])
		}
	}
}

// relabelled reports that a new series is one that was lost, with the same
// value, and that it differs from it in a label which became empty.
func relabelled(s, value string, lost []string, before map[string]string) bool {
	mine := labelsOf(s)
	empty := 0
	for _, v := range mine {
		if v == "" {
			empty++
		}
	}
	if empty == 0 {
		return false
	}
	if slices.Contains(verdicts, familyOf(s)) || familyOf(s) == "database_present" {
		return mine["database"] == "" // what is said of a database without a name
	}
	return slices.ContainsFunc(lost, func(l string) bool {
		theirs := labelsOf(l)
		for k, v := range mine {
			if v != "" && theirs[k] != v {
				return false
			}
		}
		return familyOf(l) == familyOf(s) && before[l] == value
	})
}

// fieldsLost holds the reading itself to the case: these fields became
// unknown, and no other moved.
func (c nullCase) fieldsLost(t *testing.T, before, after map[string]string, hit map[string]bool) {
	t.Helper()
	for path, was := range before {
		now, there := after[path]
		if now == was && there {
			continue
		}
		name := regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "")
		i := slices.IndexFunc(c.fields, func(f string) bool { return strings.HasSuffix("."+name, "."+f) })
		if i < 0 {
			if !c.key {
				t.Errorf("the reading's %s is %q, was %q", path, now, was)
			}
			continue
		}
		hit["field "+c.fields[i]] = true
		if there && now != "" && now != "<nil>" && now != c.becomes && !c.key {
			t.Errorf("the reading's %s is %q, not unknown", path, now)
		}
	}
}

// scopeOf are the labels of what a row is about.
func scopeOf(part string, side hadr.Side, row tableRow) map[string]string {
	scope := map[string]string{"side": string(side)}
	set := func(label, column string) {
		if v, ok := row[column].(string); ok {
			scope[label] = v
		}
	}
	switch part {
	case "database":
		set("database", "name")
	case "log", "seeding":
		set("database", "database")
	case "row":
		scope["database"] = fmt.Sprintf("db%03d", row["database_id"].(int64)-4)
		set("replica", "replica_server_name")
	case "member":
		set("member", "replica_server_name")
		set("replica", "replica_server_name")
	}
	return scope
}

func TestNullInEveryColumn(t *testing.T) {
	pair := map[hadr.Side]tables{hadr.Source: wholeSide(t, hadr.Source), hadr.Target: wholeSide(t, hadr.Target)}
	before := outcomeOf(t, pair)
	if len(before.refused) > 0 || before.level != hadr.LevelSynchronized {
		t.Fatalf("the complete reading: refused %v, level %s", before.refused, before.level)
	}
	known := map[string]bool{}
	for at, one := range pair[hadr.Source] {
		for _, column := range one.columns {
			name := one.part + "." + column
			known[name] = true
			t.Run(name, func(t *testing.T) {
				c, ok := nullCases[name]
				if !ok {
					t.Fatal("no case says what depends on this column: add one to nullCases")
				}
				hit, worst := map[string]bool{}, hadr.LevelSynchronized
				for _, side := range []hadr.Side{hadr.Source, hadr.Target} {
					for i, row := range pair[side][at].rows {
						was := row[column]
						if was == nil {
							continue // NULL in the complete reading: nothing to lose
						}
						scope := scopeOf(one.part, side, row)
						row[column] = nil
						after := outcomeOf(t, pair)
						row[column] = was
						worst = min(worst, after.level)
						t.Run(fmt.Sprintf("%s row %d", side, i), func(t *testing.T) {
							if reason := after.refused[side]; reason != "" || after.refused[side.Other()] != "" {
								hit["refused "+reason] = true
								if c.refused != reason || after.refused[side.Other()] != "" {
									t.Errorf("refused for %v, want %q", after.refused, c.refused)
								}
								if after.level != hadr.LevelNone {
									t.Errorf("not read, and the verdict is %s", after.level)
								}
								return
							}
							c.judge(t, before, after, scope, hit)
							c.fieldsLost(t, before.fields[side], after.fields[side], hit)
							c.fieldsLost(t, before.fields[side.Other()], after.fields[side.Other()], map[string]bool{})
						})
					}
				}
				if worst != c.worst {
					t.Errorf("the worst verdict is %s, want %s", worst, c.worst)
				}
				c.complete(t, hit)
			})
		}
	}
	for name := range nullCases {
		if !known[name] {
			t.Errorf("%s has a case, and no statement selects it", name)
		}
	}
}

// complete: what a case lists, some row of that column really carries.
func (c nullCase) complete(t *testing.T, hit map[string]bool) {
	t.Helper()
	for kind, list := range map[string][]string{"series": c.series, "changed": c.changed, "field": c.fields} {
		for _, what := range list {
			if !hit[kind+" "+what] {
				t.Errorf("the %s %s does not depend on this column: take it out of the case", kind, what)
			}
		}
	}
	if c.refused != "" && !hit["refused "+c.refused] {
		t.Errorf("no side is refused for %s", c.refused)
	}
}

// The same column NULL in all rows of both sides at once: the scrape stays
// whole, no verdict is better, and no other fact changes.
func TestNullInAWholeColumn(t *testing.T) {
	pair := map[hadr.Side]tables{hadr.Source: wholeSide(t, hadr.Source), hadr.Target: wholeSide(t, hadr.Target)}
	before := outcomeOf(t, pair)
	for at, one := range pair[hadr.Source] {
		for _, column := range one.columns {
			name := one.part + "." + column
			c := nullCases[name]
			t.Run(name, func(t *testing.T) {
				whole := map[hadr.Side]tables{hadr.Source: wholeSide(t, hadr.Source), hadr.Target: wholeSide(t, hadr.Target)}
				for _, side := range []hadr.Side{hadr.Source, hadr.Target} {
					for _, row := range whole[side][at].rows {
						row[column] = nil
					}
				}
				after := outcomeOf(t, whole)
				if len(after.refused) > 0 {
					if after.level != hadr.LevelNone {
						t.Errorf("not read, and the verdict is %s", after.level)
					}
					return
				}
				c.judge(t, before, after, nil, map[string]bool{})
			})
		}
	}
}

// Every column that a statement selects is read by somebody, and nobody reads
// one that is not selected.
func TestEveryColumnIsRead(t *testing.T) {
	for _, one := range wholeSide(t, hadr.Source) {
		fill, ok := fillers[one.part]
		if !ok {
			continue // the probe's three, which learn reads
		}
		row := make([]any, len(one.columns))
		for i, column := range one.columns {
			row[i] = one.rows[0][column]
		}
		c := &columns{}
		for _, v := range row {
			c.row = append(c.row, v)
		}
		if fill(newAnswer(), c); c.err != nil || c.i != len(one.columns) {
			t.Errorf("%s: %d of %d columns are read (%v)", one.part, c.i, len(one.columns), c.err)
		}
	}
}
