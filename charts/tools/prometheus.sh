#!/usr/bin/env bash
# prometheus.sh prometheus|promtool: prints that program's path. They check the alerts. Where they are not installed, they are taken
# out of Debian's package `prometheus` (20 MB) into the cache; nothing is installed and no rights are needed.
set -euo pipefail
program=${1:?prometheus or promtool}
bin=${SLICEWISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slicewise}/bin
if command -v "$program"; then exit 0; fi
if [ ! -x "$bin/$program" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # World-writable, so that apt's own user may write there when this runs as root.
  chmod 777 "$work"
  if ! (cd "$work" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } >&2); then
    echo "$program is missing and Debian's package could not be had: install Prometheus and its promtool into your PATH" >&2
    exit 1
  fi
  dpkg-deb -x "$work"/prometheus_*.deb "$work/tree"
  mkdir -p "$bin"
  # Several tests may do this at the same time.
  cp "$work/tree/usr/bin/$program" "$bin/.$program.$$"
  mv "$bin/.$program.$$" "$bin/$program"
fi
echo "$bin/$program"
