package tsql

import "strconv"

// The syntax tree. Nodes hold what was written; types and meaning come in compile*.go. Lines are kept where an error can point.

type expr interface{}

type (
	litExpr struct { // a literal; text is how it prints
		val  any
		typ  Type
		text string
	}
	varExpr struct {
		name string
		line int
	}
	globalExpr struct {
		name string
		line int
	}
	colExpr struct {
		parts []string
		line  int
	}
	starExpr struct {
		qual []string
		line int
	}
	unaryExpr struct {
		op string // - + ~ NOT
		x  expr
	}
	binExpr struct {
		op   string // arithmetic, comparison, AND, OR
		l, r expr
		line int
	}
	isNullExpr struct {
		x   expr
		not bool
	}
	betweenExpr struct {
		x, lo, hi expr
		not       bool
	}
	inExpr struct {
		x    expr
		list []expr
		q    *queryExpr
		not  bool
		line int
	}
	likeExpr struct {
		x, pat, esc expr
		not         bool
	}
	existsExpr struct{ q *queryExpr }
	quantExpr  struct {
		op   string
		x    expr
		all  bool
		q    *queryExpr
		line int
	}
	subExpr struct {
		q    *queryExpr
		line int
	}
	when     struct{ cond, then expr }
	caseExpr struct {
		operand expr // nil in the searched form
		whens   []when
		els     expr
	}
	callExpr struct {
		path     []string
		args     []expr
		star     bool // COUNT(*)
		distinct bool
		over     *overSpec
		within   []orderItem // STRING_AGG … WITHIN GROUP (ORDER BY …)
		line     int
	}
	overSpec struct {
		part  []expr
		order []orderItem
		frame *frameSpec // ROWS or RANGE, nil if not written
	}
	frameSpec struct {
		rows   bool // else RANGE
		lo, hi frameBound
	}
	frameBound struct {
		kind boundKind
		n    int64
	}
	castExpr struct {
		x     expr
		typ   Type
		style expr // CONVERT's third argument
		try   bool
		conv  bool // written as CONVERT
		line  int
	}
	collateExpr struct {
		x    expr
		name string
		line int
	}
	methodExpr struct { // xml .value('path', 'type')
		x    expr
		name string
		args []expr
		line int
	}
	defaultExpr struct{} // DEFAULT in VALUES or SET
)

type orderItem struct {
	x    expr
	desc bool
}

type selectItem struct {
	x      expr
	alias  string
	assign string // @x of SELECT @x = …
	op     string // "=" or "+=" and so on
}

type selectCore struct {
	line     int
	distinct bool
	top      expr
	percent  bool
	ties     bool
	items    []selectItem
	into     []string
	from     []tableRef
	where    expr
	group    []expr
	having   expr
	values   [][]expr // a table value constructor instead
}

type setOp struct {
	op   string // UNION, UNION ALL, EXCEPT, INTERSECT
	l, r queryBody
}

// queryBody is *selectCore, *setOp or *queryExpr (in parentheses).
type queryBody interface{}

type queryExpr struct {
	with   []cte
	body   queryBody
	order  []orderItem
	offset expr
	fetch  expr
	xml    *forXML
	line   int
}

type forXML struct {
	row   string
	typed bool
	root  string
}

type cte struct {
	name string
	cols []string
	q    *queryExpr
}

// tableRef is *tableName, *derived, *tableFunc or *joinRef.
type tableRef interface{}

type (
	tableName struct {
		path  []string // a table variable is one part that starts with @
		alias string
		line  int
	}
	derived struct {
		q     *queryExpr
		alias string
		cols  []string
	}
	tableFunc struct {
		path  []string
		args  []expr
		alias string
		cols  []string
		line  int
	}
	joinRef struct {
		kind joinKind
		l, r tableRef
		on   expr
	}
)

type boundKind uint8

const (
	boundFirst boundKind = iota // UNBOUNDED PRECEDING
	boundPreceding
	boundCurrent
	boundFollowing
	boundLast // UNBOUNDED FOLLOWING
)

func (b frameBound) String() string {
	switch b.kind {
	case boundPreceding, boundFollowing:
		return strconv.FormatInt(b.n, 10) + map[boundKind]string{boundPreceding: " PRECEDING", boundFollowing: " FOLLOWING"}[b.kind]
	}
	return map[boundKind]string{boundFirst: "UNBOUNDED PRECEDING", boundCurrent: "CURRENT ROW", boundLast: "UNBOUNDED FOLLOWING"}[b.kind]
}

type joinKind uint8

const (
	joinInner joinKind = iota
	joinLeft
	joinRight
	joinFull
	joinCross
	joinCrossApply
	joinOuterApply
)

func (k joinKind) String() string {
	return [...]string{"INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "CROSS APPLY", "OUTER APPLY"}[k]
}

// stmt is one of the statements below.
type stmt interface{ at() int }

type base struct{ line int }

func (b base) at() int { return b.line }

type (
	declItem struct {
		name string
		typ  Type
		init expr
		cols []colDef // a table variable
	}
	declareStmt struct {
		base
		items []declItem
	}
	setVarStmt struct {
		base
		name, op string
		x        expr
	}
	setOptStmt struct {
		base
		names []string
		value string
	}
	selectStmt struct {
		base
		q *queryExpr
	}
	outputItem struct {
		deleted bool
		col     string // "" is *
		alias   string
	}
	insertStmt struct {
		base
		with    []cte
		target  *tableName
		cols    []string
		output  []outputItem
		values  [][]expr
		q       *queryExpr
		exec    *execStmt
		deflt   bool
		colLine int
	}
	assignment struct {
		col    string
		varnam string // @v = expr, or @v = col = expr
		op     string
		x      expr
		line   int
	}
	updateStmt struct {
		base
		with   []cte
		top    expr
		target *tableName
		sets   []assignment
		output []outputItem
		from   []tableRef
		where  expr
	}
	deleteStmt struct {
		base
		with   []cte
		top    expr
		target *tableName
		output []outputItem
		from   []tableRef
		where  expr
	}
	ifStmt struct {
		base
		cond      expr
		then, els stmt
	}
	whileStmt struct {
		base
		cond expr
		body stmt
	}
	blockStmt struct {
		base
		list []stmt
	}
	tryStmt struct {
		base
		body, catch []stmt
	}
	breakStmt    struct{ base }
	continueStmt struct{ base }
	returnStmt   struct {
		base
		x expr
	}
	printStmt struct {
		base
		x expr
	}
	throwStmt struct {
		base
		args []expr // none or three
	}
	raiseStmt struct {
		base
		args           []expr
		nowait, seterr bool
		log            bool
	}
	waitStmt struct {
		base
		x    expr
		time bool
	}
	execArg struct {
		name   string
		x      expr
		output bool
		deflt  bool
	}
	execStmt struct {
		base
		rc     string
		path   []string
		pathOf string // EXEC @name
		args   []execArg
		text   []expr // EXEC ('…' + @x)
	}
	tranStmt struct {
		base
		verb string // BEGIN COMMIT ROLLBACK SAVE
		name string
		vari string
	}
	useStmt struct {
		base
		db string
	}
	colDef struct {
		name      string
		typ       Type
		notNull   bool
		identity  bool
		seed, inc int64
		deflt     expr
		collate   string
	}
	createTableStmt struct {
		base
		path []string
		cols []colDef
	}
	dropTableStmt struct {
		base
		paths    [][]string
		ifExists bool
	}
	truncateStmt struct {
		base
		path []string
	}
	foreignStmt struct {
		base
		text string
	}
	nopStmt struct { // taken and without effect, such as CREATE INDEX on a temporary table
		base
		text string
	}
)
