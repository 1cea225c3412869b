#!/usr/bin/env bash
# slicewise-redis:e2e, the Redis of the stories, on every node: Debian's redis-server and what it links, nothing else. It has no
# shell and no user of its own, so it shows as well that the chart's pod needs neither. Repeatable.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
image=slicewise-redis:e2e

hash=$(inputs "$0")
if ! image_has "$image" "$hash"; then
  root=$SLICEWISE_CACHE/images/redis-$hash.tar
  if [ ! -f "$root" ]; then
    debian mmdebstrap:mmdebstrap
    rm -f "$SLICEWISE_CACHE"/images/redis-*
    # Unpacked and not set up: nothing that the packages would run is needed to run the server.
    mmdebstrap --quiet --variant=extract --include=redis-server --dpkgopt='path-exclude=/usr/share/*' \
      --dpkgopt='path-exclude=/usr/lib/*/perl*' --dpkgopt='path-exclude=/usr/lib/*/gconv/*' "$SUITE" "$root.part.tar"
    mv "$root.part.tar" "$root"
  fi
  docker import "$root" "$image-root" >/dev/null
  printf 'FROM %s-root\nENV PATH=/usr/bin\nUSER 65532:65532\n' "$image" | docker build -q -t "$image" --label "dev.slicewise.inputs=$hash" -
fi
"$here/../cluster/load.sh" "$image"
