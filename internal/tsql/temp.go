package tsql

import (
	"context"
	"slices"
	"strings"
)

// memTable is a temporary table or a table variable. Its rows are replaced, never changed, so that a scan and a savepoint keep what they saw.
type memTable struct {
	id       int
	name     string
	cols     []Column
	defaults []valueFn
	rows     [][]any
	next     int64 // of the identity column
	seed     int64
	inc      int64
	level    int // the nesting level that made it
}

func (m *memTable) Columns() []Column { return m.cols }

func (m *memTable) Scan(_ context.Context, yield func([]any) bool) *Error {
	for _, r := range m.rows {
		if !yield(r) {
			break
		}
	}
	return nil
}

func (m *memTable) Insert(_ context.Context, rows [][]any) ([][]any, *Error) {
	stored := make([][]any, len(rows))
	for i, r := range rows {
		n := make([]any, len(r))
		copy(n, r)
		for k := range n {
			if _, ok := n[k].(Default); !ok {
				continue
			}
			switch {
			case m.cols[k].Identity:
				n[k] = m.next
				m.next += m.inc
			case m.defaults[k] != nil:
				n[k] = m.defaults[k](&env{})
			default:
				n[k] = nil
			}
			if n[k] == nil && !m.cols[k].Nullable {
				return nil, nullError(m.cols[k].Name, m.name, "INSERT")
			}
		}
		stored[i] = n
	}
	m.rows = append(m.rows[:len(m.rows):len(m.rows)], stored...)
	return stored, nil
}

func nullError(col, table, verb string) *Error {
	return NewError(515, 16, 2, "Cannot insert the value NULL into column '%s', table '%s'; column does not allow nulls. %s fails.", col, table, verb)
}

func (m *memTable) Update(_ context.Context, old, new [][]any) *Error {
	by := make(map[*any][]any, len(old))
	for i, r := range old {
		by[&r[0]] = new[i]
	}
	rows := make([][]any, len(m.rows))
	for i, r := range m.rows {
		if n, ok := by[&r[0]]; ok {
			r = n
		}
		rows[i] = r
	}
	m.rows = rows
	return nil
}

func (m *memTable) Delete(_ context.Context, del [][]any) *Error {
	gone := make(map[*any]bool, len(del))
	for _, r := range del {
		gone[&r[0]] = true
	}
	rows := make([][]any, 0, len(m.rows))
	for _, r := range m.rows {
		if !gone[&r[0]] {
			rows = append(rows, r)
		}
	}
	m.rows = rows
	return nil
}

func (m *memTable) truncate() { m.rows, m.next = nil, m.seed }

func (s *Session) temp(name string) *memTable { return s.temps[s.names.fold(name)] }

func (s *Session) addTemp(line int, m *memTable) {
	if s.temp(m.name) != nil {
		failCompile(line, 2714, 16, 6, "There is already an object named '%s' in the database.", m.name)
	}
	if len(s.temps) >= 1000 {
		panic(NotImplemented("more than 1000 temporary tables in one session"))
	}
	s.nextTemp++
	m.id, m.level = s.nextTemp, s.nest
	s.temps[s.names.fold(m.name)] = m
}

func (s *Session) dropTemp(name string) bool {
	k := s.names.fold(name)
	if s.temps[k] == nil {
		return false
	}
	delete(s.temps, k)
	return true
}

func (s *Session) dropLevel(level int) {
	for k, m := range s.temps {
		if m.level >= level {
			delete(s.temps, k)
		}
	}
}

// tempState is a temporary table at a savepoint.
type tempState struct {
	m    *memTable
	rows [][]any
}

func (s *Session) saveTemps() map[string]tempState {
	out := make(map[string]tempState, len(s.temps))
	for k, m := range s.temps {
		out[k] = tempState{m, m.rows}
	}
	return out
}

func (s *Session) restoreTemps(saved map[string]tempState) {
	if saved == nil {
		return
	}
	s.temps = make(map[string]*memTable, len(saved))
	for k, t := range saved {
		t.m.rows = t.rows
		s.temps[k] = t.m
	}
}

func (x *executor) newMem(line int, name string, defs []colDef) *memTable {
	m := &memTable{name: name, seed: 1, inc: 1, next: 1}
	if len(defs) == 0 {
		failCompile(line, 102, 15, 1, "Incorrect syntax near '('.")
	}
	for i, d := range defs {
		for _, o := range defs[:i] {
			if x.s.EqualNames(o.name, d.name) {
				failCompile(line, 2705, 16, 3, "Column names in each table must be unique. Column name '%s' in table '%s' is specified more than once.", d.name, name)
			}
		}
		col := Column{Name: d.name, Type: d.typ, Nullable: !d.notNull, Identity: d.identity, HasDefault: d.deflt != nil}
		if d.collate != "" {
			if k := x.s.collationFor(line, d.collate, d.typ); k != nil {
				col.Collation = k.name
			}
		}
		var f valueFn
		if d.deflt != nil {
			c := x.compiler(line)
			f = c.to(c.comp(d.deflt), d.typ).f
		}
		if d.identity {
			if !d.typ.IsInteger() && d.typ.Kind != KindDecimal || d.typ.Kind == KindBit || d.typ.Kind == KindDecimal {
				failCompile(line, 2749, 16, 2, "Identity column '%s' must be of data type int, bigint, smallint, tinyint, or decimal or numeric with a scale of 0, unencrypted, and constrained to be nonnullable.", d.name)
			}
			m.seed, m.next, m.inc = d.seed, d.seed, d.inc
		}
		m.cols, m.defaults = append(m.cols, col), append(m.defaults, f)
	}
	return m
}

func (x *executor) tableVariable(d declItem) *memTable { return x.newMem(1, d.name, d.cols) }

func (x *executor) createTemp(t *createTableStmt) {
	name := t.path[len(t.path)-1]
	if strings.HasPrefix(name, "##") {
		panic(NotImplemented("global temporary tables"))
	}
	x.s.addTemp(t.line, x.newMem(t.line, name, t.cols))
}

// selectInto makes a temporary table of a query's rows.
func (x *executor) selectInto(t *selectStmt, core *selectCore) {
	if !isTemp(core.into) || strings.HasPrefix(core.into[len(core.into)-1], "##") {
		panic(NotImplemented("SELECT INTO a table that is not a local temporary one"))
	}
	name := core.into[len(core.into)-1]
	var rows [][]any
	m := &memTable{name: name, seed: 1, inc: 1, next: 1}
	func() {
		release := x.acquire()
		defer release()
		c := x.compiler(t.line)
		p := c.statement(t.q)
		if p.assign {
			failCompile(t.line, 194, 15, 1, "A SELECT INTO statement cannot contain a SELECT statement that assigns values to a variable.")
		}
		for i, col := range p.cols {
			if col.Name == "" {
				failCompile(t.line, 1038, 15, 5, "An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name. For other statements, look for empty alias names. Aliases defined as \"\" or [] are not allowed. Change the alias to a valid name.")
			}
			for _, o := range p.cols[:i] {
				if x.s.EqualNames(o.Name, col.Name) {
					failCompile(t.line, 2705, 16, 3, "Column names in each table must be unique. Column name '%s' in table '%s' is specified more than once.", col.Name, name)
				}
			}
			made := Column{Name: col.Name, Type: col.Type, Nullable: col.Nullable}
			if k := p.labels[i].coll; k != nil && col.Type.IsString() {
				made.Collation = k.name
			}
			m.cols = append(m.cols, made)
		}
		m.defaults = make([]valueFn, len(m.cols))
		p.run(&env{}, func(r []any) bool { rows = append(rows, slices.Clone(r)); return true }) // rows of its own: they are known by identity
	}()
	m.rows = rows
	x.s.addTemp(t.line, m)
	x.s.rowCount = int64(len(rows))
	x.done(DoneInfo{Kind: DoneSelect, Count: int64(len(rows)), HasCount: true})
}
