#!/usr/bin/env bash
# Builds the servers that the tests of the weights talk to, from Go modules into $SLICEWISE_CACHE/bin. Skips what is there.
#   registry: an OCI registry (the reference implementation); versitygw: an S3 server that checks signatures
set -euo pipefail
cache=${SLICEWISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slicewise}; bin=$cache/bin; mkdir -p "$bin"
export CGO_ENABLED=0 GOFLAGS=-trimpath

get() {  # NAME PACKAGE VERSION, in a module of its own; a half-built program never gets the final name
  [ -x "$bin/$1" ] && return
  printf '%s  %s@%s\n' "$(date +%T)" "$2" "$3"
  local mod=$cache/src/$1; rm -rf "$mod"; mkdir -p "$mod"; cd "$mod"
  go mod init tool 2>/dev/null; go get "$2@$3" 2>/dev/null
  go build -ldflags "-s -w" -o "$bin/.$1.$$" "$2"; mv "$bin/.$1.$$" "$bin/$1"
}
get registry github.com/distribution/distribution/v3/cmd/registry v3.1.2
get versitygw github.com/versity/versitygw/cmd/versitygw v1.8.0
