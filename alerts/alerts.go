// Package alerts holds the alert rules and the runbooks, so that both binaries
// can serve them: a pager's link works without a wiki.
package alerts

import "embed"

// Rules is rules.yml, the recording and alerting rules as shipped.
//
//go:embed rules.yml
var Rules []byte

// Runbooks has one Markdown file per alert, runbooks/NAME.md.
//
//go:embed runbooks/*.md
var Runbooks embed.FS

// Runbook is the text for one alert; false if there is no such alert.
func Runbook(alert string) ([]byte, bool) {
	b, err := Runbooks.ReadFile("runbooks/" + alert + ".md")
	return b, err == nil
}
