#!/usr/bin/env bash
# pause.sh on|off: lets the nodes of the cluster stand still, or go on. An idle cluster of four nodes takes up to 40 % of a core.
# Does nothing where they already do, or where there is no cluster. `off` returns once the cluster has noticed that its nodes live.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
k() { kubectl --kubeconfig "$kubeconfig" --request-timeout=20s "$@"; }

running() { docker ps -q --filter "label=io.x-k8s.kind.cluster=$CLUSTER" --filter status=running; }
paused() { docker ps -q --filter "label=io.x-k8s.kind.cluster=$CLUSTER" --filter status=paused; }

# Each node's Lease renewed since `$1`, in RFC 3339. Until then the nodes look dead to the controller manager, and what they
# said before they stood still looks true to `kubectl wait`.
renewed() {
  k -n kube-node-lease get lease -o jsonpath='{range .items[*]}{.spec.renewTime}{"\n"}{end}' |
    awk -v since="$1" '$0 < since {old = 1} END {exit old || !NR}'
}

go_on() {
  local nodes since end
  mapfile -t nodes < <(paused)
  [ ${#nodes[@]} -gt 0 ] || return 0
  docker unpause "${nodes[@]}" >/dev/null
  since=$(date -u +%FT%T) end=$((SECONDS + 300))
  until renewed "$since"; do [ $SECONDS -lt $end ] || { echo "cluster $CLUSTER does not go on: its nodes have renewed no Lease in 300 s" >&2; return 1; }; sleep 1; done
  sleep 6   # the controller manager looks at the Leases every five seconds
  k wait --for=condition=Ready node --all --timeout=300s >/dev/null
}

command -v docker >/dev/null || exit 0
case ${1:-} in
  on) mapfile -t nodes < <(running); [ ${#nodes[@]} = 0 ] || docker pause "${nodes[@]}" >/dev/null ;;
  off) go_on ;;
  *) echo "usage: pause.sh on|off" >&2; exit 2 ;;
esac
