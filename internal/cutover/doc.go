// Package cutover decides what may happen next in moving databases from the
// source of a distributed availability group to its target, and proves that
// nothing is lost by it.
//
// It is pure: no clock, no I/O, no logging. Time, readings and what people
// said come in as arguments; work is handed back as data. The shell around it
// (internal/runner) does one thing per round:
//
//	observe  read source and target, in the order that Want asks for
//	Decide   a function of plan, intent, observation and now
//	journal  Decision.Intent, fsynced, BEFORE the action
//	act      one statement, hook, lock or marker
//	Record   folds the answer into the intent
//	journal  again
//
// A crash between the two journal writes leaves a statement "pending": neither
// done nor failed until its effect is read. The servers are the journal of
// what happened; the Intent holds what was meant.
//
// The order is written in the Phases list. The nine rules in rules.go each
// exist because a trace without it loses data, makes two primaries or freezes
// production; each has a test that is seen to fail when the rule is taken
// away, and the model checker of this package finds the trace by itself.
package cutover
