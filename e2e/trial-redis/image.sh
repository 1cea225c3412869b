#!/usr/bin/env bash
# slicewise-redis:e2e, the Redis of the stories, on every node: the public image that the chart names where a registry answers, else
# Debian's redis-server and what it links. That one has no shell, so it shows as well that the chart's pod needs none. Repeatable.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
image=slicewise-redis:e2e
hash=$(inputs "$0" "$here/../cluster/settings.sh")

from_debian() {
  local root=$SLICEWISE_CACHE/images/redis-$hash.tar
  if [ ! -f "$root" ]; then
    debian mmdebstrap:mmdebstrap
    rm -f "$SLICEWISE_CACHE"/images/redis-*
    # Unpacked and not set up: nothing that the packages would run is needed to run the server.
    mmdebstrap --quiet --variant=extract --include=redis-server --dpkgopt='path-exclude=/usr/share/*' \
      --dpkgopt='path-exclude=/usr/lib/*/perl*' --dpkgopt='path-exclude=/usr/lib/*/gconv/*' "$SUITE" "$root.part.tar"
    mv "$root.part.tar" "$root"
  fi
  docker import --change 'ENV PATH=/usr/bin' "$root" "$1" >/dev/null
}

alone redis
if ! image_has "$image" "$hash"; then
  base=$PUBLIC_REDIS_IMAGE
  if ! registry "$base"; then
    base=$image-root
    from_debian "$base"
  fi
  printf 'FROM %s\nUSER 65532:65532\n' "$base" | docker build -q -t "$image" --label "dev.slicewise.inputs=$hash" -
fi
exec 9>&-
"$here/../cluster/load.sh" "$image"
