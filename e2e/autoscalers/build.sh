#!/usr/bin/env bash
# Builds prometheus-adapter from its Go module into $SLICEWISE_CACHE/autoscalers. Minutes the first time, nothing later.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
ADAPTER=v0.12.0
home=$SLICEWISE_CACHE/autoscalers

build() {
  local src work=$SLICEWISE_CACHE/autoscalers.part
  rm -rf "$work"; mkdir -p "$work"
  # In Go's cache, by its own go.sum.
  src=$(go mod download -json "sigs.k8s.io/prometheus-adapter@$ADAPTER" | python3 -c 'import json,sys; print(json.load(sys.stdin)["Dir"])')
  (cd "$src" && CGO_ENABLED=0 GOFLAGS=-trimpath go build -ldflags '-s -w' -o "$work/prometheus-adapter" ./cmd/adapter)
  rm -rf "$home"; mv "$work" "$home"
  echo "$ADAPTER" >"$home/.built"
}

inside "$@"
command -v go >/dev/null || { echo "no Go toolchain: install Go 1.25 or later (Debian: golang-go from backports)" >&2; exit 1; }
alone autoscalers
if [ "$(cat "$home/.built" 2>/dev/null)" = "$ADAPTER" ]; then exit 0; fi
step "prometheus-adapter $ADAPTER (the first time: 3 minutes)" own build
