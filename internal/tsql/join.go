package tsql

// Relations of a FROM clause. A rel pushes its rows: it sets its sources' slots in e.rows and calls yield, which returns false to stop.

type rel struct {
	mask uint64
	idx  []int
	// run reports whether it ran to its end.
	run func(e *env, yield func() bool) bool
	// push gives it a condition that it must apply itself or pass on; only before the first run.
	push func(cj *conj)
	// stable tells that every run gives the same rows, whatever the outer env.
	stable func() bool
}

// conj is one condition of a conjunction.
type conj struct {
	p     predFn
	uses  uint64
	outer bool
	eq    bool // l = r and both sides can be hashed
	l, r  side
	coll  collation
}

type side struct {
	f     valueFn
	uses  uint64
	outer bool
}

func (cj *conj) flipped() *conj {
	k := *cj
	k.l, k.r = k.r, k.l
	return &k
}

// forRel turns an equality so that r is a key of the rel alone and l is computed without it; nil if that is not its form.
func (cj *conj) forRel(mask uint64) *conj {
	if !cj.eq {
		return nil
	}
	for _, k := range []*conj{cj, cj.flipped()} {
		if k.r.uses != 0 && k.r.uses&^mask == 0 && !k.r.outer && k.l.uses&mask == 0 {
			return k
		}
	}
	return nil
}

func splitAnd(x expr, out []expr) []expr {
	if b, ok := x.(*binExpr); ok && b.op == "AND" {
		return splitAnd(b.r, splitAnd(b.l, out))
	}
	if x == nil {
		return out
	}
	return append(out, x)
}

// conjs compiles a condition as its conjuncts.
func (c *compiler) conjs(x expr) []*conj {
	var out []*conj
	for _, part := range splitAnd(x, nil) {
		cj := &conj{}
		b, ok := part.(*binExpr)
		if ok && b.op == "=" {
			var l, r cx
			cj.l.uses, cj.l.outer = c.tracked(func() { l = c.comp(b.l) })
			cj.r.uses, cj.r.outer = c.tracked(func() { r = c.comp(b.r) })
			cj.p = c.compare("=", l, r)
			cj.uses, cj.outer = cj.l.uses|cj.r.uses, cj.l.outer || cj.r.outer
			if canHash(l.t, r.t) {
				cj.eq = true
				cj.l.f, cj.r.f = hashForm(l, r)
				cj.coll = c.pairRules("equal to", l, r)
			}
		} else {
			cj.uses, cj.outer = c.tracked(func() { cj.p = c.pred(part) })
		}
		out = append(out, cj)
	}
	return out
}

// canHash: equal values have equal hash keys, and making the key cannot fail.
func canHash(a, b Type) bool {
	exact := func(t Type) bool { return t.IsNumber() && t.Kind != KindBit }
	switch {
	case a.Kind == KindNull || b.Kind == KindNull || a.Kind == KindXML || b.Kind == KindXML:
		return false
	case a.IsString() && b.IsString(), exact(a) && exact(b), a.Kind == b.Kind:
		return true
	}
	return a.IsBinary() && b.IsBinary()
}

func hashForm(a, b cx) (valueFn, valueFn) {
	isFloat := func(t Type) bool { return t.Kind == KindFloat || t.Kind == KindReal }
	if !isFloat(a.t) && !isFloat(b.t) {
		return a.f, b.f
	}
	form := func(a cx) valueFn {
		return func(e *env) any {
			v := a.f(e)
			if v == nil {
				return nil
			}
			return toFloat(v, a.t, Float)
		}
	}
	return form(a), form(b)
}

func allYes(ps []predFn, e *env) bool {
	for _, p := range ps {
		if p(e) != yes {
			return false
		}
	}
	return true
}

// noHash makes every join a nested loop; the property test compares both ways.
var noHash = false

// rowsRel is a source whose rows come from rows(): a table, or a derived table.
func (c *compiler) rowsRel(i int, rows func(e *env) [][]any, stable bool) *rel {
	x := c.x
	r := &rel{mask: 1 << uint(i), idx: []int{i}}
	var filters []predFn
	var lookup *conj
	var index map[any][][]any
	r.stable = func() bool { return stable }
	r.push = func(cj *conj) {
		if cj.outer {
			if k := cj.forRel(r.mask); k != nil && lookup == nil && stable && !noHash {
				lookup = k // a correlated equality: an index instead of a scan for every outer row
				stable = false
				return
			}
			stable = false
		}
		filters = append(filters, cj.p)
	}
	r.run = func(e *env, yield func() bool) bool {
		list := rows(e)
		if lookup != nil {
			if index == nil {
				index = make(map[any][][]any, len(list))
				for _, row := range list {
					x.tick(1)
					e.rows[i] = row
					if k := lookup.r.f(e); k != nil {
						h := hashKey(k, lookup.coll)
						index[h] = append(index[h], row)
					}
				}
			}
			k := lookup.l.f(e)
			if k == nil {
				return true
			}
			list = index[hashKey(k, lookup.coll)]
		}
		for _, row := range list {
			x.tick(1)
			e.rows[i] = row
			if len(filters) > 0 && !allYes(filters, e) {
				continue
			}
			if !yield() {
				return false
			}
		}
		return true
	}
	return r
}

// joinKey is a hash key of one or two values, more of them nested; the second is nil if there is one.
type joinKey [2]any

// tuples holds the rows of a build side one after the other, each as one row per source, and chained by key if there is one.
type tuples struct {
	width   int
	rows    [][]any
	matched []bool
	chains  map[joinKey]chain
	next    []int32 // the next tuple of the same key, or -1
}

type chain struct{ first, last int32 }

func (t *tuples) len() int { return len(t.matched) }

// set makes tuple i the current row of r's sources.
func (t *tuples) set(r *rel, e *env, i int) {
	for k, src := range r.idx {
		e.rows[src] = t.rows[i*t.width+k]
	}
}

// find gives the first tuple of a key, or -1.
func (t *tuples) find(k joinKey) int {
	c, ok := t.chains[k]
	if !ok {
		return -1
	}
	return int(c.first)
}

func (r *rel) collect(e *env, key keyFn) *tuples {
	out := &tuples{width: len(r.idx)}
	if key != nil {
		out.chains = map[joinKey]chain{}
	}
	r.run(e, func() bool {
		i := int32(len(out.matched))
		for _, src := range r.idx {
			out.rows = append(out.rows, e.rows[src])
		}
		out.matched = append(out.matched, false)
		if key == nil {
			return true
		}
		out.next = append(out.next, -1)
		k, ok := key(e)
		if !ok {
			return true
		}
		c, old := out.chains[k]
		if old {
			out.next[c.last] = i
		} else {
			c.first = i
		}
		c.last = i
		out.chains[k] = c
		return true
	})
	return out
}

// keyFn computes a key; false means that a part of it is NULL, which matches nothing.
type keyFn func(*env) (joinKey, bool)

// keyOf joins several equalities into one hash key; nil if there are none.
func keyOf(eqs []*conj, left bool) keyFn {
	get := func(k *conj) valueFn {
		f, coll := k.r.f, k.coll
		if left {
			f = k.l.f
		}
		return func(e *env) any {
			v := f(e)
			if v == nil {
				return nil
			}
			return hashKey(v, coll)
		}
	}
	switch len(eqs) {
	case 0:
		return nil
	case 1:
		f := get(eqs[0])
		return func(e *env) (joinKey, bool) {
			v := f(e)
			return joinKey{v}, v != nil
		}
	case 2:
		f, g := get(eqs[0]), get(eqs[1])
		return func(e *env) (joinKey, bool) {
			k := joinKey{f(e), g(e)}
			return k, k[0] != nil && k[1] != nil
		}
	}
	head, tail := keyOf(eqs[:1], left), keyOf(eqs[1:], left)
	return func(e *env) (joinKey, bool) {
		a, ok := head(e)
		if !ok {
			return a, false
		}
		b, ok := tail(e)
		return joinKey{a[0], b}, ok
	}
}

// joinStep is one relation joined to those before it.
type joinStep struct {
	r        *rel
	probe    keyFn
	build    keyFn
	residual []predFn
	table    *tuples
}

// innerGroup joins relations by inner joins, in an order that follows the equalities, each condition applied as early as it can be.
func (c *compiler) innerGroup(leaves []*rel, conjs []*conj) *rel {
	if len(leaves) == 1 {
		for _, cj := range conjs {
			leaves[0].push(cj)
		}
		return leaves[0]
	}
	x := c.x
	g := &rel{}
	for _, l := range leaves {
		g.mask |= l.mask
		g.idx = append(g.idx, l.idx...)
	}
	var steps []*joinStep
	var first []predFn // conditions that touch no relation here
	outer := false
	g.push = func(cj *conj) { conjs = append(conjs, cj) }
	plan := func() {
		if steps != nil {
			return
		}
		var pending []*conj
		for _, cj := range conjs {
			outer = outer || cj.outer
			placed := cj.uses == 0
			if placed {
				first = append(first, cj.p)
			}
			for _, l := range leaves {
				if !placed && cj.uses&^l.mask == 0 {
					l.push(cj)
					placed = true
				}
			}
			if !placed {
				pending = append(pending, cj)
			}
		}
		rest := append([]*rel{}, leaves...)
		joined := uint64(0)
		for len(rest) > 0 {
			pick := 0
			if joined != 0 {
				for i, l := range rest {
					if linked(pending, joined, l) {
						pick = i
						break
					}
				}
			}
			l := rest[pick]
			rest = append(rest[:pick:pick], rest[pick+1:]...)
			st := &joinStep{r: l}
			var eqs, later []*conj
			for _, cj := range pending {
				k := cj.forRel(l.mask)
				switch {
				case cj.uses&^(joined|l.mask) != 0:
					later = append(later, cj)
				case k != nil && joined != 0 && !noHash:
					eqs = append(eqs, k)
				default:
					st.residual = append(st.residual, cj.p)
				}
			}
			pending = later
			if len(eqs) > 0 {
				st.probe, st.build = keyOf(eqs, true), keyOf(eqs, false)
			}
			joined |= l.mask
			steps = append(steps, st)
		}
	}
	g.stable = func() bool {
		plan()
		if outer {
			return false
		}
		for _, l := range leaves {
			if !l.stable() {
				return false
			}
		}
		return true
	}
	var step func(e *env, i int, yield func() bool) bool
	step = func(e *env, i int, yield func() bool) bool {
		if i == len(steps) {
			return yield()
		}
		st := steps[i]
		if st.probe == nil {
			return st.r.run(e, func() bool {
				if len(st.residual) > 0 && !allYes(st.residual, e) {
					return true
				}
				return step(e, i+1, yield)
			})
		}
		k, ok := st.probe(e)
		if !ok {
			return true
		}
		if st.table == nil {
			st.table = st.r.collect(e, st.build)
		}
		table := st.table
		for t := table.find(k); t >= 0; t = int(table.next[t]) {
			x.tick(1)
			table.set(st.r, e, t)
			if len(st.residual) > 0 && !allYes(st.residual, e) {
				continue
			}
			if !step(e, i+1, yield) {
				return false
			}
		}
		return true
	}
	g.run = func(e *env, yield func() bool) bool {
		plan()
		if !allYes(first, e) {
			return true
		}
		for _, st := range steps {
			if !st.r.stable() {
				st.table = nil
			}
		}
		return step(e, 0, yield)
	}
	return g
}

func linked(pending []*conj, joined uint64, l *rel) bool {
	for _, cj := range pending {
		if k := cj.forRel(l.mask); k != nil && k.l.uses&joined != 0 && k.l.uses&^joined == 0 {
			return true
		}
	}
	return false
}

// outerJoin is LEFT JOIN, or FULL JOIN if full. RIGHT JOIN is a LEFT JOIN with its sides changed.
func (c *compiler) outerJoin(l, r *rel, on []*conj, full bool, nulls [][]any) *rel {
	x := c.x
	j := &rel{mask: l.mask | r.mask, idx: append(append([]int{}, l.idx...), r.idx...)}
	var eqs []*conj
	var residual, post []predFn
	outer := false
	for _, cj := range on {
		outer = outer || cj.outer
		if cj.uses != 0 && cj.uses&^r.mask == 0 && !full {
			r.push(cj)
			continue
		}
		if k := cj.forRel(r.mask); k != nil && k.l.uses != 0 && !noHash {
			eqs = append(eqs, k)
			continue
		}
		residual = append(residual, cj.p)
	}
	probe, build := keyOf(eqs, true), keyOf(eqs, false)
	var table *tuples
	j.push = func(cj *conj) {
		if cj.uses != 0 && cj.uses&^l.mask == 0 && !full {
			l.push(cj)
			return
		}
		outer = outer || cj.outer
		post = append(post, cj.p)
	}
	j.stable = func() bool { return !outer && l.stable() && r.stable() }
	nullRows := func(e *env, side *rel) {
		for _, i := range side.idx {
			e.rows[i] = nulls[i]
		}
	}
	j.run = func(e *env, yield func() bool) bool {
		if table == nil || full || !r.stable() {
			table = r.collect(e, build)
		}
		out := func() bool {
			if len(post) > 0 && !allYes(post, e) {
				return true
			}
			return yield()
		}
		done := l.run(e, func() bool {
			t, last := 0, table.len()
			if probe != nil {
				t = -1
				if k, ok := probe(e); ok {
					t = table.find(k)
				}
			}
			matched := false
			for t >= 0 && t < last {
				x.tick(1)
				table.set(r, e, t)
				if len(residual) == 0 || allYes(residual, e) {
					matched, table.matched[t] = true, true
					if !out() {
						return false
					}
				}
				if probe != nil {
					t = int(table.next[t])
				} else {
					t++
				}
			}
			if matched {
				return true
			}
			nullRows(e, r)
			return out()
		})
		if !done || !full {
			return done
		}
		for t, matched := range table.matched {
			if !matched {
				nullRows(e, l)
				table.set(r, e, t)
				if !out() {
					return false
				}
			}
		}
		return true
	}
	return j
}

// apply runs r once for every row of l.
func (c *compiler) apply(l, r *rel, outerApply bool, nulls [][]any) *rel {
	j := &rel{mask: l.mask | r.mask, idx: append(append([]int{}, l.idx...), r.idx...)}
	var post []predFn
	outer := false
	j.push = func(cj *conj) {
		if cj.uses != 0 && cj.uses&^l.mask == 0 {
			l.push(cj)
			return
		}
		outer = outer || cj.outer
		post = append(post, cj.p)
	}
	j.stable = func() bool { return false }
	j.run = func(e *env, yield func() bool) bool {
		out := func() bool {
			if len(post) > 0 && !allYes(post, e) {
				return true
			}
			return yield()
		}
		return l.run(e, func() bool {
			found := false
			if !r.run(e, func() bool { found = true; return out() }) {
				return false
			}
			if found || !outerApply {
				return true
			}
			for _, i := range r.idx {
				e.rows[i] = nulls[i]
			}
			return out()
		})
	}
	return j
}
