package tsql

import (
	"context"
	"time"
)

// BaseHost is a [Host] that has nothing: no tables, functions or procedures, one database "master", a wall clock, transactions that hold nothing.
// Embed it and override what there is.
type BaseHost struct{}

var _ Host = BaseHost{}

// Table implements [Host]: there is none.
func (BaseHost) Table(context.Context, []string) (Table, *Error) { return nil, nil }

// Function implements [Host]: there is none.
func (BaseHost) Function(context.Context, []string, []Type) (*Function, *Error) { return nil, nil }

// TableFunction implements [Host]: there is none.
func (BaseHost) TableFunction(context.Context, []string, []Type) (*TableFunction, *Error) {
	return nil, nil
}

// Global implements [Host]: there is none.
func (BaseHost) Global(context.Context, string) (Type, any, bool) { return Type{}, nil, false }

// Procedure implements [Host]: there is none.
func (BaseHost) Procedure(context.Context, []string) Procedure { return nil }

// ObjectID implements [Host]: there is none.
func (BaseHost) ObjectID(context.Context, []string, string) any { return nil }

// Begin implements [Host].
func (BaseHost) Begin(context.Context) *Error { return nil }

// Commit implements [Host].
func (BaseHost) Commit(context.Context) *Error { return nil }

// Rollback implements [Host].
func (BaseHost) Rollback(context.Context) {}

// Save implements [Host].
func (BaseHost) Save(context.Context, string) *Error { return nil }

// RollbackTo implements [Host].
func (BaseHost) RollbackTo(context.Context, string) *Error { return nil }

// Use implements [Host]: only master exists.
func (BaseHost) Use(_ context.Context, database string) (string, *Error) {
	if !EqualFold(database, "master") {
		return "", NewError(911, 16, 1, "Database '%s' does not exist. Make sure that the name is entered correctly.", database)
	}
	return "master", nil
}

// Database implements [Host].
func (BaseHost) Database() string { return "master" }

// SetOption implements [Host]: taken and ignored.
func (BaseHost) SetOption(context.Context, string, string) *Error { return nil }

// Foreign implements [Host]: nothing is known.
func (BaseHost) Foreign(_ context.Context, text string, _ Sink) *Error {
	return NotImplemented("the statement " + firstWords(text, 4))
}

// Now implements [Host].
func (BaseHost) Now() time.Time { return time.Now() }

// Sleep implements [Host].
func (BaseHost) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
