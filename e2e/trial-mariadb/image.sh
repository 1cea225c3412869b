#!/usr/bin/env bash
# slicewise-mariadb:e2e, the database of the stories about jobs, on every node: Debian's server, of the version that the chart names, and a
# shell. Repeatable.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
image=slicewise-mariadb:e2e
hash=$(inputs "$0" "$here/../cluster/settings.sh")

from_debian() {
  local root=$SLICEWISE_CACHE/images/mariadb-$hash.tar
  if [ ! -f "$root" ]; then
    debian mmdebstrap:mmdebstrap
    rm -f "$SLICEWISE_CACHE"/images/mariadb-*
    mmdebstrap --quiet --variant=minbase --include=mariadb-server-core --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' "$SUITE" "$root.part.tar"
    mv "$root.part.tar" "$root"
  fi
  docker import --change 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' "$root" "$1" >/dev/null
}

if ! image_has "$image" "$hash"; then
  from_debian "$image-root"
  printf 'FROM %s\nUSER 65532:65532\n' "$image-root" | docker build -q -t "$image" --label "dev.slicewise.inputs=$hash" -
fi
"$here/../cluster/load.sh" "$image"
