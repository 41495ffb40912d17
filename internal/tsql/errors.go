package tsql

import (
	"fmt"
	"strings"
)

// Error is an error or an informational message as SQL Server sends it. Class up to 10 is information; 11–16 can be corrected by the user;
// 20 and above end the connection. Line counts from 1 within the batch or procedure; 0 means not known.
type Error struct {
	Number    int32
	Class     uint8
	State     uint8
	Line      int32
	Procedure string
	Message   string
	// Then is a second error that the server sends for the same failure right after this one, as 297 after 300. A CATCH and @@ERROR see the last one alone.
	Then *Error

	scope reach
	waits bool // of a missing object: found before the batch runs, it counts when the statement does
}

// reach says how far an error ends the execution.
type reach uint8

const (
	scopeStatement reach = iota // the statement ends, the next one runs
	scopeBatch                  // the batch ends and the transaction is doomed or rolled back (245, 241, …)
	scopeCompile                // this batch, or this nested text, ends; a TRY at its own level does not catch it (207, 208, …)
	scopeThrow                  // the batch ends, the transaction stays (THROW)
	scopeRaise                  // nothing ends (RAISERROR)
)

// Numbers of this package's own: they mean "the lab cannot", where SQL Server could.
const (
	ErrNotImplemented int32 = 50900
	ErrTooManyRows    int32 = 50901
)

func (e *Error) Error() string {
	return fmt.Sprintf("Msg %d, Level %d, State %d, Line %d: %s", e.Number, e.Class, e.State, e.Line, e.Message)
}

// NewError makes an error with a formatted message. With no args the text is taken as it is.
func NewError(number int32, class, state uint8, format string, args ...any) *Error {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &Error{Number: number, Class: class, State: state, Message: format}
}

// NotImplemented is error 50900: SQL Server would do it, this package or its host does not.
func NotImplemented(what string) *Error {
	return NewError(ErrNotImplemented, 16, 1, "dag_lab does not implement %s.", what)
}

// last is e, or the error that is sent after it.
func (e *Error) last() *Error {
	if e.Then == nil {
		return e
	}
	k := *e.Then
	k.Line, k.Procedure, k.scope, k.waits = e.Line, e.Procedure, e.scope, e.waits
	return &k
}

// Aborting marks e as one that ends the batch and dooms the transaction, like a failed conversion, and returns it.
func (e *Error) Aborting() *Error { e.scope = scopeBatch; return e }

func firstWords(text string, n int) string {
	f := strings.Fields(text)
	if len(f) > n {
		f = f[:n]
	}
	return strings.Join(f, " ")
}

// fail panics with an error that the statement's runner recovers.
func fail(number int32, class, state uint8, format string, args ...any) {
	panic(NewError(number, class, state, format, args...))
}

// failCompile is fail for what SQL Server finds before it runs a statement.
func failCompile(line int, number int32, class, state uint8, format string, args ...any) {
	e := NewError(number, class, state, format, args...)
	e.Line, e.scope = int32(line), scopeCompile
	panic(e)
}

// failAbort is fail for errors that end the batch and doom the transaction.
func failAbort(number int32, class, state uint8, format string, args ...any) {
	panic(NewError(number, class, state, format, args...).Aborting())
}

func notImplemented(line int, what string) {
	e := NotImplemented(what)
	e.Line, e.scope = int32(line), scopeCompile
	panic(e)
}

// check panics with a host's error.
func check(e *Error) {
	if e != nil {
		panic(e)
	}
}
