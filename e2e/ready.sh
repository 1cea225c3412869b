#!/usr/bin/env bash
# `make ready`: everything that the stories stand on; `ready.sh demo`: what the demo needs of that, without the programs of tests.
# Each part does nothing where nothing changed. Goes on after a part that failed, so that one run says all; fails then.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cluster/settings.sh"
status=0
"$here/cluster/up.sh" || status=1
[ "${1:-}" = demo ] || "$here/../images/tools.sh" || status=1
"$here/../images/build.sh" || status=1
step "images on the nodes" "$here/cluster/load.sh" "slicewise-operator:$VERSION" "slicewise-worker:$VERSION" "slicewise-gateway:$VERSION" "slicewise-jobs:$VERSION" || status=1
step "model files inside the cluster" "$here/models/apply.sh" || status=1
[ "${1:-}" = demo ] || step "a Redis for the stories" "$here/trial-redis/image.sh" || status=1
[ "${1:-}" = demo ] || step "a worker's image with a GPU in software" "$here/gpu/image.sh" || status=1
step "a MariaDB for jobs" "$here/trial-mariadb/image.sh" || status=1
exit $status
