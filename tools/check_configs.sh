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
