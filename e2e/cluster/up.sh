#!/usr/bin/env bash
# `make cluster`: a kind cluster of one control plane and three workers in zones a, b, c, with slices of GPUs that are not
# there. Leaves a cluster that works as it is; mends one whose nodes stopped; makes anew one that was half made or stays half
# dead. kubectl context: kind-$CLUSTER, also alone in $kubeconfig (settings.sh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
made=/kind/slicewise-made   # on the control-plane node, once everything of `create` is done
k() { kubectl --context "kind-$CLUSTER" "$@"; }

raise_inotify() {  # a cluster of four nodes holds 69 of 128 instances: with little beside it kube-proxy dies with "too many open files"
  local f=/proc/sys/fs/inotify/max_user_instances
  if [ "$(cat $f)" -lt 1024 ] && [ -w $f ]; then echo 1024 >$f 2>/dev/null || true; fi
  f=/proc/sys/fs/inotify/max_user_watches
  if [ "$(cat $f)" -lt 262144 ] && [ -w $f ]; then echo 262144 >$f 2>/dev/null || true; fi
}

what_is_there() {  # made, half or none; fails where the engine does not say
  local nodes error
  command -v kind >/dev/null || { echo none; return; }
  nodes=$(kind get nodes --name "$CLUSTER" 2>/dev/null) || return 1
  case $(grep -c . <<<"$nodes") in 0) echo none; return ;; 4) ;; *) echo half; return ;; esac
  error=$(docker cp "$CLUSTER-control-plane:$made" - 2>&1 >/dev/null) && { echo made; return; }
  # "mount": what the node mounts is gone, with a version that mounted it from the clone; such a node can not be started again.
  case $error in *"ould not find the file"*|*"o such file"*|*"mount "*) echo half ;; *) echo "$error" >&2; return 1 ;; esac
}

is_made() {  # of an engine that is too busy to answer it is asked again: a cluster that works is not made anew for that
  local found
  for _ in {1..10}; do
    if found=$(what_is_there); then [ "$found" != made ] || return 0; return 1; fi
    sleep 3
  done
  echo "the Docker engine does not say whether cluster $CLUSTER is there: try again when it is less busy, or remove the cluster: kind delete cluster --name $CLUSTER" >&2
  exit 1
}

create() {
  kind delete cluster --name "$CLUSTER"
  local network=true
  [ "$image" = "$NODE_IMAGE" ] || network=false   # kind's own image brings kind's own network
  # Their paths are relative. Copies are mounted: the cluster outlives the clone that it was made from.
  cp "$here/audit-policy.yaml" "$SLICEWISE_CACHE/audit-policy.yaml"
  mkdir -p "$SLICEWISE_CACHE/patches"; cp "$here"/patches/*.yaml "$SLICEWISE_CACHE/patches/"
  cd "$SLICEWISE_CACHE"
  sed "s/disableDefaultCNI: true/disableDefaultCNI: $network/" "$here/cluster.yaml" | kind create cluster --name "$CLUSTER" --config - --image "$image"
  ready 300
  docker exec "$CLUSTER-control-plane" touch "$made"
}

ready() {  # SECONDS for each step: from containers that run to a cluster that takes pods
  local end=$((SECONDS + $1))
  until k get --raw /readyz >/dev/null 2>&1; do [ $SECONDS -lt $end ] || { echo "the API server does not answer"; return 1; }; sleep 0.5; done
  "$here/network.sh"
  k wait --for=condition=Ready node --all --timeout="$1s"
  k -n kube-system rollout status daemonset/kube-proxy --timeout="$1s"
  k -n kube-system rollout status deployment/coredns --timeout="$1s"
  k -n local-path-storage rollout status deployment/local-path-provisioner --timeout="$1s"
}

mend() {
  mapfile -t nodes < <(kind get nodes --name "$CLUSTER")
  docker start "${nodes[@]}"
  known || kind export kubeconfig --name "$CLUSTER"
  ready 90   # one that stays half dead is made anew soon
}

known() {  # whether the user's kubeconfig leads to this cluster: it may have one of the same name that is gone
  local server
  server=$(kind get kubeconfig --name "$CLUSTER" | sed -n 's/^ *server: //p')
  kubectl config view -o jsonpath="{.clusters[?(@.name==\"kind-$CLUSTER\")].cluster.server}" | grep -qxF "$server"
}

prepare() {  # programs and the node image, from where they are to be had
  if docker image inspect "$PUBLIC_NODE_IMAGE" >/dev/null 2>&1; then
    image=$PUBLIC_NODE_IMAGE
    step "programs from Go modules (the first time: 5 minutes)" "$here/build.sh" host
  elif registry "$PUBLIC_NODE_IMAGE"; then
    image=$PUBLIC_NODE_IMAGE
    step "programs from Go modules (the first time: 5 minutes)" "$here/build.sh" host
    step "node image $image" docker pull "$image"
  else
    image=$NODE_IMAGE
    step "programs from Go modules (the first time: 8 minutes)" "$here/build.sh" all
    step "node image from Debian packages" "$here/node-image.sh"
  fi
  export image
}

inside "$@"
begin=$SECONDS
alone cluster
step "Docker engine" "$here/start-docker.sh"
raise_inotify
"$here/pause.sh" off || true   # a run of tests that was killed leaves it so; where that fails, it is made anew
if is_made && { step "cluster $CLUSTER is there" own mend || step "cluster $CLUSTER, looked at again" own mend; }; then
  step "programs from Go modules" "$here/build.sh" host
else
  prepare
  # An engine that dies meanwhile takes the nodes along: once more, on an engine that answers.
  step "cluster $CLUSTER" own create || { step "Docker engine" "$here/start-docker.sh"; step "cluster $CLUSTER, second try" own create; }
fi
kind get kubeconfig --name "$CLUSTER" >"$kubeconfig.new"
chmod 600 "$kubeconfig.new"; mv "$kubeconfig.new" "$kubeconfig"
step "device plugin: two slices a node" "$here/../deviceplugin/apply.sh"
echo "cluster ready after $((SECONDS - begin)) s: kubectl --context kind-$CLUSTER get nodes"
