package tsql

import (
	"fmt"
	"strings"
)

// THROW and RAISERROR.

// throw is THROW; without arguments it repeats the error of the CATCH block around it.
func (x *executor) throw(t *throwStmt) {
	if t.args == nil {
		if len(x.s.caught) == 0 {
			failCompile(t.line, 10704, 15, 1, "To rethrow an error, a THROW statement must be used inside a CATCH block. Insert the THROW statement inside a CATCH block, or add error parameters to the THROW statement.")
		}
		e := *x.s.caught[len(x.s.caught)-1]
		e.scope = scopeThrow
		panic(&e)
	}
	n, _ := x.valueAs(t.line, t.args[0], Int).(int64)
	m, _ := x.valueAs(t.line, t.args[1], NVarChar(2048)).(string)
	st, _ := x.valueAs(t.line, t.args[2], Int).(int64)
	if n < 50000 {
		fail(35100, 16, 10, "Error number %d in the THROW statement is outside the valid range. Specify an error number in the valid range of 50000 to 2147483647.", n)
	}
	e := &Error{Number: int32(n), Class: 16, State: uint8(st), Line: int32(t.line), Message: m, scope: scopeThrow}
	panic(e)
}

func (x *executor) raiserror(t *raiseStmt) flow {
	msg, typ := x.value(t.line, t.args[0])
	class, _ := x.valueAs(t.line, t.args[1], Int).(int64)
	state, _ := x.valueAs(t.line, t.args[2], Int).(int64)
	number := int32(50000)
	var text string
	switch m := msg.(type) {
	case string:
		text = m
	case nil:
		text = ""
	case int64:
		fail(18054, 16, 1, "Error %d, severity %d, state %d was raised, but no message with that error number was found in sys.messages. If error is larger than 50000, make sure the user-defined message is added using sp_addmessage.", m, class, state)
	default:
		fail(2748, 16, 1, "Cannot specify %s data type (parameter 1) as a substitution parameter.", typ.Kind)
	}
	var args []any
	for _, a := range t.args[3:] {
		v, vt := x.value(t.line, a)
		switch v.(type) {
		case nil, string, int64:
		case bool:
			v = toInteger(v, vt, Int)
		default:
			fail(2748, 16, 1, "Cannot specify %s data type (parameter %d) as a substitution parameter.", vt.Kind, len(args)+4)
		}
		args = append(args, v)
	}
	e := &Error{Number: number, Class: uint8(min(max(class, 0), 25)), State: uint8(min(max(state, 0), 255)), Line: int32(t.line), Message: formatMessage(text, args), scope: scopeRaise}
	if e.Class > 18 && !t.log {
		fail(2754, 16, 1, "Error severity levels greater than 18 can only be specified by members of the sysadmin role, using the WITH LOG option.")
	}
	if e.Class <= 10 {
		x.sent(x.sink.Info(e))
		x.s.lastError = 0
		if t.seterr {
			x.s.lastError = e.Number
		}
		return flow{}
	}
	panic(e)
}

// formatMessage is RAISERROR's printf: %s %d %i %u %x %X %o with flags, width and precision.
func formatMessage(text string, args []any) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		j := i + 1
		for j < len(text) && strings.IndexByte("-+0 #.123456789*lhI", text[j]) >= 0 {
			j++
		}
		if j >= len(text) {
			b.WriteString(text[i:])
			break
		}
		verb := text[j]
		if verb == '%' {
			b.WriteByte('%')
			i = j
			continue
		}
		spec := strings.NewReplacer("l", "", "h", "", "I64", "", "I", "", "*", "").Replace(text[i+1 : j])
		var width int
		if _, err := fmt.Sscan(strings.TrimLeft(spec, "-+0 #"), &width); err == nil && width > 1000 {
			spec = ""
		}
		var arg any = "(null)"
		if n < len(args) && args[n] != nil {
			arg = args[n]
		}
		n++
		if s, ok := arg.(string); ok {
			fmt.Fprintf(&b, "%"+strings.ReplaceAll(spec, "0", "0")+"s", s)
		} else {
			f := map[byte]string{'d': "d", 'i': "d", 'u': "d", 'x': "x", 'X': "X", 'o': "o", 's': "d"}[verb]
			if f == "" {
				f = "d"
			}
			fmt.Fprintf(&b, "%"+spec+f, arg)
		}
		i = j
	}
	return utf16Cut(b.String(), 2047)
}
