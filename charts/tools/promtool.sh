#!/usr/bin/env bash
# Prints the path of promtool, which checks the alerts. Where there is none, it is taken out of Debian's package `prometheus`
# (20 MB) into the cache; nothing is installed and no rights are needed.
set -euo pipefail
bin=${SLICEWISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slicewise}/bin
if command -v promtool; then exit 0; fi
if [ ! -x "$bin/promtool" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # World-writable, so that apt's own user may write there when this runs as root.
  chmod 777 "$work"
  if ! (cd "$work" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } >&2); then
    echo "promtool is missing and Debian's package could not be had: install Prometheus' promtool into your PATH" >&2
    exit 1
  fi
  dpkg-deb -x "$work"/prometheus_*.deb "$work/tree"
  mkdir -p "$bin"
  cp "$work/tree/usr/bin/promtool" "$bin/promtool.new"
  mv "$bin/promtool.new" "$bin/promtool"
fi
echo "$bin/promtool"
