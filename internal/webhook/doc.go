// Package webhook is the HTTP face of cutover_webhook: Alertmanager's
// notifications come in, the API, the event stream and the console go out.
//
// A notification is a request to look, never a permission: it can only open
// the alert gate of one DAG for a short time. Everything else is decided by
// internal/runner, which this package reaches through runner.API, so that its
// tests need no servers.
//
// Who may do what: exporter-toolkit is the outer door, but it reads its file
// again for each request, and with the file emptied it lets everybody in. The
// identity that counts here comes from Auth, which keeps the file as it was at
// start or reload.
package webhook
