package tsql

import "slices"

// ORDER BY, OFFSET and TOP.

// sortKey is one ORDER BY item.
type sortKey struct {
	f    valueFn
	desc bool
	coll collation
}

func compareNull(a, b any, coll collation) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return compareValues(a, b, coll)
}

func lessKeys(a, b []any, keys []sortKey) int {
	for i, k := range keys {
		if n := compareNull(a[i], b[i], k.coll); n != 0 {
			if k.desc {
				return -n
			}
			return n
		}
	}
	return 0
}

// orderOutput sorts by output columns only: ORDER BY over a UNION.
func (c *compiler) orderOutput(p *plan, q *queryExpr) *plan {
	var cols []int
	var keys []sortKey
	for n, o := range q.order {
		i := -1
		switch x := o.x.(type) {
		case *litExpr:
			i = c.position(x, len(p.cols))
		case *colExpr:
			for k, col := range p.cols {
				if len(x.parts) == 1 && c.x.s.EqualNames(col.Name, x.parts[0]) {
					i = k
					break
				}
			}
			if i < 0 {
				failCompile(c.line(x.line), 207, 16, 1, "Invalid column name '%s'.", x.parts[len(x.parts)-1])
			}
		}
		if i < 0 {
			failCompile(c.x.line, 104, 16, 1, "ORDER BY items must appear in the select list if the statement contains a UNION, INTERSECT or EXCEPT operator.")
		}
		cols = append(cols, i)
		c.named(p.labels[i], "ORDER BY", n+1)
		keys = append(keys, sortKey{desc: o.desc, coll: c.rules(p.labels[i], p.cols[i].Type)})
	}
	skip, limit := c.offset(q)
	out := *p
	out.run = func(up *env, yield func([]any) bool) bool {
		var rows, ks [][]any
		p.run(up, func(r []any) bool {
			k := make([]any, len(cols))
			for i, col := range cols {
				k[i] = r[col]
			}
			rows, ks = append(rows, r), append(ks, k)
			return true
		})
		order := sortedOrder(ks, keys)
		from, to := window(len(order), skip, limit, &env{up: up})
		for _, i := range order[from:to] {
			if !yield(rows[i]) {
				return false
			}
		}
		return true
	}
	return &out
}

func sortedOrder(ks [][]any, keys []sortKey) []int {
	order := make([]int, len(ks))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if n := lessKeys(ks[a], ks[b], keys); n != 0 {
			return n
		}
		return a - b // stable
	})
	return order
}

func window(n int, skip, limit valueFn, e *env) (int, int) {
	from, to := 0, n
	if skip != nil {
		s, _ := skip(e).(int64)
		if s < 0 {
			fail(10742, 15, 1, "The offset specified in a OFFSET clause may not be negative.")
		}
		from = int(min(s, int64(n)))
	}
	if limit != nil {
		l, _ := limit(e).(int64)
		if l < 1 {
			fail(10744, 15, 1, "The number of rows provided for a FETCH clause must be greater then zero.")
		}
		to = from + int(min(l, int64(n-from)))
	}
	return from, to
}

func (c *compiler) offset(q *queryExpr) (skip, limit valueFn) {
	if q.offset != nil {
		skip = c.to(c.comp(q.offset), BigInt).f
	}
	if q.fetch != nil {
		limit = c.to(c.comp(q.fetch), BigInt).f
	}
	return skip, limit
}

func (c *compiler) position(x *litExpr, n int) int {
	v, ok := x.val.(int64)
	if !ok {
		failCompile(c.x.line, 408, 16, 1, "A constant expression was encountered in the ORDER BY list, position 1.")
	}
	if v < 1 || int(v) > n {
		failCompile(c.x.line, 108, 16, 1, "The ORDER BY position number %d is out of range of the number of items in the select list.", v)
	}
	return int(v) - 1
}

func topCount(v any, percent bool) int {
	if percent {
		return -1
	}
	n, ok := v.(int64)
	if !ok || n < 0 {
		fail(1060, 15, 1, "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.")
	}
	return int(min(n, 1<<40))
}

func percentCount(v any, n int) int {
	f, ok := v.(float64)
	if !ok || f < 0 || f > 100 {
		fail(1031, 15, 1, "Percent values must be between 0 and 100.")
	}
	m := f * float64(n) / 100
	k := int(m)
	if float64(k) < m {
		k++
	}
	return k
}

func (c *compiler) orderKeys(order []orderItem, outs []output, distinct bool) []sortKey {
	var keys []sortKey
	for n, o := range order {
		var k cx
		found := false
		switch x := o.x.(type) {
		case *litExpr:
			k, found = outs[c.position(x, len(outs))].cx, true
		case *colExpr:
			if len(x.parts) == 1 {
				for i := range outs {
					if !c.x.s.EqualNames(outs[i].name, x.parts[0]) {
						continue
					}
					if found && outs[i].canon != outs[firstNamed(c.x.s.names, outs, x.parts[0])].canon {
						failCompile(c.line(x.line), 209, 16, 1, "Ambiguous column name '%s'.", x.parts[0])
					}
					if !found {
						k, found = outs[i].cx, true
					}
				}
			}
		}
		if !found {
			if distinct {
				canon := c.canon(o.x)
				for i := range outs {
					if outs[i].canon == canon {
						found = true
					}
				}
				if !found {
					failCompile(c.x.line, 145, 15, 1, "ORDER BY items must appear in the select list if SELECT DISTINCT is specified.")
				}
			}
			k = c.comp(o.x)
		}
		if k.t.Kind == KindXML {
			failCompile(c.x.line, 305, 16, 1, "The xml data type cannot be compared or sorted, except when using the IS NULL operator.")
		}
		c.named(k.lab(), "ORDER BY", n+1)
		keys = append(keys, sortKey{k.f, o.desc, c.rules(k.lab(), k.t)})
	}
	return keys
}

func firstNamed(names collation, outs []output, name string) int {
	for i := range outs {
		if names.equalNames(outs[i].name, name) {
			return i
		}
	}
	return 0
}
