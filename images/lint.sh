#!/usr/bin/env bash
# `make lint`: every check runs, whatever the one before it said; fails when one of them did.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
run() { "$@" || { echo "lint: failed: $*" >&2; status=1; }; }
run ruff check --quiet .
run ruff format --check --quiet .
run mypy
run lint-imports --no-logo
run python docs/tools/prose.py
mapfile -t scripts < <(git ls-files | xargs grep -lE '^#!/(usr/bin/env bash|bin/sh)' --)
if command -v shellcheck >/dev/null; then run shellcheck "${scripts[@]}"; fi
if command -v go >/dev/null; then
  run test -z "$(gofmt -l e2e charts)"
  for module in e2e/cluster/go/{deviceplugin,modelserver} charts/tools/grafana-dashboards; do (cd "$module" && CGO_ENABLED=0 go vet .) || status=1; done
fi
exit $status
