#!/usr/bin/env bash
# Serves the made model files inside the cluster: http://models.slicewise-e2e.svc/<name>.gguf (tiny and its adapters, wordy, wordy-v2, wordy-slow,
# caller, encoder, reranker), with Range requests; /slow/<bytes per second>/<name>.gguf serves them slowly. Repeatable: a changed file ends in a new pod.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
image=slicewise-models:e2e
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT

mkdir "$w/models"
[ $# -gt 0 ] || set -- tiny tiny-lora-1 tiny-lora-2 wordy wordy-v2 wordy-slow caller encoder reranker
for n; do
  cp "$("$here/../../.venv/bin/python" "$here/../../worker-image/models/make.py" "$n")" "$w/models/$n.gguf"
done
cp "$bin/modelserver" "$w/"
hash=$(inputs "$w/models" "$w/modelserver" "$0")
if ! image_has "$image" "$hash"; then
  chmod -R a+rX "$w"
  printf 'FROM scratch\nCOPY modelserver /\nCOPY models /models\nUSER 65532:65532\nENTRYPOINT ["/modelserver"]\n' >"$w/Dockerfile"
  docker build -q -t "$image" --label "dev.slicewise.inputs=$hash" "$w"
fi
"$here/../cluster/load.sh" "$image"
sed "s/IMAGE-ID/$hash/" "$here/models.yaml" | kubectl --context "kind-$CLUSTER" apply --server-side --force-conflicts -f -
kubectl --context "kind-$CLUSTER" -n slicewise-e2e rollout status deployment/models --timeout=300s
