// Package differential compares internal/tsql with SQLite on the part of SQL
// that means the same in both: joins, subqueries, grouping, aggregates,
// ordering, set operations and window functions over integers and lower-case
// text without trailing blanks. Where the two differ by design (AVG of
// integers, collation, +, TOP) the generator stays away or spells it twice.
//
// A second generator has texts in both cases, and collations: NOCASE is
// Latin1_General_CI_AS, BINARY is Latin1_General_BIN2. SQLite gives the result of
// an operation no collation, knows no conflict between columns, and leaves open
// which of several equal texts stands for a group: so columns meet only their
// like, everything else has its COLLATE written, and groups are counted.
//
// The queries are random with a fixed seed, so that a run is the same every
// time.
package differential
