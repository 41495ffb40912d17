package tsql

import "context"

// SELECT as a statement: it is evaluated first and sent then, so that a slow client holds rows, not the right to evaluate.

func (x *executor) selectStmt(t *selectStmt) {
	if core := firstCore(t.q.body); core != nil && core.into != nil {
		x.selectInto(t, core)
		return
	}
	if x.s.opts.implicit && x.s.tranCount == 0 {
		if core := firstCore(t.q.body); core != nil && len(core.from) > 0 {
			x.begin("")
		}
	}
	var rows [][]any
	var p *plan
	var failed *Error
	func() {
		release := x.acquire()
		defer release()
		c := x.compiler(t.line)
		p = c.statement(t.q)
		if x.s.opts.fmtOnly {
			return
		}
		_, failed = x.try(func() flow {
			limit := x.s.opts.rowcount
			p.run(&env{}, func(r []any) bool {
				rows = append(rows, r)
				return limit <= 0 || int64(len(rows)) < limit
			})
			return flow{}
		})
	}()
	if p.assign {
		if failed != nil {
			panic(failed)
		}
		x.s.rowCount = int64(len(rows))
		return
	}
	x.results(p.cols, rows)
	if failed != nil {
		if x.s.tries > 0 && x.capture == nil { // a CATCH will have the error: the result set must be closed before its statements
			x.done(DoneInfo{Kind: DoneSelect, Count: int64(len(rows)), HasCount: true})
		}
		panic(failed)
	}
	x.s.rowCount = int64(len(rows))
	if x.capture == nil {
		x.done(DoneInfo{Kind: DoneSelect, Count: int64(len(rows)), HasCount: true})
	}
}

func firstCore(b queryBody) *selectCore {
	switch n := b.(type) {
	case *selectCore:
		return n
	case *setOp:
		return firstCore(n.l)
	}
	return nil
}

// results sends one result set, without its Done.
func (x *executor) results(cols []Column, rows [][]any) {
	if x.capture != nil {
		if x.capture.cols != nil && len(cols) != len(x.capture.cols) {
			fail(213, 16, 7, "Column name or number of supplied values does not match table definition.")
		}
		x.capture.cols = cols
		x.capture.rows = append(x.capture.rows, rows...)
		return
	}
	x.sent(x.sink.Columns(cols))
	for i, r := range rows {
		if i%256 == 0 && x.ctx.Err() != nil {
			panic(cancelled{context.Cause(x.ctx)})
		}
		x.sent(x.sink.Row(r))
	}
}
