#!/usr/bin/env bash
# The programs of clients that the tests put before a worker: SDKs, LangChain, instructor and LiteLLM, in an environment of their own below
# $SLICEWISE_CACHE/clients, so that .venv stays small. Prints its Python. Seconds the first time, nothing later.
#   images/clients.sh --lock   writes locks/clients.txt again, with the newest versions
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
cd "$root"
uv_program >&2

if [ "${1:-}" = --lock ]; then
  printf '%s\n' anthropic instructor langchain-anthropic langchain-openai litellm openai |
    uv pip compile --quiet --python-version 3.11 --generate-hashes --only-binary :all: --no-header --no-annotate -o locks/clients.txt -
  exit
fi
home=$SLICEWISE_CACHE/clients/$(inputs locks/clients.txt)
if [ ! -e "$home/.done" ]; then
  alone clients
  if [ ! -e "$home/.done" ]; then
    rm -rf "$SLICEWISE_CACHE/clients"
    uv venv --quiet --python 3.11 "$home" >&2
    uv pip install --quiet --python "$home/bin/python" --no-deps --only-binary :all: --require-hashes -r locks/clients.txt >&2
    touch "$home/.done"
  fi
fi
echo "$home/bin/python"
