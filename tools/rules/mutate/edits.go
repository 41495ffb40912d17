package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// edit is an expression with one thing changed.
type edit struct {
	what string // what is changed, as the list of the equivalent ones names it
	text string // the whole expression
}

// mutator walks a parsed expression, changes one thing, prints it, and changes
// it back.
type mutator struct {
	tree parser.Expr
	seen map[string]bool // expressions that are there already
	out  []edit
	err  error
}

// edits lists the mutants of an expression. Each parses and is different from
// the expression and from each other.
func edits(expr string) ([]edit, error) {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, err
	}
	m := &mutator{tree: tree}
	m.seen = map[string]bool{m.tree.String(): true}
	m.visit(&m.tree)
	return m.out, m.err
}

// emit keeps the tree as it is now, if it is an expression that is new.
func (m *mutator) emit(format string, args ...any) {
	text := m.tree.String()
	if m.seen[text] {
		return
	}
	m.seen[text] = true
	if _, err := parser.NewParser(parser.Options{}).ParseExpr(text); err != nil {
		return // a type that does not fit there: Prometheus refuses it at start
	}
	m.out = append(m.out, edit{fmt.Sprintf(format, args...), text})
}

// with puts another expression into a slot for the time of one emit. It is put
// in brackets, so that what is printed is what was meant.
func (m *mutator) with(slot *parser.Expr, e parser.Expr, format string, args ...any) {
	old := *slot
	if _, ok := e.(*parser.BinaryExpr); ok {
		e = &parser.ParenExpr{Expr: e}
	}
	*slot = e
	m.emit(format, args...)
	*slot = old
}

// set changes a value for the time of one emit.
func set[T any](m *mutator, at *T, to T, format string, args ...any) {
	old := *at
	*at = to
	m.emit(format, args...)
	*at = old
}

func (m *mutator) visit(slot *parser.Expr) {
	switch n := (*slot).(type) {
	case *parser.BinaryExpr:
		m.visit(&n.LHS)
		m.binary(slot, n)
		m.visit(&n.RHS)
	case *parser.AggregateExpr:
		m.aggregate(slot, n)
		m.visit(&n.Expr)
	case *parser.Call:
		m.call(n)
		for i := range n.Args {
			m.visit(&n.Args[i])
		}
	case *parser.ParenExpr:
		m.visit(&n.Expr)
	case *parser.UnaryExpr:
		m.with(slot, n.Expr, "without %q", n.Op)
		m.visit(&n.Expr)
	case *parser.MatrixSelector:
		m.window(n)
		m.visit(&n.VectorSelector)
	case *parser.VectorSelector:
		m.selector(n)
	case *parser.NumberLiteral:
		m.number(n)
	case *parser.StringLiteral:
	default:
		m.err = fmt.Errorf("%T is not known to this program, so that nothing in it is mutated: %s", n, n)
	}
}

var operators = map[parser.ItemType][]parser.ItemType{
	parser.LAND: {parser.LOR, parser.LUNLESS}, parser.LOR: {parser.LAND, parser.LUNLESS}, parser.LUNLESS: {parser.LAND, parser.LOR},
	parser.EQLC: {parser.NEQ, parser.GTE, parser.LTE}, parser.NEQ: {parser.EQLC},
	parser.GTE: {parser.GTR, parser.LTE, parser.LSS}, parser.GTR: {parser.GTE, parser.LSS, parser.LTE},
	parser.LSS: {parser.LTE, parser.GTR, parser.GTE}, parser.LTE: {parser.LSS, parser.GTE, parser.GTR},
	parser.ADD: {parser.SUB}, parser.SUB: {parser.ADD}, parser.MUL: {parser.DIV}, parser.DIV: {parser.MUL},
}

func (m *mutator) binary(slot *parser.Expr, n *parser.BinaryExpr) {
	name := n.Op.String()
	for _, op := range operators[n.Op] {
		changed := *n
		changed.Op = op
		if op.IsSetOperator() {
			changed.ReturnBool = false
		}
		m.with(slot, &changed, "%q to %q", name, op.String())
	}
	// Without either operand: a condition that nobody checks, or an alternative
	// that nobody needs.
	m.with(slot, n.LHS, "without %q and its right side", name)
	if n.Op.IsSetOperator() {
		m.with(slot, n.RHS, "without %q and its left side", name)
	}
	v := n.VectorMatching
	if v == nil {
		return
	}
	kind := "ignoring"
	if v.On {
		kind = "on"
	}
	for i, l := range v.MatchingLabels {
		set(m, &v.MatchingLabels, slices.Delete(slices.Clone(v.MatchingLabels), i, i+1), "%s without %s", kind, l)
	}
	if v.On {
		changed := *v
		changed.On, changed.MatchingLabels = false, nil
		set(m, &n.VectorMatching, &changed, "on every label")
	}
	if len(v.MatchingLabels) > 0 {
		set(m, &v.On, !v.On, "%s negated", kind)
	}
}

var aggregations = map[parser.ItemType][]parser.ItemType{
	parser.MIN: {parser.MAX, parser.SUM}, parser.MAX: {parser.MIN, parser.SUM}, parser.SUM: {parser.MAX, parser.MIN, parser.COUNT}, parser.COUNT: {parser.SUM, parser.GROUP},
	parser.AVG: {parser.MIN, parser.MAX}, parser.GROUP: {parser.COUNT},
}

func (m *mutator) aggregate(slot *parser.Expr, n *parser.AggregateExpr) {
	if _, ok := aggregations[n.Op]; !ok {
		m.err = fmt.Errorf("the aggregation %s is not known to this program", n.Op)
	}
	for _, op := range aggregations[n.Op] {
		set(m, &n.Op, op, "%q to %q", n.Op.String(), op.String())
	}
	m.with(slot, n.Expr, "without %q", n.Op.String())
	for i, l := range n.Grouping {
		set(m, &n.Grouping, slices.Delete(slices.Clone(n.Grouping), i, i+1), "%s keeps %s", n.Op.String(), l)
	}
	if n.Without {
		set(m, &n.Grouping, append(slices.Clone(n.Grouping), "dag"), "%s loses dag", n.Op.String())
		set(m, &n.Grouping, append(slices.Clone(n.Grouping), "job"), "%s loses job", n.Op.String())
		set(m, &n.Without, false, "%s by its labels", n.Op.String())
	}
}

var functions = map[string][]string{
	"min_over_time": {"max_over_time", "last_over_time"}, "max_over_time": {"min_over_time"}, "count_over_time": {"sum_over_time", "max_over_time"},
	"last_over_time": {"max_over_time", "min_over_time"}, "changes": {"resets", "count_over_time"},
	"increase": {"resets"}, "rate": {"deriv"}, "deriv": {"rate"}, "time": nil, "abs": nil, "absent": nil, "vector": nil,
}

func (m *mutator) call(n *parser.Call) {
	others, ok := functions[n.Func.Name]
	if !ok {
		m.err = fmt.Errorf("the function %s is not known to this program", n.Func.Name)
	}
	for _, other := range others {
		f, ok := parser.Functions[other]
		if !ok {
			m.err = fmt.Errorf("there is no function %s", other)
			continue
		}
		set(m, &n.Func, f, "%q to %q", n.Func.Name, other)
	}
}

func (m *mutator) window(n *parser.MatrixSelector) {
	others := []time.Duration{n.Range / 2, n.Range * 2}
	if n.Range <= time.Minute {
		// One sample less or more counts where five are wanted.
		others = append(others, n.Range-5*time.Second, n.Range+5*time.Second)
	}
	for _, d := range others {
		set(m, &n.Range, d, "[%s] to [%s]", promDuration(n.Range), promDuration(d))
	}
}

func (m *mutator) selector(n *parser.VectorSelector) {
	set(m, &n.OriginalOffset, n.OriginalOffset+30*time.Second, "%s offset 30s", n.Name)
	for i, l := range n.LabelMatchers {
		if l.Name == model.MetricNameLabel {
			continue
		}
		set(m, &n.LabelMatchers, slices.Delete(slices.Clone(n.LabelMatchers), i, i+1), "without {%s}", l)
		change := func(t labels.MatchType, value string, format string, args ...any) {
			changed, err := labels.NewMatcher(t, l.Name, value)
			if err != nil {
				m.err = err
				return
			}
			set(m, &n.LabelMatchers[i], changed, format, args...)
		}
		opposite := map[labels.MatchType]labels.MatchType{
			labels.MatchEqual: labels.MatchNotEqual, labels.MatchNotEqual: labels.MatchEqual,
			labels.MatchRegexp: labels.MatchNotRegexp, labels.MatchNotRegexp: labels.MatchRegexp,
		}[l.Type]
		change(opposite, l.Value, "{%s} negated", l)
		if l.Type != labels.MatchRegexp {
			continue
		}
		alternatives := strings.Split(l.Value, "|")
		for j, a := range alternatives {
			if len(alternatives) > 1 {
				change(l.Type, strings.Join(slices.Delete(slices.Clone(alternatives), j, j+1), "|"), "{%s=~…} without %s", l.Name, a)
			}
		}
	}
}

func (m *mutator) number(n *parser.NumberLiteral) {
	step := 1.0
	if n.Val != float64(int64(n.Val)) {
		step = 0.01
	}
	for _, v := range []float64{n.Val + step, n.Val - step} {
		v, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 9, 64), 64) // 0.81 and not 0.8100000000000001
		if err != nil {
			m.err = err
			return
		}
		set(m, &n.Val, v, "%v to %v", n.Val, v)
	}
}
