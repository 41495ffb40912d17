package differential

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// A text of the generator is neither dialect: these marks become one of them.
const (
	mTable = "‹#›"   // # before a table's name in T-SQL
	mCat   = "‹cat›" // + or ||
	mLen   = "‹len›" // LEN or LENGTH
	mCI    = "‹ci›"  // the collation without case
	mBin   = "‹bin›" // the collation by code point
)

var (
	toTSQL   = strings.NewReplacer(mTable, "#", mCat, "+", mLen, "LEN", mCI, "Latin1_General_CI_AS", mBin, "Latin1_General_BIN2")
	toSQLite = strings.NewReplacer(mTable, "", mCat, "||", mLen, "LENGTH", mCI, "NOCASE", mBin, "BINARY")
	// either is what the two spell differently altogether.
	either = regexp.MustCompile(`‹([^‹›]*)‖([^‹›]*)›`)
)

// query is one SELECT. In T-SQL its rows are limited by OFFSET … FETCH, in
// SQLite by LIMIT.
type query struct {
	text    string
	ordered bool // by every column: the order of the rows counts
	limit   int  // -1 is none
	offset  int
}

func (q query) tsql() string {
	s := either.ReplaceAllString(toTSQL.Replace(q.text), "$1")
	if q.limit >= 0 {
		s += fmt.Sprintf(" OFFSET %d ROWS FETCH NEXT %d ROWS ONLY", q.offset, q.limit)
	}
	return s
}

func (q query) sqlite() string {
	s := either.ReplaceAllString(toSQLite.Replace(q.text), "$2")
	if q.limit >= 0 {
		s += fmt.Sprintf(" LIMIT %d OFFSET %d", q.limit, q.offset)
	}
	return s
}

// typ is the type of an expression.
type typ int

const (
	integer typ = iota
	text
)

// columns of every table.
var columns = []struct {
	name string
	typ  typ
}{{"k", integer}, {"n", integer}, {"s", text}, {"w", text}}

type generator struct{ *rand.Rand }

func (g generator) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

// tables gives the statements that make and fill x, y and z.
func (g generator) tables() (statements []string) {
	for _, t := range []string{"x", "y", "z"} {
		statements = append(statements, fmt.Sprintf("CREATE TABLE %s%s (k int NULL, n int NULL, s varchar(20) NULL, w varchar(20) NULL)", mTable, t))
		var rows []string
		for range g.IntN(9) {
			rows = append(rows, fmt.Sprintf("(%s, %s, %s, %s)", g.pick("NULL", "1", "2", "3"), g.pick("NULL", "0", "-7", "4", "5", "1000"), g.pick("NULL", "'a'", "'b'", "'ab'", "''"), g.pick("'north'", "'south'", "'b'", "NULL")))
		}
		if rows != nil {
			statements = append(statements, fmt.Sprintf("INSERT INTO %s%s VALUES %s", mTable, t, strings.Join(rows, ", ")))
		}
	}
	return statements
}

// scope is the aliases that an expression may use.
type scope []string

func (g generator) column(s scope, t typ) string {
	for {
		c := columns[g.IntN(len(columns))]
		if c.typ == t {
			return s[g.IntN(len(s))] + "." + c.name
		}
	}
}

func (g generator) typ() typ { return typ(g.IntN(2)) }

// expr is an expression that reads at least one column.
func (g generator) expr(s scope, t typ, depth int) string {
	if depth <= 0 || g.chance(35) {
		return g.column(s, t)
	}
	depth--
	switch g.IntN(6) {
	case 0:
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", g.cond(s, depth), g.expr(s, t, depth), g.leaf(s, t))
	case 1:
		return fmt.Sprintf("COALESCE(%s, %s)", g.expr(s, t, depth), g.leaf(s, t))
	case 2:
		return fmt.Sprintf("NULLIF(%s, %s)", g.expr(s, t, depth), g.leaf(s, t))
	case 3:
		return fmt.Sprintf("CASE %s WHEN %s THEN %s WHEN %s THEN %s END", g.column(s, integer), g.literal(integer), g.expr(s, t, depth), g.literal(integer), g.leaf(s, t))
	}
	if t == text {
		return g.pick(
			fmt.Sprintf("(%s %s %s)", g.expr(s, text, depth), mCat, g.leaf(s, text)),
			fmt.Sprintf("UPPER(%s)", g.column(s, text)), // only ever compared with itself: see cond
			fmt.Sprintf("REPLACE(%s, 'a', 'xy')", g.expr(s, text, depth)),
			fmt.Sprintf("SUBSTRING(%s, %d, %d)", g.expr(s, text, depth), 1+g.IntN(3), g.IntN(4)))
	}
	return g.pick(
		fmt.Sprintf("(%s %s %s)", g.expr(s, integer, depth), g.pick("+", "-", "*"), g.leaf(s, integer)),
		fmt.Sprintf("(%s %s %s)", g.expr(s, integer, depth), g.pick("/", "%"), g.pick("2", "3", "-4")),
		fmt.Sprintf("(-%s)", g.column(s, integer)),
		fmt.Sprintf("ABS(%s)", g.column(s, integer)),
		fmt.Sprintf("%s(%s)", mLen, g.expr(s, text, depth)))
}

func (g generator) literal(t typ) string {
	if t == text {
		return g.pick("'a'", "'b'", "'ab'", "'north'", "''")
	}
	return g.pick("0", "1", "2", "3", "-7", "1000")
}

func (g generator) leaf(s scope, t typ) string {
	if g.chance(40) {
		return g.literal(t)
	}
	return g.column(s, t)
}

// lower keeps UPPER out of comparisons, where SQLite is case-sensitive.
func lower(s string) string { return strings.ReplaceAll(s, "UPPER(", "LOWER(") }

// cond is a search condition.
func (g generator) cond(s scope, depth int) string {
	t := g.typ()
	if depth > 0 && g.chance(45) {
		depth--
		switch g.IntN(4) {
		case 0:
			return fmt.Sprintf("(%s AND %s)", g.cond(s, depth), g.cond(s, depth))
		case 1:
			return fmt.Sprintf("(%s OR %s)", g.cond(s, depth), g.cond(s, depth))
		case 2:
			return fmt.Sprintf("NOT (%s)", g.cond(s, depth))
		default:
			return g.subcond(s, t)
		}
	}
	depth--
	return lower(g.pick(
		fmt.Sprintf("%s %s %s", g.expr(s, t, depth), g.pick("=", "<>", "<", "<=", ">", ">="), g.leaf(s, t)),
		fmt.Sprintf("%s = %s", g.column(s, t), g.column(s, t)),
		fmt.Sprintf("%s IS %sNULL", g.expr(s, t, depth), g.pick("", "NOT ")),
		fmt.Sprintf("%s %sBETWEEN %s AND %s", g.expr(s, t, depth), g.pick("", "NOT "), g.leaf(s, t), g.leaf(s, t)),
		fmt.Sprintf("%s %sIN (%s, %s)", g.expr(s, t, depth), g.pick("", "NOT "), g.leaf(s, t), g.leaf(s, t)),
		fmt.Sprintf("%s %sLIKE %s", g.expr(s, text, depth), g.pick("", "NOT "), g.pick("'a%'", "'%b'", "'_b'", "'%o%t_'", "''"))))
}

func (g generator) subcond(s scope, t typ) string {
	table := g.pick("x", "y", "z")
	inner := append(append(scope{}, s...), "q")
	return lower(g.pick(
		fmt.Sprintf("%sEXISTS (SELECT 1 FROM %s%s q WHERE %s)", g.pick("", "NOT "), mTable, table, g.cond(inner, 0)),
		fmt.Sprintf("%s %sIN (SELECT %s FROM %s%s q WHERE %s)", g.expr(s, t, 0), g.pick("", "NOT "), g.column(scope{"q"}, t), mTable, table, g.cond(inner, 0)),
		fmt.Sprintf("%s %s (SELECT %s(q.n) FROM %s%s q WHERE %s)", g.expr(s, integer, 1), g.pick("=", "<", ">="), g.pick("MIN", "MAX", "COUNT", "SUM"), mTable, table, g.cond(inner, 0))))
}

// from gives a FROM clause, with a WHERE of its own if the joins are commas.
func (g generator) from() (sql string, s scope) {
	name := func() string { return mTable + g.pick("x", "y", "z") }
	join := func() string { return g.pick("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN") }
	switch g.IntN(6) {
	case 0:
		return name() + " a", scope{"a"}
	case 1:
		return fmt.Sprintf("%s a %s %s b ON %s", name(), join(), name(), g.cond(scope{"a", "b"}, 1)), scope{"a", "b"}
	case 2:
		return fmt.Sprintf("%s a %s %s b ON a.k = b.k %s %s c ON %s", name(), join(), name(), join(), name(), g.cond(scope{"a", "b", "c"}, 1)), scope{"a", "b", "c"}
	case 3:
		return fmt.Sprintf("%s a CROSS JOIN %s b", name(), name()), scope{"a", "b"}
	case 4:
		return fmt.Sprintf("%s a, %s b, %s c", name(), name(), name()), scope{"a", "b", "c"}
	}
	return fmt.Sprintf("%s a %s (SELECT k, MAX(n) AS n, MIN(s) AS s, MIN(w) AS w FROM %s GROUP BY k) b ON a.k = b.k", name(), join(), name()), scope{"a", "b"}
}

// orderAll orders by every column of n, so that equal rows alone may change
// places.
func (g generator) orderAll(n int) string {
	keys := make([]string, n)
	for i, k := range g.Perm(n) {
		keys[i] = fmt.Sprintf("%d%s", k+1, g.pick("", " ASC", " DESC"))
	}
	return " ORDER BY " + strings.Join(keys, ", ")
}

// query draws one SELECT.
func (g generator) query() query {
	var q query
	var n int
	switch g.IntN(5) {
	case 0:
		q.text, n = g.grouped()
	case 1:
		q.text, n = g.union()
	case 2:
		q.text, n = g.windowed()
	default:
		var types []typ
		q.text, types = g.plain(nil)
		n = len(types)
	}
	q.limit = -1
	if g.chance(60) {
		q.ordered = true
		q.text += g.orderAll(n)
		if g.chance(30) {
			q.limit, q.offset = 1+g.IntN(5), g.IntN(3)
		}
	}
	return q
}

// plain is SELECT … FROM … WHERE …; types, if given, are those of its columns.
func (g generator) plain(types []typ) (string, []typ) {
	from, s := g.from()
	for types == nil || (len(types) < 5 && g.chance(50)) {
		types = append(types, g.typ())
	}
	var list []string
	for i, t := range types {
		list = append(list, fmt.Sprintf("%s AS c%d", lower(g.expr(s, t, 2)), i+1))
	}
	where := ""
	if g.chance(70) {
		where = " WHERE " + g.cond(s, 2)
	}
	return fmt.Sprintf("SELECT %s%s FROM %s%s", g.pick("", "", "DISTINCT "), strings.Join(list, ", "), from, where), types
}

func (g generator) aggregate(s scope) string {
	t := g.typ()
	return lower(g.pick("COUNT(*)",
		fmt.Sprintf("COUNT(%s)", g.expr(s, t, 1)), fmt.Sprintf("COUNT(DISTINCT %s)", g.expr(s, t, 1)), fmt.Sprintf("SUM(%s)", g.expr(s, integer, 1)),
		fmt.Sprintf("SUM(DISTINCT %s)", g.column(s, integer)), fmt.Sprintf("MIN(%s)", g.expr(s, t, 1)), fmt.Sprintf("MAX(%s)", g.expr(s, t, 1))))
}

func (g generator) grouped() (string, int) {
	from, s := g.from()
	var keys, list []string
	for range g.IntN(3) {
		k := g.column(s, g.typ())
		if g.chance(20) {
			k = fmt.Sprintf("CASE WHEN %s > 2 THEN %s ELSE -1 END", g.column(s, integer), g.column(s, integer))
		}
		keys = append(keys, k)
	}
	list = append(list, keys...)
	for range 1 + g.IntN(3) {
		list = append(list, g.aggregate(s))
	}
	var b strings.Builder
	for i := range list {
		list[i] = fmt.Sprintf("%s AS c%d", list[i], i+1)
	}
	fmt.Fprintf(&b, "SELECT %s FROM %s", strings.Join(list, ", "), from)
	if g.chance(50) {
		fmt.Fprintf(&b, " WHERE %s", g.cond(s, 1))
	}
	if keys != nil {
		fmt.Fprintf(&b, " GROUP BY %s", strings.Join(keys, ", "))
		if g.chance(40) {
			fmt.Fprintf(&b, " HAVING %s %s %s", g.pick("COUNT(*)", fmt.Sprintf("SUM(%s)", g.column(s, integer)), fmt.Sprintf("MAX(%s)", g.column(s, integer))), g.pick(">", "<=", "<>"), g.literal(integer))
		}
	}
	return b.String(), len(list)
}

func (g generator) union() (string, int) {
	var types []typ
	for range 1 + g.IntN(3) {
		types = append(types, g.typ())
	}
	left, _ := g.exactly(types)
	right, _ := g.exactly(types)
	return fmt.Sprintf("%s %s %s", left, g.pick("UNION", "UNION ALL", "INTERSECT", "EXCEPT"), right), len(types)
}

// exactly is plain with these columns and no more.
func (g generator) exactly(types []typ) (string, []typ) {
	from, s := g.from()
	var list []string
	for i, t := range types {
		list = append(list, fmt.Sprintf("%s AS c%d", lower(g.expr(s, t, 1)), i+1))
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(list, ", "), from, g.cond(s, 1)), types
}

// windowed numbers and sums the rows of a CTE. Rows that are equal in the
// ordering are equal in all columns, so that it does not matter which of them
// gets which number.
func (g generator) windowed() (string, int) {
	inner, s := g.from()
	part := g.pick("", "PARTITION BY c1 ", "PARTITION BY c1, c3 ")
	order := g.pick("ORDER BY c1, c2, c3", "ORDER BY c3 DESC, c1, c2", "ORDER BY c2, c3 DESC, c1")
	w := g.pick("ROW_NUMBER()", "RANK()", "DENSE_RANK()", "COUNT(*)", "SUM(c1)", "MIN(c2)", "MAX(c3)")
	over := part + order
	if !strings.HasSuffix(w, "()") && g.chance(50) {
		over = strings.TrimSpace(part)
	}
	return fmt.Sprintf("WITH t AS (SELECT %s AS c1, %s AS c2, %s AS c3 FROM %s) SELECT c1, c2, c3, %s OVER (%s) AS r FROM t",
		lower(g.expr(s, integer, 1)), lower(g.expr(s, text, 1)), g.column(s, integer), inner, w, over), 4
}
