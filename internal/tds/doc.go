// Package tds is the server half of the Tabular Data Stream protocol, versions
// 7.2 to 7.4 and 8.0: the bytes between a SQL Server client and whoever answers
// it. It knows packets, TLS, logins, requests, types and tokens. It knows
// neither T-SQL nor availability groups; a [Handler] gives the bytes a meaning.
//
// One connection has three goroutines at most. The reader turns packets into
// messages and is never more than one message ahead (without MARS a client has
// one request under way). The owner keeps the state: it starts a request,
// listens for ATTENTION, a kill or the peer's death while the request runs, and
// closes. The request goroutine calls the [Session] and writes the answer. When
// the socket is closed the reader ends, the request's context is cancelled, and
// the owner returns after both: nothing is left behind.
//
// SQL values are Go values: nil is NULL, bit is bool, all integers are int64, real
// and float are float64, numeric and money are [Decimal], uniqueidentifier is
// [GUID], characters are string, binaries are []byte, dates and times are
// time.Time.
//
// An answer to a cancelled request is two messages: the response, closed by
// DONE(0), and then a message that holds DONE(ATTN) alone. Some clients accept
// other forms; this is the only one that all of them accept.
//
// [Fault] and the knobs of [Server] damage a connection below the session, so
// that a model above can be tested for what it does when an answer is late, cut
// or lost, without knowing that anything is damaged.
package tds
