// Package differential compares internal/tsql with SQLite on the part of SQL
// that means the same in both: joins, subqueries, grouping, aggregates,
// ordering, set operations and window functions over integers and lower-case
// text without trailing blanks. Where the two differ by design (AVG of
// integers, collation, +, TOP) the generator stays away or spells it twice.
//
// The queries are random with a fixed seed, so that a run is the same every
// time.
package differential
