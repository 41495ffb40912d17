// Package clients points SQL Server clients that nobody here wrote at
// bin/dag_lab: pyodbc with FreeTDS's ODBC driver, python-tds, node's tedious,
// FreeTDS's tsql and go-mssqldb. Each does the same list of things in its own
// language (testdata/, node/), as far as it can; what a client cannot do is
// said in one place, the table `cases`.
//
// The tests need the build tag accept; make accept installs the clients. A
// client that is missing is a failure.
package clients
