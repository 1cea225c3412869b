#!/usr/bin/env bash
# load.sh IMAGE …: brings images of the local engine onto the worker nodes of the cluster. A node that has this very image
# already is left alone (the node's own note of the image id says so; our node image has no crictl that kind could ask).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"

nodes=$(kind get nodes --name "$CLUSTER" 2>/dev/null | grep -v control-plane)
for image; do
  id=$(docker image inspect "$image" --format '{{.Id}}')
  note=/var/lib/containerd/slicewise-loaded-$(tr -c 'a-zA-Z0-9.\n' '-' <<<"$image")
  targets=()
  for n in $nodes; do
    # shellcheck disable=SC2016 # expanded by the node's shell
    docker exec "$n" sh -c '[ "$(cat "$1" 2>/dev/null)" = "$2" ] && ctr -n k8s.io images ls -q | grep -qF "/$3"' - "$note" "$id" "$image" || targets+=("$n")
  done
  [ ${#targets[@]} -gt 0 ] || { echo "$image: on every node"; continue; }
  archive=$(mktemp "$SLICEWISE_CACHE/images/load.XXXXXX")
  docker save "$image" -o "$archive"
  for n in "${targets[@]}"; do
    docker exec -i "$n" ctr -n k8s.io images import --digests --snapshotter=overlayfs - <"$archive" >/dev/null
    docker exec "$n" sh -c 'echo "$2" >"$1"' - "$note" "$id"
  done
  rm -f "$archive"
  echo "$image: loaded onto ${targets[*]}"
done
