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
				cj.coll = c.collation(l, r)
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

type tuple struct {
	rows    [][]any
	matched bool
}

// tuples holds the rows of a build side, by key if there is one.
type tuples struct {
	all   []*tuple
	byKey map[any][]*tuple
}

func (r *rel) set(e *env, t [][]any) {
	for k, i := range r.idx {
		e.rows[i] = t[k]
	}
}

func (r *rel) collect(e *env, key func(*env) any) *tuples {
	out := &tuples{}
	if key != nil {
		out.byKey = map[any][]*tuple{}
	}
	r.run(e, func() bool {
		t := &tuple{rows: make([][]any, len(r.idx))}
		for k, i := range r.idx {
			t.rows[k] = e.rows[i]
		}
		out.all = append(out.all, t)
		if key != nil {
			if h := key(e); h != nil {
				out.byKey[h] = append(out.byKey[h], t)
			}
		}
		return true
	})
	return out
}

// keyOf joins several equalities into one hash key; a NULL in any of them gives nil, which matches nothing.
func keyOf(eqs []*conj, left bool) func(*env) any {
	get := func(k *conj, e *env) any {
		f := k.r.f
		if left {
			f = k.l.f
		}
		v := f(e)
		if v == nil {
			return nil
		}
		return hashKey(v, k.coll)
	}
	switch len(eqs) {
	case 0:
		return nil
	case 1:
		k := eqs[0]
		return func(e *env) any { return get(k, e) }
	case 2:
		k, l := eqs[0], eqs[1]
		return func(e *env) any {
			a, b := get(k, e), get(l, e)
			if a == nil || b == nil {
				return nil
			}
			return [2]any{a, b}
		}
	}
	tail := keyOf(eqs[2:], left)
	head := keyOf(eqs[:2], left)
	return func(e *env) any {
		a, b := head(e), tail(e)
		if a == nil || b == nil {
			return nil
		}
		return [2]any{a, b}
	}
}

// joinStep is one relation joined to those before it.
type joinStep struct {
	r        *rel
	probe    func(*env) any
	build    func(*env) any
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
		k := st.probe(e)
		if k == nil {
			return true
		}
		if st.table == nil {
			st.table = st.r.collect(e, st.build)
		}
		for _, t := range st.table.byKey[k] {
			x.tick(1)
			st.r.set(e, t.rows)
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
			list := table.all
			if probe != nil {
				list = nil
				if k := probe(e); k != nil {
					list = table.byKey[k]
				}
			}
			matched := false
			for _, t := range list {
				x.tick(1)
				r.set(e, t.rows)
				if len(residual) > 0 && !allYes(residual, e) {
					continue
				}
				matched, t.matched = true, true
				if !out() {
					return false
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
		for _, t := range table.all {
			if !t.matched {
				nullRows(e, l)
				r.set(e, t.rows)
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
