// Package sqlserver is the only room of the product that speaks T-SQL. It asks
// one side of a distributed availability group what it knows (Side.Read), and
// tells it what to do (Lock.Do): nothing else in the product holds a
// connection, a driver or a statement.
//
// A Side is one end of the migration: one or more instances, one of which is
// PRIMARY of the local AG at a time. A reading comes from that instance, in one
// batch of several result sets, on one connection per instance. At most one
// statement of a reading is ever outstanding on an instance: DMVs hang when
// availability groups are sick, and a monitor that piles up behind them makes
// it worse. Readers queue inside their own deadline; behind a statement that is
// past its own they get the reason "busy" at once.
//
// A statement that changes something runs in the pinned session that holds
// that side's lock, as one batch whose guards come first: if any guard is not
// surely true the batch throws before it reaches the ALTER. The one exception
// is Side.ClearRequired, which takes a commit condition back and must work
// when the pinned session hangs; its guards are the local role and the
// distributed group's id.
//
// Every error of this package is an *Error. None of them ever holds a password
// or a connection string.
package sqlserver
