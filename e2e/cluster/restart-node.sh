#!/usr/bin/env bash
# restart-node.sh NODE: stops and starts a node of the cluster as a power cut would (no shutdown of its pods), and returns when
# the node says Ready again under its new boot id.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
k() { kubectl --context "kind-$CLUSTER" "$@"; }
node=$1
started() { k get node "$node" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null; }
docker kill "$node" >/dev/null
before=$(date -u +%FT%TZ)
docker start "$node" >/dev/null
end=$((SECONDS + 300))
# Ready from before the cut does not count: the kubelet's heartbeat must be newer.
until beat=$(k get node "$node" -o jsonpath='{.status.conditions[?(@.type=="Ready")].lastHeartbeatTime}' 2>/dev/null) && [[ $beat > $before && $(started) = True ]]; do
  [ $SECONDS -lt $end ] || { echo "$node is not Ready 300 s after its start" >&2; exit 1; }
  sleep 0.5
done
"$here/network.sh"
