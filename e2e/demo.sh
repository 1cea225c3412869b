#!/usr/bin/env bash
# `make demo`: the chart, one pool, one chat answer, a good and a bad rollout, a job that outlives its workers, on a cluster that is ready (`ready.sh demo`); says at the end what to type next.
# Safe to repeat. MODEL=hf://org/repo@<commit>/file.gguf (or https://…, with DIGEST=sha256:… where the source can change)
# takes that model; without one it is that of docs/examples/chat.yaml where its hub answers, else the made model "wordy".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
. "$here/cluster/settings.sh"
export KUBECONFIG=$SLICEWISE_CACHE/kubeconfig
begin=$SECONDS
kustomization=$root/build/demo

install_chart() {  # with a MariaDB for trials, whose password is no secret
  kubectl create namespace slicewise-system --dry-run=client -o yaml | kubectl apply -f -
  kubectl -n slicewise-system create secret generic mariadb-password --from-literal=password=word-of-the-demo --dry-run=client -o yaml | kubectl apply -f -
  helm upgrade --install slicewise "$root/charts/slicewise" --namespace slicewise-system --create-namespace --wait --timeout 600s \
    --set worker.allowPrivateSources=true \
    --set worker.allowCPU=true \
    --set mariadb.enabled=true,mariadb.passwordSecret=mariadb-password,mariadb.storage.size=1Gi \
    --set mariadb.image.repository=slicewise-mariadb,mariadb.image.tag=e2e \
    --set-json 'worker.resources={"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}}' \
    --set-string "podAnnotations.image-id=$(docker image inspect "slicewise-operator:$VERSION" --format '{{.Id}}')"
}

example_source() { sed -n 's/^ *source: *//p' "$root/docs/examples/chat.yaml"; }

# hub_answers SOURCE: whether the file can be had from where the workers will fetch it
hub_answers() {
  local path=${1#hf://}
  local repository=${path%%@*} rest=${path#*@}
  curl -fsIL -m 10 -o /dev/null "$(python -c 'from huggingface_hub.constants import ENDPOINT; print(ENDPOINT)')/$repository/resolve/$rest"
}

choose_model() {  # sets source, digest, why
  digest=${DIGEST:-}
  if [ -n "${MODEL:-}" ]; then
    source=$MODEL
    why="model: $MODEL"
  elif hub_answers "$(example_source)" 2>/dev/null; then
    source=$(example_source)
    why="model: $source"
  else
    source=http://models.slicewise-e2e.svc/wordy.gguf
    digest=sha256:$(sha256sum "$(python "$root/worker-image/models/make.py" wordy)" | cut -d' ' -f1)
    why="model: no hub can be reached from here, so the pool gets \"wordy\", a made model of 10 MB that writes broken sentences (MODEL=hf://… takes any GGUF)"
  fi
}

write_kustomization() {  # docs/examples/chat.yaml with another source, and nothing else changed
  rm -rf "$kustomization"; mkdir -p "$kustomization"
  cp "$root/docs/examples/chat.yaml" "$kustomization/"
  {
    printf 'resources: [chat.yaml]\npatches:\n  - patch: |\n'
    printf '      apiVersion: slicewise.dev/v1alpha1\n      kind: InferencePool\n      metadata: {name: chat}\n      spec:\n        model:\n'
    printf '          source: %s\n' "$source"
    [ -z "$digest" ] || printf '          digest: %s\n' "$digest"
  } >"$kustomization/kustomization.yaml"
}

wait_ready() {  # and tell in one line why not
  kubectl wait --for=condition=Ready ipool/chat --timeout="${TIMEOUT:-600s}" && return
  kubectl get ipool chat -o jsonpath='{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}'
  return 1
}

ask() {  # the way a user does: a forwarded port and curl
  local port=8080 forward rc=0
  while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  kubectl port-forward service/chat "$port:80" >/dev/null 2>&1 9>&- & forward=$!
  local end=$((SECONDS + 120))
  until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || [ $SECONDS -ge $end ]; do sleep 0.1; done
  curl -fsS -m 120 "http://127.0.0.1:$port/v1/chat/completions" -H 'Content-Type: application/json' \
    -d '{"model": "chat-small", "max_tokens": 48, "messages": [{"role": "user", "content": "What is a slice?"}]}' |
    python -c 'import json, sys; answer = json.load(sys.stdin); print(answer["choices"][0]["message"]["content"].strip(), answer["usage"]["completion_tokens"], sep="\n")' || rc=$?
  kill "$forward" 2>/dev/null || true
  wait "$forward" 2>/dev/null || true
  return "$rc"
}

step "chart slicewise: helm upgrade --install --wait" install_chart
choose_model
echo "$why"
write_kustomization
if [ "$source" != "$(example_source)" ]; then
  echo "the pool: docs/examples/chat.yaml with this patch (build/demo/kustomization.yaml):"
  sed 's/^/    /' "$kustomization/kustomization.yaml"
fi
step "pool chat: kubectl apply -k build/demo" kubectl apply -k "$kustomization"
step "pool chat: kubectl wait --for=condition=Ready ipool/chat" wait_ready
echo; kubectl get ipool; echo
kubectl get pods -l slicewise.dev/pool=chat,slicewise.dev/role=worker -o custom-columns='WORKER:.metadata.name,ZONE:.metadata.labels.slicewise\.dev/zone,NODE:.spec.nodeName,READY:.status.containerStatuses[0].ready'; echo
asked=$(date +%s.%N)
answer=$(ask)
took=$(date +%s.%N)
echo "> What is a slice?"
sed '$d' <<<"$answer" | fold -s -w 110
printf '  (%s tokens, %.1f s)\n\n' "$(tail -n 1 <<<"$answer")" "$(python -c "print($took - $asked)")"
"$here/demo-rollouts.sh"
echo; echo "Jobs: accepted, all workers killed, and done after."
"$here/demo-jobs.sh"
cat <<E2

Done after $((SECONDS - begin)) s. What to type next:

  export KUBECONFIG=$KUBECONFIG PATH=$root/.venv/bin:$bin:$SLICEWISE_CACHE/uv/bin:\$PATH
  kubectl get ipool                                  # model, revision, workers, slice, status
  kubectl describe ipool chat                        # conditions say what is and what to do, events tell the story
  kubectl slicewise get chat                         # the tree: zones, revisions, workers; --watch moves with it
  kubectl slicewise explain words                    # why the slow version was given up, and what would change it
  kubectl slicewise retry words                      # another try; promote, abort, pause, resume, skip-step, undo
  kubectl slicewise slices                           # nodes × slices × pods
  kubectl delete ipool words
  kubectl scale ipool/chat --replicas=5              # one worker a slice; there are six
  kubectl drain $CLUSTER-worker --ignore-daemonsets --delete-emptydir-data   # waits: zone a has no other node. kubectl uncordon $CLUSTER-worker
  kubectl port-forward service/chat 8080:80 &
  curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{"model": "chat-small", "messages": [{"role": "user", "content": "Hello"}]}'
  kubectl delete ipool chat                          # and every object of it goes
  make cluster-down
E2
