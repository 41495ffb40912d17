// Package faultrun runs the real cutover_webhook against a lab of its own
// under a client that writes all the time, disturbs it at a chosen step, kills
// it with -9, starts it again, and judges how it ended.
//
// A Case says which step is disturbed and how; Run gives a Result whose Err
// says what is wrong with the end, if anything is. The fault matrix
// (docs/fault-matrix.md), the pairwise assumptions and the random schedules
// are lists of cases.
package faultrun
