package tsql

import "strings"

// A collation is a property of an expression, by T-SQL's rules of precedence (Microsoft's page "Collation Precedence"): an explicit COLLATE wins over a
// column's own collation, and that over the default of literals, variables and functions. Two columns with different collations make an expression that
// has none: it may be handed on, but not compared and not shown. Derived tables, CTEs and subqueries hand a column's label on.
//
// The numbers are SQL Server's: 448 an unknown name, 468 two collations meet in a comparison (or two explicit ones anywhere), 4191 an expression without
// a collation is compared, 451 it is a column of a result, 456 and 457 it is char or varchar and would have to be stored. The documentation has
// 468's text with the later operand first, and so do servers.

type labelRank uint8

const (
	labelDefault  labelRank = iota // literals, variables, parameters, functions that take no text
	labelImplicit                  // columns
	labelExplicit                  // COLLATE
	labelNone                      // two implicit ones met
)

// label is a text's collation and its rank; that of other types says nothing.
type label struct {
	rank labelRank
	coll *collationInfo // nil is the session's own
	// clash is what met, for messages, if rank is labelNone.
	clash *clash
}

type clash struct{ later, earlier, op string }

func (k *clash) pair() string {
	return "\"" + k.later + "\" and \"" + k.earlier + "\""
}

// collation gives the collation of a name, always the same pointer for the same one, and nil for the session's own.
func (s *Session) collation(line int, name string) *collationInfo {
	key := strings.ToUpper(name)
	if key == "DATABASE_DEFAULT" || key == "CATALOG_DEFAULT" || key == strings.ToUpper(s.own.name) {
		return nil
	}
	if info, ok := s.collations[key]; ok {
		return info
	}
	info := findCollation(name)
	if info == nil {
		failCompile(line, 448, 16, 1, "Invalid collation '%s'.", name)
	}
	if info.refuse != "" {
		notImplemented(line, "the collation "+info.name+" ("+info.refuse+")")
	}
	if s.collations == nil {
		s.collations = map[string]*collationInfo{}
	}
	s.collations[key] = info
	return info
}

// collationFor is collation for a value or a column of type t.
func (s *Session) collationFor(line int, name string, t Type) *collationInfo {
	if !t.IsString() && t.Kind != KindNull {
		failCompile(line, 447, 16, 0, "Expression type %s is invalid for COLLATE clause.", t.Kind)
	}
	info := s.collation(line, name)
	checkWide(line, info, t)
	return info
}

func checkWide(line int, info *collationInfo, t Type) {
	if info != nil && info.wide && t.IsString() && !t.IsUnicode() {
		notImplemented(line, t.Kind.String()+" with the collation "+info.name+" (another code page than 1252)")
	}
}

func (s *Session) collationName(info *collationInfo) string {
	if info == nil {
		return s.own.name
	}
	return info.name
}

// lab is a's label; what is not text has the default.
func (a cx) lab() label {
	if a.t.IsString() || a.t.Kind == KindNull {
		return a.label
	}
	return label{}
}

// columnLabel is the label of a table's column.
func (c *compiler) columnLabel(col Column) label {
	if !col.Type.IsString() {
		return label{}
	}
	l := label{rank: labelImplicit}
	if col.Collation != "" {
		l.coll = c.x.s.collationFor(c.x.line, col.Collation, col.Type)
	}
	return l
}

// labelOf is the label of column i of a source.
func (c *compiler) labelOf(s *source, i int) label {
	if s.labels != nil {
		return s.labels[i]
	}
	return c.columnLabel(s.cols[i])
}

// meet combines two labels, in the order of their operands. Two explicit collations that differ are error 468.
func (c *compiler) meet(op string, x, y label) label {
	switch {
	case x.rank == labelNone || y.rank == labelNone:
		switch {
		case x.rank == labelExplicit, x.rank == labelNone && y.rank != labelExplicit:
			return x
		}
		return y
	case x.coll == y.coll && x.rank >= y.rank, x.rank > y.rank:
		return x
	case x.rank < y.rank:
		return y
	}
	k := &clash{later: c.x.s.collationName(y.coll), earlier: c.x.s.collationName(x.coll), op: op}
	if x.rank == labelExplicit {
		c.conflict(k)
	}
	return label{rank: labelNone, clash: k}
}

func (c *compiler) conflict(k *clash) {
	failCompile(c.x.line, 468, 16, 9, "Cannot resolve the collation conflict between %s in the %s operation.", k.pair(), k.op)
}

// settled is the label of an operation that must have a collation: comparison, LIKE, UNION, …
func (c *compiler) settled(op string, x, y label) label {
	l := c.meet(op, x, y)
	if l.rank == labelNone {
		if x.rank != labelNone && y.rank != labelNone {
			c.conflict(l.clash)
		}
		c.noCollation(op)
	}
	return l
}

func (c *compiler) noCollation(op string) {
	failCompile(c.x.line, 4191, 16, 9, "Cannot resolve collation conflict for %s operation.", op)
}

// need fails if a text has no collation.
func (c *compiler) need(op string, a cx) {
	if a.lab().rank == labelNone {
		c.noCollation(op)
	}
}

// made is the label of what an operation makes of two texts: it may have no collation, unless it is char or varchar, whose code page would not be known.
func (c *compiler) made(op string, t Type, x, y label) label {
	l := c.meet(op, x, y)
	if l.rank == labelNone && t.IsString() && !t.IsUnicode() {
		if x.rank == labelNone || y.rank == labelNone {
			c.unresolved(l.clash, t)
		}
		failCompile(c.x.line, 457, 16, 1, "Implicit conversion of %s value to %s cannot be performed because the collation of the value is unresolved due to a collation conflict between %s in %s operator.",
			t.Kind, t.Kind, l.clash.pair(), op)
	}
	return l
}

func (c *compiler) unresolved(k *clash, t Type) {
	failCompile(c.x.line, 456, 16, 1, "Implicit conversion of %s value to %s cannot be performed because the resulting collation is unresolved due to collation conflict between %s in %s operator.",
		t.Kind, t.Kind, k.pair(), k.op)
}

// assigned checks a value that a variable or a column takes: nchar and nvarchar need no collation for that.
func (c *compiler) assigned(v cx) {
	if l := v.lab(); l.rank == labelNone && !v.t.IsUnicode() {
		c.unresolved(l.clash, v.t)
	}
}

// named fails if column n of a clause has no collation.
func (c *compiler) named(l label, clause string, n int) {
	if l.rank == labelNone {
		failCompile(c.x.line, 451, 16, 1, "Cannot resolve collation conflict between %s in %s operator occurring in %s statement column %d.", l.clash.pair(), l.clash.op, clause, n)
	}
}

// rules are those by which values of type t with this label compare.
func (c *compiler) rules(l label, t Type) collation {
	info := l.coll
	if info == nil {
		info = c.x.s.own
	}
	r := info.rules
	if !t.IsString() {
		return collCI // says nothing
	}
	if r != collCI && !t.IsUnicode() {
		r |= collBytes
	}
	return r
}

// pairRules are the rules by which a comparison compares two texts; other types get any.
func (c *compiler) pairRules(op string, a, b cx) collation {
	if !a.t.IsString() || !b.t.IsString() {
		return collCI
	}
	t, _ := common(a.t, b.t)
	r := c.rules(c.settled(op, a.lab(), b.lab()), t)
	if op == "equal to" || op == "not equal to" {
		r |= r.equalOnly()
	}
	return r
}

// equalOnly is collEqual for the rules that it matters to.
func (c collation) equalOnly() collation {
	if c == collCI {
		return 0
	}
	return collEqual
}

// statement compiles the query of a statement, whose columns must have a collation each.
func (c *compiler) statement(q *queryExpr) *plan {
	p := c.query(q, true)
	if !p.assign {
		for i, l := range p.labels {
			c.named(l, "SELECT", i+1)
		}
	}
	return p
}
