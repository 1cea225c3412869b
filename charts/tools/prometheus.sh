#!/usr/bin/env bash
# prometheus.sh prometheus|promtool: prints that program's path. They check the alerts. Where they are not installed, they are taken
# out of Debian's package `prometheus` (20 MB) into the cache; nothing is installed and no rights are needed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=${1:?prometheus or promtool}
. "$here/../../e2e/cluster/settings.sh"
if command -v "$program"; then exit 0; fi
alone prometheus
if [ ! -x "$bin/$program" ]; then   # no other test made it meanwhile
  work=$SLICEWISE_CACHE/prometheus.part
  trap 'rm -rf "$work"' EXIT
  rm -rf "$work"
  mkdir -p "$work"
  if ! unpacked "$work" prometheus; then
    echo "$program is missing and Debian's package could not be had: install Prometheus and its promtool into your PATH" >&2
    exit 1
  fi
  mv "$work/usr/bin/$program" "$bin/$program"
fi
echo "$bin/$program"
