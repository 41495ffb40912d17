// Package runner is the shell around cutover.Decide: it reads both sides of
// one DAG, asks Decide, writes the next intent to the journal and fsyncs it,
// acts, and records what came of it. It decides nothing itself.
package runner
