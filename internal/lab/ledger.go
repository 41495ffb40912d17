package lab

import (
	"context"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// ledger is dbo.ledger(id bigint, note nvarchar(100)) of one database, as one session sees it.
type ledger struct {
	h    *host
	db   string
	keys map[*any]uint64 // of the rows that were scanned, by their first cell
}

var ledgerColumns = []tsql.Column{{Name: "id", Type: tsql.BigInt}, {Name: "note", Type: tsql.NVarChar(100), Nullable: true}}

// Columns implements tsql.Table.
func (t *ledger) Columns() []tsql.Column { return ledgerColumns }

// Scan implements tsql.Table: what is committed here, and the session's own open rows.
func (t *ledger) Scan(_ context.Context, yield func([]any) bool) *tsql.Error {
	var rows []model.Row
	for _, d := range t.h.snapshot().Seen {
		if d.Name == t.db {
			if d.Readable != nil {
				return toSQL(d.Readable)
			}
			rows = d.Ledger
		}
	}
	tx := t.h.txs[t.db]
	var own []model.Row
	removed := map[uint64]bool{}
	if tx != nil {
		if err := t.h.do(func(*model.Model) {
			own = tx.Rows()
			for _, k := range tx.Removed() {
				removed[k] = true
			}
		}); err != nil {
			return gone(err)
		}
	}
	t.keys = map[*any]uint64{}
	give := func(r model.Row) bool {
		var note any
		if r.Note != nil {
			note = *r.Note
		}
		row := []any{r.ID, note}
		t.keys[&row[0]] = r.Key
		return yield(row)
	}
	for _, r := range rows {
		if !removed[r.Key] && !give(r) {
			return nil
		}
	}
	for _, r := range own {
		if !give(r) {
			return nil
		}
	}
	return nil
}

// Insert implements tsql.Writable.
func (t *ledger) Insert(ctx context.Context, rows [][]any) ([][]any, *tsql.Error) {
	list, err := t.rows(rows, "INSERT")
	if err == nil {
		err = t.h.change(ctx, t.db, "INSERT", nil, list)
	}
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// rows turns what a statement stores into the model's rows.
func (t *ledger) rows(rows [][]any, verb string) ([]model.Row, *tsql.Error) {
	list := make([]model.Row, len(rows))
	for i, r := range rows {
		id, ok := r[0].(int64)
		if !ok {
			return nil, tsql.NewError(515, 16, 2, "Cannot insert the value NULL into column 'id', table '%s.dbo.ledger'; column does not allow nulls. %s fails.", t.db, verb)
		}
		list[i].ID = id
		if s, ok := r[1].(string); ok {
			list[i].Note = &s
		} else {
			r[1] = nil // DEFAULT
		}
	}
	return list, nil
}

// known are the keys of rows that Scan yielded.
func (t *ledger) known(rows [][]any) ([]uint64, *tsql.Error) {
	keys := make([]uint64, len(rows))
	for i, r := range rows {
		k, ok := t.keys[&r[0]]
		if !ok {
			return nil, tsql.NotImplemented("changing a row of dbo.ledger that this statement did not read")
		}
		keys[i] = k
	}
	return keys, nil
}

// Update implements tsql.Writable.
func (t *ledger) Update(ctx context.Context, old, new [][]any) *tsql.Error {
	keys, err := t.known(old)
	if err != nil {
		return err
	}
	list, err := t.rows(new, "UPDATE")
	if err != nil {
		return err
	}
	return t.h.change(ctx, t.db, "UPDATE", keys, list)
}

// Delete implements tsql.Writable.
func (t *ledger) Delete(ctx context.Context, rows [][]any) *tsql.Error {
	keys, err := t.known(rows)
	if err != nil {
		return err
	}
	return t.h.change(ctx, t.db, "DELETE", keys, nil)
}

// change runs in the session's transaction, or commits at once and waits for the acknowledgement.
func (h *host) change(ctx context.Context, db, verb string, remove []uint64, rows []model.Row) *tsql.Error {
	auto := h.sql.TranCount() == 0
	var refused *model.Error
	done := make(chan *model.Error, 1)
	err := h.do(func(m *model.Model) {
		c := h.inst().Copy(db)
		if refused = c.CanWrite(); refused != nil {
			return
		}
		h.session.Writes++
		if auto {
			tx := m.Begin(c, h.spid, verb)
			if refused = m.Change(tx, remove, rows, true); refused != nil {
				m.Rollback(tx)
				return
			}
			m.Commit(tx, func(e *model.Error) { done <- e })
			return
		}
		tx := h.txs[db]
		if tx == nil {
			tx = m.Begin(c, h.spid, h.session.TranName)
			if h.txs == nil {
				h.txs = map[string]*model.Tx{}
			}
			h.txs[db] = tx
			h.session.Txs = append(h.session.Txs, tx)
		}
		refused = m.Change(tx, remove, rows, false)
	})
	h.snap = nil
	switch {
	case err != nil:
		return gone(err)
	case refused != nil:
		return toSQL(refused)
	case !auto:
		return nil
	}
	return h.await(ctx, done)
}

// await waits until a commit is acknowledged. A client that gives up does not know; the commit goes on without it.
func (h *host) await(ctx context.Context, done <-chan *model.Error) *tsql.Error {
	select {
	case e := <-done:
		h.snap = nil
		return toSQL(e)
	case <-ctx.Done():
		return tsql.NewError(3621, 16, 0, "The statement has been terminated.")
	case <-h.node.lab.engine.done:
		return gone(ErrClosed)
	}
}

// Begin implements tsql.Host.
func (h *host) Begin(context.Context) *tsql.Error {
	h.inTran = true
	err := h.do(func(m *model.Model) {
		h.session.TranBegan = h.inst().Clock()
		h.session.TranID = m.NextTransaction()
		h.current = h.session.TranID
	})
	if err != nil {
		return gone(err)
	}
	return nil
}

// descriptor is the id of the open transaction for the wire.
func (h *host) descriptor() uint64 { return h.current }

func (h *host) endTran() {
	h.inTran = false
	h.lastDescriptor, h.current = h.current, 0
	h.txs, h.saves = nil, nil
	_ = h.do(func(m *model.Model) { // an error means that the lab has ended
		h.session.TranBegan, h.session.TranID, h.session.Txs = time.Time{}, 0, nil
		m.ReleaseTranLocks(h.inst(), h.spid)
	})
}

// Commit implements tsql.Host. Databases commit one after the other; all are waited for.
func (h *host) Commit(ctx context.Context) *tsql.Error {
	txs := h.txs
	done := make(chan *model.Error, len(txs))
	err := h.do(func(m *model.Model) {
		for _, tx := range h.session.Txs {
			m.Commit(tx, func(e *model.Error) { done <- e })
		}
	})
	if err != nil {
		return gone(err)
	}
	var failed *tsql.Error
	for range txs {
		if e := h.await(ctx, done); e != nil {
			failed = e
			if ctx.Err() != nil {
				break
			}
		}
	}
	h.endTran()
	return failed
}

// Rollback implements tsql.Host.
func (h *host) Rollback(context.Context) {
	_ = h.do(func(m *model.Model) { // an error means that the lab has ended
		for _, tx := range h.session.Txs {
			m.Rollback(tx)
		}
	})
	h.endTran()
}

// Save implements tsql.Host: a savepoint over every database that the transaction has touched.
func (h *host) Save(_ context.Context, name string) *tsql.Error {
	at := map[string]model.Mark{}
	if err := h.do(func(*model.Model) {
		for db, tx := range h.txs {
			at[db] = tx.Mark()
		}
	}); err != nil {
		return gone(err)
	}
	if h.saves == nil {
		h.saves = map[string]map[string]model.Mark{}
	}
	h.saves[strings.ToLower(name)] = at
	return nil
}

// RollbackTo implements tsql.Host: what was done since the savepoint is undone, the transaction stays.
func (h *host) RollbackTo(_ context.Context, name string) *tsql.Error {
	at := h.saves[strings.ToLower(name)] // of a database that is not in it everything is undone
	var refused *model.Error
	if err := h.do(func(m *model.Model) {
		for db, tx := range h.txs {
			if e := m.RollbackTo(tx, at[db]); e != nil {
				refused = e
			}
		}
	}); err != nil {
		return gone(err)
	}
	h.snap = nil
	return toSQL(refused)
}
