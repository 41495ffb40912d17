package tsql

import (
	"strings"
)

// nested runs a text as a level of its own: EXEC ('…') and sp_executesql. SET options and temporary tables made there end with it.
func (x *executor) nested(text string, vars *frame, capture *captured) (flow, int32) {
	s := x.s
	if s.nest >= 32 {
		fail(217, 16, 1, "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit 32).")
	}
	s.nest++
	opts := s.opts
	s.opts.other = make(map[string]string, len(opts.other))
	for k, v := range opts.other {
		s.opts.other[k] = v
	}
	vars.level = s.nest
	y := &executor{s: s, ctx: x.ctx, sink: x.sink, f: vars, capture: capture}
	f := y.batch(text)
	s.dropLevel(s.nest)
	s.nest--
	s.opts = opts
	switch {
	case f.kind == flowThrow && f.err.scope == scopeCompile:
		e := *f.err // at the level around it, it is an error like any other
		e.scope = scopeStatement
		f.err = &e
	case f.kind == flowLeave, f.kind == flowReturn:
		f = flow{}
	}
	return f, y.rc
}

// nestedFlow is the panic by which a nested level that did not end normally gets past the procedure that ran it.
type nestedFlow struct{ f flow }

func (x *executor) exec(t *execStmt) flow {
	if t.text != nil {
		var b strings.Builder
		for _, e := range t.text {
			v, typ := x.value(t.line, e)
			if v != nil {
				b.WriteString(toText(v, typ, NVarChar(MaxLen), 0).(string))
			}
		}
		f, _ := x.nested(b.String(), newFrame(0, x.s.names), x.capture)
		return f
	}
	path := t.path
	if t.pathOf != "" {
		v, ok := x.f.lookup(t.pathOf).val.(string)
		if !ok {
			fail(2812, 16, 62, "Could not find stored procedure ''.")
		}
		path = newPath(v)
	}
	args := make([]Arg, len(t.args))
	named := false
	for i, a := range t.args {
		if named && a.name == "" {
			fail(119, 15, 1, "Must pass parameter number %d and subsequent parameters as '@name = value'. After the form '@name = value' has been used, all subsequent parameters must be passed in the form '@name = value'.", i+1)
		}
		named = named || a.name != ""
		args[i] = Arg{Name: a.name, Output: a.output, Default: a.deflt}
		args[i].Value, args[i].Type = x.value(t.line, a.x)
	}
	var rc int32
	f := x.catchFlow(func() { rc = x.callProc(path, args) })
	if f.kind != flowNext {
		return f
	}
	for i, a := range t.args {
		if a.output {
			v := x.f.lookup(a.x.(*varExpr).name)
			conv := conversion(args[i].Type, v.typ, 0, false)
			if conv != nil {
				v.val = conv(args[i].Value)
			} else {
				v.val = args[i].Value
			}
		}
	}
	if t.rc != "" {
		v := x.f.lookup(t.rc)
		v.val = convertValue(int64(rc), Int, v.typ, 0)
	}
	x.done(DoneInfo{Kind: DoneExec})
	return flow{}
}

// catchFlow runs f and gives the flow that a nested level ended with.
func (x *executor) catchFlow(f func()) (r flow) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case nestedFlow:
			r = p.f
		default:
			panic(p)
		}
	}()
	f()
	return flow{}
}

// callProc runs a procedure by name; arguments that are Output get their values. A nested level that does not end normally panics with nestedFlow.
func (x *executor) callProc(path []string, args []Arg) int32 {
	name := path[len(path)-1]
	if x.s.names == collCI { // elsewhere a procedure's name is spelled as it is
		name = strings.ToLower(name)
	}
	switch name {
	case "sp_executesql":
		return x.spExecuteSQL(args)
	case "sp_prepare":
		return x.spPrepare(args)
	case "sp_prepexec":
		return x.spPrepExec(args)
	case "sp_execute":
		return x.spExecute(args)
	case "sp_unprepare":
		return x.spUnprepare(args)
	}
	p := x.s.host.Procedure(x.ctx, path)
	shown := strings.Join(path, ".")
	if p == nil && strings.HasPrefix(name, "sp_datatype_info") {
		switch strings.TrimPrefix(name, "sp_datatype_info") {
		case "", "_90", "_100":
			rc, err := datatypeInfo(x, shown, args)
			check(err)
			return rc
		}
	}
	if p == nil {
		if missingProcedure(name) {
			panic(NotImplemented("the procedure " + shown))
		}
		fail(2812, 16, 62, "Could not find stored procedure '%s'.", shown)
	}
	sink := x.sink
	if x.capture != nil {
		sink = &captureSink{x}
	}
	call := &ProcCall{Session: x.s, Name: shown, Args: args, Sink: sink}
	rc, err := p(x.ctx, call)
	copy(args, call.Args)
	if err != nil {
		e := *err
		if e.Procedure == "" {
			e.Procedure = path[len(path)-1]
		}
		if e.Line == 0 {
			e.Line = 1
		}
		panic(&e)
	}
	return rc
}

// captureSink puts a host procedure's result sets where INSERT … EXEC wants them.
type captureSink struct{ x *executor }

func (c *captureSink) Columns(cols []Column) error {
	c.x.capture.cols = cols
	return nil
}
func (c *captureSink) Row(r []any) error      { c.x.capture.rows = append(c.x.capture.rows, r); return nil }
func (c *captureSink) Done(DoneInfo) error    { return nil }
func (c *captureSink) Info(e *Error) error    { return c.x.sink.Info(e) }
func (c *captureSink) Error(e *Error) error   { return c.x.sink.Error(e) }
func (c *captureSink) Env(ev EnvChange) error { return c.x.sink.Env(ev) }

// textArg takes a statement or parameter text out of the arguments.
func textArg(a Arg, proc, what string) string {
	if a.Value == nil {
		return ""
	}
	s, ok := a.Value.(string)
	if !ok {
		e := NewError(214, 16, 2, "Procedure expects parameter '%s' of type 'ntext/nchar/nvarchar'.", what)
		e.Procedure = proc
		panic(e)
	}
	return s
}

func (x *executor) spExecuteSQL(args []Arg) int32 {
	if len(args) == 0 {
		e := NewError(201, 16, 10, "Procedure or function 'sp_executesql' expects parameter '@statement', which was not supplied.")
		e.Procedure = "sp_executesql"
		panic(e)
	}
	text := textArg(args[0], "sp_executesql", "@statement")
	defs := ""
	rest := 1
	if len(args) > 1 {
		defs = textArg(args[1], "sp_executesql", "@params")
		rest = 2
	}
	return x.withParams(text, defs, args[rest:])
}

type paramDef struct {
	name   string
	typ    Type
	output bool
	deflt  expr
}

// parseParams reads "@a int, @b nvarchar(10) = N'x' OUTPUT".
func parseParams(text string, depth int) (out []paramDef) {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	p := newParser(text, depth)
	for {
		t := p.tok()
		if t.kind != tVar {
			p.bad()
		}
		p.next()
		d := paramDef{name: t.text}
		p.accept("AS")
		d.typ = p.typeName()
		if p.acceptOp("=") {
			d.deflt, _ = p.execValue()
		}
		d.output = p.acceptAny("OUTPUT", "OUT") != ""
		p.accept("READONLY")
		out = append(out, d)
		if !p.acceptOp(",") {
			break
		}
	}
	p.expectEOF()
	return out
}

// withParams runs a text with its parameters bound to args, by name or position, and hands OUTPUT values back through args.
func (x *executor) withParams(text, defText string, args []Arg) int32 {
	defs := parseParams(defText, x.s.opt.MaxDepth)
	f := newFrame(0, x.s.names)
	from := make([]int, len(defs))
	for i := range from {
		from[i] = -1
	}
	for i, a := range args {
		k := i
		if a.Name != "" {
			k = -1
			for j, d := range defs {
				if x.s.EqualNames(d.name, a.Name) {
					k = j
				}
			}
			if k < 0 {
				fail(8145, 16, 1, "%s is not a parameter for procedure %s.", a.Name, "sp_executesql")
			}
		}
		if k >= len(defs) {
			fail(8144, 16, 2, "Procedure or function  has too many arguments specified.")
		}
		from[k] = i
	}
	for i, d := range defs {
		v := &variable{typ: d.typ}
		switch {
		case from[i] >= 0 && !args[from[i]].Default:
			a := args[from[i]]
			v.val = a.Value
			if conv := conversion(a.Type, d.typ, 0, false); conv != nil && a.Value != nil {
				v.val = conv(a.Value)
			}
		case d.deflt != nil:
			v.val = x.valueAs(1, d.deflt, d.typ)
		default:
			fail(8178, 16, 1, "The parameterized query '(%s)%s' expects the parameter '%s', which was not supplied.", utf16Cut(defText, 120), utf16Cut(text, 120), d.name)
		}
		f.declare(1, d.name, v)
	}
	flow, rc := x.nested(text, f, x.capture)
	for i, d := range defs {
		if from[i] >= 0 && d.output && args[from[i]].Output {
			v := f.lookup(d.name)
			args[from[i]].Value, args[from[i]].Type = v.val, v.typ
		}
	}
	if flow.kind != flowNext {
		panic(nestedFlow{flow})
	}
	return rc
}

func (x *executor) spPrepare(args []Arg) int32 {
	if len(args) < 3 {
		fail(201, 16, 10, "Procedure or function 'sp_prepare' expects parameter '@stmt', which was not supplied.")
	}
	h := x.prepare(textArg(args[1], "sp_prepare", "@params"), textArg(args[2], "sp_prepare", "@stmt"))
	args[0].Value, args[0].Type = int64(h), Int
	return 0
}

// prepare checks the text's syntax and gives it a handle.
func (x *executor) prepare(params, text string) int32 {
	parseParams(params, x.s.opt.MaxDepth)
	if _, err := parseBatch(text, x.s.opt.MaxDepth); err != nil {
		panic(err)
	}
	s := x.s
	if len(s.handles) >= 10000 {
		panic(NotImplemented("more than 10000 prepared statements in one session"))
	}
	s.nextHandle++
	s.handles[s.nextHandle] = &prepared{params, text}
	return s.nextHandle
}

func (x *executor) spPrepExec(args []Arg) int32 {
	if len(args) < 3 {
		fail(201, 16, 10, "Procedure or function 'sp_prepexec' expects parameter '@stmt', which was not supplied.")
	}
	params, text := textArg(args[1], "sp_prepexec", "@params"), textArg(args[2], "sp_prepexec", "@stmt")
	h := x.prepare(params, text)
	args[0].Value, args[0].Type = int64(h), Int
	return x.withParams(text, params, args[3:])
}

func (x *executor) handle(args []Arg, proc string) (*prepared, int32) {
	var h int64
	if len(args) > 0 {
		if v, ok := args[0].Value.(int64); ok {
			h = v
		}
	}
	p := x.s.handles[int32(h)]
	if p == nil {
		e := NewError(8179, 16, 2, "Could not find prepared statement with handle %d.", h)
		e.Procedure = proc
		panic(e)
	}
	return p, int32(h)
}

func (x *executor) spExecute(args []Arg) int32 {
	p, _ := x.handle(args, "sp_execute")
	return x.withParams(p.text, p.params, args[1:])
}

func (x *executor) spUnprepare(args []Arg) int32 {
	_, h := x.handle(args, "sp_unprepare")
	delete(x.s.handles, h)
	return 0
}
