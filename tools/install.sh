#!/usr/bin/env bash
# Installs what a target needs, pinned, into the git-ignored folder .tools/bin
# (Go tools) or with apt-get (Debian packages, as root). Says what it does and
# how long that takes. Installed already: silent.
#
#   tools/install.sh prometheus | alertmanager | golangci-lint
#   tools/install.sh --demo               prometheus and alertmanager, or those on PATH
#   tools/install.sh debian PACKAGE …     Debian packages
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.tools/bin
mkdir -p "$bin"

# Newest that build from their modules. Prometheus and Alertmanager do not
# resolve in one module, so each is its own install.
prometheus_version=v0.316.0 # = 3.16.0
alertmanager_version=v0.31.1
golangci_version=v2.15.0

# go_install NAME VERSION MINUTES FLAGS PACKAGE…
go_install() {
	local name=$1 version=$2 minutes=$3 flags=$4
	shift 4
	local stamp=.tools/$name-$version
	if [ -e "$stamp" ]; then return; fi
	echo "installing $name $version into .tools/bin (from source; $minutes minutes on two cores the first time)" >&2
	local start=$SECONDS packages=() p
	for p in "$@"; do packages+=("$p@$version"); done
	# Outside the module, so that its go.mod plays no part.
	# shellcheck disable=SC2086
	(cd / && GOBIN=$bin GOFLAGS=-buildvcs=false go install $flags "${packages[@]}")
	rm -f ".tools/$name-"v*
	: >"$stamp"
	echo "installed $name $version in $((SECONDS - start)) s" >&2
}

install_prometheus() {
	go_install prometheus $prometheus_version "2 to 8" "-tags=remove_all_sd" \
		github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool
}

install_alertmanager() {
	go_install alertmanager $alertmanager_version "1 to 3" "" \
		github.com/prometheus/alertmanager/cmd/alertmanager github.com/prometheus/alertmanager/cmd/amtool
}

# at_least NAME MAJOR MINOR: NAME is on PATH in that version or newer.
at_least() {
	local version
	type -P "$1" >/dev/null || return 1
	version=$("$1" --version 2>&1 | sed -nE 's/.*version ([0-9]+)\.([0-9]+)\..*/\1 \2/p' | head -n 1)
	[ -n "$version" ] || return 1
	# shellcheck disable=SC2086
	set -- $version "$2" "$3"
	[ "$1" -gt "$3" ] || { [ "$1" -eq "$3" ] && [ "$2" -ge "$4" ]; }
}

install_debian() {
	local missing=() p
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
	done
	if [ ${#missing[@]} -eq 0 ]; then return; fi
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		echo "These Debian packages are needed and this is not root on Debian: ${missing[*]}" >&2
		echo "note: apt-get install ${missing[*]}" >&2
		exit 1
	fi
	echo "installing Debian packages: ${missing[*]}" >&2
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

case ${1:-} in
prometheus) install_prometheus ;;
alertmanager) install_alertmanager ;;
golangci-lint)
	go_install golangci-lint $golangci_version "2 to 5" "" github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	;;
--demo)
	at_least prometheus 3 0 || install_prometheus
	at_least alertmanager 0 27 || install_alertmanager
	;;
debian)
	shift
	install_debian "$@"
	;;
*)
	sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
