#!/usr/bin/env bash
# The programs of clients that the tests put before a worker, each kind in an environment of its own below $SLICEWISE_CACHE, so that
# .venv stays small and their plugins load into no test. Prints its Python. Seconds the first time, nothing later.
#   images/clients.sh                     SDKs, LangChain, instructor and LiteLLM
#   images/clients.sh schemathesis        what makes requests from an OpenAPI document
#   images/clients.sh NAME --lock         writes locks/NAME.txt again, with the newest versions; NAME is clients or schemathesis
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
cd "$root"
uv_program >&2

name=${1:-clients}
lock=locks/$name.txt
case $name in
  clients) packages=(anthropic instructor langchain-anthropic langchain-openai litellm openai) ;;
  schemathesis) packages=(schemathesis) ;;
  *) echo "'$name' is not one of clients, schemathesis" >&2; exit 2 ;;
esac
if [ "${2:-}" = --lock ]; then
  printf '%s\n' "${packages[@]}" |
    uv pip compile --quiet --python-version 3.11 --generate-hashes --only-binary :all: --no-header --no-annotate -o "$lock" -
  exit
fi
home=$SLICEWISE_CACHE/$name/$(inputs "$lock")
if [ ! -e "$home/.done" ]; then
  alone "$name"
  if [ ! -e "$home/.done" ]; then
    rm -rf "${SLICEWISE_CACHE:?}/$name"
    uv venv --quiet --python 3.11 "$home" >&2
    uv pip install --quiet --python "$home/bin/python" --no-deps --only-binary :all: --require-hashes -r "$lock" >&2
    touch "$home/.done"
  fi
fi
echo "$home/bin/python"
