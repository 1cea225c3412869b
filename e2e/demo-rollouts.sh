#!/usr/bin/env bash
# The end of `make demo`: a version that is good enough and takes over, and one that is too slow and goes away by itself, each
# under load. Called by demo.sh, on a pool of its own. Safe to repeat.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
. "$here/cluster/settings.sh"
export KUBECONFIG=$SLICEWISE_CACHE/kubeconfig
PATH=$root/.venv/bin:$PATH
rate=8 tokens=96   # requests a second, and how long each answer may be
watcher=

model() {  # NAME: source and digest, as spec.model has them
  printf '{"source": "http://models.slicewise-e2e.svc/%s.gguf", "digest": "sha256:%s"}' \
    "$1" "$(sha256sum "$(python "$root/worker-image/models/make.py" "$1")" | cut -d' ' -f1)"
}

apply_pool() {  # anew: what a former demo left is not the beginning of this one
  kubectl delete ipool words --ignore-not-found --timeout=120s
  kubectl apply -f - <<EOF
apiVersion: slicewise.dev/v1alpha1
kind: InferencePool
metadata: {name: words}
spec:
  model: $(model wordy)
  engine: {contextTokens: 512, parallelSequences: 4}
  slice: {resource: nvidia.com/mig-1g.10gb}
  replicas: 2
  zones: {minAvailable: 0}
  rollout:
    canary:
      p95: 600ms
      maxErrors: 2%
      steps: [{weight: 25, window: 20s}]
EOF
  kubectl wait --for=condition=Ready ipool/words --timeout=600s
}

start_load() {
  kubectl create configmap words-load --from-file="$here/support/load_client.py" --dry-run=client -o yaml | kubectl apply -f -
  kubectl delete pod words-load --ignore-not-found --now
  kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: words-load}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  volumes: [{name: script, configMap: {name: words-load}}]
  containers:
    - name: load
      image: slicewise-worker:$VERSION
      command: [python3, /load/load_client.py, "http://words.default.svc/v1/chat/completions", words, "$rate", "$tokens", ""]
      volumeMounts: [{name: script, mountPath: /load}]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
EOF
  kubectl wait --for=condition=Ready pod/words-load --timeout=300s
}

stop_watching() { [ -z "$watcher" ] || { kill "$watcher" 2>/dev/null || true; wait "$watcher" 2>/dev/null || true; }; watcher=; }
trap stop_watching EXIT

show() {  # what the watch prints, without what says the same twice
  local line said=
  while read -r line; do
    line=${line%%  RolloutInProgress: *}
    [ "$line" = "$said" ] || printf '    %s\n' "$line"
    said=$line
  done
}

state() { kubectl get ipool words -o jsonpath='{.status.revisions.stable} {.status.rollout.phase}'; }

# roll_out MODEL PHASE: a new version; shows what happens until it serves (Idle) or was given up, or ten minutes are over
roll_out() {
  local before now begin=$SECONDS
  before=$(state)
  echo "  \$ kubectl patch ipool words --type merge -p '{\"spec\": {\"model\": $(model "$1")}}'"
  echo "  \$ kubectl slicewise get words --watch"
  kubectl patch ipool words --type merge -p "{\"spec\": {\"model\": $(model "$1")}}" >/dev/null
  kubectl-slicewise get words --watch </dev/null > >(show) & watcher=$!
  until now=$(state); [ "$now" != "$before" ] && [ "${now#* }" = "$2" ]; do
    [ $((SECONDS - begin)) -lt 600 ] || { stop_watching; kubectl-slicewise explain words; return 1; }
    sleep 1
  done
  sleep 1
  stop_watching
  echo "  after $((SECONDS - begin)) s: $2"
}

tell_load() {  # one look: the load goes on
  local log
  log=$(kubectl logs words-load | grep '^{')
  printf '\n%s requests while all this went on, %s of them failed\n' "$(wc -l <<<"$log")" "$(grep -vc '"status": 200' <<<"$log" || true)"
}

inside "$@"
step "pool words, whose next version is judged: p95 600ms, errors 2 %" own apply_pool
step "load: $rate requests a second" own start_load
echo; echo "A good version: 25 % of the requests for 20 s, then it takes over."
roll_out wordy-v2 Idle
echo; echo "A version that is too slow: it loses its requests, then its worker; no manual action is needed."
roll_out wordy-slow RolledBack
echo; kubectl get ipool words; echo
kubectl-slicewise explain words | head -20
tell_load
kubectl delete pod words-load --now --wait=false >/dev/null
