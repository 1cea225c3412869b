#!/usr/bin/env bash
# `make cluster-down`: removes the cluster. What was built for it stays in $SLICEWISE_CACHE.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
alone cluster
if ! timeout 10 docker info >/dev/null 2>&1; then echo "no Docker engine runs, and so no cluster"; exit 0; fi
step "cluster $CLUSTER removed" kind delete cluster --name "$CLUSTER"
rm -f "$kubeconfig"
