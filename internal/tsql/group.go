package tsql

import (
	"fmt"
	"math"
	"math/big"
	"strings"
)

// grouping is the state of compiling and running GROUP BY. After it, a level's row is one row: the keys, then the aggregates.
type grouping struct {
	keys  []cx
	colls []collation
	canon []string
	src   []int // where a key is a plain column: its source and column, else -1
	col   []int
	aggs  []*aggregate
}

type aggregate struct {
	arg      valueFn // nil for COUNT(*)
	sep      valueFn
	order    []sortKey
	distinct bool
	coll     collation
	label    label
	fresh    func() aggState
}

type aggState interface {
	add(v any)
	result() any
}

func (c *compiler) newGrouping(list []expr) *grouping {
	g := &grouping{}
	c.sc.where = "GROUP BY"
	for i, x := range list {
		if hasAggregate(x) {
			failCompile(c.x.line, 144, 15, 1, "Cannot use an aggregate or a subquery in an expression used for the group by list of a GROUP BY clause.")
		}
		k := c.comp(x)
		if k.konst {
			failCompile(c.x.line, 164, 15, 1, "Each GROUP BY expression must contain at least one column that is not an outer reference.")
		}
		c.named(k.lab(), "GROUP BY", i+2) // SQL Server counts a column before the keys
		src, col := -1, -1
		if ce, ok := x.(*colExpr); ok {
			if s, n, found := c.sc.find(c.x.s.names, ce.parts); found {
				src, col = s, n
			}
		}
		g.keys, g.colls = append(g.keys, k), append(g.colls, c.rules(k.lab(), k.t))
		g.canon = append(g.canon, c.canon(x))
		g.src, g.col = append(g.src, src), append(g.col, col)
	}
	return g
}

// match finds an expression that is a GROUP BY key as a whole.
func (g *grouping) match(c *compiler, x expr) (cx, bool) {
	switch x.(type) {
	case *litExpr, *varExpr, *globalExpr, *colExpr:
		return cx{}, false
	}
	if len(g.keys) == 0 {
		return cx{}, false
	}
	canon := c.canon(x)
	for i, k := range g.canon {
		if k == canon {
			return cx{f: accessor(0, 0, i), t: g.keys[i].t, null: g.keys[i].null, label: g.keys[i].label}, true
		}
	}
	return cx{}, false
}

// columnIndex gives the slot of a plain column in the group's row, or fails with 8120 and its kin.
func (g *grouping) columnIndex(c *compiler, sc *scope, src, col int, e *colExpr) int {
	for i := range g.keys {
		if g.src[i] == src && g.col[i] == col {
			return i
		}
	}
	name := sc.srcs[src].shown() + "." + sc.srcs[src].cols[col].Name
	number, clause := int32(8120), "select list"
	switch sc.where {
	case "HAVING":
		number, clause = 8121, "HAVING clause"
	case "ORDER BY":
		number, clause = 8127, "ORDER BY clause"
		failCompile(c.line(e.line), number, 16, 1, "Column \"%s\" is invalid in the %s because it is not contained in either an aggregate function or the GROUP BY clause.", name, clause)
	}
	failCompile(c.line(e.line), number, 16, 1, "Column '%s' is invalid in the %s because it is not contained in either an aggregate function or the GROUP BY clause.", name, clause)
	return 0
}

type groupRow struct {
	keys   []any
	states []aggState
	seen   []map[any]bool
}

func (g *grouping) newRow(keys []any) *groupRow {
	r := &groupRow{keys: keys, states: make([]aggState, len(g.aggs)), seen: make([]map[any]bool, len(g.aggs))}
	for i, a := range g.aggs {
		r.states[i] = a.fresh()
		if a.distinct {
			r.seen[i] = map[any]bool{}
		}
	}
	return r
}

func (g *grouping) run(x *run, e *env, rows func(func() bool) bool, having predFn, next func() bool) bool {
	index := map[any]*groupRow{}
	var list []*groupRow
	if len(g.keys) == 0 {
		r := g.newRow(nil)
		index[rowKey(nil, nil)] = r
		list = append(list, r)
	}
	rows(func() bool {
		x.tick(1)
		keys := make([]any, len(g.keys))
		for i, k := range g.keys {
			keys[i] = k.f(e)
		}
		h := rowKey(keys, g.colls)
		r := index[h]
		if r == nil {
			r = g.newRow(keys)
			index[h] = r
			list = append(list, r)
		}
		for i, a := range g.aggs {
			a.feed(e, r.states[i], r.seen[i])
		}
		return true
	})
	for _, r := range list {
		row := make([]any, len(g.keys)+len(g.aggs))
		copy(row, r.keys)
		for i, s := range r.states {
			row[len(g.keys)+i] = s.result()
		}
		e.rows[0] = row
		if having != nil && having(e) != yes {
			continue
		}
		if !next() {
			return false
		}
	}
	return true
}

// feed gives one row to an aggregate's state.
func (a *aggregate) feed(e *env, st aggState, seen map[any]bool) {
	if a.arg == nil {
		st.add(true)
		return
	}
	v := a.arg(e)
	if v == nil {
		return
	}
	if seen != nil {
		k := hashKey(v, a.coll)
		if seen[k] {
			return
		}
		seen[k] = true
	}
	if sa, ok := st.(*stringAgg); ok {
		keys := make([]any, len(a.order))
		for i, k := range a.order {
			keys[i] = k.f(e)
		}
		sep, _ := a.sep(e).(string)
		sa.push(v.(string), sep, keys)
		return
	}
	st.add(v)
}

var aggregateNames = map[string]bool{"COUNT": true, "COUNT_BIG": true, "SUM": true, "MIN": true, "MAX": true, "AVG": true, "STRING_AGG": true, "STDEV": true, "STDEVP": true, "VAR": true, "VARP": true,
	"CHECKSUM_AGG": true, "GROUPING": true, "GROUPING_ID": true, "APPROX_COUNT_DISTINCT": true}

func isAggregate(e *callExpr) bool {
	return len(e.path) == 1 && aggregateNames[strings.ToUpper(e.path[0])]
}

// hasAggregate looks for an aggregate of this level: not within subqueries; the arguments of window functions count.
func hasAggregate(x expr) bool {
	found := false
	walk(x, func(x expr) bool {
		if e, ok := x.(*callExpr); ok && isAggregate(e) && e.over == nil {
			found = true
		}
		return !found
	})
	return found
}

// aggregate compiles COUNT(…) and its kin in a grouped level.
func (c *compiler) aggregate(e *callExpr) cx {
	g := c.sc.group
	if g == nil {
		if c.sc.where == "WHERE" {
			failCompile(c.line(e.line), 147, 15, 1, "An aggregate may not appear in the WHERE clause unless it is in a subquery contained in a HAVING clause or a select list, and the column being aggregated is an outer reference.")
		}
		if c.sc.where == "" {
			failCompile(c.line(e.line), 1015, 15, 1, "An aggregate cannot appear in an ON clause unless it is in a subquery contained in a HAVING clause or select list, and the column being aggregated is an outer reference.")
		}
		failCompile(c.line(e.line), 130, 15, 1, "Cannot perform an aggregate function on an expression containing an aggregate or a subquery.")
	}
	for _, a := range e.args {
		if hasAggregate(a) {
			failCompile(c.line(e.line), 130, 15, 1, "Cannot perform an aggregate function on an expression containing an aggregate or a subquery.")
		}
	}
	c.sc.group = nil
	win := c.sc.win
	c.sc.win = nil
	var a *aggregate
	var t Type
	uses, outer := c.tracked(func() { a, t = c.makeAggregate(e) })
	c.sc.group, c.sc.win = g, win
	if uses == 0 && outer {
		notImplemented(c.line(e.line), "an aggregate over columns of the outer query only")
	}
	g.aggs = append(g.aggs, a)
	name := strings.ToUpper(e.path[0])
	return cx{f: accessor(0, 0, len(g.keys)+len(g.aggs)-1), t: t, label: a.label, null: !strings.HasPrefix(name, "COUNT")}
}

func (c *compiler) makeAggregate(e *callExpr) (*aggregate, Type) {
	name := strings.ToUpper(e.path[0])
	a := &aggregate{distinct: e.distinct}
	if e.star {
		if name != "COUNT" && name != "COUNT_BIG" {
			failCompile(c.line(e.line), 102, 15, 1, "Incorrect syntax near '*'.")
		}
	} else {
		want := 1
		if name == "STRING_AGG" {
			want = 2
		}
		if len(e.args) != want {
			failCompile(c.line(e.line), 174, 15, 1, "The %s function requires %d argument(s).", strings.ToLower(name), want)
		}
	}
	var arg cx
	if !e.star {
		arg = c.comp(e.args[0])
		a.arg, a.coll, a.label = arg.f, c.rules(arg.lab(), arg.t), arg.lab()
		if a.distinct && a.label.rank == labelNone {
			c.both(a.label.clash, "DISTINCT", 11)
		}
		if name == "MIN" || name == "MAX" || name == "STRING_AGG" {
			c.need(strings.ToLower(name), arg)
		}
	}
	invalid := func() {
		failCompile(c.line(e.line), 8117, 16, 1, "Operand data type %s is invalid for %s operator.", arg.t.Kind, strings.ToLower(name))
	}
	switch name {
	case "COUNT":
		a.fresh = func() aggState { return &countAgg{limit: math.MaxInt32} }
		return a, Int
	case "COUNT_BIG":
		a.fresh = func() aggState { return &countAgg{limit: math.MaxInt64} }
		return a, BigInt
	case "MIN", "MAX":
		if arg.t.Kind == KindBit || arg.t.Kind == KindXML {
			invalid()
		}
		sign := 1
		if name == "MAX" {
			sign = -1
		}
		a.fresh = func() aggState { return &extremeAgg{sign: sign, coll: a.coll} }
		return a, arg.t
	case "SUM", "AVG":
		if !arg.t.IsNumber() || arg.t.Kind == KindBit {
			invalid()
		}
		return a, c.sumAggregate(a, arg.t, name == "AVG")
	case "STDEV", "STDEVP", "VAR", "VARP":
		if !arg.t.IsNumber() || arg.t.Kind == KindBit {
			invalid()
		}
		f := c.to(arg, Float).f
		a.arg = f
		a.fresh = func() aggState {
			return &varianceAgg{root: strings.HasPrefix(name, "ST"), pop: strings.HasSuffix(name, "P")}
		}
		return a, Float
	case "STRING_AGG":
		s := c.text(arg)
		a.arg = s.f
		sep := c.text(c.comp(e.args[1]))
		a.sep = sep.f
		a.label = c.settled("string_agg", s.lab(), sep.lab())
		for _, o := range e.within {
			k := c.comp(o.x)
			c.need("string_agg", k)
			a.order = append(a.order, sortKey{k.f, o.desc, c.rules(k.lab(), k.t)})
		}
		t := VarChar(8000)
		if s.t.IsUnicode() {
			t = NVarChar(4000)
		}
		if s.t.Len == MaxLen {
			t.Len = MaxLen
		}
		a.fresh = func() aggState { return &stringAgg{keys: a.order, limit: t.Len} }
		return a, t
	}
	notImplemented(c.line(e.line), "the aggregate "+name)
	return nil, Type{}
}

func (c *compiler) sumAggregate(a *aggregate, t Type, avg bool) Type {
	switch {
	case t.Kind == KindFloat || t.Kind == KindReal:
		a.fresh = func() aggState { return &floatSum{avg: avg} }
		return Float
	case t.IsInteger():
		out := Int
		if t.Kind == KindBigInt {
			out = BigInt
		}
		a.fresh = func() aggState { return &intSum{avg: avg, t: out} }
		return out
	}
	out := Numeric(38, t.Scale)
	if avg {
		out.Scale = max(t.Scale, 6)
	}
	if t.Kind == KindMoney {
		out = t
	}
	a.fresh = func() aggState { return &decimalSum{avg: avg, t: out} }
	return out
}

type countAgg struct{ n, limit int64 }

func (a *countAgg) add(any) { a.n++ }
func (a *countAgg) result() any {
	if a.n > a.limit {
		fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type int.")
	}
	return a.n
}

type extremeAgg struct {
	v    any
	sign int
	coll collation
}

func (a *extremeAgg) add(v any) {
	if a.v == nil || compareValues(v, a.v, a.coll)*a.sign < 0 {
		a.v = v
	}
}
func (a *extremeAgg) result() any { return a.v }

type intSum struct {
	sum, n int64
	avg    bool
	t      Type
}

func (a *intSum) add(v any) {
	i := v.(int64)
	a.sum = intArith("+", a.sum, i, BigInt).(int64)
	a.n++
}

func (a *intSum) result() any {
	if a.n == 0 {
		return nil
	}
	checkInt(a.sum, a.t, false)
	if a.avg {
		return a.sum / a.n
	}
	return a.sum
}

type floatSum struct {
	sum float64
	n   int64
	avg bool
}

func (a *floatSum) add(v any) { a.sum += v.(float64); a.n++ }
func (a *floatSum) result() any {
	switch {
	case a.n == 0:
		return nil
	case a.avg:
		return a.sum / float64(a.n)
	}
	return a.sum
}

type decimalSum struct {
	sum Decimal
	n   int64
	avg bool
	t   Type
}

func (a *decimalSum) add(v any) {
	d := v.(Decimal)
	if a.n == 0 {
		a.sum = d
	} else {
		s := max(d.Scale, a.sum.Scale)
		a.sum = Decimal{new(big.Int).Add(a.sum.rescale(s).V, d.rescale(s).V), s}
	}
	a.n++
}

func (a *decimalSum) result() any {
	if a.n == 0 {
		return nil
	}
	scale := a.t.Scale
	if a.t.Kind == KindMoney {
		scale = 4
	}
	r := a.sum.rescale(scale)
	if a.avg {
		r = Decimal{new(big.Int).Quo(r.V, big.NewInt(a.n)), scale}
	}
	if r.digits() > 38 {
		fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type numeric.")
	}
	return r
}

type varianceAgg struct {
	n, mean, m2 float64
	root, pop   bool
}

func (a *varianceAgg) add(v any) {
	x := v.(float64)
	a.n++
	d := x - a.mean
	a.mean += d / a.n
	a.m2 += d * (x - a.mean)
}

func (a *varianceAgg) result() any {
	n := a.n
	if !a.pop {
		n--
	}
	if n <= 0 {
		return nil
	}
	r := a.m2 / n
	if a.root {
		r = math.Sqrt(r)
	}
	return r
}

type stringAgg struct {
	keys  []sortKey
	parts []string
	seps  []string
	ks    [][]any
	limit int
	size  int
}

func (a *stringAgg) add(any) { panic(fmt.Sprintf("tsql: %T.add", a)) }

func (a *stringAgg) push(v, sep string, ks []any) {
	a.size += len(v) + len(sep)
	if a.size > maxString {
		fail(ErrTooManyRows, 16, 2, "dag_lab gave up: a string of more than %d bytes.", maxString)
	}
	a.parts, a.seps, a.ks = append(a.parts, v), append(a.seps, sep), append(a.ks, ks)
}

func (a *stringAgg) result() any {
	if len(a.parts) == 0 {
		return nil
	}
	var b strings.Builder
	for i, k := range sortedOrder(a.ks, a.keys) {
		if i > 0 {
			b.WriteString(a.seps[k])
		}
		b.WriteString(a.parts[k])
	}
	if a.limit != MaxLen && utf16Len(b.String()) > a.limit {
		fail(9829, 16, 1, "STRING_AGG aggregation result exceeded the limit of 8000 bytes. Use LOB types to avoid result truncation.")
	}
	return b.String()
}
