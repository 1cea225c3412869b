#!/usr/bin/env bash
# The image slicewise-deviceplugin:e2e: one static program and nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
hash=$(inputs "$bin/deviceplugin" "$0")
image_has slicewise-deviceplugin:e2e "$hash" && exit 0
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
cp "$bin/deviceplugin" "$w/"
printf 'FROM scratch\nCOPY deviceplugin /\nENTRYPOINT ["/deviceplugin"]\n' >"$w/Dockerfile"
docker build -q -t slicewise-deviceplugin:e2e --label "dev.slicewise.inputs=$hash" "$w"
