package tsql

// Set operators and VALUES.

func (c *compiler) valuesPlan(rows [][]expr) *plan {
	n := len(rows[0])
	fs := make([][]valueFn, len(rows))
	for i := range fs {
		fs[i] = make([]valueFn, n)
	}
	p := &plan{cols: make([]Column, n), labels: make([]label, n)}
	sc := &scope{up: c.sc, visible: ^uint64(0)}
	c.sc = sc
	defer func() { c.sc = sc.up }()
	for k := 0; k < n; k++ {
		list := make([]cx, len(rows))
		for i := range rows {
			if _, ok := rows[i][k].(*defaultExpr); ok {
				failCompile(c.x.line, 10739, 15, 1, "The insert column list used in the MERGE statement cannot contain DEFAULT here.")
			}
			list[i] = c.comp(rows[i][k])
		}
		f, out := c.unify("UNION ALL", list)
		for i := range rows {
			fs[i][k] = f[i]
		}
		p.cols[k], p.labels[k] = Column{Type: out.t, Nullable: out.null}, out.lab()
	}
	p.run = func(up *env, yield func([]any) bool) bool {
		e := &env{up: up}
		for i := range fs {
			row := make([]any, n)
			for k, f := range fs[i] {
				row[k] = f(e)
			}
			if !yield(row) {
				return false
			}
		}
		return true
	}
	return p
}

func (c *compiler) setOp(s *setOp) *plan {
	l, r := c.body(s.l, nil, nil), c.body(s.r, nil, nil)
	if len(l.cols) != len(r.cols) {
		c.unequal()
	}
	p := &plan{cols: make([]Column, len(l.cols)), labels: make([]label, len(l.cols))}
	colls := make([]collation, len(l.cols))
	convL, convR := make([]func(any) any, len(l.cols)), make([]func(any) any, len(l.cols))
	p.untyped = make([]bool, len(l.cols))
	for i := range l.cols {
		lt, rt := l.cols[i].Type, r.cols[i].Type
		switch p.untyped[i] = l.bare(i) && r.bare(i); {
		case p.untyped[i]:
		case l.bare(i):
			lt = rt
		case r.bare(i):
			rt = lt
		}
		t, ok := common(lt, rt)
		if !ok {
			failCompile(c.x.line, 206, 16, 2, "Operand type clash: %s is incompatible with %s", rt.Kind, lt.Kind)
		}
		p.cols[i] = Column{Name: l.cols[i].Name, Type: t, Nullable: l.cols[i].Nullable || r.cols[i].Nullable}
		if t.IsString() {
			p.labels[i] = c.unionLabel(s.op, t, cx{t: lt, label: l.labels[i]}.lab(), cx{t: rt, label: r.labels[i]}.lab())
			colls[i] = c.rules(p.labels[i], t)
		}
		convL[i], convR[i] = conversion(lt, t, 0, false), conversion(rt, t, 0, false)
	}
	convert := func(row []any, conv []func(any) any) []any {
		out := make([]any, len(row))
		for i, v := range row {
			if conv[i] != nil {
				v = conv[i](v)
			}
			out[i] = v
		}
		return out
	}
	x := c.x
	p.run = func(up *env, yield func([]any) bool) bool {
		seen := map[any]bool{}
		key := func(row []any) any { return rowKey(row, colls) }
		switch s.op {
		case "UNION ALL":
			return l.run(up, func(r []any) bool { return yield(convert(r, convL)) }) &&
				r.run(up, func(r []any) bool { return yield(convert(r, convR)) })
		case "UNION":
			emit := func(row []any) bool {
				x.tick(1)
				if k := key(row); !seen[k] {
					seen[k] = true
					return yield(row)
				}
				return true
			}
			return l.run(up, func(r []any) bool { return emit(convert(r, convL)) }) &&
				r.run(up, func(r []any) bool { return emit(convert(r, convR)) })
		}
		right := map[any]bool{}
		r.run(up, func(r []any) bool { right[key(convert(r, convR))] = true; return true })
		return l.run(up, func(r []any) bool {
			row := convert(r, convL)
			k := key(row)
			if seen[k] || right[k] != (s.op == "INTERSECT") {
				return true
			}
			seen[k] = true
			return yield(row)
		})
	}
	return p
}

// unionLabel is the label of one column of a set operator. UNION ALL only hands values on; the others compare them.
func (c *compiler) unionLabel(op string, t Type, l, r label) label {
	if op == "UNION ALL" {
		return c.made(op, t, l, r)
	}
	k := c.meet(op, l, r)
	if k.rank == labelNone {
		if l.rank == labelNone || r.rank == labelNone {
			failCompile(c.x.line, 5335, 16, 1, "The data type %s cannot be used as an operand to the UNION, INTERSECT or EXCEPT operators because it is not comparable.", t.Kind)
		}
		c.conflict(k.clash)
	}
	return k
}

// rowKey makes one hash key of a row; NULLs are equal here, as in DISTINCT and GROUP BY.
func rowKey(row []any, colls []collation) any {
	var key any
	for i, v := range row {
		var coll collation
		if i < len(colls) {
			coll = colls[i]
		}
		key = [2]any{key, hashKey(v, coll)}
	}
	return key
}

func (c *compiler) unequal() {
	failCompile(c.x.line, 205, 16, 1, "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.")
}
