#!/usr/bin/env bash
# load.sh IMAGE …: brings images of the local engine onto the worker nodes of the cluster. A node that has this very image
# already is left alone (the node's own note of the image id says so; our node image has no crictl that kind could ask).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
alone load

note() { echo "/var/lib/containerd/slicewise-loaded-$(tr -c 'a-zA-Z0-9.\n' '-' <<<"$1")"; }
id() { docker image inspect "$1" --format '{{.Id}}'; }

has() {  # NODE IMAGE
  # shellcheck disable=SC2016 # expanded by the node's shell
  docker exec "$1" sh -c '[ "$(cat "$1" 2>/dev/null)" = "$2" ] && ctr -n k8s.io images ls -q | grep -qF "/$3"' - "$(note "$2")" "$(id "$2")" "$2"
}

load() {  # NODE ARCHIVE IMAGE …
  local node=$1 archive=$2 image; shift 2
  docker exec -i "$node" ctr -n k8s.io images import --digests --snapshotter=overlayfs - <"$archive" >/dev/null
  for image; do docker exec "$node" sh -c "echo '$(id "$image")' >'$(note "$image")'"; done
}

mapfile -t nodes < <(kind get nodes --name "$CLUSTER" 2>/dev/null | grep -v control-plane)
[ ${#nodes[@]} -gt 0 ] || { echo "no cluster $CLUSTER: make cluster" >&2; exit 1; }
targets=() missing=()
for n in "${nodes[@]}"; do
  lacks=false
  for image; do
    has "$n" "$image" || { lacks=true; [[ " ${missing[*]} " == *" $image "* ]] || missing+=("$image"); }
  done
  $lacks && targets+=("$n")
done
[ ${#missing[@]} -gt 0 ] || { echo "$*: on every node"; exit 0; }
rm -f "$SLICEWISE_CACHE"/images/load.*   # what a killed run left
archive=$(mktemp "$SLICEWISE_CACHE/images/load.XXXXXX"); trap 'rm -f "$archive"' EXIT
docker save "${missing[@]}" -o "$archive"   # one archive: layers that images share are in it once
pids=()
for n in "${targets[@]}"; do load "$n" "$archive" "${missing[@]}" & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; done
echo "${missing[*]}: loaded onto ${targets[*]}"
