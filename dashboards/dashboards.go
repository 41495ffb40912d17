// Package dashboards holds the Grafana dashboards and their provisioning
// files. They are made by `make dashboards` from tools/dashboards.
package dashboards

import "embed"

// FS has UID.json, one file a dashboard in Grafana's classic form, and
// provisioning/*.yml.
//
//go:embed *.json provisioning/*.yml
var FS embed.FS
