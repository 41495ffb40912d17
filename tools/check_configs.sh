#!/usr/bin/env bash
# promtool and amtool on the shipped Prometheus and Alertmanager configs, in a
# folder laid out as they expect it.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp alerts/rules.yml alerts/alertmanager.yml deploy/prometheus.yml "$dir"
touch "$dir/alertmanager-password" "$dir/prometheus-password"
"$tools/promtool" check config "$dir/prometheus.yml"
"$tools/amtool" check-config "$dir/alertmanager.yml"
# The receivers that are commented as examples are right too.
sed 's/^\( *\)#> /\1/' alerts/alertmanager.yml >"$dir/am-people.yml"
touch "$dir/mail-password" "$dir/pagerduty-key" "$dir/slack-url"
"$tools/amtool" check-config "$dir/am-people.yml"
# Who is told of what. The heartbeat and the watchdog reach the webhook; a page
# reaches those who are woken.
route() {
	"$tools/amtool" config routes test --config.file="$dir/alertmanager.yml" --verify.receivers="$@" >/dev/null ||
		{ echo "alertmanager.yml: $* goes elsewhere" >&2 && exit 1; }
}
route cutover_webhook,people_info alertname=DAGNearConvergence severity=info environment=prod dag=erp
route cutover_webhook,people_info alertname=DAGConverged severity=info environment=prod dag=erp
route people_info alertname=DAGConverged severity=info environment=test dag=erp
route cutover_webhook alertname=DAGWatchdog severity=none
route people_critical alertname=DAGCutoverNeedsHuman severity=critical environment=prod dag=erp
route people alertname=DAGSideDown severity=warning environment=prod dag=erp
