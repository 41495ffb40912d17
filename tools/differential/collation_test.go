package differential

import (
	"fmt"
	"strings"
)

// mixedTables gives the statements that make and fill x and y: ci compares
// without case, bin by code point.
func (g generator) mixedTables() (statements []string) {
	for _, t := range []string{"x", "y"} {
		statements = append(statements, fmt.Sprintf("CREATE TABLE %s%s (id int NOT NULL, ci varchar(20) COLLATE %s NULL, bin varchar(20) COLLATE %s NULL)", mTable, t, mCI, mBin))
		var rows []string
		for i := range 2 + g.IntN(8) {
			rows = append(rows, fmt.Sprintf("(%d, %s, %s)", i, g.mixedLiteral(), g.mixedLiteral()))
		}
		rows = append(rows, fmt.Sprintf("(%d, NULL, %s)", len(rows), g.mixedLiteral()))
		statements = append(statements, fmt.Sprintf("INSERT INTO %s%s VALUES %s", mTable, t, strings.Join(rows, ", ")))
	}
	return statements
}

func (g generator) mixedLiteral() string {
	return g.pick("'a'", "'A'", "'b'", "'B'", "'ab'", "'aB'", "'AB'", "'Ab'", "'ba'", "'BA'", "''", "'z'", "'Z'")
}

func (g generator) collation() string { return g.pick(mCI, mBin) }

// mixedText is a text with its collation written.
func (g generator) mixedText(alias string) string {
	col := alias + "." + g.pick("ci", "bin")
	return g.pick(
		col,
		fmt.Sprintf("(%s %s %s)", col, mCat, g.mixedLiteral()),
		fmt.Sprintf("COALESCE(%s, %s)", col, g.mixedLiteral()),
		fmt.Sprintf("REPLACE(‹%s COLLATE Latin1_General_BIN2‖%s›, %s, 'Zz')", col, col, g.pick("'a'", "'B'", "'b'"))) + " COLLATE "
}

func (g generator) mixedCond(alias, other string) string {
	c := g.collation()
	text := g.mixedText(alias)
	if strings.Contains(text, "COLLATE Latin1_General_BIN2") {
		c = mBin // REPLACE has taken an explicit collation already
	}
	text += c
	name := g.pick("ci", "bin")
	sub := fmt.Sprintf("(SELECT q.%s FROM %s%s q)", name, mTable, g.pick("x", "y"))
	return g.pick(
		fmt.Sprintf("%s.%s %s %s.%s", alias, name, g.pick("=", "<>", "<", ">="), other, name),
		fmt.Sprintf("%s.%s %s %s", alias, name, g.pick("=", "<>", "<", ">"), g.mixedLiteral()),
		fmt.Sprintf("%s %s %s.%s", text, g.pick("=", "<>", "<", "<=", ">", ">="), other, g.pick("ci", "bin")),
		fmt.Sprintf("%s %sBETWEEN %s AND %s", text, g.pick("", "NOT "), g.mixedLiteral(), g.mixedLiteral()),
		fmt.Sprintf("%s %sIN (%s, %s)", text, g.pick("", "NOT "), g.mixedLiteral(), g.mixedLiteral()),
		fmt.Sprintf("%s.%s %sIN %s", alias, name, g.pick("", "NOT "), sub),
		fmt.Sprintf("%s %sIN (SELECT q.%s FROM %sx q)", text, g.pick("", "NOT "), g.pick("ci", "bin"), mTable),
		fmt.Sprintf("%s.bin ‹COLLATE Latin1_General_CI_AS LIKE‖LIKE› %s", alias, g.pick("'a%'", "'%B'", "'_b'", "'A_'")),
		fmt.Sprintf("%s.ci ‹COLLATE Latin1_General_BIN2 LIKE %s›", alias, g.pick("'a%'‖GLOB 'a*'", "'%B'‖GLOB '*B'", "'_b'‖GLOB '?b'", "'[A-a]%'‖GLOB '[A-a]*'")),
		fmt.Sprintf("‹CHARINDEX('B', %s.ci COLLATE Latin1_General_BIN2)‖instr(%s.ci, 'B')› > 0", alias, alias),
		fmt.Sprintf("EXISTS (SELECT 1 FROM %sy q WHERE q.%s = %s.%s)", mTable, name, alias, name))
}

func (g generator) mixedQuery() (q query) {
	q.limit = -1
	col, c := g.pick("ci", "bin"), g.collation()
	from := fmt.Sprintf("%sx a %s %sy b ON %s", mTable, g.pick("JOIN", "LEFT JOIN", "FULL JOIN"), mTable, g.mixedCond("a", "b"))
	where := ""
	if g.chance(50) {
		where = " WHERE " + g.mixedCond(g.pick("a", "b"), g.pick("a", "b"))
	}
	switch g.IntN(6) {
	case 0:
		q.text = fmt.Sprintf("SELECT COUNT(*) AS n, LOWER(MIN(a.%s COLLATE %s)) AS lo, LOWER(MAX(a.%s)) AS hi, COUNT(DISTINCT b.%s COLLATE %s) AS d FROM %s%s GROUP BY a.%s COLLATE %s", col, c, col, col, c, from, where, col, c)
	case 1:
		q.text = fmt.Sprintf("SELECT COUNT(*) AS n FROM (SELECT DISTINCT a.%s COLLATE %s AS v FROM %s%s) t", col, c, from, where)
	case 2:
		q.text = fmt.Sprintf("SELECT COUNT(*) AS n FROM (SELECT a.%s COLLATE %s AS v FROM %sx a %s SELECT b.%s FROM %sy b) t", col, c, mTable, g.pick("UNION", "UNION ALL", "EXCEPT", "INTERSECT"), g.pick("ci", "bin"), mTable)
	case 3:
		q.text = fmt.Sprintf("SELECT a.id, b.id AS other, RANK() OVER (ORDER BY a.%s COLLATE %s) AS r, COUNT(*) OVER (PARTITION BY b.%s) AS n FROM %s%s", col, c, col, from, where)
	case 4:
		q.text, q.ordered = fmt.Sprintf("SELECT a.ci, b.bin, a.id, b.id AS other FROM %s%s ORDER BY a.%s COLLATE %s, b.%s%s, a.id, b.id", from, where, col, c, col, g.pick("", " DESC")), true
	default:
		q.text = fmt.Sprintf("SELECT a.ci, a.bin, b.ci AS ci2, b.bin AS bin2 FROM %s%s", from, where)
	}
	return q
}
