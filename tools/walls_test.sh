#!/usr/bin/env bash
# The walls of the design break the build when they are broken: each is broken
# once in a copy of the tree, and golangci-lint must say so.
set -euo pipefail
cd "$(dirname "$0")/.."
lint=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$dir" 2>/dev/null || true
cd "$dir"
module=github.com/dag-exporter/dag_exporter
passed=0

# breaks PACKAGE-FOLDER IMPORT: that import in that room is an error.
breaks() {
	local folder=$1 import=$2 name file
	name=$(sed -nE 's/^package ([a-z_]+).*/\1/p' "$(find "$folder" -maxdepth 1 -name '*.go' ! -name '*_test.go' | head -n 1)")
	file=$folder/wall_broken.go
	printf 'package %s\n\nimport _ "%s"\n' "$name" "$import" >"$file"
	if "$lint" run --config .golangci.yml --enable-only depguard "./$folder" >lint.out 2>&1; then
		echo "a wall fell: $folder may import $import, and depguard says nothing"
		exit 1
	fi
	grep -q depguard lint.out || { cat lint.out; exit 1; }
	rm "$file"
	passed=$((passed + 1))
}

for room in collector internal/hadr internal/config internal/sqlserver internal/cutover internal/journal internal/runner internal/exporter internal/webhook cmd/dag_exporter cmd/cutover_webhook; do
	breaks $room $module/internal/lab
done
for room in internal/lab internal/tsql internal/tds; do breaks $room $module/internal/hadr; done
for room in collector internal/runner internal/webhook internal/exporter cmd/dag_exporter; do breaks $room database/sql; done
breaks internal/hadr log/slog
breaks internal/cutover os
breaks internal/cutover $module/internal/sqlserver
breaks internal/tds $module/internal/tsql
breaks internal/tsql $module/internal/tds
breaks internal/exporter $module/internal/runner
printf 'package cutover\n\nimport "time"\n\nvar _ = time.Now()\n' >internal/cutover/wall_broken.go
if "$lint" run --config .golangci.yml --enable-only forbidigo ./internal/cutover >lint.out 2>&1; then
	echo "a wall fell: internal/cutover may read the clock"
	exit 1
fi
echo "walls: $((passed + 1)) passed, 0 failed"
