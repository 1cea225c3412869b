#!/usr/bin/env bash
# Builds Argo CD from its Go module into $SLICEWISE_CACHE/argocd: one program for all roles (by the name it is called with), and its
# CRDs. Minutes the first time, nothing later.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
# 3.2.12 does not compile, and from 3.3 on its Git engine is in a folder that the module leaves out.
ARGOCD=v3.2.11
home=$SLICEWISE_CACHE/argocd

build() {
  local src work=$SLICEWISE_CACHE/argocd.part
  chmod -R u+w "$work" 2>/dev/null || true
  rm -rf "$work"; mkdir -p "$work/out"
  src=$(module "github.com/argoproj/argo-cd/v3@$ARGOCD")
  cp -r "$src" "$work/src"; chmod -R u+w "$work/src"
  # The web page is embedded and not in the module.
  mkdir -p "$work/src/ui/dist/app"; echo none >"$work/src/ui/dist/app/index.html"
  (cd "$work/src" && CGO_ENABLED=0 GOFLAGS='-trimpath -mod=mod' again go build -ldflags '-s -w' -o "$work/out/argocd" ./cmd)
  cp -r "$work/src/manifests/crds" "$work/out/crds"
  rm -rf "$home"; mv "$work/out" "$home"; rm -rf "$work"
  echo "$ARGOCD" >"$home/.built"
}

inside "$@"
command -v go >/dev/null || { echo "no Go toolchain: install Go 1.25 or later (Debian: golang-go from backports)" >&2; exit 1; }
debian git:git
alone argocd
if [ "$(cat "$home/.built" 2>/dev/null)" = "$ARGOCD" ]; then exit 0; fi
step "Argo CD $ARGOCD from its Go module (the first time: 7 minutes)" own build
