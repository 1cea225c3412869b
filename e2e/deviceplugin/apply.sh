#!/usr/bin/env bash
# Slices without GPUs: runs the device plugin on every worker node and labels the nodes as NVIDIA's GPU feature discovery does
# under the mixed strategy for an A100 of 80 GB (memory in MiB). Repeatable; on any cluster made by up.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
context=kind-$CLUSTER
gpu=NVIDIA-A100-SXM4-80GB

"$here/image.sh"
"$here/../cluster/load.sh" slicewise-deviceplugin:e2e
mapfile -t nodes < <(kubectl --context "$context" get nodes -l '!node-role.kubernetes.io/control-plane' -o name)
kubectl --context "$context" label --overwrite "${nodes[@]}" \
  nvidia.com/gpu.present=true nvidia.com/gpu.count=1 nvidia.com/gpu.product=$gpu nvidia.com/gpu.memory=81920 \
  nvidia.com/mig.capable=true nvidia.com/mig.strategy=mixed \
  nvidia.com/mig-1g.10gb.count=2 nvidia.com/mig-1g.10gb.memory=9728 nvidia.com/mig-1g.10gb.product=$gpu-MIG-1g.10gb \
  nvidia.com/mig-1g.10gb.multiprocessors=14 nvidia.com/mig-1g.10gb.slices.gi=1 nvidia.com/mig-1g.10gb.slices.ci=1
id=$(docker image inspect slicewise-deviceplugin:e2e --format '{{.Id}}')
sed "s|    metadata: {labels: {app: slicewise-deviceplugin}}|    metadata: {labels: {app: slicewise-deviceplugin}, annotations: {image-id: \"$id\"}}|" "$here/daemonset.yaml" |
  kubectl --context "$context" apply --server-side --force-conflicts -f -
kubectl --context "$context" -n kube-system rollout status daemonset/slicewise-deviceplugin --timeout=300s
kubectl --context "$context" wait --for=jsonpath='{.status.allocatable.nvidia\.com/mig-1g\.10gb}' "${nodes[@]}" --timeout=300s
