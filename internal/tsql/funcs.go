package tsql

import (
	"strings"
)

// builtin is one function of this package: how many arguments it takes (max −1: any number), and how it compiles.
type builtin struct {
	min, max int
	comp     func(c *compiler, e *callExpr, a []cx) cx
}

var builtins map[string]builtin

func init() {
	builtins = map[string]builtin{}
	for _, m := range []map[string]builtin{stringFuncs(), numberFuncs(), timeFuncs(), systemFuncs()} {
		for k, v := range m {
			builtins[k] = v
		}
	}
}

// FunctionNames lists the functions, aggregates and window functions that this package has itself, for documentation.
func FunctionNames() []string {
	var out []string
	for k := range builtins {
		out = append(out, k)
	}
	for k := range aggregateNames {
		if !missingAggregates[k] {
			out = append(out, k)
		}
	}
	return append(out, "ROW_NUMBER", "RANK", "DENSE_RANK", "NTILE", "LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE", "PERCENT_RANK", "CUME_DIST", "COALESCE", "IIF", "CAST", "CONVERT", "TRY_CAST", "TRY_CONVERT")
}

func argCount(line int, name string, lo, hi, n int) {
	if n >= lo && (hi < 0 || n <= hi) {
		return
	}
	if lo == hi {
		failCompile(line, 174, 15, 1, "The %s function requires %d argument(s).", strings.ToLower(name), lo)
	}
	if hi < 0 {
		failCompile(line, 189, 15, 1, "The %s function requires %d to %d arguments.", strings.ToLower(name), lo, 254)
	}
	failCompile(line, 189, 15, 1, "The %s function requires %d to %d arguments.", strings.ToLower(name), lo, hi)
}

func (c *compiler) call(e *callExpr) cx {
	line := c.line(e.line)
	name := strings.ToUpper(e.path[len(e.path)-1])
	if e.over != nil {
		return c.window(e)
	}
	if isAggregate(e) {
		return c.aggregate(e)
	}
	if e.star || e.distinct {
		failCompile(line, 102, 15, 1, "Incorrect syntax near '*'.")
	}
	if len(e.path) == 1 {
		switch name {
		case "ROW_NUMBER", "RANK", "DENSE_RANK", "NTILE", "LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE", "PERCENT_RANK", "CUME_DIST":
			failCompile(line, 10753, 15, 3, "The function '%s' must have an OVER clause.", name)
		case "IIF":
			argCount(line, name, 3, 3, len(e.args))
			return c.caseOf(&caseExpr{whens: []when{{e.args[0], e.args[1]}}, els: e.args[2]})
		case "COALESCE":
			return c.coalesce(e)
		}
		if b, ok := builtins[name]; ok {
			return c.builtin(e, name, b)
		}
	}
	args := make([]cx, len(e.args))
	types := make([]Type, len(e.args))
	for i, a := range e.args {
		if _, ok := a.(*defaultExpr); ok {
			args[i] = constant(nil, Type{})
			continue
		}
		args[i] = c.comp(a)
		types[i] = args[i].t
	}
	fn, err := c.x.s.host.Function(c.x.ctx, e.path, types)
	if err != nil {
		err := *err
		err.Line, err.scope = int32(line), scopeCompile
		panic(&err)
	}
	if fn == nil {
		if len(e.path) > 1 {
			if c.missing(e.path) {
				missingObject(line, e.path)
			}
			failCompile(line, 4121, 16, 1, "Cannot find either column \"%s\" or the user-defined function or aggregate \"%s\", or the name is ambiguous.", e.path[0], strings.Join(e.path, "."))
		}
		if missingFunctions[name] {
			notImplemented(line, "the function "+name)
		}
		failCompile(line, 195, 15, 10, "'%s' is not a recognized built-in function name.", e.path[0])
	}
	x := c.x
	return cx{t: fn.Result, null: true, f: func(e *env) any {
		vals := make([]any, len(args))
		for i, a := range args {
			vals[i] = a.f(e)
		}
		if x.dry {
			return nil
		}
		v, err := fn.Call(x.ctx, vals)
		check(err)
		return v
	}}
}

func (c *compiler) builtin(e *callExpr, name string, b builtin) cx {
	line := c.line(e.line)
	argCount(line, name, b.min, b.max, len(e.args))
	args := make([]cx, len(e.args))
	for i, a := range e.args {
		if i == 0 && isDatePartFunc(name) {
			part := a.(*colExpr).parts[0]
			p := datePartName(part)
			if p == "" {
				failCompile(line, 155, 15, 1, "'%s' is not a recognized %s option.", part, strings.ToLower(name))
			}
			args[i] = constant(p, VarChar(20))
			continue
		}
		args[i] = c.comp(a)
		if collationSensitive[name] {
			c.need(strings.ToLower(name), args[i])
		}
	}
	return b.comp(c, e, args)
}

// collationSensitive are the functions that take no text without a collation.
var collationSensitive = words(`LEN UPPER LOWER LTRIM RTRIM TRIM SUBSTRING CHARINDEX PATINDEX REPLACE REVERSE STUFF LEFT RIGHT UNICODE CHECKSUM PARSENAME`)

func (c *compiler) coalesce(e *callExpr) cx {
	argCount(c.line(e.line), "coalesce", 2, -1, len(e.args))
	list := make([]cx, len(e.args))
	allNull := true
	for i, a := range e.args {
		list[i] = c.comp(a)
		allNull = allNull && list[i].konst && list[i].val == nil
	}
	if allNull {
		failCompile(c.line(e.line), 4127, 16, 1, "At least one of the arguments to COALESCE must be an expression that is not the NULL constant.")
	}
	fs, out := c.unify("CASE", list)
	out.null = true
	for _, l := range list {
		if !l.null {
			out.null = false
		}
	}
	out.f = func(e *env) any {
		for _, f := range fs {
			if v := f(e); v != nil {
				return v
			}
		}
		return nil
	}
	return out
}

// strict makes a function that is NULL if any argument is.
func strict(t Type, args []cx, f func(v []any) any) cx {
	out := cx{t: t, konst: true}
	if t.IsString() && len(args) > 0 { // the text that a text is made of comes first
		out.label = args[0].lab()
	}
	fs := make([]valueFn, len(args))
	for i, a := range args {
		fs[i] = a.f
		out.null = out.null || a.null
		out.konst = out.konst && a.konst
	}
	out.f = func(e *env) any {
		vals := make([]any, len(fs))
		for i, g := range fs {
			if vals[i] = g(e); vals[i] == nil {
				return nil
			}
		}
		return f(vals)
	}
	return out.foldConst()
}

// globals that belong to the session; the others are the host's.
func (c *compiler) global(e *globalExpr) cx {
	s := c.x.s
	get := func(t Type, f func() any) cx { return cx{t: t, f: func(*env) any { return f() }} }
	switch e.name {
	case "ROWCOUNT":
		return get(Int, func() any { return s.rowCount })
	case "ERROR":
		return get(Int, func() any { return int64(s.lastError) })
	case "TRANCOUNT":
		return get(Int, func() any { return int64(s.tranCount) })
	case "NESTLEVEL":
		return get(Int, func() any { return int64(s.nest) })
	case "IDENTITY":
		return get(Numeric(38, 0), func() any {
			if i, ok := s.identity.(int64); ok {
				return decimalFromInt(i)
			}
			return s.identity
		})
	case "LOCK_TIMEOUT":
		return get(Int, func() any { return s.opts.lockTimeout })
	case "TEXTSIZE":
		return get(Int, func() any { return s.opts.textsize })
	case "MAX_PRECISION":
		return constant(int64(38), TinyInt)
	case "DATEFIRST":
		return constant(int64(7), TinyInt)
	case "FETCH_STATUS":
		return get(Int, func() any { return s.fetchStatus })
	case "CURSOR_ROWS":
		return get(Int, func() any { return s.cursorRows })
	case "PROCID":
		return constant(int64(0), Int)
	case "LANGUAGE":
		return constant("us_english", Sysname)
	case "OPTIONS":
		return get(Int, func() any {
			n := int64(5432)
			if s.opts.nocount {
				n |= 512
			}
			if s.opts.xactAbort {
				n |= 16384
			}
			if s.opts.implicit {
				n |= 2
			}
			return n
		})
	}
	t, v, ok := s.host.Global(c.x.ctx, e.name)
	if !ok {
		failCompile(c.line(e.line), 137, 15, 2, "Must declare the scalar variable \"@@%s\".", e.name)
	}
	return cx{t: t, f: func(*env) any { return v }, null: v == nil}
}
