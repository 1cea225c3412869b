#!/usr/bin/env bash
# Builds KEDA's operator and metrics server and prometheus-adapter from their Go modules into $SLICEWISE_CACHE/autoscalers, with KEDA's
# CRDs and roles. Minutes the first time, nothing later: KEDA has the clients of some hundred services in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
KEDA=v2.21.0
ADAPTER=v0.12.0
home=$SLICEWISE_CACHE/autoscalers

build() {
  local src work=$SLICEWISE_CACHE/autoscalers.part
  chmod -R u+w "$work" 2>/dev/null || true
  rm -rf "$work"; mkdir -p "$work"
  export CGO_ENABLED=0 GOFLAGS=-trimpath
  # Built in Go's cache, and so by their own go.sum.
  src=$(module "sigs.k8s.io/prometheus-adapter@$ADAPTER")
  (cd "$src" && again go build -ldflags '-s -w' -o "$work/prometheus-adapter" ./cmd/adapter)
  # Named as in KEDA's images: the API server takes the field manager of what they write from the name of the program.
  src=$(module "github.com/kedacore/keda/v2@$KEDA")
  (cd "$src" && again go build -ldflags '-s -w' -o "$work/keda" ./cmd/operator && again go build -ldflags '-s -w' -o "$work/keda-adapter" ./cmd/adapter)
  cp -r "$src/config/crd/bases" "$work/keda-crds"
  cp -r "$src/config/rbac" "$work/keda-rbac"
  chmod -R u+w "$work"
  rm -rf "$home"; mv "$work" "$home"
  echo "$KEDA $ADAPTER" >"$home/.built"
}

inside "$@"
command -v go >/dev/null || { echo "no Go toolchain: install Go 1.26 or later (Debian: golang-go from backports)" >&2; exit 1; }
alone autoscalers
if [ "$(cat "$home/.built" 2>/dev/null)" = "$KEDA $ADAPTER" ]; then exit 0; fi
step "KEDA $KEDA and prometheus-adapter $ADAPTER (the first time: half an hour)" own build
