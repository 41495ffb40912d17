// Package model is the lab's world: two sides, each with one to three SQL Server look-alike instances, one distributed
// availability group between them, and a log per database that is written, flushed, shipped, hardened and redone.
//
// The package is a discrete-event simulation without goroutines, without I/O and without a clock of its own: whoever owns a
// Model tells it what time it is (AdvanceTo) and asks when something will happen next (Next). Nothing in it is safe for
// concurrent use; package lab gives it one goroutine. The same Config, the same seed and the same calls at the same times
// give the same run.
//
// It allows every mistake that SQL Server allows. It never acknowledges a row that it then loses, unless SQL Server would
// lose it too: an asynchronous commit mode, a secondary dropped by the session timeout, a forced failover that came too early.
package model
