package tsql

// projection makes the rows of a SELECT list. Most columns of most lists are plain columns of a source: they are copied, not computed;
// and SELECT * of one table gives the table's own rows.
type projection struct {
	cols []projected
	same int // the source whose rows these are, or -1
	mem  rowMemory
}

// projected is one column: f, or a column of a source of this level.
type projected struct {
	f        valueFn
	src, col int
}

func newProjection(outs []output, srcs []*source) *projection {
	p := &projection{cols: make([]projected, len(outs)), same: -1}
	for i, o := range outs {
		p.cols[i] = projected{f: o.f, src: o.src, col: o.col}
		if o.plain {
			p.cols[i].f = nil
		}
	}
	if len(outs) > 0 && outs[0].plain && outs[0].src < len(srcs) && len(srcs[outs[0].src].cols) == len(outs) {
		p.same = outs[0].src
		for i, c := range p.cols {
			if c.f != nil || c.src != p.same || c.col != i {
				p.same = -1
				break
			}
		}
	}
	return p
}

func (p *projection) row(e *env) []any {
	if p.same >= 0 {
		return e.rows[p.same]
	}
	row := p.mem.row(len(p.cols))
	for i := range p.cols {
		if c := &p.cols[i]; c.f == nil {
			row[i] = e.rows[c.src][c.col]
		} else {
			row[i] = c.f(e)
		}
	}
	return row
}

// rowMemory gives rows out of larger pieces. Whoever keeps one row keeps its piece, so pieces begin small and stay within 16 KiB.
type rowMemory struct {
	free []any
	size int
}

const maxPiece = 1024

func (m *rowMemory) row(n int) []any {
	if len(m.free) < n {
		m.size = max(n, min(2*m.size, maxPiece/max(n, 1)*n))
		m.free = make([]any, m.size)
	}
	r := m.free[:n:n]
	m.free = m.free[n:]
	return r
}
