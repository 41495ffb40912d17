package collector

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Markdown is the exporter's part of docs/metrics.md, from the same
// descriptions that are served, and the beginning of that file.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Metrics

Made from the code by ` + "`go test ./docs -run TestMetrics -update`" + `; that test keeps it in step. First what ` + "`dag_exporter`" + ` says, group by group, then [its own](#dag_exporter), then what [` + "`cutover_webhook`" + `](#cutover_webhook) says.

` + "`dag`" + ` is the configuration's unique name of the migration, ` + "`side`" + ` is source or target as configured whatever the roles are,
` + "`database`" + ` is spelled as the source spells it. Enums are StateSets: one series a state, 1 for the present one, 0 for the others.

When a series is there:

| kind | there |
|---|---|
| verdict about the DAG | always, for every configured DAG and side |
| verdict about a database | for every expected database and every one seen |
| fact | if that side was read in this scrape and the column was known; else absent as a whole, never 0 |
| always | from the start on, for every configured DAG; a time stamp of 0 means none |
| when known | absent until there is something to say |

Alerts that may start a cutover should use verdicts and ` + "`mssql_dag_reading_timestamp_seconds`" + `, and require direction source_to_target.
An LSN is exact as ` + "`vlf * 10^15 + block * 10^5 + slot`" + `; a float cannot hold it, so its parts are separate series, and its sentinels (NULL, 0, 1, all ones) are absent.
`)
	for _, g := range Groups() {
		on := "off by default: `--collector." + g.Name + "`"
		if g.Default {
			on = "on by default: `--no-collector." + g.Name + "` switches it off"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s (%s; one probe: `collect[]=%s`)\n\n| metric | labels | type | kind | meaning |\n|---|---|---|---|---|\n", g.Name, g.Help, on, g.Name)
		for _, m := range g.metrics {
			typ := "gauge"
			if m.typ == prometheus.CounterValue {
				typ = "counter"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.name, strings.Join(m.labels, ", "), typ, m.presence, strings.ReplaceAll(m.help, "|", `\|`))
		}
		for _, m := range g.shares {
			fmt.Fprintf(&b, "\nAdds the rows of the local replicas to `%s`.\n", m.name)
		}
	}
	return b.String()
}
