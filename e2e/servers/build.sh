#!/usr/bin/env bash
# Builds the servers that the tests of the weights talk to, from Go modules into $SLICEWISE_CACHE/bin. Leaves alone what is there in the
# wanted version: a program comes into the folder by a rename, and its stamp after it.
#   registry: an OCI registry (the reference implementation); versitygw: an S3 server that checks signatures
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
export CGO_ENABLED=0 GOFLAGS=-trimpath
stamps=$bin/.built

get() {  # NAME PACKAGE VERSION, in a module of its own
  [ -x "$bin/$1" ] && [ "$(cat "$stamps/$1" 2>/dev/null)" = "$3" ] && return
  printf '%s  %s@%s\n' "$(date +%T)" "$2" "$3"
  local mod=$SLICEWISE_CACHE/src/$1; rm -rf "$mod"; mkdir -p "$mod" "$stamps"; cd "$mod"
  go mod init tool; again go get "$2@$3"
  again go build -ldflags "-s -w" -o "$mod/$1" "$2"
  mv "$mod/$1" "$bin/$1"; echo "$3" >"$stamps/$1"
}

command -v go >/dev/null || { echo "no Go toolchain: install Go 1.25 or later (Debian: golang-go from backports)" >&2; exit 1; }
alone servers
get registry github.com/distribution/distribution/v3/cmd/registry v3.1.2
get versitygw github.com/versity/versitygw/cmd/versitygw v1.8.0
