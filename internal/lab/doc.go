// Package lab plays two SQL Servers with a distributed availability group between them, for any TDS client: package model is
// their world, package views shows it, packages tds and tsql are the wire and the language, and this package is the glue,
// the connections, and the faults.
//
//	l, err := lab.New(lab.Options{})        // two instances, DAG between OnPremAG and AzureAG, db001…db003
//	err = l.Start(ctx)                      // listens on free loopback ports
//	defer l.Close()
//	db, err := sql.Open("sqlserver", l.DSN(lab.Source))
//	l.Control().Cut()                    // and every other fault
//
// A Lab has no global state: several live in one process. One goroutine owns the model; a statement reads an immutable snapshot.
// The lab is the product's opponent. It never imports product code and product code never imports it.
package lab
