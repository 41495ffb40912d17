// Package hadr knows what the two sides of a distributed availability group
// say, and what follows from both together: exact LSNs, one side's Reading,
// and Compare, which turns two readings into a Convergence.
//
// It is pure: standard library only, no SQL, no clock, no logging. Everything
// unknown stays unknown; no verdict is built on it.
package hadr
