#!/usr/bin/env bash
# The end of `make demo`: jobs that are accepted, whose workers are all killed, and that are done after. Called by demo.sh, on its pool
# "chat". Safe to repeat.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
. "$here/cluster/settings.sh"
export KUBECONFIG=$SLICEWISE_CACHE/kubeconfig
PATH=$root/.venv/bin:$PATH
forward=

turn_on() {  # the database that the chart installed (demo.sh), and the pool's own Secret with its address
  kubectl -n slicewise-system rollout status statefulset/slicewise-mariadb --timeout=600s
  kubectl create secret generic jobs-db --dry-run=client -o yaml \
    --from-literal=url="mysql://slicewise:word-of-the-demo@slicewise-mariadb.slicewise-system.svc/slicewise?tls=off" | kubectl apply -f -
  kubectl patch ipool/chat --type=merge -p '{"spec": {"jobs": {"databaseSecretRef": {"name": "jobs-db"}}}}'
  kubectl wait --for=condition=JobsAvailable ipool/chat --timeout=600s
}

open_port() {
  port=8080
  while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  kubectl port-forward service/chat "$port:80" >/dev/null 2>&1 9>&- & forward=$!
  local end=$((SECONDS + 120))
  until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || [ $SECONDS -ge $end ]; do sleep 0.1; done
}

send() {  # NUMBER of jobs, eight at a time; prints their ids
  seq "$1" | xargs -P 8 -I{} curl -fsS -m 30 -w '\n' "http://127.0.0.1:$port/jobs" -H 'Content-Type: application/json' \
    -d '{"prompt": "What outlives a worker? Part {}.", "params": {"max_tokens": 96}}' | grep -o 'job_[0-9a-f]*'
}

states() {  # such as "36 done, 4 queued", of the jobs of this run
  curl -fsS -m 30 "http://127.0.0.1:$port/jobs?limit=100" | python -c '
import collections, json, pathlib, sys
ids = set(pathlib.Path(sys.argv[1]).read_text().split())
found = collections.Counter(job["status"] for job in json.load(sys.stdin)["data"] if job["job_id"] in ids)
print(", ".join(f"{count} {status}" for status, count in sorted(found.items())))' "$ids"
}

wait_done() {
  local end=$((SECONDS + 600)) now=
  until [ "$now" = "$number done" ]; do
    [ $SECONDS -lt $end ] || { echo "after ten minutes: $now"; return 1; }
    sleep 1
    now=$(states)
  done
}

inside "$@"
step "pool chat with spec.jobs: JobsAvailable" own turn_on
open_port
ids=
trap 'kill "$forward" 2>/dev/null || true; rm -f "$ids"' EXIT
number=40
ids=$(mktemp)
export port number ids
echo "> curl http://127.0.0.1:$port/jobs -d '{\"prompt\": \"What outlives a worker? …\", \"params\": {\"max_tokens\": 96}}', $number times"
send $number >"$ids" & sender=$!
sleep 0.5
step "meanwhile: kubectl delete pod --force, all workers" \
  kubectl delete pod -l slicewise.dev/pool=chat,slicewise.dev/role=worker --force --grace-period=0 --wait=false
wait "$sender"
echo "  all accepted; now: $(states)"
step "until all are done" own wait_done
last=$(tail -n 1 "$ids")
echo "> curl http://127.0.0.1:$port/jobs/$last"
curl -fsS -m 30 "http://127.0.0.1:$port/jobs/$last" | cut -c1-300
