package tsql

import (
	"math"
	"strings"
)

// windowing computes the window functions of one level over all its rows, and puts their values into an extra slot of the row.
type windowing struct {
	slot  int
	calls []*windowCall
}

type windowCall struct {
	part  []valueFn
	colls []collation
	order []sortKey
	label label // of the result
	// compute fills out for the rows of one partition, in window order.
	compute func(x *run, p *partition)
}

// partition is one partition's rows in their order. at makes a row current in the env.
type partition struct {
	n     int
	e     *env
	at    func(i int)
	peer  func(i, j int) bool
	set   func(i int, v any)
	order bool
}

func (c *compiler) window(e *callExpr) cx {
	w := c.sc.win
	if w == nil || c.sc.where != "select list" && c.sc.where != "ORDER BY" {
		failCompile(c.line(e.line), 4108, 15, 1, "Windowed functions can only appear in the SELECT or ORDER BY clauses.")
	}
	name := strings.ToUpper(strings.Join(e.path, "."))
	call := &windowCall{}
	c.sc.win = nil
	for _, x := range e.over.part {
		p := c.comp(x)
		c.need("PARTITION BY", p)
		call.part, call.colls = append(call.part, p.f), append(call.colls, c.rules(p.lab(), p.t))
	}
	for _, o := range e.over.order {
		k := c.comp(o.x)
		if k.konst {
			failCompile(c.line(e.line), 5308, 16, 1, "Windowed functions, aggregates and NEXT VALUE FOR functions do not support integer indices as ORDER BY clause expressions.")
		}
		c.need("ORDER BY", k)
		call.order = append(call.order, sortKey{k.f, o.desc, c.rules(k.lab(), k.t)})
	}
	if e.over.frame != nil {
		switch name {
		case "ROW_NUMBER", "RANK", "DENSE_RANK", "NTILE", "LAG", "LEAD", "PERCENT_RANK", "CUME_DIST":
			failCompile(c.line(e.line), 10752, 15, 3, "The function '%s' may not have a window frame.", name)
		}
		if len(call.order) == 0 {
			failCompile(c.line(e.line), 10756, 15, 1, "Window frame with ROWS or RANGE must have an ORDER BY clause.")
		}
	}
	t, null := c.windowBody(e, name, call)
	c.sc.win = w
	w.calls = append(w.calls, call)
	return cx{f: accessor(0, w.slot, len(w.calls)-1), t: t, label: call.label, null: null}
}

func (c *compiler) windowBody(e *callExpr, name string, call *windowCall) (Type, bool) {
	ranked := func() {
		if len(call.order) == 0 {
			failCompile(c.line(e.line), 4112, 15, 1, "The function '%s' must have an OVER clause with ORDER BY.", name)
		}
	}
	argc := func(lo, hi int) {
		if len(e.args) < lo || len(e.args) > hi {
			failCompile(c.line(e.line), 174, 15, 1, "The %s function requires %d argument(s).", strings.ToLower(name), lo)
		}
	}
	switch name {
	case "ROW_NUMBER", "RANK", "DENSE_RANK":
		ranked()
		argc(0, 0)
		call.compute = func(_ *run, p *partition) {
			rank, dense := int64(0), int64(0)
			for i := 0; i < p.n; i++ {
				if i == 0 || !p.peer(i-1, i) {
					rank = int64(i) + 1
					dense++
				}
				switch name {
				case "ROW_NUMBER":
					p.set(i, int64(i)+1)
				case "RANK":
					p.set(i, rank)
				default:
					p.set(i, dense)
				}
			}
		}
		return BigInt, false
	case "NTILE":
		ranked()
		argc(1, 1)
		n := c.to(c.comp(e.args[0]), BigInt)
		call.compute = func(_ *run, p *partition) {
			if p.n == 0 {
				return
			}
			p.at(0)
			k, ok := n.f(p.e).(int64)
			if !ok || k < 1 {
				fail(4115, 16, 1, "The function 'NTILE' takes only a positive int or bigint expression as its input.")
			}
			k = min(k, math.MaxInt32)
			for i := 0; i < p.n; i++ {
				size, rest := int64(p.n)/k, int64(p.n)%k
				if big := rest * (size + 1); int64(i) < big {
					p.set(i, int64(i)/(size+1)+1)
				} else {
					p.set(i, rest+(int64(i)-big)/max(size, 1)+1)
				}
			}
		}
		return BigInt, false
	case "LAG", "LEAD":
		ranked()
		argc(1, 3)
		v := c.comp(e.args[0])
		off, def := constant(int64(1), Int), constant(nil, v.t)
		if len(e.args) > 1 {
			off = c.to(c.comp(e.args[1]), BigInt)
		}
		if len(e.args) > 2 {
			def = c.to(c.comp(e.args[2]), v.t)
			if def.lab().coll != v.lab().coll && def.lab().rank != labelDefault {
				notImplemented(c.line(e.line), name+" with a default of another collation")
			}
		}
		call.label = v.lab()
		sign := -1
		if name == "LEAD" {
			sign = 1
		}
		call.compute = func(_ *run, p *partition) {
			for i := 0; i < p.n; i++ {
				p.at(i)
				o, _ := off.f(p.e).(int64)
				if o < 0 {
					fail(8730, 16, 1, "Offset parameter for Lag and Lead functions cannot be a negative value.")
				}
				j := i + sign*int(min(o, math.MaxInt32))
				if j < 0 || j >= p.n {
					p.set(i, def.f(p.e))
					continue
				}
				p.at(j)
				p.set(i, v.f(p.e))
			}
		}
		return v.t, true
	case "FIRST_VALUE", "LAST_VALUE":
		ranked()
		argc(1, 1)
		v := c.comp(e.args[0])
		call.label = v.lab()
		bounds := e.over.frame.bounds(len(call.order) > 0)
		call.compute = func(x *run, p *partition) {
			bounds(x, p, func(i, lo, hi int) {
				var val any
				if lo < hi {
					p.at(lo)
					if name == "LAST_VALUE" {
						p.at(hi - 1)
					}
					val = v.f(p.e)
				}
				p.set(i, val)
			})
		}
		return v.t, true
	case "PERCENT_RANK", "CUME_DIST":
		ranked()
		argc(0, 0)
		call.compute = func(_ *run, p *partition) {
			for i := 0; i < p.n; {
				j := i + 1
				for j < p.n && p.peer(i, j) {
					j++
				}
				v := float64(j) / float64(p.n)
				if name == "PERCENT_RANK" {
					v = float64(i) / float64(max(p.n-1, 1))
				}
				for ; i < j; i++ {
					p.set(i, v)
				}
			}
		}
		return Float, false
	}
	if !isAggregate(e) {
		notImplemented(c.line(e.line), "the window function "+name)
	}
	if e.distinct {
		failCompile(c.line(e.line), 10759, 15, 1, "Use of DISTINCT is not allowed with the OVER clause.")
	}
	if name == "STRING_AGG" {
		failCompile(c.line(e.line), 4113, 16, 3, "The function 'STRING_AGG' is not a valid windowing function, and cannot be used with the OVER clause.")
	}
	a, t := c.makeAggregate(e)
	call.label = a.label
	bounds := e.over.frame.bounds(len(call.order) > 0)
	empty := any(nil)
	if strings.HasPrefix(name, "COUNT") {
		empty = int64(0)
	}
	call.compute = func(x *run, p *partition) {
		var st aggState
		from, to := 0, 0
		var val any
		bounds(x, p, func(i, lo, hi int) {
			if lo >= hi {
				p.set(i, empty)
				return
			}
			if st == nil || lo != from || hi < to { // the frame lost a row: count again
				st, from, to = a.fresh(), lo, lo
			}
			if to < hi {
				for ; to < hi; to++ {
					x.tick(1)
					p.at(to)
					a.feed(p.e, st, nil)
				}
				val = st.result()
			}
			p.set(i, val)
		})
	}
	return t, true
}

// bounds gives for every row of a partition, in order, the half-open range of rows in its frame. The default is the whole partition, and with ORDER BY
// all up to the current row's last peer.
func (f *frameSpec) bounds(ordered bool) func(x *run, p *partition, each func(i, lo, hi int)) {
	if f == nil {
		f = &frameSpec{hi: frameBound{kind: boundCurrent}}
		if !ordered {
			f.hi.kind = boundLast
		}
	}
	return func(x *run, p *partition, each func(i, lo, hi int)) {
		first, last := 0, 0 // the peers of row i
		for i := 0; i < p.n; i++ {
			if i >= last {
				first = i
				for last = i + 1; last < p.n && p.peer(i, last); last++ {
				}
			}
			lo, hi := 0, p.n
			if f.rows {
				lo, hi = f.lo.row(i, p.n), min(f.hi.row(i, p.n)+1, p.n)
			} else {
				if f.lo.kind == boundCurrent {
					lo = first
				}
				if f.hi.kind == boundCurrent {
					hi = last
				}
			}
			x.tick(1)
			each(i, max(lo, 0), hi)
		}
	}
}

// row is the index of the row that a ROWS bound means, seen from row i of n; it may lie outside.
func (b frameBound) row(i, n int) int {
	switch b.kind {
	case boundFirst:
		return 0
	case boundPreceding:
		return i - int(min(b.n, int64(n)+1))
	case boundCurrent:
		return i
	case boundFollowing:
		return i + int(min(b.n, int64(n)+1))
	}
	return n - 1
}

func (w *windowing) run(x *run, e *env, rows func(func() bool) bool, next func() bool) bool {
	var saved [][][]any
	rows(func() bool {
		x.tick(1)
		row := append([][]any{}, e.rows...)
		row[w.slot] = make([]any, len(w.calls))
		saved = append(saved, row)
		return true
	})
	for ci, call := range w.calls {
		parts := map[any][]int{}
		var order []any
		keys := make([][]any, len(saved))
		for i := range saved {
			copy(e.rows, saved[i])
			pk := make([]any, len(call.part))
			for k, f := range call.part {
				pk[k] = f(e)
			}
			h := rowKey(pk, call.colls)
			if _, ok := parts[h]; !ok {
				order = append(order, h)
			}
			parts[h] = append(parts[h], i)
			keys[i] = make([]any, len(call.order))
			for k := range call.order {
				keys[i][k] = call.order[k].f(e)
			}
		}
		for _, h := range order {
			idx := parts[h]
			ks := make([][]any, len(idx))
			for k, i := range idx {
				ks[k] = keys[i]
			}
			sorted := sortedOrder(ks, call.order)
			call.compute(x, &partition{n: len(idx), e: e, order: len(call.order) > 0,
				at:   func(i int) { copy(e.rows, saved[idx[sorted[i]]]) },
				peer: func(i, j int) bool { return lessKeys(ks[sorted[i]], ks[sorted[j]], call.order) == 0 },
				set:  func(i int, v any) { saved[idx[sorted[i]]][w.slot][ci] = v },
			})
		}
	}
	for _, row := range saved {
		copy(e.rows, row)
		if !next() {
			return false
		}
	}
	return true
}
