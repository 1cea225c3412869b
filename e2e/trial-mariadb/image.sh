#!/usr/bin/env bash
# slicewise-mariadb:e2e, the database of the demo and of the stories about jobs, on every node: Debian's server, of the version that the
# chart names, on the base of our images. Where that base is the public one it is installed, else laid over it (images/mariadb.sh). Repeatable.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
image=slicewise-mariadb:e2e
hash=$(inputs "$0" "$here/../../images/mariadb.sh" "$here/../cluster/settings.sh")
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

if ! image_has "$image" "$hash"; then
  if docker image inspect "$PUBLIC_BASE_IMAGE" >/dev/null 2>&1; then
    printf 'FROM %s\nRUN apt-get update -qq && apt-get install -qq -y --no-install-recommends mariadb-server-core\n' "$PUBLIC_BASE_IMAGE"
  else
    from=$("$here/../../images/mariadb.sh")
    cp -r "$from/usr" "$from/lib" "$context/"
    chmod -R a+rX "$context"
    printf 'FROM %s\nCOPY usr /usr\nCOPY lib /usr/lib/mariadb\nENV LD_LIBRARY_PATH=/usr/lib/mariadb\n' "$BASE_IMAGE"
  fi >"$context/Dockerfile"
  echo "USER 65532:65532" >>"$context/Dockerfile"
  docker build -q -t "$image" --label "dev.slicewise.inputs=$hash" "$context"
fi
"$here/../cluster/load.sh" "$image"
